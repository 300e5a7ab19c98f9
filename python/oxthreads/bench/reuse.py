"""Measures threads and short-lived pools while operating system threads are used again.

The standard library has nothing like `reuse_threads`, and is measured as it is.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from oxthreads.threading import reuse_threads

from .libraries import Library
from .locks import start_and_join
from .rounds import Prepare, Round, SpeedScenario, alone, prepared
from .scenario import Goal, Kind, Outcome, Settings, Unit, ratio, times

#: Seconds for which threads are kept.
KEEP = 10.0

REUSE = Kind(
    "reuse",
    "Time of an operation, in oxthreads with `reuse_threads`. Ratio: standard / oxthreads.",
    Unit.SECONDS,
    ratio,
    "ratio",
    times,
)


def pools(calls: int) -> Prepare:
    """Make a pool, call a function that does nothing, and shut the pool down; again and again.

    Args:
        calls: how many workers the pool may have, and how many calls it gets.
    """

    def prepare(library: Library, operations: int) -> Generator[Round]:
        def work() -> None:
            for _ in range(operations):
                with library.ThreadPoolExecutor(calls) as pool:
                    for _result in pool.map(len, [""] * calls):
                        pass

        yield alone(work)

    return prepared(prepare)


@dataclass(frozen=True)
class ReuseScenario(SpeedScenario):
    """Measures with `reuse_threads`, which concerns the threads of oxthreads only."""

    kind_of: Kind = REUSE

    def measure(self, settings: Settings) -> Outcome:
        reuse_threads(KEEP)
        try:
            return super().measure(settings)
        finally:
            reuse_threads(None)


SCENARIOS = (
    ReuseScenario(
        "reuse-thread", "Thread: start + join", "A thread that does nothing; one at a time.",
        operations=200, threads=2, goal=Goal(4.0), prepare=start_and_join, needs=("Thread",),
    ),
    ReuseScenario(
        "reuse-pool", "pool for one call", "A pool is made, used for one call, and shut down.",
        operations=100, threads=2, goal=Goal(4.0), prepare=pools(1), needs=("ThreadPoolExecutor",),
    ),
    ReuseScenario(
        "reuse-pool-8", "pool of 8 for 8 calls", "A pool is made, used for eight calls, and shut down.",
        operations=40, threads=9, goal=Goal(2.5), prepare=pools(8), needs=("ThreadPoolExecutor",),
    ),
)  # fmt: skip
