"""The types of views: mypy finds what is wrong here, as the directory is among those that it checks."""

from __future__ import annotations

import asyncio
from typing import assert_type

from oxthreads import aio, queue, threading
from oxthreads.aio import as_async
from oxthreads.concurrent.futures import Future, ThreadPoolExecutor


async def use() -> None:
    items = queue.Queue[int]()
    view = assert_type(as_async(items), aio.AsyncQueue[int])
    await view.put(1)
    assert_type(await view.get(), int)
    view.put_nowait(2)
    assert_type(await view.get_many(1), list[int])
    view.put_nowait(2)
    assert_type(view.get_nowait(), int)
    items.put(3)
    assert_type(await view.peek(), int)
    assert_type(view.peek_nowait(), int)
    assert_type(items.peek(), int)
    assert_type(view.clear(), int)
    items.put(3)
    items.shutdown()
    async for item in view:
        assert_type(item, int)
    assert_type(await as_async(queue.PriorityQueue[str]()).put(""), None)
    simple = queue.SimpleQueue[str]()
    simple.put("")
    assert_type(await as_async(simple).get(), str)
    simple.put("")
    assert_type(await as_async(simple).get_many(), list[str])
    async with as_async(threading.Lock()) as entered:
        assert_type(entered, None)
    assert_type(await as_async(threading.BoundedSemaphore()).acquire(), bool)
    event = threading.Event()
    event.set()
    assert_type(await as_async(event).wait(), bool)
    assert_type(await as_async(threading.Barrier(1)).wait(), int)
    future = Future[str]()
    future.set_result("")
    assert_type(await as_async(future), str)
    condition = as_async(threading.Condition(threading.Lock()))
    async with condition:
        assert_type(await condition.wait_for(lambda: "true"), str)
    async with as_async(ThreadPoolExecutor(1)) as pool:
        assert_type(await pool.submit(pow, 2.0, 5), float)
        assert_type(await pool.run(str, 1), str)
        async for text in pool.map(str, [1]):
            assert_type(text, str)
    assert_type(await aio.to_thread(len, ""), int)
    both = aio.Queue[bytes]()
    both.sync_q.put(b"")
    assert_type(await both.async_q.get(), bytes)


def test_the_types_are_right_at_run_time_too() -> None:
    asyncio.run(use())
