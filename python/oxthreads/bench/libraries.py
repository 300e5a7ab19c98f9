"""The libraries on which scenarios run. Each is a table of the classes and functions that it provides.

The standard library and oxthreads are measured in one process, so the patch must not be installed in it.
The threads that run a scenario are those of the standard library, for all libraries.
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

from . import process_pools
from .mixed_queues import OurMixedQueue, StandardMixedQueue, our_async_lock, standard_async_lock

LOCKS = ("Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier", "Thread")
QUEUES = ("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue")
FUTURES = ("Future", "ThreadPoolExecutor", "as_completed", "wait")


@dataclass(frozen=True)
class Library:
    """A library to measure. Its members are attributes, under the names of the standard library.

    For example, ``library.Lock`` is its equivalent of ``threading.Lock``. If it has none, this raises
    AttributeError.
    """

    name: str
    version: str
    members: dict[str, Any]

    def has(self, *names: str) -> bool:
        """Return whether the library provides all these names."""
        return all(name in self.members for name in names)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.members[name]
        except KeyError:
            raise AttributeError(f"{self.name} has no {name}") from None


def standard() -> Library:
    """Return the standard library: ``threading``, ``queue`` and ``concurrent.futures``."""
    library = _library("standard", platform.python_version(), threading, queue, concurrent.futures)
    library.members.update(
        MixedQueue=StandardMixedQueue, AsyncLock=standard_async_lock, ProcessPool=process_pools.standard
    )
    return library


def ours() -> Library:
    """Return oxthreads: the modules that mirror the standard ones."""
    modules = oxthreads.threading, oxthreads.queue, oxthreads.concurrent.futures
    library = _library("oxthreads", oxthreads.__version__, *modules)
    library.members.update(MixedQueue=OurMixedQueue, AsyncLock=our_async_lock, ProcessPool=process_pools.ours)
    return library


def _library(name: str, version: str, threads: Any, queues: Any, futures: Any) -> Library:
    modules = ((threads, LOCKS), (queues, QUEUES), (futures, FUTURES))
    members = {member: getattr(module, member) for module, names in modules for member in names}
    return Library(name, version, members)


def replaced_names() -> list[str]:
    """Return the standard names that the patch has replaced in this process."""
    names = patch.status(fresh=True)["names"]
    return [f"{entry['module']}.{entry['name']}" for entry in names if entry["state"] == "active"]
