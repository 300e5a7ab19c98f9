"""Each kind of object, used by threads and by coroutines of each library at once."""

from __future__ import annotations

import asyncio
import concurrent.futures as standard_futures
import contextvars
import queue as standard_queue
import threading as standard_threading
import time
from typing import Any

import pytest

from oxthreads import aio, queue, threading
from oxthreads.aio import as_async
from oxthreads.concurrent.futures import Future, ThreadPoolExecutor
from tests.aio.event_loops import EventLoops
from tests.support.threads import Result, start
from tests.support.waiting import until_asleep

ITEMS = 2_000


@pytest.mark.parametrize("kind", [queue.Queue, queue.LifoQueue, queue.PriorityQueue, queue.SimpleQueue])
def test_a_coroutine_gets_what_a_thread_puts(loops: EventLoops, kind: Any) -> None:
    items = kind()

    def produce() -> None:
        for number in range(ITEMS):
            items.put(number)

    async def main() -> list[int]:
        producer = start(produce)
        got = [await as_async(items).get() for _ in range(ITEMS)]
        producer.join()
        return got

    got = loops.run(main)
    assert sorted(got) == list(range(ITEMS))
    if kind in (queue.Queue, queue.SimpleQueue):
        assert got == list(range(ITEMS))


def test_a_thread_gets_what_a_coroutine_puts(loops: EventLoops) -> None:
    items = queue.Queue[int](3)
    consumer = Result(lambda: [items.get() for _ in range(ITEMS)])

    async def main() -> None:
        for number in range(ITEMS):
            await as_async(items).put(number)

    loops.run(main)
    assert consumer.get() == list(range(ITEMS))


def test_a_loop_over_a_queue_ends_when_it_is_shut_down(loops: EventLoops) -> None:
    items = queue.Queue[int](2)

    def produce() -> None:
        items.put_many(range(ITEMS))
        items.shutdown()

    async def main() -> list[int]:
        start(produce)
        return [item async for item in as_async(items)]

    assert loops.run(main) == list(range(ITEMS))


def test_a_shutdown_ends_the_waits_of_coroutines(loops: EventLoops) -> None:
    empty, full = queue.Queue[int](), queue.Queue[int](1)
    full.put(0)
    ended = []

    async def get() -> None:
        with pytest.raises(aio.QueueShutDown):
            await as_async(empty).get()
        ended.append("get")

    async def put() -> None:
        with pytest.raises(queue.ShutDown):
            await as_async(full).put(1)
        ended.append("put")

    async def shut_down() -> None:
        await loops.turn()
        await loops.turn()
        for each in (empty, full):
            start(each.shutdown)

    async def main() -> None:
        await loops.together(get, put, shut_down)

    loops.run(main)
    assert sorted(ended) == ["get", "put"]


def test_join_waits_for_the_work_of_threads(loops: EventLoops) -> None:
    items = queue.Queue[int]()
    for number in range(100):
        items.put(number)

    def work() -> None:
        for _ in range(100):
            items.get()
            items.task_done()

    async def main() -> int:
        start(work)
        await as_async(items).join()
        return items.unfinished_tasks

    assert loops.run(main) == 0


def test_what_does_not_wait_raises_the_exceptions_of_both_libraries() -> None:
    view = as_async(queue.Queue[int](1))
    for empty in (asyncio.QueueEmpty, standard_queue.Empty, aio.QueueEmpty):
        with pytest.raises(empty):
            view.get_nowait()
    view.put_nowait(1)
    for full in (asyncio.QueueFull, standard_queue.Full, aio.QueueFull):
        with pytest.raises(full):
            view.put_nowait(2)
    assert (view.qsize(), view.empty(), view.full(), view.maxsize) == (1, False, True, 1)
    assert (view.get_nowait(), view.unfinished_tasks) == (1, 1)
    view.task_done()
    with pytest.raises(ValueError, match="too many times"):
        view.task_done()
    assert not view.is_shutdown
    view.shutdown()
    with pytest.raises(queue.ShutDown):
        view.get_nowait()
    assert view.is_shutdown
    with pytest.raises(aio.QueueEmpty):
        as_async(queue.SimpleQueue[int]()).get_nowait()


