"""What a scenario is run on: a library, as the names that it offers.

The standard library stands beside oxthreads in one process, which nothing may have patched; and
the threads that drive a scenario are the standard library's for all of them.
"""

from __future__ import annotations

import concurrent.futures
import platform
import queue
import threading
from dataclasses import dataclass
from typing import Any

import oxthreads
import oxthreads.concurrent.futures
import oxthreads.queue
import oxthreads.threading
from oxthreads import patch

LOCKS = ("Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier", "Thread")
QUEUES = ("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue")
FUTURES = ("Future", "ThreadPoolExecutor", "as_completed", "wait")


@dataclass(frozen=True)
class Library:
    """A contender. ``library.Lock`` is its lock, if it has one that works like ``threading.Lock``."""

    name: str
    version: str
    members: dict[str, Any]

    def has(self, *names: str) -> bool:
        """Whether it offers all these names."""
        return all(name in self.members for name in names)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.members[name]
        except KeyError:
            raise AttributeError(f"{self.name} has no {name}") from None


def standard() -> Library:
    """``threading``, ``queue`` and ``concurrent.futures``."""
    return _library("standard", platform.python_version(), threading, queue, concurrent.futures)


def ours() -> Library:
    """Their mirrors in this package."""
    modules = oxthreads.threading, oxthreads.queue, oxthreads.concurrent.futures
    return _library("oxthreads", oxthreads.__version__, *modules)


def _library(name: str, version: str, threads: Any, queues: Any, futures: Any) -> Library:
    modules = ((threads, LOCKS), (queues, QUEUES), (futures, FUTURES))
    members = {member: getattr(module, member) for module, names in modules for member in names}
    return Library(name, version, members)


def replaced_names() -> list[str]:
    """The standard names that stand for ours in this process; none, unless the patch is installed."""
    names = patch.status(fresh=True)["names"]
    return [f"{entry['module']}.{entry['name']}" for entry in names if entry["state"] == "active"]
