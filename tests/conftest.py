"""Fixtures for all tests, and hooks that prepare all tests."""

from __future__ import annotations

import contextlib
import gc
import signal
import sys
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

# So that an assertion that fails there shows its values, too.
pytest.register_assert_rewrite("tests.support")

from tests.support import parallel, waiting  # noqa: E402
from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd  # noqa: E402


@pytest.fixture(params=[STANDARD, OXTHREADS], ids=repr)
def library(request: pytest.FixtureRequest) -> BackEnd:
    """Each of the two libraries. What a test expects of oxthreads must also hold for the standard library."""
    back_end: BackEnd = request.param
    return back_end


@hypothesis.settings(
    max_examples=1, database=None, deadline=None, suppress_health_check=[*hypothesis.HealthCheck]
)
@hypothesis.given(hypothesis.strategies.none())
def _run_hypothesis_once(_: None) -> None:
    """Run hypothesis once, because its first run makes objects that it keeps, and looks for garbage."""


def _read_an_error_once() -> None:
    """Have the frames made that tracebacks show.

    They are made once in a process. Once, a test that came before had prevented that for the whole process.
    """
    future: Any = OXTHREADS.futures.Future()
    future.set_exception(ValueError())
    with contextlib.suppress(ValueError):
        future.result()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Prepare the tests for `--parallel-threads`, an option of a plugin that may not be installed."""
    if config.getoption("parallel_threads", 1) not in (1, "1"):
        waiting.looks_until_asleep = 25
        for item in items:
            if isinstance(item, pytest.Function):
                parallel.prepare(item)


def pytest_collection_finish() -> None:
    """Hide all objects that exist now from the collector, so that it is faster. Many tests run it often."""
    _run_hypothesis_once()
    _read_an_error_once()
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def keys_that_end_a_program() -> Iterator[None]:
    """Ctrl-C and Ctrl-\\ have an effect, here and in all children. Some tests send the signals of these keys.

    A shell without job control, such as that of a script, starts whatever runs in the background with both
    signals ignored, and all children inherit that. SIGHUP is left as it is: whoever ignores it, with nohup,
    wants the tests to outlive the terminal. A test that needs it restores it for its child.
    """
    before = {}
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGQUIT") and signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
        before[signal.SIGQUIT] = signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    yield
    for number, action in before.items():
        signal.signal(number, action)


@pytest.fixture
def frantic() -> Any:
    """Threads are switched as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
