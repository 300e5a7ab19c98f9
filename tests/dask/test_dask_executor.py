"""`DaskExecutor` has the interface of a pool of threads."""

from __future__ import annotations

import os
import queue
import threading
import traceback
import warnings
from concurrent.futures import CancelledError
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="distributed is not installed")

import distributed

from oxthreads.concurrent.futures import Future
from oxthreads.dask import DaskExecutor, DaskExecutorView
from tests.dask.calls import (
    draw,
    fail,
    fail_at_first,
    make_a_generator,
    note,
    square,
    wait_for_file,
)
from tests.dask.loops import LoopHeld, error_in_loop
from tests.dask.tasks import cancel_task, until_forgotten
from tests.support.waiting import TIMEOUT_SECONDS, spin_until

pytestmark = pytest.mark.one_thread("a cluster of two processes")


def test_submit_returns_our_future(pool: Any) -> None:
    future = pool.submit(pow, 2, exp=10)
    assert type(future) is Future
    assert future.result(TIMEOUT_SECONDS) == 1024
    assert future.done()
    assert not future.cancel()


def test_a_closure_and_a_lambda_are_sent_by_value(pool: Any) -> None:
    factor = 3
    assert pool.submit(lambda number: number * factor, 5).result(TIMEOUT_SECONDS) == 15


class _Nameless:
    def __call__(self, number: int) -> int:
        return -number

    def __str__(self) -> str:
        raise LookupError

    __repr__ = __str__


def test_a_callable_without_a_name(pool: Any) -> None:
    assert pool.submit(_Nameless(), 3).result(TIMEOUT_SECONDS) == -3


def test_two_calls_are_two_calls(pool: Any) -> None:
    # Those of `Client.submit` would be one.
    first, second = pool.submit(draw), pool.submit(draw)
    assert first.result(TIMEOUT_SECONDS) != second.result(TIMEOUT_SECONDS)


def test_equal_calls_of_a_pure_function_at_the_same_time_are_one(client: Any, tmp_path: Path) -> None:
    go = str(tmp_path / "go")
    log = tmp_path / "log"

    def called(log: str, go: str) -> str:
        note(log, "called")
        return wait_for_file(go)

    with DaskExecutor(client, pure=True) as pool:
        futures = [pool.submit(called, str(log), go) for _ in range(5)]
        spin_until(log.exists)
        futures.append(pool.submit(called, str(log), go))
        spin_until(futures[-1].running)
        Path(go).touch()
        assert [future.result(TIMEOUT_SECONDS) for future in futures] == ["go"] * 6
    assert log.read_text() == "called\n"


def test_equal_calls_of_two_pools_both_end(client: Any, tmp_path: Path) -> None:
    go = str(tmp_path / "go")
    with DaskExecutor(client, pure=True) as one, DaskExecutor(client, pure=True) as other:
        futures = [pool.submit(wait_for_file, go) for pool in (one, other, other, one)]
        spin_until(lambda: all(future.running() for future in futures))
        Path(go).touch()
        assert [future.result(TIMEOUT_SECONDS) for future in futures] == ["go"] * 4


def test_an_exception_has_the_frames_of_the_worker(pool: Any) -> None:
    with pytest.raises(LookupError, match="a text") as caught:
        pool.submit(fail, "a text").result(TIMEOUT_SECONDS)
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "fail"
    assert "functoolz" not in "".join(traceback.format_exception(caught.value))


def test_a_call_is_run_again_if_asked_for(pool: Any, tmp_path: Path) -> None:
    name = str(tmp_path / "called")
    again = pool.with_options(retries=1)
    assert isinstance(again, DaskExecutorView)
    assert again.submit(fail_at_first, name).result(TIMEOUT_SECONDS) == "the second time"
    Path(name).unlink()
    with pytest.raises(LookupError):
        pool.submit(fail_at_first, name).result(TIMEOUT_SECONDS)


