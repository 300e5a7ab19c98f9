"""How often what often called methods are given, and what they use, is referred to: as often as before.

``python -m tests.siege.inside.references COUNT`` looks before and after so many of each operation of
:mod:`tests.siege.inside.memory`.
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

from . import memory
from .memory import Item
from .processor import until_all_sleep

#: Seconds that a worker may take to let go of what it has just done.
QUIET = 10.0


def references(count: int) -> None:
    """Raises AssertionError for what is referred to more often, or less often, after so many operations."""
    with futures.ThreadPoolExecutor(1) as pool:
        for name, (operation, _) in memory.operations_of(pool).items():
            unbalanced = _unbalanced(operation, Item(), count)
            assert not unbalanced, f"{name}: {unbalanced}"


def _unbalanced(operation: Callable[[Any], object], item: Item, count: int) -> str:
    """By how much the references to what the operation uses have changed, once all is quiet."""
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
    """By name, what an operation uses each time: all that its functions find around them."""
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
    """How often each is, once all other threads sleep: one that is not through may still refer to it."""
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    with contextlib.suppress(OSError):  # one has ended meanwhile
        until_all_sleep(others)
    gc.collect()
    return {name: sys.getrefcount(each) for name, each in watched.items()}


if __name__ == "__main__":
    references(int(sys.argv[1]))
