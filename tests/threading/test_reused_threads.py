"""Tests of threads that run in operating system threads which are used again."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import contextvars
import ctypes
import functools
import inspect
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import oxthreads.threading
from oxthreads import _oxthreads as native
from oxthreads.concurrent.futures import ThreadPoolExecutor
from oxthreads.threading import Event, Thread, Timer, reuse_threads
from tests.support.forks import can_fork, forks, in_child
from tests.support.interpreters import FREE_THREADED, python
from tests.support.refusals import refusal
from tests.support.waiting import TIMEOUT_SECONDS, spin_until

# What is kept belongs to the process.
pytestmark = pytest.mark.one_thread

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says this of a thread")


@pytest.fixture(autouse=True)
def reused() -> Iterator[None]:
    reuse_threads(TIMEOUT_SECONDS * 10)
    yield
    reuse_threads(None)
    assert kept() == 0


def run(target: Callable[[], Any], **options: Any) -> int:
    """Run the function in a thread, join it, and wait until its operating system thread is kept or has ended.

    Returns the native identifier of the thread.
    """
    thread = Thread(target=target, **options)
    thread.start()
    thread.join()
    assert not thread.is_alive()
    assert thread.native_id
    until_settled(thread.native_id)
    return thread.native_id


def run_in_each() -> None:
    """Run something in each thread that is kept now."""
    meeting = threading.Barrier(max(1, kept()))
    threads = [Thread(target=meeting.wait) for _ in range(meeting.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
        assert thread.native_id
        until_settled(thread.native_id)


def kept() -> int:
    """Return how many operating system threads are kept."""
    return len(native.kept_threads_now())


def until_settled(native_id: int) -> None:
    """Return when the operating system thread is kept, or gone."""

    def is_settled() -> bool:
        return native_id in native.kept_threads_now() or not Path(f"/proc/self/task/{native_id}").exists()

    if sys.platform == "linux":
        spin_until(is_settled)


def nothing() -> None:
    pass


@on_linux
def test_one_operating_system_thread_runs_one_after_the_other() -> None:
    names: list[str] = []
    first = run(lambda: names.append(threading.current_thread().name), name="first")
    second = run(lambda: names.append(threading.current_thread().name), name="second")
    assert first == second
    assert names == ["first", "second"]
    assert kept() == 1
    assert threading.enumerate() == [threading.main_thread()] or threading.current_thread() in (
        threading.enumerate()
    )
    assert not [thread for thread in threading.enumerate() if thread.name in names]


def test_a_thread_shows_what_any_started_thread_shows() -> None:
    run(nothing)
    go, seen = Event(), []

    def target() -> None:
        go.wait()
        seen.append((_thread.get_ident(), threading.get_native_id(), threading.current_thread()))

    thread = Thread(target=target)
    thread.start()
    assert thread.is_alive()
    shown = (thread.ident, thread.native_id, thread)
    assert thread in threading.enumerate()
    assert "started" in repr(thread)
    thread.join(0.001)
    assert thread.is_alive()
    go.set()
    thread.join()
    assert seen == [shown]
    assert "stopped" in repr(thread)
    thread.join()
    assert thread not in threading.enumerate()


def test_errors_are_those_of_the_standard_thread() -> None:
    run(nothing)
    for module in (threading, oxthreads.threading):
        thread = module.Thread(target=nothing)
        assert refusal(thread.join) == (RuntimeError, "cannot join thread before it is started")
        thread.start()
        assert refusal(thread.start) == (RuntimeError, "threads can only be started once")
        thread.join()
        assert refusal(thread.start) == (RuntimeError, "threads can only be started once")

    class Forgetful(Thread):
        def __init__(self) -> None:
            self._initialized = False

    assert refusal(Forgetful().start) == (RuntimeError, "thread.__init__() not called")
    errors: list[Any] = []
    run(lambda: errors.append(refusal(threading.current_thread().join)))
    assert errors == [(RuntimeError, "cannot join current thread")]


@pytest.mark.parametrize("timeout", [float("nan"), 1e300, -1e300, "1", object(), -1, 0, 0.0, True, 10**30])
def test_a_join_takes_the_timeouts_of_the_standard_join(timeout: Any) -> None:
    outcomes = []
    for module in (threading, oxthreads.threading):
        go = threading.Event()
        thread = module.Thread(target=go.wait)
        thread.start()
        try:
            outcomes.append((thread.join(timeout), thread.is_alive()))
        except Exception as error:
            outcomes.append((type(error), thread.is_alive()))
        finally:
            go.set()
            thread.join()
    assert outcomes[0] == outcomes[1]


class Noted:
    """Notes when it is dropped."""

    def __init__(self, drops: list[str], name: str) -> None:
        self.drops, self.name = drops, name

    def __del__(self) -> None:
        self.drops.append(self.name)


def test_thread_local_values_end_with_the_thread() -> None:
    local, drops, found = threading.local(), [], []

    def target() -> None:
        found.append(getattr(local, "value", None))
        local.value = Noted(drops, f"drop {len(found)}")

    for number in range(1, 4):
        thread = Thread(target=target)
        thread.start()
        thread.join()
        if not FREE_THREADED:
            assert len(drops) == number
        spin_until(lambda number=number: len(drops) == number)
    assert found == [None, None, None]
    assert drops == ["drop 1", "drop 2", "drop 3"]


def test_a_subclass_of_local_is_made_anew_in_each_thread() -> None:
    made: list[int] = []

    class Local(threading.local):
        def __init__(self) -> None:
            made.append(_thread.get_ident())

    local = Local()
    for _ in range(3):
        run(lambda: local.__dict__)
    assert len(made) == 4


def test_context_variables_are_those_of_a_new_thread() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="default")
    found: list[str] = []

    def target() -> None:
        found.append(variable.get())
        variable.set("changed")

    for _ in range(3):
        run(target)
    assert found == ["default"] * 3
    if sys.version_info >= (3, 14):
        context = contextvars.Context()
        context.run(variable.set, "given")
        run(target, context=context)
        assert found[3:] == ["given"]
        assert context[variable] == "changed"


def test_trace_and_profile_functions_end_with_the_thread() -> None:
    found: list[Any] = []

    def trace(*event: Any) -> Any:
        return None

    def target() -> None:
        found.append((sys.gettrace(), sys.getprofile()))
        sys.settrace(trace)
        sys.setprofile(trace)

    def ask() -> None:
        found.append((sys.gettrace(), sys.getprofile()))

    run(target)
    run(ask)
    assert found == [(None, None)] * 2
    threading.settrace(trace)
    threading.setprofile(trace)
    try:
        run(ask)
    finally:
        threading.settrace(None)  # type: ignore[arg-type]
        threading.setprofile(None)
    run(ask)
    assert found[2:] == [(trace, trace), (None, None)]


def test_hooks_of_generators_and_the_event_loop_end_with_the_thread() -> None:
    found: list[Any] = []

    def target() -> None:
        found.append((sys.get_asyncgen_hooks()[0], sys.get_coroutine_origin_tracking_depth()))
        found.append(asyncio._get_running_loop())
        sys.set_asyncgen_hooks(firstiter=found.append)
        sys.set_coroutine_origin_tracking_depth(7)
        asyncio._set_running_loop(loop)

    loop = asyncio.new_event_loop()
    try:
        for _ in range(2):
            run(target)
    finally:
        loop.close()
    assert found == [(None, 0), None] * 2


def test_an_exception_that_comes_too_late_does_not_reach_the_next_thread() -> None:
    set_exception = ctypes.pythonapi.PyThreadState_SetAsyncExc
    ends: list[str] = []
    go = Event()

    def target() -> None:
        # For this thread itself: it is raised between two bytecodes, or not at all.
        with contextlib.suppress(ZeroDivisionError):
            go.wait()

    for _ in range(20):
        thread = Thread(target=target)
        thread.start()
        go.set()
        thread.join()
        assert thread.ident
        # The operating system thread is kept, or is about to be.
        set_exception(ctypes.c_ulong(thread.ident), ctypes.py_object(ZeroDivisionError))
        other = Thread(target=lambda: ends.append("ended"))
        other.start()
        other.join()
        go.clear()
    assert ends == ["ended"] * 20


def test_what_a_thread_raises_is_reported_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: shown.append((args.exc_type, args.thread.name)))

    def fail() -> None:
        raise LookupError

    def leave() -> None:
        sys.exit(3)

    run(fail, name="fails")
    run(leave, name="leaves")
    assert shown == [(LookupError, "fails"), (SystemExit, "leaves")]
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: unraisable.append(args.exc_type))

    class Broken(Thread):
        def _bootstrap(self) -> None:
            super()._bootstrap()  # type: ignore[misc]
            raise KeyError

    thread = Broken(target=nothing)
    thread.start()
    thread.join()
    spin_until(lambda: unraisable == [KeyError])


def test_subclasses_run_their_own_methods() -> None:
    calls: list[str] = []

    class Mine(Thread):
        def start(self) -> None:
            calls.append("start")
            super().start()

        def run(self) -> None:
            calls.append("run")

        def _bootstrap_inner(self) -> None:
            calls.append("bootstrap")
            super()._bootstrap_inner()  # type: ignore[misc]

    for _ in range(2):
        thread = Mine()
        thread.start()
        thread.join()
    assert calls == ["start", "bootstrap", "run"] * 2


def test_a_timer() -> None:
    calls: list[int] = []
    for number in range(3):
        timer = Timer(0, calls.append, [number])
        timer.start()
        timer.join()
    assert calls == [0, 1, 2]
    timer = Timer(1000, calls.append, [3])
    timer.start()
    timer.cancel()
    timer.join()
    assert calls == [0, 1, 2]


# What belongs to the operating system thread.


def block_a_signal() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])


def stay_on_one_processor() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def be_nicer() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)


def be_called_otherwise() -> None:
    ctypes.CDLL(None).prctl(15, b"otherwise")  # PR_SET_NAME


def live_elsewhere() -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(0x04000000):  # CLONE_NEWUTS
        pytest.skip("this process may not do that")


@on_linux
@pytest.mark.parametrize(
    "change", [block_a_signal, stay_on_one_processor, be_nicer, be_called_otherwise, live_elsewhere]
)
def test_a_thread_that_has_changed_is_not_used_again(change: Callable[[], None]) -> None:
    if change is stay_on_one_processor and len(os.sched_getaffinity(0)) == 1:
        pytest.skip("there is one processor only")
    skipped: list[BaseException] = []

    def target() -> None:
        try:
            change()
        except pytest.skip.Exception as reason:
            skipped.append(reason)

    run(nothing)
    assert kept() == 1
    run(target)
    if skipped:
        raise skipped[0]
    spin_until(lambda: kept() == 0)


@on_linux
def test_what_is_undone_in_time_is_no_change() -> None:
    def target() -> None:
        block_a_signal()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR2])

    first = run(nothing)
    assert run(target) == first
    assert run(nothing) == first


@on_linux
def test_a_thread_has_the_signal_mask_of_the_one_that_starts_it() -> None:
    seen: list[bool] = []

    def look() -> None:
        seen.append(signal.SIGUSR2 in signal.pthread_sigmask(signal.SIG_BLOCK, []))

    run(look)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        run(look)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    run(look)
    assert seen == [False, True, False]


@on_linux
def test_a_thread_has_the_processors_of_the_one_that_starts_it() -> None:
    processors = os.sched_getaffinity(0)
    if len(processors) == 1:
        pytest.skip("there is one processor only")
    seen: list[Any] = []
    run(lambda: seen.append(os.sched_getaffinity(0)))
    os.sched_setaffinity(0, {min(processors)})
    try:
        run(lambda: seen.append(os.sched_getaffinity(0)))
    finally:
        os.sched_setaffinity(0, processors)
    assert seen == [processors, {min(processors)}]


@on_linux
def test_the_system_knows_the_name_that_a_new_thread_would_have() -> None:
    seen: list[list[str]] = []
    for start in (threading.Thread.start, Thread.start):
        names: list[str] = []
        for name in ("a", "Überlänge des Namens eines Threads", "b", ""):

            def look(names: list[str] = names) -> None:
                names.append(Path(f"/proc/self/task/{threading.get_native_id()}/comm").read_text())

            thread = Thread(target=look, name=name)
            if not name:
                thread.name = ""
            start(thread)
            thread.join()
        seen.append(names)
    assert seen[0] == seen[1]


@on_linux
def test_what_the_system_has_beside_that_stays() -> None:
    """As docs/reused_threads.md says."""
    library = ctypes.CDLL(None)
    get, change = 30, 29
    seen: list[int] = []

    def target() -> None:
        seen.append(library.prctl(get, 0, 0, 0, 0))
        library.prctl(change, 123_456, 0, 0, 0)

    run(target)
    run(target)
    assert seen[1] == 123_456 != seen[0]


@on_linux
def test_a_stack_of_another_size_is_another_thread() -> None:
    first = run(nothing)
    former = threading.stack_size(512 * 1024)
    try:
        second = run(nothing)
        assert second != first
        assert run(nothing) == second
    finally:
        threading.stack_size(former)
    assert run(nothing) == first


def test_the_stack_is_as_large_as_that_of_an_ordinary_thread() -> None:
    sizes: list[str] = []

    def look() -> None:
        maps = Path("/proc/self/maps").read_text().splitlines()
        here = ctypes.c_int()
        address = ctypes.addressof(here)
        del address, maps

    if sys.platform != "linux":
        pytest.skip("only Linux says this of a thread")

    class Attributes(ctypes.Structure):
        _fields_ = [("bytes", ctypes.c_char * 64)]

    library = ctypes.CDLL(None)
    library.pthread_self.restype = ctypes.c_void_p

    def size() -> None:
        look()
        attributes, found = Attributes(), ctypes.c_size_t()
        library.pthread_getattr_np(ctypes.c_void_p(library.pthread_self()), ctypes.byref(attributes))
        library.pthread_attr_getstacksize(ctypes.byref(attributes), ctypes.byref(found))
        library.pthread_attr_destroy(ctypes.byref(attributes))
        sizes.append(f"{found.value / 2**20:.1f}")

    threading.Thread.start(thread := threading.Thread(target=size))
    thread.join()
    run(size)
    assert sizes[0] == sizes[1]


# How long threads are kept.


@on_linux
def test_a_kept_thread_ends_after_its_time() -> None:
    reuse_threads(0.01)
    ended = run(nothing)
    spin_until(lambda: not Path(f"/proc/self/task/{ended}").exists())
    assert kept() == 0
    assert run(nothing)


@on_linux
def test_switching_it_off_ends_what_is_kept() -> None:
    gone = [run(nothing)]
    reuse_threads(0)
    assert kept() == 0
    assert not Path(f"/proc/self/task/{gone[0]}").exists()
    assert "start" not in vars(Thread)
    run(nothing)
    assert kept() == 0


def test_a_thread_that_runs_while_it_is_switched_off_is_not_kept() -> None:
    go = Event()
    thread = Thread(target=go.wait)
    thread.start()
    reuse_threads(None)
    go.set()
    thread.join()
    reuse_threads(None)
    assert kept() == 0


@pytest.mark.parametrize(
    ("seconds", "error"), [(-1, ValueError), (float("nan"), ValueError), ("x", ValueError), ([], TypeError)]
)
def test_seconds_that_are_none(seconds: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        reuse_threads(seconds)
    with pytest.raises(error):
        ThreadPoolExecutor(1, reuse_threads=seconds)


def test_without_end() -> None:
    reuse_threads(float("inf"))
    run(nothing)
    run(nothing)


@pytest.mark.parametrize("interval", [1e-6, 0.005])
def test_many_threads_at_the_same_time(interval: float) -> None:
    done: list[int] = []
    former = sys.getswitchinterval()
    sys.setswitchinterval(interval)
    try:
        for _ in range(5):
            threads = [Thread(target=done.append, args=(number,)) for number in range(100)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
                assert not thread.is_alive()
    finally:
        sys.setswitchinterval(former)
    assert sorted(done) == sorted([*range(100)] * 5)


def test_threads_start_threads_and_join_them() -> None:
    done: list[int] = []

    def spread(depth: int) -> None:
        done.append(depth)
        if depth:
            threads = [Thread(target=spread, args=(depth - 1,)) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    run(lambda: spread(4))
    assert len(done) == 1 + 3 + 9 + 27 + 81


def test_a_thread_object_is_freed() -> None:
    thread = Thread(target=nothing)
    thread.start()
    thread.join()
    gone = weakref.ref(thread)
    del thread
    spin_until(lambda: gone() is None)


def test_a_tool_that_replaces_what_starts_threads_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "_start_joinable_thread" if sys.version_info >= (3, 13) else "_start_new_thread"
    original, calls = getattr(threading, name), []

    def start(*args: Any, **keywords: Any) -> Any:
        calls.append(args)
        return original(*args, **keywords)

    monkeypatch.setattr(threading, name, start)
    run_plainly = Thread(target=nothing)
    run_plainly.start()
    run_plainly.join()
    assert len(calls) == 1
    monkeypatch.undo()
    monkeypatch.setattr(threading.Thread, "start", calls.append)
    Thread(target=nothing).start()
    assert len(calls) == 2


def test_audit_hooks_hear_of_it() -> None:
    code = """
