"""Rounds with the types of `threading`: mutual exclusion, permits that balance, no lost wake-ups."""

from __future__ import annotations

import sys
import threading as standard
from collections import Counter
from typing import Any

import oxthreads.threading as threads
from tests.stress.inside.soak_round import Actor, Round


class Exclusion(Round):
    """At most one thread is in the section of a Lock, RLock, Condition, or semaphore with one permit."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.kind = self.chance.choice(
            ["Lock", "RLock", "Condition", "Condition of a Lock", "Semaphore", "BoundedSemaphore"]
        )
        if self.kind == "Condition of a Lock":
            self.lock: Any = threads.Condition(threads.Lock())
        else:
            arguments = (1,) if "Semaphore" in self.kind else ()
            self.lock = getattr(threads, self.kind)(*arguments)
        self.recursive = self.kind in ("RLock", "Condition")
        self.inside: Actor | None = None
        self.entered = 0
        self.entered_by: Counter[int] = Counter()

    def act(self, actor: Actor) -> None:
        arguments = actor.chance.choice(
            [(), (True,), (False,), (True, actor.timeout()), (True, 0.5), (True, 1e-9)]
        )
        if "Semaphore" in self.kind and arguments and not arguments[0]:
            arguments = (False,)
        box, error = actor.call(self.lock.acquire, *arguments)
        if not box or not box[0]:
            assert error is not None or arguments not in [(), (True,)], (
                "an acquire without a timeout has failed"
            )
            return
        self._enter(actor)

    def _enter(self, actor: Actor) -> None:
        assert self.inside is None, f"{self.kind}: two are inside"
        self.inside = actor
        self.entered += 1
        self.entered_by[actor.number] += 1
        depth = actor.chance.randrange(3) if self.recursive else 0
        for _ in range(depth):
            assert self.lock.acquire(actor.chance.random() < 0.5)
        if self.kind.startswith("Condition") and actor.chance.random() < 0.4:
            self.inside = None
            actor.chance.choice([self.lock.notify, self.lock.notify_all])()
            self.lock.wait(actor.timeout())
            assert self.inside is None, f"{self.kind}: two are inside after a wait"
            self.inside = actor
        for _ in range(depth):
            self.lock.release()
        assert self.inside is actor
        self.inside = None
        self.lock.release()

    def check(self) -> None:
        assert self.entered == sum(self.entered_by.values()), "a count was lost"
        assert self.lock.acquire(False), f"{self.kind}: locked, but nobody holds it"
        self.lock.release()
        with self.lock:
            pass


class InterruptedEndless(Exclusion):
    """As `Exclusion`, but the main thread acquires without a timeout, and may be interrupted in that."""

    def act(self, actor: Actor) -> None:
        box, error = actor.call(self.lock.acquire)
        if error is not None and not box:
            return
        assert box == [True]
        self._enter(actor)


class Permits(Round):
    """A semaphore keeps its number of permits, whichever threads take and release them."""

    actors = 5

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.permits = self.chance.choice([1, 2, 3])
        self.bounded = self.chance.random() < 0.5
        self.semaphore = (threads.BoundedSemaphore if self.bounded else threads.Semaphore)(self.permits)
        self.guard = standard.Lock()
        self.held = 0

    def act(self, actor: Actor) -> None:
        arguments = actor.chance.choice([(), (False,), (True, actor.timeout()), (True, None)])
        box, _ = actor.call(self.semaphore.acquire, *arguments)
        if box != [True]:
            return
        with self.guard:
            self.held += 1
            assert self.held <= self.permits, "more than there are permits"
        if not self.bounded and actor.chance.random() < 0.3:
            with self.guard:
                self.held -= 1
            # Take a second permit, and release both with one call.
            if self.semaphore.acquire(blocking=False):
                self.semaphore.release(2)
            else:
                self.semaphore.release()
            return
        with self.guard:
            self.held -= 1
        self.semaphore.release()

    def check(self) -> None:
        assert self.semaphore._value == self.permits, "permits were lost or made"
        for _ in range(self.permits):
            assert self.semaphore.acquire(timeout=0)
        assert not self.semaphore.acquire(blocking=False)
        for _ in range(self.permits):
            self.semaphore.release()
        if self.bounded:
            try:
                self.semaphore.release()
            except ValueError:
                return
            raise AssertionError("released too many times")


class Flags(Round):
    """A thread that waits for an event without a timeout goes on when the event is set."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.event = threads.Event()

    def _live(self, actor: Actor) -> None:
        super()._live(actor)
        self.event.set()  # this thread may have cleared it after the end

    def act(self, actor: Actor) -> None:
        if actor.number == 1:  # only this thread sets and clears
            actor.call(self.event.set)
            assert self.event.is_set()
            if actor.chance.random() < 0.8:
                actor.call(self.event.clear)
            return
        timeout = actor.chance.choice([None, actor.timeout()])
        box, error = actor.call(self.event.wait, timeout)
        if timeout is None:
            assert box == [True] or error is not None

    def end(self) -> None:
        self.event.set()

    def check(self) -> None:
        self.event.set()
        assert self.event.wait() and self.event.is_set()


