"""What is raised at a bad moment: no wait is lost, ended for it, or taken for something else."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import weakref
from typing import Any

import pytest

from oxthreads import queue, threading
from oxthreads.aio import as_async, select, to_thread
from oxthreads.concurrent.futures import Future, ThreadPoolExecutor
from oxthreads.waiting import put
from tests.aio.event_loops import EventLoops
from tests.support.interpreters import python
from tests.support.threads import Result, start
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, until_asleep


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


def put_at_the_end_of_the_stack(items: queue.Queue[int]) -> None:
    """Put an item where hardly any call is possible."""
    was_put: list[bool] = []

    def deeper() -> None:
        try:
            deeper()
        except RecursionError:
            if not was_put:
                was_put.append(True)
                items.put(1)
            raise

    with pytest.raises(RecursionError):
        deeper()


@pytest.mark.parametrize("in_thread", [True, False])
def test_a_recursion_that_is_too_deep_loses_no_wake(loops: EventLoops, in_thread: bool) -> None:
    first, second = queue.Queue[int](), queue.Queue[int]()
    asleep: list[bool] = []

    async def get(items: queue.Queue[int]) -> int:
        asleep.append(True)
        return await as_async(items).get()

    async def put() -> None:
        await loops.until(lambda: len(asleep) == 2)
        await loops.turn()
        if in_thread:
            thread = start(put_at_the_end_of_the_stack, first)
            await to_thread(thread.join)
        else:
            put_at_the_end_of_the_stack(first)
        second.put(2)

    async def main() -> list[Any]:
        return await loops.together(lambda: get(first), lambda: get(second), put)

    assert loops.run(main) == [1, 2, None]


class Alarm(Exception):
    """What a signal handler raises."""


class AlarmAtRuntime(Alarm, RuntimeError):
    """One that could be taken for what asyncio raises."""


class AlarmedLoop(asyncio.SelectorEventLoop):
    """A loop in which a signal handler raises in the middle of its next call_soon."""

    alarm: type[Exception] | None = None

    def call_soon(self, *arguments: Any, **keywords: Any) -> asyncio.Handle:  # type: ignore[override]
        alarm, self.alarm = self.alarm, None
        if alarm is not None:
            raise alarm
        return super().call_soon(*arguments, **keywords)


@pytest.mark.parametrize("alarm", [Alarm, AlarmAtRuntime])
@pytest.mark.parametrize("in_thread", [True, False])
@pytest.mark.one_thread("the exception is raised in the main thread")
def test_a_handler_that_raises_in_the_thread_of_the_loop_loses_no_wake(
    alarm: type[Exception], in_thread: bool
) -> None:
    queues = [queue.Queue[int]() for _ in range(6)]
    loop = AlarmedLoop()

    def put() -> None:
        left = list(queues)
        while left:
            try:
                while left:
                    left.pop().put(1)
            except Alarm:
                pass

    async def main() -> list[int]:
        tasks = [asyncio.ensure_future(as_async(items).get()) for items in queues]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if in_thread:
            start(put).join()
        loop.alarm = alarm
        if not in_thread:
            put()
        return list(await asyncio.gather(*tasks))

    loop.set_exception_handler(lambda *_: None)
    task = loop.create_task(main())
    while not task.done():
        with contextlib.suppress(Alarm):
            loop.run_until_complete(asyncio.wait_for(asyncio.shield(task), TIMEOUT_SECONDS))
    loop.close()
    assert task.result() == [1] * 6


class ClosingLoop(asyncio.SelectorEventLoop):
    """A loop that is closed while a signal handler runs, in the middle of its next call_soon_threadsafe."""

    is_interrupted = False

    def call_soon_threadsafe(self, *arguments: Any, **keywords: Any) -> asyncio.Handle:  # type: ignore[override]
        if self.is_interrupted:
            self.is_interrupted = False
            signal.raise_signal(signal.SIGINT)
        return super().call_soon_threadsafe(*arguments, **keywords)


@pytest.mark.one_thread("takes signals")
def test_what_a_handler_raises_while_the_loop_is_closed_is_not_lost() -> None:
    loop = ClosingLoop()
    items = queue.Queue[int]()
    is_waiting = threading.Event()

    async def get() -> None:
        is_waiting.set()
        await as_async(items).get()

    def run() -> None:
        task = loop.create_task(get())
        loop.run_forever()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()

    def close(*_: object) -> None:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        raise KeyboardInterrupt

    thread = start(run)
    before = signal.signal(signal.SIGINT, close)
    try:
        is_waiting.wait(TIMEOUT_SECONDS)
        until_asleep(thread)
        loop.is_interrupted = True
        with pytest.raises(KeyboardInterrupt):
            items.put(1)
            # The exception comes at one of the next bytecodes.
            spin_until(lambda: False, 1.0)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not loop.is_interrupted
    assert loop.is_closed()
    assert items.get_nowait() == 1


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Any:
    """A new loop."""
    if request.param == "asyncio":
        return asyncio.new_event_loop()
    return pytest.importorskip("uvloop").new_event_loop()


def test_a_loop_that_is_closed_before_it_looks_gives_everything_back(loop: Any) -> None:
    items, semaphore = queue.Queue[int](), threading.Semaphore(0)

    async def main() -> list[Any]:
        tasks = [
            asyncio.ensure_future(wait) for wait in (as_async(items).get(), as_async(semaphore).acquire())
        ]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return tasks

    tasks = loop.run_until_complete(main())
    threads = [Result(items.get), Result(semaphore.acquire)]
    until_asleep(*[thread.thread for thread in threads])
    items.put(1)  # the loop is asked to look
    loop.close()
    semaphore.release()
    assert [thread.get() for thread in threads] == [1, True]
    for task in tasks:
        task._log_destroy_pending = False


TRIO_ENDS = """
import threading
import trio
current_task = trio.lowlevel.current_task
paused, go_on = threading.Event(), threading.Event()
def pause():
    if threading.current_thread().name == "putter":
        paused.set()
        go_on.wait()
    return current_task()
