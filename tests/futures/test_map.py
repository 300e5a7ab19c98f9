"""Tests of ThreadPoolExecutor.map. They run on the standard library too where it has the feature."""

from __future__ import annotations

import concurrent.futures
import gc
import inspect
import itertools
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest import mock

import pytest

from oxthreads.concurrent.futures import ThreadPoolExecutor
from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.interpreters import python
from tests.support.refusals import refusal
from tests.support.threads import Result
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, until_asleep

AFTER_SHUTDOWN = (RuntimeError, "cannot schedule new futures after shutdown")

#: The libraries whose map has a buffersize.
BUFFERED = [STANDARD, OXTHREADS] if sys.version_info >= (3, 14) else [OXTHREADS]
buffered = pytest.mark.parametrize("library", BUFFERED, ids=repr)


class Recorder:
    """Makes executors that record the futures of their calls, and a gate at which calls may wait."""

    def __init__(self, library: BackEnd = OXTHREADS) -> None:
        self.submitted: list[Any] = []
        self.gate = threading.Event()
        recorder = self

        class Pool(library.futures.ThreadPoolExecutor):  # type: ignore[misc, name-defined]
            def submit(self, fn: Callable[..., object], /, *args: object, **keywords: object) -> Any:
                future = super().submit(fn, *args, **keywords)
                recorder.submitted.append(future)
                return future

        self.pool = Pool


class Thing:
    """An object that can have weak references."""


def test_map_submits_all_calls_at_once(library: BackEnd) -> None:
    seen: list[int] = []
    with library.futures.ThreadPoolExecutor(2) as executor:
        executor.map(seen.append, range(1000))
    assert sorted(seen) == [*range(1000)]


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1000])
def test_all_results_come_in_order(library: BackEnd, count: int, frantic: None) -> None:
    with library.futures.ThreadPoolExecutor(3) as executor:
        results = executor.map(pow, range(count), itertools.repeat(2))
        assert inspect.isgenerator(results)
        assert [*results] == [number**2 for number in range(count)]


def test_the_shortest_iterable_limits_the_number_of_calls(library: BackEnd) -> None:
    long, short = iter(range(5)), iter("ab")
    with library.futures.ThreadPoolExecutor(2) as executor:
        assert [*executor.map(lambda *args: args, long, short)] == [(0, "a"), (1, "b")]
        assert [*executor.map(lambda *args: args)] == []
    # zip() reads one item too many in the same way.
    assert next(long) == 3


def test_the_timeout_counts_from_the_call_of_map(library: BackEnd) -> None:
    gate = threading.Event()
    with library.futures.ThreadPoolExecutor(1) as executor:
        results = executor.map(gate.wait, [TIMEOUT_SECONDS, TIMEOUT_SECONDS], timeout=0.01)
        begin = time.monotonic()
        spin_until(lambda: time.monotonic() > begin + 0.02)
        # A result that is not there yet comes too late now.
        assert refusal(next, results) == (TimeoutError, "")
        gate.set()
        late = executor.map(abs, [-1, -2], timeout=-1)
        executor.submit(int).result()
        assert [*late] == [1, 2]
        for timeout in ("1", object()):
            assert refusal(executor.map, abs, [1], timeout=timeout)[0] is TypeError


def test_at_the_timeout_the_call_and_those_after_it_are_cancelled(library: BackEnd) -> None:
    recorder = Recorder(library)
    with recorder.pool(1) as executor:
        blocker = executor.submit(recorder.gate.wait, TIMEOUT_SECONDS)
        results = executor.map(abs, range(3), timeout=0.001)
        assert refusal(next, results)[0] is TimeoutError
        assert [future.cancelled() for future in recorder.submitted] == [False, True, True, True]
        recorder.gate.set()
        assert blocker.result()


def test_map_raises_the_exception_of_an_iterable_at_once(library: BackEnd) -> None:
    def numbers() -> Iterator[int]:
        yield from range(100)
        raise LookupError("no more")

    recorder = Recorder(library)
    executor = recorder.pool(1)
    assert refusal(executor.map, abs, numbers()) == (LookupError, "no more")
    executor.shutdown()
    assert len(recorder.submitted) == 100
    assert not any(future.cancelled() for future in recorder.submitted)
    assert refusal(executor.map, abs, [1]) == AFTER_SHUTDOWN


def test_nothing_keeps_a_result_that_was_yielded(library: BackEnd) -> None:
    recorder = Recorder(library)
    with recorder.pool(1) as executor:
        results = executor.map(lambda _: Thing(), range(10))
        # From here on, only the iterator keeps the futures.
        futures = [weakref.ref(future) for future in recorder.submitted]
        recorder.submitted.clear()
        for future in futures:
            alive = weakref.ref(next(results))
            # Without a GIL, a worker frees the objects that it has made when it executes bytecode.
            idle = partial(executor.submit, lambda: None)
            spin_until(
                lambda idle=idle, alive=alive, future=future: idle().result() or alive() is future() is None
            )


