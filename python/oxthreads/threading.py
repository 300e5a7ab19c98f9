"""The names of :mod:`threading`: ours where oxthreads has them, the standard objects elsewhere.

What the standard module shares with everybody (``excepthook``, the trace and profile functions, the
threads themselves) is not kept twice: this module reads it from the standard one and writes it there.
"""

from __future__ import annotations

import sys
import threading as _standard

from ._annotations import forget as _forget_annotations
from ._oxthreads import Barrier as _NativeBarrier
from ._oxthreads import Condition as _NativeCondition
from ._oxthreads import Event as _NativeEvent
from ._oxthreads import RLock as RLock
from ._oxthreads import Semaphore as _NativeSemaphore
from ._oxthreads import install_in as _callable_at_once
from ._oxthreads import keep_at_hand as _keep_at_hand
from ._standard_form import StandardAttribute, given, pickling_protocol, put_back

if sys.version_info >= (3, 13):
    from ._oxthreads import Lock as Lock
else:
    from ._oxthreads import allocate_lock

    Lock = allocate_lock
    Lock.__module__ = __name__  # where it is found under its name, "Lock"

# Importing typing takes longer than all the rest, and a program's start waits for this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from threading import TIMEOUT_MAX as TIMEOUT_MAX
    from threading import BrokenBarrierError as BrokenBarrierError
    from threading import ExceptHookArgs as ExceptHookArgs
    from threading import ThreadError as ThreadError
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
    from typing import Any, SupportsIndex

    if sys.version_info >= (3, 12):
        from threading import setprofile_all_threads as setprofile_all_threads
        from threading import settrace_all_threads as settrace_all_threads
    if sys.version_info >= (3, 15):
        from threading import concurrent_tee as concurrent_tee
        from threading import serialize_iterator as serialize_iterator
        from threading import synchronized_iterator as synchronized_iterator


__all__ = list(_standard.__all__)

# Kept, because the standard module's own names may be replaced by ours.
_StandardBarrier = _standard.Barrier
_StandardBoundedSemaphore = _standard.BoundedSemaphore
_StandardCondition: Any = _standard.Condition  # takes any lock
_StandardEvent = _standard.Event
_StandardRLock = _standard.RLock
_StandardSemaphore = _standard.Semaphore
_StandardThread = _standard.Thread
_StandardTimer = _standard.Timer


def _name(cls: type) -> str:
    """A class as the standard `repr` names it, `threading.Event`; ours are `oxthreads.Event`."""
    module = cls.__module__
    return f"{'oxthreads' if module == __name__ else module}.{cls.__qualname__}"


def _overrides(cls: type, ours: type, hooks: tuple[str, ...]) -> bool:
    """Whether a subclass changes what the standard methods call on themselves."""
    return any(getattr(cls, hook) is not getattr(ours, hook) for hook in hooks)


@_callable_at_once
class Condition(_NativeCondition, _standard.Condition):
    """A condition variable: threads wait until another one notifies them.

    lock: the lock that goes with it; an :class:`RLock` of its own by default.

    Thread-safe; waiters are notified in the order they came, and none of them wakes without a
    notification.

    Differences from threading.Condition: an exception that a signal handler raises in ``wait`` is
    held back until the lock is locked again (for a second, if the lock cannot be had and another
    exception follows); if the wait had been notified by then, the next waiter is notified instead.
    With a lock that is none of ours, once ``_waiters`` is used, and in a subclass that overrides
    ``notify``, ``_is_owned``, ``_release_save`` or ``_acquire_restore``, the condition is a standard
    one (see the README, "Standard form"). ``locked()`` is there before Python 3.14.
    """

    _waiters = StandardAttribute()

    _overrides_hooks = False

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        hooks = ("notify", "_is_owned", "_release_save", "_acquire_restore")
        cls._overrides_hooks = _overrides(cls, Condition, hooks)

    def _take_standard_form(self) -> None:
        attributes = vars(_StandardCondition(self._lock))
        self._retire(attributes, attributes["_waiters"])

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return super().__reduce_ex__(pickling_protocol(self, protocol, ("_waiters",)))


