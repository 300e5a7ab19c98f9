"""Loops that are closed, coroutines that are dropped, processes that fork or end: all is given back."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import weakref
from typing import Any

import pytest

from oxthreads import queue, threading
from oxthreads.aio import as_async, to_thread
from tests.aio.event_loops import EventLoops
from tests.support.forks import in_child
from tests.support.interpreters import python
from tests.support.threads import Result
from tests.support.waiting import until_asleep

pytestmark = pytest.mark.one_thread("collects garbage, forks, and starts child interpreters")


def closed_while_waiting(loop: Any, waits: list[Any]) -> list[Any]:
    """Let tasks of the loop begin to wait, and close it. Returns the tasks."""

    async def main() -> list[Any]:
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return tasks

    tasks = loop.run_until_complete(main())
    loop.close()
    for task in tasks:
        # asyncio would log that they were destroyed.
        task._log_destroy_pending = False
    return list(tasks)


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Any:
    """A new loop."""
    if request.param == "asyncio":
        return asyncio.new_event_loop()
    return pytest.importorskip("uvloop").new_event_loop()


def test_a_closed_loop_gives_back_an_item(loop: Any) -> None:
    items = queue.Queue[int]()
    tasks = closed_while_waiting(loop, [as_async(items).get() for _ in range(3)])
    thread = Result(items.get)
    until_asleep(thread.thread)
    items.put(1)
    assert thread.get() == 1
    items.put(2)
    assert items.get(block=False) == 2
    assert len(tasks) == 3


def test_a_closed_loop_gives_back_a_lock_and_a_permit(loop: Any) -> None:
    lock, semaphore = threading.Lock(), threading.Semaphore(0)
    lock.acquire()
    tasks = closed_while_waiting(loop, [as_async(lock).acquire(), as_async(semaphore).acquire()])
    threads = [Result(lock.acquire), Result(semaphore.acquire)]
    until_asleep(*[thread.thread for thread in threads])
    lock.release()
    semaphore.release()
    assert [thread.get() for thread in threads] == [True, True]
    assert len(tasks) == 2


def test_a_closed_loop_gives_back_room_and_a_notification(loop: Any) -> None:
    items, changed = queue.Queue[str](1), threading.Condition(threading.Lock())
    items.put("first")

    async def wait() -> None:
        async with as_async(changed):
            await as_async(changed).wait()

    tasks = closed_while_waiting(loop, [as_async(items).put("lost"), wait()])

    def wait_in_thread() -> bool:
        with changed:
            return changed.wait()

    threads = [Result(items.put, "second"), Result(wait_in_thread)]
    until_asleep(*[thread.thread for thread in threads])
    assert items.get() == "first"
    with changed:
        changed.notify()
    assert [thread.get() for thread in threads] == [None, True]
    assert items.get() == "second"
    for task in tasks:
        task.get_coro().close()


def test_many_waits_in_a_closed_loop_are_ended_one_after_another(loop: Any) -> None:
    items = queue.Queue[int]()
    tasks = closed_while_waiting(loop, [as_async(items).get() for _ in range(20_000)])
    items.put(1)
    assert items.get(block=False) == 1
    assert len(tasks) == 20_000


def test_a_closed_loop_does_not_make_the_waker_raise(loop: Any) -> None:
    event = threading.Event()
    tasks = closed_while_waiting(loop, [as_async(event).wait()])
    event.set()
    assert event.is_set()
    assert len(tasks) == 1


def test_a_coroutine_that_is_dropped_gives_back(loop: Any) -> None:
    items = queue.Queue[int]()

    async def main() -> None:
        for end in ("close", "drop"):
            get = as_async(items).get()
            get.send(None)
            items.put(1)  # it is given to the wait, which does not run any more
            if end == "close":
                get.close()
            del get
            assert items.get(block=False) == 1

    loop.run_until_complete(main())
    loop.close()


def test_waits_are_freed_with_their_loop() -> None:
    items = queue.Queue[int]()
    loop = asyncio.new_event_loop()
    tasks = closed_while_waiting(loop, [as_async(items).get()])
    gone = [weakref.ref(loop), weakref.ref(tasks.pop())]
    del loop
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
    items.put(1)
    assert items.get(block=False) == 1


def test_a_queue_and_the_task_that_waits_for_it_are_freed_together() -> None:
    class Items(queue.Queue[int]):
        pass

    loop, items = asyncio.new_event_loop(), Items()
    tasks = closed_while_waiting(loop, [as_async(items).get()])
    gone = [weakref.ref(items), weakref.ref(tasks.pop())]
    del loop, items
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_a_task_that_waits_is_kept_alive_by_its_loop(loops: EventLoops) -> None:
    items, got = queue.Queue[int](), []

    async def main() -> None:
        async def get() -> None:
            got.append(await as_async(items).get())

        if loops.name == "trio":
            return
        # Nobody has a reference to the task.
        asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(get()) and None)
        await loops.turn()
        await loops.turn()
        gc.collect()
        items.put(1)
        await loops.until(lambda: got)

    loops.run(main)


def test_finished_waits_leave_nothing_behind(loops: EventLoops) -> None:
    items = queue.Queue[object]()

    class Item:
        pass

    async def main() -> None:
        async def get() -> Any:
            return weakref.ref(await as_async(items).get())

        async def put() -> None:
            await loops.turn()
            items.put(Item())

        reference, _ = await loops.together(get, put)
        gc.collect()
        assert reference() is None

    loops.run(main)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_has_no_waits_of_its_parent() -> None:
    items = queue.Queue[int]()

    async def main() -> None:
        get = asyncio.ensure_future(as_async(items).get())
        in_thread = asyncio.ensure_future(to_thread(abs, -1))
        await asyncio.sleep(0)

        def check() -> None:
            items.put(1)
            assert items.get(block=False) == 1, "given to a coroutine of the parent"
            asyncio.events._set_running_loop(None)

            async def in_new_loop() -> int:
                get = asyncio.ensure_future(as_async(items).get())
                await asyncio.sleep(0)
                items.put(await to_thread(abs, -2))
                return await get

            assert asyncio.run(in_new_loop()) == 2

        in_child(check)
        items.put(3)
        assert await get == 3
        assert await in_thread == 1

    asyncio.run(main())


CTRL_C = """
import asyncio, os, signal
from oxthreads import aio, queue, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
items = queue.Queue()
async def main():
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        await aio.as_async(items).get()
    except asyncio.CancelledError:
        print("cancelled")
        raise
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
items.put(1)
print(items.get(block=False))
"""


def test_ctrl_c_ends_a_wait() -> None:
    result = python(CTRL_C, runner=False)
    assert (result.stdout.split(), result.stderr) == (["cancelled", "interrupted", "1"], "")


EXIT = """
import asyncio, sys
from oxthreads import aio, queue, threading
items, lock, event = queue.Queue(), threading.Lock(), threading.Event()
lock.acquire()
loop = asyncio.new_event_loop()
async def main():
    tasks = [
        asyncio.ensure_future(wait)
        for wait in (aio.as_async(items).get(), aio.as_async(lock).acquire(), aio.as_async(event).wait())
    ]
    for task in tasks:
        task._log_destroy_pending = False
    await asyncio.sleep(0)
    return tasks
