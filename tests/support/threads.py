"""Threads that do one thing, and its result."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.waiting import TIMEOUT_SECONDS


def start(target: Callable[..., object], *args: object, daemon: bool = True) -> threading.Thread:
    """Start a thread."""
    thread = threading.Thread(target=target, args=args, daemon=daemon)
    thread.start()
    return thread


def functions_here() -> list[str]:
    """The functions that the caller is in, the innermost first.

    Without those of `oxthreads.diagnose`: after the first watch or profile of a process, which may have been
    that of an earlier test, each thread runs in one.
    """
    names, frame = [], inspect.currentframe()
    while frame is not None and (frame := frame.f_back) is not None:
        if "diagnose" not in Path(frame.f_code.co_filename).parts:
            names.append(frame.f_code.co_name)
    return names


class Result:
    """Calls a function in a new thread, and keeps its result."""

    def __init__(self, function: Callable[..., Any], *args: Any, **keywords: Any) -> None:
        self.value: Any = None
        self.error: BaseException | None = None

        def run() -> None:
            try:
                self.value = function(*args, **keywords)
            except BaseException as error:
                self.error = error

        self.thread = start(run)

    def get(self) -> Any:
        """Wait for the result and return it, or raise what the function raised."""
        self.thread.join(TIMEOUT_SECONDS)
        assert not self.thread.is_alive(), "the thread hangs"
        if self.error is not None:
            raise self.error
        return self.value
