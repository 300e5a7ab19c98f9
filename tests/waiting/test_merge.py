"""Tests of `merge`."""

from __future__ import annotations

import queue as standard
from collections import defaultdict
from typing import Any

import pytest

from oxthreads.queue import PriorityQueue, Queue, ShutDown, SimpleQueue
from oxthreads.threading import Event
from oxthreads.waiting import merge, put
from tests.support.threads import Result, start
from tests.support.waiting import until_asleep


def test_items_come_with_their_queue_in_its_order() -> None:
    queues: list[Any] = [Queue(), PriorityQueue(), SimpleQueue()]
    for items in queues:
        items.put_many([3, 1, 2])
        items.shutdown()
    found: dict[int, list[int]] = defaultdict(list)
    for items, item in merge(*queues):
        found[queues.index(items)].append(item)
    assert found == {0: [3, 1, 2], 1: [1, 2, 3], 2: [3, 1, 2]}


def test_no_queue_is_no_item() -> None:
    assert list(merge()) == []


def test_it_waits_until_the_last_queue_is_shut_down() -> None:
    first: Queue[str] = Queue()
    second: Queue[str] = Queue()
    consumer = Result(lambda: [item for _, item in merge(first, second)])
    until_asleep(consumer.thread)
    first.put("a")
    first.shutdown()
    until_asleep(consumer.thread)
    second.put("b")
    second.shutdown()
    assert consumer.get() == ["a", "b"]


def test_the_same_queue_twice() -> None:
    items: Queue[int] = Queue()
    items.put(1)
    items.shutdown()
    assert list(merge(items, items)) == [(items, 1)]


def test_threads_share_an_iterator(frantic: None) -> None:
    queues: list[Queue[int]] = [Queue(), Queue(2)]
    both = merge(*queues)
    consumers = [Result(lambda: [item for _, item in both]) for _ in range(3)]

    def produce(items: Queue[int], numbers: range) -> None:
        for number in numbers:
            items.put(number)
        items.shutdown()

    producers = [start(produce, items, range(first, 400, 2)) for first, items in enumerate(queues)]
    for producer in producers:
        producer.join()
    assert sorted(item for consumer in consumers for item in consumer.get()) == list(range(400))


@pytest.mark.parametrize("make", [lambda: 3, Event, lambda: put(Queue(), 1), standard.Queue])
def test_what_is_no_queue_is_refused(make: Any) -> None:
    with pytest.raises(TypeError, match="an oxthreads queue is needed"):
        merge(Queue(), make())


def test_a_shutdown_that_a_comparison_raises_is_not_taken_for_one_of_the_queues() -> None:
    class Item:
        def __lt__(self, other: object) -> bool:
            if len(compared) > 2:
                raise ShutDown
            compared.append(self)
            return True

    compared: list[Item] = []
    heap: Any = PriorityQueue()
    heap.put_many([Item(), Item(), Item()])
    compared += [Item(), Item(), Item()]
    with pytest.raises(ShutDown):
        list(merge(heap))
    assert heap.qsize() == 3
