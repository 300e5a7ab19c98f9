"""Tests of Semaphore and BoundedSemaphore. Most of them run on the standard library too."""

from __future__ import annotations

import sys
import threading
from decimal import Decimal
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.parkers import WAITERS_KEEP_THEIR_PLACE
from tests.support.refusals import refusal
from tests.support.threads import Result, start
from tests.support.waiting import spin_until, until_asleep

KINDS = ["Semaphore", "BoundedSemaphore"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [-1, -(2**70), "1", None, [], 1.5, -0.5, True, 2**64, Decimal(2), 0, 7])
def test_initial_values_are_checked_as_in_the_standard_library(kind: str, value: Any) -> None:
    def outcome(library: BackEnd) -> object:
        try:
            semaphore = getattr(library.threading, kind)(value)
        except (TypeError, ValueError) as error:
            return type(error), str(error)
        taken = [semaphore.acquire(False) for _ in range(3)]
        return taken, semaphore._value, repr(semaphore).partition(":")[2]

    assert outcome(OXTHREADS) == outcome(STANDARD)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [0, -1, 1, 3, 2.5, "1", None, [], True, Decimal(2)])
def test_arguments_of_release_are_checked_as_in_the_standard_library(kind: str, n: Any) -> None:
    standard, ours = (getattr(library.threading, kind)(4) for library in (STANDARD, OXTHREADS))
    for semaphore in (standard, ours):
        for _ in range(3):
            assert semaphore.acquire()
    outcomes = []
    for semaphore in (standard, ours):
        try:
            outcomes.append(semaphore.release(n))
        except (TypeError, ValueError) as error:
            outcomes.append((type(error), str(error)))
    assert outcomes[1] == outcomes[0]
    assert ours._value == standard._value


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="the standard semaphore notifies one by one, which takes too long"
)
def test_there_may_be_more_permits_than_fit_into_64_bits(library: BackEnd) -> None:
    semaphore = library.threading.Semaphore(2**63 - 1)
    semaphore.release(2**64)
    assert semaphore.acquire()
    assert semaphore._value == 2**63 + 2**64 - 2


def test_permits_are_taken_and_given_back(library: BackEnd) -> None:
    semaphore = library.threading.Semaphore(2)
    assert semaphore.acquire() and semaphore.acquire(False)
    assert semaphore.acquire(False) is False
    assert semaphore.acquire(timeout=0.01) is False
    assert semaphore.acquire(timeout=-1) is False
    semaphore.release(3)
    assert semaphore._value == 3
    with semaphore as entered:
        assert entered is True
        assert semaphore._value == 2
    assert semaphore._value == 3
    assert library.threading.Semaphore()._value == 1


def test_bad_arguments_of_acquire_raise_the_standard_errors() -> None:
    for args in [(False, 1), (False, 0), (True, "1"), (True, []), (True, 1e300), (True, 1 << 80)]:
        standard, ours = threading.Semaphore(0), OXTHREADS.threading.Semaphore(0)
        assert refusal(ours.acquire, *args) == refusal(standard.acquire, *args), args
    assert refusal(OXTHREADS.threading.Semaphore(0).acquire, True, float("nan"))[0] is ValueError
    # If there is a permit, the timeout is not checked.
    assert OXTHREADS.threading.Semaphore(1).acquire(True, "1") is True
    assert threading.Semaphore(1).acquire(True, "1") is True  # type: ignore[arg-type]


def test_a_bounded_semaphore_never_has_more_permits_than_at_first(library: BackEnd) -> None:
    semaphore = library.threading.BoundedSemaphore(2)
    assert isinstance(semaphore, library.threading.Semaphore)
    assert semaphore._initial_value == 2
    assert refusal(semaphore.release) == (ValueError, "Semaphore released too many times")
    semaphore.acquire()
    assert refusal(semaphore.release, 2) == (ValueError, "Semaphore released too many times")
    assert semaphore._value == 1
    semaphore.release()
    semaphore._initial_value = 3
    semaphore.release()
    assert semaphore._value == 3


def test_release_wakes_as_many_as_there_are_permits(library: BackEnd) -> None:
    semaphore = library.threading.Semaphore(0)
    waiters = [Result(semaphore.acquire) for _ in range(5)]
    until_asleep(*(waiter.thread for waiter in waiters))
    semaphore.release(3)
    spin_until(lambda: sum(not waiter.thread.is_alive() for waiter in waiters) == 3)
    semaphore.release(2)
    assert all(waiter.get() is True for waiter in waiters)
    assert semaphore._value == 0


