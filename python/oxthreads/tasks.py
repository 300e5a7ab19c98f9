"""Tasks in threads that end together: structured concurrency.

* :class:`TaskGroup`: calls in threads, which end before the group does.
* :func:`move_on_after`, :func:`fail_after`, :class:`CancelScope`: bound everything that a block waits for.
* :func:`race`: the first of several functions that succeeds.
* :func:`sleep`, :func:`check_cancelled`: places where code can be cancelled.

What is cancelled are waits: those of the objects of oxthreads, also inside of libraries that know nothing of
it. `docs/tasks.md` is a tutorial, and `docs/cancellation.md` says what is ended, and what is not.
"""

from __future__ import annotations

import functools
import math
import sys
import time
from concurrent.futures import CancelledError

from . import threading as _threading
from ._oxthreads import (
    Cancelled,
    CancelScope,
    TaskGroup,
    check_cancelled,
    is_in_scope,
    preload,
    scope_after,
    sleep,
)
from .concurrent._executor import ExecutorView
from .concurrent.futures import ThreadPoolExecutor
from .threading import _StandardThread

# Not imported at run time: importing typing takes longer than everything else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")

__all__ = [
    "CancelScope",
    "Cancelled",
    "TaskGroup",
    "check_cancelled",
    "fail_after",
    "move_on_after",
    "race",
    "sleep",
]


def move_on_after(seconds: float | None, *, shield: bool = False, grace: float | None = None) -> CancelScope:
    """Limit what a ``with`` block waits for, and go on after it.

    Args:
        seconds (float or None): how long the block may take from its beginning. None means no limit.
        shield (bool): see :class:`CancelScope`.
        grace (float or None): see :class:`CancelScope`.

    Returns:
        CancelScope: to be used in a ``with`` statement. Its ``cancelled_caught`` tells whether the block was
        ended.

    Raises:
        ValueError: seconds or grace is negative, or not a number.

    Example:
        >>> from oxthreads.queue import Queue
        >>> from oxthreads.tasks import move_on_after
        >>> answers = Queue()
        >>> with move_on_after(0.01) as scope:
        ...     print(answers.get())
        >>> scope.cancelled_caught
        True
    """
    return scope_after(seconds, False, shield, grace)


def fail_after(seconds: float | None, *, shield: bool = False, grace: float | None = None) -> CancelScope:
    """Limit what a ``with`` block waits for, and raise TimeoutError if that is exceeded.

    The limit holds for all waits inside together, also for those inside of libraries that take no timeout.
    Where blocks are nested, the earliest limit ends a wait.

    Args:
        seconds (float or None): how long the block may take from its beginning. None means no limit.
        shield (bool): see :class:`CancelScope`.
        grace (float or None): see :class:`CancelScope`.

    Returns:
        CancelScope: to be used in a ``with`` statement, at the end of which TimeoutError is raised if the
        block was ended.

    Raises:
        ValueError: seconds or grace is negative, or not a number.

    Example:
        >>> from oxthreads.queue import Queue
        >>> from oxthreads.tasks import fail_after
        >>> with fail_after(0.01):
        ...     Queue().get()
        Traceback (most recent call last):
            ...
        TimeoutError: the block took longer than 0.01 seconds
    """
    return scope_after(seconds, True, shield, grace)


def race(*functions: Callable[[], T], name: str | None = None) -> T:
    """Call functions at the same time, each in a thread, and return the result of the first that succeeds.

    The others are cancelled, and have ended when this returns.

    Args:
        *functions: what to call, without arguments.
        name (str or None): a name for reports.

    Returns:
        What the first function returned that did not raise an Exception.

    Raises:
        ValueError: there is no function.
        ExceptionGroup: all functions have failed; with what they raised, in the order of the functions.
        Cancelled: a scope around this was cancelled.
        BaseException: a function raised something else: as at the end of a :class:`TaskGroup`.

    Example:
        >>> from oxthreads.tasks import race, sleep
        >>> race(lambda: sleep(60), lambda: "quick")
        'quick'
    """
    if not functions:
        raise ValueError("race() takes at least one function")
    results: list[T] = []
    failures: dict[int, Exception] = {}

    def run(place: int, function: Callable[[], T]) -> None:
        try:
            result = function()
        except Exception as error:
            if isinstance(error, CancelledError) and group.cancel_called:
                raise
            failures[place] = error
        else:
            results.append(result)
            group.cancel()

    with TaskGroup(name=name) as group:
        for place, function in enumerate(functions):
            group.start_soon(run, place, function)
    if results:
        return results[0]
    errors = [failures[place] for place in sorted(failures)]
    # Their tracebacks lead here.
    failures.clear()
    if not errors:
        check_cancelled()
        raise CancelledError("all functions were cancelled")
    try:
        raise ExceptionGroup("all functions have failed", errors)
    finally:
        del errors


def _new_pool(max_workers: int | None, name: str | None) -> ThreadPoolExecutor:
    """Make the threads of a group without an executor."""
    return ThreadPoolExecutor(
        max_workers or sys.maxsize, thread_name_prefix=name or "TaskGroup", context="submitter"
    )


def _runs_natively(executor: ThreadPoolExecutor) -> bool:
    """Whether the pool has its own `submit`."""
    return type(executor).submit is ThreadPoolExecutor.submit and "submit" not in vars(executor)


def _viewed_pool(executor: Any) -> ThreadPoolExecutor | None:
    """Return the pool of which this is a view."""
    return executor._executor if isinstance(executor, ExecutorView) else None


def _split(group: BaseExceptionGroup[Any], is_own: Callable[[BaseException], bool]) -> tuple[Any, Any]:
    """Divide a group of exceptions into those that end a scope, and the others."""
    # Before Python 3.13, split() takes only functions that are written in Python.
    return group.split(lambda error: is_own(error))  # noqa: PLW0108


#: The longest time that a join in a scope sleeps before it looks whether the scope was cancelled, in seconds.
_LONGEST_SLEEP = 0.05


@functools.wraps(_StandardThread.join)
def _join(self: _threading.Thread, timeout: float | None = None) -> None:
    # Looked up each time: reports of hangs replace it.
    join = _StandardThread.join
    if not is_in_scope() or not self.is_alive():
        join(self, timeout)
        return
    # A thread ends without a wait of the engine. So this looks again and again, at first often.
    end = math.inf if timeout is None else time.monotonic() + timeout
    slept = 0.001
    while self.is_alive():
        check_cancelled()
        left = min(slept, end - time.monotonic())
        if left <= 0:
            return
        join(self, left)
        slept = min(2 * slept, _LONGEST_SLEEP)
    join(self, 0)


def _let_join_end(thread: type[_threading.Thread]) -> None:
    """Let scopes end the ``join`` of this class, in a program that has imported this module."""
    thread.join = _join  # type: ignore[method-assign, assignment]


_let_join_end(_threading.Thread)

preload(__name__)
