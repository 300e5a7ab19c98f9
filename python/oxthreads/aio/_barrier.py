"""Barriers, as coroutines use them."""

from __future__ import annotations

from oxthreads._oxthreads import wait_at_barrier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from oxthreads.threading import Barrier

__all__ = ["AsyncBarrier"]


class AsyncBarrier:
    """A barrier, as coroutines use it. :func:`oxthreads.aio.as_async` makes it.

    It has the names of asyncio.Barrier. Threads and coroutines meet at it.

    Args:
        barrier (Barrier): a barrier of oxthreads.threading.

    Raises:
        TypeError: the barrier works as one of the standard library. One that has an action does.

    Example:
        >>> import asyncio
        >>> from oxthreads import aio, threading
        >>> start = threading.Barrier(2)
        >>> async def main():
        ...     threading.Thread(target=start.wait).start()
        ...     return await aio.as_async(start).wait() in (0, 1)
        >>> asyncio.run(main())
        True
    """

    __slots__ = ("__weakref__", "_barrier")

    def __init__(self, barrier: Barrier, /) -> None:
        wait_at_barrier(barrier).close()  # whether it works as one of the standard library
        self._barrier = barrier

    @property
    def sync(self) -> Barrier:
        """The barrier that threads use."""
        return self._barrier

    async def wait(self) -> int:
        """Wait until all have arrived.

        Returns:
            int: the number of this one in the order of arrival, from 0.

        Raises:
            threading.BrokenBarrierError: the barrier is broken, or was broken or reset meanwhile.

        If it is cancelled, it leaves; the others wait on. (With a timeout of its own, a thread breaks the
        barrier.)
        """
        index = await wait_at_barrier(self._barrier)
        return index

    async def abort(self) -> None:
        """Break the barrier: all that wait raise BrokenBarrierError."""
        self._barrier.abort()

    async def reset(self) -> None:
        """Make the barrier as if it were new. All that wait raise BrokenBarrierError."""
        self._barrier.reset()

    @property
    def parties(self) -> int:
        """How many meet."""
        return self._barrier.parties

    @property
    def n_waiting(self) -> int:
        """How many have arrived and wait."""
        return self._barrier.n_waiting

    @property
    def broken(self) -> bool:
        """Whether the barrier is broken."""
        return self._barrier.broken

    async def __aenter__(self) -> int:
        return await self.wait()

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return

    def __repr__(self) -> str:
        return f"<AsyncBarrier of {self._barrier!r}>"
