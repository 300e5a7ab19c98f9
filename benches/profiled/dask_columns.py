"""A Dask computation on threads: an array in small blocks, and files that are read through one lock.

With "repaired" as its argument the rows are parsed outside the lock, and the blocks are larger.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import dask
import dask.array
import numpy

REPAIRED = sys.argv[1:] == ["repaired"]
BLOCK = 500_000 if REPAIRED else 5_000
FILES = 60

reading = threading.Lock()


def parse(number: int) -> Any:
    """Rows of numbers from text, which the interpreter must do."""
    lines = [f"{number},{each}" for each in range(2_000)]
    return numpy.array([[float(field) for field in line.split(",")] for line in lines])


def read(number: int) -> Any:
    """Read a file of a format whose library must not be used by two threads, and parse it."""
    if REPAIRED:
        with reading:
            time.sleep(0.002)
        return parse(number)
    with reading:
        time.sleep(0.002)
        return parse(number)


def main() -> None:
    """Sum an array in blocks, and the rows of the files."""
    numbers = dask.array.arange(4_000_000, chunks=BLOCK, dtype="float64")
    rows = [dask.delayed(read)(number) for number in range(FILES)]
    begun = time.perf_counter()
    with dask.config.set(scheduler="threads", num_workers=4):
        (first,) = dask.compute((numbers * 2 + 1).sum())
        array = time.perf_counter()
        (second,) = dask.compute(dask.delayed(sum)([dask.delayed(numpy.sum)(each) for each in rows]))
    end = time.perf_counter()
    print(f"{first:.0f} {second:.0f}; array {array - begun:.2f} s, files {end - array:.2f} s")


if __name__ == "__main__":
    main()
