"""Calls that run for long in child processes, until a file exists."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path


def wait(end: str) -> None:
    """Return once there is such a file."""
    while not Path(end).exists():
        time.sleep(0.005)


def outer(end: str) -> int:
    """The same, in another function. Returns the number of the process."""
    wait(end)
    return os.getpid()


def deep(depth: int, end: str) -> None:
    """The same, in functions that call themselves so often."""
    if depth:
        deep(depth - 1, end)
    else:
        wait(end)


def receive(begun: str, seconds: float) -> str:
    """Wait for so long in one call of the system, which a signal may interrupt. Returns how that ended."""
    one, other = socket.socketpair()
    with one, other:
        one.settimeout(seconds)
        Path(begun).touch()
        try:
            one.recv(1)
        except OSError as error:
            return type(error).__name__
    return "received"


def initialize(end: str) -> None:
    """An initializer that takes long."""
    wait(end)
