"""Waits that only a timeout, a signal or the end of the process can end."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable
from typing import Any

from oxthreads.channels import Broadcast, Channel, DelayQueue, Watch
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
    limiter = Limiter(1e-18)  # the next one comes when the clock has ended
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
        **(_waits_for_channels() if library is OXTHREADS else dict.fromkeys(CHANNELS, event.wait)),
        "select": _select(empty, event, lock) if library is OXTHREADS else event.wait,
    }


def _waits_for_channels() -> dict[str, Callable[[float | None], object]]:
    full, empty, meeting = Channel[int](1), Channel[int](1), Channel[int]()
    full.send(1)
    broadcast: Broadcast[int] = Broadcast(1, on_lag="block")
    subscription, other = broadcast.subscribe(), Broadcast[int](1).subscribe()
    broadcast.send(1)
    watch = Watch(0)
    reader = watch.subscribe()

    def send_to_all(timeout: float | None) -> object:
        broadcast.send(2, timeout)
        return subscription

    return {
        "Channel.send": lambda timeout: full.send(2, timeout),
        "Channel.receive": empty.receive,
        "Channel.send, rendezvous": lambda timeout: meeting.send(1, timeout),
        "Channel.receive, rendezvous": meeting.receive,
        "Broadcast.send": send_to_all,
        "Subscription.receive": other.receive,
        "WatchReader.changed": reader.changed,
        "Watch.wait_for": lambda timeout: watch.wait_for(bool, timeout),
    }


def _select(*sources: Any) -> Callable[[float | None], object]:
    return lambda timeout: select(*sources, timeout=timeout)


def late(library: BackEnd) -> tuple[type[BaseException], ...]:
    """The exceptions that a wait may raise when its timeout is over."""
    return library.queue.Empty, library.queue.Full, TimeoutError, threading.BrokenBarrierError


CHANNELS = ["Channel.send", "Channel.receive", "Channel.send, rendezvous", "Channel.receive, rendezvous"]
CHANNELS += ["Broadcast.send", "Subscription.receive", "WatchReader.changed", "Watch.wait_for"]
WAITS = ["Lock.acquire", "Event.wait", "Queue.get", "Queue.put", "Queue.join"]
WAITS += ["Future.result", "Future.exception", "Thread.join", "RLock.acquire", "Condition.wait"]
WAITS += [
    "Condition(Lock).wait",
    "Condition.wait_for",
    "Semaphore.acquire",
    "Barrier.wait",
    "select",
    *CHANNELS,
]
DEADLINES = ["Lock.acquire", "Event.wait", "Queue.get", "Future.result", "RLock.acquire", "Condition.wait"]
DEADLINES += ["Condition(Lock).wait", "Condition.wait_for", "Semaphore.acquire", "Barrier.wait"]
DEADLINES += ["Queue.put", "Future.exception", "Thread.join", "select", *CHANNELS]
