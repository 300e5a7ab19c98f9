"""What other programs take from the time of this one."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path


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
