"""Prepares the tests for `pytest --parallel-threads` (pytest-run-parallel).

That option runs each test in several threads at once, all with the same fixtures. So each thread gets its own
fixtures where these hold state. Some tests use something that a process has only once. They still run in one
thread. Such a test uses one of the names in `ONE_THREAD_NAMES`, or has the mark `one_thread` with a reason.
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

#: Names of things that a process has only once, with the reason why a test that uses them needs one thread.
ONE_THREAD_NAMES = {
    "python": "starts child interpreters",
    "subprocess": "starts child interpreters",
    "signal": "handles signals, which the main thread does",
    "settrace": "traces all threads",
    "setprofile": "traces all threads",
    "excepthook": "replaces the hook of the process",
    "active_count": "counts the threads of the process",
}

#: Fixtures that hold state.
OWN = ("condition", "pools", "program")


def prepare(item: pytest.Function) -> None:
    """Let one thread run the test, or give each thread its own fixtures."""
    reason = why_one_thread(item)
    if reason is not None:
        item.add_marker(pytest.mark.thread_unsafe(reason=reason))
        return
    own = [name for name in OWN if name in inspect.signature(item.function).parameters]
    if own:
        item.obj = with_own_fixtures(item, own)


def why_one_thread(item: pytest.Function) -> str | None:
    """The reason why one thread must run the test, or None."""
    mark = item.get_closest_marker("one_thread")
    if mark is not None:
        return str(mark.args[0])
    if repr(parameters(item).get("library")) == "standard":
        return "runs the standard library"
    if "caplog" in item.fixturenames:
        return "looks at all that is logged"
    names = names_in(item.function.__code__)
    return next((reason for name, reason in ONE_THREAD_NAMES.items() if name in names), None)


def parameters(item: pytest.Function) -> dict[str, Any]:
    """The parameters of the test, by argument name."""
    return dict(item.callspec.params) if hasattr(item, "callspec") else {}


def names_in(code: CodeType) -> set[str]:
    """The names of the globals and attributes that a function and its inner functions use."""
    inner = (names_in(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*inner)


def with_own_fixtures(item: pytest.Function, own: list[str]) -> Callable[..., None]:
    """A test that makes these fixtures itself each time it is called, except the first time."""
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
    """The fixture, made again. It is cleaned up at the end."""
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
