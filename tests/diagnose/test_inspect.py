"""What ``oxthreads inspect`` says of a process, and of processes that it cannot inspect."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastjsonschema  # type: ignore[import-untyped]
import pytest

from oxthreads import _oxthreads, diagnose
from oxthreads.diagnose import _inspection
from tests.diagnose.catalogue import HAS_GIL
from tests.diagnose.running import Run, path
from tests.support.waiting import TIMEOUT_SECONDS

pytestmark = [
    pytest.mark.one_thread("starts child interpreters"),
    pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no Unix sockets"),
]

SCHEMA = Path(__file__).resolve().parents[2] / "docs/inspection.schema.json"
COMMAND = ["-c", "import sys; from oxthreads.cli import main; sys.exit(main())", "inspect"]


@pytest.fixture(autouse=True)
def sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory where the processes of this test have their sockets."""
    # A path of a socket has about a hundred characters at most.
    directory = tmp_path if len(str(tmp_path)) < 60 else Path(os.path.relpath(tmp_path))
    monkeypatch.setenv("TMPDIR", str(directory))
    return directory / f"oxthreads-{os.getuid()}"


def inspect(process: object, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *COMMAND, str(process), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)


def inspected_until(run: Run, is_so: Callable[[str], bool], *options: str) -> str:
    """What the process tells of itself, once that is as it should be."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while True:
        inspected = inspect(run.process.pid, *options)
        if inspected.stdout and is_so(inspected.stdout):
            break
        assert time.monotonic() < end, f"{inspected}\n{run}"
    assert (inspected.returncode, inspected.stderr) == (0, "")
    return inspected.stdout


def described(run: Run, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The same as data."""
    data: dict[str, Any] = json.loads(
        inspected_until(run, lambda text: is_so({"threads": [], **json.loads(text)}), "--json")
    )
    fastjsonschema.compile(json.loads(SCHEMA.read_text()))(data)
    assert data["process"] == run.process.pid
    return data


def waiting(data: dict[str, Any], part: str) -> set[str]:
    """The names of the threads of whose waits this part is known."""
    return {thread["name"] for thread in data["threads"] if thread["wait"] and thread["wait"].get(part)}


def are_deadlocked(data: dict[str, Any]) -> bool:
    """Whether all that `abba` comes to is known."""
    return waiting(data, "taken_at") == {"payer", "refunder"} and "MainThread" in waiting(data, "for")


def test_a_deadlocked_process_is_shown(sockets: Path) -> None:
    with Run("-m", "oxthreads", "--watch", path("abba")) as run:
        data = described(run, are_deadlocked)
        assert data["interpreter"]
        threads = {thread["name"]: thread for thread in data["threads"]}
        assert set(threads) == {"MainThread", "payer", "refunder"}
        assert threads["payer"]["wait"]["owner"]["name"] == "refunder"
        assert threads["payer"]["wait"]["object"] == "Lock checking.lock"
        assert threads["payer"]["wait"]["taken_at"]["function"] == "refund"
        assert threads["MainThread"]["wait"]["for"] == "join"
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        # If it takes long to ask Python, the answer comes without it, and has less.
        shown = inspected_until(run, lambda text: "which refunder took at" in text)
        assert "payer has waited" in shown
        assert "\x1b" not in shown  # it is no terminal


@pytest.mark.skipif(not HAS_GIL, reason="nothing can keep the GIL")
def test_a_process_is_shown_while_native_code_keeps_the_gil() -> None:
    with Run("-m", "oxthreads", "--watch", path("native_code_keeps_the_gil")) as run:
        # On a busy machine, it may take long to ask Python although nothing keeps the GIL.
        data = described(run, lambda data: not data["interpreter"] and waiting(data, "for") == {"poller"})
        (poller,) = [thread for thread in data["threads"] if thread["wait"]]
        assert poller["name"] == "poller"
        assert poller["wait"]["for"] == "Lock"
        assert poller["stack"][0]["function"] == "poll"
        shown = inspected_until(run, lambda text: "does not run Python code at the moment" in text)
        assert "with device_lock:" in shown


def test_the_socket_goes_with_the_process(sockets: Path) -> None:
    program = f"import os; print(os.listdir({str(sockets)!r}) == [str(os.getpid())])"
    with Run("-m", "oxthreads", "--watch", "-c", program) as run:
        assert (run.ends(), run.output) == (0, "True\n")
    assert [*sockets.iterdir()] == []


def test_a_watch_that_begins_asks_no_other_process() -> None:
    program = """
import os, subprocess, sys, time
from oxthreads import diagnose, threading
from oxthreads.diagnose import _inspection
_inspection.description = lambda: os.write(1, b"asked") and {}
diagnose.watch()
threading.Thread(target=threading.Event().wait, daemon=True).start()
other = "from oxthreads import diagnose; diagnose.watch()"
subprocess.run([sys.executable, "-c", other], check=True)
time.sleep(0.5)
print("done")
"""
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True)
    assert (ended.stdout, ended.stderr) == ("done\n", "")


