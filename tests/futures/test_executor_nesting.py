"""Tests of calls that wait for other calls of the same pool.

In the standard pool, all workers may then wait for ever. A worker of our pool can help: it runs the call that
it waits for. It does so only if the pool was asked to, and nobody else can end the wait.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.forks import can_fork, forks, in_child
from tests.support.pools import Pools
from tests.support.refusals import refusal
from tests.support.threads import Result, start
from tests.support.waiting import TIMEOUT_SECONDS, until_asleep

ThreadPoolExecutor = OXTHREADS.futures.ThreadPoolExecutor
FIRST_COMPLETED = concurrent.futures.FIRST_COMPLETED


class Helping(Pools):
    """Pools whose workers help."""

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return super().__call__(*args, nested="run", **keywords)


@pytest.fixture
def pools() -> Iterator[Pools]:
    pools = Helping(OXTHREADS)
    yield pools
    pools.gate.set()
    for executor in pools.made:
        Result(executor.shutdown).get()


class Setting:
    """A library, and the options with which its pools are made."""

    def __init__(self, library: BackEnd, **options: Any) -> None:
        self.library, self.futures = library, library.futures
        self.pool: Callable[..., Any] = partial(library.futures.ThreadPoolExecutor, **options)


SETTINGS = {
    "standard": Setting(STANDARD),
    "wait": Setting(OXTHREADS),
    "run": Setting(OXTHREADS, nested="run"),
}


@pytest.fixture(params=[*SETTINGS])
def setting(request: pytest.FixtureRequest) -> Setting:
    """The standard pool, our pool, and our pool with workers that help."""
    return SETTINGS[request.param]


def fibonacci(executor: Any, number: int) -> int:
    """A call that waits for two other calls."""
    if number < 2:
        return number
    one = executor.submit(fibonacci, executor, number - 1)
    other = executor.submit(fibonacci, executor, number - 2)
    result: int = one.result() + other.result()
    return result


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_calls_that_wait_for_calls_end(pools: Pools, workers: int, frantic: None) -> None:
    executor = pools(workers)
    assert executor.submit(fibonacci, executor, 12).result(TIMEOUT_SECONDS) == 144
    assert executor._work_queue.qsize() == 0


@pytest.mark.parametrize("wait", ["result", "exception", "wait", "first", "as_completed", "map"])
def test_every_kind_of_wait_ends(pools: Pools, wait: str) -> None:
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

    assert executor.submit(outer).result(TIMEOUT_SECONDS) == [1, 2, 4, 8]


def test_a_waiting_worker_is_woken_to_help_when_all_others_wait_too(pools: Pools) -> None:
    executor = pools(2)
    threads: dict[str, threading.Thread] = {}
    begun = threading.Event()

    def first() -> str:
        threads["first"] = threading.current_thread()
        begun.set()
        # Stay busy until then, so that `pending` is not begun before this call waits for it.
        assert pools.gate.wait(TIMEOUT_SECONDS)
        result: str = pending.result()
        return result

    def call() -> str:
        threads["pending"] = threading.current_thread()
        return "done"

    def second() -> str:
        threads["second"] = threading.current_thread()
        # The first worker waits now. When this one waits for it, nobody else can run the pending call.
        until_asleep(threads["first"])
        result: str = outer.result()
        return result

    outer = executor.submit(first)
    assert begun.wait(TIMEOUT_SECONDS)
    other = executor.submit(second)
    while "second" not in threads:
        pass
    pending = executor.submit(call)
    pools.gate.set()
    assert other.result(TIMEOUT_SECONDS) == "done"
    assert threads["pending"] is threads["first"] is not threads["second"]


def test_no_worker_helps_while_another_can_run_the_call(setting: Setting) -> None:
    """The call runs in another thread, as in the standard pool."""
    with setting.pool(2) as executor:

        def outer() -> tuple[Any, Any]:
            inner = executor.submit(threading.current_thread)
            return threading.current_thread(), inner.result()

        for _ in range(100):
            one, other = executor.submit(outer).result(TIMEOUT_SECONDS)
            assert one is not other


def test_no_worker_helps_while_another_is_busy(setting: Setting) -> None:
    executor, gate = setting.pool(2), threading.Event()
    with executor:
        begun = threading.Event()

        def busy() -> threading.Thread:
            begun.set()
            assert gate.wait(TIMEOUT_SECONDS)
            return threading.current_thread()

        def outer() -> threading.Thread:
            inner = executor.submit(threading.current_thread)
            waits.append(threading.current_thread())
            result: threading.Thread = inner.result()
            return result

        waits: list[threading.Thread] = []
        blocked = executor.submit(busy)
        assert begun.wait(TIMEOUT_SECONDS)
        call = executor.submit(outer)
        while not waits:
            pass
        until_asleep(waits[0])
        assert not call.done()
        gate.set()
        assert call.result(TIMEOUT_SECONDS) is blocked.result(TIMEOUT_SECONDS) is not waits[0]


def test_no_worker_helps_in_a_wait_with_a_timeout(setting: Setting) -> None:
    with setting.pool(1) as executor:

        def outer() -> bool:
            inner = executor.submit(int)
            with pytest.raises(concurrent.futures.TimeoutError):
                inner.result(0.01)
            return inner.done()

        assert executor.submit(outer).result(TIMEOUT_SECONDS) is False


def test_an_exception_of_a_helped_call_is_stored_in_its_future(pools: Pools) -> None:
    executor = pools(1)

    def outer() -> Any:
        inner = executor.submit(divmod, 1, 0)
        with pytest.raises(ZeroDivisionError):
            inner.result()
        return inner.exception(0)

    assert isinstance(executor.submit(outer).result(TIMEOUT_SECONDS), ZeroDivisionError)


def test_cancelling_a_pending_call_ends_the_wait(pools: Pools) -> None:
    executor = pools(1)

    def outer() -> Any:
        inner = executor.submit(int)
        inner.add_done_callback(lambda _: None)
        start(inner.cancel).join()
        with pytest.raises(concurrent.futures.CancelledError):
            inner.result()
        # As in the standard pool, the call does not count as done until a worker has taken it.
        return inner._state

    assert executor.submit(outer).result(TIMEOUT_SECONDS) == "CANCELLED"


def test_helped_calls_are_run_once_and_counted_once(pools: Pools, frantic: None) -> None:
    executor = pools(2)
    ran: list[int] = []

    def outer(first: int) -> None:
        for inner in [executor.submit(ran.append, first + number) for number in range(10)]:
            inner.result()

    for future in [executor.submit(outer, 10 * number) for number in range(50)]:
        future.result(TIMEOUT_SECONDS)
    assert sorted(ran) == list(range(500))
    executor.shutdown()
    statistics = executor.stats()
    assert (statistics.done, statistics.queued) == (550, 0)


def test_a_chain_too_long_for_the_stack_raises_and_the_pool_goes_on(pools: Pools) -> None:
    executor = pools(1)

    def descend(depth: int) -> int:
        if depth == 0:
            return 0
        result: int = executor.submit(descend, depth - 1).result()
        return result + 1

    assert executor.submit(descend, 20).result(TIMEOUT_SECONDS) == 20
    assert isinstance(executor.submit(descend, 100_000).exception(TIMEOUT_SECONDS), RecursionError)
    assert executor.submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8


def test_workers_help_while_the_pool_is_shut_down(pools: Pools) -> None:
    executor = pools(1)
    pools.block(executor)

    def outer() -> Any:
        begun.set()
        assert pools.gate.wait(TIMEOUT_SECONDS)
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

    executor.submit(in_child, check).result(TIMEOUT_SECONDS)
    assert executor.submit(fibonacci, executor, 6).result(TIMEOUT_SECONDS) == 8


def test_helped_calls_take_no_room(pools: Pools) -> None:
    executor = pools(1, max_pending=1, on_full="raise")

    def outer() -> list[int]:
        return [executor.submit(abs, -number).result() for number in range(100)]

    assert executor.submit(outer).result(TIMEOUT_SECONDS) == list(range(100))


def test_the_futures_of_helped_calls_are_not_kept_for_long(pools: Pools) -> None:
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

    assert executor.submit(outer).result(TIMEOUT_SECONDS) < 200


# Something else can end the wait. Then the program ends as on the standard pool.


class Waits:
    """A pool whose only worker waits, and the call that it waits for."""

    def __init__(self, setting: Setting, wait: Callable[[Any], Any], workers: int = 1) -> None:
        self.setting, self.executor, self.ran = setting, setting.pool(workers), threading.Event()
        self.inner: Any = None
        self.worker: Any = None
        begun = threading.Event()

        def outer() -> Any:
            self.worker = threading.current_thread()
            self.inner = self.executor.submit(self.ran.set)
            begun.set()
            return wait(self.inner)

        self.outer = self.executor.submit(outer)
        assert begun.wait(TIMEOUT_SECONDS)
        until_asleep(self.worker)
        assert not self.ran.is_set()

    def end(self) -> Any:
        """Return the result of the call that waits."""
        result = self.outer.result(TIMEOUT_SECONDS)
        self.executor.shutdown()
        return result


@pytest.mark.parametrize("foreign", ["ours", "standard"])
@pytest.mark.parametrize("wait", ["first", "as_completed"])
def test_a_future_made_by_hand_can_end_the_wait(setting: Setting, foreign: str, wait: str) -> None:
    answer = (setting.library if foreign == "ours" else STANDARD).futures.Future()

    def first(inner: Any) -> Any:
        if wait == "first":
            return setting.futures.wait([inner, answer], return_when=FIRST_COMPLETED).done
        return {next(setting.futures.as_completed([inner, answer]))}

    waits = Waits(setting, first)
    answer.set_result(None)
    assert waits.end() == {answer}
    assert waits.ran.is_set()


def test_a_call_of_another_pool_can_end_the_wait(setting: Setting) -> None:
    gate = threading.Event()
    with setting.pool(1) as other:
        answer = other.submit(gate.wait, TIMEOUT_SECONDS)
        waits = Waits(
            setting, lambda inner: setting.futures.wait([inner, answer], return_when=FIRST_COMPLETED).done
        )
        gate.set()
        assert waits.end() == {answer}


def test_a_coroutine_can_end_the_wait(setting: Setting) -> None:
    loop = asyncio.new_event_loop()
    running = start(loop.run_forever)
    gate = asyncio.Event()
    answer = asyncio.run_coroutine_threadsafe(gate.wait(), loop)
    try:
        waits = Waits(
            setting, lambda inner: setting.futures.wait([inner, answer], return_when=FIRST_COMPLETED).done
        )
        loop.call_soon_threadsafe(gate.set)
        assert waits.end() == {answer}
    finally:
        loop.call_soon_threadsafe(loop.stop)
        running.join()
        loop.close()


def test_a_future_that_has_fallen_back_can_end_the_wait(setting: Setting) -> None:
    answer = setting.futures.Future()
    assert answer._condition
    waits = Waits(setting, lambda inner: setting.futures.wait([inner, answer], return_when=FIRST_COMPLETED))
    answer.set_result(None)
    assert waits.end().done == {answer}


def test_another_worker_that_waits_for_something_else_can_end_the_wait(setting: Setting) -> None:
    """The other worker waits for a future that the test sets."""
    answer, waiting = setting.futures.Future(), threading.Event()
    executor = setting.pool(2)

    def other() -> Any:
        waiting.set()
        return answer.result()

    def outer() -> Any:
        inner = executor.submit(threading.get_ident)
        return threading.get_ident(), inner.result()

    waits = executor.submit(other)
    assert waiting.wait(TIMEOUT_SECONDS)
    call = executor.submit(outer)
    for worker in [*executor._threads]:
        until_asleep(worker)
    assert not call.done()
    answer.set_result(5)
    assert waits.result(TIMEOUT_SECONDS) == 5
    one, another = call.result(TIMEOUT_SECONDS)
    assert one != another
    executor.shutdown()


def test_no_worker_helps_if_the_submitter_runs_the_other_call() -> None:
    """The other call belongs to the pool, but no worker runs it."""
    executor = ThreadPoolExecutor(1, max_pending=1, on_full="caller_runs", nested="run")
    gate, begun = threading.Event(), threading.Event()
    calls: list[Any] = []

    def outer() -> Any:
        begun.set()
        assert gate.wait(TIMEOUT_SECONDS)
        return OXTHREADS.futures.wait([calls[0], mine], return_when=FIRST_COMPLETED).done

    def by_the_submitter() -> None:
        calls.append(future_of[0])
        running.set()
        assert last.wait(TIMEOUT_SECONDS)

    running, last = threading.Event(), threading.Event()
    future_of: list[Any] = []
    call = executor.submit(outer)
    assert begun.wait(TIMEOUT_SECONDS)
    mine = executor.submit(int)
    make = OXTHREADS.futures.Future.__init__

    def noted(future: Any) -> None:
        make(future)
        future_of.append(future)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OXTHREADS.futures.Future, "__init__", noted)
        submitter = Result(executor.submit, by_the_submitter)
        assert running.wait(TIMEOUT_SECONDS)
    gate.set()
    (worker,) = executor._threads
    until_asleep(worker)
    assert not mine.done()
    last.set()
    assert call.result(TIMEOUT_SECONDS) == {submitter.get()}
    executor.shutdown()


def test_a_worker_that_does_not_help_waits_as_in_the_standard_library(library: BackEnd) -> None:
    waits = Waits(Setting(library), lambda inner: refusal(inner.result))
    assert waits.inner.cancel()
    assert waits.end()[0] is concurrent.futures.CancelledError
    assert not waits.ran.is_set()


def test_setting_the_result_of_a_pending_call_ends_the_wait(library: BackEnd) -> None:
    waits = Waits(Setting(library), lambda inner: inner.result())
    waits.inner.set_result("from outside")
    assert waits.end() == "from outside"


@pytest.mark.parametrize("take", ["get", "shutdown"])
def test_no_worker_helps_after_a_call_was_taken_out_of_the_queue(take: str) -> None:
    """The pool cannot know who will run that call."""
    executor = ThreadPoolExecutor(1, nested="run")
    gate, begun = threading.Event(), threading.Event()

    def outer() -> Any:
        begun.set()
        assert gate.wait(TIMEOUT_SECONDS)
        return refusal(OXTHREADS.futures.wait([inner], return_when=FIRST_COMPLETED).done.pop().result)

    call = executor.submit(outer)
    assert begun.wait(TIMEOUT_SECONDS)
    inner = executor.submit(int)
    if take == "get":
        item = executor._work_queue.get()
        gate.set()
        (worker,) = executor._threads
        until_asleep(worker)
        assert not call.done()
        assert item.future is inner
        inner.set_exception(KeyError("from outside"))
        assert call.result(TIMEOUT_SECONDS)[0] is KeyError
        executor.shutdown()
    else:
        executor.shutdown(wait=False, cancel_futures=True)
        gate.set()
        # As in the standard library, a wait for several futures ends only when a worker has seen the
        # cancellation.
        assert inner.cancelled()
        assert not inner.set_running_or_notify_cancel()
        assert call.result(TIMEOUT_SECONDS)[0] is concurrent.futures.CancelledError


# What a call sees when a worker runs it inside another call.


def test_a_helped_call_sees_the_thread_locals_that_the_outer_call_has_set(
    pools: Pools,
) -> None:
    executor, local = pools(1), threading.local()

    def inner() -> str:
        seen: str = local.value
        local.value = "inner"
        return seen

    def outer() -> tuple[str, str]:
        local.value = "outer"
        return executor.submit(inner).result(), local.value

    assert executor.submit(outer).result(TIMEOUT_SECONDS) == ("outer", "inner")


@pytest.mark.parametrize("context", ["worker", "submitter"])
def test_a_helped_call_runs_in_a_copy_of_a_context(pools: Pools, context: str) -> None:
    executor = pools(1, context=context)
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    def inner() -> str:
        seen = variable.get()
        variable.set("inner")
        return seen

    def outer() -> tuple[str, str]:
        variable.set("before")
        call = executor.submit(inner)
        variable.set("outer")
        return call.result(), variable.get()

    seen = "outer" if context == "worker" else "before"
    assert executor.submit(outer).result(TIMEOUT_SECONDS) == (seen, "outer")


def test_a_helped_call_cannot_take_a_lock_that_the_outer_call_holds(pools: Pools) -> None:
    """For this reason, a program has to ask for helping."""
    executor, lock = pools(1), OXTHREADS.threading.Lock()

    def outer() -> bool:
        with lock:
            result: bool = executor.submit(lock.acquire, blocking=False).result()
            return result

    assert executor.submit(outer).result(TIMEOUT_SECONDS) is False


def test_as_completed_checks_each_of_many_calls_only_a_few_times(pools: Pools) -> None:
    executor = pools(1)

    def outer() -> int:
        calls = [executor.submit(int) for _ in range(5_000)]
        return sum(1 for _ in OXTHREADS.futures.as_completed(calls))

    assert executor.submit(outer).result(TIMEOUT_SECONDS) == 5_000


def test_an_unknown_value_of_nested_is_refused() -> None:
    assert refusal(ThreadPoolExecutor, 1, nested="help") == (ValueError, "nested must be 'wait' or 'run'")