import sys
events = []
sys.addaudithook(lambda event, args: events.append(event) if event.startswith("_thread.start") else None)
from oxthreads.threading import Thread, reuse_threads
import threading
reuse_threads(10)
for cls in (threading.Thread, Thread, Thread):
    del events[:]
    thread = cls(target=int)
    thread.start()
    thread.join()
    print(*events)
"""
    ran = python(code, runner=False)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0] == lines[1] == lines[2]
    assert bool(lines[0]) == (sys.version_info >= (3, 12))


# Pools.


@on_linux
def test_the_next_pool_uses_the_threads_of_the_last_one() -> None:
    ids, names = set(), []
    for number in range(3):
        with ThreadPoolExecutor(1, thread_name_prefix=f"pool{number}") as pool:
            ids.add(pool.submit(threading.get_native_id).result())
            names.append(pool.submit(lambda: threading.current_thread().name).result())
        spin_until(lambda: kept() == 1)
    assert len(ids) == 1
    assert names == ["pool0_0", "pool1_0", "pool2_0"]


@on_linux
def test_a_pool_that_asks_for_it_itself() -> None:
    reuse_threads(None)
    ids = set()
    for _ in range(3):
        with ThreadPoolExecutor(2, reuse_threads=100) as pool:
            ids.add(pool.submit(threading.get_native_id).result())
        spin_until(lambda: kept() == 1)
    assert len(ids) == 1
    reuse_threads(100)
    with ThreadPoolExecutor(2, reuse_threads=0) as pool:
        assert pool.submit(threading.get_native_id).result() not in ids
    reuse_threads(None)


def test_a_pool_whose_worker_is_killed_starts_another() -> None:
    with ThreadPoolExecutor(1) as pool:
        worker = pool.submit(threading.current_thread).result()
        assert worker.ident
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(worker.ident), ctypes.py_object(ZeroDivisionError)
        )
        assert [pool.submit(abs, -number).result() for number in range(5)] == [*range(5)]


def test_initializers_and_local_values_of_workers() -> None:
    local, seen = threading.local(), []

    def begin() -> None:
        seen.append(hasattr(local, "value"))
        local.value = 1

    for _ in range(3):
        with ThreadPoolExecutor(2, initializer=begin) as pool:
            assert pool.submit(lambda: local.value).result() == 1
    assert not any(seen)


# Forks, signals, and the exit.


@can_fork
@forks
def test_a_fork_in_a_process_with_kept_threads() -> None:
    go = Event()
    running = Thread(target=go.wait)
    running.start()
    last = run(nothing)
    assert last != running.native_id

    def check() -> None:
        assert threading.enumerate() == [threading.current_thread()]
        assert not running.is_alive()
        running.join()
        assert kept() == 0
        first = Thread(target=nothing)
        first.start()
        first.join()
        assert not first.is_alive()

    try:
        in_child(check)
        if sys.platform == "linux":
            assert not Path(f"/proc/self/task/{last}").exists()
        assert kept() == 0
    finally:
        go.set()
        running.join()
    spin_until(lambda: kept() == 1)


@can_fork
def test_a_fork_warns_of_no_kept_thread() -> None:
    code = """
