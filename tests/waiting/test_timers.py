"""Tests of `after` and `every`."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from oxthreads.queue import Queue
from oxthreads.threading import Event
from oxthreads.waiting import after, every, select
from tests.support.refusals import refusal
from tests.support.threads import Result
from tests.support.waiting import until_asleep


def test_after_is_ready_once() -> None:
    assert select(after(60), timeout=0, default="not yet") == "not yet"
    begin = time.monotonic()
    timer = after(0.02)
    assert select(timer, Queue()) == (timer, None)
    assert time.monotonic() - begin >= 0.02
    assert select(timer, timeout=0.03, default="once") == "once"


def test_after_nothing_is_ready_at_once() -> None:
    timer = after(0)
    assert select(timer, timeout=0) == (timer, None)


def test_the_first_timer_ends_the_wait() -> None:
    late, early = after(60), after(0.01)
    assert select(late, early) == (early, None)


def test_a_timeout_that_is_shorter_comes_first() -> None:
    assert select(after(60), every(60), timeout=0.01, default="over") == "over"


def test_another_source_ends_the_wait_before() -> None:
    items: Queue[int] = Queue()
    sleeper = Result(select, after(60), items)
    until_asleep(sleeper.thread)
    items.put(1)
    assert sleeper.get() == (items, 1)


def test_every_counts_what_has_passed() -> None:
    begin = time.monotonic()
    tick = every(0.005)
    total = 0
    while total < 10:
        source, times = select(tick, Event())
        assert source is tick
        total += times
        if total == 1:
            time.sleep(0.012)
    # The times are counted from the beginning: the interval does not grow.
    assert time.monotonic() - begin >= total * 0.005


def test_of_several_threads_one_gets_each_time() -> None:
    timer = after(0.02)
    sleepers = [Result(select, timer, timeout=1.0, default="no") for _ in range(3)]
    outcomes = [sleeper.get() for sleeper in sleepers]
    assert outcomes.count((timer, None)) == 1
    assert outcomes.count("no") == 2


@pytest.mark.parametrize("make", [after, every])
@pytest.mark.parametrize("seconds", [-1, -1e-9, math.nan, "1", None, 1j])
def test_wrong_seconds(make: Any, seconds: Any) -> None:
    error = refusal(make, seconds)[0]
    assert error is (TypeError if isinstance(seconds, str | None | complex) else ValueError)


def test_no_interval_at_all() -> None:
    assert refusal(every, 0) == (ValueError, "'seconds' must be a positive number")


@pytest.mark.parametrize("seconds", [math.inf, 1e300, 10**9])
@pytest.mark.parametrize("make", [after, every])
def test_so_far_away_that_it_never_comes(make: Any, seconds: float) -> None:
    timer = make(seconds)
    assert select(timer, timeout=0.001, default="never") == "never"
    items: Queue[int] = Queue()
    items.put(1)
    assert select(timer, items) == (items, 1)
