"""What profilers cost that can say something about waiting: `oxthreads profile` beside others.

    pip install '.[profilers]'
    python benches/profilers.py [--rounds N] [--sampling PYTHON] [--only NAME ...]

Each profiler runs each program of `benches/profiled/` that is named below. Right before or after that, in
turn, the program runs without a profiler. So both see the same load of a machine that has other things to do.
What is compared is the processor time (user and system) of all processes of a run, and the time on the clock,
start and end included. "more" is the median of the differences of the pairs, in seconds. "best" is the best
run with the profiler divided by the best one without. "median" is the median of the ratios of the pairs, and
in parentheses are the smallest and the largest ratio.

A profiler that is not installed is left out, and named at the end. PYTHON is an interpreter 3.15, whose
standard library has a profiler; its runs are compared with runs of the same interpreter.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.metadata
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent / "profiled"
PROGRAMS = ("nothing", "cache", "pipeline", "counting")
SCRIPTS = Path(sys.executable).parent

#: The number of PR_SET_CHILD_SUBREAPER.
_ADOPT_ORPHANS = 36

DDTRACE = {
    "DD_PROFILING_ENABLED": "1",
    "DD_TRACE_ENABLED": "0",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_PROFILING_OUTPUT_PPROF": "found.pprof",
}


@dataclass(frozen=True)
class Profiler:
    """A profiler, and how it runs a program."""

    name: str
    #: The package that must be installed; "": none.
    package: str
    #: The command, without the program.
    command: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)
    #: The interpreter without the profiler.
    python: str = sys.executable


def profilers(sampling: str | None) -> list[Profiler]:
    """All that are known."""

    def script(name: str) -> str:
        return str(SCRIPTS / name)

    def py_spy(*options: str) -> tuple[str, ...]:
        return (
            script("py-spy"),
            "record",
            *options,
            "--format=raw",
            "--output=found.raw",
            "--",
            sys.executable,
        )

    oxthreads, ddtrace = (sys.executable, "-m", "oxthreads"), (script("ddtrace-run"), sys.executable)
    found = [
        Profiler("oxthreads, no profile", "", oxthreads),
        Profiler("oxthreads profile", "", (script("oxthreads"), "profile", "-o", "found.json")),
        Profiler("py-spy", "py-spy", py_spy()),
        Profiler("py-spy --gil", "py-spy", py_spy("--gil")),
        Profiler("py-spy --idle", "py-spy", py_spy("--idle")),
        Profiler("py-spy --idle --nonblocking", "py-spy", py_spy("--idle", "--nonblocking")),
        Profiler("ddtrace", "ddtrace", ddtrace, DDTRACE),
        Profiler(
            "ddtrace, every lock operation",
            "ddtrace",
            ddtrace,
            {**DDTRACE, "DD_PROFILING_CAPTURE_PCT": "100"},
        ),
        Profiler("scalene", "scalene", (script("scalene"), "run", "-o", "found.json")),
        Profiler("yappi, cpu", "yappi", (script("yappi"), "-c", "cpu", "-o", "found.pstat")),
        Profiler("yappi, wall", "yappi", (script("yappi"), "-c", "wall", "-o", "found.pstat")),
        Profiler("viztracer", "viztracer", (script("viztracer"), "--quiet", "-o", "found.json")),
    ]
    if sampling is not None:
        for mode in ("wall", "gil"):
            options = ("-m", "profiling.sampling", "run", "-a", "--mode", mode, "--collapsed", "-o", "found")
            found.append(
                Profiler(f"profiling.sampling {mode} (3.15)", "", (sampling, *options), python=sampling)
            )
    return found


@dataclass
class Cost:
    """What a run took, in seconds."""

    processor: float
    clock: float


def run(command: tuple[str, ...], variables: dict[str, str]) -> Cost:
    """Run a command, and wait for all its processes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OXTHREADS")}
    with tempfile.TemporaryDirectory() as directory:
        before, begun = _children(), time.perf_counter()
        done = subprocess.run(
            command, cwd=directory, env={**kept, **variables}, capture_output=True, text=True, check=False
        )
        try:
            while True:
                os.wait()  # those that the profiler has left behind
        except ChildProcessError:
            pass
        cost = Cost(_children() - before, time.perf_counter() - begun)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}: {done.stderr[-500:]}")
    return cost


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def pairs(profiler: Profiler, program: str, rounds: int, first: int) -> list[tuple[Cost, Cost]]:
    """Run the program without and with the profiler, in turn."""
    file = str(HERE / f"{program}.py")
    found = []
    for number in range(first, first + rounds):
        runs: list[Callable[[], Cost]] = [
            lambda: run((profiler.python, file), {}),
            lambda: run((*profiler.command, file), profiler.variables),
        ]
        if number % 2:
            with_profiler, without = runs[1](), runs[0]()
        else:
            without, with_profiler = runs[0](), runs[1]()
        found.append((without, with_profiler))
    return found


def compared(found: list[tuple[Cost, Cost]], of: str) -> str:
    """Three cells of a table: how many seconds more, and the ratios."""
    without, profiled = ([getattr(cost, of) for cost in costs] for costs in zip(*found, strict=True))
    more = statistics.median(after - before for before, after in zip(without, profiled, strict=True))
    each = [after / before for before, after in zip(without, profiled, strict=True)]
    scatter = f"{statistics.median(each):.1f} ({min(each):.1f} to {max(each):.1f})"
    return f"{more:.2f} | {min(profiled) / min(without):.1f} | {scatter}"


def versions(names: set[str]) -> tuple[list[str], set[str]]:
    """The versions of what is installed, and what is not."""
    found, missing = [], set()
    for name in sorted(names):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.add(name)
    return found, missing


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sampling", metavar="PYTHON")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="parts of names of profilers")
    options = parser.parse_args()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_ADOPT_ORPHANS, 1, 0, 0, 0)
    every = [
        each
        for each in profilers(options.sampling)
        if not options.only or any(name in each.name for name in options.only)
    ]
    installed, missing = versions({each.package for each in every if each.package})
    every = [each for each in every if each.package not in missing]
    measured: dict[tuple[str, str], list[tuple[Cost, Cost]]] = {}
    failed = {}
    for number in range(options.rounds):
        for program in PROGRAMS:
            for profiler in every:
                try:
                    found = pairs(profiler, program, 1, number)
                except RuntimeError as error:
                    failed[profiler.name] = str(error)
                    continue
                measured.setdefault((program, profiler.name), []).extend(found)
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    print(f"CPython {platform.python_version()}, {platform.system()}, {os.cpu_count()} processors; ", end="")
    print(f"load {os.getloadavg()[0]:.1f} at the end; best and median of {options.rounds}")
    print("; ".join(installed))
    for program in PROGRAMS:
        print(
            f"\n{program}.py\n\n| profiler | processor: more | best | median | clock: more | best | median |"
        )
        print("|---|---|---|---|---|---|---|")
        for profiler in every:
            costs = measured.get((program, profiler.name))
            if costs:
                print(f"| {profiler.name} | {compared(costs, 'processor')} | {compared(costs, 'clock')} |")
    for name in sorted(missing):
        print(f"not installed: {name}")
    for name, reason in failed.items():
        print(f"failed at least once: {name}: {reason}")


if __name__ == "__main__":
    main()
