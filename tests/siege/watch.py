"""How long a child takes, and how much of that it only waited for a processor."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path


class Watch:
    """Looks at a process and at all that it starts, from its beginning on. Only for one thread.

    seconds: since then.
    kept_waiting: for so many of these, about, one of their threads was ready to run while no processor was
        free, or the one that looks; zero where the system does not tell. It is not the child's doing.
    stood_still: the most seconds between two looks. If they are many, where looks are frequent, nothing ran.
    """

    def __init__(self, pid: int) -> None:
        self.seconds = self.kept_waiting = self.stood_still = 0.0
        self._pid = pid
        self._begin = time.monotonic()
        #: By the folder of each thread, how many nanoseconds it had waited at the last look.
        self._waited = _waited(Path(f"/proc/self/task/{threading.get_native_id()}"))

    def look(self) -> None:
        """Bring the numbers up to date. The more often, the less escapes of threads that end."""
        seconds = time.monotonic() - self._begin
        waited = {thread: number for pid in self._processes() for thread, number in _threads(pid)}
        # Whoever looks late sees late that the child has ended.
        waited |= _waited(Path(f"/proc/self/task/{threading.get_native_id()}"))
        longer = sum(number - self._waited.get(thread, 0) for thread, number in waited.items())
        self._waited |= waited
        # Threads that wait side by side hold up nothing for longer than the time that has passed.
        self.kept_waiting += min(longer / 1e9, seconds - self.seconds)
        self.stood_still = max(self.stood_still, seconds - self.seconds)
        self.seconds = seconds

    def _processes(self) -> Iterator[int]:
        found = [self._pid]
        while found:
            pid = found.pop()
            yield pid
            with contextlib.suppress(OSError):  # it has ended meanwhile
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    found += map(int, (thread / "children").read_text().split())


def _threads(pid: int) -> Iterator[tuple[Path, int]]:
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            yield from _waited(thread).items()


def _waited(thread: Path) -> dict[Path, int]:
    """The nanoseconds for which it has waited so far, if that is told."""
    try:
        return {thread: int((thread / "schedstat").read_text().split()[1])}
    except OSError:
        return {}
