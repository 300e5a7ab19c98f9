"""Signals that arrive while the main thread waits for what threads share, beyond `test_signals`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Any

import pytest

from conftest import OXTHREADS, BackEnd, Result, python, spin_until, start, until_asleep
from test_signals import Interrupt, fail, handler, signal_once_asleep

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")

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
def test_what_a_handler_raises_is_held_back_until_the_lock_is_free(kind: str) -> None:
    condition = make_condition(OXTHREADS, kind)
    released = threading.Event()
    main = threading.main_thread()

    def hold() -> None:
        until_asleep(main)
        with condition:
            signal_main()
            until_asleep(main)  # in the list of the lock now
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


def test_a_lock_that_is_never_freed_does_not_make_it_deaf() -> None:
    condition = make_condition(OXTHREADS, "Lock")
    main = threading.main_thread()
    end = threading.Event()

    def hold() -> None:
        until_asleep(main)
        condition.acquire()
        begin = time.monotonic()
        signal_main()
        until_asleep(main)
        spin_until(lambda: time.monotonic() - begin > 1.1)
        signal_main()
        end.wait()
        condition.release()

    with handler(fail):
        holder = start(hold)
        condition.acquire()
        with pytest.raises(Interrupt) as caught:
            condition.wait()
        assert isinstance(caught.value.__context__, Interrupt)
        end.set()
        holder.join()
    assert not condition._is_owned()


def test_a_notification_that_an_interrupted_wait_cannot_heed_goes_to_the_next() -> None:
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
            until_asleep(main)  # notified, it wants the lock
            signal_main()
            # Only where the parker tells of signals does a sleep mean that the handler has run.
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
def test_a_notification_by_the_handler_that_ends_the_wait_goes_to_the_next(kind: str) -> None:
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
            condition.notify()  # the wait in which it runs, which came first
        raise Interrupt

    with handler(notify_and_fail):
        sender = start(send)
        with condition, pytest.raises(Interrupt):
            condition.wait()
        sender.join()
    assert second[0].get() is True


def test_an_interrupted_acquire_has_no_permit(library: BackEnd) -> None:
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


def test_an_interrupted_wait_at_a_barrier_withdraws(library: BackEnd) -> None:
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


def test_the_others_pass_a_barrier_while_a_handler_runs_in_one_that_waits(library: BackEnd) -> None:
    barrier = library.threading.Barrier(2)
    indices: list[int] = []

    def meet() -> None:
        # The interrupted wait counts as before: this one completes the barrier.
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


def test_an_interrupted_start_leaves_the_thread_as_it_would_be(library: BackEnd) -> None:
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
threads = []  # of which none goes in the middle, for that calls Python code
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
print("started")  # and at the end those that have begun are waited for
"""


@pytest.mark.skipif(
    sys.version_info >= (3, 14),
    reason="there an interrupted `with` of the standard library may keep its lock",
)
def test_a_storm_of_interrupts_breaks_no_start() -> None:
    done = python(STARTS, runner=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "started\n", "")
