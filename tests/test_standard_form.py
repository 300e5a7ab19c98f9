"""An object takes its standard form in one step, whatever happens meanwhile."""

from __future__ import annotations

import gc
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest

from conftest import (
    FREE_THREADED,
    OXTHREADS,
    PATIENCE,
    BackEnd,
    Result,
    refusal,
    spin_until,
    start,
    until_asleep,
)


class Meddler:
    """Garbage that uses an object when it is collected."""

    def __init__(self, use: Any) -> None:
        self.use = use
        self.cycle = self

    def __del__(self) -> None:
        self.use()


@pytest.fixture
def eager_collection() -> Iterator[None]:
    """Collections start after a few allocations, and leave out what the tests before have made."""
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


@pytest.mark.parametrize("count", [0, 1, 100])
def test_no_collection_starts_in_the_middle(count: int) -> None:
    def look(*_: object) -> None:
        if items is not None:
            items.qsize()
            future.add_done_callback(int)
            event.clear()

    items, future, event = None, OXTHREADS.futures.Future(), OXTHREADS.threading.Event()
    thresholds = gc.get_threshold()
    gc.callbacks.append(look)
    try:
        for _ in range(100):
            future, event = OXTHREADS.futures.Future(), OXTHREADS.threading.Event()
            items = OXTHREADS.queue.Queue()
            for number in range(count):
                items.put([number])
                future.add_done_callback([number].append)
            gc.set_threshold(1)
            assert len(items.queue) == count
            assert len(future._done_callbacks) >= count
            assert event._cond is not None
            gc.set_threshold(0)
            items = None
    finally:
        gc.callbacks.remove(look)
        gc.set_threshold(*thresholds)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="no collection starts within an instruction")
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (OXTHREADS.futures.Future, "_waiters"),
        (OXTHREADS.queue.Queue, "mutex"),
        (OXTHREADS.threading.Event, "_cond"),
        (OXTHREADS.threading.Condition, "_waiters"),
        (OXTHREADS.threading.Semaphore, "_cond"),
        (lambda: OXTHREADS.threading.Barrier(2), "_cond"),
    ],
    ids=["future", "queue", "event", "condition", "semaphore", "barrier"],
)
def test_an_object_used_by_garbage_has_one_dictionary(
    eager_collection: None, make: Callable[[], Any], name: str
) -> None:
    met: list[int] = []
    for allocations in range(20):
        thing, found = make(), []
        gc.disable()
        # The interpreter takes dictionaries that were freed, of which it keeps some, while it has any.
        kept: list[Any] = [{} for _ in range(200)]
        Meddler(lambda thing=thing, found=found: found.append((getattr(thing, name), vars(thing))))
        gc.set_threshold(gc.get_count()[0] + allocations)
        gc.enable()
        attribute = getattr(thing, name)
        gc.disable()
        assert vars(thing)[name] is attribute
        for seen, dictionary in found:
            met.append(allocations)
            assert dictionary is vars(thing)
            assert seen is attribute
        gc.set_threshold(50)
        gc.enable()
        del kept
    assert len(met) > 1


@pytest.mark.parametrize("choose", [gc.disable, gc.enable])
def test_the_collector_stays_enabled_or_disabled(eager_collection: None, choose: Callable[[], None]) -> None:
    choose()
    chosen = gc.isenabled()
    try:
        assert OXTHREADS.futures.Future()._condition
        assert OXTHREADS.queue.Queue().mutex
        assert gc.isenabled() is chosen
    finally:
        gc.enable()


def test_garbage_may_put_while_a_queue_takes_its_standard_form(eager_collection: None) -> None:
    # Without a GIL a collection looks at all that the tests before have made, frozen or not.
    rounds = 50 if FREE_THREADED else 300

    def work() -> None:
        for number in range(rounds):
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


def test_no_lock_is_held_while_python_code_runs_in_the_taking() -> None:
    class Waiting(OXTHREADS.futures.Future):  # type: ignore[misc, name-defined]
        def _take_standard_form(self) -> None:
            begun.set()
            with lock:  # as any finalizer might
                super()._take_standard_form()

    lock, begun = threading.Lock(), threading.Event()
    with lock:
        taker = Result(lambda: Waiting()._condition)
        assert begun.wait(PATIENCE)
        assert Result(lambda: OXTHREADS.futures.Future()._condition).get()
    assert taker.get()


def test_threads_that_ask_at_once_find_every_item(frantic: None) -> None:
    for _ in range(200):
        items = OXTHREADS.queue.Queue()
        for item in range(50):
            items.put(item)
        barrier = threading.Barrier(4)

        def ask(items: Any = items, barrier: threading.Barrier = barrier) -> list[int]:
            barrier.wait()
            return [*items.queue]

        for found in [Result(ask) for _ in range(4)]:
            assert found.get() == list(range(50))


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


