"""Ctrl-C in one wait of the main thread, again and again: how long does the wait take to end?

``python -m tests.stress.inside.interrupts WAIT COUNT``. The same objects are used each time.

If the signal itself ends the sleep, most waits end almost at once. The main thread also looks for signals by
itself now and then. If only these looks noticed the signal, each wait would be a little late, but within the
limit. On systems other than Linux, and in a build with ``--cfg portable_parker``, only these looks notice it.
Such a build is recognized by the sleep of another thread, which then ends by itself now and then.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.stress.inside.processor import kept_waiting
from tests.support.back_ends import OXTHREADS
from tests.support.endless_waits import waits
from tests.support.threads import start
from tests.support.waiting import times_run, until_asleep

#: The most seconds from the signal to the exception, without the time in which no processor was free.
PROMPT = 0.1

#: The same for half of the waits, if the signal ends the sleep. The handler takes less. The main thread looks
#: for signals by itself only after 50 ms, which is much more.
MOSTLY = 0.005

#: After this many seconds, a sleep that ends by itself has ended.
SLICE = 0.25

#: When it is set, every call of a pool ends.
end = threading.Event()


def more() -> dict[str, Callable[[], object]]:
    """The other waits: those that only oxthreads has, and those without a timeout."""
    queues, futures = OXTHREADS.queue, OXTHREADS.futures
    empty, full, simple, future = queues.Queue(), queues.Queue(1), queues.SimpleQueue(), futures.Future()
    full.put("first")
    busy = futures.ThreadPoolExecutor(1)
    busy.submit(end.wait)
    crowded = futures.ThreadPoolExecutor(1, max_pending=1, on_full="block")
    crowded.submit(end.wait)
    crowded.submit(int)
    ending = futures.ThreadPoolExecutor(1)
    ending.submit(end.wait)
    timer = OXTHREADS.threading.Timer(1000, int)
    timer.daemon = True
    timer.start()
    return {
        "Queue.get_many": lambda: empty.get_many(10),
        "Queue.put_many": lambda: full.put_many(["second", "third"]),
        "Queue.iterate": lambda: list(empty.iterate()),
        "LifoQueue.get": queues.LifoQueue().get,
        "PriorityQueue.get": queues.PriorityQueue().get,
        "SimpleQueue.get": simple.get,
        "SimpleQueue.get_many": lambda: simple.get_many(10),
        "wait": lambda: futures.wait([future, futures.Future()]),
        "as_completed": lambda: list(futures.as_completed([future, futures.Future()])),
        "Executor.map": lambda: list(busy.map(str, range(3))),
        "Executor.submit(on_full=block)": lambda: crowded.submit(int),
        "Executor.shutdown": ending.shutdown,
        "Timer.join": timer.join,
    }


def joins() -> dict[str, Callable[[], object]]:
    """The waits for the end of a thread, with a new thread each time.

    Before Python 3.13, an interrupted join treats its thread as ended, so a second join does not wait. The
    method is that of the standard library.
    """

    def thread() -> None:
        new = OXTHREADS.threading.Thread(target=end.wait, daemon=True)
        new.start()
        new.join()

    def timer() -> None:
        new = OXTHREADS.threading.Timer(0, end.wait)
        new.daemon = True
        new.start()
        new.join()

    def shutdown() -> None:
        new = OXTHREADS.futures.ThreadPoolExecutor(1)
        new.submit(end.wait)
        new.shutdown()

    return {"Thread.join": thread, "Timer.join": timer, "Executor.shutdown": shutdown}


class Sleeper:
    """A thread that sleeps in a wait of oxthreads, to see whether its sleep ends by itself."""

    def __init__(self) -> None:
        thread = start(OXTHREADS.threading.Event().wait)
        until_asleep(thread)
        self._proc = Path(f"/proc/self/task/{thread.native_id}")
        self._begin, self._turns = time.monotonic(), times_run(self._proc)

    def wakes_by_itself(self) -> bool:
        """Whether the parker polls. True if that cannot be seen."""
        time.sleep(max(0, self._begin + SLICE - time.monotonic()))
        return not self._turns or times_run(self._proc) != self._turns


#: The names of all waits.
NAMES = [
    *("Lock.acquire", "RLock.acquire", "Condition.wait", "Condition(Lock).wait", "Condition.wait_for"),
    *("Semaphore.acquire", "Event.wait", "Barrier.wait", "Queue.get", "Queue.put", "Queue.join"),
    *("Future.result", "Future.exception", "Thread.join"),
    *("Queue.get_many", "Queue.put_many", "Queue.iterate", "LifoQueue.get", "PriorityQueue.get"),
    *("SimpleQueue.get", "SimpleQueue.get_many", "wait", "as_completed", "Executor.map"),
    *("Executor.submit(on_full=block)", "Executor.shutdown", "Timer.join"),
]


def main(name: str, count: int) -> None:
    """Raises AssertionError if a wait is late, or if half of them are a little late."""
    limited = waits(OXTHREADS)
    wait = partial(limited[name], None) if name in limited else more()[name]
    if sys.version_info < (3, 13):
        wait = joins().get(name, wait)
    sleeper, main_thread = Sleeper(), threading.main_thread()
    sent = waited = 0.0

    def send() -> None:
        nonlocal sent, waited
        until_asleep(main_thread)
        waited = kept_waiting(main_thread, sender)
        sent = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)
        measured.wait()

    times = []
    for _ in range(count):
        measured = threading.Event()
        sender = threading.Thread(target=send, daemon=True)
        try:
            sender.start()
            wait()
        except KeyboardInterrupt:
            took = time.monotonic() - sent
            took -= kept_waiting(main_thread, sender) - waited
        else:
            raise AssertionError("the wait has ended")
        measured.set()
        sender.join()
        times.append(round(took, 4))
    end.set()
    late = [took for took in times if took > PROMPT]
    assert not late, f"seconds, of {count}: {late}"
    middle = statistics.median(times)
    assert middle <= MOSTLY or sleeper.wakes_by_itself(), f"seconds, the half of {count}: {middle}"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
