"""Tests of `put_many`, `get_many` and `iterate`, which the standard queues do not have."""

from __future__ import annotations

import collections.abc
import functools
import itertools
import queue
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.refusals import refusal
from tests.support.threads import Result, start
from tests.support.waiting import spin_until, until_asleep

KINDS = ["Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"]
ShutDown = OXTHREADS.queue.ShutDown


def make(kind: str, form: str = "native", maxsize: int = 0) -> Any:
    """Return a queue that is native, has fallen back, or overrides `put`. All three must behave the same."""
    cls = getattr(OXTHREADS.queue, kind)
    if kind == "SimpleQueue":
        return cls()
    if form == "overridden":

        class Overridden(cls):  # type: ignore[misc, valid-type]
            def put(self, *args: Any, **keywords: Any) -> None:
                super().put(*args, **keywords)

        cls = Overridden
    items = cls(maxsize)
    if form == "standard":
        assert not items.queue
    return items


FORMS = ["native", "standard", "overridden"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_batches_keep_the_order_of_the_queue(kind: str, form: str) -> None:
    items = make(kind, form)
    items.put_many([3, 1])
    items.put_many(iter((5, 4, 2)))
    items.put_many([])
    order = {"LifoQueue": [2, 4, 5, 1, 3], "PriorityQueue": [1, 2, 3, 4, 5]}.get(kind, [3, 1, 5, 4, 2])
    assert items.qsize() == 5
    assert items.get_many(2) == order[:2]
    assert items.get_many(0) == []
    assert items.get_many() == order[2:]
    assert refusal(items.get_many, 5, False) == (queue.Empty, "")
    assert refusal(items.get_many, timeout=0.001) == (queue.Empty, "")
    assert items.get_many(0) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_may_be_larger_than_one_step(kind: str) -> None:
    items = make(kind)
    items.put_many(range(5000))
    assert items.qsize() == 5000
    taken = items.get_many(1500) + items.get_many()
    assert taken == sorted(taken, reverse=kind == "LifoQueue")
    assert len(taken) == 5000


@pytest.mark.parametrize("form", FORMS)
def test_put_many_counts_a_task_for_each_item(form: str) -> None:
    items = make("Queue", form)
    items.put_many("abc")
    items.get_many()
    assert items.unfinished_tasks == 3
    joiner = Result(items.join)
    until_asleep(joiner.thread)
    for _ in range(3):
        items.task_done()
    joiner.get()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS[:3])
def test_put_many_and_get_many_respect_maxsize(kind: str, form: str) -> None:
    items = make(kind, form, 3)
    putter = Result(items.put_many, range(10))
    until_asleep(putter.thread)
    assert items.qsize() == 3
    taken: list[int] = []
    while len(taken) < 10:
        assert items.qsize() <= 3
        taken += items.get_many(timeout=30)
    putter.get()
    assert sorted(taken) == list(range(10))
    if kind == "Queue":
        assert taken == list(range(10))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS[:3])
@pytest.mark.parametrize("arguments", [{"block": False}, {"timeout": 0}, {"timeout": 0.01}])
def test_full_says_how_many_items_were_put(kind: str, form: str, arguments: dict[str, Any]) -> None:
    items = make(kind, form, 3)
    numbers = iter(range(10))
    with pytest.raises(queue.Full) as caught:
        items.put_many(numbers, **arguments)
    assert caught.value.items_put == 3
    assert [*caught.value.not_put, *numbers] == list(range(3, 10))
    assert sorted(items.get_many()) == [0, 1, 2]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_items_before_the_iterable_raises_are_put(kind: str, form: str) -> None:
    def fail() -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("no more")

    items = make(kind, form)
    with pytest.raises(LookupError) as caught:
        items.put_many(fail())
    assert caught.value.items_put == 2  # type: ignore[attr-defined]
    assert sorted(items.get_many()) == [1, 2]
    assert refusal(items.put_many, 5)[0] is TypeError


def test_an_item_that_cannot_be_compared_is_given_back() -> None:
    items = make("PriorityQueue")
    with pytest.raises(TypeError) as caught:
        items.put_many([2, 1, "x", 3])
    assert caught.value.items_put == 2  # type: ignore[attr-defined]
    assert caught.value.not_put == ["x", 3]  # type: ignore[attr-defined]
    assert items.get_many() == [1, 2]


