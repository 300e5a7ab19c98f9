"""Code that runs during a put or a get may use the same queue. The tests run with all four classes."""

from __future__ import annotations

import gc
import itertools
import signal
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS
from tests.support.interpreters import python
from tests.support.threads import Result
from tests.support.waiting import until_asleep

KINDS = ["Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"]


@pytest.fixture
def eager_collection() -> Iterator[None]:
    """Start a garbage collection after each allocation."""
    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    yield
    gc.set_threshold(*thresholds)


def drain(items: Any) -> list[Any]:
    return [items.get_nowait() for _ in range(items.qsize())]


@pytest.mark.parametrize("kind", KINDS)
def test_garbage_may_put_and_get_during_put_and_get(kind: str, eager_collection: None) -> None:
    items = getattr(OXTHREADS.queue, kind)()
    count = itertools.count()

    class Chatty:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            items.put((next(count), "garbage"))
            items.qsize()
            taken.append(items.get_nowait())

    taken: list[Any] = []

    def work() -> None:
        for _ in range(300):
            Chatty()
            items.put((next(count), "plain"))
            taken.append(items.get())
            # Only containers such as lists count towards the next garbage collection.
            items.put_many([(next(count), "plain") for _ in range(3)])
            taken.extend(items.get_many(3))
        gc.collect()

    Result(work).get()
    taken += drain(items)
    assert sorted(number for number, _ in taken) == list(range(next(count)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_weakref_callback_may_put(kind: str) -> None:
    items = getattr(OXTHREADS.queue, kind)()

    class Thing:
        def __lt__(self, other: Any) -> bool:
            return False

    def work() -> None:
        for number in range(100):
            thing = Thing()
            weakref.finalize(thing, items.put, number).atexit = False
            items.put(thing)
            del thing
            # The queue has the last reference. It goes when the item is taken or dropped.
            items.get()
            assert drain(items) == [number]
        for _ in range(10):
            thing = Thing()
            weakref.finalize(thing, items.qsize).atexit = False
            items.put(thing)
            del thing
        items.shutdown(immediate=True)
        assert items.qsize() == 0

    Result(work).get()


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_may_use_the_queue_that_drops_it(kind: str) -> None:
    items = getattr(OXTHREADS.queue, kind)()
    said: list[object] = []

    class Last:
        def __lt__(self, other: Any) -> bool:
            return False

        def __del__(self) -> None:
            said.append(items.qsize())
            try:
                items.put("more")
            except OXTHREADS.queue.ShutDown as error:
                said.append(type(error))

    def work() -> None:
        for _ in range(3):
            items.put(Last())
        items.shutdown(immediate=True)

    Result(work).get()
    assert items.qsize() == 0
    assert said == [0, OXTHREADS.queue.ShutDown] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_signal_handler_may_put_and_get(kind: str) -> None:
    items = getattr(OXTHREADS.queue, kind)()
    handled: list[int] = []
    count = itertools.count(1)

    def handle(*_: object) -> None:
        items.put(next(count))
        handled.append(items.get_nowait())

    before = signal.signal(signal.SIGUSR1, handle)
    stop = threading.Event()
    main = threading.get_ident()

    def bombard() -> None:
        while not stop.is_set():
            signal.pthread_kill(main, signal.SIGUSR1)

    taken: list[int] = []
    bomber = threading.Thread(target=bombard)
    bomber.start()
    try:
        while len(handled) < 50 or len(taken) < 2000:
            items.put(next(count))
            taken.append(items.get())
    finally:
        stop.set()
        bomber.join()
        signal.signal(signal.SIGUSR1, before)
    assert sorted(taken + handled + drain(items)) == list(range(1, next(count)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_signal_handler_may_put_what_the_interrupted_get_waits_for(kind: str) -> None:
    items = getattr(OXTHREADS.queue, kind)()
    before = signal.signal(signal.SIGUSR1, lambda *_: items.put("from the handler"))
    main = threading.main_thread()

    def interrupt() -> None:
        until_asleep(main)
        signal.pthread_kill(main.ident or 0, signal.SIGUSR1)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        assert items.get(timeout=30) == "from the handler"
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert items.empty()


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_get_takes_nothing(kind: str) -> None:
    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        items.put("after")
        raise Stop

    items = getattr(OXTHREADS.queue, kind)()
    before = signal.signal(signal.SIGUSR1, stop)
    main = threading.main_thread()

    def interrupt() -> None:
        until_asleep(main)
        signal.pthread_kill(main.ident or 0, signal.SIGUSR1)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(Stop):
            items.get()
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert drain(items) == ["after"]


@pytest.mark.parametrize("kind", KINDS)
def test_deeply_nested_queues_can_be_freed(kind: str) -> None:
    result = python(
        f"""
        import queue
        items = queue.{kind}()
        for _ in range(1000):
            outer = queue.{kind}()
            outer.put(items)
            items = outer
        del items, outer
        print("gone")
        """.replace("\n        ", "\n")
    )
    assert (result.stdout, result.returncode) == ("gone\n", 0), result.stderr
