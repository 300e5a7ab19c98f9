"""What programs do in unusual places: in destructors, while something is unpickled, with defaults changed."""

from __future__ import annotations

import concurrent.futures.process
import contextlib
import gc
import multiprocessing
import os
import queue
import signal
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest

from oxthreads.processes import ProcessPoolExecutor, WorkerDied
from tests.support import process_calls as calls
from tests.support.interpreters import python
from tests.support.waiting import TIMEOUT_SECONDS, spin_until

pytestmark = [
    pytest.mark.one_thread("starts processes"),
    pytest.mark.skipif(sys.platform == "win32", reason="by signals and descriptors"),
]


@pytest.fixture
def pool() -> Iterator[ProcessPoolExecutor]:
    """A pool of one child."""
    with ProcessPoolExecutor(1) as pool:
        yield pool


class Rebuilt:
    """Calls `at_load` when it is unpickled."""

    at_load: Callable[[], object] = int

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild, (os.getpid(), ["padding"] * 100_000)


def rebuild(pid: int, padding: list[str]) -> tuple[object, int]:
    """Unpickle it: in the process of the test."""
    return Rebuilt.at_load() if pid != os.getpid() else None, len(padding)


def make_rebuilt() -> Rebuilt:
    """Return one, from a child."""
    return Rebuilt()


def test_a_call_that_is_submitted_while_a_result_is_unpickled(monkeypatch: pytest.MonkeyPatch) -> None:
    with ProcessPoolExecutor(1, max_pending=1) as pool:
        inner: list[Any] = []
        # The pool is full at first, so the worker runs it at once, inside of the other call.
        monkeypatch.setattr(Rebuilt, "at_load", lambda: inner.append(pool.submit(calls.echo, "y" * 70_000)))
        futures = [pool.submit(make_rebuilt) for _ in range(4)]
        assert [future.result() for future in futures] == [(None, 100_000)] * 4
        assert [future.result() for future in inner] == ["y" * 70_000] * 4
        assert pool.submit(abs, -1).result() == 1
        assert len(pool._processes) == 1


kept: list[Any] = []


class Resurrects:
    """Brings back what it has when it is garbage."""

    def __init__(self, content: Any) -> None:
        self.content = content
        self.cycle = self

    def __del__(self) -> None:
        kept.append(self.content)


def test_a_result_that_a_destructor_brings_back_keeps_its_content(pool: ProcessPoolExecutor) -> None:
    try:
        for number in range(1, 4):
            Resurrects(pool.submit(calls.echo, calls.Buffer(bytearray([number]) * 300_000)).result())
            gc.collect()
        spin_until(lambda: len(kept) == 3)
        assert sorted(bytes(buffer.content[:3]) for buffer in kept) == [b"\1\1\1", b"\2\2\2", b"\3\3\3"]
    finally:
        kept.clear()


