"""Tests of the view of an RWLock: coroutines and threads share it, also if waits are cancelled."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

import pytest

from oxthreads.aio import as_async
from oxthreads.locks import RWLock
from oxthreads.threading import Lock
from tests.aio.cancelling import CancelledAt, CancelledWhileSuspended, at_each_step
from tests.aio.event_loops import EventLoops
from tests.support.forks import can_fork, forks, in_child
from tests.support.threads import Result, start
from tests.support.waiting import spin_until, until_asleep


def test_readers_share_it_and_a_writer_has_it_alone(loops: EventLoops) -> None:
    lock = RWLock()
    inside: list[str] = []
    most: list[int] = []

    async def read() -> None:
        for _ in range(5):
            async with as_async(lock).read():
                assert "w" not in inside
                inside.append("r")
                await loops.turn()
                most.append(len(inside))
                inside.remove("r")

    async def write() -> None:
        for _ in range(5):
            async with as_async(lock).write() as hold:
                assert inside == []
                inside.append("w")
                await loops.turn()
                assert inside == ["w"]
                inside.remove("w")
                hold.downgrade()
                await loops.turn()
                assert not lock.is_written

    async def main() -> None:
        await loops.together(read, read, write, read, write)

    loops.run(main)
    assert max(most) > 1
    assert (lock.readers, lock.is_written, lock.waiting) == (0, False, 0)


def test_threads_and_coroutines_wait_for_each_other(loops: EventLoops) -> None:
    lock = RWLock()
    view = as_async(lock)
    assert view.sync is lock

    async def main() -> None:
        def write_in_thread() -> str:
            with lock.write():
                return "written"

        async with view.read():
            writer = Result(write_in_thread)
            until_asleep(writer.thread)
            # A new reader waits behind the writer.
            assert not lock.acquire_read(timeout=0)
        await loops.until(lambda: not writer.thread.is_alive())
        assert writer.get() == "written"
        lock.acquire_write()
        free = start(lambda: None)
        free.join()

        async def read() -> None:
            async with view.read():
                pass

        async def release() -> None:
            await loops.until(lambda: lock.waiting == 1)
            lock.release_write()

        await loops.together(read, release)

    loops.run(main)
    assert lock.readers == 0


@pytest.mark.parametrize("kind", [CancelledAt, CancelledWhileSuspended])
@pytest.mark.parametrize("access", ["read", "write"])
def test_cancelled_at_each_step_it_leaves_nothing(kind: type[CancelledAt], access: str) -> None:
    async def round_of_test(victim: Any) -> None:
        lock = RWLock()
        view = as_async(lock)

        async def use() -> None:
            for _ in range(3):
                async with getattr(view, access)():
                    await asyncio.sleep(0)

        async def others() -> None:
            for _ in range(3):
                async with view.write():
                    await asyncio.sleep(0)
                async with view.read():
                    await asyncio.sleep(0)

        other = asyncio.ensure_future(others())
        await asyncio.sleep(0)
        await victim(use())
        # A reader behind a writer that was cancelled goes on.
        await asyncio.wait_for(other, 30)
        assert (lock.readers, lock.is_written, lock.waiting) == (0, False, 0)

    assert asyncio.run(at_each_step(kind, round_of_test)) >= 3


def test_a_hold_is_used_by_one_at_a_time() -> None:
    lock = RWLock()

    async def main() -> None:
        hold = as_async(lock).read()
        async with hold:
            with pytest.raises(RuntimeError, match="has the lock already"):
                await hold.__aenter__()
            with pytest.raises(RuntimeError, match="does not hold the lock for writing"):
                hold.downgrade()
        with pytest.raises(RuntimeError, match="does not hold the lock"):
            await hold.__aexit__(None, None, None)
        async with hold:
            assert lock.readers == 1
        # Two tasks wait by one hold: one of them gets it.
        lock.acquire_write()
        tasks = [asyncio.ensure_future(_enter(hold)) for _ in range(2)]
        await asyncio.sleep(0)
        lock.release_write()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AsyncHold", "RuntimeError"]
        assert lock.readers == 1
        await hold.__aexit__(None, None, None)

    asyncio.run(main())
    assert (lock.readers, lock.is_written) == (0, False)


async def _enter(hold: Any) -> Any:
    return await hold.__aenter__()


def test_a_hold_that_is_dropped_releases_the_lock() -> None:
    lock = RWLock()

    async def main() -> None:
        hold = as_async(lock).write()
        await hold.__aenter__()
        assert lock.is_written

    asyncio.run(main())
    gc.collect()
    spin_until(lambda: not lock.is_written)


@forks
@can_fork
@pytest.mark.one_thread("forks")
def test_a_child_has_no_coroutines_of_its_parent() -> None:
    lock = RWLock()

    async def main() -> None:
        async with as_async(lock).read():

            def check() -> None:
                assert lock.acquire_write(timeout=5)
                lock.release_write()

            in_child(check)
            assert lock.readers == 1

    asyncio.run(main())
    assert lock.readers == 0


def test_a_thread_that_has_waited_long_hands_nothing_to_a_loop_that_waits_for_it() -> None:
    # The loop itself takes the lock in between, without giving way.
    lock = Lock()
    lock.acquire()

    async def main() -> None:
        waiting = asyncio.ensure_future(as_async(lock).acquire())
        await asyncio.sleep(0)
        for _ in range(3):
            time.sleep(0.003)
            lock.release()
            assert lock.acquire(timeout=30)
            await asyncio.sleep(0)
        lock.release()
        assert await asyncio.wait_for(waiting, 30)
        lock.release()

    asyncio.run(main())
