"""Tests of `ThreadPoolExecutor.map(progress=...)`, which reports how many calls have ended."""

from __future__ import annotations

import gc
import itertools
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from oxthreads.concurrent.futures import Future, ThreadPoolExecutor
from tests.support.interpreters import python
from tests.support.refusals import refusal
from tests.support.threads import Result
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, until_asleep


class Progress:
    """Records each report with its time and its thread, and checks that no two reports overlap."""

    def __init__(self) -> None:
        self.reports: list[tuple[int, int | None]] = []
        self.times: list[float] = []
        self.threads: list[threading.Thread] = []
        self.inside = threading.Lock()

    def __call__(self, done: int, total: int | None) -> None:
        self.times.append(time.monotonic())
        assert self.inside.acquire(blocking=False), "two reports at the same time"
        self.threads.append(threading.current_thread())
        self.reports.append((done, total))
        self.inside.release()

    def check(self, last: tuple[int, int | None]) -> None:
        """Check what must hold for all reports, and that the last one is `last`."""
        assert self.reports[-1] == last
        assert self.reports.count(last) == 1
        done = [report[0] for report in self.reports]
        assert done == sorted(done)
        assert len({*self.reports}) == len(self.reports)
        # Of any eleven reports in a row, the first and the last are more than a second apart.
        assert all(late - early > 1 for early, late in zip(self.times, self.times[10:], strict=False))


def without_a_late_one(progress: Progress, due: tuple[int, int | None]) -> list[tuple[int, int | None]]:
    """The reports but this one, which has fallen due if the machine was slow. It must not come too early."""
    if due not in progress.reports:
        return progress.reports
    place = progress.reports.index(due)
    assert progress.times[place] - progress.times[place - 1] > 0.1
    return progress.reports[:place] + progress.reports[place + 1 :]


@pytest.mark.parametrize("progress", [5, "tqdm", ()])
def test_an_object_that_cannot_be_called_is_refused_before_any_submission(progress: Any) -> None:
    ran: list[int] = []
    with ThreadPoolExecutor(1) as executor:
        words = refusal(executor.map, ran.append, [1], progress=progress)
    assert words == (TypeError, "progress must be a callable or None")
    assert not ran


@pytest.mark.parametrize("buffersize", [None, 1, 10])
@pytest.mark.parametrize("workers", [1, 4])
def test_the_last_report_says_that_all_calls_have_ended(
    workers: int, buffersize: int | None, frantic: None
) -> None:
    for count in (1, 2, 500):
        progress = Progress()
        with ThreadPoolExecutor(workers) as executor:
            results = executor.map(abs, range(count), progress=progress, buffersize=buffersize)
            assert [*results] == [*range(count)]
        progress.check((count, count))


@pytest.mark.parametrize("inputs", [[], (), iter([]), "generator", None])
@pytest.mark.parametrize("buffersize", [None, 3])
def test_a_map_without_calls_makes_one_report(inputs: Any, buffersize: int | None) -> None:
    progress = Progress()
    iterables = [] if inputs is None else [iter(()) if inputs == "generator" else inputs]
    with ThreadPoolExecutor(1) as executor:
        assert [*executor.map(abs, *iterables, progress=progress, buffersize=buffersize)] == []
    assert progress.reports == [(0, 0)]


def test_the_total_comes_from_the_lengths_of_the_iterables(frantic: None) -> None:
    progress = Progress()
    with ThreadPoolExecutor(3) as executor:
        executor.map(pow, range(300), [2] * 200, progress=progress)
    assert {total for _, total in progress.reports} == {200}
    progress.check((200, 200))


def test_workers_make_the_reports_while_calls_are_unfinished() -> None:
    progress, gate = Progress(), threading.Event()

    def call(number: int) -> None:
        if number == 9:
            assert gate.wait(TIMEOUT_SECONDS)

    with ThreadPoolExecutor(2) as executor:
        results = executor.map(call, range(10), progress=progress)
        for _ in range(9):
            next(results)
        gate.set()
    assert {*progress.threads} <= {*executor._threads}
    progress.check((10, 10))


class Length(list[int]):
    """A list that returns a wrong length, or raises."""

    def __init__(self, length: int, content: Iterator[int]) -> None:
        super().__init__(content)
        self.length = length

    def __len__(self) -> int:
        if self.length < 0:
            raise LookupError
        return self.length


@pytest.mark.parametrize("length", [-1, 0, 2, 7])
def test_the_last_report_has_the_right_total_despite_a_wrong_length(length: int) -> None:
    progress = Progress()
    with ThreadPoolExecutor(1) as executor:
        assert [*executor.map(abs, Length(length, iter(range(5))), progress=progress)] == [*range(5)]
    assert progress.reports[-1] == (5, 5)


