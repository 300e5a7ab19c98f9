"""How long a child takes, and how much of that time it only waited for a processor."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path


class Watch:
    """Looks at a process, and at all processes that it starts. Only one thread may use it.

    seconds: the time since the process began.
    kept_waiting: about how many of these seconds a thread was ready to run, but no processor was free. The
        thread may be one of the process, or the one that looks. Zero if the system does not report it. The
        process is not to blame for this time.
    stood_still: the longest time between two looks. If looks are frequent and it is long, nothing ran.
    """

    def __init__(self, pid: int) -> None:
        self.seconds = self.kept_waiting = self.stood_still = 0.0
        self._pid = pid
        self._begin = time.monotonic()
        #: For the folder of each thread, the nanoseconds that the thread had waited at the last look.
        self._waited = _waited(Path(f"/proc/self/task/{threading.get_native_id()}"))

    def look(self) -> None:
        """Bring the numbers up to date. A thread that ends between two looks is not counted fully."""
        seconds = time.monotonic() - self._begin
        waited = {thread: number for pid in self._processes() for thread, number in _threads(pid)}
        # If this thread looks late, it also notices late that the child has ended.
        waited |= _waited(Path(f"/proc/self/task/{threading.get_native_id()}"))
        longer = sum(number - self._waited.get(thread, 0) for thread, number in waited.items())
        self._waited |= waited
        # Threads that wait at the same time delay the process by no more than the time that has passed.
        self.kept_waiting += min(longer / 1e9, seconds - self.seconds)
        self.stood_still = max(self.stood_still, seconds - self.seconds)
        self.seconds = seconds

    def _processes(self) -> Iterator[int]:
        found = [self._pid]
        while found:
            pid = found.pop()
            yield pid
            with contextlib.suppress(OSError):  # the process has ended meanwhile
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    found += map(int, (thread / "children").read_text().split())


def _threads(pid: int) -> Iterator[tuple[Path, int]]:
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            yield from _waited(thread).items()


def _waited(thread: Path) -> dict[Path, int]:
    """The nanoseconds that a thread has waited so far, if the system reports them."""
    try:
        return {thread: int((thread / "schedstat").read_text().split()[1])}
    except OSError:
        return {}