@pytest.mark.parametrize("kind", [queue.Queue, queue.LifoQueue, queue.PriorityQueue, queue.SimpleQueue])
def test_many_items_are_taken_in_one_step(loops: EventLoops, kind: type[queue.Queue[int]]) -> None:
    items = kind()
    view = as_async(items)
    order = reversed if kind is queue.LifoQueue else list

    async def main() -> None:
        items.put_many(range(5))
        assert await view.get_many(2) == list(order(range(5)))[:2]
        assert await view.get_many(0) == []
        assert len(await view.get_many()) == 3
        with pytest.raises(ValueError, match="negative"):
            view.get_many(-1)

        async def put() -> None:
            await loops.turn()
            items.put_many(range(4))

        got, _ = await loops.together(lambda: view.get_many(3), put)
        # The first one was given to the wait; the others were there when it went on.
        assert len(got) == 3
        assert await view.get_many() != []
        assert not await loops.ends_in_time(view.get_many, 0.01)
        items.put(1)
        assert items.get(timeout=0) == 1

    loops.run(main)


def test_a_batch_ends_with_its_queue(loops: EventLoops) -> None:
    items = queue.Queue[int]()
    view = as_async(items)

    async def main() -> None:
        async def shut_down() -> None:
            await loops.turn()
            items.shutdown()

        async def get() -> None:
            with pytest.raises(aio.QueueShutDown):
                await view.get_many()

        await loops.together(get, shut_down)
        await get()

    loops.run(main)


def test_values_that_the_interpreter_could_misunderstand_are_passed_on(loops: EventLoops) -> None:
    values = [(), (1, 2), None, StopIteration("value"), ValueError("value"), StopIteration]

    async def main() -> list[Any]:
        items = as_async(queue.Queue[Any]())
        ready = []
        for value in values:
            await items.put(value)
            ready.append(await items.get())

        async def put() -> None:
            for value in values:
                await loops.turn()
                items.put_nowait(value)

        async def get() -> list[Any]:
            return [await items.get() for _ in values]

        waited = (await loops.together(get, put))[0]
        assert waited == values
        return ready

    assert loops.run(main) == values


def test_a_lock_excludes_threads_and_coroutines(loops: EventLoops) -> None:
    lock, inside, count = threading.Lock(), list[int](), 0

    def use_in_thread() -> None:
        for _ in range(200):
            with lock:
                use()

    def use() -> None:
        nonlocal count
        assert not inside
        inside.append(1)
        count += 1
        inside.pop()

    async def use_in_coroutine() -> None:
        for _ in range(200):
            async with as_async(lock):
                assert not inside
                inside.append(1)
                await loops.turn()
                inside.pop()
                use()

    async def main() -> None:
        threads = [Result(use_in_thread) for _ in range(2)]
        await loops.together(*[use_in_coroutine] * 3)
        await loops.until(lambda: not any(thread.thread.is_alive() for thread in threads))
        for thread in threads:
            thread.get()

    loops.run(main)
    assert count == 5 * 200
    assert not lock.locked()


def test_a_lock_can_be_acquired_and_released_by_hand(loops: EventLoops) -> None:
    lock = threading.Lock()

    async def main() -> None:
        view = as_async(lock)
        assert await view.acquire() is True
        assert view.locked()
        with pytest.raises(ZeroDivisionError):
            await divide()
        view.release()
        with pytest.raises(RuntimeError, match="release unlocked lock"):
            view.release()

    async def divide() -> None:
        async with as_async(threading.Lock()):
            raise ZeroDivisionError

    loops.run(main)


@pytest.mark.parametrize("kind", [threading.Semaphore, threading.BoundedSemaphore])
def test_a_semaphore_lets_so_many_in(loops: EventLoops, kind: Any) -> None:
    semaphore, inside, most = kind(3), 0, 0

    async def use() -> None:
        nonlocal inside, most
        for _ in range(50):
            async with as_async(semaphore):
                inside += 1
                most = max(most, inside)
                await loops.turn()
                inside -= 1

    async def main() -> None:
        await loops.together(*[use] * 10)
        view = as_async(semaphore)
        for _ in range(3):
            assert await view.acquire() is True
        assert view.locked()
        view.release(3)
        assert not view.locked()

    loops.run(main)
    assert most == 3


