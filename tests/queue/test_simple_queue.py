"""Tests of SimpleQueue. Most of them run on the standard library too."""

from __future__ import annotations

import contextlib
import gc
import inspect
import pickle
import queue
import sys
import threading
import weakref
from decimal import Decimal
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, BackEnd
from tests.support.parkers import WAITERS_KEEP_THEIR_PLACE
from tests.support.refusals import refusal
from tests.support.threads import Result, start
from tests.support.waiting import until_asleep

SimpleQueue = OXTHREADS.queue.SimpleQueue
ShutDown = OXTHREADS.queue.ShutDown


def test_all_ways_to_put_and_get_work(library: BackEnd) -> None:
    items = library.queue.SimpleQueue()
    assert items.empty() and items.qsize() == 0
    for put in (
        items.put,
        lambda item: items.put(item=item),
        lambda item: items.put(item, False),
        lambda item: items.put(item, True, "ignored"),
        lambda item: items.put(item, block=0, timeout=-1),
        items.put_nowait,
        lambda item: items.put_nowait(item=item),
    ):
        assert put(put) is None
        assert not items.empty() and items.qsize() == 1
        assert items.get() is put
    for get in (
        lambda: items.get(True),
        lambda: items.get(block=False),
        lambda: items.get(False, -1),
        lambda: items.get(timeout=None),
        lambda: items.get(timeout=5),
        lambda: items.get(True, 0),
        lambda: items.get(block=[], timeout="ignored"),
        items.get_nowait,
    ):
        items.put(None)
        assert get() is None
    for get in (items.get_nowait, lambda: items.get(False), lambda: items.get(timeout=0.001)):
        assert refusal(get) == (queue.Empty, "")


@pytest.mark.parametrize(
    "timeout", [-1, -0.1, "x", [], 1e300, float("inf"), float("nan"), 2**70, 10**10, Decimal(1), True, 0]
)
def test_timeouts_are_checked_even_if_there_is_an_item(timeout: Any) -> None:
    def outcome(items: Any) -> object:
        items.put("item")
        try:
            return items.get(timeout=timeout)
        except Exception as error:
            return type(error), str(error)

    assert outcome(SimpleQueue()) == outcome(queue.SimpleQueue())


def test_wrong_calls_raise_type_error(library: BackEnd) -> None:
    items = library.queue.SimpleQueue()
    for function, args, keywords in [
        (items.put, (), {}),
        (items.put, (1, 2, 3, 4), {}),
        (items.put, (1,), {"no": 1}),
        (items.put, (1,), {"item": 1}),
        (items.get, (1, 2, 3), {}),
        (items.get, (), {"no": 1}),
        (items.qsize, (1,), {}),
        (library.queue.SimpleQueue, (1,), {}),
        (library.queue.SimpleQueue, (), {"maxsize": 1}),
        (library.queue.SimpleQueue.put, (5, 1), {}),
        (pickle.dumps, (items,), {}),
    ]:
        assert refusal(function, *args, **keywords)[0] is TypeError
    assert items.empty()


def test_it_has_the_public_names_of_the_standard_class() -> None:
    public = {name for name in dir(queue.SimpleQueue) if not name.startswith("_")}
    additions = {"get_many", "is_shutdown", "iterate", "put_many", "shutdown", "peek", "peek_nowait", "clear"}
    assert {name for name in dir(SimpleQueue) if not name.startswith("_")} == public | additions
    for name in ("put", "get"):
        ours = inspect.signature(getattr(SimpleQueue, name))
        assert list(ours.parameters) == list(inspect.signature(getattr(queue.SimpleQueue, name)).parameters)
        assert str(ours).endswith("block=True, timeout=None)")
    assert (SimpleQueue.__name__, SimpleQueue.__module__) == ("SimpleQueue", "oxthreads.queue")
    assert SimpleQueue[int].__origin__ is SimpleQueue


