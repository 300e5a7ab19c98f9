"""Tests of names that the standard classes look up in their module at each use, and that programs replace."""

from __future__ import annotations

import logging
import queue
import sys
import threading
from concurrent.futures import _base
from concurrent.futures import thread as _thread
from typing import Any
from unittest import mock

import pytest

import oxthreads.concurrent.futures
import oxthreads.queue
import oxthreads.threading
from tests.support.back_ends import STANDARD, BackEnd
from tests.support.interpreters import python

NEW_IN_13 = pytest.mark.skipif(sys.version_info < (3, 13), reason="new in Python 3.13")


class Bad(Exception):
    """The exception that a program raises instead."""


def _full(back_end: BackEnd, name: str) -> Any:
    items = getattr(back_end.queue, name)(1)
    items.put(1)
    return items


def _shut_down(back_end: BackEnd, name: str) -> Any:
    items = getattr(back_end.queue, name)()
    items.shutdown()
    return items


def _broken(back_end: BackEnd) -> Any:
    barrier = back_end.threading.Barrier(2)
    barrier.abort()
    return barrier


def _cancelled(back_end: BackEnd) -> Any:
    future = back_end.futures.Future()
    future.cancel()
    return future


def _done(back_end: BackEnd) -> Any:
    future = back_end.futures.Future()
    future.set_result(1)
    return future


QUEUES = ("Queue", "LifoQueue", "PriorityQueue")

#: The module, the name of the exception, and a call that raises it.
RAISES: list[Any] = [
    *((queue, "Empty", lambda each, n=n: getattr(each.queue, n)().get_nowait()) for n in QUEUES),
    *((queue, "Empty", lambda each, n=n: getattr(each.queue, n)().get(timeout=0.001)) for n in QUEUES),
    *((queue, "Full", lambda each, n=n: _full(each, n).put_nowait(2)) for n in QUEUES),
    *((queue, "Full", lambda each, n=n: _full(each, n).put(2, timeout=0.001)) for n in QUEUES),
    *(
        pytest.param(queue, "ShutDown", lambda each, n=n: _shut_down(each, n).put(2), marks=NEW_IN_13)
        for n in QUEUES
    ),
    *(
        pytest.param(queue, "ShutDown", lambda each, n=n: _shut_down(each, n).get(), marks=NEW_IN_13)
        for n in QUEUES
    ),
    (threading, "BrokenBarrierError", lambda each: _broken(each).wait()),
    (_base, "CancelledError", lambda each: _cancelled(each).result()),
    (_base, "CancelledError", lambda each: _cancelled(each).exception()),
    (_base, "TimeoutError", lambda each: each.futures.Future().result(0.001)),
    (_base, "TimeoutError", lambda each: each.futures.Future().exception(0)),
    (_base, "TimeoutError", lambda each: list(each.futures.as_completed([each.futures.Future()], 0.001))),
    (_base, "InvalidStateError", lambda each: _done(each).set_result(1)),
    (_base, "InvalidStateError", lambda each: _done(each).set_exception(Bad())),
]


def _raised(call: Any, back_end: BackEnd) -> BaseException:
    with pytest.raises(BaseException) as caught:
        call(back_end)
    return caught.value


@pytest.mark.parametrize(("module", "name", "call"), RAISES)
def test_an_exception_that_a_program_has_put_into_the_module_is_raised(
    library: BackEnd, module: Any, name: str, call: Any
) -> None:
    class Worse(BaseException):
        pass

    before = getattr(module, name)
    for other in (Bad, Worse):
        with mock.patch.object(module, name, other):
            error = _raised(call, library)
            assert type(error) is other
        assert type(_raised(call, library)) is before
    # Futures raise `NAME()`, other code raises `NAME`.
    is_made = module is _base
    made: list[Any] = []

    def make(*given: Any) -> Bad:
        made.append(given)
        return Bad(*given)

    with mock.patch.object(module, name, make):
        error = _raised(call, library)
    assert type(error) is (Bad if is_made else TypeError)
    assert made == ([error.args] if is_made else [])
    instance = Bad("this one")
    with mock.patch.object(module, name, instance):
        error = _raised(call, library)
        assert isinstance(error, TypeError) if is_made else error is instance
    with mock.patch.object(module, name, 3):
        assert type(_raised(call, library)) is TypeError


def test_our_modules_share_these_names_with_the_standard_modules() -> None:
    for ours, module, names in (
        (oxthreads.queue, queue, ["Empty", "Full"] + ["ShutDown"] * (sys.version_info >= (3, 13))),
        (oxthreads.threading, threading, ["BrokenBarrierError"]),
    ):
        for name in names:
            first = getattr(module, name)
            for one, other in ((ours, module), (module, ours)):
                with mock.patch.object(one, name, Bad):
                    assert getattr(other, name) is Bad
                assert getattr(ours, name) is getattr(module, name) is first
            assert name in dir(ours) and name not in vars(ours)
    with mock.patch.object(oxthreads.queue, "Empty", Bad), pytest.raises(Bad):
        oxthreads.queue.Queue().get_nowait()


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the standard library has this exception")
def test_put_raises_our_shutdown_exception() -> None:
    items = oxthreads.queue.Queue[int]()
    items.shutdown()
    with pytest.raises(oxthreads.queue.ShutDown):
        items.put(1)


