"""Runs a script once: starts it, measures it, captures its output, and ends it if it takes too long."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import IO

from .output import Output, OutputStore

LAUNCHER = Path(__file__).with_name("launch.py")

# ru_maxrss is in bytes on macOS, in KiB elsewhere.
PEAK_MEMORY_UNIT = 1 if sys.platform == "darwin" else 1024

# Seconds to wait for a killed process to end.
KILL_GRACE = 30.0


class RunError(Exception):
    """A run could not be made, for a reason that has nothing to do with the script."""


class Purpose(Enum):
    """Why a run was made."""

    WARM_UP = "warm-up"
    """Not counted. It compiles modules and fills caches, which only the first run has to do."""
    MEASURED = "measured"
    REPEATED = "repeated"
    """Shows only whether the results vary on the standard library alone."""


@dataclass(frozen=True)
class BackEnd:
    """One side of the comparison, and how a script is started on it."""

    name: str
    command: tuple[str, ...]
    """The first part of the command line; the command line of the script follows."""
    environment: Mapping[str, str | None] = field(default_factory=dict)
    """Environment variables to set. A variable with the value None is removed."""

    def full_environment(self) -> dict[str, str]:
        """Return the environment of this process, with the changes of this back end."""
        changed = {**os.environ, **self.environment}
        return {name: value for name, value in changed.items() if value is not None}


@dataclass(frozen=True)
class Usage:
    """What the kernel has measured for a script, including the children for which it has waited.

    A value is None if the platform does not provide it.
    """

    wall_seconds: float
    exit_code: int
    """If a signal ended the script, the negative number of the signal, as in :mod:`subprocess`."""
    user_seconds: float | None = None
    system_seconds: float | None = None
    peak_memory_bytes: int | None = None
    voluntary_context_switches: int | None = None


@dataclass(frozen=True)
class Run:
    """One run of a script on one back end."""

    back_end: str
    purpose: Purpose
    usage: Usage
    timed_out: bool
    stdout: Output
    stderr: Output

    @property
    def cpu_seconds(self) -> float | None:
        """User time and system time together, in seconds. None if the platform does not provide them."""
        if self.usage.user_seconds is None or self.usage.system_seconds is None:
            return None
        return self.usage.user_seconds + self.usage.system_seconds


def run_once(
    back_end: BackEnd,
    arguments: list[str],
    store: OutputStore,
    *,
    purpose: Purpose = Purpose.MEASURED,
    timeout: float | None = None,
) -> Run:
    """Run a script once, until it ends or for ``timeout`` seconds.

    When this function returns or raises, the script and the processes of its process group have been ended.

    Args:
        back_end: the library on which to run the script.
        arguments: the command line of the script.
        store: where to store the output.
        purpose: why the run is made; it is only recorded.
        timeout: the longest time of the run, in seconds. None: no limit.

    Returns:
        The measurements and the output of the run.

    Raises:
        RunError: if the script could not be started or measured.
    """
    command = [*back_end.command, *arguments]
    execute = run_by_launcher if hasattr(os, "wait4") else run_directly
    with store.open() as stdout, store.open() as stderr:
        try:
            usage, timed_out = execute(command, back_end.full_environment(), stdout, stderr, timeout)
        except OSError as error:
            raise RunError(f"cannot run {command[0]}: {error}") from error
    return Run(
        back_end.name,
        purpose,
        usage,
        timed_out,
        stdout=store.keep(stdout),
        stderr=store.keep(stderr, with_notes=True),
    )


def run_by_launcher(
    command: list[str],
    environment: dict[str, str],
    stdout: IO[bytes],
    stderr: IO[bytes],
    timeout: float | None,
) -> tuple[Usage, bool]:
    """Run a command with the launcher (:mod:`.launch`).

    Args:
        command: the path of the program, and its arguments.
        environment: the environment variables of the command.
        stdout: the file for its standard output.
        stderr: the file for its standard error.
        timeout: the longest time of the run, in seconds. None: no limit.

    Returns:
        The measurements, and whether the run was killed because of the timeout.

    Raises:
        RunError: if the launcher was killed, or if the run does not end when it is killed.
        OSError: if the launcher cannot be started.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        launcher = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LAUNCHER), *command],
            stdin=theirs.fileno(),
            stdout=stdout,
            stderr=stderr,
            env=environment,
            # A new session has no terminal: Ctrl-C reaches only this process, and the system does not
            # stop a script that reads from the terminal.
            start_new_session=True,
        )
        theirs.close()
        try:
            report, timed_out = receive_report(ours, timeout)
        finally:
            # When this end is closed, the launcher kills the script, and then ends.
            ours.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                launcher.wait(KILL_GRACE)
    return parse_report(report), timed_out


def receive_report(launcher: socket.socket, timeout: float | None) -> tuple[bytes, bool]:
    """Wait for the line that the launcher writes. After ``timeout`` seconds, let it kill the script.

    Args:
        launcher: the socket to the launcher.
        timeout: seconds to wait. None: no limit.

    Returns:
        The line, and whether the script was killed because of the timeout.

    Raises:
        RunError: if the script does not end when it is killed.
    """
    timed_out = False
    launcher.settimeout(timeout)
    try:
        report = launcher.recv(1024)
    except TimeoutError:
        timed_out = True
        launcher.shutdown(socket.SHUT_WR)
        launcher.settimeout(KILL_GRACE)
        try:
            report = launcher.recv(1024)
        except TimeoutError:
            raise RunError("a run did not end when it was killed") from None
    return report, timed_out


def parse_report(report: bytes) -> Usage:
    """Return the measurements in the line of the launcher.

    Args:
        report: the line; empty or incomplete if the launcher was killed.

    Raises:
        RunError: if the launcher was killed.
    """
    if not report.endswith(b"\n"):
        raise RunError("the process that starts and measures a run was killed")
    status, wall, user, system, peak, switches = report.split()
    return Usage(
        wall_seconds=float(wall),
        exit_code=os.waitstatus_to_exitcode(int(status)),
        user_seconds=float(user),
        system_seconds=float(system),
        peak_memory_bytes=int(peak) * PEAK_MEMORY_UNIT,
        voluntary_context_switches=int(switches),
    )


def run_directly(
    command: list[str],
    environment: dict[str, str],
    stdout: IO[bytes],
    stderr: IO[bytes],
    timeout: float | None,
) -> tuple[Usage, bool]:
    """Run a command on a platform without ``wait4`` (Windows). It measures only wall time and exit code.

    Args:
        command: the path of the program, and its arguments.
        environment: the environment variables of the command.
        stdout: the file for its standard output.
        stderr: the file for its standard error.
        timeout: the longest time of the run, in seconds. None: no limit.

    Returns:
        The measurements, and whether the run was killed because of the timeout.

    Raises:
        OSError: if the command cannot be started.
    """
    started = time.perf_counter()
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env=environment,
        # On Windows: Ctrl-C then reaches only this process.
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    ) as process:
        timed_out = False
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            wall = time.perf_counter() - started
            process.kill()
        return Usage(wall, process.wait()), timed_out
