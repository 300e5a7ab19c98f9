"""A thread for each task: ten at a time, started, joined, and their results gathered under a lock."""

from __future__ import annotations

import threading

SIZE = 6_000
AT_ONCE = 10


def main(size: int) -> str:
    """Do that many tasks."""
    lock = threading.Lock()
    results: dict[int, int] = {}

    def task(number: int) -> None:
        result = sum(range(number % 50))
        with lock:
            results[number] = result

    for first in range(0, size, AT_ONCE):
        threads = [
            threading.Thread(target=task, args=[number])
            for number in range(first, min(first + AT_ONCE, size))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return f"{len(results)} results, sum {sum(results.values())}"


if __name__ == "__main__":
    print(main(SIZE))
