"""Runs a program in a process of its own, and reads what it says while it runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

FOLDER = Path(__file__).parent / "programs"

#: Seconds for what should have come long before.
LIMIT = 60.0


def path(program: str) -> str:
    """The file of a program of the catalogue."""
    return str(FOLDER / f"{program}.py")


class _Output:
    """What a process has written to one of its pipes so far."""

    def __init__(self, pipe: IO[str], changed: threading.Condition) -> None:
        self.text = ""
        self.is_whole = False
        self._pipe, self._changed = pipe, changed
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for line in self._pipe:
            with self._changed:
                self.text += line
                self._changed.notify_all()
        with self._changed:
            self.is_whole = True
            self._changed.notify_all()


class Run:
    """A running program, with its children the only processes of a session; they are killed at the end."""

    def __init__(self, *command: str) -> None:
        """Start a Python interpreter with these arguments."""
        # Not after it has been started: this process may not go on for a while then.
        self._started = time.monotonic()
        foreign = ("OXTHREADS", "PYTHON_COLORS", "FORCE_COLOR")
        # Before it begins: this process may have to wait for a processor afterwards.
        self._started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={name: value for name, value in os.environ.items() if not name.startswith(foreign)},
            start_new_session=True,
        )
        self._changed = threading.Condition()
        assert self.process.stdout
        assert self.process.stderr
        self._output = _Output(self.process.stdout, self._changed)
        self._errors = _Output(self.process.stderr, self._changed)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        # It is a zombie at least until it is waited for: nobody else has its number.
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(LIMIT)
        # The pipes end when nobody has them any more: no child is left.
        for each in (self._output, self._errors):
            each.reader.join(LIMIT)
            assert not each.reader.is_alive(), "a child of the program is left"
        assert self.process.stdout
        assert self.process.stderr
        self.process.stdout.close()
        self.process.stderr.close()

    @property
    def output(self) -> str:
        """What it has written to standard output so far."""
        return self._output.text

    @property
    def errors(self) -> str:
        """What it has written to standard error so far."""
        return self._errors.text

    @property
    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None

    @property
    def seconds(self) -> float:
        """How long ago it was started."""
        return time.monotonic() - self._started

    def wait_until(self, missing: Callable[[], Sequence[str]], limit: float = LIMIT) -> Sequence[str]:
        """Wait until nothing is missing in what it writes, or it has ended, or the time is over.

        Returns what is missing then.
        """
        end = time.monotonic() + limit
        with self._changed:
            while (
                missing()
                and not (self._errors.is_whole and self._output.is_whole)
                and (left := end - time.monotonic()) > 0
            ):
                self._changed.wait(left)
            return missing()

    def ends(self, limit: float = LIMIT) -> int:
        """The exit status, after all that it and its children write has been read."""
        end = time.monotonic() + limit
        for each in (self._output, self._errors):
            each.reader.join(max(0.0, end - time.monotonic()))
            if each.reader.is_alive():
                raise AssertionError(f"it still runs after {limit} s\n{self}")
        # It is left a zombie, for `__exit__`.
        ended = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        assert ended
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def __str__(self) -> str:
        return f"--- standard output\n{self.output}--- standard error\n{self.errors}---"


#: The beginning of the programs that `start` runs.
COMMON = '''
import concurrent.futures, contextlib, os, pathlib, signal, subprocess, sys, threading, time
from oxthreads import diagnose


def cross(first, second):
    """Let two threads take two locks in opposite order. Return the errors that end their waits."""
    both_have_one = threading.Barrier(2)
    errors = []

    def take(one, other):
        try:
            with one:
                both_have_one.wait()
                with other:
                    pass
        except diagnose.DeadlockError as error:
            errors.append(error)

    pairs = [(first, second), (second, first)]
    threads = [threading.Thread(target=take, args=pair, daemon=True) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def watchers():
    """The number of threads that watch."""
    count = 0
    for task in pathlib.Path("/proc/self/task").glob("*/comm"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            count += task.read_text().strip() == "oxthreads-watch"
    return count


def until(is_so):
    """Wait until something is so."""
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def until_asleep(thread):
    """Wait until reports show that a thread waits."""
    until(lambda: f"{thread.name} has waited" in diagnose.report())
'''


#: Programs begin with this: threads that wait, and the part of a report that tells of one of them.
WAITING = """
import queue
from concurrent.futures import ThreadPoolExecutor
diagnose.report()  # waits are recorded from the first report on

def wait_in(function, *arguments, name="waiter"):
    thread = threading.Thread(target=function, args=arguments, name=name, daemon=True)
    thread.start()
    until_asleep(thread)
    return thread

def said_of(thread):
    parts = diagnose.report().split("\\n\\n")
    return next(part for part in parts if part.startswith(f"{thread.name} "))
"""


def start(program: str, *options: str) -> Run:
    """Run a program on oxthreads, with these options of the runner."""
    return Run("-m", "oxthreads", *options, "-c", COMMON + textwrap.dedent(program))
