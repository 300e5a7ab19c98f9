"""A drop-in mirror of :mod:`queue`: the classes of oxthreads, and the standard objects for the rest."""

from __future__ import annotations

import queue as _standard
import sys
from collections import deque
from queue import LifoQueue as _StandardLifoQueue
from queue import PriorityQueue as _StandardPriorityQueue
from queue import Queue as _StandardQueue
from time import monotonic
from weakref import ref

from ._annotations import forget as _forget_annotations
from ._fallback import (
    Addition,
    ReadOnly,
    StandardAttribute,
    UnchangedIn,
    given,
    pickling_protocol,
    put_back,
    show_as_standard,
    stands_for,
)
from ._mirror import share as _share_names
from ._oxthreads import Queue as _NativeQueue
from ._oxthreads import SimpleQueue, dictionary
from ._oxthreads import install_in as _install_in
from ._oxthreads import preload as _preload
from ._oxthreads import set_questions as _set_questions
from .threading import Condition, Lock

if sys.version_info >= (3, 13):
    from queue import Queue as _QueueWithShutdown
    from queue import ShutDown as _ShutDown
else:
    from ._queue_shutdown import QueueWithShutdown as _QueueWithShutdown
    from ._queue_shutdown import ShutDown

    _ShutDown = ShutDown

# Not imported at run time: importing typing takes longer than everything else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from queue import Empty as Empty
    from queue import Full as Full
    from typing import Any, SupportsIndex, TypeVar

    if sys.version_info >= (3, 13):
        from queue import ShutDown as ShutDown

    T = TypeVar("T")
else:
    T = object

# Where the item is that each standard `_get` takes, and the standard `_qsize`s. As they were at first: a
# program may replace them.
_NEXT = {
    vars(_StandardQueue)["_get"]: 0,
    vars(_StandardLifoQueue)["_get"]: -1,
    vars(_StandardPriorityQueue)["_get"]: 0,
}
_COUNTS = {vars(_kind)["_qsize"] for _kind in (_StandardQueue, _StandardLifoQueue, _StandardPriorityQueue)}

__all__ = ["Empty", "Full", "LifoQueue", "PriorityQueue", "Queue", "ShutDown", "SimpleQueue"]


