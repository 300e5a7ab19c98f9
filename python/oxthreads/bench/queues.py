"""Scenarios of queues."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from .libraries import Library
from .rounds import Prepare, Round, SpeedScenario, alone, prepared, together
from .scenario import Goal

#: Items in a batch.
BATCH = 1_000


def put_and_get(kind: str) -> Prepare:
    """Put an item and get it again, in one thread.

    Args:
        kind: the name of the type of queue.
    """

    def prepare(library: Library, operations: int) -> Generator[Round]:
        items = getattr(library, kind)()

        def work() -> None:
            put, get = items.put, items.get
            for number in range(operations):
                put(number)
                get()

        yield alone(work)

    return prepared(prepare)


class Task:
    """An item that is compared by Python code."""

    def __init__(self, priority: float) -> None:
        self.priority = priority

    def __lt__(self, other: Task) -> bool:
        return self.priority < other.priority


def heap_of(make: Callable[[float], Any]) -> Prepare:
    """Put all items in random order, then get them in sorted order.

    Args:
        make: makes an item from its priority, a number.
    """

    def prepare(library: Library, operations: int) -> Generator[Round]:
        source = random.Random(1)
        tasks = [make(source.random()) for _ in range(operations)]
        items = library.PriorityQueue()

        def work() -> None:
            put, get = items.put, items.get
            for task in tasks:
                put(task)
            for _ in tasks:
                get()

        yield alone(work)

    return prepared(prepare)


def put_all(items: Any, count: int) -> None:
    """Put this many items, one by one."""
    put = items.put
    for number in range(count):
        put(number)


def get_all(items: Any, count: int) -> None:
    """Get this many items, one by one."""
    get = items.get
    for _ in range(count):
        get()


def put_all_in_batches(items: Any, count: int) -> None:
    """Put this many items, a batch at a time."""
    for begin in range(0, count, BATCH):
        items.put_many(range(begin, min(begin + BATCH, count)))


def get_all_in_batches(items: Any, count: int) -> None:
    """Get this many items. Each time get all that are there, but at most a batch."""
    received = 0
    while received < count:
        received += len(items.get_many(min(BATCH, count - received)))


def stream(capacity: int | None, pairs: int) -> Prepare:
    """Let some threads put items, and as many threads get them.

    Args:
        capacity: the largest number of items in the queue. None: it is a SimpleQueue.
        pairs: the number of threads that put, and of threads that get.
    """

    def prepare(library: Library, operations: int) -> Generator[Round]:
        items = library.SimpleQueue() if capacity is None else library.Queue(capacity)
        share = max(1, operations // pairs)
        works = [partial(put_all, items, share), partial(get_all, items, share)]
        yield together(*works * pairs)

    return prepared(prepare)


def stream_batches(capacity: int) -> Prepare:
    """Let one thread put and one get, in batches if the queue supports them.

    Args:
        capacity: the largest number of items in the queue.
    """

    def prepare(library: Library, operations: int) -> Generator[Round]:
        items = library.Queue(capacity)
        if hasattr(items, "put_many"):
            yield together(
                partial(put_all_in_batches, items, operations), partial(get_all_in_batches, items, operations)
            )
        else:
            yield together(partial(put_all, items, operations), partial(get_all, items, operations))

    return prepared(prepare)


@prepared
def ping_pong(library: Library, operations: int) -> Generator[Round]:
    """Let one thread send an item, and another send it back, through two queues."""
    there, back = library.Queue(), library.Queue()

    def serve() -> None:
        put, get = there.put, back.get
        for number in range(operations):
            put(number)
            get()

    def answer() -> None:
        get, put = there.get, back.put
        for _ in range(operations):
            put(get())

    yield together(serve, answer)


def _one_thread(name: str, kind: str, goal: float, operations: int) -> SpeedScenario:
    return SpeedScenario(
        name, f"{kind}: put + get", "One thread puts a number and takes it out again.",
        operations=operations, threads=1, goal=Goal(goal), prepare=put_and_get(kind), needs=(kind,),
    )  # fmt: skip


SCENARIOS = (
    _one_thread("queue", "Queue", 15.0, 20_000),
    _one_thread("lifo-queue", "LifoQueue", 15.0, 20_000),
    _one_thread("priority-queue", "PriorityQueue", 6.0, 20_000),
    _one_thread("simple-queue", "SimpleQueue", 1.0, 100_000),
    SpeedScenario(
        "priority-queue-tuples", "PriorityQueue: 1,000 put, then get; tuples",
        "Put in random order, compared by their first elements; an operation is one put and one get.",
        operations=1_000, threads=1, prepare=heap_of(lambda priority: (priority, "task")),
        needs=("PriorityQueue",),
    ),
    SpeedScenario(
        "priority-queue-lt", "PriorityQueue: 1,000 put, then get; `__lt__`",
        "Objects that are compared by Python code; an operation is one put and one get.",
        operations=1_000, threads=1, prepare=heap_of(Task), needs=("PriorityQueue",),
    ),
    SpeedScenario(
        "queue-stream-1-1", "Queue(100): stream, 1 thread to 1",
        "One thread puts and another gets, through a queue with room for 100; an operation is one item.",
        operations=10_000, threads=2, goal=Goal(8.0), prepare=stream(100, 1), needs=("Queue",),
    ),
    SpeedScenario(
        "queue-stream-4-4", "Queue(100): stream, 4 threads to 4",
        "Four threads put and four get; an operation is one item.",
        operations=10_000, threads=8, goal=Goal(8.0), prepare=stream(100, 4), needs=("Queue",),
    ),
    SpeedScenario(
        "queue-batches", "Queue(10,000): put_many to get_many",
        "One thread puts and another gets, in batches of 1,000; one by one if the queue has no batches.",
        operations=40_000, threads=2, goal=Goal(25.0), prepare=stream_batches(10_000), needs=("Queue",),
    ),
    SpeedScenario(
        "queue-ping-pong", "Queue: there and back, 2 threads",
        "One thread sends an item and another sends it back; an operation is one round trip.",
        operations=1_000, threads=2, goal=Goal(2.5), prepare=ping_pong, needs=("Queue",),
    ),
)  # fmt: skip
