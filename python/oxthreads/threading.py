"""A drop-in mirror of :mod:`threading`: the classes of oxthreads, and the standard objects for the rest.

The standard module's shared state (``excepthook``, the trace and profile functions, the table of live
threads) exists only once, in the standard module. This module reads it there and writes it there.
"""

from __future__ import annotations

import os as _os
import sys
import threading as _standard
from collections import deque

from ._annotations import forget as _forget_annotations
from ._fallback import StandardAttribute, UnchangedIn, given, pickling_protocol, put_back
from ._fallback import name_as_standard as _name_as_standard
from ._fallback import stands_for as _stands_for
from ._mirror import share as _share_names
from ._oxthreads import Barrier as _NativeBarrier
from ._oxthreads import Condition as _NativeCondition
from ._oxthreads import Event as _NativeEvent
from ._oxthreads import RLock as RLock
from ._oxthreads import Semaphore as _NativeSemaphore
from ._oxthreads import install_in as _install_in
from ._oxthreads import preload as _preload
from ._oxthreads import set_questions as _set_questions

if sys.version_info >= (3, 13):
    from ._oxthreads import Lock as Lock
else:
    from ._oxthreads import allocate_lock as _make_lock

    Lock = _make_lock
    Lock.__module__ = __name__  # where it is found under its name, "Lock"

# Not imported at run time: importing typing takes longer than everything else here.
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

# Stored here, because the patch may replace the standard module's names by ours.
_StandardBarrier = _standard.Barrier
_StandardBoundedSemaphore = _standard.BoundedSemaphore
_StandardCondition: Any = _standard.Condition  # takes any lock
_StandardEvent = _standard.Event
_StandardRLock = _standard.RLock
_StandardSemaphore = _standard.Semaphore
_StandardThread = _standard.Thread
_StandardTimer = _standard.Timer


def _name(cls: type) -> str:
    """Return the name of a class for its `repr`, such as ``oxthreads.Event``."""
    module = cls.__module__
    return f"{'oxthreads' if module == __name__ else module}.{cls.__qualname__}"


class Condition(_NativeCondition, _standard.Condition):
    """A condition variable: threads wait until another thread notifies them.

    Use it when threads wait for a state that other threads change, for example "the list is not empty". A
    thread holds the lock while it reads or changes the state. ``wait`` releases the lock, sleeps until it is
    notified, and acquires the lock again before it returns.

    Thread-safe. Waiters are notified in the order in which they arrived, and no waiter wakes without a
    notification, unless its timeout expires.

    Args:
        lock (Lock or RLock): the lock to use; by default a new :class:`RLock`.

    Example:
        >>> from oxthreads.threading import Condition, Thread
        >>> items, changed = [], Condition()
        >>> def produce():
        ...     with changed:
        ...         items.append("tea")
        ...         changed.notify()
        >>> with changed:
        ...     producer = Thread(target=produce)
        ...     producer.start()
        ...     changed.wait_for(lambda: items)  # releases the lock while it waits
        ['tea']
        >>> producer.join()

    Differences from threading.Condition:

    * If a signal handler raises in ``wait``, the exception is raised only after the lock has been acquired
      again. If the lock cannot be acquired for a second, another exception ends the wait for it. If the
      wait had already been notified, the next waiter is notified instead.
    * The condition falls back to the standard library (see docs/fallback.md) if its lock is not
      an oxthreads lock, when ``_waiters`` is used, and in a subclass that overrides ``notify``,
      ``_is_owned``, ``_release_save`` or ``_acquire_restore``.
    * ``locked()`` also exists before Python 3.14.
    """

    _waiters = StandardAttribute()

    def _oxthreads_fall_back(self) -> None:
        lock = self._oxthreads_lock
        # Without a lock, __init__ has not run: the object has no attributes yet.
        attributes = {"_waiters": deque()} if lock is None else vars(_StandardCondition(lock))
        self._oxthreads_hand_over({} if lock is None else attributes, attributes["_waiters"])

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return super().__reduce_ex__(pickling_protocol(self, protocol, ("_waiters",)))


