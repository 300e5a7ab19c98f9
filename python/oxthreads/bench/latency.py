"""How long threads wait for each other while another thread computes.

With a GIL, a thread that computes gives up the GIL only after another thread has requested it for the
switch interval (``sys.getswitchinterval()``, by default 5 ms). So a woken thread runs that much later. A
library can only influence how many such requests a hand-over needs.
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

#: One request with its answer. Each call of a step is measured.
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

#: Seconds that the main thread waits for an answer before it gives up.
PATIENCE = 30.0


@contextmanager
def computing() -> Iterator[None]:
    """Context manager: while the block runs, another thread computes in Python code."""
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
    """Yield a step that sends an item to another thread, and gets it back, through two queues."""
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
    """Yield a step that gives a call to a pool and waits for its result."""
    with library.ThreadPoolExecutor(1) as executor:
        yield lambda: executor.submit(abs, -1).result(PATIENCE)


@dataclass(frozen=True)
class LatencyScenario(Scenario):
    """Times each step, in rounds in which the contenders alternate.

    For the time without a computing thread see ``queue-ping-pong`` and ``pool-one-by-one``.
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
        "An item goes to a waiting thread and back.", operations=20, threads=3, prepare=hand_over,
    ),
    LatencyScenario(
        "latency-pool", "pool: submit + result",
        "A call for an idle worker, until its result is there.", operations=20, threads=3, prepare=pool_task,
    ),
)  # fmt: skip
