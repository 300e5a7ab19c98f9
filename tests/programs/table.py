"""The programs: their versions, what their tests need, how these are run, and what is left out and why.

A test is left out if it fails under the standard library too, in which case it would be in the record
without saying anything, or needs the network. What differs on purpose is in ``differences``: it is run,
and the record gives the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: What every environment that runs pytest has.
PYTEST = ("pytest==9.2.0", "pytest-timeout==2.4.0")


@dataclass(frozen=True)
class CPythonSuite:
    """Modules of CPython's own tests, in the version of the interpreter that runs them."""

    name: str
    modules: tuple[str, ...]
    patterns: tuple[str, ...] = ("*",)
    #: Pattern of ids -> why they are left out.
    left_out: Mapping[str, str] = field(default_factory=dict)
    #: Pattern of ids -> why they pass on one of the two only.
    differences: Mapping[str, str] = field(default_factory=dict)
    selected: bool = False
    timeout: float = 600
    note: str = ""


@dataclass(frozen=True)
class Library:
    """A package of the index, whose source distribution has tests for pytest."""

    name: str
    version: str
    requirements: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
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
        note="what has a threading backend to do",
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
        note="the threaded scheduler, and what runs on it",
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
                "it traces `Condition.notify_all.__code__`, and ours, not written in Python, has none"
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
)

PROGRAMS: tuple[Program, ...] = (*CPYTHON_SUITES, *LIBRARIES)
