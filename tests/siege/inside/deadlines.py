"""A wait with a timeout, in the main thread, and a signal every millisecond whose handler returns.

``python -m tests.siege.inside.deadlines WAIT COUNT``
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time

from conftest import OXTHREADS
from test_signals import waits

from .processor import kept_waiting

#: Seconds: the timeout, and how much later than that it may end, beside those in which no
#: processor was free for the main thread.
TIMEOUT, PROMPT = 0.1, 0.1


def main(name: str, count: int) -> None:
    """Raises AssertionError for a wait that ends early or late."""
    wait = waits(OXTHREADS)[name]
    seen = 0

    def note(*_: object) -> None:
        nonlocal seen
        seen += 1

    signal.signal(signal.SIGALRM, note)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    wrong = []
    for _ in range(count):
        waited = kept_waiting(threading.main_thread())
        begin = time.monotonic()
        with contextlib.suppress(OXTHREADS.queue.Empty, TimeoutError):
            try:
                assert not wait(TIMEOUT)
            except threading.BrokenBarrierError:
                wait.__self__.reset()  # type: ignore[attr-defined]
        took = time.monotonic() - begin
        if not TIMEOUT <= took <= TIMEOUT + PROMPT + kept_waiting(threading.main_thread()) - waited:
            wrong.append(round(took, 3))
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert seen > 10 * count, f"only {seen} signals"
    assert not wrong, f"seconds, of {count}: {wrong}"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
