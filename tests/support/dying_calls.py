"""Functions that tests have called in child processes, and by which those die."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any


def pid() -> int:
    """Return the number of the process."""
    return os.getpid()


def die_by(number: int) -> None:
    """Have this process killed by the signal."""
    os.kill(os.getpid(), number)
    threading.Event().wait()


def leave_at_once(code: int) -> None:
    """End the process without anything that Python does then."""
    os._exit(code)


def leave(code: int) -> None:
    """Raise SystemExit."""
    sys.exit(code)


class DiesAtLoad:
    """Kills the process that unpickles it."""

    def __init__(self, beside: Any = None) -> None:
        self.beside = beside

    def __reduce__(self) -> tuple[Any, ...]:
        return _die_with, (self.beside,)


def _die_with(_: Any) -> None:
    die_by(signal.SIGKILL)


class DiesAtDump:
    """Kills the process that pickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        die_by(signal.SIGKILL)
        return (int,)


def result_that_kills(size: int) -> Any:
    """Return so many bytes, and what kills this process when they have been pickled."""
    return bytearray(size), DiesAtDump()


def length(data: Any) -> int:
    """Return the length."""
    return len(data)


def text(size: int) -> str:
    """Return a string of so many characters, which pickle copies."""
    return "x" * size


def limit_memory(more: int) -> None:
    """An initializer: this process may have only so many more bytes than it has now."""
    import resource  # noqa: PLC0415

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def start_another_program(token: str) -> None:
    """Start a program that inherits what it can and outlives this process, and end this process."""
    code = "import time; time.sleep(600)"
    os.posix_spawn(sys.executable, [sys.executable, "-c", code, token], os.environ)
    os._exit(7)


def tell(folder: str) -> None:
    """Write the number of this process into the folder."""
    path = Path(folder, f"{os.getpid()}.new")
    path.touch()
    path.rename(Path(folder, str(os.getpid())))


def loop(folder: str) -> None:
    """Run for ever in Python."""
    tell(folder)
    while True:
        pass


def power(folder: str) -> None:
    """Run for hours in C code that keeps the GIL."""
    tell(folder)
    3 ** (10**10)


def short(folder: str) -> None:
    """Run for a while."""
    tell(folder)
    time.sleep(0.3)


def nest(folder: str, method: str) -> None:
    """Have a pool here whose process runs for ever."""
    from oxthreads.processes import ProcessPoolExecutor  # noqa: PLC0415

    with ProcessPoolExecutor(1, method) as pool:  # type: ignore[arg-type]
        future = pool.submit(loop, folder)
        tell(folder)
        future.result()
