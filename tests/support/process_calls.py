"""Functions that the tests have called in child processes, which import this module: it imports little."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any


def pid() -> int:
    """Return the number of the process."""
    return os.getpid()


def echo(value: Any) -> Any:
    """Return the argument."""
    return value


def all_arguments(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments."""
    return args, kwargs


def fail() -> None:
    """Raise an error."""
    raise ValueError("a failure")  # the line that a traceback shows


class AwkwardError(Exception):
    """Can be pickled, and not unpickled."""

    def __init__(self, first: object, second: object) -> None:
        super().__init__(first)
        self.second = second


class LocalError(Exception):
    """Can be unpickled in the process that has pickled it."""

    def __reduce__(self) -> Any:
        return _local_error, (os.getpid(),)


def _local_error(pid: int) -> LocalError:
    if os.getpid() != pid:
        raise LookupError("another process")
    return LocalError()


def fail_locally() -> None:
    """Raise an error that no other process can unpickle."""
    raise LocalError


def fail_awkwardly() -> None:
    """Raise an error that cannot be unpickled."""
    raise AwkwardError(1, 2)


def leave() -> None:
    """Raise SystemExit."""
    sys.exit("not so fast")


def local_function() -> Any:
    """Return what pickle cannot pickle."""
    return lambda: "from a lambda"


class LoadsNowhere:
    """Its pickle is an error for whoever loads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("not a number",)


def make_unloadable() -> LoadsNowhere:
    """Return what cannot be unpickled."""
    return LoadsNowhere()


def kill_own_process() -> None:
    """Die."""
    os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)


def die_at_first(path: str) -> int:
    """Die, unless the file says that that has happened. Returns how often."""
    deaths = Path(path).read_text() if Path(path).exists() else ""
    if len(deaths) < 2:
        Path(path).write_text(deaths + "x")
        kill_own_process()
    return len(deaths)


def note_and_raise_death(path: str) -> None:
    """Append a letter to the file, and raise what a death would raise."""
    from oxthreads.processes import WorkerDied  # noqa: PLC0415 - other children do without it

    with Path(path).open("a") as file:
        file.write("x")
    raise WorkerDied("on purpose", None, None)


def begin_and_sleep(path: str, seconds: float = 600) -> None:
    """Write the number of the process into a file, and sleep."""
    part = Path(path + ".part")
    part.write_text(str(os.getpid()))
    part.rename(path)
    time.sleep(seconds)


def compute_for_ever(path: str) -> None:
    """Write the number of the process into a file, and never end."""
    begin_and_sleep(path, 0)
    while True:
        pass


def begun(path: Path) -> int:
    """Wait until `begin_and_sleep` has begun, and return the number of its process."""
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.005)
    return int(path.read_text())


class Buffer:
    """Bytes that are pickled out of band, as an array of NumPy is."""

    def __init__(self, content: Any) -> None:
        self.content = content

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return Buffer, (pickle.PickleBuffer(self.content),)


def add_one(buffers: list[Buffer]) -> list[Buffer]:
    """Change the first byte of each buffer in place."""
    for buffer in buffers:
        view = memoryview(buffer.content)
        view[0] = (view[0] + 1) % 256
    return buffers


kept: list[Any] = []


def keep(value: Any) -> int:
    """Keep the argument. Returns how many are kept."""
    kept.append(value)
    return len(kept)


def first_byte(buffer: Buffer) -> int:
    """Return the first byte of the buffer."""
    return memoryview(buffer.content)[0]


def kept_bytes() -> list[int]:
    """The first byte of each buffer that is kept."""
    return [memoryview(buffer.content)[0] for buffer in kept]


started = "no"


def start_with(value: str) -> None:
    """An initializer."""
    global started  # noqa: PLW0603
    started = value


def start_badly() -> None:
    """An initializer that fails."""
    raise ValueError("no start")


def how_started() -> str:
    """What the initializer has set."""
    return started


def signals_and_threads() -> tuple[bool, int, str]:
    """Whether Ctrl-C does nothing, the number of threads, and the name of the process."""
    import multiprocessing  # noqa: PLC0415

    signal.raise_signal(signal.SIGINT)
    # SIG_IGN would be inherited by programs that a call starts.
    ignores = signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, signal.default_int_handler)
    return ignores, threading.active_count(), multiprocessing.current_process().name


def descriptors() -> int:
    """How many descriptors the process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


class Traced:
    """Is counted while it lives."""

    def __init__(self) -> None:
        living_ones.append(0)

    def __setstate__(self, _: object) -> None:
        living_ones.append(0)

    def __getstate__(self) -> str:
        return "a state"

    def __del__(self) -> None:
        living_ones.pop()


living_ones: list[int] = []


def living() -> int:
    """How many there are."""
    return len(living_ones)


def send_over(end: Any, message: Any) -> None:
    """Send a message by a connection or a socket."""
    end.send(message)
    end.close()


def raise_died(path: str) -> None:
    """Raise what the pool raises when a child dies."""
    from oxthreads.processes import WorkerDied  # noqa: PLC0415

    with Path(path).open("a") as file:
        file.write("x")
    error = WorkerDied("in a pool of the call", 5, -9)
    error.add_note("a note")
    raise error


def wait_and_fail(seconds: float) -> None:
    """An initializer that fails after a while."""
    time.sleep(seconds)
    raise ValueError("no start")


def end_slowly(seconds: float) -> int:
    """Let the process take so long to end. Returns its number."""
    threading.Thread(target=time.sleep, args=(seconds,)).start()
    return os.getpid()


def interrupt_a_program() -> int:
    """Start a program, send it the signal of Ctrl-C, and return how it has ended."""
    import subprocess  # noqa: PLC0415

    program = subprocess.Popen(["sleep", "60"])
    program.send_signal(signal.SIGINT)
    return program.wait()


def make_buffer(number: int) -> Buffer:
    """Return a large buffer."""
    return Buffer(bytearray([number % 256]) * 300_000)


def stop_at(number: int, end: int) -> int:
    """Return the number, or raise StopIteration if it is the end."""
    if number == end:
        raise StopIteration
    return number
