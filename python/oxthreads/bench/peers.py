"""Other libraries with similar classes, if they are installed.

Each adaptor makes the methods of a peer available under the standard names. It adds no calls of its own to
what a scenario measures, except that of trio, whose threads have no methods, and those of groups of tasks.
Peers have other purposes, and these have a cost: the primitives of aiologic and the queues of culsans serve
asyncio tasks as well as threads. gevent's pool is for one thread only.
"""

from __future__ import annotations

import _thread
import functools
import importlib
import importlib.metadata
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import process_pools
from .libraries import Library


def aiologic() -> dict[str, Any]:
    """Return aiologic: locks and queues for threads and for tasks. Only the methods for threads are used."""
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
        "MixedQueue": lambda: _MixedQueue(module.Queue()),
        "AsyncLock": module.Lock,
    }


class _MixedQueue:
    """A queue of aiologic, for threads and coroutines."""

    def __init__(self, items: Any) -> None:
        self.put, self.get = items.green_put, items.green_get
        self.async_put, self.async_get = items.async_put, items.async_get


class _TwoSides:
    """A queue of janus or culsans, for threads and coroutines."""

    def __init__(self, items: Any) -> None:
        self.put, self.get = items.sync_q.put, items.sync_q.get
        self.async_put, self.async_get = items.async_q.put, items.async_q.get


class _SimpleQueue:
    """The SimpleQueue of aiologic. Its ``put`` never waits, so it is the same for threads and tasks."""

    def __init__(self, items: Any) -> None:
        self.put, self.get = items.put, items.green_get


def culsans() -> dict[str, Any]:
    """Return culsans: queues for threads and for tasks. Mostly only the side for threads is used."""
    return _two_sided("culsans")


def janus() -> dict[str, Any]:
    """Return janus (from version 2): queues between threads and tasks. As culsans."""
    return _two_sided("janus")


def _two_sided(name: str) -> dict[str, Any]:
    module: Any = importlib.import_module(name)
    kinds = {kind: _sync_side(getattr(module, kind)) for kind in ("Queue", "LifoQueue", "PriorityQueue")}
    return {**kinds, "MixedQueue": lambda: _TwoSides(module.Queue())}


def _sync_side(kind: Any) -> Callable[..., Any]:
    def make(maxsize: int = 0) -> Any:
        # This side has the methods `put` and `get`, and keeps the queue alive.
        return kind(maxsize).sync_q

    return make


def gevent() -> dict[str, Any]:
    """Return gevent: a pool of native threads, which only the thread that created it may use.

    gevent is imported when a pool is created, and its hub is destroyed with the pool, because aiologic's
    operations take up to twice as long in a thread that has a hub.
    """

    def make(workers: int) -> Any:
        return _gevent_pool()(workers)

    return {"ThreadPoolExecutor": make}


@functools.cache
def _gevent_pool() -> Any:
    module: Any = importlib.import_module("gevent.threadpool")
    get_hub: Any = importlib.import_module("gevent").get_hub

    class Pool(module.ThreadPool):  # type: ignore[misc]
        """The pool of gevent under the standard names."""

        # Its results already have a method `result`.
        submit = module.ThreadPool.spawn

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self.join()
            self.kill()
            get_hub().destroy(destroy_loop=True)

    return Pool


def ft_utils() -> dict[str, Any]:
    """Return ft_utils, Meta's library for free-threaded Python: a queue, and a lock that readers share."""
    module: Any = importlib.import_module("ft_utils.concurrency")
    synchronization: Any = importlib.import_module("ft_utils.synchronization")

    class RWLock:
        """Its context managers are classes, not methods."""

        def __init__(self) -> None:
            lock = synchronization.RWLock()
            self.read = functools.partial(synchronization.RWReadContext, lock)
            self.write = functools.partial(synchronization.RWWriteContext, lock)

    return {"Queue": module.StdConcurrentQueue, "RWLock": RWLock, "SharedRWLock": RWLock}


def fasteners() -> dict[str, Any]:
    """Return fasteners: a lock for readers and writers, made of a condition."""
    base: Any = importlib.import_module("fasteners").ReaderWriterLock
    lock = type("RWLock", (base,), {"read": base.read_lock, "write": base.write_lock})
    return {"RWLock": lock, "SharedRWLock": lock}


def readerwriterlock() -> dict[str, Any]:
    """Return readerwriterlock: its fair lock, which serves readers and writers in their order."""
    base: Any = importlib.import_module("readerwriterlock.rwlock").RWLockFair
    lock = type("RWLock", (base,), {"read": base.gen_rlock, "write": base.gen_wlock})
    return {"RWLock": lock, "SharedRWLock": lock}


