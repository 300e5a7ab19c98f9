"""Calls that wait for other calls of their pool: where every worker of the standard pool would wait for
ever, one of ours does what it waits for.
"""

from __future__ import annotations

import concurrent.futures
import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from conftest import OXTHREADS, PATIENCE, BackEnd, Result, start, until_asleep
from test_executor import Pools
from test_executor_life import can_fork, forks
from test_fork import in_child

ThreadPoolExecutor = OXTHREADS.futures.ThreadPoolExecutor
FIRST_COMPLETED = concurrent.futures.FIRST_COMPLETED


@pytest.fixture
def pools() -> Iterator[Pools]:
    pools = Pools(OXTHREADS)
    yield pools
    pools.gate.set()
    for executor in pools.made:
        Result(executor.shutdown).get()


def fibonacci(executor: Any, number: int) -> int:
    """Every call waits for two others."""
    if number < 2:
        return number
    one = executor.submit(fibonacci, executor, number - 1)
    other = executor.submit(fibonacci, executor, number - 2)
    result: int = one.result() + other.result()
    return result


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_calls_that_wait_for_calls_end(pools: Pools, workers: int, frantic: None) -> None:
    executor = pools(workers)
    assert executor.submit(fibonacci, executor, 12).result(PATIENCE) == 144
    assert executor._work_queue.qsize() == 0


@pytest.mark.parametrize("wait", ["result", "exception", "wait", "first", "as_completed", "map"])
def test_however_they_wait(pools: Pools, wait: str) -> None:
    executor = pools(1)
    futures = OXTHREADS.futures

    def outer() -> Any:
        calls = [executor.submit(pow, 2, number) for number in range(4)]
        if wait == "result":
            return [call.result() for call in calls]
        if wait == "exception":
            return [call.exception() or call.result(0) for call in reversed(calls)][::-1]
        if wait == "wait":
            done, not_done = futures.wait(calls)
            assert not not_done
            return sorted(call.result(0) for call in done)
        if wait == "first":
            done = set()
            while len(done) < len(calls):
                done |= futures.wait(set(calls) - done, return_when=FIRST_COMPLETED).done
            return sorted(call.result(0) for call in done)
        if wait == "as_completed":
            return sorted(call.result(0) for call in futures.as_completed(calls))
        return list(executor.map(pow, [2] * 4, range(4)))

    assert executor.submit(outer).result(PATIENCE) == [1, 2, 4, 8]


def test_a_worker_that_waits_is_woken_to_help_when_the_last_other_one_waits_too(pools: Pools) -> None:
    executor = pools(2)
    threads: dict[str, threading.Thread] = {}
    begun = threading.Event()

    def first() -> str:
        threads["first"] = threading.current_thread()
        begun.set()
        # Busy until then, so that `pending` is not begun before this waits for it.
        assert pools.gate.wait(PATIENCE)
        result: str = pending.result()
        return result

    def call() -> str:
        threads["pending"] = threading.current_thread()
        return "done"

    def second() -> str:
        threads["second"] = threading.current_thread()
        # The first now waits, for what nobody else can do once this waits for it.
        until_asleep(threads["first"])
        result: str = outer.result()
        return result

    outer = executor.submit(first)
    assert begun.wait(PATIENCE)
    other = executor.submit(second)
    while "second" not in threads:
        pass
    pending = executor.submit(call)
    pools.gate.set()
    assert other.result(PATIENCE) == "done"
    assert threads["pending"] is threads["first"] is not threads["second"]


def test_nobody_helps_while_a_worker_can_come(library: BackEnd) -> None:
    """As the standard pool: the call runs in a thread of its own."""
    with library.futures.ThreadPoolExecutor(2) as executor:

        def outer() -> tuple[Any, Any]:
            inner = executor.submit(threading.current_thread)
            return threading.current_thread(), inner.result()

        for _ in range(100):
            one, other = executor.submit(outer).result(PATIENCE)
            assert one is not other


def test_nobody_helps_while_a_worker_is_busy_with_something_else(library: BackEnd) -> None:
    executor, gate = library.futures.ThreadPoolExecutor(2), threading.Event()
    with executor:
        begun = threading.Event()

        def busy() -> threading.Thread:
            begun.set()
            assert gate.wait(PATIENCE)
            return threading.current_thread()

        def outer() -> threading.Thread:
            inner = executor.submit(threading.current_thread)
            waits.append(threading.current_thread())
            result: threading.Thread = inner.result()
            return result

        waits: list[threading.Thread] = []
        blocked = executor.submit(busy)
        assert begun.wait(PATIENCE)
        call = executor.submit(outer)
        while not waits:
            pass
        until_asleep(waits[0])
        assert not call.done()
        gate.set()
        assert call.result(PATIENCE) is blocked.result(PATIENCE) is not waits[0]


