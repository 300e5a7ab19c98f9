"""Wrong uses of the types of threading are refused as by the standard ones, and change nothing."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from conftest import BackEnd, Result, refusal, until_asleep


def test_none_is_no_number_of_permits(library: BackEnd) -> None:
    semaphore = library.threading.Semaphore(0)
    words = "'<' not supported between instances of 'NoneType' and 'int'"
    assert refusal(semaphore.release, None) == (TypeError, words)
    assert semaphore._value == 0


def test_none_is_no_number_of_threads_to_notify(library: BackEnd) -> None:
    condition = library.threading.Condition()

    def wait() -> Any:
        with condition:
            return condition.wait()

    with condition:
        condition.notify(None)  # nobody waits, and so nobody looks at it
    waiter = Result(wait)
    until_asleep(waiter.thread)
    with condition:
        words = "'>' not supported between instances of 'NoneType' and 'int'"
        assert refusal(condition.notify, None) == (TypeError, words)
        condition.notify()
    assert waiter.get() is True


@pytest.mark.parametrize("value", [-1, -0.5, -(2**70), "x"])
def test_a_semaphore_that_is_initialized_again_in_vain_is_as_it_was(library: BackEnd, value: Any) -> None:
    semaphore = library.threading.Semaphore(3)
    assert refusal(semaphore.__init__, value)[0] in (ValueError, TypeError)
    assert semaphore._value == 3
    assert semaphore.acquire(blocking=False)


def test_a_semaphore_may_be_bounded_by_the_greatest_number_of_64_bits(library: BackEnd) -> None:
    semaphore = library.threading.BoundedSemaphore(2**63 - 1)
    assert semaphore._initial_value == semaphore._value == 2**63 - 1
    assert refusal(semaphore.release) == (ValueError, "Semaphore released too many times")
    assert semaphore.acquire()


@pytest.mark.parametrize("timeout", [float("inf"), float("nan"), "x"])
def test_a_broken_barrier_does_not_look_at_the_timeout(library: BackEnd, timeout: Any) -> None:
    barrier = library.threading.Barrier(2)
    barrier.abort()
    assert refusal(barrier.wait, timeout)[0] is threading.BrokenBarrierError


@pytest.mark.parametrize("state", [None, 1, (), (1,), (1, 2, 3), ("x", 1), (1, "x"), (1.5, 1)])
def test_an_rlock_is_restored_to_no_nonsense(library: BackEnd, state: Any) -> None:
    lock = library.threading.RLock()
    expected = refusal(threading.RLock()._acquire_restore, state)  # type: ignore[attr-defined]
    assert refusal(lock._acquire_restore, state) == expected
    assert lock.acquire(blocking=False)


@pytest.mark.parametrize("arguments", [(), (None,), (None, None, None)])
def test_a_condition_passes_what_it_is_left_with_to_a_foreign_lock(
    library: BackEnd, arguments: tuple[Any, ...]
) -> None:
    class Lock:
        def __init__(self) -> None:
            self.acquire = self.release = self.locked = self._at_fork_reinit = lambda: None
            self.left: list[tuple[Any, ...]] = []

        def __exit__(self, *args: Any) -> None:
            self.left.append(args)

    lock = Lock()
    library.threading.Condition(lock).__exit__(*arguments)
    assert lock.left == [arguments]
