"""What other programs take from the time of this one."""

from __future__ import annotations

from pathlib import Path


def kept_waiting() -> float:
    """Seconds for which the threads that are alive have been ready to run while no processor was free.

    Not what a wait is to blame for. Zero where the system does not tell.
    """
    # The second number of each line is in nanoseconds.
    lines = (file.read_text().split() for file in Path("/proc/self/task").glob("*/schedstat"))
    return sum(int(numbers[1]) for numbers in lines) / 1e9
