"""A thread with a lock has been woken and cannot run yet, for others have the GIL for long; meanwhile
another one, which woke it, waits for its lock.
"""

import ctypes
import threading
import time

native = ctypes.PyDLL(None)  # unlike CDLL, it keeps the GIL
left_lock, right_lock = threading.Lock(), threading.Lock()
left_is_held, right_is_held = threading.Event(), threading.Event()


def hold():
    with left_lock:
        left_is_held.set()
        right_is_held.wait()
        with right_lock:
            return


def wake():
    with right_lock:
        left_is_held.wait()
        right_is_held.set()
        time.sleep(0.2)  # until the other one waits
    with left_lock:
        return


def keep_the_gil():
    for _ in range(5):
        native.usleep(400_000)


threads = [threading.Thread(target=target, name=target.__name__) for target in (hold, wake, keep_the_gil)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("done")
