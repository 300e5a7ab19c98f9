"""How much faster a pool is than one thread, where its tasks can run at the same time.

Tasks of C code that releases the global lock can, on every Python; tasks of Python code can on a
free-threaded one, and on others they show what a pool costs when they cannot.
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
"""Each does its share, without a pool: what the machine gives at this moment, and no pool can beat."""


def speed_up(figures: Mapping[str, float]) -> float | None:
    """How many times longer one thread takes than our pool."""
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
    """SHA-256 of half a megabyte."""
    block = bytes(512 * 1024)
    return lambda: hashlib.sha256(block).digest()


def compress_task() -> Callable[[], object]:
    """Deflate of 64 KiB that has some order in it."""
    block = b"".join(hashlib.sha256(bytes([number % 256])).digest() * 4 for number in range(512))
    return lambda: zlib.compress(block)


def python_task() -> Callable[[], object]:
    """A millisecond of an empty loop."""
    passes = loops_in(1e-3)
    return lambda: spin(passes)


@dataclass(frozen=True)
class ParallelScenario(Scenario):
    """The same tasks by one thread, and by a pool with a worker for each CPU."""

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
        "parallelism-hash", "SHA-256 of 512 KiB", "C code that releases the global lock.",
        operations=100, threads=0, make_task=hash_task,
    ),
    ParallelScenario(
        "parallelism-compress", "zlib.compress of 64 KiB", "C code that releases the global lock.",
        operations=100, threads=0, make_task=compress_task,
    ),
    ParallelScenario(
        "parallelism-python", "1 ms of Python code", "Runs at the same time on a free-threaded build only.",
        operations=100, threads=0, make_task=python_task,
    ),
)  # fmt: skip
