"""What type checkers infer from `oxthreads.processes`. It is checked, and not run."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import assert_type

from oxthreads.aio import AsyncExecutor, as_async
from oxthreads.concurrent.futures import Future
from oxthreads.processes import CallTimeout, ProcessPoolExecutor, ProcessPoolView, WorkerDied
from oxthreads.tasks import TaskGroup


def load(number: int, *, exact: bool = False) -> str:
    return str(number) if exact else ""


def pools() -> None:
    with ProcessPoolExecutor(2, "forkserver", timeout=5, retries=1, on_full="raise") as pool:
        assert_type(pool, ProcessPoolExecutor)
        future = pool.submit(load, 1, exact=True)
        assert_type(future, Future[str])
        assert_type(future.result(), str)
        pool.submit(load, "no")  # type: ignore[arg-type]
        assert_type(pool.map(load, [1, 2], chunksize=2, buffersize=3), Iterator[str])
        view = pool.with_options(timeout=None, priority=-1)
        assert_type(view, ProcessPoolView)
        assert_type(view.with_options(retries=2).submit(load, 1).result(), str)
        assert_type(as_async(pool), AsyncExecutor)
        assert_type(as_async(view), AsyncExecutor)
        executor: Executor = view
        with TaskGroup(executor) as group:
            assert_type(group.submit(load, 1).result(), str)
        pool.kill_workers()
    ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"))
    ProcessPoolExecutor(mp_context="fork")  # type: ignore[arg-type]
    ProcessPoolExecutor(pickler="dill")  # type: ignore[arg-type]


def errors(error: Exception) -> int | None:
    if isinstance(error, CallTimeout):
        timed_out: TimeoutError = error
        raise timed_out
    return error.exitcode if isinstance(error, WorkerDied) else None