def test_the_exception_of_a_call_is_in_no_cycle(library: BackEnd) -> None:
    class Failure(Exception):
        pass

    def fail(_: int) -> None:
        raise Failure

    gc.disable()
    try:
        with library.futures.ThreadPoolExecutor(1) as executor:
            results = executor.map(fail, range(3))
            try:
                next(results)
            except Failure as error:
                alive = weakref.ref(error)
            del results
        spin_until(lambda: alive() is None)
    finally:
        gc.enable()


def test_the_iterator_does_not_keep_the_executor_alive(library: BackEnd) -> None:
    executor = library.futures.ThreadPoolExecutor(1)
    results, alive = executor.map(abs, range(-3, 0)), weakref.ref(executor)
    workers = [*executor._threads]
    del executor
    gc.collect()
    spin_until(lambda: alive() is None)
    assert [*results] == [3, 2, 1]
    for worker in workers:
        worker.join(TIMEOUT_SECONDS)
        assert not worker.is_alive()


def test_closing_an_iterator_that_was_never_begun_cancels_nothing(library: BackEnd) -> None:
    recorder = Recorder(library)
    with recorder.pool(1) as executor:
        blocker = executor.submit(recorder.gate.wait, TIMEOUT_SECONDS)
        executor.map(abs, range(3)).close()
        recorder.gate.set()
        assert blocker.result()
    assert [future.result() for future in recorder.submitted[1:]] == [0, 1, 2]


def test_map_calls_a_replaced_submit(library: BackEnd) -> None:
    def future_of(fn: Callable[..., object], *args: object) -> Any:
        future = library.futures.Future()
        future.set_result(fn(*args))
        return future

    executor = library.futures.ThreadPoolExecutor(1)
    with mock.patch.object(executor, "submit", side_effect=future_of) as submit:
        assert [*executor.map(pow, [2, 3], [2, 2])] == [4, 9]
    assert submit.mock_calls == [mock.call(pow, 2, 2), mock.call(pow, 3, 2)]
    executor.shutdown()


def test_a_subclass_may_have_the_older_signature(library: BackEnd) -> None:
    class Older(library.futures.ThreadPoolExecutor):  # type: ignore[misc, name-defined]
        def map(self, fn: Any, *iterables: Any, timeout: float | None = None, chunksize: int = 1) -> Any:
            return super().map(fn, *iterables, timeout=timeout, chunksize=chunksize)

    with Older(1) as executor:
        assert [*executor.map(abs, range(3), timeout=TIMEOUT_SECONDS, chunksize=2)] == [0, 1, 2]


def test_ctrl_c_ends_a_map_of_endless_iterables() -> None:
    """The submission never ends by itself. Its iterable is Python code once, and C code once."""
    outcome = python(
        """if True:
        import itertools, signal, threading
        from concurrent.futures import ThreadPoolExecutor
        def numbers():
            for number in itertools.count():
                if number == 200:
                    signal.setitimer(signal.ITIMER_REAL, 0.05)
                yield number
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        executor = ThreadPoolExecutor(1)
        for endless in (numbers(), itertools.chain(itertools.islice(numbers(), 300), itertools.count())):
            try:
                executor.map(abs, endless)
            except KeyboardInterrupt:
                print("interrupted", flush=True)
            executor.shutdown(cancel_futures=True)
            executor = ThreadPoolExecutor(1)
    """
    )
    assert (outcome.stdout, outcome.returncode) == ("interrupted\n" * 2, 0), outcome.stderr


# buffersize


@buffered
@pytest.mark.parametrize("buffersize", ["foo", 2.0, b"1", 0, -1])
def test_an_invalid_buffersize_raises_the_errors_of_python_3_14(library: BackEnd, buffersize: object) -> None:
    with library.futures.ThreadPoolExecutor(1) as executor:
        whole = isinstance(buffersize, int)
        assert refusal(executor.map, 5, 6, timeout="", buffersize=buffersize) == (
            (ValueError, "buffersize must be None or > 0")
            if whole
            else (TypeError, "buffersize must be an integer or None")
        )


@buffered
@pytest.mark.parametrize("buffersize", [True, 1, 2, 7, 100, 1000, None])
def test_all_results_come_in_order_through_a_buffer(
    library: BackEnd, buffersize: int | None, frantic: None
) -> None:
    with library.futures.ThreadPoolExecutor(3) as executor:
        results = executor.map(pow, range(100), itertools.repeat(2), buffersize=buffersize)
        assert inspect.isgenerator(results)
        assert [*results] == [number**2 for number in range(100)]
        assert [*executor.map(abs, [], buffersize=buffersize)] == []
        assert [*executor.map(abs, buffersize=buffersize)] == []


