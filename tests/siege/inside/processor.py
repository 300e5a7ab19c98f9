"""Who runs, who sleeps, and what other programs take from the time of this one."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path

#: So often in a row, with some milliseconds between, threads have to be found asleep.
LOOKS = 5


def kept_waiting(*threads: threading.Thread) -> float:
    """Seconds for which these threads have been ready to run while no processor was free.

    Not what a wait is to blame for. Zero where the system does not tell.
    """
    waited = 0
    for thread in threads:
        with contextlib.suppress(FileNotFoundError):
            # The second number is in nanoseconds.
            waited += int(Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text().split()[1])
    return waited / 1e9


def until_all_sleep(members: Sequence[threading.Thread]) -> None:
    """As `conftest.until_asleep`, which looks at one after the other and so takes long for many."""
    folders = [Path(f"/proc/self/task/{member.native_id}") for member in members]
    looks, turns = 0, [""]
    while looks < LOOKS:
        time.sleep(0.005)  # whoever waits for the GIL gets it
        states = [(folder / "stat").read_text().rpartition(")")[2].split()[0] for folder in folders]
        # How often the kernel has let each run; nothing where that is not told.
        told = [folder / "schedstat" for folder in folders]
        before, turns = turns, [file.read_text().split()[-1] for file in told if file.exists()]
        looks = looks + 1 if turns == before and set(states) <= {"S"} else 0
