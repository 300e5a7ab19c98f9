"""Threads that run in operating system threads which are used again; see ``reuse_threads`` of
:mod:`oxthreads.threading`.
"""

from __future__ import annotations

import _thread
import functools
import os
import sys
import threading as _standard

from . import _oxthreads as _native

# Not imported at run time: importing typing takes longer than everything else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from typing import Any

#: The attribute of a thread for its end. Before 3.13, its lock `_tstate_lock` says that.
_HANDLE = (
    None if sys.version_info < (3, 13) else "_handle" if sys.version_info < (3, 14) else "_os_thread_handle"
)

#: The function that starts an operating system thread, by the name that `threading` has for it, and what it
#: is unless a tool has replaced it.
_STARTER = "_start_new_thread" if _HANDLE is None else "_start_joinable_thread"
_STANDARD_STARTER = getattr(_standard, _STARTER)

_STANDARD_START = _standard.Thread.start

#: The functions that `threading.Thread.start` may be: what they do is done here too.
known_starts: list[Callable[[Any], None]] = [_STANDARD_START]

#: Called with each thread before it is started here.
before_start: list[Callable[[threading.Thread], None]] = []

#: The ends of threads that are not daemons. Those of threads that have ended are removed now and then.
_ends: set[_native.ThreadHandle] = set()
_ends_at_most = 64

_is_exiting = False
_is_prepared = False


def seconds_of(seconds: float | None, name: str = "seconds") -> float | None:
    """Return for how many seconds threads are kept; None if they are not.

    Raises:
        TypeError: if it is no number.
        ValueError: if it is negative or NaN.
    """
    if seconds is None:
        return None
    number = float(seconds)
    if not number >= 0:
        raise ValueError(f"{name} must be a non-negative number")
    return number or None


#: The threads that are forking and are not the main thread.
_forking: set[int] = set()

#: Whether this process, or one of its parents, is the child of a fork in another thread than the main one.
_ends_with_its_last_thread = False


def _before_fork() -> None:
    if _thread.get_ident() != _standard.main_thread().ident:
        _forking.add(_thread.get_ident())
    _native.hold_kept_threads()


def _after_fork_in_parent() -> None:
    _forking.discard(_thread.get_ident())
    _native.release_kept_threads()


def _after_fork_in_child() -> None:
    global _ends_with_its_last_thread  # noqa: PLW0603
    # Such a child ends when its last thread does, in whatever way. A kept thread would keep it alive.
    if _thread.get_ident() in _forking:
        _ends_with_its_last_thread = True
    if _ends_with_its_last_thread:
        _native.close_kept_threads()
    _forking.clear()


def start_as_asked(reuse_threads: Callable[[float], None]) -> None:
    """Keep threads as the environment variable asks. What is no number of seconds is reported."""
    choice = os.environ["OXTHREADS_REUSE_THREADS"]
    try:
        reuse_threads(float(choice))
    except ValueError:
        sys.stderr.write(f"oxthreads: OXTHREADS_REUSE_THREADS is {choice!r}, and not a number of seconds\n")


def prepare() -> bool:
    """Do once what must be done before a thread is kept. Return whether threads can be kept."""
    global _is_prepared  # noqa: PLW0603
    if _is_exiting:
        return False
    if not _is_prepared:
        try:
            # The last one that is registered is called first. None of them waits for another.
            _standard._register_atexit(_exit)  # type: ignore[attr-defined]
        except RuntimeError:
            return False  # the interpreter is exiting
        _is_prepared = True
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=_before_fork,
                after_in_parent=_after_fork_in_parent,
                after_in_child=_after_fork_in_child,
            )
    return "free-threading" not in sys.version or _finds_local_keys()


def can_start(standard_thread: type[threading.Thread]) -> bool:
    """Return whether a thread may be started here: not if a tool has replaced what starts threads."""
    return (
        not _is_exiting
        and standard_thread.start in known_starts
        and getattr(_standard, _STARTER) is _STANDARD_STARTER
    )


def start(thread: Any, seconds: float, *, waits: bool = False) -> None:
    """Do what `threading.Thread.start` does, in an operating system thread that is kept afterwards.

    Args:
        thread (Thread): the thread.
        seconds (float): how long the operating system thread is kept.
        waits (bool): True: return when the thread has begun. False: it is enough that it will begin.
    """
    for note in before_start:
        note(thread)
    # What follows is the standard method, step by step.
    if not thread._initialized:
        raise RuntimeError("thread.__init__() not called")
    if thread._started.is_set():
        raise RuntimeError("threads can only be started once")
    handed_over: list[tuple[int, int] | bool | None] = []
    try:
        _hand_over(thread, seconds, handed_over, waits)
    finally:
        # However it has ended: if the thread will not begin, nothing may wait for it.
        if not handed_over or handed_over[0] is False:
            _take_back(thread)
    identity = handed_over[0]
    if identity is False:
        _STANDARD_START(thread)
    elif waits or _HANDLE is None or not isinstance(identity, tuple):
        # Before 3.13 the thread makes the lock by which it is joined when it begins.
        thread._started.wait()
    else:
        # It may not have begun, but all that a started thread shows is known: there is no need to wait.
        thread._ident, thread._native_id = identity
        thread._started.set()


