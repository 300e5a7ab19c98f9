"""CPython's own tests, taken from the interpreter that runs them, against our types.

Debian's interpreters do not ship the ``test`` package; those from python.org, pyenv and a source
build do.
"""

from __future__ import annotations

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


class FailingQueueTest(test_queue.PyFailingQueueTest):  # type: ignore[name-defined, misc]
    queue = oxthreads.queue
