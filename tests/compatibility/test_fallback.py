"""An object falls back to the standard library in one step, even if other code uses it at the same time."""

from __future__ import annotations

import gc
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest

from tests.support.back_ends import OXTHREADS, BackEnd
from tests.support.interpreters import FREE_THREADED
from tests.support.refusals import refusal
from tests.support.threads import Result, start
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, until_asleep


class Meddler:
    """An object in a garbage cycle. It calls a function when it is collected."""

    def __init__(self, use: Any) -> None:
        self.use = use
        self.cycle = self

    def __del__(self) -> None:
        self.use()


@pytest.fixture
def eager_collection() -> Iterator[None]:
    """Start a garbage collection after a few allocations. Objects of earlier tests are left out.

    They stay hidden afterwards, as those are that pytest has made for all tests: with these, one collection
    takes a hundred times as long, and a test that collects garbage often takes minutes on a busy machine.
    """
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50)
    yield
    gc.set_threshold(*thresholds)


def test_a_future_that_garbage_makes_fall_back_keeps_its_callbacks(eager_collection: None) -> None:
    ran: list[Any] = []
    for number in range(1000):
        future = OXTHREADS.futures.Future()
        future.add_done_callback(ran.append)
        Meddler(lambda future=future: future._condition)
        junk: list[Any] = [[] for _ in range(number % 50)]
        assert future._waiters == []
        future.set_result(junk)
    assert len(ran) == 1000


def test_a_queue_that_garbage_makes_fall_back_keeps_its_items(eager_collection: None) -> None:
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
def test_no_collection_starts_while_an_object_falls_back(count: int) -> None:
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


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="from 3.12 on, no collection starts within an instruction"
)
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
def test_an_object_that_garbage_makes_fall_back_has_one_dictionary(
    eager_collection: None, make: Callable[[], Any], name: str
) -> None:
    met: list[int] = []
    for allocations in range(20):
        thing, found = make(), []
        gc.disable()
        # The interpreter keeps some freed dictionaries and uses them first. Use them up, so that a new one
        # is made.
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


def test_garbage_may_put_while_a_queue_falls_back(eager_collection: None) -> None:
    # Without a GIL, a collection also looks at the objects of earlier tests, even at frozen ones.
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


def test_no_lock_is_held_while_python_code_makes_an_object_fall_back() -> None:
    class Waiting(OXTHREADS.futures.Future):  # type: ignore[misc, name-defined]
        def _oxthreads_fall_back(self) -> None:
            begun.set()
            with lock:  # as a finalizer may do
                super()._oxthreads_fall_back()

    lock, begun = threading.Lock(), threading.Event()
    with lock:
        taker = Result(lambda: Waiting()._condition)
        assert begun.wait(TIMEOUT_SECONDS)
        assert Result(lambda: OXTHREADS.futures.Future()._condition).get()
    assert taker.get()


def test_threads_that_make_a_queue_fall_back_at_once_find_every_item(frantic: None) -> None:
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


def test_threads_that_make_an_event_fall_back_at_once_get_the_same_attribute(frantic: None) -> None:
    for _ in range(200):
        event = OXTHREADS.threading.Event()
        barrier = threading.Barrier(4)

        def ask(event: Any = event, barrier: threading.Barrier = barrier) -> object:
            barrier.wait()
            return event._cond

        conditions = [Result(ask) for _ in range(4)]
        assert len({id(condition.get()) for condition in conditions}) == 1


def test_items_put_and_got_while_a_queue_falls_back_are_neither_lost_nor_reordered(
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


def test_callbacks_added_while_a_future_falls_back_and_ends_are_each_run_once(
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
            result: int = future.result(TIMEOUT_SECONDS)
            return result

        adder, taker, waiter = Result(add), Result(take), Result(wait)
        barrier.wait()
        future.set_result(42)
        adder.get()
        assert taker.get() == [future._condition, []]
        assert waiter.get() == 42
        assert sorted(ran) == [*range(20)]


def test_an_event_set_while_it_falls_back_wakes_all_waiters(frantic: None) -> None:
    for _ in range(200):
        event, barrier = OXTHREADS.threading.Event(), threading.Barrier(4)

        def wait(event: Any = event, barrier: Any = barrier) -> bool:
            barrier.wait()
            woken: bool = event.wait(TIMEOUT_SECONDS)
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


def test_setting_maxsize_under_the_mutex_lets_a_waiting_putter_go_on(library: BackEnd) -> None:
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


def test_set_and_clear_wake_a_wait_that_began_before_the_event_fell_back(library: BackEnd) -> None:
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


def test_callbacks_that_replace_the_added_ones_are_run_instead(library: BackEnd) -> None:
    added: list[Any] = []
    put: list[Any] = []
    future = library.futures.Future()
    future.add_done_callback(added.append)
    future._done_callbacks = [put.append]
    future.add_done_callback(put.append)
    future.set_result(1)
    assert (added, put) == ([], [future, future])


def test_an_event_uses_a_condition_that_a_program_gives_it(library: BackEnd) -> None:
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


def test_a_condition_works_while_it_falls_back(frantic: None) -> None:
    for _ in range(20):
        condition = OXTHREADS.threading.Condition()
        for number in range(40):  # so that the dictionary does not share its keys with the class
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
        assert condition._lock.acquire(blocking=False), "a thread has left the lock locked"


def test_the_repr_of_a_semaphore_is_right_while_it_falls_back(frantic: None) -> None:
    for _ in range(100):
        semaphore = OXTHREADS.threading.BoundedSemaphore(3)
        lookers = [Result(lambda semaphore=semaphore: [repr(semaphore) for _ in range(30)]) for _ in range(2)]
        assert semaphore._cond
        for looker in lookers:
            assert all(look.endswith(": value=3/3>") for look in looker.get())


def test_an_attribute_that_is_set_before_its_first_read_is_used(library: BackEnd) -> None:
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
        semaphore.release()  # possible here, because its lock is an RLock
    assert semaphore._value == 1