tasks = loop.run_until_complete(main())
if sys.argv[1] == "closed":
    loop.close()
class AtTheEnd:
    def __del__(self):
        event.set()
        lock.release()
        items.put(1)
sys.at_the_end = AtTheEnd()
if sys.argv[1] != "closed":
    loop.close()
print("end")
"""


@pytest.mark.parametrize("when", ["closed", "open"])
def test_the_interpreter_ends_while_coroutines_wait(when: str) -> None:
    result = python(EXIT, when, runner=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "end\n", "")


HANDLER_RAISES = """
import asyncio, signal, time, threading as standard
from oxthreads import aio, queue, threading
class Raised(Exception): pass
def handler(*_):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    raise Raised
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
signal.signal(signal.SIGUSR1, handler)
items, stop, got = queue.Queue(), threading.Event(), []
async def consume():
    async for item in aio.as_async(items):
        got.append(item)
consumer = threading.Thread(target=lambda: asyncio.run(consume()))
consumer.start()
main = standard.get_ident()
def send():
    while not stop.wait(0.0001):
        signal.pthread_kill(main, signal.SIGUSR1)
sender = threading.Thread(target=send)
sender.start()
put = raised = 0
end = time.monotonic() + 30
while (put < 1000 or raised < 50) and time.monotonic() < end:
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        items.put(put + raised)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        put += 1
    except Raised:
        raised += 1
    # If a wake were lost, the consumer would sleep although there is an item.
    while not items.empty() and time.monotonic() < end:
        time.sleep(0)
print(items.empty())
stop.set()
sender.join()
items.shutdown()
consumer.join()
print(got == sorted(set(got)), put <= len(got) <= put + raised)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGUSR1")
def test_a_signal_handler_that_raises_loses_no_wake() -> None:
    result = python(HANDLER_RAISES, runner=False)
    assert (result.stdout.split(), result.stderr) == (["True", "True", "True"], "")


IMPORT = """
import sys
import oxthreads
assert "asyncio" not in sys.modules
import oxthreads.threading, oxthreads.queue, oxthreads.concurrent.futures
assert "asyncio" not in sys.modules
import oxthreads.aio
from oxthreads.aio import as_async
as_async(oxthreads.queue.Queue()).put_nowait(1)
assert "asyncio" not in sys.modules
assert "trio" not in sys.modules
from oxthreads.aio import QueueEmpty
assert "asyncio" in sys.modules
"""


def test_asyncio_is_imported_only_when_it_is_needed() -> None:
    result = python(IMPORT, runner=False)
    assert (result.returncode, result.stderr) == (0, "")
