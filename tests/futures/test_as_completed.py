"""Tests of as_completed with futures of either library, and with both kinds in one call."""

from __future__ import annotations

import concurrent.futures
import gc
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.mixed_futures import MAKERS, Counting, cancelled, failed, finished, observers
from tests.support.refusals import refusal
from tests.support.threads import Result
from tests.support.waiting import TIMEOUT_SECONDS, rounds, until_asleep


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest, library: BackEnd) -> Callable[[], Any]:
    """A function that makes futures of one kind. Each test runs with every kind that a program may mix."""
    maker = MAKERS[request.param]
    return lambda: maker(library)


class Thing:
    """An object that can have weak references."""


def test_nothing_happens_before_the_first_next(library: BackEnd, make: Callable[[], Any]) -> None:
    for fs, timeout in ((1, None), ([1], "x")):
        iterator = library.futures.as_completed(fs, timeout)
        assert refusal(next, iterator)[0] is TypeError
    future = make()
    iterator = library.futures.as_completed([future], 0)
    iterator.close()
    assert list(iterator) == []
    iterator = library.futures.as_completed([future], 0)
    future.set_result(1)
    assert list(iterator) == [future]


def test_finished_futures_are_yielded_at_once(library: BackEnd, make: Callable[[], Any]) -> None:
    assert list(library.futures.as_completed([])) == []
    futures = [finished(make()), failed(make()), cancelled(make())]
    for timeout in (None, 0, -1, 2**70, float("nan"), float("-inf")):
        found = list(library.futures.as_completed(iter(futures * 2), timeout))
        assert len(found) == 3
        assert set(found) == set(futures)
    assert [observers(future) for future in futures] == [0] * 3


@pytest.mark.parametrize("fs", [1, None, [1], [None, None], ["_condition"], [[]]])
def test_other_objects_than_futures_raise_the_standard_error(fs: Any) -> None:
    expected = refusal(next, concurrent.futures.as_completed(fs))
    assert refusal(next, OXTHREADS.futures.as_completed(fs)) == expected


def test_futures_come_in_the_order_in_which_they_finish(library: BackEnd, make: Callable[[], Any]) -> None:
    futures = [make() for _ in range(10)]
    done = {finished(futures[0]), failed(futures[9])}
    iterator = library.futures.as_completed(futures)
    # Futures that are done at the beginning come first.
    assert {next(iterator), next(iterator)} == done
    waiting = Result(next, iterator)
    until_asleep(waiting.thread)
    cancelled(futures[5])
    assert waiting.get() is futures[5]
    order = [futures[index] for index in (8, 1, 7, 2, 6, 3, 4)]
    for number, future in enumerate(order[:4]):
        (finished, failed, cancelled)[number % 3](future)
    assert [next(iterator) for _ in range(4)] == order[:4]
    for future in order[4:]:
        finished(future)
    assert list(iterator) == order[4:]
    assert [observers(future) for future in futures] == [0] * 10


@pytest.mark.parametrize(
    "timeout", [0, 0.0, -0.0, -1, False, 5e-324, 1e-9, 0.001, Fraction(1, 1000), float("-inf")]
)
def test_it_ends_at_the_timeout(library: BackEnd, make: Callable[[], Any], timeout: Any) -> None:
    pending, merely_cancelled, done = make(), make(), finished(make())
    merely_cancelled.cancel()
    iterator = library.futures.as_completed([pending, merely_cancelled, done, pending], timeout)
    assert next(iterator) is done
    assert refusal(next, iterator) == (TimeoutError, "2 (of 3) futures unfinished")
    assert list(iterator) == []
    assert [observers(future) for future in (pending, merely_cancelled, done)] == [0] * 3


def test_the_timeout_is_checked_before_the_finished_futures(
    library: BackEnd, make: Callable[[], Any]
) -> None:
    futures = [make(), make(), finished(make())]
    iterator = library.futures.as_completed(futures, 0.001)
    assert next(iterator) is futures[2]
    begin = time.monotonic()
    finished(futures[0])
    while time.monotonic() < begin + 0.001:
        pass
    assert refusal(next, iterator) == (TimeoutError, "2 (of 3) futures unfinished")


def test_a_timeout_of_nan_never_ends_or_is_refused_as_in_the_standard_library(
    make: Callable[[], Any],
) -> None:
    future = make()
    try:
        threading.Event().wait(float("nan"))
    except ValueError:
        for library in (STANDARD, OXTHREADS):
            assert refusal(next, library.futures.as_completed([future], float("nan")))[0] is ValueError
        return
    waiting = Result(list, OXTHREADS.futures.as_completed([future], float("nan")))
    until_asleep(waiting.thread)
    future.set_result(1)
    assert waiting.get() == [future]


