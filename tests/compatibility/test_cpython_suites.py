"""CPython's own tests, run against our types.

The tests come with the interpreter. Debian's interpreters do not have the package ``test``. Those from
python.org, from pyenv and from a source build have it.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

import oxthreads.queue
import oxthreads.threading
from tests.support.cpython_suite import LIMIT, assert_as_many_pass
from tests.support.waiting import TIMEOUT_SECONDS

pytestmark = [
    pytest.mark.one_thread("starts child interpreters"),
    # On a busy machine, the many collections of some tests take half a minute.
    pytest.mark.timeout(300),
]

test_threading = pytest.importorskip("test.test_threading", reason="this interpreter ships no test package")
test_queue = pytest.importorskip("test.test_queue", reason="this interpreter ships no test package")
lock_tests = test_threading.lock_tests


class Patient:
    """Makes tests robust against a busy machine. How late waits may end is measured by `tests.stress`."""

    #: Seconds for the threads of a test to meet at the barrier; two in the original.
    defaultTimeout = 8.0  # noqa: N815

    def assertTimeout(self, actual: float, expected: float) -> None:  # noqa: N802
        # The original has no addend.
        assert expected * 0.6 <= actual < expected * 10.0 + TIMEOUT_SECONDS


class LockTests(Patient, lock_tests.LockTests):  # type: ignore[name-defined, misc]
    locktype = staticmethod(oxthreads.threading.Lock)


class RLockTests(Patient, lock_tests.RLockTests):  # type: ignore[name-defined, misc]
    locktype = staticmethod(oxthreads.threading.RLock)


class ConditionAsRLockTests(Patient, test_threading.ConditionAsRLockTests):  # type: ignore[name-defined, misc]
    locktype = staticmethod(oxthreads.threading.Condition)


class EventTests(Patient, lock_tests.EventTests):  # type: ignore[name-defined, misc]
    eventtype = staticmethod(oxthreads.threading.Event)


class ConditionTests(Patient, lock_tests.ConditionTests):  # type: ignore[name-defined, misc]
    condtype = staticmethod(oxthreads.threading.Condition)


class SemaphoreTests(Patient, lock_tests.SemaphoreTests):  # type: ignore[name-defined, misc]
    semtype = staticmethod(oxthreads.threading.Semaphore)


class BoundedSemaphoreTests(Patient, lock_tests.BoundedSemaphoreTests):  # type: ignore[name-defined, misc]
    semtype = staticmethod(oxthreads.threading.BoundedSemaphore)


class BarrierTests(Patient, lock_tests.BarrierTests):  # type: ignore[name-defined, misc]
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
        """From Python 3.15 on, the test expects the size of CPython's C structure. Ours has another size."""
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
def test_as_many_tests_pass_under_the_runner(module: str, tmp_path: Path) -> None:
    """Run a module of CPython's tests, unchanged, on the standard library and under the runner."""
    assert len(assert_as_many_pass(module, tmp_path)) > 3
