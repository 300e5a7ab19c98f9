"""Tests of the inner attributes of futures and pools, which the standard library uses.

It uses them in `wait`, in `as_completed` and in asyncio.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import itertools
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, CancelledError, wait
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.threads import Result, start
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, until_asleep

STATES = ["PENDING", "RUNNING", "CANCELLED", "CANCELLED_AND_NOTIFIED", "FINISHED"]
ATTRIBUTES = ["_condition", "_waiters", "_done_callbacks", "_state"]
#: The methods that end a future, with their arguments.
ENDINGS: dict[str, tuple[Any, ...]] = {"set_result": ("set",), "set_exception": (OSError(),), "cancel": ()}

#: How often a wait may be late in a row, on a busy machine.
TRIES = 3


def take_fallback(future: Any, attribute: str = "_condition") -> None:
    """Use one of the attributes, which makes the future fall back."""
    if attribute == "_state":
        future._state = future._state
    else:
        assert getattr(future, attribute) is getattr(future, attribute)


@pytest.mark.parametrize("attribute", ATTRIBUTES)
@pytest.mark.parametrize("state", STATES)
def test_a_future_keeps_its_state_when_it_falls_back(library: BackEnd, state: str, attribute: str) -> None:
    future, calls = library.futures.Future(), []
    if state.startswith("CANCELLED"):
        future.cancel()
    if state in ("RUNNING", "FINISHED", "CANCELLED_AND_NOTIFIED"):
        future.set_running_or_notify_cancel()
    if state == "FINISHED":
        future.set_result(42)
    before = repr(future), future.done(), future.running(), future.cancelled(), future._result
    take_fallback(future, attribute)
    after = repr(future), future.done(), future.running(), future.cancelled(), future._result
    assert (after, future._state, future._waiters) == (before, state, [])
    future.add_done_callback(calls.append)
    assert calls == [future] * future.done()
    assert future.cancel() is (state not in ("RUNNING", "FINISHED"))
    if state == "RUNNING":
        for method in (future.result, future.exception):
            for timeout in (0, -1, 0.001):
                with pytest.raises(TimeoutError):
                    method(timeout)
        future.set_exception(KeyError("late"))
        assert repr(future).endswith("state=finished raised KeyError>")
        with pytest.raises(KeyError, match="late"):
            future.result()
    elif state == "FINISHED":
        assert (future.result(), future.exception()) == (42, None)
    else:
        with pytest.raises(CancelledError):
            future.result()
    assert calls == [future]
    with pytest.raises(concurrent.futures.InvalidStateError) as caught:
        future.set_result(1)
    assert str(caught.value) == f"{future._state}: {future!r}"


@pytest.mark.parametrize("ending", ENDINGS)
def test_callbacks_from_before_and_after_the_fallback_run_in_order(library: BackEnd, ending: str) -> None:
    future, calls = library.futures.Future(), []
    for number in range(6):
        future.add_done_callback(lambda _, number=number: calls.append(number))
        if number == 2:
            assert len(future._done_callbacks) == 3
    getattr(future, ending)(*ENDINGS[ending])
    assert calls == [*range(6)]


def test_the_state_can_be_written(library: BackEnd) -> None:
    future = library.futures.Future()
    waiter = Result(future.result)
    until_asleep(waiter.thread)
    with future._condition:
        future._result, future._state = "written", "FINISHED"
        future._condition.notify_all()
    assert waiter.get() == future.result() == future._result == "written"
    failed, error = library.futures.Future(), LookupError("written")
    failed._exception, failed._state = error, "FINISHED"
    assert failed.exception() is failed._exception is error
    assert repr(failed).endswith("state=finished raised LookupError>")
    failed._state = "PENDING"
    assert not failed.done()


@pytest.mark.parametrize("method", [*ENDINGS, "set_running_or_notify_cancel"])
def test_methods_wait_while_the_condition_is_held(library: BackEnd, method: str) -> None:
    future = library.futures.Future()
    with future._condition:
        change = Result(getattr(future, method), *ENDINGS.get(method, ()))
        until_asleep(change.thread)
        assert future._state == "PENDING"
    change.get()
    assert future._state != "PENDING"


@pytest.mark.parametrize("attribute", ATTRIBUTES)
@pytest.mark.parametrize("ending", ENDINGS)
def test_waits_in_progress_end_after_the_future_falls_back(
    library: BackEnd, ending: str, attribute: str
) -> None:
    future = library.futures.Future()
    waits = [
        Result(method, timeout) for method in (future.result, future.exception) for timeout in (None, 30)
    ]
    until_asleep(*(wait.thread for wait in waits))
    take_fallback(future, attribute)
    until_asleep(*(wait.thread for wait in waits))
    getattr(future, ending)(*ENDINGS[ending])
    for each in waits:
        each.thread.join(TIMEOUT_SECONDS)
        assert not each.thread.is_alive()
    outcomes = [(each.value, type(each.error)) for each in waits]
    nothing, cancelled = (None, type(None)), (None, CancelledError)
    assert (
        outcomes
        == {
            "set_result": [("set", type(None))] * 2 + [nothing] * 2,
            "set_exception": [(None, OSError)] * 2 + [(ENDINGS["set_exception"][0], type(None))] * 2,
            "cancel": [cancelled] * 4,
        }[ending]
    )


def test_waits_in_progress_keep_their_deadline_when_the_future_falls_back(library: BackEnd) -> None:
    def seconds() -> float:
        future = library.futures.Future()
        begin = time.monotonic()
        waits = [Result(future.result, 3), Result(future.exception, 3.0)]
        until_asleep(*(wait.thread for wait in waits))
        spin_until(lambda: time.monotonic() > begin + 2.9)
        take_fallback(future)
        for each in waits:
            with pytest.raises(TimeoutError):
                each.get()
        return time.monotonic() - begin

    # If the wait had begun again, this would be 5.9 seconds each time. On a busy machine it may be late.
    tries: list[float] = []
    while not tries or (tries[-1] >= 5.5 and len(tries) < TRIES):
        tries.append(seconds())
    assert min(tries) >= 3 and tries[-1] < 5.5, tries


def test_nothing_is_lost_if_a_future_falls_back_while_it_ends(library: BackEnd, frantic: None) -> None:
    futures, calls = [library.futures.Future() for _ in range(500)], []
    barrier = threading.Barrier(4)

    def each(action: Callable[[Any], object]) -> list[object]:
        barrier.wait()
        return [action(future) for future in futures]

    actions: list[Callable[[Any], object]] = [
        take_fallback,
        lambda future: future.set_result(future),
        lambda future: future.add_done_callback(calls.append),
        lambda future: future.result(TIMEOUT_SECONDS),
    ]
    results = [Result(each, action) for action in actions]
    assert [result.get() for result in results][-1] == futures
    assert sorted(map(id, calls)) == sorted(map(id, futures))


def test_a_cycle_through_a_future_that_has_fallen_back_is_collected(library: BackEnd) -> None:
    future = library.futures.Future()
    future.add_done_callback(lambda _, kept=future: None)
    take_fallback(future)
    future.add_done_callback(lambda _, kept=future: None)
    assert len(future._done_callbacks) == 2
    alive = weakref.ref(future)
    del future
    gc.collect()
    assert alive() is None


def pair(library: BackEnd) -> tuple[Any, Any]:
    """Return a future of this library, and one of the other library."""
    other = STANDARD if library is OXTHREADS else OXTHREADS
    return library.futures.Future(), other.futures.Future()


def test_wait_returns_at_the_first_completed_of_both_kinds(library: BackEnd) -> None:
    first, other = pair(library)
    waiting = Result(wait, [first, other], return_when=FIRST_COMPLETED)
    until_asleep(waiting.thread)
    first.set_result(1)
    assert waiting.get() == ({first}, {other})
    assert wait([first, other], return_when=FIRST_COMPLETED) == ({first}, {other})
    assert wait([first, other], timeout=0.001) == ({first}, {other})


def test_wait_returns_at_the_first_exception_of_both_kinds(library: BackEnd) -> None:
    (first, other), (last, _) = pair(library), pair(library)
    waiting = Result(wait, [first, other, last], return_when=FIRST_EXCEPTION)
    until_asleep(waiting.thread)
    other.set_result(1)
    until_asleep(waiting.thread)
    first.set_exception(OSError())
    assert waiting.get() == ({first, other}, {last})


def test_wait_returns_when_all_of_both_kinds_are_completed(library: BackEnd) -> None:
    (first, other), (last, _) = pair(library), pair(library)
    last.set_result(1)
    waiting = Result(wait, [first, other, last], return_when=ALL_COMPLETED)
    until_asleep(waiting.thread)
    other.set_exception(OSError())
    first.cancel()
    # A cancellation counts only when the executor has seen it.
    until_asleep(waiting.thread)
    first.set_running_or_notify_cancel()
    assert waiting.get() == ({first, other, last}, set())
    assert first._waiters == other._waiters == last._waiters == []


def test_as_completed_yields_futures_of_both_kinds_as_they_are_completed(library: BackEnd) -> None:
    first, other = pair(library)
    done, _ = pair(library)
    done.set_result(1)
    completed = library.futures.as_completed([first, other, done, done], timeout=TIMEOUT_SECONDS)
    assert next(completed) is done
    for future in (other, first):
        waiting = Result(next, completed)
        until_asleep(waiting.thread)
        future.set_result(2)
        assert waiting.get() is future
    assert [*completed] == []


def test_as_completed_says_how_many_are_left_at_the_timeout(library: BackEnd) -> None:
    futures = [*pair(library), *pair(library)]
    futures[0].set_result(1)
    completed = library.futures.as_completed(futures, timeout=0.001)
    assert next(completed) is futures[0]
    with pytest.raises(TimeoutError) as caught:
        next(completed)
    assert str(caught.value) == "3 (of 4) futures unfinished"
    assert all(not future._waiters for future in futures)


def test_waiting_for_many_calls_of_a_pool_misses_none(library: BackEnd, frantic: None) -> None:
    with library.futures.ThreadPoolExecutor(3) as executor:
        for _ in range(20):
            futures = [executor.submit(pow, number, 2) for number in range(50)]
            done, pending = wait(futures, TIMEOUT_SECONDS)
            assert (done, pending) == ({*futures}, set())
            futures = [executor.submit(pow, number, 2) for number in range(50)]
            completed = library.futures.as_completed(futures, TIMEOUT_SECONDS)
            assert sorted(future.result() for future in completed) == [n**2 for n in range(50)]


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, TIMEOUT_SECONDS))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_asyncio_sees_how_a_wrapped_future_ends(library: BackEnd, ending: str, when: str) -> None:
    async def main() -> object:
        future = library.futures.Future()
        if when == "before":
            getattr(future, ending)(*ENDINGS[ending])
        wrapped = asyncio.wrap_future(future)
        if when == "after":
            await asyncio.sleep(0)
            assert not wrapped.done()
            start(getattr(future, ending), *ENDINGS[ending])
        try:
            return await wrapped
        except (OSError, asyncio.CancelledError) as error:
            assert wrapped.cancelled() is (ending == "cancel")
            return error

    outcome = run(main())
    if ending == "cancel":
        assert isinstance(outcome, asyncio.CancelledError)
    else:
        assert outcome is ENDINGS[ending][0]


def test_cancelling_the_asyncio_future_cancels_the_wrapped_future(library: BackEnd) -> None:
    async def main() -> None:
        future, begun = library.futures.Future(), library.futures.Future()
        begun.set_running_or_notify_cancel()
        for each in (future, begun):
            wrapped = asyncio.wrap_future(each)
            wrapped.cancel()
            with pytest.raises(asyncio.CancelledError):
                await wrapped
        await asyncio.sleep(0)
        assert future.cancelled()
        assert begun.running()
        begun.set_result(1)
        await asyncio.sleep(0)

    run(main())


def test_a_thousand_calls_run_in_the_default_executor(library: BackEnd) -> None:
    executor = library.futures.ThreadPoolExecutor(4)

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(executor)
        calls = [loop.run_in_executor(None, pow, number, 2) for number in range(1000)]
        return await asyncio.gather(*calls)

    assert run(main()) == [number**2 for number in range(1000)]
    assert 1 <= len(executor._threads) <= 4
    # asyncio.run() has shut the executor down.
    assert not any(thread.is_alive() for thread in executor._threads)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(int)


def test_the_loop_runs_while_a_call_blocks_in_the_pool(library: BackEnd) -> None:
    async def main() -> list[str]:
        loop, gate, seen = asyncio.get_running_loop(), threading.Event(), []
        with library.futures.ThreadPoolExecutor(1) as executor:
            call = loop.run_in_executor(executor, gate.wait, TIMEOUT_SECONDS)
            for number in range(3):
                await asyncio.sleep(0)
                seen.append(f"loop {number}")
            gate.set()
            seen.append(f"pool {await call}")
        return seen

    assert run(main()) == ["loop 0", "loop 1", "loop 2", "pool True"]


def test_await_raises_the_exception_of_the_call(library: BackEnd) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with library.futures.ThreadPoolExecutor(1) as executor:
            with pytest.raises(ZeroDivisionError):
                await loop.run_in_executor(executor, divmod, 1, 0)
            assert await loop.run_in_executor(executor, divmod, 7, 2) == (3, 1)

    run(main())


def test_a_pending_call_whose_await_timed_out_is_not_run(library: BackEnd) -> None:
    async def main() -> list[str]:
        loop, gate, ran = asyncio.get_running_loop(), threading.Event(), []
        with library.futures.ThreadPoolExecutor(1) as executor:
            try:
                running = loop.run_in_executor(executor, gate.wait, TIMEOUT_SECONDS)
                pending = loop.run_in_executor(executor, ran.append, "pending")
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(pending, 0.001)
                last = loop.run_in_executor(executor, ran.append, "last")
            finally:
                gate.set()
            assert await running
            await last
        return ran

    assert run(main()) == ["last"]


def test_to_thread_carries_the_context_into_the_pool(library: BackEnd) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")

    async def main() -> tuple[int, str]:
        executor = library.futures.ThreadPoolExecutor(1, thread_name_prefix="mine")
        asyncio.get_running_loop().set_default_executor(executor)
        variable.set(7)
        return await asyncio.to_thread(lambda: (variable.get(), threading.current_thread().name))

    assert run(main()) == (7, "mine_0")


def test_several_event_loops_may_share_a_pool(library: BackEnd) -> None:
    numbers = itertools.count()

    async def main(executor: Any) -> list[int]:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(executor, next, numbers) for _ in range(200)))

    with library.futures.ThreadPoolExecutor(3) as executor:
        results = [Result(asyncio.run, main(executor)) for _ in range(3)]
        assert sorted(itertools.chain(*(result.get() for result in results))) == [*range(600)]