def test_setting_the_value_wakes_a_waiter() -> None:
    semaphore = OXTHREADS.threading.Semaphore(0)
    waiter = Result(semaphore.acquire)
    until_asleep(waiter.thread)
    semaphore._value = 2
    assert waiter.get() is True
    assert semaphore._value == 1


def test_waiters_are_served_in_the_order_they_came() -> None:
    semaphore = OXTHREADS.threading.Semaphore(0)
    order: list[int] = []

    def work(number: int) -> None:
        semaphore.acquire()
        order.append(number)

    threads = []
    for number in range(4):
        threads.append(start(work, number))
        until_asleep(threads[-1])
    for number in range(4):
        semaphore.release()
        spin_until(lambda number=number: len(order) > number)  # type: ignore[misc]
    if WAITERS_KEEP_THEIR_PLACE:
        assert order == [0, 1, 2, 3]
    assert sorted(order) == [0, 1, 2, 3]


def test_a_waiter_does_not_starve() -> None:
    # On the standard semaphore, the waiter may starve.
    semaphore = OXTHREADS.threading.Semaphore(0)
    waiter = Result(semaphore.acquire)
    until_asleep(waiter.thread)

    def hand_around() -> bool:
        semaphore.release()
        semaphore.acquire(timeout=0.01)
        return not waiter.thread.is_alive()

    spin_until(hand_around)
    assert waiter.get() is True


def test_no_permit_is_lost_or_made(library: BackEnd, frantic: None) -> None:
    semaphore = library.threading.Semaphore(3)
    barrier = threading.Barrier(6)
    inside = 0
    most = 0
    guard = threading.Lock()

    def work(number: int) -> None:
        nonlocal inside, most
        barrier.wait()
        for turn in range(400):
            timeout = 0.0001 if (turn + number) % 3 == 0 else None
            if semaphore.acquire(timeout=timeout):
                with guard:
                    inside += 1
                    most = max(most, inside)
                with guard:
                    inside -= 1
                semaphore.release()

    for thread in [start(work, number) for number in range(6)]:
        thread.join()
    assert most <= 3
    assert semaphore._value == 3


def test_the_with_statement_calls_an_overridden_release(library: BackEnd) -> None:
    class Mixin:
        released = 0

        def release(self, n: int = 1) -> None:
            self.released += n
            super().release(n)  # type: ignore[misc]

    class Mine(Mixin, library.threading.BoundedSemaphore):  # type: ignore[misc, name-defined]
        pass

    semaphore = Mine(1)
    with semaphore:
        assert semaphore._value == 0
    assert (semaphore.released, semaphore._value) == (1, 1)


def test_its_condition_can_be_used(library: BackEnd) -> None:
    semaphore = library.threading.BoundedSemaphore(5)
    semaphore.acquire()
    waiters = []
    with semaphore._cond:
        taker = Result(semaphore.acquire)
        until_asleep(taker.thread)
        semaphore._value = 0
        waiters.append(taker)
    spin_until(lambda: len(semaphore._cond._waiters) == 1)
    semaphore.release()
    assert taker.get() is True
    assert (semaphore._value, semaphore._initial_value) == (0, 5)
    assert repr(semaphore).endswith(": value=0/5>")
    semaphore.release(5)
    assert refusal(semaphore.release) == (ValueError, "Semaphore released too many times")


def test_waits_in_progress_end_after_the_semaphore_falls_back() -> None:
    semaphore = OXTHREADS.threading.Semaphore(0)
    patient, hasty = Result(semaphore.acquire), Result(semaphore.acquire, timeout=0.05)
    until_asleep(patient.thread)
    assert isinstance(semaphore._cond, OXTHREADS.threading.Condition)
    assert hasty.get() is False
    spin_until(lambda: len(semaphore._cond._waiters) == 1)
    semaphore.release()
    assert patient.get() is True
    assert semaphore._value == 0


def test_a_semaphore_can_be_initialized_again(library: BackEnd) -> None:
    semaphore = library.threading.BoundedSemaphore(1)
    semaphore.acquire()
    semaphore.__init__(2)
    assert semaphore._value == 2
    assert semaphore.acquire() and semaphore.acquire() and not semaphore.acquire(False)
