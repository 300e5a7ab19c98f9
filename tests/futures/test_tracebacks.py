"""The tracebacks of calls have the same functions, files and lines on both libraries."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.threads import Result
from tests.support.tracebacks import Told, caught, done, fail, failed, frames
from tests.support.waiting import spin_until, until_asleep


class Base(BaseException):
    pass


class Clumsy(Exception):
    def __init__(self) -> None:
        raise Told


def fail_at(wanted: object, number: object) -> object:
    if number == wanted:
        raise Told(number)
    return number


def fail_twice() -> None:
    try:
        fail()
    except Told as first:
        first.add_note("noted")
        try:
            fail()
        except Told as second:
            raise KeyError from second


def fail_as_a_group() -> None:
    errors: list[Exception] = []
    for function, argument in [(fail, 0), (int, "x")]:
        try:
            function(argument)
        except Exception as error:
            errors.append(error)
    raise ExceptionGroup("both", errors)


class Gated:
    """A pool with one worker, which is busy until the block ends."""

    def __init__(self, library: BackEnd) -> None:
        self.executor = library.futures.ThreadPoolExecutor(1)
        self.gate = threading.Event()

    def __enter__(self) -> Any:
        begun = threading.Event()

        def occupy() -> None:
            begun.set()
            self.gate.wait()
            fail()

        self.future = self.executor.submit(occupy)
        begun.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self.executor.shutdown()


def a_c_function(library: BackEnd) -> Any:
    yield done(library, os.remove, "/nonexistent/file").exception()
    yield done(library, [].pop).exception()
    yield caught(done(library, os.remove, "/nonexistent/file").result)


def a_python_function(library: BackEnd) -> Any:
    yield done(library, fail).exception()
    yield caught(done(library, fail).result)
    yield done(library, partial(fail, 1)).exception()


def wrong_calls(library: BackEnd) -> Any:
    for future in (done(library, fail, no=1), done(library, len), done(library, None)):
        yield future.exception()
        yield caught(future.result)


def a_result_that_is_read_again_and_again(library: BackEnd) -> Any:
    future = done(library, fail)
    for _ in range(3):
        yield caught(future.result)
        yield caught(future.result, 1)
        yield future.exception()


def a_result_that_is_waited_for(library: BackEnd) -> Any:
    with Gated(library) as pool:
        waiting = [Result(caught, pool.future.result), Result(pool.future.exception)]
        until_asleep(*(each.thread for each in waiting))
        pool.gate.set()
        # Both readers add frames to the same traceback, in either order.
        [each.get() for each in waiting]
    yield waiting[0].get()


def a_wait_that_times_out(library: BackEnd) -> Any:
    with Gated(library) as pool:
        for timeout in (0, 0.001, -1):
            yield caught(pool.future.result, timeout)
            yield caught(pool.future.exception, timeout)
    yield caught(pool.future.result)


def a_future_that_was_cancelled(library: BackEnd) -> Any:
    with Gated(library) as pool:
        future = pool.executor.submit(fail)
        waiting = [Result(caught, future.result), Result(caught, future.exception)]
        until_asleep(*(each.thread for each in waiting))
        future.cancel()
        for each in waiting:
            yield each.get()
        yield caught(future.result)
        yield caught(future.exception, 1)
    yield caught(future.result)
    yield caught(future.exception)


def futures_as_they_are_done(library: BackEnd) -> Any:
    with library.futures.ThreadPoolExecutor(2) as executor:
        futures = [executor.submit(fail_at, 1, 1), executor.submit(fail_at, 2, 2)]
        for future in library.futures.as_completed(futures):
            yield caught(future.result)


def as_completed_that_times_out(library: BackEnd) -> Any:
    with Gated(library) as pool:
        for timeout in (0, 0.001):
            yield caught(list, library.futures.as_completed([pool.future], timeout))
        both = library.futures.as_completed([pool.future, done(library, fail)], 0)
        yield next(both).exception()
        yield caught(next, both)


def futures_that_were_waited_for(library: BackEnd) -> Any:
    for until in ("ALL_COMPLETED", "FIRST_EXCEPTION"):
        with library.futures.ThreadPoolExecutor(1) as executor:
            (future,), _ = library.futures.wait([executor.submit(fail)], return_when=until)
            yield future.exception()
            yield caught(future.result)


def results_in_order(library: BackEnd) -> Any:
    for timeout in (None, 60):
        with library.futures.ThreadPoolExecutor(2) as executor:
            yield caught(list, executor.map(fail, [1], timeout=timeout))
            results = executor.map(partial(fail_at, 2), range(5), timeout=timeout)
            assert [next(results), next(results)] == [0, 1]
            yield caught(next, results)
            yield caught(list, executor.map(os.remove, ["/nonexistent/file"], timeout=timeout))


def results_in_order_with_a_buffer(library: BackEnd) -> Any:
    if sys.version_info >= (3, 14):
        with library.futures.ThreadPoolExecutor(2) as executor:
            results = executor.map(partial(fail_at, 2), range(5), buffersize=2)
            assert [next(results), next(results)] == [0, 1]
            yield caught(next, results)


def results_in_order_that_time_out(library: BackEnd) -> Any:
    gate = threading.Event()
    with library.futures.ThreadPoolExecutor(1) as executor:
        yield caught(next, executor.map(gate.wait, [None], timeout=0.001))
        gate.set()


def an_exception_that_was_set(library: BackEnd) -> Any:
    for error in (Told(), Told, Base, caught(fail), Clumsy, 5, type):
        future = failed(library, error)
        for _ in range(2):
            yield caught(future.result)
        if isinstance(error, BaseException):
            assert future.exception() is error


def unusual_exceptions(library: BackEnd) -> Any:
    for error in (SystemExit(1), KeyboardInterrupt(), GeneratorExit(), Base(), StopIteration(1)):
        future = done(library, partial(fail_with, error))
        yield future.exception()
        yield caught(future.result)


def fail_with(error: BaseException) -> None:
    raise error


def one_exception_of_two_calls(library: BackEnd) -> Any:
    error = Told()
    futures = [done(library, fail_with, error) for _ in range(2)]
    yield error
    for future in futures:
        yield caught(future.result)


def calls_inside_calls(library: BackEnd) -> Any:
    def outer() -> object:
        return executor.submit(fail).result()

    with library.futures.ThreadPoolExecutor(2) as executor:
        future = executor.submit(outer)
        yield future.exception()
        yield caught(future.result)


def exceptions_with_others(library: BackEnd) -> Any:
    error = caught(done(library, fail_twice).result)
    yield error
    assert error.__cause__ is error.__context__ is not None
    yield error.__cause__
    yield error.__cause__.__context__
    assert error.__cause__.__context__ is not None
    assert error.__cause__.__context__.__notes__ == ["noted"]  # type: ignore[attr-defined]
    assert error.__cause__.__context__.__context__ is None
    group = caught(done(library, fail_as_a_group).result)
    assert isinstance(group, ExceptionGroup)
    yield group
    yield from group.exceptions


def a_result_that_is_read_while_another_is_handled(library: BackEnd) -> Any:
    future = done(library, fail)
    try:
        raise KeyError
    except KeyError as handled:
        error = caught(future.result)
        assert error.__context__ is handled
        yield error
        yield handled


def coroutines(library: BackEnd) -> Any:
    async def run() -> list[BaseException]:
        loop = asyncio.get_running_loop()
        errors = []
        with library.futures.ThreadPoolExecutor(1) as executor:
            for function in (fail, [].pop):
                try:
                    await loop.run_in_executor(executor, function)
                except Exception as error:
                    errors.append(error)
            wrapped = asyncio.wrap_future(executor.submit(fail))
            try:
                await asyncio.gather(wrapped)
            except Exception as error:
                errors.append(error)
        return errors

    yield from asyncio.run(run())


def a_future_that_has_fallen_back(library: BackEnd) -> Any:
    with Gated(library) as pool:
        assert pool.future._condition
        pending = library.futures.Future()
        assert pending._condition
        yield caught(pending.result, 0)
    yield pool.future.exception()
    yield caught(pool.future.result)


def a_future_that_is_done_already(library: BackEnd) -> Any:
    future = failed(library, Told())
    yield caught(future.set_result, 1)
    yield caught(future.set_exception, Told())
    future = done(library, int)
    yield caught(future.set_result, 1)
    yield caught(future.set_exception, Told())


@contextlib.contextmanager
def log() -> Iterator[list[logging.LogRecord]]:
    records: list[logging.LogRecord] = []
    logger, handler = logging.getLogger("concurrent.futures"), logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield records
    finally:
        logger.propagate = True
        logger.removeHandler(handler)


def logged(records: list[logging.LogRecord]) -> Iterator[Any]:
    for record in records:
        assert record.exc_info is not None
        yield record.getMessage().partition(" <")[0]
        yield record.exc_info[2]


def callbacks_that_fail(library: BackEnd) -> Any:
    with log() as records:
        for end in ("cancel", "set_result", "set_exception"):
            future = library.futures.Future()
            future.add_done_callback(fail)
            future.add_done_callback([].index)
            getattr(future, end)(*[Told()][: end != "cancel"])
            future.add_done_callback(fail)
        with library.futures.ThreadPoolExecutor(1) as executor, Gated(library) as pool:
            for function in (int, fail):
                gate = pool.gate
                future = executor.submit(lambda function=function, gate=gate: (gate.wait(), function()))
                future.add_done_callback(fail)
            gate.set()
    yield from logged(records)


def leave(*_: object) -> None:
    raise Base


def callbacks_that_raise_base_exceptions(library: BackEnd) -> Any:
    for end in ("cancel", "set_result", "set_exception"):
        future = library.futures.Future()
        future.add_done_callback(leave)
        yield caught(getattr(future, end), *[Told()][: end != "cancel"])
        yield caught(future.add_done_callback, leave)


def callbacks_that_raise_base_exceptions_in_a_worker(library: BackEnd) -> Any:
    for function in (int, fail):
        with log() as records, library.futures.ThreadPoolExecutor(1) as executor:
            gate = threading.Event()
            future = executor.submit(lambda function=function, gate=gate: (gate.wait(), function()))
            future.add_done_callback(leave)
            gate.set()
            spin_until(lambda records=records: records)
        yield from logged(records)


def a_future_that_another_thread_has_set(library: BackEnd) -> Any:
    for function in (int, fail):
        with log() as records, library.futures.ThreadPoolExecutor(1) as executor:
            gate = threading.Event()
            future = executor.submit(lambda function=function, gate=gate: (gate.wait(), function()))
            spin_until(future.running)
            getattr(future, "set_result" if function is int else "set_exception")(None)
            gate.set()
            spin_until(lambda records=records: records)
        yield from logged(records)


def an_initializer_that_fails(library: BackEnd) -> Any:
    for initializer in (fail, [].pop, leave):
        with log() as records, library.futures.ThreadPoolExecutor(1, initializer=initializer) as executor:
            future = executor.submit(int)
            yield future.exception()
            yield caught(future.result)
            spin_until(lambda records=records: records)
        yield from logged(records)


def an_action_of_a_barrier(library: BackEnd) -> Any:
    for action in (fail, [].pop):
        barrier = library.threading.Barrier(1, action)
        yield caught(barrier.wait)


def a_thread_that_fails(library: BackEnd) -> Any:
    def hook(args: Any) -> None:
        tracebacks.append(args.exc_traceback)

    tracebacks: list[Any] = []
    before, threading.excepthook = threading.excepthook, hook
    try:
        for target in (fail, [].pop):
            thread = library.threading.Thread(target=target)
            thread.start()
            thread.join()
    finally:
        threading.excepthook = before
    yield from tracebacks


SCENARIOS = [
    a_c_function,
    a_python_function,
    wrong_calls,
    a_result_that_is_read_again_and_again,
    a_result_that_is_waited_for,
    a_wait_that_times_out,
    a_future_that_was_cancelled,
    futures_as_they_are_done,
    as_completed_that_times_out,
    futures_that_were_waited_for,
    results_in_order,
    results_in_order_with_a_buffer,
    results_in_order_that_time_out,
    an_exception_that_was_set,
    unusual_exceptions,
    one_exception_of_two_calls,
    calls_inside_calls,
    exceptions_with_others,
    a_result_that_is_read_while_another_is_handled,
    coroutines,
    a_future_that_has_fallen_back,
    a_future_that_is_done_already,
    callbacks_that_fail,
    callbacks_that_raise_base_exceptions,
    callbacks_that_raise_base_exceptions_in_a_worker,
    a_future_that_another_thread_has_set,
    an_initializer_that_fails,
    an_action_of_a_barrier,
    a_thread_that_fails,
]


def found(scenario: Callable[[BackEnd], Iterator[Any]], library: BackEnd) -> list[Any]:
    return [
        frames(each) if isinstance(each, BaseException | TracebackType | None) else each
        for each in scenario(library)
    ]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_traceback_has_the_frames_of_the_standard_library(
    scenario: Callable[[BackEnd], Iterator[Any]],
) -> None:
    expected = found(scenario, STANDARD)
    assert expected or scenario is results_in_order_with_a_buffer
    assert found(scenario, OXTHREADS) == expected
