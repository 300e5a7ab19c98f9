"""A signal that the main thread gets while it sleeps, and its handler."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

from tests.support.threads import start
from tests.support.waiting import until_asleep


class Interrupt(BaseException):
    """Raised by the handler."""


@contextlib.contextmanager
def handler(action: Callable[[], object]) -> Iterator[None]:
    """Run ``action`` in the main thread when SIGUSR1 arrives."""
    before = signal.signal(signal.SIGUSR1, lambda *_: action())
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def signal_once_asleep() -> threading.Thread:
    """Send a signal to this process as soon as its main thread sleeps."""

    def send() -> None:
        until_asleep(threading.main_thread())
        os.kill(os.getpid(), signal.SIGUSR1)

    return start(send)


def fail() -> None:
    raise Interrupt