def test_an_event_wakes_threads_and_coroutines(loops: EventLoops) -> None:
    event = threading.Event()
    waiter = Result(event.wait)
    until_asleep(waiter.thread)

    async def wait() -> bool:
        return await as_async(event).wait()

    async def set_it() -> None:
        await loops.turn()
        assert not as_async(event).is_set()
        start(as_async(event).set)

    async def main() -> list[bool]:
        return (await loops.together(wait, wait, set_it))[:2]

    assert loops.run(main) == [True, True]
    assert waiter.get() is True
    as_async(event).clear()
    assert not event.is_set()


def test_a_set_that_is_cleared_at_once_is_not_missed(loops: EventLoops) -> None:
    event = threading.Event()

    async def wait() -> bool:
        return await as_async(event).wait()

    async def pulse() -> None:
        await loops.turn()
        event.set()
        event.clear()

    async def main() -> None:
        await loops.together(wait, pulse)

    loops.run(main)


def test_a_future_gives_its_result_or_exception(loops: EventLoops) -> None:
    async def main() -> None:
        go = threading.Event()
        with ThreadPoolExecutor(2) as pool:
            slow = pool.submit(lambda: (go.wait(), 5)[1])
            failed = pool.submit(lambda: 1 / 0)
            start(go.set)
            assert await as_async(slow) == 5
            assert await as_async(slow) == 5, "a future can be awaited again"
            assert await as_async(slow).result() == 5
            with pytest.raises(ZeroDivisionError):
                await as_async(failed)
            await as_async(failed).wait()
        never = Future[int]()
        assert as_async(never).cancel()
        assert as_async(never).cancelled()
        assert as_async(never).done()
        with pytest.raises(standard_futures.CancelledError):
            await as_async(never)

    loops.run(main)


def test_a_condition_is_notified_by_threads_and_coroutines(loops: EventLoops) -> None:
    changed, data = threading.Condition(threading.Lock()), []

    def produce() -> None:
        for number in range(100):
            with changed:
                data.append(number)
                changed.notify()

    async def consume() -> list[int]:
        view, got = as_async(changed), list[int]()
        while len(got) < 100:
            async with view:
                await view.wait_for(lambda: data)
                got.extend(data)
                data.clear()
        return got

    async def main() -> list[int]:
        producer = start(produce)
        got = await consume()
        producer.join()
        return got

    assert loops.run(main) == list(range(100))


def test_a_thread_is_notified_by_a_coroutine(loops: EventLoops) -> None:
    changed = threading.Condition(threading.Lock())

    def wait() -> bool:
        with changed:
            return changed.wait()

    async def main() -> None:
        waiters = [Result(wait) for _ in range(2)]
        until_asleep(*[waiter.thread for waiter in waiters])
        async with as_async(changed):
            as_async(changed).notify_all()
        for waiter in waiters:
            assert waiter.get() is True
        with pytest.raises(RuntimeError, match="cannot notify"):
            as_async(changed).notify()
        with pytest.raises(RuntimeError, match="cannot wait"):
            await as_async(changed).wait()

    loops.run(main)


def test_threads_and_coroutines_meet_at_a_barrier(loops: EventLoops) -> None:
    barrier = threading.Barrier(4)
    threads = [Result(barrier.wait) for _ in range(2)]

    async def wait() -> int:
        return await as_async(barrier).wait()

    async def main() -> list[int]:
        return await loops.together(wait, wait)

    numbers = loops.run(main) + [thread.get() for thread in threads]
    assert sorted(numbers) == [0, 1, 2, 3]


def test_a_broken_barrier_is_told(loops: EventLoops) -> None:
    barrier = threading.Barrier(2)

    async def wait() -> None:
        with pytest.raises(standard_threading.BrokenBarrierError):
            await as_async(barrier).wait()

    async def abort() -> None:
        await loops.until(lambda: as_async(barrier).n_waiting == 1)
        await as_async(barrier).abort()

    async def main() -> None:
        await loops.together(wait, abort)
        assert as_async(barrier).broken
        await as_async(barrier).reset()
        assert not as_async(barrier).broken
        assert as_async(barrier).parties == 2

    loops.run(main)


