"""Deaths of the children of a pool of processes, and of their parent: clear errors, and nothing is left."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oxthreads.processes import CallTimeout, ProcessPoolExecutor, WorkerDied
from tests.support import dying_calls as calls
from tests.support.forks import forks, in_child
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, until_asleep

pytestmark = [
    pytest.mark.one_thread("starts processes"),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

METHODS = ["spawn", "forkserver"]

#: More than what goes through sockets.
LARGE = 1_000_000


def has_ended(pid: int) -> bool:
    """Whether there is no such process, or it is a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def children() -> set[int]:
    """The children of this process, and theirs."""
    found: set[int] = set()
    look_at = [os.getpid()]
    while look_at:
        with contextlib.suppress(OSError):  # it has ended meanwhile
            for thread in Path(f"/proc/{look_at.pop()}/task").iterdir():
                look_at += map(int, (thread / "children").read_text().split())
        found |= {*look_at}
    return found


def descriptors() -> Counter[str]:
    """How many descriptors of each kind this process has."""
    found: Counter[str] = Counter()
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the folder
            found[os.readlink(each).partition(":")[0].partition("/memfd")[0]] += 1  # noqa: PTH115
    return found


def left() -> tuple[Counter[str], set[Any], int, set[Any]]:
    """What a pool could leave."""
    gc.collect()
    memory = Path("/proc/self/maps").read_text().count("memfd:oxthreads")
    # The plugin that limits the time of tests has a timer, which may be about to end.
    threads = {thread for thread in threading.enumerate() if not isinstance(thread, threading.Timer)}
    return descriptors(), threads, memory, {*multiprocessing.active_children()}


