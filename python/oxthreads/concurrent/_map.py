"""``Executor.map``, for whatever has a ``submit``."""

from __future__ import annotations

import time
import weakref
from collections import deque
from functools import partial
from itertools import islice, repeat

from .._oxthreads import Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Protocol

    class Submitter(Protocol):
        """What is needed of an executor."""

        def submit(self, fn: Callable[..., Any], /, *args: Any) -> Any: ...


#: So many calls are submitted before bytecode is executed again, which is when a Ctrl-C is heard and
#: other threads are let in.
CALLS_AT_ONCE = 64


def map_calls(
    executor: Submitter,
    fn: Callable[..., Any],
    iterables: tuple[Iterable[Any], ...],
    *,
    timeout: float | None,
    buffersize: int | None,
    progress: Callable[[int, int | None], object] | None,
    reference: Callable[[], Submitter | None] | None = None,
) -> Iterator[Any]:
    """What ``executor.map(fn, *iterables, ...)`` returns: see ThreadPoolExecutor.map.

    reference: with a buffer, called for the executor when the first result is asked for; it returns None
    if the executor is gone by then. By default it is a weak reference.
    """
    if buffersize is not None and not isinstance(buffersize, int):
        raise TypeError("buffersize must be an integer or None")
    if buffersize is not None and buffersize < 1:
        raise ValueError("buffersize must be None or > 0")
    if progress is not None and not callable(progress):
        raise TypeError("progress must be a callable or None")
    end = None if timeout is None else timeout + time.monotonic()
    follower = None
    if progress is not None:
        follower = Progress(progress, None if buffersize else _length(iterables))
    if buffersize is None:
        futures = _submit_all(_submission(executor, follower), fn, iterables, follower)
        return _results(futures, end, None, _taker(executor))
    refill = _Refill(fn, zip(*iterables, strict=False), reference or weakref.ref(executor), follower)
    return _results(refill.first(executor, buffersize), end, refill, _taker(executor))


def _length(iterables: tuple[Iterable[Any], ...]) -> int | None:
    """How many calls there will be, if the iterables can tell."""
    try:
        return min(map(len, iterables), default=0)  # type: ignore[arg-type]
    except Exception:
        return None


def _submission(executor: Submitter, follower: Progress | None) -> Callable[..., Any]:
    """What submits a call."""
    submit = executor.submit
    return submit if follower is None else partial(follower.submit, submit)


def _submit_all(
    submit: Callable[..., Any],
    fn: Callable[..., Any],
    iterables: tuple[Iterable[Any], ...],
    follower: Progress | None,
) -> deque[Any]:
    futures: deque[Any] = deque()
    try:
        # Without iterables there are no calls; but what is repeated would not end.
        submissions = map(submit, repeat(fn), *iterables) if iterables else iter(())
        more = True
        while more:
            before = len(futures)
            futures.extend(islice(submissions, CALLS_AT_ONCE))
            # Not asked again once they have ended: others may go on with one of the iterables.
            more = len(futures) == before + CALLS_AT_ONCE
    finally:
        if follower is not None:
            follower.all_submitted()
    return futures


class _Refill:
    """Submits the next call whenever a result has been yielded."""

    def __init__(
        self,
        fn: Callable[..., Any],
        arguments: Iterator[tuple[Any, ...]],
        reference: Callable[[], Submitter | None],
        follower: Progress | None,
    ) -> None:
        self._fn = fn
        self._arguments: Iterator[tuple[Any, ...]] | None = arguments
        self._reference = reference
        self._follower = follower
        self._executor: Submitter | None = None
        self._error: Exception | None = None

    def first(self, executor: Submitter, buffersize: int) -> deque[Any]:
        """The futures of the first calls."""
        assert self._arguments is not None
        submit = _submission(executor, self._follower)
        futures: deque[Any] = deque()
        try:
            for arguments in islice(self._arguments, buffersize):
                futures.append(submit(self._fn, *arguments))
        except BaseException:
            self.end()
            raise
        if len(futures) < buffersize:
            self.end()
        return futures

    def begin(self) -> None:
        """A result is asked for: from now on the executor is needed."""
        if self._arguments is not None:
            self._executor = self._reference()

    def one(self, futures: deque[Any]) -> None:
        """Submit one more call, if there is one.

        An error comes to those who ask for results after the results that there are: see `end`.
        """
        if self._arguments is None:
            return
        try:
            for arguments in self._arguments:
                if self._executor is None:
                    # As if it had been shut down, which is what happens to one that is let go.
                    raise RuntimeError("cannot schedule new futures after shutdown")
                futures.append(_submission(self._executor, self._follower)(self._fn, *arguments))
                return
        except Exception as error:
            self.end(error)
        else:
            self.end()

    def end(self, error: Exception | None = None) -> None:
        """Submit no more, because of the error or because there are no more calls."""
        self._arguments, self._executor, self._error = None, None, error
        follower, self._follower = self._follower, None
        if follower is not None:
            follower.all_submitted()

    def __del__(self) -> None:
        # Results that were never asked for: the iterator goes without having begun, and so without
        # coming to its end.
        self.end()

    def raise_error(self) -> None:
        """Raise what has kept further calls from being submitted."""
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            # It would be in a cycle with its traceback.
            del error


def _taker(executor: Submitter) -> Callable[[deque[Any], float | None], Any]:
    """What takes the result of the first future."""
    # Not at the top of the module: that one imports this.
    from ._executor import ThreadPoolExecutor  # noqa: PLC0415

    if type(executor).submit is ThreadPoolExecutor.submit and "submit" not in vars(executor):
        return _take
    return _take_and_cancel


def _take(futures: deque[Any], end: float | None) -> Any:
    """The result of the first future, which leaves the others once it is there."""
    # The future is in no variable, for it would be in a cycle with the exception that it raises.
    result = futures[0].result() if end is None else futures[0].result(end - time.monotonic())
    futures.popleft()
    return result


def _take_and_cancel(futures: deque[Any], end: float | None) -> Any:
    """As the standard class does it, for futures that may be of another kind: all are cancelled in the end.

    For one of ours that is done, this would have no effect.
    """
    try:
        return futures[0].result(None if end is None else end - time.monotonic())
    finally:
        futures.popleft().cancel()


def _results(
    futures: deque[Any],
    end: float | None,
    refill: _Refill | None,
    take: Callable[[deque[Any], float | None], Any],
) -> Iterator[Any]:
    """Yield the results.

    What is yielded is kept neither here nor by its future.
    """
    try:
        if refill is not None:
            refill.begin()
        while futures:
            yield take(futures, end)
            if refill is not None:
                refill.one(futures)
        if refill is not None:
            refill.raise_error()
    finally:
        try:
            for future in reversed(futures):
                future.cancel()
            if refill is not None:
                refill.end()
        finally:
            # The traceback of what was raised here keeps this frame alive.
            future = None
            futures.clear()
