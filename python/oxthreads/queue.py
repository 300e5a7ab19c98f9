"""The names of :mod:`queue`: ours where oxthreads has them, the standard objects elsewhere."""

from __future__ import annotations

import sys
from collections import deque
from queue import Empty, Full, SimpleQueue
from queue import LifoQueue as _StandardLifoQueue
from queue import PriorityQueue as _StandardPriorityQueue
from queue import Queue as _StandardQueue

from ._oxthreads import Queue as _NativeQueue
from ._standard_form import StandardAttribute
from .threading import Lock, _StandardCondition

if sys.version_info >= (3, 13):
    from queue import Queue as _StandardForm
    from queue import ShutDown
else:
    from ._queue_shutdown import QueueWithShutdown as _StandardForm
    from ._queue_shutdown import ShutDown

# Importing typing takes longer than all the rest, and a program's start waits for this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    T = TypeVar("T")
else:
    T = object

_HOOKS = ("_init", "_qsize", "_put", "_get")

__all__ = ["Empty", "Full", "LifoQueue", "PriorityQueue", "Queue", "ShutDown", "SimpleQueue"]


class Queue(_NativeQueue[T], _StandardForm[T]):
    """A queue from which items come out in the order they were put in.

    maxsize: at most this many items; zero or less means any number. Nothing is reserved for it.

    Thread-safe, and re-entrant: ``put`` may be called from ``__del__``, a weakref callback or a
    signal handler. Waiters are served in the order they came.

    Differences from queue.Queue: ``mutex``, ``not_empty``, ``not_full``, ``all_tasks_done`` and
    ``queue`` are made when one is first used, and the queue is then a standard one (see the
    README, "Standard form"); so is, from the beginning, one of a subclass that overrides
    ``_init``, ``_qsize``, ``_put`` or ``_get``. A NaN timeout raises ValueError instead of
    spinning.
    """

    mutex = StandardAttribute()
    not_empty = StandardAttribute()
    not_full = StandardAttribute()
    all_tasks_done = StandardAttribute()
    queue = StandardAttribute()

    _overrides_hooks = False

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls._overrides_hooks = any(getattr(cls, hook) is not getattr(_StandardQueue, hook) for hook in _HOOKS)

    def _take_standard_form(self) -> None:
        mutex = Lock()
        items: deque[Any] = deque()
        attributes = {
            "mutex": mutex,
            "not_empty": _StandardCondition(mutex),
            "not_full": _StandardCondition(mutex),
            "all_tasks_done": _StandardCondition(mutex),
            "queue": items,
        }
        self._retire(attributes, items, mutex)


class LifoQueue(Queue[T], _StandardLifoQueue[T]):
    """A queue from which the item put in last comes out first."""


class PriorityQueue(Queue[T], _StandardPriorityQueue[T]):  # type: ignore[type-var]
    """A queue from which the smallest item comes out first."""
