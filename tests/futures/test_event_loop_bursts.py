"""Tests of how futures that are done reach an event loop: in which order, and that no wake is lost.

A future of oxthreads gives its outcome to a loop of asyncio without asyncio's own functions, and wakes the
loop once for many futures. Everything else must be as in the standard library, so all tests but a few run on
both.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import socket
import sys
import threading
from asyncio import base_events, events
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.threads import Result, start
from tests.support.waiting import TIMEOUT_SECONDS, until_asleep

#: A loop is told of a burst in which this many futures are done.
BURST = 100


class Loop(asyncio.SelectorEventLoop):
    """A class that a program has derived."""


@pytest.fixture
def loop() -> Iterator[Any]:
    loop = asyncio.SelectorEventLoop()
    yield loop
    loop.close()


def bytes_in(loop: Any) -> int:
    """Return how many bytes wait in the socket that wakes the loop."""
    try:
        return len(loop._ssock.recv(10_000, socket.MSG_PEEK))
    except BlockingIOError:
        return 0


def wrapped(library: BackEnd, loop: Any, count: int) -> tuple[list[Any], list[Any]]:
    """Return new futures of the library, and those by which the loop awaits them."""
    futures = [library.futures.Future() for _ in range(count)]
    return futures, [asyncio.wrap_future(future, loop=loop) for future in futures]


def end(futures: list[Any]) -> None:
    """Set the results in another thread, one after another."""

    def set_results() -> None:
        for number, future in enumerate(futures):
            future.set_result(number)

    Result(set_results).get()


def results(loop: Any, awaited: list[Any]) -> Any:
    async def main() -> list[Any]:
        return await asyncio.wait_for(asyncio.gather(*awaited, return_exceptions=True), TIMEOUT_SECONDS)

    return loop.run_until_complete(main())


def run_once(loop: Any) -> None:
    """Run the handles that the loop has now."""
    loop.call_soon(loop.stop)
    loop.run_forever()


@pytest.mark.skipif(sys.platform == "win32", reason="asyncio has another loop there")
def test_a_burst_wakes_the_loop_once(loop: Any) -> None:
    futures, awaited = wrapped(OXTHREADS, loop, BURST)
    end(futures)
    assert bytes_in(loop) == 1
    assert results(loop, awaited) == [*range(BURST)]
    # The next one begins when the loop has taken the last one.
    futures, awaited = wrapped(OXTHREADS, loop, BURST)
    assert bytes_in(loop) == 0
    end(futures)
    assert bytes_in(loop) == 1
    assert results(loop, awaited) == [*range(BURST)]


def test_handles_of_the_program_in_between_are_woken_for_anew(loop: Any) -> None:
    futures, awaited = wrapped(OXTHREADS, loop, 3)
    loop.call_soon(int)  # as a program may do in a wrong thread, for which nobody wakes the loop
    for number, future in enumerate(futures):
        future.set_result(number)
        assert bytes_in(loop) == 1 + number
        loop.call_soon(int)
    assert results(loop, awaited) == [0, 1, 2]


def test_a_call_in_the_wrong_thread_is_woken_by_the_end_of_its_future(library: BackEnd, loop: Any) -> None:
    begin, called = threading.Event(), []

    def call() -> None:
        assert begin.wait(TIMEOUT_SECONDS)
        until_asleep(threading.main_thread())
        loop.call_soon(called.append, 1)

    async def main() -> None:
        with library.futures.ThreadPoolExecutor(1) as executor:
            future = loop.run_in_executor(executor, call)
            begin.set()
            await asyncio.wait_for(future, TIMEOUT_SECONDS)

    loop.run_until_complete(main())
    assert called == [1]


def test_what_a_call_posts_runs_before_its_end(library: BackEnd, loop: Any) -> None:
    seen: list[tuple[str, int]] = []

    def call(number: int) -> int:
        loop.call_soon_threadsafe(seen.append, ("posted", number))
        return number

    async def main() -> None:
        with library.futures.ThreadPoolExecutor(4) as executor:
            futures = [loop.run_in_executor(executor, call, number) for number in range(10 * BURST)]
            for future in futures:
                future.add_done_callback(lambda future: seen.append(("done", future.result())))
            await asyncio.wait_for(asyncio.gather(*futures), TIMEOUT_SECONDS)
            await asyncio.sleep(0)

    loop.run_until_complete(main())
    places = {entry: place for place, entry in enumerate(seen)}
    assert len(places) == len(seen) == 20 * BURST
    assert all(places["posted", number] < places["done", number] for number in range(10 * BURST))


def test_what_a_thread_posts_is_in_order(library: BackEnd, loop: Any) -> None:
    futures, awaited = wrapped(library, loop, BURST)
    seen: list[str] = []
    for number, future in enumerate(awaited):
        future.add_done_callback(lambda _, number=number: seen.append(f"done {number}"))

    def post() -> None:
        for number, future in enumerate(futures):
            if number % 3 == 0:
                loop.call_soon_threadsafe(loop.call_soon, seen.append, f"before {number}")
            future.set_result(number)
            if number % 5 == 0:
                loop.call_soon_threadsafe(loop.call_soon, seen.append, f"after {number}")

    Result(post).get()
    assert results(loop, awaited) == [*range(BURST)]
    expected = []
    for number in range(BURST):
        expected += [f"before {number}"] * (number % 3 == 0)
        expected += [f"done {number}"]
        expected += [f"after {number}"] * (number % 5 == 0)
    assert seen == expected


def test_nothing_is_lost_while_the_loop_falls_asleep(library: BackEnd, loop: Any, frantic: None) -> None:
    """The loop waits for each future, so it is about to sleep, or asleep, or about to go on when they end."""

    def set_results(futures: list[Any]) -> None:
        for future in futures:
            future.set_result(1)

    async def main() -> None:
        for _ in range(20):
            pairs = [wrapped(library, loop, BURST) for _ in range(3)]
            threads = [start(set_results, futures) for futures, _ in pairs]
            for _, awaited in pairs:
                for future in awaited:
                    assert await asyncio.wait_for(future, TIMEOUT_SECONDS) == 1
            for thread in threads:
                await asyncio.to_thread(thread.join, TIMEOUT_SECONDS)

    loop.run_until_complete(main())


def test_a_ping_pong_of_calls_wakes_the_loop_for_each(library: BackEnd, loop: Any) -> None:
    async def main() -> int:
        with library.futures.ThreadPoolExecutor(2) as executor:
            total = 0
            for _ in range(10 * BURST):
                total += await asyncio.wait_for(loop.run_in_executor(executor, int, 1), TIMEOUT_SECONDS)
            return total

    assert loop.run_until_complete(main()) == 10 * BURST


def test_many_loops_share_a_pool(library: BackEnd) -> None:
    with library.futures.ThreadPoolExecutor(4) as executor:

        async def main() -> list[int]:
            loop = asyncio.get_running_loop()
            calls = [loop.run_in_executor(executor, pow, number, 2) for number in range(5 * BURST)]
            return await asyncio.wait_for(asyncio.gather(*calls), TIMEOUT_SECONDS)

        def run() -> list[int]:
            loop = asyncio.SelectorEventLoop()
            try:
                return loop.run_until_complete(main())
            finally:
                loop.close()

        runs = [Result(run) for _ in range(6)]
        assert [each.get() for each in runs] == [[number**2 for number in range(5 * BURST)]] * 6


def test_a_loop_that_was_stopped_goes_on(library: BackEnd, loop: Any) -> None:
    futures, awaited = wrapped(library, loop, 3 * BURST)
    for part in range(3):
        end(futures[part * BURST : (part + 1) * BURST])
        if part == 1:
            run_once(loop)
            assert sum(future.done() for future in awaited) == 2 * BURST
    assert results(loop, awaited) == [*range(BURST)] * 3


def test_a_loop_that_is_closed_is_left_alone(
    library: BackEnd, loop: Any, caplog: pytest.LogCaptureFixture
) -> None:
    futures, awaited = wrapped(library, loop, 30)
    end(futures[:10])
    loop.close()
    end(futures[10:20])
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        awaited[20].cancel()
    end(futures[20:])
    assert [future.done() for future in awaited] == [number == 20 for number in range(30)]
    assert not caplog.records
    # A loop that is closed while futures wait for it takes nothing from another one.
    other = asyncio.SelectorEventLoop()
    futures, awaited = wrapped(library, other, 10)
    end(futures)
    assert results(other, awaited) == [*range(10)]
    other.close()


def test_what_was_cancelled_stays_so(library: BackEnd, loop: Any) -> None:
    futures, awaited = wrapped(library, loop, 6)
    awaited[0].cancel()
    run_once(loop)
    assert futures[0].cancelled()
    awaited[1].cancel()  # and asyncio has not yet told the future of it
    end(futures[1:3])
    awaited[2].cancel()  # between the end of the future and the next turn of the loop
    futures[3].cancel()
    end(futures[4:])
    outcomes = results(loop, awaited)
    assert [type(outcome) for outcome in outcomes[:4]] == [asyncio.CancelledError] * 4
    assert outcomes[4:] == [0, 1]
    assert futures[2].result() == 1


class Told(Exception):
    pass


def of_class(library: BackEnd, loop: Any, error: BaseException) -> tuple[Any, Any]:
    """Return a future whose outcome cannot be read by the loop, and the one by which it is awaited."""

    class Unreadable(library.futures.Future):  # type: ignore[misc, name-defined]
        def exception(self, timeout: float | None = None) -> Any:
            raise error

        def _get_snapshot(self) -> Any:
            raise error

    future = Unreadable()
    return future, asyncio.wrap_future(future, loop=loop)


def test_an_error_in_the_loop_is_reported_and_loses_no_other(library: BackEnd, loop: Any) -> None:
    reports: list[Any] = []
    loop.set_exception_handler(lambda _, context: reports.append(context))
    futures, awaited = wrapped(library, loop, 4)
    failing, unset = of_class(library, loop, Told("told"))
    end([futures[0], failing, *futures[1:]])
    assert results(loop, awaited) == [0, 2, 3, 4]
    assert not unset.done()
    (report,) = reports
    assert isinstance(report["exception"], Told)
    assert report["message"].startswith("Exception in callback _chain_future.<locals>._set_state(")
    assert type(report["handle"]) in (events.Handle, getattr(events, "_ThreadSafeHandle", None))


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_the_loop_ends_it_and_loses_no_other(
    library: BackEnd, loop: Any, error: type[BaseException]
) -> None:
    futures, awaited = wrapped(library, loop, 4)
    failing, unset = of_class(library, loop, error("told"))
    end([futures[0], failing, *futures[1:3]])
    with pytest.raises(error, match="told") as caught:
        loop.run_forever()
    assert not unset.done()
    # The traceback keeps the handle that has failed. It must not look as if the loop would still run it.
    assert caught.tb is not None

    def end_later() -> None:
        until_asleep(threading.main_thread())
        futures[3].set_result(4)

    thread = start(end_later)
    assert results(loop, awaited) == [0, 2, 3, 4]
    thread.join(TIMEOUT_SECONDS)


def test_a_future_that_ends_in_the_thread_of_the_loop(library: BackEnd, loop: Any) -> None:
    async def main() -> None:
        futures, awaited = wrapped(library, loop, 3)
        for future in futures:
            future.set_result(1)
        # From Python 3.14 on, asyncio does not post what ends in its own thread.
        assert [future.done() for future in awaited] == [sys.version_info >= (3, 14)] * 3
        assert await asyncio.wait_for(asyncio.gather(*awaited), TIMEOUT_SECONDS) == [1] * 3
        done = library.futures.Future()
        done.set_result(2)
        late = asyncio.wrap_future(done)
        assert late.done() is (sys.version_info >= (3, 14))
        assert await asyncio.wait_for(late, TIMEOUT_SECONDS) == 2

    loop.run_until_complete(main())


def test_the_loop_reads_the_outcome_in_the_context_of_the_thread(library: BackEnd, loop: Any) -> None:
    variable = contextvars.ContextVar("variable", default="none")
    seen: list[str] = []

    class Seen(library.futures.Future):  # type: ignore[misc, name-defined]
        def exception(self, timeout: float | None = None) -> Any:
            seen.append(variable.get())
            return super().exception(timeout)

        def _get_snapshot(self) -> Any:
            seen.append(variable.get())
            return super()._get_snapshot()

    future = Seen()
    future.add_done_callback(lambda _: variable.set("set by the thread"))
    awaited = asyncio.wrap_future(future, loop=loop)
    end([future])
    assert results(loop, [awaited]) == [0]
    assert seen == ["set by the thread"]


def test_handles_know_where_they_were_made_in_debug_mode(
    library: BackEnd, loop: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "asyncio")
    loop.set_debug(True)
    loop.slow_callback_duration = 0
    futures, awaited = wrapped(library, loop, 3)
    end(futures)
    assert all(handle._source_traceback for handle in loop._ready)
    assert results(loop, awaited) == [0, 1, 2]
    texts = [record.getMessage() for record in caplog.records]
    assert sum("_chain_future.<locals>._set_state" in text for text in texts) == 3, texts


def test_the_debug_mode_may_be_switched_between(library: BackEnd, loop: Any) -> None:
    futures, awaited = wrapped(library, loop, 30)
    for number in range(0, 30, 5):
        loop.set_debug(number % 10 == 0)
        end(futures[number : number + 5])
    loop.set_debug(False)
    assert results(loop, awaited) == [*range(5)] * 6


def test_a_method_that_is_replaced_in_the_loop_is_called(library: BackEnd, loop: Any) -> None:
    calls: list[str] = []

    def calling(name: str) -> Callable[..., Any]:
        method = getattr(loop, name)

        def call(*arguments: object, **keywords: object) -> Any:
            calls.append(name)
            return method(*arguments, **keywords)

        return call

    for name in ("_write_to_self", "call_soon_threadsafe"):
        setattr(loop, name, calling(name))
        futures, awaited = wrapped(library, loop, 3)
        end(futures)
        assert calls.count(name) == 3
        assert results(loop, awaited) == [0, 1, 2]
        delattr(loop, name)


@pytest.mark.one_thread("changes a class of asyncio")
@pytest.mark.parametrize("name", ["call_soon_threadsafe", "_check_closed"])
def test_a_method_that_is_replaced_in_the_class_is_called(
    library: BackEnd, loop: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = getattr(base_events.BaseEventLoop, name)
    calls: list[int] = []

    def call(self: Any, *arguments: object, **keywords: object) -> Any:
        calls.append(1)
        return method(self, *arguments, **keywords)

    futures, awaited = wrapped(library, loop, 9)
    end(futures[:3])
    with monkeypatch.context() as patch:
        patch.setattr(base_events.BaseEventLoop, name, call)
        end(futures[3:6])
        assert len(calls) == 3
    end(futures[6:])
    assert len(calls) == 3
    assert results(loop, awaited) == [*range(3)] * 3


def test_the_methods_of_a_derived_class_are_called(library: BackEnd) -> None:
    class Posting(Loop):
        posted = 0

        def call_soon_threadsafe(self, *arguments: Any, **keywords: Any) -> Any:
            type(self).posted += 1
            return super().call_soon_threadsafe(*arguments, **keywords)

    for kind in (Loop, Posting):
        loop = kind()
        futures, awaited = wrapped(library, loop, 3)
        end(futures)
        assert results(loop, awaited) == [0, 1, 2]
        loop.close()
    assert Posting.posted == 3


def test_another_handle_class_is_used(library: BackEnd, loop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "_ThreadSafeHandle" if sys.version_info >= (3, 14) else "Handle"

    class Other(getattr(events, name)):  # type: ignore[misc]
        pass

    futures, awaited = wrapped(library, loop, 6)
    end(futures[:3])
    with monkeypatch.context() as patch:
        patch.setattr(events, name, Other)
        end(futures[3:])
    assert [isinstance(handle, Other) for handle in loop._ready] == [False] * 3 + [True] * 3
    assert results(loop, awaited) == [0, 1, 2] * 2


def test_a_function_of_this_name_is_an_ordinary_callback(library: BackEnd) -> None:
    calls = []

    def _call_set_state(source: Any) -> None:
        calls.append(source)

    future = library.futures.Future()
    future.add_done_callback(_call_set_state)
    future.set_result(1)
    future.add_done_callback(_call_set_state)
    assert calls == [future, future]


def test_each_callback_runs_in_its_place(library: BackEnd, loop: Any) -> None:
    future, seen = library.futures.Future(), []
    future.add_done_callback(lambda _: seen.append(len(loop._ready)))
    awaited = [asyncio.wrap_future(future, loop=loop) for _ in range(2)]
    future.add_done_callback(lambda _: seen.append(len(loop._ready)))
    end([future])
    assert seen == [0, 2]
    assert results(loop, awaited) == [0, 0]


@pytest.mark.parametrize("attribute", ["_condition", "_done_callbacks"])
def test_a_future_that_falls_back_is_handed_over(library: BackEnd, loop: Any, attribute: str) -> None:
    futures, awaited = wrapped(library, loop, 6)
    for future in futures[::2]:
        assert getattr(future, attribute) is not None
    end(futures)
    assert results(loop, awaited) == [*range(6)]


def test_futures_of_both_libraries_wake_one_loop(loop: Any, frantic: None) -> None:
    async def main() -> list[Any]:
        with OXTHREADS.futures.ThreadPoolExecutor(2) as ours, STANDARD.futures.ThreadPoolExecutor(2) as other:
            calls = [loop.run_in_executor((ours, other)[n % 2], pow, n, 2) for n in range(5 * BURST)]
            return await asyncio.wait_for(asyncio.gather(*calls), TIMEOUT_SECONDS)

    assert loop.run_until_complete(main()) == [number**2 for number in range(5 * BURST)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.one_thread("forks")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_does_not_rely_on_what_the_parent_has_written(library: BackEnd, loop: Any) -> None:
    futures, awaited = wrapped(library, loop, 6)
    end(futures[:3])
    child = os.fork()
    if child == 0:
        status = 1
        try:
            end(futures[3:])
            status = 0 if results(loop, awaited) == [0, 1, 2] * 2 else 2
            own = asyncio.SelectorEventLoop()
            futures, awaited = wrapped(library, own, 3)
            end(futures)
            status = status or (0 if results(own, awaited) == [0, 1, 2] else 3)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    futures[3].set_result(7)
    end(futures[4:])
    assert len(loop._ready) == 6


@pytest.mark.parametrize("way", ["run_in_executor", "to_thread"])
def test_uvloop_is_told_as_before(library: BackEnd, way: str) -> None:
    uvloop = pytest.importorskip("uvloop")
    executor = library.futures.ThreadPoolExecutor(4)

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(executor)
        call = asyncio.to_thread if way == "to_thread" else (lambda *call: loop.run_in_executor(None, *call))
        calls = [call(pow, number, 2) for number in range(5 * BURST)]
        return await asyncio.wait_for(asyncio.gather(*calls), TIMEOUT_SECONDS)

    loop = uvloop.new_event_loop()
    assert loop.run_until_complete(main()) == [number**2 for number in range(5 * BURST)]
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
