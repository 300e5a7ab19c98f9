"""Tests of pools with a bounded backlog: submit waits for room, raises, or runs the call itself."""

from __future__ import annotations

import gc
import os
import queue
import signal
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS
from tests.support.endings import HELPERS
from tests.support.forks import can_fork, forks, in_child
from tests.support.interpreters import python
from tests.support.pools import AFTER_SHUTDOWN, BROKEN, Pools
from tests.support.refusals import refusal
from tests.support.threads import Result
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, until_asleep

ThreadPoolExecutor = OXTHREADS.futures.ThreadPoolExecutor


@pytest.fixture
def pools() -> Iterator[Pools]:
    pools = Pools(OXTHREADS)
    yield pools
    pools.gate.set()
    for executor in pools.made:
        Result(executor.shutdown).get()


def test_submit_waits_for_room(pools: Pools) -> None:
    executor = pools(1, max_pending=2)
    pools.block(executor)
    futures = [executor.submit(int, number) for number in range(2)]
    waiting = Result(executor.submit, int, 2)
    until_asleep(waiting.thread)
    assert executor._work_queue.qsize() == 2
    pools.gate.set()
    futures.append(waiting.get())
    assert [future.result(TIMEOUT_SECONDS) for future in futures] == [0, 1, 2]


def test_the_backlog_is_never_exceeded_and_nothing_is_lost(pools: Pools, frantic: None) -> None:
    executor = pools(3, max_pending=4)
    most = 0

    def call(number: int) -> int:
        nonlocal most
        most = max(most, executor._work_queue.qsize())
        return number

    def submit(first: int) -> list[int]:
        return [executor.submit(call, first + number).result(TIMEOUT_SECONDS) for number in range(10)] + [
            future.result(TIMEOUT_SECONDS)
            for future in [executor.submit(call, first + number) for number in range(10, 300)]
        ]

    submitters = [Result(submit, 1_000 * number) for number in range(6)]
    for number, submitter in enumerate(submitters):
        assert submitter.get() == [1_000 * number + call for call in range(300)]
    assert 0 < most <= 4


def test_a_call_for_which_a_worker_is_idle_needs_no_room(pools: Pools) -> None:
    """A call that starts a worker needs none either. Otherwise a pool of idle workers would refuse calls."""
    executor = pools(3, max_pending=1, on_full="raise")
    for _ in range(100):
        futures = [executor.submit(int) for _ in range(3)]
        assert [future.result(TIMEOUT_SECONDS) for future in futures] == [0] * 3
        spin_until(lambda: executor._idle_semaphore._value == executor.stats().workers)


def test_workers_that_are_not_ready_count_as_room_for_calls(pools: Pools) -> None:
    """They were started for calls that the first worker has run in the meantime."""
    first = threading.Lock()

    def initialize() -> None:
        if not first.acquire(blocking=False):
            assert pools.gate.wait(TIMEOUT_SECONDS)

    executor = pools(3, initializer=initialize, max_pending=1, on_full="raise")
    for workers_are_started in (False, True):
        # The first worker is held back. Then it runs the calls for which the others were started.
        release = threading.Event()
        futures = [executor.submit(release.wait, TIMEOUT_SECONDS)]
        spin_until(futures[0].running)
        futures += [executor.submit(release.wait, TIMEOUT_SECONDS) for _ in range(2)]
        if workers_are_started:
            assert refusal(executor.submit, int) == (queue.Full, "")
        release.set()
        assert [future.result(TIMEOUT_SECONDS) for future in futures] == [True] * 3
        spin_until(lambda: executor.stats().workers == 3)


def test_calls_that_a_worker_submits_go_to_idle_workers(pools: Pools) -> None:
    executor = pools(3, max_pending=1)

    def outer() -> list[bool]:
        event = threading.Event()
        futures = [executor.submit(event.wait, TIMEOUT_SECONDS) for _ in range(2)]
        event.set()
        return [future.result() for future in futures]

    for _ in range(100):
        assert executor.submit(outer).result(TIMEOUT_SECONDS) == [True, True]
        spin_until(lambda: executor._idle_semaphore._value == executor.stats().workers)


