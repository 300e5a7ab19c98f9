"""What the attacks of `siege` must find: faults that are put in for them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from siege import ROOT

#: By what it is, what is done before the attack begins, the attack, and what is said of it.
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
from tests.siege.inside import fuzz, garbage, memory, references, soak, soak_locks, soak_queues, soak_round
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
