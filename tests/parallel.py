"""What `pytest --parallel-threads` (pytest-run-parallel) has to know of the tests here.

It runs each test in several threads at once, all with the same fixtures. Fixtures that hold state are made
anew for each of the threads, and tests of what a process has only one of are run by one thread as ever.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import CodeType, SimpleNamespace
from typing import Any

import pytest

#: Modules whose tests are run by one thread, and why.
ONE_THREAD_MODULES = {
    "test_bench": "replaces the catalogue, and prints",
    "test_bench_scenarios": "counts the threads of the process",
    "test_cli": "starts child interpreters",
    "test_compare": "starts child interpreters",
    "test_comparison": "starts child interpreters",
    "test_cpython_asyncio": "starts child interpreters",
    "test_cpython_futures": "starts child interpreters",
    "test_cpython_suites": "starts child interpreters",
    "test_enable": "starts child interpreters",
    "test_exit": "starts child interpreters",
    "test_fork": "forks",
    "test_garbage": "counts the objects and references of the process",
    "test_guarantees_document": "reads the source",
    "test_interpreters": "starts child interpreters",
    "test_notes": "starts child interpreters",
    "test_patch": "replaces modules of the process",
    "test_patch_parts": "replaces modules of the process",
    "test_pickle": "puts classes into its module",
    "test_programs_harness": "starts child interpreters",
    "test_queue_programs": "starts child interpreters",
    "test_queue_overrides": "changes the classes of the process",
    "test_recursion": "starts child interpreters",
    "test_runner": "starts child interpreters",
    "test_signals": "sends signals to the main thread",
    "test_slow_database": "starts child interpreters",
    "test_threading_signals": "sends signals to the main thread",
    "test_tqdm": "starts child interpreters",
}

#: What else a test may use of which the process has only one.
ONE_THREAD_NAMES = {
    "python": "starts child interpreters",
    "subprocess": "starts child interpreters",
    "signal": "handles signals, which the main thread does",
    "settrace": "traces all threads",
    "setprofile": "traces all threads",
    "excepthook": "replaces the hook of the process",
    "active_count": "counts the threads of the process",
}

#: Tests of the same, which no name in them tells.
ONE_THREAD_TESTS = {
    "test_another_queue_may_be_put_in_its_place": "fills a queue under the standard lock of all pools",
    "test_workers_are_threads_with_the_given_names": "counts the pools of the process",
}

#: Fixtures that hold state.
OWN = ("condition", "pools", "program")


def prepare(item: pytest.Function) -> None:
    """Have the test run by one thread, or by each with fixtures of its own."""
    reason = why_one_thread(item)
    if reason is not None:
        item.add_marker(pytest.mark.thread_unsafe(reason=reason))
        return
    own = [name for name in OWN if name in inspect.signature(item.function).parameters]
    if own:
        item.obj = with_own_fixtures(item, own)


def why_one_thread(item: pytest.Function) -> str | None:
    """Why the test is run by one thread, if it is."""
    if item.module.__name__ in ONE_THREAD_MODULES:
        return ONE_THREAD_MODULES[item.module.__name__]
    if repr(parameters(item).get("library")) == "standard":
        return "runs the standard library"
    if item.originalname in ONE_THREAD_TESTS:
        return ONE_THREAD_TESTS[item.originalname]
    if "caplog" in item.fixturenames:
        return "looks at all that is logged"
    names = names_in(item.function.__code__)
    return next((reason for name, reason in ONE_THREAD_NAMES.items() if name in names), None)


def parameters(item: pytest.Function) -> dict[str, Any]:
    """What the test was parametrized with, by its arguments."""
    return dict(item.callspec.params) if hasattr(item, "callspec") else {}


def names_in(code: CodeType) -> set[str]:
    """The names of globals and attributes in a function and in those inside it."""
    inner = (names_in(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*inner)


def with_own_fixtures(item: pytest.Function, own: list[str]) -> Callable[..., None]:
    """The test, which makes these fixtures itself whenever it runs, but for the first time."""
    test = item.obj
    first = threading.Lock()

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        with ExitStack() as stack:
            if not first.acquire(blocking=False):
                fixtures |= {name: stack.enter_context(made(item, name)) for name in own}
            test(**fixtures)

    return run


@contextmanager
def made(item: pytest.Function, name: str) -> Iterator[Any]:
    """The fixture, made once more; afterwards it is cleared away."""
    definition = inspect.unwrap(getattr(item.module, name))
    known = {**item.funcargs, "request": SimpleNamespace(param=parameters(item).get(name))}
    value = definition(**{argument: known[argument] for argument in inspect.signature(definition).parameters})
    if not inspect.isgenerator(value):
        yield value
        return
    try:
        yield next(value)
    finally:
        next(value, None)
