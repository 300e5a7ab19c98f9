"""Garbage: unreachable objects are freed, and objects in use are not.

``python -m tests.stress.inside.garbage cycles COUNT`` puts every type into every cycle in which it can be,
`COUNT` times. ``beside-mutators SECONDS`` collects garbage all the time, while threads use the types.
"""

from __future__ import annotations

import gc
import logging
import sys
import threading as standard
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from oxthreads import queue as queues
from oxthreads import threading as threads
from oxthreads.concurrent import futures
from tests.stress.inside.held import every_kind
from tests.support.garbage import is_freed


class Thing:
    """An object that can be watched by a weak reference."""

    held: Any


QUEUES = ("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue")
PLAIN = ("Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier", "Thread", "Timer")


def _plain(name: str) -> Any:
    return getattr(threads, name)(*{"Barrier": (2,), "Timer": (1000, int)}.get(name, ()))


def _thing(*held: Any) -> Thing:
    thing = Thing()
    thing.held = held
    return thing


#: For each kind of cycle, a function that makes an object in such a cycle.
CYCLES: dict[str, Callable[[], Any]] = {}


def made_with(*arguments: Any) -> Callable[[Callable[..., Any]], object]:
    """A decorator: the function makes a cycle for each of these arguments."""

    def keep(maker: Callable[..., Any]) -> None:
        for argument in arguments:
            CYCLES[f"{maker.__name__.replace('_', ' ')} {argument}"] = partial(maker, argument)

    return keep


def made(maker: Callable[[], Any]) -> None:
    """A decorator: the function makes a cycle."""
    CYCLES[maker.__name__.replace("_", " ")] = maker


@made_with(*PLAIN)
def itself(name: str) -> Any:
    made = _plain(name)
    made.itself = made
    return made


@made_with(*QUEUES)
def in_an_item(name: str) -> Any:
    queue = getattr(queues, name)()
    thing = _thing(queue)
    queue.put(thing)
    return thing


@made_with(*QUEUES)
def in_an_item_of_a_subclass(name: str) -> Any:
    cls = type("Mine", (getattr(queues, name),), {})
    queue = cls()
    cls.instance = queue  # type: ignore[attr-defined]
    queue.put(cls)
    return queue


@made_with(*QUEUES[:3])
def in_an_item_of_its_fallback(name: str) -> Any:
    queue = getattr(queues, name)()
    thing = _thing(queue)
    assert queue.mutex
    queue.put(thing)
    return thing


@made_with(*QUEUES)
def in_its_iterator(name: str) -> Any:
    queue = getattr(queues, name)()
    thing = _thing(queue.iterate())
    queue.put(thing)
    return thing


@made_with(*QUEUES[:3])
def in_what_is_left_of_a_batch(name: str) -> Any:
    queue = getattr(queues, name)(1)
    thing = _thing(queue)
    try:
        queue.put_many([thing, thing, thing], block=False)
    except queues.Full as error:
        thing.held = queue, error
    return thing


@made
def in_a_result() -> Any:
    future: Any = futures.Future()
    thing = _thing(future)
    future.set_result(thing)
    return thing


@made
def in_an_exception() -> Any:
    future: Any = futures.Future()
    try:
        raise ValueError(future)
    except ValueError as error:
        future.set_exception(error)
        thing = _thing(future, error)
        error.thing = thing  # type: ignore[attr-defined]
    return thing


@made
def in_an_exception_that_was_read() -> Any:
    future: Any = futures.Future()
    future.set_exception(ValueError())
    thing = _thing(future)
    try:
        future.result()
    except ValueError as error:
        error.thing = thing  # type: ignore[attr-defined]
    return thing


@made
def in_a_callback() -> Any:
    future: Any = futures.Future()
    thing = _thing(future)
    future.add_done_callback(lambda _: thing)
    return thing


@made
def in_a_callback_of_its_fallback() -> Any:
    future: Any = futures.Future()
    assert future._condition
    thing = _thing(future)
    future.add_done_callback(lambda _: thing)
    return thing


@made
def in_an_iterator_over_itself() -> Any:
    future: Any = futures.Future()
    iterator = futures.as_completed([future])
    thing = _thing(future, iterator)
    future.add_done_callback(lambda _: thing)
    return thing


@made
def in_a_started_iterator_over_itself() -> Any:
    one: Any = futures.Future()
    other: Any = futures.Future()
    one.set_result(None)
    iterator = futures.as_completed([one, other])
    assert next(iterator) is one
    thing = _thing(other, iterator)
    other.add_done_callback(lambda _: thing)
    return thing


@made_with(False, True)
def a_pool_itself(used: bool) -> Any:
    pool: Any = futures.ThreadPoolExecutor(1)
    if used:
        pool.submit(int).result()
        pool.shutdown()
    pool.itself = pool
    return pool


@made
def a_pool_in_its_initializer() -> Any:
    thing = _thing()
    thing.held = futures.ThreadPoolExecutor(1, initializer=print, initargs=(thing,))
    return thing


@made
def a_pool_in_its_views() -> Any:
    pool: Any = futures.ThreadPoolExecutor(1)
    pool.view = pool.with_options(priority=1).with_options(priority=2)
    return pool


@made
def a_pool_that_has_fallen_back() -> Any:
    pool: Any = futures.ThreadPoolExecutor(1)
    pool._work_queue = queues.SimpleQueue()
    pool.itself = pool
    return pool