def test_nobody_helps_in_a_wait_with_a_timeout(library: BackEnd) -> None:
    with library.futures.ThreadPoolExecutor(1) as executor:

        def outer() -> bool:
            inner = executor.submit(int)
            with pytest.raises(concurrent.futures.TimeoutError):
                inner.result(0.01)
            return inner.done()

        assert executor.submit(outer).result(PATIENCE) is False


def test_what_a_helped_call_raises_is_its_futures(pools: Pools) -> None:
    executor = pools(1)

    def outer() -> Any:
        inner = executor.submit(divmod, 1, 0)
        with pytest.raises(ZeroDivisionError):
            inner.result()
        return inner.exception(0)

    assert isinstance(executor.submit(outer).result(PATIENCE), ZeroDivisionError)


def test_a_pending_call_that_is_cancelled_ends_the_wait(pools: Pools) -> None:
    executor = pools(1)

    def outer() -> Any:
        inner = executor.submit(int)
        inner.add_done_callback(lambda _: None)
        start(inner.cancel).join()
        with pytest.raises(concurrent.futures.CancelledError):
            inner.result()
        # As for a worker of the standard pool, it does not count as done until it was its turn.
        return inner._state

    assert executor.submit(outer).result(PATIENCE) == "CANCELLED"


def test_calls_that_were_helped_are_run_once_and_counted_once(pools: Pools, frantic: None) -> None:
    executor = pools(2)
    ran: list[int] = []

    def outer(first: int) -> None:
        for inner in [executor.submit(ran.append, first + number) for number in range(10)]:
            inner.result()

    for future in [executor.submit(outer, 10 * number) for number in range(50)]:
        future.result(PATIENCE)
    assert sorted(ran) == list(range(500))
    executor.shutdown()
    statistics = executor.stats()
    assert (statistics.done, statistics.queued) == (550, 0)


def test_a_chain_too_long_for_the_stack_raises_and_goes_on(pools: Pools) -> None:
    executor = pools(1)

    def descend(depth: int) -> int:
        if depth == 0:
            return 0
        result: int = executor.submit(descend, depth - 1).result()
        return result + 1

    assert executor.submit(descend, 20).result(PATIENCE) == 20
    assert isinstance(executor.submit(descend, 100_000).exception(PATIENCE), RecursionError)
    assert executor.submit(pow, 2, 3).result(PATIENCE) == 8


def test_helpers_help_while_the_pool_is_shut_down(pools: Pools) -> None:
    executor = pools(1)
    pools.block(executor)

    def outer() -> Any:
        begun.set()
        assert pools.gate.wait(PATIENCE)
        return inner.result()

    begun = threading.Event()
    call = executor.submit(outer)
    inner = executor.submit(pow, 2, 3)
    closing = Result(executor.shutdown)
    until_asleep(closing.thread)
    pools.gate.set()
    closing.get()
    assert call.result(0) == 8


@can_fork
@forks
def test_a_call_may_fork_and_wait_for_calls_in_the_child(pools: Pools) -> None:
    executor = pools(1)

    def check() -> None:
        assert executor.submit(fibonacci, executor, 6).result() == 8

    executor.submit(in_child, check).result(PATIENCE)
    assert executor.submit(fibonacci, executor, 6).result(PATIENCE) == 8


def test_calls_that_were_helped_take_no_room(pools: Pools) -> None:
    executor = pools(1, max_pending=1, on_full="raise")

    def outer() -> list[int]:
        return [executor.submit(abs, -number).result() for number in range(100)]

    assert executor.submit(outer).result(PATIENCE) == list(range(100))


def test_the_futures_of_calls_that_were_helped_are_not_kept_for_long(pools: Pools) -> None:
    executor = pools(1)

    def outer() -> int:
        futures = []
        for number in range(1_000):
            future = executor.submit(abs, -number)
            assert future.result() == number
            futures.append(weakref.ref(future))
        del future
        gc.collect()
        return sum(reference() is not None for reference in futures)

    assert executor.submit(outer).result(PATIENCE) < 200
