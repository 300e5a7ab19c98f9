"""Tests of Future. Most of them run on the standard library too."""

from __future__ import annotations

import concurrent.futures
import gc
import inspect
import logging
import pickle
import sys
import threading
import traceback
import weakref
from collections.abc import Callable
from concurrent.futures import InvalidStateError
from decimal import Decimal
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, BackEnd
from tests.support.refusals import refusal
from tests.support.threads import Result
from tests.support.waiting import TIMEOUT_SECONDS, rounds, until_asleep

#: For each state, the results of running(), done(), cancelled() and cancel().
STATES: dict[str, tuple[bool, bool, bool, bool]] = {
    "PENDING": (False, False, False, True),
    "RUNNING": (True, False, False, False),
    "CANCELLED": (False, True, True, True),
    "CANCELLED_AND_NOTIFIED": (False, True, True, True),
    "FINISHED": (False, True, False, False),
}
DONE = [state for state, (_, done, _, _) in STATES.items() if done]


def in_state(library: BackEnd, state: str) -> Any:
    future = library.futures.Future()
    if state.startswith("CANCELLED"):
        future.cancel()
    if state in ("RUNNING", "FINISHED", "CANCELLED_AND_NOTIFIED"):
        future.set_running_or_notify_cancel()
    if state == "FINISHED":
        future.set_result(42)
    return future


class Thing:
    """An object that can have weak references."""


@pytest.mark.parametrize("state", STATES)
def test_the_methods_and_repr_show_the_state(library: BackEnd, state: str) -> None:
    future = in_state(library, state)
    assert future._state == state
    assert (future.running(), future.done(), future.cancelled()) == STATES[state][:3]
    words = {"PENDING": "pending", "RUNNING": "running", "FINISHED": "finished returned int"}
    assert repr(future) == f"<Future at {id(future):#x} state={words.get(state, 'cancelled')}>"


@pytest.mark.parametrize("state", STATES)
def test_only_a_future_that_has_not_begun_can_be_cancelled(library: BackEnd, state: str) -> None:
    future, calls = in_state(library, state), []
    future.add_done_callback(calls.append)
    before = len(calls)
    assert future.cancel() is STATES[state][3]
    assert future._state == ("CANCELLED" if state == "PENDING" else state)
    assert len(calls) - before == (state == "PENDING")
    assert future.cancel() is STATES[state][3]
    assert len(calls) - before == (state == "PENDING")


