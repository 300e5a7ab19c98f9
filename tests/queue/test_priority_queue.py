"""Tests of PriorityQueue. Code of the program compares the items. It may raise, wait, or use the queue."""

from __future__ import annotations

import contextlib
import gc
import heapq
import operator
import queue
import random
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.refusals import refusal
from tests.support.threads import Result, start
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, until_asleep

PriorityQueue = OXTHREADS.queue.PriorityQueue


class Item:
    """An item that Python code compares. The comparison first calls a function."""

    def __init__(self, key: int, before: Callable[[], object] = lambda: None) -> None:
        self.key, self.before = key, before

    def __lt__(self, other: Item) -> bool:
        self.before()
        return self.key < other.key


class Once:
    """Calls a function, but not while such a call is already in progress."""

    def __init__(self, function: Callable[[], object]) -> None:
        self.function, self.calls, self.inside = function, 0, False

    def __call__(self) -> None:
        if not self.inside:
            self.inside = True
            try:
                self.calls += 1
                self.function()
            finally:
                self.inside = False


def drain(items: Any) -> list[Any]:
    return [items.get_nowait() for _ in range(items.qsize())]


MAKERS = {
    "int": lambda number: number,
    "big": lambda number: number << 70,
    "float": lambda number: number / 7,
    "str": lambda number: f"{number:x}",
    "long str": lambda number: "x" * 100 + str(number),
    "tuple": lambda number: (number % 5, number % 3, number),
    "nested": lambda number: ((number % 5, (number % 3, (number,))),),
    "mixed": lambda number: (number % 3, float(number)) if number % 2 else (number % 3, number),
    "Item": Item,
    "tuple of Item": lambda number: (number % 3, Item(number)),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_items_come_out_as_from_heapq(kind: str) -> None:
    source = random.Random(kind)
    heap: list[Any] = []
    items = PriorityQueue()
    for _ in range(2000):
        if heap and source.random() < 0.45:
            assert items.get_nowait() is heapq.heappop(heap)
        else:
            item = MAKERS[kind](source.randrange(500))
            heapq.heappush(heap, item)
            items.put(item)
    assert [id(item) for item in items.queue] == [id(item) for item in heap]
    assert [id(item) for item in drain(items)] == [id(heapq.heappop(heap)) for _ in range(len(heap))]


def test_equal_and_unordered_items_come_out_as_from_heapq(library: BackEnd) -> None:
    nan = float("nan")
    items = library.queue.PriorityQueue()
    for item in [2.0, nan, 1.0, (3), True, 1, nan, 0.5]:
        items.put(item)
    expected: list[Any] = []
    for item in [2.0, nan, 1.0, (3), True, 1, nan, 0.5]:
        heapq.heappush(expected, item)
    assert [repr(item) for item in drain(items)] == [repr(heapq.heappop(expected)) for _ in range(8)]


def test_items_that_cannot_be_compared_are_refused(library: BackEnd) -> None:
    items = library.queue.PriorityQueue()
    items.put(1)
    assert refusal(items.put, "a") == refusal(operator.lt, "a", 1)


def test_a_put_whose_comparison_raises_stores_nothing() -> None:
    items = PriorityQueue()
    for number in range(10):
        items.put(number)
    assert refusal(items.put, "a")[0] is TypeError
    assert refusal(items.put_nowait, None)[0] is TypeError
    assert (items.qsize(), items.unfinished_tasks) == (10, 10)
    assert drain(items) == list(range(10))


def test_a_get_whose_comparison_raises_takes_nothing() -> None:
    def fail() -> None:
        if failing:
            raise ArithmeticError("not now")

    failing = False
    items = PriorityQueue()
    for number in (5, 3, 4, 1, 2):
        items.put(Item(number, fail))
    failing = True
    for get in (items.get, items.get_nowait, lambda: items.get_many(3), lambda: items.get(timeout=1)):
        assert refusal(get) == (ArithmeticError, "not now")
        assert items.qsize() == 5
    failing = False
    assert [item.key for item in drain(items)] == [1, 2, 3, 4, 5]


def test_the_outcome_of_a_comparison_may_be_any_object(library: BackEnd) -> None:
    class Strange(Item):
        def __lt__(self, other: Item) -> Any:
            return [1] if self.key < other.key else ""

    class Worse(Item):
        def __lt__(self, other: Item) -> Any:
            class Verdict:
                def __bool__(self) -> bool:
                    raise LookupError("no verdict")

            return Verdict()

    items = library.queue.PriorityQueue()
    for number in (3, 1, 2):
        items.put(Strange(number))
    assert [item.key for item in drain(items)] == [1, 2, 3]
    items.put(Worse(1))
    assert refusal(items.put, Worse(2)) == (LookupError, "no verdict")


def test_a_comparison_may_look_at_the_queue() -> None:
    items = PriorityQueue(100)
    seen: set[int] = set()

    def look() -> None:
        seen.add(items.qsize())
        assert not items.full()
        assert items.empty() is (items.qsize() == 0)
        assert items.unfinished_tasks >= items.qsize()

    def work() -> list[int]:
        for number in (5, 3, 9, 1, 7, 2):
            items.put(Item(number, look))
        return [item.key for item in drain(items)]

    assert Result(work).get() == [1, 2, 3, 5, 7, 9]
    assert seen == {1, 2, 3, 4, 5, 6}


def test_a_comparison_may_put_and_get() -> None:
    items = PriorityQueue()
    taken: list[int] = []
    count = iter(range(1000, 100_000))

    def meddle() -> None:
        items.put(Item(next(count), once))
        if items.qsize() > 3:
            taken.append(items.get().key)

    once = Once(lambda: meddle() if once.calls % 3 else None)

    def work() -> None:
        for number in random.Random(1).sample(range(1000), 300):
            items.put(Item(number, once))
        taken.extend(item.key for item in drain(items))
        taken.extend(item.key for item in drain(items))

    Result(work).get()
    while items.qsize():
        taken.append(items.get().key)
    assert once.calls > 300
    fresh = next(count)
    assert len(taken) == len(set(taken))
    assert {key for key in taken if key < 1000} == set(random.Random(1).sample(range(1000), 300))
    assert {key for key in taken if key >= 1000} == set(range(1000, fresh))


def test_a_comparison_may_wait_for_a_thread_that_uses_the_queue() -> None:
    items = PriorityQueue()
    # There are thousands of comparisons. To start a thread for each of them would take too long on a busy
    # machine.
    threads = STANDARD.futures.ThreadPoolExecutor(2)

    def elsewhere() -> None:
        items.put(Item(100))
        items.qsize()
        threads.submit(items.put, Item(200)).result(TIMEOUT_SECONDS)

    once = Once(lambda: threads.submit(elsewhere).result(TIMEOUT_SECONDS))

    def work() -> list[int]:
        for number in (3, 1, 2):
            items.put(Item(number, once))
        first = [item.key for item in drain(items)]
        return first + [item.key for item in drain(items)]

    with threads:
        keys = Result(work).get()
    while items.qsize():
        keys.append(items.get().key)
    assert sorted(key for key in keys if key < 100) == [1, 2, 3]
    assert keys.count(100) == keys.count(200) == once.calls


def test_a_comparison_that_always_changes_the_queue_does_not_loop_forever() -> None:
    items = PriorityQueue()
    fresh = iter(range(1000, 10**6))
    once = Once(lambda: items.put(Item(next(fresh), once)))

    def work() -> list[int]:
        for number in range(50):
            items.put(Item(number, once))
        return [items.get().key for _ in range(50)]

    keys = Result(work).get()
    once.inside = True
    keys += [item.key for item in drain(items)]
    assert sorted(keys) == [*range(50), *range(1000, 1000 + once.calls)]


def test_a_comparison_may_make_the_queue_fall_back() -> None:
    for use in ("put", "get"):
        items = PriorityQueue()
        look = Once(lambda items=items: items.queue)
        quiet = [Item(number) for number in range(6)]
        for item in quiet:
            items.put(item)
        for item in quiet:
            item.before = look
        if use == "put":
            items.put(Item(-1, look))
        else:
            assert items.get().key == 0
        assert look.calls > 0
        assert "queue" in vars(items)
        assert [item.key for item in drain(items)] == list(range(-1, 6) if use == "put" else range(1, 6))


def test_when_a_comparison_raises_the_next_putter_gets_the_room() -> None:
    items = PriorityQueue(1)
    items.put(5)
    bad = Result(items.put, "not a number")
    until_asleep(bad.thread)
    good = Result(items.put, 6)
    until_asleep(good.thread)
    items.maxsize = 2
    assert refusal(bad.get)[0] is TypeError
    good.get()
    assert drain(items) == [5, 6]


def test_each_get_lets_one_waiting_putter_go_on(library: BackEnd) -> None:
    items = library.queue.PriorityQueue(2)
    items.put(Item(8))
    items.put(Item(9))
    putters = []
    for number in (3, 2, 1):
        putters.append(Result(items.put, Item(number)))
        until_asleep(putters[-1].thread)
    assert items.get().key == 8
    putters[0].get()
    assert items.qsize() == 2
    assert items.get().key == 3
    putters[1].get()
    assert items.get().key == 2
    putters[2].get()
    assert [item.key for item in drain(items)] == [1, 9]


def test_a_putter_that_shutdown_ends_while_it_has_room_stores_nothing() -> None:
    for _ in range(100):
        items = PriorityQueue(1)
        items.put(1)
        putter = Result(items.put, 0)
        spin_until(lambda putter=putter: putter.thread.is_alive() or putter.error)
        got = items.get()
        items.shutdown()
        try:
            putter.get()
        except OXTHREADS.queue.ShutDown:
            assert got == 1
            assert items.qsize() == 0
        else:
            assert sorted([got, *drain(items)]) == [0, 1]


@pytest.mark.parametrize("make", [MAKERS["int"], MAKERS["Item"]], ids=["int", "Item"])
def test_eight_producers_and_eight_consumers_lose_nothing(frantic: None, make: Any) -> None:
    items = PriorityQueue(6)
    barrier = threading.Barrier(16)

    def produce(producer: int) -> None:
        barrier.wait()
        for number in range(100):
            items.put(make(producer * 100 + number))

    def consume() -> list[int]:
        barrier.wait()
        taken = [items.get() for _ in range(100)]
        return [getattr(item, "key", item) for item in taken]

    for producer in range(8):
        start(produce, producer)
    consumers = [Result(consume) for _ in range(8)]
    assert sorted(key for consumer in consumers for key in consumer.get()) == list(range(800))


def test_failing_comparisons_in_many_threads_lose_nothing(frantic: None) -> None:
    items = PriorityQueue(5)
    source = random.Random(3)

    def fail() -> None:
        if source.random() < 0.1:
            raise ArithmeticError

    def insist(function: Any, *args: Any) -> Any:
        while True:
            try:
                return function(*args)
            except ArithmeticError:
                pass

    def produce(producer: int) -> None:
        for number in range(60):
            insist(items.put, Item(producer * 60 + number, fail))

    for producer in range(4):
        start(produce, producer)
    consumers = [Result(lambda: [insist(items.get).key for _ in range(60)]) for _ in range(4)]
    assert sorted(key for consumer in consumers for key in consumer.get()) == list(range(240))
    assert items.empty()


def test_no_reference_to_compared_items_remains() -> None:
    items = PriorityQueue()
    for number in range(20):
        items.put(Item(number))
    alive = [weakref.ref(item) for item in drain(items)]
    gc.collect()
    assert [reference() for reference in alive] == [None] * 20


def test_a_cycle_through_the_items_is_collected(library: BackEnd) -> None:
    for kind in ("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"):
        items = getattr(library.queue, kind)()
        item = Item(1)
        item.before = items.qsize
        items.put((1, item))
        alive = weakref.ref(item)
        del items, item
        gc.collect()
        assert alive() is None, kind


def test_a_subclass_may_change_the_order(library: BackEnd) -> None:
    class Greatest(library.queue.PriorityQueue):  # type: ignore[misc, name-defined]
        def _put(self, item: int) -> None:
            super()._put(-item)

        def _get(self) -> int:
            return -super()._get()  # type: ignore[no-any-return]

    items = Greatest(3)
    for number in (1, 3, 2):
        items.put(number)
    assert refusal(items.put_nowait, 4)[0] is queue.Full
    assert drain(items) == [3, 2, 1]


@pytest.mark.parametrize("uses", ["put", "get"])
def test_an_item_that_is_freed_during_its_comparison_may_use_the_queue(uses: str) -> None:
    """The comparison removes the items from the queue. So the put or get that compares has the last
    references.
    """
    queue = OXTHREADS.queue.PriorityQueue()
    sizes: list[int] = []
    taken: list[Any] = []

    class Item:
        def __init__(self, number: int) -> None:
            self.number = number

        def __lt__(self, other: Item) -> bool:
            if taken:
                taken.pop()
                # Remove all items, among them this one or the other one.
                with contextlib.suppress(OXTHREADS.queue.Empty):
                    while True:
                        queue.get_nowait()
            return self.number < other.number

        def __del__(self) -> None:
            sizes.append(queue.qsize())

    if uses == "put":
        queue.put(Item(2))
        taken.append(None)
        queue.put(Item(1))
        queue.put(Item(3))
    else:
        for number in range(4):
            queue.put(Item(number))
        taken.append(None)
        with contextlib.suppress(OXTHREADS.queue.Empty):
            queue.get_nowait()
    gc.collect()
    assert len(sizes) == (1 if uses == "put" else 4)
