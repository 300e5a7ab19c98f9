"""The names of :mod:`threading`: ours where oxthreads has them, the standard objects elsewhere."""

from __future__ import annotations

import threading as _standard

from ._oxthreads import Event as _NativeEvent
from ._oxthreads import Lock as Lock
from ._standard_form import StandardAttribute

# Importing typing takes longer than all the rest, and a program's start waits for this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from threading import TIMEOUT_MAX as TIMEOUT_MAX
    from threading import Barrier as Barrier
    from threading import BoundedSemaphore as BoundedSemaphore
    from threading import BrokenBarrierError as BrokenBarrierError
    from threading import Condition as Condition
    from threading import ExceptHookArgs as ExceptHookArgs
    from threading import RLock as RLock
    from threading import Semaphore as Semaphore
    from threading import ThreadError as ThreadError
    from threading import Timer as Timer
    from threading import active_count as active_count
    from threading import current_thread as current_thread
    from threading import enumerate as enumerate
    from threading import excepthook as excepthook
    from threading import get_ident as get_ident
    from threading import get_native_id as get_native_id
    from threading import getprofile as getprofile
    from threading import gettrace as gettrace
    from threading import local as local
    from threading import main_thread as main_thread
    from threading import setprofile as setprofile
    from threading import settrace as settrace
    from threading import stack_size as stack_size
    from typing import Any
else:

    def __getattr__(name: str) -> Any:
        try:
            return getattr(_standard, name)
        except AttributeError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


__all__ = list(_standard.__all__)

# Kept, because the standard module's own names may be replaced by ours.
_StandardCondition: Any = _standard.Condition  # takes any lock
_StandardEvent = _standard.Event
_StandardThread = _standard.Thread


class Event(_NativeEvent, _StandardEvent):
    """A flag that threads wait for.

    It is clear at first. Thread-safe; waiters wake in the order they came.

    Differences from threading.Event: the condition ``_cond`` is made when it is first used, and
    the event is then a standard one (see the README, "Standard form").
    """

    _cond = StandardAttribute()

    def __repr__(self) -> str:
        cls = type(self)
        # "threading.Event" in the standard words; "oxthreads.Event" tells which it is.
        module = cls.__module__.partition(".")[0] if cls is Event else cls.__module__
        status = "set" if self.is_set() else "unset"
        return f"<{module}.{cls.__qualname__} at {id(self):#x}: {status}>"

    def _take_standard_form(self) -> None:
        mutex = Lock()
        self._retire({"_cond": _StandardCondition(mutex)}, mutex)

    def _at_fork_reinit(self) -> None:
        """Forget the waiters in a forked child. The native form has done so at the fork."""
        if "_cond" in vars(self):
            super()._at_fork_reinit()  # type: ignore[misc]


class Thread(_StandardThread):
    """A thread of control.

    Differences from threading.Thread: the starting thread waits for the new one on an
    :class:`Event` of ours. Everything else is inherited.
    """

    def __init__(
        self,
        group: None = None,
        target: Callable[..., object] | None = None,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        daemon: bool | None = None,
        **later: Any,
    ) -> None:
        # `later`: what later versions of Python add (3.14: context).
        super().__init__(group, target, name, args, kwargs, daemon=daemon, **later)
        self._started = Event()