@pytest.mark.parametrize("state", STATES)
def test_a_future_begins_once_and_a_second_time_is_logged(
    library: BackEnd, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    future = in_state(library, state)
    if state in ("PENDING", "CANCELLED"):
        assert future.set_running_or_notify_cancel() is (state == "PENDING")
        state = "RUNNING" if state == "PENDING" else "CANCELLED_AND_NOTIFIED"
        assert future._state == state
    assert not caplog.records
    assert refusal(future.set_running_or_notify_cancel) == (RuntimeError, "Future in unexpected state")
    assert future._state == state
    message = f"Future {id(future)} in unexpected state: {state}"
    assert caplog.record_tuples == [("concurrent.futures", logging.CRITICAL, message)]


@pytest.mark.parametrize("method", ["set_result", "set_exception"])
@pytest.mark.parametrize("state", STATES)
def test_a_future_is_set_once(library: BackEnd, state: str, method: str) -> None:
    future = in_state(library, state)
    if state in DONE:
        expected = (InvalidStateError, f"{state}: {future!r}")
        assert refusal(getattr(future, method), ValueError()) == expected
        assert future._state == state
        if state == "FINISHED":
            assert (future.result(), future.exception()) == (42, None)
        return
    outcome = ValueError("some")
    getattr(future, method)(outcome)
    assert (future._state, future.done(), future.running()) == ("FINISHED", True, False)
    verb = "returned" if method == "set_result" else "raised"
    assert repr(future) == f"<Future at {id(future):#x} state=finished {verb} ValueError>"
    if method == "set_result":
        assert future.result() is future._result is outcome
        assert future.exception() is future._exception is None
    else:
        assert future.exception() is future._exception is outcome
        assert future._result is None
        assert refusal(future.result) == (ValueError, "some")


def test_its_methods_have_the_standard_signatures() -> None:
    ours, standard = OXTHREADS.futures.Future(), concurrent.futures.Future[int]()
    for method in {name for name in vars(concurrent.futures.Future) if name[0] != "_"}:
        assert inspect.signature(getattr(ours, method)) == inspect.signature(getattr(standard, method))


def test_arguments_may_be_given_by_name(library: BackEnd) -> None:
    future, calls = library.futures.Future(), []
    future.add_done_callback(fn=calls.append)
    future.set_result(result=1)
    assert (future.result(timeout=None), future.exception(timeout=0), calls) == (1, None, [future])


@pytest.mark.parametrize("timeout", [0, 0.0, -0.0, -1, -0.5, False, 0.001, 5e-324, float("-inf")])
@pytest.mark.parametrize("state", ["PENDING", "RUNNING"])
def test_a_wait_ends_at_the_timeout(library: BackEnd, state: str, timeout: Any) -> None:
    future = in_state(library, state)
    for wait in (future.result, future.exception):
        assert refusal(wait, timeout) == (TimeoutError, "")
    assert future._state == state


@pytest.mark.parametrize(
    "timeout", ["x", [], object, 1j, Decimal("0.1"), 1e300, float("inf"), 2**70, threading.TIMEOUT_MAX * 2]
)
def test_bad_timeouts_raise_the_standard_errors(timeout: Any) -> None:
    # From Python 3.15 on, any object that converts to a float is accepted.
    refused = not isinstance(timeout, Decimal) or sys.version_info < (3, 15)
    for method in ("result", "exception"):
        ours, standard = OXTHREADS.futures.Future(), concurrent.futures.Future[int]()
        expected = refusal(getattr(standard, method), timeout)
        assert expected[0] in ((TypeError, OverflowError) if refused else (TimeoutError,))
        assert refusal(getattr(ours, method), timeout=timeout) == expected


def test_a_timeout_of_nan_is_what_it_is_in_the_standard_library() -> None:
    # In some versions it means not to wait, and in later ones it is refused.
    for method in ("result", "exception"):
        ours, standard = OXTHREADS.futures.Future(), concurrent.futures.Future[int]()
        expected = refusal(getattr(standard, method), float("nan"))
        assert expected[0] in (TimeoutError, ValueError)
        assert refusal(getattr(ours, method), float("nan")) == expected


@pytest.mark.parametrize("timeout", [None, 0, -1, 0.5, "x", 2**70])
def test_the_timeout_is_ignored_if_the_future_is_done(library: BackEnd, timeout: Any) -> None:
    assert in_state(library, "FINISHED").result(timeout) == 42
    assert in_state(library, "FINISHED").exception(timeout) is None
    for wait in ("result", "exception"):
        for state in ("CANCELLED", "CANCELLED_AND_NOTIFIED"):
            future = in_state(library, state)
            assert refusal(getattr(future, wait), timeout) == (library.futures.CancelledError, "")


@pytest.mark.parametrize("timeout", [None, 30, 30.5, 4_000_001, threading.TIMEOUT_MAX])
@pytest.mark.parametrize("outcome", ["set_result", "set_exception", "cancel"])
def test_all_waiters_are_woken(library: BackEnd, timeout: Any, outcome: str) -> None:
    future, error = library.futures.Future(), LookupError("none")
    waits = [Result(future.result, timeout) for _ in range(5)]
    waits += [Result(future.exception, timeout) for _ in range(5)]
    until_asleep(*(wait.thread for wait in waits))
    getattr(future, outcome)(*{"set_result": [7], "set_exception": [error]}.get(outcome, []))
    for number, wait in enumerate(waits):
        wait.thread.join(TIMEOUT_SECONDS)
        if outcome == "cancel":
            assert isinstance(wait.error, library.futures.CancelledError)
        elif number < 5:
            assert (wait.value, wait.error) == ((7, None) if outcome == "set_result" else (None, error))
        else:
            assert (wait.value, wait.error) == (None if outcome == "set_result" else error, None)


@pytest.mark.parametrize("outcome", ["set_result", "set_exception", "cancel"])
def test_callbacks_run_in_order_in_the_thread_that_ends_the_future(library: BackEnd, outcome: str) -> None:
    future = library.futures.Future()
    calls: list[tuple[object, ...]] = []

    def called(number: int) -> Any:
        return lambda future: calls.append((number, future, future.done(), threading.current_thread()))

    for number in (0, 1, 2):
        future.add_done_callback(called(number))
    twice = called(3)
    future.add_done_callback(twice)
    future.add_done_callback(twice)
    ending = Result(getattr(future, outcome), *([] if outcome == "cancel" else [OSError()]))
    assert ending.get() is (True if outcome == "cancel" else None)
    assert calls == [(number, future, True, ending.thread) for number in (0, 1, 2, 3, 3)]


def test_an_exception_of_a_callback_is_logged_with_its_traceback(
    library: BackEnd, caplog: pytest.LogCaptureFixture
) -> None:
    def clumsy(_: object) -> None:
        raise ZeroDivisionError("from the callback")

    future, calls = library.futures.Future(), []
    future.add_done_callback(clumsy)
    future.add_done_callback(calls.append)
    future.set_result(1)
    assert calls == [future]
    future.add_done_callback(clumsy)
    message = f"exception calling callback for {future!r}"
    assert caplog.record_tuples == [("concurrent.futures", logging.ERROR, message)] * 2
    for record in caplog.records:
        assert record.exc_info is not None
        assert record.exc_info[0] is ZeroDivisionError
        assert traceback.extract_tb(record.exc_info[2])[-1].name == "clumsy"
        shown = logging.Formatter().formatException(record.exc_info)
        assert shown.startswith("Traceback (most recent call last):\n")
        assert shown.endswith("ZeroDivisionError: from the callback")


@pytest.mark.parametrize("state", DONE)
def test_a_callback_is_called_at_once_if_the_future_is_done(library: BackEnd, state: str) -> None:
    future, calls = in_state(library, state), []
    future.add_done_callback(calls.append)
    assert calls == [future]


def test_a_callback_may_add_another_and_wait_for_the_result(library: BackEnd) -> None:
    future, calls = library.futures.Future(), []

    def outer(future: Any) -> None:
        future.add_done_callback(lambda future: calls.append(future.result()))
        calls.append("outer")

    future.add_done_callback(outer)
    future.add_done_callback(lambda _: calls.append("last"))
    future.set_result("inner")
    assert calls == ["inner", "outer", "last"]


@pytest.mark.parametrize("outcome", ["set_result", "set_exception", "cancel", "add_done_callback"])
def test_a_base_exception_of_a_callback_is_raised(
    library: BackEnd, outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    def leave(_: object) -> None:
        raise SystemExit("leave")

    future, calls = library.futures.Future(), []
    if outcome == "add_done_callback":
        future.set_result(1)
    else:
        future.add_done_callback(leave)
        future.add_done_callback(calls.append)
    arguments = {"cancel": (), "add_done_callback": (leave,)}.get(outcome, (KeyError(),))
    assert refusal(getattr(future, outcome), *arguments) == (SystemExit, "leave")
    assert future.done()
    assert not calls
    assert not caplog.records


def test_the_stored_exception_is_raised_with_its_traceback(library: BackEnd) -> None:
    def deep() -> None:
        raise ValueError("deep") from cause

    def ask() -> None:
        future.result()

    cause, future = KeyError("cause"), library.futures.Future()
    try:
        deep()
    except ValueError as error:
        stored = error
        future.set_exception(error)
    for count in (1, 2):
        with pytest.raises(ValueError, match="deep") as caught:
            ask()
        assert caught.value is stored is future.exception()
        frames = [frame.name for frame in traceback.extract_tb(stored.__traceback__)]
        assert [name for name in frames if name in ("ask", "deep")] == ["ask"] * count + ["deep"]
        assert stored.__cause__ is cause
        assert stored.__suppress_context__


def test_the_exception_being_handled_becomes_its_context(library: BackEnd) -> None:
    future, stored = library.futures.Future(), ValueError()
    future.set_exception(stored)
    assert refusal(future.result)[0] is ValueError
    assert stored.__context__ is None
    for handled in (KeyError(1), KeyError(2)):
        try:
            raise handled
        except KeyError:
            assert refusal(future.result)[0] is ValueError
        assert stored.__context__ is handled
    try:
        raise stored
    except ValueError:
        assert refusal(future.result)[0] is ValueError
    assert stored.__context__ is handled
    cancelled = in_state(library, "CANCELLED")
    try:
        raise handled
    except KeyError:
        with pytest.raises(library.futures.CancelledError) as caught:
            cancelled.result()
    assert caught.value.__context__ is handled


def test_an_exception_class_is_raised_as_an_instance(library: BackEnd) -> None:
    future = library.futures.Future()
    future.set_exception(KeyboardInterrupt)
    assert future.exception() is KeyboardInterrupt
    assert refusal(future.result) == (KeyboardInterrupt, "")


class Problems(Exception):
    def __len__(self) -> int:
        return len(self.args)


@pytest.mark.parametrize("stored", ["text", int, None, "", Problems(), Problems(1)], ids=repr)
def test_any_object_set_as_the_exception_is_treated_as_in_the_standard_library(stored: Any) -> None:
    def outcome(future: Any) -> list[object]:
        future.set_exception(exception=stored)
        assert future.exception() is stored
        seen: list[object] = [repr(future).partition("state=")[2]]
        try:
            return [*seen, "returned", future.result()]
        except (TypeError, Problems) as error:
            return [*seen, "raised", type(error), str(error)]

    assert outcome(OXTHREADS.futures.Future()) == outcome(concurrent.futures.Future())


def test_the_class_derives_from_the_standard_class() -> None:
    ours = OXTHREADS.futures.Future
    assert issubclass(ours, concurrent.futures.Future)
    assert isinstance(ours(), concurrent.futures.Future)
    assert not isinstance(concurrent.futures.Future(), ours)


def test_the_module_has_all_names_of_the_standard_module() -> None:
    # Before Python 3.13, InvalidStateError is neither in __all__ nor in dir().
    found = {name for name, value in vars(concurrent.futures).items() if isinstance(value, type)}
    names = found.union(dir(concurrent.futures))
    assert {name for name in names if not hasattr(OXTHREADS.futures, name)} == set()
    for name in found - {"Future", "ThreadPoolExecutor"}:
        assert getattr(OXTHREADS.futures, name) is getattr(concurrent.futures, name)


def test_a_future_can_be_compared_hashed_and_given_attributes(library: BackEnd) -> None:
    future, other = library.futures.Future(), library.futures.Future()
    assert future == future  # noqa: PLR0124
    assert future != other
    assert len({future, other, future}) == 2
    future.label = "mine"
    assert future.label == "mine"
    assert library.futures.Future[int].__origin__ is library.futures.Future
    reference = weakref.ref(future)
    assert reference() is future
    del future
    assert reference() is None


def test_wrong_calls_and_pickling_raise_type_error(library: BackEnd) -> None:
    future = library.futures.Future()
    assert refusal(pickle.dumps, future)[0] is TypeError
    assert refusal(library.futures.Future, 1)[0] is TypeError
    assert refusal(library.futures.Future, size=1)[0] is TypeError
    for method, args in [("result", (1, 2)), ("cancel", (1,)), ("set_result", ()), ("done", (1,))]:
        assert refusal(getattr(future, method), *args)[0] is TypeError
    assert future._state == "PENDING"


def test_a_subclass_may_have_its_own_initializer(library: BackEnd) -> None:
    class Labelled(library.futures.Future):  # type: ignore[misc, name-defined]
        def __init__(self, label: str, *, size: int) -> None:
            super().__init__()
            self.label, self.size = label, size

        def set_result(self, result: int) -> None:
            super().set_result(result * self.size)

    future = Labelled("a", size=3)
    assert (future.label, future.size, future.done()) == ("a", 3, False)
    waiter = Result(future.result)
    until_asleep(waiter.thread)
    future.set_result(2)
    assert waiter.get() == 6
    assert repr(future) == f"<Labelled at {id(future):#x} state=finished returned int>"


def test_a_subclass_may_override_how_callbacks_are_invoked(library: BackEnd) -> None:
    class Announcing(library.futures.Future):  # type: ignore[misc, name-defined]
        def _invoke_callbacks(self) -> None:
            calls.append("invoked")
            super()._invoke_callbacks()

    calls: list[str] = []
    future = Announcing()
    future.add_done_callback(lambda _: calls.append("called"))
    future.set_result(1)
    assert calls == ["invoked", "called"]


def test_initializing_it_again_makes_it_pending(library: BackEnd) -> None:
    future = in_state(library, "FINISHED")
    future.__init__()
    assert not future.done()
    future.set_result(43)
    assert future.result() == 43


def race(futures: list[Any], *attempts: Callable[[Any], object]) -> list[list[object]]:
    """Let one thread make each attempt on all futures. Return the outcomes for each future."""
    barrier = threading.Barrier(len(attempts))
    outcomes: list[list[object]] = [[None] * len(attempts) for _ in futures]

    def contend(number: int) -> None:
        barrier.wait()
        # Each thread begins with another future, so that none is always the first.
        for turn in range(len(futures)):
            index = turn - number * len(futures) // len(attempts)
            outcomes[index][number] = attempts[number](futures[index])

    for thread in [Result(contend, number) for number in range(len(attempts))]:
        thread.get()
    return outcomes


@pytest.mark.parametrize("method", ["set_result", "set_exception"])
def test_one_of_several_racing_setters_wins(library: BackEnd, frantic: None, method: str) -> None:
    def attempt(future: Any) -> bool:
        try:
            getattr(future, method)(KeyError(threading.get_ident()))
        except InvalidStateError:
            return False
        return True

    futures, calls = [library.futures.Future() for _ in range(1000)], []
    for future in futures:
        future.add_done_callback(calls.append)
    for outcomes in race(futures, *[attempt] * 5):
        assert outcomes.count(True) == 1
    assert sorted(map(id, calls)) == sorted(map(id, futures))


def test_a_future_is_either_cancelled_or_begun(library: BackEnd, frantic: None) -> None:
    futures, calls = [library.futures.Future() for _ in range(1000)], []
    for future in futures:
        future.add_done_callback(calls.append)
    begin, cancel = library.futures.Future.set_running_or_notify_cancel, library.futures.Future.cancel
    for future, outcomes in zip(futures, race(futures, cancel, cancel, begin, cancel), strict=True):
        begun = outcomes.pop(2)
        assert outcomes == [not begun] * 3
        assert (future.running(), future.cancelled()) == (begun, not begun)
    assert sorted(map(id, calls)) == sorted(id(future) for future in futures if future.cancelled())


def test_a_callback_added_while_the_future_ends_is_called_once(library: BackEnd, frantic: None) -> None:
    for _ in rounds(200):
        future, barrier, calls = library.futures.Future(), threading.Barrier(3), []

        def add(future: Any = future, barrier: threading.Barrier = barrier, calls: Any = calls) -> None:
            barrier.wait()
            for number in range(5):
                future.add_done_callback(lambda _, number=number: calls.append(number))

        adders = [Result(add), Result(add)]
        barrier.wait()
        future.set_result(1)
        for adder in adders:
            adder.get()
        assert sorted(calls) == sorted([*range(5)] * 2)


def test_cycles_through_a_future_are_collected(library: BackEnd) -> None:
    pending, finished, failed = (library.futures.Future() for _ in range(3))
    things = [Thing(), Thing(), Thing()]
    pending.add_done_callback(lambda _, kept=(pending, things[0]): None)
    things[1].future = finished  # type: ignore[attr-defined]
    finished.set_result(things[1])
    error = ValueError(failed, things[2])
    failed.set_exception(error)
    alive = [weakref.ref(each) for each in (pending, finished, failed, *things)]
    gc.collect()
    assert None not in [reference() for reference in alive]
    del pending, finished, failed, things, error
    gc.collect()
    assert [reference() for reference in alive] == [None] * 6


def test_the_result_is_freed_with_the_future_without_a_collection(library: BackEnd) -> None:
    future, thing = library.futures.Future(), Thing()
    future.set_result(thing)
    alive = weakref.ref(thing)
    del thing
    assert isinstance(alive(), Thing)
    del future
    assert alive() is None
