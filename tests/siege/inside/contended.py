"""What the main thread waits for while signals arrive, with another one behind it that is never interrupted.

There is one thing, which a third thread, the peer, gives away once in a round, mostly in the moment in which
a signal ends the main thread's wait. Then either the main thread has it, and passes it on, or the one behind
it has it: it waits without a timeout, and nothing else ends its wait. So a wake-up that an interrupted
wait took with it is seen, and no later one makes up for it.
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

from conftest import PATIENCE, BackEnd, Result

from .families import WHILE, Family

if TYPE_CHECKING:
    from .storms import Storm

#: Microseconds from the signal to what ends the wait, at the most. Where there is a GIL the peer keeps it
#: meanwhile, so that the main thread is awake, for the signal alone, and has not left the wait. Without
#: a GIL nothing keeps it there.
MOMENT = 400 if getattr(sys, "_is_gil_enabled", lambda: True)() else 40


class Turn:
    """Tells another thread to go on."""

    def __init__(self) -> None:
        # The standard library's: what is attacked is not trusted to tell of itself.
        self._calls = queue.SimpleQueue[bool]()

    def call(self, goes_on: bool = True) -> None:
        self._calls.put(goes_on)

    def wait(self) -> bool:
        """Whether there is another round."""
        return self._calls.get()

    def demand(self, what: str) -> None:
        """Raises AssertionError if it is not called."""
        try:
            self._calls.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(what) from None


class Contended(Family):
    """Something that one thread may have at a time: `take` is what is interrupted, and one native call."""

    take: Callable[[], Any]
    give: Callable[[], Any]

    def prepare(self, library: BackEnd) -> None:
        self.make(library)
        self.chance = random.Random()
        #: Sleeps with the GIL.
        self.sleep: Any = ctypes.PyDLL(None).usleep
        self.begins, self.is_taken, self.follows, self.comes, self.had = (Turn() for _ in range(5))
        self.given, self.owners = False, 0
        self.contender = Result(self.contend)

    def make(self, library: BackEnd) -> None:
        raise NotImplementedError

    def try_to_take(self) -> bool:
        """Take it if that needs no wait; whether it has."""
        raise NotImplementedError

    def use(self) -> None:
        if self.try_to_take():
            self.give()

    def round(self, storm: Storm) -> None:
        self.given = False
        self.begins.call()
        self.is_taken.demand("the peer has not taken it")
        while not (outcome := storm.attempt(self.take)) and not self.given:
            pass
        if outcome:
            self.hold()
        self.had.demand("the wake-up of the one behind is lost")

    def peer(self) -> None:
        while self.begins.wait():
            self.take()
            self.is_taken.call()
            time.sleep(self.chance.choice([0, WHILE / 4, WHILE]))
            self.follows.call()
            self.comes.demand("nobody follows")
            self.given = True
            if self.chance.randrange(4):
                self.signal_and(self.give)
            else:
                self.give()
                # The first in the line may lose it once more.
                if self.try_to_take():
                    time.sleep(WHILE)
                    self.give()

    def signal_and(self, end: Callable[[], object]) -> None:
        """Interrupt the main thread's wait, and end it before it has gone."""
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
        # Another thread: this one may have an RLock as often as it likes.
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
    """The item of a queue."""

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
    """The room in a queue."""

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
        self.had.demand("the notification of the one behind is lost")

    def peer(self) -> None:
        while self.begins.wait():
            time.sleep(self.chance.choice([0, WHILE / 4, WHILE]))
            self.follows.call()
            self.comes.demand("nobody follows")
            with self.condition:  # both wait, or the main thread is about to go
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


#: What makes each, of a library.
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
