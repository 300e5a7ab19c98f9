"""``wait`` and ``as_completed``, for futures of ours and of any other make, together if need be.

Those of ours are waited for in Rust, and do not take their standard form for that. Any other, and one
of ours that has that form, is looked at under its ``_condition``, and has an observer among its
``_waiters`` meanwhile, as the standard functions do it.
"""

from __future__ import annotations

import time
from concurrent.futures import _base

from .._oxthreads import Completions

# Importing typing takes longer than all the rest, and a program's start waits for this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from typing import Any, TypeVar

    from .._oxthreads import Observer

    T = TypeVar("T")

__all__ = ["as_completed", "wait"]

#: As far as these functions are concerned: a cancellation counts once an executor has seen it.
_DONE = (_base.CANCELLED_AND_NOTIFIED, _base.FINISHED)


def wait(
    fs: Iterable[_base.Future[T]], timeout: float | None = None, return_when: str = _base.ALL_COMPLETED
) -> _base.DoneAndNotDoneFutures[T]:
    """Wait for the futures: those that are done by then, and the others, as two sets.

    timeout: wait at most so many seconds; None means without end.
    return_when: FIRST_COMPLETED, when one is done; FIRST_EXCEPTION, when one has raised, or all are
        done; ALL_COMPLETED. A cancelled future is done once its executor has seen that.

    Raises AttributeError for what is no future, ValueError for another *return_when* if there is
    something to wait for. Thread-safe.

    Differences from concurrent.futures.wait: if it is interrupted (by Ctrl-C, say) it leaves nothing
    behind in the futures.
    """
    futures = set(fs)
    finished, pending = _look(futures)
    if finished and (
        return_when == _base.FIRST_COMPLETED
        or (
            return_when == _base.FIRST_EXCEPTION
            and any(f for f in finished if not f.cancelled() and f.exception() is not None)
        )
    ):
        return _base.DoneAndNotDoneFutures(set(finished), set(pending))
    if not pending:
        return _base.DoneAndNotDoneFutures(futures, set())
    for until in (_base.FIRST_COMPLETED, _base.FIRST_EXCEPTION, _base.ALL_COMPLETED):
        if return_when == until:
            break
    else:
        raise ValueError(f"Invalid return condition: {return_when!r}")
    completions = Completions(pending, until)
    try:
        _observe(completions)
        completions.wait(timeout)
    finally:
        _leave(completions.close())
    finished += completions.take()[0]
    if len(finished) == len(futures):
        return _base.DoneAndNotDoneFutures(futures, set())
    done = set(finished)
    return _base.DoneAndNotDoneFutures(done, futures - done)


def as_completed(
    fs: Iterable[_base.Future[T]], timeout: float | None = None
) -> Generator[_base.Future[T], None, None]:
    """Yield the futures as they are done, each once.

    timeout: the last one has to be done so many seconds after the first was asked for; None means
        without end. What is done by the time the iteration begins comes in any case.

    Raises AttributeError for what is no future, TimeoutError if some are not done in time. Thread-safe,
    but the generator is for one thread at a time. What was yielded is not kept alive.

    Differences from concurrent.futures.as_completed: a *timeout* of NaN waits without end, and not
    busily.
    """
    if timeout is not None:
        end_time = timeout + time.monotonic()
    futures = set(fs)
    total = len(futures)
    finished, pending = _look(futures)
    missing = len(pending)
    completions = Completions(pending, _base.FIRST_COMPLETED)
    # Only `finished` and what is not done yet are held from here on, and pop() holds nothing.
    del fs, futures, pending
    try:
        _observe(completions)
        while finished:
            yield finished.pop()
        while missing:
            if timeout is None:
                completions.wait(None)
            else:
                wait_timeout = end_time - time.monotonic()
                if wait_timeout < 0:
                    raise TimeoutError(f"{missing} (of {total}) futures unfinished")
                completions.wait(None if wait_timeout != wait_timeout else wait_timeout)  # noqa: PLR0124
            finished, strangers = completions.take()
            missing -= len(finished)
            _leave(strangers)
            while finished:
                yield finished.pop()
    finally:
        _leave(completions.close())


# The same signature, without annotations.
wait.__wrapped__ = _base.wait  # type: ignore[attr-defined]
as_completed.__wrapped__ = _base.as_completed  # type: ignore[attr-defined]


def _look(futures: set[Any]) -> tuple[list[Any], list[Any]]:
    """Those that are done, and the others."""
    finished, pending, strangers = Completions.sort_out(futures)
    for future in strangers:
        with future._condition:
            (finished if future._state in _DONE else pending).append(future)
    return finished, pending


def _observe(completions: Completions) -> None:
    """Have the strangers tell when they are done."""
    for future, observer in completions.unobserved():
        with future._condition:
            if future._state not in _DONE:
                future._waiters.append(observer)
            elif getattr(future, "_exception", None) is None:
                observer.add_result(future)
            else:
                observer.add_exception(future)


def _leave(strangers: list[tuple[Any, Observer]]) -> None:
    """Have them tell no more; and hold none of them afterwards."""
    while strangers:
        future, observer = strangers.pop()
        with future._condition:
            # It is not there if the future was done when it was to be told.
            if observer in future._waiters:
                future._waiters.remove(observer)