def test_calls_with_a_lower_number_run_first(client: Any, pool: Any, tmp_path: Path) -> None:
    go, log = str(tmp_path / "go"), str(tmp_path / "log")
    (worker, *_) = client.nthreads()
    there = pool.with_options(workers=worker)
    held = there.submit(wait_for_file, go)
    spin_until(held.running)
    late = there.with_options(priority=1).submit(note, log, "late")
    early = there.with_options(priority=-1).submit(note, log, "early")

    def tasks(dask_worker: Any) -> int:
        return len(dask_worker.state.tasks)

    spin_until(lambda: client.run(tasks, workers=[worker])[worker] == 3)
    Path(go).touch()
    late.result(TIMEOUT_SECONDS)
    assert early.done()
    assert Path(log).read_text() == "early\nlate\n"


def test_a_future_of_the_cluster_stands_for_its_result(client: Any, pool: Any) -> None:
    nine = client.submit(square, 3)
    assert pool.submit(square, nine).result(TIMEOUT_SECONDS) == 81
    assert pool.submit(sum, [1, 2], start=nine).result(TIMEOUT_SECONDS) == 12


def names_and_values(*args: object, **kwargs: object) -> tuple[object, ...]:
    return args, kwargs


@pytest.mark.parametrize("name", ["key", "workers", "actor", "resources", "priority", "pure", "fn", "x"])
def test_arguments_by_name_are_no_options_of_the_cluster(client: Any, pool: Any, name: str) -> None:
    nine = client.submit(square, 3)
    for args, kwargs, found in (
        ((nine, 1), {name: 2}, ((9, 1), {name: 2})),
        ((1, nine), {name: nine}, ((1, 9), {name: 9})),
        ((), {name: nine, "other": 3}, ((), {name: 9, "other": 3})),
    ):
        future = pool.submit(names_and_values, *args, **kwargs)
        assert future.result(TIMEOUT_SECONDS) == found


def test_a_partial_keeps_its_arguments_beside_results(client: Any, pool: Any) -> None:
    nine = client.submit(square, 3)
    for function, found in (
        (partial(names_and_values, 1), ((1, 9, 5), {"y": 3})),
        (partial(names_and_values, 1, x=2), ((1, 9, 5), {"x": 2, "y": 3})),
        (partial(names_and_values, y=2), ((9, 5), {"y": 3})),
    ):
        assert pool.submit(function, nine, 5, y=3).result(TIMEOUT_SECONDS) == found
        assert pool.submit(function, nine).result(TIMEOUT_SECONDS) == function(9)
        assert pool.submit(function, 5, z=nine).result(TIMEOUT_SECONDS) == function(5, z=9)


def fail_with(number: int, *, other: int) -> None:
    raise LookupError(number + other)


def test_frames_of_a_call_with_results_by_name_are_its_own(client: Any, pool: Any) -> None:
    with pytest.raises(LookupError, match="10") as caught:
        pool.submit(fail_with, 1, other=client.submit(square, 3)).result(TIMEOUT_SECONDS)
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert [frame.name for frame in frames if not frame.filename.endswith("worker.py")][-1] == "fail_with"
    assert "functoolz" not in "".join(traceback.format_exception(caught.value))
    assert "in apply" not in "".join(traceback.format_exception(caught.value))


def test_other_arguments_are_copied_when_a_call_is_submitted(client: Any, pool: Any) -> None:
    nine = client.submit(square, 3)
    numbers = [1]
    with LoopHeld(client):
        positional = pool.submit(names_and_values, numbers, nine)
        by_name = pool.submit(names_and_values, nine, numbers=numbers)
        numbers.append(2)
    assert positional.result(TIMEOUT_SECONDS) == (([1], 9), {})
    assert by_name.result(TIMEOUT_SECONDS) == ((9,), {"numbers": [1]})
    for kwargs in ({"start": threading.Lock()}, {"start": nine, "other": threading.Lock()}):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pool.submit(names_and_values, nine, **kwargs)


