"""Tests of `aio.select`: each kind of source, time, cancellation at each step, threads beside coroutines."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable
from typing import Any

import pytest

from oxthreads import aio, queue, threading
from oxthreads.aio import as_async
from oxthreads.channels import Broadcast, Channel
from oxthreads.concurrent.futures import Future
from oxthreads.waiting import after, every, get, put
from oxthreads.waiting import select as select_in_thread
from tests.aio.cancelling import CancelledAt, CancelledWhileSuspended, at_each_step
from tests.aio.event_loops import EventLoops
from tests.support.garbage import is_freed
from tests.support.threads import Result, start
from tests.support.waiting import until_asleep


def with_item(kind: str) -> Any:
    items = getattr(queue, kind)()
    return items, lambda: items.put("tea"), "tea"


def event() -> Any:
    flag = threading.Event()
    return flag, flag.set, True


def lock() -> Any:
    taken = threading.Lock()
    taken.acquire()
    return taken, taken.release, True


def semaphore() -> Any:
    permits = threading.Semaphore(0)
    return permits, permits.release, True


def future() -> Any:
    promised: Future[int] = Future()
    return promised, lambda: promised.set_result(1), None


def thread() -> Any:
    end = threading.Event()
    running = start(end.wait)
    return running, end.set, None


def room() -> Any:
    full: queue.Queue[str] = queue.Queue(1)
    full.put("old")
    return put(full, "new"), full.get, None


def several() -> Any:
    items: queue.Queue[int] = queue.Queue()
    return get(items, 2), lambda: items.put_many([1, 2, 3]), [1, 2]


SOURCES: dict[str, Callable[[], Any]] = {
    **{kind: lambda kind=kind: with_item(kind) for kind in ("Queue", "PriorityQueue", "SimpleQueue")},  # type: ignore[misc]
    "Event": event,
    "Lock": lock,
    "Semaphore": semaphore,
    "Future": future,
    "Thread": thread,
    "put": room,
    "get": several,
    "after": lambda: (after(0.01), lambda: None, None),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_a_task_is_woken_by_each_kind_of_source(loops: EventLoops, kind: str) -> None:
    source, make_ready, value = SOURCES[kind]()
    never: queue.Queue[int] = queue.Queue()

    async def main() -> Any:
        async def wait() -> Any:
            return await aio.select(never, source)

        async def ready() -> None:
            for _ in range(3):
                await loops.turn()
            start(make_ready)

        return (await loops.together(wait, ready))[0]

    found, given = loops.run(main)
    assert (found is source, given) == (True, value)


def test_what_is_ready_is_returned_at_once(loops: EventLoops) -> None:
    first: queue.Queue[int] = queue.Queue()
    second: queue.SimpleQueue[int] = queue.SimpleQueue()

    async def main() -> None:
        first.put(1)
        second.put(2)
        assert await aio.select(first, second, fair=False) == (first, 1)
        assert await aio.select(first, second) == (second, 2)
        assert await aio.select(first, second, timeout=0, default="none") == "none"

    loops.run(main)


def test_time_outs_and_timers(loops: EventLoops) -> None:
    items: queue.Queue[int] = queue.Queue()

    async def main() -> None:
        assert await aio.select(items, timeout=0.01, default=None) is None
        with pytest.raises(TimeoutError, match="no source was ready in time"):
            await aio.select(items, timeout=0.01)
        tick = every(0.005)
        source, times = await aio.select(items, tick)
        assert source is tick
        assert times >= 1
        assert await aio.select(items, after(60), timeout=0.01, default="over") == "over"
        early = after(0.01)
        assert await aio.select(after(60), early, timeout=30) == (early, None)
        items.put(1)
        assert items.get_nowait() == 1

    loops.run(main)


def test_what_is_refused(loops: EventLoops) -> None:
    reader, writer = os.pipe()
    file = os.fdopen(reader)
    items: queue.Queue[int] = queue.Queue()

    async def main() -> None:
        with pytest.raises(TypeError, match="cannot wait for sockets and files"):
            await aio.select(file, items)  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="int object"):
            await aio.select(1)  # type: ignore[call-overload]
        with pytest.raises(ValueError, match="at least one source"):
            await aio.select()
        with pytest.raises(ValueError, match="non-negative"):
            await aio.select(items, timeout=-1)
        items.shutdown()
        with pytest.raises(queue.ShutDown) as caught:
            await aio.select(items, threading.Event())
        assert caught.value.source is items  # type: ignore[attr-defined]

    with file:
        loops.run(main)
    os.close(writer)


def test_a_task_and_threads_share_two_queues(loops: EventLoops) -> None:
    first: queue.Queue[int] = queue.Queue(3)
    second: queue.SimpleQueue[int] = queue.SimpleQueue()
    end, count = threading.Event(), 200

    def take() -> list[int]:
        taken = []
        while (found := select_in_thread(first, second, end))[0] is not end:
            taken.append(found[1])
        return taken

    async def take_in_task() -> list[int]:
        taken = []
        while (found := await aio.select(first, second, end))[0] is not end:
            taken.append(found[1])
        return taken

    def send(items: Any, numbers: range) -> None:
        for number in numbers:
            items.put(number)

    async def main() -> list[int]:
        senders = [start(send, items, range(begin, count, 2)) for begin, items in enumerate((first, second))]

        async def stop() -> None:
            await loops.until(lambda: not any(sender.is_alive() for sender in senders))
            await loops.until(lambda: first.empty() and second.empty())
            end.set()

        taken = await loops.together(take_in_task, take_in_task, stop)
        return [*taken[0], *taken[1]]

    threads = [Result(take) for _ in range(2)]
    found = loops.run(main)
    for taker in threads:
        found += taker.get()
    # An event that is set may be preferred to an item.
    found += first.get_many(block=False) if not first.empty() else []
    while not second.empty():
        found.append(second.get())
    assert sorted(found) == list(range(count))


@pytest.mark.parametrize("kind", [CancelledAt, CancelledWhileSuspended])
def test_cancelled_at_each_step_it_loses_nothing(kind: type[CancelledAt]) -> None:
    count = 8

    async def round_of_test(victim: Any) -> None:
        first: queue.Queue[int] = queue.Queue(1)
        second: queue.Queue[int] = queue.Queue()
        mutex = threading.Lock()
        mutex.acquire()
        got: list[int] = []

        async def take() -> None:
            while len(got) < count:
                source, value = await aio.select(first, second, mutex, timeout=30)
                assert source is not mutex
                got.append(value)

        async def send() -> None:
            for number in range(count):
                if number % 2:
                    second.put(number)
                else:
                    await as_async(first).put(number)
                await asyncio.sleep(0)

        task = victim(take())
        sender = asyncio.ensure_future(send())
        if await task:
            await sender
        else:
            while not sender.done():
                got += [] if first.empty() else first.get_many(block=False)
                await asyncio.sleep(0)
        for items in (first, second):
            got += [] if items.empty() else items.get_many(block=False)
        assert sorted(got) == list(range(count))
        mutex.release()
        assert mutex.acquire(blocking=False)

    assert asyncio.run(at_each_step(kind, round_of_test)) >= 2


def test_what_a_cancelled_task_was_given_goes_to_a_thread() -> None:
    items: queue.Queue[int] = queue.Queue()

    async def main() -> None:
        task = asyncio.ensure_future(aio.select(items, threading.Event()))
        await asyncio.sleep(0)
        waiting_thread = Result(items.get)
        until_asleep(waiting_thread.thread)
        items.put(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert waiting_thread.get() == 1

    asyncio.run(main())


class Node:
    """An item that refers to the wait in which it is to be put."""

    channel: Any
    wait: Any


@pytest.mark.parametrize("kind", ["rendezvous", "channel", "queue", "simple"])
def test_a_wait_in_a_cycle_with_its_item_is_freed(kind: str) -> None:
    def make_cycle() -> Node:
        node, full = Node(), Node()
        if kind == "rendezvous":
            node.channel = Channel()
        elif kind == "channel":
            node.channel = Channel(1)
            node.channel.send(full)
        elif kind == "queue":
            node.channel = queue.Queue(1)
            node.channel.put(full)
        else:
            node.channel = Broadcast(1, on_lag="block")
            full.channel = node.channel.subscribe()
            node.channel.send(full)
        node.wait = aio.select(put(node.channel, node))
        node.wait.send(None)
        return node

    async def main() -> bool:
        return is_freed(make_cycle)

    assert asyncio.run(main())


def test_the_collector_leaves_an_item_alone_that_was_received() -> None:
    async def main() -> None:
        channel, node = Channel[Node](), Node()
        node.wait = "mine"
        task = asyncio.ensure_future(aio.select(put(channel, node)))
        del node
        await asyncio.sleep(0)
        received = channel.receive_nowait()
        gc.collect()  # the task has not run since
        assert received.wait == "mine"
        assert (await task)[1] is None
        gc.collect()
        assert received.wait == "mine"

    asyncio.run(main())


def test_a_loop_that_was_closed_takes_nothing() -> None:
    items: queue.Queue[int] = queue.Queue()
    flag = threading.Event()
    loop = asyncio.new_event_loop()
    wait: Any = aio.select(items, flag)
    task = loop.create_task(wait)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    items.put(1)
    assert items.get(timeout=30) == 1
    flag.set()
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    del task
    wait.close()
