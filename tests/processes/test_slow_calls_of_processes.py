"""Reports of calls of a pool of processes that run for long: where they are in the child."""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import logging.handlers
import os
import queue
import signal
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from traceback import StackSummary
from typing import Any

import pytest

from oxthreads.concurrent.futures import SlowCall
from oxthreads.processes import ProcessPoolExecutor, WorkerDied
from oxthreads.processes._stack import Question
from tests.support import long_calls as calls
from tests.support.waiting import TIMEOUT_SECONDS, rounds, spin_until

pytestmark = [
    pytest.mark.one_thread("there is one thread that looks at all pools"),
    pytest.mark.skipif(sys.platform != "linux", reason="there are signals for it"),
]


HAS_GIL = not sysconfig.get_config_var("Py_GIL_DISABLED")


class Reports:
    """The calls that were reported."""

    def __init__(self) -> None:
        self._queue: queue.Queue[SlowCall] = queue.Queue()
        self.add = self._queue.put

    def next(self) -> SlowCall:
        """The next one."""
        return self._queue.get(timeout=TIMEOUT_SECONDS)

    def of(self, function: str | None, pool: ProcessPoolExecutor | None) -> SlowCall:
        """The next report of this function. The start of a process may be reported before.

        On a busy machine, the process may not have come to the function yet. Then it is asked again.
        """
        while True:
            call = self.next()
            if call.function == function:
                break
        while pool is not None and "wait" not in names(call):
            call = call._replace(stack=functions(pool))
        return call


@pytest.fixture
def reports() -> Reports:
    return Reports()


def open_descriptors() -> set[int]:
    """The numbers of the descriptors of this process."""
    # That of the folder itself is gone when it is looked at.
    return {int(each.name) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()}


def functions(pool: ProcessPoolExecutor) -> StackSummary:
    """Where the call of the only child of a pool is."""
    (child,) = pool._settings.children
    return answer_of(Question(child))


def answer_of(question: Question) -> StackSummary:
    while (stack := question.answer()) is None:
        time.sleep(0.001)
    return stack


@contextlib.contextmanager
def pool_of(*arguments: Any, **options: Any) -> Iterator[ProcessPoolExecutor]:
    """A pool that waits for no call if the test fails."""
    with ProcessPoolExecutor(*arguments, **options) as pool:
        try:
            yield pool
        except BaseException:
            pool.kill_workers()
            raise


@pytest.fixture
def end(tmp_path: Path) -> Iterator[str]:
    """The name of the file by which calls end."""
    file = tmp_path / "end"
    yield str(file)
    file.touch()


def names(call: SlowCall) -> list[str]:
    """The functions of the program that a call is in."""
    return [entry.name for entry in call.stack if entry.filename == calls.__file__]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_call_is_reported_with_its_process_and_its_functions(
    method: Any, reports: Reports, end: str
) -> None:
    with pool_of(1, method, thread_name_prefix="tea", slow_after=0.05, on_slow=reports.add) as pool:
        for name in ("first", "second"):
            future = pool.submit(calls.outer, end + name)
            call = reports.of("outer", pool)
            assert (call.thread, names(call)) == ("tea_0", ["outer", "wait"])
            assert call.stack[0].filename == calls.__file__
            assert call.stack[0].line == "wait(end)"
            assert call.seconds >= 0.05
            Path(end + name).touch()
            assert future.result(TIMEOUT_SECONDS) == call.process != os.getpid()


def test_all_items_of_a_chunk_are_one_call(reports: Reports, end: str) -> None:
    with pool_of(1, slow_after=0.05, on_slow=reports.add) as pool:
        results = pool.map(calls.outer, [end, end], chunksize=2)
        assert names(reports.of("outer", pool)) == ["outer", "wait"]
        Path(end).touch()
        assert len({*results}) == 1


def test_a_function_in_c_has_a_name_and_no_stack(reports: Reports) -> None:
    with pool_of(1, slow_after=0.05, on_slow=reports.add) as pool:
        pool.submit(time.sleep, 60)
        call = reports.next()
        while call.function is None:
            call = reports.next()
        assert (call.function, call.stack) == ("sleep", [])
        pool.kill_workers()


def test_a_done_callback_is_in_no_process(reports: Reports) -> None:
    told, end = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        told.set()
        end.wait(TIMEOUT_SECONDS)

    with pool_of(1, thread_name_prefix="tea", slow_after=0.5, on_slow=reports.add) as pool:
        pool.submit(abs, -1).result(TIMEOUT_SECONDS)
        future = pool.submit(time.sleep, 0.05)
        future.add_done_callback(hold)
        try:
            assert told.wait(TIMEOUT_SECONDS)
            call = reports.next()
            while "hold" not in [entry.name for entry in call.stack] and HAS_GIL:
                call = reports.next()  # of the start of the process
        finally:
            end.set()
        assert (call.thread, call.process, call.function) == ("tea_0", os.getpid(), None)


