"""Which threads run, which sleep, and how long they waited for a processor."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

#: A thread counts as asleep if it is found asleep this many times in a row, some milliseconds apart.
LOOKS = 5


def kept_waiting(*threads: threading.Thread) -> float:
    """Seconds for which these threads were ready to run, but no processor was free.

    To be compared with an earlier number: it has a part that is not of these threads. A wait is not to blame
    for this time. Zero if the system does not report it.
    """
    waited = 0
    for thread in threads:
        with contextlib.suppress(FileNotFoundError):
            # The second number is this time in nanoseconds.
            waited += int(Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text().split()[1])
    return waited / 1e9 + _stolen()


def _stolen() -> float:
    """Seconds for which a virtual machine was not given its processors. Its threads seem to run meanwhile."""
    with contextlib.suppress(FileNotFoundError, IndexError):
        ticks = Path("/proc/stat").read_text().splitlines()[0].split()[8]
        return int(ticks) / os.sysconf("SC_CLK_TCK")
    return 0.0


def until_all_sleep(members: Sequence[threading.Thread]) -> None:
    """As `until_asleep`, but for many threads: that one checks them one by one, which takes long."""
    folders = [Path(f"/proc/self/task/{member.native_id}") for member in members]
    looks, turns = 0, [""]
    while looks < LOOKS:
        time.sleep(0.005)  # a thread that waits for the GIL gets it
        states = [(folder / "stat").read_text().rpartition(")")[2].split()[0] for folder in folders]
        # How often the kernel has let each thread run; empty if the system does not report it.
        told = [folder / "schedstat" for folder in folders]
        before, turns = turns, [file.read_text().split()[-1] for file in told if file.exists()]
        looks = looks + 1 if turns == before and set(states) <= {"S"} else 0
