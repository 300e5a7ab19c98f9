"""An interpreter ends while a daemon thread collects garbage."""

from __future__ import annotations

import sys

import pytest

from tests.support.interpreters import python

#: A daemon thread makes garbage with a slow finalizer. The garbage is collected in the middle of `OPERATION`.
PROGRAM = """
import collections, gc, operator, os, queue, sys, threading, time
from concurrent.futures import Future
collects = threading.Event()
class Slow:
    def __del__(self): collects.set(); time.sleep(SECONDS)
def run():
    gc.disable()
    for each in [[] for _ in range(2000)]: each.append(each)
    slow = [Slow()]; slow.append(slow)
    del each, slow
    calls = [gc.enable, *[list] * 30_000]  # which begins it
    OPERATION
class Late:  # ends after it, when no other thread may run any more: one that asks for its turn is ended
    def __del__(self, sleep=time.sleep): sleep(LAST)
sys.keep = Late()
threading.Thread(target=run, daemon=True).start()
collects.wait()
"""

only_before_3_12 = pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="no collection starts within an instruction"
)


def program(seconds: float, operation: str, last: float = 0.0) -> str:
    return PROGRAM.replace("SECONDS", str(seconds)).replace("OPERATION", operation).replace("LAST", str(last))


#: On 3.11, making an object may start a collection. From 3.12 on, native code starts it when it checks
#: signals.
MAKES = ["queue.Queue()", "queue.SimpleQueue()", "Future()", "threading.Event()", "gc.collect()"]
LOOKS = [
    "queue.Queue().put_many(map(operator.call, calls))",
    "queue.SimpleQueue().put_many(map(operator.call, calls))",
    "items = queue.Queue(); items.put_many(calls); collections.deque(map(operator.call, items.iterate()))",
]


@pytest.mark.parametrize(
    "operation",
    [*(pytest.param(f"gc.enable(); {make}", marks=only_before_3_12, id=make) for make in MAKES), *LOOKS],
)
def test_a_collection_that_begins_in_the_middle_of_an_operation_does_not_crash_the_exit(
    operation: str,
) -> None:
    done = python(program(0.2, operation, last=0.5))
    assert (done.returncode, done.stderr) == (0, "")


@only_before_3_12
def test_the_exit_does_not_wait_forever_for_a_collection() -> None:
    # The thread starts the collection itself. No Rust frame is on its stack, so the exit may end it there.
    done = python(program(600, "gc.enable(); gc.collect()"))
    assert (done.returncode, done.stderr) == (0, "")


@only_before_3_12
def test_garbage_is_still_collected_at_the_end() -> None:
    done = python(
        "import gc, oxthreads.queue\n"
        "class Mortal:\n"
        "    def __del__(self, write=__import__('os').write): write(1, b'gone ')\n"
        "def make():\n"
        "    mortal = [Mortal()]; mortal.append(mortal)\n"
        "make(); make()\n"
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "gone gone ")


@only_before_3_12
def test_the_exit_leaves_frozen_objects_and_debug_flags_alone() -> None:
    done = python(
        "import atexit, gc\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > 0, gc.get_threshold()[0], gc.garbage))\n"
        "import oxthreads.queue\n"
        "gc.freeze()\n"
        "gc.set_debug(gc.DEBUG_SAVEALL)\n",
        runner=False,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "True 0 []\n")