def test_a_deep_stack(reports: Reports, end: str) -> None:
    with pool_of(1, slow_after=0.05, on_slow=reports.add) as pool:
        pool.submit(calls.deep, 300, end)
        call = reports.of("deep", pool)
        assert names(call) == [*["deep"] * 301, "wait"]
        Path(end).touch()


def test_a_call_in_a_pool_inside_of_a_call(reports: Reports, end: str) -> None:
    with pool_of(1, slow_after=0.05, on_slow=reports.add) as pool:
        pool.submit(calls.wait_in_pool, end)
        call = reports.next()
        while call.function is None:
            call = reports.next()
        while "join" not in [entry.name for entry in call.stack]:
            call = call._replace(stack=functions(pool))
        assert names(call) == ["wait_in_pool"]
        assert {entry.filename for entry in call.stack} > {calls.__file__}
        Path(end).touch()


def test_names_that_are_not_ascii(reports: Reports, end: str, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "größe.py").write_text(
        "from tests.support.long_calls import wait\ndef maß(end): wait(end)\ndef 測(end): maß(end)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("größe")
    with pool_of(1, slow_after=0.05, on_slow=reports.add) as pool:
        pool.submit(module.測, end)
        call = reports.of("測", pool)
        assert [(entry.filename, entry.name) for entry in call.stack[:2]] == [
            (str(tmp_path / "größe.py"), "測"),
            (str(tmp_path / "größe.py"), "maß"),
        ]
        Path(end).touch()


def test_an_initializer_that_takes_long(reports: Reports, end: str) -> None:
    with pool_of(
        1, initializer=calls.initialize, initargs=(end,), slow_after=0.05, on_slow=reports.add
    ) as pool:
        pool.submit(abs, 1)
        call = reports.of(None, pool)
        assert names(call) == ["initialize", "wait"]
        Path(end).touch()


def test_a_process_that_starts_is_not_asked(reports: Reports) -> None:
    """The signal would kill it."""
    with pool_of(1, slow_after=0.001, on_slow=reports.add) as pool:
        for number in range(5):
            pool.submit(abs, -number)
            assert pool.submit(os.getpid).result(TIMEOUT_SECONDS) != os.getpid()


def test_a_process_without_the_handler_is_not_asked(reports: Reports, end: str) -> None:
    with pool_of(1, slow_after=0.05, on_slow=reports.add) as pool:
        future = pool.submit(calls.wait_without_handlers, end)
        call = reports.next()
        while call.function is None:
            call = reports.next()
        spin_until(Path(end + " begun").exists)
        assert functions(pool) == []
        Path(end).touch()
        assert future.result(TIMEOUT_SECONDS) is None


def test_signals_that_the_program_blocks(reports: Reports, end: str) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        with pool_of(1, slow_after=0.05, on_slow=reports.add) as pool:
            pool.submit(calls.outer, end)
            assert names(reports.of("outer", pool)) == ["outer", "wait"]
            Path(end).touch()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_function_whose_attributes_fail(reports: Reports, end: str) -> None:
    with pool_of(1, slow_after=0.05, on_slow=reports.add) as pool:
        pool.submit(calls.Proxy(end))
        assert names(reports.of("Proxy", pool)) == ["__call__", "wait"]
        Path(end).touch()


def test_a_question_ends_no_wait_of_the_call(reports: Reports, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    with pool_of(1, slow_after=60) as pool:
        future = pool.submit(calls.receive, str(begun), 0.5)
        spin_until(begun.exists)
        asked = 0
        (worker,) = [thread.ident or 0 for thread in pool._oxthreads_threads._threads]
        while not future.done():
            answer_of(pool._settings.ask(worker))
            asked += 1
        assert asked
        assert future.result() == "TimeoutError"


def test_a_busy_call_that_is_asked_all_the_time(reports: Reports) -> None:
    """The functions are read while they change."""
    with pool_of(1, slow_after=60) as pool:
        future = pool.submit(calls.compute, 1.0)
        (worker,) = [thread.ident or 0 for thread in pool._oxthreads_threads._threads]
        found = set()
        while not future.done():
            stack = answer_of(pool._settings.ask(worker))
            found |= {entry.name for entry in stack if entry.filename == calls.__file__}
        assert isinstance(future.result(), int)
        assert "compute" in found


def test_what_another_handler_raises_is_for_the_call() -> None:
    """It may run inside of the handler of a question."""
    with pool_of(1, slow_after=60) as pool:
        future = pool.submit(calls.tick, 500)
        (worker,) = [thread.ident or 0 for thread in pool._oxthreads_threads._threads]
        while not future.done():
            answer_of(pool._settings.ask(worker))
        assert future.result() == "all"


def test_many_questions_while_calls_begin_and_end_and_children_die() -> None:
    """A process may end between the question and the answer, and its descriptor be another's."""
    stop = threading.Event()
    with pool_of(2, max_tasks_per_child=3, slow_after=60) as pool:

        def ask() -> None:
            while not stop.is_set():
                for thread in [*pool._oxthreads_threads._threads]:
                    question = pool._settings.ask(thread.ident or 0)
                    while not stop.is_set() and question.answer() is None:
                        pass

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            futures = [pool.submit(*each) for each in [(abs, -1), (sorted, [2, 1]), (os._exit, 3)] * 8]
            results = [future.exception(TIMEOUT_SECONDS) or future.result() for future in futures]
        finally:
            stop.set()
            asking.join(TIMEOUT_SECONDS)
        assert not asking.is_alive()
        assert results[0::3] == [1] * 8
        assert results[1::3] == [[1, 2]] * 8
        assert {type(result) for result in results[2::3]} == {WorkerDied}
        assert {result.exitcode for result in results[2::3]} == {3}


def test_a_call_that_does_not_answer_holds_up_no_other(reports: Reports, end: str) -> None:
    """Five processes are stopped. The sixth answers before these are given up."""
    with pool_of(6, slow_after=0.3, on_slow=reports.add) as pool:
        barrier = [pool.submit(calls.outer, end) for _ in range(5)]
        stopped = set()
        while len(stopped) < 5:
            stopped |= {reports.of("outer", None).process}
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            # Those that are stopped have been asked again, and the sixth after them.
            questions = [Question(child) for child in pool._settings.children if child.pid in stopped]
            pool.submit(calls.deep, 1, end)
            assert "deep" in names(reports.of("deep", None))
            assert len(questions) == 5
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        Path(end).touch()
        assert {future.result(TIMEOUT_SECONDS) for future in barrier} == stopped


@pytest.mark.parametrize("left", [0, 7, 9])
def test_without_descriptors_nothing_is_kept(left: int) -> None:
    resource = pytest.importorskip("resource")
    with pool_of(1, slow_after=60) as pool:
        pool.submit(abs, 1).result(TIMEOUT_SECONDS)  # what multiprocessing keeps
    with pool_of(1, slow_after=60) as pool:
        before = open_descriptors()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        first_free = next(number for number in range(1000) if number not in before)
        resource.setrlimit(resource.RLIMIT_NOFILE, (first_free + left, hard))
        try:
            errors = [type(pool.submit(abs, 1).exception(TIMEOUT_SECONDS)) for _ in range(3)]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert all(issubclass(error, OSError) for error in errors)
        gc.collect()  # the tracebacks
        assert open_descriptors() <= before
        assert pool.submit(abs, -1).result(TIMEOUT_SECONDS) == 1


def test_a_process_that_is_stopped_holds_up_no_report(reports: Reports, end: str) -> None:
    with pool_of(1, slow_after=0.2, on_slow=reports.add) as pool:
        pid = pool.submit(os.getpid).result(TIMEOUT_SECONDS)
        future = pool.submit(calls.outer, end)
        os.kill(pid, signal.SIGSTOP)
        try:
            call = reports.next()
            while call.function != "outer":
                call = reports.next()
            assert call.process == pid
        finally:
            os.kill(pid, signal.SIGCONT)
        Path(end).touch()
        assert future.result(TIMEOUT_SECONDS) == pid


def test_without_a_function_there_is_a_warning(end: str) -> None:
    records: queue.Queue[Any] = queue.Queue()
    handler = logging.handlers.QueueHandler(records)
    logger = logging.getLogger("oxthreads")
    logger.addHandler(handler)
    try:
        with pool_of(1, slow_after=0.05, thread_name_prefix="tea") as pool:
            text = ""
            for number in rounds(100):
                future = pool.submit(calls.outer, f"{end}{number}")
                while "a call of outer in tea_0, process " not in text:
                    text = records.get(timeout=TIMEOUT_SECONDS).getMessage()
                Path(f"{end}{number}").touch()
                assert f"process {future.result()}, has run for " in text
                if "in outer\n    wait(end)\n" in text:
                    break
                text = ""  # a busy machine: the process had not come so far
            assert text
    finally:
        logger.removeHandler(handler)


def test_nothing_is_left(reports: Reports) -> None:
    with pool_of(1, slow_after=60) as pool:
        pool.submit(abs, 1).result(TIMEOUT_SECONDS)  # what multiprocessing keeps
    before = open_descriptors()
    for _ in range(3):
        with pool_of(2, slow_after=0.001, on_slow=reports.add) as pool:
            assert [*pool.map(abs, [-1, -2])] == [1, 2]
    spin_until(lambda: open_descriptors() <= before)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"on_slow": print}, TypeError),
        ({"slow_after": 1, "on_slow": 3}, TypeError),
        ({"slow_after": "1 s"}, ValueError),
        ({"slow_after": 0}, ValueError),
        ({"slow_after": -1}, ValueError),
        ({"slow_after": float("nan")}, ValueError),
    ],
)
def test_wrong_arguments(options: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"slow|float"):
        ProcessPoolExecutor(1, **options)
