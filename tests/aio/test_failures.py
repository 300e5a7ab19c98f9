"""What is raised at a bad moment: no wait is lost, ended for it, or taken for something else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from oxthreads import queue
from oxthreads.aio import as_async, to_thread
from oxthreads.concurrent.futures import Future, ThreadPoolExecutor
from tests.aio.event_loops import EventLoops


def test_a_stop_iteration_is_no_result(loops: EventLoops) -> None:
    failed: Future[int] = Future()
    failed.set_exception(StopIteration(5))

    async def main() -> None:
        with pytest.raises(RuntimeError, match="coroutine raised StopIteration") as raised:
            await as_async(failed)
        assert isinstance(raised.value.__cause__, StopIteration)
        with pytest.raises(RuntimeError, match="coroutine raised StopIteration"):
            await to_thread(next, iter(()))

    loops.run(main)


def test_a_wait_that_is_awaited_cannot_be_taken_away() -> None:
    items = queue.Queue[int]()

    async def main() -> None:
        wait = as_async(items).get()
        first = asyncio.ensure_future(wait)
        await asyncio.sleep(0)

        async def take_away() -> int:
            return await wait

        with pytest.raises(RuntimeError, match="being awaited already"):
            await take_away()
        items.put(1)
        assert await first == 1

    asyncio.run(main())


def test_a_shutdown_that_fails_is_told(loops: EventLoops) -> None:
    class Broken(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait, cancel_futures=cancel_futures)
            if wait:
                raise LookupError

    async def main() -> None:
        with pytest.raises(LookupError):
            await as_async(Broken(1)).shutdown()

    loops.run(main)
