"""Runs a module of CPython's tests, unchanged, with the standard library and with the runner."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

#: Seconds for one run of a module. After that it prints where its threads are, and ends.
LIMIT = 250

#: How often a test may end in different ways with the two libraries, before that is a failure.
TRIES = 3

#: What a child has that runs tests: it needs `sys` and `unittest`.
COLLECTOR = """
class Result(unittest.TestResult):
    def __init__(self, *args):
        super().__init__(*args)
        self.passed = []
    def startTest(self, test):
        print(test.id(), file=sys.stderr, flush=True)
        super().startTest(test)
    def addSuccess(self, test):
        self.passed.append(test.id())

def flat(suite):
    for each in suite:
        yield from flat(each) if isinstance(each, unittest.TestSuite) else [each]
"""

RUN = (
    """
import faulthandler, json, re, sys, threading, unittest
"""
    + COLLECTOR
    + """
def main():
    result = Result()
    module, path, wanted, limit = sys.argv[1:]
    faulthandler.dump_traceback_later(float(limit), exit=True)
    tests = unittest.defaultTestLoader.loadTestsFromName(module)
    chosen = [test for test in flat(tests) if re.search(wanted, test.id())]
    unittest.TestSuite(chosen).run(result)
    failed = [(test.id(), trace) for test, trace in result.failures + result.errors]
    with open(path, "w") as file:
        json.dump([repr(threading.Event.__mro__), result.passed, failed], file)

# The processes that tests spawn import this.
if __name__ == "__main__":
    main()
"""
)


class _Run:
    """One run of the module, in its own process group. The group is killed at the end of the `with` block."""

    def __init__(self, runner: list[str], where: Path, module: str, wanted: str, limit: int) -> None:
        where.mkdir()
        self._where, self._limit = where, limit
        program = where / "run.py"
        program.write_text(RUN)
        with (where / "errors").open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, *runner, program, module, where / "result.json", wanted, str(limit)],
                cwd=where,  # its own folder, because the tests write files
                env={key: value for key, value in os.environ.items() if key != "OXTHREADS"},
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def outcome(self) -> tuple[bool, list[str], list[tuple[str, str]]] | None:
        """Whether the locks were those of oxthreads, what passed, what failed; None if it must run again."""
        status = self._process.wait(self._limit + 30)
        if status == 0:
            lock, passed, failed = json.loads((self._where / "result.json").read_text())
            return "oxthreads" in lock, passed, failed
        errors = (self._where / "errors").read_text()
        started = [line for line in errors.splitlines() if line.startswith("test.")]
        # CPython's process pools fork while threads run. Now and then such a child hangs, with either
        # library. That says nothing about oxthreads, so the module is run again.
        if errors.count("Timeout (") and started and "ProcessPool" in started[-1]:
            return None
        raise AssertionError(f"{self._where.name}: exit status {status}\n{errors[-10_000:]}")


def assert_as_many_pass(
    module: str, tmp_path: Path, *, wanted: str = "", limit: int = LIMIT, attempts: int = 2
) -> list[str]:
    """Check that the same tests pass with both libraries, and return their names.

    wanted: a regular expression; only the tests whose names match are run. limit: seconds for one run.
    attempts: how often both are run, if one of them hangs in a process pool.

    Many of CPython's tests fail on a busy machine, because they measure time. So a test that passes with one
    library only is run again, up to TRIES times in all. Where oxthreads is wrong, it fails again.
    """
    passed: list[str] = []
    for number in range(TRIES):
        theirs, ours, failed = _outcomes(module, tmp_path / str(number), wanted, limit, attempts)
        passed = passed or theirs
        different = sorted({*theirs} ^ {*ours})
        if not different:
            return passed
        wanted = f"^({'|'.join(map(re.escape, different))})$"
    raise AssertionError(f"{module}: {different} differ {TRIES} times: {failed}")


def _outcomes(
    module: str, where: Path, wanted: str, limit: int, attempts: int
) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """The tests that pass with the standard library and with oxthreads, and what fails with oxthreads."""
    where.mkdir()
    for attempt in range(attempts):
        with (
            # Both at once, because they mostly wait.
            _Run([], where / f"standard-{attempt}", module, wanted, limit) as standard,
            _Run(["-m", "oxthreads"], where / f"oxthreads-{attempt}", module, wanted, limit) as oxthreads,
        ):
            theirs, ours = standard.outcome(), oxthreads.outcome()
            if theirs is None or ours is None:
                continue
            assert (theirs[0], ours[0]) == (False, True)
            return theirs[1], ours[1], ours[2]
    raise AssertionError(f"{module}: hung {attempts} times in a pool of processes")
