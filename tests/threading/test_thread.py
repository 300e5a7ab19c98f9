"""Tests of Thread, Timer and the public names of the modules. Most run on the standard library too."""

from __future__ import annotations

import concurrent.futures
import contextlib
import contextvars
import gc
import queue
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, BackEnd
from tests.support.interpreters import FREE_THREADED, python
from tests.support.threads import start
from tests.support.waiting import spin_until, until_asleep


def test_it_runs_its_target_with_its_arguments(library: BackEnd) -> None:
    seen: list[Any] = []
    thread = library.threading.Thread(
        target=lambda *args, **keywords: seen.append((args, keywords)),
        args=(1, 2),
        kwargs={"key": 3},
        name="a name",
    )
    assert (thread.name, thread.daemon, thread.is_alive(), thread.ident) == ("a name", False, False, None)
    thread.start()
    thread.join()
    assert seen == [((1, 2), {"key": 3})]
    assert not thread.is_alive()
    assert thread.ident and thread.native_id


def test_a_subclass_overrides_run(library: BackEnd) -> None:
    class Mine(library.threading.Thread):  # type: ignore[misc, name-defined]
        def __init__(self, value: int) -> None:
            super().__init__(daemon=True)
            self.value = value

        def run(self) -> None:
            self.value += 1

    thread = Mine(1)
    thread.start()
    thread.join()
    assert thread.value == 2


def test_the_standard_module_knows_a_running_thread(library: BackEnd) -> None:
    event = library.threading.Event()
    seen: list[threading.Thread] = []

    def work() -> None:
        seen.append(threading.current_thread())
        event.wait()

    thread = library.threading.Thread(target=work)
    thread.start()
    until_asleep(thread)
    assert thread in threading.enumerate()
    assert seen == [thread]
    assert isinstance(thread, threading.Thread)
    event.set()
    thread.join()
    assert thread not in threading.enumerate()


def test_wrong_uses_raise_the_standard_errors(library: BackEnd) -> None:
    thread = library.threading.Thread(target=int)
    with pytest.raises(RuntimeError, match="cannot join thread before it is started"):
        thread.join()
    thread.start()
    with pytest.raises(RuntimeError, match="threads can only be started once"):
        thread.start()
    thread.join()
    thread.join()
    with pytest.raises(RuntimeError, match="cannot join current thread"):
        threading.current_thread().join()
    with pytest.raises(AssertionError, match="group argument must be None for now"):
        library.threading.Thread(group=1)
    with pytest.raises(TypeError):
        library.threading.Thread(nonsense=1)


def test_join_ends_at_its_timeout(library: BackEnd) -> None:
    event = library.threading.Event()
    thread = library.threading.Thread(target=event.wait, daemon=True)
    thread.start()
    for timeout in (0, 0.001, -1):
        thread.join(timeout)
        assert thread.is_alive()
    event.set()
    thread.join(30)
    assert not thread.is_alive()


def test_the_daemon_flag_is_inherited_and_cannot_be_changed_later(library: BackEnd) -> None:
    flags: list[bool] = []

    def work() -> None:
        flags.append(library.threading.Thread(target=int).daemon)

    thread = library.threading.Thread(target=work, daemon=True)
    thread.start()
    with pytest.raises(RuntimeError):
        thread.daemon = False
    thread.join()
    assert flags == [True]


