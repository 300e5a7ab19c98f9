"""An object takes its standard form in one step, whatever happens meanwhile."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from conftest import OXTHREADS, BackEnd, Result, spin_until, start, until_asleep


class Meddler:
    """Garbage that uses an object when it is collected."""

    def __init__(self, use: Any) -> None:
        self.use = use
        self.cycle = self

    def __del__(self) -> None:
        self.use()


@pytest.fixture
def eager_collection() -> Iterator[None]:
    """Collections start after a few allocations, and look only at what is made from here on."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50)
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_a_future_asked_for_its_condition_by_garbage_keeps_its_callbacks(eager_collection: None) -> None:
    ran: list[Any] = []
    for number in range(1000):
        future = OXTHREADS.futures.Future()
        future.add_done_callback(ran.append)
        Meddler(lambda future=future: future._condition)
        junk: list[Any] = [[] for _ in range(number % 50)]
        assert future._waiters == []
        future.set_result(junk)
    assert len(ran) == 1000


def test_a_queue_used_by_garbage_keeps_its_items(eager_collection: None) -> None:
    for number in range(300):
        items = OXTHREADS.queue.Queue()
        for item in range(100):
            items.put(item)
        Meddler(lambda items=items: items.queue)
        junk: list[Any] = [[] for _ in range(number % 50)]
        with items.mutex:
            assert list(items.queue) == list(range(100))
        del junk


def test_garbage_may_put_while_a_queue_takes_its_standard_form(eager_collection: None) -> None:
    def work() -> None:
        for number in range(300):
            items = OXTHREADS.queue.Queue()
            for item in range(100):
                items.put(item)
            Meddler(lambda items=items: items.put("garbage"))
            junk: list[Any] = [[] for _ in range(number % 50)]
            taken = items.queue
            gc.collect()
            assert sorted(taken, key=str) == sorted([*range(100), "garbage"], key=str)
            del junk

    Result(work).get()


def test_threads_that_ask_at_once_get_the_same_attributes(frantic: None) -> None:
    for _ in range(200):
        event = OXTHREADS.threading.Event()
        barrier = threading.Barrier(4)

        def ask(event: Any = event, barrier: threading.Barrier = barrier) -> object:
            barrier.wait()
            return event._cond

        conditions = [Result(ask) for _ in range(4)]
        assert len({id(condition.get()) for condition in conditions}) == 1


def test_items_put_and_got_while_a_queue_takes_its_standard_form_are_neither_lost_nor_reordered(
    frantic: None,
) -> None:
    for _ in range(50):
        items = OXTHREADS.queue.Queue(3)
        producer = start(lambda items=items: [items.put(number) for number in range(40)])
        consumer = Result(lambda items=items: [items.get(timeout=30) for _ in range(40)])
        spin_until(lambda items=items: items.unfinished_tasks)
        assert items.mutex is items.not_full._lock
        assert consumer.get() == list(range(40))
        producer.join()


def test_a_putter_that_waits_is_let_in_by_a_greater_maxsize_under_the_mutex(library: BackEnd) -> None:
    items = library.queue.Queue(1)
    items.put("a")
    putter = Result(items.put, "b")
    until_asleep(putter.thread)
    with items.mutex:
        items.maxsize = 10
        items.not_full.notify_all()
    putter.get()
    assert list(items.queue) == ["a", "b"]
    assert items.unfinished_tasks == 2


def test_a_pulse_reaches_whoever_waited_before_the_event_took_its_standard_form(library: BackEnd) -> None:
    event = library.threading.Event()
    waiter = Result(event.wait, 30)
    until_asleep(waiter.thread)
    assert event._cond
    event.set()
    event.clear()
    assert waiter.get() is True


def test_consumers_of_a_queue_that_is_shut_down_all_end(library: BackEnd, frantic: None) -> None:
    shut_down: Any = OXTHREADS.queue.ShutDown
    if not hasattr(library.queue.Queue, "shutdown"):
        pytest.skip("the standard queue has no shutdown before 3.13")

    def consume(items: Any) -> None:
        with pytest.raises(shut_down):
            while True:
                items.get()

    for _ in range(100):
        items = library.queue.Queue()
        consumers = [Result(consume, items) for _ in range(3)]
        items.put(1)
        items.put(2)
        items.shutdown()
        for consumer in consumers:
            consumer.get()
