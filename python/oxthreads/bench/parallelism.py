"""How much faster a pool is than one thread.

Tasks in C code that releases the GIL can run in parallel on every Python. Tasks in Python code can do so
only on a free-threaded Python, or in processes. On others, they show what a pool of threads costs if its
tasks cannot run in parallel.

The tasks are functions at the top of this module, since processes import them by name.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from . import process_pools
from .machine import usable_cpus
from .rounds import Round, alone, interleave, loops_in, spin, together
from .scenario import OXTHREADS, STANDARD, Kind, Outcome, Pair, Scenario, Settings, Unit, times

ONE_THREAD = "one thread"
BARE_THREADS = "bare threads"
"""Threads that each do a share of the tasks, without a pool. No pool can be faster."""

PROCESSES = Pair("processes: standard", "processes: oxthreads", "processes, ratio")
"""Pools of processes, with a process per CPU."""


def speed_up(figures: Mapping[str, float]) -> float | None:
    """Return how many times longer one thread takes than the pool of oxthreads. None if one is missing."""
    one, ours = figures.get(ONE_THREAD), figures.get(OXTHREADS)
    return one / ours if one is not None and ours else None


PARALLELISM = Kind(
    "parallelism",
    "Time of a task, of many on all CPUs. Speed-up: one thread / the pool of threads of oxthreads."
    " processes: the same in pools of processes.",
    Unit.SECONDS,
    speed_up,
    "speed-up",
    times,
    also=PROCESSES,
)


#: What is hashed: half a megabyte.
HASHED = bytes(512 * 1024)


@functools.cache
def compressed() -> bytes:
    """Return what is compressed: 64 KiB that are partly regular."""
    return b"".join(hashlib.sha256(bytes([number % 256])).digest() * 4 for number in range(512))


def hash_block() -> int:
    """Return a byte of the SHA-256 of half a megabyte."""
    return hashlib.sha256(HASHED).digest()[0]


def compress_block() -> int:
    """Compress 64 KiB, and return the length of what that gives."""
    return len(zlib.compress(compressed()))


def hash_task() -> Callable[[], object]:
    """Return a task: SHA-256 of half a megabyte."""
    return hash_block


def compress_task() -> Callable[[], object]:
    """Return a task: compress 64 KiB."""
    return compress_block


def python_task() -> Callable[[], object]:
    """Return a task: an empty loop of one millisecond."""
    return partial(spin, loops_in(1e-3))


@dataclass(frozen=True)
class ParallelScenario(Scenario):
    """Runs the same tasks in one thread, in threads without a pool, and in pools with a worker per CPU."""

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
            for name, make in (
                (PROCESSES.standard, process_pools.standard),
                (PROCESSES.oxthreads, process_pools.ours),
            ):
                pool = stack.enter_context(make(usable_cpus()))
                rounds[name] = in_pool(pool.pool)
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
