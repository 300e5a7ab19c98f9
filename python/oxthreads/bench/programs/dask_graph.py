"""A graph of tasks that dask computes with threads: many loads, and a tree of sums."""

from __future__ import annotations

import dask

SIZE = 1_500
WORKERS = 4


@dask.delayed  # type: ignore[untyped-decorator]
def load(number: int) -> list[int]:
    """Return some values."""
    return [number * 7 % 11, number % 3]


@dask.delayed  # type: ignore[untyped-decorator]
def add(parts: list[list[int]]) -> list[int]:
    """Add the values of several parts."""
    return [sum(values) for values in zip(*parts, strict=True)]


def main(size: int) -> str:
    """Add the values of that many loads, eight at a time."""
    level = [load(number) for number in range(size)]
    while len(level) > 1:
        level = [add(level[first : first + 8]) for first in range(0, len(level), 8)]
    [total] = dask.compute(*level, scheduler="threads", num_workers=WORKERS)
    return f"sums {total}"


if __name__ == "__main__":
    print(main(SIZE))
