"""Tests of `peek`, `peek_nowait` and `clear`, which the standard queues do not have."""

from __future__ import annotations

import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from oxthreads.aio import Queue as TwoSidedQueue
from oxthreads.aio import as_async
from tests.aio.event_loops import ALL, EventLoops
from tests.support.back_ends import OXTHREADS
from tests.support.refusals import refusal
from tests.support.threads import Result
from tests.support.waiting import spin_until, until_asleep

KINDS = ["Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"]
FORMS = ["native", "standard", "own hooks"]
ShutDown = OXTHREADS.queue.ShutDown


def make(kind: str, form: str = "native", maxsize: int = 0) -> Any:
    """Return a queue that is native, has fallen back, or takes its items in a way of its own."""
    cls = getattr(OXTHREADS.queue, kind)
    if kind == "SimpleQueue":
        return cls()
    if form == "own hooks":

        class Own(cls):  # type: ignore[misc, valid-type]
            def _get(self) -> Any:
                return super()._get()

        cls = Own
    items = cls(maxsize)
    if form == "standard":
        assert not items.queue
    return items


@pytest.fixture
def switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_peek_shows_what_get_takes(kind: str, form: str) -> None:
    items = make(kind, form)
    items.put_many([3, 1, 2])
    order = {"LifoQueue": [2, 1, 3], "PriorityQueue": [1, 2, 3]}.get(kind, [3, 1, 2])
    for count, item in enumerate(order):
        assert items.peek() == items.peek_nowait() == items.peek(False) == items.peek(timeout=5) == item
        assert items.qsize() == 3 - count
        assert items.get() == item
    assert refusal(items.peek_nowait) == (queue.Empty, "")
    assert refusal(items.peek, False) == (queue.Empty, "")
    assert refusal(items.peek, True, 0.001) == (queue.Empty, "")
    assert refusal(items.peek, timeout=0) == (queue.Empty, "")
    error, _ = refusal(items.peek, timeout=-1)
    assert error is ValueError
    items.put("last")
    items.shutdown()
    assert items.peek() == items.get() == "last"
    for peek in (items.peek, items.peek_nowait, lambda: items.peek(timeout=1)):
        assert refusal(peek) == (ShutDown, "")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_threads_that_peek_take_no_wake_from_threads_that_get(kind: str, form: str) -> None:
    items = make(kind, form)
    first = Result(items.peek)
    until_asleep(first.thread)
    second = Result(items.peek, True, 60)
    until_asleep(second.thread)
    getter = Result(items.get)
    until_asleep(getter.thread)
    items.put("item")
    assert getter.get() == "item"
    items.put("next")
    assert {first.get(), second.get()} <= {"item", "next"}
    assert items.get() == "next"


@pytest.mark.usefixtures("switches")
@pytest.mark.parametrize("kind", KINDS)
def test_every_item_reaches_a_getter_while_others_peek(kind: str) -> None:
    items, got = make(kind), []

    def take() -> None:
        while True:
            try:
                got.append(items.get())
            except ShutDown:
                return

    def look() -> int:
        count = 0
        while True:
            try:
                items.peek()
            except ShutDown:
                return count
            count += 1

    threads = [Result(function) for function in (take, take, look, look)]
    for number in range(2_000):
        items.put(number)
        if number % 50 == 0:
            spin_until(lambda: not items.qsize())
    spin_until(lambda: len(got) == 2_000)
    items.shutdown()
    for thread in threads:
        thread.get()
    assert sorted(got) == [*range(2_000)]