@_callable_at_once
class Semaphore(_NativeSemaphore, _StandardSemaphore):  # type: ignore[misc]
    """A number of permits: acquire takes one, and waits if there is none; release gives one back.

    value: how many there are at first (int).

    Raises ValueError if that is negative. Thread-safe. Waiters are served in the order they came,
    except that a thread which finds a permit free takes it, until some waiter has lost that race and
    has waited for a millisecond: it is handed the next permit.

    Differences from threading.Semaphore: the order and the bound on barging; a NaN timeout raises
    ValueError instead of spinning; and the condition ``_cond`` is made when it is first used, and the
    semaphore is then a standard one (see the README, "Standard form"), as from the beginning with a
    value that is no int of 64 bits.
    """

    _cond = StandardAttribute()

    _state_names: tuple[str, ...] = ("_cond", "_value")

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        ours = Semaphore
        if cls.release is not ours.release and cls.__exit__ is ours.__exit__:
            # Ours would not call it.
            cls.__exit__ = _StandardSemaphore.__exit__  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{_name(type(self))} at {id(self):#x}: value={self._value}>"

    def _take_standard_form(self) -> None:
        state = given(self, self._state_names)
        mutex = Lock()
        self._retire({"_cond": Condition(mutex)}, mutex)
        put_back(self, state)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return super().__reduce_ex__(pickling_protocol(self, protocol, self._state_names))


class BoundedSemaphore(Semaphore, _StandardBoundedSemaphore):  # type: ignore[misc]
    """A semaphore that has never more permits than at first.

    value: how many there are at first (int).

    Differences from threading.BoundedSemaphore: those of :class:`Semaphore`.
    """

    _state_names = ("_cond", "_value", "_initial_value")

    def __init__(self, value: int = 1) -> None:
        super().__init__(value)
        self._initial_value = value

    # The signatures to show are those of the running version, here and below.
    __init__.__wrapped__ = _StandardBoundedSemaphore.__init__  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return f"<{_name(type(self))} at {id(self):#x}: value={self._value}/{self._initial_value}>"


@_callable_at_once
class Event(_NativeEvent, _StandardEvent):
    """A flag that threads wait for.

    It is clear at first. Thread-safe; waiters wake in the order they came.

    Differences from threading.Event: the condition ``_cond`` is made when it is first used, and
    the event is then a standard one (see the README, "Standard form").
    """

    _cond = StandardAttribute()

    def __repr__(self) -> str:
        return f"<{_name(type(self))} at {id(self):#x}: {'set' if self._flag else 'unset'}>"

    def _take_standard_form(self) -> None:
        state = given(self, ("_cond", "_flag"))
        mutex = Lock()
        self._retire({"_cond": Condition(mutex)}, mutex)
        put_back(self, state)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return super().__reduce_ex__(pickling_protocol(self, protocol, ("_cond", "_flag")))

    def _at_fork_reinit(self) -> None:
        """Forget the waiters in a forked child. The native form has done so at the fork."""
        if "_cond" in vars(self):
            super()._at_fork_reinit()  # type: ignore[misc]


class Barrier(_NativeBarrier, _StandardBarrier):
    """A rendezvous: each thread waits until all have come.

    parties: how many threads that are (int).
    action: called by the last one before any goes on; if it raises, the barrier is broken.
    timeout: the timeout of waits that are given none, in seconds; None means without end.

    Thread-safe; waiters wake in the order they came.

    Differences from threading.Barrier: a thread that comes again while others have yet to leave is
    counted for the next round at once; a NaN timeout raises ValueError instead of spinning; with an
    action, once an attribute with an underscore is used, and in a subclass that overrides ``_enter``,
    ``_release``, ``_wait``, ``_exit`` or ``_break``, the barrier is a standard one (see the README,
    "Standard form").
    """

    _cond = StandardAttribute()
    _action = StandardAttribute()
    _timeout = StandardAttribute()
    _parties = StandardAttribute()
    _state = StandardAttribute()
    _count = StandardAttribute()

    _overrides_hooks = False

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        hooks = ("_enter", "_release", "_wait", "_exit", "_break")
        cls._overrides_hooks = _overrides(cls, Barrier, hooks)

    def __repr__(self) -> str:
        state = "broken" if self.broken else f"waiters={self.n_waiting}/{self.parties}"
        return f"<{_name(type(self))} at {id(self):#x}: {state}>"

    _state_names = ("_cond", "_action", "_timeout", "_parties", "_state", "_count")

    def _take_standard_form(self) -> None:
        state = given(self, self._state_names)
        mutex = Lock()
        self._retire({"_cond": Condition(mutex), "_action": None}, mutex)
        put_back(self, state)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return super().__reduce_ex__(pickling_protocol(self, protocol, self._state_names))

    def _wait_on(self: Any, index: int, timeout: float | None) -> int:
        """Go on waiting as the thread with that number, which began before the standard form."""
        with self._cond:
            try:
                self._wait(timeout)
                return index
            finally:
                self._count -= 1
                self._exit()

    def _withdraw(self: Any) -> None:
        """As :meth:`_wait_on`, but something was raised."""
        with self._cond:
            self._count -= 1
            self._exit()


class Thread(_StandardThread):
    """A thread of control.

    Differences from threading.Thread: the starting thread waits for the new one on an :class:`Event` of
    ours, so that an exception that a signal handler raises in ``start`` leaves the new thread as it would be
    without it. Everything else is inherited.
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
        started = self._started = Event()
        started._set_far_off()

    __init__.__wrapped__ = _StandardThread.__init__  # type: ignore[attr-defined]


class Timer(_StandardTimer, Thread):
    """A thread that calls a function after a while, unless it is cancelled before.

    interval: so many seconds (int or float).
    function, args, kwargs: what to call, and with what.

    Differences from threading.Timer: it waits on an :class:`Event` of ours.
    """

    # Not _StandardTimer's: that names a class as its base which the patch replaces.
    def __init__(
        self,
        interval: float,
        function: Callable[..., object],
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        Thread.__init__(self)
        self.interval = interval
        self.function = function
        self.args = args if args is not None else []
        self.kwargs = kwargs if kwargs is not None else {}
        self.finished = Event()

    __init__.__wrapped__ = _StandardTimer.__init__  # type: ignore[attr-defined]


_forget_annotations(Condition, Semaphore, BoundedSemaphore, Event, Barrier, Thread, Timer)


class _Module(type(sys)):  # type: ignore[misc]
    """This module's type: what is not ours is the standard module's, to be read, set and deleted."""

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(_standard, name)
        except AttributeError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _SHARED:
            setattr(_standard, name, value)
        else:
            super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if name in _SHARED:
            delattr(_standard, name)
        else:
            super().__delattr__(name)

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *dir(_standard)})


_keep_at_hand(__name__)
_SHARED = frozenset(vars(_standard)).difference(globals())
sys.modules[__name__].__class__ = _Module
