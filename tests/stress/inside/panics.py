"""A panic in Rust is an exception in Python, and the object in which it happened can still be used.

``python -m tests.stress.inside.panics`` causes panics in the leaf sections of locks, conditions, events,
queues, futures and pools, one after the other. That needs a special build: ``just test-panics`` makes it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import sys
import threading as standard
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oxthreads import _oxthreads
from oxthreads import queue as queues
from oxthreads import threading as threads
from oxthreads.concurrent import futures

#: How many of the first leaf sections of every operation panic, each in a run of its own.
SECTIONS = 8

#: Makes the leaf section with that number panic, counted from the calling thread's next one. Zero: none.
arm: Callable[[int], int] | None = getattr(_oxthreads, "panic_in_section", None)


def _lock(lock: Any) -> None:
    # The panic may have come before or after the lock was taken. Both are right, but nothing in between.
    if lock.acquire(timeout=0.01):
        assert not _try_in_another_thread(lock)
        lock.release()
    else:
        lock.release()
    assert lock.acquire(timeout=1)
    lock.release()


def _try_in_another_thread(lock: Any) -> bool:
    found: list[bool] = []
    thread = threads.Thread(target=lambda: found.append(lock.acquire(blocking=False)))
    thread.start()
    thread.join()
    return found[0]


def _free(lock: Any) -> None:
    assert lock.acquire(timeout=1)
    lock.release()


def _one_permit(semaphore: Any) -> None:
    assert semaphore.acquire(timeout=1)
    assert not semaphore.acquire(blocking=False)
    semaphore.release()


def _given(start: Callable[[Any], object], give: Callable[[Any], object]) -> Callable[[Any], object]:
    """Acquire something that another thread gives as soon as this thread sleeps, or after the attempt."""

    def acquire(held: Any) -> None:
        started, over = standard.Event(), standard.Event()

        def other() -> None:
            start(held)
            started.set()
            while not over.is_set() and not _sleeps(standard.main_thread()):
                pass
            give(held)

        thread = standard.Thread(target=other)
        thread.start()
        started.wait()
        try:
            held.acquire(timeout=10)
        finally:
            over.set()
            thread.join()

    return acquire


def _sleeps(thread: standard.Thread) -> bool:
    """Whether the thread sleeps for longer than it would to wait for the GIL."""
    state = Path(f"/proc/self/task/{thread.native_id}/stat")
    for _ in range(5):
        time.sleep(0.0005)
        if state.read_text().rpartition(")")[2].split()[0] != "S":
            return False
    return True


def _barrier(barrier: Any) -> None:
    barrier.reset()
    partner = threads.Thread(target=barrier.wait)
    partner.start()
    assert barrier.wait(5) in (0, 1)
    partner.join()


def _condition(condition: Any) -> None:
    while condition._is_owned():
        condition.release()
    with condition:
        assert condition.wait(0.001) is False
        condition.notify_all()


def _event(event: Any) -> None:
    event.set()
    assert event.wait(1)
    event.clear()
    assert not event.is_set() and event.wait(0.001) is False


def _queue(queue: Any) -> None:
    for _ in range(queue.qsize()):
        queue.get(timeout=1)
    assert queue.empty()
    queue.put((1, 1), timeout=1)
    assert queue.get(timeout=1) == (1, 1)
    with contextlib.suppress(queues.Empty):
        raise AssertionError(queue.get(timeout=0.001))


def _future(future: Any) -> None:
    if not future.done():
        future.set_result(1)
    with contextlib.suppress(ValueError, futures.CancelledError):
        assert future.result(1) == 1
    called: list[Any] = []
    future.add_done_callback(called.append)
    assert called == [future]


def _pool(pool: Any) -> None:
    assert pool.submit(pow, 2, 5).result(10) == 32
    assert list(pool.map(abs, range(10))) == list(range(10))
    end = threads.Thread(target=pool.shutdown, daemon=True)
    end.start()
    end.join(5)
    assert not end.is_alive(), "the shutdown does not end"


#: For each type: how it is made, the operations that panic, and a check that it can still be used.
CASES: list[tuple[Callable[[], Any], list[Callable[[Any], object]], Callable[[Any], object]]] = [
    (
        threads.Lock,
        [
            lambda lock: lock.acquire(timeout=0.001),
            lambda lock: (lock.acquire(), lock.release()),
            lambda lock: (lock.acquire(), lock.acquire(timeout=0.001)),
        ],
        _lock,
    ),
    *(
        (make, [_given(lambda held: held.acquire(), lambda held: held.release())], _free)
        for make in (threads.Lock, threads.RLock)
    ),
    (
        lambda: threads.Semaphore(0),
        [_given(lambda semaphore: None, lambda semaphore: semaphore.release())],
        _one_permit,
    ),
    (
        lambda: threads.Barrier(2),
        [
            lambda barrier: barrier.wait(0.001),
            lambda barrier: barrier.abort(),
            lambda barrier: barrier.reset(),
        ],
        _barrier,
    ),
    (
        threads.Condition,
        [
            lambda condition: (condition.acquire(), condition.notify()),
            lambda condition: (condition.acquire(), condition.wait(0.001)),
            lambda condition: (condition.acquire(), condition.notify_all()),
        ],
        _condition,
    ),
    (
        threads.Event,
        [lambda event: event.set(), lambda event: event.wait(0.001), lambda event: event.clear()],
        _event,
    ),
    *(
        (
            make,
            [
                lambda queue: queue.put((2, 2), timeout=0.001),
                lambda queue: queue.get(timeout=0.001),
                lambda queue: (queue.put((2, 2)), queue.get_nowait()),
                lambda queue: queue.put_many([(2, 2), (3, 3)], False),
                lambda queue: queue.get_many(2, True, 0.001),
                lambda queue: (queue.qsize(), queue.empty()),
            ],
            _queue,
        )
        for make in (queues.Queue, queues.LifoQueue, queues.PriorityQueue, queues.SimpleQueue)
    ),
    (
        futures.Future,
        [
            lambda future: future.set_result(1),
            lambda future: future.set_exception(ValueError()),
            lambda future: (future.cancel(), future.set_running_or_notify_cancel()),
            lambda future: future.result(0.001),
            lambda future: future.add_done_callback(int),
            lambda future: futures.wait([future], 0.001),
        ],
        _future,
    ),
    (
        lambda: futures.ThreadPoolExecutor(2),
        [
            lambda pool: pool.submit(pow, 2, 4),
            lambda pool: (pool.submit(pow, 2, 4).result(), pool.submit(pow, 2, 4)),
            lambda pool: pool.stats(),
        ],
        _pool,
    ),
]


def _in_a_worker(section: int) -> None:
    """A panic in a worker: the call in which it happens ends, and so do later calls and the shutdown."""
    assert arm is not None
    pool = futures.ThreadPoolExecutor(1)
    calls: list[Any] = [pool.submit(arm, section), *(pool.submit(pow, 2, number) for number in range(5))]
    panicked = 0
    for number, call in enumerate(calls):
        error = call.exception(10)
        panicked += error is not None
        assert error is None or type(error).__name__ == "PanicException"
        assert error is not None or number == 0 or call.result() == 2 ** (number - 1)
    assert panicked <= 1
    end = threads.Thread(target=pool.shutdown, daemon=True)
    end.start()
    end.join(5)
    assert not end.is_alive(), "the shutdown does not end"


def main() -> int:
    """Let every section of every operation panic. Return how many panics left an unusable object."""
    if arm is None:
        sys.exit("this build injects none")
    logging.disable()
    # Rust prints each panic to standard error.
    errors = os.fdopen(os.dup(2), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    faulthandler.enable(errors)
    failed = injected = 0
    faulthandler.dump_traceback_later(100, exit=True, file=errors)
    for make, operations, check in CASES:
        before = injected
        for place, operation in enumerate(operations):
            for section in range(1, SECTIONS + 1):
                subject = make()
                name = f"{type(subject).__name__}, operation {place}, section {section}"
                panicked = False
                arm(section)
                try:
                    operation(subject)
                except BaseException as error:
                    panicked = type(error).__name__ == "PanicException"
                left = arm(0)
                if left:
                    break  # the operation has fewer sections
                injected += 1
                try:
                    assert panicked, "the panic was not raised"
                    check(subject)
                except BaseException as error:
                    failed += 1
                    print(f"{name}: {type(error).__name__}: {error}", file=errors)
        assert injected > before, f"nothing to inject a panic into: {make}"
    for section in range(1, SECTIONS + 1):
        try:
            _in_a_worker(section)
            injected += 1
        except BaseException as error:
            failed += 1
            print(f"worker, section {section}: {type(error).__name__}: {error}", file=errors)
    faulthandler.cancel_dump_traceback_later()
    print(f"{injected} injected, {failed} left something unusable")
    return failed


if __name__ == "__main__":
    sys.exit(bool(main()))
