"""Groups of tasks: what runs them, what ends them, and which errors come out of them."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.thread
import contextlib
import contextvars
import gc
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from oxthreads import _oxthreads
from oxthreads.concurrent.futures import Future, ThreadPoolExecutor
from oxthreads.diagnose import _task_groups
from oxthreads.queue import Full, Queue
from oxthreads.tasks import (
    Cancelled,
    CancelScope,
    TaskGroup,
    check_cancelled,
    fail_after,
    move_on_after,
    race,
    sleep,
)
from oxthreads.threading import Barrier, Event, Lock
from tests.support.forks import can_fork, forks, in_child
from tests.support.threads import Result, start
from tests.support.waiting import rounds, spin_until, until_asleep

Executors = Callable[[], Any]


def _own(workers: int) -> Any:
    return ThreadPoolExecutor(workers)


def _standard(workers: int) -> Any:
    return concurrent.futures.ThreadPoolExecutor(workers)


class _Overridden(ThreadPoolExecutor):
    """A pool of which the group knows only `submit`."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        return super().submit(fn, *args, **kwargs)


class _Falsy(ThreadPoolExecutor):
    def __bool__(self) -> bool:
        return False


EXECUTORS = {"ours": _own, "standard": _standard, "overridden": _Overridden, "falsy": _Falsy}


@pytest.fixture(params=[None, *EXECUTORS])
def make_group(request: pytest.FixtureRequest) -> Iterator[Callable[..., TaskGroup]]:
    """Makes groups, with threads of their own or on an executor of four threads."""
    if request.param is None:
        yield TaskGroup
        return
    executor = EXECUTORS[request.param](4)
    yield lambda **options: TaskGroup(executor, **options)
    executor.shutdown()


def running(group: TaskGroup) -> int:
    """How many tasks of the group run."""
    return int(repr(group).split(" running")[0].split()[-1])


def fail(error: BaseException) -> None:
    raise error


def test_all_tasks_have_ended_at_the_end(make_group: Callable[..., TaskGroup]) -> None:
    done: list[int] = []
    with make_group() as group:
        futures = [group.submit(pow, 2, exp=number) for number in range(100)]
        for number in range(100):
            group.start_soon(done.append, number)
    assert all(future.done() for future in futures)
    assert [future.result() for future in futures] == [2**number for number in range(100)]
    assert sorted(done) == [*range(100)]
    assert not group.cancel_called


def test_tasks_start_tasks(make_group: Callable[..., TaskGroup]) -> None:
    done: list[int] = []

    def grow(depth: int) -> None:
        done.append(depth)
        if depth:
            group.start_soon(grow, depth - 1)
            group.start_soon(grow, depth - 1)

    with make_group() as group:
        group.start_soon(grow, 6)
    assert len(done) == 2**7 - 1


def test_an_error_ends_everything_else(make_group: Callable[..., TaskGroup]) -> None:
    queue: Queue[int] = Queue()
    ended: list[str] = []

    def wait(name: str) -> None:
        try:
            queue.get()
        except Cancelled:
            ended.append(name)
            raise

    with (
        pytest.raises(ExceptionGroup, match="unhandled errors in a TaskGroup") as caught,
        make_group() as group,
    ):
        futures = [group.submit(wait, "first"), group.submit(wait, "second")]
        spin_until(lambda: running(group) == 2)
        group.start_soon(fail, ValueError("wrong"))
        wait("block")
    assert [repr(error) for error in caught.value.exceptions] == ["ValueError('wrong')"]
    assert sorted(ended) == ["block", "first", "second"]
    for future in futures:
        with pytest.raises(concurrent.futures.CancelledError):
            future.result(0)
    assert group.cancel_called
    # Nothing is left of it in this thread.
    check_cancelled()
    assert not Event().wait(0.001)


def test_except_star_takes_errors_apart(make_group: Callable[..., TaskGroup]) -> None:
    both = Barrier(2)

    def fail_together(error: Exception) -> None:
        both.wait()
        raise error

    seen: list[str] = []
    try:
        with make_group(name="two") as group:
            group.start_soon(fail_together, ValueError("first"))
            group.start_soon(fail_together, OSError("second"))
    except* ValueError as values:
        seen.append(str(values.exceptions[0]))
        assert 'unhandled errors in TaskGroup "two"' in str(values)
    except* OSError as errors:
        seen.append(str(errors.exceptions[0]))
    assert seen in (["first", "second"], ["first"], ["second"])


