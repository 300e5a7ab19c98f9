"""Tests of Lock. Most of them run on the standard library too."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
import weakref
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, BackEnd
from tests.support.interpreters import python
from tests.support.lock_arguments import BAD_ARGUMENTS
from tests.support.parkers import WAITERS_KEEP_THEIR_PLACE
from tests.support.refusals import refusal
from tests.support.threads import Result, start
from tests.support.waiting import spin_until, until_asleep


@pytest.mark.parametrize(("args", "keywords"), BAD_ARGUMENTS, ids=repr)
@pytest.mark.parametrize("held", [False, True])
def test_bad_arguments_raise_the_standard_errors(
    args: tuple[Any, ...], keywords: dict[str, Any], held: bool
) -> None:
    ours, standard = OXTHREADS.threading.Lock(), threading.Lock()
    if held:
        ours.acquire()
        standard.acquire()
    assert refusal(ours.acquire, *args, **keywords) == refusal(standard.acquire, *args, **keywords)
    assert ours.locked() is held


@pytest.mark.parametrize("blocking", ["x", "", [], None, 1.5, 2**40, 0, 1])
def test_blocking_is_checked_as_in_the_standard_library(blocking: Any) -> None:
    def outcome(lock: Any) -> object:
        try:
            return lock.acquire(blocking)
        except (TypeError, OverflowError) as error:
            return type(error), str(error)

    assert outcome(OXTHREADS.threading.Lock()) == outcome(threading.Lock())


def test_unknown_arguments_raise_type_error(library: BackEnd) -> None:
    lock = library.threading.Lock()
    for args, keywords in [((1, 2, 3), {}), ((), {"foo": 1})]:
        assert refusal(lock.acquire, *args, **keywords)[0] is TypeError
    assert refusal(lock.release, 1)[0] is TypeError
    assert refusal(library.threading.Lock, 1)[0] is TypeError


@pytest.mark.parametrize("timeout", [-1, -1.0, 0, 0.0, 1, 0.25, True])
def test_a_free_lock_is_taken_whatever_the_timeout(library: BackEnd, timeout: float) -> None:
    assert library.threading.Lock().acquire(timeout=timeout) is True


@pytest.mark.parametrize("timeout", [0, 0.0, 0.01])
def test_a_held_lock_is_not_taken_within_the_timeout(library: BackEnd, timeout: float) -> None:
    lock = library.threading.Lock()
    assert lock.acquire()
    assert lock.acquire(timeout=timeout) is False
    assert lock.acquire(blocking=False) is False


def test_another_thread_may_release(library: BackEnd) -> None:
    lock = library.threading.Lock()
    lock.acquire()
    Result(lock.release).get()
    assert not lock.locked()


def test_releasing_a_free_lock_is_a_runtime_error(library: BackEnd) -> None:
    lock = library.threading.Lock()
    assert refusal(lock.release) == (RuntimeError, "release unlocked lock")
    if sys.version_info < (3, 15):
        assert refusal(lock.__exit__) == (RuntimeError, "release unlocked lock")
    else:
        assert refusal(lock.__exit__) == (TypeError, "__exit__ expected 3 arguments, got 0")
    assert refusal(lock.__exit__, None, None, None)[0] is RuntimeError


def test_the_with_statement_takes_and_releases_the_lock(library: BackEnd) -> None:
    lock = library.threading.Lock()
    with lock as entered:
        assert entered is True
        assert lock.locked()
    assert not lock.locked()
    with pytest.raises(KeyError), lock:
        raise KeyError
    assert not lock.locked()


def test_the_old_names_work(library: BackEnd) -> None:
    lock = library.threading.Lock()
    if not hasattr(lock, "acquire_lock"):
        pytest.skip("this version of Python has no old names")
    assert lock.acquire_lock(False)
    assert lock.locked_lock()
    lock.release_lock()
    assert not lock.locked()


def test_it_has_the_names_of_the_standard_lock() -> None:
    def names(lock: object) -> set[str]:
        return {name for name in dir(lock) if name not in {*dir(object), "__module__", "__annotations__"}}

    assert names(OXTHREADS.threading.Lock()) >= names(threading.Lock())
    assert names(OXTHREADS.threading.Lock()) - names(threading.Lock()) <= {
        "acquire_lock",
        "release_lock",
        "locked_lock",
    }


def test_it_can_be_weakly_referenced_but_not_copied_pickled_subclassed_or_given_attributes(
    library: BackEnd,
) -> None:
    lock = library.threading.Lock()
    assert weakref.ref(lock)() is lock
    for function in (pickle.dumps, copy.copy, copy.deepcopy):
        assert refusal(function, lock)[0] is TypeError
    assert refusal(type, "Sub", (type(lock),), {})[0] is TypeError
    with pytest.raises(AttributeError):
        lock.attribute = 1


def test_repr_shows_the_state(library: BackEnd) -> None:
    lock = library.threading.Lock()
    assert repr(lock).startswith("<unlocked ")
    assert repr(lock).endswith(f" object at {id(lock):#x}>")
    with lock:
        assert repr(lock).startswith("<locked ")


def test_it_is_no_larger_than_the_standard_lock() -> None:
    assert sys.getsizeof(OXTHREADS.threading.Lock()) <= sys.getsizeof(threading.Lock())


def test_at_fork_reinit_unlocks(library: BackEnd) -> None:
    lock = library.threading.Lock()
    lock.acquire()
    lock._at_fork_reinit()
    assert lock.acquire(blocking=False)


def test_a_counter_under_a_lock_loses_no_update(library: BackEnd, frantic: None) -> None:
    lock = library.threading.Lock()
    barrier = threading.Barrier(4)
    count = 0

    def work() -> None:
        nonlocal count
        barrier.wait()
        for _ in range(2000):
            with lock:
                seen = count
                count = seen + 1

    for thread in [start(work) for _ in range(4)]:
        thread.join()
    assert count == 8000


def test_a_waiter_does_not_starve(library: BackEnd) -> None:
    lock = library.threading.Lock()
    lock.acquire()
    waiter = Result(lock.acquire)
    until_asleep(waiter.thread)

    def hand_around() -> bool:
        if lock.locked():
            lock.release()
        lock.acquire(timeout=0.01)
        return not waiter.thread.is_alive()

    spin_until(hand_around)
    assert waiter.get() is True


def test_each_of_many_waiters_gets_the_lock_once(library: BackEnd) -> None:
    lock = library.threading.Lock()
    lock.acquire()
    order: list[int] = []

    def work(number: int) -> None:
        with lock:
            order.append(number)

    threads = []
    for number in range(8):
        threads.append(start(work, number))
        until_asleep(threads[-1])
    lock.release()
    for thread in threads:
        thread.join()
    assert sorted(order) == list(range(8))


@pytest.mark.parametrize("name", ["Lock", "RLock"])
def test_waiters_get_the_lock_in_order_if_no_running_thread_competes(name: str) -> None:
    lock = getattr(OXTHREADS.threading, name)()
    order: list[int] = []

    def work(number: int) -> None:
        with lock:
            order.append(number)

    threads = []
    with lock:
        for number in range(4):
            threads.append(start(work, number))
            until_asleep(threads[-1])
    for thread in threads:
        thread.join()
    if WAITERS_KEEP_THEIR_PLACE:
        assert order == [0, 1, 2, 3]
    assert sorted(order) == [0, 1, 2, 3]


def test_waits_that_time_out_lose_no_wake(library: BackEnd, frantic: None) -> None:
    lock = library.threading.Lock()
    stop = threading.Event()

    def hasty() -> None:
        while not stop.is_set():
            if lock.acquire(timeout=0.0001):
                lock.release()

    threads = [start(hasty) for _ in range(3)]
    for _ in range(300):
        assert lock.acquire(timeout=20), "the thread starved, or a wake was lost"
        lock.release()
    stop.set()
    for thread in threads:
        thread.join()
    assert lock.acquire(blocking=False)


def test_locks_under_the_patch_have_the_standard_repr_and_error_messages() -> None:
    code = """
import copy, pickle, re, threading
for lock in (threading.Lock(), threading.RLock()):
    print(re.sub("0x.*", "", repr(lock)))
    lock.acquire()
    print(re.sub("owner=.*|0x.*", "", repr(lock)))
    for refuse in (pickle.dumps, copy.copy, copy.deepcopy):
        try:
            refuse(lock)
        except TypeError as error:
            print(error)
print(re.sub("0x.*", "", repr(threading.Condition())))
"""
    ours, standard = python(code), python(code, runner=False)
    assert (ours.stdout, ours.stderr) == (standard.stdout, standard.stderr)
    assert ours.stdout.count("cannot pickle '_thread.") == 6
    assert repr(OXTHREADS.threading.Lock()).startswith("<unlocked oxthreads.threading.Lock object at 0x")
    assert repr(OXTHREADS.threading.RLock()).startswith("<unlocked oxthreads.threading.RLock object owner=0")
