"""The programs: their versions, what their tests need, how to run them, and what is left out and why.

A test is left out if it needs the network, or if it fails on the standard library, too: then it would say
nothing in the record. A test that differs on purpose is in ``differences``: it is run, and the record gives
the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: Installed in every environment that runs pytest.
PYTEST = ("pytest==9.2.0", "pytest-timeout==2.4.0")


@dataclass(frozen=True)
class CPythonSuite:
    """Modules of CPython's tests, in the version of the interpreter that runs them."""

    name: str
    modules: tuple[str, ...]
    patterns: tuple[str, ...] = ("*",)
    #: For each pattern of ids, the reason why the tests are left out.
    left_out: Mapping[str, str] = field(default_factory=dict)
    #: For each pattern of ids, the reason why the tests pass on one library only.
    differences: Mapping[str, str] = field(default_factory=dict)
    selected: bool = False
    timeout: float = 600
    note: str = ""


@dataclass(frozen=True)
class Library:
    """A package of the index. Its source distribution has tests for pytest, or *tests* replaces them."""

    name: str
    version: str
    requirements: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    #: A file with tests in `inside`, for a distribution that has no tests that can be run.
    tests: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)
    differences: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    selected: bool = False
    timeout: float = 600
    note: str = ""


Program = CPythonSuite | Library


def _cpython(name: str, **keywords: object) -> CPythonSuite:
    return CPythonSuite(name, (f"test.{name}",), **keywords)  # type: ignore[arg-type]


CPYTHON_SUITES: tuple[CPythonSuite, ...] = (
    _cpython("test_threading", selected=True),
    _cpython("test_thread", selected=True),
    _cpython("test_threadsignals"),
    _cpython("test_threading_local", selected=True),
    _cpython("test_queue", selected=True),
    _cpython("test_sched", selected=True),
    _cpython("test_logging"),
    _cpython("test_socketserver"),
    _cpython("test_contextlib", selected=True),
    _cpython("test_weakref", selected=True),
    CPythonSuite(
        "test_asyncio",
        tuple(f"test.test_asyncio.test_{part}" for part in ("futures", "events", "tasks", "threads")),
        note="futures, events, tasks and threads",
    ),
    _cpython(
        "test_multiprocessing_fork",
        patterns=("*Queue*", "*Manager*"),
        note="queues and managers",
    ),
    _cpython(
        "test_multiprocessing_spawn",
        patterns=("*Queue*", "*Manager*"),
        note="queues and managers",
    ),
    _cpython("test_concurrent_futures", timeout=1200),
)

LIBRARIES: tuple[Library, ...] = (
    Library("waitress", "3.0.2", arguments=("-o", "addopts="), selected=True),
    Library(
        "cheroot",
        "11.1.2",
        requirements=(
            "jaraco.text==4.3.0",
            "portend==3.2.1",
            "pyopenssl==26.4.0",
            "pypytools==0.6.2",
            "pytest-mock==3.17.0",
            "requests==2.34.2",
            "requests-toolbelt==1.0.0",
            "requests-unixsocket==0.4.1",
            "trustme==1.2.1",
            "chardet==7.7.0",
        ),
        arguments=("-o", "addopts=--doctest-modules -p cheroot.test._pytest_plugin", "-W", "default"),
    ),
    Library(
        "joblib",
        "1.6.0",
        requirements=("numpy==2.5.5", "threadpoolctl==3.8.0"),
        arguments=(
            "-o",
            "addopts=",
            "joblib/test/test_parallel.py",
            "joblib/test/test_config.py",
            "-k",
            "thread and not threadpool and not loky and not multiprocessing",
        ),
        note="the tests of the threading backend",
    ),
    Library(
        "dask",
        "2026.8.0",
        requirements=("numpy==2.5.5", "pytest-mock==3.17.0", "pytest-rerunfailures==16.7"),
        arguments=(
            "-o",
            "addopts=",
            "dask/tests/test_threaded.py",
            "dask/tests/test_local.py",
            "dask/tests/test_base.py",
            "dask/tests/test_delayed.py",
            "dask/bag/tests/test_bag.py",
        ),
        note="the threaded scheduler, and what uses it",
    ),
    Library(
        "anyio",
        "4.16.0",
        requirements=(
            "blockbuster==1.5.29",
            "hypothesis==6.170.17",
            "psutil==7.2.2",
            "pytest-mock==3.17.0",
            "trustme==1.2.1",
            "truststore==0.10.5",
            "trio==0.35.0",
        ),
    ),
    Library("asgiref", "3.13.0", requirements=("pytest-asyncio==1.5.0", "packaging==26.3"), selected=True),
    Library(
        "APScheduler",
        "3.11.3",
        requirements=("anyio==4.16.0", "pytz==2026.6", "sqlalchemy==2.1.9", "tornado==6.6.1"),
    ),
    Library("cachetools", "8.0.2", selected=True),
    Library("tenacity", "9.2.1", requirements=("tornado==6.6.1",), selected=True),
    Library(
        "filelock",
        "3.32.7",
        requirements=(
            "pytest-asyncio==1.5.0",
            "pytest-mock==3.17.0",
            "covdefaults==2.3.0",
            "coverage==7.17.4",
            "virtualenv==21.15.11",
        ),
        differences={
            "*::test_async_read_write_lock_allows_finalizer_reentry": (
                "it waits until a tracer sees `Condition.notify_all.__code__`, "
                "and a native method runs no such code"
            )
        },
    ),
    Library("watchdog", "7.1.0", requirements=("flaky==3.8.1",), arguments=("-o", "addopts=")),
    Library(
        "janus",
        "2.0.0",
        requirements=("pytest-asyncio==1.5.0", "pytest-benchmark==5.3.1"),
        arguments=("-o", "addopts=", "--benchmark-disable"),
        selected=True,
    ),
    Library("culsans", "0.11.0", selected=True),
    Library(
        "urllib3",
        "2.8.0",
        requirements=(
            "cryptography==50.0.2",
            "httpx==0.28.1",
            "hypercorn==0.18.0",
            "idna==3.20",
            "pysocks==1.7.1",
            "pytest-socket==0.8.1",
            "quart==0.23.1",
            "quart-trio==0.13.0",
            "trio==0.35.0",
            "trustme==1.2.1",
        ),
        arguments=("test", "--ignore=test/contrib", "--ignore=test/with_dummyserver"),
        note="without the tests that need its dummy server",
    ),
    Library(
        "pebble",
        "5.2.3",
        arguments=(
            "test/test_asynchronous_thread.py",
            "test/test_concurrent_thread.py",
            "test/test_thread_pool.py",
        ),
        note="threads",
    ),
    Library("huey", "3.5.4", arguments=("huey/tests",)),
    Library(
        "ddtrace",
        "4.16.0",
        tests="test_ddtrace_pool.py",
        note="traces through a pool, for each way to start the two; our own test program",
    ),
    Library(
        "distributed",
        "2026.8.0",
        tests="test_distributed_executor.py",
        note="its executor and concurrent.futures; our own test program, as its packages have no tests",
    ),
)

PROGRAMS: tuple[Program, ...] = (*CPYTHON_SUITES, *LIBRARIES)
