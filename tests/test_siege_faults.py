"""What the attacks of `siege` must find: faults that are put in for them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from siege import ROOT, attack, exits

#: By what it is, what is done before the attack begins, the attack, and what is said of it.
FAULTS = {
    "memory that grows": (
        "memory.operations_of = lambda pool: {'it': (lambda item: kept.append(object()), 1)}",
        "memory.memory('it', 1000)",
        "blocks, ",
    ),
    "a reference that stays": (
        "memory.operations_of = lambda pool: {'it': (kept.append, 1)}\nmemory.QUIET = 0.1",
        "memory.references(10)",
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
    "a wait that does not end": (
        "soak_round.STUCK_SECONDS = 1\n"
        "soak_locks.Flags.end = lambda self: None\n"
        "soak_locks.Flags._live = soak_round.Round._live",
        "soak.main(5, 1, 'Flags')",
        "Timeout (0:00:01)!",
    ),
}

PREPARE = """
import sys, time
from tests.siege.inside import fuzz, garbage, memory, soak, soak_locks, soak_queues, soak_round
from oxthreads import queue as queues, threading as threads
kept = []
{}
if "do" in globals():
    class ThreadPoolExecutor: misbehave = do
    fuzz.classes = lambda: [ThreadPoolExecutor] * 3
{}
"""


@pytest.mark.parametrize("name", FAULTS)
def test_it_finds(name: str) -> None:
    fault, attack, words = FAULTS[name]
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", PREPARE.format(fault, attack)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode != 0
    assert words in done.stderr


#: The same of exits: what a child does before it comes into its state, the program, and what is said of it.
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
    # The standard library's lock, where it does not refuse to wait.
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
    monkeypatch.setattr(exits, "OBJECTS", f"{exits.OBJECTS}{fault}\n")
    program = next(each for each in every.programs(every.full) if each.name == which)
    assert attack.run(replace(program, seconds=3.0), sys.executable).complaint == complaint
