"""How a round is timed, and how the rounds of several contenders alternate."""

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

#: Runs one round, and returns how many nanoseconds it took.
Round = Callable[[], int]

#: A context manager that creates what a scenario needs, for a library and a number of operations, and
#: cleans up at the end.
Prepare = Callable[[Library, int], AbstractContextManager[Round]]

#: The number of rounds that are run even if they take very long.
FEWEST_ROUNDS = 5

#: Seconds that a round of several threads waits until another one of them has ended.
PATIENCE = 60.0

#: The same after one thread has failed: the others may wait for it, and would never end.
GRACE = 1.0


class HangError(Exception):
    """The threads of a round have not ended in time."""


def alone(work: Callable[[], object]) -> Round:
    """Return a round in which this thread does the work."""

    def run() -> int:
        begin = time.perf_counter_ns()
        work()
        return time.perf_counter_ns() - begin

    return run


def together(*works: Callable[[], object]) -> Round:
    """Return a round in which each work runs in a thread of its own.

    The time is measured from the beginning of the first work to the end of the last. The threads wait for
    each other before they begin, so the time does not include starting and joining them.

    If a thread raises, the round raises the same exception. If the threads do not end in time, it raises
    HangError, and these threads stay behind as daemons.

    Args:
        works: what to run, one function for each thread.
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
                raise failure or HangError("its threads do not end") from None
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
    """Decorate a generator that creates what it needs, yields the round, and cleans up.

    Args:
        scenario: the generator, which takes a library and a number of operations.
    """
    return contextlib.contextmanager(scenario)


def interleave(
    rounds: dict[str, Round], settings: Settings, operations: int = 1, *, optional: bool = True
) -> Outcome:
    """Run the rounds of all contenders, in alternating order, and return their samples.

    A sample is the time of one operation, in seconds. The first round of each contender is not counted.
    Garbage is collected before each round, so that no contender pays for the garbage of another one. During
    a round the collector is on, as in normal programs.

    A contender stops when it has run five rounds and has used up ``settings.seconds``. If it is not a peer,
    the other contenders stop as well. A peer that fails also stops.

    Args:
        rounds: the round of each contender, by name.
        settings: how to measure.
        operations: the number of operations in a round.
        optional: True: all contenders except the standard library and oxthreads are peers. False: none
            of them is a peer.

    Returns:
        The samples of each contender, and the reasons why peers failed.

    Raises:
        BenchmarkError: if a contender fails that is not a peer.
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
                # If the clock did not advance in a very short round, count a nanosecond.
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
    """Measures the time of an operation on each library that has the names it needs."""

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
    """Return how many passes of :func:`spin` take this many seconds of CPU time."""
    passes, calls = max(1, round(seconds / 1e-8)), max(1, round(2e-3 / seconds))
    # Repeat it, because a pass takes less time in a short loop than in a long loop.
    for _ in range(3):
        best = min(_cpu_time(passes, calls) for _ in range(10)) / calls
        passes = max(1, round(passes * seconds * 1e9 / best))
    return passes


def _cpu_time(passes: int, calls: int) -> int:
    """Return the CPU time of the calls in nanoseconds: time in which other threads run is not counted."""
    begin = time.thread_time_ns()
    for _ in range(calls):
        spin(passes)
    return max(1, time.thread_time_ns() - begin)


def spin(passes: int) -> None:
    """Run an empty Python loop of this many passes."""
    for _ in range(passes):
        pass
