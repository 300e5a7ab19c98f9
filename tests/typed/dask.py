"""What type checkers infer from `oxthreads.dask`. It is checked, and not run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_type

from oxthreads.concurrent.futures import ExecutorStatistics, Future
from oxthreads.dask import DaskExecutor, DaskExecutorView
from oxthreads.tasks import TaskGroup


def load(number: int, *, exact: bool = False) -> str:
    return str(number) if exact else ""


def pools() -> None:
    with DaskExecutor("tcp://scheduler:8786", max_pending=10, on_full="raise", workers="a") as pool:
        assert_type(pool, DaskExecutor)
        assert_type(pool.submit(load, 1, exact=True), Future[str])
        assert_type(pool.map(load, [1, 2], buffersize=2, chunksize=10), Iterator[str])
        assert_type(pool.stats(), ExecutorStatistics)
        assert_type(pool.with_options(priority=-1, retries=2, pure=True), DaskExecutorView)
        assert_type(pool.with_options(priority=-1).submit(load, 2), Future[str])
        pool.submit(load, "no")  # type: ignore[arg-type]
        TaskGroup(executor=pool)
    DaskExecutor("a", on_full="wait")  # type: ignore[arg-type]
