"""Queues that have both sides in one object, with the names of janus and culsans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from oxthreads import queue
from oxthreads._oxthreads import AsyncQueue

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, ClassVar, Self

T = TypeVar("T")

__all__ = ["LifoQueue", "PriorityQueue", "Queue"]


class _SyncSide(queue.Queue[T]):
    """The side of threads."""

    @property
    def closed(self) -> bool:
        """Whether the queue was closed or shut down."""
        return self._oxthreads_is_shutdown

    def close(self) -> None:
        """Close the queue, as :meth:`Queue.close` does."""
        self.shutdown(immediate=True)


class _SyncLifoSide(_SyncSide[T], queue.LifoQueue[T]):
    pass


class _SyncPrioritySide(_SyncSide[T], queue.PriorityQueue[T]):
    pass


class _AsyncSide(AsyncQueue[T]):
    """The side of coroutines."""

    __slots__ = ()

    @property
    def maxsize(self) -> int:
        """The largest number of items. Zero or less means no limit."""
        return self.sync.maxsize

    @maxsize.setter
    def maxsize(self, maxsize: int) -> None:
        self.sync.maxsize = maxsize

    @property
    def closed(self) -> bool:
        """Whether the queue was closed or shut down."""
        return self.is_shutdown

    def close(self) -> None:
        """Close the queue, as :meth:`Queue.close` does."""
        self.shutdown(immediate=True)

    async def aclose(self) -> None:
        """Close the queue, as :meth:`Queue.aclose` does."""
        self.close()


class Queue(Generic[T]):
    """A first-in, first-out queue with a side for threads and one for coroutines, for users of janus and
    culsans.

    It may be made anywhere, and used by any number of event loops and threads. A new program does not need
    it: take an ``oxthreads.queue.Queue``, and :func:`oxthreads.aio.as_async` of it.

    Args:
        maxsize (int): the largest number of items. Zero or less means no limit.

    Example:
        >>> import asyncio
        >>> from oxthreads import aio, threading
        >>> async def main():
        ...     items = aio.Queue()
        ...     threading.Thread(target=items.sync_q.put, args=("item",)).start()
        ...     item = await items.async_q.get()
        ...     await items.aclose()
        ...     return item
        >>> asyncio.run(main())
        'item'
    """

    _SIDE: ClassVar[type[_SyncSide[Any]]] = _SyncSide

    def __init__(self, maxsize: int = 0) -> None:
        self._sync: _SyncSide[T] = self._SIDE(maxsize)
        self._async: _AsyncSide[T] = _AsyncSide(self._sync)

    @property
    def sync_q(self) -> _SyncSide[T]:
        """The side of threads, an ``oxthreads.queue.Queue`` with ``close`` and ``closed``."""
        return self._sync

    @property
    def async_q(self) -> _AsyncSide[T]:
        """The side of coroutines, an :class:`AsyncQueue` with ``close``, ``aclose`` and ``closed``."""
        return self._async

    @property
    def maxsize(self) -> int:
        """The largest number of items. Zero or less means no limit."""
        return self._sync.maxsize

    @maxsize.setter
    def maxsize(self, maxsize: int) -> None:
        self._sync.maxsize = maxsize

    @property
    def unfinished_tasks(self) -> int:
        """The number of items for which task_done() was not called yet."""
        return self._sync.unfinished_tasks

    @property
    def is_shutdown(self) -> bool:
        """Whether the queue was closed or shut down."""
        return self._sync.closed

    @property
    def closed(self) -> bool:
        """The same."""
        return self._sync.closed

    def shutdown(self, immediate: bool = False) -> None:
        """Shut the queue down, for both sides.

        Args:
            immediate (bool): if True, drop all items first, and count each as done.
        """
        self._sync.shutdown(immediate)

    def close(self) -> None:
        """Close the queue: its items are dropped, and whoever waits or calls raises QueueShutDown."""
        self._sync.close()

    async def wait_closed(self) -> None:
        """Return when the queue is closed, which it is as soon as close() was called.

        Raises:
            RuntimeError: it was not.
        """
        if not self.closed:
            raise RuntimeError("Waiting for non-closed queue")

    async def aclose(self) -> None:
        """Close the queue."""
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class LifoQueue(Queue[T]):
    """A last-in, first-out :class:`Queue`.

    Args:
        maxsize (int): the largest number of items. Zero or less means no limit.

    Example:
        >>> from oxthreads import aio
        >>> items = aio.LifoQueue()
        >>> items.sync_q.put(1), items.sync_q.put(2)
        (None, None)
        >>> items.async_q.get_nowait()
        2
    """

    _SIDE = _SyncLifoSide


class PriorityQueue(Queue[T]):
    """A :class:`Queue` that gives the smallest item first.

    Args:
        maxsize (int): the largest number of items. Zero or less means no limit.

    Example:
        >>> from oxthreads import aio
        >>> items = aio.PriorityQueue()
        >>> items.sync_q.put(2), items.sync_q.put(1)
        (None, None)
        >>> items.async_q.get_nowait()
        1
    """

    _SIDE = _SyncPrioritySide