@pytest.mark.parametrize("how", ["shutdown", "fall back"])
def test_a_thread_that_peeks_is_told_of_the_end(how: str) -> None:
    items = make("Queue")
    peeker = Result(items.peek)
    until_asleep(peeker.thread)
    if how == "shutdown":
        items.shutdown()
        with pytest.raises(ShutDown):
            peeker.get()
    else:
        assert items.mutex
        until_asleep(peeker.thread)
        items.put(1)
        assert peeker.get() == 1


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that sends a signal")
def test_ctrl_c_ends_a_peek_and_leaves_nothing_behind() -> None:
    items = make("Queue")

    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    former = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Stop):
            items.peek()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    getter = Result(items.get)
    until_asleep(getter.thread)
    items.put(1)
    assert getter.get() == 1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_clear_removes_all_items_and_counts_them_as_done(kind: str, form: str) -> None:
    items = make(kind, form)
    assert items.clear() == 0
    items.put_many([3, 1, 2])
    assert items.clear() == 3
    assert items.qsize() == 0
    assert refusal(items.get_nowait) == (queue.Empty, "")
    items.put_many([5, 4])
    if kind != "SimpleQueue":
        assert items.unfinished_tasks == 2
        joiner = Result(items.join)
        until_asleep(joiner.thread)
        assert items.get() in (4, 5)
        items.clear()
        assert items.unfinished_tasks == 1
        items.task_done()
        joiner.get()
        assert refusal(items.task_done) == (ValueError, "task_done() called too many times")
    items.clear()
    items.put(1)
    items.shutdown()
    assert items.clear() == 1
    assert refusal(items.get) == (ShutDown, "")


@pytest.mark.parametrize("form", FORMS)
def test_clear_lets_waiting_putters_go_on_and_ends_joins(form: str) -> None:
    items = make("Queue", form, 2)
    items.put_many("ab")
    putters = [Result(items.put, item) for item in "cd"]
    until_asleep(*[putter.thread for putter in putters])
    assert items.clear() == 2
    for putter in putters:
        putter.get()
    assert {items.get(), items.get()} == {"c", "d"}
    joiner = Result(items.join)
    until_asleep(joiner.thread)
    items.put("e")
    items.task_done()
    items.task_done()
    assert items.clear() == 1
    joiner.get()


@pytest.mark.parametrize("form", FORMS)
def test_an_item_may_use_the_queue_as_it_is_dropped(form: str) -> None:
    items = make("Queue", form)

    class Late:
        def __del__(self) -> None:
            items.put("from __del__")

    items.put(Late())
    assert items.clear() == 1
    assert items.get_nowait() == "from __del__"


@pytest.mark.parametrize("form", ["native", "standard"])
def test_peek_and_clear_of_a_priority_queue_compare_nothing(form: str) -> None:
    items = make("PriorityQueue", form)

    class Item:
        fails = False

        def __lt__(self, other: object) -> bool:
            if self.fails:
                raise ZeroDivisionError
            return False

    first = Item()
    items.put_many([first, Item(), Item(), Item()])
    Item.fails = True
    assert items.peek() is first
    assert items.clear() == 4
    assert (items.qsize(), items.unfinished_tasks) == (0, 0)


@pytest.mark.usefixtures("switches")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["Queue", "PriorityQueue"])
def test_clear_and_puts_of_other_threads_lose_nothing(kind: str, form: str) -> None:
    items, removed = make(kind, form, 10), 0

    def put() -> None:
        for number in range(500):
            items.put(number)

    putters = [Result(put) for _ in range(3)]
    while any(putter.thread.is_alive() for putter in putters):
        removed += items.clear()
    for putter in putters:
        putter.get()
    assert removed + items.clear() == 1_500
    items.join()


def test_a_queue_with_its_own_order_keeps_the_item_that_was_shown() -> None:
    class Rounded(OXTHREADS.queue.Queue):  # type: ignore[misc, name-defined]
        """Gives the smallest item, and keeps its items in a way that nobody knows."""

        def _init(self, maxsize: int) -> None:
            self.kept: set[int] = set()

        def _qsize(self) -> int:
            return len(self.kept)

        def _put(self, item: int) -> None:
            self.kept.add(item)

        def _get(self) -> int:
            item = min(self.kept)
            self.kept.remove(item)
            return item

    items = Rounded(3)
    items.put_many([3, 2])
    assert [items.peek(), items.peek_nowait(), items.qsize()] == [2, 2, 2]
    items.put(1)
    assert (items.full(), refusal(items.put_nowait, 0)) == (True, (queue.Full, ""))
    assert items.peek() == 2
    assert [items.get() for _ in range(3)] == [2, 1, 3]
    items.put(7)
    assert (items.peek(), items.clear(), items.qsize(), items.unfinished_tasks) == (7, 1, 0, 3)
    items.put(8)
    assert (items.peek(), items.get_many(), items.empty()) == (8, [8], True)


