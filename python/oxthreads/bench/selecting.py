"""Measures waits for the first of several objects.

The standard library has no such wait. Its programs ask each object in turn, and sleep in between; or they
have a thread for each object, which forwards to one queue.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from oxthreads.waiting import select

from .libraries import Library, ours, standard
from .rounds import Round, alone, interleave, together
from .scenario import OXTHREADS, STANDARD, Goal, Kind, Outcome, Pair, Scenario, Settings, Unit, ratio, times

#: What the other contenders are called.
FORWARDERS = "forwarders"
ONE_GET = "one get"

#: Seconds that a program sleeps after it has found nothing.
PAUSE = 0.001

SELECT = Kind(
    "select",
    "Time of a wait for the first of several objects. standard: ask each in turn, every "
    f"{PAUSE * 1000:g} ms. {FORWARDERS}: a standard thread for each object, which forwards to one standard "
    f"queue. {ONE_GET}: a `get` of one queue of oxthreads. Ratio: standard / oxthreads.",
    Unit.SECONDS,
    ratio,
    "ratio",
    times,
    also=Pair(OXTHREADS, ONE_GET, "select / one get"),
)

#: A way to get an item from the first of several sources.
Take = Callable[..., Any]


def take_by_polling(*sources: Any) -> Any:
    """Ask each source in turn, and sleep if none is ready."""
    while True:
        for source in sources:
            if hasattr(source, "is_set"):
                if source.is_set():
                    return None
            elif not source.empty():
                return source.get_nowait()
        time.sleep(PAUSE)


def take_by_select(*sources: Any) -> Any:
    """Wait for the first source."""
    return select(*sources)[1]


def take_from_the_first(*sources: Any) -> Any:
    """Wait for the first source alone."""
    return sources[0].get()


def ready(library: Library, take: Take, operations: int) -> Round:
    """Put an item into one of three queues, and take it again."""
    queues = [library.Queue() for _ in range(3)]
    stop = library.Event()

    def work() -> None:
        for number in range(operations):
            queues[number % 3].put(number)
            take(*queues, stop)

    def work_with_one() -> None:
        for number in range(operations):
            queues[0].put(number)
            take(*queues, stop)

    return alone(work_with_one if take is take_from_the_first else work)


def hand_over(library: Library, take: Take, operations: int) -> Round:
    """Let two threads send each other an item, each of which waits for two queues and an event."""
    there, back, other = library.Queue(), library.Queue(), library.Queue()
    stop = library.Event()

    def begin() -> None:
        for number in range(operations):
            there.put(number)
            take(back, other, stop)

    def answer() -> None:
        for _ in range(operations):
            back.put(take(there, other, stop))

    return together(begin, answer)


@contextmanager
def hand_over_by_forwarders(operations: int) -> Iterator[Round]:
    """The same with a thread for each queue, which forwards to the one that is waited for."""
    library = standard()
    sources = [library.Queue() for _ in range(4)]
    merged = [library.Queue() for _ in range(2)]

    def forward(source: Any, target: Any) -> None:
        while (item := source.get()) is not None:
            target.put(item)

    pairs = zip(sources, [*merged, *merged], strict=True)
    threads = [threading.Thread(target=forward, args=pair, daemon=True) for pair in pairs]
    for thread in threads:
        thread.start()

    def begin() -> None:
        for number in range(operations):
            sources[0].put(number)
            merged[1].get()

    def answer() -> None:
        for _ in range(operations):
            sources[1].put(merged[0].get())

    yield together(begin, answer)
    for source in sources:
        source.put(None)
    for thread in threads:
        thread.join()


@dataclass(frozen=True)
class SelectScenario(Scenario):
    """Measures the ways to wait for the first of several objects."""

    prepare: Callable[[Library, Take, int], Round] = ready
    forwarders: Callable[[int], AbstractContextManager[Round]] | None = None

    @property
    def kind(self) -> Kind:
        return SELECT

    def measure(self, settings: Settings) -> Outcome:
        operations = settings.divided(self.operations)
        rounds = {
            STANDARD: self.prepare(standard(), take_by_polling, operations),
            OXTHREADS: self.prepare(ours(), take_by_select, operations),
            ONE_GET: self.prepare(ours(), take_from_the_first, operations),
        }
        if self.forwarders is None:
            return interleave(rounds, settings, operations)
        with self.forwarders(operations) as forwarders:
            return interleave({**rounds, FORWARDERS: forwarders}, settings, operations)


SCENARIOS = (
    SelectScenario(
        "select-ready", "an item in one of three queues",
        "Put an item into one of three queues, and take it by a wait for all three and an event.",
        operations=5_000, threads=1, goal=None,
    ),
    SelectScenario(
        "select-hand-over", "there and back",
        "Two threads send each other an item. Each waits for two queues and an event.",
        operations=50, threads=2, goal=Goal(8.0), prepare=hand_over, forwarders=hand_over_by_forwarders,
    ),
)  # fmt: skip
