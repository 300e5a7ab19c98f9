"""The watch: what is looked for, how often, and what is done about it."""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import oxthreads.threading as _threads
from oxthreads import _oxthreads as _native
from oxthreads import _startup, diagnose
from oxthreads.diagnose import _inspection, _order, _profile_names, _report, _situation, _thread_ends
from oxthreads.diagnose._situation import Situation

if TYPE_CHECKING:
    from types import TracebackType

    from oxthreads.diagnose._situation import Group

__all__ = [
    "MODES",
    "Watch",
    "deadlocked",
    "listeners",
    "report",
    "start",
    "start_to_name",
    "stop_if_unused",
]

MODES = ("report", "raise", "exit", "order")

#: Seconds that a wait must have lasted before it is part of something that is only likely.
PATIENCE = 1.0

#: Seconds after which the watch looks again at threads that were not all asleep.
AGAIN_SECONDS = 0.1

#: Seconds after which a thread that joins another looks whether its wait must end.
JOIN_SLICE = 0.25

#: The mode of the watch. None: nobody watches.
_mode: str | None = None
#: The numbers of the waits of each report. A wait may be part of another deadlock after the first was ended.
_reported: set[frozenset[int]] = set()
#: What was said of looks that have failed.
_failures: set[str] = set()
#: The numbers of the waits of threads that are, or were, in a certain deadlock.
_deadlocked: set[int] = set()
#: Called with the text of each certain deadlock, by the thread of the watch.
listeners: list[Callable[[str], object]] = []


class Watch:
    """A running watch; see :func:`oxthreads.diagnose.watch`."""

    def lock_orders(self) -> list[list[dict[str, Any]]]:
        """Return the lock orders that were reported since the watch for them began.

        Thread-safe.

        Returns:
            list: for each report the steps of the cycle. A step is a dictionary: ``thread`` (str), the name
                of the thread; ``first`` (str), the lock that it held; ``first_at``, where it had acquired
                that, as a dictionary of ``file`` (str), ``line`` (int) and ``function`` (str), or None if
                that is not known; ``then`` (str), the lock that it acquired; and ``stack``, where it did
                that: a list of such dictionaries, the innermost function first. Empty in a watch without
                "order".
        """
        return _order.findings()

    def stop(self) -> None:
        """End the watch. Does nothing if it has ended."""
        global _mode  # noqa: PLW0603 - there is one watch in a process
        _mode = None
        _order.stop()
        stop_if_unused()

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def start(mode: str) -> Watch:
    """Start the watch; see :func:`oxthreads.diagnose.watch`."""
    global _mode
    choice = _startup.split_watch(mode) if isinstance(mode, str) else None
    if choice is None:
        wanted = "'report', 'raise', 'exit', 'order' or 'order,' and one of the others"
        raise ValueError(f"mode must be {wanted}, not {mode!r}")
    _prepare()
    _mode, is_about_order = choice
    _start_thread()
    if is_about_order:
        _order.start()
    else:
        _order.stop()
    return Watch()


def start_to_name() -> None:
    """Start the thread of the watch, by which a profile or a trace finds names. It judges nothing."""
    _prepare_thread()
    _start_thread()


def stop_if_unused() -> None:
    """End the thread, if neither a watch nor a profile nor a trace needs it."""
    if _mode is None and not _native.profile_runs() and not _native.trace_runs():
        _native.stop_watcher()


def _start_thread() -> None:
    _native.start_watcher(
        _judge, _describe, _profile_names.find_names, _inspection.socket_directory(make=True)
    )


def deadlocked() -> int | None:
    """How many threads are in a certain deadlock, or wait for one that is; None if nobody watches."""
    return None if _mode is None else _native.waits_going_on([*_deadlocked])


def _note_deadlocked(situation: Situation, stuck: set[int]) -> None:
    waits = {situation.waits[number].wait for number in stuck}
    if not waits <= _deadlocked:
        ended = {wait for wait in [*_deadlocked] if not _native.waits_going_on([wait])}
        _deadlocked.difference_update(ended)
        _deadlocked.update(waits)


def report() -> str:
    """What all threads do; see :func:`oxthreads.diagnose.report`."""
    _record()
    return _inspection.text(_inspection.description())


def _describe() -> str | None:
    """What is answered to an inspection. None: it has failed."""
    try:
        return json.dumps(_inspection.description())
    except Exception as error:
        _tell_failure(error)
        return None


def _judge(numbers: list[int]) -> float | None:
    """Look at the sleeps with these numbers, which have lasted for a while; say what is wrong.

    Returns the seconds after which it must look again, even if nothing has changed.
    """
    try:
        return _look(numbers)
    except Exception as error:
        _tell_failure(error)
        return PATIENCE


