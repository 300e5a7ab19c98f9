"""The objects of this package, as coroutines use them.

A queue, a lock or a future of threads is at the same time one of coroutines: :func:`as_async` returns a view
of it with the names that asyncio uses. Threads use the object itself meanwhile, and any number of event loops
may use it at once. It works with asyncio (and uvloop) and with trio, and so with anyio. :func:`to_thread`
runs a function in a thread, and :class:`Queue` has both sides in one object, for programs that were written
for janus or culsans.

A wait that is cancelled has taken nothing: an item keeps its place in the queue, and what the wait was given
already goes to the next waiter. What need not wait is done without giving way to other tasks, as in asyncio;
under trio it is no checkpoint.

Example:
    >>> import asyncio
    >>> from oxthreads import aio, queue, threading
    >>> numbers = queue.Queue(maxsize=2)
    >>> def produce():
    ...     for number in range(4):
    ...         numbers.put(number)
    ...     numbers.shutdown()
    >>> async def main():
    ...     threading.Thread(target=produce).start()
    ...     return [number async for number in aio.as_async(numbers)]
    >>> asyncio.run(main())
    [0, 1, 2, 3]
"""

from __future__ import annotations

from oxthreads._oxthreads import (
    AsyncBroadcast,
    AsyncChannel,
    AsyncDelayQueue,
    AsyncEvent,
    AsyncFuture,
    AsyncHold,
    AsyncLimiter,
    AsyncLock,
    AsyncQueue,
    AsyncRWLock,
    AsyncSemaphore,
    AsyncSimpleQueue,
    AsyncSubscription,
    AsyncWatch,
    AsyncWatchReader,
    Wait,
)

from ._barrier import AsyncBarrier
from ._condition import AsyncCondition
from ._pool import AsyncExecutor, to_thread
from ._queue import LifoQueue, PriorityQueue, Queue
from ._select import select
from ._views import as_async

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._exceptions import QueueEmpty as QueueEmpty
    from ._exceptions import QueueFull as QueueFull
    from ._exceptions import QueueShutDown as QueueShutDown
else:

    def __getattr__(name):
        """Import the exceptions when they are asked for, and with them asyncio."""
        if name not in {"QueueEmpty", "QueueFull", "QueueShutDown"}:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import _exceptions  # noqa: PLC0415

        return globals().setdefault(name, getattr(_exceptions, name))


__all__ = [
    "AsyncBarrier",
    "AsyncBroadcast",
    "AsyncChannel",
    "AsyncCondition",
    "AsyncDelayQueue",
    "AsyncEvent",
    "AsyncExecutor",
    "AsyncFuture",
    "AsyncHold",
    "AsyncLimiter",
    "AsyncLock",
    "AsyncQueue",
    "AsyncRWLock",
    "AsyncSemaphore",
    "AsyncSimpleQueue",
    "AsyncSubscription",
    "AsyncWatch",
    "AsyncWatchReader",
    "LifoQueue",
    "PriorityQueue",
    "Queue",
    "QueueEmpty",
    "QueueFull",
    "QueueShutDown",
    "Wait",
    "as_async",
    "select",
    "to_thread",
]
