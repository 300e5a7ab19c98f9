"""`DelayQueue`: which item comes when, who gets it, and what ends a wait.

What is compared with the clock are lower bounds, because a machine may be slow.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import math
import os
import pickle
import queue
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from oxthreads import aio
from oxthreads.aio import as_async
from oxthreads.channels import DelayQueue
from oxthreads.queue import PriorityQueue, Queue, ShutDown
from oxthreads.waiting import after, select
from tests.aio.event_loops import ALL, EventLoops
from tests.support.forks import can_fork, forks, in_child
from tests.support.interpreters import FREE_THREADED
from tests.support.refusals import refusal
from tests.support.signals import Interrupt, fail, handler, signal_once_asleep
from tests.support.threads import Result
from tests.support.waiting import spin_until, until_asleep

HOUR = 3600.0


@pytest.fixture
def switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_items_come_by_their_times_and_not_before() -> None:
    items = DelayQueue[str]()
    begun = time.monotonic()
    for item, delay in [("c", 0.06), ("a", 0.02), ("now", 0), ("b", 0.04)]:
        items.put_at(item, begun + delay)
    assert items.get() == "now"
    for item, delay in [("a", 0.02), ("b", 0.04), ("c", 0.06)]:
        assert items.get() == item
        assert time.monotonic() - begun >= delay
    assert items.empty()


def test_items_of_the_same_time_come_in_the_order_in_which_they_were_put() -> None:
    items, when = DelayQueue[int](), time.monotonic() + 0.01
    for number in range(100):
        items.put_at(number, when)
    assert [items.get() for _ in range(100)] == [*range(100)]
    for number in range(100):
        items.put(number)
    assert [items.get() for _ in range(100)] == [*range(100)]


def test_a_time_that_is_over_comes_at_once_and_its_order_counts() -> None:
    items = DelayQueue[str]()
    items.put("now")
    items.put_at("yesterday", time.monotonic() - 24 * HOUR)
    items.put_at("long ago", -math.inf)
    items.put_at("never", math.inf)
    items.put("never, too", math.inf)
    assert [items.get_nowait() for _ in range(3)] == ["long ago", "yesterday", "now"]
    assert refusal(items.get_nowait) == (queue.Empty, "")
    assert (items.qsize(), items.ready(), items.next_time()) == (2, 0, math.inf)
    assert items.clear() == 2


def test_what_has_not_come_is_not_ready() -> None:
    items = DelayQueue[str]()
    assert (items.next_time(), items.ready(), items.qsize(), items.empty()) == (None, 0, 0, True)
    scheduled = items.put("later", HOUR)
    assert scheduled.when == items.next_time()
    assert 0 < scheduled.when - time.monotonic() <= HOUR
    assert (items.qsize(), items.ready(), items.empty()) == (1, 0, False)
    for call in (items.get_nowait, items.peek_nowait):
        assert refusal(call) == (queue.Empty, "")
    for call in (items.get, items.peek):
        assert refusal(call, False) == (queue.Empty, "")
        assert refusal(call, timeout=0.001) == (queue.Empty, "")
        assert refusal(call, timeout=0) == (queue.Empty, "")
        assert refusal(call, timeout=-1)[0] is ValueError
    items.put("now")
    spin_until(lambda: items.ready() == 1)
    assert items.peek() == items.peek_nowait() == items.get() == "now"


def test_an_earlier_item_wakes_the_thread_that_waits_for_a_later_one() -> None:
    items = DelayQueue[str]()
    getter = Result(items.get)
    until_asleep(getter.thread)
    items.put("in an hour", HOUR)
    until_asleep(getter.thread)
    items.put("in half an hour", HOUR / 2)
    until_asleep(getter.thread)
    items.put("now")
    assert getter.get() == "now"
    assert items.qsize() == 2


def test_threads_get_items_in_the_order_in_which_they_came() -> None:
    items, getters = DelayQueue[int](), []
    for _ in range(4):
        getters.append(Result(items.get))
        until_asleep(getters[-1].thread)
    when = time.monotonic() + 0.02
    for number in range(4):
        items.put_at(number, when + number / 100)
    assert [getter.get() for getter in getters] == [0, 1, 2, 3]


@pytest.mark.parametrize("how", ["time-out", "signal", "killed"])
def test_when_the_first_gives_up_the_next_one_waits_for_the_time(how: str) -> None:
    items = DelayQueue[str]()
    items.put("item", 2)
    followers: list[Result] = []

    def follow() -> None:
        followers.append(Result(items.get))
        until_asleep(followers[0].thread)

    if how == "time-out":
        first = Result(items.get, True, 0.5)
        until_asleep(first.thread)
        follow()
        assert refusal(first.get)[0] is queue.Empty
    elif how == "signal":
        with handler(fail):

            def press() -> None:
                until_asleep(threading.main_thread())
                follow()
                os.kill(os.getpid(), signal.SIGUSR1)

            helper = Result(press)
            with pytest.raises(Interrupt):
                items.get()
            helper.get()
    else:

        class Killed(BaseException):
            pass

        first = Result(items.get)
        until_asleep(first.thread)
        follow()
        assert first.thread.ident is not None
        set_exception: Callable[..., int] = ctypes.pythonapi.PyThreadState_SetAsyncExc
        assert set_exception(ctypes.c_ulong(first.thread.ident), ctypes.py_object(Killed)) == 1
        assert refusal(first.get)[0] is Killed
    assert followers[0].get() == "item"


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="signals as POSIX has them")
def test_a_signal_handler_may_put_what_the_interrupted_thread_waits_for() -> None:
    items = DelayQueue[str]()
    with handler(lambda: items.put("by the handler")):
        sender = signal_once_asleep()
        assert items.get() == "by the handler"
        sender.join()


def test_an_item_may_be_cancelled_until_it_is_taken() -> None:
    items = DelayQueue[str]()
    first, second = items.put("first", HOUR), items.put("second")
    assert (first.is_pending, repr(first).startswith("<oxthreads.channels.Scheduled pending")) == (True, True)
    assert first.cancel() is True
    assert (first.cancel(), first.is_pending) == (False, False)
    assert items.get() == "second"
    assert (second.cancel(), second.is_pending) == (False, False)
    assert (items.qsize(), items.unfinished_tasks) == (0, 1)
    items.task_done()
    items.join()


def test_to_cancel_the_first_item_lets_the_getter_wait_for_the_second() -> None:
    items = DelayQueue[str]()
    soon = items.put("soon", 1.5)
    getter = Result(items.get)
    until_asleep(getter.thread)
    items.put("later", 1.6)
    assert soon.cancel()
    assert getter.get() == "later"


def test_many_cancelled_items_leave_nothing_behind() -> None:
    items, references = DelayQueue[object](), []

    class Item:
        pass

    for _ in range(100):
        item = Item()
        references.append(weakref.ref(item))
        assert items.put(item, HOUR).cancel()
    del item
    gc.collect()
    assert items.qsize() == 0
    assert not any(reference() for reference in references)


def test_a_full_queue_makes_those_who_put_wait() -> None:
    items = DelayQueue[str](2)
    scheduled = items.put("a", HOUR)
    items.put("b", HOUR)
    assert (items.full(), items.maxsize) == (True, 2)
    assert refusal(items.put_nowait, "c") == (queue.Full, "")
    assert refusal(items.put, "c", 0, False) == (queue.Full, "")
    assert refusal(items.put, "c", timeout=0.001) == (queue.Full, "")
    putters = []
    for item in "cd":
        putters.append(Result(items.put, item))
        until_asleep(putters[-1].thread)
    assert scheduled.cancel()
    putters[0].get()
    assert items.get() == "c"
    putters[1].get()
    assert items.get() == "d"
    items.put("e", HOUR)
    waiting = Result(items.put, "f")
    until_asleep(waiting.thread)
    assert items.clear() == 2
    waiting.get()
    assert items.get() == "f"


def test_shutdown_delivers_what_is_left_at_its_time() -> None:
    items = DelayQueue[str]()
    begun = time.monotonic()
    items.put("last", 1)
    getters = [Result(items.get), Result(items.get)]
    until_asleep(*[getter.thread for getter in getters])
    items.shutdown()
    assert items.is_shutdown
    assert refusal(items.put, "more") == (ShutDown, "")
    assert refusal(items.put_at, "more", 0) == (ShutDown, "")
    outcomes = []
    for getter in getters:
        try:
            outcomes.append(getter.get())
        except ShutDown:
            outcomes.append("shut down")
    assert sorted(outcomes) == ["last", "shut down"]
    assert time.monotonic() - begun >= 1
    for call in (items.get, items.get_nowait, items.peek, items.peek_nowait):
        assert refusal(call) == (ShutDown, "")


@pytest.mark.parametrize("how", ["immediate", "cancel", "clear"])
def test_a_shut_down_queue_that_becomes_empty_ends_the_waits(how: str) -> None:
    items = DelayQueue[str](1)
    scheduled = items.put("item", HOUR)
    waiters = [Result(items.get), Result(items.get), Result(items.put, "more"), Result(items.join)]
    until_asleep(*[waiter.thread for waiter in waiters])
    items.shutdown(immediate=how == "immediate")
    if how == "cancel":
        assert scheduled.cancel()
    elif how == "clear":
        assert items.clear() == 1
    for waiter in waiters[:3]:
        assert refusal(waiter.get) == (ShutDown, "")
    waiters[3].get()
    assert items.unfinished_tasks == 0


def test_join_waits_for_all_that_was_put() -> None:
    items = DelayQueue[int]()
    items.join()
    items.put(1)
    items.put(2, HOUR)
    joiner = Result(items.join)
    until_asleep(joiner.thread)
    assert items.get() == 1
    items.task_done()
    until_asleep(joiner.thread)
    assert items.clear() == 1
    joiner.get()
    assert refusal(items.task_done) == (ValueError, "task_done() called too many times")


def test_iterate_ends_with_the_queue() -> None:
    items = DelayQueue[int]()
    for number in range(5):
        items.put(number, number / 1000)
    items.shutdown()
    assert [*items.iterate()] == [0, 1, 2, 3, 4]


@pytest.mark.usefixtures("switches")
def test_nothing_is_lost_or_given_twice() -> None:
    items, got = DelayQueue[int](50), []

    def take() -> None:
        while True:
            try:
                got.append(items.get(timeout=0.0005))
            except queue.Empty:
                pass
            except ShutDown:
                return

    def put(first: int) -> int:
        cancelled = 0
        for number in range(first, first + 500):
            scheduled = items.put(number, (number % 7) / 10_000)
            cancelled += number % 10 == 0 and scheduled.cancel()
        return cancelled

    takers = [Result(take) for _ in range(3)]
    cancelled = sum(putter.get() for putter in [Result(put, 1000 * number) for number in range(3)])
    items.shutdown()
    for taker in takers:
        taker.get()
    assert len(got) == len({*got}) == 1500 - cancelled


def test_wrong_arguments_are_refused() -> None:
    items = DelayQueue[str]()
    for call, arguments, error in [
        (items.put, ("a", -0.001), ValueError),
        (items.put, ("a", math.nan), ValueError),
        (items.put, ("a", "1"), TypeError),
        (items.put, ("a", 0, True, -1), ValueError),
        (items.put, ("a", 0, True, math.nan), ValueError),
        (items.put, (), TypeError),
        (items.put_at, ("a", math.nan), ValueError),
        (items.put_at, ("a", None), TypeError),
        (items.put_at, ("a",), TypeError),
        (items.put_nowait, ("a", -1), ValueError),
        (DelayQueue, (1.5,), TypeError),
        (DelayQueue, ("1",), TypeError),
        (DelayQueue, (1, 2), TypeError),
        (pickle.dumps, (items,), TypeError),
        (pickle.dumps, (items.put("a"),), TypeError),
    ]:
        assert refusal(call, *arguments)[0] is error
    assert items.qsize() == 1
    assert items.put("b", 1e300).when == math.inf
    assert repr(items).startswith("<oxthreads.channels.DelayQueue object items=2 ready=1 at 0x")
    assert DelayQueue[int](2**80).full() is False
    assert DelayQueue[int](-1).full() is False


def test_a_subclass_may_take_other_arguments() -> None:
    class Retries(DelayQueue[str]):
        def __init__(self, pause: float) -> None:
            super().__init__(maxsize=3)
            self.pause = pause

    retries = Retries(0.01)
    retries.put("again", retries.pause)
    assert (retries.maxsize, retries.get()) == (3, "again")
    retries.put("at once")
    assert select(retries) == (retries, "at once")


@pytest.mark.parametrize("name", ["get", "peek", "put", "put_at"])
def test_methods_of_a_subclass_are_not_passed_by(name: str) -> None:
    def own(*arguments: Any, **keywords: Any) -> Any:
        return getattr(DelayQueue, name)(*arguments, **keywords)

    mine = type("Mine", (DelayQueue,), {name: own})
    for action in (select, as_async):
        kind, text = refusal(action, mine())
        assert kind is TypeError
        assert "has a get, peek or put of its own" in text


def test_items_are_seen_by_the_garbage_collector() -> None:
    class Node:
        items: Any

    node = Node()
    node.items = DelayQueue[Node]()
    scheduled = node.items.put(node, HOUR)
    reference = weakref.ref(node)
    del node, scheduled
    gc.collect()
    assert reference() is None


def test_an_item_may_use_the_queue_as_it_is_dropped() -> None:
    items = DelayQueue[Any]()

    class Late:
        def __del__(self) -> None:
            items.put("from __del__")

    items.put(Late(), HOUR)
    assert items.clear() == 1
    assert items.get() == "from __del__"
    assert items.put(Late(), HOUR).cancel()
    assert items.get() == "from __del__"


@forks
@can_fork
@pytest.mark.one_thread("forks")
def test_a_forked_child_has_the_items_and_no_waits() -> None:
    items = DelayQueue[str]()
    getter = Result(items.get)
    until_asleep(getter.thread)
    items.put("item", 0.3)
    in_child(lambda: items.get(timeout=20) == "item" or 1 / 0)
    assert getter.get() == "item"


def test_select_gets_an_item_at_its_time() -> None:
    items, others = DelayQueue[str](), Queue[str]()
    items.put("item", 0.02)
    begun = time.monotonic()
    assert select(items, others) == (items, "item")
    assert time.monotonic() - begun >= 0.02
    items.put("late", HOUR)
    timer = after(0.01)
    assert select(items, timer) == (timer, None)
    with pytest.raises(TimeoutError):
        select(items, others, timeout=0.01)
    others.put("other")
    assert select(items, others) == (others, "other")
    waiter = Result(select, items, others)
    until_asleep(waiter.thread)
    items.put("now")
    assert waiter.get() == (items, "now")
    items.shutdown(immediate=True)
    with pytest.raises(ShutDown) as raised:
        select(others, items)
    assert vars(raised.value)["source"] is items


def test_a_select_does_not_overtake_those_who_wait() -> None:
    items = DelayQueue[int]()
    for number in range(20):
        getter = Result(items.get)
        until_asleep(getter.thread)
        items.put(number)
        # The getter has been woken, and most often has not run yet.
        assert select(items, timeout=0, default=None) is None
        assert getter.get() == number


def test_a_select_has_no_place_in_line_while_items_are_compared() -> None:
    items, heap, got = DelayQueue[str](), PriorityQueue[Any](), []

    class Item:
        def __init__(self, number: int) -> None:
            self.number = number

        def __lt__(self, other: Item) -> bool:
            if threading.current_thread() is waiter.thread:
                # Behind its own place it would wait for ever.
                items.put("tea")
                got.append(items.get(timeout=30))
            return self.number < other.number

    waiter = Result(select, items, heap, fair=False)
    until_asleep(waiter.thread)
    heap.put_many([Item(3), Item(2), Item(1)])
    # Without a GIL, it may take an item before the others are put.
    assert waiter.get()[0] is heap
    assert got or FREE_THREADED
    assert set(got) <= {"tea"}


def test_a_select_that_gets_something_else_passes_its_place_on() -> None:
    items, others = DelayQueue[str](), Queue[str]()
    items.put("item", 2)
    first = Result(select, items, others)
    until_asleep(first.thread)
    second = Result(items.get)
    until_asleep(second.thread)
    others.put("other")
    assert first.get() == (others, "other")
    assert second.get() == "item"


@pytest.mark.parametrize("loops", ALL)
def test_coroutines_get_items_at_their_times(loops: EventLoops) -> None:
    view = as_async(DelayQueue[str](2))

    async def main() -> None:
        begun = time.monotonic()
        await view.put("b", 1)
        scheduled = await view.put_at("a", begun + 0.8)
        assert not await loops.ends_in_time(lambda: view.put("c"), 0.005)
        with pytest.raises(queue.Full):
            view.put_nowait("c")
        with pytest.raises(asyncio.QueueEmpty):
            view.get_nowait()
        assert [await view.get(), await view.get()] == ["a", "b"]
        assert time.monotonic() - begun >= 1
        assert (scheduled.cancel(), view.qsize(), view.ready()) == (False, 0, 0)
        assert not await loops.ends_in_time(view.get, 0.005)
        view.put_nowait("last", 0.01)
        assert await view.peek() == view.peek_nowait() == "last"
        view.shutdown()
        assert [item async for item in view] == ["last"]
        with pytest.raises(aio.QueueShutDown):
            await view.get()
        with pytest.raises(aio.QueueShutDown):
            await view.put("more")
        for _ in range(3):
            view.task_done()
        await view.join()

    loops.run(main)


@pytest.mark.parametrize("loops", ALL)
def test_a_thread_and_a_coroutine_share_a_queue(loops: EventLoops) -> None:
    items = DelayQueue[str]()
    view = as_async(items)

    async def main() -> None:
        async def put() -> None:
            await loops.turn()
            Result(items.put, "from a thread", 0.01).get()

        assert (await loops.together(view.get, put))[0] == "from a thread"
        getter = Result(items.get)
        view.put_nowait("from a coroutine", 0.01)
        await loops.until(lambda: not getter.thread.is_alive())
        assert getter.get() == "from a coroutine"
        timer = after(0.01)
        assert await aio.select(items, timer) == (timer, None)

    loops.run(main)


@pytest.mark.parametrize("loops", ALL)
def test_a_thread_passes_a_coroutine_over_whose_loop_is_busy(loops: EventLoops) -> None:
    items = DelayQueue[str]()
    view = as_async(items)

    async def main() -> list[str]:
        async def block_the_loop() -> str:
            await loops.turn()
            getter = Result(items.get)
            until_asleep(getter.thread)
            items.put("for the thread", 0.01)
            got: str = getter.get()
            items.put("for the coroutine")
            return got

        return await loops.together(view.get, block_the_loop)

    assert loops.run(main) == ["for the coroutine", "for the thread"]
