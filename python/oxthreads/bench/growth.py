"""How the time of an operation changes with the number of threads, and with the length of tasks.

The number of operations in a round stays the same, so the time of an operation shows what more threads
cost.
"""

from __future__ import annotations

from dataclasses import dataclass

from .locks import contended, meet, share_event
from .pools import WORKERS, burst
from .queues import stream
from .rounds import SpeedScenario
from .scenario import Kind, Unit, ratio, times

THREADS = (1, 2, 4, 8, 16, 64)

#: The lengths of tasks: seconds of CPU time in Python code.
TASK_SECONDS = {"0": 0.0, "10 us": 10e-6, "100 us": 100e-6, "1 ms": 1e-3}

GROWTH = Kind(
    "growth",
    "Time of an operation with more and more threads, and with longer and longer tasks. "
    "Ratio: standard / oxthreads.",
    Unit.SECONDS,
    ratio,
    "ratio",
    times,
)


@dataclass(frozen=True)
class GrowthScenario(SpeedScenario):
    """One point of a curve in the plot."""

    curve: str = ""
    """The name of the curve in the plot."""
    axis: str = "threads"
    """The label of the axis: what grows."""
    value: float = 0
    """The value on the axis: threads or workers, or seconds."""


def _lock(threads: int, kind: str = "Lock") -> GrowthScenario:
    return GrowthScenario(
        f"growth-{kind.lower()}-{threads}", f"{kind}: `with`, threads: {threads}",
        "All threads acquire one lock again and again.",
        operations=20_000, threads=threads, prepare=contended(threads, kind=kind), needs=(kind,),
        kind_of=GROWTH, curve=f"{kind}: `with`", value=threads,
    )  # fmt: skip


def _rlock(threads: int) -> GrowthScenario:
    return _lock(threads, "RLock")


def _semaphore(threads: int) -> GrowthScenario:
    return _lock(threads, "Semaphore")


def _event(threads: int) -> GrowthScenario:
    return GrowthScenario(
        f"growth-event-{threads}", f"Event: set + wait, threads: {threads}",
        "All threads set one flag and wait for it, so none of them sleeps.",
        operations=20_000, threads=threads, prepare=share_event(threads), needs=("Event",),
        kind_of=GROWTH, curve="Event: set + wait", value=threads,
    )  # fmt: skip


def _stream(threads: int, capacity: int | None = 100) -> GrowthScenario:
    name, kind = ("simple-stream", "SimpleQueue") if capacity is None else ("stream", "Queue")
    shown = kind if capacity is None else f"{kind}({capacity})"
    return GrowthScenario(
        f"growth-{name}-{threads}", f"{shown}: stream, producers, consumers: {threads} each",
        "An operation is one item.",
        operations=10_000, threads=2 * threads, prepare=stream(capacity, threads), needs=(kind,),
        kind_of=GROWTH, curve=f"{shown}: stream", axis="producers, and consumers", value=threads,
    )  # fmt: skip


def _simple_stream(threads: int) -> GrowthScenario:
    return _stream(threads, None)


def _barrier(threads: int) -> GrowthScenario:
    return GrowthScenario(
        f"growth-barrier-{threads}", f"Barrier: wait, threads: {threads}", "An operation is one meeting.",
        operations=50, threads=threads, prepare=meet(threads), needs=("Barrier",),
        kind_of=GROWTH, curve="Barrier: wait", value=threads,
    )  # fmt: skip


def _pool(workers: int) -> GrowthScenario:
    return GrowthScenario(
        f"growth-pool-{workers}", f"pool: submit, then result, workers: {workers}", "Calls of `abs(-1)`.",
        operations=4_000, threads=workers + 1, prepare=burst(workers), needs=("ThreadPoolExecutor",),
        kind_of=GROWTH, curve="pool: submit, then result", axis="workers", value=workers,
    )  # fmt: skip


def _tasks(length: str, seconds: float) -> GrowthScenario:
    # About as many as one thread runs in a tenth of a second.
    operations = 2_000 if not seconds else max(50, min(2_000, round(0.1 / seconds)))
    return GrowthScenario(
        f"growth-task-{length.replace(' ', '')}", f"pool of 4: tasks of {length}",
        "Each task runs Python code for that time; an operation is one task.",
        operations=operations, threads=WORKERS + 1, prepare=burst(WORKERS, seconds),
        needs=("ThreadPoolExecutor",), kind_of=GROWTH, curve="pool of 4: tasks", axis="seconds in a task",
        value=seconds,
    )  # fmt: skip


SCENARIOS: tuple[GrowthScenario, ...] = (
    *map(_lock, THREADS),
    *map(_rlock, THREADS),
    *map(_semaphore, THREADS),
    *map(_event, THREADS),
    *map(_stream, THREADS),
    *map(_simple_stream, THREADS),
    *map(_barrier, THREADS),
    *map(_pool, THREADS),
    *(_tasks(length, seconds) for length, seconds in TASK_SECONDS.items()),
)
