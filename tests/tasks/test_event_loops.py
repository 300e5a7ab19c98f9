"""Scopes and event loops: `aio.to_thread` links a task of an event loop with a scope in the thread."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from oxthreads import aio
from oxthreads.queue import Queue
from oxthreads.tasks import Cancelled, TaskGroup, check_cancelled, sleep
from oxthreads.threading import Event, Lock
from tests.support.waiting import spin_until


def _asyncio(main: Any) -> Any:
    return asyncio.run(main())


def _trio(main: Any) -> Any:
    trio = pytest.importorskip("trio")
    return trio.run(main)


async def _cancelled(call: Any, begun: Any) -> None:
    """Await the call, in asyncio or trio, and cancel that once `begun` says so."""
    if asyncio._get_running_loop() is not None:
        task = asyncio.ensure_future(call)
        while not begun():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return
    import trio  # noqa: PLC0415

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                await call

            nursery.start_soon(wait)
            while not begun():
                await trio.sleep(0.001)
            scope.cancel()


runs = pytest.mark.parametrize("run", [_asyncio, _trio])


@runs
def test_a_cancelled_task_ends_the_waits_of_its_thread(run: Any) -> None:
    queue: Queue[int] = Queue()
    seen: list[str] = []

    def work() -> None:
        try:
            seen.append("begun")
            queue.get()
        except Cancelled:
            seen.append("cancelled")
            raise

    run(lambda: _cancelled(aio.to_thread(work), lambda: seen))
    spin_until(lambda: seen == ["begun", "cancelled"])
    queue.put(1)
    assert queue.get_nowait() == 1


@runs
def test_a_cancelled_task_ends_the_groups_in_its_thread(run: Any) -> None:
    ended: list[int] = []
    begun: list[int] = []

    def wait(number: int) -> None:
        begun.append(number)
        try:
            sleep(1000)
        finally:
            ended.append(number)

    def work() -> None:
        with TaskGroup() as group:
            for number in range(3):
                group.start_soon(wait, number)

    run(lambda: _cancelled(aio.to_thread(work), lambda: len(begun) == 3))
    spin_until(lambda: len(ended) == 3)


@runs
def test_a_call_that_has_not_begun_never_does(run: Any) -> None:
    pool = aio._pool._default.get()
    over = Event()
    busy = [pool.submit(over.wait) for _ in range(pool._max_workers)]
    called: list[int] = []
    run(lambda: _cancelled(aio.to_thread(called.append, 1), lambda: True))
    over.set()
    for future in busy:
        future.result()
    assert not called


@runs
def test_results_and_errors_are_those_of_the_function(run: Any) -> None:
    def wrong() -> None:
        raise ValueError("wrong")

    async def main() -> None:
        assert await aio.to_thread(pow, 2, exp=5) == 32
        with pytest.raises(ValueError, match="wrong"):
            await aio.to_thread(wrong)
        # The thread is in no scope of an earlier call.
        await aio.to_thread(check_cancelled)

    run(main)


def test_the_loop_does_not_wait_for_what_cannot_be_ended() -> None:
    lock = Lock()
    lock.acquire()
    begun = Event()

    def work() -> None:
        begun.set()
        lock.acquire()
        lock.release()

    _asyncio(lambda: _cancelled(aio.to_thread(work), begun.is_set))
    lock.release()
    spin_until(lambda: not lock.locked())