def test_the_total_is_none_while_the_iterables_are_read() -> None:
    progress = Progress()

    def numbers() -> Iterator[int]:
        yield 1
        # The first call has ended. It was reported at once, because it is the first.
        spin_until(lambda: progress.reports)
        yield 2

    with ThreadPoolExecutor(1) as executor:
        assert [*executor.map(abs, numbers(), progress=progress)] == [1, 2]
    assert without_a_late_one(progress, (2, None)) == [(1, None), (2, 2)]


def test_with_a_buffer_the_last_report_may_only_add_the_total() -> None:
    progress = Progress()
    with ThreadPoolExecutor(1) as executor:
        results = executor.map(abs, range(1), progress=progress, buffersize=1)
        assert next(results) == 0
        spin_until(lambda: progress.reports)
        assert [*results] == []
    assert progress.reports == [(1, None), (1, 1)]
    # The last report comes from the thread that has found out that there are no more calls.
    assert progress.threads[-1] is threading.current_thread()


def test_at_most_ten_reports_are_made_in_a_second() -> None:
    progress, begin = Progress(), time.monotonic()

    def goes_on(_: int) -> bool:
        # There are more reports than the first and the last, if the machine does not stand still.
        limit = 1.5 if len(progress.reports) > 4 else TIMEOUT_SECONDS
        return time.monotonic() < begin + limit

    with ThreadPoolExecutor(2) as executor:
        inputs = itertools.takewhile(goes_on, itertools.count())
        count = sum(1 for _ in executor.map(abs, inputs, progress=progress, buffersize=10))
    progress.check((count, count))
    assert len(progress.reports) > 4


@pytest.mark.parametrize("count", [3, 300])
def test_calls_that_end_during_a_report_are_reported_after_it(count: int) -> None:
    reports: list[tuple[int, int | None]] = []
    begun, gate = threading.Event(), threading.Event()

    def progress(done: int, total: int | None) -> None:
        reports.append((done, total))
        begun.set()
        assert gate.wait(TIMEOUT_SECONDS)

    with ThreadPoolExecutor(2) as executor:
        results = executor.map(abs, range(count), progress=progress)
        # One worker makes the report, and the other one runs all remaining calls.
        assert begun.wait(TIMEOUT_SECONDS)
        assert [*results] == [*range(count)]
        first = [*reports]
        gate.set()
    assert first == [(1, count)]
    assert reports == [(1, count), (count, count)]


def test_cancelled_calls_do_not_count_but_are_not_waited_for() -> None:
    progress, gate, begun = Progress(), threading.Event(), threading.Event()

    def call(number: int) -> None:
        if number == 1:
            begun.set()
            assert gate.wait(TIMEOUT_SECONDS)

    with ThreadPoolExecutor(1) as executor:
        results: Any = executor.map(call, range(10), progress=progress)
        next(results)
        assert begun.wait(TIMEOUT_SECONDS)
        results.close()
        assert progress.reports == [(1, 10)]
        gate.set()
    assert progress.reports == [(1, 10), (2, 10)]
    assert progress.threads[-1] in executor._threads


@pytest.mark.parametrize("how", ["close", "raise"])
def test_closing_a_map_with_a_buffer_reports_the_total(how: str) -> None:
    progress = Progress()
    with ThreadPoolExecutor(1) as executor:
        numbers = itertools.count() if how == "close" else iter([0, 1, 2, 3, ""])
        results: Any = executor.map(lambda number: number + 0, numbers, progress=progress, buffersize=2)
        assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
        if how == "close":
            results.close()
        else:
            assert refusal(next, results)[0] is TypeError
    done, total = progress.reports[-1]
    assert total == 5
    assert done in (4, 5)
    assert how == "close" or done == 5


def test_dropping_a_map_with_a_buffer_reports_the_total() -> None:
    progress = Progress()
    with ThreadPoolExecutor(1) as executor:
        results = executor.map(abs, itertools.count(), progress=progress, buffersize=3)
        del results
        gc.collect()
    progress.check((3, 3))


def test_after_an_exception_of_the_iterables_the_last_report_has_the_total() -> None:
    def numbers() -> Iterator[int]:
        yield from range(5)
        raise LookupError

    for buffersize in (None, 10, 2):
        progress = Progress()
        with ThreadPoolExecutor(1) as executor, pytest.raises(LookupError):
            [*executor.map(abs, numbers(), progress=progress, buffersize=buffersize)]
        assert progress.reports[-1] == (5, 5)


def test_if_all_calls_are_cancelled_there_is_one_report() -> None:
    progress, gate = Progress(), threading.Event()
    executor = ThreadPoolExecutor(1)
    blocker = executor.submit(gate.wait, TIMEOUT_SECONDS)
    spin_until(blocker.running)
    executor.map(abs, range(5), progress=progress)
    shutdown = Result(executor.shutdown, cancel_futures=True)
    spin_until(lambda: progress.reports)
    gate.set()
    shutdown.get()
    assert blocker.result()
    assert progress.reports == [(0, 5)]


