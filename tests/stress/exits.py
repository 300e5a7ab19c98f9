"""Exits: an interpreter ends in every way, while its threads and objects are in every state."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import partial

from tests.stress.attack import Attack, Program
from tests.stress.exit_calls import CALLS, PREPARE
from tests.stress.exit_late import LATE
from tests.support.endings import BLOCKED, ENDINGS, IMPORTS, OBJECTS, WOKEN

#: Seconds after which an exit counts as slow, and seconds after which it counts as hanging.
SLOW, HANGS = 2.0, 10.0

PLAIN = """
import sys, time, atexit, os
from oxthreads import queue, threading
from oxthreads.concurrent.futures import (
    Future, ThreadPoolExecutor, as_completed, wait as wait_for_all)
"""

#: Ends this process in the same way as the child, according to the child's status.
_FOLLOW = """
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
"""

#: A program whose pool starts the interpreter under test. It ends in the same way as that interpreter.
ANOTHER = f"""
import os, signal, subprocess, sys, threading
from concurrent.futures import ThreadPoolExecutor
threading.Thread(target=threading.Event().wait, daemon=True).start()
with ThreadPoolExecutor(2) as pool:
    child = [sys.executable, "-X", "faulthandler", "-m", "oxthreads", *sys.argv[1:]]
    status = pool.submit(subprocess.call, child).result()
{_FOLLOW}
sys.exit(status)
"""

#: For each name: how `python` is started, and what the program imports first.
STARTS = {
    "runner": (("-m", "oxthreads"), IMPORTS),
    "plain": ((), PLAIN),
    "another": (("-m", "oxthreads", "-c", ANOTHER), IMPORTS),
}

#: What blocks a daemon thread, by name.
WAITS = {
    "Lock.acquire": "lock.acquire",
    "Lock.acquire(timeout)": "lambda: lock.acquire(timeout=1000)",
    "RLock.acquire": "rlock.acquire",
    "RLock.acquire(timeout)": "lambda: rlock.acquire(timeout=1000)",
    "Condition.wait": "lambda: wait(condition)",
    "Condition.wait(timeout)": "lambda: wait(condition, 1000)",
    "Condition(Lock).wait": "lambda: wait(plain)",
    "Semaphore.acquire": "semaphore.acquire",
    "Semaphore.acquire(timeout)": "lambda: semaphore.acquire(timeout=1000)",
    "BoundedSemaphore.acquire": "lambda: [bounded.acquire() for _ in range(3)]",
    "Event.wait": "event.wait",
    "Event.wait(timeout)": "lambda: event.wait(1000)",
    "Barrier.wait": "threading.Barrier(5).wait",
    "Barrier.wait(timeout)": "lambda: threading.Barrier(2).wait(1000)",
    "Queue.get": "items.get",
    "Queue.get(timeout)": "lambda: items.get(timeout=1000)",
    "Queue.put": "lambda: full.put(2)",
    "Queue.put(timeout)": "lambda: full.put(2, timeout=1000)",
    "Queue.join": "full.join",
    "Queue.get_many": "lambda: items.get_many(10)",
    "Queue.put_many": "lambda: full.put_many(range(3))",
    "Queue.iterate": "lambda: list(items.iterate())",
    "LifoQueue.get": "queue.LifoQueue().get",
    "PriorityQueue.get": "queue.PriorityQueue().get",
    "SimpleQueue.get": "queue.SimpleQueue().get",
    "SimpleQueue.get_many": "lambda: queue.SimpleQueue().get_many(10)",
    "Future.result": "future.result",
    "Future.result(timeout)": "lambda: future.result(1000)",
    "Future.exception": "future.exception",
    "wait": "lambda: wait_for_all([future, Future()])",
    "as_completed": "lambda: list(as_completed([future, Future()]))",
    "Thread.join": "daemons(event.wait)[0].join",
    "Timer.run": "threading.Timer(1000, int).run",
    "Condition.wait, a Python lock": "lambda: wait(slow_lock)",
    "Queue.get, hooks": "hooked.get",
}

#: Code that makes an object fall back to the standard library, and then blocks two daemon threads in it. With
#: "then" in the name it is the other way round.
STANDARD_WAITS = {
    "Queue.get": "items.mutex; block(items.get)",
    "Queue.get(timeout)": "items.mutex; block(lambda: items.get(timeout=1000))",
    "Queue.put": "full.mutex; block(lambda: full.put(2))",
    "Queue.join": "full.mutex; block(full.join)",
    "Queue.get, then": "block(items.get); items.mutex",
    "Queue.put, then": "block(lambda: full.put(2)); full.not_full",
    "LifoQueue.get": "q = queue.LifoQueue(); q.queue; block(q.get)",
    "Future.result": "future._condition; block(future.result)",
    "Future.result, then": "block(future.result); future._condition",
    "wait": "future._condition; block(lambda: wait_for_all([future, Future()]))",
    "as_completed": "future._condition; block(lambda: list(as_completed([future, Future()])))",
    "Condition.wait": "condition._waiters; block(lambda: wait(condition))",
    "Condition.wait, then": "block(lambda: wait(condition)); condition._waiters",
    "Semaphore.acquire": "semaphore._cond; block(semaphore.acquire)",
    "Semaphore.acquire, then": "block(semaphore.acquire); semaphore._value",
    "Event.wait": "event._cond; block(event.wait)",
    "Event.wait, then": "block(event.wait); event._flag",
    "Barrier.wait": "b = threading.Barrier(3); b._cond; block(b.wait)",
    "Barrier.wait, then": "b = threading.Barrier(3); block(b.wait); b._state",
}

#: What keeps two daemon threads busy, by name. A pool refuses calls once the interpreter ends.
WORK = {
    "Lock": "lock2.acquire(); lock2.release()",
    "Lock timeout": "lock2.acquire(timeout=1e-4) and (time.sleep(1e-5), lock2.release())",
    "RLock": "with rlock2, rlock2: pass",
    "Condition": "with condition: condition.notify_all(); condition.wait(1e-4)",
    "Condition(Lock)": "with plain: plain.notify(); plain.wait(1e-4)",
    "Semaphore": "semaphore.release(); semaphore.acquire()",
    "BoundedSemaphore": "bounded.acquire(); bounded.release()",
    "Event": "event.set(); event.wait(); event.clear(); event.wait(1e-4)",
    "Barrier": "meet(0.01)",
    "Barrier abort": "threading.Barrier(1).wait(); barrier.abort(); barrier.reset()",
    "Queue": "items.put([1]); items.get(); items.task_done()",
    "Queue bounded": "full.get(); full.put([1])",
    "Queue join": "items.put([1]); items.get(); items.task_done(); items.join()",
    "Queue many": "items.put_many([[1], [2]]); items.get_many(2)",
    "LifoQueue": "lifo.put([1]); lifo.get()",
    "PriorityQueue": "priority.put(1); priority.get()",
    "Queue fallback": "q = queue.Queue(); q.put(1); q.mutex; q.get()",
    "SimpleQueue": "simple.put([1]); simple.get()",
    "SimpleQueue many": "simple.put_many([[1], [2]]); simple.get_many(1)",
    "Future": "f = Future(); f.add_done_callback(lambda f: f.result()); f.set_result(1); f.result()",
    "Future fallback": "f = Future(); f._condition; f.set_result(2); f.result()",
    "wait": "f = Future(); f.set_result(1); wait_for_all([f, Future()], 1e-4)",
    "as_completed": "f = [Future() for _ in range(3)]; [g.set_result(1) for g in f]; list(as_completed(f))",
    "Thread": "t = threading.Thread(target=int, daemon=True); t.start(); t.join()",
    "Timer": "t = threading.Timer(1e-4, int); t.daemon = True; t.start(); t.cancel(); t.join()",
    "submit": "pool.submit(int)",
    "submit and result": "pool.submit(int).result()",
    "map": "list(pool.map(str, range(10)))",
    "pools": "p = ThreadPoolExecutor(1); p.submit(int).result(); p.shutdown()",
    "pools dropped": "ThreadPoolExecutor(1).submit(int)",
}

#: Starts the two threads.
BUSY = """
lock2, rlock2, lifo, priority = (
    threading.Lock(), threading.RLock(), queue.LifoQueue(), queue.PriorityQueue())