def filelock() -> dict[str, Any]:
    """Return filelock: its lock for readers and writers of several processes, a file of SQLite."""
    base: Any = importlib.import_module("filelock").ReadWriteLock

    class RWLock:
        """A lock with a file of its own."""

        def __init__(self) -> None:
            self.folder = tempfile.TemporaryDirectory()
            self.lock = base(Path(self.folder.name) / "lock.db")
            self.read, self.write = self.lock.read_lock, self.lock.write_lock

        def close(self) -> None:
            self.lock.close()
            self.folder.cleanup()

    return {"RWLock": RWLock}


def trio() -> dict[str, Any]:
    """Return trio: its operating system threads, which are used again, so they cost less than other ones.

    There is no object to join such a thread by; the adaptor uses a lock for that. And its groups of tasks,
    which call functions in these threads.
    """
    start_thread: Any = importlib.import_module("trio.lowlevel").start_thread_soon
    module: Any = importlib.import_module("trio")

    class Thread:
        """A function that runs in a thread of trio's."""

        def __init__(self, target: Callable[[], object]) -> None:
            self.target, self.has_ended = target, _thread.allocate_lock()

        def start(self) -> None:
            self.has_ended.acquire()
            start_thread(self.target, self.deliver)

        def deliver(self, _result: object) -> None:
            self.has_ended.release()

        def join(self) -> None:
            with self.has_ended:
                pass

    return {"Thread": Thread, **_tasks(module, module.open_nursery, module.run)}


def anyio() -> dict[str, Any]:
    """Return anyio on asyncio: groups of tasks that call functions in threads."""
    module: Any = importlib.import_module("anyio")
    return _tasks(module, module.create_task_group, module.run)


def _tasks(module: Any, open_group: Callable[[], Any], run: Callable[..., Any]) -> dict[str, Any]:
    """What trio and anyio have in common."""
    to_thread: Any = importlib.import_module(f"{module.__name__}.to_thread")
    from_thread: Any = importlib.import_module(f"{module.__name__}.from_thread")

    def call_in_tasks(groups: int, calls: int, workers: int) -> None:
        """Call a function in threads, from groups of tasks."""

        async def main() -> None:
            call = functools.partial(to_thread.run_sync, abs, -1, limiter=module.CapacityLimiter(workers))
            for _ in range(groups):
                async with open_group() as group:
                    for _ in range(calls):
                        group.start_soon(call)

        run(main)

    def cancel_tasks(calls: int, pause: float) -> int:
        """Cancel calls in threads that wait. Returns how many nanoseconds it takes until they have ended.

        Only a wait in the event loop can be cancelled, so each thread has it wait.
        """
        begun: list[None] = []

        def wait() -> None:
            begun.append(None)
            from_thread.run(module.sleep_forever)

        async def main() -> int:
            call = functools.partial(to_thread.run_sync, wait, limiter=module.CapacityLimiter(calls))
            async with open_group() as group:
                for _ in range(calls):
                    group.start_soon(call)
                while len(begun) < calls:
                    await module.sleep(0.001)
                await module.sleep(pause)
                begin = time.perf_counter_ns()
                group.cancel_scope.cancel()
            return time.perf_counter_ns() - begin

        elapsed: int = run(main)
        return elapsed

    return {"call_in_tasks": call_in_tasks, "cancel_tasks": cancel_tasks}


PEERS: dict[str, Callable[[], dict[str, Any]]] = {
    adaptor.__name__: adaptor
    for adaptor in (
        aiologic,
        culsans,
        janus,
        gevent,
        ft_utils,
        trio,
        anyio,
        fasteners,
        readerwriterlock,
        filelock,
    )
} | {name: functools.partial(process_pools.members, name) for name in process_pools.MAKERS}


def find() -> tuple[list[Library], dict[str, str]]:
    """Find the peers that are installed.

    Returns:
        The peers that can be imported, and for the names of the others the reason why they cannot.
    """
    found: list[Library] = []
    missing: dict[str, str] = {}
    for name, adaptor in PEERS.items():
        try:
            found.append(Library(name, importlib.metadata.version(name), adaptor()))
        except importlib.metadata.PackageNotFoundError:
            missing[name] = "not installed"
        except Exception as error:  # a broken peer must not stop the benchmark
            missing[name] = f"{type(error).__name__}: {error}"
    return found, missing
