"""Tests of ThreadPoolExecutor. Most of them run on the standard library too."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.thread
import inspect
import itertools
import logging
import os
import queue
import re
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, BackEnd
from tests.support.pools import AFTER_SHUTDOWN, BROKEN, Pools
from tests.support.refusals import refusal
from tests.support.threads import Result
from tests.support.waiting import TIMEOUT_SECONDS, until_asleep


@pytest.fixture
def pools(library: BackEnd) -> Iterator[Pools]:
    pools = Pools(library)
    yield pools
    pools.gate.set()
    for executor in pools.made:
        Result(executor.shutdown).get()


def test_a_call_gets_the_arguments_it_was_submitted_with(pools: Pools) -> None:
    def call(*args: object, **keywords: object) -> object:
        return args, keywords

    executor = pools(2)
    assert executor.submit(call).result() == ((), {})
    assert executor.submit(call, 1, None).result() == ((1, None), {})
    named = {"self": 1, "fn": 2, "args": 3, "kwargs": 4, "future": 5}
    assert executor.submit(call, 0, **named).result() == ((0,), named)
    assert isinstance(executor.submit(call), pools.library.futures.Future)


def test_objects_that_cannot_be_called_raise_the_standard_errors(pools: Pools) -> None:
    executor = pools(1)
    assert refusal(executor.submit)[0] is TypeError
    assert refusal(executor.submit, fn=int)[0] is TypeError
    assert refusal(executor.submit(5).result) == (TypeError, "'int' object is not callable")


def test_calls_begin_in_the_order_in_which_they_were_submitted(pools: Pools) -> None:
    executor, begun = pools(1), []
    pools.block(executor)
    futures = [executor.submit(begun.append, number) for number in range(100)]
    assert futures[50].cancel()
    pools.gate.set()
    executor.shutdown()
    assert begun == [*range(50), *range(51, 100)]


@pytest.mark.parametrize("kind", [ValueError, StopIteration, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_any_exception_of_a_call_is_stored_and_the_worker_goes_on(
    pools: Pools, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise error

    executor, error = pools(1), kind("told")
    worker = executor.submit(threading.current_thread).result()
    future = executor.submit(fail)
    assert future.exception() is error
    assert refusal(future.result) == (kind, "told")
    assert traceback.extract_tb(error.__traceback__)[-1].name == "fail"
    assert executor.submit(threading.current_thread).result() is worker
    assert not caplog.records


def test_a_failing_callback_of_a_failed_call_is_logged_with_both_exceptions(
    pools: Pools, caplog: pytest.LogCaptureFixture
) -> None:
    def clumsy(future: Any) -> None:
        raise KeyError("from the callback")

    executor = pools(1)
    blocked = pools.block(executor)
    future = executor.submit(divmod, 1, 0)
    future.add_done_callback(clumsy)
    pools.gate.set()
    executor.shutdown()
    (record,) = caplog.records
    assert record.getMessage() == f"exception calling callback for {future!r}"
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError
    assert isinstance(getattr(record.exc_info[1], "__context__", None), ZeroDivisionError)
    assert blocked[0].result() is True


def test_map_yields_results_in_order_as_soon_as_possible(pools: Pools) -> None:
    executor, gates = pools(3), [threading.Event() for _ in range(3)]

    def call(number: int, offset: int) -> int:
        assert gates[number].wait(TIMEOUT_SECONDS)
        return number + offset

    results = executor.map(call, range(3), itertools.count(10), chunksize=2)
    gates[2].set()
    gates[0].set()
    assert next(results) == 10
    waiting = Result(list, results)
    until_asleep(waiting.thread)
    gates[1].set()
    assert waiting.get() == [12, 14]


def test_map_raises_the_exception_of_a_call_and_ends(pools: Pools) -> None:
    results = pools(2).map(divmod, [4, 1, 6], [2, 0, 2])
    assert next(results) == (2, 0)
    assert refusal(next, results)[0] is ZeroDivisionError
    assert [*results] == []


def test_map_raises_at_its_timeout(pools: Pools) -> None:
    results = pools(1).map(pools.gate.wait, [TIMEOUT_SECONDS], timeout=0.001)
    assert refusal(next, results)[0] is TimeoutError


def test_closing_map_cancels_the_calls_that_have_not_begun(pools: Pools) -> None:
    executor, second, ran = pools(1), threading.Event(), []

    def call(number: int) -> None:
        ran.append(number)
        if number == 1:
            second.set()
            assert pools.gate.wait(TIMEOUT_SECONDS)

    results = executor.map(call, range(10))
    next(results)
    assert second.wait(TIMEOUT_SECONDS)
    results.close()
    pools.gate.set()
    executor.shutdown()
    assert ran == [0, 1]


def test_shutdown_waits_until_everything_has_been_run_and_the_workers_have_ended(pools: Pools) -> None:
    executor = pools(2)
    futures = [*pools.block(executor, 2), *(executor.submit(pow, 2, 3) for _ in range(10))]
    workers = [*executor._threads]
    waiting = [Result(executor.shutdown), Result(executor.shutdown, wait=True)]
    until_asleep(*(result.thread for result in waiting))
    assert refusal(executor.submit, int) == AFTER_SHUTDOWN
    pools.gate.set()
    for result in waiting:
        assert result.get() is None
    assert [future.result(0) for future in futures] == [True] * 2 + [8] * 10
    assert not {*threading.enumerate()}.intersection(workers)
    executor.shutdown()
    assert refusal(executor.submit, int) == AFTER_SHUTDOWN


def test_shutdown_without_wait_returns_at_once(pools: Pools) -> None:
    executor = pools(1)
    running, pending = *pools.block(executor), executor.submit(pow, 2, 3)
    executor.shutdown(wait=False)
    executor.shutdown(False)
    assert running.running()
    assert refusal(executor.submit, int) == AFTER_SHUTDOWN
    pools.gate.set()
    assert (running.result(), pending.result()) == (True, 8)


def test_shutdown_may_cancel_pending_calls(pools: Pools) -> None:
    executor, calls = pools(1), []
    (running,) = pools.block(executor)
    pending = [executor.submit(calls.append, number) for number in range(5)]
    pending[0].add_done_callback(calls.append)
    executor.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in pending)
    assert executor._work_queue.qsize() <= 1  # the standard queue holds a None
    pools.gate.set()
    executor.shutdown()
    assert running.result() is True
    assert calls == [pending[0]]


def test_leaving_the_with_block_shuts_the_pool_down(library: BackEnd) -> None:
    with library.futures.ThreadPoolExecutor(2) as executor:
        future = executor.submit(pow, 2, 3)
    assert future.result(0) == 8
    assert refusal(executor.submit, int) == AFTER_SHUTDOWN
    with pytest.raises(KeyError), library.futures.ThreadPoolExecutor(2) as executor:
        raise KeyError
    assert refusal(executor.submit, int) == AFTER_SHUTDOWN


@pytest.mark.parametrize("number", [0, -1, -0.5, "2", None])
def test_bad_numbers_of_workers_raise_the_standard_errors(pools: Pools, number: Any) -> None:
    if number is not None:
        expected = refusal(concurrent.futures.ThreadPoolExecutor, number)
        assert refusal(pools, max_workers=number) == expected
    assert refusal(pools, 1, initializer=5) == (TypeError, "initializer must be a callable")
    assert refusal(pools, 1, size=5)[0] is TypeError


@pytest.mark.parametrize("number", [1, True, 2.5, 2**70, float("inf")])
def test_any_positive_number_of_workers_is_accepted(pools: Pools, number: Any) -> None:
    executor = pools(number)
    assert executor._max_workers == number
    assert executor.submit(pow, 2, 3).result() == 8


@pytest.mark.parametrize("cpus", [None, 1, 3, 200])
def test_the_number_of_workers_depends_on_the_number_of_cpus(
    pools: Pools, cpus: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cpu_count", "process_cpu_count"):
        monkeypatch.setattr(os, name, lambda: cpus, raising=False)
    assert pools()._max_workers == pools(max_workers=None)._max_workers == min(32, (cpus or 1) + 4)


@pytest.mark.one_thread("counts the pools of the process")
def test_workers_are_threads_with_the_given_names(pools: Pools) -> None:
    executor = pools(2, "mine")
    pools.block(executor, 2)
    assert {thread.name for thread in executor._threads} == {"mine_0", "mine_1"}
    for thread in executor._threads:
        assert isinstance(thread, threading.Thread)
        assert thread in threading.enumerate()
        assert not thread.daemon
    numbers = []
    for _ in range(2):
        name = pools(1).submit(lambda: threading.current_thread().name).result()
        numbers.append(int(re.fullmatch(r"ThreadPoolExecutor-(\d+)_0", name)[1]))  # type: ignore[index]
    assert numbers[1] == numbers[0] + 1


def test_workers_started_from_a_daemon_thread_are_daemons(pools: Pools) -> None:
    executor = pools(1)
    assert Result(executor.submit, lambda: threading.current_thread().daemon).get().result() is True


def test_an_idle_worker_is_used_before_another_is_started(pools: Pools) -> None:
    executor = pools(3)
    for _ in range(5):
        worker = executor.submit(threading.current_thread).result()
        until_asleep(worker)
    assert executor._threads == {worker}
    for count in (1, 2, 3):
        pools.block(executor)
        assert len(executor._threads) == count
    pending = executor.submit(int)
    assert len(executor._threads) == 3
    assert executor._work_queue.qsize() == 1
    assert not executor._work_queue.empty()
    pools.gate.set()
    assert pending.result() == 0
    assert executor._work_queue.qsize() == 0


def test_more_workers_may_be_allowed_later(pools: Pools) -> None:
    executor = pools(1)
    pools.block(executor)
    pending = executor.submit(int)
    executor._max_workers = 2
    assert executor._max_workers == 2
    assert executor.submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8
    assert pending.result() == 0
    assert len(executor._threads) == 2


def test_the_initializer_is_called_first_in_every_worker(pools: Pools) -> None:
    seen: list[tuple[object, ...]] = []
    executor = pools(
        3, initializer=lambda *args: seen.append((threading.current_thread(), *args)), initargs=(1, 2)
    )
    pools.block(executor, 3)
    assert {thread for thread, *_ in seen} == executor._threads
    assert [args for _, *args in seen] == [[1, 2]] * 3


@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_an_initializer_that_fails_breaks_the_pool(
    pools: Pools, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        assert pools.gate.wait(TIMEOUT_SECONDS)
        raise kind("early")

    executor = pools(1, initializer=fail)
    pending = [executor.submit(int) for _ in range(5)]
    pools.gate.set()
    for future in pending:
        assert refusal(future.result, TIMEOUT_SECONDS) == BROKEN
    assert refusal(executor.submit, int) == BROKEN
    executor.shutdown()
    assert refusal(executor.submit, int) == BROKEN
    assert caplog.record_tuples == [("concurrent.futures", logging.CRITICAL, "Exception in initializer:")]
    assert caplog.records[0].exc_info is not None
    assert caplog.records[0].exc_info[0] is kind


def test_a_call_that_is_submitted_while_the_pool_breaks_gets_the_error(pools: Pools) -> None:
    class Turnstile:
        """A lock that a worker gets only after the gate has opened."""

        lock, reached = threading.Lock(), threading.Event()

        def __enter__(self) -> None:
            if threading.current_thread() is not threading.main_thread():
                self.reached.set()
                assert pools.gate.wait(TIMEOUT_SECONDS)
            self.lock.acquire()

        def __exit__(self, *_: object) -> None:
            self.lock.release()

    executor = pools(1, initializer=divmod, initargs=(1, 0))
    executor._shutdown_lock = Turnstile()
    executor.submit(int)
    assert Turnstile.reached.wait(TIMEOUT_SECONDS)
    try:
        future = executor.submit(int)
    except RuntimeError as error:
        assert (type(error), str(error)) == BROKEN
    else:
        pools.gate.set()
        assert refusal(future.result, TIMEOUT_SECONDS) == BROKEN


@pytest.mark.one_thread("fills a queue under the standard lock of all pools")
def test_the_work_queue_may_be_replaced(pools: Pools) -> None:
    executor, submitted = pools(1), []
    executor._work_queue = queue.Queue(maxsize=2)
    pools.block(executor)

    def submit() -> None:
        for number in range(5):
            submitted.append(executor.submit(pow, number, 2))

    submitter = Result(submit)
    until_asleep(submitter.thread)
    # The worker has the first call. Two more are in the queue, and the next one waits.
    assert len(submitted) == executor._work_queue.qsize() == 2
    pools.gate.set()
    submitter.get()
    assert [future.result() for future in submitted] == [0, 1, 4, 9, 16]
    executor.shutdown()
    assert refusal(executor.submit, int) == AFTER_SHUTDOWN


def test_a_replaced_work_queue_may_be_false_while_it_is_empty(pools: Pools) -> None:
    class Sized(queue.Queue):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return self.qsize()

    executor, items = pools(1), Sized()
    executor._work_queue = items
    assert executor._work_queue is items
    assert executor.submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8


def test_none_in_the_work_queue_ends_no_worker_of_an_open_pool(pools: Pools) -> None:
    executor = pools(1)
    worker = executor.submit(threading.current_thread).result()
    executor._work_queue.put(None)
    assert executor.submit(threading.current_thread).result(TIMEOUT_SECONDS) is worker


def test_a_subclass_may_start_workers_of_its_own(pools: Pools) -> None:
    # This follows the recipe for pools of daemon threads.
    class Daemons(pools.library.futures.ThreadPoolExecutor):  # type: ignore[misc, name-defined]
        def _adjust_thread_count(self) -> None:
            if len(self._threads) < self._max_workers:
                arguments: tuple[Any, ...] = (weakref.ref(self), self._work_queue)
                if sys.version_info >= (3, 14):
                    arguments = (arguments[0], self._create_worker_context(), arguments[1])
                else:
                    arguments += (self._initializer, self._initargs)
                worker = threading.Thread(
                    target=concurrent.futures.thread._worker, args=arguments, daemon=True
                )
                worker.start()
                self._threads.add(worker)

    executor = Daemons(2)
    futures = [executor.submit(lambda: threading.current_thread().daemon) for _ in range(5)]
    assert [future.result(TIMEOUT_SECONDS) for future in futures] == [True] * 5
    Result(executor.shutdown).get()


def test_a_subclass_may_set_the_initializer_later(pools: Pools) -> None:
    if sys.version_info >= (3, 14):
        pytest.skip("the standard pool has no such attributes from Python 3.14 on")
    executor, seen = pools(1), []
    executor._initializer, executor._initargs = seen.append, ("later",)
    executor.submit(int).result()
    assert seen == ["later"]


def test_a_subclass_may_extend_submit(pools: Pools) -> None:
    class Counting(pools.library.futures.ThreadPoolExecutor):  # type: ignore[misc, name-defined]
        def __init__(self, label: str) -> None:
            super().__init__(2, thread_name_prefix=label)
            self.count = itertools.count()

        def submit(self, fn: Callable[..., object], /, *args: object, **keywords: object) -> Any:
            next(self.count)
            return super().submit(fn, *args, **keywords)

    executor = Counting("counting")
    pools.made.append(executor)
    assert [*executor.map(pow, range(5), [2] * 5)] == [0, 1, 4, 9, 16]
    # An overridden submit does not make the pool fall back.
    assert isinstance(executor.submit(int), pools.library.futures.Future)
    assert next(executor.count) == 6


def test_a_worker_that_cannot_be_started_leaves_its_place_to_another(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    executor, ran = pools(1), []
    with monkeypatch.context() as patch:
        patch.setattr(pools.library.threading.Thread, "start", fail)
        assert refusal(executor.submit, ran.append, 1) == (RuntimeError, "can't start new thread")
    executor.submit(ran.append, 2).result(TIMEOUT_SECONDS)
    assert ran == [1, 2]


def test_the_class_derives_from_the_standard_class(library: BackEnd) -> None:
    ours = OXTHREADS.futures.ThreadPoolExecutor
    assert issubclass(ours, concurrent.futures.ThreadPoolExecutor)
    assert isinstance(ours(1), concurrent.futures.Executor)
    assert not isinstance(concurrent.futures.ThreadPoolExecutor(1), ours)
    reference = weakref.ref(executor := library.futures.ThreadPoolExecutor(1))
    assert reference() is executor


# The signature of map, which has more arguments here, is tested in test_map.py.
@pytest.mark.parametrize("method", ["submit", "shutdown"])
def test_its_methods_have_the_standard_signatures(method: str) -> None:
    def parameters(module: Any) -> list[tuple[object, ...]]:
        signature = inspect.signature(getattr(module.ThreadPoolExecutor(1), method))
        return [(each.name, each.kind, each.default) for each in signature.parameters.values()]

    assert parameters(OXTHREADS.futures) == parameters(concurrent.futures)