def test_tracebacks_lead_to_the_function() -> None:
    with pytest.raises(ExceptionGroup) as caught, TaskGroup() as group:
        group.start_soon(fail, ValueError("wrong"))
    shown = "".join(traceback.format_exception(caught.value))
    assert "in fail" in shown
    assert "During handling" not in shown
    assert "Cancelled" not in shown


def test_an_error_of_the_block_cancels_the_tasks(make_group: Callable[..., TaskGroup]) -> None:
    error = ValueError("block")
    with pytest.raises(ExceptionGroup) as caught, make_group() as group:
        future = group.submit(Event().wait)
        raise error
    assert caught.value.exceptions == (error,)
    assert future.done()


def test_an_error_that_the_block_has_from_a_task_is_told_once(make_group: Callable[..., TaskGroup]) -> None:
    error = ValueError("wrong")
    with pytest.raises(ExceptionGroup) as caught, make_group() as group:
        group.submit(fail, error).result()
    assert caught.value.exceptions == (error,)


def test_cancel_is_no_error(make_group: Callable[..., TaskGroup]) -> None:
    with make_group() as group:
        future = group.submit(Event().wait)
        spin_until(future.running)
        group.cancel()
        group.cancel()
        Event().wait()
        raise AssertionError
    assert group.cancel_called
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(0)


def test_a_task_may_cancel_its_group(make_group: Callable[..., TaskGroup]) -> None:
    with make_group() as group:
        other = group.submit(Event().wait)
        group.start_soon(group.cancel)
    assert other.done()


def test_tasks_that_have_not_begun_never_do() -> None:
    began: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        pool.submit(over.wait)
        with TaskGroup(pool) as group:
            futures = [group.submit(began.append, number) for number in range(100)]
            group.cancel()
        # The worker of the pool is still busy.
        assert all(future.cancelled() for future in futures)
        over.set()
    assert began == []


#: Ends what tests leave.
over = Event()


@pytest.fixture(autouse=True)
def ends_everything() -> Iterator[None]:
    over.clear()
    yield
    over.set()


def test_a_task_that_is_cancelled_by_its_future_has_ended() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(over.wait)
        with TaskGroup(pool) as group:
            future = group.submit(int)
            waiter = start(lambda: (until_asleep(threading.main_thread()), future.cancel()))
        waiter.join()
        assert future.cancelled()
        assert not group.cancel_called
        over.set()


def test_a_scope_around_it_ends_it(make_group: Callable[..., TaskGroup]) -> None:
    futures: list[Any] = []
    with move_on_after(0.05) as scope, make_group() as group:
        # On a slow machine, the time may be over before all are submitted.
        for _ in range(10):
            futures.append(group.submit(Event().wait))
    assert scope.cancelled_caught
    assert all(future.done() for future in futures)
    with pytest.raises(TimeoutError), fail_after(0.05), make_group() as group:
        group.start_soon(Event().wait)
        Event().wait()


def test_scopes_reach_into_groups_of_tasks(make_group: Callable[..., TaskGroup]) -> None:
    def inner() -> None:
        with TaskGroup() as deeper:
            deeper.start_soon(sleep, 1000)

    with move_on_after(0.05) as scope, make_group() as group:
        group.start_soon(inner)
    assert scope.cancelled_caught


def test_a_shield_in_a_task_keeps_off_the_cancellation() -> None:
    event = Event()
    done: list[bool] = []

    def shielded() -> None:
        with CancelScope(shield=True):
            done.append(event.wait(1000))

    with TaskGroup() as group:
        group.start_soon(shielded)
        spin_until(lambda: running(group))
        group.cancel()
        event.set()
    assert done == [True]


