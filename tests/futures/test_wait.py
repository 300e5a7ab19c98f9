"""Tests of wait with futures of either library, and with both kinds in one call."""

from __future__ import annotations

import concurrent.futures
import gc
import inspect
import itertools
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.interpreters import python
from tests.support.mixed_futures import MAKERS, Counting, cancelled, failed, finished, observers
from tests.support.refusals import refusal
from tests.support.threads import Result
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, until_asleep

WHENS = [FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED]


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest, library: BackEnd) -> Callable[[], Any]:
    """A function that makes futures of one kind. Each test runs with every kind that a program may mix."""
    maker = MAKERS[request.param]
    return lambda: maker(library)


def test_wait_and_as_completed_have_the_standard_signatures() -> None:
    for name in ("wait", "as_completed"):
        ours, standard = getattr(OXTHREADS.futures, name), getattr(concurrent.futures, name)
        assert inspect.signature(ours) == inspect.signature(standard)
        assert inspect.isgeneratorfunction(ours) == inspect.isgeneratorfunction(standard)
        assert ours.__name__ == ours.__qualname__ == name
        assert ours.__doc__


@pytest.mark.parametrize("return_when", [*WHENS, "whatever", None])
def test_finished_futures_are_returned_at_once(
    library: BackEnd, make: Callable[[], Any], return_when: Any
) -> None:
    """Neither the timeout nor `return_when` is checked then."""
    for fs in ([], [finished(make()), failed(make()), cancelled(make())]):
        done, not_done = library.futures.wait(iter(fs), "x", return_when)
        assert (done, not_done) == (set(fs), set())
        assert type(done) is type(not_done) is set
    assert [observers(future) for future in fs] == [0] * 3


def test_the_result_is_the_standard_named_tuple(library: BackEnd, make: Callable[[], Any]) -> None:
    futures = [finished(make()), make()]
    for fs, timeout in (([], None), (futures[:1], None), (futures, 0), (futures[1:], 0)):
        result = library.futures.wait(fs, timeout=timeout)
        assert type(result) is concurrent.futures._base.DoneAndNotDoneFutures
        assert result.done | result.not_done == set(fs)


@pytest.mark.parametrize("return_when", ["whatever", "", None, 1, "all_completed"])
def test_an_unknown_return_when_is_refused(
    library: BackEnd, make: Callable[[], Any], return_when: Any
) -> None:
    futures = [make(), finished(make())]
    expected = (ValueError, f"Invalid return condition: {return_when!r}")
    assert refusal(library.futures.wait, futures, "x", return_when) == expected
    assert [observers(future) for future in futures] == [0, 0]


@pytest.mark.parametrize("fs", [1, None, [1], [None, None], ["_condition"], [[]]])
def test_other_objects_than_futures_raise_the_standard_error(fs: Any) -> None:
    expected = refusal(concurrent.futures.wait, fs)
    assert refusal(OXTHREADS.futures.wait, fs) == expected
    if isinstance(fs, list) and fs != [[]]:
        future = OXTHREADS.futures.Future()
        assert refusal(OXTHREADS.futures.wait, [future, *fs])[0] is expected[0]
        assert observers(future) == 0


@pytest.mark.parametrize("timeout", [0, 0.0, -0.0, -1, False, 5e-324, 1e-9, 0.001, float("-inf")])
@pytest.mark.parametrize("return_when", WHENS)
def test_a_wait_ends_at_the_timeout(
    library: BackEnd, make: Callable[[], Any], return_when: str, timeout: Any
) -> None:
    pending, running, merely_cancelled, done = make(), make(), make(), cancelled(make())
    running.set_running_or_notify_cancel()
    merely_cancelled.cancel()
    waiting = [pending, running, merely_cancelled]
    assert library.futures.wait(waiting, timeout, return_when) == (set(), set(waiting))
    assert library.futures.wait([*waiting, done], timeout, return_when) == ({done}, set(waiting))
    assert [observers(future) for future in (*waiting, done)] == [0] * 4


@pytest.mark.parametrize(
    "timeout",
    [
        "x",
        [],
        object,
        1j,
        Decimal("0.001"),
        Fraction(1, 1000),
        1e300,
        float("inf"),
        float("nan"),
        2**70,
        threading.TIMEOUT_MAX * 2,
    ],
)
def test_bad_timeouts_raise_the_standard_errors(timeout: Any) -> None:
    def attempt(wait: Any, future: Any) -> object:
        try:
            return len(wait([future], timeout).not_done)
        except (TypeError, ValueError, OverflowError) as error:
            return type(error), str(error)

    expected = attempt(concurrent.futures.wait, concurrent.futures.Future())
    for future in (OXTHREADS.futures.Future(), concurrent.futures.Future()):
        assert attempt(OXTHREADS.futures.wait, future) == expected
        assert observers(future) == 0


