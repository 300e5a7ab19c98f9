"""How long threads wait for each other while another one computes.

With a global interpreter lock, a thread that computes gives it up when somebody has asked for it for
the switch interval (``sys.getswitchinterval()``, 5 ms unless set), so that whoever is woken gets to
run that much later. A library can only decide how often a hand-over has to ask.
"""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from .libraries import Library
from .rounds import spin
from .scenario import (
    OXTHREADS,
    STANDARD,
    BenchmarkError,
    Kind,
    Outcome,
    Samples,
    Scenario,
    Settings,
    Unit,
    ratio,
    times,
)

#: Something whose time is taken, one by one.
Step = Callable[[], object]

LATENCY = Kind(
    "latency",
    "Time from a request to its answer while a thread computes; the median. Ratio: standard / oxthreads.",
    Unit.SECONDS,
    ratio,
    "ratio",
    times,
    typical=True,
)

#: How long the main thread waits for an answer before it gives up, in seconds.
PATIENCE = 30.0


@contextmanager
def computing() -> Iterator[None]:
    """A thread computes, in Python, for the time of a block."""
    stop = threading.Event()

    def compute() -> None:
        while not stop.is_set():
            spin(1_000)

    other = threading.Thread(target=compute, daemon=True)
    other.start()
    try:
        yield
    finally:
        stop.set()
        other.join()


@contextmanager
def hand_over(library: Library) -> Iterator[Step]:
    """An item goes to another thread by a queue, and comes back by a second one."""
    there, back = library.Queue(), library.Queue()

    def answer() -> None:
        while (item := there.get()) is not None:
            back.put(item)

    def step() -> None:
        there.put(1)
        back.get(timeout=PATIENCE)

    other = threading.Thread(target=answer, daemon=True)
    other.start()
    try:
        yield step
    finally:
        there.put(None)
        other.join(PATIENCE)


@contextmanager
def pool_task(library: Library) -> Iterator[Step]:
    """A pool has a call to make."""
    with library.ThreadPoolExecutor(1) as executor:
        yield lambda: executor.submit(abs, -1).result(PATIENCE)


@dataclass(frozen=True)
class LatencyScenario(Scenario):
    """Steps that are timed one by one, in rounds that take turns.

    What they take when nobody computes, ``queue-ping-pong`` and ``pool-one-by-one`` tell.
    """

    prepare: Callable[[Library], AbstractContextManager[Step]] = hand_over

    @property
    def kind(self) -> Kind:
        return LATENCY

    def measure(self, settings: Settings) -> Outcome:
        samples: Samples = {}
        steps: dict[str, Step] = {}
        rounds = min(settings.rounds, 5)
        in_a_round = max(1, settings.divided(self.operations))
        with contextlib.ExitStack() as stack:
            for library in settings.libraries:
                if library.name in (STANDARD, OXTHREADS):
                    steps[library.name] = stack.enter_context(self.prepare(library))
                    samples[library.name] = []
            stack.enter_context(computing())
            for number in range(rounds + 1):
                for name in sorted(steps, reverse=number % 2 == 1):
                    gc.collect()
                    try:
                        elapsed = [_seconds(steps[name]) for _ in range(in_a_round if number else 1)]
                    except Exception as error:
                        raise BenchmarkError(f"{name}: {type(error).__name__}: {error}") from error
                    if number:
                        samples[name] += elapsed
        return Outcome(samples)


def _seconds(step: Step) -> float:
    begin = time.perf_counter_ns()
    step()
    return max(time.perf_counter_ns() - begin, 1) / 1e9


SCENARIOS = (
    LatencyScenario(
        "latency-hand-over", "Queue: there and back",
        "To a thread that waits, and back from it.", operations=20, threads=3, prepare=hand_over,
    ),
    LatencyScenario(
        "latency-pool", "pool: submit + result",
        "Of a worker that is idle.", operations=20, threads=3, prepare=pool_task,
    ),
)  # fmt: skip
