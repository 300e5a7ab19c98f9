"""Tests of the options that the standard pool does not have.

These are priorities, contexts, idle timeouts and statistics. The bounded backlog is in
test_executor_backlog.py.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import queue
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS
from tests.support.pools import AFTER_SHUTDOWN, BROKEN, Pools
from tests.support.refusals import refusal
from tests.support.threads import Result
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, until_asleep

ThreadPoolExecutor = OXTHREADS.futures.ThreadPoolExecutor
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.fixture
def pools() -> Iterator[Pools]:
    pools = Pools(OXTHREADS)
    yield pools
    pools.gate.set()
    for executor in pools.made:
        Result(executor.shutdown).get()


# Priorities.


def test_calls_with_lower_priority_numbers_run_first_and_equal_ones_in_order(pools: Pools) -> None:
    executor = pools(1)
    pools.block(executor)
    order: list[Any] = []
    priorities = [5, 0, -1, 5, 0, -1, 2**63 - 1, -(2**63)]
    for number, priority in enumerate(priorities):
        executor.with_options(priority=priority).submit(order.append, (priority, number))
    executor.submit(order.append, (0, len(priorities)))
    pools.gate.set()
    executor.shutdown()
    assert order == sorted(order)
    assert len(order) == len(priorities) + 1


def test_a_view_passes_on_all_arguments(pools: Pools) -> None:
    view = pools(1).with_options(priority=3)

    def call(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    future = view.submit(call, 1, fn=2, self=3, priority=4, context=5)
    assert future.result(TIMEOUT_SECONDS) == ((1,), {"fn": 2, "self": 3, "priority": 4, "context": 5})
    assert type(future) is OXTHREADS.futures.Future
    assert view.submit(call).result(TIMEOUT_SECONDS) == ((), {})


def test_a_view_is_an_executor(pools: Pools) -> None:
    executor = pools(2)
    view = executor.with_options(priority=-1)
    assert isinstance(view, concurrent.futures.Executor)
    assert list(view.map(pow, [2, 3], [3, 2])) == [8, 9]
    with view as entered:
        assert entered is view
    assert refusal(view.submit, int) == refusal(executor.submit, int) == AFTER_SHUTDOWN


def test_a_map_of_a_view_with_a_buffer_works_after_the_view_is_gone(pools: Pools) -> None:
    executor = pools(1)
    results = executor.with_options(priority=-1, context="submitter").map(
        pow, [2] * 5, range(5), buffersize=2
    )
    gc.collect()
    assert list(results) == [1, 2, 4, 8, 16]


def test_a_view_keeps_its_executor_alive(pools: Pools) -> None:
    view = ThreadPoolExecutor(1).with_options(priority=1)
    gc.collect()
    assert view.submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8
    view.shutdown()


def test_a_view_of_a_view_changes_only_the_given_options(pools: Pools) -> None:
    executor = pools(1)
    executor.submit(int).result(TIMEOUT_SECONDS)  # now the worker has a context of its own
    first = executor.with_options(priority=7, context="submitter")
    second = first.with_options(context="worker")
    third = first.with_options(priority=1)
    assert "priority=7" in repr(first) and "priority=7" in repr(second) and "priority=1" in repr(third)
    token = variable.set("mine")
    try:
        seen = [view.submit(variable.get).result(TIMEOUT_SECONDS) for view in (first, second, third)]
    finally:
        variable.reset(token)
    assert seen == ["mine", "unset", "mine"]


@pytest.mark.parametrize(
    ("priority", "error"), [("1", TypeError), (1.0, TypeError), (None, TypeError), (2**63, OverflowError)]
)
def test_a_priority_is_an_integer_of_64_bits(pools: Pools, priority: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        pools(1).with_options(priority=priority)


# The submitter's context.


@pytest.mark.parametrize(("policy", "seen"), [("worker", "unset"), ("submitter", "mine")])
def test_a_call_sees_the_context_that_the_policy_says(pools: Pools, policy: Any, seen: str) -> None:
    executor = pools(1, context=policy)
    executor.submit(int).result(TIMEOUT_SECONDS)  # now the worker has a context of its own
    token = variable.set("mine")
    try:
        futures = [executor.submit(variable.get) for _ in range(3)]
        futures += [executor.with_options().submit(variable.get)]
        mapped = list(executor.map(lambda _: variable.get(), range(2)))
    finally:
        variable.reset(token)
    assert [future.result(TIMEOUT_SECONDS) for future in futures] + mapped == [seen] * 6


def test_a_call_changes_only_its_copy_of_the_submitters_context(pools: Pools) -> None:
    executor = pools(1, context="submitter")
    executor.submit(variable.set, "theirs").result(TIMEOUT_SECONDS)
    assert variable.get() == "unset"
    assert executor.submit(variable.get).result(TIMEOUT_SECONDS) == "unset"


def test_a_call_that_raises_leaves_the_context(pools: Pools) -> None:
    executor = pools(1, context="submitter")
    executor.submit(int).result(TIMEOUT_SECONDS)  # now the worker has a context of its own
    token = variable.set("mine")
    future = executor.submit(divmod, 1, 0)
    variable.reset(token)
    assert isinstance(future.exception(TIMEOUT_SECONDS), ZeroDivisionError)
    assert executor.with_options(context="worker").submit(variable.get).result(TIMEOUT_SECONDS) == "unset"


# Idle workers.


def test_idle_workers_end_and_new_ones_start_when_needed(pools: Pools) -> None:
    executor = pools(2, idle_timeout=0.01)
    pools.block(executor, 2)
    workers = list(executor._threads)
    pools.gate.set()
    for worker in workers:
        worker.join(TIMEOUT_SECONDS)
        assert not worker.is_alive()
    assert executor.stats().workers == len(executor._threads) == 0
    assert executor.submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8


def test_no_call_is_lost_when_an_idle_worker_ends(pools: Pools) -> None:
    executor = pools(3, idle_timeout=0)
    for number in range(2_000):
        assert executor.submit(pow, number, 2).result(TIMEOUT_SECONDS) == number**2
    executor.shutdown()
    assert executor.stats().done == 2_000


def test_a_worker_that_ends_before_its_start_has_returned_is_not_kept(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = OXTHREADS.threading.Thread.start

    def start_and_wait(thread: threading.Thread) -> None:
        start(thread)
        thread.join(TIMEOUT_SECONDS)

    monkeypatch.setattr(OXTHREADS.threading.Thread, "start", start_and_wait)
    executor = pools(1, idle_timeout=0)
    assert executor.submit(pow, 2, 3).result(0) == 8
    assert not executor._threads


def test_no_worker_ends_while_there_are_calls(pools: Pools) -> None:
    executor = pools(1, idle_timeout=0)
    pools.block(executor)
    (worker,) = executor._threads
    futures = [executor.submit(threading.current_thread) for _ in range(100)]
    pools.gate.set()
    assert {future.result(TIMEOUT_SECONDS) for future in futures} == {worker}


def test_shutdown_waits_for_workers_that_are_ending(pools: Pools, frantic: None) -> None:
    for _ in range(100):
        executor = pools(2, "ending", idle_timeout=0)
        executor.submit(int).result(TIMEOUT_SECONDS)
        executor.shutdown()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("ending")]


@pytest.mark.parametrize("timeout", [None, 1e300, float("inf")])
def test_workers_stay_without_an_idle_timeout(pools: Pools, timeout: float | None) -> None:
    executor = pools(1, idle_timeout=timeout)
    worker = executor.submit(threading.current_thread).result(TIMEOUT_SECONDS)
    until_asleep(worker)
    assert executor.submit(threading.current_thread).result(TIMEOUT_SECONDS) is worker


def test_idle_workers_of_a_dropped_pool_end() -> None:
    executor = ThreadPoolExecutor(1, idle_timeout=0.01)
    worker = executor.submit(threading.current_thread).result(TIMEOUT_SECONDS)
    del executor
    worker.join(TIMEOUT_SECONDS)
    assert not worker.is_alive()


# Statistics.


def test_the_statistics_of_a_new_pool_are_zero(pools: Pools) -> None:
    statistics = pools(3).stats()
    assert tuple(statistics) == (0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0)
    assert statistics._fields == (
        "workers", "busy", "queued", "done",
        "queue_wait_total", "queue_wait_max", "run_time_total", "run_time_max",
    )  # fmt: skip


def test_the_statistics_count_workers_and_calls(pools: Pools) -> None:
    executor = pools(2)
    pools.block(executor, 2)
    futures = [executor.submit(int) for _ in range(3)]
    statistics = executor.stats()
    assert statistics[:4] == (2, 2, 3, 0)
    begin = time.monotonic()
    time.sleep(0.02)
    futures[2].cancel()
    pools.gate.set()
    futures += [executor.submit(divmod, 1, 0)]
    concurrent.futures.wait(futures)
    slept = time.monotonic() - begin
    spin_until(lambda: executor.stats().busy == 0)
    statistics = executor.stats()
    # Two calls that were blocked, two that ran, and one that failed.
    assert statistics[:4] == (2, 0, 0, 5)
    assert 0.02 <= statistics.run_time_max <= statistics.run_time_total
    assert 0.02 <= statistics.queue_wait_max <= statistics.queue_wait_total
    assert statistics.queue_wait_max <= slept + TIMEOUT_SECONDS


def test_statistics_outlive_the_workers(pools: Pools) -> None:
    executor = pools(2)
    for future in [executor.submit(int) for _ in range(100)]:
        future.result(TIMEOUT_SECONDS)
    executor.shutdown()
    statistics = executor.stats()
    assert statistics[:4] == (0, 0, 0, 100)


def test_every_call_is_counted_once(pools: Pools, frantic: None) -> None:
    executor = pools(4, idle_timeout=0, max_pending=5, on_full="caller_runs")
    submitters = [Result(lambda: [executor.submit(int) for _ in range(500)]) for _ in range(4)]
    for submitter in submitters:
        concurrent.futures.wait(submitter.get(), TIMEOUT_SECONDS)
    executor.shutdown()
    assert executor.stats().done == 2_000


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"max_pending": 0}, ValueError, "max_pending must be greater than 0"),
        ({"max_pending": -1}, ValueError, "max_pending must be greater than 0"),
        ({"max_pending": 1.5}, TypeError, "'float' object cannot be interpreted as an integer"),
        ({"on_full": "wait"}, ValueError, "on_full must be 'block', 'raise' or 'caller_runs'"),
        ({"context": "mine"}, ValueError, "context must be 'worker' or 'submitter'"),
        ({"idle_timeout": -1}, ValueError, "idle_timeout must be a non-negative number"),
        ({"idle_timeout": float("nan")}, ValueError, "idle_timeout must be a non-negative number"),
        ({"idle_timeout": []}, TypeError, "float() argument must be a string or a real number, not 'list'"),
        ({"slow_after": 0}, ValueError, "slow_after must be a positive number"),
        ({"slow_after": -1}, ValueError, "slow_after must be a positive number"),
        ({"slow_after": float("nan")}, ValueError, "slow_after must be a positive number"),
        ({"slow_after": []}, TypeError, "float() argument must be a string or a real number, not 'list'"),
        ({"slow_after": 1, "on_slow": 1}, TypeError, "on_slow must be a callable"),
        ({"on_slow": print}, TypeError, "on_slow needs slow_after"),
    ],
)
def test_bad_options_are_refused(options: Any, error: type[Exception], words: str) -> None:
    assert refusal(ThreadPoolExecutor, 1, **options) == (error, words)


# Pools that have fallen back.


class OfItsOwn(ThreadPoolExecutor):  # type: ignore[misc, valid-type]
    def _adjust_thread_count(self) -> None:
        super()._adjust_thread_count()


@pytest.mark.parametrize(
    "options",
    [
        {"context": "submitter"},
        {"idle_timeout": 1},
        {"max_pending": 1},
        {"nested": "run"},
        {"slow_after": 1},
    ],
)
def test_a_subclass_that_starts_its_own_workers_has_no_options(options: Any) -> None:
    error, words = refusal(OfItsOwn, 1, **options)
    assert error is TypeError and words.startswith("OfItsOwn starts workers of its own")


def test_a_pool_that_has_fallen_back_has_neither_views_nor_statistics() -> None:
    executor: Any
    with OfItsOwn(1) as executor:
        assert refusal(executor.stats)[0] is RuntimeError
        assert refusal(executor.with_options, priority=1)[0] is RuntimeError
    with ThreadPoolExecutor(1) as executor:
        view = executor.with_options(priority=1)
        executor._work_queue = queue.SimpleQueue()
        assert refusal(view.submit, int)[0] is RuntimeError


# Attributes that programs use.


def test_the_idle_semaphore_counts_idle_workers(pools: Pools) -> None:
    executor = pools(2)
    assert executor._idle_semaphore._value == 0
    executor.submit(int).result(TIMEOUT_SECONDS)
    spin_until(lambda: executor._idle_semaphore._value == 1)


@pytest.mark.parametrize(("name", "value"), [("_shutdown", True), ("_broken", "as it is")])
def test_setting_the_flag_closes_the_pool(pools: Pools, name: str, value: Any) -> None:
    executor = pools(1)
    worker = executor.submit(threading.current_thread).result(TIMEOUT_SECONDS)
    setattr(executor, name, value)
    worker.join(TIMEOUT_SECONDS)
    error, words = refusal(executor.submit, int)
    assert (error, words) == (AFTER_SHUTDOWN if name == "_shutdown" else (BROKEN[0], "as it is"))


def test_a_pending_call_and_its_future_are_collected_together(pools: Pools) -> None:
    executor = pools(1)
    pools.block(executor)

    class Call:
        item: Any

        def __call__(self) -> None: ...

    executor.submit(Call())
    item = executor._work_queue.get_nowait()
    call = item.task[0] if sys.version_info >= (3, 14) else item.fn
    call.item = item
    reference = weakref.ref(call)
    del item, call
    gc.collect()
    assert reference() is None


def test_asyncio_accepts_a_view(pools: Pools) -> None:
    view = pools(1).with_options(priority=1)

    async def main() -> int:
        return await asyncio.get_running_loop().run_in_executor(view, pow, 2, 3)

    assert asyncio.run(main()) == 8
