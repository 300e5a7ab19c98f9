"""Where the standard library reaches into futures and pools: wait(), as_completed(), asyncio, and
the attributes that they and others use.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, as_completed, wait
from typing import Any

import pytest

from conftest import OXTHREADS, PATIENCE, BackEnd, Result, spin_until, until_asleep

STATES = ["PENDING", "RUNNING", "CANCELLED", "CANCELLED_AND_NOTIFIED", "FINISHED"]


def ask(future: Any, name: str) -> None:
    """Use one of the attributes that the standard class keeps its state in."""
    if name == "_state":
        with future._condition:
            future._state = future._state
    else:
        assert getattr(future, name) is getattr(future, name)


ATTRIBUTES = ["_condition", "_waiters", "_done_callbacks", "_state"]


@pytest.mark.parametrize("attribute", ATTRIBUTES)
@pytest.mark.parametrize("state", STATES)
def test_every_method_works_in_the_standard_form(library: BackEnd, state: str, attribute: str) -> None:
    future, calls = library.futures.Future(), []
    if state.startswith("CANCELLED"):
        future.cancel()
    if state in ("RUNNING", "FINISHED", "CANCELLED_AND_NOTIFIED"):
        future.set_running_or_notify_cancel()
    if state == "FINISHED":
        future.set_result(42)
    before = repr(future)
    ask(future, attribute)
    assert (repr(future), future._state, future._waiters) == (before, state, [])
    done = state not in ("PENDING", "RUNNING")
    cancelled = state.startswith("CANCELLED")
    assert (future.done(), future.cancelled()) == (done, cancelled)
    assert future.running() is (state == "RUNNING")
    future.add_done_callback(calls.append)
    assert calls == [future] * done
    if not done:
        assert future._done_callbacks == [calls.append]
        for method in (future.result, future.exception):
            with pytest.raises(TimeoutError):
                method(0.001)
        assert future.cancel() is (state == "PENDING")
        assert calls == [future] * (state == "PENDING")
        if state == "RUNNING":
            future.set_exception(KeyError("late"))
            assert repr(future).endswith("raised KeyError>")
            assert calls == [future]
            with pytest.raises(KeyError, match="late"):
                future.result()
        return
    with pytest.raises(concurrent.futures.InvalidStateError, match=f"{state}: <Future at 0x"):
        future.set_result(1)
    assert future.cancel() is cancelled
    if cancelled:
        with pytest.raises(concurrent.futures.CancelledError):
            future.result(0)
    else:
        assert (future.result(0), future.exception(0)) == (42, None)


@pytest.mark.parametrize("outcome", ["set_result", "set_exception", "cancel"])
def test_callbacks_added_before_and_after_it_took_its_standard_form_run_in_order(
    library: BackEnd, outcome: str
) -> None:
    future, calls = library.futures.Future(), []
    for number in range(6):
        future.add_done_callback(lambda _, number=number: calls.append(number))
        if number == 2:
            assert len(future._done_callbacks) == 3
    getattr(future, outcome)(*[] if outcome == "cancel" else [OSError()])
    assert calls == [*range(6)]


def test_the_state_can_be_written(library: BackEnd) -> None:
    future = library.futures.Future()
    waiter = Result(future.result)
    until_asleep(waiter.thread)
    with future._condition:
        future._result, future._state = "written", "FINISHED"
        future._condition.notify_all()
    assert waiter.get() == future.result() == future._result == "written"
    failed, error = library.futures.Future(), LookupError("written")
    failed._exception, failed._state = error, "FINISHED"
    assert failed.exception() is failed._exception is error
    assert repr(failed).endswith("state=finished raised LookupError>")
    failed._state = "PENDING"
    assert not failed.done()


@pytest.mark.parametrize("method", ["set_result", "set_exception", "cancel", "set_running_or_notify_cancel"])
def test_nobody_changes_a_future_whose_condition_is_held(library: BackEnd, method: str) -> None:
    future = library.futures.Future()
    with future._condition:
        change = Result(getattr(future, method), *[OSError()] if method.startswith("set_r") * 0 else [])\
            if method in ("cancel", "set_running_or_notify_cancel") else Result(getattr(future, method), OSError())
        until_asleep(change.thread)
        assert future._state == "PENDING"
    change.get()
    assert future._state != "PENDING"
