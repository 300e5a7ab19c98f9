"""Objects of the parent in a forked child."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest

from tests.support.back_ends import OXTHREADS
from tests.support.forks import in_child
from tests.support.interpreters import python
from tests.support.threads import Result, start
from tests.support.waiting import until_asleep

pytestmark = [
    pytest.mark.one_thread("forks"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

ThreadsModule = OXTHREADS.threading


def test_a_lock_with_waiters_in_the_parent_can_be_used_in_the_child() -> None:
    lock = ThreadsModule.Lock()
    lock.acquire()
    waiter = Result(lock.acquire)
    until_asleep(waiter.thread)

    def check() -> None:
        lock.release()
        assert lock.acquire(timeout=1), "handed to a thread that does not exist in the child"
        other = Result(lock.acquire)
        until_asleep(other.thread)
        lock.release()
        assert other.get() is True

    in_child(check)
    lock.release()
    assert waiter.get() is True


def test_a_lock_held_by_another_thread_stays_locked_until_it_is_reinitialized() -> None:
    lock = ThreadsModule.Lock()
    Result(lock.acquire).get()

    def check() -> None:
        assert lock.locked()
        lock._at_fork_reinit()
        assert lock.acquire(blocking=False)

    in_child(check)
    assert lock.locked()


def test_an_event_with_waiters_in_the_parent_can_be_used_in_the_child() -> None:
    event = ThreadsModule.Event()
    waiter = Result(event.wait)
    until_asleep(waiter.thread)

    def check() -> None:
        other = Result(event.wait)
        until_asleep(other.thread)
        event.set()
        assert other.get() is True

    in_child(check)
    event.set()
    assert waiter.get() is True


def test_the_thread_that_forks_still_owns_its_rlock_in_the_child() -> None:
    lock = ThreadsModule.RLock()
    lock.acquire()
    waiter = Result(lambda: (lock.acquire(), lock.release()))
    until_asleep(waiter.thread)

    def check() -> None:
        assert lock._is_owned()
        lock.release()
        assert Result(lambda: (lock.acquire(timeout=1), lock.release())).get() == (True, None)

    in_child(check)
    lock.release()
    waiter.get()


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_a_condition_with_waiters_in_the_parent_can_be_used_in_the_child(kind: str) -> None:
    condition = ThreadsModule.Condition(getattr(ThreadsModule, kind)())

    def wait() -> bool:
        with condition:
            return bool(condition.wait())

    waiting = [Result(wait) for _ in range(2)]
    until_asleep(*(waiter.thread for waiter in waiting))

    def check() -> None:
        other = Result(wait)
        until_asleep(other.thread)
        with condition:
            assert repr(condition).endswith(", 1)>")
            condition.notify()
        assert other.get() is True, "notified a thread that does not exist in the child"

    in_child(check)
    with condition:
        condition.notify_all()
    assert [waiter.get() for waiter in waiting] == [True, True]


def test_a_semaphore_with_waiters_in_the_parent_can_be_used_in_the_child() -> None:
    semaphore = ThreadsModule.Semaphore(0)
    waiter = Result(semaphore.acquire)
    until_asleep(waiter.thread)

    def check() -> None:
        other = Result(semaphore.acquire)
        until_asleep(other.thread)
        semaphore.release()
        assert other.get() is True, "woke a thread that does not exist in the child"
        assert semaphore._value == 0

    in_child(check)
    semaphore.release()
    assert waiter.get() is True


def test_a_barrier_with_waiters_in_the_parent_is_empty_in_the_child() -> None:
    barrier = ThreadsModule.Barrier(3)
    waiting = [Result(barrier.wait) for _ in range(2)]
    until_asleep(*(waiter.thread for waiter in waiting))

    def check() -> None:
        assert barrier.n_waiting == 0
        others = [Result(barrier.wait) for _ in range(2)]
        until_asleep(*(other.thread for other in others))
        assert barrier.wait() == 2
        assert sorted(other.get() for other in others) == [0, 1]

    in_child(check)
    assert barrier.n_waiting == 2
    assert barrier.wait() == 2
    assert sorted(waiter.get() for waiter in waiting) == [0, 1]


def test_a_queue_with_waiters_in_the_parent_can_be_used_in_the_child() -> None:
    empty, full = OXTHREADS.queue.Queue(), OXTHREADS.queue.Queue(1)
    full.put(1)
    waiting = [Result(empty.get), Result(full.put, 2), Result(full.join)]
    until_asleep(*(result.thread for result in waiting))

    def check() -> None:
        empty.put("a")
        assert empty.get(timeout=1) == "a", "left for a thread that does not exist in the child"
        assert full.get() == 1
        assert full.empty(), "a thread of the parent has put its item in the child"
        getter = Result(empty.get)
        until_asleep(getter.thread)
        empty.put("b")
        assert getter.get() == "b"
        full.task_done()
        full.join()

    in_child(check)
    empty.put("c")
    assert waiting[0].get() == "c"
    assert [full.get(), full.get()] == [1, 2]
    full.task_done()
    full.task_done()
    waiting[2].get()


def test_a_future_with_waiters_in_the_parent_can_be_used_in_the_child() -> None:
    future = OXTHREADS.futures.Future()
    waiter = Result(future.result)
    until_asleep(waiter.thread)

    def check() -> None:
        other = Result(future.result)
        until_asleep(other.thread)
        future.set_result("child")
        assert other.get() == "child"

    in_child(check)
    future.set_result("parent")
    assert waiter.get() == "parent"


def test_threads_start_and_end_in_the_child() -> None:
    def check() -> None:
        thread = ThreadsModule.Thread(target=int)
        thread.start()
        thread.join()
        assert threading.active_count() == 1

    in_child(check)


def test_a_wait_interrupted_by_a_fork_in_a_signal_handler_goes_on_in_both_processes() -> None:
    items = OXTHREADS.queue.Queue()
    pids: list[int] = []

    def fork(*_: object) -> None:
        pids.append(os.fork())
        items.put("child" if pids[-1] == 0 else "parent")

    def send() -> None:
        until_asleep(threading.main_thread())
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, fork)
    try:
        sender = start(send)
        got = items.get(timeout=30)
        if pids == [0]:
            os._exit(0 if got == "child" else 1)
        sender.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert got == "parent"
    assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == 0


def fork_in_a_handler(wait: Callable[[], object], act: Callable[[bool], object]) -> tuple[bool, object]:
    """Fork in a signal handler that interrupts the wait, and call `act` in a thread of both processes.

    Returns whether this is the child, and the outcome of the wait.
    """
    pids: list[int] = []

    def fork(*_: object) -> None:
        pids.append(os.fork())
        if pids == [0]:
            signal.alarm(20)
        start(act, pids == [0])

    def send() -> None:
        until_asleep(threading.main_thread())
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, fork)
    sender = start(send)
    try:
        outcome = wait()
    except threading.BrokenBarrierError:
        outcome = "broken"
    finally:
        if pids != [0]:
            sender.join()
        signal.signal(signal.SIGUSR1, before)
    if pids != [0]:
        assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == 0
    return pids == [0], outcome


@pytest.mark.parametrize("notified", [True, False])
def test_a_condition_wait_that_forked_goes_on_in_both_processes(notified: bool) -> None:
    condition = ThreadsModule.Condition()

    def wait() -> bool:
        with condition:
            return bool(condition.wait(30 if notified else 3))

    def notify(in_child: bool) -> None:
        if notified:
            with condition:
                condition.notify_all()

    in_child, outcome = fork_in_a_handler(wait, notify)
    if in_child:
        os._exit(0 if outcome is notified else 1)
    assert outcome is notified


@pytest.mark.parametrize("met", [True, False])
def test_a_barrier_wait_that_forked_goes_on_in_both_processes(met: bool) -> None:
    barrier = ThreadsModule.Barrier(2)

    def meet(in_child: bool) -> None:
        if met:
            barrier.wait()

    in_child, outcome = fork_in_a_handler(lambda: barrier.wait(30 if met else 3), meet)
    if in_child:
        os._exit(0 if outcome == (0 if met else "broken") else 1)
    assert outcome == (0 if met else "broken")


def test_a_child_can_fall_back_if_the_parent_forked_during_a_fallback(frantic: None) -> None:
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            assert OXTHREADS.queue.Queue().mutex

    threads = [start(churn) for _ in range(2)]
    for _ in range(20):
        in_child(lambda: OXTHREADS.futures.Future()._condition)
    stop.set()
    for thread in threads:
        thread.join()


FIRST_WAITS = """
import os, signal, sys, time, warnings
from oxthreads.queue import Empty, Queue
from oxthreads.threading import Lock, Thread

warnings.simplefilter("ignore")
items = Queue()

def wait():
    for _ in range(4):
        try:
            items.get(timeout=1e-6)
        except Empty:
            pass

Thread(target=wait, daemon=True).start()
end = time.perf_counter() + float(sys.argv[1])
while time.perf_counter() < end:
    pass
child = os.fork()
if child == 0:
    signal.alarm(20)
    lock = Lock()
    lock.acquire()
    for _ in range(4):
        lock.acquire(timeout=1e-6)
    os._exit(0)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0)
"""


def test_a_child_can_wait_if_the_parent_forked_during_its_first_waits() -> None:
    """The first waits of a process find out things once, such as the number of processors."""
    for delay in range(0, 200, 10):
        assert python(FIRST_WAITS, str(delay / 1e6), runner=False).returncode == 0