def test_subclasses_may_have_arguments_and_attributes(library: BackEnd) -> None:
    class Named(library.queue.SimpleQueue):  # type: ignore[misc, name-defined]
        def __init__(self, name: str, *, color: str) -> None:
            super().__init__()
            self.name, self.color = name, color

        def put(self, item: str, *args: Any) -> None:
            super().put(f"{self.name}: {item}", *args)

    items = Named("a", color="red")
    items.put("x")
    assert items.get() == "a: x"
    assert vars(items) == {"name": "a", "color": "red"}
    plain = library.queue.SimpleQueue()
    assert not hasattr(plain, "__dict__")
    assert weakref.ref(plain)() is plain
    assert bool(plain)
    assert plain in {plain}

    class NoInit(library.queue.SimpleQueue):  # type: ignore[misc, name-defined]
        pass

    assert refusal(NoInit, 1)[0] is TypeError


def test_waiters_are_served_in_the_order_they_came() -> None:
    items = SimpleQueue()
    getters = []
    for _ in range(3):
        getters.append(Result(items.get, timeout=30))
        until_asleep(getters[-1].thread)
    for number in range(3):
        items.put(number)
        if WAITERS_KEEP_THEIR_PLACE:
            assert getters[number].get() == number
    assert sorted(getter.get() for getter in getters) == [0, 1, 2]


def test_shutdown_ends_waits_and_refuses_puts() -> None:
    items = SimpleQueue()
    assert items.is_shutdown is False
    waiting = [Result(items.get), Result(items.get, True, 30)]
    until_asleep(*(result.thread for result in waiting))
    items.shutdown()
    for result in waiting:
        assert refusal(result.get) == (ShutDown, "")
    assert items.is_shutdown is True
    for function, *args in ([items.put, 1], [items.put_nowait, 1], [items.get], [items.get_nowait]):
        assert refusal(function, *args) == (ShutDown, "")
    items = SimpleQueue()
    items.put(1)
    items.put(2)
    items.shutdown()
    assert refusal(items.put, 3)[0] is ShutDown
    assert items.get() == 1
    items.shutdown(immediate=True)
    assert items.qsize() == 0
    assert refusal(items.get, timeout=1)[0] is ShutDown


def test_getsizeof_counts_the_memory_of_the_items() -> None:
    for kind in ("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"):
        items = getattr(OXTHREADS.queue, kind)()
        empty = sys.getsizeof(items)
        assert empty < 400
        for number in range(100_000):
            items.put(number)
        assert 100_000 * 8 <= sys.getsizeof(items) - empty <= 2 * 100_000 * 8 + 1000
        for _ in range(100_000):
            items.get()
        assert sys.getsizeof(items) - empty <= 16 * 1024, "the memory of removed items was not freed"


def test_garbage_collections_during_puts_and_gets_clear_nothing_alive(frantic: None) -> None:
    for kind in ("LifoQueue", "PriorityQueue", "SimpleQueue"):
        items = getattr(OXTHREADS.queue, kind)()
        stop = threading.Event()

        def collect(stop: threading.Event = stop) -> None:
            while not stop.is_set():
                gc.collect()

        collector = start(collect)
        producer = start(lambda items=items: [items.put((n, {n: [n]})) for n in range(500)])
        taken = [items.get() for _ in range(500)]
        assert sorted(number for number, _ in taken) == list(range(500))
        assert all(holder == {number: [number]} for number, holder in taken)
        producer.join()
        stop.set()
        collector.join()


def test_a_get_that_times_out_takes_nothing(frantic: None) -> None:
    # On oxthreads only: the standard SimpleQueue of Python 3.11 hangs in this test.
    items = SimpleQueue()
    stop = threading.Event()
    taken: list[int] = []

    def hasty() -> None:
        while not stop.is_set() or items.qsize():
            with contextlib.suppress(queue.Empty):
                taken.append(items.get(timeout=0.0001))

    threads = [start(hasty) for _ in range(3)]
    for number in range(500):
        items.put(number)
    stop.set()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(500))