import os, sys, warnings
warnings.simplefilter("error")
from oxthreads.threading import Thread, reuse_threads
reuse_threads(100)
for _ in range(50):
    thread = Thread(target=int)
    thread.start()
    thread.join()
    if os.fork() == 0:
        os._exit(0)
    assert os.wait()[1] == 0
print("well")
"""
    ran = python(code, runner=False)
    assert (ran.stdout, ran.returncode) == ("well\n", 0), ran.stderr


@can_fork
@forks
def test_a_fork_in_a_reused_thread() -> None:
    run(nothing)
    statuses: list[int] = []

    def target() -> None:
        pid = os.fork()
        if pid == 0:
            try:
                assert threading.current_thread() is threading.main_thread()
                assert threading.current_thread().is_alive()
                other = Thread(target=nothing)
                other.start()
                other.join()
                assert not other.is_alive()
            except BaseException:
                os._exit(1)
            return  # the child ends as its only thread does
        statuses.append(os.waitpid(pid, 0)[1])

    run(target)
    assert statuses == [0]


def test_a_signal_ends_a_join() -> None:
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals are for the main thread")
    run(nothing)
    go = Event()
    thread = Thread(target=go.wait)
    thread.start()

    def interrupt(*_: Any) -> None:
        raise InterruptedError

    former = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        with pytest.raises(InterruptedError):
            thread.join()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
        go.set()
        thread.join()


BEFORE_EXIT = """
import threading, time
from oxthreads.threading import Thread, reuse_threads
reuse_threads(1000)
def work():
    time.sleep(0.1)
    print("the work is done")
