"""Waits that only a timeout, a signal or the end of the process can end."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable
from typing import Any

from oxthreads.channels import DelayQueue
from oxthreads.locks import Limiter
from oxthreads.waiting import select
from tests.support.back_ends import OXTHREADS, BackEnd
from tests.support.threads import start


class _Join:
    """Joins a thread that never ends, as long as this object lives.

    After that it ends: later tests of the process look at all threads that wait.
    """

    def __init__(self, library: BackEnd) -> None:
        over = library.threading.Event()
        self._thread = library.threading.Thread(target=over.wait, daemon=True)
        self._thread.start()
        weakref.finalize(self, over.set).atexit = False

    def __call__(self, timeout: float | None) -> None:
        self._thread.join(timeout)


def _added(library: BackEnd, other: Callable[[float | None], object]) -> dict[str, Callable[..., object]]:
    """The waits of what only oxthreads has. For the standard library, another wait in place of each."""
    limiter = Limiter(1e-30)  # the next one comes when the clock has ended
    limiter.acquire()
    items, delayed, full = OXTHREADS.queue.Queue(), DelayQueue[int](), DelayQueue[int](1)
    delayed.put_at(1, math.inf)
    full.put(1)
    added: dict[str, Callable[[float | None], object]] = {
        "Limiter.acquire": lambda timeout: limiter.acquire(timeout=timeout),
        "DelayQueue.get": lambda timeout: delayed.get(timeout=timeout),
        "DelayQueue.put": lambda timeout: full.put(2, timeout=timeout),
        "Queue.peek": lambda timeout: items.peek(timeout=timeout),
    }
    return added if library is OXTHREADS else dict.fromkeys(added, other)


def waits(library: BackEnd) -> dict[str, Callable[[float | None], object]]:
    """Waits for something that never happens, by name. Some of them take a timeout."""
    threads = library.threading
    lock, event = threads.Lock(), threads.Event()
    empty, full, future = library.queue.Queue(), library.queue.Queue(1), library.futures.Future()
    lock.acquire()
    full.put("first")
    rlock, semaphore, barrier = threads.RLock(), threads.Semaphore(0), threads.Barrier(2)
    start(rlock.acquire).join()
    with_lock, with_rlock = threads.Condition(threads.Lock()), threads.Condition()
    with_lock.acquire()
    with_rlock.acquire()
    return {
        "RLock.acquire": lambda timeout: rlock.acquire(timeout=-1 if timeout is None else timeout),
        "Condition.wait": with_rlock.wait,
        "Condition(Lock).wait": with_lock.wait,
        "Condition.wait_for": lambda timeout: with_lock.wait_for(lambda: False, timeout),
        "Semaphore.acquire": lambda timeout: semaphore.acquire(timeout=timeout),
        "Barrier.wait": barrier.wait,
        "Lock.acquire": lambda timeout: lock.acquire(timeout=-1 if timeout is None else timeout),
        "Event.wait": event.wait,
        "Queue.get": lambda timeout: empty.get(timeout=timeout),
        "Queue.put": lambda timeout: full.put("second", timeout=timeout),
        "Queue.join": lambda timeout: full.join(),
        "Future.result": future.result,
        "Future.exception": future.exception,
        "Thread.join": _Join(library),
        # The standard library has no such waits.
        **_added(library, event.wait),
        "select": _select(empty, event, lock) if library is OXTHREADS else event.wait,
    }


def _select(*sources: Any) -> Callable[[float | None], object]:
    return lambda timeout: select(*sources, timeout=timeout)


def late(library: BackEnd) -> tuple[type[BaseException], ...]:
    """The exceptions that a wait may raise when its timeout is over."""
    return library.queue.Empty, library.queue.Full, TimeoutError, threading.BrokenBarrierError


WAITS = ["Lock.acquire", "Event.wait", "Queue.get", "Queue.put", "Queue.join"]
WAITS += ["Future.result", "Future.exception", "Thread.join", "RLock.acquire", "Condition.wait"]
WAITS += ["Condition(Lock).wait", "Condition.wait_for", "Semaphore.acquire", "Barrier.wait", "select"]
DEADLINES = ["Lock.acquire", "Event.wait", "Queue.get", "Future.result", "RLock.acquire", "Condition.wait"]
DEADLINES += ["Condition(Lock).wait", "Condition.wait_for", "Semaphore.acquire", "Barrier.wait"]
DEADLINES += ["Queue.put", "Future.exception", "Thread.join", "select"]
