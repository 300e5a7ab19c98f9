"""The names of :mod:`queue`: ours where oxthreads has them, the standard objects elsewhere."""

from __future__ import annotations

import sys
from collections import deque
from queue import Empty, Full
from queue import LifoQueue as _StandardLifoQueue
from queue import PriorityQueue as _StandardPriorityQueue
from queue import Queue as _StandardQueue
from time import monotonic

from ._annotations import forget as _forget_annotations
from ._oxthreads import Queue as _NativeQueue
from ._oxthreads import SimpleQueue
from ._oxthreads import install_in as _callable_at_once
from ._oxthreads import keep_at_hand as _keep_at_hand
from ._standard_form import StandardAttribute, given, pickling_protocol, put_back
from .threading import Condition, Lock

if sys.version_info >= (3, 13):
    from queue import Queue as _StandardForm
    from queue import ShutDown
else:
    from ._queue_shutdown import QueueWithShutdown as _StandardForm
    from ._queue_shutdown import ShutDown

# Importing typing takes longer than all the rest, and a program's start waits for this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, SupportsIndex, TypeVar

    T = TypeVar("T")
else:
    T = object

_HOOKS = ("_init", "_qsize", "_put", "_get")


def _hooks(cls: type) -> tuple[Any, ...]:
    return tuple(getattr(cls, hook) for hook in _HOOKS)


# Which item comes out next, by the hooks that see to it in the standard form.
_ORDERS = {
    _hooks(_StandardQueue): "first",
    _hooks(_StandardLifoQueue): "last",
    _hooks(_StandardPriorityQueue): "smallest",
}

__all__ = ["Empty", "Full", "LifoQueue", "PriorityQueue", "Queue", "ShutDown", "SimpleQueue"]


@_callable_at_once
class Queue(_NativeQueue[T], _StandardForm[T]):
    """A queue from which items come out in the order they were put in.

    maxsize: at most this many items; zero or less means any number. Nothing is reserved for it.

    Thread-safe, and re-entrant: ``put`` may be called from ``__del__``, a weakref callback or a
    signal handler. Waiters are served in the order they came.

    Additions: ``put_many``, ``get_many``, and ``for item in queue``, which ends when the queue is shut
    down and empty; ``shutdown`` before Python 3.13. So ``isinstance(queue, Iterable)`` is true, and
    ``Container`` as well; but ``item in queue`` raises TypeError, as of the standard class.

    Differences from queue.Queue: an item put while a consumer waits is that consumer's, so until it
    runs ``qsize`` counts the item, but ``get_nowait`` elsewhere may raise Empty. ``mutex``,
    ``not_empty``, ``not_full``, ``all_tasks_done`` and ``queue`` are made when one is first used, and
    the queue is then a standard one (see the README, "Standard form"); so is, from the beginning, one
    of a subclass that overrides ``_init``, ``_qsize``, ``_put`` or ``_get``. A NaN timeout raises
    ValueError instead of spinning.
    """

    mutex = StandardAttribute()
    not_empty = StandardAttribute()
    not_full = StandardAttribute()
    all_tasks_done = StandardAttribute()
    queue = StandardAttribute()

    # Which item comes out next; None: that is up to the hooks, which are not the standard ones.
    _order: str | None = "first"
    # Whether put() and get() are ours.
    _is_direct = True

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls._order = _ORDERS.get(_hooks(cls))
        cls._is_direct = all(
            getattr(cls, name) is getattr(Queue, name) for name in ("put", "get", "put_nowait", "get_nowait")
        )

    _state_names = ("mutex", "queue", "maxsize", "unfinished_tasks", "is_shutdown")

    def _take_standard_form(self) -> None:
        state = given(self, self._state_names)
        mutex = Lock()
        items: deque[Any] | list[Any] = deque() if self._order == "first" else []
        attributes = {
            "mutex": mutex,
            "not_empty": Condition(mutex),
            "not_full": Condition(mutex),
            "all_tasks_done": Condition(mutex),
            "queue": items,
        }
        self._retire(attributes, items, mutex)
        put_back(self, state)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return super().__reduce_ex__(pickling_protocol(self, protocol, self._state_names))

    # The batches of a queue in its standard form, and of one whose put() or get() is overridden.

    def _put_one_by_one(self, items: Iterable[T], block: bool, timeout: float | None, put: int) -> None:
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

    def _get_one_by_one(self, most: int, block: bool, timeout: float | None) -> list[T]:
        if most == 0:
            return []
        items = [self.get(block, timeout)]
        try:
            while len(items) < most:
                items.append(self.get_nowait())
        except Exception:
            # Most likely Empty or ShutDown. If not: what has been taken must not be lost.
            return items
        except BaseException as error:
            if hasattr(error, "__dict__"):
                vars(error).update(taken=items)
            raise
        return items


class LifoQueue(Queue[T], _StandardLifoQueue[T]):
    """A queue from which the item put in last comes out first.

    Differences from queue.LifoQueue: as of :class:`Queue`.
    """


class PriorityQueue(Queue[T], _StandardPriorityQueue[T]):  # type: ignore[type-var]
    """A queue from which the smallest item comes out first.

    Items are compared by ``<``, which may raise, take its time, or use the queue itself, from any
    thread: meanwhile the queue is as it was before, and if it raises it stays so. ``put`` has then
    not stored its item, and ``get`` has taken none. A ``<`` that puts or gets something whenever it is
    called loses nothing, but may find items out of order.

    Differences from queue.PriorityQueue: as of :class:`Queue`, and what was just said.
    """


# As they are here: put_nowait() and get_nowait() call put() and get() only where these are others.
_PLAIN = [(_class, _class.put, _class.get) for _class in (Queue, LifoQueue, PriorityQueue)]

_forget_annotations(Queue, LifoQueue, PriorityQueue)
if sys.version_info < (3, 13):
    _forget_annotations(_StandardForm)

_keep_at_hand(__name__)
