"""The examples in the docstrings of the public objects run, and show what they say."""

from __future__ import annotations

import doctest
import io
import threading
from types import ModuleType
from typing import Any

import pytest

import oxthreads.aio
import oxthreads.channels
import oxthreads.concurrent.futures
import oxthreads.locks
import oxthreads.metrics
import oxthreads.processes
import oxthreads.queue
import oxthreads.tasks
import oxthreads.threading
import oxthreads.waiting
from tests.support.waiting import spin_until

MODULES: list[ModuleType] = [
    oxthreads.threading,
    oxthreads.queue,
    oxthreads.concurrent.futures,
    oxthreads.channels,
    oxthreads.locks,
    oxthreads.metrics,
    oxthreads.processes,
    oxthreads.waiting,
    oxthreads.tasks,
    oxthreads.aio,
]

#: Public classes that the standard modules do not have. The mirrors do not name them in `__all__`.
ADDITIONS = ["ExecutorStatistics", "ExecutorView", "SlowCall"]

#: Objects whose docstring must have an example.
WITH_EXAMPLE = [
    *("threading.Barrier", "threading.BoundedSemaphore", "threading.Condition", "threading.Event"),
    *("threading.Semaphore", "threading.Thread", "threading.Timer"),
    *("threading.RLock", "queue.LifoQueue", "queue.PriorityQueue", "queue.Queue", "queue.SimpleQueue"),
    *("queue.Queue.put_many", "queue.Queue.get_many", "queue.Queue.iterate"),
    *("concurrent.futures.Future", "concurrent.futures.ThreadPoolExecutor"),
    *("concurrent.futures.ThreadPoolExecutor.map", "concurrent.futures.ThreadPoolExecutor.shutdown"),
    *("concurrent.futures.ThreadPoolExecutor.stats", "concurrent.futures.ThreadPoolExecutor.with_options"),
    *("concurrent.futures.ExecutorStatistics", "concurrent.futures.ExecutorView"),
    *("concurrent.futures.wait", "concurrent.futures.as_completed"),
    *("locks.RWLock", "locks.RWLock.read", "locks.RWLock.write", "locks.WriteHold"),
    *("locks.once", "locks.singleflight"),
    *("metrics.PrometheusCollector", "metrics.instrument"),
    *("waiting.select", "waiting.put", "waiting.get", "waiting.after", "waiting.every", "waiting.merge"),
    "waiting.readable",
    *[f"channels.{name}" for name in oxthreads.channels.__all__],
    *("tasks.TaskGroup", "tasks.CancelScope", "tasks.move_on_after", "tasks.fail_after", "tasks.race"),
    *("processes.ProcessPoolExecutor", "processes.ProcessPoolView", "processes.ProcessPoolExecutor.stats"),
    *[f"aio.{name}" for name in oxthreads.aio.__all__],
]

pytestmark = pytest.mark.one_thread("captures what is printed")


def public_objects() -> dict[str, Any]:
    """Return the public classes, functions and methods by their names, which leave out ``oxthreads.``."""
    objects: dict[str, Any] = {}
    for module in MODULES:
        prefix = module.__name__.removeprefix("oxthreads.")
        for name in [*module.__all__, *ADDITIONS]:
            thing = getattr(module, name, None)
            if not str(getattr(thing, "__module__", None)).startswith("oxthreads."):
                continue  # the standard object
            objects[f"{prefix}.{name}"] = thing
            if isinstance(thing, type):
                objects.update(
                    (f"{prefix}.{name}.{method}", getattr(thing, method))
                    for method in dir(thing)
                    if not method.startswith("_") and callable(getattr(thing, method, None))
                )
    return objects


def examples(name: str, thing: Any) -> doctest.DocTest:
    """Return the examples of one docstring as one test, which runs them one after the other."""
    text = getattr(thing, "__doc__", None)
    return doctest.DocTestParser().get_doctest(
        text if isinstance(text, str) else "", {"__name__": "__main__"}, name, None, 0
    )


def run(test: doctest.DocTest) -> str:
    """Run the examples; return the report of those that fail."""
    report = io.StringIO()
    doctest.DocTestRunner(verbose=False).run(test, out=report.write)
    return report.getvalue()


TESTS = {
    name: test for name, thing in sorted(public_objects().items()) if (test := examples(name, thing)).examples
}


@pytest.mark.parametrize("name", TESTS)
def test_the_examples_of_a_docstring_are_right(name: str) -> None:
    before = set(threading.enumerate())
    report = run(TESTS[name])
    assert not report, report
    # The thread that looks for slow calls notices a moment later that its last pool is shut down.
    # The pool of `to_thread` is for the whole process.
    spin_until(lambda: before.issuperset(t for t in threading.enumerate() if "oxthreads.aio" not in t.name))


@pytest.mark.parametrize("name", WITH_EXAMPLE)
def test_an_object_has_an_example(name: str) -> None:
    assert name in TESTS


def test_an_example_that_is_wrong_is_reported() -> None:
    wrong = type("Wrong", (), {"__doc__": ">>> 1 + 1\n3\n"})
    assert "Expected:" in run(examples("wrong", wrong))
    right = type("Right", (), {"__doc__": ">>> 1 + 1\n2\n"})
    assert not run(examples("right", right))