thread = Thread(target=int)
thread.start()
thread.join()
"""


@pytest.mark.parametrize("daemon", [False, True])
def test_the_exit_waits_for_threads_that_are_not_daemons(daemon: bool) -> None:
    code = BEFORE_EXIT + f"Thread(target=work, daemon={daemon}).start()\n"
    ran = python(code, runner=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == ("" if daemon else "the work is done\n")
    assert ran.stderr == ""


def test_the_exit_waits_for_the_calls_of_pools() -> None:
    code = BEFORE_EXIT + (
        "from oxthreads.concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(2)\n"
        "pool.submit(work); pool.submit(work); pool.submit(work)\n"
    )
    for order in (code, "import concurrent.futures\n" + code):
        ran = python(order, runner=False)
        # Two threads may print at the same time.
        assert (ran.stdout.count("the work is done"), ran.stderr, ran.returncode) == (3, "", 0)


def test_threads_that_are_started_during_the_exit() -> None:
    code = BEFORE_EXIT + (
        "def late():\n    time.sleep(0.05)\n    Thread(target=work).start()\nThread(target=late).start()\n"
    )
    ran = python(code, runner=False)
    usual = python(code.replace("reuse_threads(1000)", ""), runner=False)
    # Python 3.12 starts no thread then.
    assert (ran.stdout, ran.returncode) == (usual.stdout, usual.returncode)
    assert usual.stdout == ("" if sys.version_info[:2] == (3, 12) else "the work is done\n")


@pytest.mark.parametrize("seconds", [0, 0.01, 1000])
def test_many_threads_at_the_exit(seconds: float) -> None:
    # Without a GIL, no daemon starts a thread here: CPython 3.14 may then end without waiting for
    # that thread ("thread not started"), or hang, because a thread that it has stopped owns one of its locks.
    code = f"""
