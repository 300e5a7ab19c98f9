"""CPython's tests of concurrent.futures, taken from the interpreter that runs them.

From 3.13 on; before that, they are not installed with it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import oxthreads.concurrent.futures
from cpython_suite import assert_as_many_pass

PACKAGE = "test.test_concurrent_futures"


def import_suite(name: str) -> object:
    return pytest.importorskip(f"{PACKAGE}.{name}", reason="this interpreter does not ship these tests")


test_thread_pool, test_wait, test_as_completed, test_shutdown, test_init = map(
    import_suite, ["test_thread_pool", "test_wait", "test_as_completed", "test_shutdown", "test_init"]
)


class ThreadPoolExecutorTest(test_thread_pool.ThreadPoolExecutorTest):  # type: ignore[name-defined, misc]
    executor_type = oxthreads.concurrent.futures.ThreadPoolExecutor


class ThreadPoolWaitTests(test_wait.ThreadPoolWaitTests):  # type: ignore[name-defined, misc]
    executor_type = oxthreads.concurrent.futures.ThreadPoolExecutor


class ThreadPoolAsCompletedTest(test_as_completed.ThreadPoolAsCompletedTest):  # type: ignore[name-defined, misc]
    executor_type = oxthreads.concurrent.futures.ThreadPoolExecutor


class ThreadPoolShutdownTest(test_shutdown.ThreadPoolShutdownTest):  # type: ignore[name-defined, misc]
    executor_type = oxthreads.concurrent.futures.ThreadPoolExecutor


class ThreadPoolInitializerTest(test_init.ThreadPoolInitializerTest):  # type: ignore[name-defined, misc]
    executor_type = oxthreads.concurrent.futures.ThreadPoolExecutor


class ThreadPoolFailingInitializerTest(test_init.ThreadPoolFailingInitializerTest):  # type: ignore[name-defined, misc]
    executor_type = oxthreads.concurrent.futures.ThreadPoolExecutor


# The modules' own classes are not to be collected here, but by the modules themselves below.
del test_thread_pool, test_wait, test_as_completed, test_shutdown, test_init

MODULES = [
    "test_future",
    "test_thread_pool",
    "test_process_pool",
    "test_wait",
    "test_as_completed",
    "test_init",
    "test_shutdown",
    "test_deadlock",
]

#: The tests of threads; and those of processes, of whose futures this process has one each, started in
#: the fastest of the three ways.
WANTED = r"\.(FutureTests|ThreadPool|ProcessPoolFork(?!server))"


@pytest.mark.parametrize("module", MODULES)
def test_as_many_pass_with_every_name_replaced(module: str, tmp_path: Path) -> None:
    assert len(assert_as_many_pass(f"{PACKAGE}.{module}", tmp_path, wanted=WANTED)) > 3