def is_no_more_than(before: tuple[Counter[str], set[Any], int, set[Any]]) -> bool:
    """Whether nothing is left that was not there before."""
    return all(now <= then for now, then in zip(left(), before, strict=True))


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A start method. After the test, nothing is left of the pools."""
    with ProcessPoolExecutor(1, request.param) as pool:
        pool.submit(calls.pid).result()  # what multiprocessing keeps
    before, processes = left(), children()
    yield request.param
    # Not at once: a cluster of other tests may be in this process, whose connections come and go.
    spin_until(lambda: is_no_more_than(before))
    # Zombies as well.
    spin_until(lambda: children() <= processes)


@pytest.fixture
def pool(method: Any) -> Iterator[ProcessPoolExecutor]:
    """A pool with one child."""
    with ProcessPoolExecutor(1, method) as pool:
        yield pool


DEATHS: dict[str, tuple[Any, Any, int]] = {
    "SIGKILL": (calls.die_by, signal.SIGKILL, -signal.SIGKILL),
    "SIGSEGV": (calls.die_by, signal.SIGSEGV, -signal.SIGSEGV),
    "SIGTERM": (calls.die_by, signal.SIGTERM, -signal.SIGTERM),
    "SIGABRT": (calls.die_by, signal.SIGABRT, -signal.SIGABRT),
    "os._exit": (calls.leave_at_once, 3, 3),
    "os._exit(0)": (calls.leave_at_once, 0, 0),
    "reading": (calls.length, calls.DiesAtLoad(), -signal.SIGKILL),
    "reading much": (calls.length, calls.DiesAtLoad([b"x" * LARGE]), -signal.SIGKILL),
    "writing": (calls.result_that_kills, 0, -signal.SIGKILL),
    "writing much": (calls.result_that_kills, LARGE, -signal.SIGKILL),
}


class TestCallsThatDie:
    @pytest.mark.parametrize("way", DEATHS)
    def test_only_the_call_fails(self, pool: ProcessPoolExecutor, way: str) -> None:
        function, argument, code = DEATHS[way]
        pid = pool.submit(calls.pid).result()
        dying, following = pool.submit(function, argument), pool.submit(calls.pid)
        with pytest.raises(WorkerDied) as caught:
            dying.result()
        assert (caught.value.pid, caught.value.exitcode) == (pid, code)
        told = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        assert told in str(caught.value)
        assert function.__name__ in str(caught.value)
        assert following.result() != pid

    def test_sys_exit_is_an_error_of_the_call(self, pool: ProcessPoolExecutor) -> None:
        pid = pool.submit(calls.pid).result()
        with pytest.raises(SystemExit) as caught:
            pool.submit(calls.leave, 5).result()
        assert caught.value.code == 5
        assert pool.submit(calls.pid).result() == pid

    def test_two_at_once(self, method: Any) -> None:
        with ProcessPoolExecutor(2, method) as pool:
            dying = [pool.submit(calls.die_by, signal.SIGKILL) for _ in range(2)]
            following = [pool.submit(calls.pid) for _ in range(2)]
            errors: list[Any] = [future.exception() for future in dying]
            assert [type(error) for error in errors] == [WorkerDied] * 2
            pids = {error.pid for error in errors}
            assert len(pids) == 2
            assert not {future.result() for future in following} & pids

    def test_it_is_run_again_if_wanted(self, pool: ProcessPoolExecutor) -> None:
        errors = [
            pool.with_options(retries=count).submit(calls.die_by, signal.SIGKILL).exception()
            for count in range(3)
        ]
        assert [type(error) for error in errors] == [WorkerDied] * 3
        assert len({error.pid for error in errors}) == 3  # type: ignore[union-attr]

    def test_a_program_that_it_has_started_does_not_hide_its_death(self, pool: ProcessPoolExecutor) -> None:
        before, token = children(), str(uuid.uuid4())
        try:
            with pytest.raises(WorkerDied, match="exit code 7"):
                pool.submit(calls.start_another_program, token).result(TIMEOUT_SECONDS)
        finally:
            for folder in Path("/proc").iterdir():  # whose parent is not this process any more
                with contextlib.suppress(OSError):
                    if token.encode() in (folder / "cmdline").read_bytes():
                        os.kill(int(folder.name), signal.SIGKILL)
        assert children() >= before - {0}


class TestStopped:
    def test_a_time_limit_ends_it(self, pool: ProcessPoolExecutor) -> None:
        pid = pool.submit(calls.pid).result()
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(CallTimeout):
            pool.with_options(timeout=0.05).submit(calls.pid).result()
        assert has_ended(pid)
        assert pool.submit(calls.pid).result() != pid

    def test_killed_while_it_is_sent_a_large_argument(
        self, method: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(os, "memfd_create")  # so that it goes through the socket
        with ProcessPoolExecutor(1, method) as pool:
            pid = pool.submit(calls.pid).result()
            assert pool.submit(calls.length, bytearray(LARGE)).result() == LARGE
            os.kill(pid, signal.SIGSTOP)
            future = pool.submit(calls.length, bytearray(20 * LARGE))
            spin_until(future.running)
            (worker,) = pool._oxthreads_threads._threads
            until_asleep(worker)
            os.kill(pid, signal.SIGKILL)
            assert future.result() == 20 * LARGE  # by another process, for it had not begun
            assert pool.submit(calls.pid).result() != pid


class TestIdle:
    @pytest.mark.parametrize("size", [0, LARGE])
    def test_the_next_call_has_another_process(self, pool: ProcessPoolExecutor, size: int) -> None:
        pid = pool.submit(calls.pid).result()
        os.kill(pid, signal.SIGKILL)
        spin_until(lambda: has_ended(pid))
        assert pool.submit(calls.length, bytearray(size)).result() == size
        assert pool.submit(calls.pid).result() != pid

    def test_of_several_all_may_die(self, method: Any) -> None:
        with ProcessPoolExecutor(3, method) as pool:
            for _ in range(2):
                list(pool.map(time.sleep, [0.05] * 6))
                pids = [*pool._processes]
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
                for pid in pids:
                    spin_until(lambda pid=pid: has_ended(pid))  # type: ignore[misc]
                found = {future.result() for future in [pool.submit(calls.pid) for _ in range(6)]}
                assert not found & {*pids}

    def test_the_pool_ends_where_all_have_died(self, pool: ProcessPoolExecutor) -> None:
        pid = pool.submit(calls.pid).result()
        os.kill(pid, signal.SIGKILL)
        spin_until(lambda: has_ended(pid))
        pool.shutdown()


@pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(),
    reason="the allocator of free-threaded Python has reserved more addresses than the limit leaves",
)
class TestMemory:
    """A child may have 100 MB more than when it begins."""

    MORE, TOO_MUCH = 100_000_000, 200_000_000

    @pytest.fixture
    def small(self, method: Any) -> Iterator[ProcessPoolExecutor]:
        with ProcessPoolExecutor(1, method, calls.limit_memory, (self.MORE,)) as pool:
            yield pool

    def test_a_call_needs_too_much(self, small: ProcessPoolExecutor) -> None:
        pid = small.submit(calls.pid).result()
        with pytest.raises(MemoryError):
            small.submit(bytearray, self.TOO_MUCH).result()
        assert small.submit(calls.pid).result() == pid

    def test_a_result_needs_too_much_to_be_pickled(self, small: ProcessPoolExecutor) -> None:
        pid = small.submit(calls.pid).result()
        with pytest.raises(MemoryError):
            small.submit(calls.text, self.MORE * 2 // 3).result()
        assert small.submit(calls.pid).result() == pid

    def test_an_argument_needs_too_much(self, small: ProcessPoolExecutor) -> None:
        # The child cannot even have the message.
        pid = small.submit(calls.pid).result()
        with pytest.raises(MemoryError):
            small.submit(calls.length, b"x" * self.TOO_MUCH).result()
        assert small.submit(calls.pid).result() == pid

    def test_a_result_needs_too_much_here(self, pool: ProcessPoolExecutor) -> None:
        import resource  # noqa: PLC0415

        pid = pool.submit(calls.pid).result()
        before = resource.getrlimit(resource.RLIMIT_AS)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        # Nothing else in this process needs much memory now.
        resource.setrlimit(resource.RLIMIT_AS, (used + self.MORE, before[1]))
        try:
            with pytest.raises(MemoryError):
                pool.submit(bytearray, self.TOO_MUCH).result()
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)
        assert pool.submit(calls.pid).result() == pid

    def test_an_argument_needs_too_much_to_be_unpickled(self, small: ProcessPoolExecutor) -> None:
        with pytest.raises(MemoryError):
            small.submit(calls.length, "x" * (self.MORE * 2 // 3)).result()
        assert small.submit(calls.length, b"x").result() == 1


class TestForkServer:
    @pytest.mark.parametrize("is_noticed", [True, False])
    def test_its_death_ends_no_call(self, is_noticed: bool) -> None:
        from multiprocessing import forkserver  # noqa: PLC0415

        with ProcessPoolExecutor(1, "forkserver") as pool:
            pid = pool.submit(calls.pid).result()
            server: Any = forkserver._forkserver
            os.kill(server._forkserver_pid, signal.SIGKILL)
            spin_until(lambda: has_ended(server._forkserver_pid))
            assert pool.submit(calls.pid).result() == pid
            if is_noticed:  # multiprocessing takes the children for ended
                multiprocessing.active_children()
            with pytest.raises(CallTimeout):
                pool.with_options(timeout=0.01).submit(time.sleep, 600).result()
            spin_until(lambda: has_ended(pid))
            assert pool.submit(calls.pid).result() != pid


class TestStart:
    def test_an_initializer_that_kills(self, method: Any) -> None:
        with ProcessPoolExecutor(1, method, calls.leave_at_once, (9,)) as pool:
            for _ in range(2):
                with pytest.raises(WorkerDied, match="exit code 9 before it could run calls"):
                    pool.submit(calls.pid).result()

    @pytest.mark.parametrize(
        ("top", "told", "printed"),
        [
            ("", "", "if __name__ == '__main__':"),
            ("if __name__ != '__main__': raise LookupError('not here')", "exit code 1 before", "not here"),
            ("if __name__ != '__main__': import os; os._exit(4)", "exit code 4 before", ""),
        ],
        ids=["no guard", "raises", "ends"],
    )
    def test_a_program_that_others_cannot_import(
        self, method: str, tmp_path: Path, top: str, told: str, printed: str
    ) -> None:
        guard = "if __name__ == '__main__':" if top else "if True:"
        written = run(
            tmp_path, f"{top}\n{guard}\n    print(repr(pool().submit(abs, -1).exception()))", method
        )
        assert written.status == 0
        assert "WorkerDied" in written.output
        # From 3.14 on the server imports the main module, and ends by it.
        is_of_server = method == "forkserver" and sys.version_info >= (3, 14)
        assert ("before it could run calls" if is_of_server and told else told) in written.output
        assert printed in written.errors
        assert bool(printed) == bool(written.errors)

    @pytest.mark.parametrize("size", [10, 10 * LARGE])
    @pytest.mark.parametrize("ends", [True, False])
    def test_an_initializer_with_arguments_that_fill_a_pipe(
        self, method: str, tmp_path: Path, size: int, ends: bool
    ) -> None:
        top = "if __name__ != '__main__': os._exit(4)" if ends else ""
        code = (
            f"{top}\nif __name__ == '__main__':\n"
            f"    made = ProcessPoolExecutor(1, METHOD, calls.length, (b'x' * {size},))\n"
            "    print(repr(made.submit(abs, -1).exception()))"
        )
        written = run(tmp_path, code, method)
        assert (written.status, written.errors) == (0, "")
        is_of_server = method == "forkserver" and sys.version_info >= (3, 14)
        assert (("before it" if is_of_server else "exit code 4 before it") in written.output) == ends
        assert (written.output == "None\n") != ends


class Ended:
    """A program that has ended: how, and what it has printed."""

    def __init__(self, status: int, output: str, errors: str) -> None:
        self.status, self.output, self.errors = status, output, errors


HEAD = """
import os, signal, sys, time
from pathlib import Path
from oxthreads.processes import ProcessPoolExecutor
from tests.support import dying_calls as calls
METHOD, FOLDER = sys.argv[1:]
def pool():
    return ProcessPoolExecutor(2, METHOD)
