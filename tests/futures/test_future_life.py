"""Tests of how a future begins and ends, and of what it keeps alive. Most run on the standard library too."""

from __future__ import annotations

import concurrent.futures
import copy
import gc
import inspect
import pickle
import sys
import threading
import traceback
import weakref
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, BackEnd
from tests.support.interpreters import python
from tests.support.mixed_futures import cancelled, failed, finished, observers
from tests.support.refusals import refusal
from tests.support.threads import Result
from tests.support.waiting import spin_until, until_asleep


class Thing:
    """An object that can have weak references."""


def test_the_class_has_the_standard_signature(library: BackEnd) -> None:
    class Mine(library.futures.Future):  # type: ignore[misc, name-defined]
        pass

    class Labelled(library.futures.Future):  # type: ignore[misc, name-defined]
        def __init__(self, label: str) -> None:
            super().__init__()

    assert str(inspect.signature(library.futures.Future)) == "()"
    assert str(inspect.signature(Mine)) == "()"
    assert list(inspect.signature(Labelled).parameters) == ["label"]


def test_a_future_that_was_not_initialized_has_no_attributes(library: BackEnd) -> None:
    future = library.futures.Future.__new__(library.futures.Future)
    missing = (AttributeError, "'Future' object has no attribute '_condition'")
    for method, arguments in [
        ("done", ()),
        ("running", ()),
        ("cancelled", ()),
        ("cancel", ()),
        ("result", (0,)),
        ("exception", (0,)),
        ("add_done_callback", (print,)),
        ("set_running_or_notify_cancel", ()),
        ("set_result", (1,)),
        ("set_exception", (KeyError(),)),
        ("__repr__", ()),
    ]:
        assert refusal(getattr(future, method), *arguments) == missing
    assert refusal(library.futures.wait, [future]) == missing
    assert refusal(list, library.futures.as_completed([future])) == missing
    for name in ("_state", "_result", "_exception", "_condition", "_waiters", "_done_callbacks"):
        assert refusal(getattr, future, name) == (
            AttributeError,
            f"'Future' object has no attribute {name!r}",
        )
    future.__init__()
    assert (future.done(), future._state) == (False, "PENDING")
    assert finished(future, 1).result() == 1


def test_a_subclass_may_make_the_attributes_itself(library: BackEnd) -> None:
    class Mine(library.futures.Future):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self._condition = threading.Condition()
            self._state = "PENDING"
            self._result = self._exception = None
            self._waiters: list[Any] = []
            self._done_callbacks: list[Any] = []

    future, calls = Mine(), []
    future.add_done_callback(calls.append)
    waits = [Result(future.result), Result(library.futures.wait, [future])]
    until_asleep(*(wait.thread for wait in waits))
    future.set_result(5)
    assert [wait.get() for wait in waits] == [5, ({future}, set())]
    assert (future.result(), future.done(), calls) == (5, True, [future])


def test_a_subclass_may_have_slots_and_attributes(library: BackEnd) -> None:
    class Mine(library.futures.Future):  # type: ignore[misc, name-defined]
        __slots__ = ("extra",)

    future = Mine()
    future.extra, future.other = 1, 2
    assert (future.extra, vars(future)["other"]) == (1, 2)
    del future.extra, future.other
    assert refusal(getattr, future, "extra")[0] is AttributeError
    assert refusal(delattr, future, "other")[0] is AttributeError


def test_using_a_deleted_attribute_raises_attribute_error(library: BackEnd) -> None:
    for name in ("_condition", "_waiters", "_done_callbacks"):
        future = library.futures.Future()
        delattr(future, name)
        missing = (AttributeError, f"'Future' object has no attribute {name!r}")
        assert refusal(getattr, future, name) == missing
        assert refusal(delattr, future, name)[0] is AttributeError
        assert refusal(future.set_result, 1) == missing


@pytest.mark.parametrize("how", [pickle.dumps, copy.deepcopy])
def test_a_future_cannot_be_pickled_or_copied(library: BackEnd, how: Any) -> None:
    for future in (library.futures.Future(), finished(library.futures.Future(), 1)):
        assert refusal(how, future)[0] is TypeError


def test_the_functions_are_pickled_by_name() -> None:
    for function in (OXTHREADS.futures.wait, OXTHREADS.futures.as_completed):
        assert pickle.loads(pickle.dumps(function)) is function


def test_raising_the_exception_leaves_no_cycle(library: BackEnd) -> None:
    def ask(future: Any) -> None:
        with pytest.raises(KeyError):
            future.result()

    gc.collect()
    gc.disable()
    try:
        future, error = library.futures.Future(), KeyError()
        alive = [weakref.ref(future)]
        ask(failed(future, error))
        frames = len(traceback.extract_tb(error.__traceback__))
        ask(future)
        # Each read adds the frames of its caller, and none of ours.
        own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name == "ask"]
        assert len(own) == 2
        assert len(traceback.extract_tb(error.__traceback__)) == 2 * frames
        # The traceback holds the frame of ask(), and that frame holds the future.
        error.__traceback__ = None
        del future, error
        assert [reference() for reference in alive] == [None]
    finally:
        gc.enable()