def test_submit_works_in_a_full_pool_whose_worker_could_not_be_started(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = pools(1, max_pending=1)
    with monkeypatch.context() as patch:
        patch.setattr(OXTHREADS.threading.Thread, "start", _cannot_start)
        assert refusal(executor.submit, int) == (RuntimeError, "can't start new thread")
    assert Result(executor.submit, pow, 2, 3).get().result(TIMEOUT_SECONDS) == 8


def test_a_submit_that_waits_for_room_starts_the_worker_that_failed_to_start(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = pools(1, max_pending=1)
    begun, start = threading.Event(), OXTHREADS.threading.Thread.start

    def first_fails(thread: threading.Thread) -> None:
        if begun.is_set():
            start(thread)
            return
        begun.set()
        assert pools.gate.wait(TIMEOUT_SECONDS)
        _cannot_start(thread)

    monkeypatch.setattr(OXTHREADS.threading.Thread, "start", first_fails)
    failing = Result(executor.submit, int)
    assert begun.wait(TIMEOUT_SECONDS)
    waiting = Result(executor.submit, pow, 2, 3)
    until_asleep(waiting.thread)
    pools.gate.set()
    assert refusal(failing.get) == (RuntimeError, "can't start new thread")
    assert waiting.get().result(TIMEOUT_SECONDS) == 8


def _cannot_start(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_full_pool_may_raise_full(pools: Pools) -> None:
    executor = pools(1, max_pending=1, on_full="raise")
    pools.block(executor)
    future = executor.submit(int)
    assert refusal(executor.submit, int)[0] is queue.Full
    assert refusal(executor.with_options(priority=-1).submit, int)[0] is queue.Full
    pools.gate.set()
    assert future.result(TIMEOUT_SECONDS) == 0


def test_a_refused_call_is_not_kept(pools: Pools) -> None:
    class Thing:
        def __call__(self) -> None: ...

    executor = pools(1, max_pending=1, on_full="raise")
    pools.block(executor)
    executor.submit(int)
    thing = Thing()
    reference = weakref.ref(thing)
    assert refusal(executor.submit, thing)[0] is queue.Full
    del thing
    gc.collect()
    assert reference() is None


def test_the_caller_may_run_a_call_for_which_there_is_no_room(pools: Pools) -> None:
    executor = pools(1, max_pending=1, on_full="caller_runs")
    pools.block(executor)
    pending = executor.submit(threading.get_ident)
    here = executor.submit(threading.get_ident)
    assert here.done() and here.result() == threading.get_ident()
    failed = executor.submit(divmod, 1, 0)
    assert isinstance(failed.exception(0), ZeroDivisionError)
    assert executor.stats().done == 2
    pools.gate.set()
    assert pending.result(TIMEOUT_SECONDS) != threading.get_ident()


def test_an_interrupt_in_a_call_that_the_caller_runs_is_raised_in_the_caller(pools: Pools) -> None:
    executor = pools(1, max_pending=1, on_full="caller_runs")
    pools.block(executor)
    executor.submit(int)
    ended: list[Any] = []

    def call() -> None:
        raise KeyboardInterrupt

    def submit() -> None:
        view = executor.with_options(priority=1)
        view.submit(call).add_done_callback(ended.append)

    assert refusal(submit)[0] is KeyboardInterrupt
    assert ended == []


def test_a_worker_does_not_wait_for_room_in_its_own_pool(pools: Pools) -> None:
    executor = pools(1, max_pending=1)

    def submit() -> list[int]:
        return [executor.submit(threading.get_ident).result(0) for _ in range(3)] if fill() else []

    def fill() -> bool:
        executor.submit(int)
        return True

    worker = executor.submit(threading.get_ident).result(TIMEOUT_SECONDS)
    assert executor.submit(submit).result(TIMEOUT_SECONDS) == [worker] * 3


def test_shutdown_ends_the_wait_for_room(pools: Pools) -> None:
    executor = pools(1, max_pending=1)
    pools.block(executor)
    executor.submit(int)
    waiting = Result(executor.submit, int)
    until_asleep(waiting.thread)
    executor.shutdown(wait=False)
    assert refusal(waiting.get) == AFTER_SHUTDOWN


def test_a_shutdown_that_cancels_futures_ends_the_wait_for_room(pools: Pools) -> None:
    executor = pools(1, max_pending=1)
    pools.block(executor)
    pending = executor.submit(int)
    waiting = Result(executor.submit, int)
    until_asleep(waiting.thread)
    executor.shutdown(wait=False, cancel_futures=True)
    assert refusal(waiting.get) == AFTER_SHUTDOWN
    assert pending.cancelled()


def test_a_broken_pool_ends_the_wait_for_room(pools: Pools, caplog: pytest.LogCaptureFixture) -> None:
    begun = threading.Event()

    def initializer() -> None:
        begun.set()
        pools.gate.wait(TIMEOUT_SECONDS)
        raise ZeroDivisionError

    executor = pools(1, max_pending=1, initializer=initializer)
    executor.submit(int)
    assert begun.wait(TIMEOUT_SECONDS)
    waiting = Result(executor.submit, int)
    until_asleep(waiting.thread)
    pools.gate.set()
    assert refusal(waiting.get) == BROKEN


def test_a_submit_that_waits_for_room_works_after_the_pool_falls_back(pools: Pools) -> None:
    executor = pools(1, max_pending=1)
    pools.block(executor)
    executor.submit(int)
    waiting = Result(executor.submit, pow, 2, 3)
    until_asleep(waiting.thread)
    vars(executor)["_max_workers"] = 2  # the existing worker does not know the new queue
    executor._work_queue = queue.SimpleQueue()
    assert waiting.get().result(TIMEOUT_SECONDS) == 8


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system cannot send signals to threads")
def test_ctrl_c_ends_the_wait_for_room() -> None:
    done = python(
        HELPERS
        + """
        import signal, threading, time
        from oxthreads.concurrent.futures import ThreadPoolExecutor
        gate = threading.Event()
        executor = ThreadPoolExecutor(1, max_pending=1)
        begun = threading.Event()
        executor.submit(lambda: (begun.set(), gate.wait()))
        begun.wait()
        executor.submit(print, "pending")
        def interrupt():
            until_asleep(threading.main_thread())
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        try:
            daemons(interrupt)
            executor.submit(print, "interrupted")
        except KeyboardInterrupt:
            print("Ctrl-C")
        gate.set()
        executor.shutdown()
        """.replace("\n        ", "\n")
    )
    assert (done.stdout, done.stderr) == ("Ctrl-C\npending\n", "")


def test_a_huge_max_pending_is_no_limit(pools: Pools) -> None:
    assert pools(1, max_pending=2**200).submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8


@can_fork
@forks
def test_a_full_pool_is_empty_in_a_forked_child(pools: Pools) -> None:
    executor = pools(1, max_pending=1)
    pools.block(executor)
    executor.submit(os.getpid)
    waiting = Result(executor.submit, os.getpid)
    until_asleep(waiting.thread)

    def check() -> None:
        assert executor.submit(os.getpid).result(TIMEOUT_SECONDS) == os.getpid()
        assert executor.stats().done <= 1
        executor.shutdown()

    in_child(check)
    pools.gate.set()
    assert waiting.get().result(TIMEOUT_SECONDS) == os.getpid()
