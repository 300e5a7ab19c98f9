"""What the rounds of the soak share: threads that act at random, interrupts, and the watchdog."""

from __future__ import annotations

import faulthandler
import random
import signal
import threading
import time
from collections.abc import Callable
from itertools import starmap
from typing import Any

#: After this many seconds without any operation, the process prints every stack and ends.
STUCK_SECONDS = 20

#: Seconds for which a round's threads act.
ROUND_SECONDS = 0.25


class Interrupted(BaseException):
    """Raised by the signal handler in a call of the main thread."""


class Interrupts:
    """A timer that interrupts the main thread, but only in a function that `attempt` calls."""

    def __init__(self) -> None:
        self._armed = False
        self.raised = 0
        signal.signal(signal.SIGALRM, self._handle)

    def _handle(self, *_: object) -> None:
        if self._armed:
            self._armed = False
            self.raised += 1
            raise Interrupted

    def start(self, seconds: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)

    def attempt(
        self, function: Callable[..., Any], *arguments: Any
    ) -> tuple[list[Any], BaseException | None]:
        """Call the function. Returns a list with its result, and the interrupt that came.

        The list is empty if the call was interrupted. The interpreter makes the call and fills the list in
        one step, so no signal handler runs in between. If the operation was done, its result is in the list.
        """
        box: list[Any] = []
        try:
            self._armed = True
            box.extend(starmap(function, [arguments]))
            self._armed = False
        except Interrupted as error:
            return box, error
        finally:
            self._armed = False
        return box, None


class Watchdog:
    """Ends the process, and prints every stack, if no thread has done anything for a while."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="watchdog")

    def __enter__(self) -> Watchdog:
        faulthandler.enable()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        faulthandler.cancel_dump_traceback_later()

    def _watch(self) -> None:
        last = -1
        # A thread of C does this. It needs no GIL, so it also notices a GIL that is never released.
        while not self._over.wait(0.5):
            if (count := self._count()) != last:
                faulthandler.dump_traceback_later(STUCK_SECONDS, exit=True)
                last = count


class Actor:
    """One of the threads of a round, with its own random numbers and a count of its operations."""

    def __init__(self, number: int, seed: str, interrupts: Interrupts | None) -> None:
        self.number = number
        self.chance = random.Random(f"{seed}.{number}")
        self.operations = 0
        #: Only the main thread can be interrupted.
        self._interrupts = interrupts
        self.error: BaseException | None = None

    def call(self, function: Callable[..., Any], *arguments: Any) -> tuple[list[Any], BaseException | None]:
        """As `Interrupts.attempt`, but an exception of the function is raised."""
        self.operations += 1
        if self._interrupts is not None:
            return self._interrupts.attempt(function, *arguments)
        return [function(*arguments)], None

    def call_in_peace(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the function without interrupts, and return its result."""
        self.operations += 1
        return function(*arguments)

    def timeout(self) -> Any:
        """A random timeout, never None: a wait without a timeout needs a round that ends it."""
        return self.chance.choice([0, 0.0, 1e-9, 1e-6, 1e-5, 1e-4, 1e-3, 3e-3])


class Round:
    """Some time with one object, and what must be true afterwards. Subclasses say what is done."""

    #: How many threads act, the main thread among them.
    actors = 4
    #: Whether the main thread may be interrupted. Then each of its calls must be one native call.
    interruptible = True

    def __init__(self, seed: str) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.over = False
        self.cast: list[Actor] = []

    def act(self, actor: Actor) -> None:
        """Do something at random."""
        raise NotImplementedError

    def end(self) -> None:
        """The time is over. Wake the threads that wait."""

    def check(self) -> None:
        """All threads have ended. Check that everything is as it must be."""

    def _live(self, actor: Actor) -> None:
        try:
            while not self.over:
                self.act(actor)
        except BaseException as error:
            actor.error = error
            self.over = True
            self.end()

    def run(self, interrupts: Interrupts, register: Callable[[Actor], object]) -> None:
        """Raises AssertionError, or an unexpected exception of an actor."""
        interrupted = self.interruptible and self.chance.random() < 0.6
        self.cast = [
            Actor(number, self.seed, interrupts if interrupted and number == 0 else None)
            for number in range(self.actors)
        ]
        for actor in self.cast:
            register(actor)
        threads = [threading.Thread(target=self._live, args=(actor,), daemon=True) for actor in self.cast[1:]]
        for thread in threads:
            thread.start()
        main = self.cast[0]
        if interrupted:
            interrupts.start(self.chance.choice([2e-4, 1e-3, 5e-3]))
        try:
            end = time.monotonic() + ROUND_SECONDS
            while time.monotonic() < end and not self.over:
                try:
                    self.act(main)
                except BaseException as error:
                    main.error = error
                    break
        finally:
            interrupts.stop()
        self.over = True
        self.end()
        for thread in threads:
            thread.join()
        for actor in self.cast:
            if actor.error is not None:
                raise actor.error
        self.check()
