"""Signals that arrive while the main thread waits. Most tests run on both libraries."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time

import pytest

from tests.support.back_ends import OXTHREADS, BackEnd
from tests.support.endless_waits import DEADLINES, WAITS, late, waits
from tests.support.interpreters import python
from tests.support.signals import Interrupt, fail, handler, signal_once_asleep
from tests.support.threads import Result, start
from tests.support.waiting import spin_until, until_asleep

pytestmark = [
    pytest.mark.one_thread("sends signals to the main thread"),
    pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them"),
]


@pytest.mark.parametrize("name", WAITS)
@pytest.mark.parametrize("timeout", [None, 60.0])
def test_an_exception_of_the_handler_ends_the_wait_at_once(
    library: BackEnd, name: str, timeout: float | None
) -> None:
    wait = waits(library)[name]
    begin = time.monotonic()
    with handler(fail):
        sender = signal_once_asleep()
        with pytest.raises(Interrupt):
            wait(timeout)
        sender.join()
    assert time.monotonic() - begin < 30, "the timeout ended the wait"


@pytest.mark.parametrize("name", [name for name in WAITS if name != "Thread.join"])
def test_a_signal_that_does_not_end_the_sleep_is_noticed_anyway(name: str) -> None:
    """A signal just before the sleep has the same effect. Here another thread gets the signal.

    Not on the standard library, which goes on waiting.
    """
    wait = waits(OXTHREADS)[name]

    def send() -> None:
        until_asleep(threading.main_thread())
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    with handler(fail):
        sender = start(send)
        with pytest.raises(Interrupt):
            wait(None)
        sender.join()


@pytest.mark.parametrize("name", DEADLINES)
def test_a_handler_that_returns_leaves_the_deadline_as_it_was(library: BackEnd, name: str) -> None:
    seen: list[float] = []
    begin = time.monotonic()
    with handler(lambda: seen.append(time.monotonic())):
        sender = signal_once_asleep()
        with contextlib.suppress(*late(library)):
            assert not waits(library)[name](0.5)
        sender.join()
    assert len(seen) == 1
    assert time.monotonic() - begin >= 0.5


def test_an_interrupted_acquire_does_not_own_the_lock(library: BackEnd) -> None:
    lock = library.threading.Lock()
    lock.acquire()
    with handler(fail):
        sender = signal_once_asleep()
        with pytest.raises(Interrupt):
            lock.acquire()
        sender.join()
    lock.release()
    assert not lock.locked()
    assert lock.acquire(blocking=False)


def test_an_interrupted_get_has_not_taken_an_item(library: BackEnd) -> None:
    items = library.queue.Queue()
    with handler(fail):
        sender = signal_once_asleep()
        with pytest.raises(Interrupt):
            items.get()
        sender.join()
    items.put(1)
    assert items.qsize() == 1
    assert items.get_nowait() == 1


def test_an_interrupted_put_has_not_stored_its_item(library: BackEnd) -> None:
    items = library.queue.Queue(1)
    items.put(1)
    with handler(fail):
        sender = signal_once_asleep()
        with pytest.raises(Interrupt):
            items.put(2)
        sender.join()
    assert items.get() == 1
    assert items.empty()
    assert items.unfinished_tasks == 1


@pytest.mark.parametrize("name", ["Lock", "Event", "Future"])
def test_a_handler_may_end_the_wait_that_it_interrupts(library: BackEnd, name: str) -> None:
    lock, event, future = library.threading.Lock(), library.threading.Event(), library.futures.Future()
    lock.acquire()
    end, wait = {
        "Lock": (lock.release, lock.acquire),
        "Event": (event.set, event.wait),
        "Future": (lambda: future.set_result(True), future.result),
    }[name]
    with handler(end):
        sender = signal_once_asleep()
        assert wait() is True
        sender.join()


def test_a_handler_may_use_the_queue_whose_get_it_interrupts() -> None:
    items = OXTHREADS.queue.Queue()  # the standard one is not re-entrant, and may deadlock

    def feed() -> None:
        items.put("own")
        assert items.get() == "own"
        items.put("for the wait")

    with handler(feed):
        sender = signal_once_asleep()
        assert items.get(timeout=30) == "for the wait"
        sender.join()


@pytest.mark.parametrize("kind", ["Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"])
def test_a_handler_that_runs_in_a_woken_get_blocks_no_other_get(kind: str) -> None:
    items = getattr(
        OXTHREADS.queue, kind
    )()  # with a standard queue, the interrupted code may hold the queue's lock
    served = threading.Event()
    seen: list[bool] = []

    def consume() -> object:
        item = items.get()
        served.set()
        return item

    def feed() -> object:
        until_asleep(threading.main_thread())
        consumer = Result(consume)
        until_asleep(consumer.thread)
        items.put(1)
        os.kill(os.getpid(), signal.SIGUSR1)
        items.put(2)
        return consumer.get()

    with handler(lambda: seen.append(served.wait(20))):
        feeder = Result(feed)
        mine = items.get(timeout=60)
        assert {mine, feeder.get()} == {1, 2}
    assert seen == [True]


def test_waits_in_other_threads_are_not_disturbed(library: BackEnd) -> None:
    items = library.queue.Queue()
    getters = [Result(items.get) for _ in range(3)]
    until_asleep(*(getter.thread for getter in getters))
    seen: list[int] = []
    with handler(lambda: seen.append(1)):
        for count in range(1, 20):
            os.kill(os.getpid(), signal.SIGUSR1)
            spin_until(lambda count=count: len(seen) >= count)  # type: ignore[misc]
    for number in range(3):
        items.put(number)
    assert sorted(getter.get() for getter in getters) == [0, 1, 2]


def test_a_storm_of_signals_loses_no_item_and_keeps_the_order(library: BackEnd) -> None:
    items = library.queue.Queue(2)
    stop = threading.Event()
    seen: list[int] = []

    def storm() -> None:
        while not stop.is_set():
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.0002)

    def produce() -> None:
        for number in range(2000):
            items.put(number)

    with handler(lambda: seen.append(1)):
        stormer, producer = start(storm), start(produce)
        assert [items.get(timeout=30) for _ in range(2000)] == list(range(2000))
        spin_until(lambda: len(seen) > 10)
        # The storm goes on during a wait that nothing else ends before its timeout.
        with pytest.raises(library.queue.Empty):
            items.get(timeout=0.1)
        stop.set()
        stormer.join()
        producer.join()
    assert len(seen) > 10


def test_a_storm_of_interrupts_leaves_no_lock_locked(library: BackEnd) -> None:
    lock = library.threading.Lock()
    lock.acquire()
    stop = threading.Event()

    def storm() -> None:
        while not stop.is_set():
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.0002)

    interrupts, armed = 0, False

    def interrupt() -> None:
        nonlocal interrupts, armed
        if armed:  # true only inside the try block below
            interrupts, armed = interrupts + 1, False
            raise Interrupt

    with handler(interrupt):
        stormer = start(storm)
        while interrupts < 100:
            try:
                armed = True
                assert lock.acquire(timeout=30) is False, "an interrupted acquire has taken the lock"
                armed = False
            except Interrupt:
                pass
        stop.set()
        stormer.join()
    lock.release()
    assert not lock.locked()


@pytest.mark.parametrize("name", ["lock.acquire()", "event.wait()", "items.get()", "future.result()"])
@pytest.mark.parametrize("runner", [False, True])
def test_ctrl_c_ends_a_script_as_python_does(name: str, runner: bool) -> None:
    done = python(
        "import os, signal, sys, threading, time, queue\n"
        "from concurrent.futures import Future\n"
        "lock, event, items, future = threading.Lock(), threading.Event(), queue.Queue(), Future()\n"
        "lock.acquire()\n"
        "state = f'/proc/self/task/{threading.main_thread().native_id}/stat'\n"
        "def interrupt():\n"
        "    looks = 0\n"
        "    while looks < 5:\n"
        "        time.sleep(0.001)\n"
        "        looks = looks + 1 if open(state).read().rpartition(')')[2].split()[0] == 'S' else 0\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=interrupt, daemon=True).start()\n"
        f"{name}\n",
        runner=runner,
    )
    assert done.returncode == -signal.SIGINT
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")
    assert "oxthreads" not in done.stderr.replace(sys.base_prefix, "")
