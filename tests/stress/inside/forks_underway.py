"""Threads of the parent that are in the middle of something at a fork.

`Held`: they hold locks. `Woken`: they were woken, and have not yet taken what was given to them. `Busy`:
they are anywhere.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.stress.inside.processor import until_all_sleep
from tests.support.back_ends import OXTHREADS
from tests.support.interpreters import FREE_THREADED
from tests.support.threads import Result, start
from tests.support.waiting import TIMEOUT_SECONDS

THREADS, QUEUES, FUTURES = OXTHREADS.threading, OXTHREADS.queue, OXTHREADS.futures

#: Seconds between two switches of threads: the usual time, and a time so long that no switch comes.
SWITCHES, NO_SWITCH = sys.getswitchinterval(), 1000.0


def both(one: Callable[[], Any], other: Callable[[], Any]) -> tuple[Any, Any]:
    """Run two calls that wait for each other, and return both results."""
    result = Result(one)
    value = other()
    return result.get(), value


def assert_serves(condition: Any, wait: Callable[[Any], Any]) -> None:
    """A waiter can be notified: start a thread that waits, and notify until it ends."""
    with condition:
        waiter = Result(wait, condition)
    while waiter.thread.is_alive():
        with condition:
            condition.notify()
    assert waiter.get() is True


class Held:
    """Locks that another thread holds at the fork stay locked in the child until `_at_fork_reinit`."""

    def __init__(self) -> None:
        self.over, held = threading.Event(), threading.Event()
        self.lock, self.rlock = THREADS.Lock(), THREADS.RLock()
        self.conditions = THREADS.Condition(), THREADS.Condition(THREADS.Lock())
        self.semaphores = THREADS.Semaphore(1), THREADS.BoundedSemaphore(1)

        def hold() -> None:
            with contextlib.ExitStack() as stack:
                for each in (self.lock, self.rlock, *self.conditions, *self.semaphores):
                    stack.enter_context(each)
                held.set()
                self.over.wait()

        self.owner = start(hold)
        held.wait()

    def check(self) -> None:
        for lock in (self.lock, self.rlock, *self.conditions):
            assert not lock.acquire(False)
            assert not lock.acquire(timeout=0.001)
            if lock is not self.lock:
                assert not lock._is_owned() or lock is self.conditions[1]
            lock._at_fork_reinit()
            with lock:
                assert not Result(lock.acquire, False).get()
        # For a Lock that does not matter, because any thread may release it.
        with pytest.raises(RuntimeError, match="un-acquired"):
            self.rlock.release()
        for condition in self.conditions:
            with pytest.raises(RuntimeError, match="un-acquired"):
                condition.notify()
            assert_serves(condition, self.wait)
        for semaphore in self.semaphores:
            assert semaphore._value == 0
            assert not semaphore.acquire(False)
            assert both(semaphore.acquire, semaphore.release)[0] is True
            semaphore.release()
        with pytest.raises(ValueError, match="too many times"):
            self.semaphores[1].release()

    @staticmethod
    def wait(condition: Any) -> bool:
        with condition:
            return bool(condition.wait())

    def release(self) -> None:
        for held in (self.lock, self.rlock, *self.conditions, *self.semaphores):
            assert not held.acquire(False), "a child has released it"
        self.over.set()
        self.owner.join(TIMEOUT_SECONDS)
        for held in (self.lock, self.rlock, *self.conditions, *self.semaphores):
            assert held.acquire(False)


class Woken:
    """Threads that have been woken but have not run yet. In the child, what each was given must be free.

    With a GIL, no other thread can run between the wake-up and the fork.
    """

    def __init__(self) -> None:
        self.results: dict[str, Result] = {}

    def prepare(self) -> None:
        """Make everything anew before each fork. The thread that forks calls it as the last thing before."""
        self.release()
        self.lock, self.rlock, self.event = THREADS.Lock(), THREADS.RLock(), THREADS.Event()
        self.lock.acquire()
        self.rlock.acquire()
        self.semaphores = THREADS.Semaphore(0), THREADS.BoundedSemaphore(1)
        self.semaphores[1].acquire()
        self.barrier, self.condition = THREADS.Barrier(2), THREADS.Condition()
        self.empty = [getattr(QUEUES, name)() for name in (*ORDERS, "SimpleQueue")]
        self.many: Any = QUEUES.Queue()
        self.full = [getattr(QUEUES, name)(1) for name in ORDERS]
        self.joined, self.future = QUEUES.Queue(), FUTURES.Future()
        for items in (*self.full, self.joined):
            items.put(1)
        self.pool = FUTURES.ThreadPoolExecutor(1)
        self.pool.submit(int).result()
        self.results = {
            "lock": Result(lambda: (self.lock.acquire(), self.lock.release())),
            "rlock": Result(lambda: (self.rlock.acquire(), self.rlock.release())),
            "event": Result(self.event.wait),
            "barrier": Result(self.barrier.wait),
            "condition": Result(Held.wait, self.condition),
            "joined": Result(self.joined.join),
            "many": Result(self.many.get_many, 2),
            "future": Result(self.future.result),
            "wait": Result(FUTURES.wait, [self.future]),
            "as_completed": Result(lambda: list(FUTURES.as_completed([self.future]))),
            **{f"{each}": Result(each.acquire) for each in self.semaphores},
            **{f"get {items}": Result(items.get) for items in self.empty},
            **{f"put {items}": Result(items.put, 2) for items in self.full},
        }
        until_all_sleep([*(result.thread for result in self.results.values()), *self.pool._threads])
        sys.setswitchinterval(NO_SWITCH)
        self.lock.release()
        self.rlock.release()
        self.event.set()
        self.barrier.wait()
        with self.condition:
            self.condition.notify_all()
        for semaphore in self.semaphores:
            semaphore.release()
        for items in self.empty:
            items.put(3)
        self.many.put_many([3, 4, 5])
        for items in self.full:
            assert items.get() == 1
        self.joined.task_done()
        self.future.set_result(6)
        self.call = self.pool.submit(int)

    def check(self) -> None:
        """Take, in the forked child, what was given to threads that do not exist there."""
        sys.setswitchinterval(SWITCHES)
        for lock in (self.lock, self.rlock, *self.semaphores):
            self._acquire(lock)
            assert not Result(lock.acquire, False).get()
            assert both(lambda lock=lock: (lock.acquire(), lock.release()), lock.release)[0][0]  # type: ignore[misc]
        assert self.event.is_set()
        assert self.barrier.n_waiting == 0
        assert sorted(both(self.barrier.wait, self.barrier.wait)) == [0, 1]
        assert repr(self.condition).endswith(", 0)>"), "a thread of the parent is in the list"
        for items in self.empty:
            if not (FREE_THREADED and items.empty()):
                assert items.get_nowait() == 3
            assert items.empty()
            assert both(items.get, lambda items=items: items.put(1))[0] == 1  # type: ignore[misc]
        if not FREE_THREADED:
            assert self.many.get_many(9, False) == [3, 4, 5]
        for items in self.full:
            # A heap only has room, and no item yet. In the other queues, the waiting put has left its item.
            if not items.empty():
                assert items.get_nowait() == 2
            items.put_nowait(7)
            assert both(lambda items=items: items.put(8), items.get)[1] == 7  # type: ignore[misc]
            assert items.get() == 8
        self.joined.join()
        assert self.future.result(0) == 6
        assert self.pool.stats().queued == 0
        assert self.pool.submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8

    @staticmethod
    def _acquire(lock: Any) -> None:
        if lock.acquire(timeout=0.01 if FREE_THREADED else 1):
            return
        # Without a GIL, the woken thread may have taken the lock before the fork. Then it stays locked.
        assert FREE_THREADED, "given to a thread that does not exist in the child"
        (getattr(lock, "_at_fork_reinit", None) or lock.release)()
        assert lock.acquire(False)

    def release(self) -> None:
        """Check, in the parent, the results of the threads that were woken."""
        sys.setswitchinterval(SWITCHES)
        if not self.results:
            return
        results = {name: result.get() for name, result in self.results.items()}
        assert results["lock"] == results["rlock"] == (True, None)
        assert results["barrier"] == 0
        assert results["many"] in ([3], [3, 4])
        assert results["future"] == 6 and results["as_completed"] == [self.future]
        assert results["event"] is results["condition"] is True
        for semaphore in self.semaphores:
            assert results[f"{semaphore}"] is True and semaphore._value == 0
        assert [results[f"get {items}"] for items in self.empty] == [3] * len(self.empty)
        assert [items.get_nowait() for items in self.full] == [2] * len(self.full)
        assert self.call.result(TIMEOUT_SECONDS) == 0
        self.pool.shutdown()


ORDERS = ("Queue", "LifoQueue", "PriorityQueue")


class Busy:
    """An object of every type, and threads that use all of them as fast as they can until `release`."""

    def __init__(self) -> None:
        self.stop = self.produced = False
        self.lock, self.rlock, self.event = THREADS.Lock(), THREADS.RLock(), THREADS.Event()
        self.semaphore, self.barrier = THREADS.Semaphore(1), THREADS.Barrier(2)
        self.bounded, self.condition = THREADS.BoundedSemaphore(2), THREADS.Condition()
        self.queues = [
            *(QUEUES.Queue(), QUEUES.SimpleQueue()),
            *(getattr(QUEUES, name)(2) for name in ORDERS),
        ]
        self.pool, self.full = FUTURES.ThreadPoolExecutor(2), FUTURES.ThreadPoolExecutor(1, max_pending=1)
        self.producers = [start(self.produce) for _ in range(2)]
        self.others = [start(self.consume) for _ in range(2)] + [start(self.work) for _ in range(2)]

    def produce(self) -> None:
        """Put the same number of items into each queue. A bounded one may be full, so this may wait."""
        for number in itertools.count():
            if self.stop:
                return
            for items in self.queues:
                items.put(number)
            if FREE_THREADED:
                time.sleep(0.001)  # otherwise these threads leave no processor to the thread that forks

    def consume(self) -> None:
        """Take items from each queue. It may be empty, so this may wait."""
        while not self.produced:
            for items in self.queues:
                items.get()
                if hasattr(items, "task_done"):
                    items.task_done()

    def work(self) -> None:
        while not self.stop:
            with self.lock, self.rlock, self.rlock, self.semaphore, self.bounded:
                self.event.set()
                self.event.clear()
            with self.condition:
                self.condition.notify()
                self.condition.wait(1e-4)
            try:
                self.barrier.wait(1e-3)
            except threading.BrokenBarrierError:
                self.barrier.reset()
            future = self.pool.submit(pow, 2, 3)
            assert future.result() == 8
            assert next(FUTURES.as_completed([self.pool.submit(int), self.pool.submit(int)])).result() == 0
            assert sum(self.full.submit(int).result() for _ in range(3)) == 0

    def prepare(self) -> None: ...

    def check(self) -> None:
        """Use everything in a forked child. A lock that another thread owns stays locked."""
        self._use_locks()
        value = self.semaphore._value
        assert value in (0, 1)
        assert self.semaphore.acquire(False) is bool(value)
        assert both(self.semaphore.acquire, self.semaphore.release)[0] is True
        for _ in range(2 - self.bounded._value):  # permits that threads of the parent hold
            self.bounded.release()
        with self.bounded, self.bounded:
            assert not self.bounded.acquire(False)
        assert self.event.wait(0) is self.event.is_set()
        self.event.clear()
        assert both(self.event.wait, self.event.set)[0] is True
        assert self.barrier.n_waiting == 0, "a thread of the parent is in the list"
        if self.barrier.broken:  # a wait that timed out has broken it
            self.barrier.reset()
        assert sorted(both(self.barrier.wait, self.barrier.wait)) == [0, 1]
        for items in self.queues:
            self._use_queue(items)
        for pool in (self.pool, self.full):
            assert pool.stats().queued == 0, "calls of the parent are still queued"
            assert pool.submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8
            assert list(pool.map(abs, range(-3, 0))) == [3, 2, 1]
            pool.shutdown()

    def _use_locks(self) -> None:
        for lock in (self.lock, self.rlock, self.condition):
            if lock.acquire(False):
                lock.release()
            else:  # a thread of the parent holds it
                lock._at_fork_reinit()
            with lock:
                assert not Result(lock.acquire, False).get()
            assert Result(lambda lock=lock: (lock.acquire(timeout=1), lock.release())).get()[0]
        assert repr(self.condition).endswith(", 0)>"), "a thread of the parent is in the list"
        with self.condition:
            self.condition.notify_all()
            assert not self.condition.wait(1e-4)

    @staticmethod
    def _use_queue(items: Any) -> None:
        """Every item can be taken, there is as much room as `maxsize` says, and a waiter is woken."""
        for _ in range(items.qsize()):  # items that threads of the parent have put and not taken
            items.get_nowait()
        assert items.empty()
        for number in range(room := getattr(items, "maxsize", 0)):
            items.put_nowait(number)
        if room:
            assert items.full()
            with pytest.raises(queue.Full):
                items.put_nowait(room)
            assert both(partial(items.put, room), items.get)[1] in range(room)
        for _ in range(room):
            items.get_nowait()
        assert both(items.get, lambda: items.put(1))[0] == 1

    def release(self) -> None:
        self.stop = True
        for thread in self.producers:
            thread.join(TIMEOUT_SECONDS)
            assert not thread.is_alive(), "a thread hangs"
        # Each consumer takes at most one more item from each queue.
        self.produced = True
        for items in self.queues * 2:
            with contextlib.suppress(queue.Full):
                items.put_nowait(0)
        for thread in self.others:
            thread.join(TIMEOUT_SECONDS)
            assert not thread.is_alive(), "a thread hangs"
        for pool in (self.pool, self.full):
            pool.shutdown()