def test_a_scope_of_a_task_is_its_own() -> None:
    with TaskGroup() as group:
        scopes = [move_on_after(0.01), CancelScope()]

        def limited() -> str:
            with scopes[0]:
                sleep(1000)
            with scopes[1]:
                return "went on"

        future = group.submit(limited)
    assert future.result() == "went on"
    assert not group.cancel_called


def test_scopes_that_a_task_has_not_left_end_with_it() -> None:
    with ThreadPoolExecutor(1) as pool:
        with TaskGroup(pool) as group:
            scope = group.submit(move_on_after(0).__enter__)
        with TaskGroup(pool) as group:
            future = group.submit(Event().wait, 0.01)
        assert future.result() is False
        assert scope.result().cancel_called


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()], ids=repr)
def test_what_ends_more_than_the_block_is_raised_as_it_is(
    error: BaseException, make_group: Callable[..., TaskGroup]
) -> None:
    with pytest.raises(type(error)) as caught, make_group() as group:
        future = group.submit(Event().wait)
        group.start_soon(lambda: (_ for _ in ()).throw(ValueError("also")))
        spin_until(lambda: group.cancel_called)
        raise error
    assert caught.value is error
    assert isinstance(error.__context__, ExceptionGroup)
    assert future.done()
    error.__context__ = None


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)], ids=repr)
def test_what_ends_more_than_a_task_is_raised_as_it_is(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, TaskGroup() as group:
        group.start_soon(fail, error)
        Event().wait()
    assert caught.value is error


def test_a_generator_that_is_closed() -> None:
    def produce() -> Iterator[int]:
        with TaskGroup() as group:
            futures.append(group.submit(Event().wait))
            yield 1

    futures: list[Any] = []
    generator = produce()
    next(generator)
    generator.close()  # type: ignore[attr-defined]
    assert futures[0].done()


def test_other_base_exceptions_are_told_in_a_group() -> None:
    class Odd(BaseException):
        pass

    with pytest.raises(BaseExceptionGroup) as caught, TaskGroup() as group:
        group.start_soon(fail, Odd())
    assert not isinstance(caught.value, ExceptionGroup)
    with pytest.raises(BaseExceptionGroup), TaskGroup():
        raise Odd


def test_a_cancelled_error_of_something_else_is_an_error() -> None:
    cancelled: Future[int] = Future()
    cancelled.cancel()
    with pytest.raises(ExceptionGroup) as caught, TaskGroup() as group:
        group.start_soon(cancelled.result)
    assert [type(error) for error in caught.value.exceptions] == [concurrent.futures.CancelledError]
    with pytest.raises(ExceptionGroup), TaskGroup():
        cancelled.result()


def test_a_group_in_code_that_cleans_up() -> None:
    done: list[str] = []

    def save() -> str:
        assert not Event().wait(0.01)
        done.append("saved")
        return "saved"

    with move_on_after(0.01) as scope:
        try:
            Event().wait()
        finally:
            with TaskGroup() as group:
                futures = [group.submit(save) for _ in range(3)]
            assert [future.result() for future in futures] == 3 * ["saved"]
            assert race(save, save) == "saved"
    assert scope.cancelled_caught
    assert done[:3] == 3 * ["saved"]


def test_a_group_in_code_that_cleans_up_for_too_long() -> None:
    with move_on_after(0, grace=0.05) as scope:
        try:
            Event().wait()
        finally:
            with TaskGroup() as group:
                future = group.submit(sleep, 1000)
            raise AssertionError
    assert scope.cancelled_caught
    assert isinstance(future.exception(), concurrent.futures.CancelledError)


def test_a_task_may_put_its_cancellation_into_a_group_of_exceptions() -> None:
    def wait(*others: Exception) -> None:
        try:
            Event().wait()
        except Cancelled as error:
            raise BaseExceptionGroup("mine", [error, *others]) from None

    with TaskGroup() as group:
        group.start_soon(wait)
        spin_until(lambda: running(group))
        group.cancel()
    with pytest.raises(ExceptionGroup) as caught, TaskGroup() as group:
        group.start_soon(wait, ValueError("other"))
        spin_until(lambda: running(group))
        group.cancel()
    (inner,) = caught.value.exceptions
    assert isinstance(inner, ExceptionGroup)
    assert [repr(error) for error in inner.exceptions] == ["ValueError('other')"]


def test_a_group_of_exceptions_that_cannot_be_taken_apart() -> None:
    class Stubborn(BaseExceptionGroup[BaseException]):
        def derive(self, _: Any) -> Any:
            raise RuntimeError("no")

    with pytest.raises(BaseExceptionGroup) as caught, TaskGroup() as group:
        future = group.submit(Event().wait)
        spin_until(future.running)
        group.cancel()
        try:
            Event().wait()
        except Cancelled as error:
            raise Stubborn("mine", [error, ValueError()]) from None
    assert {type(error) for error in caught.value.exceptions} == {RuntimeError, Stubborn}
    assert future.done()


def test_a_worker_leaves_a_group_on_a_view_of_its_pool() -> None:
    class Calling(ThreadPoolExecutor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            return super().submit(fn, *args, **kwargs)

    def inside(executor: Any) -> Any:
        with TaskGroup(executor) as group:
            future = group.submit(pow, 2, 3)
        return future.result()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside, pool.with_options(priority=1)).result() == 8
    with Calling(1) as calling:
        assert calling.submit(inside, calling).result() == 8


def test_tasks_do_not_begin_after_the_time_is_over() -> None:
    began: list[float] = []
    with move_on_after(0.02) as scope, TaskGroup(max_workers=1) as group:
        end = scope.deadline
        for _ in range(10):
            group.start_soon(lambda: (began.append(time.monotonic()), time.sleep(0.01)))
        time.sleep(0.2)
    # A moment may pass between the look and the beginning.
    assert len(began) < 10
    assert sum(moment > end for moment in began) <= 1


def test_nothing_of_the_group_is_left_after_an_error() -> None:
    class Local:
        pass

    def run() -> weakref.ref[Local]:
        local = Local()
        gone = weakref.ref(local)

        def wrong(_: Local) -> None:
            raise ValueError

        try:
            with TaskGroup() as group:
                group.start_soon(wrong, local)
        except ExceptionGroup:
            pass
        return gone

    gc.collect()
    gc.disable()
    try:
        gone = run()
        spin_until(lambda: gone() is None)
    finally:
        gc.enable()


def test_nested_groups_on_one_pool_do_not_wait_for_each_other() -> None:
    def grow(depth: int) -> int:
        with TaskGroup(pool) as group:
            futures = [group.submit(grow, depth - 1) for _ in range(2)] if depth else []
        return 1 + sum(future.result() for future in futures)

    for workers in (1, 2, 3):
        with ThreadPoolExecutor(workers) as pool, TaskGroup(pool) as group:
            future = group.submit(grow, 6)
        assert future.result() == 2**7 - 1


def test_results_of_nested_tasks_on_one_pool() -> None:
    def grow(depth: int) -> int:
        with TaskGroup(pool) as group:
            futures = [group.submit(grow, depth - 1) for _ in range(2)] if depth else []
            return 1 + sum(future.result() for future in futures)

    for workers in (1, 2, 3):
        with ThreadPoolExecutor(workers) as pool, TaskGroup(pool) as group:
            future = group.submit(grow, 6)
        assert future.result() == 2**7 - 1


def test_a_plain_call_of_a_full_pool_opens_a_group_on_it() -> None:
    def inside() -> list[int]:
        with TaskGroup(pool) as group:
            futures = [group.submit(pow, 2, number) for number in range(3)]
        return [future.result() for future in futures]

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside).result() == [1, 2, 4]


