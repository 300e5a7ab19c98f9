"""Scenarios of futures and thread pools."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

from .libraries import Library
from .rounds import Prepare, Round, SpeedScenario, alone, loops_in, prepared, spin
from .scenario import Goal

WORKERS = 4


def nothing(_: object = None) -> None:
    """An empty task."""


@prepared
def make_set_and_read(library: Library, operations: int) -> Generator[Round]:
    """Create a future without a pool, set its result and read it."""
    make = library.Future

    def work() -> None:
        for number in range(operations):
            future = make()
            future.set_result(number)
            future.result()

    yield alone(work)


def burst(workers: int, seconds: float = 0) -> Prepare:
    """Submit all calls, then ask for all results.

    Args:
        workers: the number of workers of the pool.
        seconds: how long each call runs, in seconds of CPU time.
    """

    def prepare(library: Library, operations: int) -> Generator[Round]:
        task = (spin, loops_in(seconds)) if seconds else (abs, -1)
        with library.ThreadPoolExecutor(workers) as executor:

            def work() -> None:
                submit = executor.submit
                futures = [submit(*task) for _ in range(operations)]
                for future in futures:
                    future.result()

            yield alone(work)

    return prepared(prepare)


@prepared
def one_by_one(library: Library, operations: int) -> Generator[Round]:
    """Submit a call when the result of the previous one is there."""
    with library.ThreadPoolExecutor(WORKERS) as executor:

        def work() -> None:
            for _ in range(operations):
                executor.submit(abs, -1).result()

        yield alone(work)


@prepared
def mapped(library: Library, operations: int) -> Generator[Round]:
    """Call ``map`` with an empty function."""
    with library.ThreadPoolExecutor(WORKERS) as executor:

        def work() -> None:
            for _ in executor.map(nothing, range(operations)):
                pass

        yield alone(work)


@prepared
def as_they_complete(library: Library, operations: int) -> Generator[Round]:
    """Submit all calls, and take their futures as they complete."""
    with library.ThreadPoolExecutor(WORKERS) as executor:

        def work() -> None:
            for _ in library.as_completed([executor.submit(abs, -1) for _ in range(operations)]):
                pass

        yield alone(work)


@prepared
def used_once(library: Library, operations: int) -> Generator[Round]:
    """Create a pool for each call."""

    def work() -> None:
        for _ in range(operations):
            with library.ThreadPoolExecutor(WORKERS) as executor:
                executor.submit(abs, -1).result()

    yield alone(work)


@prepared
def from_asyncio(library: Library, operations: int) -> Generator[Round]:
    """Let asyncio run many calls of an empty function in the pool, all at the same time."""
    with library.ThreadPoolExecutor(WORKERS) as executor, asyncio.Runner() as runner:

        async def gather() -> None:
            loop = asyncio.get_running_loop()
            await asyncio.gather(*[loop.run_in_executor(executor, nothing) for _ in range(operations)])

        yield alone(lambda: runner.run(gather()))


@prepared
def bursts_from_asyncio(library: Library, operations: int) -> Generator[Round]:
    """Let asyncio run calls of an empty function in the pool, and await one after another."""
    with library.ThreadPoolExecutor(WORKERS) as executor, asyncio.Runner() as runner:

        async def await_each() -> None:
            loop = asyncio.get_running_loop()
            for future in [loop.run_in_executor(executor, nothing) for _ in range(operations)]:
                await future

        yield alone(lambda: runner.run(await_each()))


SCENARIOS = (
    SpeedScenario(
        "future", "Future: make, set, read", "A future without a pool, in one thread.",
        operations=10_000, threads=1, goal=Goal(8.0), prepare=make_set_and_read, needs=("Future",),
    ),
    SpeedScenario(
        "pool-burst", "pool: 4,000 submit, then result",
        "A pool of 4 workers calls `abs(-1)`; an operation is one call.",
        operations=4_000, threads=5, goal=Goal(20.0), prepare=burst(WORKERS), needs=("ThreadPoolExecutor",),
    ),
    SpeedScenario(
        "pool-one-by-one", "pool: submit, wait, repeat",
        "Each call is submitted when the last result is there.",
        operations=1_000, threads=5, goal=Goal(2.0), prepare=one_by_one, needs=("ThreadPoolExecutor",),
    ),
    SpeedScenario(
        "pool-map", "pool: map, 100,000 tasks", "Tasks that do nothing; an operation is one task.",
        operations=100_000, threads=5, goal=Goal(20.0), prepare=mapped,
        needs=("ThreadPoolExecutor", "as_completed"),
    ),
    SpeedScenario(
        "pool-as-completed", "pool: 10,000 submit, as_completed", "An operation is one call of `abs(-1)`.",
        operations=10_000, threads=5, goal=Goal(15.0), prepare=as_they_complete,
        needs=("ThreadPoolExecutor", "as_completed"),
    ),
    SpeedScenario(
        "pool-once", "pool: make, one task, shut down", "A new pool for each call.",
        operations=200, threads=2, goal=Goal(2.0), prepare=used_once,
        needs=("ThreadPoolExecutor", "as_completed"),
    ),
    SpeedScenario(
        "pool-asyncio", "asyncio: 10,000 run_in_executor",
        "Calls of an empty function, all submitted at once; an operation is one call.",
        operations=10_000, threads=5, goal=Goal(1.5), prepare=from_asyncio,
        needs=("ThreadPoolExecutor", "as_completed"),
    ),
    SpeedScenario(
        "pool-asyncio-burst", "asyncio: burst of 1,000 run_in_executor",
        "As above, and awaited one after another; an operation is one call.",
        operations=1_000, threads=5, goal=Goal(3.0), prepare=bursts_from_asyncio,
        needs=("ThreadPoolExecutor", "as_completed"),
    ),
)  # fmt: skip