class Tokens(Round):
    """A condition: tokens are made and taken under its lock, and no notification is lost."""

    actors = 5

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        lock = self.chance.choice([None, threads.Lock(), threads.RLock(), standard.Lock(), standard.RLock()])
        self.condition = threads.Condition(lock)
        # A wait for a lock of the standard library is Python code of several steps, which must not be
        # interrupted.
        self.interruptible = False
        self.tokens = self.made = self.taken = 0

    def act(self, actor: Actor) -> None:
        condition = self.condition
        actor.operations += 1
        with condition:
            if actor.number < 2:
                count = actor.chance.randrange(1, 4)
                self.tokens += count
                self.made += count
                if self.tokens > 50:
                    self.tokens -= 50
                    self.made -= 50
                condition.notify(count)
                return
            if actor.chance.random() < 0.5:
                there = condition.wait_for(
                    lambda: self.tokens > 0 or self.over, actor.chance.choice([None, actor.timeout()])
                )
                assert there or self.tokens == 0
            else:
                # Without a timeout, only a notification ends a wait.
                while not self.tokens and not self.over:
                    assert condition.wait() is True
            if self.tokens:
                self.tokens -= 1
                self.taken += 1
            if self.tokens:
                condition.notify()

    def end(self) -> None:
        with self.condition:
            self.condition.notify(self.actors)

    def check(self) -> None:
        assert self.tokens == self.made - self.taken


class Meetings(Round):
    """A barrier lets threads through in full rounds, so every index must come equally often.

    An interrupted wait is an exception: it may have met the others without returning its index, or it has
    left, and another thread gets the same index.
    """

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.actors = self.chance.choice([1, 2, 3, 4])
        self.hasty = self.chance.random() < 0.5
        self.called = 0
        action = self._action if self.chance.random() < 0.3 else None
        self.with_action = action is not None
        self.interruptible = not self.with_action  # with an action it falls back, and is Python code
        self.interrupted = 0
        self.barrier = threads.Barrier(self.actors, action)
        self.indices: dict[int, Counter[int]] = {}

    def _action(self) -> None:
        self.called += 1

    def act(self, actor: Actor) -> None:
        mine = self.indices.setdefault(actor.number, Counter())
        try:
            timeout = actor.chance.choice([1e-6, 1e-4, 1e-3]) if self.hasty else None
            if self.hasty and actor.chance.random() < 0.02:
                actor.chance.choice([self.barrier.abort, self.barrier.reset])()
            box, _ = actor.call(self.barrier.wait, timeout)
            mine.update(box)
            if not box:  # only in the main thread, so no two threads change the count at once
                self.interrupted += 1
        except standard.BrokenBarrierError:
            if not self.over:
                self.barrier.reset()
            if self.over:
                self.barrier.abort()

    def end(self) -> None:
        self.barrier.abort()

    def check(self) -> None:
        total: Counter[int] = sum(self.indices.values(), Counter())
        if self.with_action:
            # It has fallen back. There, an abort also reaches threads that are about to leave.
            assert self.called >= max(total.values(), default=0)
            return
        counts = [total[index] for index in range(self.actors)]
        # If a wait leaves early because of an interrupt, the next thread gets an index that a later one has
        # already, as in the standard library. Then this index comes once more than the others.
        assert max(counts) * self.actors - sum(counts) <= self.interrupted * self.actors, (
            f"rounds that were not full: {total}"
        )


class Timers(Round):
    """Threads and timers start, end, and are joined. A cancelled timer calls nothing."""

    #: Before Python 3.13, an interrupted join treats its thread as ended, as in the standard library.
    interruptible = sys.version_info >= (3, 13)
    actors = 2

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.guard = standard.Lock()
        self.ran = self.due = 0

    def _count(self) -> None:
        with self.guard:
            self.ran += 1

    def act(self, actor: Actor) -> None:
        actor.operations += 1
        kind = actor.chance.randrange(3)
        if kind == 0:
            made: Any = threads.Thread(target=self._count)
            with self.guard:
                self.due += 1
        else:
            made = threads.Timer(100 if kind == 1 else actor.timeout(), self._count)
            if kind == 2:
                with self.guard:
                    self.due += 1
        made.start()
        if kind == 1:
            made.cancel()
        actor.call(made.join, None if actor.chance.random() < 0.7 else actor.timeout())
        made.join()
        assert not made.is_alive()

    def check(self) -> None:
        assert self.ran == self.due


ROUNDS: tuple[type[Round], ...] = (
    *(Exclusion, InterruptedEndless, Permits, Flags, Tokens, Meetings, Timers),
)