simple, bounded, pool = queue.SimpleQueue(), threading.BoundedSemaphore(1), ThreadPoolExecutor(2)
def work():
    try:
        while True:
            {work}
    except RuntimeError as error:  # no thread can be started and no call submitted any more
        if 'shutdown' not in str(error): raise
daemons(work, work)
time.sleep(0.02)  # into the middle of it
"""

#: Before Python 3.13, an interrupted join treats the thread as ended, so the exit does not wait for it.
_INTERRUPTED = """
pool, gate, workers = ThreadPoolExecutor(1), threading.Event(), []
threading._register_atexit(gate.set)
def call():
    workers.append(threading.current_thread())
    while not gate.wait(1e-4): items.put(1); items.get()
pool.submit(call)
while not workers: time.sleep(0)
def interrupt():
    until_asleep(threading.main_thread()); os.kill(os.getpid(), 2)
daemons(interrupt)
try: {}()
except KeyboardInterrupt: pass
"""

POOLS = {
    "new": "pool = ThreadPoolExecutor(2)",
    "idle": "pool = ThreadPoolExecutor(2); pool.submit(int).result()",
    "just given a call": "pool = ThreadPoolExecutor(2); pool.submit(int)",
    "busy": "pool = ThreadPoolExecutor(2); pool.submit(time.sleep, 0.05); pool.submit(time.sleep, 0.03)",
    "dropped": "ThreadPoolExecutor(2).submit(int)",
    "dropped busy": "ThreadPoolExecutor(2).submit(time.sleep, 0.05)",
    "dropped idle": "ThreadPoolExecutor(2).submit(int).result()",
    "in a cycle": "pool = ThreadPoolExecutor(2); pool.itself = pool; pool.submit(int); del pool",
    "shut down": "pool = ThreadPoolExecutor(2); pool.submit(int); pool.shutdown()",
    "shutting down": "pool = ThreadPoolExecutor(2); pool.submit(time.sleep, 0.05); pool.shutdown(wait=False)",
    "cancelled": """
