"""``Executor.map``, for any object that has a ``submit``."""

from __future__ import annotations

import time
import weakref
from collections import deque
from functools import partial
from itertools import islice, repeat

from .._oxthreads import Progress, put_standard_frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Protocol

    class Submitter(Protocol):
        """The only method that an executor needs here."""

        def submit(self, fn: Callable[..., Any], /, *args: Any) -> Any: ...


#: Calls that are submitted without executing bytecode in between. Only bytecode notices Ctrl-C and lets
#: other threads run.
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
    makes_native_futures: bool = False,
) -> Iterator[Any]:
    """Return what ``executor.map(fn, *iterables, ...)`` returns: see :meth:`ThreadPoolExecutor.map`.

    Args:
        reference: with a buffer, called to get the executor when the first result is asked for. It returns
            None if the executor is gone by then. By default it is a weak reference.
        makes_native_futures: whether the executor's ``submit`` is that of ThreadPoolExecutor, so that it is
            known what its futures do.
    """
    if buffersize is not None and not isinstance(buffersize, int):
        raise TypeError("buffersize must be an integer or None")
    if buffersize is not None and buffersize < 1:
        raise ValueError("buffersize must be None or > 0")
    if progress is not None and not callable(progress):
        raise TypeError("progress must be a callable or None")
    end = None if timeout is None else timeout + time.monotonic()
    take = _take if makes_native_futures else _take_and_cancel
    follower = None
    if progress is not None:
        follower = Progress(progress, None if buffersize else length_of(iterables))
    if buffersize is None:
        futures = _submit_all(_submission(executor, follower), fn, iterables, follower)
        return _results(futures, end, None, take)
    refill = _Refill(fn, zip(*iterables, strict=False), reference or weakref.ref(executor), follower)
    return _results(refill.first(executor, buffersize), end, refill, take)


def length_of(iterables: tuple[Iterable[Any], ...]) -> int | None:
    """Return how many calls there will be, or None if the iterables do not know."""
    try:
        return min(map(len, iterables), default=0)  # type: ignore[arg-type]
    except Exception:
        return None


def _submission(executor: Submitter, follower: Progress | None) -> Callable[..., Any]:
    """Return the function that submits a call."""
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
        # Without iterables there are no calls; but repeat(fn) alone would not end.
        submissions = map(submit, repeat(fn), *iterables) if iterables else iter(())
        more = True
        while more:
            before = len(futures)
            futures.extend(islice(submissions, CALLS_AT_ONCE))
            # Do not read on after the end: other code may go on using one of the iterables.
            more = len(futures) == before + CALLS_AT_ONCE
    finally:
        if follower is not None:
            follower.all_submitted()
    return futures


class _Refill:
    """Submits the next call each time a result has been yielded."""

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
        """Submit the first calls, and return their futures."""
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
        """The first result is asked for: keep the executor alive from now on."""
        if self._arguments is not None:
            self._executor = self._reference()

    def one(self, futures: deque[Any]) -> None:
        """Submit one more call, if there is one.

        An error is raised after the results of the calls that were submitted: see `end`.
        """
        if self._arguments is None:
            return
        try:
            for arguments in self._arguments:
                if self._executor is None:
                    # As after a shutdown, which is what happens to an executor that is garbage.
                    raise RuntimeError("cannot schedule new futures after shutdown")
                futures.append(_submission(self._executor, self._follower)(self._fn, *arguments))
                return
        except Exception as error:
            self.end(error)
        else:
            self.end()

    def end(self, error: Exception | None = None) -> None:
        """Submit nothing more, because of the error or because there are no more calls."""
        self._arguments, self._executor, self._error = None, None, error
        follower, self._follower = self._follower, None
        if follower is not None:
            follower.all_submitted()

    def __del__(self) -> None:
        # No result was ever asked for: the generator is dropped before it has begun, so its `finally`
        # does not run.
        self.end()

    def raise_error(self) -> None:
        """Raise the error that has kept further calls from being submitted."""
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            # Else the exception and its traceback would form a reference cycle.
            del error


def _take(futures: deque[Any], end: float | None) -> Any:
    """Return the result of the first future, and remove the future from the others once it is done."""
    # No variable holds the future, which would form a reference cycle with the exception that it raises.
    result = futures[0].result() if end is None else futures[0].result(end - time.monotonic())
    futures.popleft()
    return result


def _take_and_cancel(futures: deque[Any], end: float | None) -> Any:
    """Do what the standard class does, for futures of any kind: cancel each future after its result.

    For an oxthreads future that is done, cancelling has no effect.
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

    Neither this generator nor a future keeps a result alive after it was yielded.
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
    except BaseException as error:
        # Only for the exceptions of calls: not if thrown into this generator, or raised by the iterables or
        # by `submit`.
        traceback = error.__traceback__ and error.__traceback__.tb_next
        if traceback is not None and traceback.tb_frame.f_code is take.__code__:
            put_standard_frames(error, "map" if end is None else "map timeout", 2)
        traceback = None
        raise
    finally:
        try:
            for future in reversed(futures):
                future.cancel()
            if refill is not None:
                refill.end()
        finally:
            # The traceback of an exception keeps this frame, and so its variables, alive.
            future = None
            futures.clear()
