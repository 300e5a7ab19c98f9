"""Other libraries that have some of the same things, as far as they are installed.

Each adaptor gives the peer's own methods the standard names, and puts no call of its own in
between where a scenario measures. What a peer does differently (aiologic's primitives and culsans'
queues serve asyncio tasks as well as threads, gevent's pool is used from one thread only) is its
purpose, and part of its price.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
from collections.abc import Callable
from typing import Any

from .libraries import Library


def aiologic() -> dict[str, Any]:
    """Locks and queues for threads and tasks alike; here their methods for threads."""
    module: Any = importlib.import_module("aiologic")

    def blocking(base: Any) -> Any:
        names = {"acquire": base.green_acquire, "release": base.green_release, "__slots__": ()}
        return type(base.__name__, (base,), names)

    def queue(base: Any) -> Any:
        return type(base.__name__, (base,), {"put": base.green_put, "get": base.green_get, "__slots__": ()})

    return {
        "Lock": blocking(module.Lock),
        "RLock": blocking(module.RLock),
        "Semaphore": blocking(module.Semaphore),
        "Condition": lambda: module.Condition(module.RLock()),
        "Event": module.REvent,  # the one that can be cleared
        "Barrier": module.Barrier,
        "Queue": queue(module.Queue),
        "LifoQueue": queue(module.LifoQueue),
        "PriorityQueue": queue(module.PriorityQueue),
        "SimpleQueue": lambda: _SimpleQueue(module.SimpleQueue()),
    }


class _SimpleQueue:
    """aiologic's, whose ``put`` need not wait and is the same for all."""

    def __init__(self, items: Any) -> None:
        self.put, self.get = items.put, items.green_get


def culsans() -> dict[str, Any]:
    """Queues for threads and tasks alike; here the side that threads use."""
    module: Any = importlib.import_module("culsans")
    return {kind: _sync_side(getattr(module, kind)) for kind in ("Queue", "LifoQueue", "PriorityQueue")}


def janus() -> dict[str, Any]:
    """Queues between threads and tasks; here the threads' side at both ends. From janus 2 on."""
    module: Any = importlib.import_module("janus")
    return {kind: _sync_side(getattr(module, kind)) for kind in ("Queue", "LifoQueue", "PriorityQueue")}


def _sync_side(kind: Any) -> Callable[..., Any]:
    def make(maxsize: int = 0) -> Any:
        # The side holds the queue, and has its put and get.
        return kind(maxsize).sync_q

    return make


def gevent() -> dict[str, Any]:
    """A pool of native threads, which only the thread that has made it may use.

    It is imported when a pool is made, and its hub destroyed with the pool: aiologic's operations take
    up to twice as long in a thread that has a hub.
    """

    def make(workers: int) -> Any:
        return _gevent_pool()(workers)

    return {"ThreadPoolExecutor": make}


@functools.cache
def _gevent_pool() -> Any:
    module: Any = importlib.import_module("gevent.threadpool")
    get_hub: Any = importlib.import_module("gevent").get_hub

    class Pool(module.ThreadPool):  # type: ignore[misc]
        """gevent's pool under the standard names; its results have ``result`` already."""

        submit = module.ThreadPool.spawn

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self.join()
            self.kill()
            get_hub().destroy(destroy_loop=True)

    return Pool


def ft_utils() -> dict[str, Any]:
    """Meta's collection for free-threaded Python: a queue with the standard methods."""
    module: Any = importlib.import_module("ft_utils.concurrency")
    return {"Queue": module.StdConcurrentQueue}


PEERS: dict[str, Callable[[], dict[str, Any]]] = {
    adaptor.__name__: adaptor for adaptor in (aiologic, culsans, janus, gevent, ft_utils)
}


def find() -> tuple[list[Library], dict[str, str]]:
    """The peers that are there, and why each of the others is not."""
    found: list[Library] = []
    missing: dict[str, str] = {}
    for name, adaptor in PEERS.items():
        try:
            found.append(Library(name, importlib.metadata.version(name), adaptor()))
        except importlib.metadata.PackageNotFoundError:
            missing[name] = "not installed"
        except Exception as error:  # whatever is wrong with a peer is no reason to stop
            missing[name] = f"{type(error).__name__}: {error}"
    return found, missing