class Semaphore(_NativeSemaphore, _StandardSemaphore):  # type: ignore[misc]
    """A counter of permits, which limits how many threads do something at the same time.

    ``acquire`` takes a permit, and waits if there is none. ``release`` gives one back, and may be called by
    any thread. In a ``with`` statement both happen automatically. Use it to limit the connections to a
    server, for example.

    Thread-safe. Waiters are served in the order in which they arrived, with one exception: a thread that
    finds a free permit takes it immediately. No waiter starves: one that has lost this race and has waited
    for a millisecond is handed the next permit.

    Args:
        value (int): the number of permits at the start.

    Raises:
        ValueError: if ``value`` is negative.

    Example:
        >>> from oxthreads.threading import Semaphore
        >>> connections = Semaphore(2)
        >>> with connections, connections:
        ...     connections.acquire(blocking=False)  # both permits are taken
        False
        >>> connections.acquire(timeout=1)
        True

    Differences from threading.Semaphore:

    * The order in which waiters are served, and the limit on how long others may overtake them.
    * A timeout of NaN raises ValueError; the standard semaphore spins.
    * The semaphore falls back to the standard library (see docs/fallback.md) when ``_cond`` is
      used, and from the start if ``value`` is not an int of 64 bits.
    """

    _cond = StandardAttribute()

    _oxthreads_state: tuple[str, ...] = ("_cond", "_value")

    def __repr__(self) -> str:
        return f"<{_name(type(self))} at {id(self):#x}: value={self._value}>"

    def _oxthreads_fall_back(self) -> None:
        state = given(self, self._oxthreads_state)
        mutex = Lock()
        self._oxthreads_hand_over({"_cond": Condition(mutex)}, mutex)
        put_back(self, state)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return super().__reduce_ex__(pickling_protocol(self, protocol, self._oxthreads_state))


class BoundedSemaphore(Semaphore, _StandardBoundedSemaphore):  # type: ignore[misc]
    """A semaphore that raises ValueError when it is released more often than acquired.

    Use it where each ``release`` belongs to an ``acquire``: a ``release`` too many is then found at once,
    and does not quietly raise the limit.

    Thread-safe. Waiters are served as by :class:`Semaphore`.

    Args:
        value (int): the number of permits at the start, which is also the largest number.

    Raises:
        ValueError: if ``value`` is negative.

    Example:
        >>> from oxthreads.threading import BoundedSemaphore
        >>> connections = BoundedSemaphore(2)
        >>> with connections:
        ...     pass
        >>> connections.release()
        Traceback (most recent call last):
            ...
        ValueError: Semaphore released too many times

    Differences from threading.BoundedSemaphore: those of :class:`Semaphore`.
    """

    _oxthreads_state = ("_cond", "_value", "_initial_value")
    _initial_value = _NativeSemaphore._oxthreads_initial_value

    def __init__(self, value: int = 1) -> None:
        super().__init__(value)
        self._initial_value = value

    # inspect shows the signature of the running Python version, here and below.
    __init__.__wrapped__ = _StandardBoundedSemaphore.__init__  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return f"<{_name(type(self))} at {id(self):#x}: value={self._value}/{self._initial_value}>"


class Event(_NativeEvent, _StandardEvent):
    """A flag that threads can wait for. It is clear at first.

    Use it to tell any number of threads that something has happened, once: ``set`` wakes every thread in
    ``wait``, and later calls of ``wait`` return immediately.

    Thread-safe. Waiters wake in the order in which they arrived.

    Example:
        >>> from oxthreads.threading import Event, Thread
        >>> ready = Event()
        >>> ready.wait(timeout=0)  # not set yet
        False
        >>> worker = Thread(target=ready.set)
        >>> worker.start()
        >>> ready.wait()
        True
        >>> worker.join()

    Differences from threading.Event: the event falls back to the standard library (see
    docs/fallback.md) when ``_cond`` is used.
    """

    _cond = StandardAttribute()

    def __repr__(self) -> str:
        return f"<{_name(type(self))} at {id(self):#x}: {'set' if self._flag else 'unset'}>"

    def _oxthreads_fall_back(self) -> None:
        state = given(self, ("_cond", "_flag"))
        mutex = Lock()
        self._oxthreads_hand_over({"_cond": Condition(mutex)}, mutex)
        put_back(self, state)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return super().__reduce_ex__(pickling_protocol(self, protocol, ("_cond", "_flag")))

    def _at_fork_reinit(self) -> None:
        """Remove the waiters in a forked child. An event that has not fallen back does this at the fork."""
        if "_cond" in vars(self):
            super()._at_fork_reinit()  # type: ignore[misc]


