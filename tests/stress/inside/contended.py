"""Two threads wait for the same thing while signals arrive: the main thread and, behind it, the contender.

A third thread, the peer, gives the thing away once in a round. Mostly it does so just when a signal ends the
main thread's wait. Then either the main thread has it and passes it on, or the contender has it. The
contender waits without a timeout and is never interrupted, so only the wake-up can end its wait. If the
interrupted wait has lost the wake-up, the contender hangs, because no later wake-up comes.
"""

from __future__ import annotations

import ctypes
import queue
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.stress.inside.families import WHILE, Family
from tests.support.back_ends import BackEnd
from tests.support.threads import Result
from tests.support.waiting import TIMEOUT_SECONDS

if TYPE_CHECKING:
    from tests.stress.inside.storms import Storm

#: The most microseconds between the signal and the wake-up. With a GIL, the peer holds the GIL meanwhile: the
#: signal has woken the main thread, which cannot leave the wait yet. Without a GIL nothing keeps it there, so
#: the time is shorter.
MOMENT = 400 if getattr(sys, "_is_gil_enabled", lambda: True)() else 40


#: Seconds between two looks whether a thread was told to go on.
POLL_SECONDS = 0.0002


class Turn:
    """Lets another thread go on."""

    def __init__(self) -> None:
        # A queue of the standard library, because the tests must not depend on what they test.
        self._calls = queue.SimpleQueue[bool]()

    def call(self, goes_on: bool = True) -> None:
        self._calls.put(goes_on)

    def wait(self) -> bool:
        """Return whether there is another round."""
        return self._calls.get()

    def demand(self, what: str) -> None:
        """Raises AssertionError if it is not called."""
        # Not get(timeout=...): a standard SimpleQueue waits for ever if a signal comes when the time is over.
        end = time.monotonic() + TIMEOUT_SECONDS
        while True:
            try:
                self._calls.get_nowait()
            except queue.Empty:
                if time.monotonic() > end:
                    raise AssertionError(what) from None
                time.sleep(POLL_SECONDS)
            else:
                return


class Contended(Family):
    """Something that only one thread may have. `take` is the wait that signals interrupt: one native call."""

    take: Callable[[], Any]
    give: Callable[[], Any]

    def prepare(self, library: BackEnd) -> None:
        self.make(library)
        self.chance = random.Random()
        #: Sleeps without releasing the GIL.
        self.sleep: Any = ctypes.PyDLL(None).usleep
        self.begins, self.is_taken, self.follows, self.comes, self.had = (Turn() for _ in range(5))
        self.given, self.owners = False, 0
        self.contender = Result(self.contend)
        self.others.append(self.contender)

    def make(self, library: BackEnd) -> None:
        raise NotImplementedError

    def try_to_take(self) -> bool:
        """Take it if that is possible without waiting. Return whether it was."""
        raise NotImplementedError

    def use(self) -> None:
        if self.try_to_take():
            self.give()

    def round(self, storm: Storm) -> None:
        self.given = False
        self.begins.call()
        self.is_taken.demand("the peer cannot take it: it is lost")
        while not (outcome := storm.attempt(self.take)) and not self.given:
            pass
        if outcome:
            self.hold()
        self.had.demand("the wake-up of the contender is lost")

    def peer(self) -> None:
        while self.begins.wait():
            self.take()
            self.is_taken.call()
            time.sleep(self.chance.choice([0, WHILE / 4, WHILE]))
            self.follows.call()
            self.comes.demand("the contender does not come")
            self.given = True
            if self.chance.randrange(4):
                self.signal_and(self.give)
            else:
                self.give()
                # Take it back if possible, so that the first thread in the line loses the race once more.
                if self.try_to_take():
                    time.sleep(WHILE)
                    self.give()

    def signal_and(self, end: Callable[[], object]) -> None:
        """Interrupt the main thread's wait, and wake it before it has left the wait."""
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGALRM)
        self.sleep(self.chance.randrange(MOMENT))
        end()

    def contend(self) -> None:
        while self.follows.wait():
            self.comes.call()
            self.take()
            self.hold()
            self.had.call()

    def hold(self) -> None:
        self.owners += 1
        assert self.owners == 1, "two threads have it"
        self.owners -= 1
        self.give()

    def finish(self) -> None:
        self.begins.call(False)
        self.follows.call(False)

    def check(self) -> None:
        self.contender.get()
        # In another thread, because this thread can acquire an RLock that it holds.
        assert Result(self.try_to_take).get(), "somebody still has it"


