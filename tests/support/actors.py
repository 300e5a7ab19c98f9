"""Threads of a state machine: each makes one call at a time, and the machine sees what has become of it."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any

from oxthreads import diagnose
from oxthreads.tasks import CancelScope
from tests.support.waiting import TIMEOUT_SECONDS, spin_until
from tests.support.waits import is_in_a_wait

#: The outcome of a call that was ended by its scope.
CANCELLED = "cancelled"


class Actor:
    """A thread that makes the calls that it is given, one after the other."""

    #: For how many seconds to wait for an outcome. After a failure it is less: the steps before it are then
    #: tried again and again, to find the fewest that lead to it.
    patience = TIMEOUT_SECONDS

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Any, Callable[[], object]] | None] = queue.SimpleQueue()
        self._outcomes: list[object] = []
        self._given = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while (given := self._calls.get()) is not None:
            around, call = given
            outcome: object = CANCELLED
            with around:
                try:
                    outcome = call()
                except Exception as error:
                    outcome = type(error)
            self._outcomes.append(outcome)

    def give(self, call: Callable[[], object]) -> None:
        """Let the thread make the call."""
        self._give(contextlib.nullcontext(), call)

    def _give(self, around: Any, call: Callable[[], object]) -> None:
        self._given += 1
        self._calls.put((around, call))

    @property
    def is_busy(self) -> bool:
        """Whether the last call has not ended."""
        return len(self._outcomes) < self._given

    def outcome(self) -> object:
        """What the last call returned, or the class of what it raised. Waits for its end."""
        self._until(lambda: not self.is_busy)
        return self._outcomes[-1]

    @staticmethod
    def _until(condition: Callable[[], object]) -> None:
        try:
            spin_until(condition, Actor.patience)
        except AssertionError:
            Actor.patience = 1.0
            raise

    def dismiss(self) -> None:
        """End the thread, which makes no call."""
        self._calls.put(None)
        self.thread.join(TIMEOUT_SECONDS)
        assert not self.thread.is_alive()


class CancellableActor(Actor):
    """Makes each call in a scope of its own, in which it is seen when the call sleeps."""

    def __init__(self) -> None:
        diagnose.report()  # from here on, waits are known
        self.scope = CancelScope()
        super().__init__()

    def give(self, call: Callable[[], object]) -> None:
        """Let the thread make the call."""
        self.scope = CancelScope()
        self._give(self.scope, call)

    def until_parked(self) -> None:
        """Return when the call sleeps. Raises AssertionError if it ends instead."""
        self._until(lambda: not self.is_busy or is_in_a_wait(self.thread))
        assert self.is_busy, f"the call has ended: {self._outcomes[-1]}"