def test_simple_queue_raises_the_original_exception(library: BackEnd) -> None:
    first = queue.Empty
    with mock.patch.object(queue, "Empty", Bad), pytest.raises(first):
        library.queue.SimpleQueue().get_nowait()


def test_exceptions_of_callbacks_go_to_the_current_logger(library: BackEnd) -> None:
    logger = mock.Mock()
    future = library.futures.Future()
    with mock.patch.object(_base, "LOGGER", logger):
        future.add_done_callback(lambda _: 1 / 0)
        future.set_result(1)
        future.add_done_callback(lambda _: 1 / 0)
        with pytest.raises(RuntimeError):
            future.set_running_or_notify_cancel()
    words = "exception calling callback for %r"
    assert logger.mock_calls == [
        mock.call.exception(words, future),
        mock.call.exception(words, future),
        mock.call.critical("Future %s in unexpected state: %s", id(future), "FINISHED"),
    ]


def test_the_standard_logger_logs_the_exception_of_a_callback(
    library: BackEnd, caplog: pytest.LogCaptureFixture
) -> None:
    future = library.futures.Future()
    future.add_done_callback(lambda _: 1 / 0)
    with caplog.at_level(logging.ERROR):
        future.set_result(1)
    (record,) = caplog.records
    assert record.exc_info and record.exc_info[0] is ZeroDivisionError
    assert (record.levelname, record.name) == ("ERROR", "concurrent.futures")


def test_a_broken_pool_raises_the_current_exception_class(library: BackEnd) -> None:
    def fail() -> None:
        raise Bad

    with library.futures.ThreadPoolExecutor(1, initializer=fail) as executor:
        first = executor.submit(int)
        with pytest.raises(_thread.BrokenThreadPool):
            first.result()
        owner, name = (
            (type(executor), "BROKEN") if hasattr(executor, "BROKEN") else (_thread, "BrokenThreadPool")
        )
        with mock.patch.object(owner, name, Bad), pytest.raises(Bad):
            executor.submit(int)


def test_a_condition_without_a_lock_makes_one_with_the_current_rlock(library: BackEnd) -> None:
    made: list[Any] = []
    standard = threading.RLock

    def make() -> Any:
        made.append(standard())
        return made[-1]

    with mock.patch.object(threading, "RLock", make):
        condition = library.threading.Condition()
        with condition:
            assert made[0]._is_owned()
            condition.wait(0)
            condition.notify()
    assert not made[0]._is_owned()
    condition = library.threading.Condition()
    with condition:
        condition.notify_all()
    assert len(made) == 1
    with mock.patch.object(library.threading, "RLock", make), library.threading.Condition():
        assert made[1]._is_owned()


def test_after_a_reload_the_new_exceptions_are_raised(library: BackEnd) -> None:
    runner = library is not STANDARD
    result = python(
        """
import importlib, queue, threading, concurrent.futures
from concurrent.futures import _base
items, barrier, future = queue.Queue(), threading.Barrier(2), concurrent.futures.Future()
barrier.abort(), future.cancel()
before = queue.Full, threading.BrokenBarrierError, _base.CancelledError
queue.Queue(1)
items.maxsize = 1
items.put(1)
for module in queue, threading, _base:
    importlib.reload(module)
after = queue.Full, threading.BrokenBarrierError, _base.CancelledError
assert not set(before) & set(after)
calls = lambda: items.put_nowait(2), barrier.wait, future.result
for call, error in zip(calls, after):
    try:
        call()
    except error:
        print("as it is now")
""",
        runner=runner,
        OXTHREADS="0",
    )
    assert (result.stdout, result.stderr) == ("as it is now\n" * 3, "")


def test_the_names_are_found_while_the_interpreter_ends(library: BackEnd) -> None:
    for replaced in ("", "queue.Empty = threading.BrokenBarrierError = _base.CancelledError = Bad"):
        result = python(
            f"""
import builtins, queue, threading, concurrent.futures, sys
from concurrent.futures import _base
class Bad(Exception): pass
class Late:
    def __init__(self):
        self.items, self.barrier = queue.Queue(), threading.Barrier(2)
        self.future = concurrent.futures.Future()
        self.barrier.abort(), self.future.cancel()
        self.print, self.write = print, sys.stdout.write
    def __del__(self):
        for call in (self.items.get_nowait, self.barrier.wait, self.future.result):
            try:
                call()
            except BaseException as error:
                self.write(type(error).__name__ + " ")
{replaced}
builtins.late = Late()
sys.modules["later"] = Late()
""",
            runner=library is not STANDARD,
            OXTHREADS="0",
        )
        # The standard classes may find None in their modules. No result is right or wrong, but the program
        # must end.
        assert result.returncode == 0
        if library is not STANDARD:
            assert not set(result.stdout.split()) - {"Bad", "Empty", "BrokenBarrierError", "CancelledError"}
            assert len(result.stdout.split()) == 6