@buffered
def test_the_iterables_are_read_only_as_far_as_the_buffer_has_room(library: BackEnd) -> None:
    numbers = itertools.count()
    with library.futures.ThreadPoolExecutor(2) as executor:
        results = executor.map(abs, numbers, buffersize=3)
        assert next(numbers) == 3
        assert [next(results) for _ in range(4)] == [0, 1, 2, 4]
        results.close()


@pytest.mark.parametrize("buffersize", [1, 2, 5])
def test_the_buffer_is_full_and_never_exceeded(buffersize: int) -> None:
    recorder, counted = Recorder(), itertools.count()

    def numbers() -> Iterator[int]:
        for number in range(50):
            # The calls that were submitted, with this one, and whose results were not yielded.
            outstanding = len(recorder.submitted) + 1 - yielded
            assert outstanding == min(buffersize, number + 1)
            yield next(counted)

    with recorder.pool(2) as executor:
        yielded = 0
        for result in executor.map(abs, numbers(), buffersize=buffersize):
            assert result == yielded
            yielded += 1
            # A result that was yielded makes room. The room is filled when the next result is asked for.
            assert len(recorder.submitted) == min(50, buffersize + yielded - 1)
    assert yielded == 50


def test_the_buffer_is_filled_before_next_waits_for_the_oldest_call() -> None:
    recorder = Recorder()
    with recorder.pool(2) as executor:
        gates = [threading.Event() for _ in range(4)]
        results = executor.map(lambda number: gates[number].wait(TIMEOUT_SECONDS), range(4), buffersize=2)
        gates[0].set()
        assert next(results)
        assert len(recorder.submitted) == 2
        waiting = Result(next, results)
        until_asleep(waiting.thread)
        assert len(recorder.submitted) == 3
        for gate in gates:
            gate.set()
        assert waiting.get()
        assert [*results] == [True, True]


@buffered
@pytest.mark.parametrize("how", ["close", "drop", "raise", "time"])
def test_calls_in_the_buffer_are_cancelled_when_the_iterator_ends(library: BackEnd, how: str) -> None:
    recorder, numbers = Recorder(library), itertools.count()
    begun = threading.Event()

    def call(number: int) -> None:
        if number == 1:
            begun.set()
            recorder.gate.wait(TIMEOUT_SECONDS)
            if how == "raise":
                raise LookupError

    with recorder.pool(1) as executor:
        timeout = 0.05 if how == "time" else None
        results: Any = executor.map(call, numbers, buffersize=4, timeout=timeout)
        if how == "time":
            recorder.submitted[0].result(TIMEOUT_SECONDS)
        next(results)
        assert begun.wait(TIMEOUT_SECONDS)
        if how == "close":
            results.close()
        elif how == "drop":
            del results
        elif how == "time":
            assert refusal(next, results)[0] is TimeoutError
        else:
            waiting = Result(next, results)
            until_asleep(waiting.thread)
            recorder.gate.set()
            with pytest.raises(LookupError):
                waiting.get()
        recorder.gate.set()
    if how != "raise":
        assert all(future.cancelled() for future in recorder.submitted[2:])
        assert recorder.submitted[1].result() is None


@buffered
def test_map_raises_an_error_that_comes_while_the_buffer_is_first_filled(library: BackEnd) -> None:
    recorder = Recorder(library)
    executor = recorder.pool(1)
    assert refusal(executor.map, abs, failing(2, LookupError("input")), buffersize=5) == (
        LookupError,
        "input",
    )
    executor.shutdown()
    assert [future.result() for future in recorder.submitted] == [0, 1]
    assert refusal(executor.map, abs, [1], buffersize=1) == AFTER_SHUTDOWN


def failing(count: int, error: BaseException) -> Iterator[int]:
    yield from range(count)
    raise error


@pytest.mark.parametrize("buffersize", [1, 2, 3])
def test_an_exception_of_the_iterables_comes_after_the_results_so_far(buffersize: int) -> None:
    with ThreadPoolExecutor(2) as executor:
        results = executor.map(abs, failing(3, LookupError("input")), buffersize=buffersize)
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        assert refusal(next, results) == (LookupError, "input")
        assert [*results] == []


def test_ctrl_c_in_the_iterables_is_raised_at_once() -> None:
    recorder = Recorder()
    with recorder.pool(1) as executor:
        results = executor.map(abs, failing(3, KeyboardInterrupt()), buffersize=3)
        assert next(results) == 0
        with pytest.raises(KeyboardInterrupt):
            next(results)


def test_after_a_shutdown_the_results_so_far_come_before_the_error() -> None:
    executor = ThreadPoolExecutor(2)
    results = executor.map(abs, range(10), buffersize=4)
    assert next(results) == 0
    executor.shutdown()
    assert [next(results) for _ in range(3)] == [1, 2, 3]
    assert refusal(next, results) == AFTER_SHUTDOWN
    assert [*results] == []