pool = ThreadPoolExecutor(1)
for _ in range(10_000): pool.submit(time.sleep, 0.01)
pool.shutdown(wait=False, cancel_futures=True)""",
    "10,000 calls queued": """
from itertools import count
ran, pool = count(), ThreadPoolExecutor(2)
def check():
    assert next(ran) == 10_000
atexit.register(check)
for _ in range(10_000): pool.submit(next, ran)""",
    "10,000 calls queued, dropped": """
from itertools import count
ran, pool = count(), ThreadPoolExecutor(2)
def check():
    assert next(ran) == 10_000
atexit.register(check)
for _ in range(10_000): pool.submit(next, ran)
del pool""",
    "10,000 calls queued, a daemon waits for the last": """
pool = ThreadPoolExecutor(2)
daemons([pool.submit(int) for _ in range(10_000)][-1].result)""",
    "map half read": "pool = ThreadPoolExecutor(2); results = pool.map(str, range(1000)); next(results)",
    "map dropped": "pool = ThreadPoolExecutor(2); next(pool.map(str, range(1000)))",
    "calls that submit calls": """
pool = ThreadPoolExecutor(2)
def again(depth):
    try: pool.submit(again, depth + 1)
    except RuntimeError as error:
        if 'shutdown' not in str(error): raise
pool.submit(again, 0)""",
    "used as the interpreter ends": """
pool = ThreadPoolExecutor(2); pool.submit(int); atexit.register(pool.shutdown)""",
    "daemons blocked in submit": """
pool, gate = ThreadPoolExecutor(1, max_pending=1, on_full='block'), threading.Event()
threading._register_atexit(gate.set)
pool.submit(gate.wait); pool.submit(int)
def submit():
    try: pool.submit(int)
    except RuntimeError as error:
        if 'shutdown' not in str(error): raise
until_asleep(*daemons(submit, submit))""",
    "daemons blocked in map": """
pool, gate = ThreadPoolExecutor(1), threading.Event()
threading._register_atexit(gate.set)
def read(): list(pool.map(lambda _: gate.wait(), range(3)))
until_asleep(*daemons(read, read))""",
    "a daemon blocked in shutdown": """
pool, gate = ThreadPoolExecutor(1), threading.Event()
threading._register_atexit(gate.set)
pool.submit(gate.wait)
until_asleep(*daemons(pool.shutdown))""",
    "an interrupted shutdown": _INTERRUPTED.format("pool.shutdown"),
    "an interrupted join": _INTERRUPTED.format("workers[0].join"),
    "100 pools": "pools = [ThreadPoolExecutor(1) for _ in range(100)]\nfor each in pools: each.submit(int)",
    "futures with callbacks": """
