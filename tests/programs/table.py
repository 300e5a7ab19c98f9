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
            "jaraco.text",
            "portend",
            "pyopenssl",
            "pypytools",
            "pytest-mock",
            "requests",
            "requests-toolbelt",
            "requests-unixsocket",
            "trustme",
            "chardet",
        ),
        arguments=("-o", "addopts=--doctest-modules -p cheroot.test._pytest_plugin", "-W", "default"),
    ),
    Library(
        "joblib",
        "1.6.0",
        requirements=("numpy", "threadpoolctl"),
        arguments=(
            "-o",
            "addopts=",
            "joblib/test/test_parallel.py",
            "joblib/test/test_config.py",
            "-k",
            "thread",
        ),
        note="what has a threading backend to do",
    ),
    Library(
        "dask",
        "2026.8.0",
        requirements=("numpy", "pytest-mock", "pytest-rerunfailures"),
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
        requirements=("blockbuster", "hypothesis", "psutil", "pytest-mock", "trustme", "truststore", "trio"),
    ),
    Library("asgiref", "3.13.0", requirements=("pytest-asyncio", "packaging"), selected=True),
    Library("APScheduler", "3.11.3", requirements=("anyio", "pytz", "sqlalchemy", "tornado"), selected=True),
    Library("cachetools", "8.0.2", selected=True),
    Library("tenacity", "9.2.1", requirements=("tornado",), selected=True),
    Library(
        "filelock",
        "3.32.7",
        requirements=("pytest-asyncio", "pytest-mock", "covdefaults", "coverage", "virtualenv"),
    ),
    Library("watchdog", "7.1.0", requirements=("flaky",), arguments=("-o", "addopts=")),
    Library(
        "janus",
        "2.0.0",
        requirements=("pytest-asyncio", "pytest-benchmark"),
        arguments=("-o", "addopts=", "--benchmark-disable"),
        selected=True,
    ),
    Library("culsans", "0.11.0", selected=True),
)

PROGRAMS: tuple[Program, ...] = (*CPYTHON_SUITES, *LIBRARIES)