class Barrier(_NativeBarrier, _StandardBarrier):
    """A meeting point: each thread waits until all of them have arrived.

    Use it when a fixed number of threads work in steps, and no thread may begin the next step before all
    have finished this one. After all threads have passed, the barrier can be used again.

    Thread-safe. Waiters wake in the order in which they arrived.

    Args:
        parties (int): the number of threads that meet.
        action (callable): called without arguments by the thread that arrives last, before any thread
            passes. If it raises, the barrier is broken. None calls nothing.
        timeout (float): seconds, the timeout of each ``wait`` that is called without one. None waits
            without a limit.

    Raises:
        ValueError: if ``parties`` is less than 1 (from Python 3.13 on).

    Example:
        >>> from oxthreads.threading import Barrier, Thread
        >>> loaded, barrier = [], Barrier(2)
        >>> def load():
        ...     loaded.append("settings")
        ...     barrier.wait()
        >>> loader = Thread(target=load)
        >>> loader.start()
        >>> position = barrier.wait()  # which thread this is: 0 or 1
        >>> loaded
        ['settings']
        >>> loader.join()

    Differences from threading.Barrier:

    * A thread that calls ``wait`` again while others of the last round have not left yet is counted for
      the next round immediately. In the standard barrier it waits for them first.
    * A timeout of NaN raises ValueError; the standard barrier spins.
    * The barrier falls back to the standard library (see docs/fallback.md) if it has an action,
      when an attribute that begins with an underscore is used, and in a subclass that overrides
      ``_enter``, ``_release``, ``_wait``, ``_exit`` or ``_break``.
    """

    _cond = StandardAttribute()
    _action = StandardAttribute()
    _timeout = StandardAttribute()
    _parties = StandardAttribute()
    _state = StandardAttribute()
    _count = StandardAttribute()

    def __repr__(self) -> str:
        state = "broken" if self.broken else f"waiters={self.n_waiting}/{self.parties}"
        return f"<{_name(type(self))} at {id(self):#x}: {state}>"

    _oxthreads_state = ("_cond", "_action", "_timeout", "_parties", "_state", "_count")

    def _oxthreads_fall_back(self) -> None:
        state = given(self, self._oxthreads_state)
        mutex = Lock()
        self._oxthreads_hand_over({"_cond": Condition(mutex), "_action": None}, mutex)
        put_back(self, state)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return super().__reduce_ex__(pickling_protocol(self, protocol, self._oxthreads_state))

    def _oxthreads_wait_on(self: Any, index: int, timeout: float | None) -> int:
        """Continue a wait that began before the fallback, as the thread with that index."""
        with self._cond:
            try:
                self._wait(timeout)
                return index
            finally:
                self._count -= 1
                self._exit()

    def _oxthreads_withdraw(self: Any) -> None:
        """End a wait that began before the fallback, because something was raised in it."""
        with self._cond:
            self._count -= 1
            self._exit()


