"""Rounds about lines of waiters: the order in which they are served, and notifications."""

from __future__ import annotations

import queue as standard_queue
import threading as standard
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import oxthreads.queue as queues
import oxthreads.threading as threads
from tests.stress.inside.soak_round import Actor, Round
from tests.support.waiting import TIMEOUT_SECONDS, until_asleep


class Line(Round):
    """Without competition, waiters are served in the order in which they came."""

    actors = 5
    #: The main thread lets the others wait, one after the other, and then wakes the first one.
    interruptible = False

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        chance = self.chance
        self.kind = chance.choice(["Lock", "RLock", "Semaphore", "Condition", "get", "put"])
        self.condition = threads.Condition(getattr(threads, chance.choice(["Lock", "RLock"]))())
        self.take, self.give = self._pair()
        #: Tells each thread to wait (True) or to end (False).
        self.told = [standard_queue.SimpleQueue[bool]() for _ in range(self.actors)]
        self.who: dict[int, standard.Thread] = {}
        self.served = standard_queue.SimpleQueue[int]()

    def _pair(self) -> tuple[Callable[[], Any], Callable[[], Any]]:
        if self.kind == "Condition":
            return self.condition.wait, self.condition.notify
        if self.kind in ("get", "put"):
            kind = self.chance.choice(["Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"])
            if self.kind == "get" or kind == "SimpleQueue":
                self.kind = f"{kind}.get"
                items: Any = getattr(queues, kind)()
                items.put(0)
                return items.get, partial(items.put, 0)
            self.kind = f"{kind}.put"
            items = getattr(queues, kind)(1)
            return partial(items.put, 0), items.get
        lock = getattr(threads, self.kind)()
        return lock.acquire, lock.release

    def act(self, actor: Actor) -> None:
        actor.operations += 1
        if actor.number == 0:
            self._direct(actor)
            return
        self.who[actor.number] = standard.current_thread()
        if not self.told[actor.number].get():
            return
        with self._mutex():
            self.take()
            self.served.put(actor.number)
            self.give()

    def _mutex(self) -> Any:
        """What a thread must own before it waits."""
        return self.condition if self.kind == "Condition" else standard.Lock()

    def _direct(self, actor: Actor) -> None:
        if self.kind != "Condition":
            self.take()
        order = actor.chance.sample(range(1, self.actors), self.actors - 1)
        for number in order:
            self.told[number].put(True)
            while number not in self.who:
                time.sleep(0.0001)
            # Before it has read this, the thread sleeps for another reason.
            while not self.told[number].empty():
                time.sleep(0.0001)
            until_asleep(self.who[number])
        with self._mutex():
            self.give()
        served = [self.served.get(timeout=TIMEOUT_SECONDS) for _ in order]
        assert served == order, f"{self.kind}: came {order}, were served {served}"

    def end(self) -> None:
        for told in self.told:
            told.put(False)

    def check(self) -> None:
        assert self.served.empty()


class Notifications(Round):
    """Each token is notified once, and one thread in the line needs it.

    The other waiters time out or are interrupted. They must pass on a notification that reaches them.
    """

    actors = 5

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.kind = self.chance.choice(["Lock", "RLock"])
        self.condition = threads.Condition(getattr(threads, self.kind)())
        self.tokens = self.given = self.taken = 0
        self.waits = False

    def act(self, actor: Actor) -> None:
        actor.operations += 1
        if actor.number == 1 and not self.waits:
            time.sleep(0.0001)  # otherwise it would hold the lock most of the time
            return
        with self.condition:
            if self.over:
                return
            if actor.number == 1:
                self._give(actor)
            elif actor.number == 2:
                self._need()
            else:
                # With a timeout, because only the main thread can be interrupted.
                box, _ = actor.call(self.condition.wait, actor.chance.choice([1e-5, 1e-4, 1e-3]))
                assert self.condition._is_owned(), "a wait has ended without the lock"
                if box == [True]:
                    self.condition.notify()

    def _give(self, actor: Actor) -> None:
        if not self.waits:
            return
        self.waits = False
        # Meanwhile, the timeouts of waiters before it in the line may end.
        end = time.perf_counter() + actor.chance.choice([0, 1e-5, 1e-4, 3e-4])
        while time.perf_counter() < end:
            pass
        self.tokens += 1
        self.given += 1
        self.condition.notify()

    def _need(self) -> None:
        while not self.tokens:
            if self.over:
                return
            self.waits = True
            assert self.condition.wait() is True
        self.tokens -= 1
        self.taken += 1
        if self.over:
            self.condition.notify_all()

    def end(self) -> None:
        with self.condition:
            # If there is a token, the thread that needs it has been or will be notified. It then notifies
            # all.
            if not self.tokens:
                self.condition.notify_all()

    def check(self) -> None:
        assert (self.tokens, self.taken) == (0, self.given)


ROUNDS: tuple[type[Round], ...] = (Line, Notifications)
