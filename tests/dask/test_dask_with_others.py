"""Calls in a cluster together with threads, coroutines and task groups."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="distributed is not installed")

from oxthreads import queue
from oxthreads.aio import as_async
from oxthreads.concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, as_completed, wait
from oxthreads.tasks import TaskGroup, move_on_after
from oxthreads.waiting import select
from tests.dask.calls import fail, square, wait_for_file
from tests.dask.tasks import until_forgotten
from tests.support.waiting import TIMEOUT_SECONDS, spin_until

pytestmark = pytest.mark.one_thread("a cluster of two processes")


def test_wait_and_as_completed_take_futures_of_threads_and_of_the_cluster(pool: Any, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as threads:
        slow = pool.submit(wait_for_file, str(tmp_path / "go"))
        here = threads.submit(square, 2)
        done, pending = wait([slow, here], timeout=TIMEOUT_SECONDS, return_when=FIRST_COMPLETED)
        assert (done, pending) == ({here}, {slow})
        there = pool.submit(square, 3)
        completed = as_completed([slow, here, there], timeout=TIMEOUT_SECONDS)
        assert {next(completed).result(), next(completed).result()} == {4, 9}
        (tmp_path / "go").touch()
        assert next(completed) is slow


def test_select_takes_a_call_or_an_item(pool: Any, tmp_path: Path) -> None:
    items: queue.Queue[str] = queue.Queue()
    call = pool.submit(wait_for_file, str(tmp_path / "go"))
    items.put("item")
    assert select(items, call, timeout=TIMEOUT_SECONDS) == (items, "item")
    (tmp_path / "go").touch()
    assert select(items, call, timeout=TIMEOUT_SECONDS)[0] is call


def test_coroutines_await_calls(pool: Any) -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        futures = [pool.submit(square, number) for number in range(5)]
        awaited = [await as_async(future) for future in futures]
        wrapped = await asyncio.wrap_future(pool.submit(square, 5))
        in_loop = await loop.run_in_executor(pool, square, 6)
        with pytest.raises(LookupError):
            await as_async(pool.submit(fail, "awaited"))
        return [*awaited, wrapped, in_loop]

    assert asyncio.run(main()) == [0, 1, 4, 9, 16, 25, 36]


def test_the_face_of_coroutines(pool: Any) -> None:
    async def main() -> Any:
        for each in (pool, pool.with_options(priority=1)):
            face = as_async(each)
            squares = [result async for result in face.map(square, range(5), buffersize=2)]
            assert squares == [0, 1, 4, 9, 16]
            assert await face.submit(square, 3) == 9
            with pytest.raises(LookupError):
                await face.run(fail, "awaited")
        return await as_async(pool).run(square, 5)

    assert asyncio.run(main()) == 25


def test_a_run_that_is_cancelled_is_cancelled_in_the_cluster(pool: Any, tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(as_async(pool).run(wait_for_file, str(tmp_path / "never")), 0.5)

    try:
        asyncio.run(main())
        spin_until(lambda: pool.stats().busy == 0)
        assert pool.stats().queued == 0
    finally:
        (tmp_path / "never").touch()  # the worker goes on until then


def test_a_group_of_tasks_in_the_cluster(pool: Any) -> None:
    with TaskGroup(executor=pool) as group:
        tasks = [group.submit(square, number) for number in range(5)]
    assert [task.result() for task in tasks] == [0, 1, 4, 9, 16]


def test_the_first_error_ends_the_group(pool: Any, tmp_path: Path) -> None:
    go = tmp_path / "go"
    tasks: list[Any] = []

    def run() -> None:
        with TaskGroup(executor=pool) as group:
            # One of two workers is busy, and the other has ten calls to run after the one that fails.
            tasks.extend(group.submit(wait_for_file, str(go)) for _ in range(1))
            spin_until(lambda: pool.stats().busy == 1)
            group.submit(fail, "the first")
            tasks.extend(group.submit(wait_for_file, str(go)) for _ in range(10))

    with pytest.raises(ExceptionGroup) as caught:
        run()
    assert [str(error) for error in caught.value.exceptions] == ["the first"]
    assert all(task.cancelled() for task in tasks)
    go.touch()
    spin_until(lambda: not pool.stats().busy)


def test_a_group_that_is_cancelled_does_not_wait_for_the_cluster(
    client: Any, pool: Any, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    with TaskGroup(executor=pool) as group:
        tasks = [group.submit(wait_for_file, str(go)) for _ in range(20)]
        spin_until(lambda: pool.stats().busy == 20)
        group.cancel()
    assert all(task.cancelled() for task in tasks)
    with pytest.raises(CancelledError):
        tasks[0].result()
    # Whoever waits for them is told.
    assert wait(tasks, timeout=TIMEOUT_SECONDS).done == {*tasks}
    assert {*as_completed(tasks, timeout=TIMEOUT_SECONDS)} == {*tasks}

    # The cluster has forgotten them.
    until_forgotten(client)
    spin_until(lambda: pool.stats().busy == 0)
    go.touch()


def test_a_scope_ends_waits_for_the_cluster(client: Any, tmp_path: Path) -> None:
    from oxthreads.dask import DaskExecutor  # noqa: PLC0415

    go = tmp_path / "go"
    with DaskExecutor(client, max_pending=1) as pool:
        call = pool.submit(wait_for_file, str(go))
        with move_on_after(0.05) as scope:
            call.result()
        assert scope.cancelled_caught
        with move_on_after(0.05) as scope:
            pool.submit(square, 1)  # waits for room
        assert scope.cancelled_caught
        go.touch()
        assert call.result(TIMEOUT_SECONDS) == "go"
        assert pool.submit(square, 2).result(TIMEOUT_SECONDS) == 4