def test_a_program_may_exchange_the_items() -> None:
    items = make("Queue")
    items.put(1)
    items.queue.appendleft(0)
    assert items.peek() == 0
    items.queue = [5, 6]
    items._get = items.queue.pop
    assert [items.peek(), items.qsize(), items.get(), items.peek(), items.clear()] == [6, 2, 6, 5, 1]


class Mixin:
    """A class of a program with its own methods of these names."""

    is_cleared = False

    def clear(self, how: str = "thoroughly") -> str:
        self.is_cleared = True
        return f"cleared {how}"

    def peek(self) -> str:
        return "mine"

    peek_nowait = property(lambda self: "a property")


@pytest.mark.parametrize("base", [*KINDS, "aio"])
def test_a_class_that_is_mixed_in_keeps_its_methods_on_both_sides(base: str) -> None:
    if base == "aio":
        cls: Any = type(TwoSidedQueue[int]().sync_q)
    else:
        cls = getattr(OXTHREADS.queue, base)

    class Before(Mixin, cls):  # type: ignore[misc]
        pass

    class Behind(cls, Mixin):  # type: ignore[misc]
        pass

    class Further(Behind):
        def clear(self, how: str = "further") -> Any:
            return super().clear(how)

    for derived in (Before, Behind, Further):
        items = derived()
        items.put(1)
        assert items.clear("again") == "cleared again"
        assert (items.is_cleared, items.peek(), items.peek_nowait) == (True, "mine", "a property")
        assert items.qsize() == 1
        assert cls.get(items) == 1
    plain: Any = type("Plain", (cls,), {})()
    plain.put(1)
    assert (plain.peek(), plain.clear()) == (1, 1)


def test_a_name_may_be_an_attribute_of_a_queue() -> None:
    items = make("Queue")
    items.clear = threading.Event()
    items.clear.set()
    items.put(1)
    assert items.clear.is_set()
    assert OXTHREADS.queue.Queue.clear(items) == 1
    del items.clear
    assert items.clear() == 0


@pytest.mark.parametrize("loops", ALL)
@pytest.mark.parametrize("kind", KINDS)
def test_coroutines_peek_and_clear(loops: EventLoops, kind: str) -> None:
    items = make(kind)
    view: Any = as_async(items)

    async def main() -> None:
        assert not await loops.ends_in_time(view.peek, 0.01)
        with pytest.raises(queue.Empty):
            view.peek_nowait()

        async def put() -> None:
            await loops.turn()
            items.put("item")

        assert (await loops.together(view.peek, view.peek, put))[:2] == ["item", "item"]
        assert await view.peek() == view.peek_nowait() == await view.get() == "item"
        items.put_many([1, 2])
        assert (view.clear(), items.qsize()) == (2, 0)

    loops.run(main)


@pytest.mark.parametrize("loops", ALL)
def test_a_busy_loop_that_peeks_holds_up_no_thread(loops: EventLoops) -> None:
    items = make("Queue")
    view: Any = as_async(items)

    async def main() -> Any:
        async def block_the_loop() -> Any:
            await loops.turn()
            getter = Result(items.get)
            until_asleep(getter.thread)
            items.put("for the thread")
            got = getter.get()  # the coroutine that peeks cannot go on meanwhile
            items.put("for both")
            return got

        return await loops.together(view.peek, block_the_loop)

    assert loops.run(main) == ["for both", "for the thread"]


def test_both_sides_of_a_two_sided_queue() -> None:
    items = TwoSidedQueue[int]()
    items.sync_q.put(1)
    assert (items.sync_q.peek(), items.async_q.peek_nowait(), items.async_q.clear()) == (1, 1, 1)
    assert refusal(items.async_q.peek_nowait)[0].__mro__[0].__name__ == "QueueEmpty"


def test_a_peek_in_time_returns_before_its_time_is_over() -> None:
    items = make("Queue")
    begun = time.monotonic()
    with pytest.raises(queue.Empty):
        items.peek(timeout=0.02)
    assert time.monotonic() - begun >= 0.019
