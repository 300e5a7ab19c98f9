"""Two threads that compute, with a lock of its own for each, which nobody waits for."""

from __future__ import annotations

import threading


class Counter:
    """A number with a lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.number = 0

    def add(self, more: int) -> None:
        """Add a number."""
        with self.lock:
            self.number += more


def count(counter: Counter) -> None:
    """Count for a while."""
    for number in range(250_000):
        counter.add(number % 7)


def main() -> None:
    """Let two threads count."""
    threads = [threading.Thread(target=count, args=(Counter(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