def _tell_failure(error: Exception) -> None:
    """Say that a look has failed: in one line, and once. A hook of the program may have raised."""
    place, last = "", error.__traceback__
    while last is not None:
        place = f"{last.tb_frame.f_code.co_filename.rpartition(os.sep)[2]}:{last.tb_lineno}"
        last = last.tb_next
    text = f"oxthreads: the watch could not look at the threads: {type(error).__name__} at {place}\n"
    if text not in _failures:
        _failures.add(text)
        _report.write(text)


def _look(numbers: list[int]) -> float | None:  # noqa: PLR0912 - one look, from top to bottom
    mode = _mode
    if mode is None:
        return None
    texts: list[str] = []
    to_end: list[tuple[list[int], str]] = []
    again: float | None = None
    with _situation.without_finalizers(), _native.Pin(numbers) as pin:
        situation = Situation(pin)
        if len(pin.sleeps()) < len(numbers):
            # Some have woken, if only to look for signals.
            again = AGAIN_SECONDS
        suspects = situation.stuck("certain", "likely", "with")
        if suspects:
            situation.confirm(suspects)
        stuck = situation.stuck("certain")
        _note_deadlocked(situation, stuck)
        for group in _new(situation, stuck):
            text = _report.deadlock(situation, group)
            texts.append(text)
            if mode == "raise":
                to_end.append((_endable(situation, group), text.removeprefix("oxthreads: deadlock: ")))
        certain = list(texts)
        if situation.depends_on_others:
            again = _sooner(again, PATIENCE)
        likely = set() if stuck else situation.stuck("certain", "likely")
        if likely:
            wait = _until_old(situation, likely)
            if wait is None:
                texts += [_report.likely_deadlock(situation, group) for group in _new(situation, likely)]
            again = _sooner(again, wait)
        if situation.waits and not stuck and not likely:
            wait = _until_old(situation, set(situation.waits))
            if not _all_are_asleep(situation):
                # The end of a thread that has no number, or that the system has not removed yet, changes
                # nothing that the watch is woken for.
                again = _sooner(again, wait or PATIENCE)
            elif wait is not None:
                again = _sooner(again, wait)
            elif _is_new({waiting.wait for waiting in situation.waits.values()}):
                texts.append(_report.all_asleep(situation))
    if texts:
        # At once, so that a standard error that takes nothing costs time only once.
        _report.write("".join(f"{text}\n" for text in texts))
    _tell(certain)
    # After that, so that the report comes before what the program says of the error.
    for waits, text in to_end:
        any(_end(wait, text) for wait in waits)
    if certain and mode == "exit":
        os._exit(2)
    return again


def _tell(texts: list[str]) -> None:
    """Call the listeners. What they raise must not keep the watch from what it has to do."""
    for text in texts:
        for listener in listeners:
            try:
                listener(text)
            except Exception as error:
                _report.write(f"oxthreads: a listener of the watch has failed: {error!r}\n")


def _sooner(one: float | None, other: float | None) -> float | None:
    """The shorter of two times; None is no time."""
    return min((each for each in (one, other) if each is not None), default=None)


def _new(situation: Situation, stuck: set[int]) -> list[Group]:
    """The groups that were not reported before."""
    groups = situation.groups(stuck)
    return [group for group in groups if _is_new({situation.waits[number].wait for number in group.core})]


def _is_new(waits: set[int]) -> bool:
    if frozenset(waits) in _reported:
        return False
    _reported.add(frozenset(waits))
    return True


def _until_old(situation: Situation, numbers: set[int]) -> float | None:
    """The seconds until all these waits have lasted for long; None if they have."""
    youngest = min((situation.waits[number].age for number in numbers), default=PATIENCE)
    return PATIENCE - youngest if youngest < PATIENCE else None


def _endable(situation: Situation, group: Group) -> list[int]:
    """The waits of the deadlock that can be ended: that of the main thread first, then the youngest.

    An error in a wait for the tasks of a group only cancels the tasks, and so it comes last.
    """
    main = situation.numbers.get(threading.main_thread().ident or 0)
    waits = [situation.waits[number] for number in group.core if not situation.takes_again(number)]
    waits.sort(key=lambda each: (each.what == "TaskGroup", each.thread != main, each.age))
    return [waiting.wait for waiting in waits if waiting.can_end]


def _end(wait: int, reason: str) -> bool:
    """End a wait with an error; return whether it was there and could be ended."""
    # A wait of the main thread wakes now and then, and has another number when it sleeps again.
    for _ in range(100):
        sleeps = [
            waiting.sleep
            for waiting in map(_situation.Waiting._make, _native.asleep())
            if waiting.wait == wait
        ]
        with _native.Pin(sleeps) as pin:
            if any(pin.end(sleep, reason) for sleep in sleeps):
                return True
        time.sleep(0.001)
    return False


