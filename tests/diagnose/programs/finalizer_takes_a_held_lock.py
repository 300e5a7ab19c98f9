"""The collector runs where a lock is held, and finds an object whose finalizer takes that lock."""

import gc
import threading

registry_lock = threading.Lock()
registry = {}


class Connection:
    def __init__(self, name):
        self.name = name
        self.itself = self  # only the collector can free it
        with registry_lock:
            registry[name] = "open"

    def __del__(self):
        with registry_lock:
            registry[self.name] = "closed"


def count_open():
    with registry_lock:
        gc.collect()  # which may come by itself at any allocation
        return len(registry)


gc.disable()  # and does not in this program
Connection("database")
count_open()
print("done")
