"""Tests of Condition with its own lock, with our locks, with the standard locks, and with other locks."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.refusals import refusal
from tests.support.threads import Result, start
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, until_asleep


class ForeignLock:
    """A lock from another library. It has only the methods that a condition needs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def acquire(self, blocking: bool = True) -> bool:
        return self._lock.acquire(blocking)

    def release(self) -> None:
        self._lock.release()

    def locked(self) -> bool:  # the standard Condition of Python 3.14 needs it
        return self._lock.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


LOCKS: dict[str, Callable[[BackEnd], Any]] = {
    "no lock": lambda library: None,
    "a Lock of the same library": lambda library: library.threading.Lock(),
    "an RLock of the same library": lambda library: library.threading.RLock(),
    "a standard Lock": lambda library: threading.Lock(),
    "a standard RLock": lambda library: threading.RLock(),
    "a foreign lock": lambda library: ForeignLock(),
    "a Condition": lambda library: library.threading.Condition(),
}


@pytest.fixture(params=LOCKS)
def condition(library: BackEnd, request: pytest.FixtureRequest) -> Any:
    """A condition of each library, with each kind of lock."""
    return library.threading.Condition(LOCKS[request.param](library))


def test_wait_and_notify_need_the_lock(condition: Any) -> None:
    assert not condition._is_owned()
    assert refusal(condition.wait) == (RuntimeError, "cannot wait on un-acquired lock")
    assert refusal(condition.notify) == (RuntimeError, "cannot notify on un-acquired lock")
    assert refusal(condition.notify_all) == (RuntimeError, "cannot notify on un-acquired lock")
    with condition as entered:
        assert entered is True
        assert condition._is_owned()
        condition.notify()
        condition.notify_all()
    assert not condition._is_owned()


def test_a_wait_ends_with_a_notification_or_its_timeout(condition: Any) -> None:
    woken: list[bool] = []

    def work() -> None:
        with condition:
            woken.append(condition.wait(20))

    thread = start(work)
    until_asleep(thread)
    with condition:
        condition.notify()
    thread.join()
    assert woken == [True]
    with condition:
        for timeout in (0.01, 0, -1, 0.0):
            assert condition.wait(timeout) is False
            assert condition._is_owned()
        assert repr(condition) == f"<Condition({condition._lock}, 0)>"


def test_waiters_are_notified_in_the_order_they_came(condition: Any) -> None:
    order: list[int] = []

    def work(number: int) -> None:
        with condition:
            condition.wait()
            order.append(number)

    threads = []
    for number in range(6):
        threads.append(start(work, number))
        until_asleep(threads[-1])
    with condition:
        assert repr(condition).endswith(", 6)>")
        condition.notify()
    spin_until(lambda: order == [0])
    with condition:
        condition.notify(2)
    spin_until(lambda: sorted(order) == [0, 1, 2])
    with condition:
        condition.notify(0)
        condition.notify(-1)
    until_asleep(*threads[3:])
    with condition:
        condition.notify_all()
    for thread in threads:
        thread.join()
    assert sorted(order) == list(range(6))


def test_a_notification_does_not_wake_a_later_wait(condition: Any) -> None:
    with condition:
        condition.notify(5)
        condition.notify_all()
        assert condition.wait(0.01) is False


def test_wait_releases_an_rlock_completely_and_restores_its_count(library: BackEnd) -> None:
    condition = library.threading.Condition()
    counts: list[int] = []

    def work() -> None:
        with condition, condition, condition:
            condition.wait()
            counts.append(condition._lock._recursion_count())

    thread = start(work)
    until_asleep(thread)
    with condition:
        condition.notify()
    thread.join()
    assert counts == [3]
    with condition:
        state = condition._release_save()
        assert not condition._is_owned()
        condition._acquire_restore(state)


def test_wait_for_checks_the_predicate_after_each_notification(condition: Any) -> None:
    looks: list[int] = []
    value = 0

    def predicate() -> int:
        looks.append(value)
        return value

    def work() -> Any:
        with condition:
            return condition.wait_for(predicate)

    waiter = Result(work)
    for value in (0, 0, 7):  # noqa: B007
        until_asleep(waiter.thread)
        seen = len(looks)
        with condition:
            condition.notify()
        spin_until(lambda seen=seen: len(looks) > seen or not waiter.thread.is_alive())  # type: ignore[misc]
    assert waiter.get() == 7
    with condition:
        begin = time.monotonic()
        assert condition.wait_for(lambda: False, timeout=0.05) is False
        assert time.monotonic() - begin >= 0.05
        assert condition.wait_for(lambda: "yes", timeout=0) == "yes"


