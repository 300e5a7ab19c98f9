"""The attacks must find faults. Each test puts one fault in, and runs an attack."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from tests.stress import ROOT, attack, exits
from tests.support.endings import OBJECTS

#: A lock that is always handed to a waiter in the line, whatever that waiter does meanwhile.
LOCK = """
import threading
class Lock:
    place = 0
    def __init__(self): self.held, self.line = False, []
    def acquire(self, blocking=True):
        if not self.held: self.held = True
        elif not blocking: return False
        else:
            self.line.append(threading.Semaphore(0))
            self.line[-1].acquire()
        return True
    def release(self):
        if self.line: self.line.pop(self.place).release()
        else: self.held = False
"""

#: For each fault: the code that puts it in, the attack, and words that the attack must write.
FAULTS = {
    "memory that grows": (
        "memory.operations_of = lambda pool: {'it': (lambda item: kept.append(object()), 1)}",
        "memory.memory('it', 1000)",
        "blocks, ",
    ),
    "a reference that stays": (
        "memory.operations_of = lambda pool: {'it': (kept.append, 1)}\nreferences.QUIET = 0.1",
        "references.references(10)",
        "AssertionError: it: item ",
    ),
    "a cycle that is not freed": (
        "@garbage.made\ndef a_cycle():\n    kept.append(garbage.Thing())\n    return kept[-1]",
        "garbage.every_cycle(1)",
        "AssertionError: a cycle: not freed",
    ),
    "an item that is gone": (
        "garbage.QUEUES = ['Queue']\nqueues.Queue.get = lambda self: None",
        "garbage.beside_mutators(5)",
        "in _mutate",
    ),
    "something live that is torn down": (
        "import gc, weakref\n"
        "class SimpleQueue(queues.SimpleQueue):\n"
        "    def __init__(self): every.add(self)\n"
        "def clear(phase, info):\n"
        "    for queue in [*every]:\n"
        "        while phase == 'stop' and not queue.empty(): queue.get()\n"
        "every, queues.SimpleQueue = weakref.WeakSet(), SimpleQueue\n"
        "gc.callbacks.append(clear)",
        "held.every_kind(gc.collect)",
        "AssertionError: SimpleQueue's iterator: torn down",
    ),
    "a lock that is referred to for ever": (
        "class Lock:\n"
        "    def __init__(self): self.held, self.locked = standard.Lock(), self.is_locked\n"
        "    def acquire(self, *args, timeout=-1): kept.append(self); return self.held.acquire(*args)\n"
        "    def release(self): self.held.release()\n"
        "    def is_locked(self): return self.held.locked()\n"
        "    def __enter__(self): return self.acquire()\n"
        "    def __exit__(self, *args): self.release()\n"
        "threads.Lock, references.QUIET = Lock, 0.1",
        "references.references(10)",
        "AssertionError: Lock with: held ",
    ),
    "a timeout that is referred to for ever": (
        "wait = threads.Event.wait\n"
        "threads.Event.wait = lambda self, timeout=None: kept.append(timeout) or wait(self, timeout)\n"
        "references.QUIET = 0.1",
        "references.references(10)",
        "AssertionError: Event: ",
    ),
    "memory that grows when threads wait": (
        "class Lock:\n"
        "    def __init__(self): self.held = standard.Lock()\n"
        "    def acquire(self): return self.held.acquire(False) or self.wait()\n"
        "    def wait(self): kept.append(object()); self.held.acquire()\n"
        "    def release(self): self.held.release()\n"
        "memory.operations_of = lambda pool: {'it': (turns.handed_over(lambda: turns._acquired(Lock)), 1)}",
        "memory.memory('it', 3000)",
        "blocks, ",
    ),
    "an item that a fork takes away": (
        "class Queue(queues.Queue):\n"
        "    def get(self, *args, **keywords):\n"
        "        item = super().get(*args, **keywords)\n"
        "        if os.getpid() != parent: raise queues.Empty\n"
        "        return item\n"
        "parent, forks.QUEUES.Queue = os.getpid(), Queue",
        "forks.main('main', 'parked', 4)",
        "Empty",
    ),
    "a permit that a fork gives to nobody": (
        "class Semaphore(threads.Semaphore):\n"
        "    def release(self, n=1):\n"
        "        if os.getpid() == parent: super().release(n)\n"
        "parent, threads.Semaphore = os.getpid(), Semaphore\n"
        "import signal; in_child = forks.in_child\n"
        "forks.in_child = lambda check: in_child(lambda: (signal.alarm(2), check()))",
        "forks.main('main', 'parked', 4)",
        "in in_child",
    ),
    "a lock that is free in a forked child": (
        "class RLock(type(threads.RLock())):\n"
        "    def acquire(self, *args, **keywords):\n"
        "        if os.getpid() != parent: self._at_fork_reinit()\n"
        "        return super().acquire(*args, **keywords)\n"
        "parent, threads.RLock = os.getpid(), RLock",
        "forks.main('main', 'parked', 8)",
        "in check",
    ),
    "a timeout that is waited for": (
        "wait = threads.Barrier.wait\n"
        "def late(self, timeout=None): 0 < timeout < 1 and time.sleep(0.1); return wait(self, timeout)\n"
        "threads.Barrier.wait = late",
        "timeouts.timeouts()",
        "AssertionError: Barrier: 1e-09 s are waited for",
    ),
    "a timeout that is not refused": (
        "get = queues.LifoQueue.get\n"
        "queues.LifoQueue.get = lambda self, block=True, timeout=9: get(self, block, min(timeout, 1e-9))\n"
        # The messages of other threads would come between the words.
        "standard.excepthook = lambda args: None",
        "timeouts.timeouts()",
        "AssertionError: ('LifoQueue.get', ",
    ),
    "the longest timeout that is over at once": (
        "join = threads.Thread.join\n"
        "threads.Thread.join = lambda self, timeout: timeout > 9e9 or join(self, timeout)\n"
        "timeouts.standard.TIMEOUT_MAX -= 1",
        "timeouts.patience(timeouts.standard.TIMEOUT_MAX)",
        "'Thread.join': (True, ",
    ),
    "one of a crowd that is never let go": (
        "class Event(threads.Event):\n"
        "    def wait(self): waits.append(1); super().wait(); len(waits) < 3 or kept_for_ever.acquire()\n"
        "waits, kept_for_ever = [], standard.Lock()\n"
        "kept_for_ever.acquire()\n"
        "threads.Event, limits.TIMEOUT_SECONDS = Event, 1",
        "limits.crowd_event(5)",
        "AssertionError: ",
    ),
    "a crash": (
        "import faulthandler\ndo = lambda *args: faulthandler._sigsegv()",
        "fuzz.search(0, 100)",
        "Fatal Python error: Segmentation fault",
    ),
    "an error of the interpreter's": (
        "import time\ndef do(*args): raise SystemError('what is this')",
        "fuzz.search(0, 100)",
        "SystemError: what is this",
    ),
    "programs that are never made up": (
        "settings = fuzz.hypothesis.settings\n"
        "fuzz.hypothesis.settings = lambda **given: settings(**given | {'max_examples': 5})",
        "fuzz.search(0, 100)",
        "programs instead of 100",
    ),
    "a hang": (
        "def do(*args):\n    while True:\n        try: time.sleep(9)\n        except BaseException: pass\n"
        "fuzz.HANG_SECONDS, fuzz.PHASES = 1, fuzz.PHASES[:1]",
        "fuzz.search(0, 100)",
        "Timeout (0:00:01)!",
    ),
    "a lock that does not exclude": (
        "class Lock:\n"
        "    def acquire(self, *args): return True\n"
        "    def release(self): pass\n"
        "    __enter__ = __exit__ = acquire\n"
        "threads.Lock = threads.RLock = threads.Semaphore = lambda *args: Lock()",
        "sys.exit(bool(soak.main(3, 1, 'Exclusion')))",
        "two are inside",
    ),
    "a queue that gives an item twice": (
        "get = queues.Queue.get_nowait\n"
        "queues.Queue.get_nowait = lambda self: kept.append(get(self)) or kept[len(kept) // 2]\n"
        "queues.SimpleQueue = queues.LifoQueue = queues.PriorityQueue = queues.Queue",
        "sys.exit(bool(soak.main(3, 1, 'Traffic')))",
        "in check",
    ),
    "waiters that are served the other way round": (
        f"{LOCK}\n"
        "Lock.place = -1\n"
        "def pair(line):\n"
        "    line.kind, lock = 'Lock', Lock()\n"
        "    return lock.acquire, lock.release\n"
        "soak_lines.Line._pair = pair",
        "sys.exit(bool(soak.main(1, 1, 'Line')))",
        "were served",
    ),
    "a notification that a late wait takes with it": (
        "from threading import Condition\n"
        "class Late(Condition):\n"
        "    def wait(self, timeout=None):\n"
        "        return Condition.wait(self, timeout) and timeout is None\n"
        "threads.Condition = Late\n"
        "soak_lines.Notifications.interruptible = False\n"
        "soak_round.STUCK_SECONDS = 1",
        "soak.main(5, 1, 'Notifications')",
        "Timeout (0:00:01)!",
    ),
    "a wake-up that an interrupted wait takes with it": (
        "class Lock:\n"
        "    def __init__(self): self.lock = standard.Lock(); self.release = self.lock.release\n"
        "    def acquire(self, *args):\n"
        "        try: return self.lock.acquire(*args)\n"
        "        except BaseException: self.lock.acquire(False); raise\n"
        "threads.Lock, contended.TIMEOUT_SECONDS = Lock, 1",
        "storms.main('Lock', 'raises', 1, storms.OXTHREADS)",
        "is lost",
    ),
    "a wait that a signal does not end": (
        "class Event(threads.Event):\n"
        "    def wait(self, timeout=None):\n"
        "        try: return super().wait(timeout)\n"
        "        finally: time.sleep(0.04)\n"
        "threads.Event = Event\n"
        "interrupts.PROMPT = 9\n"
        "interrupts.Sleeper.wakes_by_itself = lambda self: False",
        "interrupts.main('Event.wait', 10)",
        "the half of 10",
    ),
    "a deadline that moves": (
        "class Full(queues.Queue):\n"
        "    def put(self, item, timeout=None):\n"
        "        return timeout is None or time.sleep(timeout + 0.6)\n"
        "queues.Queue = Full",
        "deadlines.main('Queue.put', 3)",
        "seconds, of 3",
    ),
    "a wait that does not end": (
        "soak_round.STUCK_SECONDS = 1\n"
        "class Event(threads.Event):\n"
        "    def wait(self, timeout=None):\n"
        "        while True: time.sleep(9)\n"
        "threads.Event = Event",
        "soak.main(5, 1, 'Flags')",
        "Timeout (0:00:01)!",
    ),
    "a deadlock under a watch": (
        "lock = threads.Lock()",
        "with watched.watched(), lock:\n    with lock: pass",
        "oxthreads: deadlock: a thread waits for itself",
    ),
    "a false alarm": (
        "from oxthreads.diagnose import _situation\n"
        "_situation.Situation._dependence = lambda *_: _situation.Dependence(frozenset(), reason='ended')",
        "with watched.watched(): storms.main('RLock', 'returns', 5.0, storms.OXTHREADS)",
        "oxthreads: deadlock: a thread waits for what no thread can give it",
    ),
}

PREPARE = """
import gc, os, sys, threading as standard, time
from tests.stress.inside import contended, deadlines, forks, fuzz, garbage, held, interrupts, limits, memory
from tests.stress.inside import references, soak, soak_lines, soak_locks, soak_queues, soak_round, storms
from tests.stress.inside import timeouts, turns, watched
from oxthreads import queue as queues, threading as threads
kept = []
{}
if "do" in globals():
    class ThreadPoolExecutor: misbehave = do
    fuzz.classes = lambda: [ThreadPoolExecutor] * 3
{}
"""


#: An attack leaves much to chance. It may miss a fault on a busy machine, but not so often in a row.
TRIES = 3


@pytest.mark.parametrize("name", FAULTS)
def test_it_finds(name: str) -> None:
    fault, attack, words = FAULTS[name]
    said = []
    for _ in range(TRIES):
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", PREPARE.format(fault, attack)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        if done.returncode != 0 and words in done.stderr:
            return
        said.append(done)
    pytest.fail(f"not found: {said}")


#: The same for exits: the code that the child runs before its state, the attack, the program, the complaint.
EXIT_FAULTS = {
    "a daemon thread that is waited for": (
        "threading._register_atexit(lambda: [each.join() for each in threading.enumerate() if each.daemon])",
        "exit-blocked",
        "Queue.get, falls off the end, plain",
        "hangs after 3 s",
    ),
    "a call that is lost": (
        "from itertools import count\nnumber, submit = count(), ThreadPoolExecutor.submit\n"
        "ThreadPoolExecutor.submit = lambda self, *call: (\n"
        "    submit(self, *call) if next(number) != 5000 else Future())",
        "exit-pools",
        "10,000 calls queued, falls off the end, plain",
        "something on standard error",
    ),
    "an interrupt that is swallowed": (
        "import signal; signal.default_int_handler = lambda *args: None",
        "exit-blocked",
        "Lock.acquire, Ctrl-C, runner",
        "hangs after 3 s",
    ),
    "a child that dies of its parent's pool": (
        "os.register_at_fork(after_in_child=os.abort)",
        "exit-objects",
        "in a forked child, a pool before, falls off the end, plain",
        "exit status -6 instead of 0",
    ),
    "an object that is gone too early": (
        "atexit.register(lambda: globals().pop('items'))",
        "exit-objects",
        "used by a late __del__ again, falls off the end, runner",
        "something on standard error",
    ),
    # A lock of the standard library, in the versions in which it does not refuse to wait.
    "a wait that nobody can end": (
        "import _thread; lock = _thread.allocate_lock(); lock.acquire()",
        "exit-objects",
        "Lock.acquire in a late __del__, last of all, falls off the end, plain",
        "hangs after 3 s",
    ),
}


@pytest.mark.parametrize("name", EXIT_FAULTS)
def test_an_exit_shows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "a wait that nobody can end" and not (3, 13) <= sys.version_info < (3, 15):
        pytest.skip("nothing is refused before 3.13, and by 3.15 in the standard library, too")
    fault, kind, which, complaint = EXIT_FAULTS[name]
    every = next(each for each in exits.ATTACKS if each.name == kind)
    monkeypatch.setattr(exits, "OBJECTS", f"{OBJECTS}{fault}\n")
    program = next(each for each in every.programs(every.full) if each.name == which)
    assert attack.run(replace(program, seconds=3.0), sys.executable).complaint == complaint
