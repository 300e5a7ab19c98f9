"""How a round is timed, and how the rounds of several contenders take turns."""

from __future__ import annotations

import contextlib
import functools
import gc
import queue
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from .libraries import Library
from .scenario import (
    OXTHREADS,
    STANDARD,
    BenchmarkError,
    Kind,
    Outcome,
    Scenario,
    Settings,
    Unit,
    ratio,
    times,
)

#: One round, which says how many nanoseconds it took.
Round = Callable[[], int]

#: Makes what a scenario needs on a library, for so many operations, and tears it down at the end.
Prepare = Callable[[Library, int], AbstractContextManager[Round]]

#: The rounds that a scenario makes however long they take.
FEWEST_ROUNDS = 5

#: For how many seconds a round of several threads waits for the next of them to end.
PATIENCE = 60.0

#: The same once one of them has failed: the others may wait for it, and will not end any more.
GRACE = 1.0


class HangError(Exception):
    """The threads of a round have not come to their end in time."""


def alone(work: Callable[[], object]) -> Round:
    """A round in which this thread does the work."""

    def run() -> int:
        begin = time.perf_counter_ns()
        work()
        return time.perf_counter_ns() - begin

    return run


def together(*works: Callable[[], object]) -> Round:
    """A round in which each work has a thread, from when the first begins until the last has ended.

    They wait for each other before they begin, so that starting and joining them is not part of it.
    The round raises what one of them raises, and HangError if they do not end in time: then those
    that have not ended, which are daemons, stay behind.
    """

    def run() -> int:
        start = threading.Barrier(len(works))
        ended: queue.SimpleQueue[tuple[int, int, BaseException | None]] = queue.SimpleQueue()

        def take_part(work: Callable[[], object]) -> None:
            start.wait()
            begin, error = time.perf_counter_ns(), None
            try:
                work()
            except BaseException as raised:
                error = raised
            ended.put((begin, time.perf_counter_ns(), error))

        threads = [threading.Thread(target=take_part, args=[work], daemon=True) for work in works]
        for thread in threads:
            thread.start()
        begins, ends = [], []
        failure: BaseException | None = None
        for _ in threads:
            try:
                begin, end, error = ended.get(timeout=PATIENCE if failure is None else GRACE)
            except queue.Empty:
                raise failure or HangError("its threads do not come to an end") from None
            failure = failure or error
            begins.append(begin)
            ends.append(end)
        for thread in threads:
            thread.join()
        if failure is not None:
            raise failure
        return max(ends) - min(begins)

    return run


def prepared(scenario: Callable[[Library, int], Generator[Round]]) -> Prepare:
    """Marks a generator that makes what it needs, yields the round, and tears down what it has made."""
    return contextlib.contextmanager(scenario)


def interleave(
    rounds: dict[str, Round], settings: Settings, operations: int = 1, *, optional: bool = True
) -> Outcome:
    """Samples in seconds for each operation: the contenders take turns, in changing order.

    A first round is not counted. Before each round the garbage of the one before it is collected, so
    that no contender pays for another; during a round the collector is on, as in programs.

    If *optional*, all but the standard library and oxthreads are peers. Whoever has spent the seconds
    of the settings makes no further rounds, once it has made five; and if it is no peer, nobody does.
    A peer that fails is left out from then on. Raises BenchmarkError if another one fails.
    """
    outcome = Outcome({name: [] for name in rounds})
    compared = {STANDARD, OXTHREADS} if optional else set(rounds)
    spent = dict.fromkeys(rounds, 0.0)
    for number in range(settings.rounds + 1):
        slow = {name for name, seconds in spent.items() if seconds > settings.seconds}
        if number > FEWEST_ROUNDS and slow & compared:
            break
        for name in sorted(spent, reverse=number % 2 == 1):
            if number > FEWEST_ROUNDS and name in slow:
                continue
            gc.collect()
            begin = time.monotonic()
            try:
                elapsed = rounds[name]()
            except Exception as error:
                if name in compared:
                    raise BenchmarkError(f"{name}: {_words(error)}") from error
                outcome.failures[name] = _words(error)
                del spent[name], outcome.samples[name]
                continue
            spent[name] += time.monotonic() - begin
            if number:
                # A clock that does not advance in a round of next to nothing says: less than a tick.
                outcome.samples[name].append(max(elapsed, 1) / 1e9 / operations)
    return outcome


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")


SPEED = Kind(
    "speed",
    "Time of an operation. Ratio: standard / oxthreads.",
    Unit.SECONDS,
    ratio,
    "ratio",
    times,
)


@dataclass(frozen=True)
class SpeedScenario(Scenario):
    """Operations that are timed, on each library that has the names they need."""

    prepare: Prepare = lambda library, operations: contextlib.nullcontext(alone(lambda: None))
    needs: tuple[str, ...] = ()
    kind_of: Kind = SPEED

    @property
    def kind(self) -> Kind:
        return self.kind_of

    def measure(self, settings: Settings) -> Outcome:
        operations = settings.divided(self.operations)
        failures: dict[str, str] = {}
        with ExitStack() as stack:
            rounds: dict[str, Round] = {}
            for library in settings.libraries:
                if not library.has(*self.needs):
                    continue
                try:
                    rounds[library.name] = stack.enter_context(self.prepare(library, operations))
                except Exception as error:
                    if library.name in (STANDARD, OXTHREADS):
                        raise BenchmarkError(f"{library.name}: {_words(error)}") from error
                    failures[library.name] = _words(error)
            outcome = interleave(rounds, settings, operations)
        return Outcome(outcome.samples, {**failures, **outcome.failures})


@functools.cache
def loops_in(seconds: float) -> int:
    """How many passes of :func:`spin` take so long, as this thread's CPU time."""
    passes, calls = max(1, round(seconds / 1e-8)), max(1, round(2e-3 / seconds))
    # More than once, as a pass of a short loop takes less time than one of a long loop.
    for _ in range(3):
        best = min(_cpu_time(passes, calls) for _ in range(10)) / calls
        passes = max(1, round(passes * seconds * 1e9 / best))
    return passes


def _cpu_time(passes: int, calls: int) -> int:
    """Nanoseconds, without those in which others had the CPU."""
    begin = time.thread_time_ns()
    for _ in range(calls):
        spin(passes)
    return max(1, time.thread_time_ns() - begin)


def spin(passes: int) -> None:
    """Keep the CPU busy, in Python, for so many passes of a loop."""
    for _ in range(passes):
        pass
