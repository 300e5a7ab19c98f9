"""How the tests wait: for a condition, or until threads sleep in the kernel."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

#: After this many seconds, something that has not happened is a failure.
TIMEOUT_SECONDS = 30.0

#: How often in a row a thread must be found asleep. If tests run side by side, it must be more often: a
#: thread may also sleep for a mutex whose owner waits for a processor.
looks_until_asleep = 5

#: For how many seconds a thread must be found asleep in any case. Not much longer: some waits poll.
SECONDS_UNTIL_ASLEEP = 0.005


def spin_until(condition: Callable[[], object], seconds: float = TIMEOUT_SECONDS) -> None:
    """Let other threads run until the condition holds. After so many seconds, that is a failure."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"the condition does not hold after {seconds} s"
        os.sched_yield() if hasattr(os, "sched_yield") else time.sleep(0)


def rounds(count: int, seconds: float = TIMEOUT_SECONDS) -> Iterator[int]:
    """So many numbers, or fewer on a machine that is so busy that they take more than so many seconds.

    For tests whose threads run all the time, which many processes for few processors make very slow.
    """
    end = time.monotonic() + seconds
    for number in range(count):
        if time.monotonic() > end:
            return
        yield number


def times_run(proc: Path) -> str:
    """How often the kernel has let a thread run; empty if that is unknown. `proc`: its folder in /proc."""
    try:
        return (proc / "schedstat").read_text().split()[-1]
    except (FileNotFoundError, ProcessLookupError):  # or the thread has ended
        return ""


def until_asleep(*threads: threading.Thread) -> None:
    """Return once the threads sleep in the kernel, and not only because they wait for the GIL."""
    # The first one may have slept only for what another one had, which has released it since. But some waits
    # poll, so that there is not always an end in which none has run.
    for _ in range(3):
        before = [_turns_of_sleeper(thread) for thread in threads]
        folders = [Path(f"/proc/self/task/{thread.native_id}") for thread in threads]
        if len(threads) == 1 or before == [times_run(folder) for folder in folders]:
            return


def _turns_of_sleeper(thread: threading.Thread) -> str:
    """Return once the thread sleeps, as `until_asleep` does. Returns how often it has run."""
    spin_until(lambda: thread.native_id)
    proc = Path(f"/proc/self/task/{thread.native_id}")
    looks, turns, since = 0, "", 0.0

    def sleeps() -> bool:
        nonlocal looks, turns, since
        assert thread.is_alive(), "the thread has ended and does not sleep"
        # During this sleep, a thread that waits for the GIL gets it, or at least runs once before it waits
        # again.
        time.sleep(0.0005)
        sleeps = (proc / "stat").read_text().rpartition(")")[2].split()[0] == "S"
        before, turns = turns, times_run(proc)
        looks = looks + 1 if sleeps and turns == before else 0
        if looks <= 1:
            since = time.monotonic()
        return looks > looks_until_asleep and time.monotonic() - since > SECONDS_UNTIL_ASLEEP

    spin_until(sleeps)
    return turns