@pytest.mark.parametrize(
    "timeout", ["x", [], object, 1j, Decimal("0.001"), 1e300, float("inf"), 2**70, threading.TIMEOUT_MAX * 2]
)
def test_bad_timeouts_raise_the_standard_errors(timeout: Any) -> None:
    expected = refusal(next, concurrent.futures.as_completed([concurrent.futures.Future()], timeout))
    assert expected[0] in (TypeError, OverflowError)
    for future in (OXTHREADS.futures.Future(), concurrent.futures.Future()):
        assert refusal(next, OXTHREADS.futures.as_completed([future], timeout)) == expected
        assert observers(future) == 0


def test_closing_or_dropping_it_removes_its_waiters(library: BackEnd, make: Callable[[], Any]) -> None:
    futures = [make(), make(), finished(make()), finished(make())]
    for end in ("close", "throw", "drop"):
        iterator = library.futures.as_completed(futures)
        assert next(iterator).done()
        assert [observers(future) for future in futures[:2]] == [1, 1]
        if end == "close":
            iterator.close()
        elif end == "throw":
            assert refusal(iterator.throw, LookupError("thrown")) == (LookupError, "thrown")
        else:
            del iterator
        assert [observers(future) for future in futures] == [0] * 4


def test_it_may_be_closed_between_two_futures_that_finished_together(
    library: BackEnd, make: Callable[[], Any]
) -> None:
    futures = [make() for _ in range(4)]
    iterator = library.futures.as_completed(futures)
    waiting = Result(next, iterator)
    until_asleep(waiting.thread)
    for future in futures[:3]:
        finished(future)
    assert waiting.get() is futures[0]
    iterator.close()
    assert [observers(future) for future in futures] == [0] * 4


def test_one_call_takes_all_kinds_of_futures(library: BackEnd) -> None:
    futures = [maker(library) for maker in MAKERS.values()] * 2
    iterator = library.futures.as_completed(futures)
    for future in futures[: len(MAKERS)]:
        waiting = Result(next, iterator)
        until_asleep(waiting.thread)
        finished(future)
        assert waiting.get() is future
    assert list(iterator) == []
    assert [observers(future) for future in futures] == [0] * len(futures)


def test_our_futures_may_fall_back_while_they_are_waited_for(library: BackEnd) -> None:
    futures = [OXTHREADS.futures.Future() for _ in range(5)]
    iterator = library.futures.as_completed(futures)
    waiting = Result(next, iterator)
    until_asleep(waiting.thread)
    assert [observers(future) for future in futures[:2]] == [1, 1]
    finished(futures[0])
    assert waiting.get() is futures[0]
    assert observers(futures[2]) == 1
    for future in futures[1:4]:
        finished(future)
    assert [next(iterator) for _ in range(3)] == futures[1:4]
    iterator.close()
    assert [observers(future) for future in futures] == [0] * 5


def test_our_futures_do_not_fall_back() -> None:
    class Mine(OXTHREADS.futures.Future):  # type: ignore[misc, name-defined]
        pass

    futures = [OXTHREADS.futures.Future(), Mine(), finished(Mine()), concurrent.futures.Future()]
    iterator = OXTHREADS.futures.as_completed(futures, 0.05)
    assert next(iterator) is futures[2]
    assert refusal(next, iterator)[0] is TimeoutError
    iterator = OXTHREADS.futures.as_completed(futures)
    assert next(iterator) is futures[2]
    for future in (futures[3], *futures[:2]):
        assert next(OXTHREADS.futures.as_completed([finished(future)])) is next(iterator) is future
    assert [vars(future) for future in futures[:3]] == [{}] * 3


def test_the_cost_of_a_future_does_not_grow_with_their_number() -> None:
    def looks(count: int) -> float:
        futures = [Counting() for _ in range(count)]
        for future in futures[::2]:
            future.set_result(1)
        Counting.looks = 0
        iterator = OXTHREADS.futures.as_completed(futures)
        found = 0
        for future in futures[1::2]:
            found += next(iterator) is not None
            future.set_result(1)
        assert found + sum(1 for _ in iterator) == count
        return Counting.looks / count

    assert looks(4000) <= looks(40) * 1.5 + 1


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_yielded_future_is_not_kept_alive(library: BackEnd, make: Callable[[], Any], when: str) -> None:
    futures = [make() for _ in range(6)]
    results = [Thing() for _ in futures]
    alive = [weakref.ref(each) for each in (*futures, *results)]
    iterator = library.futures.as_completed([*futures])
    waiting = Result(next, iterator) if when == "meanwhile" else None
    if waiting:
        until_asleep(waiting.thread)
    for future, thing in zip(futures, results, strict=True):
        future.set_result(thing)
    del future, thing
    assert (waiting.get() if waiting else next(iterator)).done()
    del waiting
    results.clear()
    futures.clear()
    for left in (5, 4, 3, 2, 1):
        gc.collect()
        assert len([reference for reference in alive if reference()]) == left * 2
        next(iterator)
    gc.collect()
    assert not [reference for reference in alive if reference()]
    assert next(iterator, None) is None


