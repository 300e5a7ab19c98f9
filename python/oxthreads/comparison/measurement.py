"""One run of a script: started, measured, ended, its output captured."""

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

# What a killed process may take to go away, in seconds, before it is given up.
KILL_GRACE = 30.0


class RunError(Exception):
    """A run could not be made, for a reason that lies outside the script."""


class Purpose(Enum):
    """Why a run was made."""

    WARM_UP = "warm-up"
    """Writes what the first run leaves behind (compiled modules, caches); not counted."""
    MEASURED = "measured"
    REPEATED = "repeated"
    """Only shows whether the standard library's results vary by themselves."""


@dataclass(frozen=True)
class BackEnd:
    """One side of the comparison: how a script is started on it."""

    name: str
    command: tuple[str, ...]
    """What the script's own command line is appended to."""
    environment: Mapping[str, str | None] = field(default_factory=dict)
    """Environment variables to set, or with None to unset."""

    def full_environment(self) -> dict[str, str]:
        """The environment of this process with this back end's changes."""
        changed = {**os.environ, **self.environment}
        return {name: value for name, value in changed.items() if value is not None}


@dataclass(frozen=True)
class Usage:
    """What the kernel has counted for a script and for its children that it has waited for."""

    wall_seconds: float
    exit_code: int
    """Negative for a signal, as in :mod:`subprocess`."""
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
        """User and system time together, in seconds; None where the platform does not tell."""
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
    """Run a script once, from start to end or for ``timeout`` seconds.

    Whatever ends this call, an exception included, also ends the script and the processes of its
    process group. Raises RunError if the script could not be started or measured.
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
    """Run a command under the bare launcher; return its usage, and whether it was timed out."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        launcher = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LAUNCHER), *command],
            stdin=theirs.fileno(),
            stdout=stdout,
            stderr=stderr,
            env=environment,
            # No terminal: Ctrl-C reaches this process alone, and no script is stopped for reading.
            start_new_session=True,
        )
        theirs.close()
        try:
            report, timed_out = receive_report(ours, timeout)
        finally:
            # The launcher kills the script when this end closes, and ends after it.
            ours.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                launcher.wait(KILL_GRACE)
    return parse_report(report), timed_out


def receive_report(launcher: socket.socket, timeout: float | None) -> tuple[bytes, bool]:
    """Wait for the launcher's one line; after ``timeout`` seconds have it kill the script first."""
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
    """Read the launcher's line. Raises RunError if there is none, because the launcher was killed."""
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
    """Run a command where the platform has no wait4 (Windows): wall time and exit code only."""
    started = time.perf_counter()
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env=environment,
        # On Windows: Ctrl-C reaches this process alone.
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
