"""Tests of how workers and futures are made: workers that cannot be started, and workers that are daemons."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import oxthreads.threading
from tests.support.back_ends import OXTHREADS, BackEnd
from tests.support.interpreters import python
from tests.support.refusals import refusal
from tests.support.threads import Result
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, until_asleep

ThreadPoolExecutor = OXTHREADS.futures.ThreadPoolExecutor


def test_a_failed_start_leaves_no_other_call_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another call relies on the worker whose start fails."""
    executor, start, others = ThreadPoolExecutor(1), oxthreads.threading.Thread.start, []

    def failing(self: Any) -> None:
        monkeypatch.setattr(oxthreads.threading.Thread, "start", start)
        others.append(Result(executor.submit, pow, 2, 3).get())
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(oxthreads.threading.Thread, "start", failing)
    assert refusal(executor.submit, int) == (RuntimeError, "can't start new thread")
    assert others[0].result(TIMEOUT_SECONDS) == 8
    executor.shutdown()


@pytest.fixture
def starting(library: BackEnd, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any], None]], None]:
    """A function that makes workers start in another way: it takes a function, which gets the thread."""
    original = library.threading.Thread.start

    def start(how: Callable[[Any], None]) -> None:
        def instead(thread: Any) -> None:
            if thread.name.startswith("worker"):
                how(thread)
            else:
                original(thread)

        monkeypatch.setattr(library.threading.Thread, "start", instead)

    monkeypatch.setattr(library.threading.Thread, "original_start", original, raising=False)
    return start


def _refuse(thread: Any) -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("workers", [1, 4])
def test_several_failed_starts_do_not_change_the_pool(
    library: BackEnd, starting: Callable[[Callable[[Any], None]], None], workers: int
) -> None:
    executor = library.futures.ThreadPoolExecutor(workers, "worker")
    starting(_refuse)
    for _ in range(5):
        assert refusal(executor.submit, int) == (RuntimeError, "can't start new thread")
    starting(lambda thread: thread.original_start())
    futures = [executor.submit(pow, 2, number) for number in range(6)]
    assert [future.result(TIMEOUT_SECONDS) for future in futures] == [1, 2, 4, 8, 16, 32]
    Result(executor.shutdown).get()


@pytest.mark.parametrize("library", [OXTHREADS], ids=lambda library: library.name)
def test_after_a_failed_start_a_call_that_waits_for_another_still_ends(
    library: BackEnd, starting: Callable[[Callable[[Any], None]], None]
) -> None:
    executor = library.futures.ThreadPoolExecutor(2, "worker")
    begun, called = threading.Event(), threading.Event()

    def wait_for_the_other() -> bool:
        begun.set()
        return called.wait(TIMEOUT_SECONDS)

    def fail_once(thread: Any) -> None:
        starting(lambda thread: thread.original_start())
        others.append(Result(executor.submit, called.set).get())
        _refuse(thread)

    others: list[Any] = []
    first = executor.submit(wait_for_the_other)
    assert begun.wait(TIMEOUT_SECONDS)
    starting(fail_once)
    assert refusal(executor.submit, int) == (RuntimeError, "can't start new thread")
    assert first.result(TIMEOUT_SECONDS) is True
    others[0].result(TIMEOUT_SECONDS)
    executor.shutdown()


@pytest.mark.parametrize("library", [OXTHREADS], ids=lambda library: library.name)
def test_after_an_interrupted_start_a_call_that_waits_for_another_still_ends(
    library: BackEnd, starting: Callable[[Callable[[Any], None]], None]
) -> None:
    """Ctrl-C comes when the worker runs already, but before the pool knows that it was started."""
    executor = library.futures.ThreadPoolExecutor(2, "worker")
    begun, called, counted, raised = (threading.Event() for _ in range(4))

    def wait_for_the_other() -> bool:
        begun.set()
        return called.wait(TIMEOUT_SECONDS)

    def start_late(thread: Any) -> None:
        counted.set()
        assert raised.wait(TIMEOUT_SECONDS)
        thread.original_start()

    def interrupted(thread: Any) -> None:
        thread.original_start()
        assert begun.wait(TIMEOUT_SECONDS)
        starting(start_late)
        others.append(Result(executor.submit, called.set))
        assert counted.wait(TIMEOUT_SECONDS)
        raise KeyboardInterrupt

    others: list[Any] = []
    results: list[bool] = []
    starting(interrupted)
    with pytest.raises(KeyboardInterrupt):
        executor.submit(lambda: results.append(wait_for_the_other()))
    raised.set()
    others[0].get().result(TIMEOUT_SECONDS)
    executor.shutdown()
    assert results == [True]


