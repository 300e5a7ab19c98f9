"""Programs that end while threads wait: their objects, what blocks their threads, and how they end."""

from __future__ import annotations

from dataclasses import dataclass

IMPORTS = """
import sys, threading, time, queue, atexit, os
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait as wait_for_all
from oxthreads.waiting import every, select
"""

#: Starts daemon threads, and waits until threads sleep. It needs `threading` and `time`.
HELPERS = """
def until_asleep(*threads):
    for thread in threads:
        looks = 0
        while looks < 5:
            time.sleep(0.001)
            state = open(f'/proc/self/task/{thread.native_id}/stat').read()
            looks = looks + 1 if state.rpartition(')')[2].split()[0] == 'S' else 0
def daemons(*targets):
    threads = [threading.Thread(target=target, daemon=True) for target in targets]
    for thread in threads: thread.start()
    return threads
"""

OBJECTS = f"""
lock, event, items, full, future = (
    threading.Lock(), threading.Event(), queue.Queue(), queue.Queue(1), Future())
lock.acquire(); full.put(1)
rlock, semaphore, barrier = threading.RLock(), threading.Semaphore(0), threading.Barrier(2)
condition, plain = threading.Condition(), threading.Condition(threading.Lock())
rlock.acquire()
def wait(condition, timeout=None):
    with condition: condition.wait(timeout)
def meet(timeout=None):
    try: barrier.wait(timeout)
    except threading.BrokenBarrierError: barrier.reset()
{HELPERS}"""

BLOCKED = """
from oxthreads.queue import SimpleQueue as OurQueue
from oxthreads.waiting import every, select
until_asleep(*daemons(lock.acquire, event.wait, items.get, lambda: full.put(2), full.join,
    future.result, lambda: items.get(timeout=1000), lambda: lock.acquire(timeout=1000),
    rlock.acquire, semaphore.acquire, meet, lambda: wait(condition), lambda: wait(plain),
    lambda: semaphore.acquire(timeout=1000), lambda: wait(condition, 1000),
    lambda: select(OurQueue(), every(1000)), threading.Timer(1000, int).run))
"""


@dataclass(frozen=True)
class Ending:
    """How a program ends: its code, its exit status (or minus a signal), and the end of standard error."""

    code: str
    status: int
    error: str = ""


ENDINGS = {
    "falls off the end": Ending("", 0),
    "sys.exit": Ending("sys.exit(3)", 3),
    "an exception": Ending("raise KeyError('the end')", 1, "KeyError: 'the end'"),
    "os._exit": Ending("os._exit(4)", 4),
    "SIGTERM": Ending("os.kill(os.getpid(), 15); time.sleep(30)", -15),
    "SIGTERM, handled": Ending(
        "import signal; signal.signal(15, lambda *_: sys.exit(5))\nos.kill(os.getpid(), 15); time.sleep(30)",
        5,
    ),
    # Without a terminal, the interpreter may have been started with the signal ignored.
    "Ctrl-C": Ending(
        "import signal; signal.signal(2, signal.default_int_handler)\n"
        "os.kill(os.getpid(), 2); time.sleep(30)",
        -2,
        "KeyboardInterrupt",
    ),
}

WOKEN = """
def wake():
    lock.release(); event.set(); items.put(1); items.put(2); full.get(); future.set_result(1)
    full.task_done()
    try: full.task_done()
    except ValueError: pass  # who waits to put has not put yet
    semaphore.release(2); barrier.abort()
    try: rlock.release()
    except RuntimeError: pass  # not the thread that owns it
    for each in (condition, plain):
        with each: each.notify_all()
"""