pool = ThreadPoolExecutor(2)
for _ in range(100): pool.submit(int).add_done_callback(lambda f: f.result())""",
    "with an initializer": "pool = ThreadPoolExecutor(2, initializer=threading.local); pool.submit(int)",
    "in an initializer": """
pool = ThreadPoolExecutor(2, initializer=time.sleep, initargs=(0.05,)); pool.submit(int)""",
    "in an initializer that fails": """
import logging
logging.disable()
def fail(): time.sleep(0.05); raise KeyError
pool = ThreadPoolExecutor(2, initializer=fail); pool.submit(int)""",
    "in a callback": """
pool = ThreadPoolExecutor(2); pool.submit(int).add_done_callback(lambda f: time.sleep(0.05))""",
    "in what map calls with progress": """
pool = ThreadPoolExecutor(2)
results = pool.map(str, range(100), progress=lambda *done: time.sleep(1e-3))""",
    "a call that fails": "pool = ThreadPoolExecutor(2); pool.submit(divmod, 1, 0)",
    "a daemon in its shutdown": """
pool = ThreadPoolExecutor(2); pool.submit(time.sleep, 0.05); daemons(pool.shutdown)""",
}

USE = """
def use():
    with threading.Lock(), threading.RLock(): pass
    with condition: condition.notify_all(); condition.wait(1e-4)
    with plain: plain.notify_all(); plain.wait(1e-4)
    semaphore.release(); semaphore.acquire()
    event.set(); event.wait(); event.clear(); event.wait(1e-4)
    threading.Barrier(1).wait()
    items.put(1); items.get(); items.put_many([1, 2]); items.get_many(2)
    joined = queue.Queue(1); joined.put(1); joined.get(); joined.task_done(); joined.join()
    simple = queue.SimpleQueue(); simple.put(1); simple.get()
    f = Future(); f.add_done_callback(lambda f: f.result()); f.set_result(1)
    wait_for_all([f]); list(as_completed([f])); f.result()
    try:
        thread = threading.Thread(target=int); thread.start(); thread.join()
        with ThreadPoolExecutor(1) as pool: pool.submit(int).result()
    except RuntimeError as error:
        if 'shutdown' not in str(error): raise
"""

EVERYTHING = "everything = [lock, event, items, full, future, rlock, semaphore, barrier, condition, plain]\n"

#: The forked child goes on to the end. The parent ends in the same way as the child.
_FORK = f"""
import signal, warnings
warnings.simplefilter('ignore')  # of threads that are not in it
child = os.fork()
if child:
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    {_FOLLOW.strip().replace(chr(10), chr(10) + "    ")}
    os._exit(status)
"""

STATES = {
    "alive in globals": EVERYTHING,
    "in cycles": EVERYTHING
    + "everything.append(everything); items.put(items); full.queue\n"
    + "future.add_done_callback(lambda f: everything); future.itself = future; event.itself = event\n"
    + "semaphore.itself = semaphore; condition.itself = condition; barrier.itself = barrier; del everything",
    "in a cycle with a thread's stack": "daemons(lambda kept=[]: (kept.append(kept), event.wait()))",
    "in thread locals": "local = threading.local(); local.kept = [local, lock, items, future]\n"
    + "def keep(): local.kept = [local, Future(), queue.Queue()]; event.wait()\nuntil_asleep(*daemons(keep))",
    "used by atexit": USE + "atexit.register(use)",
    "used by threading._register_atexit": USE + "threading._register_atexit(use)",
    "used by both": USE + "atexit.register(use); threading._register_atexit(use)",
    "used by weakref.finalize": USE
    + "import weakref\nclass Kept: pass\nkept = Kept(); weakref.finalize(kept, use)",
    "used by a daemon and by atexit": USE
    + "atexit.register(use)\n"
    + "def both():\n    while True: items.put(1); items.get(); time.sleep(0)\ndaemons(both, both)",
    "waiters woken by atexit": WOKEN + BLOCKED + "atexit.register(wake)",
    "waiters woken by threading._register_atexit": WOKEN + BLOCKED + "threading._register_atexit(wake)",
    "waiters woken by a late __del__": WOKEN
    + BLOCKED
    + "class Late:\n    def __del__(self, wake=wake): wake()\nsys.keep = Late()",
    "waiters in every wait": BLOCKED,
    "a future done by atexit": "atexit.register(future.set_result, 1); daemons(future.result)",
    "a pool called by atexit": "pool = ThreadPoolExecutor(1); pool.submit(int)\n"
    + "def submit():\n    try: pool.submit(int)\n    except RuntimeError: pass\n"
    + "    else: raise AssertionError\natexit.register(submit)",
    "a Timer pending": "threading.Timer(0.05, int).start()",
    "a daemon Timer pending": "timer = threading.Timer(1000, int); timer.daemon = True; timer.start()",
    "a Timer cancelled as the interpreter ends": """