@pytest.mark.parametrize("timeout", ["1", [], float("nan"), 1e300, 2**80, None.__class__])
def test_bad_timeouts_raise_the_standard_errors(timeout: Any) -> None:
    outcomes = []
    for library in (STANDARD, OXTHREADS):
        condition = library.threading.Condition()
        with condition:
            try:
                outcomes.append(condition.wait(timeout))
            except (TypeError, ValueError, OverflowError) as error:
                outcomes.append((type(error), str(error)))
            assert condition._is_owned()
    assert outcomes[1] == outcomes[0]


class Compared:
    """A timeout that notes how it is compared with zero."""

    def __init__(self, is_above_zero: bool) -> None:
        self.is_above_zero = is_above_zero
        self.comparisons: list[str] = []

    def __gt__(self, other: int) -> bool:
        self.comparisons.append(f"> {other}")
        return self.is_above_zero

    def __le__(self, other: int) -> bool:
        self.comparisons.append(f"<= {other}")
        return not self.is_above_zero


@pytest.mark.parametrize("is_above_zero", [False, True])
def test_a_timeout_of_a_class_of_ones_own_is_compared_as_in_the_standard_library(is_above_zero: bool) -> None:
    outcomes: list[Any] = []
    for library in (STANDARD, OXTHREADS):
        condition = library.threading.Condition()
        timeout = Compared(is_above_zero)
        with condition:
            outcome: Any = refusal(condition.wait, timeout) if is_above_zero else condition.wait(timeout)
        outcomes.append((timeout.comparisons, outcome))
    assert outcomes[1] == outcomes[0]
    assert len(outcomes[0][0]) == 1


def test_bad_counts_raise_the_standard_errors() -> None:
    outcomes = []
    for library in (STANDARD, OXTHREADS):
        condition = library.threading.Condition()
        waiters = [start(waiting(condition)) for _ in range(2)]
        until_asleep(*waiters)
        with condition:
            outcomes.append([refusal(condition.notify, n) for n in ("1", None, [])])
            condition.notify(1.5)  # wakes both waiters, as 2 would
        for waiter in waiters:
            waiter.join()
    assert outcomes[1] == outcomes[0]


def waiting(condition: Any, timeout: float | None = None) -> Callable[[], bool]:
    def work() -> bool:
        with condition:
            return bool(condition.wait(timeout))

    return work


def test_the_lock_can_be_used_through_the_condition(library: BackEnd) -> None:
    lock = library.threading.Lock()
    condition = library.threading.Condition(lock)
    assert condition._lock is lock
    assert condition.acquire(False) and lock.locked()
    assert condition.acquire(blocking=False) is False
    assert condition.acquire(True, timeout=0.001) is False
    condition.release()
    assert refusal(condition.release) == (RuntimeError, "release unlocked lock")
    assert refusal(condition.acquire, False, 1)[0] is ValueError
    if library is OXTHREADS or sys.version_info >= (3, 14):
        assert condition.locked() is False
    assert type(library.threading.Condition()._lock) is type(library.threading.RLock())
    other = condition._lock = ForeignLock()
    with condition:
        assert other.locked()


def test_a_condition_that_was_not_initialized_raises_attribute_error(library: BackEnd) -> None:
    class Mine(library.threading.Condition):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            pass

    with pytest.raises(AttributeError, match="'Mine' object has no attribute '_"), Mine():
        pass
    for method in (Mine().wait, Mine().notify, Mine().notify_all):
        with pytest.raises(AttributeError, match="'Mine' object has no attribute '_"):
            method()


def test_a_condition_initialized_again_uses_the_new_lock(library: BackEnd) -> None:
    condition = library.threading.Condition()
    lock = library.threading.RLock()
    condition.__init__(lock)
    with condition:
        assert lock._is_owned()
        assert condition.wait(0.001) is False


def test_waits_in_progress_take_the_new_lock_when_the_condition_is_initialized_again(
    library: BackEnd,
) -> None:
    condition = library.threading.Condition()
    waiters = [Result(waiting(condition, 4)) for _ in range(2)]
    until_asleep(*(waiter.thread for waiter in waiters))
    condition.__init__()
    assert [waiter.get() for waiter in waiters] == [False, False]
    assert not condition._lock._recursion_count()
    with condition:
        condition.notify_all()


