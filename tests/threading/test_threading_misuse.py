"""Wrong uses of the types of `threading` raise the standard errors and change nothing."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.support.back_ends import BackEnd
from tests.support.refusals import refusal
from tests.support.threads import Result
from tests.support.waiting import until_asleep


def test_release_refuses_none(library: BackEnd) -> None:
    semaphore = library.threading.Semaphore(0)
    words = "'<' not supported between instances of 'NoneType' and 'int'"
    assert refusal(semaphore.release, None) == (TypeError, words)
    assert semaphore._value == 0


def test_notify_refuses_none_if_a_thread_waits(library: BackEnd) -> None:
    condition = library.threading.Condition()

    def wait() -> Any:
        with condition:
            return condition.wait()

    with condition:
        condition.notify(None)  # no thread waits, so the argument is not checked
    waiter = Result(wait)
    until_asleep(waiter.thread)
    with condition:
        words = "'>' not supported between instances of 'NoneType' and 'int'"
        assert refusal(condition.notify, None) == (TypeError, words)
        condition.notify()
    assert waiter.get() is True


@pytest.mark.parametrize("value", [-1, -0.5, -(2**70), "x"])
def test_a_second_initialization_that_raises_changes_nothing(library: BackEnd, value: Any) -> None:
    semaphore = library.threading.Semaphore(3)
    assert refusal(semaphore.__init__, value)[0] in (ValueError, TypeError)
    assert semaphore._value == 3
    assert semaphore.acquire(blocking=False)


def test_the_bound_may_be_the_greatest_signed_number_of_64_bits(library: BackEnd) -> None:
    semaphore = library.threading.BoundedSemaphore(2**63 - 1)
    assert semaphore._initial_value == semaphore._value == 2**63 - 1
    assert refusal(semaphore.release) == (ValueError, "Semaphore released too many times")
    assert semaphore.acquire()


@pytest.mark.parametrize("timeout", [float("inf"), float("nan"), "x"])
def test_a_broken_barrier_does_not_check_the_timeout(library: BackEnd, timeout: Any) -> None:
    barrier = library.threading.Barrier(2)
    barrier.abort()
    assert refusal(barrier.wait, timeout)[0] is threading.BrokenBarrierError


@pytest.mark.parametrize("state", [None, 1, (), (1,), (1, 2, 3), ("x", 1), (1, "x"), (1.5, 1)])
def test_restoring_an_rlock_to_an_invalid_state_raises_the_standard_error(
    library: BackEnd, state: Any
) -> None:
    lock = library.threading.RLock()
    expected = refusal(threading.RLock()._acquire_restore, state)  # type: ignore[attr-defined]
    assert refusal(lock._acquire_restore, state) == expected
    assert lock.acquire(blocking=False)


@pytest.mark.parametrize("arguments", [(), (None,), (None, None, None)])
def test_exit_of_a_condition_passes_its_arguments_to_the_lock(
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
