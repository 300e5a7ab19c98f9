"""Coroutines that are cancelled at each of their steps in turn: nothing is lost, whatever they were given."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from oxthreads import aio, queue, threading
from oxthreads.aio import as_async
from oxthreads.concurrent.futures import Future, ThreadPoolExecutor
from tests.aio.cancelling import CancelledAt, CancelledWhileSuspended, at_each_step
from tests.aio.event_loops import ASYNCIO, EventLoops
from tests.support.threads import Result, start

pytestmark = pytest.mark.parametrize("kind", [CancelledAt, CancelledWhileSuspended])

ITEMS = 12

Kind = type[CancelledAt]


def rest(items: queue.Queue[Any]) -> list[Any]:
    return items.get_many(block=False) if not items.empty() else []


@pytest.mark.parametrize("queue_kind", [queue.Queue, queue.PriorityQueue])
def test_a_get_loses_no_item(kind: Kind, queue_kind: Any) -> None:
    async def round_of_test(victim: Any) -> None:
        items = queue_kind(2)
        got: list[int] = []

        async def get() -> None:
            while len(got) < ITEMS:
                got.append(await as_async(items).get())

        async def put() -> None:
            for number in range(ITEMS):
                await as_async(items).put(number)
                await asyncio.sleep(0)

        task = victim(get())
        putter = asyncio.ensure_future(put())
        if await task:
            await putter
        else:
            while not putter.done():
                got += rest(items)
                await asyncio.sleep(0)
        assert sorted(got + rest(items)) == list(range(ITEMS))

    assert asyncio.run(at_each_step(kind, round_of_test)) > ITEMS / 2


def test_a_get_passes_its_item_on_to_the_next_coroutine_and_thread(kind: Kind) -> None:
    async def round_of_test(victim: Any) -> None:
        items = queue.Queue[int]()
        task = victim(as_async(items).get())
        await asyncio.sleep(0)
        next_task = asyncio.ensure_future(as_async(items).get())
        await asyncio.sleep(0)
        thread = Result(items.get)
        for number in range(3):
            items.put(number)
        await task
        await next_task
        await ASYNCIO.until(lambda: not thread.thread.is_alive())
        thread.get()

    assert asyncio.run(at_each_step(kind, round_of_test)) >= 1


def test_a_put_loses_and_doubles_no_item(kind: Kind) -> None:
    async def round_of_test(victim: Any) -> None:
        items = queue.Queue[int](1)
        put: list[int] = []

        async def put_all() -> None:
            for number in range(ITEMS):
                await as_async(items).put(number)
                put.append(number)

        task = victim(put_all())
        got: list[int] = []
        while not task.done() or not items.empty():
            await asyncio.sleep(0)
            got += rest(items)
        # Either the put was over, or nothing was put.
        assert got == put
        # The room that it was given is free again.
        items.put(0, block=False)

    assert asyncio.run(at_each_step(kind, round_of_test)) > ITEMS / 2


def test_a_put_passes_its_room_on(kind: Kind) -> None:
    async def round_of_test(victim: Any) -> None:
        items = queue.Queue[Any](1)
        items.put("first")
        task = victim(as_async(items).put("victim"))
        await asyncio.sleep(0)
        thread = Result(items.put, "thread")
        got = [items.get()]
        while not task.done() or thread.thread.is_alive() or not items.empty():
            got += rest(items)
            await asyncio.sleep(0)
        thread.get()
        done = await task
        assert sorted(got) == sorted(["first", "thread"] + ["victim"] * done)

    assert asyncio.run(at_each_step(kind, round_of_test)) >= 1


@pytest.mark.parametrize(
    "make", [threading.Lock, threading.Semaphore, lambda: threading.Condition(threading.Lock())]
)
def test_a_lock_is_free_afterwards(kind: Kind, make: Any) -> None:
    async def round_of_test(victim: Any) -> None:
        lock = make()
        go_on = True

        async def use() -> None:
            for _ in range(3):
                async with as_async(lock):
                    await asyncio.sleep(0)

        def use_in_thread() -> None:
            while go_on:
                with lock:
                    pass

        thread = Result(use_in_thread)
        other = asyncio.ensure_future(use())
        await victim(use())
        await other
        go_on = False
        thread.get()
        assert lock.acquire(blocking=False), "the lock is lost"

    # Three suspensions at least, of the sleeps. One kind counts the step before the first, too.
    least = 3 if kind is CancelledWhileSuspended else 4
    assert asyncio.run(at_each_step(kind, round_of_test)) >= least


def test_a_lock_goes_on_to_the_next(kind: Kind) -> None:
    async def round_of_test(victim: Any) -> None:
        lock = threading.Lock()

        async def use() -> None:
            async with as_async(lock):
                pass

        def use_in_thread() -> None:
            with lock:
                pass

        await as_async(lock).acquire()
        task = victim(use())
        await asyncio.sleep(0)
        thread = Result(use_in_thread)
        other = asyncio.ensure_future(use())
        await asyncio.sleep(0)
        lock.release()
        await task
        await other
        await ASYNCIO.until(lambda: not thread.thread.is_alive())
        thread.get()

    assert asyncio.run(at_each_step(kind, round_of_test)) >= 1


def test_a_notification_goes_on_to_the_next(kind: Kind) -> None:
    async def round_of_test(victim: Any) -> None:
        changed = threading.Condition(threading.Lock())
        waiting = 0

        async def wait() -> None:
            nonlocal waiting
            async with as_async(changed):
                waiting += 1
                await as_async(changed).wait()

        task = victim(wait())
        await asyncio.sleep(0)
        others = [asyncio.ensure_future(wait()) for _ in range(2)]
        await ASYNCIO.until(lambda: waiting >= 2)
        for _ in range(3):
            async with as_async(changed):
                changed.notify()
            await asyncio.sleep(0)
        await task
        await asyncio.gather(*others)
        assert not as_async(changed).locked()

    assert asyncio.run(at_each_step(kind, round_of_test)) >= 1


def test_the_lock_is_held_again_when_a_wait_for_a_condition_is_cancelled(kind: Kind) -> None:
    async def round_of_test(victim: Any) -> None:
        changed, held = threading.Condition(threading.Lock()), []

        async def wait() -> None:
            async with as_async(changed):
                try:
                    await as_async(changed).wait()
                finally:
                    held.append(as_async(changed).locked())

        task = victim(wait())
        await asyncio.sleep(0)
        async with as_async(changed):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            changed.notify_all()
        await task
        assert all(held)
        assert not as_async(changed).locked()

    assert asyncio.run(at_each_step(kind, round_of_test)) >= 1


def test_an_event_and_a_join_are_only_left(kind: Kind) -> None:
    async def round_of_test(victim: Any) -> None:
        event, items = threading.Event(), queue.Queue[int]()
        items.put(1)

        async def wait() -> None:
            await as_async(event).wait()
            await as_async(items).join()

        task = victim(wait())
        other = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        event.set()
        await asyncio.sleep(0)
        items.task_done()
        await task
        await other

    assert asyncio.run(at_each_step(kind, round_of_test)) >= 1


def test_who_leaves_a_barrier_does_not_count(kind: Kind) -> None:
    async def round_of_test(victim: Any) -> None:
        barrier = threading.Barrier(2)
        task = victim(as_async(barrier).wait())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        others = [asyncio.ensure_future(as_async(barrier).wait())]
        done, _ = await asyncio.wait([task])
        if not done.pop().result():
            # The victim left before the other came, or has met it.
            while not others[0].done() and len(others) < 2:
                others.append(asyncio.ensure_future(as_async(barrier).wait()))
                await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait(others)
        assert barrier.n_waiting == 0

    assert asyncio.run(at_each_step(kind, round_of_test)) >= 1


def test_a_future_is_not_cancelled(kind: Kind) -> None:
    async def round_of_test(victim: Any) -> None:
        future = Future[int]()
        task = victim(as_async(future).result())
        await asyncio.sleep(0)
        start(future.set_result, 1)
        await task
        assert await as_async(future) == 1

    assert asyncio.run(at_each_step(kind, round_of_test)) >= 1


def test_a_call_that_has_not_begun_is_cancelled_with_its_wait(kind: Kind) -> None:
    async def round_of_test(victim: Any) -> None:
        called: list[int] = []
        with ThreadPoolExecutor(1) as pool:
            go = threading.Event()
            busy = pool.submit(go.wait)
            task = victim(as_async(pool).run(called.append, 1))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            start(go.set)
            done = await task
            busy.result()
        # Once the call has begun, it is not cancelled.
        assert len(called) >= done

    assert asyncio.run(at_each_step(kind, round_of_test)) >= 1


def test_a_time_out_of_any_library_loses_no_item(loops: EventLoops, kind: Kind) -> None:
    del kind
    items, got, seconds = queue.Queue[int](4), [], 1e-5

    def produce() -> None:
        for number in range(200):
            items.put(number)
        items.shutdown()

    async def get() -> None:
        got.append(await as_async(items).get())

    async def main() -> None:
        nonlocal seconds
        producer = start(produce)
        try:
            while True:
                seconds = seconds * 1.1 if seconds < 1e-3 else 1e-5
                await loops.ends_in_time(get, seconds)
        except aio.QueueShutDown:
            pass
        producer.join()

    loops.run(main)
    assert got == list(range(200))