class Queue(_NativeQueue[T], _QueueWithShutdown[T]):
    """A first-in, first-out queue that passes items from threads to threads.

    Use it to hand work or results to other threads without locks of your own. ``get`` waits for an item.
    With a ``maxsize``, ``put`` waits for room, so that fast producers cannot fill the memory. Call
    ``shutdown`` to tell the consumers that nothing more will come.

    Thread-safe and re-entrant: ``put`` may be called from ``__del__``, a weakref callback or a signal
    handler. Waiters are woken in the order in which they arrived. Another thread may take an item, or the
    room for one, before the woken waiter does; a waiter that has lost this race and has waited for a
    millisecond is handed the next item or the next room.

    Args:
        maxsize (int): the largest number of items. Zero or less means no limit. No memory is reserved.

    Beyond the standard queue there are ``put_many`` and ``get_many``, which pass many items in one step;
    ``iterate``, for a loop that ends when the queue is shut down and empty; ``peek`` and ``clear``; and,
    before Python 3.13 too, ``shutdown`` and ``is_shutdown``. The queue itself is not iterable, like the
    standard one.

    Example:
        >>> from oxthreads.queue import Queue, ShutDown
        >>> from oxthreads.threading import Thread
        >>> tasks, done = Queue(maxsize=10), []
        >>> def work():
        ...     for task in tasks.iterate():  # until shutdown
        ...         done.append(task.upper())
        >>> worker = Thread(target=work)
        >>> worker.start()
        >>> tasks.put_many(["wash", "dry"])
        >>> tasks.shutdown()
        >>> worker.join()
        >>> done
        ['WASH', 'DRY']

    Many items at once, and what happens after ``shutdown``:
        >>> letters = Queue()
        >>> letters.put_many("abcde")
        >>> letters.get_many(max_items=3)
        ['a', 'b', 'c']
        >>> letters.shutdown()
        >>> letters.get_many()  # what is left
        ['d', 'e']
        >>> try:
        ...     letters.get()
        ... except ShutDown:
        ...     print("nothing more")
        nothing more

    Differences from queue.Queue:

    * An item that was handed to a waiting consumer is not counted by ``qsize``, but uses a place until
      the consumer runs.
    * The queue falls back to the standard library (see docs/fallback.md) when ``mutex``,
      ``not_empty``, ``not_full``, ``all_tasks_done`` or ``queue`` is used, and from the start in a
      subclass that overrides ``_init``, ``_qsize``, ``_put`` or ``_get``.
    * A timeout of NaN raises ValueError; the standard queue spins.
    """

    mutex = StandardAttribute()
    not_empty = StandardAttribute()
    not_full = StandardAttribute()
    all_tasks_done = StandardAttribute()
    queue = StandardAttribute()

    if sys.version_info >= (3, 13):
        is_shutdown = _NativeQueue._oxthreads_is_shutdown
    else:
        is_shutdown = ReadOnly(_NativeQueue._oxthreads_is_shutdown)

    _oxthreads_state = ("mutex", "queue", "maxsize", "unfinished_tasks", "is_shutdown")

    def _oxthreads_fall_back(self) -> None:
        state = given(self, self._oxthreads_state)
        mutex = Lock()
        items: deque[Any] | list[Any] = deque() if self._oxthreads_is_first_in_first_out else []
        attributes = {
            "mutex": mutex,
            "not_empty": Condition(mutex),
            "not_full": Condition(mutex),
            "all_tasks_done": Condition(mutex),
            "queue": items,
        }
        self._oxthreads_hand_over(attributes, items, mutex)
        put_back(self, state)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return super().__reduce_ex__(pickling_protocol(self, protocol, self._oxthreads_state))

    # put_many() and get_many() of a queue that has fallen back, or whose put() or get() is overridden.

    def _oxthreads_put_one_by_one(
        self, items: Iterable[T], block: bool, timeout: float | None, put: int
    ) -> None:
        if block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        end = None if timeout is None else monotonic() + timeout
        not_put: list[T] = []
        try:
            for item in items:
                not_put = [item]
                self.put(item, block, None if end is None else max(0, end - monotonic()))
                not_put = []
                put += 1
        except BaseException as error:
            if hasattr(error, "__dict__"):
                vars(error).update(items_put=put, not_put=not_put)
            raise

    def _oxthreads_get_one_by_one(self, most: int, block: bool, timeout: float | None) -> list[T]:
        if most == 0:
            return []
        items = [self.get(block, timeout)]
        try:
            while len(items) < most:
                items.append(self.get_nowait())
        except Exception:
            # Usually Empty or ShutDown. For any other error, too, the items taken must not be lost.
            return items
        except BaseException as error:
            if hasattr(error, "__dict__"):
                vars(error).update(taken=items)
            raise
        return items

    # peek() and clear() of a queue that has fallen back.

    def _oxthreads_peek(self, block: bool, timeout: float | None) -> T:
        if block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        end = None if timeout is None else monotonic() + timeout
        has_waited = False
        with self.not_empty:
            try:
                while not self._qsize():
                    if self._oxthreads_is_shutdown:
                        raise _ShutDown
                    remaining = None if end is None else end - monotonic()
                    if not block or (remaining is not None and remaining <= 0):
                        raise _standard.Empty
                    has_waited = True
                    self.not_empty.wait(remaining)
                return self._oxthreads_next()
            finally:
                if has_waited:
                    # A put may have notified this thread instead of one that waits in get().
                    self.not_empty.notify()

    def _oxthreads_next(self) -> T:
        # A class with its own `_init` need not have the standard attribute.
        get = self._get
        items: Any = dictionary(self).get("queue")
        holder = getattr(get, "__self__", None)
        if isinstance(holder, _TakenAhead):
            return holder.item  # type: ignore[no-any-return]
        place = _NEXT.get(getattr(get, "__func__", None))
        if place is None or type(items) not in {deque, list}:
            return _TakenAhead(self).item  # type: ignore[no-any-return]
        return items[place]  # type: ignore[no-any-return]

    def _oxthreads_clear(self) -> int:
        removed: list[T] = []
        with self.mutex:
            try:
                items: Any = dictionary(self).get("queue")
                get, qsize = (getattr(hook, "__func__", None) for hook in (self._get, self._qsize))
                if type(items) in {deque, list} and get in _NEXT and qsize in _COUNTS:
                    # Without a comparison of items, which may fail.
                    removed.extend(items)
                    items.clear()
                while self._qsize():
                    removed.append(self._get())
            finally:
                if removed:
                    self.unfinished_tasks = max(0, self.unfinished_tasks - len(removed))
                    if not self.unfinished_tasks:
                        self.all_tasks_done.notify_all()
                    self.not_full.notify(len(removed))
        # The items are dropped when this returns, without the mutex: one may use the queue as it is deleted.
        return len(removed)


