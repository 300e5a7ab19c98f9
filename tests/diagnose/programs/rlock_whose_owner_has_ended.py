"""A thread fails with an RLock taken and not released: nobody else can release it."""

import threading

session_lock = threading.RLock()


def refresh():
    session_lock.acquire()
    raise ConnectionError("no answer")
    session_lock.release()


def send():
    refresher.start()
    refresher.join()
    with session_lock:
        pass


# The sender is there first: it would have the number of the refresher otherwise, and own the lock by it.
refresher = threading.Thread(target=refresh, name="refresher")
sender = threading.Thread(target=send, name="sender")
sender.start()
sender.join()
print("done")