def busy(*functions):
    made = pool()
    futures = [made.submit(function, FOLDER) for function in functions]
    until_begun(len(functions))
    return made, futures
def until_begun(count):
    while len([name for name in os.listdir(FOLDER) if name.isdecimal()]) < count:
        time.sleep(0.01)
"""


def start(folder: Path, code: str, method: str) -> subprocess.Popen[bytes]:
    """Run a program in a session of its own."""
    (folder / "program.py").write_text(HEAD + code)
    (folder / "pids").mkdir()
    with (folder / "output").open("w") as output, (folder / "errors").open("w") as errors:
        return subprocess.Popen(
            [
                sys.executable,
                "-W",
                "ignore::DeprecationWarning",
                folder / "program.py",
                method,
                folder / "pids",
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )


def pids(folder: Path) -> list[int]:
    """The processes that have begun their calls."""
    return [int(path.name) for path in (folder / "pids").iterdir() if path.name.isdecimal()]


def end_of(process: subprocess.Popen[bytes], folder: Path) -> Ended:
    """Wait until the program has ended, and all its children."""
    try:
        status = process.wait(2 * TIMEOUT_SECONDS)
        for pid in pids(folder):
            spin_until(lambda pid=pid: has_ended(pid))  # type: ignore[misc]
    except BaseException:
        print((folder / "output").read_text(), (folder / "errors").read_text())
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return Ended(status, (folder / "output").read_text(), (folder / "errors").read_text())


def run(folder: Path, code: str, method: str) -> Ended:
    """Run a program to its end, and that of its children."""
    return end_of(start(folder, code, method), folder)


#: How programs end while their children are busy for ever: what they do, and their exit status.
ENDS = {
    "SIGKILL": ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    "SIGABRT": ("os.abort()", -signal.SIGABRT),
    "os._exit": ("os._exit(6)", 6),
    "a fork lives on": (
        "if os.fork() == 0: time.sleep(600)\n    os.kill(os.getpid(), signal.SIGKILL)",
        -signal.SIGKILL,
    ),
    "killed in shutdown": (
        "signal.setitimer(signal.ITIMER_REAL, 0.1)\n    made.shutdown()",
        -signal.SIGALRM,
    ),
    "workers are killed": ("made.kill_workers()\n    sys.exit(3)", 3),
}


class TestParent:
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("way", ENDS)
    def test_no_child_outlives_it(self, method: str, way: str, tmp_path: Path) -> None:
        code, status = ENDS[way]
        program = f"if __name__ == '__main__':\n    made, _ = busy(calls.loop, calls.power)\n    {code}\n"
        ended = run(tmp_path, program, method)
        assert (ended.status, ended.output, ended.errors) == (status, "", "")
        assert len(pids(tmp_path)) == 2

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("ends", ["pass", "raise LookupError('the end')"])
    def test_an_exit_waits_for_calls(self, method: str, ends: str, tmp_path: Path) -> None:
        program = (
            f"if __name__ == '__main__':\n    made, futures = busy(calls.short, calls.short)\n    {ends}\n"
        )
        ended = run(tmp_path, program, method)
        assert ended.output == ""
        if ends == "pass":
            assert (ended.status, ended.errors) == (0, "")
        else:
            assert ended.status == 1
            assert ended.errors.count("Traceback") == 1
            assert ended.errors.endswith("LookupError: the end\n")

    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("way", ["with", "plain"])
    def test_ctrl_c_is_for_the_program(self, method: str, way: str, tmp_path: Path) -> None:
        body = "futures[0].result()"
        body = f"with made: {body}" if way == "with" else body
        program = (
            "if __name__ == '__main__':\n    made, futures = busy(calls.short, calls.short)\n"
            f"    futures.insert(0, made.submit(time.sleep, 1))\n    print('ready', flush=True)\n    {body}\n"
        )
        process = start(tmp_path, program, method)
        spin_until((tmp_path / "output").read_text)
        os.killpg(process.pid, signal.SIGINT)
        ended = end_of(process, tmp_path)
        assert ended.status == -signal.SIGINT
        assert ended.errors.count("Traceback") == 1
        assert ended.errors.endswith("KeyboardInterrupt\n")

    @pytest.mark.parametrize("method", METHODS)
    def test_ctrl_c_again_and_again_ends_it(self, method: str, tmp_path: Path) -> None:
        program = (
            "if __name__ == '__main__':\n    made, futures = busy(calls.loop, calls.power)\n"
            "    print('ready', flush=True)\n    with made: futures[0].result()\n"
        )
        process = start(tmp_path, program, method)
        spin_until((tmp_path / "output").read_text)
        for _ in range(100):
            os.killpg(process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.3)
                break
        ended = end_of(process, tmp_path)
        assert ended.status != 0
        assert ended.errors.count("Traceback") == ended.errors.count("KeyboardInterrupt")

    @pytest.mark.parametrize("method", METHODS)
    def test_pools_in_children_end_as_well(self, method: str, tmp_path: Path) -> None:
        program = (
            "if __name__ == '__main__':\n    made = pool()\n    made.submit(calls.nest, FOLDER, METHOD)\n"
            "    until_begun(2)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        ended = run(tmp_path, program, method)
        assert (ended.status, ended.output, ended.errors) == (-signal.SIGKILL, "", "")
        assert len(pids(tmp_path)) == 2

    @forks
    def test_a_fork_has_children_of_its_own(self, pool: ProcessPoolExecutor) -> None:
        pid = pool.submit(calls.pid).result()

        def check() -> None:
            other = pool.submit(calls.pid).result()
            assert other != pid
            pool.shutdown()
            assert has_ended(other)

        in_child(check)
        assert pool.submit(calls.pid).result() == pid
