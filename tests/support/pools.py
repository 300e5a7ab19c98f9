"""Pools whose workers are kept busy, and the exceptions with which a pool refuses a call."""

from __future__ import annotations

import threading
from concurrent.futures.thread import BrokenThreadPool
from typing import Any

from tests.support.back_ends import BackEnd
from tests.support.waiting import TIMEOUT_SECONDS

AFTER_SHUTDOWN = (RuntimeError, "cannot schedule new futures after shutdown")
BROKEN = (BrokenThreadPool, "A thread initializer failed, the thread pool is not usable anymore")


class Pools:
    """Makes executors whose workers can be kept busy until the gate opens. The end of a test opens it."""

    def __init__(self, library: BackEnd) -> None:
        self.library, self.gate = library, threading.Event()
        self.made: list[Any] = []

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        self.made.append(self.library.futures.ThreadPoolExecutor(*args, **keywords))
        return self.made[-1]

    def block(self, executor: Any, count: int = 1) -> list[Any]:
        """Submit calls that wait for the gate, and return once all of them wait."""
        begun = threading.Semaphore(0)

        def call() -> bool:
            begun.release()
            return self.gate.wait(TIMEOUT_SECONDS)

        futures = [executor.submit(call) for _ in range(count)]
        assert all(begun.acquire(timeout=TIMEOUT_SECONDS) for _ in range(count))
        return futures
