"""`RWLock` does what a plain model says, whatever several threads do with it in any order.

The model says of each step whether it returns, raises or waits, and who gets the lock when it is released.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from oxthreads.locks import RWLock
from tests.support.actors import Actor
from tests.support.state_machines import run_machine
from tests.support.waiting import spin_until

ACTORS = range(4)
READ, WRITE = "read", "write"


class Model:
    """The rules of the lock, for threads that are numbers."""

    def __init__(self) -> None:
        self.reads: dict[int, int] = {}
        self.writer: int | None = None
        self.writes = 0
        self.waiting: list[tuple[int, str]] = []

    def acquire(self, actor: int, how: str, *, waits: bool) -> object:
        """Return True, False, or RuntimeError; None: the actor waits."""
        if actor == self.writer or (how == READ and actor in self.reads):
            self.grant(actor, how)
            return True
        if how == WRITE and actor in self.reads:
            return RuntimeError
        if not self.waiting and self.is_free_for(how):
            self.grant(actor, how)
            return True
        if waits:
            self.waiting.append((actor, how))
            return None
        return False

    def is_free_for(self, how: str) -> bool:
        return self.writer is None and (how == READ or not self.reads)

    def grant(self, actor: int, how: str) -> None:
        if how == READ:
            self.reads[actor] = self.reads.get(actor, 0) + 1
        else:
            self.writer, self.writes = actor, self.writes + 1

    def release(self, actor: int, how: str) -> object:
        """Return None or RuntimeError."""
        if how == READ:
            if actor not in self.reads:
                return RuntimeError
            self.reads[actor] -= 1
            if not self.reads[actor]:
                del self.reads[actor]
        else:
            if actor != self.writer:
                return RuntimeError
            self.writes -= 1
            if not self.writes:
                self.writer = None
        self.hand_over()
        return None

    def downgrade(self, actor: int) -> object:
        if actor != self.writer:
            return RuntimeError
        self.reads[actor] = self.reads.get(actor, 0) + 1
        return self.release(actor, WRITE)

    def hand_over(self) -> None:
        while self.waiting and self.is_free_for(self.waiting[0][1]):
            self.grant(*self.waiting.pop(0))


class Machine(RuleBasedStateMachine):
    """Gives each actor one call at a time, and looks what has become of it."""

    def __init__(self) -> None:
        super().__init__()
        self.lock, self.model = RWLock(), Model()
        self.actors = [Actor() for _ in ACTORS]

    def is_waiting(self, actor: int) -> bool:
        return any(actor == waiting for waiting, _ in self.model.waiting)

    def check(self, actor: int, expected: object) -> None:
        if expected is None and self.is_waiting(actor):
            spin_until(lambda: self.lock.waiting == len(self.model.waiting))
            assert self.actors[actor].is_busy
        else:
            assert self.actors[actor].outcome() is expected

    @rule(actor=st.sampled_from(ACTORS), how=st.sampled_from([READ, WRITE]))
    def acquire(self, actor: int, how: str) -> None:
        if not self.is_waiting(actor):
            self.actors[actor].give(getattr(self.lock, f"acquire_{how}"))
            self.check(actor, self.model.acquire(actor, how, waits=True))

    @rule(
        actor=st.sampled_from(ACTORS), how=st.sampled_from([READ, WRITE]), timeout=st.sampled_from([0, 1e-4])
    )
    def acquire_in_time(self, actor: int, how: str, timeout: float) -> None:
        if not self.is_waiting(actor):
            acquire: Any = getattr(self.lock, f"acquire_{how}")
            self.actors[actor].give(lambda: acquire(timeout=timeout))
            self.check(actor, self.model.acquire(actor, how, waits=False))

    @rule(actor=st.sampled_from(ACTORS), how=st.sampled_from([READ, WRITE]))
    def release(self, actor: int, how: str) -> None:
        if not self.is_waiting(actor):
            self.actors[actor].give(getattr(self.lock, f"release_{how}"))
            self.check(actor, self.model.release(actor, how))

    @rule(actor=st.sampled_from(ACTORS))
    def write_and_downgrade(self, actor: int) -> None:
        if self.is_waiting(actor):
            return

        def call() -> object:
            # It waits for nobody, so that the downgrade comes in the same step.
            with self.lock.write(timeout=0) as writing:
                writing.downgrade()
                self.lock.acquire_read()
            return True

        def safe_call() -> object:
            try:
                return call()
            except TimeoutError:
                return False

        self.actors[actor].give(safe_call)
        expected = self.model.acquire(actor, WRITE, waits=False)
        if expected is True:
            self.model.downgrade(actor)
            self.model.acquire(actor, READ, waits=False)
            self.model.release(actor, READ)
        self.check(actor, expected)

    @invariant()
    def they_agree(self) -> None:
        for number, actor in enumerate(self.actors):
            if not self.is_waiting(number) and actor.is_busy:
                # It was handed the lock.
                assert actor.outcome() is True
        assert self.lock.readers == len(self.model.reads)
        assert self.lock.is_written == (self.model.writer is not None)
        assert self.lock.waiting == len(self.model.waiting)

    def teardown(self) -> None:
        # Everybody leaves, until nobody waits.
        while self.model.reads or self.model.writer is not None:
            for number in ACTORS:
                for how in (READ, WRITE):
                    if self.model.writer == number if how == WRITE else number in self.model.reads:
                        self.release(number, how)
            self.they_agree()
        for actor in self.actors:
            actor.dismiss()


@pytest.mark.one_thread("starts threads in each example")
def test_the_lock_does_what_the_model_says() -> None:
    run_machine(Machine, examples=100, steps=40)