def test_overridden_parts_of_wait_and_notify_are_called(library: BackEnd) -> None:
    calls: list[str] = []

    class Mine(library.threading.Condition):  # type: ignore[misc, name-defined]
        def _is_owned(self) -> bool:
            calls.append("_is_owned")
            return True

        def _release_save(self) -> None:
            calls.append("_release_save")
            self._lock.release()

        def _acquire_restore(self, state: None) -> None:
            calls.append("_acquire_restore")
            self._lock.acquire()

        def notify(self, n: int = 1) -> None:
            calls.append(f"notify {n}")
            super().notify(n)

    condition = Mine(library.threading.Lock())
    with condition:
        condition.wait(0.001)
        condition.notify_all()
    assert calls == ["_is_owned", "_release_save", "_acquire_restore", "notify 0", "_is_owned"]


def test_waits_in_progress_keep_their_order_when_the_condition_falls_back(library: BackEnd) -> None:
    condition = library.threading.Condition()
    order: list[object] = []

    def work(number: int) -> None:
        with condition:
            condition.wait()
            order.append(number)

    threads = []
    for number in range(2):
        threads.append(start(work, number))
        until_asleep(threads[-1])
    hasty = Result(waiting(condition, 6))
    until_asleep(hasty.thread)
    assert len(condition._waiters) == 3
    assert all(waiter.locked() for waiter in condition._waiters)
    threads.append(start(work, 2))
    until_asleep(threads[-1])
    assert len(condition._waiters) == 4
    assert hasty.get() is False
    spin_until(lambda: len(condition._waiters) == 3)
    with condition:
        first = condition._waiters[0]
        condition.notify()
        if library is OXTHREADS:  # the thread that waited takes the standard lock again
            assert refusal(first.release)[0] is RuntimeError
    spin_until(lambda: order == [0])
    with condition:
        condition.notify_all()
    for thread in threads:
        thread.join()
    assert sorted(order) == [0, 1, 2]  # type: ignore[type-var]
    assert not condition._waiters


def test_threads_can_take_turns(library: BackEnd, frantic: None) -> None:
    condition = library.threading.Condition()
    turn = 0
    rounds = 300

    def work(number: int) -> None:
        nonlocal turn
        for _ in range(rounds):
            with condition:
                condition.wait_for(lambda: turn % 3 == number)  # noqa: B023
                turn += 1
                condition.notify_all()

    for thread in [start(work, number) for number in range(3)]:
        thread.join()
    assert turn == 3 * rounds


def test_waits_that_time_out_lose_no_notification() -> None:
    """Each permit is notified once, and no notification is lost when other waits time out.

    On oxthreads only: in the standard library, a wait may return False although it was notified.
    """
    condition = OXTHREADS.threading.Condition()
    permits = 0
    waits = done = False

    def hasty() -> None:
        while not done:
            with condition:
                if condition.wait(0.0002):
                    condition.notify()

    def patient() -> None:
        nonlocal permits, waits
        for _ in range(100):
            with condition:
                while not permits:
                    waits = True
                    condition.wait()
                permits -= 1

    def give() -> bool:
        """Add a permit and notify, if the patient thread waits. Return whether it waited."""
        nonlocal permits, waits
        with condition:
            if not waits:
                return False
            # Wait until the timeouts of the hasty threads, which are before it in the list, have passed.
            begin = time.perf_counter()
            while time.perf_counter() - begin < 0.0003:
                pass
            waits = False
            permits += 1
            condition.notify()
            return True

    hasty_ones = [start(hasty) for _ in range(3)]
    patient_one = start(patient)
    try:
        for _ in range(100):
            spin_until(give)
        patient_one.join(TIMEOUT_SECONDS)
        assert not patient_one.is_alive(), "a notification was lost"
    finally:
        done = True
    for thread in hasty_ones:
        thread.join()
    assert permits == 0


def test_at_fork_reinit_resets_the_lock_and_the_waiters(library: BackEnd) -> None:
    condition = library.threading.Condition()
    thread = start(waiting(condition, 4))
    until_asleep(thread)
    with condition:
        condition._at_fork_reinit()
        assert not condition._is_owned()
        assert repr(condition).endswith(", 0)>")
        condition._lock.acquire()
    with contextlib.suppress(RuntimeError):
        thread.join()
