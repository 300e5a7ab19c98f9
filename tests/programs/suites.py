"""Runs the tests of a program on both libraries, and separates real differences from unsteady tests."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import resource
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.programs.environment import INSIDE, Workshop, environment
from tests.programs.table import CPythonSuite, Library, Program

__all__ = ["BACK_ENDS", "Comparison", "Difference", "Run", "compare", "is_available", "reason"]

BackEnd = Literal["standard", "oxthreads"]
BACK_ENDS: dict[BackEnd, list[str]] = {"standard": [], "oxthreads": ["-m", "oxthreads"]}

#: If a test passed on only one library, it is run AGAIN more times on each.
AGAIN = 3

#: If more tests differ than this, single tests are not the cause, and none is run again.
TOO_MANY = 60


@dataclass
class Run:
    """One run of a suite: the outcome of each test by its id, the time, and how the process ended."""

    outcomes: dict[str, str]
    details: dict[str, str]
    seconds: float
    cpu_seconds: float
    ending: str
    log: str = ""
    #: The base classes of a lock at the end, which show the library.
    lock: str = ""

    @property
    def passed(self) -> set[str]:
        """The ids of the tests that passed."""
        return {test for test, outcome in self.outcomes.items() if outcome == "passed"}

    @property
    def failed(self) -> set[str]:
        """The ids of the tests that failed."""
        return {test for test, outcome in self.outcomes.items() if outcome == "failed"}


@dataclass
class Difference:
    """A test that does not pass equally on both: in how many of how many runs, and the reason if known."""

    test: str
    passed: dict[str, int]
    runs: int
    reason: str = ""
    details: str = ""


@dataclass
class Comparison:
    """The result of a suite. A test that passes sometimes counts as passed, and may be ``unsteady``."""

    passed: dict[str, int]
    seconds: dict[str, float]
    cpu_seconds: dict[str, float]
    endings: dict[str, str]
    failed_on_both: list[str]
    differences: list[Difference] = field(default_factory=list)
    unsteady: list[Difference] = field(default_factory=list)

    @property
    def unexplained(self) -> list[str]:
        """Possible faults of oxthreads: differences without a reason, or a process that ended badly."""
        found = [difference.test for difference in self.differences if not difference.reason]
        if self.endings["oxthreads"] != self.endings["standard"] and not (self.differences or self.unsteady):
            found.append(f"the process ended with {self.endings['oxthreads']}")
        if not self.passed["standard"]:
            found.append("nothing passed under the standard library")
        return found


def is_available(program: Program, workshop: Workshop) -> bool:
    """Whether the interpreter has the tests of *program*. Some distributions leave out tests of CPython."""
    if isinstance(program, Library):
        return True
    code = "import importlib.util, sys; sys.exit(not all(map(importlib.util.find_spec, sys.argv[1:])))"
    command = [workshop.interpreter.path, "-c", code, *program.modules]
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0


def compare(program: Program, workshop: Workshop) -> Comparison:
    """Run *program* on both libraries, one after the other. Run the tests that differ again."""
    first = {back_end: _run(program, workshop, back_end, None) for back_end in BACK_ENDS}
    differing = first["standard"].passed ^ first["oxthreads"].passed
    runs = dict.fromkeys(BACK_ENDS, 1)
    counts: dict[BackEnd, Counter[str]] = {name: Counter(first[name].passed) for name in BACK_ENDS}
    details = dict(first["oxthreads"].details)
    if 0 < len(differing) <= TOO_MANY:
        for _ in range(AGAIN):
            for back_end in BACK_ENDS:
                again = _run(program, workshop, back_end, sorted(differing))
                runs[back_end] += 1
                counts[back_end].update(again.passed & differing)
    comparison = Comparison(
        passed={name: len(counts[name]) for name in BACK_ENDS},
        seconds={name: round(first[name].seconds, 1) for name in BACK_ENDS},
        cpu_seconds={name: round(first[name].cpu_seconds, 1) for name in BACK_ENDS},
        endings={name: first[name].ending for name in BACK_ENDS},
        failed_on_both=sorted(first["standard"].failed & first["oxthreads"].failed),
    )
    for test in sorted(differing):
        difference = Difference(
            test,
            passed={name: counts[name][test] for name in BACK_ENDS},
            runs=runs["standard"],
            reason=reason(program.differences, test),
            details=details.get(test, first["oxthreads"].log[-10_000:]),
        )
        # A test that mostly fails on one library does not fail by chance.
        unsteady = min(difference.passed.values()) * 2 >= difference.runs
        (comparison.unsteady if unsteady else comparison.differences).append(difference)
    return comparison


def reason(reasons: Mapping[str, str], test: str) -> str:
    """The reason of the first pattern that matches the test, or an empty string."""
    return next((why for pattern, why in reasons.items() if fnmatch.fnmatchcase(test, pattern)), "")


def _run(program: Program, workshop: Workshop, back_end: BackEnd, tests: list[str] | None) -> Run:
    outcomes = Path(tempfile.mkdtemp(dir=workshop.scratch)) / "outcomes"
    variables = {
        "PROGRAMS_OUTCOMES": str(outcomes),
        "PROGRAMS_ONLY": json.dumps(tests),
        "PROGRAMS_LEFT_OUT": json.dumps(list(program.left_out)),
    }
    if back_end == "standard":
        variables["OXTHREADS"] = "0"
    if isinstance(program, CPythonSuite):
        python, place = workshop.python("bare", ()), Path(tempfile.mkdtemp(dir=workshop.scratch))
        arguments = [
            str(INSIDE / "run_unittest.py"),
            json.dumps(program.modules),
            json.dumps(program.patterns),
        ]
    else:
        python, place = workshop.library(program), workshop.source(program)
        variables |= {**program.environment, "PYTHONPATH": str(INSIDE)}
        plugins = ["-p", "record_outcomes", "-p", "no:cacheprovider"]
        arguments = ["-m", "pytest", "-q", "--rootdir=.", "--timeout=120", *plugins, *program.arguments]
    command = [str(python), "-X", "faulthandler", *BACK_ENDS[back_end], *arguments]
    run = _execute(command, place, environment(variables), program.timeout)
    _read(outcomes, run)
    if run.lock and ("oxthreads" in run.lock) is not (back_end == "oxthreads"):
        raise RuntimeError(f"{program.name} did not run on {back_end}: {run.lock}")
    return run


def _execute(command: list[str], place: Path, variables: dict[str, str], timeout: float) -> Run:
    with tempfile.TemporaryFile() as log:
        begin, cpu_begin = time.monotonic(), _cpu_seconds_of_children()
        process = subprocess.Popen(
            command,
            cwd=place,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(timeout)
            ending = f"exit status {status}" if status >= 0 else f"signal {-status}"
        except subprocess.TimeoutExpired:
            # faulthandler prints the stack of every thread before the process is killed with its children.
            process.send_signal(signal.SIGABRT)
            process.wait()
            ending = f"no end in {timeout:.0f} s"
        seconds = time.monotonic() - begin
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # processes that the tests have left running
        log.seek(0)
        said = log.read().decode(errors="replace")
        return Run({}, {}, seconds, _cpu_seconds_of_children() - cpu_begin, ending, said)


def _cpu_seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _read(outcomes: Path, run: Run) -> None:
    """Read the outcomes of a run. A test has failed if its set-up, itself or its tear-down has failed."""
    lines = outcomes.read_text(encoding="utf-8").splitlines() if outcomes.exists() else []
    for line in lines:
        test, outcome, details = json.loads(line)
        if not test:
            run.lock = outcome
            continue
        if run.outcomes.get(test) != "failed":
            run.outcomes[test] = outcome
        if details and outcome == "failed":
            run.details[test] = details