def test_a_pool_runs_functions_for_coroutines(loops: EventLoops) -> None:
    variable = contextvars.ContextVar("variable", default="default")

    async def main() -> None:
        variable.set("of the caller")
        async with as_async(ThreadPoolExecutor(2)) as pool:
            assert await pool.submit(pow, 2, 5) == 32
            assert await pool.run(variable.get) == "of the caller"
            assert [n async for n in pool.map(pow, range(5), [2] * 5)] == [0, 1, 4, 9, 16]
            assert [n async for n in pool.map(abs, range(100), buffersize=3)] == list(range(100))
            with pytest.raises(ZeroDivisionError):
                await pool.run(lambda: 1 / 0)
            with pytest.raises(ValueError, match="buffersize"):
                async for _ in pool.map(abs, [1], buffersize=0):
                    pass
        with pytest.raises(RuntimeError, match="shutdown"):
            pool.submit(abs, 1)

    loops.run(main)


def test_to_thread_runs_in_another_thread_with_the_context(loops: EventLoops) -> None:
    variable = contextvars.ContextVar("variable", default="default")

    async def main() -> None:
        variable.set("of the caller")
        assert await aio.to_thread(variable.get) == "of the caller"
        assert await aio.to_thread(standard_threading.get_ident) != standard_threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            await aio.to_thread(lambda: 1 / 0)
        assert await aio.to_thread(dict, key="value") == {"key": "value"}

    loops.run(main)


def test_many_slow_calls_run_at_once(loops: EventLoops) -> None:
    barrier = threading.Barrier(3)

    async def meet() -> int:
        return await aio.to_thread(barrier.wait)

    async def main() -> list[int]:
        return await loops.together(meet, meet, meet)

    assert sorted(loops.run(main)) == [0, 1, 2]


