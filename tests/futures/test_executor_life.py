"""Tests of the life of a pool, from its first call to its end.

There are re-entrant calls, references, pools that are dropped, forks, many threads, and the end of the
interpreter.
"""

from __future__ import annotations

import gc
import itertools
import os
import random
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, BackEnd
from tests.support.forks import can_fork, forks, in_child
from tests.support.interpreters import FREE_THREADED, python
from tests.support.refusals import refusal
from tests.support.threads import Result
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, until_asleep

AFTER_SHUTDOWN = "cannot schedule new futures after shutdown"


class Thing:
    """An object that can have weak references."""


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Disable the garbage collector, so that only reference counts free objects."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_a_call_may_submit_another(library: BackEnd) -> None:
    with library.futures.ThreadPoolExecutor(1) as executor:
        inner = executor.submit(lambda: executor.submit(pow, 2, 3)).result(TIMEOUT_SECONDS)
        assert inner.result(TIMEOUT_SECONDS) == 8


def test_a_done_callback_may_submit_another_call(library: BackEnd) -> None:
    with library.futures.ThreadPoolExecutor(1) as executor:
        gate, inner = threading.Event(), library.futures.Future()
        outer = executor.submit(gate.wait, TIMEOUT_SECONDS)
        outer.add_done_callback(lambda _: inner.set_result(executor.submit(pow, 2, 3)))
        gate.set()
        assert inner.result(TIMEOUT_SECONDS).result(TIMEOUT_SECONDS) == 8


def test_an_argument_may_submit_a_call_when_it_is_freed(library: BackEnd) -> None:
    class Chatty:
        def __del__(self) -> None:
            futures.append(executor.submit(pow, 2, 3))

    futures: list[Any] = []
    with library.futures.ThreadPoolExecutor(1) as executor:
        executor.submit(id, Chatty())
        spin_until(lambda: futures)
        assert futures[0].result(TIMEOUT_SECONDS) == 8


def test_submit_from_del_during_submit_does_not_deadlock() -> None:
    class Chatty:
        def __del__(self) -> None:
            executor.submit(ran.append, "from __del__")

    def work() -> None:
        for _ in range(200):
            cycle: list[Any] = [Chatty()]
            cycle.append(cycle)
            del cycle
            executor.submit(ran.append, "plain")
        gc.collect()

    ran: list[str] = []
    executor, threshold = OXTHREADS.futures.ThreadPoolExecutor(2), gc.get_threshold()
    gc.set_threshold(1)
    try:
        Result(work).get()
    finally:
        gc.set_threshold(*threshold)
    executor.shutdown()
    assert ran.count("plain") == ran.count("from __del__") == 200


def test_after_an_interrupt_before_its_start_another_worker_can_be_started(library: BackEnd) -> None:
    class Interrupted(library.futures.ThreadPoolExecutor):  # type: ignore[misc, name-defined]
        interrupted = False

        def _adjust_thread_count(self) -> None:
            if not self.interrupted:
                self.interrupted = True
                raise KeyboardInterrupt
            super()._adjust_thread_count()

    executor, ran = Interrupted(1), []
    with pytest.raises(KeyboardInterrupt):
        executor.submit(ran.append, 1)
    executor.submit(ran.append, 2).result(TIMEOUT_SECONDS)
    assert ran == [1, 2]
    Result(executor.shutdown).get()


def test_shutdown_does_not_wait_for_a_worker_that_died_at_its_start(
    library: BackEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("trace")

    died = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: died.set())
    executor = library.futures.ThreadPoolExecutor(1)
    threading.settrace(fail)
    try:
        future = executor.submit(int)
        assert died.wait(TIMEOUT_SECONDS)
    finally:
        threading.settrace(None)  # type: ignore[arg-type]
    Result(executor.shutdown).get()
    # Our pool may start other workers until one does not die.
    assert library is OXTHREADS or not future.done()


