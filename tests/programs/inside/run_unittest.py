"""Runs modules of CPython's tests, and writes the outcome of each test to a file as soon as it is known.

``python run_unittest.py MODULES PATTERNS``: two lists in JSON. A test is run if its id matches one of the
patterns, unless it is left out. ``regrtest`` is not used, because it would run tests in its own processes
and clean up after them.
"""

from __future__ import annotations

import fnmatch
import json
import os
import sys
import threading
import unittest
from pathlib import Path

# The tests must not import modules of this folder.
sys.path[:] = [entry for entry in sys.path if entry != os.path.dirname(os.path.abspath(__file__))]  # noqa: PTH100, PTH120


class Recorder(unittest.TestResult):
    """Writes each outcome to the file. A test with failed subtests has failed."""

    def _write(self, test: unittest.TestCase, outcome: str, details: str = "") -> None:
        with Path(os.environ["PROGRAMS_OUTCOMES"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps([test.id(), outcome, details[-3000:]]) + "\n")

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().startTest(test)
        sys.stderr.write(f"{test.id()}\n")  # if this is the last line of the log, this test hung

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().addSuccess(test)
        self._write(test, "passed")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        super().addSkip(test, reason)
        self._write(test, "skipped", reason)

    def addFailure(self, test, error) -> None:  # type: ignore[no-untyped-def]  # noqa: N802
        super().addFailure(test, error)
        self._write(test, "failed", self.failures[-1][1])

    def addError(self, test, error) -> None:  # type: ignore[no-untyped-def]  # noqa: N802
        super().addError(test, error)
        self._write(test, "failed", self.errors[-1][1])

    def addSubTest(self, test, subtest, error) -> None:  # type: ignore[no-untyped-def]  # noqa: N802
        super().addSubTest(test, subtest, error)
        if error is not None:
            self._write(test, "failed", (self.failures + self.errors)[-1][1])


def flat(suite: unittest.TestSuite) -> list[unittest.TestCase]:
    """The test cases of *suite*, in order."""
    tests: list[unittest.TestCase] = []
    for test in suite:
        tests.extend(flat(test) if isinstance(test, unittest.TestSuite) else [test])
    return tests


def _matches(test: unittest.TestCase, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(test.id(), pattern) for pattern in patterns)


def main(modules: list[str], patterns: list[str]) -> None:
    """Run the tests of *modules* whose ids match one of *patterns*."""
    from test import support  # noqa: PLC0415

    # Connections to this machine need "network", too. Tests that wait for minutes are not run.
    support.use_resources = ["cpu", "network"]
    loaded = unittest.defaultTestLoader.loadTestsFromNames(modules)
    left_out = json.loads(os.environ["PROGRAMS_LEFT_OUT"])
    only = json.loads(os.environ["PROGRAMS_ONLY"])
    chosen = [
        test
        for test in flat(loaded)
        if _matches(test, patterns) and not _matches(test, left_out) and (only is None or test.id() in only)
    ]
    unittest.TestSuite(chosen).run(Recorder())
    with Path(os.environ["PROGRAMS_OUTCOMES"]).open("a", encoding="utf-8") as file:
        # The harness checks which library the classes come from.
        file.write(json.dumps(["", repr(threading.Event.__mro__), ""]) + "\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), json.loads(sys.argv[2]))
