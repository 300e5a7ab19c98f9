"""CPython's own tests, taken from the interpreter that runs them, against our types.

Debian's interpreters do not ship the ``test`` package; those from python.org, pyenv and a source
build do.
"""

from __future__ import annotations

import struct
import sys

import pytest

import oxthreads.queue
import oxthreads.threading

lock_tests = pytest.importorskip("test.lock_tests", reason="this interpreter ships no test package")
test_queue = pytest.importorskip("test.test_queue", reason="this interpreter ships no test package")


class LockTests(lock_tests.LockTests):  # type: ignore[name-defined, misc]
    locktype = staticmethod(oxthreads.threading.Lock)


class EventTests(lock_tests.EventTests):  # type: ignore[name-defined, misc]
    eventtype = staticmethod(oxthreads.threading.Event)


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