from oxthreads.threading import Thread, reuse_threads
import sys, threading
sys.setswitchinterval(1e-6)
reuse_threads({seconds})
local = threading.local()
has_gil = {"free-threading" not in sys.version}
def work(depth):
    local.value = [depth]
    if depth and (has_gil or not threading.current_thread().daemon):
        for number in range(2 if has_gil else 3):
            daemon = depth % 2 == 0 if has_gil else number == 2
            Thread(target=work, args=(depth - 1,), daemon=daemon).start()
for _ in range(20):
    Thread(target=work, args=(4,)).start()
"""
    for _ in range(3):
        ran = python(code, runner=False)
        assert ran.returncode == 0, ran.stderr
        # A thread that is started when the interpreter has begun to end is refused, as ever.
        assert "Fatal" not in ran.stderr


def test_the_environment_variable() -> None:
    code = """
import oxthreads.threading, threading
ids = set()
for _ in range(3):
    thread = oxthreads.threading.Thread(target=lambda: ids.add(threading.get_native_id()))
    thread.start()
    thread.join()
from oxthreads import _oxthreads
print("start" in vars(oxthreads.threading.Thread))
"""
    assert python(code, runner=False, OXTHREADS_REUSE_THREADS="20").stdout == "True\n"
    assert python(code, runner=False, OXTHREADS_REUSE_THREADS="0").stdout == "False\n"
    ran = python(code, runner=False, OXTHREADS_REUSE_THREADS="soon")
    assert ran.stdout == "False\n"
    assert ran.stderr == "oxthreads: OXTHREADS_REUSE_THREADS is 'soon', and not a number of seconds\n"


def test_a_patched_program() -> None:
    code = """