def test_sockets_of_killed_processes_are_removed(sockets: Path) -> None:
    with Run("-m", "oxthreads", "--watch", path("abba")) as run:
        described(run, are_deadlocked)
    assert [each.name for each in sockets.iterdir()] == [str(run.process.pid)]
    with Run("-m", "oxthreads", "--watch", "-c", "pass") as run:
        assert run.ends() == 0
    assert [*sockets.iterdir()] == []


@pytest.mark.parametrize("process", ["some", "-1", "0", "1.5", ""])
def test_what_is_no_number_of_a_process_is_refused(process: str) -> None:
    refused = inspect("--", process) if process.startswith("-") else inspect(process)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert "oxthreads inspect" in refused.stderr


@pytest.mark.parametrize("process", [2**22 + 1, 2**70])
def test_a_process_that_does_not_exist(process: int) -> None:
    missing = inspect(process)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == f"oxthreads inspect: there is no process {process}\n"


@pytest.mark.skipif(hasattr(sys, "remote_exec"), reason="it can be asked from Python 3.14 on")
def test_a_process_that_is_not_watched() -> None:
    with Run("-c", "import time; time.sleep(100)") as run:
        refused = inspect(run.process.pid)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "is not watched; start it by `python -m oxthreads --watch`" in refused.stderr


@pytest.mark.skipif(not hasattr(sys, "remote_exec"), reason="new in Python 3.14")
def test_a_process_that_is_not_watched_is_asked_by_the_interpreter() -> None:
    program = "import threading; print('up', flush=True); threading.Event().wait()"
    with Run("-m", "oxthreads", "-c", program) as run:
        assert run.wait_until(lambda: [] if "up" in run.output else ["up"]) == []
        asked = inspect(run.process.pid)
    if "may not look into it" in asked.stderr:
        pytest.skip("processes may not be traced here")
    assert (asked.returncode, asked.stderr) == (0, "")
    assert "MainThread" in asked.stdout


def listening(sockets: Path, process: int) -> socket.socket:
    """A socket in the place where the process has its own."""
    sockets.mkdir(mode=0o700, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(sockets / str(process)))
    return listener


def test_a_socket_that_nobody_listens_to(sockets: Path) -> None:
    listening(sockets, os.getpid()).close()
    refused = inspect(os.getpid())
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"oxthreads inspect: process {os.getpid()} is not watched any more\n"


def test_a_process_that_ends_before_it_answers(sockets: Path) -> None:
    with listening(sockets, os.getpid()) as listener:
        listener.listen()
        with subprocess.Popen(
            [sys.executable, *COMMAND, str(os.getpid())], stderr=subprocess.PIPE, text=True
        ) as child:
            listener.accept()[0].close()
            assert child.stderr
            said = child.stderr.read()
    assert child.returncode == 1
    assert said == f"oxthreads inspect: process {os.getpid()} has ended meanwhile\n"


@pytest.mark.parametrize("kind", ["open to others", "a link"])
def test_a_directory_that_is_not_safe_is_not_used(sockets: Path, tmp_path: Path, kind: str) -> None:
    if kind == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        sockets.symlink_to("elsewhere")
    else:
        sockets.mkdir()
        sockets.chmod(0o755)
    program = f"import os; print(os.listdir({str(sockets)!r}))"
    with Run("-m", "oxthreads", "--watch", "-c", program) as run:
        assert (run.ends(), run.output, run.errors) == (0, "[]\n", "")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be another user")
def test_a_process_of_another_user() -> None:
    program = (
        "import os, sys; from oxthreads.diagnose import _inspection\n"
        "os.setuid(65534); sys.exit(_inspection.run(str(os.getppid()), as_json=False))"
    )
    refused = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"oxthreads inspect: process {os.getpid()} belongs to another user\n"


@pytest.mark.parametrize(("looks", "tries"), [(0, 1), (2, 3), (1000, 20)])
def test_threads_that_look_for_signals_are_given_time_to_fall_asleep_again(
    monkeypatch: pytest.MonkeyPatch, looks: int, tries: int
) -> None:
    diagnose.report()
    left = [True] * looks
    asked: list[int] = []

    def looking_for_signals() -> int:
        asked.append(len(left))
        return bool(left) and left.pop()

    monkeypatch.setattr(_oxthreads, "looking_for_signals", looking_for_signals)
    monkeypatch.setattr(_oxthreads, "asleep", list)
    assert "MainThread" in {thread["name"] for thread in _inspection.description()["threads"]}
    assert len(asked) == tries
