"""A signal every millisecond in the main thread, which shares one object with other threads.

``python -m tests.siege.inside.storms FAMILY HANDLER SECONDS [standard]``. The handler only ``returns``, or
it ``raises`` whenever the main thread is in the call under attack, or it ``uses`` the same object. At the
end nothing may be lost: no item, permit, lock, notification or call. With a last argument the objects are
those of the standard library, some of which cannot be used by a handler.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from itertools import starmap
from typing import Any

from conftest import OXTHREADS, STANDARD, BackEnd, Result, until_asleep

from .contended import CONTENDED
from .families import FAMILIES, Family

#: What makes each, of a library.
EVERY: dict[str, Callable[[BackEnd], Family]] = {**CONTENDED, **FAMILIES}

HANDLERS = ["returns", "raises", "uses"]

#: Seconds between two signals.
INTERVAL = 0.001


class Interrupt(BaseException):
    """What the handler raises."""


class Storm:
    """The signals, and the calls of the main thread that they may end."""

    def __init__(self, handler: str, use: Callable[[], object]) -> None:
        self.seen = self.raised = 0
        #: What has ended the last call that the handler has ended.
        self.error: Interrupt | None = None
        self._handler, self._use, self._armed = handler, use, False

    def begin(self) -> None:
        signal.signal(signal.SIGALRM, self._handle)
        signal.setitimer(signal.ITIMER_REAL, INTERVAL, INTERVAL)

    def end(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)

    def attempt(self, call: Callable[..., Any], *arguments: Any) -> list[Any]:
        """A list of what the call returned, which is empty if the handler has ended it."""
        outcome: list[Any] = []
        try:
            self._armed = True
            # No bytecode runs between the call and the list: what has been returned is never lost.
            outcome.extend(starmap(call, [arguments]))
            self._armed = False
        except Interrupt as error:
            self.error = error
        return outcome

    def insist(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """What the call returns in the end, however often the handler ends it."""
        while True:
            for outcome in self.attempt(call, *arguments):
                return outcome

    def _handle(self, *_: object) -> None:
        self.seen += 1
        if self._handler == "uses":
            self._use()
        elif self._handler == "raises" and self._armed:
            self._armed = False
            self.raised += 1
            raise Interrupt


class Bystanders:
    """Threads that wait for something else all the while."""

    def __init__(self, library: BackEnd) -> None:
        threads = library.threading
        lock, event, barrier = threads.Lock(), threads.Event(), threads.Barrier(2)
        semaphore, items, future = threads.Semaphore(0), library.queue.Queue(), library.futures.Future()
        lock.acquire()
        #: What ends each wait, what that returns, and the wait itself.
        self._waits = [
            (lock.release, True, Result(lock.acquire)),
            (event.set, True, Result(event.wait)),
            (semaphore.release, True, Result(semaphore.acquire)),
            (lambda: items.put("item"), "item", Result(items.get)),
            (lambda: future.set_result("result"), "result", Result(future.result)),
            (barrier.wait, 0, Result(barrier.wait)),
        ]
        until_asleep(*(result.thread for _, _, result in self._waits))

    def check(self) -> None:
        """Raises AssertionError if a wait has ended by itself, or does not end now."""
        for end, value, result in self._waits:
            assert result.thread.is_alive(), "a wait of another thread has ended"
            end()
            assert result.get() == value


def main(family: str, handler: str, seconds: float, library: BackEnd) -> None:
    """Raises AssertionError if anything is lost."""
    bystanders = Bystanders(library)
    attacked = EVERY[family](library)
    storm = Storm(handler, attacked.use)
    peer = Result(attacked.peer)
    storm.begin()
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end and peer.error is None:
            attacked.rounds += 1
            attacked.round(storm)
    finally:
        storm.end()
    if peer.error is None:
        attacked.finish()
    peer.get()
    attacked.check()
    bystanders.check()
    assert storm.seen > 10 * seconds, f"only {storm.seen} signals"
    assert (storm.raised > 0) == (handler == "raises"), f"{storm.raised} raised"
    assert attacked.rounds > seconds, f"only {attacked.rounds} rounds"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), STANDARD if sys.argv[4:] else OXTHREADS)
