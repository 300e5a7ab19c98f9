"""Operations of two threads that wait for each other, so that a thread sleeps in nearly every wait."""

from __future__ import annotations

import threading as standard
import time
from collections.abc import Callable
from typing import Any

from oxthreads import queue as queues
from oxthreads import threading as threads
from oxthreads.concurrent import futures

#: Seconds: a short time in which another thread can run.
WHILE = 1e-6


class InTurns:
    """An operation that the caller does with an item. Another thread does its own part again and again."""

    def __init__(self, one: Callable[[Any], object], other: Callable[[], object]) -> None:
        self.one, self.other = one, other
        self.thread: standard.Thread | None = None

    def __call__(self, item: Any) -> None:
        if self.thread is None:
            self.thread = standard.Thread(target=self._live, daemon=True)
            self.thread.start()
        self.one(item)

    def _live(self) -> None:
        while True:
            self.other()


def handed_over(make: Callable[[], Any]) -> InTurns:
    """Something to acquire goes to the other thread, and another one comes back."""
    there, back = make(), make()

    def one(_: Any) -> None:
        there.release()
        back.acquire()

    def other() -> None:
        there.acquire()
        back.release()

    return InTurns(one, other)


def _acquired(make: Callable[[], Any]) -> Any:
    lock = make()
    lock.acquire()
    return lock


def contended(held: Any) -> InTurns:
    """A lock that only its owner can release. It is held until the other thread probably waits for it."""
    asked, had = standard.Semaphore(0), standard.Semaphore(0)

    def one(_: Any) -> None:
        with held:
            asked.release()
            time.sleep(WHILE)
        had.acquire()

    def other() -> None:
        asked.acquire()
        with held:
            had.release()

    return InTurns(one, other)


def notified(condition: Any) -> InTurns:
    """Each thread waits until the other one notifies it."""
    turn = 0

    def one(_: Any) -> None:
        nonlocal turn
        with condition:
            turn = 1
            condition.notify()
            while turn:
                condition.wait()

    def other() -> None:
        nonlocal turn
        with condition:
            while not turn:
                condition.wait()
            turn = 0
            condition.notify_all()

    return InTurns(one, other)


def flagged() -> InTurns:
    there, back = threads.Event(), threads.Event()

    def one(_: Any) -> None:
        there.set()
        back.wait()
        back.clear()

    def other() -> None:
        there.wait()
        there.clear()
        back.set()

    return InTurns(one, other)


def passed(name: str) -> InTurns:
    """An item goes through one queue, and comes back through another."""
    there, back = getattr(queues, name)(), getattr(queues, name)()

    def one(item: Any) -> None:
        there.put((0, None, item) if name == "PriorityQueue" else item)
        back.get()

    return InTurns(one, lambda: back.put(there.get()))


def pressed(name: str) -> InTurns:
    """Three items for a queue with room for one: the producer waits for the consumer."""
    items = getattr(queues, name)(1)

    def one(_: Any) -> None:
        for number in range(3):
            items.put(number)

    return InTurns(one, items.get)


def batches() -> InTurns:
    items: Any = queues.Queue(2)
    return InTurns(lambda item: items.put_many([item] * 5), lambda: len(items.get_many(3)))


def joined() -> InTurns:
    items: Any = queues.Queue()

    def one(item: Any) -> None:
        items.put(item)
        items.join()

    def other() -> None:
        items.get()
        items.task_done()

    return InTurns(one, other)


def settled(wait: Callable[[Any], object]) -> InTurns:
    """The other thread sets the result for which this thread waits."""
    asked: Any = queues.SimpleQueue()

    def one(item: Any) -> None:
        future: Any = futures.Future()
        asked.put((future, item))
        wait(future)

    def other() -> None:
        asked.get()[0].set_result(None)

    return InTurns(one, other)


def _as_completed(future: Any) -> None:
    for _ in futures.as_completed([future]):
        pass


def submitted(pool: Any) -> Callable[[Any], object]:
    """More calls than the pool accepts at once: the caller waits for its worker."""

    def one(item: Any) -> None:
        for call in [pool.submit(id, item) for _ in range(4)]:
            call.result()

    return one


def in_turns(crowded: Any) -> dict[str, tuple[Callable[[Any], object], int]]:
    """The operations by name, each with its cost as in `operations_of`. `crowded` is a full pool."""
    made: dict[str, Callable[[Any], object]] = {
        "Lock": handed_over(lambda: _acquired(threads.Lock)),
        "RLock": contended(threads.RLock()),
        "Semaphore": handed_over(lambda: threads.Semaphore(0)),
        "BoundedSemaphore": handed_over(lambda: _acquired(threads.BoundedSemaphore)),
        "Condition": notified(threads.Condition()),
        "Condition(Lock)": notified(threads.Condition(threads.Lock())),
        "Condition, contended": contended(threads.Condition()),
        "Event": flagged(),
        "Barrier": InTurns(*_barrier()),
        **{name: passed(name) for name in ("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue")},
        **{f"{name}, full": pressed(name) for name in ("Queue", "LifoQueue", "PriorityQueue")},
        "Queue in batches": batches(),
        "Queue.join": joined(),
        "Future.result": settled(lambda future: future.result()),
        "wait": settled(lambda future: futures.wait([future])),
        "as_completed": settled(_as_completed),
        "submit": submitted(crowded),
    }
    return {
        f"{name}, in turns": (operation, 25 if "contended" in name or name == "RLock" else 8)
        for name, operation in made.items()
    }


def _barrier() -> tuple[Callable[[Any], object], Callable[[], object]]:
    barrier = threads.Barrier(2)
    return lambda _: barrier.wait(), barrier.wait