def test_an_exception_goes_to_the_excepthook(library: BackEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", seen.append)

    def fail() -> None:
        raise KeyError("gone")

    thread = library.threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert [(call.exc_type, call.thread) for call in seen] == [(KeyError, thread)]
    seen.clear()


def test_the_thread_and_its_arguments_are_freed_after_the_run(library: BackEnd) -> None:
    class Thing:
        pass

    thing = Thing()
    alive = weakref.ref(thing)
    thread = library.threading.Thread(target=lambda thing: None, args=(thing,))
    del thing
    thread.start()
    thread.join()
    spin_until(lambda: alive() is None)
    alive_thread = weakref.ref(thread)
    del thread
    gc.collect()
    spin_until(lambda: alive_thread() is None)


@pytest.mark.parametrize("runner", [False, True])
def test_a_traceback_has_the_same_frames_on_both_libraries(runner: bool) -> None:
    done = python(
        "import threading\ndef fail(): raise KeyError\n"
        "thread = threading.Thread(target=fail); thread.start(); thread.join()",
        runner=runner,
    )
    assert done.returncode == 0
    assert done.stderr.startswith("Exception in thread Thread-1 (fail):")
    assert done.stderr.count("File ") == 3
    assert "oxthreads" not in done.stderr.replace(sys.base_prefix, "")


def test_the_modules_have_every_public_name_of_the_standard_modules() -> None:
    pairs = [
        (OXTHREADS.threading, threading),
        (OXTHREADS.queue, queue),
        (OXTHREADS.futures, concurrent.futures),
    ]
    ours = {
        "Lock",
        "RLock",
        "Condition",
        "Semaphore",
        "BoundedSemaphore",
        "Event",
        "Barrier",
        "Thread",
        "Timer",
    }
    ours |= {"Queue", "LifoQueue", "PriorityQueue", "SimpleQueue", "ShutDown"}
    ours |= {"Future", "ThreadPoolExecutor", "wait", "as_completed"}
    for mirror, standard in pairs:
        added = set(mirror.__all__) - set(standard.__all__)
        assert not set(standard.__all__) - set(mirror.__all__)
        assert added <= {"ShutDown"}
        for name in standard.__all__:
            found = getattr(mirror, name)
            assert (found is getattr(standard, name)) is (name not in ours or name == "ShutDown")
        with pytest.raises(AttributeError, match="no_such_name"):
            _ = mirror.no_such_name


def test_importing_the_package_imports_and_starts_nothing() -> None:
    done = python(
        "import sys; before = set(sys.modules)\nimport oxthreads\nprint(sorted(set(sys.modules) - before))",
        runner=False,
    )
    assert done.stdout == "['oxthreads']\n"


@pytest.mark.skipif(sys.version_info < (3, 14), reason="new in Python 3.14")
def test_it_runs_in_the_context_it_is_given(library: BackEnd) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    context = contextvars.copy_context()
    context.run(variable.set, "given")
    seen: list[str] = []
    for given in (context, contextvars.Context()):
        thread = library.threading.Thread(target=lambda: seen.append(variable.get()), context=given)
        thread.start()
        thread.join()
    assert seen == ["given", "none"]


def test_each_thread_has_its_own_locals(library: BackEnd) -> None:
    class Thing:
        pass

    mine = library.threading.local()
    mine.value = "main"
    gone: list[weakref.ref[Thing]] = []

    def work() -> None:
        assert not hasattr(mine, "value")
        mine.value = Thing()
        gone.append(weakref.ref(mine.value))

    for _ in range(3):
        thread = library.threading.Thread(target=work)
        thread.start()
        thread.join()
    gc.collect()
    assert [thing() for thing in gone] == [None] * 3
    assert mine.value == "main"


def test_a_timer_calls_once_unless_it_is_cancelled(library: BackEnd) -> None:
    calls: list[Any] = []

    def call(*args: Any, **keywords: Any) -> None:
        calls.append((args, keywords))

    timer = library.threading.Timer(0.01, call, [1], {"key": 2})
    assert (timer.interval, timer.function, timer.args, timer.kwargs) == (0.01, call, [1], {"key": 2})
    assert isinstance(timer, library.threading.Thread)
    timer.start()
    timer.join()
    assert calls == [((1,), {"key": 2})]
    assert timer.finished.is_set()
    cancelled = library.threading.Timer(1000, call)
    assert (cancelled.args, cancelled.kwargs) == ([], {})
    cancelled.start()
    until_asleep(cancelled)
    cancelled.cancel()
    cancelled.join()
    early = library.threading.Timer(0, call)
    early.cancel()
    early.start()
    early.join()
    assert len(calls) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how often a thread ran")
def test_waiting_costs_no_cpu(library: BackEnd) -> None:
    threads, items = library.threading, library.queue.Queue()
    lock, rlock, semaphore, barrier = (
        threads.Lock(),
        threads.RLock(),
        threads.Semaphore(0),
        threads.Barrier(2),
    )
    condition, event, future = threads.Condition(), threads.Event(), library.futures.Future()
    lock.acquire()
    rlock.acquire()

    def wait() -> None:
        with condition:
            condition.wait()

    def wait_at_barrier() -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            barrier.wait()

    waits = [lock.acquire, lambda: (rlock.acquire(), rlock.release()), semaphore.acquire, wait_at_barrier]
    waits += [wait, event.wait, items.get, future.result, lambda: event.wait(1000)]
    waiting = [start(each) for each in waits]
    until_asleep(*waiting)

    def switches() -> list[str]:
        tasks = [Path(f"/proc/self/task/{thread.native_id}/status") for thread in waiting]
        return [line for task in tasks for line in task.read_text().splitlines() if "ctxt_switches" in line]

    def are_quiet() -> bool:
        before = switches()
        time.sleep(0.3)  # a wait that polls would run in this time
        return switches() == before

    # A process that is stopped and goes on makes each of its threads run once.
    assert any(are_quiet() for _ in range(10))
    lock.release()
    rlock.release()
    semaphore.release()
    barrier.abort()
    with condition:
        condition.notify()
    event.set()
    items.put(1)
    future.set_result(1)
    for thread in waiting:
        thread.join()


def test_importing_oxthreads_does_not_enable_the_gil() -> None:
    done = python(
        "import sys; is_enabled = getattr(sys, '_is_gil_enabled', lambda: True); print(is_enabled())\n"
        "import oxthreads.concurrent.futures, oxthreads.queue; print(is_enabled())",
        runner=False,
        PYTHONWARNINGS="error",
    )
    assert (done.stdout, done.stderr) == (f"{not FREE_THREADED}\n" * 2, "")
