"""How the tests wait until threads are in certain waits, as reports, profiles and traces know them.

Waits are known from the first report, profile, trace or watch of the process on.
"""

from __future__ import annotations

import threading

from oxthreads import _oxthreads
from tests.support.waiting import spin_until


def sleep_in(what: str, thread: threading.Thread) -> int:
    """The number of the present sleep of the thread in a wait for this; 0 if it does not sleep in one.

    A wait may have several sleeps. Each has a number of its own.

    Args:
        what: what is waited for, as `_oxthreads.asleep` has it: "Lock", "item of a queue".
        thread: the thread.
    """
    numbers = {identifier: number for number, identifier in _oxthreads.threads_alive()}
    number = numbers.get(thread.ident or 0)
    return next((each[1] for each in _oxthreads.asleep() if each[0] == number and each[3] == what), 0)


def until_waits(what: str, *threads: threading.Thread) -> None:
    """Return once each of the threads sleeps in a wait for this. The arguments are those of `sleep_in`.

    `until_asleep` would also be content with a thread that sleeps for something else, such as a mutex whose
    owner does not run at the moment.
    """
    spin_until(lambda: all(sleep_in(what, thread) for thread in threads))