@pytest.mark.parametrize("form", FORMS)
def test_wrong_arguments_are_refused(form: str) -> None:
    items = make("Queue", form, 1)
    assert refusal(items.get_many, -1)[0] is ValueError
    assert refusal(items.get_many, "x")[0] is TypeError
    assert refusal(items.get_many, 1, True, -1)[0] is ValueError
    assert refusal(items.put_many, [1], True, -1)[0] is ValueError
    assert refusal(items.put_many)[0] is TypeError
    assert items.qsize() == 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_get_many_waits_for_the_first_item_only(kind: str, form: str) -> None:
    items = make(kind, form)
    getter = Result(items.get_many, 100)
    until_asleep(getter.thread)
    items.put("a")
    assert getter.get() == ["a"]
    getter = Result(items.get_many, timeout=30)
    until_asleep(getter.thread)
    items.put("b")
    assert getter.get() == ["b"]


def test_put_many_wakes_all_waiting_getters() -> None:
    items = make("Queue")
    getters = []
    for _ in range(3):
        getters.append(Result(items.get))
        until_asleep(getters[-1].thread)
    items.put_many(range(5))
    assert sorted(getter.get() for getter in getters) == [0, 1, 2]
    assert items.get_many() == [3, 4]


def test_get_many_wakes_as_many_putters_as_there_is_room_for() -> None:
    items = make("Queue", maxsize=2)
    items.put_many([0, 1])
    putters = []
    for number in (2, 3, 4):
        putters.append(Result(items.put, number))
        until_asleep(putters[-1].thread)
    assert items.get_many() == [0, 1]
    putters[0].get()
    putters[1].get()
    assert items.get_many() == [2, 3]
    putters[2].get()
    assert items.get_many() == [4]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_shutdown_ends_batches_and_loops(kind: str, form: str) -> None:
    items = make(kind, form)
    waiting = [Result(items.get_many), Result(list, items.iterate())]
    until_asleep(*(result.thread for result in waiting))
    items.shutdown()
    assert refusal(waiting[0].get)[0] is ShutDown
    assert waiting[1].get() == []
    with pytest.raises(ShutDown) as caught:
        items.put_many([1, 2])
    assert (caught.value.items_put, caught.value.not_put[:1]) == (0, [1])  # type: ignore[attr-defined]
    assert list(items.iterate()) == []
    if kind != "SimpleQueue":
        full = make(kind, form, 1)
        putter = Result(full.put_many, [1, 2, 3])
        until_asleep(putter.thread)
        full.shutdown()
        with pytest.raises(ShutDown) as caught:
            putter.get()
        assert caught.value.items_put == 1  # type: ignore[attr-defined]
        assert list(full.iterate()) == [1]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_loop_ends_when_the_queue_is_shut_down_and_empty(kind: str, form: str) -> None:
    items = make(kind, form)
    loops = [Result(lambda: [item for item in items.iterate()]) for _ in range(3)]  # noqa: C416
    until_asleep(*(loop.thread for loop in loops))
    for number in range(300):
        items.put(number)
    items.shutdown()
    assert sorted(itertools.chain(*(loop.get() for loop in loops))) == list(range(300))
    iterator = items.iterate()
    assert iter(iterator) is iterator
    assert next(iterator, "over") == "over"


def test_get_many_and_iterate_call_an_overridden_get() -> None:
    class Doubling(OXTHREADS.queue.Queue):  # type: ignore[misc, name-defined]
        def get(self, *args: Any, **keywords: Any) -> Any:
            return 2 * super().get(*args, **keywords)

    items = Doubling()
    items.put_many([1, 2, 3])
    assert items.get_many(2) == [2, 4]
    items.shutdown()
    assert list(items.iterate()) == [6]


def test_batches_in_progress_go_on_after_the_queue_falls_back() -> None:
    items = make("Queue", maxsize=2)
    putter = Result(items.put_many, iter(range(20)), timeout=30)
    getter_of = make("Queue")
    getter = Result(getter_of.get_many, 5, timeout=30)
    until_asleep(putter.thread, getter.thread)
    assert list(items.queue) == [0, 1]
    assert not getter_of.queue
    until_asleep(putter.thread, getter.thread)
    taken: list[int] = []
    while len(taken) < 20:
        taken += items.get_many(3)
    putter.get()
    assert taken == list(range(20))
    getter_of.put("a")
    assert getter.get() == ["a"]


