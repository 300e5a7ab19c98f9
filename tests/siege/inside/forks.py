"""Forks while other threads wait for every type, or use it: in the child everything can be used.

``python -m tests.siege.inside.forks FORKER LOAD COUNT``: forked by the ``main`` thread, by a ``thread`` or by
a pool's ``worker``, while the other threads are ``parked`` or, some of them, ``busy``.
"""

from __future__ import annotations

import itertools
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any

from conftest import OXTHREADS, PATIENCE, Result, start, until_asleep
from test_fork import in_child

THREADS, QUEUES, FUTURES = OXTHREADS.threading, OXTHREADS.queue, OXTHREADS.futures

FORKERS, LOADS = ["main", "thread", "worker"], ["parked", "busy"]


def both(one: Callable[[], Any], other: Callable[[], Any]) -> tuple[Any, Any]:
    """What two calls come to that wait for each other."""
    result = Result(one)
    value = other()
    return result.get(), value


class Parked:
    """An object of every type, and threads that wait for it until `release`. The thread that makes it owns
    the locks, and is the one that forks.
    """

    def __init__(self) -> None:
        self.lock, self.rlock, self.event = THREADS.Lock(), THREADS.RLock(), THREADS.Event()
        self.lock.acquire()
        self.rlock.acquire()
        self.semaphore, self.barrier = THREADS.Semaphore(0), THREADS.Barrier(3)
        self.condition, self.plain = THREADS.Condition(), THREADS.Condition(THREADS.Lock())
        self.empty, self.full, self.joined = QUEUES.Queue(), QUEUES.Queue(1), QUEUES.Queue()
        self.full.put("first")
        self.joined.put("first")
        self.simple, self.future = QUEUES.SimpleQueue(), FUTURES.Future()
        self.thread = THREADS.Thread(target=self.event.wait, daemon=True)
        self.thread.start()
        self.waiting = {
            "Lock.acquire": Result(self.lock.acquire),
            "RLock.acquire": Result(lambda: (self.rlock.acquire(), self.rlock.release())),
            "Event.wait": Result(self.event.wait),
            "Semaphore.acquire": Result(self.semaphore.acquire),
            "Barrier.wait": Result(self.barrier.wait),
            "Condition.wait": Result(self.wait, self.condition),
            "Condition(Lock).wait": Result(self.wait, self.plain),
            "Queue.get": Result(self.empty.get),
            "Queue.get_many": Result(self.empty.get_many, 2),
            "Queue.put": Result(self.full.put, "second"),
            "Queue.put_many": Result(self.full.put_many, ["third"]),
            "Queue.join": Result(self.joined.join),
            "SimpleQueue.get": Result(self.simple.get),
            "Future.result": Result(self.future.result),
            "wait": Result(FUTURES.wait, [self.future]),
            "as_completed": Result(lambda: list(FUTURES.as_completed([self.future]))),
            "Thread.join": Result(self.thread.join),
        }
        until_asleep(*(result.thread for result in self.waiting.values()))

    @staticmethod
    def wait(condition: Any) -> bool:
        with condition:
            return bool(condition.wait())

    def check(self) -> None:
        """Use everything, in a forked child: by its only thread, and by one that waits for another."""
        self.lock.release()
        assert self.lock.acquire(timeout=1), "handed to a thread that is not here"
        assert both(self.lock.acquire, self.lock.release)[0] is True
        assert self.rlock._is_owned()
        both(lambda: (self.rlock.acquire(), self.rlock.release()), self.rlock.release)
        assert not self.event.is_set()
        assert both(self.event.wait, self.event.set)[0] is True
        assert both(self.semaphore.acquire, self.semaphore.release)[0] is True
        assert self.semaphore._value == 0, "a permit for a thread that is not here"
        assert self.barrier.n_waiting == 0
        third = Result(self.barrier.wait)
        assert sorted((*both(self.barrier.wait, self.barrier.wait), third.get())) == [0, 1, 2]
        for condition in (self.condition, self.plain):
            assert repr(condition).endswith(", 0)>"), "a thread that is not here waits"
            with condition:
                waiter = Result(self.wait, condition)
            while waiter.thread.is_alive():
                with condition:
                    condition.notify()
            assert waiter.get() is True
        assert both(self.empty.get, lambda: self.empty.put("a"))[0] == "a"
        assert both(lambda: self.empty.get_many(2), lambda: self.empty.put_many(["b"]))[0] == ["b"]
        assert self.full.get() == "first"
        assert self.full.empty(), "a thread that is not here has put its item"
        both(lambda: self.full.put_many(["c", "d"]), lambda: [self.full.get(), self.full.get()])
        both(self.joined.join, self.joined.task_done)
        assert both(self.simple.get, lambda: self.simple.put("e"))[0] == "e"
        assert both(self.future.result, lambda: self.future.set_result("f"))[0] == "f"
        assert FUTURES.wait([self.future]).done == {self.future}
        self.thread.join()  # it is not here

    def release(self) -> None:
        """End all waits in the parent, and look at what they come to."""
        self.lock.release()
        self.rlock.release()
        self.event.set()
        self.semaphore.release()
        Result(self.barrier.wait)
        self.barrier.wait()
        for condition in (self.condition, self.plain):
            with condition:
                condition.notify_all()
        self.empty.put_many(["a", "b"])
        assert sorted(self.full.get() for _ in range(3)) == ["first", "second", "third"]
        self.joined.task_done()
        self.simple.put("e")
        self.future.set_result("f")
        results = {name: result.get() for name, result in self.waiting.items()}
        assert results.pop("Barrier.wait") in (0, 1, 2)
        assert sorted([results.pop("Queue.get"), *results.pop("Queue.get_many")]) == ["a", "b"]
        assert results.pop("wait").done == {self.future}
        assert list(results.values()) == [
            *(True, (True, None), True, True, True, True, None, None, None, "e", "f", [self.future], None)
        ], results


