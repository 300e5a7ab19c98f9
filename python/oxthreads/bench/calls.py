"""The cost of an operation that does not have to wait, as a multiple of an empty call.

The "empty call" is ``Lock.locked`` of oxthreads: a plain pyo3 method without arguments, which reads a
flag. (The extension has no method that does nothing; such a method would only serve this benchmark.) It
is not a lower bound: the methods that are called most often avoid pyo3's wrapper (see ``fast_path.rs``),
and may be cheaper.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .libraries import Library
from .rounds import Round, alone, interleave
from .scenario import OXTHREADS, Goal, Kind, Outcome, Scenario, Settings, Unit, times

EMPTY = "empty call"
CALLS_IN_A_PASS = 10


def multiple(figures: Mapping[str, float]) -> float | None:
    """Return the time of a call of oxthreads as a multiple of an empty call. None if one is missing."""
    empty, ours = figures.get(EMPTY), figures.get(OXTHREADS)
    return ours / empty if empty and ours is not None else None


CALLS = Kind(
    "calls",
    "Time of a call that finds everything free. Multiple: oxthreads / an empty call (`Lock.locked`).",
    Unit.SECONDS,
    multiple,
    "multiple",
    times,
    at_least=False,
)


def repeated(call: Callable[[], object], operations: int) -> Round:
    """Return a round of calls.

    The loop makes ten calls in each pass, so its own cost hardly counts.

    Args:
        call: what to call.
        operations: the number of calls, a multiple of ten.
    """

    def work() -> None:
        for _ in range(operations // CALLS_IN_A_PASS or 1):
            call()
            call()
            call()
            call()
            call()
            call()
            call()
            call()
            call()
            call()

    return alone(work)


def in_turn(first: Callable[[], object], second: Callable[[], object], operations: int) -> Round:
    """Return a round like that of `repeated`, with two methods that undo each other.

    Args:
        first: the method to call first.
        second: the method that undoes the first.
        operations: the number of calls of both together, a multiple of ten.
    """

    def work() -> None:
        for _ in range(operations // CALLS_IN_A_PASS or 1):
            first()
            second()
            first()
            second()
            first()
            second()
            first()
            second()
            first()
            second()

    return alone(work)


def put_and_get(library: Library, operations: int) -> Round:
    """``SimpleQueue.put`` and ``get``. ``put`` has an argument, the only one in this module."""
    items = library.SimpleQueue()
    put, get = items.put, items.get

    def work() -> None:
        for _ in range(operations // CALLS_IN_A_PASS or 1):
            put(None)
            get()
            put(None)
            get()
            put(None)
            get()
            put(None)
            get()
            put(None)
            get()

    return alone(work)


def lock(library: Library, operations: int) -> Round:
    """``Lock.acquire`` and ``release``."""
    free = library.Lock()
    return in_turn(free.acquire, free.release, operations)


def event_wait(library: Library, operations: int) -> Round:
    """``Event.wait`` when the flag is set."""
    event = library.Event()
    event.set()
    return repeated(event.wait, operations)


def event_set_and_clear(library: Library, operations: int) -> Round:
    """``Event.set`` and ``clear``."""
    event = library.Event()
    return in_turn(event.set, event.clear, operations)


@dataclass(frozen=True)
class CallScenario(Scenario):
    """Compares a call of oxthreads with an empty call and with the standard library."""

    prepare: Callable[[Library, int], Round] = lock

    @property
    def kind(self) -> Kind:
        return CALLS

    def measure(self, settings: Settings) -> Outcome:
        # A pass of the loop is ten calls, so the number of calls must be a multiple of ten.
        operations = -(-settings.divided(self.operations) // CALLS_IN_A_PASS) * CALLS_IN_A_PASS
        both = {library.name: library for library in settings.libraries if library.name in SHOWN}
        rounds = {EMPTY: repeated(both[OXTHREADS].Lock().locked, operations)}
        rounds |= {name: self.prepare(library, operations) for name, library in both.items()}
        return interleave(rounds, settings, operations, optional=False)


SHOWN = ("standard", OXTHREADS)

SCENARIOS = (
    CallScenario(
        "calls-lock", "Lock: acquire or release", "The mean of the two.",
        operations=100_000, threads=1, goal=Goal(1.5), prepare=lock,
    ),
    CallScenario(
        "calls-event-wait", "Event: wait when set", "Without a timeout.",
        operations=100_000, threads=1, goal=Goal(1.5), prepare=event_wait,
    ),
    CallScenario(
        "calls-event-set", "Event: set or clear", "The mean of the two.",
        operations=100_000, threads=1, goal=Goal(1.5), prepare=event_set_and_clear,
    ),
    CallScenario(
        "calls-simple-queue", "SimpleQueue: put or get", "The mean of the two; `put` has an argument.",
        operations=100_000, threads=1, goal=Goal(1.5), prepare=put_and_get,
    ),
)  # fmt: skip
