"""Runs a module of CPython's tests as it stands, under the standard library and under the runner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

RUN = """
import json, re, sys, threading, unittest

class Result(unittest.TestResult):
    def __init__(self, *args):
        super().__init__(*args)
        self.passed = []
    def addSuccess(self, test):
        self.passed.append(test.id())

def flat(suite):
    for each in suite:
        yield from flat(each) if isinstance(each, unittest.TestSuite) else [each]

def main():
    result = Result()
    module, path, wanted = sys.argv[1:]
    tests = unittest.defaultTestLoader.loadTestsFromName(module)
    chosen = [test for test in flat(tests) if re.search(wanted, test.id())]
    unittest.TestSuite(chosen).run(result)
    failed = [(test.id(), trace) for test, trace in result.failures + result.errors]
    json.dump([repr(threading.Lock()), result.passed, failed], open(path, "w"))

# The processes that tests spawn import this.
if __name__ == "__main__":
    main()
"""


def assert_as_many_pass(module: str, tmp_path: Path, *, wanted: str = "") -> list[str]:
    """Compare which tests pass, of those whose name the regular expression is found in; they come back."""
    runs = {}
    program = tmp_path / "run.py"
    program.write_text(RUN)
    for name, runner in (("standard", []), ("oxthreads", ["-m", "oxthreads"])):
        where = tmp_path / name
        where.mkdir()
        # In a folder of its own each, for the tests write files; both at once, for they mostly wait.
        runs[name] = (
            where,
            subprocess.Popen(
                [sys.executable, *runner, program, module, where / "result.json", wanted],
                cwd=where,
                env={key: value for key, value in os.environ.items() if key != "OXTHREADS"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ),
        )
    outcome: dict[str, tuple[list[str], list[tuple[str, str]]]] = {}
    for name, (where, process) in runs.items():
        assert process.wait(110) == 0
        lock, passed, failed = json.loads((where / "result.json").read_text())
        assert ("oxthreads" in lock) is (name == "oxthreads")
        outcome[name] = passed, failed
    assert sorted(outcome["oxthreads"][0]) == sorted(outcome["standard"][0]), outcome["oxthreads"][1]
    return outcome["standard"][0]
