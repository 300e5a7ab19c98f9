"""A ring of waits of several kinds: a Lock, an RLock, the lock of a Condition, and the end of a thread."""

import threading

journal = threading.Lock()
index = threading.RLock()
changed = threading.Condition()
all_hold_one = threading.Barrier(3)


def write():
    with journal:
        all_hold_one.wait()
        with index:
            pass


def rebuild():
    with index:
        all_hold_one.wait()
        with changed:
            changed.notify_all()


def close():
    with changed:
        all_hold_one.wait()
        flusher.start()
        flusher.join()


def flush():
    with journal:
        pass


flusher = threading.Thread(target=flush, name="flusher")
threads = [
    threading.Thread(target=write, name="writer"),
    threading.Thread(target=rebuild, name="indexer"),
    threading.Thread(target=close, name="closer"),
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("done")
