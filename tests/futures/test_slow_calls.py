"""Reports of calls that run for long: ``slow_after`` and ``on_slow``."""

from __future__ import annotations

import gc
import logging
import logging.handlers
import os
import queue
import re
import sysconfig
import threading
import time
import weakref
from typing import Any

import pytest

from oxthreads.concurrent.futures import SlowCall, ThreadPoolExecutor
from oxthreads.threading import Event
from tests.support.waiting import TIMEOUT_SECONDS, spin_until

pytestmark = pytest.mark.one_thread("there is one thread that looks at all pools")

HAS_GIL = not sysconfig.get_config_var("Py_GIL_DISABLED")


def test_a_call_that_runs_for_long_is_reported_once_with_its_stack() -> None:
    slow: queue.Queue[SlowCall] = queue.Queue()
    end = Event()

    def inner() -> None:
        end.wait(TIMEOUT_SECONDS)  # here it is

    def outer() -> None:
        inner()

    # Long enough for the call to come to its wait.
    with ThreadPoolExecutor(2, "tea", slow_after=0.5, on_slow=slow.put) as pool:
        begun = time.monotonic()
        pool.submit(outer)
        call = slow.get(timeout=TIMEOUT_SECONDS)
        assert call.thread == "tea_0"
        assert 0.5 <= call.seconds <= time.monotonic() - begun
        if HAS_GIL:
            assert [entry.name for entry in call.stack][:2] == ["outer", "inner"]
            assert call.stack[1].line == "end.wait(TIMEOUT_SECONDS)  # here it is"
        else:
            assert call.stack == []
        # Others beside it are no reason to report it again.
        for _ in range(50):
            pool.submit(time.sleep, 0.01).result()
        end.set()
    # Only one of these may be slow, too, on a busy machine.
    assert "tea_0" not in [slow.get_nowait().thread for _ in range(slow.qsize())]


def test_each_slow_call_is_reported() -> None:
    slow: queue.Queue[SlowCall] = queue.Queue()
    with ThreadPoolExecutor(1, slow_after=0.02, on_slow=slow.put) as pool:
        for _ in range(3):
            end = Event()
            future = pool.submit(end.wait)
            slow.get(timeout=TIMEOUT_SECONDS)
            end.set()
            future.result(TIMEOUT_SECONDS)
    assert slow.empty()


def test_calls_that_end_in_time_are_not_reported() -> None:
    slow: queue.Queue[SlowCall] = queue.Queue()
    with ThreadPoolExecutor(2, slow_after=TIMEOUT_SECONDS, on_slow=slow.put) as pool:
        for future in [pool.submit(time.sleep, 0.005) for _ in range(100)]:
            future.result()
    assert slow.empty()


def test_without_a_function_a_warning_is_logged() -> None:
    end = Event()
    logged: queue.Queue[logging.LogRecord] = queue.Queue()
    handler = logging.handlers.QueueHandler(logged)
    logging.getLogger("oxthreads").addHandler(handler)
    try:
        with ThreadPoolExecutor(1, "tea", slow_after=0.02) as pool:
            pool.submit(end.wait)
            record = logged.get(timeout=TIMEOUT_SECONDS)
            end.set()
    finally:
        logging.getLogger("oxthreads").removeHandler(handler)
    assert logged.empty()
    assert record.levelname == "WARNING"
    assert re.match(r"a call in tea_0 has run for \d+\.", record.getMessage())


@pytest.mark.parametrize("error", [LookupError, SystemExit, KeyboardInterrupt])
def test_what_the_function_raises_is_logged_and_the_others_are_reported(
    caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    calls: queue.Queue[SlowCall] = queue.Queue()

    def fail(call: SlowCall) -> None:
        calls.put(call)
        raise error("on purpose")

    with ThreadPoolExecutor(1, slow_after=0.02, on_slow=fail) as pool:
        for _ in range(2):
            end = Event()
            future = pool.submit(end.wait)
            calls.get(timeout=TIMEOUT_SECONDS)
            end.set()
            future.result(TIMEOUT_SECONDS)
    # The report is logged after the function was called.
    spin_until(lambda: "on purpose" in caplog.text)
    assert "Exception in on_slow" in caplog.text
    assert "on purpose" in caplog.text


def test_a_pool_is_not_kept_alive_and_the_thread_ends_with_the_last_one() -> None:
    pool: Any = ThreadPoolExecutor(1, slow_after=0.02)
    pool.submit(int).result()
    reference = weakref.ref(pool)
    pool.shutdown()
    del pool
    end = time.monotonic() + TIMEOUT_SECONDS
    while reference() is not None or _looking_threads():
        gc.collect()
        assert time.monotonic() < end
        time.sleep(0.01)


def _looking_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "oxthreads-slow-calls"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_reports_its_own_calls() -> None:
    slow: queue.Queue[SlowCall] = queue.Queue()
    with ThreadPoolExecutor(1, slow_after=0.02, on_slow=slow.put) as pool:
        pool.submit(int).result()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                end = Event()
                pool.submit(end.wait)
                slow.get(timeout=TIMEOUT_SECONDS)
                end.set()
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
    assert status == 0
