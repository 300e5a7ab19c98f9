"""Describes the machine and the interpreter, and measures how much other processes use the CPUs."""

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
    """Measures which share of the CPUs other processes use (Linux only).

    Other processes are all except this one and its children. The share is computed from the time in which
    the CPUs were busy, as the kernel counts it, minus the CPU time of this process and of its children that
    have ended.
    """

    def __init__(self) -> None:
        self._begin = self._now()

    def share(self) -> float | None:
        """Return the share of all CPUs since the meter was made, from 0 to 1. None if it is unknown."""
        end = self._now()
        if self._begin is None or end is None:
            return None
        elapsed, busy, own = (after - before for before, after in zip(self._begin, end, strict=True))
        whole = elapsed * (os.cpu_count() or 1)
        return min(1.0, max(0.0, (busy - own) / whole)) if whole else 0.0

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        """Return three times in seconds: the clock, all CPUs, this process and its children."""
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
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def limited_to(cpus: int | None) -> Iterator[None]:
    """Context manager: this thread, and the threads and processes that it starts, use only some CPUs.

    Args:
        cpus: the number of CPUs. None: no limit.

    Raises:
        ValueError: if there are fewer CPUs than that, or if the system cannot limit them.
    """
    if cpus is None:
        yield
        return
    if not hasattr(os, "sched_setaffinity"):
        raise ValueError("this system does not let a process choose its CPUs")
    usable = os.sched_getaffinity(0)
    if cpus > len(usable):
        raise ValueError(f"{cpus} CPUs are not available: {counted(len(usable), 'CPU')} may be used here")
    os.sched_setaffinity(0, sorted(usable)[:cpus])
    try:
        yield
    finally:
        os.sched_setaffinity(0, usable)


def is_free_threaded() -> bool:
    """Return whether this interpreter runs without a GIL."""
    enabled = getattr(sys, "_is_gil_enabled", None)
    return enabled is not None and not enabled()


def title() -> str:
    """Return a line that says what was measured, and on which machine."""
    implementation = f"{platform.python_implementation()} {platform.python_version()}"
    build = ", free-threaded" if is_free_threaded() else ""
    machine = f"{platform.system()} {platform.machine()}, {counted(usable_cpus(), 'CPU')}"
    return f"oxthreads {__version__} on {implementation}{build}, {machine}"


def document() -> dict[str, Any]:
    """Return the machine and the interpreter, for JSON."""
    return {
        "implementation": platform.python_implementation(),
        "python": platform.python_version(),
        "build": list(platform.python_build()),
        "compiler": platform.python_compiler(),
        "free_threaded": is_free_threaded(),
        "free_threaded_build": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "optimized_build": "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS")),
        "executable": sys.executable,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "usable_cpus": usable_cpus(),
        "switch_interval_seconds": sys.getswitchinterval(),
    }
