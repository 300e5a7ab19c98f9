"""Threads that take locks, and what a watch of lock orders has found."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from oxthreads import threading
from oxthreads.diagnose import _order
from tests.support.waiting import TIMEOUT_SECONDS, spin_until

Finding = list[dict[str, Any]]


def side_by_side(*functions: Callable[[], object]) -> None:
    """Call each function in a thread of its own, one after the other, while all these threads are alive."""
    turns = [threading.Event() for _ in range(len(functions) + 1)]

    def run(number: int) -> None:
        assert turns[number].wait(TIMEOUT_SECONDS)
        try:
            functions[number]()
        finally:
            turns[number + 1].set()

    threads = [
        threading.Thread(target=run, args=(number,), name=f"thread-{number}", daemon=True)
        for number in range(len(functions))
    ]
    for thread in threads:
        thread.start()
    turns[0].set()
    for thread in threads:
        thread.join(TIMEOUT_SECONDS)
        assert not thread.is_alive()


def nested(*locks: Any) -> Callable[[], None]:
    """A function that takes the locks in this order, and then releases them."""

    def take() -> None:
        with contextlib.ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock)

    return take


def only(watch: Any) -> Finding:
    """The only cycle that was reported."""
    check_count(1)
    (finding,) = watch.lock_orders()
    return finding


def locks_in(finding: Finding) -> list[str]:
    return sorted(step["first"] for step in finding)


def count() -> int:
    """How many cycles were found since the watch began."""
    return len(_order.findings()) + sum(_order._more.values())


def check_count(expected: int) -> None:
    """Check that so many were found. If the watch is busy, a report comes late."""
    spin_until(lambda: count() >= expected)
    assert count() == expected
