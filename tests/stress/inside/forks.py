"""Forks while other threads wait on every type, or use it. Everything must work in the child.

``python -m tests.stress.inside.forks FORKER LOAD COUNT``: the ``main`` thread, a ``thread`` or a pool's
``worker`` forks. The other threads are ``parked``, or some of them are ``busy``. Each class here makes
objects and the threads that use them. Its ``check`` runs in the child. Its ``release`` ends the threads in
the parent.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

import pytest

from tests.stress.inside.forks_underway import SWITCHES, Busy, Held, Woken, assert_serves, both
from tests.stress.inside.processor import until_all_sleep
from tests.support.back_ends import OXTHREADS
from tests.support.forks import in_child
from tests.support.threads import Result
from tests.support.waiting import TIMEOUT_SECONDS, spin_until

THREADS, QUEUES, FUTURES = OXTHREADS.threading, OXTHREADS.queue, OXTHREADS.futures

FORKERS, LOADS = ["main", "thread", "worker"], ["parked", "busy"]

#: The queues that do not return items in the order in which they were put.
OTHER_ORDERS = ("LifoQueue", "PriorityQueue")


class Parked:
    """An object of every type, and threads that wait on it until `release`.

    The thread that makes it owns the locks, and is the thread that forks.
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
        self.bounded = THREADS.BoundedSemaphore(1)
        self.bounded.acquire()
        self.others_empty = {name: getattr(QUEUES, name)() for name in OTHER_ORDERS}
        self.others_full = {name: getattr(QUEUES, name)(1) for name in OTHER_ORDERS}
        for items in self.others_full.values():
            items.put(1)
        self.gate = THREADS.Event()
        self.taken_up, self.closing = (
            FUTURES.ThreadPoolExecutor(1, max_pending=1),
            FUTURES.ThreadPoolExecutor(1),
        )
        self.mapping = FUTURES.ThreadPoolExecutor(1)
        self.calls = [self.taken_up.submit(self.gate.wait), self.closing.submit(self.gate.wait)]
        spin_until(lambda: self.taken_up.stats().busy == 1)
        self.calls.append(self.taken_up.submit(self.gate.wait))
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
            "BoundedSemaphore.acquire": Result(self.bounded.acquire),
            "submit": Result(lambda: self.taken_up.submit(pow, 2, 3).result()),
            "shutdown": Result(self.closing.shutdown),
            "map": Result(lambda: list(self.mapping.map(lambda _: self.gate.wait(), range(2)))),
        }
        for name in OTHER_ORDERS:
            self.waiting[f"{name}.get"] = Result(self.others_empty[name].get)
            self.waiting[f"{name}.put"] = Result(self.others_full[name].put, 2)
        until_all_sleep([result.thread for result in self.waiting.values()])

    @staticmethod
    def wait(condition: Any) -> bool:
        with condition:
            return bool(condition.wait())

    def check(self) -> None:
        """Use everything in the forked child: first in its only thread, then between two threads."""
        self.lock.release()
        assert self.lock.acquire(timeout=1), "handed to a thread that does not exist in the child"
        assert both(self.lock.acquire, self.lock.release)[0] is True
        assert self.rlock._is_owned()
        both(lambda: (self.rlock.acquire(), self.rlock.release()), self.rlock.release)
        assert not self.event.is_set()
        assert both(self.event.wait, self.event.set)[0] is True
        assert both(self.semaphore.acquire, self.semaphore.release)[0] is True
        assert self.semaphore._value == 0, "a permit for a thread that does not exist in the child"
        assert self.barrier.n_waiting == 0
        third = Result(self.barrier.wait)
        assert sorted((*both(self.barrier.wait, self.barrier.wait), third.get())) == [0, 1, 2]
        for condition in (self.condition, self.plain):
            assert repr(condition).endswith(", 0)>"), "a thread of the parent is in the list"
            assert_serves(condition, self.wait)
        assert both(self.empty.get, lambda: self.empty.put("a"))[0] == "a"
        assert both(lambda: self.empty.get_many(2), lambda: self.empty.put_many(["b"]))[0] == ["b"]
        assert self.full.get() == "first"
        assert self.full.empty(), "a thread of the parent has put its item"
        both(lambda: self.full.put_many(["c", "d"]), lambda: [self.full.get(), self.full.get()])
        both(self.joined.join, self.joined.task_done)
        assert both(self.simple.get, lambda: self.simple.put("e"))[0] == "e"
        assert both(self.future.result, lambda: self.future.set_result("f"))[0] == "f"
        assert FUTURES.wait([self.future]).done == {self.future}
        self.thread.join()  # that thread does not exist here, so this returns at once
        assert both(self.bounded.acquire, self.bounded.release)[0] is True
        self.bounded.release()
        for items in self.others_empty.values():
            assert both(items.get, lambda items=items: items.put(5))[0] == 5  # type: ignore[misc]
        for items in self.others_full.values():
            assert items.get() == 1
            assert items.empty(), "a thread of the parent has put its item"
            items.put_nowait(7)
            assert both(lambda items=items: items.put(8), items.get)[1] == 7  # type: ignore[misc]
            assert items.get() == 8
        gate = THREADS.Event()
        first = self.taken_up.submit(gate.wait)
        spin_until(lambda: self.taken_up.stats().busy == 1)
        second = self.taken_up.submit(int)  # no other thread of this process waits to submit
        gate.set()
        assert (first.result(TIMEOUT_SECONDS), second.result(TIMEOUT_SECONDS)) == (True, 0)
        for pool in (self.taken_up, self.mapping):
            assert pool.stats().queued == 0, "calls of the parent are still queued"
            assert list(pool.map(abs, range(-3, 0))) == [3, 2, 1]
            pool.shutdown()
        self.closing.shutdown()  # the parent has called it before, and the worker does not exist here
        with pytest.raises(RuntimeError):
            self.closing.submit(int)

    def release(self) -> None:
        """End all waits in the parent, and check their results."""
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
        self.bounded.release()
        self.gate.set()
        for name in OTHER_ORDERS:
            self.others_empty[name].put(3)
            assert [self.others_full[name].get(), self.others_full[name].get()] == [1, 2]
        assert [call.result(TIMEOUT_SECONDS) for call in self.calls] == [True] * 3
        results = {name: result.get() for name, result in self.waiting.items()}
        assert results.pop("Barrier.wait") in (0, 1, 2)
        assert sorted([results.pop("Queue.get"), *results.pop("Queue.get_many")]) == ["a", "b"]
        assert results.pop("wait").done == {self.future}
        assert results == {
            **dict.fromkeys(("Lock.acquire", "Event.wait", "Semaphore.acquire"), True),
            **dict.fromkeys(("Condition.wait", "Condition(Lock).wait", "BoundedSemaphore.acquire"), True),
            **dict.fromkeys(("Queue.put", "Queue.put_many", "Queue.join", "Thread.join", "shutdown")),
            **{f"{name}.get": 3 for name in OTHER_ORDERS},
            **{f"{name}.put": None for name in OTHER_ORDERS},
            "RLock.acquire": (True, None),
            "SimpleQueue.get": "e",
            "Future.result": "f",
            "as_completed": [self.future],
            "submit": 8,
            "map": [True, True],
        }
        for pool in (self.taken_up, self.mapping):
            pool.shutdown()


