"""The bytes of one idle object of each type, with all that it consists of, on both libraries.

    python benches/sizes.py

Counted by `tracemalloc`; none of ours has memory beside Python's before somebody waits for it.
"""

from __future__ import annotations

import sys
import threading
import tracemalloc
from collections.abc import Callable

import oxthreads.threading

N = 1_000
TYPES: dict[str, tuple[int, ...]] = {
    "Lock": (),
    "RLock": (),
    "Condition": (),
    "Semaphore": (),
    "BoundedSemaphore": (),
    "Event": (),
    "Barrier": (2,),
}


def size(make: Callable[..., object], *args: int) -> float:
    kept: list[object] = [None] * N
    make(*args)  # what is made once is not counted
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for place in range(N):
        kept[place] = make(*args)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (after - before) / N


def main() -> None:
    print(f"| bytes, CPython {sys.version.split()[0]} | standard | oxthreads |\n|---|---:|---:|")
    for name, args in TYPES.items():
        standard, ours = (size(getattr(module, name), *args) for module in (threading, oxthreads.threading))
        print(f"| `{name}` | {standard:,.0f} | {ours:,.0f} |")


if __name__ == "__main__":
    main()
