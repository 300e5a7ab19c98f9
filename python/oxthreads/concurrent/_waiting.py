"""``wait`` and ``as_completed``, for futures of oxthreads and of any other kind, also mixed.

They wait for oxthreads futures in Rust, and these do not fall back to the standard library for it. A
*foreign* future is any other one, or one that has fallen back. Its state is read while its ``_condition``
is held, and an observer stands among its ``_waiters`` during the wait, as with the standard functions.
"""

from __future__ import annotations

import time
from concurrent.futures import _base

from .._oxthreads import Completions, put_standard_frames

# Not imported at run time: importing typing takes longer than everything else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from typing import Any, TypeVar

    from .._oxthreads import Observer

    T = TypeVar("T")

__all__ = ["as_completed", "wait"]

#: The states that count as done here: a cancellation counts once an executor has seen it.
_DONE = (_base.CANCELLED_AND_NOTIFIED, _base.FINISHED)


def wait(
    fs: Iterable[_base.Future[T]], timeout: float | None = None, return_when: str = _base.ALL_COMPLETED
) -> _base.DoneAndNotDoneFutures[T]:
    """Wait until the futures are done, or one of them, and return which are done and which are not.

    Use it to wait for several calls at once, with a time limit.

    Thread-safe.

    Args:
        fs (iterable of Future): the futures. They may be of different executors and kinds.
        timeout (float): the longest wait, in seconds. None: no limit.
        return_when (str): when to return. FIRST_COMPLETED: when one future is done. FIRST_EXCEPTION: when
            a call has raised, or all futures are done. ALL_COMPLETED: when all are done. A cancelled
            future counts as done once its executor has seen the cancellation.

    Returns:
        DoneAndNotDoneFutures: a named tuple of two sets, ``done`` and ``not_done``.

    Raises:
        AttributeError: if something in ``fs`` is not a future.
        ValueError: for another ``return_when``, if there is something to wait for.

    Example:
        >>> from oxthreads.concurrent.futures import ThreadPoolExecutor, wait
        >>> with ThreadPoolExecutor() as pool:
        ...     futures = [pool.submit(pow, 2, n) for n in range(3)]
        ...     done, not_done = wait(futures, timeout=60)
        >>> sorted(future.result() for future in done)
        [1, 2, 4]

    Differences from concurrent.futures.wait: a wait that is interrupted, by Ctrl-C for example, leaves
    nothing behind in the futures.
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
    """Yield the futures in the order in which they are done, each once.

    Use it to handle each result as soon as it is there.

    Thread-safe; but the generator may be used by one thread at a time only. It does not keep a future alive
    after it has yielded it.

    Args:
        fs (iterable of Future): the futures. They may be of different executors and kinds.
        timeout (float): seconds, counted from the first ``next``, in which all futures must be done. None:
            no limit. Futures that are done when the iteration begins are yielded in any case.

    Returns:
        generator: of Future.

    Raises:
        AttributeError: if something in ``fs`` is not a future.
        TimeoutError: if not all futures are done in time.

    Example:
        >>> from oxthreads.concurrent.futures import ThreadPoolExecutor, as_completed
        >>> with ThreadPoolExecutor() as pool:
        ...     futures = {pool.submit(len, word): word for word in ["tea", "water"]}
        ...     lengths = {futures[future]: future.result() for future in as_completed(futures)}
        >>> lengths["tea"], lengths["water"]
        (3, 5)

    Differences from concurrent.futures.as_completed: a ``timeout`` of NaN means no limit where the standard
    function spins. (In Python 3.15.2 it raises ValueError, here too.)
    """
    if timeout is not None:
        end_time = timeout + time.monotonic()
    futures = set(fs)
    total = len(futures)
    finished, pending = _look(futures)
    missing = len(pending)
    completions = Completions(pending, _base.FIRST_COMPLETED)
    # From here on only `finished` and the unfinished futures are held, so that a yielded future can die.
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
                    raise _base.TimeoutError(f"{missing} (of {total}) futures unfinished")
                completions.wait(wait_timeout)
                if wait_timeout != wait_timeout:  # noqa: PLR0124
                    # NaN, which was not refused: the standard library would spin.
                    completions.wait(None)
            finished, foreign = completions.take()
            missing -= len(finished)
            _leave(foreign)
            while finished:
                yield finished.pop()
    except TimeoutError as error:
        put_standard_frames(error, "as_completed", 1)
        raise
    finally:
        _leave(completions.close())


# inspect shows the standard signature, without annotations.
wait.__wrapped__ = _base.wait  # type: ignore[attr-defined]
as_completed.__wrapped__ = _base.as_completed  # type: ignore[attr-defined]


def _look(futures: set[Any]) -> tuple[list[Any], list[Any]]:
    """Return the futures that are done, and the others."""
    finished, pending, foreign = Completions.sort_out(futures)
    for future in foreign:
        with future._condition:
            (finished if future._state in _DONE else pending).append(future)
    return finished, pending


def _observe(completions: Completions) -> None:
    """Put an observer into each foreign future, which reports when it is done."""
    for future, observer in completions.unobserved():
        with future._condition:
            if future._state not in _DONE:
                future._waiters.append(observer)
            elif getattr(future, "_exception", None) is None:
                observer.add_result(future)
            else:
                observer.add_exception(future)


def _leave(foreign: list[tuple[Any, Observer]]) -> None:
    """Remove the observers from the foreign futures, and the futures from the list."""
    while foreign:
        future, observer = foreign.pop()
        with future._condition:
            # It is not there if the future was done already when the observer was to be added.
            if observer in future._waiters:
                future._waiters.remove(observer)
