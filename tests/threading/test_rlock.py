"""Tests of RLock. Most of them run on the standard library too."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
import weakref
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.lock_arguments import BAD_ARGUMENTS
from tests.support.refusals import refusal
from tests.support.threads import Result, start
from tests.support.waiting import until_asleep


@pytest.mark.parametrize(("args", "keywords"), BAD_ARGUMENTS, ids=repr)
@pytest.mark.parametrize("held", [False, True])
def test_bad_arguments_raise_the_standard_errors(
    args: tuple[Any, ...], keywords: dict[str, Any], held: bool
) -> None:
    ours, standard = OXTHREADS.threading.RLock(), threading.RLock()
    if held:
        ours.acquire()
        standard.acquire()
    assert refusal(ours.acquire, *args, **keywords) == refusal(standard.acquire, *args, **keywords)
    assert ours._recursion_count() == held


def test_the_owner_may_take_it_again_and_must_release_it_as_often(library: BackEnd) -> None:
    lock = library.threading.RLock()
    for _ in range(3):
        assert lock.acquire() is True
    with lock as entered:
        assert entered is True
        assert lock._recursion_count() == 4
    assert not Result(lock.acquire, False).get()
    for _ in range(3):
        assert lock._is_owned()
        lock.release()
    assert not lock._is_owned()
    taken = Result(lambda: (lock.acquire(False), lock.release()))
    assert taken.get() == (True, None)


def test_only_its_owner_may_release(library: BackEnd) -> None:
    lock = library.threading.RLock()
    words = (RuntimeError, "cannot release un-acquired lock")
    for release in (lock.release, lambda: lock.__exit__(None, None, None), lock._release_save):
        assert refusal(release) == words
    lock.acquire()
    assert Result(refusal, lock.release).get() == words
    if library is OXTHREADS or sys.version_info >= (3, 14):  # older standard ones do not check the owner here
        assert Result(refusal, lock._release_save).get() == words
    assert Result(lock._is_owned).get() is False
    assert Result(lock._recursion_count).get() == 0
    lock.release()


def test_the_state_is_saved_and_restored(library: BackEnd) -> None:
    lock = library.threading.RLock()
    lock.acquire()
    lock.acquire()
    state = lock._release_save()
    assert state == (2, threading.get_ident())
    assert Result(lambda: (lock.acquire(False), lock.release())).get() == (True, None)
    lock._acquire_restore(state)
    assert lock._recursion_count() == 2
    lock.release()
    lock.release()
    assert refusal(lock._acquire_restore)[0] is TypeError
    assert refusal(lock._acquire_restore, 1)[0] is TypeError
    assert refusal(lock._acquire_restore, (1,))[0] is TypeError


def test_a_count_that_would_overflow_is_refused() -> None:
    lock = OXTHREADS.threading.RLock()
    most = 2 ** (64 if sys.maxsize > 2**32 else 32) - 1
    lock._acquire_restore((most, threading.get_ident()))
    assert refusal(lock.acquire) == (OverflowError, "Internal lock count overflowed")
    assert lock._recursion_count() == most


def test_only_other_threads_wait_for_the_timeout(library: BackEnd) -> None:
    lock = library.threading.RLock()
    lock.acquire(timeout=1)
    assert lock.acquire(timeout=0)
    assert Result(lock.acquire, timeout=0.01).get() is False
    assert Result(lock.acquire, blocking=False).get() is False


def test_locked_says_whether_a_thread_owns_the_lock(library: BackEnd) -> None:
    lock = library.threading.RLock()
    if library is STANDARD and sys.version_info < (3, 14):
        assert not hasattr(lock, "locked")
        return
    assert lock.locked() is False
    with lock:
        assert lock.locked() is True
        assert Result(lock.locked).get() is True
    assert lock.locked() is False


def test_repr_shows_owner_and_count(library: BackEnd) -> None:
    lock = library.threading.RLock()
    name = {"standard": "_thread.RLock", "oxthreads": "oxthreads.threading.RLock"}[library.name]
    assert repr(lock) == f"<unlocked {name} object owner=0 count=0 at {id(lock):#x}>"
    with lock, lock:
        mine = f"owner={threading.get_ident()} count=2"
        assert repr(lock) == f"<locked {name} object {mine} at {id(lock):#x}>"

    class Mine(type(lock)):  # type: ignore[misc]
        pass

    own = Mine()
    assert repr(own) == f"<unlocked Mine object owner=0 count=0 at {id(own):#x}>"


def test_a_subclass_has_attributes_and_arguments_of_its_own(library: BackEnd) -> None:
    class Named(type(library.threading.RLock())):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            self.name = name
            self.taken = 0

        def acquire(self, *args: Any, **keywords: Any) -> bool:
            self.taken += 1
            return bool(super().acquire(*args, **keywords))

    lock = Named("a name")
    assert lock.acquire(True, 1) and lock.acquire()
    assert (lock.name, lock.taken, lock._recursion_count()) == ("a name", 2, 2)
    condition = library.threading.Condition(lock)
    assert condition.wait(0.001) is False
    assert lock._recursion_count() == 2
    condition.release()
    condition.release()
    assert not lock._is_owned()


def test_arguments_of_the_constructor_are_treated_as_in_the_standard_library(library: BackEnd) -> None:
    if sys.version_info >= (3, 15):
        assert refusal(library.threading.RLock, 1)[0] is TypeError
    elif sys.version_info >= (3, 13):
        with pytest.warns(DeprecationWarning, match="Passing arguments to RLock is deprecated"):
            library.threading.RLock(1)
    else:
        assert library.threading.RLock(1, two=2).acquire()


def test_it_can_be_weakly_referenced_but_not_copied_pickled_or_given_attributes(library: BackEnd) -> None:
    lock = library.threading.RLock()
    assert weakref.ref(lock)() is lock
    for function in (pickle.dumps, copy.copy, copy.deepcopy):
        assert refusal(function, lock)[0] is TypeError
    with pytest.raises(AttributeError):
        lock.attribute = 1


def test_at_fork_reinit_unlocks(library: BackEnd) -> None:
    lock = library.threading.RLock()
    lock.acquire()
    lock.acquire()
    lock._at_fork_reinit()
    assert not lock._is_owned()
    assert Result(lambda: (lock.acquire(False), lock.release())).get() == (True, None)


def test_a_counter_under_it_loses_no_update(library: BackEnd, frantic: None) -> None:
    lock = library.threading.RLock()
    barrier = threading.Barrier(4)
    count = 0

    def work() -> None:
        nonlocal count
        barrier.wait()
        for _ in range(2000):
            with lock, lock:
                seen = count
                count = seen + 1

    for thread in [start(work) for _ in range(4)]:
        thread.join()
    assert count == 8000
    assert not lock._is_owned()


def test_a_waiter_becomes_the_owner(library: BackEnd) -> None:
    lock = library.threading.RLock()
    lock.acquire()
    waiter = Result(lambda: (lock.acquire(), lock._is_owned(), lock.release()))
    until_asleep(waiter.thread)
    lock.release()
    assert waiter.get() == (True, True, None)
