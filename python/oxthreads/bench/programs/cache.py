"""A cache: one lock for what is in it, and a lock for each key, so that nothing is computed twice."""

from __future__ import annotations

import hashlib
import random
import threading

SIZE = 400_000
THREADS = 8
KEYS = 500


class Cache:
    """Computes a value when it is first asked for, and keeps it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[int, str] = {}
        self._locks: dict[int, threading.RLock] = {}
        self.computed = 0

    def get(self, key: int) -> str:
        """Return the value of a key. Who asks while it is computed waits for it."""
        with self._lock:
            if (value := self._values.get(key)) is not None:
                return value
            lock = self._locks.setdefault(key, threading.RLock())
        with lock:
            with self._lock:
                if (value := self._values.get(key)) is not None:
                    return value
            value = hashlib.sha256(str(key).encode() * 2_000).hexdigest()
            with self._lock:
                self._values[key] = value
                self.computed += 1
            return value


def main(size: int) -> str:
    """Ask that often, in several threads, for a few hundred keys."""
    cache = Cache()
    lock = threading.Lock()
    total = 0

    def ask(seed: int) -> None:
        nonlocal total
        numbers = random.Random(seed)
        mine = 0
        for _ in range(size // THREADS):
            mine += len(cache.get(int(numbers.random() * KEYS)))
        with lock:
            total += mine

    threads = [threading.Thread(target=ask, args=[seed]) for seed in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return f"{total} characters, {cache.computed} values computed"


if __name__ == "__main__":
    print(main(SIZE))
