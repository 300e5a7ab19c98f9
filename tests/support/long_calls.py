"""Calls that run for long in child processes, until a file exists."""

from __future__ import annotations

import os
import signal
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


def wait_in_pool(end: str) -> None:
    """Wait in a process of this process."""
    from oxthreads.processes import ProcessPoolExecutor  # noqa: PLC0415

    with ProcessPoolExecutor(1) as pool:
        pool.submit(wait, end)


def wait_without_handlers(end: str) -> None:
    """Wait in a process in which no signal has a handler."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    Path(end + " begun").touch()
    wait(end)


def compute(seconds: float) -> int:
    """Keep a processor busy, in functions that begin and end all the time."""
    end, total = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        total += sum(map(_square, range(100))) + len([_square(each) for each in range(100)])
    return total


def _square(number: int) -> int:
    return number * number


class Tick(Exception):
    """What the handler of a timer raises."""


def _spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def tick(times: int) -> str:
    """Have a timer interrupt this call so often, by an exception. Returns whether each has come."""

    def raise_tick(_: int, __: object) -> None:
        raise Tick

    signal.signal(signal.SIGALRM, raise_tick)
    for _ in range(times):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0005)
            _spin(10)  # CPython 3.13.0 may not catch what is raised at the end of a loop
            return "lost"
        except Tick:
            pass
    return "all"


class Proxy:
    """A function that answers no question, as proxies outside of a request do."""

    def __init__(self, end: str) -> None:
        self._end = end

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(name)

    def __call__(self) -> None:
        wait(self._end)
