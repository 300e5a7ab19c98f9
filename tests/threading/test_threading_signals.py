"""Tests of signals that arrive while the main thread waits for a lock, condition, semaphore or barrier.

More tests of signals are in `test_signals`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, BackEnd
from tests.support.interpreters import python
from tests.support.signals import Interrupt, fail, handler, signal_once_asleep
from tests.support.threads import Result, start
from tests.support.waiting import spin_until, until_asleep

pytestmark = [
    pytest.mark.one_thread("sends signals to the main thread"),
    pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals"),
]

KINDS = ["Lock", "RLock"]


def make_condition(library: BackEnd, kind: str) -> Any:
    return library.threading.Condition(getattr(library.threading, kind)())


def signal_main() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_wait_owns_the_lock_again(library: BackEnd, kind: str) -> None:
    condition = make_condition(library, kind)
    with handler(fail):
        sender = signal_once_asleep()
        with pytest.raises(Interrupt), condition:
            try:
                condition.wait()
            finally:
                assert condition._is_owned()
        sender.join()
    assert not condition._is_owned()
    with condition:
        assert repr(condition).endswith(", 0)>")


@pytest.mark.parametrize("kind", KINDS)
def test_a_handler_may_notify_the_wait_that_it_interrupts(library: BackEnd, kind: str) -> None:
    condition = make_condition(library, kind)

    def notify() -> None:
        with condition:
            condition.notify()

    with handler(notify):
        sender = signal_once_asleep()
        with condition:
            assert condition.wait(30) is True
        sender.join()


@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_from_a_handler_is_raised_after_the_lock_is_taken_again(kind: str) -> None:
    condition = make_condition(OXTHREADS, kind)
    released = threading.Event()
    main = threading.main_thread()

    def hold() -> None:
        until_asleep(main)
        with condition:
            signal_main()
            until_asleep(main)  # the main thread now waits for the lock
            released.set()

    with handler(fail):
        holder = start(hold)
        with condition:
            with pytest.raises(Interrupt):
                condition.wait()
            assert released.is_set()
            assert condition._is_owned()
            assert not Result(condition._lock.acquire, False).get()
        holder.join()


def test_a_second_signal_ends_the_wait_for_a_lock_that_is_not_released() -> None:
    condition = make_condition(OXTHREADS, "Lock")
    main = threading.main_thread()
    end = threading.Event()

    def hold() -> None:
        until_asleep(main)
        condition.acquire()
        signal_main()
        spin_until(lambda: interrupted)
        until_asleep(main)  # it has raised, and waits for the lock
        begin = time.monotonic()
        spin_until(lambda: time.monotonic() - begin > 1.1)
        signal_main()
        end.wait()
        condition.release()

    def interrupt() -> None:
        interrupted.append(True)
        raise Interrupt

    interrupted: list[bool] = []
    with handler(interrupt):
        holder = start(hold)
        condition.acquire()
        with pytest.raises(Interrupt) as caught:
            condition.wait()
        assert isinstance(caught.value.__context__, Interrupt)
        end.set()
        holder.join()
    assert not condition._is_owned()


def test_a_notification_of_an_interrupted_wait_goes_to_the_next_waiter() -> None:
    condition = OXTHREADS.threading.Condition()
    main = threading.main_thread()

    def wait() -> bool:
        with condition:
            return bool(condition.wait())

    def notify() -> None:
        until_asleep(main)
        second.append(Result(wait))
        until_asleep(second[0].thread)
        with condition:
            condition.notify()
            until_asleep(main)  # it was notified, and now waits for the lock
            signal_main()
            # Wait for the handler itself. With the portable parker, the main thread may sleep although the
            # handler has not run yet.
            spin_until(lambda: interrupted)
            until_asleep(main)

    def interrupt() -> None:
        interrupted.append(True)
        raise Interrupt

    second: list[Result] = []
    interrupted: list[bool] = []
    with handler(interrupt):
        notifier = start(notify)
        with condition, pytest.raises(Interrupt):
            condition.wait()
        notifier.join()
    assert second[0].get() is True


@pytest.mark.parametrize("kind", KINDS)
def test_a_notification_by_the_handler_that_ends_the_wait_goes_to_the_next_waiter(kind: str) -> None:
    condition = make_condition(OXTHREADS, kind)
    second: list[Result] = []

    def wait() -> bool:
        with condition:
            return bool(condition.wait())

    def send() -> None:
        until_asleep(threading.main_thread())
        second.append(Result(wait))
        until_asleep(second[0].thread)
        signal_main()

    def notify_and_fail() -> None:
        with condition:
            condition.notify()  # this notifies the interrupted wait, which came first
        raise Interrupt

    with handler(notify_and_fail):
        sender = start(send)
        with condition, pytest.raises(Interrupt):
            condition.wait()
        sender.join()
    assert second[0].get() is True


def test_an_interrupted_acquire_takes_no_permit(library: BackEnd) -> None:
    semaphore = library.threading.Semaphore(0)
    with handler(fail):
        sender = signal_once_asleep()
        with pytest.raises(Interrupt):
            semaphore.acquire()
        sender.join()
    semaphore.release()
    assert semaphore._value == 1
    assert semaphore.acquire(False)


def test_an_interrupted_acquire_does_not_own_the_rlock(library: BackEnd) -> None:
    lock = library.threading.RLock()
    freed = threading.Event()
    taken = threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            freed.wait()

    holder = start(hold)
    taken.wait()
    with handler(fail):
        sender = signal_once_asleep()
        with pytest.raises(Interrupt):
            lock.acquire()
        sender.join()
    assert not lock._is_owned()
    freed.set()
    holder.join()
    assert Result(lock.acquire, False).get()


def test_an_interrupted_wait_leaves_the_barrier(library: BackEnd) -> None:
    barrier = library.threading.Barrier(2)
    with handler(fail):
        sender = signal_once_asleep()
        with pytest.raises(Interrupt):
            barrier.wait()
        sender.join()
    assert (barrier.n_waiting, barrier.broken) == (0, False)
    other = Result(barrier.wait)
    until_asleep(other.thread)
    assert barrier.wait() == 1
    assert other.get() == 0


def test_a_wait_counts_at_the_barrier_while_its_signal_handler_runs(library: BackEnd) -> None:
    barrier = library.threading.Barrier(2)
    indices: list[int] = []

    def meet() -> None:
        # The interrupted wait still counts, so this wait completes the barrier.
        indices.append(Result(barrier.wait).get())

    with handler(meet):
        sender = signal_once_asleep()
        indices.append(barrier.wait())
        sender.join()
    assert indices == [1, 0]


@pytest.mark.parametrize("kind", ["Condition", "Semaphore", "Barrier"])
def test_a_storm_of_signals_loses_nothing(library: BackEnd, kind: str) -> None:
    stop = threading.Event()
    seen: list[int] = []
    condition, semaphore = library.threading.Condition(), library.threading.Semaphore(0)
    barrier = library.threading.Barrier(2)
    count = turn = 0
    rounds = 400

    def storm() -> None:
        while not stop.is_set():
            signal_main()
            time.sleep(0.0002)

    def feed() -> None:
        nonlocal count, turn
        for _ in range(rounds):
            if kind == "Condition":
                with condition:
                    condition.wait_for(lambda: turn == 1)  # noqa: B023
                    turn = 0
                    condition.notify()
            elif kind == "Semaphore":
                semaphore.release()
            else:
                barrier.wait()

    with handler(lambda: seen.append(1)):
        stormer, feeder = start(storm), start(feed)
        for _ in range(rounds):
            if kind == "Condition":
                with condition:
                    turn = 1
                    condition.notify()
                    assert condition.wait_for(lambda: turn == 0, 30)  # noqa: B023
            elif kind == "Semaphore":
                assert semaphore.acquire(timeout=30)
            else:
                barrier.wait(30)
        spin_until(lambda: len(seen) > 5)
        stop.set()
        stormer.join()
        feeder.join()
    assert semaphore._value == 0
    assert barrier.n_waiting == 0


def test_a_thread_whose_start_was_interrupted_runs_and_ends(library: BackEnd) -> None:
    gate, ran = threading.Event(), threading.Event()

    class Late(library.threading.Thread):  # type: ignore[name-defined, misc]
        def _bootstrap_inner(self) -> None:
            gate.wait()
            super()._bootstrap_inner()

    thread = Late(target=ran.set)
    with handler(fail):
        sender = signal_once_asleep()
        with pytest.raises(Interrupt):
            thread.start()
        sender.join()
    gate.set()
    assert ran.wait(30)
    thread.join()
    assert not thread.is_alive()


STARTS = """
import signal, threading
from oxthreads.threading import Thread

class Interrupt(BaseException): pass

interrupted, armed = 0, False

def interrupt(*_):
    global interrupted, armed
    if armed:
        armed = False
        interrupted += 1
        raise Interrupt

signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
threads = []  # keep them all: to free a thread calls Python code
while interrupted < 1000:
    threads.append(Thread(target=int))
    try:
        armed = True
        threads[-1].start()
        armed = False
    except Interrupt:
        pass
    armed = False
signal.setitimer(signal.ITIMER_REAL, 0)
assert not threading._active_limbo_lock._is_owned()
print("started")  # at its end, the program waits for the threads that were started
"""


@pytest.mark.skipif(
    sys.version_info >= (3, 14),
    reason="from 3.14 on, an interrupted `with` in the standard library may keep its lock",
)
def test_a_storm_of_interrupts_breaks_no_start() -> None:
    done = python(STARTS, runner=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "started\n", "")
