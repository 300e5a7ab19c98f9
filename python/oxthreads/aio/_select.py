"""`select` for coroutines."""

from __future__ import annotations

from oxthreads._oxthreads import refuse_files, select_async
from oxthreads.waiting import select as _select_now

from ._library import within

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from typing import Any, TypeVar, overload

    from oxthreads.waiting import Source

    D = TypeVar("D")
    T = TypeVar("T")
    T1 = TypeVar("T1")
    T2 = TypeVar("T2")
    T3 = TypeVar("T3")
    T4 = TypeVar("T4")

__all__ = ["select"]

#: No default.
_RAISE: Any = object()

if TYPE_CHECKING:

    @overload
    async def select(
        source1: Source[T1], /, *, timeout: float | None = None, fair: bool = True
    ) -> tuple[Source[T1], T1]: ...
    @overload
    async def select(
        source1: Source[T1], source2: Source[T2], /, *, timeout: float | None = None, fair: bool = True
    ) -> tuple[Source[T1] | Source[T2], T1 | T2]: ...
    @overload
    async def select(
        source1: Source[T1],
        source2: Source[T2],
        source3: Source[T3],
        /,
        *,
        timeout: float | None = None,
        fair: bool = True,
    ) -> tuple[Source[T1] | Source[T2] | Source[T3], T1 | T2 | T3]: ...
    @overload
    async def select(
        source1: Source[T1],
        source2: Source[T2],
        source3: Source[T3],
        source4: Source[T4],
        /,
        *,
        timeout: float | None = None,
        fair: bool = True,
    ) -> tuple[Source[T1] | Source[T2] | Source[T3] | Source[T4], T1 | T2 | T3 | T4]: ...
    @overload
    async def select(
        source1: Source[T1], /, *, timeout: float | None = None, default: D, fair: bool = True
    ) -> tuple[Source[T1], T1] | D: ...
    @overload
    async def select(
        source1: Source[T1],
        source2: Source[T2],
        /,
        *,
        timeout: float | None = None,
        default: D,
        fair: bool = True,
    ) -> tuple[Source[T1] | Source[T2], T1 | T2] | D: ...
    @overload
    async def select(
        source1: Source[T1],
        source2: Source[T2],
        source3: Source[T3],
        /,
        *,
        timeout: float | None = None,
        default: D,
        fair: bool = True,
    ) -> tuple[Source[T1] | Source[T2] | Source[T3], T1 | T2 | T3] | D: ...
    @overload
    async def select(
        source1: Source[T1],
        source2: Source[T2],
        source3: Source[T3],
        source4: Source[T4],
        /,
        *,
        timeout: float | None = None,
        default: D,
        fair: bool = True,
    ) -> tuple[Source[T1] | Source[T2] | Source[T3] | Source[T4], T1 | T2 | T3 | T4] | D: ...
    @overload
    async def select(
        *sources: Source[T], timeout: float | None = None, fair: bool = True
    ) -> tuple[Source[T], T]: ...
    @overload
    async def select(
        *sources: Source[Any] | threading.Thread, timeout: float | None = None, fair: bool = True
    ) -> tuple[Any, Any]: ...
    @overload
    async def select(
        *sources: Source[Any] | threading.Thread, timeout: float | None = None, default: D, fair: bool = True
    ) -> tuple[Any, Any] | D: ...

    async def select(
        *sources: Any, timeout: float | None = None, default: Any = ..., fair: bool = True
    ) -> Any: ...

else:

    async def select(
        *sources: Any, timeout: float | None = None, default: Any = _RAISE, fair: bool = True
    ) -> Any:
        """Wait until the first of several sources is ready, without holding up the event loop.

        It is :func:`oxthreads.waiting.select` for a coroutine: the same sources, the same values, and exactly
        one source is used. Threads may wait for the same objects at the same time. Cancelled, it has taken
        nothing. Sockets and files are no sources here: the event loop has its own ways to wait for them.

        Args:
            *sources: what to wait for, at least one: queues, `put` and `get` of a queue, events, futures,
                locks, semaphores, threads, and the timers `after` and `every`.
            timeout (int, float or None): the longest wait, in seconds. None means no limit; 0 looks once.
            default: what to return if no source was ready in time. Without it, TimeoutError is raised.
            fair (bool): True chooses one at random if several are ready; False takes the first one.

        Returns:
            tuple: the source, as it was given, and its value.

        Raises:
            TimeoutError: no source was ready in time.
            queue.ShutDown: a queue is shut down, and has no item to get. The attribute ``source`` says which.
            TypeError: an object is no source.
            ValueError: there is no source, or timeout is negative.

        Example:
            >>> import asyncio
            >>> from oxthreads import aio, queue, threading
            >>> jobs, stop = queue.Queue(), threading.Event()
            >>> async def main():
            ...     threading.Timer(0.01, jobs.put, ["tea"]).start()
            ...     source, value = await aio.select(jobs, stop)
            ...     return source is jobs, value
            >>> asyncio.run(main())
            (True, 'tea')
        """
        refuse_files(sources)
        now = 0 if timeout is None else min(timeout, 0)
        found = _select_now(*sources, timeout=now, default=_RAISE, fair=fair)
        if found is _RAISE and (timeout is None or timeout > 0):
            in_time, found = await within(timeout, select_async(sources, fair))
            if not in_time:
                # It may have become ready at that moment.
                found = _select_now(*sources, timeout=0, default=_RAISE, fair=fair)
        if found is not _RAISE:
            return found
        if default is _RAISE:
            raise TimeoutError("no source was ready in time")
        return default
