"""The types of `threading` behave as the standard types when several threads use them in any order.

One thread acts at a time, until it blocks. The module `machine` says how long this runs, how to run it
longer, and how it finds out which threads are blocked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.support.back_ends import BackEnd
from tests.support.machine import BRIEF, ENDLESS, ENDLESS_FOR_LOCK, LONG, Actor, Together, run


class LockTogether(Together):
    """A lock. Any actor may take it, and any other may release it, so the actors have no names."""

    anonymous = True

    def make(self, library: BackEnd) -> Any:
        return library.threading.Lock()

    def observe(self, subject: Any) -> Iterable[Any]:
        yield subject.locked()
        yield self.names(repr(subject))

    def release_everybody(self, subject: Any, cast: list[Actor]) -> None:
        subject.release()

    @precondition(lambda self: self.idle())
    @rule(args=st.sampled_from(ENDLESS_FOR_LOCK))
    def acquire(self, args: tuple[Any, ...]) -> None:
        self.tell_anybody(lambda lock: lock.acquire(*args))

    @precondition(lambda self: self.idle())
    @rule()
    def enter(self) -> None:
        self.tell_anybody(lambda lock: lock.__enter__())

    @precondition(lambda self: self.idle())
    @rule(args=st.sampled_from([(False,), (True, 0), (True, BRIEF)]))
    def try_to_acquire(self, args: tuple[Any, ...]) -> None:
        self.tell_anybody(lambda lock: lock.acquire(*args), brief=True)

    @precondition(lambda self: self.idle())
    @rule()
    def release(self) -> None:
        self.tell_anybody(lambda lock: lock.release())

    @rule()
    def release_from_elsewhere(self) -> None:
        self.do_here(lambda lock: lock.release())


class RLockTogether(Together):
    """An RLock. It is not defined which of the waiting actors becomes the next owner."""

    anonymous = True

    def __init__(self) -> None:
        super().__init__()
        #: For each library, the actor that has given up the lock with `_release_save`, and the saved state.
        self.saved: list[tuple[Actor, Any]] = []

    def make(self, library: BackEnd) -> Any:
        return library.threading.RLock()

    def observe(self, subject: Any) -> Iterable[Any]:
        yield self.names(repr(subject))
        if hasattr(self.standard, "locked"):
            yield subject.locked()

    def owner(self, subject: Any, cast: list[Actor]) -> Actor | None:
        """Return the actor that owns the lock, if there is one."""
        return next((actor for actor in cast if f"owner={actor.thread.ident} " in repr(subject)), None)

    def owners(self) -> list[Actor]:
        owners = [self.owner(subject, cast) for subject, cast in zip(self.subjects, self.casts, strict=True)]
        return [owner for owner in owners if owner]

    def is_free(self, actor: Actor) -> bool:
        return (
            not actor.busy and actor not in self.owners() and actor not in [saver for saver, _ in self.saved]
        )

    def anybody(self) -> bool:
        return any(map(self.is_free, self.casts[0]))

    def release_everybody(self, subject: Any, cast: list[Actor]) -> None:
        owner = self.owner(subject, cast)
        assert owner, "actors wait for a lock that nobody owns"
        owner.tell(lambda lock: lock._release_save(), subject, brief=True)

    @precondition(lambda self: self.anybody())
    @rule(args=st.sampled_from(ENDLESS_FOR_LOCK))
    def acquire(self, args: tuple[Any, ...]) -> None:
        self.tell_anybody(lambda lock: lock.acquire(*args))

    @precondition(lambda self: self.anybody())
    @rule(args=st.sampled_from([(False,), (True, 0), (True, BRIEF)]))
    def try_to_acquire(self, args: tuple[Any, ...]) -> None:
        self.tell_anybody(lambda lock: lock.acquire(*args), brief=True)

    @precondition(lambda self: self.anybody())
    @rule(name=st.sampled_from(["release", "__exit__", "_is_owned", "_recursion_count"]))
    def use_as_a_stranger(self, name: str) -> None:
        if hasattr(self.standard, name):
            self.tell_anybody(lambda lock: getattr(lock, name)())

    @precondition(lambda self: self.owners())
    @rule(args=st.sampled_from([(), (False,), (True, BRIEF), (True, LONG)]))
    def acquire_again(self, args: tuple[Any, ...]) -> None:
        self.tell_those(self.owners(), lambda lock: lock.acquire(*args))

    @precondition(lambda self: self.owners())
    @rule(
        name=st.sampled_from(["release", "release", "release", "__exit__", "_is_owned", "_recursion_count"])
    )
    def use_as_the_owner(self, name: str) -> None:
        if hasattr(self.standard, name):
            self.tell_those(self.owners(), lambda lock: getattr(lock, name)())

    @precondition(lambda self: self.owners() and not self.saved)
    @rule()
    def save(self) -> None:
        savers, states = self.owners(), []

        def save(lock: Any) -> int:
            states.append(lock._release_save())
            return int(states[-1][0])

        self.tell_those(savers, save)
        owned_by = {state[1]: state for state in states}
        self.saved = [(saver, owned_by[saver.thread.ident]) for saver in savers]

    @precondition(lambda self: self.saved and not self.saved[0][0].busy)
    @rule()
    def restore(self) -> None:
        savers, states = zip(*self.saved, strict=True)
        self.saved = []
        state_of = dict(zip(map(id, self.subjects), states, strict=True))
        self.tell_those(list(savers), lambda lock: lock._acquire_restore(state_of[id(lock)]))


class SemaphoreTogether(Together):
    """A semaphore. It is not defined which of the waiting actors gets a permit."""

    standard_attributes = ("_cond",)
    anonymous = True
    name = "Semaphore"

    def __init__(self, permits: int) -> None:
        self.permits = permits
        super().__init__()

    def make(self, library: BackEnd) -> Any:
        return getattr(library.threading, self.name)(self.permits)

    def observe(self, subject: Any) -> Iterable[Any]:
        yield self.names(repr(subject))
        yield subject._value
        yield len(self.blocked())

    def release_everybody(self, subject: Any, cast: list[Actor]) -> None:
        subject._initial_value = 100  # the bound may be smaller than what is needed
        subject.release()

    @precondition(lambda self: self.idle())
    @rule(args=st.sampled_from([(), (True,), (True, None), (True, LONG)]), times=st.integers(1, 4))
    def acquire(self, args: tuple[Any, ...], times: int) -> None:
        for _ in range(min(times, len(self.idle()))):
            self.tell_anybody(lambda semaphore: semaphore.acquire(*args))

    @precondition(lambda self: self.idle())
    @rule()
    def enter(self) -> None:
        self.tell_anybody(lambda semaphore: semaphore.__enter__())

    @precondition(lambda self: self.idle())
    @rule(args=st.sampled_from([(False,), (True, 0), (True, BRIEF)]))
    def try_to_acquire(self, args: tuple[Any, ...]) -> None:
        self.tell_anybody(lambda semaphore: semaphore.acquire(*args), brief=True)

    @precondition(lambda self: self.idle())
    @rule(args=st.sampled_from([(), (1,), (2,), (3,), (0,)]))
    def release(self, args: tuple[Any, ...]) -> None:
        self.tell_anybody(lambda semaphore: semaphore.release(*args))

    @rule(args=st.sampled_from([(), (1,), (2,), (3,)]))
    def release_from_elsewhere(self, args: tuple[Any, ...]) -> None:
        self.do_here(lambda semaphore: semaphore.release(*args))

    @rule()
    def exit(self) -> None:
        self.do_here(lambda semaphore: semaphore.__exit__(None, None, None))


class BoundedSemaphoreTogether(SemaphoreTogether):
    name = "BoundedSemaphore"


class EventTogether(Together):
    standard_attributes = ("_cond",)

    def make(self, library: BackEnd) -> Any:
        return library.threading.Event()

    def observe(self, subject: Any) -> Iterable[Any]:
        yield self.names(repr(subject))
        yield subject.is_set()

    def release_everybody(self, subject: Any, cast: list[Actor]) -> None:
        subject.set()

    @precondition(lambda self: self.idle())
    @rule(data=st.data(), args=st.sampled_from(ENDLESS), times=st.integers(1, 4))
    def wait(self, data: st.DataObject, args: tuple[Any, ...], times: int) -> None:
        for _ in range(min(times, len(self.idle()))):
            self.tell(data.draw(st.sampled_from(self.idle())), lambda event: event.wait(*args))

    @precondition(lambda self: self.idle())
    @rule(data=st.data(), timeout=st.sampled_from([0, -1, BRIEF]))
    def glance(self, data: st.DataObject, timeout: float) -> None:
        self.tell(data.draw(st.sampled_from(self.idle())), lambda event: event.wait(timeout), brief=True)

    @rule(names=st.sampled_from([["set"], ["clear"], ["set", "clear"], ["set", "clear", "set"]]))
    def use_from_elsewhere(self, names: list[str]) -> None:
        self.do_here(lambda event: [getattr(event, name)() for name in names] and None)

    @precondition(lambda self: self.idle())
    @rule(data=st.data(), names=st.sampled_from([["clear"], ["set", "clear"]]))
    def use(self, data: st.DataObject, names: list[str]) -> None:
        number = data.draw(st.sampled_from(self.idle()))
        self.tell(number, lambda event: [getattr(event, name)() for name in names] and None)


class BarrierTogether(Together):
    """A barrier. The actors come in a known order, so the indices that they get are compared."""

    standard_attributes = ("_cond", "_state", "_count")

    def __init__(self, parties: int, action: str = "", timeout: float | None = None) -> None:
        self.parties, self.action, self.timeout = parties, action, timeout
        super().__init__()

    def make(self, library: BackEnd) -> Any:
        log: list[str] = []

        def act() -> None:
            log.append(f"{barrier.n_waiting} of {barrier.parties}")
            if self.action == "fails" and len(log) % 2:
                raise KeyError(len(log))

        barrier = library.threading.Barrier(self.parties, act if self.action else None, self.timeout)
        barrier.log = log
        return barrier

    def observe(self, subject: Any) -> Iterable[Any]:
        yield self.names(repr(subject))
        yield subject.n_waiting
        yield subject.broken
        yield subject.log

    def release_everybody(self, subject: Any, cast: list[Actor]) -> None:
        subject.abort()

    @precondition(lambda self: self.idle())
    @rule(data=st.data(), args=st.sampled_from(ENDLESS), times=st.integers(1, 4))
    def wait(self, data: st.DataObject, args: tuple[Any, ...], times: int) -> None:
        for _ in range(min(times, len(self.idle()))):
            self.tell(data.draw(st.sampled_from(self.idle())), lambda barrier: barrier.wait(*args))

    @precondition(lambda self: self.idle())
    @rule(data=st.data(), timeout=st.sampled_from([0, -1, BRIEF]))
    def wait_in_vain(self, data: st.DataObject, timeout: float) -> None:
        self.tell(data.draw(st.sampled_from(self.idle())), lambda barrier: barrier.wait(timeout), brief=True)

    @precondition(lambda self: self.standard.broken)
    @rule()
    def mend(self) -> None:
        self.do_here(lambda barrier: barrier.reset())

    @rule(names=st.sampled_from([["reset"], ["abort"], ["abort", "reset"], ["reset", "abort"]]))
    def end_waits_from_elsewhere(self, names: list[str]) -> None:
        self.do_here(lambda barrier: [getattr(barrier, name)() for name in names] and None)

    @precondition(lambda self: self.idle())
    @rule(data=st.data(), name=st.sampled_from(["reset", "abort"]))
    def end_waits(self, data: st.DataObject, name: str) -> None:
        number = data.draw(st.sampled_from(self.idle()))
        self.tell(number, lambda barrier: getattr(barrier, name)())


def test_lock_behaves_as_the_standard_lock() -> None:
    run(LockTogether, 25, slow=True)


def test_rlock_behaves_as_the_standard_rlock() -> None:
    run(RLockTogether, 40, slow=True)


@pytest.mark.parametrize("permits", [0, 1, 2])
@pytest.mark.parametrize("machine", [SemaphoreTogether, BoundedSemaphoreTogether])
def test_semaphores_behave_as_the_standard_semaphores(machine: type[SemaphoreTogether], permits: int) -> None:
    run(lambda: machine(permits), 30, slow=True)


def test_event_behaves_as_the_standard_event() -> None:
    run(EventTogether, 60, slow=True)


@pytest.mark.parametrize("parties", [1, 2, 3, 4])
def test_barrier_behaves_as_the_standard_barrier(parties: int) -> None:
    run(lambda: BarrierTogether(parties), 25, slow=True)


@pytest.mark.parametrize("action", ["goes well", "fails"])
def test_a_barrier_with_an_action_behaves_as_the_standard_barrier(action: str) -> None:
    run(lambda: BarrierTogether(2, action), 15, slow=True)


def test_a_barrier_with_a_default_timeout_behaves_as_the_standard_barrier() -> None:
    run(lambda: BarrierTogether(3, timeout=LONG), 10, slow=True)