timer = threading.Timer(1000, int); timer.start(); threading._register_atexit(timer.cancel)""",
    "in a forked child": BLOCKED + _FORK + USE + "use(); atexit.register(use)",
    "in a forked child, a pool before": """
pool = ThreadPoolExecutor(2); pool.submit(int).result(); pool.submit(time.sleep, 0.02)"""
    + _FORK
    + "pool.submit(int).result(); again = ThreadPoolExecutor(2); again.submit(int)",
    "after a child of a pool's worker": USE
    + """
import warnings
warnings.simplefilter('ignore')  # of threads that are not in it
def call():
    child, status = os.fork(), 1
    if not child:
        try: use(); other = ThreadPoolExecutor(1); other.submit(int).result(); other.submit(int); status = 0
        finally: os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
pool = ThreadPoolExecutor(2); pool.submit(call).result()""",
}

_BLOCKED = "bounded = threading.BoundedSemaphore(1)\nuntil_asleep(*daemons({0}, {0}))\n"

_STANDARD = "def block(target): until_asleep(*daemons(target, target))\n"

#: For each attack, the states in which the interpreter is when it ends.
GROUPS = {
    "exit-blocked": {name: PREPARE + _BLOCKED.format(wait) for name, wait in WAITS.items()}
    | {f"{name}, fallback": _STANDARD + code for name, code in STANDARD_WAITS.items()},
    "exit-busy": {name: BUSY.format(work=work) for name, work in WORK.items()},
    "exit-calls": {name: PREPARE + BUSY.format(work=work) for name, work in CALLS.items()},
    "exit-pools": POOLS,
    "exit-objects": STATES | LATE,
}

#: How many times the quick form of an attack runs every state: more than once where a fault does not show
#: each time. After that it runs _MORE other programs.
_ROUNDS, _MORE = {"exit-busy": 2, "exit-calls": 2}, 20


def _programs(group: str, count: int) -> Iterator[Program]:
    """First each state with the ending that tears down the most, then every state with every ending."""
    starts, states = list(STARTS), GROUPS[group].items()
    first = [
        _program(state, code, "falls off the end", starts[(number + turn) % len(starts)])
        for turn in range(_ROUNDS.get(group, 1))
        for number, (state, code) in enumerate(states)
    ]
    every = [
        _program(state, code, ending, start)
        for state, code in states
        for ending in ENDINGS
        for start in STARTS
    ]
    # With a step that has no common divisor, a small count has a mixture of all kinds, too.
    step = next(step for step in range(len(every) * 5 // 8, len(every)) if math.gcd(step, len(every)) == 1)
    mixed = (every[number * step % len(every)] for number in itertools.count())
    yield from itertools.islice(itertools.chain(first, mixed), count)


def _program(state: str, code: str, name: str, start: str) -> Program:
    arguments, imports = STARTS[start]
    ending = ENDINGS[name]
    return Program(
        name=f"{state}, {name}, {start}",
        arguments=(*arguments, "-c", f"{imports}{OBJECTS}{code}\n{ending.code}"),
        status=ending.status,
        error=ending.error,
        seconds=HANGS,
        slow=SLOW,
    )


def _attack(group: str, about: str) -> Attack:
    return Attack(
        name=group,
        about=about,
        full=1000 * len(ENDINGS),  # a thousand of each ending
        quick=_ROUNDS.get(group, 1) * len(GROUPS[group]) + _MORE,
        programs=partial(_programs, group),
    )


ATTACKS = [
    _attack("exit-blocked", "exits while daemon threads are blocked in one of the waits"),
    _attack("exit-busy", "exits while daemon threads do one thing again and again"),
    _attack("exit-calls", "exits while daemon threads are in Python code that ours calls"),
    _attack("exit-pools", "exits with thread pools in every state"),
    _attack("exit-objects", "exits with objects that live on, or are used by what runs at the end"),
]