def _all_are_asleep(situation: Situation) -> bool:
    """Whether every thread sleeps without a deadline, and nothing from outside is expected to wake one."""
    if any(situation.numbers.get(identifier) not in situation.waits for identifier in situation.others()):
        return False
    if situation.standard_locks:
        # These are not pinned, and wait perhaps for a thread of which nobody knows.
        return False
    if any(what == "file" for arms in situation.arms.values() for what, _ in arms):
        # Another process may write to it.
        return False
    # A thread that joins one that has just ended will go on: only what is pinned cannot end.
    for waiting in situation.waits.values():
        wakers = situation.dependences[waiting.thread].wakers
        if waiting.what in ("join", "exit") and not (wakers and wakers <= situation.waits.keys()):
            return False
    if not _situation.has_no_other_threads(len(situation.others())) or _situation.has_handlers():
        return False
    # Another thread may have woken one of these since they were pinned, and have ended.
    still = {sleep[1] for sleep in _native.asleep()}
    return all(waiting.sleep in still for waiting in situation.waits.values() if waiting.what != "import")


def _show_all(*_: object) -> None:
    """Write what all threads do: the handler of SIGQUIT, and what comes before Ctrl-C ends a long wait."""
    try:
        text = report()
    except Exception as error:  # it must not end a wait of the program
        text = f"oxthreads: the threads cannot be shown: {type(error).__name__}\n"
    _report.write(f"{text}\n")


def _show_before_interrupt() -> None:
    """Called before Ctrl-C ends a wait of more than a second."""
    if _mode is not None:
        _show_all()


_situation.expected_handlers.append(_show_all)


@functools.cache
def _record() -> None:
    """Have the engine record waits, and the standard library's joins beside them."""
    _native.record_waits(threading._active, diagnose.DeadlockError)  # type: ignore[attr-defined]
    standard: Any = _threads._StandardThread
    standard.join = _recorded(standard.join, standard.is_alive)
    standard._bootstrap_inner = _thread_ends.recorded(standard._bootstrap_inner)
    _watch_exit()


def _recorded(join: Callable[..., None], is_alive: Callable[[threading.Thread], bool]) -> Callable[..., None]:
    """A `Thread.join` that is known to reports."""

    def until_it_ends(thread: threading.Thread) -> None:
        while True:
            join(thread, JOIN_SLICE)
            if not is_alive(thread):
                return
            reason = _native.take_verdict()
            if reason is not None:
                raise diagnose.DeadlockError(reason)

    @functools.wraps(join)
    def joined(self: threading.Thread, timeout: float | None = None) -> None:
        identifier = getattr(self, "_ident", None)
        if type(identifier) is not int or (timeout is not None and not isinstance(timeout, (int, float))):
            join(self, timeout)
        else:
            caller = threading.get_ident()
            joins = _situation.joins.setdefault(caller, [])
            joins.append(self)
            begun = time.monotonic()
            try:
                if timeout is None and hasattr(self, "_handle"):
                    join(self, 0)  # only for its checks
                    _native.join_outside(identifier, None, _native.join_handle, self._handle)
                    join(self)
                elif timeout is None:
                    _native.join_outside(identifier, None, until_it_ends, self)
                else:
                    # A negative timeout is over at once.
                    _native.join_outside(identifier, timeout, join, self, timeout)
            except KeyboardInterrupt:
                if time.monotonic() - begun >= PATIENCE:
                    _show_before_interrupt()
                raise
            finally:
                # Not `remove`, which may compare two threads by code of the program.
                joins.pop()
                if not joins:
                    # Only this thread adds to its own list.
                    _situation.joins.pop(caller, None)

    return joined


def _watch_exit() -> None:
    """Have the exit's wait for other threads recorded.

    `threading._shutdown` calls the exit handlers of threads, the last one first, and then waits for the
    threads.
    """
    module: Any = threading
    shut_down = module._shutdown
    waits: list[_native.ExitWait] = []

    def begin() -> None:
        waits.append(_native.ExitWait())

    @functools.wraps(shut_down)
    def recorded() -> None:
        try:
            shut_down()
        finally:
            while waits:
                waits.pop().end()

    module._threading_atexits.insert(0, begin)
    module._shutdown = recorded


@functools.cache
def _prepare() -> None:
    """What is done once, at the first watch."""
    _prepare_thread()
    _native.call_before_interrupt(_show_before_interrupt)
    if (
        hasattr(signal, "SIGQUIT")
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGQUIT) is signal.SIG_DFL
    ):
        signal.signal(signal.SIGQUIT, _show_all)


@functools.cache
def _prepare_thread() -> None:
    """What is done once, at the first watch, profile or trace."""
    _record()
    # The other exit handlers run before this one. So a deadlock there is reported, too.
    atexit.register(_native.stop_watcher)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_native.hold_watcher,
            after_in_parent=_native.release_watcher,
            after_in_child=_native.release_watcher_in_child,
        )


def start_as_asked(choice: str) -> None:
    """Start the watch that an environment variable or an option asks for. An unknown mode is reported."""
    mode = "report" if choice == "1" else choice
    if _startup.split_watch(mode) is None:
        wanted = ", ".join(MODES)
        sys.stderr.write(f"oxthreads: OXTHREADS_WATCH is {choice!r}, and not one of {wanted}\n")
        return
    start(mode)