def test_a_cycle_through_the_generator_is_collected(library: BackEnd, make: Callable[[], Any]) -> None:
    futures = [make(), finished(make())]
    iterator = library.futures.as_completed(futures)
    assert next(iterator) is futures[1]
    futures[0].iterator = iterator
    alive = weakref.ref(futures[0])
    del futures, iterator
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("raised", [True, False])
def test_a_signal_handler_may_raise_or_finish_futures(
    library: BackEnd, make: Callable[[], Any], raised: bool
) -> None:
    futures = [make(), make()]
    main, calls = threading.main_thread(), []

    def handler(*_: object) -> None:
        calls.append("called")
        if raised:
            raise LookupError("from the handler")
        for future in futures:
            future.set_result(1)

    def kill() -> None:
        until_asleep(main)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    killer = Result(kill)
    try:
        if raised:
            assert refusal(list, library.futures.as_completed(futures)) == (LookupError, "from the handler")
        else:
            assert list(library.futures.as_completed(futures)) == futures
    finally:
        killer.get()
        signal.signal(signal.SIGUSR1, before)
    assert calls == ["called"]
    assert [observers(future) for future in futures] == [0, 0]


def test_it_works_in_a_done_callback(library: BackEnd, make: Callable[[], Any]) -> None:
    future, other, found = make(), make(), []

    def called(future: Any) -> None:
        iterator = library.futures.as_completed([future, other])
        found.append(next(iterator))
        other.set_result(2)
        found.extend(iterator)

    future.add_done_callback(called)
    future.set_result(1)
    assert found == [future, other]


def test_several_threads_each_find_every_future_once(
    library: BackEnd, make: Callable[[], Any], frantic: None
) -> None:
    for _ in rounds(30):
        futures = [make() for _ in range(12)]
        barrier = threading.Barrier(4)

        def end(mine: list[Any], barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            for number, future in enumerate(mine):
                (finished, failed, cancelled)[number % 3](future)

        def find(futures: list[Any] = futures, barrier: threading.Barrier = barrier) -> list[Any]:
            barrier.wait()
            return list(library.futures.as_completed(futures, TIMEOUT_SECONDS))

        others = [Result(end, futures[:6]), Result(end, futures[6:])]
        finders = [Result(find), Result(find)]
        for finder in finders:
            found = finder.get()
            assert len(found) == 12
            assert set(found) == set(futures)
        for other in others:
            other.get()
        assert [observers(future) for future in futures] == [0] * 12


def test_a_future_that_is_seen_done_comes_before_one_that_finishes_later(
    library: BackEnd, frantic: None
) -> None:
    """This must hold without a GIL too."""
    for _ in rounds(200):
        pending, first, second = (library.futures.Future() for _ in range(3))
        iterator = library.futures.as_completed([second, finished(pending), first])
        assert next(iterator) is pending  # from here on, it waits for the others

        def follow(first: Any = first, second: Any = second) -> None:
            while not first.done():
                pass
            second.set_result(2)

        waiting, following = Result(list, iterator), Result(follow)
        first.set_result(1)
        assert waiting.get() == [first, second]
        following.get()


def test_each_library_waits_for_the_futures_of_the_other() -> None:
    for function, maker in ((STANDARD, OXTHREADS), (OXTHREADS, STANDARD), (OXTHREADS, OXTHREADS)):
        with maker.futures.ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(divmod, number, 7) for number in range(300)]
            found = [future.result() for future in function.futures.as_completed(futures)]
        assert sorted(found) == sorted(divmod(number, 7) for number in range(300))


def test_calls_may_be_submitted_while_others_are_waited_for() -> None:
    with OXTHREADS.futures.ThreadPoolExecutor(3) as pool:
        open_calls = {pool.submit(range, 5)}
        ran = 0
        while open_calls:
            future = next(OXTHREADS.futures.as_completed(open_calls))
            open_calls.remove(future)
            ran += 1
            open_calls.update(pool.submit(range, number) for number in future.result())
    assert ran == 32
