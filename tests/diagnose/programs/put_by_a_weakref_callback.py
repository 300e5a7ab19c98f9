"""A thread waits for items that only the callbacks of weak references put, whenever an object is freed."""

import gc
import queue
import threading
import time
import weakref

freed = queue.SimpleQueue()


class Image:
    def __init__(self):
        self.itself = self  # only the collector can free it


def count(expected):
    for _ in range(expected):
        freed.get()


references = [weakref.ref(Image(), freed.put) for _ in range(3)]
counter = threading.Thread(target=count, args=(len(references),), name="counter")
counter.start()
time.sleep(1.5)
gc.collect()
counter.join()
print("done")