def test_a_shutdown_after_the_last_submission_is_no_error() -> None:
    executor = ThreadPoolExecutor(2)
    results = executor.map(abs, range(5), buffersize=5)
    executor.shutdown()
    assert [*results] == [0, 1, 2, 3, 4]


@buffered
def test_a_map_with_a_buffer_keeps_the_executor_alive_after_its_first_result(library: BackEnd) -> None:
    executor = library.futures.ThreadPoolExecutor(1)
    results, alive = executor.map(abs, range(9), buffersize=2), weakref.ref(executor)
    assert next(results) == 0
    del executor
    gc.collect()
    assert [*results] == [*range(1, 9)]
    del results
    spin_until(lambda: gc.collect() is not None and alive() is None)


@buffered
def test_a_map_with_a_buffer_does_not_keep_the_executor_alive_before_its_first_result(
    library: BackEnd,
) -> None:
    executor = library.futures.ThreadPoolExecutor(1)
    results, alive = executor.map(abs, range(9), buffersize=2), weakref.ref(executor)
    del executor
    spin_until(lambda: gc.collect() is not None and alive() is None)
    assert [next(results), next(results)] == [0, 1]


def test_a_map_whose_executor_is_gone_raises_after_the_submitted_calls() -> None:
    results = ThreadPoolExecutor(1).map(abs, range(3), buffersize=2)
    gc.collect()
    assert [next(results), next(results)] == [0, 1]
    assert refusal(next, results) == AFTER_SHUTDOWN
    whole = ThreadPoolExecutor(1).map(abs, range(3), buffersize=3)
    gc.collect()
    assert [*whole] == [0, 1, 2]


def test_an_exception_that_was_not_raised_yet_is_freed_with_the_iterator() -> None:
    executor = ThreadPoolExecutor(1)
    error, alive = LookupError(), weakref.ref(executor)
    thing: Any = Thing()
    error.add_note("")
    vars(error)["thing"], there = thing, weakref.ref(thing)
    results = executor.map(abs, failing(3, error), buffersize=3)
    assert [next(results), next(results)] == [0, 1]
    del executor, error, thing
    # No more calls will be submitted, so the executor is not needed.
    spin_until(lambda: gc.collect() is not None and alive() is None)
    assert there() is not None
    results.close()
    spin_until(lambda: gc.collect() is not None and there() is None)


@buffered
def test_nothing_keeps_a_result_that_was_yielded_from_a_buffer(library: BackEnd) -> None:
    with library.futures.ThreadPoolExecutor(1) as executor:
        for thing in executor.map(lambda _: Thing(), range(10), buffersize=3):
            alive = weakref.ref(thing)
            del thing
            idle = partial(executor.submit, lambda: None)
            spin_until(lambda idle=idle, alive=alive: idle().result() or alive() is None)


def test_the_parameters_are_those_of_the_newest_version_and_progress() -> None:
    parameters = inspect.signature(ThreadPoolExecutor(1).map).parameters.values()
    ours = [(each.name, each.kind, each.default) for each in parameters]
    keyword = inspect.Parameter.KEYWORD_ONLY
    extra = [("buffersize", keyword, None), ("progress", keyword, None)]
    standard = inspect.signature(concurrent.futures.ThreadPoolExecutor(1).map).parameters.values()
    theirs = [(each.name, each.kind, each.default) for each in standard]
    assert ours == [*theirs, *(parameter for parameter in extra if parameter not in theirs)]


@pytest.mark.parametrize("timeout", [None, 1000])
def test_map_calls_the_methods_of_other_futures_as_the_standard_map_does(
    library: BackEnd, timeout: float | None
) -> None:
    calls: list[object] = []

    class Noted(library.futures.Future):  # type: ignore[misc,name-defined]
        def result(self, timeout: float | None) -> Any:
            calls.append(("result", self.number, timeout is None))
            return super().result(timeout)

        def cancel(self) -> bool:
            calls.append(("cancel", self.number))
            return bool(super().cancel())

    class Now(library.futures.ThreadPoolExecutor):  # type: ignore[misc,name-defined]
        def submit(self, fn: Callable[..., Any], number: int) -> Any:  # type: ignore[override]
            future = Noted()
            future.number = number
            future.set_running_or_notify_cancel()
            if number == 2:
                future.set_exception(LookupError())
            else:
                future.set_result(fn(number))
            return future

    results = Now(1).map(abs, range(5), timeout=timeout)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(LookupError):
        next(results)
    asked = [("result", number, timeout is None) for number in range(3)]
    gone = [("cancel", number) for number in range(3)]
    assert calls == [*itertools.chain(*zip(asked, gone, strict=True)), ("cancel", 4), ("cancel", 3)]