import threading, concurrent.futures
ids = set()
for _ in range(5):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        ids.add(pool.submit(threading.get_native_id).result())
    thread = threading.Thread(target=lambda: ids.add(threading.get_native_id()))
    thread.start()
    thread.join()
print(len(ids) < 10)
"""
    ran = python(code, OXTHREADS_REUSE_THREADS="20")
    assert (ran.stdout, ran.stderr, ran.returncode) == ("True\n", "", 0)


def test_a_deadlock_beside_kept_threads_is_found() -> None:
    code = """
import threading
for _ in range(3):
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
first, second, both = threading.Lock(), threading.Lock(), threading.Barrier(2)
def one(a, b):
    with a:
        both.wait()
        with b:
            pass
threads = [threading.Thread(target=one, args=pair, name=name)
           for name, pair in (("left", (first, second)), ("right", (second, first)))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
    ran = python(code, OXTHREADS_REUSE_THREADS="20", OXTHREADS_WATCH="exit")
    assert ran.returncode != 0
    assert "left" in ran.stderr
    assert "right" in ran.stderr
    assert "deadlock" in ran.stderr.lower()


def test_a_thousand_threads_one_after_the_other_take_few_of_the_system() -> None:
    ids: set[int] = set()
    end = time.monotonic() + TIMEOUT_SECONDS
    count = 0
    while count < 1000 and time.monotonic() < end:
        thread = Thread(target=lambda: ids.add(threading.get_native_id()))
        thread.start()
        thread.join()
        count += 1
    assert len(ids) < count / 2


# What a reader found who had not written it.


def test_a_kept_thread_takes_no_signal() -> None:
    code = """
import os, signal, time
from oxthreads.threading import Thread, reuse_threads
from oxthreads import _oxthreads
reuse_threads(100)
thread = Thread(target=int)
thread.start()
thread.join()
while not _oxthreads.kept_threads_now():
    time.sleep(0.001)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
os.kill(os.getpid(), signal.SIGUSR1)
print(signal.sigwait({signal.SIGUSR1}).name)
"""
    ran = python(code, runner=False)
    assert (ran.stdout, ran.returncode) == ("SIGUSR1\n", 0), ran.stderr


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "SystemExit", "ValueError"])
def test_what_is_raised_in_a_start_leaves_nothing_behind(error: str) -> None:
    code = f"""
import sys, threading
from oxthreads.threading import Thread, reuse_threads
reuse_threads(100)
def hook(event, args):
    if on and event.startswith("_thread.start"):
        raise {error}
on = False
sys.addaudithook(hook)
for _ in range(3):
    on = sys.version_info >= (3, 12)
    thread = Thread(target=int)
    try:
        thread.start()
    except {error}:
        on = False
        assert threading.enumerate() == [threading.main_thread()], threading.enumerate()
        thread.start()
    thread.join()
print("well")
"""
    ran = python(code, runner=False)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("well\n", "", 0)


