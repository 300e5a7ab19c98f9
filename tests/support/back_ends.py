"""The two libraries, so that a test can run on both: oxthreads and the standard library."""

from __future__ import annotations

import concurrent.futures
import queue
import threading
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import oxthreads.concurrent.futures
import oxthreads.queue
import oxthreads.threading


@dataclass(frozen=True)
class BackEnd:
    """One of the two libraries, with its three modules."""

    name: str
    threading: Any
    queue: Any
    futures: Any

    def __repr__(self) -> str:
        return self.name


def _standard_futures() -> ModuleType:
    return concurrent.futures


STANDARD = BackEnd("standard", threading, queue, _standard_futures())
OXTHREADS = BackEnd("oxthreads", oxthreads.threading, oxthreads.queue, oxthreads.concurrent.futures)
