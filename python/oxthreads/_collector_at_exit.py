"""Stop the garbage collector when the interpreter exits. Imported by the native module on Python 3.11 only.

On 3.11 a collection can start wherever an object is made, also in the middle of native code that is not
guarded (while pyo3 makes an exception, say). The collection can run a ``__del__`` that lets another thread
run. If that happens in a daemon thread and the interpreter exits meanwhile, the interpreter ends the thread
by unwinding its stack. There are Rust frames on that stack, and the process aborts. So at exit no new
collection may start, and one that is in progress is waited for. From 3.12 on collections start only
between two instructions of Python code.
"""

from __future__ import annotations

import atexit
import gc
import time

#: How long to wait for a collection in another thread, in seconds. A ``__del__`` may block it for ever.
TIMEOUT = 1.0

#: How long to sleep between two checks, in seconds.
INTERVAL = 0.001


def settle() -> None:
    """Let no collection start by itself any more, and wait until none is in progress."""
    # Not `disable`: then the interpreter would skip the collection at its end.
    gc.set_threshold(0)
    if gc.get_debug():
        return  # each check would be printed, or keep its garbage
    end = time.monotonic() + TIMEOUT
    while _is_under_way() and time.monotonic() < end:
        time.sleep(INTERVAL)


def _is_under_way() -> bool:
    """Return whether a thread is collecting garbage: then this thread cannot collect."""
    # Hide all other objects. Their finalizers could be slow, and new ones could come without end.
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