def _hand_over(
    thread: Any, seconds: float, handed_over: list[tuple[int, int] | bool | None], waits: bool
) -> None:
    """Have the thread begin. Then `handed_over` has an element if it will; False: no thread may begin."""
    handle = None
    if _HANDLE is not None:
        handle = _native.ThreadHandle()
        if not thread._daemonic:
            _follow(handle)
        setattr(thread, _HANDLE, handle)
    # After that: an exit that has not seen the handle has set this before.
    if _is_exiting:
        handed_over.append(False)
        return
    with _standard._active_limbo_lock:  # type: ignore[attr-defined]
        _standard._limbo[thread] = thread  # type: ignore[attr-defined]
    if sys.version_info >= (3, 14) and thread._context is None:
        contexts = _standard._contextvars  # type: ignore[attr-defined]
        inherits = sys.flags.thread_inherit_context
        thread._context = contexts.copy_context() if inherits else contexts.Context()
    bootstrap, name = thread._bootstrap, thread._name
    if _HANDLE is not None:
        sys.audit("_thread.start_joinable_thread", bootstrap, thread._daemonic, handle)
    elif sys.version_info >= (3, 12):
        sys.audit("_thread.start_new_thread", bootstrap, (), None)
    _native.start_reused(
        bootstrap,
        name if type(name) is str else "",
        _native.stack_size_now(),
        seconds,
        handle,
        waits or handle is None,
        handed_over,
    )


def _take_back(thread: Any) -> None:
    """The thread was not handed over: it is again one that was not started."""
    if sys.version_info >= (3, 13):
        assert _HANDLE is not None
        handle = getattr(thread, _HANDLE)
        if type(handle) is _native.ThreadHandle:
            handle._set_done()
            setattr(thread, _HANDLE, _thread._ThreadHandle())
    with _standard._active_limbo_lock:  # type: ignore[attr-defined]
        _standard._limbo.pop(thread, None)  # type: ignore[attr-defined]


def end_kept() -> None:
    """End the threads that are kept now."""
    _native.hold_kept_threads()
    _native.release_kept_threads()


def _follow(handle: _native.ThreadHandle) -> None:
    """Have the exit wait for the thread."""
    global _ends_at_most  # noqa: PLW0603
    _ends.add(handle)
    if len(_ends) > _ends_at_most:
        for other in [*_ends]:
            if other.is_done():
                _ends.discard(other)
        _ends_at_most = max(64, 2 * len(_ends))


def _exit() -> None:
    """End the kept threads, because the interpreter is about to exit; it waits for the others as ever."""
    global _is_exiting  # noqa: PLW0603
    _is_exiting = True
    _native.close_kept_threads()
    if _HANDLE is not None and not all(handle.is_done() for handle in [*_ends]):
        # The interpreter waits for the threads that it has started itself. One of them waits for the others:
        # not this one, because these may wait for what is called after this function.
        _STANDARD_STARTER(_wait_for_ends, daemon=False)


def _wait_for_ends() -> None:
    # A thread that is being started now adds its end before it looks whether the exit has begun.
    while handles := [handle for handle in [*_ends] if not handle.is_done()]:
        for handle in handles:
            handle.join()


@functools.cache
def _finds_local_keys() -> bool:
    """Find out where a thread state has the two objects to which the values of ``threading.local`` belong.

    A thread that is kept with its state gives them up after each task, as its end would. Their place depends
    on the version. So this makes a value in a new thread, and looks for the objects that it belongs to: the
    value knows them. Return whether they were found.
    """
    try:
        import ctypes  # noqa: PLC0415 - only where it is needed
        import gc  # noqa: PLC0415
    except ImportError:
        return False

    found: list[tuple[int, int]] = []

    def look() -> None:
        get_state = ctypes.pythonapi.PyThreadState_Get
        get_state.restype = ctypes.c_void_p
        local = _standard.local()
        local.value = None
        parts = gc.get_referents(local)
        values = [part for part in parts if type(part) is dict]
        sentinels = [part for part in parts if type(part) is set]
        keys = {id(key) for part in values for key in part}
        watched = {id(reference()) for part in sentinels for reference in part}
        words = (ctypes.c_size_t * 128).from_address(get_state())
        first = [place for place, word in enumerate(words) if word in keys]
        second = [place for place, word in enumerate(words) if word in watched]
        if len(first) == len(second) == 1:
            found.append((first[0], second[0]))

    thread = _standard.Thread(target=look)
    _standard.Thread.start(thread)
    thread.join()
    if found:
        _native.set_local_keys(*found[0])
    return bool(found)