def test_a_submit_that_waits_for_room_goes_on_when_the_pool_becomes_larger() -> None:
    executor = ThreadPoolExecutor(1, max_pending=1)
    called = threading.Event()
    first = executor.submit(called.wait, TIMEOUT_SECONDS)
    spin_until(first.running)
    executor.submit(int)
    waiting = Result(executor.submit, called.set)
    until_asleep(waiting.thread)
    executor._max_workers = 2
    assert first.result(TIMEOUT_SECONDS) is True
    waiting.get().result(TIMEOUT_SECONDS)
    executor.shutdown()


def test_workers_are_made_by_the_current_threading_thread(
    library: BackEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Named(threading.Thread):
        pass

    monkeypatch.setattr(threading, "Thread", Named)
    with library.futures.ThreadPoolExecutor(1) as executor:
        assert type(executor.submit(threading.current_thread).result(TIMEOUT_SECONDS)) is Named


@pytest.mark.parametrize("runner", [False, True])
def test_a_program_may_call_the_exit_function_of_the_pools(runner: bool) -> None:
    done = python(
        """
import concurrent.futures.thread as thread
from concurrent.futures import ThreadPoolExecutor

pools = [ThreadPoolExecutor(1) for _ in range(2)]
print(pools[0].submit(int).result())
thread._python_exit()
for pool in [*pools, ThreadPoolExecutor(1)]:
    try:
        pool.submit(int)
    except RuntimeError as error:
        print(error)
""",
        runner=runner,
    )
    refused = "cannot schedule new futures after "
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "0"
    assert [line.startswith(refused) for line in done.stdout.splitlines()[1:]] == [True] * 3


def test_max_workers_may_become_negative(library: BackEnd) -> None:
    with library.futures.ThreadPoolExecutor(2) as executor:
        assert executor.submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8
        executor._max_workers = -1
        assert executor.submit(pow, 2, 4).result(TIMEOUT_SECONDS) == 16


@pytest.mark.parametrize("runner", [False, True])
def test_a_call_from_a_daemon_thread_is_run_before_the_interpreter_ends(runner: bool) -> None:
    done = python(
        """
import threading, time
import concurrent.futures.thread as thread
from concurrent.futures import ThreadPoolExecutor

executor = ThreadPoolExecutor(1)
held, submitted = threading.Event(), threading.Event()

def hold():
    with thread._global_shutdown_lock:
        held.set()
        time.sleep(0.2)

def submit():
    held.wait()
    executor.submit(lambda: (time.sleep(0.5), print("ran")))
    submitted.set()

threading.Thread(target=hold).start()
threading.Thread(target=submit, daemon=True).start()
submitted.wait()
""",
        runner=runner,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("ran\n", "", 0)


def test_futures_are_made_by_a_patched_initializer(library: BackEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools that watch a program replace functions of the standard classes."""
    made: list[Any] = []
    cls = library.futures.Future
    initialize = cls.__init__

    def watched(self: Any) -> None:
        made.append(self)
        initialize(self)

    with library.futures.ThreadPoolExecutor(1) as executor:
        monkeypatch.setattr(cls, "__init__", watched)
        future = executor.submit(pow, 2, 3)
        monkeypatch.undo()
        other = executor.submit(pow, 2, 4)
    assert made == [future]
    assert (future.result(0), other.result(0)) == (8, 16)
