"""Downloads limited by a semaphore: of many threads, only a few may download at the same time."""

from __future__ import annotations

import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = 1_600
THREADS = 16
AT_ONCE = 4
FILES = 50


@contextmanager
def surroundings() -> Iterator[list[str]]:
    """Write the files, and yield their addresses."""
    with tempfile.TemporaryDirectory() as name:
        files = [Path(name, f"{number}.txt") for number in range(FILES)]
        for number, file in enumerate(files):
            file.write_bytes(bytes([number]) * 1_000)
        yield [file.as_uri() for file in files]


def main(size: int, addresses: list[str]) -> str:
    """Download that many files; those that are left over when they are divided are not."""
    limit = threading.BoundedSemaphore(AT_ONCE)
    lock = threading.Lock()
    received = 0

    def download(mine: list[str]) -> None:
        nonlocal received
        for address in mine:
            with limit, urllib.request.urlopen(address) as answer:
                content = answer.read()
            with lock:
                received += len(content)

    wanted = [addresses[number % FILES] for number in range(size)]
    threads = [threading.Thread(target=download, args=[wanted[first::THREADS]]) for first in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return f"{received} bytes"


if __name__ == "__main__":
    with surroundings() as files:
        print(main(SIZE, files))
