"""Reports of calls that run for long: the options ``slow_after`` and ``on_slow`` of a pool.

One thread looks at the workers of all pools that have the option, several times in the time that is allowed.
Nothing is recorded for it when a call begins or ends: a worker counts its calls anyway, and if it is busy and
the number has not changed since the last look, it runs the same call.
"""

from __future__ import annotations

import collections
import logging
import os
import sys
import threading as _threading
import time
import traceback
import weakref

from .._oxthreads import threads_alive
from ..threading import Condition, Thread

# Not imported at run time: importing typing takes longer than everything else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple, Protocol

    from ._executor import ThreadPoolExecutor

    class SlowCall(NamedTuple):
        thread: str
        seconds: float
        stack: traceback.StackSummary
        process: int
        function: str | None

    class Question(Protocol):
        """The question where the call of a worker is that runs in another process."""

        process: int
        function: str | None

        def answer(self) -> traceback.StackSummary | None: ...
else:
    SlowCall = collections.namedtuple("SlowCall", "thread seconds stack process function")
    SlowCall.__doc__ = """A call of a pool that runs for long. ``on_slow`` of the pool is called with it.

    Attributes:
        thread (str): the name of the worker's thread.
        seconds (float): how long the call has run, at least.
        stack (traceback.StackSummary): where it is now, the outermost function first, without those of the
            pool. Empty in a pool of threads without a GIL, where the stack of another thread cannot be read
            safely; and in a pool of processes if the process does not answer.
        process (int): the number of the process in which it runs: this one, but for a pool of processes.
        function (str or None): the name of the function, in a pool of processes. None in a pool of threads;
            and while no process runs the call: one is started, the last one of the worker has to end first,
            or the call has ended and a done callback runs. The stack is that of the worker's thread then.

    Example:
        >>> from oxthreads.concurrent.futures import ThreadPoolExecutor
        >>> from oxthreads.queue import Queue
        >>> from oxthreads.threading import Event
        >>> slow, end = Queue(), Event()
        >>> with ThreadPoolExecutor(1, slow_after=0.01, on_slow=slow.put) as pool:
        ...     future = pool.submit(end.wait)
        ...     slow.get().seconds >= 0.01
        ...     end.set()
        True
    """

#: The looks in the time after which a call is slow.
_LOOKS = 4

#: The shortest and the longest time between two looks, in seconds. The shortest if answers are awaited.
_SHORTEST, _LONGEST = 0.005, 1.0

_LOGGER = logging.getLogger("oxthreads")


class _Seen:
    """What a worker did at the last look."""

    __slots__ = ("done", "is_reported", "is_start_reported", "question", "seconds", "since")

    def __init__(self, done: int, since: float) -> None:
        self.done, self.since = done, since
        self.is_reported = self.is_start_reported = False
        #: What was asked, after how many seconds.
        self.question: Question | None = None
        self.seconds = 0.0


