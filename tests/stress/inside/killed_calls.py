"""What the calls do whose processes are killed. It imports little: each process imports it."""

from __future__ import annotations

import os
import signal
import time


def begin() -> None:
    """An initializer."""


def double(number: int) -> int:
    return 2 * number


def length(data: bytearray) -> int:
    """A large argument."""
    return len(data)


def zeros(size: int) -> bytearray:
    """A large result."""
    return bytearray(size)


def later(number: int) -> int:
    time.sleep(0.005)
    return number


def refuse(number: int) -> None:
    raise LookupError(number)


def end(number: int) -> None:
    """End this process."""
    os._exit(number % 100)


def die(number: int) -> None:
    """Have this process killed, as by the system."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(number + 1)


class KillsItsReader:
    """It kills the process that unpickles it."""

    def __reduce__(self) -> tuple[object, ...]:
        return die, (0,)


class KillsItsWriter:
    """It kills the process that pickles it."""

    def __reduce__(self) -> tuple[object, ...]:
        die(0)
        return (int,)


def result_that_kills(_: int) -> object:
    return KillsItsWriter()
