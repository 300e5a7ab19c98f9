"""What is measured on: the machine, the interpreter, and whether others use the CPUs meanwhile."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oxthreads import __version__
from oxthreads.comparison.report import counted


class OthersMeter:
    """Tells how much of the CPUs is used by anything but this process and its children.

    The first clock is the kernel's count of time in which the CPUs were busy, the second that of this
    process, with its children that have ended. Linux only.
    """

    def __init__(self) -> None:
        self._begin = self._now()

    def share(self) -> float | None:
        """Of all CPUs, since the meter was made: from 0 to 1. None where the system does not tell."""
        end = self._now()
        if self._begin is None or end is None:
            return None
        elapsed, busy, own = (after - before for before, after in zip(self._begin, end, strict=True))
        whole = elapsed * (os.cpu_count() or 1)
        return min(1.0, max(0.0, (busy - own) / whole)) if whole else 0.0

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        """Seconds: of the clock, of all CPUs, of this process and its children."""
        if not sys.platform.startswith("linux"):
            return None
        try:
            with Path("/proc/stat").open() as stat:
                user, nice, system, _, _, interrupts, soft_interrupts, stolen = map(
                    int, stat.readline().split()[1:9]
                )
        except (OSError, ValueError):
            return None
        busy = user + nice + system + interrupts + soft_interrupts + stolen
        return time.monotonic(), busy / os.sysconf("SC_CLK_TCK"), sum(os.times()[:4])


def usable_cpus() -> int:
    """The CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def limited_to(cpus: int | None) -> Iterator[None]:
    """Have this thread, and what it starts, use so many CPUs only, for the time of a block.

    Raises ValueError if there are not so many, and if this system cannot do it.
    """
    if cpus is None:
        yield
        return
    if not hasattr(os, "sched_setaffinity"):
        raise ValueError("this system does not let a process choose its CPUs")
    usable = os.sched_getaffinity(0)
    if cpus > len(usable):
        raise ValueError(f"{cpus} CPUs are not to be had: {counted(len(usable), 'CPU')} may be used here")
    os.sched_setaffinity(0, sorted(usable)[:cpus])
    try:
        yield
    finally:
        os.sched_setaffinity(0, usable)


def is_free_threaded() -> bool:
    """Whether this interpreter runs without the global lock."""
    enabled = getattr(sys, "_is_gil_enabled", None)
    return enabled is not None and not enabled()


def title() -> str:
    """What was measured, and where."""
    implementation = f"{platform.python_implementation()} {platform.python_version()}"
    build = ", free-threaded" if is_free_threaded() else ""
    machine = f"{platform.system()} {platform.machine()}, {counted(usable_cpus(), 'CPU')}"
    return f"oxthreads {__version__} on {implementation}{build}, {machine}"


def document() -> dict[str, Any]:
    """The machine and the interpreter, for JSON."""
    return {
        "implementation": platform.python_implementation(),
        "python": platform.python_version(),
        "build": list(platform.python_build()),
        "compiler": platform.python_compiler(),
        "free_threaded": is_free_threaded(),
        "free_threaded_build": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "executable": sys.executable,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "usable_cpus": usable_cpus(),
        "switch_interval_seconds": sys.getswitchinterval(),
    }
