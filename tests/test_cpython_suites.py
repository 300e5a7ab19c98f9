"""CPython's own tests, taken from the interpreter that runs them, against our types.

Debian's interpreters do not ship the ``test`` package; those from python.org, pyenv and a source
build do.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import oxthreads.queue
import oxthreads.threading

test_threading = pytest.importorskip("test.test_threading", reason="this interpreter ships no test package")
test_queue = pytest.importorskip("test.test_queue", reason="this interpreter ships no test package")
lock_tests = test_threading.lock_tests


class LockTests(lock_tests.LockTests):  # type: ignore[name-defined, misc]
    locktype = staticmethod(oxthreads.threading.Lock)


class RLockTests(lock_tests.RLockTests):  # type: ignore[name-defined, misc]
    locktype = staticmethod(oxthreads.threading.RLock)


class ConditionAsRLockTests(test_threading.ConditionAsRLockTests):  # type: ignore[name-defined, misc]
    locktype = staticmethod(oxthreads.threading.Condition)


class EventTests(lock_tests.EventTests):  # type: ignore[name-defined, misc]
    eventtype = staticmethod(oxthreads.threading.Event)


class ConditionTests(lock_tests.ConditionTests):  # type: ignore[name-defined, misc]
    condtype = staticmethod(oxthreads.threading.Condition)


class SemaphoreTests(lock_tests.SemaphoreTests):  # type: ignore[name-defined, misc]
    semtype = staticmethod(oxthreads.threading.Semaphore)


class BoundedSemaphoreTests(lock_tests.BoundedSemaphoreTests):  # type: ignore[name-defined, misc]
    semtype = staticmethod(oxthreads.threading.BoundedSemaphore)


class BarrierTests(lock_tests.BarrierTests):  # type: ignore[name-defined, misc]
    barriertype = staticmethod(oxthreads.threading.Barrier)


class QueueTest(test_queue.PyQueueTest):  # type: ignore[name-defined, misc]
    queue = oxthreads.queue


class LifoQueueTest(test_queue.PyLifoQueueTest):  # type: ignore[name-defined, misc]
    queue = oxthreads.queue


class PriorityQueueTest(test_queue.PyPriorityQueueTest):  # type: ignore[name-defined, misc]
    queue = oxthreads.queue


class SimpleQueueTest(test_queue.CSimpleQueueTest):  # type: ignore[name-defined, misc]
    queue = oxthreads.queue

    def test_simplequeue_sizeof(self) -> None:
        """From 3.15 on: the number of bytes that the structure of the C class has. Ours has another."""
        items = self.type2test()
        before = sys.getsizeof(items)
        for _ in range(1000):
            items.put(object())
        self.assertGreaterEqual(sys.getsizeof(items), before + 1000 * struct.calcsize("P"))


class FailingQueueTest(test_queue.PyFailingQueueTest):  # type: ignore[name-defined, misc]
    queue = oxthreads.queue


RUN = """
import json, sys, threading, unittest

class Result(unittest.TestResult):
    def __init__(self, *args):
        super().__init__(*args)
        self.passed = []
    def addSuccess(self, test):
        self.passed.append(test.id())

result = Result()
unittest.defaultTestLoader.loadTestsFromName(sys.argv[1]).run(result)
failed = [(test.id(), trace) for test, trace in result.failures + result.errors]
json.dump([repr(threading.Lock()), result.passed, failed], open(sys.argv[2], "w"))
"""


MODULES = ["test.test_threading", "test.test_threading_local", "test.test_thread", "test.test_queue"]


@pytest.mark.parametrize("module", MODULES)
def test_as_many_pass_with_every_name_replaced(module: str, tmp_path: Path) -> None:
    """A module of CPython's tests as it stands, under the standard library and under the runner."""
    runs = {}
    for name, runner in (("standard", []), ("oxthreads", ["-m", "oxthreads"])):
        where = tmp_path / name
        where.mkdir()
        # In a folder of its own each, for the tests write files; both at once, for they mostly wait.
        runs[name] = (
            where,
            subprocess.Popen(
                [sys.executable, *runner, "-c", RUN, module, where / "result.json"],
                cwd=where,
                env={key: value for key, value in os.environ.items() if key != "OXTHREADS"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ),
        )
    outcome = {}
    for name, (where, process) in runs.items():
        assert process.wait(110) == 0
        lock, passed, failed = json.loads((where / "result.json").read_text())
        assert ("oxthreads" in lock) is (name == "oxthreads")
        outcome[name] = passed, failed
    assert len(outcome["standard"][0]) > 3
    assert sorted(outcome["oxthreads"][0]) == sorted(outcome["standard"][0]), outcome["oxthreads"][1]