def test_duplicates_are_waited_for_once(library: BackEnd, make: Callable[[], Any]) -> None:
    future, other = make(), make()
    waiting = Result(library.futures.wait, [future, other, future, other, future])
    until_asleep(waiting.thread)
    future.set_result(1)
    other.set_result(2)
    assert waiting.get() == ({future, other}, set())


@pytest.mark.parametrize("end", [finished, failed, cancelled])
@pytest.mark.parametrize("return_when", WHENS)
@pytest.mark.parametrize("timeout", [None, 30, threading.TIMEOUT_MAX])
def test_return_when_says_when_the_wait_ends(
    library: BackEnd, make: Callable[[], Any], end: Callable[[Any], Any], return_when: str, timeout: Any
) -> None:
    futures = [make() for _ in range(3)]
    waiting = Result(library.futures.wait, futures, timeout, return_when)
    until_asleep(waiting.thread)
    end(futures[1])
    if return_when == FIRST_COMPLETED or (return_when == FIRST_EXCEPTION and end is failed):
        assert waiting.get() == ({futures[1]}, {futures[0], futures[2]})
        assert [observers(future) for future in futures] == [0] * 3
        return
    finished(futures[0])
    until_asleep(waiting.thread)
    cancelled(futures[2])
    assert waiting.get() == (set(futures), set())


@pytest.mark.parametrize("return_when", WHENS)
def test_a_cancellation_counts_when_the_executor_has_seen_it(
    library: BackEnd, make: Callable[[], Any], return_when: str
) -> None:
    future = make()
    waiting = Result(library.futures.wait, [future], None, return_when)
    until_asleep(waiting.thread)
    assert future.cancel()
    until_asleep(waiting.thread)
    assert not future.set_running_or_notify_cancel()
    assert waiting.get() == ({future}, set())


class Falsy(Exception):
    def __bool__(self) -> bool:
        return False


@pytest.mark.parametrize("error", [Falsy(), KeyError, "text", None], ids=repr)
def test_any_object_set_as_the_exception_ends_a_wait_for_the_first_exception(
    library: BackEnd, make: Callable[[], Any], error: Any
) -> None:
    futures = [make(), make()]
    waiting = Result(library.futures.wait, futures, None, FIRST_EXCEPTION)
    until_asleep(waiting.thread)
    futures[0].set_exception(error)
    assert waiting.get() == ({futures[0]}, {futures[1]})
    # But None does not count as an exception of a future that was done before.
    waiting = Result(library.futures.wait, futures, None, FIRST_EXCEPTION)
    if error is None:
        until_asleep(waiting.thread)
        futures[1].set_result(1)
    assert waiting.get() == ((set(futures), set()) if error is None else ({futures[0]}, {futures[1]}))


def test_a_wait_for_the_first_exception_waits_for_all_if_there_is_none(
    library: BackEnd, make: Callable[[], Any]
) -> None:
    futures = [make(), make(), finished(make()), cancelled(make())]
    waiting = Result(library.futures.wait, futures, None, FIRST_EXCEPTION)
    until_asleep(waiting.thread)
    cancelled(futures[0])
    until_asleep(waiting.thread)
    futures[1].set_result(1)
    assert waiting.get() == (set(futures), set())


@pytest.mark.parametrize("return_when", WHENS)
def test_one_call_takes_all_kinds_of_futures(library: BackEnd, return_when: str) -> None:
    for last in MAKERS:
        futures = {name: maker(library) for name, maker in MAKERS.items()}
        waiting = Result(library.futures.wait, futures.values(), None, return_when)
        until_asleep(waiting.thread)
        if return_when == ALL_COMPLETED:
            for name, future in futures.items():
                if name != last:
                    finished(future)
            until_asleep(waiting.thread)
        failed(futures[last])
        done, not_done = waiting.get()
        assert futures[last] in done
        assert len(not_done) == (0 if return_when == ALL_COMPLETED else len(MAKERS) - 1)
        # The standard functions leave no waiter behind either.
        assert [observers(future) for future in futures.values()] == [0] * len(futures)


