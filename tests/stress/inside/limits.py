"""Limits: thousands of waiting threads, locks taken as often as possible, extreme timeouts, no more threads.

``python -m tests.stress.inside.limits LIMIT THREADS``. Each limit is tried in a process of its own, because
some of them change what the process may do. Where the standard library has the same operation, the result
must be the same.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import sys
import threading as standard
import time
from collections.abc import Callable, Iterator
from concurrent import futures as standard_futures
from functools import partial
from pathlib import Path
from typing import Any

from oxthreads import queue as queues
from oxthreads import threading as threads
from oxthreads.concurrent import futures
from tests.stress.inside.processor import until_all_sleep

#: A thread that has not been woken after this many seconds is stuck.
TIMEOUT_SECONDS = 50.0


# -- Crowds --------------------------------------------------------------------------------------


@contextlib.contextmanager
def crowd(wait: Callable[[], object], count: int) -> Iterator[list[object]]:
    """Start `count` threads that call the function, and yield their results. In the end all must end."""
    results: list[object] = []
    arrived = standard.Semaphore(0)

    def live() -> None:
        arrived.release()
        results.append(wait())

    before = standard.stack_size(64 * 1024)
    members = [standard.Thread(target=live, daemon=True) for _ in range(count)]
    try:
        for member in members:
            member.start()
    finally:
        standard.stack_size(before)
    for _ in range(count):
        arrived.acquire()
    until_all_sleep(members)
    yield results
    end = time.monotonic() + TIMEOUT_SECONDS
    for member in members:
        member.join(max(0, end - time.monotonic()))
        assert not member.is_alive(), f"{sum(each.is_alive() for each in members)} of {count} are stuck"
    assert len(results) == count, f"{count - len(results)} raised"


def crowd_lock(count: int, name: str = "Lock") -> None:
    lock = getattr(threads, name)()
    inside = 0

    def wait() -> None:
        nonlocal inside
        with lock:
            inside += 1

    with lock:
        with contextlib.ExitStack() as stack:
            stack.enter_context(crowd(wait, count))
            assert inside == 0
            lock.release()
        lock.acquire()
    assert inside == count


def crowd_rlock(count: int) -> None:
    crowd_lock(count, "RLock")


def crowd_semaphore(count: int) -> None:
    semaphore = threads.Semaphore(0)
    with crowd(semaphore.acquire, count) as results:
        semaphore.release(count // 2)
        for _ in range(count - count // 2):
            semaphore.release()
    assert results == [True] * count and semaphore._value == 0


def crowd_bounded_semaphore(count: int) -> None:
    semaphore = threads.BoundedSemaphore(count)
    for _ in range(count):
        semaphore.acquire()
    with crowd(semaphore.acquire, count) as results:
        semaphore.release(count // 2)
        for _ in range(count - count // 2):
            semaphore.release()
    assert results == [True] * count and semaphore._value == 0


def crowd_condition_of_lock(count: int) -> None:
    crowd_condition(count, threads.Lock())


def crowd_condition(count: int, lock: Any = None) -> None:
    condition = threads.Condition(lock)
    waiting = notified = 0

    def wait() -> bool:
        nonlocal waiting, notified
        with condition:
            waiting += 1
            condition.wait()
            notified += 1
            return True

    with crowd(wait, count):
        while True:
            with condition:
                if waiting == count:
                    condition.notify(count // 2)
                    condition.notify_all()
                    break
    assert notified == count


def crowd_event(count: int) -> None:
    event = threads.Event()
    with crowd(event.wait, count) as results:
        event.set()
        event.clear()
        event.set()
    assert results == [True] * count


def crowd_barrier(count: int) -> None:
    barrier = threads.Barrier(count + 1)
    with crowd(barrier.wait, count) as results:
        results.append(barrier.wait())
        while len(results) <= count:
            time.sleep(0.01)
        assert sorted(results) == list(range(count + 1))  # type: ignore[type-var]
        results.pop()


def crowd_getters(count: int) -> None:
    for name in ("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"):
        queue = getattr(queues, name)()
        with crowd(queue.get, count) as results:
            queue.put_many(range(count // 2))
            for number in range(count // 2, count):
                queue.put(number)
        assert sorted(results) == list(range(count)), name  # type: ignore[type-var]


def crowd_putters(count: int) -> None:
    for name in ("Queue", "LifoQueue", "PriorityQueue"):
        queue = getattr(queues, name)(1)
        queue.put(0)
        with crowd(partial(queue.put, 1), count):
            taken = [queue.get() for _ in range(count + 1)]
        assert sum(taken) == count, name


def crowd_shutdown(count: int) -> None:
    queue: Any = queues.Queue()

    def wait() -> str:
        try:
            return str(queue.get())
        except queues.ShutDown:
            return "shut down"

    with crowd(wait, count) as results:
        queue.shutdown()
    assert results == ["shut down"] * count


def crowd_join(count: int) -> None:
    queue: Any = queues.Queue()
    queue.put(1)
    with crowd(queue.join, count):
        queue.get()
        queue.task_done()


def crowd_future(count: int) -> None:
    future: Any = futures.Future()
    with crowd(future.result, count) as results:
        future.set_result(7)
    assert results == [7] * count


def crowd_wait(count: int) -> None:
    several: list[Any] = [futures.Future() for _ in range(3)]
    with crowd(lambda: len(futures.wait(several).done), count) as results:
        for future in several:
            future.set_result(7)
    assert results == [3] * count


def crowd_as_completed(count: int) -> None:
    several: list[Any] = [futures.Future() for _ in range(3)]
    with crowd(lambda: [future.result() for future in futures.as_completed(several)], count) as results:
        for number in (2, 0, 1):
            several[number].set_result(number)
    assert all(sorted(each) == [0, 1, 2] for each in results)  # type: ignore[call-overload]


def crowd_thread_join(count: int) -> None:
    event = threads.Event()
    thread = threads.Thread(target=event.wait)
    thread.start()
    with crowd(thread.join, count) as results:
        event.set()
    assert results == [None] * count and not thread.is_alive()


def crowd_submit(count: int) -> None:
    """Many threads wait for a pool to accept what they submit."""
    event, done = threads.Event(), standard.Semaphore(0)
    with futures.ThreadPoolExecutor(1, max_pending=1) as pool:
        first = pool.submit(event.wait)
        while pool.stats().busy < 1:
            time.sleep(0.001)
        second = pool.submit(done.release)
        with crowd(lambda: pool.submit(done.release), count) as calls:
            assert pool.stats().queued == 1 and not calls
            event.set()
        assert first.result(TIMEOUT_SECONDS)
        for call in (second, *calls):
            assert call.result(TIMEOUT_SECONDS) is None
    for _ in range(count + 1):
        assert done.acquire(blocking=False), "a call is lost"
    assert not done.acquire(blocking=False), "a call was made twice"


def crowd_pool(count: int) -> None:
    """A pool with many workers: all of them are busy, then idle, and then they end."""
    before = standard.stack_size(256 * 1024)
    event = threads.Event()
    pool = futures.ThreadPoolExecutor(count)
    try:
        calls = [pool.submit(event.wait) for _ in range(count)]
    finally:
        standard.stack_size(before)
    end = time.monotonic() + TIMEOUT_SECONDS
    while pool.stats().busy < count and time.monotonic() < end:
        time.sleep(0.01)
    assert pool.stats().busy == pool.stats().workers == count
    event.set()
    assert all(call.result(TIMEOUT_SECONDS) for call in calls)
    assert sum(pool.map(abs, range(10 * count))) == sum(range(10 * count))
    pool.shutdown()
    assert not any(worker.is_alive() for worker in pool._threads)


# -- Counts -------------------------------------------------------------------------


def recursion_limit(_: int) -> None:
    """An RLock at its highest count: one more acquire is refused, and the lock is unchanged."""
    for count in (2**31 - 1, 2**32 - 2, 2**32 - 1, 2**64 - 2, 2**64 - 1):
        outcomes = []
        for make in (standard.RLock, threads.RLock):
            lock: Any = make()
            outcome: list[object] = []
            try:
                lock._acquire_restore((count, standard.get_ident()))
                for _ in range(2):
                    outcome.append(lock.acquire(blocking=False))
            except OverflowError as error:
                outcome.append(str(error))
            outcomes.append(outcome)
            if lock._is_owned():
                owned_as, owner = lock._release_save()
                assert owner == standard.get_ident()
                assert owned_as in (count, count + 1, count + 2)
            assert lock.acquire(blocking=False)
            lock.release()
            assert not lock._is_owned()
        # From 3.14 on, the standard RLock refuses to restore such a count.
        if sys.version_info < (3, 14) or count < 2**63:
            assert outcomes[0] == outcomes[1], (count, outcomes)
    lock = threads.RLock()
    for _ in range(100_000):
        lock.acquire()
    for _ in range(100_000):
        lock.release()
    assert not lock._is_owned()


def _outcome(function: Callable[[], object]) -> object:
    try:
        return function()
    except Exception as error:
        return type(error), str(error)


def timeouts(_: int) -> None:
    """As `timeouts.timeouts`. The import is here because it takes longer than most limits."""
    from tests.stress.inside.timeouts import timeouts  # noqa: PLC0415

    timeouts()


# -- No more threads -----------------------------------------------------------------------------


def _can_start(threads_left: int) -> bool:
    """Let this process start only this many more threads. Return whether that is possible here.

    The limit counts all processes of a user, and does not apply to root. But root can become a user that has
    no other process. That cannot be undone.
    """
    user = 100_000 + os.getpid()
    try:
        os.setgid(user)
        os.setuid(user)
    except OSError:
        return False
    limit = len([*Path("/proc/self/task").iterdir()]) + threads_left
    resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
    return True


def no_more_threads(_: int) -> None:
    """`Thread.start` and `submit` raise what the standard ones raise. Threads that run are not affected."""
    if not _can_start(3):
        print("skipped: it takes the right to become another user")
        return
    gate = standard.Event()
    started = []
    try:
        while True:
            thread = standard.Thread(target=gate.wait, daemon=True)
            thread.start()
            started.append(thread)
            assert len(started) < 100, "the limit is not enforced here"
    except RuntimeError as error:
        words = str(error)
    assert len(started) == 3
    for module, pools in ((standard, standard_futures), (threads, futures)):
        thread = module.Thread(target=int)
        assert _outcome(thread.start) == (RuntimeError, words), module
        assert not thread.is_alive() and thread not in standard.enumerate()
        pool = pools.ThreadPoolExecutor(4)
        assert _outcome(partial(pool.submit, int)) == (RuntimeError, words), module
        # The call that was refused is still in the queue, as in the standard pool.
        pool.shutdown(wait=False, cancel_futures=True)
    # With these options, the pool counts calls or workers. The counts must be right if no worker starts.
    waiting = futures.ThreadPoolExecutor(4, max_pending=1, on_full="raise")
    assert _outcome(lambda: waiting.submit(int))[:1] == (RuntimeError,)  # type: ignore[index]
    some = futures.ThreadPoolExecutor(4, idle_timeout=0.001)
    _outcome(lambda: some.submit(int))
    assert some.stats().workers == 0 and not some._threads
    # The threads end, so there is room for a worker. It does all the work.
    gate.set()
    for thread in started:
        thread.join()
    for pool in (some, waiting):
        assert pool.submit(pow, 2, 5).result(TIMEOUT_SECONDS) == 32
        pool.shutdown()
    thread = threads.Thread(target=int)
    thread.start()
    thread.join()


def fewer_workers_than_wanted(_: int) -> None:
    """A pool that gets only some of its workers runs every call that it has accepted."""
    if not _can_start(2):
        print("skipped: it takes the right to become another user")
        return
    event = threads.Event()
    pool = futures.ThreadPoolExecutor(8)
    taken, refused = [], 0
    for _ in range(6):
        try:
            taken.append(pool.submit(event.wait))
        except RuntimeError:
            refused += 1
    assert (len(taken), refused) == (2, 4)
    while pool.stats().workers < 2:
        time.sleep(0.001)  # the threads run, but may not have taken a call yet
    event.set()
    assert all(call.result(TIMEOUT_SECONDS) for call in taken)
    for number in range(100):
        # A worker that has just set a result may not be idle yet, and a new worker cannot be started.
        with contextlib.suppress(RuntimeError):
            taken.append(pool.submit(abs, number))
    pool.shutdown()
    assert all(call.done() for call in taken)
    assert pool.stats().done == 106 and not any(worker.is_alive() for worker in pool._threads)
    assert pool.stats().workers == 0


def stack_size(_: int) -> None:
    """Workers and threads have the stack size that `threading.stack_size` has set."""
    for size in (256 * 1024, 16 * 1024 * 1024):
        before = standard.stack_size(size)
        try:
            with futures.ThreadPoolExecutor(1) as pool:
                found = [pool.submit(_own_stack).result(TIMEOUT_SECONDS)]
            thread = threads.Thread(target=lambda found=found: found.append(_own_stack()))
            thread.start()
            thread.join()
        finally:
            standard.stack_size(before)
        assert len(found) == 2
        assert all(size <= each <= size + 64 * 1024 for each in found), (size, found)


def _own_stack() -> int:
    """The size of this thread's stack in bytes, as the C library reports it."""
    library = ctypes.CDLL(None)
    library.pthread_self.restype = ctypes.c_ulong
    attributes, size, start = (
        ctypes.create_string_buffer(256),
        ctypes.c_size_t(),
        ctypes.c_void_p(),
    )
    assert library.pthread_getattr_np(ctypes.c_ulong(library.pthread_self()), attributes) == 0
    assert library.pthread_attr_getstack(attributes, ctypes.byref(start), ctypes.byref(size)) == 0
    library.pthread_attr_destroy(attributes)
    return size.value


# -- Each of them -----------------------------------------------------------------------------------

LIMITS: dict[str, Callable[[int], None]] = {
    function.__name__: function
    for function in (
        *(crowd_lock, crowd_rlock, crowd_semaphore, crowd_condition, crowd_event, crowd_barrier),
        *(crowd_bounded_semaphore, crowd_condition_of_lock, crowd_as_completed, crowd_thread_join),
        *(crowd_getters, crowd_putters, crowd_shutdown, crowd_join, crowd_future, crowd_wait, crowd_pool),
        crowd_submit,
        *(recursion_limit, timeouts, no_more_threads, fewer_workers_than_wanted, stack_size),
    )
}


def main(name: str, count: int) -> None:
    """Raises AssertionError if a limit is not kept."""
    gc.disable()
    LIMITS[name](count)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
