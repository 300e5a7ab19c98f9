"""One program in threads, in processes and in Dask: an estimate of pi by random points.

python benches/pi.py [--tasks N] [--points N] [--rounds N]

The function and the loop are the same everywhere. Only the pool is another one. What it
prints is in docs/parallelism.md.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import platform
import random
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor as StandardProcesses
from concurrent.futures import ThreadPoolExecutor as StandardThreads
from typing import Any

from oxthreads.concurrent.futures import ThreadPoolExecutor
from oxthreads.processes import ProcessPoolExecutor

WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def points_inside(seed: int, points: int) -> int:
    """Return how many of so many random points of a square are in the circle."""
    draw = random.Random(seed).random
    inside = 0
    for _ in range(points):
        x, y = draw(), draw()
        if x * x + y * y < 1:
            inside += 1
    return inside


def estimate(pool: Any, tasks: int, points: int) -> float:
    """Return an estimate of pi, by so many tasks in the pool."""
    return 4 * sum(pool.map(points_inside, range(tasks), [points] * tasks)) / (tasks * points)


class OneThread:
    """No pool."""

    #: The built-in function has the arguments of the method of pools.
    map = staticmethod(map)


@contextlib.contextmanager
def in_dask(make: Callable[[Any], Any]) -> Iterator[Any]:
    """A pool on a cluster of processes on this machine."""
    from distributed import Client, LocalCluster  # noqa: PLC0415

    cluster = LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=":0")
    with cluster, Client(cluster) as client, make(client) as pool:
        yield pool


def dask_executor(client: Any) -> Any:
    """Make our pool of a client."""
    from oxthreads.dask import DaskExecutor  # noqa: PLC0415

    return DaskExecutor(client)


def own_executor(client: Any) -> Any:
    """Make the pool that the client has itself."""
    return client.get_executor(pure=False)


POOLS: dict[str, Callable[[], Any]] = {
    "one thread": lambda: contextlib.nullcontext(OneThread()),
    "threads, standard": lambda: StandardThreads(WORKERS),
    "threads, oxthreads": lambda: ThreadPoolExecutor(WORKERS),
    "processes, standard": lambda: StandardProcesses(WORKERS, multiprocessing.get_context("spawn")),
    "processes, oxthreads": lambda: ProcessPoolExecutor(WORKERS),
    "Dask, `client.get_executor()`": lambda: in_dask(own_executor),
    "Dask, `oxthreads.dask`": lambda: in_dask(dask_executor),
}


def measure(tasks: int, points: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Return for each pool how long it takes to be made and to answer once, and how long the program takes.

    The rounds of all pools alternate, and the shortest of each counts. The first is not counted.
    """
    started: dict[str, float] = {}
    best: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        pools: dict[str, Any] = {}
        for name, make in POOLS.items():
            begin = time.perf_counter()
            try:
                pools[name] = stack.enter_context(make())
            except ImportError as error:
                print(f"without {name}: {error}", file=sys.stderr)
                continue
            estimate(pools[name], WORKERS, 1)
            started[name] = time.perf_counter() - begin
        expected = estimate(OneThread(), tasks, points)
        for number in range(rounds + 1):
            for name, pool in pools.items():
                begin = time.perf_counter()
                result = estimate(pool, tasks, points)
                taken = time.perf_counter() - begin
                if result != expected:
                    raise RuntimeError(f"{name}: {result} instead of {expected}")
                if number:
                    best[name] = min(best.get(name, taken), taken)
    return {name: (started[name], best[name]) for name in pools}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=25)
    given = parser.parse_args()
    figures = measure(given.tasks, given.points, given.rounds)
    alone = figures["one thread"][1]
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    print(
        f"CPython {platform.python_version()}, {'with' if has_gil else 'without'} a GIL, {platform.system()} "
        f"{platform.machine()}, {WORKERS} CPUs. {given.tasks} tasks of {given.points:,} points; best of "
        f"{given.rounds} rounds.\n"
    )
    print("| pool | the program | times as fast | start |")
    print("|---|--:|--:|--:|")
    for name, (start, seconds) in figures.items():
        print(f"| {name} | {seconds * 1000:.0f} ms | {alone / seconds:.2f} | {start * 1000:.0f} ms |")


if __name__ == "__main__":
    main()
