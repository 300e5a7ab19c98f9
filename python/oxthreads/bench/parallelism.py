"""How much faster a pool is than one thread.

Tasks in C code that releases the GIL can run in parallel on every Python. Tasks in Python code can do so
only on a free-threaded Python. On others, they show what a pool costs if its tasks cannot run in
parallel.
"""

from __future__ import annotations

import contextlib
import hashlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from .machine import usable_cpus
from .rounds import Round, alone, interleave, loops_in, spin, together
from .scenario import OXTHREADS, STANDARD, Kind, Outcome, Scenario, Settings, Unit, times

ONE_THREAD = "one thread"
BARE_THREADS = "bare threads"
"""Threads that each do a share of the tasks, without a pool. No pool can be faster."""


def speed_up(figures: Mapping[str, float]) -> float | None:
    """Return how many times longer one thread takes than the pool of oxthreads. None if one is missing."""
    one, ours = figures.get(ONE_THREAD), figures.get(OXTHREADS)
    return one / ours if one is not None and ours else None


PARALLELISM = Kind(
    "parallelism",
    "Time of a task, of many on all CPUs. Speed-up: one thread / the pool of oxthreads.",
    Unit.SECONDS,
    speed_up,
    "speed-up",
    times,
)


def hash_task() -> Callable[[], object]:
    """Return a task: SHA-256 of half a megabyte."""
    block = bytes(512 * 1024)
    return lambda: hashlib.sha256(block).digest()


def compress_task() -> Callable[[], object]:
    """Return a task: compress 64 KiB of data that is partly regular."""
    block = b"".join(hashlib.sha256(bytes([number % 256])).digest() * 4 for number in range(512))
    return lambda: zlib.compress(block)


def python_task() -> Callable[[], object]:
    """Return a task: an empty loop of one millisecond."""
    passes = loops_in(1e-3)
    return lambda: spin(passes)


@dataclass(frozen=True)
class ParallelScenario(Scenario):
    """Runs the same tasks in one thread, in threads without a pool, and in a pool with a worker per CPU."""

    make_task: Callable[[], Callable[[], object]] = hash_task

    @property
    def kind(self) -> Kind:
        return PARALLELISM

    def measure(self, settings: Settings) -> Outcome:
        operations, task = settings.divided(self.operations), self.make_task()

        def one_thread() -> None:
            for _ in range(operations):
                task()

        def in_pool(executor: object) -> Round:
            submit = executor.submit  # type: ignore[attr-defined]

            def work() -> None:
                for future in [submit(task) for _ in range(operations)]:
                    future.result()

            return alone(work)

        def share(first: int) -> None:
            for _ in range(first, operations, usable_cpus()):
                task()

        shares = [partial(share, first) for first in range(usable_cpus())]
        rounds = {ONE_THREAD: alone(one_thread), BARE_THREADS: together(*shares)}
        with contextlib.ExitStack() as stack:
            for library in settings.libraries:
                if library.name in (STANDARD, OXTHREADS):
                    executor = stack.enter_context(library.ThreadPoolExecutor(usable_cpus()))
                    rounds[library.name] = in_pool(executor)
            return interleave(rounds, settings, operations, optional=False)


SCENARIOS = (
    ParallelScenario(
        "parallelism-hash", "SHA-256 of 512 KiB", "C code that releases the GIL.",
        operations=100, threads=0, make_task=hash_task,
    ),
    ParallelScenario(
        "parallelism-compress", "zlib.compress of 64 KiB", "C code that releases the GIL.",
        operations=100, threads=0, make_task=compress_task,
    ),
    ParallelScenario(
        "parallelism-python", "1 ms of Python code", "Runs in parallel on a free-threaded build only.",
        operations=100, threads=0, make_task=python_task,
    ),
)  # fmt: skip
