"""Futures of different kinds that a program may mix, for the tests of wait and as_completed."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import Any

from tests.support.back_ends import OXTHREADS, BackEnd


class Strange(concurrent.futures.Future):  # type: ignore[type-arg]
    """A subclass that a program has derived from the standard class."""


def fallback(library: BackEnd) -> Any:
    future = library.futures.Future()
    assert future._condition is not None
    return future


#: How to make each kind of future that wait and as_completed must accept.
MAKERS: dict[str, Callable[[BackEnd], Any]] = {
    "own": lambda library: library.futures.Future(),
    "ours": lambda _: OXTHREADS.futures.Future(),
    "standard": lambda _: concurrent.futures.Future(),
    "derived": lambda _: Strange(),
    "fallback": fallback,
}


def observers(future: Any) -> int:
    """The number of threads that wait for the future, which has fallen back."""
    return len(future._waiters)


def cancelled(future: Any) -> Any:
    future.cancel()
    future.set_running_or_notify_cancel()
    return future


def finished(future: Any, result: object = None) -> Any:
    future.set_result(result)
    return future


def failed(future: Any, error: BaseException | None = None) -> Any:
    future.set_exception(error or ValueError())
    return future


class Counting(OXTHREADS.futures.Future):  # type: ignore[misc, name-defined]
    """Counts the calls of methods that a program may have overridden."""

    looks = 0

    def __hash__(self) -> int:
        Counting.looks += 1
        return id(self)

    def __eq__(self, other: object) -> bool:
        Counting.looks += 1
        return self is other

    def cancelled(self) -> bool:
        Counting.looks += 1
        return bool(super().cancelled())

    def exception(self, timeout: float | None = None) -> Any:
        Counting.looks += 1
        return super().exception(timeout)
