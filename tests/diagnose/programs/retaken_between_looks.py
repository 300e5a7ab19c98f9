"""Two threads take turns with two locks, very often: put together from looks at different moments, each
would hold what the other waits for, but at no one moment they do.
"""

import threading
import time

map_lock, queue_lock = threading.Lock(), threading.Lock()
end = time.monotonic() + 1.6


def nest():
    while time.monotonic() < end:
        with map_lock, queue_lock:
            time.sleep(0)


def alternate():
    while time.monotonic() < end:
        with queue_lock:
            time.sleep(0)
        with map_lock:
            time.sleep(0)


threads = [
    threading.Thread(target=nest, name="nester"),
    threading.Thread(target=alternate, name="alternator"),
    threading.Thread(target=alternate, name="other alternator"),
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("done")
