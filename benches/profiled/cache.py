"""Four workers ask a cache, which is refreshed under its lock: the example of docs/profile.md, longer."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor


class Cache:
    """Values that a slow server knows."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.values: dict[str, int] = {}

    def get(self, key: str) -> int | None:
        """The value."""
        with self.lock:
            return self.values.get(key)

    def refresh(self) -> None:
        """Ask the server."""
        with self.lock:
            time.sleep(0.02)
            self.values = {"answer": 42}


def serve(cache: Cache) -> None:
    """Ask the cache again and again."""
    for _ in range(100):
        cache.get("answer")
        time.sleep(0.002)


def main() -> None:
    """Refresh until the workers have ended."""
    cache = Cache()
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(serve, cache) for _ in range(4)]
        while not all(call.done() for call in calls):
            cache.refresh()
            time.sleep(0.005)


if __name__ == "__main__":
    main()
