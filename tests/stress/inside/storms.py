"""A signal every millisecond in the main thread, which shares one object with other threads.

``python -m tests.stress.inside.storms FAMILY HANDLER SECONDS [standard]``. The handler ``returns``, or it
``raises`` if the main thread is in the call under attack, or it ``uses`` the same object. At the end nothing
may be lost: no item, permit, lock, notification or call. With ``standard``, the objects are those of the
standard library. A handler cannot use some of them.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from itertools import starmap
from typing import Any

from tests.stress.inside.contended import CONTENDED
from tests.stress.inside.families import FAMILIES, Family
from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.threads import Result
from tests.support.waiting import TIMEOUT_SECONDS, until_asleep

#: For each name, a function that makes the family from the objects of a library.
EVERY: dict[str, Callable[[BackEnd], Family]] = {**CONTENDED, **FAMILIES}

HANDLERS = ["returns", "raises", "uses"]

#: Seconds between two signals.
INTERVAL = 0.001


class Interrupt(BaseException):
    """Raised by the handler."""


class Storm:
    """The signals, and the calls of the main thread that they may end."""

    def __init__(self, handler: str, use: Callable[[], object]) -> None:
        self.seen = self.raised = 0
        #: The exception that ended the last interrupted call.
        self.error: Interrupt | None = None
        #: The other threads. If one of them has failed, a call of the main thread may never end.
        self.others: list[Result] = []
        self._handler, self._use, self._armed = handler, use, False

    def begin(self) -> None:
        signal.signal(signal.SIGALRM, self._handle)
        signal.setitimer(signal.ITIMER_REAL, INTERVAL, INTERVAL)

    def end(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)

    def attempt(self, call: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Call, and return a list with the result. The list is empty if the handler has ended the call."""
        outcome: list[Any] = []
        try:
            self._armed = True
            # No bytecode runs between the call and the list, so a result is never lost.
            outcome.extend(starmap(call, [arguments]))
            self._armed = False
        except Interrupt as error:
            self.error = error
            for other in self.others:
                if other.error is not None:
                    raise AssertionError("another thread has failed") from other.error
        return outcome

    def insist(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call again until the handler does not end the call, and return the result."""
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
    """Threads that wait for something else all the time."""

    def __init__(self, library: BackEnd) -> None:
        threads = library.threading
        lock, event, barrier = threads.Lock(), threads.Event(), threads.Barrier(2)
        semaphore, items, future = threads.Semaphore(0), library.queue.Queue(), library.futures.Future()
        lock.acquire()
        #: For each wait: what ends it, the result that it must have, and the wait itself.
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
        """Raises AssertionError if a wait has ended already, or does not end now."""
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
    storm.others = [peer, *attacked.others]
    raises = handler == "raises"

    def is_over() -> bool:
        # On a busy machine there may be few signals and rounds in these seconds.
        is_enough = storm.seen > 10 * seconds and attacked.rounds > seconds and bool(storm.raised) == raises
        return time.monotonic() > begin + seconds + (0 if is_enough else TIMEOUT_SECONDS)

    begin = time.monotonic()
    storm.begin()
    try:
        while not is_over() and peer.error is None:
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
    assert bool(storm.raised) == raises, f"{storm.raised} raised"
    assert attacked.rounds > seconds, f"only {attacked.rounds} rounds"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), STANDARD if sys.argv[4:] else OXTHREADS)