@made
def a_call_in_its_result() -> Any:
    thing = _thing()
    with futures.ThreadPoolExecutor(1) as pool:
        thing.held = pool.submit(lambda: thing)
    return thing


@made
def a_call_that_was_cancelled() -> Any:
    gate, thing = standard.Event(), _thing()
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(gate.wait)
        thing.held = pool.submit(int)
        thing.held.add_done_callback(lambda _: thing)
        thing.held.cancel()
        thing.held.itself = thing  # its callback has been dropped
        gate.set()
    return thing


@made
def results_of_map_in_what_they_read() -> Any:
    thing = _thing()
    with futures.ThreadPoolExecutor(1) as pool:
        thing.held = pool.map(lambda _: thing, range(10), buffersize=2, progress=lambda *_: thing)
        next(thing.held)
    return thing


@made
def a_lock_of_a_subclass() -> Any:
    lock: Any = type("Mine", (type(threads.RLock()),), {})()
    lock.itself = type(lock), threads.Condition(lock)
    return lock


@made
def a_condition_in_a_foreign_lock() -> Any:
    thing = _thing()
    thing.acquire = thing.release = thing.locked = lambda *_: thing  # type: ignore[attr-defined]
    thing.held = threads.Condition(thing)
    return thing


@made
def in_the_action_of_a_barrier() -> Any:
    thing = _thing()
    thing.held = threads.Barrier(1, action=lambda: thing)
    return thing


# -- Collections beside mutators -----------------------------------------------------------------


def _mutate() -> None:
    """Make and use objects in cycles. None of them may lose anything."""
    thing = _thing()
    for name in QUEUES:
        queue: Any = getattr(queues, name)()
        items = [(1, [queue]), (2, [queue])]
        queue.put(items[0])
        queue.put_many(items[1:])
        assert sorted(queue.get_many(2)) == items
        queue.put(items)
        assert queue.get() is items
        queue.put(queue)
        thing.held = queue.iterate(), thing
    future: Any = futures.Future()
    called: list[Any] = []
    future.add_done_callback(called.append)
    future.itself = future, called
    iterator = futures.as_completed([future])
    future.set_result(future)
    assert called == [future] and next(iterator) is future and future.result() is future
    failing: Any = futures.Future()
    failing.set_exception(ValueError(failing))
    assert failing.exception().args == (failing,)
    condition, event, semaphore = threads.Condition(), threads.Event(), threads.Semaphore(1)
    barrier = threads.Barrier(1, timeout=10.0)
    condition.itself = event.itself = semaphore.itself = barrier.itself = [condition, event, semaphore]  # type: ignore[attr-defined]
    with condition, semaphore:
        condition.wait(0)
        condition.notify_all()
        event.set()
    assert event.wait() and barrier.wait() == 0


class Collections:
    """The number of collections so far, and whether no more will come."""

    def __init__(self) -> None:
        self.number, self.over = 0, False

    def wait(self) -> None:
        """Wait until a collection has seen everything that exists now."""
        # A collection that is running now may have begun earlier, so it does not count.
        enough = self.number + 2
        while self.number < enough and not self.over:
            time.sleep(0.0001)


def beside_mutators(seconds: float) -> tuple[int, int]:
    """Collect garbage all the time, for this many seconds, while two threads and a pool make and use objects.

    Returns the number of collections, and how often objects of every kind were held during one.
    """
    collections, failed, rounds = Collections(), [], 0

    def live() -> None:
        nonlocal rounds
        try:
            while not collections.over:
                _mutate()
                every_kind(collections.wait)
                rounds += not collections.over
        except BaseException as error:
            failed.append(error)

    mutators = [standard.Thread(target=live, daemon=True) for _ in range(2)]
    for mutator in mutators:
        mutator.start()
    interval, end = sys.getswitchinterval(), time.monotonic() + seconds
    sys.setswitchinterval(1e-6)
    try:
        with futures.ThreadPoolExecutor(2) as pool:
            calls = [pool.submit(_mutate) for _ in range(100)]
            # Even on a slow machine, every kind is checked at least once.
            while (time.monotonic() < end or not rounds) and not failed:
                gc.collect()
                collections.number += 1
                if all(call.done() for call in calls):
                    calls = [pool.submit(_mutate) for _ in range(100)]
            for call in calls:
                call.result()
    finally:
        collections.over = True
        sys.setswitchinterval(interval)
    for mutator in mutators:
        mutator.join()
    if failed:
        raise failed[0]
    return collections.number, rounds


def every_cycle(count: int) -> int:
    """Make every cycle `count` times. Returns how many kinds there are. Raises AssertionError for a leak."""
    for name, maker in CYCLES.items():
        for _ in range(count):
            assert is_freed(maker), f"{name}: not freed"
    return len(CYCLES)


def main(what: str, count: int) -> None:
    """Raises AssertionError if something is not freed, or is freed too early."""
    logging.disable()
    if what == "cycles":
        print(f"{every_cycle(count)} kinds of cycles, each {count:,} times")
    else:
        gc.collect()
        gc.freeze()  # objects from before, which would take the collector most of its time
        collections, rounds = beside_mutators(count)
        print(f"{collections:,} collections, of what is held in every way {rounds:,} times")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
