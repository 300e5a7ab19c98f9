"""A wait of the main thread with a timeout, while a signal arrives every millisecond. The handler returns.

``python -m tests.stress.inside.deadlines WAIT COUNT``
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable

from tests.stress.inside.processor import kept_waiting
from tests.support.back_ends import OXTHREADS
from tests.support.endless_waits import DEADLINES, late, waits

#: Seconds: the timeout, and how much later the wait may end. Time in which no processor was free for the main
#: thread does not count.
TIMEOUT, PROMPT = 0.1, 0.1

#: When it is set, every call of a pool ends.
end = threading.Event()

#: The names of all waits.
NAMES = [
    *DEADLINES,
    *("LifoQueue.get", "PriorityQueue.get", "PriorityQueue.put", "SimpleQueue.get", "Timer.join"),
    *("Queue.get_many", "Queue.put_many", "SimpleQueue.get_many", "wait", "as_completed", "Executor.map"),
]


def more() -> dict[str, Callable[[float], object]]:
    """The waits that `tests.support.endless_waits` does not have."""
    queues, futures = OXTHREADS.queue, OXTHREADS.futures
    empty, full, simple = queues.Queue(), queues.Queue(1), queues.SimpleQueue()
    lifo, least, full_heap = queues.LifoQueue(), queues.PriorityQueue(), queues.PriorityQueue(1)
    full.put("first")
    full_heap.put("first")
    pending = [futures.Future(), futures.Future()]
    busy = futures.ThreadPoolExecutor(1)
    busy.submit(end.wait)
    timer = OXTHREADS.threading.Timer(1000, int)
    timer.daemon = True
    timer.start()
    return {
        "LifoQueue.get": lambda timeout: lifo.get(timeout=timeout),
        "PriorityQueue.get": lambda timeout: least.get(timeout=timeout),
        "PriorityQueue.put": lambda timeout: full_heap.put("second", timeout=timeout),
        "SimpleQueue.get": lambda timeout: simple.get(timeout=timeout),
        "Timer.join": timer.join,
        "Queue.get_many": lambda timeout: empty.get_many(10, timeout=timeout),
        "Queue.put_many": lambda timeout: full.put_many(["second", "third"], timeout=timeout),
        "SimpleQueue.get_many": lambda timeout: simple.get_many(10, timeout=timeout),
        "wait": lambda timeout: futures.wait(pending, timeout).done,
        "as_completed": lambda timeout: list(futures.as_completed(pending, timeout)),
        "Executor.map": lambda timeout: list(busy.map(str, range(3), timeout=timeout)),
    }


def main(name: str, count: int) -> None:
    """Raises AssertionError if a wait ends too early or too late."""
    tested = waits(OXTHREADS)
    wait = tested[name] if name in tested else more()[name]
    seen = 0

    def note(*_: object) -> None:
        nonlocal seen
        seen += 1

    signal.signal(signal.SIGALRM, note)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    wrong = []
    done = 0
    # On a busy machine there may be few signals in so many waits.
    while done < count or (seen <= 10 * count and done < 10 * count):
        done += 1
        waited = kept_waiting(threading.main_thread())
        begin = time.monotonic()
        with contextlib.suppress(*late(OXTHREADS)):
            try:
                assert not wait(TIMEOUT)
            except threading.BrokenBarrierError:
                wait.__self__.reset()  # type: ignore[attr-defined]
        took = time.monotonic() - begin
        if not TIMEOUT <= took <= TIMEOUT + PROMPT + kept_waiting(threading.main_thread()) - waited:
            wrong.append(round(took, 3))
    signal.setitimer(signal.ITIMER_REAL, 0)
    end.set()
    assert seen > 10 * count, f"only {seen} signals"
    assert not wrong, f"seconds, of {done}: {wrong}"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
