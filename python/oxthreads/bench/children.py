"""Programs that run in a process of their own, measured from outside."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oxthreads.comparison.measurement import BackEnd, Run, RunError, run_once
from oxthreads.comparison.output import OutputStore

from .scenario import OXTHREADS, STANDARD, BenchmarkError

#: How a child is started. -P: what lies in the present folder is not to be imported.
PLAIN = BackEnd(STANDARD, (sys.executable, "-P"), {"OXTHREADS": "0"})
OURS = BackEnd(OXTHREADS, PLAIN.command, PLAIN.environment)
RUNNER = BackEnd(OXTHREADS, (*PLAIN.command, "-m", "oxthreads"), {"OXTHREADS": None})

#: A child that takes longer than so many seconds is killed, and the scenario has failed.
TIMEOUT = 300.0


class Children:
    """Runs programs in a scratch folder that holds what they write."""

    def __init__(self, folder: Path) -> None:
        self._store = OutputStore(folder)

    def run(self, back_end: BackEnd, arguments: list[str]) -> Run:
        """One run, to its end. Raises BenchmarkError if it fails."""
        try:
            run = run_once(back_end, arguments, self._store, timeout=TIMEOUT)
        except RunError as error:
            raise BenchmarkError(str(error)) from error
        if run.timed_out:
            raise BenchmarkError(f"{back_end.name}: not at its end after {TIMEOUT:g} s")
        if run.usage.exit_code:
            raise BenchmarkError(f"{back_end.name}: {run.stderr.last_line or run.usage.exit_code}")
        return run


def peak_memory(run: Run) -> float:
    """Of the process, in bytes. Raises BenchmarkError where the system does not tell."""
    if run.usage.peak_memory_bytes is None:
        raise BenchmarkError("this system does not tell the peak memory of a process")
    return float(run.usage.peak_memory_bytes)


@contextmanager
def children() -> Iterator[Children]:
    """Children, and a scratch folder for as long as they are needed."""
    with tempfile.TemporaryDirectory(prefix="oxthreads-bench-") as folder:
        yield Children(Path(folder))
