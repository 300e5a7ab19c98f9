"""References: often called methods must not change the reference counts of what they are given and use.

``python -m tests.stress.inside.references COUNT`` compares the counts before and after `COUNT` calls of each
operation of :mod:`tests.stress.inside.memory`.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from oxthreads.concurrent import futures
from tests.stress.inside import memory
from tests.stress.inside.memory import Item
from tests.stress.inside.processor import until_all_sleep

#: Seconds that a worker may take to drop its references to the last call.
QUIET = 10.0


def references(count: int) -> None:
    """Raises AssertionError if the operations change the reference count of something."""
    with futures.ThreadPoolExecutor(1) as pool:
        for name, (operation, _) in memory.operations_of(pool).items():
            unbalanced = _unbalanced(operation, Item(), count)
            assert not unbalanced, f"{name}: {unbalanced}"


def _unbalanced(operation: Callable[[Any], object], item: Item, count: int) -> str:
    """By how much the reference counts of what the operation uses have changed, once all threads are idle."""
    operation(item)
    watched = {"item": item, "class": Item, "id": id, **shared_by(operation)}
    before = _referred_to(watched)
    for _ in range(count):
        operation(item)
    end = time.monotonic() + QUIET
    while (after := _referred_to(watched)) != before and time.monotonic() < end:
        time.sleep(0.001)
    return ", ".join(
        f"{name} {before[name]} -> {after[name]}" for name in watched if after[name] != before[name]
    )


def shared_by(operation: Any) -> dict[str, Any]:
    """By name, the objects that an operation uses each time: those in the closures of its functions."""
    found: dict[str, Any] = {}
    functions = [operation]
    for function in functions:
        if (owner := getattr(function, "__self__", None)) is not None:
            found[type(owner).__name__] = owner
        names = getattr(getattr(function, "__code__", None), "co_freevars", ())
        for name, cell in zip(names, getattr(function, "__closure__", None) or (), strict=True):
            found[name] = value = cell.cell_contents
            functions += [value] if callable(value) and value not in functions else []
    return found


def _referred_to(watched: dict[str, Any]) -> dict[str, int]:
    """The reference counts, once all other threads sleep. A thread that still runs may hold a reference."""
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    with contextlib.suppress(OSError):  # a thread has ended meanwhile
        until_all_sleep(others)
    gc.collect()
    return {name: sys.getrefcount(each) for name, each in watched.items()}


if __name__ == "__main__":
    references(int(sys.argv[1]))