class Thread(_StandardThread):
    """A thread of control, which runs a function at the same time as the other threads.

    Thread-safe, as the standard class is: ``join`` and ``is_alive`` may be called by any thread.

    Args:
        group: must be None.
        target (callable): the function that the thread calls.
        name (str): the thread's name, which logs and reports show. By default it is made from a number.
        args (iterable): the positional arguments of ``target``.
        kwargs (mapping): the keyword arguments of ``target``.
        daemon (bool): True if the interpreter may exit while the thread runs. By default it is the value
            of the thread that creates this one.
        context (contextvars.Context): the context to run in (from Python 3.14 on).

    Example:
        >>> from oxthreads.threading import Thread
        >>> squares = []
        >>> thread = Thread(target=lambda number: squares.append(number * number), args=(4,))
        >>> thread.start()
        >>> thread.join()
        >>> squares
        [16]

    Differences from threading.Thread: ``start`` waits for the new thread with an oxthreads :class:`Event`.
    If a signal handler raises in ``start``, the new thread runs as if nothing had been raised. Everything
    else is inherited.
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
        # `later`: arguments that later versions of Python add (3.14: context).
        super().__init__(group, target, name, args, kwargs, daemon=daemon, **later)
        started = self._started = Event()
        started._oxthreads_set_no_spin()

    __init__.__wrapped__ = _StandardThread.__init__  # type: ignore[attr-defined]


if "free-threading" in sys.version:

    class _Anchor:
        """An object that is allocated from the heap of the thread that has made it."""

    #: The anchors of the latest threads: they outlive their threads, but not by much.
    _anchors: deque[_Anchor] = deque(maxlen=64)

    def _set_ident(
        self: Thread,
        standard: Callable[[Thread], None] = _StandardThread._set_ident,  # type: ignore[attr-defined]
        anchors: deque[_Anchor] = _anchors,
        anchor: type[_Anchor] = _Anchor,
    ) -> None:
        # Without a GIL each thread allocates from four heaps of its own (of mimalloc). When it ends, it
        # abandons its pages that are still in use, heap after heap. After each heap CPython 3.14 looks
        # through the memory that ended threads have abandoned, and if there is any, even a single segment,
        # it looks 1,024 times. A thread's segment counts as abandoned when the last of its pages is. The
        # last heap has the objects whose classes are written in Python. With one of these, that is not
        # before the last search.
        standard(self)
        anchors.append(anchor())

    _set_ident.__qualname__ = "Thread._set_ident"
    Thread._set_ident = _set_ident  # type: ignore[attr-defined]
    del _set_ident, _anchors, _Anchor


def reuse_threads(seconds: float | None) -> None:
    """Keep the operating system threads of threads that have ended, and use them for the next ones.

    Use it if a program makes many threads for short tasks, or pools for a few calls each. It saves most of
    the time of a thread. A thread object is as new as ever: its ``threading.local`` values, its contexts and
    its trace and profile functions are its own. What the operating system and C libraries store for each
    thread stays.

    It is off unless it is asked for, here or by the environment variable ``OXTHREADS_REUSE_THREADS``
    (seconds). It applies to the threads that are started from now on. Thread-safe.

    Args:
        seconds (float): how long an operating system thread is kept after its last use. None or 0: threads
            are not kept, and those that are kept now end.

    Raises:
        TypeError: if ``seconds`` is not a number.
        ValueError: if ``seconds`` is negative or NaN.

    Example:
        >>> from oxthreads.threading import Thread, reuse_threads
        >>> reuse_threads(10)
        >>> idents = set()
        >>> for _ in range(3):
        ...     thread = Thread(target=lambda: idents.add(get_ident()))
        ...     thread.start()
        ...     thread.join()
        >>> reuse_threads(None)

    See docs/reused_threads.md.
    """
    global _keep_for  # noqa: PLW0603
    reused = _reused_threads()
    if reused is None:
        return
    chosen = reused.seconds_of(seconds)
    with _choosing:
        if chosen is not None and reused.prepare():
            _keep_for = chosen
            # A tool that has wrapped the method, and has taken that back, has put the standard one here.
            if vars(Thread).get("start", _StandardThread.start) is _StandardThread.start:
                Thread.start = _start_reused  # type: ignore[method-assign, assignment]
            return
        _keep_for = None
        if vars(Thread).get("start") is _start_reused:
            del Thread.start
    reused.end_kept()


#: Held while the method and the next value are changed.
_choosing = RLock()

#: For how many seconds operating system threads are kept; None: they are not.
_keep_for: float | None = None


def _reused_threads() -> Any:
    """Return the module of that name, which only those load who ask for it.

    None: the interpreter is ending, and nothing can be imported any more.
    """
    try:
        from . import _reused_threads  # noqa: PLC0415
    except ImportError:
        return None
    return _reused_threads


def _start_reused(self: Thread) -> None:
    """Start the thread's activity; `Thread.start` while threads are reused."""
    _start_thread(self)


def _start_thread(self: Thread, keep: float | None = None, *, waits: bool = False) -> None:
    """Start the thread, and keep its operating system thread afterwards.

    Args:
        self (Thread): the thread.
        keep (float): for how many seconds; 0: it is not kept; None: as `reuse_threads` was told.
        waits (bool): whether to wait until the thread has begun.
    """
    reused = _reused_threads()
    if keep is None:
        keep = _keep_for
    if not keep or reused is None or not reused.can_start(_StandardThread):
        _StandardThread.start(self)
    else:
        reused.start(self, keep, waits=waits)


_start_reused.__name__ = "start"
_start_reused.__qualname__ = "Thread.start"
_start_reused.__doc__ = _StandardThread.start.__doc__
_start_reused.__wrapped__ = _StandardThread.start  # type: ignore[attr-defined]