class _Monitor:
    """The thread that looks, and the pools that it looks at."""

    def __init__(self) -> None:
        #: For each pool: what each worker did, by the number of its thread.
        self._pools: weakref.WeakKeyDictionary[ThreadPoolExecutor, dict[int, _Seen]]
        self._pools = weakref.WeakKeyDictionary()
        self._changed = Condition()
        self._thread: Thread | None = None

    def add(self, pool: ThreadPoolExecutor) -> None:
        """Look at this pool, too. Does nothing if it is looked at already."""
        with self._changed:
            if pool in self._pools:
                return
            self._pools[pool] = {}
            if self._thread is None:
                self._thread = Thread(target=self._run, name="oxthreads-slow-calls", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                pools = [*self._pools.items()]
                if not pools:
                    # The next pool starts another thread.
                    self._thread = None
                    return
            shortest = _LONGEST
            for pool, workers in pools:
                if not _look(pool, workers) and pool._shutdown:
                    # Its last worker has ended, and it starts no more.
                    with self._changed:
                        self._pools.pop(pool, None)
                shortest = min(shortest, pool._oxthreads_slow_after / _LOOKS)
                if any(seen.question is not None for seen in workers.values()):
                    shortest = _SHORTEST
            # Nothing here may keep a pool alive during the sleep.
            pool, workers = None, {}  # type: ignore[assignment]
            del pools
            with self._changed:
                self._changed.wait(max(shortest, _SHORTEST))


def _look(pool: ThreadPoolExecutor, workers: dict[int, _Seen]) -> bool:
    """Report the calls of a pool that have become slow; return whether it has workers."""
    now = time.monotonic()
    present = pool._oxthreads_workers()
    for number, done, is_busy in present:
        seen = workers.get(number)
        runs_on = seen is not None and is_busy and seen.done == done
        if seen is not None and seen.question is not None and not _take_answer(pool, number, seen, runs_on):
            continue
        if not is_busy:
            workers.pop(number, None)
        elif seen is None or not runs_on:
            workers[number] = _Seen(done, now)
        elif not seen.is_reported and now - seen.since >= pool._oxthreads_slow_after:
            _report(pool, number, seen)
    for number in workers.keys() - {number for number, _, _ in present}:
        del workers[number]
    return bool(present)


def _report(pool: ThreadPoolExecutor, number: int, seen: _Seen) -> None:
    """The call of a worker is slow: report it, or ask for what is reported."""
    identifier = dict(threads_alive()).get(number, 0)
    seen.seconds = time.monotonic() - seen.since
    if pool._oxthreads_ask is None:
        seen.is_reported = True
        _tell(pool, number, (seen.seconds, _stack(identifier), os.getpid(), None))
        return
    try:
        question = pool._oxthreads_ask(identifier)
    except Exception:
        seen.is_reported = True
        _LOGGER.critical("Exception in a report of a slow call", exc_info=True)
        return
    # It may have ended while others were asked. Then the answer is about another one.
    if (number, seen.done, True) in pool._oxthreads_workers():
        seen.question = question


def _take_answer(pool: ThreadPoolExecutor, number: int, seen: _Seen, runs_on: bool) -> bool:
    """Report a slow call for which a question was asked. Returns False if the answer has not come yet."""
    question: Any = seen.question
    try:
        if not runs_on:
            stack = traceback.StackSummary()
        elif question.process == os.getpid():
            stack = _stack(dict(threads_alive()).get(number, 0))
        else:
            stack = question.answer()
    except Exception:
        stack = traceback.StackSummary()
        _LOGGER.critical("Exception in a report of a slow call", exc_info=True)
    if stack is None:
        return False
    seen.question = None
    if question.function is not None:
        seen.is_reported = True
    else:
        # It is not in a process yet, or no more. The call itself is reported so long after that, at least.
        seen.since = time.monotonic()
        if seen.is_start_reported or not runs_on:
            return True
        seen.is_start_reported = True
    _tell(pool, number, (seen.seconds, stack, question.process, question.function))
    return True


def _tell(
    pool: ThreadPoolExecutor, number: int, facts: tuple[float, traceback.StackSummary, int, str | None]
) -> None:
    """Report the call of the worker with this number. The facts are those of a SlowCall."""
    seconds, _, process, function = facts
    identifier = dict(threads_alive()).get(number, 0)
    thread: Any = _threading._active.get(identifier)  # type: ignore[attr-defined]
    call = SlowCall(getattr(thread, "_name", f"thread {number}"), *facts)
    try:
        if pool._oxthreads_on_slow is not None:
            pool._oxthreads_on_slow(call)
            return
        what = "a call" if function is None else f"a call of {function}"
        where = call.thread if process == os.getpid() else f"{call.thread}, process {process},"
        lines = "".join(call.stack.format())
        _LOGGER.warning("%s in %s has run for %.1f s\n%s", what, where, seconds, lines)
    except BaseException:  # SystemExit, too: this thread is that of all pools
        _LOGGER.critical("Exception in on_slow", exc_info=True)


def _stack(identifier: int) -> traceback.StackSummary:
    """Where a thread is, without the functions of the pool."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return traceback.StackSummary()
    frame = sys._current_frames().get(identifier)
    stack = traceback.StackSummary() if frame is None else traceback.extract_stack(frame)
    del frame
    own = [place for place, entry in enumerate(stack) if entry.filename == _WORKER_FILE]
    return traceback.StackSummary.from_list(stack[own[0] + 1 :] if own else stack)


_WORKER_FILE = os.path.join(os.path.dirname(__file__), "_worker.py")  # noqa: PTH118, PTH120 - as code has it

_monitor = _Monitor()


def report_slow_calls(pool: ThreadPoolExecutor) -> None:
    """Report the calls of this pool that become slow, from now on."""
    _monitor.add(pool)


def _begin_anew() -> None:
    """In the child of a fork: the thread exists in the parent only."""
    global _monitor  # noqa: PLW0603
    _monitor = _Monitor()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