class _TakenAhead:
    """The item that peek() has taken from a queue whose class takes items in a way of its own.

    Only the class knows which item comes next, so the item is taken and kept here. Until somebody gets it,
    the queue has this object's methods as its ``_get`` and ``_qsize``. The mutex of the queue is held in all
    of them.
    """

    def __init__(self, queue: Any) -> None:
        self._namespace: dict[str, Any] = dictionary(queue)
        names = ("_get", "_qsize")
        self._former = {name: self._namespace[name] for name in names if name in self._namespace}
        self._count = queue._qsize
        self.item = queue._get()
        self._namespace.update(_get=self.get, _qsize=self.qsize)

    def get(self) -> Any:
        del self._namespace["_get"], self._namespace["_qsize"]
        self._namespace.update(self._former)
        return self.item

    def qsize(self) -> Any:
        return self._count() + 1


class LifoQueue(Queue[T], _StandardLifoQueue[T]):
    """A last-in, first-out queue (a stack): ``get`` returns the item that was put last.

    Use it where the newest item is the most interesting one. Everything else, thread safety, arguments and
    additions included, is as in :class:`Queue`.

    Args:
        maxsize (int): the largest number of items. Zero or less means no limit.

    Example:
        >>> from oxthreads.queue import LifoQueue
        >>> plates = LifoQueue()
        >>> plates.put("blue")
        >>> plates.put("red")
        >>> plates.get()
        'red'

    Differences from queue.LifoQueue: those of :class:`Queue`.
    """


class PriorityQueue(Queue[T], _StandardPriorityQueue[T]):  # type: ignore[type-var]
    """A queue whose ``get`` returns the smallest item.

    Use it where some items are more urgent than others. Items are often tuples, ``(priority, data)``.
    Everything else, thread safety, arguments and additions included, is as in :class:`Queue`.

    Items are compared with ``<``. This method of the items may raise, take long, or use the queue itself,
    from any thread. The queue stays unchanged while it compares, and also if a comparison raises: ``put``
    has then not stored its item, and ``get`` has removed none. If each comparison puts or gets something, no
    item is lost, but items may come out of order.

    Args:
        maxsize (int): the largest number of items. Zero or less means no limit.

    Example:
        >>> from oxthreads.queue import PriorityQueue
        >>> errands = PriorityQueue()
        >>> errands.put((2, "buy stamps"))
        >>> errands.put((1, "see the dentist"))
        >>> errands.get()
        (1, 'see the dentist')

    Differences from queue.PriorityQueue: those of :class:`Queue`, and the behaviour of comparisons that is
    described above.
    """


