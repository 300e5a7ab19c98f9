"""Tests of Event. Most of them run on the standard library too."""

from __future__ import annotations

import gc
import pickle
import threading
import weakref
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, BackEnd
from tests.support.threads import Result
from tests.support.waiting import until_asleep


def test_set_and_clear_change_the_flag(library: BackEnd) -> None:
    event = library.threading.Event()
    assert event.is_set() is False
    assert event.set() is None
    assert event.is_set() is True
    assert event.wait() is True
    event.clear()
    assert event.wait(0) is False


@pytest.mark.parametrize("timeout", [0, 0.0, -1, -1e300, 0.001, True, False])
def test_wait_ends_at_the_timeout(library: BackEnd, timeout: float) -> None:
    assert library.threading.Event().wait(0.001 if timeout is True else timeout) is False


def test_a_timeout_of_nan_is_what_it_is_in_the_standard_library() -> None:
    # In some versions it means not to wait, and in later ones it is refused.
    outcomes: list[Any] = []
    for event in (threading.Event(), OXTHREADS.threading.Event()):
        try:
            outcomes.append(event.wait(float("nan")))
        except ValueError as error:
            outcomes.append(str(error))
    assert outcomes[0] in (False, "Invalid value NaN (not a number)")
    assert outcomes[1] == outcomes[0]


@pytest.mark.parametrize("timeout", ["x", [], 1e300, float("inf"), 2**70])
def test_bad_timeouts_raise_the_standard_errors(timeout: Any) -> None:
    def refusal(event: Any) -> tuple[type[BaseException], str]:
        with pytest.raises((TypeError, OverflowError)) as caught:
            event.wait(timeout)
        return caught.type, str(caught.value)

    assert refusal(OXTHREADS.threading.Event()) == refusal(threading.Event())


def test_the_timeout_is_ignored_if_the_event_is_set(library: BackEnd) -> None:
    event = library.threading.Event()
    event.set()
    for timeout in ("x", -1, 1e300, None):
        assert event.wait(timeout) is True


def test_all_waiters_wake_and_see_true_even_if_it_is_cleared_at_once(library: BackEnd) -> None:
    event = library.threading.Event()
    waiters = [Result(event.wait) for _ in range(4)]
    until_asleep(*(waiter.thread for waiter in waiters))
    event.set()
    event.clear()
    assert [waiter.get() for waiter in waiters] == [True] * 4


def test_it_is_a_standard_event_and_can_be_subclassed() -> None:
    class Mine(OXTHREADS.threading.Event):  # type: ignore[misc, name-defined]
        def __init__(self, label: str) -> None:
            super().__init__()
            self.label = label

    event = Mine("a")
    event.set()
    assert event.wait()
    assert event.label == "a"
    assert isinstance(event, threading.Event)
    assert repr(event).endswith(f".Mine at {id(event):#x}: set>")


def test_the_constructor_takes_no_arguments(library: BackEnd) -> None:
    with pytest.raises(TypeError):
        library.threading.Event(1)
    with pytest.raises(TypeError):
        library.threading.Event(flag=True)


def test_it_can_be_weakly_referenced_and_given_attributes_but_not_pickled(library: BackEnd) -> None:
    event = library.threading.Event()
    event.attribute = 1
    assert weakref.ref(event)() is event
    with pytest.raises(TypeError):
        pickle.dumps(event)


def test_a_cycle_through_it_is_collected(library: BackEnd) -> None:
    event = library.threading.Event()
    event.itself = event
    alive = weakref.ref(event)
    del event
    gc.collect()
    assert alive() is None


def test_its_condition_can_be_used(library: BackEnd) -> None:
    event = library.threading.Event()
    with event._cond:
        assert event._cond.acquire(False) is False
        assert event._flag is False
    waiter = Result(event.wait, 30)
    until_asleep(waiter.thread)
    event.set()
    assert waiter.get() is True
    event.clear()
    assert event.is_set() is False
    assert event.wait(0.001) is False
    event._at_fork_reinit()
    assert event._cond.acquire(False) is True


def test_waits_in_progress_end_after_the_event_falls_back(library: BackEnd) -> None:
    event = library.threading.Event()
    waiters = [Result(event.wait, 30), Result(event.wait)]
    until_asleep(*(waiter.thread for waiter in waiters))
    assert event._cond
    until_asleep(*(waiter.thread for waiter in waiters))
    event.set()
    assert [waiter.get() for waiter in waiters] == [True, True]


def test_repr_calls_no_method_of_a_subclass(library: BackEnd) -> None:
    class Mine(library.threading.Event):  # type: ignore[misc,name-defined]
        def is_set(self) -> bool:
            raise AssertionError("called")

    event = Mine()
    assert repr(event).endswith(": unset>")
    event.set()
    assert repr(event).endswith(": set>")