def test_our_futures_may_fall_back_while_they_are_waited_for(library: BackEnd) -> None:
    futures = [OXTHREADS.futures.Future() for _ in range(3)]
    waiting = Result(library.futures.wait, futures)
    until_asleep(waiting.thread)
    assert [observers(future) for future in futures[:2]] == [1, 1]
    for future in futures:
        future.set_result(1)
    assert waiting.get() == (set(futures), set())
    assert [observers(future) for future in futures] == [0] * 3


@pytest.mark.parametrize("end", [finished, failed, cancelled, None])
def test_a_wait_leaves_nothing_in_futures_that_fall_back_during_it(end: Any) -> None:
    futures = [OXTHREADS.futures.Future() for _ in range(3)]
    waiting = Result(OXTHREADS.futures.wait, futures, None if end else 0.05, FIRST_COMPLETED)
    if end:
        until_asleep(waiting.thread)
    assert futures[0]._condition
    if end:
        end(futures[0])
    waiting.get()
    assert [observers(future) for future in futures] == [0] * 3


def test_several_waits_for_the_same_futures_end(library: BackEnd, make: Callable[[], Any]) -> None:
    futures = [make() for _ in range(3)]
    waits = [Result(library.futures.wait, futures, None, when) for when in WHENS * 3]
    waits += [Result(futures[0].result) for _ in range(3)]
    until_asleep(*(wait.thread for wait in waits))
    for future in futures:
        failed(future)
    for wait in waits[:9]:
        assert wait.get()
    for wait in waits[9:]:
        assert refusal(wait.get)[0] is ValueError
    assert [observers(future) for future in futures] == [0] * 3


def test_it_works_in_a_done_callback(library: BackEnd, make: Callable[[], Any]) -> None:
    future, other, results = make(), make(), []

    def called(future: Any) -> None:
        results.append(library.futures.wait([future, other], 0))
        results.append(library.futures.wait([future, other], None, FIRST_COMPLETED))

    future.add_done_callback(called)
    future.set_result(1)
    assert results == [({future}, {other})] * 2


def test_a_future_may_be_finished_by_a_callback_of_another(library: BackEnd, make: Callable[[], Any]) -> None:
    futures = [make() for _ in range(50)]
    for future, following in itertools.pairwise(futures):
        future.add_done_callback(lambda _, following=following: following.set_result(1))
    waiting = Result(library.futures.wait, futures)
    until_asleep(waiting.thread)
    futures[0].set_result(0)
    assert waiting.get() == (set(futures), set())


def test_our_futures_do_not_fall_back() -> None:
    class Mine(OXTHREADS.futures.Future):  # type: ignore[misc, name-defined]
        pass

    futures = [OXTHREADS.futures.Future(), Mine(), finished(Mine()), concurrent.futures.Future()]
    for when in WHENS:
        OXTHREADS.futures.wait(futures, 0.001, when)
    waiting = Result(OXTHREADS.futures.wait, futures)
    until_asleep(waiting.thread)
    for future in futures:
        if not future.done():
            future.set_result(1)
    waiting.get()
    assert [vars(future) for future in futures[:3]] == [{}] * 3


@pytest.mark.parametrize("return_when", WHENS)
def test_the_cost_of_a_future_does_not_grow_with_their_number(return_when: str) -> None:
    def looks(count: int) -> float:
        futures = [Counting() for _ in range(count)]
        for future in futures[::2]:
            future.set_result(1)
        Counting.looks = 0
        OXTHREADS.futures.wait(futures, 0, return_when)
        for future in futures[1::2]:
            future.set_result(1)
        OXTHREADS.futures.wait(futures, 0, return_when)
        return Counting.looks / count

    assert looks(4000) <= looks(40) * 1.5 + 1


def test_wait_keeps_no_future_alive(library: BackEnd, make: Callable[[], Any]) -> None:
    futures = [make() for _ in range(5)]
    finished(futures[0])
    alive = [weakref.ref(future) for future in futures]
    del futures
    for when in WHENS:
        library.futures.wait([future() for future in alive if future()], 0, when)
    gc.collect()
    assert [future() for future in alive] == [None] * 5