def test_a_task_whose_group_waits_starts_another_on_a_full_pool() -> None:
    def start_one() -> None:
        group.start_soon(done.append, 1)

    done: list[int] = []

    def inside() -> None:
        nonlocal group
        with TaskGroup(pool) as group:
            group.start_soon(start_one)

    group: TaskGroup
    with ThreadPoolExecutor(1) as pool:
        pool.submit(inside).result()
    assert done == [1]


def test_a_call_that_runs_while_a_task_cleans_up_is_cancelled_all_the_same() -> None:
    """A worker that waits runs another task: that has no part in what the worker is handling."""
    ended: list[str] = []

    def clean_up() -> None:
        try:
            Event().wait()
        finally:
            with TaskGroup(pool) as inner:
                inner.start_soon(wait_long)
                inner.cancel()
            ended.append("cleaned up")

    def wait_long() -> None:
        try:
            Event().wait()
        except Cancelled:
            ended.append("inner")
            raise

    with ThreadPoolExecutor(1) as pool, CancelScope() as scope, TaskGroup(pool) as group:
        group.start_soon(clean_up)
        spin_until(lambda: running(group))
        scope.cancel()
    assert ended[-1] == "cleaned up"


def _square(number: int) -> int:
    return number * number


def _die(number: int) -> int:
    raise ValueError(number)


