"""What an operation costs that finds everything free, as a multiple of an empty call.

The extension has no method that does nothing; a class for this alone would be code that nothing else
uses. What stands in for it is ``Lock.locked`` of ours, a plain pyo3 method without arguments that reads a
flag. It is no lower bound: the methods that are called most often are not called through pyo3's wrapper
(see ``at_once.rs``), and may be cheaper than the stand-in.
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
    """How many empty calls one of ours takes."""
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
    """So many calls, ten in each pass of the loop, so that the loop itself hardly counts."""

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
    """The same with two methods that undo each other."""

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
    """``SimpleQueue.put`` takes an item, the only argument here."""
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
    """``acquire`` and ``release``."""
    free = library.Lock()
    return in_turn(free.acquire, free.release, operations)


def event_wait(library: Library, operations: int) -> Round:
    """``wait`` for a flag that is set."""
    event = library.Event()
    event.set()
    return repeated(event.wait, operations)


def event_set_and_clear(library: Library, operations: int) -> Round:
    """``set`` and ``clear``."""
    event = library.Event()
    return in_turn(event.set, event.clear, operations)


@dataclass(frozen=True)
class CallScenario(Scenario):
    """Calls of ours, beside the empty call and beside the standard library's."""

    prepare: Callable[[Library, int], Round] = lock

    @property
    def kind(self) -> Kind:
        return CALLS

    def measure(self, settings: Settings) -> Outcome:
        # A pass is ten calls: fewer would be rounded up, and be taken for fewer than they are.
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