class Lock(Contended):
    kind = "Lock"
    arguments: tuple[int, ...] = ()

    def make(self, library: BackEnd) -> None:
        self.lock = getattr(library.threading, self.kind)(*self.arguments)
        self.take, self.give = self.lock.acquire, self.lock.release

    def try_to_take(self) -> bool:
        return bool(self.lock.acquire(False))


class RLock(Lock):
    kind = "RLock"


class Semaphore(Lock):
    kind, arguments = "Semaphore", (1,)

    def check(self) -> None:
        super().check()
        assert self.lock._value == 0, "a permit too many"


class BoundedSemaphore(Semaphore):
    kind = "BoundedSemaphore"


class Get(Contended):
    """An item in a queue."""

    def __init__(self, library: BackEnd, kind: str) -> None:
        self.kind = kind
        super().__init__(library)

    def make(self, library: BackEnd) -> None:
        self.items = getattr(library.queue, self.kind)()
        self.items.put("item")
        self.take, self.give = self.items.get, partial(self.items.put, "item")

    def try_to_take(self) -> bool:
        try:
            self.items.get_nowait()
        except queue.Empty:
            return False
        return True

    def check(self) -> None:
        super().check()
        assert self.items.empty(), "an item too many"


class Put(Get):
    """Room in a queue."""

    def make(self, library: BackEnd) -> None:
        self.items = getattr(library.queue, self.kind)(1)
        self.take, self.give = partial(self.items.put, "item"), self.items.get

    def try_to_take(self) -> bool:
        try:
            self.items.put_nowait("item")
        except queue.Full:
            return False
        return True

    def check(self) -> None:
        Contended.check(self)
        assert self.items.qsize() == 1, "an item too many, or too few"


class Condition(Contended):
    """A notification."""

    def __init__(self, library: BackEnd, kind: str) -> None:
        self.kind = kind
        super().__init__(library)

    def make(self, library: BackEnd) -> None:
        self.condition = library.threading.Condition(getattr(library.threading, self.kind)())

    def use(self) -> None:
        if self.condition.acquire(False):
            self.condition.notify_all()
            self.condition.release()

    def round(self, storm: Storm) -> None:
        with self.condition:
            self.given = False
            self.begins.call()
            while not (outcome := storm.attempt(self.condition.wait)) and not self.given:
                assert self.condition._is_owned(), "a wait has ended without the lock"
            if outcome:
                self.condition.notify()
        self.had.demand("the notification of the contender is lost")

    def peer(self) -> None:
        while self.begins.wait():
            time.sleep(self.chance.choice([0, WHILE / 4, WHILE]))
            self.follows.call()
            self.comes.demand("the contender does not come")
            with self.condition:  # both threads wait now, or the main thread is about to leave
                self.given = True
                if self.chance.randrange(4):
                    self.signal_and(self.condition.notify)
                else:
                    self.condition.notify()

    def contend(self) -> None:
        while self.follows.wait():
            with self.condition:
                self.comes.call()
                assert self.condition.wait() is True
                self.condition.notify()
            self.had.call()

    def check(self) -> None:
        self.contender.get()
        assert Result(self.condition.acquire, False).get()
        assert repr(self.condition).endswith(", 0)>"), "somebody still waits"


#: For each name, a function that makes the family from the objects of a library.
CONTENDED: dict[str, Callable[[BackEnd], Contended]] = {
    "Lock": Lock,
    "RLock": RLock,
    "Semaphore": Semaphore,
    "BoundedSemaphore": BoundedSemaphore,
    "Condition(Lock)": partial(Condition, kind="Lock"),
    "Condition(RLock)": partial(Condition, kind="RLock"),
    "Queue.get": partial(Get, kind="Queue"),
    "LifoQueue.get": partial(Get, kind="LifoQueue"),
    "PriorityQueue.get": partial(Get, kind="PriorityQueue"),
    "SimpleQueue.get": partial(Get, kind="SimpleQueue"),
    "Queue.put": partial(Put, kind="Queue"),
    "PriorityQueue.put": partial(Put, kind="PriorityQueue"),
}
