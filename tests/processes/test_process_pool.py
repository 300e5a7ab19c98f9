"""What a pool of processes does, compared with the standard one where that does it too."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.process
import gc
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oxthreads.concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from oxthreads.processes import CallTimeout, ProcessPoolExecutor, WorkerDied
from oxthreads.queue import SimpleQueue
from oxthreads.waiting import select
from tests.support import process_calls as calls
from tests.support.forks import can_fork, forks, in_child
from tests.support.interpreters import python
from tests.support.waiting import TIMEOUT_SECONDS, spin_until

pytestmark = pytest.mark.one_thread("starts processes")

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

METHODS = [method for method in ("spawn", "forkserver") if method in multiprocessing.get_all_start_methods()]


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """A pool of two, for tests that do not change it."""
    with ProcessPoolExecutor(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def standard() -> Iterator[concurrent.futures.ProcessPoolExecutor]:
    """The standard pool."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture(params=["oxthreads", "standard"])
def either(request: pytest.FixtureRequest) -> Any:
    """Each of the two pools."""
    return request.getfixturevalue("pool" if request.param == "oxthreads" else "standard")


class TestCalls:
    def test_a_call_runs_in_another_process(self, either: Any) -> None:
        assert either.submit(calls.pid).result() != os.getpid()

    def test_arguments_and_results_are_those_of_the_call(self, either: Any) -> None:
        future = either.submit(calls.all_arguments, 1, "two", [3], key={"four": 5})
        assert future.result() == ((1, "two", [3]), {"key": {"four": 5}})

    def test_an_error_has_the_traceback_of_the_child_as_its_cause(self, either: Any) -> None:
        error = either.submit(calls.fail).exception()
        assert type(error) is ValueError
        assert str(error) == "a failure"
        assert type(error.__cause__).__name__ == "_RemoteTraceback"
        assert "the line that a traceback shows" in str(error.__cause__)
        assert "ValueError: a failure" in str(error.__cause__)

    def test_system_exit_is_an_error_of_the_call(self, either: Any) -> None:
        error = either.submit(calls.leave).exception()
        assert type(error) is SystemExit
        assert error.code == "not so fast"

    @pytest.mark.parametrize("size", [0, 1, 65_519, 65_520, 65_521, 300_000, 20_000_000])
    def test_long_arguments_and_results(self, pool: ProcessPoolExecutor, size: int) -> None:
        content = bytes(range(256)) * (size // 256 + 1)
        assert pool.submit(calls.echo, content[:size]).result() == content[:size]

    def test_map_gives_results_in_order(self, either: Any) -> None:
        assert list(either.map(pow, range(10), range(10))) == [number**number for number in range(10)]

    @pytest.mark.parametrize("size", [1, 3, 10, 1000])
    def test_map_in_chunks(self, either: Any, size: int) -> None:
        assert list(either.map(abs, range(-10, 0), chunksize=size)) == list(range(10, 0, -1))

    def test_map_of_nothing(self, either: Any) -> None:
        assert list(either.map(abs, [])) == []
        assert list(either.map(abs, [], chunksize=5)) == []

    def test_map_refuses_a_chunksize_below_one(self, either: Any) -> None:
        with pytest.raises(ValueError, match=r"chunksize must be >= 1\."):
            either.map(abs, [1], chunksize=0)

    def test_an_error_in_a_chunk_ends_map(self, either: Any) -> None:
        results = either.map(int, ["1", "2", "three", "4"], chunksize=2)
        assert [next(results), next(results)] == [1, 2]
        with pytest.raises(ValueError, match="three"):
            next(results)
        assert list(results) == []

    def test_a_timeout_of_map(self, either: Any, tmp_path: Path) -> None:
        results = either.map(time.sleep, [0.3], timeout=0)
        with pytest.raises(TimeoutError):
            next(results)

    def test_map_reads_no_further_than_its_buffer(self, pool: ProcessPoolExecutor) -> None:
        read = []

        def numbers() -> Iterator[int]:
            for number in range(1_000_000_000):
                read.append(number)
                yield number

        results = pool.map(abs, numbers(), buffersize=3)
        assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
        assert len(read) <= 7
        results.close()  # type: ignore[attr-defined]
        chunks = pool.map(abs, numbers(), buffersize=2, chunksize=10)
        assert next(chunks) == 0
        chunks.close()  # type: ignore[attr-defined]

    @pytest.mark.parametrize("size", [1, 2, 5, 10])
    def test_map_reports_the_progress_of_calls(self, pool: ProcessPoolExecutor, size: int) -> None:
        reports: list[tuple[int, int | None]] = []
        results = pool.map(
            abs, range(5), chunksize=size, progress=lambda done, total: reports.append((done, total))
        )
        assert list(results) == [0, 1, 2, 3, 4]
        spin_until(lambda: reports and reports[-1] == (5, 5))
        assert {total for _, total in reports} == {5}

    @pytest.mark.parametrize("size", [1, 2])
    def test_a_call_that_raises_stop_iteration_does_not_end_map(
        self, pool: ProcessPoolExecutor, size: int
    ) -> None:
        with pytest.raises(RuntimeError, match="StopIteration"):
            list(pool.map(calls.stop_at, [1, 2, 3, 4], [2] * 4, chunksize=size))

    def test_a_chunksize_that_is_no_integer(self, pool: ProcessPoolExecutor) -> None:
        size: Any = 1.5
        with pytest.raises(TypeError, match="integer"):
            pool.map(abs, [1], chunksize=size)

    def test_futures_are_those_of_the_other_pools(self, pool: ProcessPoolExecutor) -> None:
        with ThreadPoolExecutor(1) as threads:
            futures = [pool.submit(abs, -1), threads.submit(abs, -2)]
            assert isinstance(futures[0], Future)
            assert {future.result() for future in as_completed(futures)} == {1, 2}
            assert wait(futures).not_done == set()
        future = pool.submit(abs, -3)
        source, _ = select(future, SimpleQueue[None](), timeout=TIMEOUT_SECONDS)
        assert source is future
        assert future.result() == 3

    def test_a_pending_call_can_be_cancelled(self, tmp_path: Path) -> None:
        with ProcessPoolExecutor(1) as pool:
            running = pool.submit(calls.begin_and_sleep, str(tmp_path / "begun"), 0.2)
            calls.begun(tmp_path / "begun")
            pending = pool.submit(abs, 1)
            assert pending.cancel()
            assert not running.cancel()
            assert running.result() is None

    def test_a_child_runs_many_calls(self, either: Any) -> None:
        assert len({either.submit(calls.pid).result() for _ in range(10)}) <= 2

    def test_arguments_are_freed_in_the_child_before_the_next_call(self) -> None:
        with ProcessPoolExecutor(1) as pool:
            assert pool.submit(calls.all_arguments, calls.Traced()).result()
            assert pool.submit(calls.living).result() == 0

    def test_results_and_arguments_are_freed_here(self, pool: ProcessPoolExecutor) -> None:
        argument = calls.Traced()
        reference = weakref.ref(argument)
        future = pool.submit(calls.echo, argument)
        del argument
        result = weakref.ref(future.result())
        del future
        gc.collect()
        spin_until(lambda: reference() is None)
        spin_until(lambda: result() is None)


class TestChildren:
    @pytest.mark.parametrize("method", METHODS)
    def test_start_methods(self, method: Any) -> None:
        for context in (method, multiprocessing.get_context(method)):
            with ProcessPoolExecutor(1, context) as pool:
                assert pool.submit(calls.pid).result() != os.getpid()

    def test_ctrl_c_is_for_the_parent(self) -> None:
        with ProcessPoolExecutor(1, thread_name_prefix="renderer") as pool:
            assert pool.submit(calls.signals_and_threads).result() == (True, 1, "renderer_0")

    def test_children_are_started_as_calls_come(self) -> None:
        with ProcessPoolExecutor(3) as pool:
            assert pool._processes == {}
            child = pool.submit(calls.pid).result()
            assert list(pool._processes) == [child]
            spin_until(lambda: pool.stats().busy == 0)
            assert pool.submit(calls.pid).result() == child

    def test_all_children_work_at_the_same_time(self, tmp_path: Path) -> None:
        with ProcessPoolExecutor(3) as pool:
            paths = [tmp_path / str(number) for number in range(3)]
            futures = [pool.submit(calls.begin_and_sleep, str(path), 600) for path in paths]
            assert len({calls.begun(path) for path in paths}) == 3
            pool.kill_workers()
            assert all(isinstance(future.exception(), WorkerDied) for future in futures)

    def test_an_initializer_runs_once_in_each_child(self) -> None:
        with ProcessPoolExecutor(1, None, calls.start_with, ("gear",)) as pool:
            assert pool.submit(calls.how_started).result() == "gear"

    def test_an_initializer_gets_objects_of_multiprocessing(self) -> None:
        context = multiprocessing.get_context("spawn")
        numbers = context.Queue()
        with ProcessPoolExecutor(1, context, numbers.put, (5,)) as pool:
            assert pool.submit(abs, -1).result() == 1
            assert numbers.get(timeout=TIMEOUT_SECONDS) == 5
        numbers.close()
        numbers.join_thread()

    def test_an_initializer_that_cloudpickle_knows(self) -> None:
        pytest.importorskip("cloudpickle")
        place = "shifted"

        def start() -> None:
            calls.start_with(place)

        with ProcessPoolExecutor(1, initializer=start) as pool:
            assert pool.submit(calls.how_started).result() == "shifted"

    def test_a_failed_initializer_breaks_the_pool(self, capfd: pytest.CaptureFixture[str]) -> None:
        for make in (ProcessPoolExecutor, concurrent.futures.ProcessPoolExecutor):
            context = multiprocessing.get_context("spawn")
            with make(1, context, calls.start_badly) as pool:  # type: ignore[operator]
                first, second = pool.submit(abs, 1), pool.submit(abs, 1)
                for future in (first, second):
                    error = future.exception()
                    assert isinstance(error, concurrent.futures.process.BrokenProcessPool), error
                    assert not isinstance(error, WorkerDied)
                with pytest.raises(concurrent.futures.process.BrokenProcessPool):
                    pool.submit(abs, 1)
            assert "no start" in capfd.readouterr().err

    @pytest.mark.parametrize("initializer", [calls.fail_awkwardly, calls.fail_locally])
    def test_an_initializer_whose_error_cannot_be_sent_breaks_the_pool(self, initializer: Any) -> None:
        with ProcessPoolExecutor(1, initializer=initializer) as pool:
            error = pool.submit(abs, 1).exception(TIMEOUT_SECONDS)
            assert type(error) is concurrent.futures.process.BrokenProcessPool
            with pytest.raises(concurrent.futures.process.BrokenProcessPool):
                pool.submit(abs, 1)

    @pytest.mark.parametrize("method", METHODS)
    def test_a_child_ends_after_its_last_task(self, method: Any) -> None:
        with ProcessPoolExecutor(1, method, max_tasks_per_child=2) as pool:
            children = [pool.submit(calls.pid).result() for _ in range(6)]
        assert children[0] == children[1] != children[2] == children[3] != children[4] == children[5]
        assert len(set(children)) == 3

    def test_an_idle_worker_ends_with_its_child(self) -> None:
        with ProcessPoolExecutor(1, idle_timeout=0.05) as pool:
            child = pool.submit(calls.pid).result()
            spin_until(lambda: not _exists(child))
            assert pool.submit(calls.pid).result() != child

    def test_shutdown_waits_for_calls_and_children(self, tmp_path: Path) -> None:
        pool = ProcessPoolExecutor(1)
        futures = [pool.submit(time.sleep, 0.05) for _ in range(3)]
        children = list(pool._processes)
        pool.shutdown()
        assert all(future.done() and not future.cancelled() for future in futures)
        assert pool._processes == {}
        assert not any(_exists(child) for child in children)
        pool.shutdown()
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            pool.submit(abs, 1)
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            pool.map(abs, [1])

    def test_shutdown_without_waiting(self, tmp_path: Path) -> None:
        pool = ProcessPoolExecutor(1)
        running = pool.submit(calls.begin_and_sleep, str(tmp_path / "begun"), 0.3)
        child = calls.begun(tmp_path / "begun")
        pending, cancelled = pool.submit(abs, -1), pool.submit(abs, -2)
        assert cancelled.cancel()
        pool.shutdown(wait=False)
        assert not running.done()
        assert pending.result() == 1
        spin_until(lambda: not _exists(child))

    def test_shutdown_cancels_pending_calls(self, tmp_path: Path) -> None:
        pool = ProcessPoolExecutor(1)
        running = pool.submit(calls.begin_and_sleep, str(tmp_path / "begun"), 0.3)
        calls.begun(tmp_path / "begun")
        pending = pool.submit(abs, -1)
        pool.shutdown(cancel_futures=True)
        assert pending.cancelled()
        assert running.result() is None

    def test_a_pool_that_nobody_uses_ends(self) -> None:
        pool = ProcessPoolExecutor(1)
        child = pool.submit(calls.pid).result()
        reference = weakref.ref(pool)
        del pool
        gc.collect()
        spin_until(lambda: reference() is None)
        spin_until(lambda: not _exists(child))

    @pytest.mark.parametrize("way", ["kill_workers", "terminate_workers"])
    def test_all_children_are_ended(self, way: str, tmp_path: Path) -> None:
        pool = ProcessPoolExecutor(1)
        running = pool.submit(calls.begin_and_sleep, str(tmp_path / "begun"))
        child = calls.begun(tmp_path / "begun")
        pending = pool.submit(abs, 1)
        getattr(pool, way)()
        error = running.exception(TIMEOUT_SECONDS)
        assert isinstance(error, WorkerDied)
        assert error.pid == child
        assert error.exitcode == -(signal.SIGKILL if way == "kill_workers" else signal.SIGTERM)
        assert pending.cancelled()
        with pytest.raises(RuntimeError, match="after shutdown"):
            pool.submit(abs, 1)
        pool.shutdown()
        getattr(pool, way)()

    @forks
    @can_fork
    def test_a_forked_process_has_the_pool_without_children(self) -> None:
        with ProcessPoolExecutor(1) as pool:
            child = pool.submit(calls.pid).result()

            def check() -> None:
                assert pool._processes == {}
                other = pool.submit(calls.pid).result(20)
                assert other != child
                pool.shutdown()
                assert not _exists(other)

            in_child(check)
            assert pool.submit(calls.pid).result() == child

    @on_linux
    def test_nothing_is_left_of_a_pool(self) -> None:
        with ProcessPoolExecutor(1) as pool:
            pool.submit(abs, 1).result()  # what multiprocessing keeps
        gc.collect()
        before = calls.descriptors(), threading.active_count(), {*multiprocessing.active_children()}
        with ProcessPoolExecutor(2, max_tasks_per_child=3) as pool:
            big = calls.Buffer(bytearray(200_000))
            assert len(list(pool.map(calls.add_one, [[big]] * 10))) == 10
            pool.submit(calls.kill_own_process).exception()
            pool.with_options(timeout=0.01).submit(time.sleep, 600).exception()
        del big
        gc.collect()
        assert (calls.descriptors(), threading.active_count(), {*multiprocessing.active_children()}) == before
        assert "memfd:oxthreads" not in Path("/proc/self/maps").read_text()

    def test_a_program_without_its_guard_gets_a_clear_error(self, tmp_path: Path) -> None:
        program = tmp_path / "program.py"
        program.write_text(
            "from oxthreads.processes import ProcessPoolExecutor\n"
            "with ProcessPoolExecutor(1) as pool:\n"
            "    print(pool.submit(abs, -1).result())\n"
        )
        run = subprocess.run(
            [sys.executable, str(program)], capture_output=True, text=True, timeout=60, check=False
        )
        assert run.returncode == 1
        assert "if __name__ == '__main__':" in run.stderr
        assert "has ended with exit code 1 before it could run calls" in run.stderr.splitlines()[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="kills processes by signals")
@pytest.mark.parametrize("method", METHODS)
def test_a_busy_child_ends_with_its_parent(method: str, tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, time\n"
        "from oxthreads.processes import ProcessPoolExecutor\n"
        "from tests.support import process_calls as calls\n"
        "from pathlib import Path\n"
        "if __name__ == '__main__':\n"
        "    pool = ProcessPoolExecutor(1, sys.argv[1])\n"
        "    pool.submit(calls.compute_for_ever, sys.argv[2])\n"
        "    calls.begun(Path(sys.argv[2]))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "begun"
    ended = python(program, method, str(path), runner=False)
    assert ended.returncode == -signal.SIGKILL
    spin_until(lambda: not _exists(calls.begun(path)))


class TestArguments:
    @pytest.mark.parametrize(
        ("error", "message", "arguments"),
        [
            (ValueError, "max_workers must be greater than 0", {"max_workers": 0}),
            (ValueError, "max_workers must be greater than 0", {"max_workers": -1}),
            (TypeError, "initializer must be a callable", {"initializer": 5}),
            (TypeError, "max_tasks_per_child must be an integer", {"max_tasks_per_child": "5"}),
            (ValueError, "max_tasks_per_child must be >= 1", {"max_tasks_per_child": 0}),
        ],
    )
    def test_wrong_arguments_of_the_standard_pool(
        self, error: type[Exception], message: str, arguments: dict[str, Any]
    ) -> None:
        for make in (ProcessPoolExecutor, concurrent.futures.ProcessPoolExecutor):
            with pytest.raises(error) as raised:
                make(mp_context=multiprocessing.get_context("spawn"), **arguments)
            assert str(raised.value) == message

    @pytest.mark.parametrize(
        ("error", "message", "arguments"),
        [
            (ValueError, "timeout must be a positive number", {"timeout": 0}),
            (ValueError, "timeout must be a positive number", {"timeout": -1}),
            (ValueError, "timeout must be a positive number", {"timeout": float("nan")}),
            (TypeError, "float", {"timeout": []}),
            (ValueError, "retries must be >= 0", {"retries": -1}),
            (TypeError, "float", {"retries": 1.0}),
            (ValueError, "pickler must be", {"pickler": "dill"}),
            (ValueError, "max_pending must be greater than 0", {"max_pending": 0}),
            (ValueError, "on_full", {"on_full": "never"}),
            (ValueError, "idle_timeout", {"idle_timeout": -1}),
            (ValueError, "may hang", {"mp_context": "fork"}),
            (ValueError, "cannot find context", {"mp_context": "steam"}),
        ],
    )
    def test_wrong_options(self, error: type[Exception], message: str, arguments: dict[str, Any]) -> None:
        with pytest.raises(error, match=message):
            ProcessPoolExecutor(1, **arguments)

    def test_wrong_options_of_a_view(self, pool: ProcessPoolExecutor) -> None:
        with pytest.raises(ValueError, match="timeout"):
            pool.with_options(timeout=-1)
        with pytest.raises(TypeError):
            pool.with_options(priority=1.5)  # type: ignore[arg-type]
        with pytest.raises(OverflowError):
            pool.with_options(priority=2**63)

    def test_a_timeout_without_end(self, pool: ProcessPoolExecutor) -> None:
        for seconds in (float("inf"), 1e300, 10**15):
            assert pool.with_options(timeout=seconds).submit(abs, -1).result() == 1

    def test_the_number_of_children_by_default(self) -> None:
        assert ProcessPoolExecutor()._max_workers == concurrent.futures.ProcessPoolExecutor()._max_workers  # type: ignore[attr-defined]


class TestOptions:
    def test_a_call_that_takes_too_long_is_ended_with_its_child(self, tmp_path: Path) -> None:
        with ProcessPoolExecutor(1) as pool:
            path = tmp_path / "begun"
            future = pool.with_options(timeout=0.5).submit(calls.begin_and_sleep, str(path))
            child = calls.begun(path)
            with pytest.raises(CallTimeout, match=r"begin_and_sleep took longer than 0\.5 seconds"):
                future.result()
            assert not _exists(child)
            assert pool.submit(calls.pid).result() != child

    def test_the_time_counts_for_each_call(self) -> None:
        with ProcessPoolExecutor(1, timeout=TIMEOUT_SECONDS) as pool:
            assert list(pool.map(abs, range(20))) == list(range(20))

    def test_the_start_of_a_child_does_not_count(self) -> None:
        with ProcessPoolExecutor(1, timeout=0.5, initializer=time.sleep, initargs=(0.6,)) as pool:
            assert pool.submit(abs, -1).result() == 1

    def test_only_the_call_of_a_child_that_dies_fails(self, tmp_path: Path) -> None:
        with ProcessPoolExecutor(2) as pool:
            path = tmp_path / "begun"
            futures = [pool.submit(calls.begin_and_sleep, str(path))]
            child = calls.begun(path)
            futures += [pool.submit(abs, -number) for number in range(1, 10)]
            os.kill(child, signal.SIGKILL)
            errors = [future.exception() for future in futures]
            assert errors[1:] == [None] * 9
            assert [future.result() for future in futures[1:]] == list(range(1, 10))
            died = errors[0]
            assert isinstance(died, WorkerDied)
            assert (died.pid, died.exitcode) == (child, -9)
            assert str(died) == f"the process {child} was killed by SIGKILL while it ran begin_and_sleep"

    def test_a_call_runs_again_by_request_alone(self, tmp_path: Path) -> None:
        with ProcessPoolExecutor(1) as pool:
            path = str(tmp_path / "deaths")
            assert isinstance(pool.submit(calls.die_at_first, path).exception(), WorkerDied)
            (tmp_path / "deaths").unlink()
            assert isinstance(
                pool.with_options(retries=1).submit(calls.die_at_first, path).exception(), WorkerDied
            )
            (tmp_path / "deaths").unlink()
            assert pool.with_options(retries=2).submit(calls.die_at_first, path).result() == 2

    def test_an_error_is_not_tried_again(self, tmp_path: Path) -> None:
        with ProcessPoolExecutor(1, retries=5) as pool:
            assert isinstance(pool.submit(calls.fail).exception(), ValueError)
        assert pool.stats().done == 1

    def test_an_error_of_the_last_call_of_a_child_is_not_tried_again(self, tmp_path: Path) -> None:
        path = str(tmp_path / "calls")
        with ProcessPoolExecutor(1, retries=5, max_tasks_per_child=1) as pool:
            assert isinstance(pool.submit(calls.note_and_raise_death, path).exception(), WorkerDied)
        assert Path(path).read_text() == "x"

    def test_urgent_calls_run_first(self, tmp_path: Path) -> None:
        order: list[str] = []
        with ProcessPoolExecutor(1) as pool:
            pool.submit(calls.begin_and_sleep, str(tmp_path / "begun"), 0.3)
            calls.begun(tmp_path / "begun")
            for name, priority in [("late", 1), ("normal", 0), ("urgent", -1)]:
                future = pool.with_options(priority=priority).submit(abs, 1)
                future.add_done_callback(lambda _, name=name: order.append(name))
        assert order == ["urgent", "normal", "late"]

    def test_a_full_pool(self, tmp_path: Path) -> None:
        with ProcessPoolExecutor(1, max_pending=1, on_full="raise") as pool:
            pool.submit(calls.begin_and_sleep, str(tmp_path / "begun"), 0.3)
            calls.begun(tmp_path / "begun")
            pending = pool.submit(abs, -1)
            with pytest.raises(queue.Full):
                pool.submit(abs, -2)
            assert pending.result() == 1

    def test_a_full_pool_runs_a_call_here(self, tmp_path: Path) -> None:
        with ProcessPoolExecutor(1, max_pending=1, on_full="caller_runs") as pool:
            pool.submit(calls.begin_and_sleep, str(tmp_path / "begun"), 0.3)
            calls.begun(tmp_path / "begun")
            pending = pool.submit(calls.pid)
            assert pool.submit(calls.pid).result() == os.getpid()
            assert pending.result() != os.getpid()

    def test_a_view_of_a_view(self, pool: ProcessPoolExecutor) -> None:
        view = pool.with_options(timeout=0.05).with_options(priority=5)
        assert isinstance(view.submit(time.sleep, 600).exception(), CallTimeout)
        assert view.with_options(timeout=None).submit(time.sleep, 0.1).result() is None
        assert list(view.with_options(timeout=None).map(abs, [-1, -2])) == [1, 2]
        assert "timeout=0.05" in repr(view)

    def test_statistics(self) -> None:
        with ProcessPoolExecutor(1) as pool:
            assert pool.stats().done == 0
            assert [future.result() for future in [pool.submit(abs, number) for number in range(3)]] == [
                0,
                1,
                2,
            ]
        assert pool.stats().done == 3

    def test_a_call_from_a_done_callback(self, pool: ProcessPoolExecutor) -> None:
        results: queue.Queue[Any] = queue.Queue()

        def again(future: Any) -> None:
            results.put(future.result())
            if future.result() < 3:
                pool.submit(calls.echo, future.result() + 1).add_done_callback(again)

        pool.submit(calls.echo, 1).add_done_callback(again)
        assert [results.get(timeout=TIMEOUT_SECONDS) for _ in range(3)] == [1, 2, 3]


def _exists(child: int) -> bool:
    """Whether there is a process of this number, alive or not waited for."""
    try:
        os.kill(child, 0)
    except ProcessLookupError:
        return False
    return True
