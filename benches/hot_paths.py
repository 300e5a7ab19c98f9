"""The operations that programs do most, on the standard library and on oxthreads.

    python benches/hot_paths.py

Both are run in turn in one process, many rounds; each row shows the best of either, and how many
times faster oxthreads is. A thing measured against itself may differ by a quarter on a busy
machine, so run it more than once.
"""

from __future__ import annotations

import concurrent.futures
import queue
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import oxthreads.concurrent.futures
import oxthreads.queue
import oxthreads.threading

ROUNDS = 15
N = 4_000
STREAMED = 10 * N


def put_and_get(kind: str) -> Callable[[Any], Callable[[], None]]:
    def prepare(module: Any) -> Callable[[], None]:
        items = getattr(module, kind)()

        def scenario() -> None:
            put, get = items.put, items.get
            for number in range(N):
                put(number)
                get()

        return scenario

    return prepare


class Task:
    """Compared by Python code."""

    def __init__(self, priority: float) -> None:
        self.priority = priority

    def __lt__(self, other: Task) -> bool:
        return self.priority < other.priority


def heap_of(make: Callable[[float], Any], size: int = 1_000) -> Callable[[Any], Callable[[], None]]:
    source = random.Random(1)
    tasks = [make(source.random()) for _ in range(size)]

    def prepare(module: Any) -> Callable[[], None]:
        def scenario() -> None:
            items = module.PriorityQueue()
            for _ in range(N // size):
                for task in tasks:
                    items.put(task)
                for _ in tasks:
                    items.get()

        return scenario

    return prepare


def stream(module: Any) -> Callable[[], None]:
    """One thread puts, one gets; in batches, where the module has them."""
    if module is queue:

        def produce(items: Any) -> None:
            for number in range(STREAMED):
                items.put(number)

        def consume(items: Any) -> None:
            for _ in range(STREAMED):
                items.get()
    else:

        def produce(items: Any) -> None:
            for begin in range(0, STREAMED, 1_000):
                items.put_many(range(begin, begin + 1_000))

        def consume(items: Any) -> None:
            received = 0
            while received < STREAMED:
                received += len(items.get_many(1_000))

    def scenario() -> None:
        items = module.Queue()
        producer = threading.Thread(target=produce, args=[items])
        producer.start()
        consume(items)
        producer.join()

    return scenario


def wait_when_set(module: Any) -> Callable[[], None]:
    event = module.Event()
    event.set()

    def scenario() -> None:
        wait = event.wait
        for _ in range(N):
            wait()

    return scenario


def with_statement(kind: str) -> Callable[[Any], Callable[[], None]]:
    """`with` on an object of that type, which is free."""

    def contender(module: Any) -> Callable[[], None]:
        lock = getattr(module, kind)()

        def scenario() -> None:
            for _ in range(N):
                with lock:
                    pass

        return scenario

    return contender


def notify_all_without_waiters(module: Any) -> Callable[[], None]:
    condition = module.Condition()

    def scenario() -> None:
        for _ in range(N):
            with condition:
                condition.notify_all()

    return scenario


def set_and_clear(module: Any) -> Callable[[], None]:
    event = module.Event()

    def scenario() -> None:
        for _ in range(N):
            event.set()
            event.clear()

    return scenario


def meet(module: Any) -> Callable[[], None]:
    def scenario() -> None:
        barrier = module.Barrier(2)

        def pass_all() -> None:
            for _ in range(N):
                barrier.wait()

        other = threading.Thread(target=pass_all)
        other.start()
        pass_all()
        other.join()

    return scenario


def burst(module: Any) -> Callable[[], None]:
    executor = module.ThreadPoolExecutor(4)

    def scenario() -> None:
        futures = [executor.submit(abs, -1) for _ in range(N)]
        for future in futures:
            future.result()

    return scenario


SCENARIOS = [
    ("Lock: `with`", with_statement("Lock"), threading, oxthreads.threading),
    ("RLock: `with`", with_statement("RLock"), threading, oxthreads.threading),
    ("Condition: `with`", with_statement("Condition"), threading, oxthreads.threading),
    ("Condition: `with` + notify_all alone", notify_all_without_waiters, threading, oxthreads.threading),
    ("Semaphore: `with`", with_statement("Semaphore"), threading, oxthreads.threading),
    ("Event.set + clear", set_and_clear, threading, oxthreads.threading),
    ("Barrier.wait, two threads", meet, threading, oxthreads.threading),
    ("Event.wait when set", wait_when_set, threading, oxthreads.threading),
    *(
        (f"{kind}.put + get", put_and_get(kind), queue, oxthreads.queue)
        for kind in ("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue")
    ),
    ("PriorityQueue: 1,000 put, then get; tuples", heap_of(lambda p: (p, "task")), queue, oxthreads.queue),
    ("PriorityQueue: 1,000 put, then get; `__lt__`", heap_of(Task), queue, oxthreads.queue),
    ("Queue: thread to thread; put + get, put_many + get_many", stream, queue, oxthreads.queue),
    ("ThreadPoolExecutor: burst of 4,000 submit + result", burst, concurrent.futures,
     oxthreads.concurrent.futures),
]  # fmt: skip


def nanoseconds(scenario: Callable[[], None], operations: int) -> float:
    begin = time.perf_counter_ns()
    scenario()
    return (time.perf_counter_ns() - begin) / operations


def main() -> None:
    print(f"CPython {sys.version.split()[0]}, {sys.platform}; best of {ROUNDS}, per operation\n")
    print("| operation | standard | oxthreads | ratio |\n|---|---:|---:|---:|")
    for name, scenario, standard, ours in SCENARIOS:
        contenders = scenario(standard), scenario(ours)
        count = STREAMED if scenario is stream else N
        rounds = [[nanoseconds(contender, count) for contender in contenders] for _ in range(ROUNDS)]
        theirs, mine = (min(times) for times in zip(*rounds, strict=True))
        print(f"| {name} | {theirs:,.0f} ns | {mine:,.0f} ns | {theirs / mine:.1f}x |")


if __name__ == "__main__":
    main()