def test_a_queue_with_two_sides(loops: EventLoops) -> None:
    async def main() -> None:
        for kind, order in (
            (aio.Queue, [2, 1, 3]),
            (aio.LifoQueue, [3, 1, 2]),
            (aio.PriorityQueue, [1, 2, 3]),
        ):
            items: aio.Queue[int] = kind(3)
            async with items:
                assert not items.closed
                for number in (2, 1, 3):
                    items.sync_q.put(number)
                assert (items.maxsize, items.unfinished_tasks) == (3, 3)
                assert [await items.async_q.get() for _ in order] == order
                items.maxsize += 1
                items.async_q.maxsize += 1
                assert (items.sync_q.maxsize, items.is_shutdown) == (5, False)
                with pytest.raises(RuntimeError, match="non-closed"):
                    await items.wait_closed()
            assert items.closed
            assert items.sync_q.closed
            assert items.async_q.closed
            await items.wait_closed()
            with pytest.raises(queue.ShutDown):
                items.sync_q.get()
            with pytest.raises(aio.QueueShutDown):
                await items.async_q.put(1)

    loops.run(main)


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (threading.RLock(), "RLock belongs to a thread"),
        (threading.Condition(), r"Condition\(Lock\(\)\)"),
        (threading.Condition(threading.RLock()), r"Condition\(Lock\(\)\)"),
        (threading.Barrier(2, action=print), "standard library"),
        (asyncio.Queue(), "no view"),
        ("text", "no view"),
        (None, "no view"),
        (queue.Queue, "no view"),
    ],
)
def test_what_has_no_view_is_refused_with_advice(thing: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        as_async(thing)


@pytest.mark.skipif("standard_queue.Queue is queue.Queue", reason="the patch is installed")
@pytest.mark.parametrize(
    "thing",
    [
        standard_queue.Queue(),
        standard_queue.SimpleQueue(),
        standard_threading.Event(),
        standard_futures.Future(),
    ],
)
def test_objects_of_the_standard_library_are_refused_with_advice(thing: Any) -> None:
    with pytest.raises(TypeError, match="oxthreads"):
        as_async(thing)


def test_objects_that_fell_back_are_refused() -> None:
    items, event, semaphore = queue.Queue[int](), threading.Event(), threading.Semaphore()
    view = as_async(items)
    assert items.mutex is not None
    assert event._cond is not None
    assert semaphore._cond is not None
    for thing in (items, event, semaphore):
        with pytest.raises(TypeError, match="standard library"):
            as_async(thing)
    with pytest.raises(TypeError, match="standard library"):
        view.get_nowait()


def test_a_wait_that_had_begun_is_told_of_a_fall_back() -> None:
    items = queue.Queue[int]()

    async def main() -> None:
        get: asyncio.Task[int] = asyncio.create_task(as_async(items).get())
        await asyncio.sleep(0)
        assert items.mutex is not None
        with pytest.raises(TypeError, match="standard library"):
            await get

    asyncio.run(main())


def test_a_queue_class_with_a_get_of_its_own_is_refused() -> None:
    class Logged(queue.Queue[int]):
        def get(self, *args: Any, **keywords: Any) -> int:
            return super().get(*args, **keywords)

    with pytest.raises(TypeError, match="of its own"):
        as_async(Logged())


def test_a_wait_can_be_awaited_once() -> None:
    async def main() -> None:
        items = as_async(queue.Queue[int]())
        await items.put(1)
        get = items.get()
        assert await get == 1
        with pytest.raises(RuntimeError, match="already awaited"):
            await get

    asyncio.run(main())


@pytest.mark.one_thread("catches warnings")
def test_a_wait_that_is_never_awaited_warns() -> None:
    items = queue.Queue[int]()
    with pytest.warns(RuntimeWarning, match=r"AsyncQueue\.put.* was never awaited"):
        as_async(items).put(1)
    assert items.empty()


def test_a_wait_without_an_event_loop_is_an_error() -> None:
    get = as_async(queue.Queue[int]()).get()
    with pytest.raises(RuntimeError, match="no event loop"):
        get.send(None)
    put = as_async(queue.Queue[int]()).put(1)
    with pytest.raises(StopIteration):
        put.send(None)


def test_a_wait_is_a_coroutine_for_asyncio() -> None:
    async def main() -> None:
        items = queue.Queue[int]()
        task: asyncio.Task[int] = asyncio.create_task(as_async(items).get())
        await asyncio.sleep(0)
        assert "AsyncQueue.get" in repr(task)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(as_async(items).get(), 0)
        items.put(1)
        assert await asyncio.shield(task) == 1
        get = as_async(items).get()
        assert asyncio.iscoroutine(get)
        get.close()

    asyncio.run(main(), debug=True)


def test_a_task_that_makes_an_item_wakes_the_next_one_in_the_same_loop(loops: EventLoops) -> None:
    there, back = as_async(queue.Queue[int]()), as_async(queue.Queue[int]())

    async def ping() -> None:
        for number in range(300):
            await there.put(number)
            assert await back.get() == number

    async def pong() -> None:
        for _ in range(300):
            await back.put(await there.get())

    async def main() -> None:
        await loops.together(ping, pong)

    loops.run(main)


def test_a_callback_of_the_loop_wakes_a_coroutine() -> None:
    async def main() -> int:
        items = queue.Queue[int]()
        asyncio.get_running_loop().call_later(0.01, items.put, 1)
        return await as_async(items).get()

    assert asyncio.run(main()) == 1


def test_threads_do_not_wait_for_a_busy_event_loop() -> None:
    items = queue.Queue[int]()

    async def main() -> int:
        get: asyncio.Task[int] = asyncio.create_task(as_async(items).get())
        await asyncio.sleep(0)
        others = [Result(items.get) for _ in range(2)]
        until_asleep(*[other.thread for other in others])
        # The coroutine is the first to be woken, and this loop does not let it run.
        for number in range(3):
            items.put(number)
        got = [other.get() for other in others]
        return sum([*got, await get])

    assert asyncio.run(main()) == 3


def test_the_time_of_a_wait_can_be_limited(loops: EventLoops) -> None:
    items = queue.Queue[int]()

    async def get() -> None:
        await as_async(items).get()

    async def main() -> None:
        assert not await loops.ends_in_time(get, 0.01)
        items.put(1)
        assert await loops.ends_in_time(get, 30)

    loops.run(main)
    time.sleep(0)
    assert items.empty()