class Busy:
    """An object of every type, and threads that use all of them as fast as they can until `release`."""

    def __init__(self) -> None:
        self.stop = False
        self.lock, self.rlock, self.event = THREADS.Lock(), THREADS.RLock(), THREADS.Event()
        self.semaphore, self.barrier = THREADS.Semaphore(1), THREADS.Barrier(2)
        self.condition, self.items, self.small = THREADS.Condition(), QUEUES.Queue(), QUEUES.Queue(2)
        self.simple, self.priority, self.lifo = (
            QUEUES.SimpleQueue(),
            QUEUES.PriorityQueue(),
            QUEUES.LifoQueue(),
        )
        self.pool = FUTURES.ThreadPoolExecutor(2)
        self.threads = [start(self.work) for _ in range(2)]

    def work(self) -> None:
        for number in itertools.count():
            if self.stop:
                return
            with self.lock, self.rlock, self.rlock, self.semaphore:
                self.event.set()
                self.event.clear()
            with self.condition:
                self.condition.notify()
                self.condition.wait(1e-4)
            for items in (self.items, self.simple, self.priority, self.lifo, self.small):
                items.put(number)
                items.get()
            self.items.task_done()
            try:
                self.barrier.wait(1e-3)
            except threading.BrokenBarrierError:
                self.barrier.reset()
            future = self.pool.submit(pow, 2, 3)
            assert future.result() == 8
            assert next(FUTURES.as_completed([self.pool.submit(int), self.pool.submit(int)])).result() == 0

    def check(self) -> None:
        """Use everything, in a forked child. What another thread owns stays its own, as a lock does."""
        for lock in (self.lock, self.rlock):
            lock._at_fork_reinit()
            with lock:
                assert not Result(lock.acquire, False).get()
            assert Result(lambda lock=lock: (lock.acquire(timeout=1), lock.release())).get()[0]
        self.semaphore.release()
        assert self.semaphore.acquire(timeout=1)
        self.event.clear()
        assert both(self.event.wait, self.event.set)[0] is True
        self.condition._at_fork_reinit()
        with self.condition:
            self.condition.notify_all()
            assert not self.condition.wait(1e-4)
        self.barrier.reset()
        assert sorted(both(self.barrier.wait, self.barrier.wait)) == [0, 1]
        for items in (self.items, self.simple, self.priority, self.lifo, self.small):
            while True:  # what the threads of the parent have put and not taken
                try:
                    items.get_nowait()
                except queue.Empty:
                    break
            assert items.qsize() == 0
            assert both(items.get, lambda items=items: items.put(1))[0] == 1  # type: ignore[misc]
        assert self.pool.submit(pow, 2, 3).result(PATIENCE) == 8
        assert list(self.pool.map(abs, range(-3, 0))) == [3, 2, 1]
        self.pool.shutdown()

    def release(self) -> None:
        self.stop = True
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "it hangs"
        assert self.items.unfinished_tasks >= 0
        self.pool.shutdown()


class Pools:
    """A pool that has nothing to do, and one whose worker is busy and that has more calls than workers."""

    def __init__(self) -> None:
        self.gate = THREADS.Event()
        self.idle, self.full = FUTURES.ThreadPoolExecutor(2), FUTURES.ThreadPoolExecutor(1)
        self.idle.submit(int).result()
        self.calls = [self.full.submit(self.gate.wait) for _ in range(3)]

    def check(self) -> None:
        for pool in (self.idle, self.full):
            assert pool.submit(pow, 2, 3).result(PATIENCE) == 8
            pool.shutdown()
        with FUTURES.ThreadPoolExecutor(1) as new:
            assert new.submit(pow, 2, 3).result(PATIENCE) == 8

    def release(self) -> None:
        self.gate.set()
        assert [call.result(PATIENCE) for call in self.calls] == [True] * 3
        self.idle.shutdown()
        self.full.shutdown()


def fork(load: str, count: int) -> None:
    """Fork so often, in this thread. Raises AssertionError if a child fails."""
    states: list[Any] = [Parked(), Pools()]
    if load == "busy":
        states.append(Busy())
    for number in range(count):
        in_child(states[number % len(states)].check)
    for state in states:
        state.release()


def main(forker: str, load: str, count: int) -> None:
    if forker == "main":
        fork(load, count)
    elif forker == "thread":
        thread = THREADS.Thread(target=fork, args=(load, count))
        thread.start()
        thread.join()
    else:
        with FUTURES.ThreadPoolExecutor(1) as pool:
            pool.submit(fork, load, count).result()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