@stands_for("Queue", __name__)
class _Additions:
    """Signatures of the methods that the standard class does not have."""

    def put_many(self, iterable, block=True, timeout=None):  # type: ignore[no-untyped-def]
        raise TypeError("put_many() is for queues of oxthreads")

    def get_many(self, max_items=None, block=True, timeout=None):  # type: ignore[no-untyped-def]
        raise TypeError("get_many() is for queues of oxthreads")

    def iterate(self):  # type: ignore[no-untyped-def]
        raise TypeError("iterate() is for queues of oxthreads")

    def peek(self, block=True, timeout=None):  # type: ignore[no-untyped-def]
        raise TypeError("peek() is for queues of oxthreads")

    def peek_nowait(self):  # type: ignore[no-untyped-def]
        raise TypeError("peek_nowait() is for queues of oxthreads")

    def clear(self):  # type: ignore[no-untyped-def]
        raise TypeError("clear() is for queues of oxthreads")


show_as_standard(
    Queue, LifoQueue, PriorityQueue, *([_QueueWithShutdown] if sys.version_info < (3, 13) else [])
)
_install_in(Queue, _StandardQueue, _QueueWithShutdown, _Additions)
SimpleQueue.is_shutdown = ReadOnly(SimpleQueue._oxthreads_is_shutdown)  # type: ignore[assignment]
for _name in ("peek", "peek_nowait", "clear"):
    # Programs have classes with methods of these names, and mix them with queues.
    setattr(Queue, _name, Addition(_name, vars(Queue)[_name], _NativeQueue))
    setattr(SimpleQueue, _name, Addition(_name, vars(SimpleQueue)[_name], SimpleQueue))
del _name


def _answer_questions() -> None:
    names = ["mutex", "not_empty", "not_full", "all_tasks_done", "queue", "maxsize", "unfinished_tasks"]
    if sys.version_info >= (3, 13):
        names.append("is_shutdown")
    hooks = ("_init", "_qsize", "_put", "_get")
    attributes = UnchangedIn(Queue, *names)
    methods = UnchangedIn(Queue, "put", "get", "put_nowait", "get_nowait")
    orders = [UnchangedIn(ours, *hooks) for ours in (Queue, LifoQueue, PriorityQueue)]
    # The order that each class had when it was first seen, by the class's id. If a class gets another order
    # later, its objects so far have the wrong kind of storage.
    # Not a WeakKeyDictionary: a __del__ may get here when the interpreter has cleared that module at exit.
    first_order: dict[int, tuple[ref[type], UnchangedIn]] = {}
    make_reference = ref

    def is_first_order(cls: type, order: UnchangedIn) -> bool:
        number = id(cls)
        if number not in first_order:
            reference = make_reference(cls, lambda _: first_order.pop(number, None))
            first_order.setdefault(number, (reference, order))
        return first_order[number][1] is order

    def runs_natively(cls: type) -> bool:
        order = next((order for order in orders if order(cls)), None)
        return order is not None and attributes(cls) and is_first_order(cls, order)

    def puts_and_gets_itself(cls: type) -> bool:
        return runs_natively(cls) and methods(cls)

    _set_questions(
        Queue,
        runs_natively,
        puts_and_gets_itself=puts_and_gets_itself,
        is_first_in_first_out=orders[0],
        is_last_in_first_out=orders[1],
        is_smallest_first=orders[2],
    )


_answer_questions()

_forget_annotations(Queue, LifoQueue, PriorityQueue)
if sys.version_info < (3, 13):
    _forget_annotations(_QueueWithShutdown)

_shared = frozenset(("Empty", "Full", "ShutDown")).difference(globals())
_share_names(sys.modules[__name__], _standard, _shared)

# The native code looks up the exceptions in `_NAMES` when it raises them. `_STANDARD_MODULES` tells
# `oxthreads.patch` what this module replaces.
_NAMES = vars(_standard)
_STANDARD_MODULES = {"queue": _standard}

_preload(__name__)
