"""Forks while other threads wait for every type, or use it: in the child everything can be used.

``python -m tests.siege.inside.forks FORKER LOAD COUNT``: forked by the ``main`` thread, by a ``thread`` or by
a pool's ``worker``, while the other threads are ``parked`` or, some of them, ``busy``. What they do is
a class, with a ``check`` that is made in the child, and a ``release`` that ends it in the parent.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

import pytest

from conftest import OXTHREADS, PATIENCE, Result, spin_until
from test_fork import in_child

from .forks_underway import SWITCHES, Busy, Held, Woken, assert_serves, both
from .processor import until_all_sleep

THREADS, QUEUES, FUTURES = OXTHREADS.threading, OXTHREADS.queue, OXTHREADS.futures

FORKERS, LOADS = ["main", "thread", "worker"], ["parked", "busy"]

#: The queues that do not give their items in turn.
OTHER_ORDERS = ("LifoQueue", "PriorityQueue")


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
            assert_serves(condition, self.wait)
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
        assert both(self.bounded.acquire, self.bounded.release)[0] is True
        self.bounded.release()
        for items in self.others_empty.values():
            assert both(items.get, lambda items=items: items.put(5))[0] == 5  # type: ignore[misc]
        for items in self.others_full.values():
            assert items.get() == 1
            assert items.empty(), "a thread that is not here has put its item"
            items.put_nowait(7)
            assert both(lambda items=items: items.put(8), items.get)[1] == 7  # type: ignore[misc]
            assert items.get() == 8
        gate = THREADS.Event()
        first = self.taken_up.submit(gate.wait)
        spin_until(lambda: self.taken_up.stats().busy == 1)
        second = self.taken_up.submit(int)  # nobody who is here waits to do the same
        gate.set()
        assert (first.result(PATIENCE), second.result(PATIENCE)) == (True, 0)
        for pool in (self.taken_up, self.mapping):
            assert pool.stats().queued == 0, "calls of the parent"
            assert list(pool.map(abs, range(-3, 0))) == [3, 2, 1]
            pool.shutdown()
        self.closing.shutdown()  # it has been told already, and its worker is not here
        with pytest.raises(RuntimeError):
            self.closing.submit(int)

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
        self.bounded.release()
        self.gate.set()
        for name in OTHER_ORDERS:
            self.others_empty[name].put(3)
            assert [self.others_full[name].get(), self.others_full[name].get()] == [1, 2]
        assert [call.result(PATIENCE) for call in self.calls] == [True] * 3
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
    states: list[Any] = [Parked(), Pools(), Held()]
    # The former is what it is by chance, but while everything happens; the latter for certain.
    often = Busy() if load == "busy" else Woken()
    turns = [turn for state in states for turn in (often, state)]
    for number in range(count):
        state = turns[number % len(turns)]
        if state is often:
            state.prepare()
        in_child(state.check)
        sys.setswitchinterval(SWITCHES)  # which may have been another at the fork
    for state in (*states, often):
        state.release()


def fork_or_end(load: str, count: int) -> None:
    """And end the process if a child fails: the threads that wait would keep it, and the failure unseen."""
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
