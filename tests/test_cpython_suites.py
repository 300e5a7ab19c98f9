"""CPython's own tests, taken from the interpreter that runs them, against our types.

Debian's interpreters do not ship the ``test`` package; those from python.org, pyenv and a source
build do.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

import oxthreads.queue
import oxthreads.threading
from cpython_suite import LIMIT, assert_as_many_pass

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


MODULES = ["test.test_threading", "test.test_threading_local", "test.test_thread", "test.test_queue"]


@pytest.mark.timeout(3 * LIMIT)
@pytest.mark.parametrize("module", MODULES)
def test_as_many_pass_with_every_name_replaced(module: str, tmp_path: Path) -> None:
    """A module of CPython's tests as it stands, under the standard library and under the runner."""
    assert len(assert_as_many_pass(module, tmp_path)) > 3
