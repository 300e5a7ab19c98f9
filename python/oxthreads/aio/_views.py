"""Which view an object has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from oxthreads._oxthreads import (
    AsyncBroadcast,
    AsyncChannel,
    AsyncDelayQueue,
    AsyncEvent,
    AsyncFuture,
    AsyncLimiter,
    AsyncLock,
    AsyncQueue,
    AsyncRWLock,
    AsyncSemaphore,
    AsyncSimpleQueue,
    AsyncSubscription,
    AsyncWatch,
    AsyncWatchReader,
    Broadcast,
    Channel,
    DelayQueue,
    Limiter,
    Lock,
    RLock,
    RWLock,
    SimpleQueue,
    Subscription,
    Watch,
    WatchReader,
)
from oxthreads._oxthreads import Barrier as _NativeBarrier
from oxthreads._oxthreads import Condition as _NativeCondition
from oxthreads._oxthreads import Event as _NativeEvent
from oxthreads._oxthreads import Future as _NativeFuture
from oxthreads._oxthreads import Queue as _NativeQueue
from oxthreads._oxthreads import Semaphore as _NativeSemaphore
from oxthreads._oxthreads import ThreadPoolExecutor as _NativeExecutor

from ._barrier import AsyncBarrier
from ._condition import AsyncCondition
from ._pool import AsyncExecutor

if TYPE_CHECKING:
    from collections.abc import Callable

    from oxthreads.concurrent.futures import Future, ThreadPoolExecutor
    from oxthreads.dask import DaskExecutor, DaskExecutorView
    from oxthreads.processes import ProcessPoolExecutor, ProcessPoolView
    from oxthreads.queue import Queue
    from oxthreads.threading import Barrier, Condition, Event, Semaphore

T = TypeVar("T")

__all__ = ["as_async"]

# The view of the objects of each native class.
_VIEWS: list[tuple[type, Callable[[Any], object]]] = [
    (_NativeQueue, AsyncQueue),
    (SimpleQueue, AsyncSimpleQueue),
    (Lock, AsyncLock),
    (RWLock, AsyncRWLock),
    (Limiter, AsyncLimiter),
    (DelayQueue, AsyncDelayQueue),
    (_NativeSemaphore, AsyncSemaphore),
    (_NativeEvent, AsyncEvent),
    (_NativeFuture, AsyncFuture),
    (_NativeCondition, AsyncCondition),
    (_NativeBarrier, AsyncBarrier),
    (_NativeExecutor, AsyncExecutor),
    (Channel, AsyncChannel),
    (Broadcast, AsyncBroadcast),
    (Subscription, AsyncSubscription),
    (Watch, AsyncWatch),
    (WatchReader, AsyncWatchReader),
]


@overload
def as_async(thing: Queue[T], /) -> AsyncQueue[T]: ...
@overload
def as_async(thing: SimpleQueue[T], /) -> AsyncSimpleQueue[T]: ...
@overload
def as_async(thing: DelayQueue[T], /) -> AsyncDelayQueue[T]: ...
@overload
def as_async(thing: Lock, /) -> AsyncLock: ...
@overload
def as_async(thing: RWLock, /) -> AsyncRWLock: ...
@overload
def as_async(thing: Limiter, /) -> AsyncLimiter: ...
@overload
def as_async(thing: Semaphore, /) -> AsyncSemaphore: ...
@overload
def as_async(thing: Event, /) -> AsyncEvent: ...
@overload
def as_async(thing: Future[T], /) -> AsyncFuture[T]: ...
@overload
def as_async(thing: Condition, /) -> AsyncCondition: ...
@overload
def as_async(thing: Barrier, /) -> AsyncBarrier: ...
@overload
def as_async(
    thing: ThreadPoolExecutor | ProcessPoolExecutor | ProcessPoolView | DaskExecutor | DaskExecutorView, /
) -> AsyncExecutor: ...
@overload
def as_async(thing: Channel[T], /) -> AsyncChannel[T]: ...
@overload
def as_async(thing: Broadcast[T], /) -> AsyncBroadcast[T]: ...
@overload
def as_async(thing: Subscription[T], /) -> AsyncSubscription[T]: ...
@overload
def as_async(thing: Watch[T], /) -> AsyncWatch[T]: ...
@overload
def as_async(thing: WatchReader[T], /) -> AsyncWatchReader[T]: ...
def as_async(thing: Any, /) -> Any:
    """Return a view of an object of oxthreads with which coroutines use it.

    The view has the names of asyncio's object of that kind. It is small, has no state of its own, and is made
    in less than a microsecond; it may be kept, or made again for each use. Event loops of asyncio and of trio
    may use views of the same object at once, in any threads, and threads use the object itself.

    Args:
        thing: a Queue, LifoQueue, PriorityQueue, SimpleQueue, DelayQueue, Lock, RWLock, Limiter, Semaphore,
            BoundedSemaphore, Event, Condition, Barrier, Future or ThreadPoolExecutor of oxthreads (or of the
            standard modules, where the patch is installed); or a ProcessPoolExecutor or DaskExecutor, or a
            view of one; or a Channel, Broadcast, Subscription, Watch or WatchReader.

    Returns:
        AsyncQueue, AsyncSimpleQueue, AsyncDelayQueue, AsyncLock, AsyncRWLock, AsyncLimiter, AsyncSemaphore,
        AsyncEvent, AsyncCondition, AsyncBarrier, AsyncFuture, AsyncExecutor, AsyncChannel, AsyncBroadcast,
        AsyncSubscription, AsyncWatch or AsyncWatchReader.

    Raises:
        TypeError: the object is none of these; or it is an RLock, or a Condition over one, which belong to a
            thread; or it works as an object of the standard library, because the program has used its
            internals.

    Example:
        >>> import asyncio
        >>> from oxthreads.aio import as_async
        >>> from oxthreads.threading import Lock
        >>> lock = Lock()
        >>> async def main():
        ...     async with as_async(lock):
        ...         return lock.locked()
        >>> asyncio.run(main()), lock.locked()
        (True, False)
    """
    for native, view in _VIEWS:
        # Not `isinstance`: our locks say that they are of the standard class.
        if issubclass(type(thing), native):
            return view(thing)
    if hasattr(type(thing), "_oxthreads_cancellable"):
        return AsyncExecutor(thing)  # a pool of another module, which need not be imported here
    raise TypeError(_refusal(thing))


def _refusal(thing: object) -> str:
    kind = type(thing)
    if issubclass(kind, RLock):
        return (
            "an RLock belongs to a thread, and all coroutines of an event loop are in one thread; "
            "use a Lock of oxthreads.threading"
        )
    module = kind.__module__
    if module in {"_thread", "_queue", "queue", "threading"} or module.startswith("concurrent."):
        return (
            f"{module}.{kind.__qualname__} is of the standard library, and coroutines cannot wait for it; "
            "make the object with oxthreads (oxthreads.queue, oxthreads.threading, "
            "oxthreads.concurrent.futures), or install the patch before"
        )
    return (
        f"{module}.{kind.__qualname__} has no view for coroutines; as_async takes queues, locks, semaphores, "
        "limiters, conditions, events, barriers, futures, pools and channels of oxthreads"
    )
