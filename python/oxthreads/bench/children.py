"""Runs programs in child processes, and measures them from outside."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oxthreads.comparison.measurement import BackEnd, Run, RunError, run_once
from oxthreads.comparison.output import OutputStore

from .scenario import OXTHREADS, STANDARD, BenchmarkError

#: How a child is started. -P: do not import modules from the working directory.
PLAIN = BackEnd(STANDARD, (sys.executable, "-P"), {"OXTHREADS": "0"})
OURS = BackEnd(OXTHREADS, PLAIN.command, PLAIN.environment)
RUNNER = BackEnd(OXTHREADS, (*PLAIN.command, "-m", "oxthreads"), {"OXTHREADS": None})

#: Seconds after which a child is killed; the scenario has then failed.
TIMEOUT = 300.0


class Children:
    """Runs programs in child processes.

    Args:
        folder: the directory in which the output of the programs is stored.
    """

    def __init__(self, folder: Path) -> None:
        self._store = OutputStore(folder)

    def run(self, back_end: BackEnd, arguments: list[str]) -> Run:
        """Run a program until it ends.

        Args:
            back_end: how to start the program.
            arguments: the command line of the program.

        Returns:
            The measurements and the output.

        Raises:
            BenchmarkError: if the program cannot be started, fails, or takes longer than `TIMEOUT`.
        """
        try:
            run = run_once(back_end, arguments, self._store, timeout=TIMEOUT)
        except RunError as error:
            raise BenchmarkError(str(error)) from error
        if run.timed_out:
            raise BenchmarkError(f"{back_end.name}: did not end within {TIMEOUT:g} s")
        if run.usage.exit_code:
            raise BenchmarkError(f"{back_end.name}: {run.stderr.last_line or run.usage.exit_code}")
        return run


def peak_memory(run: Run) -> float:
    """Return the peak memory of the process, in bytes.

    Raises:
        BenchmarkError: if the system does not provide this number.
    """
    if run.usage.peak_memory_bytes is None:
        raise BenchmarkError("this system does not provide the peak memory of a process")
    return float(run.usage.peak_memory_bytes)


@contextmanager
def children() -> Iterator[Children]:
    """Context manager: a `Children` with a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="oxthreads-bench-") as folder:
        yield Children(Path(folder))