class Registered:
    """Only multiprocessing knows how to pickle it."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> str:
        raise TypeError("not by pickle")


def reduce_registered(thing: Registered) -> tuple[Any, ...]:
    """How."""
    return Registered, (thing.number + 1,)


ForkingPickler.register(Registered, reduce_registered)


@pytest.mark.parametrize("pickler", ["pickle", "cloudpickle"])
def test_what_multiprocessing_can_send(pickler: Any) -> None:
    if pickler == "cloudpickle":
        pytest.importorskip("cloudpickle")
    with ProcessPoolExecutor(1, pickler=pickler) as pool:
        ours, theirs = multiprocessing.Pipe()
        with ours, theirs:
            pool.submit(calls.send_over, theirs, "by a connection").result()
            assert ours.recv() == "by a connection"
        left, right = socket.socketpair()
        with left, right:
            pool.submit(calls.send_over, right, b"by a socket").result()
            assert left.recv(100) == b"by a socket"
        assert pool.submit(calls.echo, Registered(1)).result().number == 3


def test_a_default_timeout_of_sockets_is_not_for_pools() -> None:
    socket.setdefaulttimeout(0.05)
    try:
        with ProcessPoolExecutor(1) as pool:
            assert pool.submit(time.sleep, 0.2).result() is None
    finally:
        socket.setdefaulttimeout(None)


def test_an_error_that_looks_like_a_death_is_not_tried_again(
    pool: ProcessPoolExecutor, tmp_path: Path
) -> None:
    path = tmp_path / "calls"
    error = pool.with_options(retries=3).submit(calls.raise_died, str(path)).exception()
    assert isinstance(error, WorkerDied)
    assert (str(error), error.pid, error.__notes__) == ("in a pool of the call", 5, ["a note"])
    assert path.read_text() == "x"


def test_a_call_that_a_dead_child_has_not_begun_is_run_by_another_one(pool: ProcessPoolExecutor) -> None:
    for _ in range(5):
        pid = pool.submit(calls.pid).result()
        os.kill(pid, signal.SIGSTOP)  # so that it cannot begin the call
        future = pool.submit(calls.pid)
        spin_until(future.running)
        time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        assert future.result() != pid


def test_all_pending_calls_end_when_an_initializer_fails() -> None:
    with ProcessPoolExecutor(1, initializer=calls.wait_and_fail, initargs=(0.3,)) as pool:
        futures = [pool.submit(abs, 1) for _ in range(5)]
        assert futures[3].cancel()
        done, _ = concurrent.futures.wait(futures, TIMEOUT_SECONDS)
        assert len(done) == 5
        broken = concurrent.futures.process.BrokenProcessPool
        errors = [future.exception() for future in futures if not future.cancelled()]
        assert all(isinstance(error, broken) for error in errors)
        assert len(errors) == 4


def test_there_are_no_more_children_than_workers(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, max_tasks_per_child=1) as pool:
        for _ in range(3):
            first = pool.submit(calls.end_slowly, 0.3).result()
            assert pool.submit(calls.pid).result() != first
            with pytest.raises(ProcessLookupError):
                os.kill(first, 0)


def test_a_program_that_ignores_the_ends_of_children() -> None:
    program = (
        "import signal, os, gc, multiprocessing\n"
        "from oxthreads.processes import ProcessPoolExecutor\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "    counts = []\n"
        "    for _ in range(3):\n"
        "        with ProcessPoolExecutor(2) as pool: list(pool.map(abs, range(10)))\n"
        "        gc.collect()\n"
        "        counts.append((len(os.listdir('/proc/self/fd')), len(multiprocessing.active_children())))\n"
        "    print(len(set(counts)), counts[0][1])\n"
    )
    ended = python(program, runner=False)
    assert (ended.stdout, ended.stderr) == ("1 0\n", "")


def test_errors_of_classes_that_only_cloudpickle_knows() -> None:
    pytest.importorskip("cloudpickle")

    class LocalError(Exception):
        pass

    def fail() -> None:
        raise LocalError("here")

    with ProcessPoolExecutor(1) as pool:
        error = pool.submit(fail).exception()
        assert type(error).__name__ == "LocalError"
        assert str(error) == "here"


def test_a_program_that_a_call_starts_gets_ctrl_c(pool: ProcessPoolExecutor) -> None:
    assert pool.submit(calls.interrupt_a_program).result() == -signal.SIGINT


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors")
def test_many_large_results_need_no_descriptors() -> None:
    program = (
        "import resource\n"
        "from oxthreads.processes import ProcessPoolExecutor\n"
        "from tests.support import process_calls as calls\n"
        "if __name__ == '__main__':\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))\n"
        "    with ProcessPoolExecutor(1) as pool:\n"
        "        results = [pool.submit(calls.make_buffer, number).result() for number in range(300)]\n"
        "    assert [result.content[0] for result in results] == [number % 256 for number in range(300)]\n"
    )
    ended = python(program, runner=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_reports_name_the_function_of_a_call(pool: ProcessPoolExecutor, tmp_path: Path) -> None:
    from oxthreads.diagnose import profile  # noqa: PLC0415

    with profile() as measured:
        pool.submit(calls.pid).result()
        list(pool.map(calls.echo, [1, 2], chunksize=2))
    functions = [
        each["function"]["function"] for found in measured.data()["pools"] for each in found["functions"]
    ]
    assert {"pid", "echo"} <= {*functions}


def test_a_destructor_that_submits_the_first_call() -> None:
    submitted: queue.Queue[Any] = queue.Queue()

    class Submits:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            submitted.put(pool.submit(abs, -2))

    pool = ProcessPoolExecutor(1)
    gone = weakref.ref(Submits())
    gc.collect()
    spin_until(lambda: gone() is None)
    with pool, contextlib.suppress(queue.Empty):
        assert submitted.get(timeout=TIMEOUT_SECONDS).result() == 2
    assert threading.active_count() >= 1
