"""A pytest plugin that chooses tests, and writes the outcome of each to a file as soon as it is known.

It writes line by line. If a run crashes or hangs, the file shows how far it came.
"""

from __future__ import annotations

import fnmatch
import json
import os
import threading
from pathlib import Path

import pytest

ONLY: list[str] | None = json.loads(os.environ["PROGRAMS_ONLY"])
LEFT_OUT: list[str] = json.loads(os.environ["PROGRAMS_LEFT_OUT"])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests that were asked for, and drop those that are left out."""
    only = None if ONLY is None else set(ONLY)
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        is_asked_for = only is None or item.nodeid in only
        is_left_out = any(fnmatch.fnmatchcase(item.nodeid, pattern) for pattern in LEFT_OUT)
        (kept if is_asked_for and not is_left_out else dropped).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=dropped)


def pytest_sessionfinish() -> None:
    """Write which library the classes come from. The harness checks it."""
    _write("", repr(threading.Event.__mro__), "")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write the outcome of a test. Its set-up and tear-down count only if they fail."""
    if report.when == "call" or not report.passed:
        _write(report.nodeid, report.outcome, report.longreprtext)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that cannot be imported is a failure."""
    if report.failed:
        _write(report.nodeid, "failed", report.longreprtext)


def _write(test: str, outcome: str, details: str) -> None:
    with Path(os.environ["PROGRAMS_OUTCOMES"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps([test, outcome, details[-4000:]]) + "\n")
