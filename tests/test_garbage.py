"""What cannot be reached is freed, in whatever cycle it is; and nothing else is."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from conftest import OXTHREADS, BackEnd, Result, start, until_asleep

CLASSES = ["Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier", "Thread", "Timer"]


def make(library: BackEnd, name: str) -> Any:
    arguments: dict[str, tuple[Any, ...]] = {"Barrier": (2,), "Timer": (1000, int)}
    return getattr(library.threading, name)(*arguments.get(name, ()))


def is_freed(make_cycle: Callable[[], Any]) -> bool:
    """Whether what the function returns goes with the next collection, and not before."""
    gc.collect()
    gc.disable()
    try:
        gone = weakref.ref(make_cycle())
        assert gone() is not None, "no cycle at all"
        gc.collect()
        return gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("name", CLASSES)
def test_one_that_refers_to_itself(library: BackEnd, name: str) -> None:
    def cycle() -> Any:
        made = make(library, name)
        made.itself = made
        return made

    assert is_freed(cycle)


@pytest.mark.parametrize("name", ["RLock", "Condition", "Semaphore", "Event", "Barrier", "Thread"])
def test_one_of_a_subclass_that_is_in_the_cycle_too(library: BackEnd, name: str) -> None:
    def cycle() -> Any:
        base = make(library, name)

        class Mine(type(base)):  # type: ignore[misc]
            pass

        made = Mine(*((2,) if name == "Barrier" else ()))
        made.kind = Mine
        Mine.instance = made
        return made

    assert is_freed(cycle)


def test_a_condition_whose_lock_refers_to_it(library: BackEnd) -> None:
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
def test_one_in_its_standard_form(library: BackEnd, name: str, attribute: str) -> None:
    def cycle() -> Any:
        made = make(library, name)
        made.inside = getattr(made, attribute)
        made.itself = made
        return made

    assert is_freed(cycle)


def test_a_barrier_whose_timeout_refers_to_it(library: BackEnd) -> None:
    class Seconds(float):
        barrier: Any

    def cycle() -> Any:
        timeout = Seconds(1.0)
        timeout.barrier = library.threading.Barrier(2, timeout=timeout)
        return timeout.barrier

    assert is_freed(cycle)


def test_a_threads_target_and_arguments_go_when_it_has_run(library: BackEnd) -> None:
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


def test_a_condition_that_is_waited_for_survives_a_collection(library: BackEnd) -> None:
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


def test_collections_beside_mutators_tear_nothing_down(library: BackEnd, frantic: None) -> None:
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


def test_references_balance() -> None:
    threads = OXTHREADS.threading
    lock, rlock = threads.Lock(), threads.RLock()
    conditions = threads.Condition(lock), threads.Condition(rlock)
    timeout = 12.5e-9  # an object of its own
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