@pytest.mark.parametrize("raised", [True, False])
def test_a_signal_handler_may_raise_or_finish_futures(
    library: BackEnd, make: Callable[[], Any], raised: bool
) -> None:
    futures = [make(), make()]
    calls: list[object] = []

    def handler(*_: object) -> None:
        calls.append("called")
        if raised:
            raise LookupError("from the handler")
        for future in futures:
            future.set_result(1)

    before = signal.signal(signal.SIGUSR1, handler)
    main = threading.main_thread()

    def kill() -> None:
        until_asleep(main)
        os.kill(os.getpid(), signal.SIGUSR1)

    killer = Result(kill)
    try:
        if raised:
            assert refusal(library.futures.wait, futures) == (LookupError, "from the handler")
        else:
            assert library.futures.wait(futures) == (set(futures), set())
    finally:
        killer.get()
        signal.signal(signal.SIGUSR1, before)
    assert calls == ["called"]
    if library is OXTHREADS:
        assert [observers(future) for future in futures] == [0, 0]


@pytest.mark.parametrize("place", ["handler", "thread"])
def test_a_wait_ends_in_both_processes_after_a_fork(place: str) -> None:
    code = f"""
import os, signal, sys, threading, time, warnings
sys.path[:0] = {sys.path!r}
warnings.simplefilter("ignore")
import oxthreads.concurrent.futures as futures
from tests.support.threads import Result
from tests.support.waiting import until_asleep

first, second = futures.Future(), futures.Future()
pids = []
def fork(*_):
    pid = os.fork()
    if pid:
        pids.append(pid)
        return
    pids.append(0)
    if {place!r} == "handler":
        # In the child too, this is the thread that waits.
        threading.Timer(0.01, lambda: [first.set_result(1), second.set_result(2)]).start()
        return
    first.set_result(1)
    second.set_result(2)
    assert futures.wait([first, second]) == ({{first, second}}, set())
    assert len(list(futures.as_completed([first, second]))) == 2
    assert not first._waiters and not second._waiters
    os._exit(17)
def later():
    until_asleep(threading.main_thread())
    if {place!r} == "handler":
        os.kill(os.getpid(), signal.SIGUSR1)
        while not pids: time.sleep(0.001)
    else:
        fork()
    until_asleep(threading.main_thread())
    first.set_result(3)
    second.set_result(4)
signal.signal(signal.SIGUSR1, fork)
other = Result(later)
done, not_done = futures.wait([first, second])
if pids[0] == 0:
    assert sorted(future.result() for future in done) == [1, 2]
    os._exit(17)
other.get()
assert sorted(future.result() for future in done) == [3, 4]
assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == 17
print("both")
"""
    outcome = python(code, runner=False)
    assert (outcome.stdout, outcome.stderr) == ("both\n", "")


@pytest.mark.parametrize("return_when", WHENS)
def test_futures_may_finish_while_a_wait_begins_and_ends(
    library: BackEnd, make: Callable[[], Any], frantic: None, return_when: str
) -> None:
    for turn in range(100):
        futures = [make() for _ in range(4)]
        barrier = threading.Barrier(3)

        def end(mine: list[Any], barrier: threading.Barrier = barrier, turn: int = turn) -> None:
            barrier.wait()
            for future in mine:
                (failed if turn % 3 == 0 else finished)(future)

        enders = [Result(end, futures[:2]), Result(end, futures[2:])]
        barrier.wait()
        done, not_done = library.futures.wait(futures, None, return_when)
        assert done
        assert done | not_done == set(futures)
        assert all(future.done() for future in done)
        if return_when == ALL_COMPLETED or (return_when == FIRST_EXCEPTION and turn % 3):
            assert not not_done
        for ender in enders:
            ender.get()


def test_futures_may_fall_back_while_they_finish(frantic: None) -> None:
    for _ in range(100):
        futures = [OXTHREADS.futures.Future() for _ in range(4)]
        barrier = threading.Barrier(3)

        def end(futures: Any = futures, barrier: Any = barrier) -> None:
            barrier.wait()
            for future in futures:
                future.set_result(1)

        def take(futures: Any = futures, barrier: Any = barrier) -> None:
            barrier.wait()
            for future in futures:
                assert future._condition

        others = [Result(end), Result(take)]
        barrier.wait()
        assert OXTHREADS.futures.wait(futures, TIMEOUT_SECONDS) == (set(futures), set())
        for other in others:
            other.get()
        assert [observers(future) for future in futures] == [0] * 4


def test_each_library_waits_for_the_futures_of_the_other() -> None:
    for function, maker in ((STANDARD, OXTHREADS), (OXTHREADS, STANDARD)):
        with maker.futures.ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(divmod, number, number % 5) for number in range(100)]
            done, not_done = function.futures.wait(futures)
            assert (len(done), not_done) == (100, set())
            spin_until(lambda futures=futures: all(future.done() for future in futures))
