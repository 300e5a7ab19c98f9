"""What tests do in the event loop of a client."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from tests.support.waiting import TIMEOUT_SECONDS


class LoopHeld:
    """The event loop of a client does nothing inside of the block: nothing is handed over."""

    def __init__(self, client: Any) -> None:
        self._begun, self._go = threading.Event(), threading.Event()
        self._client = client

    def _hold(self) -> None:
        self._begun.set()
        self._go.wait(TIMEOUT_SECONDS)

    def __enter__(self) -> None:
        self._client.loop.add_callback(self._hold)
        assert self._begun.wait(TIMEOUT_SECONDS)

    def __exit__(self, *_: object) -> None:
        self._go.set()


def error_in_loop(client: Any, function: Callable[..., Any], *args: Any) -> Exception | None:
    """Call it in the event loop of the client, and return what it raises."""
    errors: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def call() -> None:
        try:
            function(*args)
        except Exception as error:
            errors.put(error)
        else:
            errors.put(None)

    client.loop.add_callback(call)
    return errors.get(timeout=TIMEOUT_SECONDS)