trio.lowlevel.current_task = pause
from oxthreads import queue
from oxthreads.aio import as_async
items = queue.Queue()
def put():
    try:
        items.put("item")
        for _ in range(1000):
            pass
        print("put")
    except BaseException as error:
        print(repr(error))
async def main():
    global putter
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(as_async(items).get)
            await trio.testing.wait_all_tasks_blocked()
            putter = threading.Thread(target=put, name="putter")
            putter.start()
            await trio.to_thread.run_sync(paused.wait)
            scope.cancel()
import trio.testing
trio.run(main)
go_on.set()
putter.join()
print(items.qsize())
"""


def test_a_run_of_trio_that_has_ended_does_not_make_the_waker_raise() -> None:
    pytest.importorskip("trio")
    result = python(TRIO_ENDS, runner=False)
    assert (result.stdout.split(), result.stderr) == (["put", "1"], "")


def test_a_full_pool_does_not_block_the_event_loop(loops: EventLoops) -> None:
    go_on = threading.Event()
    ended: list[int] = []

    def work(number: int) -> int:
        go_on.wait(TIMEOUT_SECONDS)
        ended.append(number)
        return number

    async def main() -> None:
        pool = as_async(ThreadPoolExecutor(1, max_pending=1))

        async def run() -> int:
            return await pool.run(work, 1)

        async def map_all() -> list[int]:
            return [result async for result in pool.map(work, range(2, 5))]

        async def let_them_go_on() -> None:
            for _ in range(100):
                await loops.turn()
            assert not await loops.ends_in_time(lambda: pool.run(work, 5), 0.01)
            assert ended == []
            go_on.set()

        results = await loops.together(run, run, map_all, let_them_go_on)
        assert results == [1, 1, [2, 3, 4], None]
        assert sorted(ended) == [1, 1, 2, 3, 4]
        await pool.shutdown()

    loops.run(main)


class Owner:
    """What owns the task that waits with it."""

    task: Any


@pytest.mark.parametrize("what", ["put", "select", "select of a put"])
@pytest.mark.one_thread("collects garbage")
def test_what_a_dropped_wait_has_is_collected(what: str) -> None:
    class Items(queue.Queue[Any]):
        owner: Owner

    loop, items, owner = asyncio.new_event_loop(), Items(1), Owner()
    items.owner = owner
    if what != "select":
        items.put(0)

    async def wait(items: Items, owner: Owner) -> None:
        match what:
            case "put":
                await as_async(items).put(owner)
            case "select":
                await select(items, queue.Queue[int]())
            case _:
                await select(put(items, 1))

    async def main(items: Items, owner: Owner) -> None:
        await asyncio.create_task(as_async(queue.SimpleQueue[int]()).put(1))  # frees an object
        owner.task = asyncio.ensure_future(wait(items, owner))
        owner.task._log_destroy_pending = False
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    loop.run_until_complete(main(items, owner))
    loop.close()
    gone = weakref.ref(owner)
    del loop, items, owner
    gc.collect()
    assert gone() is None
