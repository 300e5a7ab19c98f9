"""Calls in processes that groups, scopes and coroutines end."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from oxthreads.aio import as_async
from oxthreads.processes import ProcessPoolExecutor
from oxthreads.tasks import TaskGroup, move_on_after
from tests.support import process_calls as calls
from tests.support.waiting import spin_until

pytestmark = [
    pytest.mark.one_thread("starts processes"),
    pytest.mark.skipif(sys.platform == "win32", reason="looks for processes by their numbers"),
]


def is_gone(child: int) -> bool:
    """Whether there is no such process."""
    try:
        os.kill(child, 0)
    except ProcessLookupError:
        return True
    return False


class SiblingError(Exception):
    """Another task has failed."""


class TestGroups:
    def test_tasks_run_in_processes(self) -> None:
        with ProcessPoolExecutor(2) as pool, TaskGroup(pool) as group:
            futures = [group.submit(pow, number, 2) for number in range(5)]
        assert [future.result() for future in futures] == [0, 1, 4, 9, 16]

    def test_tasks_run_with_the_options_of_a_view(self) -> None:
        with ProcessPoolExecutor(1) as pool:
            quick = pool.with_options(timeout=0.05)
            with pytest.raises(ExceptionGroup) as errors, TaskGroup(quick) as group:
                group.submit(time.sleep, 600)
            assert "sleep took longer than 0.05 seconds" in str(errors.value.exceptions)

    def test_the_children_of_a_cancelled_group_are_killed(self, tmp_path: Path) -> None:
        with ProcessPoolExecutor(2) as pool:
            path = tmp_path / "begun"
            with pytest.raises(ExceptionGroup) as errors, TaskGroup(pool) as group:
                future = group.submit(calls.begin_and_sleep, str(path))
                child = calls.begun(path)
                raise SiblingError
            assert [type(error) for error in errors.value.exceptions] == [SiblingError]
            assert future.cancelled() or future.exception() is not None
            assert is_gone(child)
            assert pool.submit(abs, -1).result() == 1

    def test_an_error_in_a_child_ends_the_group(self, tmp_path: Path) -> None:
        with ProcessPoolExecutor(2) as pool:
            path = tmp_path / "begun"
            with pytest.raises(ExceptionGroup) as errors, TaskGroup(pool) as group:
                group.submit(calls.begin_and_sleep, str(path))
                child = calls.begun(path)
                group.submit(calls.fail)
            assert [str(error) for error in errors.value.exceptions] == ["a failure"]
            assert is_gone(child)

    def test_a_death_ends_the_group(self) -> None:
        with ProcessPoolExecutor(2) as pool:
            with pytest.raises(ExceptionGroup) as errors, TaskGroup(pool) as group:
                group.submit(time.sleep, 600)
                group.submit(calls.kill_own_process)
            assert "while it ran kill_own_process" in str(errors.value.exceptions[0])

    def test_a_deadline_around_a_group(self, tmp_path: Path) -> None:
        with ProcessPoolExecutor(1) as pool:
            assert pool.submit(abs, -1).result() == 1
            with move_on_after(0.2) as scope, TaskGroup(pool) as group:
                group.submit(time.sleep, 600)
                group.submit(time.sleep, 600)
            assert scope.cancelled_caught
            assert pool.submit(abs, -1).result() == 1

    def test_a_call_that_is_no_task_goes_on(self) -> None:
        with ProcessPoolExecutor(1) as pool:
            with move_on_after(0.05) as scope:
                future = pool.submit(time.sleep, 0.5)
                future.result()
            assert scope.cancelled_caught
            assert future.result() is None


class TestCoroutines:
    def test_the_face_of_coroutines(self) -> None:
        async def main() -> Any:
            async with as_async(ProcessPoolExecutor(2, max_pending=2)) as pool:
                squares = [square async for square in pool.map(pow, range(5), [2] * 5, buffersize=2)]
                return await pool.submit(abs, -1), await pool.run(pow, 2, exp=5), squares

        assert asyncio.run(main()) == (1, 32, [0, 1, 4, 9, 16])

    def test_errors(self) -> None:
        async def main() -> None:
            async with as_async(ProcessPoolExecutor(1)) as pool:
                with pytest.raises(ValueError, match="a failure"):
                    await pool.run(calls.fail)

        asyncio.run(main())

    def test_a_view_with_options(self) -> None:
        async def main() -> None:
            with ProcessPoolExecutor(1) as pool:
                quick = as_async(pool.with_options(timeout=0.05))
                with pytest.raises(TimeoutError):
                    await quick.run(time.sleep, 600)

        asyncio.run(main())

    def test_a_cancelled_run_kills_the_child(self, tmp_path: Path) -> None:
        path = tmp_path / "begun"

        async def main() -> None:
            with ProcessPoolExecutor(1) as pool:
                face = as_async(pool)
                running = asyncio.ensure_future(face.run(calls.begin_and_sleep, str(path)))
                while not path.exists():
                    await asyncio.sleep(0.001)
                running.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await running
                spin_until(lambda: is_gone(calls.begun(path)))
                assert await face.run(abs, -1) == 1

        asyncio.run(main())

    def test_a_closed_map_kills_its_children(self, tmp_path: Path) -> None:
        paths = [str(tmp_path / name) for name in "ab"]

        async def main() -> None:
            with ProcessPoolExecutor(2) as pool:
                results = as_async(pool).map(calls.begin_and_sleep, paths, [0, 600])
                async for _ in results:
                    break
                child = calls.begun(Path(paths[1]))
                await results.aclose()  # type: ignore[attr-defined]
                spin_until(lambda: is_gone(child))

        asyncio.run(main())