@pytest.mark.skipif(sys.version_info < (3, 15), reason="asyncio uses it from Python 3.15 on")
def test_get_snapshot_returns_the_state(library: BackEnd) -> None:
    error = KeyError()
    snapshots = {
        "pending": library.futures.Future(),
        "cancelled": library.futures.Future(),
        "seen": cancelled(library.futures.Future()),
        "returned": finished(library.futures.Future(), 7),
        "raised": failed(library.futures.Future(), error),
        "running": library.futures.Future(),
    }
    snapshots["cancelled"].cancel()
    snapshots["running"].set_running_or_notify_cancel()
    expected = {
        "pending": (False, False, None, None),
        "running": (False, False, None, None),
        "cancelled": (True, True, None, None),
        "seen": (True, True, None, None),
        "returned": (True, False, 7, None),
        "raised": (True, False, None, error),
    }
    assert {name: future._get_snapshot() for name, future in snapshots.items()} == expected
    if library is OXTHREADS:
        assert [vars(future) for future in snapshots.values()] == [{}] * 6
    for future in snapshots.values():
        assert future._condition
    assert {name: future._get_snapshot() for name, future in snapshots.items()} == expected
    bare = library.futures.Future.__new__(library.futures.Future)
    assert refusal(bare._get_snapshot)[0] is AttributeError


def test_get_snapshot_exists_only_where_the_standard_class_has_it() -> None:
    has = hasattr(concurrent.futures.Future, "_get_snapshot")
    assert hasattr(OXTHREADS.futures.Future, "_get_snapshot") is has


def test_a_wait_goes_on_when_the_future_is_initialized_again() -> None:
    future = OXTHREADS.futures.Future()
    waiting = Result(OXTHREADS.futures.wait, [future])
    until_asleep(waiting.thread)
    future.__init__()
    finished(future)
    assert waiting.get() == ({future}, set())
    assert observers(future) == 0


def test_a_callback_and_its_return_value_are_freed(library: BackEnd) -> None:
    returned, callback = Thing(), Thing()
    alive = [weakref.ref(returned), weakref.ref(callback)]
    future = library.futures.Future()
    future.add_done_callback(lambda _, kept=callback, things=[returned]: things.pop())
    del returned, callback
    future.set_result(1)
    spin_until(lambda: alive[0]() is None)
    del future
    spin_until(lambda: alive[1]() is None)


RELEASES = """
import sys, threading, time
from concurrent.futures import Future, wait

class Slow:
    # The thread sleeps here, detached, while the interpreter is finalized. It is ended when it attaches
    # again.
    def __del__(self, sleep=time.sleep):
        entered.set()
        sleep(0.001)

class Failing(Exception):
    __del__ = Slow.__del__

class Late:
    # This object is freed when no other thread can attach to the interpreter any more.
    def __del__(self, sleep=time.sleep):
        sleep(0.02)

sys.keep = Late()

def let_result_go():
    future = Future(); future.set_result(Slow()); future.__init__()
def let_callback_go():
    future = Future()
    def callback(future, slow=Slow()): pass
    future.add_done_callback(callback); del callback; future.set_result(1)
def let_returned_go():
    future = Future(); future.add_done_callback(lambda _: Slow()); future.set_result(1)
def let_future_go():
    future = Future(); future.set_result(Slow()); del future
def let_logged_go():
    def callback(_): raise Failing
    future = Future(); future.add_done_callback(callback); future.set_result(1)
def let_overwritten_go():
    future = Future(); future._result = Slow(); future._result = None

import logging
logging.getLogger("concurrent.futures").addHandler(logging.NullHandler())
logging.getLogger("concurrent.futures").propagate = False
entered = threading.Event()
def run():
    while True: globals()[sys.argv[1]]()
threading.Thread(target=run, daemon=True).start()
entered.wait()
"""


@pytest.mark.parametrize(
    "name",
    ["result", "callback", "returned", "future", "logged", "overwritten"],
)
def test_a_daemon_thread_that_frees_an_object_is_ended_without_a_crash(name: str) -> None:
    done = python(RELEASES, f"let_{name}_go")
    assert (done.returncode, done.stderr) == (0, "")


class MakesInt(Exception):
    def __new__(cls) -> Any:
        return 5


class NoException:
    def __init__(self) -> None:
        pytest.fail("the object was made")


@pytest.mark.parametrize(
    ("exception", "words"),
    [
        (MakesInt, f"calling {MakesInt} should have returned an instance of BaseException, not {int}"),
        (NoException, "exceptions must derive from BaseException"),
    ],
)
def test_a_class_that_makes_no_exception_is_refused_as_in_a_raise_statement(
    library: BackEnd, exception: Any, words: str
) -> None:
    future = library.futures.Future()
    future.set_exception(exception)
    assert refusal(future.result) == (TypeError, words)


def test_an_exception_without_a_truth_value_is_treated_as_in_the_standard_library(library: BackEnd) -> None:
    class Undecided(Exception):
        def __bool__(self) -> bool:
            raise ZeroDivisionError

    future = library.futures.Future()
    future.set_exception(Undecided())
    expected = Undecided if sys.version_info >= (3, 14) else ZeroDivisionError
    assert refusal(future.result)[0] is expected
    assert type(future.exception()) is Undecided


def test_the_error_message_uses_the_repr_of_the_class(library: BackEnd) -> None:
    class Shown(library.futures.Future):  # type: ignore[name-defined, misc]
        def __repr__(self) -> str:
            return "as the class says"

    future = Shown()
    future.__repr__ = lambda: "as the instance says"
    future.set_result(1)
    assert refusal(future.set_result, 2)[1] == "FINISHED: as the class says"
