"""What the tests of wait and as_completed share: the futures that a program may mix."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import Any

from conftest import OXTHREADS, BackEnd


class Strange(concurrent.futures.Future):  # type: ignore[type-arg]
    """What somebody has derived from the standard class."""


def standard_form(library: BackEnd) -> Any:
    future = library.futures.Future()
    assert future._condition is not None
    return future


#: How a future is made that the function under test has to deal with.
MAKERS: dict[str, Callable[[BackEnd], Any]] = {
    "own": lambda library: library.futures.Future(),
    "ours": lambda _: OXTHREADS.futures.Future(),
    "standard": lambda _: concurrent.futures.Future(),
    "derived": lambda _: Strange(),
    "standard form": standard_form,
}


def observers(future: Any) -> int:
    """How many wait for it, as its standard form shows."""
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
    """Counts how often what a program may have made itself is called."""

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