def test_a_worker_that_died_at_its_start_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the standard library, the call would never be run."""
    failures = iter(range(5))

    def fail(*_: object) -> None:
        if next(failures, None) is not None:
            raise KeyError("trace")

    died: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    executor = OXTHREADS.futures.ThreadPoolExecutor(1)
    threading.settrace(fail)
    try:
        assert executor.submit(int).result(TIMEOUT_SECONDS) == 0
    finally:
        threading.settrace(None)  # type: ignore[arg-type]
    Result(executor.shutdown).get()
    assert len(died) == 5
    assert executor.stats().done == 1


def test_workers_that_always_die_at_their_start_are_not_replaced_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("trace")

    died: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    executor = OXTHREADS.futures.ThreadPoolExecutor(1)
    threading.settrace(fail)
    try:
        future = executor.submit(int)
        spin_until(lambda: len(died) == 11)
    finally:
        threading.settrace(None)  # type: ignore[arg-type]
    Result(executor.shutdown).get()
    assert not future.done()
    assert len(died) == 11


def test_the_arguments_of_a_call_are_freed_after_it_has_run(library: BackEnd, uncollected: None) -> None:
    with library.futures.ThreadPoolExecutor(1) as executor:
        thing = Thing()
        alive = weakref.ref(thing)
        future = executor.submit(lambda *_, **__: None, thing, thing=thing)
        del thing
        spin_until(lambda: alive() is None)
        assert future.result() is None


def test_the_outcome_of_a_call_is_freed_with_its_future(library: BackEnd, uncollected: None) -> None:
    def fail(thing: Thing) -> None:
        raise ValueError(thing)

    with library.futures.ThreadPoolExecutor(1) as executor:
        for call in (lambda thing: thing, fail):
            thing = Thing()
            alive = weakref.ref(thing)
            future = executor.submit(call, thing)
            del thing
            spin_until(future.done)
            assert alive() is not None
            del future
            if FREE_THREADED:  # the worker made the exception, and must run to free it
                executor.submit(int).result(TIMEOUT_SECONDS)
            spin_until(lambda alive=alive: alive() is None)  # type: ignore[misc]


def test_the_result_of_a_c_function_is_freed_after_the_worker_has_run_another_call(
    library: BackEnd, uncollected: None
) -> None:
    with library.futures.ThreadPoolExecutor(1) as executor:
        alive = weakref.ref(executor.submit(Thing).result(TIMEOUT_SECONDS))
        # Without a GIL, the result is freed when the worker that made it runs another call, after this
        # thread has dropped its reference.
        spin_until(lambda: executor.submit(int).result(TIMEOUT_SECONDS) or alive() is None)


def test_a_cancelled_call_is_freed_when_a_worker_takes_it(library: BackEnd, uncollected: None) -> None:
    gate, thing = threading.Event(), Thing()
    with library.futures.ThreadPoolExecutor(1) as executor:
        executor.submit(gate.wait, TIMEOUT_SECONDS)
        alive = weakref.ref(thing)
        future = executor.submit(id, thing)
        del thing
        assert future.cancel()
        gate.set()
        spin_until(lambda: alive() is None)


@pytest.mark.parametrize("cyclic", [False, True])
def test_workers_of_a_dropped_pool_run_the_pending_calls_and_end(library: BackEnd, cyclic: bool) -> None:
    gate, executor = threading.Event(), library.futures.ThreadPoolExecutor(2)
    futures = [executor.submit(gate.wait, TIMEOUT_SECONDS) for _ in range(2)]
    futures += [executor.submit(pow, 2, 3) for _ in range(10)]
    workers, alive = [*executor._threads], weakref.ref(executor)
    if cyclic:
        executor.itself = executor
    del executor
    gc.collect()
    assert alive() is None
    gate.set()
    for worker in workers:
        worker.join(TIMEOUT_SECONDS)
        assert not worker.is_alive()
    assert [future.result(0) for future in futures] == [True] * 2 + [8] * 10


def test_idle_workers_of_a_dropped_pool_end(library: BackEnd, uncollected: None) -> None:
    executor = library.futures.ThreadPoolExecutor(3)
    barrier = threading.Barrier(3)
    for future in [executor.submit(barrier.wait, TIMEOUT_SECONDS) for _ in range(3)]:
        future.result()
    workers = [*executor._threads]
    assert len(workers) == 3
    until_asleep(*workers)
    del executor
    for worker in workers:
        worker.join(TIMEOUT_SECONDS)
        assert not worker.is_alive()


def output(library: BackEnd, code: str) -> str:
    """Return what a child interpreter prints. It must end well and write nothing to stderr."""
    package = "oxthreads." if library is OXTHREADS else ""
    prelude = (
        f"import {package}concurrent.futures as futures\n"
        "import atexit, os, sys, threading, time, warnings\n"
        "pool, gate = futures.ThreadPoolExecutor(1), threading.Event()\n"
    )
    done = python(prelude + code, runner=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_shutdown_in_a_worker_raises_because_a_thread_cannot_join_itself(library: BackEnd) -> None:
    # The call may be the first one of the pool, and end the pool before submit() has returned.
    code = "print(repr(pool.submit(pool.shutdown).exception()))\n"
    assert output(library, code) == "RuntimeError('cannot join current thread')\n"


def test_shutdown_without_wait_works_in_a_worker(library: BackEnd) -> None:
    code = "print(pool.submit(pool.shutdown, wait=False).result())\nprint(pool._shutdown)\n"
    assert output(library, code) == "None\nTrue\n"


def test_submit_from_del_while_another_submit_registers_its_worker_does_not_deadlock() -> None:
    code = (
        "import concurrent.futures.thread, gc, weakref\n"
        "class Collecting(weakref.WeakKeyDictionary):\n"
        "    def __setitem__(self, key, value):\n"
        "        gc.collect()  # as may happen in the middle of any such call\n"
        "        super().__setitem__(key, value)\n"
        "class Chatty:\n"
        "    def __del__(self): other.submit(print, 'from __del__')\n"
        "concurrent.futures.thread._threads_queues = Collecting()\n"
        "other = futures.ThreadPoolExecutor(1)\n"
        "gc.disable()\n"
        "cycle = [Chatty()]\n"
        "cycle.append(cycle)\n"
        "del cycle\n"
        "pool.submit(int)\n"
        "pool.shutdown()\n"
        "other.shutdown()\n"
    )
    assert output(OXTHREADS, code) == "from __del__\n"


def test_a_callback_of_a_call_that_shutdown_cancels_may_try_to_submit() -> None:
    # The standard pool would deadlock.
    code = (
        "pool.submit(gate.wait)\n"
        "def again(future):\n"
        "    try: pool.submit(print, 'run')\n"
        "    except RuntimeError as error: print(error)\n"
        "pool.submit(int).add_done_callback(again)\n"
        "pool.shutdown(wait=False, cancel_futures=True)\n"
        "gate.set()\n"
    )
    assert output(OXTHREADS, code) in ("", f"{AFTER_SHUTDOWN}\n")


def test_all_queued_calls_are_run_before_the_interpreter_ends(library: BackEnd) -> None:
    code = (
        "pool.submit(gate.wait)\n"
        "for number in range(10_000): pool.submit(sys.stdout.write, f'{number}\\n')\n"
        "dropped = futures.ThreadPoolExecutor(2)\n"
        "for number in range(10): dropped.submit(lambda: (gate.wait(), sys.stdout.write('dropped\\n')))\n"
        "del dropped\n"
        "print('main ends', flush=True)\n"
        "gate.set()\n"
    )
    lines = output(library, code).splitlines()
    assert lines[0] == "main ends"
    assert [line for line in lines[1:] if line != "dropped"] == [str(number) for number in range(10_000)]
    assert lines.count("dropped") == 10


def test_nothing_can_be_submitted_while_the_interpreter_ends(library: BackEnd) -> None:
    code = (
        "def attempt(pool):\n"
        "    try: pool.submit(int)\n"
        "    except RuntimeError as error: return error\n"
        "def late():\n"
        "    while not (error := attempt(pool)): time.sleep(0.001)\n"
        "    print('worker:', error)\n"
        "closed = futures.ThreadPoolExecutor(1)\n"
        "closed.shutdown()\n"
        "pool.submit(late)\n"
        "for each in (futures.ThreadPoolExecutor(1), pool, closed):\n"
        "    atexit.register(lambda each=each: print(attempt(each)))\n"
    )
    exiting = "cannot schedule new futures after interpreter shutdown"
    lines = output(library, code).splitlines()
    assert lines[:2] == [f"worker: {exiting}", AFTER_SHUTDOWN]
    # The last worker of the standard pool may have noted the shutdown already. So both messages are right.
    assert {*lines[2:]} <= {exiting, AFTER_SHUTDOWN}
    assert len(lines) == 4


def test_the_interpreter_ends_while_a_thread_keeps_making_pools(library: BackEnd) -> None:
    code = (
        "pools = []\n"
        "def work():\n"
        "    try:\n"
        "        while True:\n"
        "            pools.append(futures.ThreadPoolExecutor(1))\n"
        "            pools[-1].submit(int)\n"
        "            if len(pools) == 20: gate.set()\n"
        "    except RuntimeError as error: print(type(error))\n"
        "threading.Thread(target=work).start()\n"
        "gate.wait()\n"
    )
    for _ in range(5):
        assert output(library, code) == "<class 'RuntimeError'>\n"


def test_a_forked_child_that_ends_does_not_run_the_pending_calls_of_its_parent(library: BackEnd) -> None:
    code = (
        "warnings.simplefilter('ignore')\n"
        "pool.submit(gate.wait); pool.submit(print, 'pending', flush=True)\n"
        "if pid := os.fork():\n"
        "    print('child', os.waitpid(pid, 0)[1], flush=True)\n"
        "    gate.set()\n"
    )
    assert output(library, code) == "child 0\npending\n"


@can_fork
@forks
def test_a_pool_without_workers_can_be_used_in_a_forked_child(library: BackEnd) -> None:
    executor = library.futures.ThreadPoolExecutor(1)

    def check() -> None:
        assert executor.submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8
        executor.shutdown()

    in_child(check)
    assert executor.submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8
    executor.shutdown()


@can_fork
@forks
@pytest.mark.parametrize("worker", ["busy", "idle"])
def test_an_inherited_pool_runs_calls_in_the_child_and_none_of_the_parents(worker: str) -> None:
    executor, gate = OXTHREADS.futures.ThreadPoolExecutor(1), threading.Event()
    receive, send = os.pipe()
    if worker == "busy":
        spin_until(executor.submit(gate.wait, TIMEOUT_SECONDS).running)
        executor.submit(os.write, send, b"parent;")
    else:
        until_asleep(executor.submit(threading.current_thread).result())

    def check() -> None:
        assert executor._work_queue.qsize() == 0
        for _ in range(3):
            executor.submit(os.write, send, b"child;").result(TIMEOUT_SECONDS)
        executor.shutdown()
        with pytest.raises(RuntimeError, match=AFTER_SHUTDOWN):
            executor.submit(int)

    in_child(check)
    assert executor._work_queue.qsize() == (worker == "busy")
    gate.set()
    executor.submit(os.write, send, b"late;").result(TIMEOUT_SECONDS)
    executor.shutdown()
    os.close(send)
    with os.fdopen(receive, "rb") as written:
        assert written.read() == b"child;" * 3 + b"parent;" * (worker == "busy") + b"late;"


@can_fork
@forks
def test_a_worker_may_fork_and_use_its_pool_in_the_child() -> None:
    def check() -> None:
        assert executor.submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8

    with OXTHREADS.futures.ThreadPoolExecutor(1) as executor:
        executor.submit(in_child, check).result(TIMEOUT_SECONDS)
        assert executor.submit(pow, 2, 4).result(TIMEOUT_SECONDS) == 16


def test_every_call_of_eight_submitters_is_run_once(library: BackEnd, frantic: None) -> None:
    ran: list[tuple[int, int]] = []
    barrier = threading.Barrier(8)

    def submit(submitter: int) -> list[Any]:
        barrier.wait()
        return [executor.submit(ran.append, (submitter, number)) for number in range(500)]

    with library.futures.ThreadPoolExecutor(4) as executor:
        submitters = [Result(submit, submitter) for submitter in range(8)]
        futures = [future for submitter in submitters for future in submitter.get()]
    assert sorted(ran) == [(submitter, number) for submitter in range(8) for number in range(500)]
    assert all(future.done() for future in futures)
    assert len(executor._threads) <= 4


@pytest.mark.parametrize("cancel", [False, True])
def test_a_shutdown_during_submits_runs_the_accepted_calls_and_refuses_the_others(
    library: BackEnd, frantic: None, cancel: bool
) -> None:
    for attempt in range(5):
        executor, ran = library.futures.ThreadPoolExecutor(3), []
        barrier = threading.Barrier(8)

        def submit(submitter: int, executor: Any = executor, ran: Any = ran, barrier: Any = barrier) -> Any:
            accepted, refused = {}, []
            barrier.wait()
            for number in itertools.count():
                if refused and number >= 500:
                    break
                try:
                    accepted[submitter, number] = executor.submit(ran.append, (submitter, number))
                except RuntimeError as error:
                    refused.append(str(error))
            return accepted, refused

        submitters = [Result(submit, submitter) for submitter in range(8)]
        spin_until(lambda ran=ran, enough=100 * attempt: len(ran) > enough)  # type: ignore[misc]
        executor.shutdown(cancel_futures=cancel)
        accepted, refused = {}, []
        for submitter in submitters:
            more_accepted, more_refused = submitter.get()
            accepted |= more_accepted
            refused += more_refused
        assert all(future.done() for future in accepted.values())
        assert sorted(ran) == sorted(call for call, future in accepted.items() if not future.cancelled())
        assert cancel or len(ran) == len(accepted)
        assert {*refused} <= {AFTER_SHUTDOWN}
        assert len(refused) >= 8
        assert len(accepted) + len(refused) >= 8 * 500


def test_a_call_is_either_cancelled_or_run(library: BackEnd, frantic: None) -> None:
    ran: list[tuple[int, int]] = []

    def submit_and_cancel(submitter: int) -> dict[tuple[int, int], bool]:
        futures = [executor.submit(ran.append, (submitter, number)) for number in range(500)]
        order = random.Random(submitter).sample(range(500), 250)
        return {(submitter, number): futures[number].cancel() for number in order}

    with library.futures.ThreadPoolExecutor(3) as executor:
        submitters = [Result(submit_and_cancel, submitter) for submitter in range(4)]
        cancelled: dict[tuple[int, int], bool] = {}
        for submitter in submitters:
            cancelled |= submitter.get()
    expected = {(submitter, number) for submitter in range(4) for number in range(500)}
    assert sorted(ran) == sorted(expected - {call for call, done in cancelled.items() if done})


def test_a_pool_that_was_not_initialized_raises_attribute_error(library: BackEnd) -> None:
    executor = library.futures.ThreadPoolExecutor.__new__(library.futures.ThreadPoolExecutor)
    assert refusal(executor.submit, int)[0] is AttributeError


def test_a_pool_may_be_initialized_again(library: BackEnd) -> None:
    executor = library.futures.ThreadPoolExecutor(1)
    executor.__init__(2)
    assert executor.submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8
    executor.shutdown()
    executor.__init__(2)
    assert executor.submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8
    executor.shutdown()


def test_a_signal_handler_may_shut_a_pool_down_while_it_is_being_shut_down() -> None:
    """The standard pool holds a lock meanwhile, and hangs."""
    pool = OXTHREADS.futures.ThreadPoolExecutor(2)
    assert pool.submit(len, "tea").result() == 3
    with pool._shutdown_lock:  # as the interrupted call may
        Result(pool.shutdown).get()
    pool.shutdown()