class Timer(_StandardTimer, Thread):
    """A thread that calls a function after some time, unless it is cancelled before.

    Thread-safe: ``cancel`` may be called by any thread.

    Args:
        interval (float): seconds to wait after ``start`` before the call.
        function (callable): the function to call.
        args (iterable): the positional arguments of ``function``; None means none.
        kwargs (mapping): the keyword arguments of ``function``; None means none.

    Example:
        >>> from oxthreads.threading import Timer
        >>> reminder = Timer(3600, print, ["Time for a break!"])
        >>> reminder.start()
        >>> reminder.cancel()  # prints nothing
        >>> reminder.join()

    Differences from threading.Timer: it waits for an oxthreads :class:`Event`.
    """

    # Not the __init__ of _StandardTimer: it calls `Thread.__init__` by a name that the patch replaces.
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


@_stands_for("Condition", __name__)
class _Additions:
    """Signatures of the methods that standard conditions copy from their lock, and ours define."""

    def acquire(self, blocking=True, timeout=-1):  # type: ignore[no-untyped-def]
        raise TypeError("acquire() is for conditions of oxthreads")

    def release(self):  # type: ignore[no-untyped-def]
        raise TypeError("release() is for conditions of oxthreads")

    def locked(self):  # type: ignore[no-untyped-def]
        raise TypeError("locked() is for conditions of oxthreads")


_install_in(Condition, _StandardCondition, _Additions)
_install_in(Semaphore, _StandardSemaphore)
_install_in(BoundedSemaphore, _StandardBoundedSemaphore)
_name_as_standard(Event, _StandardEvent)
_install_in(Event, _StandardEvent)
_install_in(Barrier, _StandardBarrier)
_set_questions(
    Condition,
    UnchangedIn(
        Condition,
        *("_lock", "_waiters", "acquire", "release"),
        *("notify", "_is_owned", "_release_save", "_acquire_restore"),
    ),
)
_set_questions(Event, UnchangedIn(Event, "_cond", "_flag"), waits_itself=UnchangedIn(Event, "wait"))
_set_questions(
    Barrier,
    UnchangedIn(
        Barrier,
        *("_cond", "_action", "_timeout", "_parties", "_state", "_count"),
        *("_enter", "_release", "_wait", "_exit", "_break"),
    ),
)


def _semaphores() -> None:
    unbounded = UnchangedIn(Semaphore, "_cond", "_value")
    bounded = UnchangedIn(BoundedSemaphore, "_cond", "_value", "_initial_value")
    releases = UnchangedIn(Semaphore, "release")
    releases_within_bounds = UnchangedIn(BoundedSemaphore, "release")
    acquires = UnchangedIn(Semaphore, "acquire")
    acquires_bounded = UnchangedIn(BoundedSemaphore, "acquire")

    def runs_natively(cls: type) -> bool:
        return bounded(cls) if issubclass(cls, BoundedSemaphore) else unbounded(cls)

    def releases_itself(cls: type) -> bool:
        return runs_natively(cls) and (releases(cls) or releases_within_bounds(cls))

    def acquires_itself(cls: type) -> bool:
        return acquires(cls) or acquires_bounded(cls)

    _set_questions(Semaphore, runs_natively, releases_itself=releases_itself, acquires_itself=acquires_itself)


_semaphores()

_forget_annotations(Condition, Semaphore, BoundedSemaphore, Event, Barrier, Thread, Timer)

_shared = frozenset(vars(_standard)).difference(globals())
_share_names(sys.modules[__name__], _standard, _shared, reads_all=True)

# The native code looks up locks and exceptions in `_NAMES` when it needs them. The other two tell
# `oxthreads.patch` what this module replaces.
_NAMES = vars(_standard)
_OWN_NAMES = globals()
_STANDARD_MODULES = {"threading": _standard}

_preload(__name__)

if _let_join_end := getattr(sys.modules.get("oxthreads.tasks"), "_let_join_end", None):
    _let_join_end(Thread)  # this module is made a second time
del _let_join_end

if _os.environ.get("OXTHREADS_REUSE_THREADS", "") not in ("", "0"):
    from ._reused_threads import start_as_asked as _start_as_asked

    _start_as_asked(reuse_threads)