@pytest.mark.parametrize("error", [ValueError("told"), SystemExit("told")])
def test_an_exception_of_the_function_is_logged_as_that_of_a_done_callback(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Progress):
        def __call__(self, done: int, total: int | None) -> None:
            super().__call__(done, total)
            raise error

    progress = Failing()
    with ThreadPoolExecutor(1) as executor:
        assert [*executor.map(abs, range(3), progress=progress)] == [0, 1, 2]
        assert executor.submit(int).result(TIMEOUT_SECONDS) == 0
    assert without_a_late_one(progress, (2, 3)) == [(1, 3), (3, 3)]
    level = logging.ERROR if isinstance(error, Exception) else logging.CRITICAL
    assert [record.levelno for record in caplog.records] == [level] * len(progress.reports)
    for record in caplog.records:
        assert record.name == "concurrent.futures"
        assert record.exc_info is not None and record.exc_info[1] is error
        if isinstance(error, Exception):
            assert record.getMessage().startswith("exception calling callback for <Future at ")


def test_the_log_names_the_function_if_there_is_no_call(caplog: pytest.LogCaptureFixture) -> None:
    def progress(done: int, total: int | None) -> None:
        raise ValueError

    with ThreadPoolExecutor(1) as executor:
        assert [*executor.map(abs, [], progress=progress)] == []
    assert caplog.messages == [f"exception calling callback for {progress!r}"]


def test_neither_results_nor_the_function_are_kept_alive() -> None:
    class Thing:
        pass

    progress = Progress()
    alive = weakref.ref(progress)
    with ThreadPoolExecutor(1) as executor:
        results = executor.map(lambda _: Thing(), range(20), progress=progress)
        for thing in results:
            there = weakref.ref(thing)
            del thing
            # Without a GIL, a worker frees the objects that it has made when it executes bytecode.
            idle = partial(executor.submit, lambda: None)
            spin_until(lambda idle=idle, there=there: idle().result() or there() is None)
        del results, progress
        spin_until(lambda: gc.collect() is not None and alive() is None)


def test_a_cycle_through_the_function_is_collected() -> None:
    class Thing:
        results: Any = None

        def progress(self, done: int, total: int | None) -> None:
            pass

    gate = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        executor.submit(gate.wait, TIMEOUT_SECONDS)
        thing = Thing()
        thing.results = executor.map(abs, range(9), progress=thing.progress, buffersize=2)
        alive = weakref.ref(thing)
        gate.set()
        del thing
        spin_until(lambda: gc.collect() is not None and alive() is None)


def test_the_function_may_use_the_pool() -> None:
    nested: list[int] = []
    with ThreadPoolExecutor(2) as executor:

        def progress(done: int, total: int | None) -> None:
            nested.extend(executor.map(abs, [done, total or 0], progress=Progress()))

        assert [*executor.map(abs, range(5), progress=progress)] == [0, 1, 2, 3, 4]
        # The last report may come after the last result.
        spin_until(lambda: nested[-2:] == [5, 5])


def test_calls_that_end_in_submit_are_reported_by_the_submitting_thread() -> None:
    class Inline(ThreadPoolExecutor):
        def submit(self, fn: Callable[..., object], /, *args: object, **keywords: object) -> Any:
            future: Future[object] = Future()
            future.set_result(fn(*args, **keywords))
            return future

    progress = Progress()
    with Inline(1) as executor:
        assert [*executor.map(abs, range(100), progress=progress)] == [*range(100)]
    assert progress.reports[0] == (1, 100)
    progress.check((100, 100))
    assert {*progress.threads} == {threading.current_thread()}


def test_ctrl_c_in_the_report_of_an_empty_map_is_raised() -> None:
    def progress(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as executor, pytest.raises(KeyboardInterrupt):
        executor.map(abs, [], progress=progress)


def test_a_forked_child_does_not_wait_for_a_report_of_its_parent() -> None:
    outcome = python(
        """if True:
        import os, threading
        from concurrent.futures import ThreadPoolExecutor
        begun, gate = threading.Event(), threading.Event()
        def progress(done, total):
            if done == 1:
                begun.set()
                gate.wait()
        executor = ThreadPoolExecutor(1)
        results = executor.map(abs, range(3), progress=progress)
        next(results)
        begun.wait()
        if os.fork() == 0:
            results.close()
            print("child", flush=True)
            os._exit(0)
        os.wait()
        gate.set()
        print([*results])
    """,
        PYTHONWARNINGS="ignore",
    )
    assert (outcome.stdout, outcome.returncode) == ("child\n[1, 2]\n", 0), outcome.stderr


def test_a_slow_function_does_not_delay_results() -> None:
    gate = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        results = executor.map(abs, range(1), progress=lambda *_: gate.wait(TIMEOUT_SECONDS))
        assert next(results) == 0
        shutdown = Result(executor.shutdown)
        until_asleep(shutdown.thread)
        gate.set()
        shutdown.get()