@pytest.mark.skipif(sys.platform == "win32", reason="processes start slowly")
def test_processes_run_tasks() -> None:
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        with TaskGroup(pool) as group:
            futures = [group.submit(_square, number) for number in range(4)]
        assert [future.result() for future in futures] == [0, 1, 4, 9]
        with pytest.raises(ExceptionGroup) as caught, TaskGroup(pool) as group:
            group.start_soon(_die, 3)
            Event().wait()
    assert str(caught.value.exceptions[0]) == "3"


class _OfOneMethod:
    """All that an executor must have."""

    def __init__(self) -> None:
        self.pool = concurrent.futures.ThreadPoolExecutor(2)

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        return self.pool.submit(fn, *args, **kwargs)


def test_an_executor_needs_only_submit() -> None:
    executor: Any = _OfOneMethod()
    futures: list[Any] = []
    with move_on_after(0.05) as scope, TaskGroup(executor) as group:
        # On a slow machine, the time may be over before all are submitted.
        for _ in range(5):
            futures.append(group.submit(Event().wait))
    assert scope.cancelled_caught
    assert all(future.done() for future in futures)
    executor.pool.shutdown()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_future_that_refuses_to_be_cancelled() -> None:
    class Stubborn(_OfOneMethod):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            future = super().submit(fn, *args, **kwargs)
            future.cancel = refuse
            return future

    def refuse() -> bool:
        refused.append(True)
        raise RuntimeError("no")

    refused: list[bool] = []
    executor: Any = Stubborn()
    for _ in range(2):
        executor.pool.submit(over.wait)  # its threads are busy
    with TaskGroup(executor) as group:
        for _ in range(3):
            group.start_soon(int)
        group.cancel()
        assert refused == [True, True, True]
        over.set()
    executor.pool.shutdown()


def test_submit_that_fails_leaves_no_task_behind() -> None:
    with ThreadPoolExecutor(1, max_pending=1, on_full="raise") as pool:
        pool.submit(over.wait)
        with pytest.raises(ExceptionGroup) as caught, TaskGroup(pool) as group:
            group.start_soon(int)
            while True:
                group.start_soon(int)
        assert [type(error) for error in caught.value.exceptions] == [Full]
        over.set()
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(ExceptionGroup, match="unhandled"), TaskGroup(pool) as group:
        group.start_soon(int)


def test_no_task_is_left_behind_that_another_thread_submits_at_the_end() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    left: list[bool] = []
    try:
        with ThreadPoolExecutor(4) as pool:
            for _ in rounds(300, 10):
                over: list[bool] = []

                def work(over: list[bool] = over) -> None:
                    time.sleep(0.0002)
                    left.extend(over)

                def submit(group: TaskGroup, work: Any = work) -> None:
                    with contextlib.suppress(RuntimeError):
                        while True:
                            group.submit(work).result()

                with TaskGroup(pool) as group:
                    outsider = start(submit, group)
                    group.start_soon(work)
                over.append(True)
                outsider.join()
    finally:
        sys.setswitchinterval(before)
    assert not left