def test_an_interrupted_batch_loses_nothing() -> None:
    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    items = make("Queue", maxsize=2)
    before = signal.signal(signal.SIGUSR1, stop)
    main = threading.get_ident()

    def interrupt() -> None:
        spin_until(lambda: items.qsize() == 2)
        until_asleep(threading.main_thread())
        signal.pthread_kill(main, signal.SIGUSR1)

    try:
        thread = start(interrupt)
        with pytest.raises(Stop) as caught:
            items.put_many(range(10))
        thread.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert caught.value.items_put == 2  # type: ignore[attr-defined]
    assert sorted([*items.get_many(), *caught.value.not_put])[:4] == [0, 1, 2, 3]  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", KINDS)
def test_producers_and_consumers_in_batches_lose_and_reorder_nothing(kind: str, frantic: None) -> None:
    items = make(kind, maxsize=7)
    barrier = threading.Barrier(16)

    def produce(producer: int) -> None:
        barrier.wait()
        numbers = iter([(producer, number) for number in range(200)])
        while some := list(itertools.islice(numbers, 1 + producer)):
            items.put_many(some)

    def consume() -> list[tuple[int, int]]:
        barrier.wait()
        return list(itertools.chain.from_iterable(iter(lambda: take(items), [])))

    def take(items: Any) -> list[tuple[int, int]]:
        try:
            taken: list[tuple[int, int]] = items.get_many(5)
        except ShutDown:
            return []
        return taken

    producers = [Result(produce, producer) for producer in range(8)]
    consumers = [Result(consume) for _ in range(8)]
    for producer in producers:
        producer.get()
    items.shutdown()
    received = [consumer.get() for consumer in consumers]
    if kind in ("Queue", "SimpleQueue"):
        for mine in received:
            for producer in range(8):
                numbers = [number for who, number in mine if who == producer]
                assert numbers == sorted(numbers)
    assert sorted(itertools.chain(*received)) == [(p, i) for p in range(8) for i in range(200)]


@pytest.mark.parametrize("kind", KINDS)
def test_in_raises_the_standard_error_and_takes_nothing(kind: str) -> None:
    for derived in (False, True):
        said = []
        for library in (STANDARD, OXTHREADS):
            cls = getattr(library.queue, kind)
            items = type("Mine", (cls,), {})() if derived else cls()
            items.put(1)
            said.append(
                (refusal(lambda items=items: 1 in items), refusal(lambda items=items: 2 not in items))
            )
            assert items.qsize() == 1
        standard, ours = (str(words).replace("_queue.", "").replace("oxthreads.queue.", "") for words in said)
        assert standard == ours
        assert said[0][0][0] is said[1][0][0] is TypeError


@pytest.mark.parametrize("kind", KINDS)
def test_a_queue_is_not_iterable(library: BackEnd, kind: str) -> None:
    items = getattr(library.queue, kind)()
    items.put(1)
    assert not isinstance(items, (collections.abc.Iterable, collections.abc.Container))
    for use in (iter, list, tuple, set, sum, lambda items: [*items], dict.fromkeys):
        assert refusal(use, items)[0] is TypeError

    @functools.singledispatch
    def flatten(thing: object) -> list[object]:
        return [thing]

    @flatten.register(collections.abc.Iterable)
    def _(things: Any) -> list[object]:
        return [*things]

    assert flatten(items) == [items]
    with pytest.raises(TypeError):
        (_one,) = items
    assert items.get() == 1


@pytest.mark.parametrize("kind", ["Queue", "LifoQueue", "PriorityQueue"])
def test_a_subclass_with_getitem_is_a_sequence(library: BackEnd, kind: str) -> None:
    class Indexed(getattr(library.queue, kind)):  # type: ignore[misc]
        def __getitem__(self, index: int) -> Any:
            return self.queue[index]

    items = Indexed()
    items.put(1)
    items.put(2)
    assert (list(items), 1 in items, 3 in items, [*reversed(list(items))]) == ([1, 2], True, False, [2, 1])
    assert items.qsize() == 2
