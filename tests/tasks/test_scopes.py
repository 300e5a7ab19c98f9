"""Scopes: which waits they end, how they nest, and what is left afterwards."""

from __future__ import annotations

import concurrent.futures
import contextlib
import gc
import math
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from oxthreads.concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from oxthreads.locks import RWLock, once
from oxthreads.queue import Empty, Queue, SimpleQueue
from oxthreads.tasks import (
    Cancelled,
    CancelScope,
    TaskGroup,
    check_cancelled,
    fail_after,
    move_on_after,
    sleep,
)
from oxthreads.threading import (
    Barrier,
    BrokenBarrierError,
    Condition,
    Event,
    Lock,
    RLock,
    Semaphore,
    Thread,
)
from oxthreads.waiting import select
from tests.support.back_ends import OXTHREADS
from tests.support.endless_waits import waits
from tests.support.forks import can_fork, forks, in_child
from tests.support.signals import Interrupt, fail, handler, signal_once_asleep
from tests.support.threads import Result, start
from tests.support.waiting import TIMEOUT_SECONDS, rounds, spin_until, until_asleep


@pytest.fixture
def switches_often() -> Iterator[None]:
    """Let threads take turns as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def _full_pool() -> ThreadPoolExecutor:
    """A pool that takes no more calls until its worker is free, which it is when `close` is set."""
    pool = ThreadPoolExecutor(1, max_pending=1)
    began = Event()
    pool.submit(lambda: (began.set(), over.wait()))
    began.wait()
    pool.submit(int)
    return pool


#: Ends what `_full_pool` and others have begun.
over = Event()


@pytest.fixture(autouse=True)
def ends_everything() -> Iterator[None]:
    over.clear()
    yield
    over.set()


def _waits() -> dict[str, Callable[[], object]]:
    """Waits for something that never happens, of which all but those of locks are cancellation points."""
    found: dict[str, Callable[[], object]] = {}
    for name, call in waits(OXTHREADS).items():
        if name not in ("Lock.acquire", "RLock.acquire"):
            found[name] = partial(call, None)
            if name not in ("Queue.join", "Future.exception"):
                found[f"{name} with a timeout"] = partial(call, 1000.0)
    future: Future[int] = Future()
    pool = _full_pool()

    @once
    def connect() -> None:
        over.wait()

    start(connect)
    return found | {
        "SimpleQueue.get": SimpleQueue().get,
        "Queue.get_many": Queue().get_many,
        "wait": lambda: wait([future]),
        "as_completed": lambda: next(as_completed([future])),
        "submit to a full pool": lambda: pool.submit(int),
        "map": lambda: next(pool.map(int, [1])),
        "shutdown": pool.shutdown,
        "once": connect,
        "sleep": lambda: sleep(math.inf),
        "select of a timer": lambda: select(Queue(), timeout=1000),
    }


NAMES = [*_waits()]
over.set()


@pytest.mark.parametrize("name", NAMES)
def test_a_scope_that_is_cancelled_ends_a_wait(name: str) -> None:
    caught: list[BaseException] = []
    scope = CancelScope()

    def block() -> None:
        # In this thread, which owns the locks of conditions.
        call = _waits()[name]
        begun.set()
        with scope:
            try:
                call()
            except BaseException as error:
                caught.append(error)
                raise

    begun = Event()
    result = Result(block)
    begun.wait()
    until_asleep(result.thread)
    scope.cancel()
    result.get()
    assert [type(error) for error in caught] == [Cancelled]
    assert scope.cancelled_caught
    assert scope.cancel_called


@pytest.mark.parametrize("name", NAMES)
def test_the_deadline_of_a_scope_ends_a_wait(name: str) -> None:
    def block() -> None:
        call = _waits()[name]
        with fail_after(0.02):
            call()

    before = time.monotonic()
    with pytest.raises(TimeoutError, match=r"the block took longer than 0\.02 seconds"):
        Result(block).get()
    assert time.monotonic() - before >= 0.02


@pytest.mark.parametrize("name", NAMES)
def test_a_scope_whose_time_is_over_ends_a_wait_that_begins(name: str) -> None:
    def block() -> bool:
        call = _waits()[name]
        with move_on_after(0) as scope:
            call()
        return scope.cancelled_caught

    assert Result(block).get()


@pytest.mark.parametrize("lock", [Lock(), RLock(), RWLock()], ids=["Lock", "RLock", "RWLock"])
def test_no_scope_ends_the_wait_for_a_lock(lock: Any) -> None:
    acquire = lock.acquire_write if isinstance(lock, RWLock) else lock.acquire
    start(acquire).join()
    with move_on_after(0) as scope:
        assert not acquire(timeout=0.01)
        assert scope.cancel_called
    assert not scope.cancelled_caught


def test_a_condition_has_its_lock_again() -> None:
    condition = Condition()
    with condition:
        with move_on_after(0.01) as scope:
            condition.wait()
        assert scope.cancelled_caught
        assert condition._is_owned()  # type: ignore[attr-defined]
        condition.notify()
    assert condition.acquire(blocking=False)


def test_a_cancelled_wait_breaks_the_barrier_for_the_others() -> None:
    barrier = Barrier(3)
    other = Result(barrier.wait)
    until_asleep(other.thread)
    with move_on_after(0) as scope:
        barrier.wait()
    assert scope.cancelled_caught
    with pytest.raises(BrokenBarrierError):
        other.get()


def test_a_wait_that_need_not_sleep_is_completed() -> None:
    queue: Queue[int] = Queue()
    queue.put(1)
    with move_on_after(0) as scope:
        assert queue.get() == 1
        queue.get()
        raise AssertionError
    assert scope.cancelled_caught


@pytest.mark.usefixtures("switches_often")
@pytest.mark.parametrize("kind", ["Queue.get", "Queue.put", "SimpleQueue.get", "select"])
def test_no_item_is_lost_when_it_comes_together_with_the_cancellation(kind: str) -> None:
    for number in rounds(300, 10):
        queue: Any = SimpleQueue() if kind == "SimpleQueue.get" else Queue(1)
        if kind == "Queue.put":
            queue.put("first")
        scope = CancelScope()
        both = threading.Barrier(3)
        received: list[object] = []

        def wait(queue: Any = queue, scope: CancelScope = scope, received: list[object] = received) -> None:
            with scope:
                if kind == "Queue.put":
                    queue.put("second")
                    received.append("put")
                elif kind == "select":
                    received.append(select(queue, Event())[1])
                else:
                    received.append(queue.get())

        def give(number: int = number, queue: Any = queue, both: threading.Barrier = both) -> None:
            both.wait()
            queue.get() if kind == "Queue.put" else queue.put(number)

        def cancel(scope: CancelScope = scope, both: threading.Barrier = both) -> None:
            both.wait()
            scope.cancel()

        waiter = Result(wait)
        if number % 2:
            until_asleep(waiter.thread)
        others = [start(give), start(cancel)]
        both.wait()
        for thread in others:
            thread.join()
        waiter.get()
        if kind == "Queue.put":
            assert (queue.qsize() == 1) == (received == ["put"])
        else:
            left = [] if queue.empty() else [queue.get_nowait()]
            assert received + left == [number]
        # Nobody is taken for a waiter who has left.
        queue.put_nowait("next") if queue.empty() else None
        assert queue.get(timeout=TIMEOUT_SECONDS) is not None


@pytest.mark.usefixtures("switches_often")
def test_no_notification_is_swallowed() -> None:
    """Of two threads that wait, one is cancelled when one is notified: it goes on, or the other does."""
    for _ in rounds(200, 10):
        condition = Condition()
        scope = CancelScope()
        woken: list[str] = []

        def wait(name: str, scope: CancelScope, condition: Any = condition, woken: Any = woken) -> None:
            with scope, condition:
                condition.wait()
                woken.append(name)

        first = Result(wait, "first", scope)
        until_asleep(first.thread)
        other = CancelScope()
        second = Result(wait, "second", other)
        until_asleep(second.thread)
        both = threading.Barrier(2)

        def cancel(both: threading.Barrier = both, scope: CancelScope = scope) -> None:
            both.wait()
            scope.cancel()

        canceller = start(cancel)
        both.wait()
        with condition:
            condition.notify()
        canceller.join()
        first.get()
        if not woken:
            spin_until(lambda woken=woken: woken)
        assert len(woken) == 1
        other.cancel()
        second.get()


@pytest.mark.usefixtures("switches_often")
def test_no_permit_is_lost() -> None:
    for _ in rounds(200, 10):
        semaphore = Semaphore(0)
        scope = CancelScope()
        acquired: list[bool] = []

        def wait(semaphore: Any = semaphore, scope: CancelScope = scope, acquired: Any = acquired) -> None:
            with scope:
                acquired.append(semaphore.acquire())

        waiter = Result(wait)
        until_asleep(waiter.thread)
        releaser = start(semaphore.release)
        scope.cancel()
        releaser.join()
        waiter.get()
        assert semaphore.acquire(blocking=False) == (not acquired)


def test_a_scope_that_is_changed_loses_no_notification() -> None:
    """The thread is woken to look again, and stays among those that wait for the condition."""
    condition = Condition()
    scope = CancelScope()

    def wait() -> bool:
        with scope, condition:
            return condition.wait(TIMEOUT_SECONDS)

    waiter = Result(wait)
    until_asleep(waiter.thread)
    for number in range(1000):
        scope.deadline = time.monotonic() + 1000 + number
        if number == 500:
            with condition:
                condition.notify()
    assert waiter.get()


def test_the_earliest_deadline_ends_a_wait() -> None:
    with move_on_after(1000) as outer, move_on_after(0.01) as inner:
        Event().wait()
    assert (inner.cancelled_caught, outer.cancelled_caught) == (True, False)
    with move_on_after(0.01) as outer, fail_after(1000) as inner:
        Event().wait()
    assert (inner.cancelled_caught, outer.cancelled_caught) == (False, True)


def test_the_own_timeout_of_a_wait_stays_what_it_is() -> None:
    with move_on_after(1000) as scope:
        with pytest.raises(Empty):
            Queue().get(timeout=0.01)
        assert not Event().wait(0.01)
    assert not scope.cancelled_caught


def test_the_deadline_counts_from_the_beginning_of_the_block() -> None:
    scope = move_on_after(0.05)
    assert scope.deadline == math.inf
    time.sleep(0.06)
    before = time.monotonic()
    with scope:
        assert before + 0.04 < scope.deadline < time.monotonic() + 0.06
        check_cancelled()
    assert not scope.cancel_called


def test_a_deadline_can_be_moved_while_a_thread_sleeps() -> None:
    scope = CancelScope(deadline=time.monotonic() + 1000)

    def wait() -> None:
        with scope:
            Event().wait()

    waiter = Result(wait)
    until_asleep(waiter.thread)
    assert not scope.cancel_called
    scope.deadline = moment = time.monotonic() + 0.01
    waiter.get()
    assert scope.deadline == moment
    assert scope.cancelled_caught


def test_a_deadline_that_has_ended_a_wait_cannot_be_moved() -> None:
    with move_on_after(0.01) as scope:
        try:
            Event().wait()
        except Cancelled:
            scope.deadline = math.inf
            raise
    assert scope.cancelled_caught


def test_a_shield_keeps_off_what_is_around_it() -> None:
    with move_on_after(0) as outer:
        with CancelScope(shield=True) as shielded:
            assert not Event().wait(0.01)
            with move_on_after(0.01) as inner:
                Event().wait()
            assert inner.cancelled_caught
        assert not shielded.cancel_called
        Event().wait()
    assert outer.cancelled_caught


def test_a_shield_that_is_taken_away_lets_the_cancellation_through() -> None:
    outer, shield = CancelScope(), CancelScope(shield=True)

    def wait() -> None:
        with outer, shield:
            Event().wait()

    waiter = Result(wait)
    until_asleep(waiter.thread)
    outer.cancel()
    until_asleep(waiter.thread)
    assert shield.shield
    shield.shield = False
    waiter.get()
    assert (outer.cancelled_caught, shield.cancelled_caught) == (True, False)


def test_code_that_handles_the_cancellation_may_wait() -> None:
    queue: Queue[str] = Queue()
    done: list[str] = []
    with move_on_after(0.01) as scope:
        try:
            queue.get()
        except Cancelled:
            done.append("except")
            assert not Event().wait(0.01)
            raise
        finally:
            assert not Event().wait(0.01)
            with contextlib.suppress(KeyError):
                try:
                    raise KeyError
                finally:
                    assert not Event().wait(0.01)
                    done.append("in another exception")
            done.append("finally")
    assert done == ["except", "in another exception", "finally"]
    assert scope.cancelled_caught


def test_code_that_has_swallowed_the_cancellation_may_not_wait() -> None:
    with move_on_after(0.01) as scope:
        with contextlib.suppress(Cancelled):
            Event().wait()
        Event().wait()
        raise AssertionError
    assert scope.cancelled_caught


def test_code_that_handles_the_cancellation_has_so_much_time() -> None:
    before = time.monotonic()
    with move_on_after(0, grace=0.05) as scope:
        try:
            Event().wait()
        finally:
            try:
                Event().wait()
            finally:
                # No new time for what ends the first cleaning up.
                Event().wait()
    assert 0.05 <= time.monotonic() - before < 4
    assert scope.cancelled_caught


def test_deadlines_hold_for_code_that_handles_a_cancellation() -> None:
    with move_on_after(0) as scope:
        try:
            Event().wait()
        finally:
            with move_on_after(0.01) as inner:
                Event().wait()
            assert inner.cancelled_caught
    assert scope.cancelled_caught


def test_other_scopes_do_not_disturb_code_that_cleans_up() -> None:
    done: list[str] = []
    outer = CancelScope()
    with move_on_after(0.05) as around, outer, move_on_after(0) as scope:
        try:
            Event().wait()
        finally:
            outer.cancel()
            assert not Event().wait(0.1)
            done.append("cleaned up")
    assert done
    assert scope.cancelled_caught
    # They end what comes after it.
    assert around.cancel_called
    assert not outer.cancelled_caught


def test_what_ended_an_inner_scope_does_not_keep_off_an_outer_one() -> None:
    """The TimeoutError of `fail_after` has the cancellation of its own scope as its context."""
    with move_on_after(0.05) as outer:
        try:
            with fail_after(0.01):
                Event().wait()
        except TimeoutError as error:
            assert isinstance(error.__context__, Cancelled)
            assert error.__suppress_context__
            Event().wait()
            raise AssertionError from None
    assert outer.cancelled_caught


def test_a_group_of_exceptions_leads_to_the_cancellation() -> None:
    with move_on_after(0.01) as scope:
        try:
            Event().wait()
        except Cancelled as error:
            raise BaseExceptionGroup("both", [error]) from None
    assert scope.cancelled_caught
    with pytest.raises(ExceptionGroup) as caught, move_on_after(0.01) as scope:
        try:
            Event().wait()
        except Cancelled as error:
            raise BaseExceptionGroup("both", [error, ValueError("lost?")]) from None
    assert scope.cancelled_caught
    assert [repr(error) for error in caught.value.exceptions] == ["ValueError('lost?')"]
    with move_on_after(0.01) as scope:
        try:
            Event().wait()
        except* Cancelled:
            assert not Event().wait(0.01)
            raise


def test_an_exception_that_replaces_the_cancellation_goes_on() -> None:
    with pytest.raises(KeyError), move_on_after(0) as scope:
        try:
            Event().wait()
        finally:
            raise KeyError
    assert not scope.cancelled_caught


def test_a_cancelled_error_of_a_future_is_none_of_a_scope() -> None:
    future: Future[int] = Future()
    future.cancel()
    with pytest.raises(concurrent.futures.CancelledError), move_on_after(0):
        future.result()


def test_a_cancellation_that_a_program_raises_is_none_of_a_scope() -> None:
    with pytest.raises(Cancelled), move_on_after(0):
        raise Cancelled


def test_a_scope_is_entered_once() -> None:
    scope = CancelScope()
    with scope, pytest.raises(RuntimeError, match="entered once"):
        scope.__enter__()
    with pytest.raises(RuntimeError, match="entered once"):
        scope.__enter__()
    with pytest.raises(RuntimeError, match="not entered"):
        scope.__exit__(None, None, None)
    check_cancelled()


def test_a_scope_is_left_by_its_thread() -> None:
    scope = CancelScope()
    with scope, pytest.raises(RuntimeError, match="by the thread that has entered it"):
        Result(scope.__exit__, None, None, None).get()
    assert "left" in repr(scope)


def test_scopes_are_left_in_order() -> None:
    outer, inner = CancelScope(), CancelScope()
    outer.__enter__()
    inner.__enter__()
    with pytest.raises(RuntimeError, match="left before one that was entered inside of it"):
        outer.__exit__(None, None, None)
    # It has been left all the same.
    outer.cancel()
    check_cancelled()
    inner.cancel()
    with pytest.raises(Cancelled):
        check_cancelled()
    inner.__exit__(None, None, None)
    check_cancelled()


def test_a_scope_that_was_entered_and_forgotten_has_no_effect() -> None:
    def enter() -> None:
        move_on_after(0).__enter__()

    enter()
    gc.collect()
    check_cancelled()
    with move_on_after(0) as scope:
        enter()
        gc.collect()
        with pytest.raises(Cancelled):
            check_cancelled()
    assert not scope.cancelled_caught
    check_cancelled()


def test_a_thread_that_is_started_is_known_to_its_starter() -> None:
    """The start of a thread waits until it runs: that is not ended, since the thread runs in any case."""
    ran: list[int] = []
    with CancelScope() as scope:
        scope.cancel()
        for number in range(100):
            thread = Thread(target=ran.append, args=(number,))
            thread.start()
        pools = [ThreadPoolExecutor(1) for _ in range(100)]
        futures = [pool.submit(ran.append, 0) for pool in pools]
    for pool in pools:
        pool.shutdown()
    assert all(future.done() for future in futures)
    spin_until(lambda: len(ran) == 200)


def test_other_threads_are_not_in_the_scope() -> None:
    with CancelScope() as scope:
        scope.cancel()
        Result(check_cancelled).get()
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(lambda: Event().wait(0.01))
        spin_until(future.done)
        assert future.result() is False


def test_a_pool_in_a_scope_is_left() -> None:
    """The calls of a pool belong to no scope; to leave the pool is to wait for its threads."""
    event = Event()
    with move_on_after(0.01) as scope, ThreadPoolExecutor(1) as pool:
        future = pool.submit(event.wait)
    assert scope.cancelled_caught
    assert not future.done()
    event.set()
    assert future.result()


def test_a_call_that_the_submitter_runs_itself_is_in_no_scope() -> None:
    pool = ThreadPoolExecutor(1, max_pending=1, on_full="caller_runs")
    began = Event()
    pool.submit(lambda: (began.set(), over.wait()))
    began.wait()
    pool.submit(int)
    with move_on_after(0) as scope:
        future = pool.submit(lambda: Event().wait(0.01))
        assert future.result(0) is False
    assert not scope.cancelled_caught
    over.set()
    pool.shutdown()


@pytest.mark.parametrize("function", [move_on_after, fail_after, sleep])
@pytest.mark.parametrize("seconds", [-1, math.nan])
def test_seconds_are_checked(function: Callable[[float], object], seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds must be a non-negative number"):
        function(seconds)


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="deadline must not be NaN"):
        CancelScope(deadline=math.nan)
    with pytest.raises(ValueError, match="grace must be a non-negative number"):
        CancelScope(grace=-1)
    with pytest.raises(TypeError):
        CancelScope("soon")  # type: ignore[call-arg, arg-type]
    with pytest.raises(TypeError):
        move_on_after("soon")  # type: ignore[arg-type]
    with CancelScope() as scope, pytest.raises(ValueError, match="NaN"):
        scope.deadline = math.nan
    for seconds in (None, math.inf, 1e300):
        with move_on_after(seconds) as scope:
            assert not Event().wait(0.001)
        assert scope.deadline > 1e9


def test_sleep_sleeps() -> None:
    before = time.monotonic()
    sleep(0.01)
    assert time.monotonic() - before >= 0.01
    sleep(0)
    with move_on_after(0) as scope:
        sleep(0)
    assert scope.cancelled_caught


def test_objects_are_freed() -> None:
    with move_on_after(0) as scope:
        Event().wait()
    gone = weakref.ref(scope)
    del scope
    assert gone() is None


def test_there_are_no_subclasses() -> None:
    for kind in (CancelScope, Cancelled, TaskGroup):
        with pytest.raises(TypeError, match="not an acceptable base type"):
            type("Sub", (kind,), {})


def test_a_deadline_that_is_set_before_the_block() -> None:
    scope = move_on_after(1000)
    scope.deadline = time.monotonic() + 0.01
    with scope:
        Event().wait()
    assert scope.cancelled_caught


def test_what_a_time_limit_says() -> None:
    with pytest.raises(TimeoutError, match="the block was cancelled"), fail_after(1000) as scope:
        scope.cancel()
        Event().wait()
    with pytest.raises(TimeoutError, match="the block took too long"), fail_after(1000) as scope:
        scope.deadline = time.monotonic() + 0.01
        Event().wait()


def test_that_the_time_was_over_is_known_after_the_block() -> None:
    with move_on_after(0.001) as scope:
        time.sleep(0.002)
    assert scope.cancel_called
    assert not scope.cancelled_caught


def test_a_scope_that_outlives_many_around_it() -> None:
    scopes = [CancelScope() for _ in range(100_000)]
    for scope in scopes:
        scope.__enter__()
    last = scopes[-1]
    while scopes:
        scopes.pop().__exit__(None, None, None)
    del scope, last  # one after the other, and not one inside of the other


def test_many_scopes_inside_of_each_other() -> None:
    with contextlib.ExitStack() as stack:
        scopes = [stack.enter_context(CancelScope()) for _ in range(1000)]
        scopes[0].cancel()
        Event().wait()
    assert [scope.cancelled_caught for scope in scopes] == [True] + 999 * [False]


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.one_thread("sends signals")
def test_a_signal_handler_that_raises_ends_the_wait() -> None:
    with handler(fail), pytest.raises(Interrupt), CancelScope() as scope:
        sender = signal_once_asleep()
        Event().wait()
    sender.join()
    assert not scope.cancel_called


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.one_thread("sends signals")
def test_a_signal_handler_may_cancel() -> None:
    scope = CancelScope()
    with handler(scope.cancel), scope:
        sender = signal_once_asleep()
        Event().wait()
    sender.join()
    assert scope.cancelled_caught


@can_fork
@forks
@pytest.mark.one_thread("forks")
def test_a_child_has_the_scopes_of_its_thread() -> None:
    def check() -> None:
        try:
            Event().wait()
        except Cancelled:
            return
        raise AssertionError

    with CancelScope() as scope:
        in_child(lambda: (scope.cancel(), check()))
        assert not scope.cancel_called
        check_cancelled()


@can_fork
@forks
@pytest.mark.one_thread("forks")
def test_in_a_child_a_scope_ends_the_waits_of_the_child() -> None:
    """The sleepers of the parent, which would wake the others one after the other, do not exist there."""

    def check() -> None:
        ended: list[int] = []
        with contextlib.suppress(Cancelled), TaskGroup() as group:
            for number in range(4):
                group.start_soon(wait, ended, number)
            spin_until(lambda: "4 running" in repr(group))
            scope.cancel()
            spin_until(lambda: len(ended) == 4)

    def wait(ended: list[int], number: int) -> None:
        try:
            Event().wait()
        finally:
            ended.append(number)

    with CancelScope() as scope, TaskGroup() as group:
        futures = [group.submit(Event().wait) for _ in range(100)]
        spin_until(lambda: all(future.running() for future in futures))
        in_child(check)
        group.cancel()


def test_generators_that_are_left_out_of_order() -> None:
    def limited() -> Iterator[int]:
        with move_on_after(1000):
            yield 1

    generator = limited()
    with pytest.raises(RuntimeError, match="left before one that was entered inside"), move_on_after(1000):
        next(generator)
    # The scope of the generator is still entered, in this thread.
    with pytest.raises(StopIteration):
        next(generator)
    check_cancelled()
