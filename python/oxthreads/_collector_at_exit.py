"""Imported by the native module on Python 3.11, where a collection may start wherever an object is made.

That may be in the middle of native code, under no guard of ours (an exception that pyo3 makes, the
arguments of a call). If a ``__del__`` that the collection runs there gives up its turn, in a daemon thread,
and the interpreter ends meanwhile, the thread is ended by unwinding its stack; below lie frames of Rust, and
the process aborts. So as the program ends no further collection starts by itself, and one that is under way
is waited for. From 3.12 on collections start only between instructions of Python code.
"""

from __future__ import annotations

import atexit
import gc
import time

#: Seconds that a collection which is under way in another thread is waited for: a ``__del__`` may block.
PATIENCE = 1.0

#: Seconds between two looks.
LOOKS = 0.001


def settle() -> None:
    """Have no collection start by itself any more, and wait until none is under way."""
    gc.set_threshold(0)  # not `disable`, for which the interpreter would leave out the collection at its end
    if gc.get_debug():
        return  # every look would be told of, or kept
    end = time.monotonic() + PATIENCE
    while _is_under_way() and time.monotonic() < end:
        time.sleep(LOOKS)


def _is_under_way() -> bool:
    """Whether a thread collects garbage, which excludes another collection."""
    # Only what is made here is looked at: not what was made meanwhile, with no end of slow finalizers.
    hides_the_rest = gc.get_freeze_count() == 0
    if hides_the_rest:
        gc.freeze()
    garbage: list[object] = []
    garbage.append(garbage)
    del garbage
    found = gc.collect(0)
    if hides_the_rest:
        gc.unfreeze()
    return found == 0


atexit.register(settle)
