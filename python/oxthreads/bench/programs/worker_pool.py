"""A pool of workers with a queue: threads take jobs from one queue, and put the results into another."""

from __future__ import annotations

import queue
import threading
import zlib

SIZE = 40_000
WORKERS = 4


def work(jobs: queue.Queue[str | None], results: queue.Queue[int]) -> None:
    """Do jobs until there is a None instead of one."""
    while (job := jobs.get()) is not None:
        results.put(zlib.crc32(job.encode()))
        jobs.task_done()
    jobs.task_done()


def main(size: int) -> str:
    """Compute the checksums of that many lines."""
    jobs: queue.Queue[str | None] = queue.Queue(1_000)
    results: queue.Queue[int] = queue.Queue()
    workers = [threading.Thread(target=work, args=[jobs, results]) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for number in range(size):
        jobs.put(f"line {number}")
    for _ in workers:
        jobs.put(None)
    jobs.join()
    for worker in workers:
        worker.join()
    return f"{results.qsize()} checksums, sum {sum(results.get() for _ in range(size))}"


if __name__ == "__main__":
    print(main(SIZE))
