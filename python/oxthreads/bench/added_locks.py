"""Scenarios of `oxthreads.locks`, which the standard library does not have.

Each is compared with a baseline: with what a program would use otherwise, and pays at least.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from oxthreads import locks

from .libraries import Library
from .rounds import Round, alone, interleave, together
from .scenario import OXTHREADS, Goal, Kind, Outcome, Scenario, Settings, Unit, times

BASELINE = "baseline"


def multiple(figures: Mapping[str, float]) -> float | None:
    """Return the time of oxthreads as a multiple of the baseline. None if one is missing."""
    baseline, ours = figures.get(BASELINE), figures.get(OXTHREADS)
    return ours / baseline if baseline and ours is not None else None


ADDED = Kind(
    "locks",
    "Time of an operation of `oxthreads.locks`. Multiple: oxthreads / the baseline, which the list of"
    " scenarios names.",
    Unit.SECONDS,
    multiple,
    "multiple",
    times,
    at_least=False,
)


def enter(lock: Any, operations: int) -> Round:
    """Acquire and release a lock of the standard shape."""

    def work() -> None:
        for _ in range(operations):
            with lock:
                pass

    return alone(work)


def read(lock: Any, operations: int) -> Round:
    """Enter and leave ``read()``."""

    def work() -> None:
        for _ in range(operations):
            with lock.read():
                pass

    return alone(work)


def write(lock: Any, operations: int) -> Round:
    """Enter and leave ``write()``."""

    def work() -> None:
        for _ in range(operations):
            with lock.write():
                pass

    return alone(work)


THREADS = 4
READS = 19


def enter_together(lock: Any, operations: int) -> Round:
    """Let threads acquire a lock of the standard shape again and again."""
    return share(functools.partial(_enter_often, lock), operations)


def _enter_often(lock: Any, turns: int) -> None:
    for _ in range(turns):
        for _ in range(READS + 1):
            with lock:
                pass


def read_together(lock: Any, operations: int) -> Round:
    """Let threads read, and each of them write now and then."""
    return share(functools.partial(_read_often, lock), operations)


def _read_often(lock: Any, turns: int) -> None:
    for _ in range(turns):
        for _ in range(READS):
            with lock.read():
                pass
        with lock.write():
            pass


def share(work: Callable[[int], None], operations: int) -> Round:
    """Let the threads share the operations."""
    turns = max(1, operations // THREADS // (READS + 1))
    return together(*[functools.partial(work, turns)] * THREADS)


def call(function: Callable[[], object], operations: int) -> Round:
    """Call a function without arguments."""

    def work() -> None:
        for _ in range(operations):
            function()

    return alone(work)


def call_with_argument(function: Callable[[int], object], operations: int) -> Round:
    """Call a function with an argument."""

    def work() -> None:
        for _ in range(operations):
            function(1)

    return alone(work)


def answer() -> int:
    """Return a number."""
    return 42


def identity(key: int) -> int:
    """Return the argument."""
    return key


def rwlock_of(library: Library) -> Any:
    """Make the lock of a library for many readers or one writer."""
    return locks.RWLock() if library.name == OXTHREADS else library.RWLock()


@dataclass(frozen=True)
class AddedScenario(Scenario):
    """Compares oxthreads with a baseline, and with the peers that have the same."""

    baseline: Callable[[Library, int], Round] = field(kw_only=True)
    """The round of the baseline; it may use oxthreads."""
    prepare: Callable[[Any, int], Round] = field(kw_only=True)
    """The round of a contender, for what it has made."""
    make: Callable[[Library], Any] = field(kw_only=True)
    """Makes what the scenario uses."""
    needs: tuple[str, ...] = ()
    """What a peer must have."""

    @property
    def kind(self) -> Kind:
        return ADDED

    def measure(self, settings: Settings) -> Outcome:
        operations = settings.divided(self.operations)
        with contextlib.ExitStack() as stack:
            rounds: dict[str, Round] = {}
            for library in settings.libraries:
                if library.name == OXTHREADS:
                    rounds[BASELINE] = self.baseline(library, operations)
                elif not self.needs or not library.has(*self.needs):
                    continue
                made = self.make(library)
                if library.name != OXTHREADS and hasattr(made, "close"):
                    stack.callback(made.close)
                rounds[library.name] = self.prepare(made, operations)
            return interleave(rounds, settings, operations)


SCENARIOS = (
    AddedScenario(
        "rwlock-read", "RWLock: `with` read", "No other thread uses the lock. Baseline: `with` of our Lock.",
        operations=10_000, threads=1, goal=Goal(1.3), needs=("RWLock",), make=rwlock_of, prepare=read,
        baseline=lambda library, operations: enter(library.Lock(), operations),
    ),
    AddedScenario(
        "rwlock-write", "RWLock: `with` write",
        "No other thread uses the lock. Baseline: `with` of our Lock.",
        operations=10_000, threads=1, needs=("RWLock",), make=rwlock_of, prepare=write,
        baseline=lambda library, operations: enter(library.Lock(), operations),
    ),
    AddedScenario(
        "rwlock-shared", "RWLock: 4 threads, one write in 20",
        "Four threads read again and again, and write now and then. Baseline: four threads with our Lock.",
        operations=4_000, threads=THREADS, needs=("SharedRWLock",), make=rwlock_of, prepare=read_together,
        baseline=lambda library, operations: enter_together(library.Lock(), operations),
    ),
    AddedScenario(
        "once", "once: a call", "The function has been called before. Baseline: `functools.cache`.",
        operations=100_000, threads=1, goal=Goal(1.5), make=lambda _: locks.once(answer), prepare=call,
        baseline=lambda _, operations: call(functools.cache(answer), operations),
    ),
    AddedScenario(
        "singleflight", "singleflight: a call",
        "No other call is in flight. Baseline: the function, called inside `with` of our Lock.",
        operations=20_000, threads=1, make=lambda _: locks.singleflight(key=identity)(identity),
        prepare=call_with_argument,
        baseline=lambda library, operations: call_with_argument(under(library.Lock()), operations),
    ),
)  # fmt: skip


def under(lock: Any) -> Callable[[int], int]:
    """Return a function that has the lock while it runs."""

    def call_alone(key: int) -> int:
        with lock:
            return identity(key)

    return call_alone