class Pools:
    """Two pools: one is idle; the worker of the other is busy, and calls are queued."""

    def __init__(self) -> None:
        self.gate = THREADS.Event()
        self.idle, self.full = FUTURES.ThreadPoolExecutor(2), FUTURES.ThreadPoolExecutor(1)
        self.idle.submit(int).result()
        self.calls = [self.full.submit(self.gate.wait) for _ in range(3)]

    def check(self) -> None:
        for pool in (self.idle, self.full):
            assert pool.submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8
            pool.shutdown()
        with FUTURES.ThreadPoolExecutor(1) as new:
            assert new.submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8

    def release(self) -> None:
        self.gate.set()
        assert [call.result(TIMEOUT_SECONDS) for call in self.calls] == [True] * 3
        self.idle.shutdown()
        self.full.shutdown()


def fork(load: str, count: int) -> None:
    """Fork `count` times in this thread. Raises AssertionError if a child fails."""
    states: list[Any] = [Parked(), Pools(), Held()]
    # Busy is in any state at the fork, while everything happens. Woken is always in the same state.
    often = Busy() if load == "busy" else Woken()
    turns = [turn for state in states for turn in (often, state)]
    for number in range(count):
        state = turns[number % len(turns)]
        if state is often:
            state.prepare()
        in_child(state.check)
        sys.setswitchinterval(SWITCHES)  # it may have been different at the fork
    for state in (*states, often):
        state.release()


def fork_or_end(load: str, count: int) -> None:
    """As `fork`, but end the process if a child fails. Otherwise the waiting threads would keep it alive."""
    try:
        fork(load, count)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def main(forker: str, load: str, count: int) -> None:
    if forker == "main":
        fork_or_end(load, count)
    elif forker == "thread":
        thread = THREADS.Thread(target=fork_or_end, args=(load, count))
        thread.start()
        thread.join()
    else:
        with FUTURES.ThreadPoolExecutor(1) as pool:
            pool.submit(fork_or_end, load, count).result()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
