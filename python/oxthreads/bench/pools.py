"""The scenarios of futures and thread pools."""

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
    """A future without a pool."""
    make = library.Future

    def work() -> None:
        for number in range(operations):
            future = make()
            future.set_result(number)
            future.result()

    yield alone(work)


def burst(workers: int, seconds: float = 0) -> Prepare:
    """All calls are submitted, then all results are asked for."""

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
    """The next call is submitted when the result of the one before is there."""
    with library.ThreadPoolExecutor(WORKERS) as executor:

        def work() -> None:
            for _ in range(operations):
                executor.submit(abs, -1).result()

        yield alone(work)


@prepared
def mapped(library: Library, operations: int) -> Generator[Round]:
    """``map`` of an empty function."""
    with library.ThreadPoolExecutor(WORKERS) as executor:

        def work() -> None:
            for _ in executor.map(nothing, range(operations)):
                pass

        yield alone(work)


@prepared
def as_they_complete(library: Library, operations: int) -> Generator[Round]:
    """All calls are submitted, and their futures taken as they complete."""
    with library.ThreadPoolExecutor(WORKERS) as executor:

        def work() -> None:
            for _ in library.as_completed([executor.submit(abs, -1) for _ in range(operations)]):
                pass

        yield alone(work)


@prepared
def used_once(library: Library, operations: int) -> Generator[Round]:
    """A pool for one call."""

    def work() -> None:
        for _ in range(operations):
            with library.ThreadPoolExecutor(WORKERS) as executor:
                executor.submit(abs, -1).result()

    yield alone(work)


@prepared
def from_asyncio(library: Library, operations: int) -> Generator[Round]:
    """asyncio has its executor run an empty function, many times at once."""
    with library.ThreadPoolExecutor(WORKERS) as executor, asyncio.Runner() as runner:

        async def gather() -> None:
            loop = asyncio.get_running_loop()
            await asyncio.gather(*[loop.run_in_executor(executor, nothing) for _ in range(operations)])

        yield alone(lambda: runner.run(gather()))


SCENARIOS = (
    SpeedScenario(
        "future", "Future: make, set, read", "A future without a pool, in one thread.",
        operations=10_000, threads=1, goal=Goal(8.0), prepare=make_set_and_read, needs=("Future",),
    ),
    SpeedScenario(
        "pool-burst", "pool: 4,000 submit, then result",
        "Calls of `abs(-1)`; an operation is one call. A pool of four, as in the following.",
        operations=4_000, threads=5, goal=Goal(20.0), prepare=burst(WORKERS), needs=("ThreadPoolExecutor",),
    ),
    SpeedScenario(
        "pool-one-by-one", "pool: submit, wait, repeat", "The next call when the result is there.",
        operations=1_000, threads=5, goal=Goal(2.0), prepare=one_by_one, needs=("ThreadPoolExecutor",),
    ),
    SpeedScenario(
        "pool-map", "pool: map, 100,000 tasks", "Empty tasks; an operation is one.",
        operations=100_000, threads=5, goal=Goal(20.0), prepare=mapped,
        needs=("ThreadPoolExecutor", "as_completed"),
    ),
    SpeedScenario(
        "pool-as-completed", "pool: 10,000 submit, as_completed", "An operation is one call of `abs(-1)`.",
        operations=10_000, threads=5, goal=Goal(15.0), prepare=as_they_complete,
        needs=("ThreadPoolExecutor", "as_completed"),
    ),
    SpeedScenario(
        "pool-once", "pool: make, one task, shut down", "A pool for one call, again and again.",
        operations=200, threads=2, goal=Goal(2.0), prepare=used_once,
        needs=("ThreadPoolExecutor", "as_completed"),
    ),
    SpeedScenario(
        "pool-asyncio", "asyncio: 10,000 run_in_executor",
        "An empty function, all at once; an operation is one call.",
        operations=10_000, threads=5, goal=Goal(1.5), prepare=from_asyncio,
        needs=("ThreadPoolExecutor", "as_completed"),
    ),
)  # fmt: skip
