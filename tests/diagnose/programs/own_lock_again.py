"""A method that has taken the lock of its object calls another one that takes it, too; a Lock is not re-
entrant.
"""

import threading


class Cache:
    def __init__(self):
        self.lock = threading.Lock()
        self.entries = {}

    def get(self, key):
        with self.lock:
            if key not in self.entries:
                self.load(key)
            return self.entries[key]

    def load(self, key):
        value = key.upper()
        with self.lock:
            self.entries[key] = value


cache = Cache()
reader = threading.Thread(target=cache.get, args=("colour",), name="reader")
reader.start()
reader.join()
print("done")