@pytest.mark.parametrize("kind", ["ours", "standard"])
def test_a_pool_that_breaks_is_an_error(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    def wrong() -> None:
        raise KeyError

    class_ = ThreadPoolExecutor if kind == "ours" else concurrent.futures.ThreadPoolExecutor
    with (
        pytest.raises(ExceptionGroup) as caught,
        class_(1, initializer=wrong) as pool,
        TaskGroup(pool) as group,
    ):
        future = group.submit(int)
    assert isinstance(future.exception(), concurrent.futures.thread.BrokenThreadPool)
    assert {type(error) for error in caught.value.exceptions} == {concurrent.futures.thread.BrokenThreadPool}
    assert caplog.records


def test_submit_waits_for_room_and_is_ended_there() -> None:
    with ThreadPoolExecutor(1, max_pending=1) as pool:
        with move_on_after(0.05) as scope, TaskGroup(pool) as group:
            while True:
                group.start_soon(sleep, 1000)
        assert scope.cancelled_caught


def test_a_loop_of_submissions_is_ended() -> None:
    with move_on_after(0.05) as scope, TaskGroup() as group:
        while True:
            group.submit(int).result()
    assert scope.cancelled_caught


def test_another_thread_that_submits_to_a_cancelled_group() -> None:
    with TaskGroup() as group:
        group.start_soon(Event().wait)
        group.cancel()
        future = Result(group.submit, int).get()
    assert future.done()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result()


def test_a_group_is_entered_once_and_left_by_its_thread() -> None:
    group = TaskGroup()
    with pytest.raises(RuntimeError, match="has not been entered"):
        group.submit(int)
    with pytest.raises(RuntimeError, match="is not entered"):
        group.__exit__(None, None, None)
    with group:
        with pytest.raises(RuntimeError, match="already been entered"):
            group.__enter__()
        with pytest.raises(RuntimeError, match="must be left by the thread"):
            Result(group.__exit__, None, None, None).get()
    with pytest.raises(RuntimeError, match="is finished"):
        group.submit(int)
    with pytest.raises(RuntimeError, match="already been entered"):
        group.__enter__()
    assert "left" in repr(group)


def test_a_group_that_is_left_out_of_order_has_ended_all_the_same() -> None:
    inner = CancelScope()
    with pytest.raises(RuntimeError, match="left before a scope"), TaskGroup() as group:
        future = group.submit(sleep, 0.01)
        inner.__enter__()
    assert future.done()
    inner.__exit__(None, None, None)
    check_cancelled()
    inner = CancelScope()
    with pytest.raises(ExceptionGroup), TaskGroup() as group:
        future = group.submit(sleep, 1000)
        inner.__enter__()
        raise ValueError
    assert future.done()
    inner.__exit__(None, None, None)


def test_arguments_are_checked() -> None:
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="max_workers must be greater than 0"):
            TaskGroup(max_workers=wrong)
    with pytest.raises(ValueError, match="max_workers is for the threads of the group"):
        TaskGroup(ThreadPoolExecutor(1), max_workers=1)
    with pytest.raises(ValueError, match="grace must be"):
        TaskGroup(grace=-1)
    with pytest.raises(TypeError):
        TaskGroup(name=3)  # type: ignore[arg-type]
    with pytest.raises(ExceptionGroup) as caught, TaskGroup() as group:
        group.start_soon(None)  # type: ignore[arg-type]
    assert isinstance(caught.value.exceptions[0], TypeError)
    with pytest.raises(ExceptionGroup), TaskGroup(3) as group:  # type: ignore[arg-type]
        group.submit(int)


def test_threads_of_its_own_have_ended_and_have_its_name() -> None:
    before = threading.active_count()
    names: list[str] = []
    barrier = Barrier(20)

    def meet() -> None:
        names.append(threading.current_thread().name)
        barrier.wait()

    with TaskGroup(name="meeting") as group:
        for _ in range(20):
            group.start_soon(meet)
    spin_until(lambda: threading.active_count() <= before)
    assert all(name.startswith("meeting") for name in names)
    assert len({*names}) == 20
    busy, most, lock = 0, 0, Lock()

    def count() -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        sleep(0.001)
        with lock:
            busy -= 1

    with TaskGroup(max_workers=3) as group:
        for _ in range(30):
            group.start_soon(count)
    assert 1 <= most <= 3


def test_tasks_see_the_context_of_who_submits_them() -> None:
    variable = contextvars.ContextVar("variable", default="default")
    variable.set("submitter")
    with TaskGroup() as group:
        seen = group.submit(variable.get)
        group.start_soon(variable.set, "task")
    assert seen.result() == "submitter"
    assert variable.get() == "submitter"


