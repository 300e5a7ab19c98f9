"""Loops with joblib: a few large ones and many small ones, each by a Parallel of threads."""

from __future__ import annotations

import zlib

import joblib

SIZE = 3_000
WORKERS = 4


def checksum(number: int) -> int:
    """Return the checksum of a line."""
    return zlib.crc32(b"line %d" % number)


def main(size: int) -> str:
    """Run loops of that many passes in all."""
    with joblib.Parallel(n_jobs=WORKERS, prefer="threads") as parallel:
        large = sum(parallel(joblib.delayed(checksum)(number) for number in range(size)))
    small = 0
    for first in range(0, size, 100):
        parallel = joblib.Parallel(n_jobs=WORKERS, prefer="threads")
        small += sum(
            parallel(joblib.delayed(checksum)(number) for number in range(first, min(first + 100, size)))
        )
    return f"sums {large}, {small}"


if __name__ == "__main__":
    print(main(SIZE))
