"""Tests of Barrier. Most of them run on the standard library too."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.refusals import refusal
from tests.support.threads import Result, start
from tests.support.waiting import spin_until, until_asleep


def waiters(barrier: Any, count: int, *args: Any) -> list[Result]:
    """Start `count` threads that wait at the barrier."""
    started = [Result(barrier.wait, *args) for _ in range(count)]
    until_asleep(*(waiter.thread for waiter in started))
    return started


def outcome(waiter: Result) -> object:
    try:
        return waiter.get()
    except threading.BrokenBarrierError:
        return "broken"


@pytest.mark.parametrize("parties", [0, -1, 1, 2, "2", None, 1.0, 2**40, True])
def test_parties_are_checked_as_in_the_standard_library(parties: Any) -> None:
    def judged(library: BackEnd) -> object:
        try:
            barrier = library.threading.Barrier(parties)
        except (TypeError, ValueError) as error:
            return type(error), str(error)
        return barrier.parties, barrier.n_waiting, barrier.broken, repr(barrier).partition(":")[2]

    assert judged(OXTHREADS) == judged(STANDARD)


def test_all_pass_once_all_have_come(library: BackEnd) -> None:
    barrier = library.threading.Barrier(3)
    early = waiters(barrier, 2)
    assert (barrier.n_waiting, barrier.parties, barrier.broken) == (2, 3, False)
    assert repr(barrier).endswith(": waiters=2/3>")
    assert barrier.wait() == 2
    assert sorted(waiter.get() for waiter in early) == [0, 1]
    spin_until(lambda: barrier.n_waiting == 0)
    assert library.threading.Barrier(1).wait() == 0


def test_a_barrier_can_be_used_again(library: BackEnd, frantic: None) -> None:
    barrier = library.threading.Barrier(3)
    rounds = 200
    indices: list[list[int]] = [[] for _ in range(rounds)]

    def work() -> None:
        for turn in range(rounds):
            indices[turn].append(barrier.wait())

    for thread in [start(work) for _ in range(3)]:
        thread.join()
    assert all(sorted(turn) == [0, 1, 2] for turn in indices)


def test_nobody_passes_before_all_have_come(library: BackEnd, frantic: None) -> None:
    barrier = library.threading.Barrier(4)
    arrived = [0] * 100
    guard = threading.Lock()

    def work() -> int:
        short = 0
        for turn in range(100):
            with guard:
                arrived[turn] += 1
            barrier.wait()
            short += arrived[turn] != 4
        return short

    assert [worker.get() for worker in [Result(work) for _ in range(4)]] == [0] * 4


def test_a_timeout_breaks_the_barrier_for_all(library: BackEnd) -> None:
    barrier = library.threading.Barrier(3)
    patient = waiters(barrier, 1)
    assert outcome(Result(barrier.wait, 0.02)) == "broken"
    assert outcome(patient[0]) == "broken"
    assert barrier.broken
    assert repr(barrier).endswith(": broken>")
    assert refusal(barrier.wait) == (threading.BrokenBarrierError, "")
    barrier.reset()
    spin_until(lambda: not barrier.broken)
    again = waiters(barrier, 2)
    assert barrier.wait() == 2
    assert sorted(map(str, map(outcome, again))) == ["0", "1"]


def test_the_timeout_of_the_barrier_is_the_default(library: BackEnd) -> None:
    barrier = library.threading.Barrier(2, timeout=0.02)
    assert refusal(barrier.wait)[0] is threading.BrokenBarrierError
    barrier.reset()
    patient = Result(barrier.wait, 20)
    until_asleep(patient.thread)
    assert barrier.wait() == 1
    assert patient.get() == 0


@pytest.mark.parametrize("timeout", [0, -1, 0.0])
def test_a_timeout_of_zero_or_less_breaks_the_barrier(library: BackEnd, timeout: float) -> None:
    barrier = library.threading.Barrier(2)
    assert refusal(barrier.wait, timeout)[0] is threading.BrokenBarrierError
    assert barrier.broken
    assert library.threading.Barrier(1).wait(timeout) == 0


def test_bad_timeouts_raise_the_standard_errors() -> None:
    for timeout in ("1", [], 1e300, 2**80):
        standard, ours = STANDARD.threading.Barrier(2), OXTHREADS.threading.Barrier(2)
        assert refusal(ours.wait, timeout) == refusal(standard.wait, timeout)
        assert not ours.broken and not standard.broken
        assert ours.n_waiting == standard.n_waiting == 0
        assert OXTHREADS.threading.Barrier(1).wait(timeout) == STANDARD.threading.Barrier(1).wait(timeout)
    assert refusal(OXTHREADS.threading.Barrier(2).wait, float("nan"))[0] is ValueError


def test_abort_and_reset_end_the_waits(library: BackEnd) -> None:
    barrier = library.threading.Barrier(3)
    for end, broken in ((barrier.abort, True), (barrier.reset, False)):
        barrier.reset()
        spin_until(lambda: not barrier.broken)
        early = waiters(barrier, 2)
        end()
        assert [outcome(waiter) for waiter in early] == ["broken", "broken"]
        assert barrier.broken is broken
    barrier.abort()
    barrier.abort()
    assert refusal(barrier.wait)[0] is threading.BrokenBarrierError


def test_the_last_thread_runs_the_action(library: BackEnd) -> None:
    performed: list[object] = []

    def action() -> None:
        performed.append((threading.current_thread(), barrier.n_waiting))

    barrier = library.threading.Barrier(2, action)
    early = waiters(barrier, 1)
    assert barrier.wait() == 1
    assert early[0].get() == 0
    assert performed == [(threading.current_thread(), 2)]


def test_an_action_that_raises_breaks_the_barrier(library: BackEnd) -> None:
    barrier = library.threading.Barrier(2, lambda: 1 / 0)
    early = waiters(barrier, 1)
    assert refusal(barrier.wait)[0] is ZeroDivisionError
    assert outcome(early[0]) == "broken"
    assert barrier.broken


def test_overridden_enter_and_exit_are_called(library: BackEnd) -> None:
    parts: list[str] = []

    class Mine(library.threading.Barrier):  # type: ignore[misc, name-defined]
        def _enter(self) -> None:
            parts.append("enter")
            super()._enter()

        def _exit(self) -> None:
            super()._exit()
            parts.append("exit")

    assert Mine(1).wait() == 0
    assert parts == ["enter", "exit"]


def test_the_standard_attributes_can_be_used(library: BackEnd) -> None:
    barrier = library.threading.Barrier(3, timeout=7)
    early = waiters(barrier, 1)
    with barrier._cond:
        assert (barrier._state, barrier._count, barrier._parties) == (0, 1, 3)
        assert (barrier._action, barrier._timeout) == (None, 7)
    early += waiters(barrier, 1)
    assert (barrier.n_waiting, barrier.parties) == (2, 3)
    called: list[None] = []
    barrier._action = lambda: called.append(None)
    assert barrier.wait() == 2
    assert sorted(waiter.get() for waiter in early) == [0, 1]
    assert called == [None]


def test_waits_in_progress_end_after_the_barrier_falls_back(library: BackEnd) -> None:
    barrier = library.threading.Barrier(3)
    hasty, patient = Result(barrier.wait, 5), Result(barrier.wait)
    until_asleep(hasty.thread, patient.thread)
    assert barrier._count == 2
    assert outcome(hasty) == "broken"
    assert outcome(patient) == "broken"
    assert barrier._state == -2
    assert barrier.broken
    spin_until(lambda: barrier._count == 0)
    barrier.reset()
    assert not barrier.broken


def test_a_barrier_can_be_initialized_again(library: BackEnd) -> None:
    barrier = library.threading.Barrier(2)
    barrier.abort()
    barrier.__init__(1)
    assert barrier.wait() == 0
    if sys.version_info >= (3, 13):
        assert refusal(barrier.__init__, 0)[0] is ValueError
