"""Memory: the methods that programs call often must not leave any memory behind.

``python -m tests.stress.inside.memory OPERATION COUNT`` compares the memory in use before and after.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from oxthreads import queue as queues
from oxthreads import threading as threads
from oxthreads.concurrent import futures
from tests.stress.inside.turns import in_turns

#: How many bytes, and how many of Python's blocks, the memory in use may grow, for any number of operations.
SLACK, BLOCK_SLACK = 32 * 1024, 1000
#: How many bytes the resident memory may grow.
RESIDENT_SLACK = 8 * 1024 * 1024


class _Mallinfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in [
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        ]
    ]


def in_use() -> int | None:
    """Bytes that the C library has allocated, without Python's arenas; None if it does not report them."""
    function = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if function is None:
        return None
    function.restype = _Mallinfo
    return int(function().uordblks)


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _until_threads_have_ended() -> None:
    """Return when the number of threads has stayed the same for a while.

    The threads of a pool that is dropped end by themselves, and have memory until then.
    """
    tasks = Path("/proc/self/task")
    counts: list[int] = []
    while tasks.is_dir() and not (len(counts) >= 5 and len(set(counts[-5:])) == 1):
        counts.append(len(list(tasks.iterdir())))
        time.sleep(0.02)


def growth(operation: Callable[[], object], operations: int) -> tuple[int, int, int]:
    """By how much the memory in use, Python's blocks and the resident memory grow during the operations."""

    def look() -> tuple[int, int, int]:
        _until_threads_have_ended()
        gc.collect()
        return in_use() or 0, sys.getallocatedblocks(), resident()

    for _ in range(max(1000, operations // 10)):
        operation()
    before = look()
    for _ in range(operations):
        operation()
    return tuple(after - earlier for earlier, after in zip(before, look(), strict=True))  # type: ignore[return-value]


def _refused(error: type[BaseException], function: Callable[..., object], *arguments: Any) -> None:
    try:
        function(*arguments)
    except error:
        return
    finally:
        # Otherwise a future whose result raises would be in a cycle with the traceback of the exception.
        del function, arguments
    raise AssertionError("not refused")


def repetitions(count: int, cost: int) -> int:
    """How often an operation is done. `cost` is its time, as a multiple of the shortest operation's time."""
    return max(count // cost, 2500)


def operations_of(pool: Any) -> dict[str, tuple[Callable[[Any], object], int]]:  # noqa: PLR0915
    """The operations by name: what each does with an item, and its cost.

    The cost is roughly its time, as a multiple of the shortest operation's time. A sleep takes about fifty
    microseconds, whatever its timeout.
    """
    lock, rlock, event, semaphore = threads.Lock(), threads.RLock(), threads.Event(), threads.Semaphore(2)
    condition, barrier = threads.Condition(), threads.Barrier(1)
    bounded, lonely = threads.BoundedSemaphore(1), threads.Barrier(2)
    started_with = {semaphore: 2, bounded: 1}
    ours: dict[str, Any] = {name: getattr(queues, name)() for name in ("Queue", "LifoQueue", "SimpleQueue")}
    full: Any = queues.Queue(1)
    heap: Any = queues.PriorityQueue()
    failed: Any = futures.Future()
    # A pool with one worker, which accepts one more call than it has workers.
    crowded = futures.ThreadPoolExecutor(1, max_pending=1)
    full.put(None)
    failed.set_exception(ValueError())
    own_number = iter(range(2**62))
    # Number objects that are not constants: constants in the code are immortal in some versions.
    soon, a_second, fraction = float("1e-9"), float("1.5"), Fraction(1, 10**9)

    def in_section(held: Any) -> Callable[[Any], object]:
        def section(_: Any) -> None:
            with held:
                pass

        return section

    def taken_and_released(_: Any) -> None:
        lock.acquire(True, a_second)
        lock.acquire(False)
        lock.acquire(timeout=soon)
        lock.release()

    def nothing() -> bool:
        return False

    def recursion(_: Any) -> None:
        rlock.acquire()
        rlock.acquire(blocking=False)
        rlock._acquire_restore(rlock._release_save())
        rlock.release()
        rlock.release()

    def notified(_: Any) -> None:
        with condition:
            condition.notify()
            condition.notify_all()
            condition.wait(soon)
            condition.wait_for(nothing, soon)

    def set_and_cleared(_: Any) -> None:
        event.set()
        event.wait()
        event.wait(a_second)
        event.clear()
        event.wait(soon)

    def permits(semaphore: Any) -> Callable[[Any], object]:
        def taken(_: Any) -> None:
            semaphore.acquire(timeout=a_second)
            while semaphore.acquire(False):
                pass
            semaphore.acquire(True, soon)
            for _ in range(started_with[semaphore]):
                semaphore.release()

        return taken

    def met_and_broken(_: Any) -> None:
        barrier.wait(a_second)
        lonely.reset()
        _refused(threads.BrokenBarrierError, lonely.wait, soon)

    def in_and_out(queue: Any) -> Callable[[Any], object]:
        def through(item: Any) -> None:
            queue.put(item)
            queue.put_nowait(item)
            queue.put(item, True, a_second)
            queue.get()
            queue.get_nowait()
            queue.get(True, timeout=a_second)
            _refused(queues.Empty, queue.get_nowait)

        return through

    def timed_out(queue: Any) -> Callable[[Any], object]:
        return lambda item: _refused(queues.Empty, queue.get, True, soon)

    def in_batches(queue: Any) -> Callable[[Any], object]:
        def through(item: Any) -> None:
            queue.put_many([item, item, item])
            queue.put_many(iter((item,)))
            queue.get_many(2)
            queue.get_many()
            _refused(queues.Empty, queue.get_many, 1, False)

        return through

    def refused_batch(item: Any) -> None:
        _refused(queues.Full, full.put_many, [item, item], False)
        _refused(queues.Full, full.put, item, True, soon)
        _refused(queues.Full, full.put, item, True, fraction)

    def by_order(item: Any) -> None:
        heap.put((next(own_number), item))
        heap.put((next(own_number), item))
        heap.get()
        heap.get()

    def made(make: Callable[[], Any]) -> Callable[[Any], object]:
        return lambda item: make()

    def filled_and_dropped(item: Any) -> None:
        queue: Any = queues.Queue()
        queue.put(item)
        queue.put_many([item, item])
        queue.shutdown()
        _refused(queues.ShutDown, queue.put, item)
        for _ in queue.iterate():
            pass

    def fallen_back(item: Any) -> None:
        queue: Any = queues.Queue()
        queue.put(item)
        assert queue.mutex
        queue.put(item)
        queue.get()

    def settled(item: Any) -> None:
        future: Any = futures.Future()
        future.add_done_callback(item.__class__)
        future.set_running_or_notify_cancel()
        future.set_result(item)
        future.result()
        future.add_done_callback(item.__class__)
        _refused(Exception, future.set_result, item)

    def failed_and_read(item: Any) -> None:
        future: Any = futures.Future()
        future.set_exception(ValueError(item))
        _refused(ValueError, future.result)
        future.exception()

    def cancelled(item: Any) -> None:
        future: Any = futures.Future()
        future.add_done_callback(item.__class__)
        future.cancel()
        _refused(BaseException, future.result)

    def waited_for(item: Any) -> None:
        several: list[Any] = [futures.Future() for _ in range(3)]
        futures.wait(several, 0)
        several[0].set_result(item)
        futures.wait(several, return_when="FIRST_COMPLETED")
        for _ in futures.as_completed(several[:1]):
            pass
        next(futures.as_completed(several))
        _refused(TimeoutError, several[1].result, soon)
        _refused(TimeoutError, several[1].exception, soon)
        futures.wait(several, soon)
        _refused(TimeoutError, list, futures.as_completed(several, soon))

    def submitted(item: Any) -> None:
        pool.submit(id, item).result()

    def submitted_and_failed(item: Any) -> None:
        _refused(TypeError, pool.submit(len, item).result)

    def mapped(item: Any) -> None:
        for _ in pool.map(id, [item] * 10, buffersize=3):
            pass

    def mapped_and_left(item: Any) -> None:
        results = pool.map(id, [item] * 10)
        next(results)
        results.close()

    def a_pool(item: Any) -> None:
        with futures.ThreadPoolExecutor(1) as short:
            short.submit(id, item)

    def a_pool_dropped(item: Any) -> None:
        futures.ThreadPoolExecutor(1).submit(id, item).result()

    def a_thread(item: Any) -> None:
        thread = threads.Thread(target=id, args=(item,))
        thread.start()
        thread.join()

    found: dict[str, tuple[Callable[[Any], object], int]] = {
        "Lock with": (in_section(lock), 1),
        "Lock acquire, release": (taken_and_released, 25),
        "RLock": (recursion, 1),
        "Condition with": (in_section(condition), 1),
        "Condition notify, wait": (notified, 30),
        "Semaphore with": (in_section(semaphore), 1),
        "BoundedSemaphore with": (in_section(bounded), 1),
        "Event": (set_and_cleared, 20),
        "Semaphore acquire, release": (permits(semaphore), 20),
        "BoundedSemaphore acquire, release": (permits(bounded), 20),
        "Barrier": (made(barrier.wait), 1),
        "Barrier broken": (met_and_broken, 20),
        "Queue refused": (refused_batch, 40),
        "PriorityQueue": (by_order, 1),
        "Queue filled and dropped": (filled_and_dropped, 2),
        "Queue that has fallen back": (fallen_back, 2),
        "Future": (settled, 2),
        "Future that failed": (failed_and_read, 2),
        "Future that was cancelled": (cancelled, 1),
        "wait, as_completed": (waited_for, 60),
        "submit": (submitted, 6),
        "submit, failing": (submitted_and_failed, 6),
        "map": (mapped, 25),
        "map, left": (mapped_and_left, 10),
        "pool": (a_pool, 60),
        "pool, dropped": (a_pool_dropped, 50),
        "thread": (a_thread, 30),
    }
    for name, queue in ours.items():
        found[name] = in_and_out(queue), 2
        found[f"{name}, timed out"] = timed_out(queue), 25
        found[f"{name} in batches"] = in_batches(queue), 2
    for name, make in {
        **{name: getattr(threads, name) for name in ("Lock", "RLock", "Condition", "Semaphore", "Event")},
        "Barrier": lambda: threads.Barrier(2),
        **{name: getattr(queues, name) for name in ("Queue", "PriorityQueue", "SimpleQueue")},
        "ThreadPoolExecutor": lambda: futures.ThreadPoolExecutor(1),
    }.items():
        found[f"{name}()"] = made(make), 1 if name != "ThreadPoolExecutor" else 2
    return {**found, **in_turns(crowded)}


class Item:
    """What is passed around. Its class can be called with any arguments."""

    def __init__(self, *_: object) -> None: ...


def memory(name: str, count: int) -> None:
    """Raises AssertionError if the memory grows with the number of operations."""
    with futures.ThreadPoolExecutor(1) as pool:
        operation, cost = operations_of(pool)[name]
        item, times = Item(), repetitions(count, cost)
        used, blocks, pages = growth(lambda: operation(item), times)
        words = f"{used:+,} bytes, {blocks:+,} blocks, {pages:+,} bytes resident, {times:,} operations"
        assert used <= SLACK and blocks <= BLOCK_SLACK and pages <= RESIDENT_SLACK, words
        print(words)


if __name__ == "__main__":
    memory(sys.argv[1], int(sys.argv[2]))