@on_linux
def test_a_thread_has_no_more_rights_than_the_one_that_starts_it() -> None:
    code = """
import ctypes, threading
from pathlib import Path
from oxthreads.threading import Thread, reuse_threads
reuse_threads(100)
def look():
    print(Path(f"/proc/self/task/{threading.get_native_id()}/status").read_text().count("NoNewPrivs:\t1"))
for _ in range(2):
    thread = Thread(target=look)
    thread.start()
    thread.join()
    ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS, in this thread
"""
    assert python(code, runner=False).stdout == "0\n1\n"


@can_fork
@forks
def test_a_child_of_a_fork_in_a_reused_thread_may_fork_again() -> None:
    code = """
import os, threading, time
from oxthreads.threading import Thread, reuse_threads
reuse_threads(1000)
def later():
    time.sleep(0.1)
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            thread = Thread(target=int)
            thread.start()
            thread.join()
            return
        os.waitpid(pid, 0)
    os.write(1, b"well\\n")
def target():
    pid = os.fork()
    if pid == 0:
        threading.Thread(target=later).start()
        return
    os.waitpid(pid, 0)
for _ in range(2):
    thread = Thread(target=target)
    thread.start()
    thread.join()
"""
    ran = python(code, runner=False)
    assert (ran.stdout, ran.returncode) == ("well\n" * 2, 0), ran.stderr


