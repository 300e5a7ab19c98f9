"""Many event loops in many threads on the same objects, together with threads: every item is counted."""

from __future__ import annotations

import asyncio
import random
import sys
from typing import Any

import pytest

from oxthreads import queue, threading
from oxthreads.aio import as_async
from tests.aio.event_loops import ALL, ASYNCIO, EventLoops
from tests.support.threads import Result
from tests.support.waiting import TIMEOUT_SECONDS, rounds

pytestmark = pytest.mark.one_thread("starts many threads, and changes how often they take turns")

LOOPS = 4
TASKS = 5
ITEMS = 2_000


@pytest.fixture(autouse=True)
def switch_often() -> Any:
    """Let threads take turns more often than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("maxsize", [0, 1, 10])
def test_every_item_arrives_once(loops: EventLoops, maxsize: int) -> None:
    items, got = queue.Queue[int](maxsize), [list[int]() for _ in range(LOOPS * TASKS + 2)]
    # Whoever runs a loop allows it TIMEOUT_SECONDS.
    numbers, count = rounds(ITEMS, TIMEOUT_SECONDS / 3), 0
    numbers_lock = threading.Lock()

    def next_number() -> int | None:
        nonlocal count
        with numbers_lock:
            number = next(numbers, None)
            count += number is not None
            return number

    async def put() -> None:
        while (number := next_number()) is not None:
            await as_async(items).put(number)

    def put_in_thread() -> None:
        while (number := next_number()) is not None:
            items.put(number)

    def consumers(number: int) -> None:
        async def get(place: int) -> None:
            async for item in as_async(items):
                got[place].append(item)
                if item % 7 == 0:
                    await loops.turn()

        async def main() -> None:
            places = range(number * TASKS, (number + 1) * TASKS)
            await loops.together(*[lambda place=place: get(place) for place in places])

        loops.run(main)

    def consume_in_thread(place: int) -> None:
        got[place].extend(items.iterate())

    getters = [Result(consumers, number) for number in range(LOOPS)]
    getters += [Result(consume_in_thread, -1 - number) for number in range(2)]
    putters = [Result(loops.run, lambda: loops.together(put, put)) for _ in range(2)]
    putters += [Result(put_in_thread) for _ in range(2)]
    for putter in putters:
        putter.get()
    items.shutdown()
    for getter in getters:
        getter.get()
    assert sorted(number for some in got for number in some) == list(range(count))


def test_nothing_is_lost_while_tasks_are_cancelled_in_many_loops() -> None:
    items, taken, stop = queue.Queue[int](3), [list[int]() for _ in range(LOOPS)], threading.Event()

    def run(number: int) -> None:
        chance = random.Random(number)

        async def get() -> None:
            while True:
                taken[number].append(await as_async(items).get())

        async def main() -> None:
            while not stop.is_set():
                tasks = [asyncio.ensure_future(get()) for _ in range(3)]
                for task in tasks:
                    for _ in range(chance.randrange(4)):
                        await asyncio.sleep(0)
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run(main())

    threads = [Result(run, number) for number in range(LOOPS)]
    put = 0
    for number in rounds(3_000):
        items.put(number)
        put = number + 1
    stop.set()
    for thread in threads:
        thread.get()
    rest = items.get_many(block=False) if not items.empty() else []
    assert sorted(number for some in taken for number in some) + sorted(rest) == list(range(put))


def test_permits_are_counted_in_many_loops() -> None:
    semaphore, inside, most, lock = threading.BoundedSemaphore(3), 0, 0, threading.Lock()

    def enter(change: int) -> None:
        nonlocal inside, most
        with lock:
            inside += change
            most = max(most, inside)

    def run(loops: EventLoops) -> None:
        async def use() -> None:
            for _ in range(100):
                async with as_async(semaphore):
                    enter(1)
                    await loops.turn()
                    enter(-1)

        loops.run(lambda: loops.together(*[use] * TASKS))

    there = [parameters.values[0] for parameters in ALL if not parameters.marks]
    threads = [Result(run, loops) for loops in (*there, ASYNCIO)]
    for thread in threads:
        thread.get()
    assert most <= 3
    for _ in range(3):
        assert semaphore.acquire(blocking=False)


def test_one_event_wakes_all_loops(loops: EventLoops) -> None:
    event, arrived, lock = threading.Event(), 0, threading.Lock()

    async def wait() -> None:
        nonlocal arrived
        await as_async(event).wait()
        with lock:
            arrived += 1

    def run() -> None:
        loops.run(lambda: loops.together(*[wait] * 50))

    threads = [Result(run) for _ in range(LOOPS)]
    event.set()
    for thread in threads:
        thread.get()
    assert arrived == LOOPS * 50