def test_a_group_without_tasks_has_no_threads() -> None:
    before = threading.active_count()
    with TaskGroup() as group:
        spin_until(lambda: threading.active_count() <= before)
    assert "0 tasks" in repr(group)


def test_what_is_known_of_groups() -> None:
    def inner() -> None:
        with TaskGroup(name="inner") as group:
            group.start_soon(over.wait)
            entered.set()

    entered = Event()
    with TaskGroup(name="outer") as group:
        group.start_soon(inner)
        entered.wait()
        spin_until(lambda: len([each for each in _oxthreads.task_groups() if each[9]]) == 2)
        tree = _task_groups.Tree([])
        over.set()
    known = {each.name: each for each in tree.at.values()}
    outer, inside = known["outer"], known["inner"]
    (task,) = outer.running
    assert (inside.parent, outer.parent) == (outer.number, 0)
    assert (inside.opener, inside.run) == (task.thread, task.run)  # it was entered by the task
    assert tree.in_task(outer, task) == [inside]
    assert task.function == "test_what_is_known_of_groups.<locals>.inner"
    assert [each.function for each in inside.running] == ["Event.wait"]
    assert not [each for each in _oxthreads.task_groups() if each[1] in ("outer", "inner")]


def test_the_collector_sees_what_a_group_has() -> None:
    def make() -> weakref.ref[TaskGroup]:
        group = TaskGroup(executor := ThreadPoolExecutor(1))
        executor.group = group  # type: ignore[attr-defined]
        return weakref.ref(group)

    gone = make()
    gc.collect()
    assert gone() is None


@can_fork
@forks
@pytest.mark.one_thread("forks")
def test_in_a_child_a_group_has_no_tasks() -> None:
    event = Event()

    def check() -> None:
        assert "0 tasks" in repr(group)
        assert group.__exit__(None, None, None) is False
        assert not [each for each in _oxthreads.task_groups() if each[1] == "parent"]

    with TaskGroup(name="parent") as group:
        future = group.submit(event.wait)
        spin_until(future.running)
        in_child(check)
        event.set()
    assert future.result() is True


def test_groups_end_while_everything_is_cancelled() -> None:
    """Groups inside of groups, cancelled at any moment: no thread is left, and no error comes out."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = threading.active_count()

    def grow(depth: int) -> None:
        with TaskGroup() as group:
            for _ in range(2):
                group.start_soon(grow, depth - 1) if depth else group.start_soon(Event().wait, 0.01)

    try:
        for number in rounds(100, 15):
            with CancelScope() as scope, TaskGroup() as group:
                group.start_soon(grow, 2)
                time.sleep(number / 50_000)
                scope.cancel()
            spin_until(lambda: threading.active_count() <= threads)
    finally:
        sys.setswitchinterval(before)


def test_race_returns_the_first_result() -> None:
    ended: list[str] = []

    def slow() -> str:
        try:
            sleep(1000)
        except Cancelled:
            ended.append("slow")
            raise
        return "slow"

    class No(OSError):
        """Weak references to it can be made."""

    def wrong() -> str:
        raise No

    both = Barrier(2)
    assert race(lambda: (both.wait(), slow())[1], wrong, lambda: (both.wait(), "quick")[1]) == "quick"
    assert ended in (["slow"], [])
    with pytest.raises(ExceptionGroup, match="all functions have failed") as caught:
        race(wrong, wrong)
    assert [type(error) for error in caught.value.exceptions] == [No, No]
    with pytest.raises(ValueError, match="at least one function"):
        race()
    with pytest.raises(TimeoutError), fail_after(0.02):
        race(slow, slow)
    with pytest.raises(KeyboardInterrupt):
        race(lambda: fail(KeyboardInterrupt()), slow)
    assert race(lambda: None) is None
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(ExceptionGroup) as caught:
            race(wrong, wrong)
        gone = weakref.ref(caught.value.exceptions[0])
        del caught
        spin_until(lambda: gone() is None)
    finally:
        gc.enable()
