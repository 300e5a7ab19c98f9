"""A pipeline of queues: each stage is a thread, which takes from one queue and puts into the next."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Iterator

SIZE = 75_000
DEPTH = 100

Lines = queue.Queue[str | None]


def items(source: Lines) -> Iterator[str]:
    """Yield what comes, until there is a None."""
    while (item := source.get()) is not None:
        yield item


def main(size: int) -> str:
    """Read that many lines, clean them, take those of one level, and count what they say."""
    read, cleaned, chosen = Lines(DEPTH), Lines(DEPTH), Lines(DEPTH)
    counts: Counter[str] = Counter()

    def reader() -> None:
        for number in range(size):
            read.put(f"  {('INFO', 'WARNING')[number % 2]}: device {number % 7} \n")
        read.put(None)

    def cleaner() -> None:
        for line in items(read):
            cleaned.put(line.strip().lower())
        cleaned.put(None)

    def chooser() -> None:
        for line in items(cleaned):
            if line.startswith("warning"):
                chosen.put(line.partition(": ")[2])
        chosen.put(None)

    def counter() -> None:
        for text in items(chosen):
            counts[text] += 1

    stages = [threading.Thread(target=stage) for stage in (reader, cleaner, chooser, counter)]
    for stage in stages:
        stage.start()
    for stage in stages:
        stage.join()
    return ", ".join(f"{text}: {count}" for text, count in sorted(counts.items()))


if __name__ == "__main__":
    print(main(SIZE))
