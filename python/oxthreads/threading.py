"""The names of :mod:`threading`: ours where oxthreads has them, the standard objects elsewhere."""

from __future__ import annotations

import threading as _standard
from collections.abc import Callable, Iterable, Mapping
from threading import *  # noqa: F403
from typing import Any

from ._oxthreads import Event as _NativeEvent
from ._oxthreads import Lock
from ._standard_form import StandardAttribute

__all__ = list(_standard.__all__)

# Kept, because the standard module's own names may be replaced by ours.
_StandardCondition = _standard.Condition
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

    def __init__(  # noqa: D107
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
