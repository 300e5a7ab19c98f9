"""A sandbox that forbids the system call by which threads sleep: an import fails, later waits are slower."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from oxthreads._oxthreads import PARKER
from tests.support import sandbox
from tests.support.waiting import TIMEOUT_SECONDS

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.one_thread("starts child interpreters"),
    pytest.mark.skipif(PARKER != "futex", reason="this parker uses no system call of its own"),
]


@pytest.fixture(autouse=True, scope="module")
def _possible() -> None:
    if not sandbox.is_possible():
        pytest.skip("no filter of system calls is allowed here")


def run(source: str) -> subprocess.CompletedProcess[str]:
    """Run the program; again, where the C library itself could not live in the sandbox."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("OXTHREADS")}
    for _ in range(20):
        done = subprocess.run(
            [sys.executable, "-c", source],
            cwd=ROOT,
            env=variables,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        # A condition variable of glibc, of which the GIL is made, sleeps in the forbidden way when threads
        # meet in it at one moment. The process is then aborted.
        if not (done.returncode == -signal.SIGABRT and "The futex facility returned" in done.stderr):
            return done
    pytest.skip("the C library aborts each run")


@pytest.mark.parametrize("module", ["threading", "queue", "concurrent.futures"])
def test_the_import_says_why_it_fails(module: str) -> None:
    done = run(
        "from tests.support import sandbox; sandbox.forbid_sleep()\n"
        f"try: import oxthreads.{module}\n"
        "except ImportError as error: print(error)"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("oxthreads cannot be used here: the kernel refuses the system call futex")
    assert "Function not implemented" in done.stdout


def test_a_program_runs_on_the_standard_library() -> None:
    program = "import threading; print(threading.Lock.__module__)"
    done = run(
        "import os, sys; from tests.support import sandbox; sandbox.forbid_sleep()\n"
        f"os.execv(sys.executable, [sys.executable, '-m', 'oxthreads', '-c', {program!r}])"
    )
    assert (done.returncode, done.stdout) == (0, "_thread\n")
    [line] = done.stderr.splitlines()
    assert line.startswith(
        "oxthreads: the standard threading stays (ImportError: oxthreads cannot be used here"
    )


LATER = """
import signal
from oxthreads.threading import Event, Lock, Thread
from oxthreads.queue import Empty, Queue
from tests.support import sandbox


sandbox.forbid_sleep()
"""


def test_waits_end_if_the_process_enters_the_sandbox_later() -> None:
    done = run(
        LATER + "print(Event().wait(0.01))\n"
        "lock = Lock(); lock.acquire(); print(lock.acquire(timeout=0.2))\n"
        "try: Queue().get(timeout=0.01)\n"
        "except Empty: print('empty')\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\nFalse\nempty\n", "")


def test_threads_wake_each_other_in_the_sandbox() -> None:
    done = run(
        LATER + "there, back = Queue(1), Queue(1)\n"
        "def answer():\n"
        "    for number in iter(there.get, None): back.put(number + 1)\n"
        "thread = Thread(target=answer); thread.start()\n"
        "total = 0\n"
        "for number in range(50):\n"
        "    there.put(number); total += back.get()\n"
        "there.put(None); thread.join(); print(total)\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{sum(range(51))}\n", "")


def test_a_signal_is_noticed_in_the_sandbox() -> None:
    done = run(
        LATER + "event = Event()\n"
        "signal.signal(signal.SIGALRM, lambda *_: event.set())\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.05)\n"
        "print(event.wait())\n"
        "def stop(*_): raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGALRM, stop)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.05)\n"
        "try: Lock().acquire() and Event().wait()\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\ninterrupted\n", "")