def test_a_value_that_is_made_while_values_are_dropped_does_not_stay() -> None:
    local = threading.local()

    class Again:
        def __del__(self) -> None:
            local.other = "of an earlier thread"

    def target() -> None:
        found.append(getattr(local, "other", None))
        local.value = Again()

    found: list[Any] = []
    for _ in range(3):
        run(target)
    assert found == [None] * 3


def test_what_a_context_has_is_dropped_before_the_join_returns() -> None:
    variable: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")
    drops: list[str] = []
    for number in range(1, 4):
        thread = Thread(target=lambda: variable.set(Noted(drops, "dropped")))
        thread.start()
        thread.join()
        if sys.version_info < (3, 13):
            assert len(drops) == number
        # Later versions may drop it only with the thread object, or after the join. Without a GIL, an object
        # is freed in the thread that has made it, when that runs again.
        del thread
        spin_until(lambda number=number: len(drops) == number or (FREE_THREADED and run_in_each()))


def test_the_size_of_stacks_is_never_lost() -> None:
    former = threading.stack_size(256 * 1024)
    try:
        for _ in range(10):
            run(nothing)
        assert threading.stack_size(256 * 1024) == 256 * 1024
    finally:
        threading.stack_size(former)


def test_a_start_has_the_usual_signature_and_help() -> None:
    assert inspect.signature(Thread.start) == inspect.signature(threading.Thread.start)
    assert Thread.start.__doc__ == oxthreads.threading._StandardThread.start.__doc__
    assert Thread.start.__name__ == "start"


@on_linux
def test_a_tool_that_has_wrapped_and_unwrapped_the_start() -> None:
    reuse_threads(None)
    original = Thread.start
    Thread.start = functools.partialmethod(original)  # type: ignore[method-assign, assignment]
    Thread.start = original  # type: ignore[method-assign]
    reuse_threads(100)
    assert run(nothing) == run(nothing)
    reuse_threads(None)
    vars(Thread).get("start") and delattr(Thread, "start")


@can_fork
@forks
def test_a_fork_in_a_thread_that_threading_does_not_know() -> None:
    run(nothing)
    before = threading.enumerate()
    done = _thread.allocate_lock()
    done.acquire()

    def target() -> None:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        done.release()

    _thread.start_new_thread(target, ())
    assert done.acquire(timeout=TIMEOUT_SECONDS)
    assert threading.enumerate() == before
