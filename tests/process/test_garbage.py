"""Unreachable objects are freed, in whatever cycle they are. No other objects are freed."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, BackEnd
from tests.support.garbage import is_freed
from tests.support.threads import Result, start
from tests.support.waiting import until_asleep

pytestmark = pytest.mark.one_thread("counts the objects and references of the process")

CLASSES = ["Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier", "Thread", "Timer"]


def make(library: BackEnd, name: str) -> Any:
    arguments: dict[str, tuple[Any, ...]] = {"Barrier": (2,), "Timer": (1000, int)}
    return getattr(library.threading, name)(*arguments.get(name, ()))


@pytest.mark.parametrize("name", CLASSES)
def test_an_object_that_refers_to_itself_is_freed(library: BackEnd, name: str) -> None:
    def cycle() -> Any:
        made = make(library, name)
        made.itself = made
        return made

    assert is_freed(cycle)


@pytest.mark.parametrize("name", ["RLock", "Condition", "Semaphore", "Event", "Barrier", "Thread"])
def test_an_object_in_a_cycle_with_its_own_class_is_freed(library: BackEnd, name: str) -> None:
    def cycle() -> Any:
        base = make(library, name)

        class Mine(type(base)):  # type: ignore[misc]
            pass

        made = Mine(*((2,) if name == "Barrier" else ()))
        made.kind = Mine
        Mine.instance = made
        return made

    assert is_freed(cycle)


def test_a_condition_whose_lock_refers_to_it_is_freed(library: BackEnd) -> None:
    class Mine(type(library.threading.RLock())):  # type: ignore[misc]
        pass

    def cycle() -> Any:
        lock = Mine()
        lock.condition = library.threading.Condition(lock)
        return lock

    assert is_freed(cycle)


@pytest.mark.parametrize(
    ("name", "attribute"),
    [("Condition", "_waiters"), ("Semaphore", "_cond"), ("Event", "_cond"), ("Barrier", "_cond")],
)
def test_an_object_in_a_cycle_that_has_fallen_back_is_freed(
    library: BackEnd, name: str, attribute: str
) -> None:
    def cycle() -> Any:
        made = make(library, name)
        made.inside = getattr(made, attribute)
        made.itself = made
        return made

    assert is_freed(cycle)


def test_a_barrier_whose_timeout_refers_to_it_is_freed(library: BackEnd) -> None:
    class Seconds(float):
        barrier: Any

    def cycle() -> Any:
        timeout = Seconds(1.0)
        timeout.barrier = library.threading.Barrier(2, timeout=timeout)
        return timeout.barrier

    assert is_freed(cycle)


def test_a_thread_drops_its_target_and_arguments_when_it_has_run(library: BackEnd) -> None:
    class Thing:
        pass

    thing = Thing()
    gone = weakref.ref(thing)
    thread = library.threading.Thread(
        target=lambda *args, **keywords: None, args=[thing], kwargs={"a": thing}
    )
    del thing
    thread.start()
    thread.join()
    assert gone() is None


def test_a_timer_that_refers_to_itself_is_freed_once_it_has_run(library: BackEnd) -> None:
    def cycle() -> Any:
        timer = library.threading.Timer(0, int)
        timer.itself = timer
        timer.start()
        timer.join()
        return timer

    assert is_freed(cycle)


def test_a_condition_with_a_waiter_survives_a_collection(library: BackEnd) -> None:
    condition = library.threading.Condition()

    def wait() -> bool:
        with condition:
            return bool(condition.wait())

    waiter = Result(wait)
    until_asleep(waiter.thread)
    assert condition._waiters
    gc.collect()
    with condition:
        condition.notify()
    assert waiter.get() is True


def test_collections_free_nothing_that_other_threads_use(library: BackEnd, frantic: None) -> None:
    stop = threading.Event()

    def mutate() -> None:
        while not stop.is_set():
            condition = library.threading.Condition()
            barrier = library.threading.Barrier(1, timeout=10.0)
            semaphore = library.threading.Semaphore(1)
            condition.itself = barrier.itself = semaphore.itself = [condition, barrier, semaphore]
            with condition, semaphore:
                condition.wait(0)
                condition.notify_all()
                assert barrier.wait() == 0
            assert condition._waiters is not None and semaphore._cond is not None
            with condition:
                condition.wait(0)

    mutators = [start(mutate) for _ in range(2)]
    for _ in range(100):
        gc.collect()
    stop.set()
    for mutator in mutators:
        mutator.join()


def test_operations_leave_reference_counts_unchanged() -> None:
    threads = OXTHREADS.threading
    lock, rlock = threads.Lock(), threads.RLock()
    conditions = threads.Condition(lock), threads.Condition(rlock)
    timeout = 12.5e-9  # not a constant, so its references are counted
    barrier = threads.Barrier(1, timeout=timeout)
    watched = [lock, rlock, *conditions, timeout, barrier]

    def count() -> list[int]:
        return [sys.getrefcount(each) for each in watched]

    before = count()
    for _ in range(100):
        for condition in conditions:
            with condition:
                condition.wait(0)
                condition.notify(2)
                condition.notify_all()
            assert condition._lock is not None
            repr(condition)
            del condition
        barrier.wait()
        rlock.acquire()
        rlock._acquire_restore(rlock._release_save())
        rlock.release()
    assert count() == before
