"""How workers of a pool and futures are made: workers that cannot be started, or that are daemons."""

from __future__ import annotations

from typing import Any

import pytest

import oxthreads.threading
from conftest import OXTHREADS, PATIENCE, BackEnd, Result, python, refusal

ThreadPoolExecutor = OXTHREADS.futures.ThreadPoolExecutor


def test_a_start_that_fails_strands_no_other_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else has counted on the worker whose start fails."""
    executor, start, others = ThreadPoolExecutor(1), oxthreads.threading.Thread.start, []

    def failing(self: Any) -> None:
        monkeypatch.setattr(oxthreads.threading.Thread, "start", start)
        others.append(Result(executor.submit, pow, 2, 3).get())
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(oxthreads.threading.Thread, "start", failing)
    assert refusal(executor.submit, int) == (RuntimeError, "can't start new thread")
    assert others[0].result(PATIENCE) == 8
    executor.shutdown()


def test_a_negative_number_of_workers_later_is_none(library: BackEnd) -> None:
    with library.futures.ThreadPoolExecutor(2) as executor:
        assert executor.submit(pow, 2, 3).result(PATIENCE) == 8
        executor._max_workers = -1
        assert executor.submit(pow, 2, 4).result(PATIENCE) == 16


@pytest.mark.parametrize("runner", [False, True])
def test_a_call_that_a_daemon_has_submitted_is_run_before_the_interpreter_ends(runner: bool) -> None:
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


def test_futures_are_made_as_the_class_says(library: BackEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools that watch a program put functions of their own into the standard classes."""
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