def test_callbacks_added_while_a_future_takes_its_standard_form_and_ends_are_each_run_once(
    frantic: None,
) -> None:
    for _ in range(200):
        future, ran = OXTHREADS.futures.Future(), []
        barrier = threading.Barrier(4)

        def add(future: Any = future, ran: list[Any] = ran, barrier: Any = barrier) -> None:
            barrier.wait()
            for number in range(20):
                future.add_done_callback(lambda _, number=number: ran.append(number))

        def take(future: Any = future, barrier: Any = barrier) -> list[object]:
            barrier.wait()
            return [future._condition, future._waiters]

        def wait(future: Any = future, barrier: Any = barrier) -> int:
            barrier.wait()
            result: int = future.result(PATIENCE)
            return result

        adder, taker, waiter = Result(add), Result(take), Result(wait)
        barrier.wait()
        future.set_result(42)
        adder.get()
        assert taker.get() == [future._condition, []]
        assert waiter.get() == 42
        assert sorted(ran) == [*range(20)]


def test_an_event_set_while_it_takes_its_standard_form_wakes_all_who_wait(frantic: None) -> None:
    for _ in range(200):
        event, barrier = OXTHREADS.threading.Event(), threading.Barrier(4)

        def wait(event: Any = event, barrier: Any = barrier) -> bool:
            barrier.wait()
            woken: bool = event.wait(PATIENCE)
            return woken

        def take(event: Any = event, barrier: Any = barrier) -> object:
            barrier.wait()
            return event._cond

        waits = [Result(wait) for _ in range(2)]
        taker = Result(take)
        barrier.wait()
        event.set()
        assert taker.get() is event._cond
        assert all(each.get() for each in waits)


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


def test_callbacks_put_in_place_of_those_that_were_added_are_run_instead(library: BackEnd) -> None:
    added: list[Any] = []
    put: list[Any] = []
    future = library.futures.Future()
    future.add_done_callback(added.append)
    future._done_callbacks = [put.append]
    future.add_done_callback(put.append)
    future.set_result(1)
    assert (added, put) == ([], [future, future])


def test_a_condition_put_in_an_events_place_is_the_one_it_uses(library: BackEnd) -> None:
    event, condition = library.threading.Event(), threading.Condition()
    event._cond = condition
    with condition:
        setter = Result(event.set)
        until_asleep(setter.thread)
        assert not event.is_set()
    setter.get()
    assert event.is_set()


def test_an_attribute_that_was_deleted_is_gone(library: BackEnd) -> None:
    for thing, name in [(library.threading.Event(), "_cond"), (library.futures.Future(), "_waiters")]:
        delattr(thing, name)
        words = f"'{type(thing).__name__}' object has no attribute '{name}'"
        assert refusal(getattr, thing, name) == (AttributeError, words)
        assert refusal(delattr, thing, name)[0] is AttributeError
        thing.other = 1
        assert thing.other == 1


def test_hooks_that_are_put_on_an_object_are_called(library: BackEnd) -> None:
    semaphore, condition = library.threading.Semaphore(1), library.threading.Condition()
    with mock.patch.object(semaphore, "release") as release, semaphore:
        pass
    release.assert_called_once_with()
    assert semaphore._value == 0
    with mock.patch.object(condition, "notify") as notify:
        condition.notify_all()
    notify.assert_called_once_with(0)
    condition._is_owned = lambda: True
    condition.notify()
    barrier, called = library.threading.Barrier(2), []
    barrier._break = lambda: called.append("break")
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait(0)
    assert called == ["break"]
    items = library.queue.Queue()
    items._put = lambda item: items.queue.append([item])
    items.put(1)
    assert items.get() == [1]


def test_a_condition_is_whole_while_it_takes_its_standard_form(frantic: None) -> None:
    for _ in range(20):
        condition = OXTHREADS.threading.Condition()
        for number in range(40):  # a dictionary that is not shared with the class
            setattr(condition, f"attribute_{number}", number)
        stop = threading.Event()

        def use(condition: Any = condition, stop: threading.Event = stop) -> None:
            while not stop.is_set():
                with condition, condition:
                    condition.wait(0.0002)
                    assert condition._is_owned()
                    condition.notify()
                    assert condition._lock._recursion_count() == 2

        users = [Result(use) for _ in range(6)]
        takers = [Result(lambda condition=condition: len(condition._waiters)) for _ in range(2)]
        for taker in takers:
            taker.get()
        stop.set()
        for user in users:
            user.get()
        assert not condition._is_owned()
        assert condition._lock.acquire(blocking=False), "a thread has left it locked"


def test_a_semaphore_is_whole_while_it_takes_its_standard_form(frantic: None) -> None:
    for _ in range(100):
        semaphore = OXTHREADS.threading.BoundedSemaphore(3)
        lookers = [Result(lambda semaphore=semaphore: [repr(semaphore) for _ in range(30)]) for _ in range(2)]
        assert semaphore._cond
        for looker in lookers:
            assert all(look.endswith(": value=3/3>") for look in looker.get())


def test_what_is_set_before_it_was_read_is_heeded(library: BackEnd) -> None:
    called: list[object] = []
    barrier = library.threading.Barrier(1)
    barrier._action = lambda: called.append("action")
    assert (barrier.wait(), called) == (0, ["action"])
    items = library.queue.Queue()
    items.queue = deque("ab")
    assert (items.get(), items.qsize()) == ("a", 1)
    semaphore = library.threading.Semaphore(0)
    condition = semaphore._cond = library.threading.Condition()
    with condition:
        semaphore.release()  # its lock is an RLock
    assert semaphore._value == 1
