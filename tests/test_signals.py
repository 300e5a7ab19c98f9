"""Signals that arrive while the main thread waits, on both back ends."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from conftest import OXTHREADS, BackEnd, Result, python, spin_until, start, until_asleep

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")


class Interrupt(BaseException):
    """What the handler raises."""


@contextlib.contextmanager
def handler(action: Callable[[], object]) -> Iterator[None]:
    """Have ``action`` run in the main thread on SIGUSR1."""
    before = signal.signal(signal.SIGUSR1, lambda *_: action())
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def signal_once_asleep() -> threading.Thread:
    """Signal this process as soon as its main thread sleeps."""

    def send() -> None:
        until_asleep(threading.main_thread())
        os.kill(os.getpid(), signal.SIGUSR1)

    return start(send)


def fail() -> None:
    raise Interrupt


def waits(library: BackEnd) -> dict[str, Callable[[float | None], object]]:
    """Each wait without an end in sight, by name; some take a timeout."""
    threads = library.threading
    lock, event = threads.Lock(), threads.Event()
    empty, full, future = library.queue.Queue(), library.queue.Queue(1), library.futures.Future()
    lock.acquire()
    full.put("first")
    worker = threads.Thread(target=event.wait, daemon=True)
    worker.start()
    rlock, semaphore, barrier = threads.RLock(), threads.Semaphore(0), threads.Barrier(2)
    start(rlock.acquire).join()
    with_lock, with_rlock = threads.Condition(threads.Lock()), threads.Condition()
    with_lock.acquire()
    with_rlock.acquire()
    return {
        "RLock.acquire": lambda timeout: rlock.acquire(timeout=-1 if timeout is None else timeout),
        "Condition.wait": with_rlock.wait,
        "Condition(Lock).wait": with_lock.wait,
        "Condition.wait_for": lambda timeout: with_lock.wait_for(lambda: False, timeout),
        "Semaphore.acquire": lambda timeout: semaphore.acquire(timeout=timeout),
        "Barrier.wait": barrier.wait,
        "Lock.acquire": lambda timeout: lock.acquire(timeout=-1 if timeout is None else timeout),
        "Event.wait": event.wait,
        "Queue.get": lambda timeout: empty.get(timeout=timeout),
        "Queue.put": lambda timeout: full.put("second", timeout=timeout),
        "Queue.join": lambda timeout: full.join(),
        "Future.result": future.result,
        "Future.exception": future.exception,
        "Thread.join": worker.join,
    }


def late(library: BackEnd) -> tuple[type[BaseException], ...]:
    """What a wait may raise whose time is over."""
    return library.queue.Empty, library.queue.Full, TimeoutError, threading.BrokenBarrierError


WAITS = ["Lock.acquire", "Event.wait", "Queue.get", "Queue.put", "Queue.join"]
WAITS += ["Future.result", "Future.exception", "Thread.join", "RLock.acquire", "Condition.wait"]
WAITS += ["Condition(Lock).wait", "Condition.wait_for", "Semaphore.acquire", "Barrier.wait"]
DEADLINES = ["Lock.acquire", "Event.wait", "Queue.get", "Future.result", "RLock.acquire", "Condition.wait"]
DEADLINES += ["Condition(Lock).wait", "Condition.wait_for", "Semaphore.acquire", "Barrier.wait"]
DEADLINES += ["Queue.put", "Future.exception", "Thread.join"]


@pytest.mark.parametrize("name", WAITS)
@pytest.mark.parametrize("timeout", [None, 60.0])
def test_what_the_handler_raises_ends_the_wait_at_once(
    library: BackEnd, name: str, timeout: float | None
) -> None:
    wait = waits(library)[name]
    begin = time.monotonic()
    with handler(fail):
        sender = signal_once_asleep()
        with pytest.raises(Interrupt):
            wait(timeout)
        sender.join()
    assert time.monotonic() - begin < 30, "it ended by its timeout"


@pytest.mark.parametrize("name", [name for name in WAITS if name != "Thread.join"])
def test_a_signal_that_does_not_end_the_sleep_is_noticed_all_the_same(name: str) -> None:
    """As one that arrives just before the sleep; this one arrives in another thread. Not in the standard
    library, which waits on."""
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
    items = OXTHREADS.queue.Queue()  # the standard one is not re-entrant: it may deadlock

    def feed() -> None:
        items.put("own")
        assert items.get() == "own"
        items.put("for the wait")

    with handler(feed):
        sender = signal_once_asleep()
        assert items.get(timeout=30) == "for the wait"
        sender.join()


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


def test_a_storm_of_signals_loses_no_item_and_no_order(library: BackEnd) -> None:
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
        # On into a wait that only signals disturb.
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
        if armed:  # only inside the try block below
            interrupts, armed = interrupts + 1, False
            raise Interrupt

    with handler(interrupt):
        stormer = start(storm)
        while interrupts < 100:
            try:
                armed = True
                assert lock.acquire(timeout=30) is False, "an interrupted acquire owned it"
                armed = False
            except Interrupt:
                pass
        stop.set()
        stormer.join()
    lock.release()
    assert not lock.locked()


@pytest.mark.parametrize("name", ["lock.acquire()", "event.wait()", "items.get()", "future.result()"])
@pytest.mark.parametrize("runner", [False, True])
def test_ctrl_c_ends_a_script_as_it_ends_python(name: str, runner: bool) -> None:
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
