"""Waiting for the first of several objects: queues, events, futures, locks, threads, sockets, timers.

The standard library can wait for one object at a time. A thread that must watch several polls them, or uses
a helper thread for each. Here it calls :func:`select`.
"""

from __future__ import annotations

import os
import threading as _standard

from . import _oxthreads as _native
from ._annotations import forget as _forget_annotations
from ._oxthreads import GetMany, Put, Timer
from ._oxthreads import preload as _preload
from .queue import ShutDown as _ShutDown
from .threading import Event as _Event
from .threading import Lock as _Lock
from .threading import _StandardThread

# Not imported at run time: importing typing takes longer than everything else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Protocol, TypeAlias, TypeVar, overload

    from ._oxthreads import Broadcast, Channel, Readable, Subscription, WatchReader
    from .concurrent.futures import Future
    from .queue import Queue, SimpleQueue

    D = TypeVar("D")
    T = TypeVar("T")
    T1 = TypeVar("T1")
    T2 = TypeVar("T2")
    T3 = TypeVar("T3")
    T4 = TypeVar("T4")
    T_co = TypeVar("T_co", covariant=True)

    class Source(Protocol[T_co]):
        """An object that `select` can wait for, and that gives a `T_co`."""

        def _oxthreads_waited_for(self) -> T_co: ...

    class HasFileno(Protocol):
        """A socket, or another file."""

        def fileno(self) -> int: ...

    AnyQueue: TypeAlias = Queue[T] | SimpleQueue[T]
    #: What has items, and an end.
    AnyStream: TypeAlias = AnyQueue[T] | Channel[T] | Subscription[T] | WatchReader[T]
    AnySource: TypeAlias = Source[Any] | _standard.Thread | HasFileno

    @overload
    def select(
        source1: Source[T1], /, *, timeout: float | None = None, fair: bool = True
    ) -> tuple[Source[T1], T1]: ...
    @overload
    def select(
        source1: Source[T1], source2: Source[T2], /, *, timeout: float | None = None, fair: bool = True
    ) -> tuple[Source[T1] | Source[T2], T1 | T2]: ...
    @overload
    def select(
        source1: Source[T1],
        source2: Source[T2],
        source3: Source[T3],
        /,
        *,
        timeout: float | None = None,
        fair: bool = True,
    ) -> tuple[Source[T1] | Source[T2] | Source[T3], T1 | T2 | T3]: ...
    @overload
    def select(
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
    def select(
        source1: Source[T1], /, *, timeout: float | None = None, default: D, fair: bool = True
    ) -> tuple[Source[T1], T1] | D: ...
    @overload
    def select(
        source1: Source[T1],
        source2: Source[T2],
        /,
        *,
        timeout: float | None = None,
        default: D,
        fair: bool = True,
    ) -> tuple[Source[T1] | Source[T2], T1 | T2] | D: ...
    @overload
    def select(
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
    def select(
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
    def select(
        *sources: Source[T], timeout: float | None = None, fair: bool = True
    ) -> tuple[Source[T], T]: ...
    @overload
    def select(*sources: AnySource, timeout: float | None = None, fair: bool = True) -> tuple[Any, Any]: ...
    @overload
    def select(
        *sources: AnySource, timeout: float | None = None, default: D, fair: bool = True
    ) -> tuple[Any, Any] | D: ...

    def select(*sources: Any, timeout: float | None = None, default: Any = ..., fair: bool = True) -> Any: ...

else:
    from ._oxthreads import select


__all__ = ["after", "every", "get", "merge", "put", "readable", "select"]


def put(queue: AnyQueue[T] | Channel[T] | Broadcast[T], item: T) -> Put[T]:
    """Return a source for :func:`select`: it is ready when the queue has room, and then puts the item.

    With a channel or a broadcast, it sends the item. In a rendezvous that is ready when a thread receives it.

    Use it to send and to receive in one wait. The same source can be waited for again and again: each time
    that it is the one that ``select`` returns, the item has been put once.

    Thread-safe.

    Args:
        queue (oxthreads.queue.Queue, SimpleQueue, oxthreads.channels.Channel, oxthreads.channels.Broadcast):
            where the item is to go.
        item: any object.

    Returns:
        source: it has the attributes ``queue`` and ``item``. ``select`` returns None as its value.

    Raises:
        TypeError: if ``queue`` is none of these, or uses the standard library, or its class has a ``send``
            of its own.

    Example:
        >>> from oxthreads.queue import Queue
        >>> from oxthreads.waiting import put, select
        >>> letters, numbers = Queue(maxsize=1), Queue()
        >>> letter = put(letters, "a")
        >>> select(letter, numbers) == (letter, None)
        True
        >>> letters.get()
        'a'
    """
    return Put(queue, item)


def get(queue: AnyQueue[T], max_items: int | None = None) -> GetMany[T]:
    """Return a source for :func:`select`: it is ready when the queue has an item, and takes several.

    The queue itself is the source that takes one item.

    Thread-safe.

    Args:
        queue (oxthreads.queue.Queue or SimpleQueue): a queue of oxthreads.
        max_items (int): at most so many items. None means all that are there. With zero it is always ready,
            and takes nothing.

    Returns:
        source: it has the attributes ``queue`` and ``max_items``. ``select`` returns the list of items as its
        value.

    Raises:
        TypeError: if ``queue`` is not a queue of oxthreads, or uses the standard library.
        ValueError: if ``max_items`` is negative.

    Example:
        >>> from oxthreads.queue import Queue
        >>> from oxthreads.waiting import get, select
        >>> rows, stop = Queue(), Queue()
        >>> rows.put_many([1, 2, 3])
        >>> source, value = select(get(rows, 2), stop)
        >>> value
        [1, 2]
    """
    return GetMany(queue, max_items)


def after(seconds: float) -> Timer[None]:
    """Return a source for :func:`select` that is ready once, some time from now.

    Use it for a limit on a loop of several calls of ``select``; for one call there is ``timeout``. No thread
    runs for it. If several threads wait for the same one, one of them gets it.

    Thread-safe.

    Args:
        seconds (float): the time from this call until it is ready.

    Returns:
        source: ``select`` returns None as its value.

    Raises:
        TypeError: if ``seconds`` is not a number.
        ValueError: if ``seconds`` is negative or NaN.

    Example:
        >>> from oxthreads.queue import Queue
        >>> from oxthreads.waiting import after, select
        >>> jobs, end = Queue(), after(0.01)
        >>> source, value = select(jobs, end)
        >>> source is end
        True

    It is modelled on ``after`` of the Rust crate crossbeam-channel.
    """
    return Timer(seconds)


def every(seconds: float) -> Timer[int]:
    """Return a source for :func:`select` that is ready again and again, at a fixed interval.

    Times that have passed while nobody waited do not queue up: the value says how many there were. The
    interval does not grow by the time that the work takes.

    Thread-safe. If several threads wait for the same one, each time goes to one of them.

    Args:
        seconds (float): the time from this call until it is ready first, and between two times.

    Returns:
        source: ``select`` returns an int as its value: how many times have passed since it was returned last.

    Raises:
        TypeError: if ``seconds`` is not a number.
        ValueError: if ``seconds`` is zero, negative or NaN.

    Example:
        >>> from oxthreads.queue import Queue
        >>> from oxthreads.waiting import every, select
        >>> jobs, tick = Queue(), every(0.01)
        >>> source, times = select(jobs, tick)
        >>> source is tick, times >= 1
        (True, True)
    """
    return Timer(seconds, repeats=True)


def merge(*queues: AnyStream[T]) -> Iterator[tuple[AnyStream[T], T]]:
    """Return an iterator over the items of several queues, as they come: pairs of a queue and its item.

    A queue that is shut down and empty is dropped, and the iteration ends when all are. No queue is neglected
    if several have items. Channels, subscriptions and readers of watched values may be among the queues, and
    end when they are closed.

    Thread-safe: several threads may share one iterator, and each item goes to one of them.

    Args:
        *queues (source): what has items, and an end: a Queue or SimpleQueue of oxthreads, a Channel, a
            Subscription, or a WatchReader.

    Returns:
        iterator: of tuples, each a queue and its item.

    Raises:
        TypeError: if an argument is none of these, or uses the standard library.
        oxthreads.channels.Lagged: by the iterator, if a subscription has missed items. It can be used on.

    Example:
        >>> from oxthreads.queue import Queue
        >>> from oxthreads.waiting import merge
        >>> letters, numbers = Queue(), Queue()
        >>> letters.put("a")
        >>> numbers.put(1)
        >>> letters.shutdown()
        >>> numbers.shutdown()
        >>> sorted(str(item) for queue, item in merge(letters, numbers))
        ['1', 'a']
    """
    for queue in queues:
        if not issubclass(type(queue), (_native.Channel, _native.Subscription, _native.WatchReader)):
            GetMany(queue)  # type: ignore[arg-type]  # checks it
    return _Merge(queues)


class _Merge:
    """The iterator that `merge` returns."""

    def __init__(self, queues: tuple[AnyStream[Any], ...]) -> None:
        self._queues = queues
        self._changing = _Lock()

    def __iter__(self) -> _Merge:
        return self

    def __next__(self) -> tuple[AnyStream[Any], Any]:
        while queues := self._queues:
            try:
                return select(*queues)
            except _ShutDown as error:
                ended = getattr(error, "source", None)
                if not any(queue is ended for queue in queues):
                    raise
            with self._changing:
                self._queues = tuple(queue for queue in self._queues if queue is not ended)
        raise StopIteration


def readable(source: AnyStream[Any] | _Event | Future[Any] | _standard.Thread) -> Readable:
    """Return a file whose descriptor is readable as long as the source is ready.

    Use it where something else waits for sockets already: ``selectors``, an event loop, a GUI. The descriptor
    has nothing to read. When it is readable, ask the source: ``queue.get_nowait()``, ``event.is_set()``.

    A queue is ready if it has an item, or is shut down. So are a channel and a subscription; a rendezvous
    also if a thread waits to send. A reader of a watched value is ready if there is one that was not seen. An
    item that a waiting thread is due to get does not count. Another thread may take the item before the
    one that has seen the descriptor: so be ready for ``queue.Empty``.

    As long as the file is open, each change between ready and not ready costs a system call. Without one the
    source costs nothing more. In a forked child, ``fileno`` returns a new descriptor. If a queue or an event
    falls back to the standard library meanwhile (see docs/fallback.md), its descriptor is readable from then
    on: ask the source, and close the file.

    Thread-safe.

    Args:
        source (source): the object to watch: a Queue, SimpleQueue, Event or Future of oxthreads, a thread, a
            Channel, a Subscription, or a WatchReader.

    Returns:
        context manager: a file with ``fileno()``, ``close()`` and ``closed``, and with the attribute
        ``source``.

    Raises:
        TypeError: if ``source`` is something else, or a queue or event that uses the standard library.
        RuntimeError: if ``source`` is a thread that was not started, or the calling one.
        OSError: if the system has no more descriptors.
        NotImplementedError: on Windows.

    Example:
        >>> import selectors
        >>> from oxthreads.queue import Queue
        >>> from oxthreads.waiting import readable
        >>> jobs = Queue()
        >>> with readable(jobs) as file, selectors.DefaultSelector() as selector:
        ...     key = selector.register(file, selectors.EVENT_READ, jobs)
        ...     print(selector.select(timeout=0))
        ...     jobs.put("tea")
        ...     for key, events in selector.select():
        ...         print(key.data.get_nowait())
        []
        tea
    """
    if not hasattr(_native, "Readable"):
        raise NotImplementedError("readable() is not available on this platform")
    return _native.Readable(source)


#: The attribute of a thread for the event that tells of its end, and the process in which that is set.
_END = "_oxthreads_end"


def _end_of_thread(thread: _standard.Thread) -> _Event:
    """Return an event that is set when the thread has ended.

    The end of a thread wakes nobody but the threads that join it. So another thread joins it, the first time
    that it is waited for while it is alive.
    """
    if isinstance(thread, _standard._DummyThread):
        raise RuntimeError("cannot join a dummy thread")
    # The errors are those of join: the thread has not been started, or is the calling one.
    _StandardThread.join(thread, timeout=0)
    attributes = vars(thread)
    process = os.getpid()
    known: tuple[int, _Event] | None = attributes.get(_END)
    if known is not None and known[0] == process:
        return known[1]
    end = _Event()
    if thread.is_alive():
        # Another thread may do the same meanwhile. Then both events are set in the end.
        _StandardThread(
            target=_tell_of_end, args=(thread, end), name=f"join of {thread.name}", daemon=True
        ).start()
    else:
        end.set()
    attributes[_END] = process, end
    return end


def _tell_of_end(thread: _standard.Thread, end: _Event) -> None:
    _StandardThread.join(thread)
    end.set()


_forget_annotations(put, get, after, every, merge, _Merge, readable, _end_of_thread, _tell_of_end)
_preload(__name__)