def test_a_call_that_is_run_here_gets_results_too(client: Any, tmp_path: Path) -> None:
    nine = client.submit(square, 3)
    # Before the worker is held.
    assert nine.result(TIMEOUT_SECONDS) == 9
    go = str(tmp_path / "go")
    with DaskExecutor(client, max_pending=1, on_full="caller_runs") as pool:
        first = pool.submit(wait_for_file, go)
        here = pool.submit(names_and_values, 1, nine, other=nine)
        assert here.done()
        assert here.result() == ((1, 9), {"other": 9})
        assert isinstance(error_in_loop(client, pool.submit, square, nine), RuntimeError)
        Path(go).touch()
        assert first.result(TIMEOUT_SECONDS) == "go"


def test_what_was_not_handed_over_can_be_cancelled(client: Any, pool: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with LoopHeld(client):
        future = pool.submit(note, str(log), "called")
        assert not future.running()
        assert pool.stats().queued == 1
        assert future.cancel()
    with pytest.raises(CancelledError):
        future.result(TIMEOUT_SECONDS)
    pool.submit(square, 1).result(TIMEOUT_SECONDS)
    assert not log.exists()
    assert pool.stats()[1:4] == (0, 0, 1)


def test_what_was_handed_over_is_running(pool: Any, tmp_path: Path) -> None:
    future = pool.submit(wait_for_file, str(tmp_path / "go"))
    spin_until(future.running)
    assert not future.cancel()
    (tmp_path / "go").touch()
    assert future.result(TIMEOUT_SECONDS) == "go"


def test_a_future_that_was_cancelled_in_the_cluster_says_so(client: Any, pool: Any, tmp_path: Path) -> None:
    future = pool.submit(wait_for_file, str(tmp_path / "go"))
    cancel_task(client)
    with pytest.raises(CancelledError, match="wait_for_file was cancelled in the cluster"):
        future.result(TIMEOUT_SECONDS)
    assert not future.cancelled()
    (tmp_path / "go").touch()


def test_an_unpicklable_call_raises_in_submit(pool: Any) -> None:
    with pytest.raises(TypeError, match="the call of square cannot be pickled"):
        pool.submit(square, threading.Lock())
    assert pool.stats()[1:4] == (0, 0, 0)


def test_an_unpicklable_result_fails_its_call_alone(pool: Any) -> None:
    wrong, right = pool.submit(make_a_generator), pool.submit(square, 2)
    assert right.result(TIMEOUT_SECONDS) == 4
    with pytest.raises(TypeError, match="generator") as caught:
        wrong.result(TIMEOUT_SECONDS)
    assert any("could not be pickled" in note for note in caught.value.__notes__)


def test_a_module_that_the_worker_lacks_is_named(
    pool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def answer():\n    return 42\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    only_here: Any = __import__("only_here")
    with pytest.raises(ModuleNotFoundError, match="only_here") as caught:
        pool.submit(only_here.answer).result(TIMEOUT_SECONDS)
    assert any("could not unpickle the call of answer" in note for note in caught.value.__notes__)


def raise_a_system_error() -> None:
    raise SystemError("no locals found")


def test_an_error_of_the_interpreter_tells_of_versions(pool: Any) -> None:
    error = pool.submit(raise_a_system_error).exception(TIMEOUT_SECONDS)
    assert isinstance(error, SystemError)
    assert any("the same version of Python" in note for note in error.__notes__)


class _Odd:
    """Unpickling it fails here, and not in a worker."""

    def __reduce__(self) -> Any:
        return square, ("no number",)


def make_an_odd_one() -> object:
    return _Odd()


def test_a_result_that_cannot_be_unpickled_here_fails_its_call_alone(pool: Any) -> None:
    wrong, right = pool.submit(make_an_odd_one), pool.submit(square, 2)
    assert right.result(TIMEOUT_SECONDS) == 4
    with pytest.raises(TypeError) as caught:
        wrong.result(TIMEOUT_SECONDS)
    assert any("could not be unpickled here" in note for note in caught.value.__notes__)


class _LockedError(Exception):
    def __init__(self) -> None:
        super().__init__("a text")
        self.lock = threading.Lock()


def fail_with_a_lock() -> None:
    raise _LockedError


def _only_in(pid: int) -> Exception:
    if os.getpid() != pid:
        raise LookupError("another process")
    return _LocalError()


class _LocalError(Exception):
    def __reduce__(self) -> Any:
        return _only_in, (os.getpid(),)


def fail_locally() -> None:
    raise _LocalError


def test_an_exception_that_cannot_travel_says_so(pool: Any) -> None:
    error = pool.submit(fail_with_a_lock).exception(TIMEOUT_SECONDS)
    assert "_LockedError('a text')" in str(error)
    assert any("could not be pickled" in note for note in error.__notes__)
    error = pool.submit(fail_locally).exception(TIMEOUT_SECONDS)
    assert type(error) is Exception
    assert any("could not be unpickled here" in note for note in error.__notes__)
    error = pool.submit(fail, "Exception()").exception(TIMEOUT_SECONDS)
    assert not hasattr(error, "__notes__")


class _OwnNotes(Exception):
    def add_note(self) -> None:  # type: ignore[override]
        raise AssertionError("it is not called with a note")

    with_traceback = None  # type: ignore[assignment]


class _NoAttributes(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


class _FailsToBePickled:
    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error("on purpose")


def raise_or_return(error: type[Exception], *, at_once: bool) -> object:
    if at_once:
        raise error("on purpose")
    return _FailsToBePickled(error)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("error", [_OwnNotes, _NoAttributes])
def test_an_exception_that_takes_no_note_ends_its_call(
    pool: Any, error: type[Exception], at_once: bool
) -> None:
    futures = [pool.submit(raise_or_return, error, at_once=at_once) for _ in range(3)]
    futures.append(pool.submit(fail, "a text"))
    found = [future.exception(TIMEOUT_SECONDS) for future in futures]
    assert ["on purpose" in str(each) for each in found] == [True, True, True, False]
    assert str(found[3]) == "a text"
    spin_until(lambda: pool.stats().busy == 0)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_call_that_would_end_its_process_fails_as_in_threads(
    client: Any, pool: Any, error: type[BaseException]
) -> None:
    workers = client.run(os.getpid)
    nine = client.submit(square, 3)
    calls = [pool.submit(raise_it, error), pool.submit(raise_it, error, nine)]
    calls.append(pool.submit(raise_it, error, x=nine))
    for future in calls:
        raised = future.exception(TIMEOUT_SECONDS)
        assert type(raised) is error
        assert raised.args == ("a text",)
    with pytest.raises(error, match="a text"):
        list(pool.map(raise_it, [error] * 3, chunksize=3))
    assert client.run(os.getpid) == workers


def raise_it(error: type[BaseException], x: int = 0) -> None:
    raise error("a text")


def test_a_large_argument_is_no_reason_to_warn(pool: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pool.submit(len, bytes(11_000_000)).result(TIMEOUT_SECONDS) == 11_000_000


async def _coroutine_function() -> None:
    pass


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_pending": 0}, ValueError),
        ({"max_pending": -1}, ValueError),
        ({"max_pending": 1.5}, TypeError),
        ({"on_full": "wait"}, ValueError),
        ({"retries": -1}, ValueError),
        ({"retries": "many"}, TypeError),
        ({"priority": float("nan")}, ValueError),
        ({"priority": "high"}, TypeError),
        ({"actor": True}, TypeError),
        ({"allow_other_workers": True}, ValueError),
    ],
)
def test_wrong_options_are_refused(client: Any, options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        DaskExecutor(client, **options)


def test_something_else_than_a_client_is_refused() -> None:
    with pytest.raises(TypeError, match=r"distributed\.Client"):
        DaskExecutor(42)  # type: ignore[arg-type]


def test_a_coroutine_function_is_refused(pool: Any) -> None:
    with pytest.raises(TypeError, match="coroutine function"):
        pool.submit(_coroutine_function)


def test_an_asynchronous_client_is_refused(cluster: Any) -> None:
    import asyncio  # noqa: PLC0415

    async def main() -> None:
        async with distributed.Client(
            cluster.scheduler_address, asynchronous=True, set_as_default=False
        ) as client:
            with pytest.raises(TypeError, match="asynchronous"):
                DaskExecutor(client)

    asyncio.run(main())


def test_no_more_calls_than_allowed_are_unfinished(client: Any, tmp_path: Path) -> None:
    go = str(tmp_path / "go")
    submitted: list[Future[str]] = []
    with DaskExecutor(client, max_pending=3) as pool:

        def submit_five() -> None:
            submitted.extend(pool.submit(wait_for_file, go) for _ in range(5))

        # `extend` adds what a generator yields one after another.
        thread = threading.Thread(target=submit_five)
        thread.start()
        spin_until(lambda: pool._link._blocked == 1)
        assert pool.stats()[1] + pool.stats()[2] == 3
        Path(go).touch()
        thread.join(TIMEOUT_SECONDS)
        assert [future.result(TIMEOUT_SECONDS) for future in submitted] == ["go"] * 5


def test_a_full_pool_may_raise(client: Any, tmp_path: Path) -> None:
    go = str(tmp_path / "go")
    with DaskExecutor(client, max_pending=1, on_full="raise") as pool:
        first = pool.submit(wait_for_file, go)
        with pytest.raises(queue.Full):
            pool.submit(square, 1)
        Path(go).touch()
        first.result(TIMEOUT_SECONDS)
        # Whoever has the result may rely on that there is room.
        assert pool.submit(square, 3).result(TIMEOUT_SECONDS) == 9


def test_a_full_pool_may_run_the_call_here(client: Any, tmp_path: Path) -> None:
    go = str(tmp_path / "go")
    with DaskExecutor(client, max_pending=1, on_full="caller_runs") as pool:
        first = pool.submit(wait_for_file, go)
        here = pool.submit(threading.get_ident)
        assert here.done()
        assert here.result() == threading.get_ident()
        failed = pool.submit(fail, "here")
        assert isinstance(failed.exception(), LookupError)
        Path(go).touch()
        assert first.result(TIMEOUT_SECONDS) == "go"


def test_a_done_callback_may_submit_to_a_full_pool(client: Any) -> None:
    with DaskExecutor(client, max_pending=1) as pool:
        chained: queue.SimpleQueue[Future[int]] = queue.SimpleQueue()

        def submit_two(future: Future[int]) -> None:
            for number in (future.result(), 7):
                chained.put(pool.submit(square, number))

        pool.submit(square, 2).add_done_callback(submit_two)
        assert [chained.get(timeout=TIMEOUT_SECONDS).result(TIMEOUT_SECONDS) for _ in "ab"] == [16, 49]


def test_a_full_pool_does_not_wait_in_the_event_loop_of_the_client(client: Any, tmp_path: Path) -> None:
    go = str(tmp_path / "go")
    with DaskExecutor(client, max_pending=1) as pool:
        first = pool.submit(wait_for_file, go)
        for act, *args in ((pool.submit, square, 1), (pool.shutdown,)):
            error = error_in_loop(client, act, *args)
            assert isinstance(error, RuntimeError)
            assert "event loop of the client" in str(error)
        Path(go).touch()
        assert first.result(TIMEOUT_SECONDS) == "go"


def test_statistics(pool: Any) -> None:
    list(pool.map(square, range(20)))
    stats = pool.stats()
    assert stats[1:4] == (0, 0, 20)
    spin_until(lambda: pool.stats().workers == 2)
    assert stats.run_time_total >= stats.run_time_max > 0
    assert stats.queue_wait_total >= stats.queue_wait_max > 0


def test_results_are_released_in_the_cluster(client: Any, pool: Any) -> None:
    kept = [pool.submit(bytes, 1000) for _ in range(50)]
    assert all(len(future.result(TIMEOUT_SECONDS)) == 1000 for future in kept)

    until_forgotten(client)
    assert not client.futures
    assert not client.refcount
