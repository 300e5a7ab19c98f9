"""How the tests wait until threads are in certain waits, as reports, profiles and traces know them.

Waits are known from the first report, profile, trace or watch of the process on.
"""

from __future__ import annotations

import gc
import sys
import threading
from typing import Any

from oxthreads import _oxthreads, diagnose
from oxthreads.diagnose import _profile_names
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


def is_in_a_wait(thread: threading.Thread) -> bool:
    """Whether the thread sleeps in a wait of oxthreads, whatever that is for."""
    numbers = {identifier: number for number, identifier in _oxthreads.threads_alive()}
    number = numbers.get(thread.ident or 0)
    return any(each[0] == number for each in _oxthreads.asleep())


def until_waits(what: str, *threads: threading.Thread) -> None:
    """Return once each of the threads sleeps in a wait for this. The arguments are those of `sleep_in`.

    `until_asleep` would also be content with a thread that sleeps for something else, such as a mutex whose
    owner does not run at the moment.
    """
    spin_until(lambda: all(sleep_in(what, thread) for thread in threads))


def until_nobody_waits() -> None:
    """Return once no thread of an earlier test is in a wait that a profile or a trace would show."""
    # The idle threads of `oxthreads.aio.to_thread` wait for a minute.
    of_coroutines: Any = sys.modules.get("oxthreads.aio._pool")
    if of_coroutines is not None and of_coroutines._default._pool is not None:
        of_coroutines._default._pool.shutdown()
        of_coroutines._default._pool = None
    diagnose.report()  # from here on, waits are known

    def nobody_waits() -> bool:
        if _oxthreads.asleep():
            gc.collect()  # some threads end with an object
        return not _oxthreads.asleep()

    try:
        spin_until(nobody_waits)
    except AssertionError:
        raise AssertionError(f"there are still waits:\n{diagnose.report()}") from None


def names_found(name: str) -> list[tuple[str, int, int]]:
    """The objects for which the thread of the watch has found this name, while a profile or a trace runs."""
    return [key for key, found in [*_profile_names._found.items()] if found == name]


def until_named(name: str, count: int = 1) -> None:
    """Return once the thread of the watch, which looks ten times a second, has found so many of this name."""
    spin_until(lambda: len(names_found(name)) >= count)
