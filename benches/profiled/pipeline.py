"""A producer, a short queue, and two consumers, of which one is slow."""

from __future__ import annotations

import queue
import threading
import time

jobs: queue.Queue[int | None] = queue.Queue(maxsize=10)


def consume(seconds: float) -> None:
    """Take jobs until there are no more."""
    while jobs.get() is not None:
        time.sleep(seconds)


def produce() -> None:
    """Put the jobs, and an end for each consumer."""
    for number in range(500):
        jobs.put(number)
    jobs.put(None)
    jobs.put(None)


def main() -> None:
    """Run the threads."""
    threads = [
        threading.Thread(target=consume, args=(0.002,), name="fast"),
        threading.Thread(target=consume, args=(0.01,), name="slow"),
        threading.Thread(target=produce, name="producer"),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
