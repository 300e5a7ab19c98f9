"""What tests call in a cluster."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from tests.support.waiting import TIMEOUT_SECONDS


def square(number: int) -> int:
    return number * number


def draw() -> float:
    return random.random()


def fail(text: str) -> None:
    raise LookupError(text)


def wait_for_file(name: str) -> str:
    """Return once the file is there; or fail, so that a test that fails does not keep the worker for good."""
    path, end = Path(name), time.monotonic() + TIMEOUT_SECONDS
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(name)
        time.sleep(0.005)
    return path.name


def tell_pid_and_wait(told: str, go: str) -> int:
    """Write the number of this process to a file, and return it once another file is there."""
    with Path(told).open("a") as file:
        file.write(f"{os.getpid()}\n")
    wait_for_file(go)
    return os.getpid()


def die(_: object = None) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def note(name: str, line: str) -> None:
    """Append a line to a file."""
    with Path(name).open("a") as file:
        file.write(f"{line}\n")


def fail_at_first(name: str) -> str:
    """Raise when called for the first time."""
    path = Path(name)
    if not path.exists():
        path.touch()
        raise LookupError("the first time")
    return "the second time"


def make_a_generator() -> object:
    """Return what cannot be pickled."""
    return (number for number in range(3))
