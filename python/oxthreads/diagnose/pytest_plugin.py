"""The pytest plugin: ``pytest -p oxthreads --oxthreads-watch``.

The tests run on oxthreads, and a test that deadlocks fails: one of its waits is ended by a
:class:`~oxthreads.diagnose.DeadlockError`, if possible that of the test's own thread. The report is a section
of the failure. The other tests go on. It works under pytest-xdist, too.

PYTEST_DONT_REWRITE: it has no asserts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

__all__: list[str] = []

#: The deadlocks that were found since the last look.
_found: list[str] = []

#: The lock orders that were found in the session.
_orders: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    group = parser.getgroup("oxthreads")
    group.addoption(
        "--oxthreads-watch",
        action="store_true",
        help="run the tests on oxthreads; a test that deadlocks fails, and says why",
    )
    group.addoption(
        "--oxthreads-lock-order",
        action="store_true",
        help="the same, and locks that threads take in orders which can deadlock are listed at the end",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Start the watch."""
    is_about_order = config.getoption("oxthreads_lock_order")
    if config.getoption("oxthreads_watch") or is_about_order:
        # Only a session that asks for it pays for it.
        from oxthreads.diagnose import _order, _watch  # noqa: PLC0415

        watch = _watch.start("order,raise" if is_about_order else "raise")
        listen, note = _found.append, _orders.append
        _watch.listeners.append(listen)
        _order.listeners.append(note)

        def end() -> None:
            _watch.listeners.remove(listen)
            _order.listeners.remove(note)
            watch.stop()

        # Another session may follow in this process.
        config.add_cleanup(end)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """List the lock orders. They are in no report of a test: it need not be wrong if it closes a cycle."""
    texts, _orders[:] = _orders[:], []
    if texts:
        terminalreporter.section("lock order")
        for text in texts:
            terminalreporter.write_line(text)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the deadlocks into the report of the test in which they were found."""
    report: Any = yield
    texts, _found[:] = _found[:], []
    for text in texts:
        report.sections.append(("deadlock", text))
    if texts and report.passed:
        # The test went on after a wait of another thread had been ended.
        report.outcome = "failed"
        report.longrepr = "\n".join(texts)
    return report  # type: ignore[no-any-return]
