"""Whole programs, which run on the standard library and on oxthreads in turn. They are in ``programs``."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oxthreads.comparison.measurement import Purpose, Run, RunError
from oxthreads.comparison.output import OutputStore
from oxthreads.comparison.rounds import Comparison, Verdict, compare_back_ends

from .children import PLAIN, RUNNER, TIMEOUT
from .scenario import (
    OXTHREADS,
    STANDARD,
    BenchmarkError,
    Goal,
    Kind,
    NotInstalledError,
    Outcome,
    Pair,
    Samples,
    Scenario,
    Settings,
    Unit,
    ratio,
    times,
)

FOLDER = Path(__file__).parent
DRIVER = FOLDER / "timed_program.py"

#: What the names of all scenarios of programs begin with.
PREFIX = "program-"

CPU = Pair("CPU: standard", "CPU: oxthreads", "CPU ratio")

PROGRAMS = Kind(
    "programs",
    "Whole programs: wall time, and CPU time of all threads. Ratio: standard / oxthreads.",
    Unit.SECONDS,
    ratio,
    "ratio",
    times,
    also=CPU,
)

#: No program may take longer than on the standard library.
NEVER_SLOWER = Goal(1.0)


@dataclass(frozen=True)
class ProgramScenario(Scenario):
    """Runs a program on the standard library and on oxthreads, alternately, and compares what they print."""

    needs: tuple[str, ...] = ()
    """The packages without which it cannot run."""
    folder: Path = FOLDER / "programs"
    """Where the program is."""

    @property
    def kind(self) -> Kind:
        return PROGRAMS

    @property
    def file(self) -> Path:
        """The program."""
        return self.folder / f"{self.name.removeprefix(PREFIX).replace('-', '_')}.py"

    def measure(self, settings: Settings) -> Outcome:
        """Take the samples.

        Raises:
            NotInstalledError: if a package is missing.
            BenchmarkError: if the program fails, or prints something else on the other side.
        """
        missing = [package for package in self.needs if importlib.util.find_spec(package) is None]
        if missing:
            raise NotInstalledError(" and ".join(missing))
        with tempfile.TemporaryDirectory(prefix="oxthreads-bench-") as folder:
            record = Path(folder) / "times"
            try:
                comparison = compare_back_ends(
                    (PLAIN, RUNNER),
                    [str(DRIVER), str(self.file), str(settings.divisor), str(record)],
                    OutputStore(Path(folder)),
                    runs=settings.rounds,
                    timeout=TIMEOUT,
                )
            except RunError as error:
                raise BenchmarkError(str(error)) from error
            check(comparison)
            lines = record.read_text(encoding="utf-8").splitlines()
        return Outcome(samples(comparison.runs, [json.loads(line) for line in lines]))


def check(comparison: Comparison) -> None:
    """Check that all runs have succeeded, and have printed the same.

    Raises:
        BenchmarkError: if not.
    """
    for run in comparison.runs:
        if run.timed_out:
            raise BenchmarkError(f"{run.back_end}: did not end within {TIMEOUT:g} s")
        if run.usage.exit_code:
            raise BenchmarkError(f"{run.back_end}: {run.stderr.last_line or run.usage.exit_code}")
    for stream, difference in comparison.differences.items():
        raise BenchmarkError(f"{stream} differs: {'; '.join(difference.lines)}")
    if comparison.verdicts["stdout"] is not Verdict.SAME:
        raise BenchmarkError(f"stdout {comparison.verdicts['stdout'].value} on the standard library alone")


def samples(runs: Sequence[Run], times: Sequence[dict[str, Any]]) -> Samples:
    """Return the times of the counted runs.

    Args:
        runs: all runs, in the order in which they were made.
        times: what each of them has appended to the file.

    Raises:
        BenchmarkError: if a run has not used the library that it should have.
    """
    found: Samples = {STANDARD: [], OXTHREADS: [], CPU.standard: [], CPU.oxthreads: []}
    for run, taken in zip(runs, times, strict=True):
        if taken["library"] != run.back_end:
            raise BenchmarkError(f"{run.back_end}: the program has run on {taken['library']}")
        if run.purpose is Purpose.MEASURED:
            found[run.back_end].append(taken["wall_seconds"])
            cpu = CPU.oxthreads if run.back_end == OXTHREADS else CPU.standard
            # If the clock did not advance in a very short run, count a nanosecond.
            found[cpu].append(max(taken["cpu_seconds"], 1e-9))
    return found


def _program(
    name: str,
    title: str,
    explanation: str,
    threads: int,
    *,
    needs: tuple[str, ...] = (),
    goal: Goal | None = NEVER_SLOWER,
) -> ProgramScenario:
    return ProgramScenario(PREFIX + name, title, explanation, 1, threads, goal, needs)


SCENARIOS = (
    _program("worker-pool", "worker pool with a queue", "Four threads take jobs from a queue.", 5),
    _program(
        "limited-downloads", "downloads limited by a semaphore",
        "Sixteen threads download files, four at a time.", 16,
    ),
    _program("pipeline", "pipeline of queues", "Four stages with queues for 100 items between them.", 4),
    _program("queue-logging", "logging through a queue", "QueueHandler in four threads, a QueueListener.", 5),
    _program("to-thread", "asyncio.to_thread", "A hundred queries of sqlite3 at the same time.", 7),
    _program("crawl-as-completed", "crawl by as_completed", "Level by level; the site is in memory.", 9),
    _program("pool-for-each-request", "a pool made for each request", "Eight workers, eight calls.", 9),
    _program("thread-for-each-task", "a thread for each task", "Ten at a time, started and joined.", 11),
    _program("thread-pool", "multiprocessing.pool.ThreadPool", "`map`, `imap` and `imap_unordered`.", 8),
    _program(
        "dask-graph", "dask, threaded", "A tree of sums with `scheduler='threads'`.", 5, needs=("dask",)
    ),
    _program("joblib-loops", "joblib, threads", "A large loop, and many small ones.", 8, needs=("joblib",)),
    _program("crawler", "crawler", "A queue, a set under a lock; the site is another process.", 8),
    _program("thumbnails", "thumbnails", "A pool shrinks and compresses pictures; zlib releases the GIL.", 5),
    _program("log-shipper", "log shipper", "Batches of 100 lines, or of 20 ms, to another process.", 6),
    _program("chat-server", "chat server", "Two threads and a queue for each of eight clients.", 25),
    _program(
        "rate-limit", "client with a rate limit",
        "Tokens under a Condition, filled by a Timer. It takes as long as the limit says.", 17, goal=None,
    ),
    _program("cache", "cache with locks", "A lock for the cache, and one for each key.", 8),
    _program("http-server", "http.server", "A thread for each request; the visitors are another process.", 6),
    _program(
        "web-application", "Flask under gunicorn's threads",
        "The visitors are another process; the CPU time is also theirs.", 10, needs=("flask", "gunicorn"),
    ),
)  # fmt: skip
