"""For each wait, what ends it. Tests use these waits to end them with an exception instead."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oxthreads.channels import Broadcast, Channel, DelayQueue, Watch
from oxthreads.locks import Limiter
from oxthreads.waiting import put, select
from tests.support.back_ends import OXTHREADS, BackEnd
from tests.support.threads import Result


@dataclass
class Case:
    """A wait, and what ends it."""

    wait: Callable[[], object]
    #: Gives the waiter what it waits for, once.
    supply: Callable[[], object]
    #: Reads what is left afterwards.
    left: Callable[[], object]
    #: The value of `left` if nothing was lost.
    expected: object
    #: The value where the standard library loses it: its wait in C takes it, and then the interpreter raises.
    standard: object


def _get(library: BackEnd, kind: str, timeout: float | None) -> Case:
    queue = getattr(library.queue, kind)()

    def items() -> list[object]:
        got = []
        with contextlib.suppress(library.queue.Empty):
            while True:
                got.append(queue.get_nowait())
        return got

    lost: list[object] = [] if kind == "SimpleQueue" else [1]
    return Case(lambda: queue.get(timeout=timeout), lambda: queue.put(1), items, [1], lost)


def _select(library: BackEnd, kind: str, timeout: float | None) -> Case:
    """A wait for two objects. In the standard library, which has none, it is for one."""
    if library is not OXTHREADS:
        return (_put if kind == "put" else _acquire if kind == "Lock" else _get)(
            library, "Lock" if kind == "Lock" else "Queue", timeout
        )
    never = library.threading.Event()
    if kind == "Lock":
        lock = library.threading.Lock()
        lock.acquire()

        def is_free() -> bool:
            return bool(lock.acquire(False)) and lock.release() is None

        return Case(lambda: select(never, lock, timeout=timeout)[1], lock.release, is_free, True, True)
    case = (_put if kind == "put" else _get)(library, "Queue", timeout)
    queue = library.queue.Queue(1 if kind == "put" else 0)
    if kind == "put":
        queue.put(1)
        case.wait = lambda: select(never, put(queue, 2), timeout=timeout)[1]
        case.supply, case.left = queue.get, lambda: (queue.qsize(), queue.unfinished_tasks)
    else:
        case.wait = lambda: select(never, queue, timeout=timeout)[1]
        case.supply = lambda: queue.put(1)
        case.left = lambda: queue.get_many(block=False) if queue.qsize() else []
    return case


def _peek(library: BackEnd, _kind: str, timeout: float | None) -> Case:
    """A wait to see an item. In the standard library, which has none, it is one to get it."""
    case = _get(library, "Queue", timeout)
    if library is OXTHREADS:
        items = library.queue.Queue()
        case = Case(
            lambda: items.peek(timeout=timeout),
            lambda: items.put(1),
            lambda: items.get_many(block=False) if items.qsize() else [],
            [1],
            [1],
        )
    return case


def _limiter(library: BackEnd, _kind: str, timeout: float | None) -> Case:
    """A wait for a limiter. In the standard library, which has none, it is one for a lock."""
    if library is not OXTHREADS:
        return _acquire(library, "Lock", timeout)
    limiter = Limiter(1e-6)
    limiter.acquire()

    def supply() -> None:
        limiter.rate = 1e6

    def is_free() -> bool:
        return limiter.waiting == 0 and limiter.acquire(timeout=20)

    return Case(lambda: limiter.acquire(timeout=timeout), supply, is_free, True, True)


def _delay_queue(library: BackEnd, kind: str, timeout: float | None) -> Case:
    """A wait of a queue with times. In the standard library, which has none, it is one of a queue."""
    if library is not OXTHREADS:
        return (_put if kind == "put" else _get)(library, "Queue", timeout)
    items = DelayQueue[int](1 if kind == "put" else 0)
    if kind == "put":
        items.put(1)
        return Case(lambda: items.put(2, timeout=timeout), items.get, items.qsize, 0, 0)

    def left() -> list[int]:
        return [items.get_nowait()] if items.ready() else []

    return Case(lambda: items.get(timeout=timeout), lambda: items.put(1), left, [1], [1])


def _put(library: BackEnd, kind: str, timeout: float | None) -> Case:
    full = getattr(library.queue, kind)(1)
    full.put(1)

    def state() -> object:
        return full.qsize(), full.unfinished_tasks

    return Case(lambda: full.put(2, timeout=timeout), full.get, state, (0, 1), (0, 1))


def _queue_join(library: BackEnd, _kind: str, _timeout: float | None) -> Case:
    queue = library.queue.Queue()
    queue.put(1)
    return Case(queue.join, queue.task_done, lambda: queue.unfinished_tasks, 0, 0)


def _acquire(library: BackEnd, kind: str, timeout: float | None) -> Case:
    seconds = -1 if timeout is None else timeout
    lock = getattr(library.threading, kind)()
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            free.wait()

    Result(hold)
    held.wait()

    def can_be_taken() -> bool:
        return bool(lock.acquire(False)) and lock.release() is None

    return Case(lambda: lock.acquire(timeout=seconds), free.set, can_be_taken, True, False)


def _acquire_permit(library: BackEnd, kind: str, timeout: float | None) -> Case:
    semaphore = getattr(library.threading, kind)(1)
    semaphore.acquire()
    return Case(lambda: semaphore.acquire(timeout=timeout), semaphore.release, lambda: semaphore._value, 1, 1)


def _wait_notified(library: BackEnd, kind: str, timeout: float | None) -> Case:
    lock = library.threading.Lock() if kind == "Condition(Lock)" else None
    condition = library.threading.Condition(lock)

    def wait() -> object:
        with condition:
            return condition.wait(timeout)

    def notify() -> None:
        with condition:
            condition.notify()

    return Case(wait, notify, lambda: condition.acquire(False), True, True)


def _wait_for(library: BackEnd, _kind: str, timeout: float | None) -> Case:
    condition = library.threading.Condition()
    reached: list[int] = []

    def wait() -> object:
        with condition:
            return condition.wait_for(lambda: reached, timeout)

    def notify() -> None:
        with condition:
            reached.append(1)
            condition.notify()

    return Case(wait, notify, lambda: condition.acquire(False), True, True)


def _wait_set(library: BackEnd, _kind: str, timeout: float | None) -> Case:
    event = library.threading.Event()
    return Case(lambda: event.wait(timeout), event.set, event.is_set, True, True)


def _meet(library: BackEnd, _kind: str, timeout: float | None) -> Case:
    barrier = library.threading.Barrier(2)

    def state() -> object:
        return barrier.n_waiting, barrier.broken

    return Case(lambda: barrier.wait(timeout), barrier.wait, state, (0, False), (0, False))


def _thread_join(library: BackEnd, _kind: str, timeout: float | None) -> Case:
    gate = threading.Event()
    thread = library.threading.Thread(target=gate.wait, daemon=True)
    thread.start()
    return Case(lambda: thread.join(timeout), gate.set, lambda: thread.join() or True, True, True)


def _shutdown(library: BackEnd, _kind: str, _timeout: float | None) -> Case:
    gate = threading.Event()
    pool = library.futures.ThreadPoolExecutor(1)
    future = pool.submit(gate.wait)
    return Case(pool.shutdown, gate.set, lambda: pool.shutdown() or future.result(), True, True)


def _map(library: BackEnd, _kind: str, timeout: float | None) -> Case:
    gate = threading.Event()
    pool = library.futures.ThreadPoolExecutor(1)
    results = pool.map(lambda number: gate.wait() and number, range(2), timeout=timeout)
    return Case(lambda: next(results), gate.set, pool.shutdown, None, None)


def _future(library: BackEnd, kind: str, timeout: float | None) -> Case:
    futures = library.futures
    future, finished = futures.Future(), futures.Future()
    finished.set_result(0)
    wait: dict[str, Callable[[], Any]] = {
        "result": lambda: future.result(timeout),
        "exception": lambda: future.exception(timeout),
        "wait": lambda: futures.wait([future, finished], timeout),
        "first": lambda: futures.wait([future], timeout, "FIRST_COMPLETED"),
        "as_completed": lambda: list(futures.as_completed([future, finished], timeout)),
    }
    return Case(wait[kind], lambda: future.set_result(1), future.result, 1, 1)


def _channel(library: BackEnd, kind: str, timeout: float | None) -> Case:
    """A wait for a channel. In the standard library, which has none, it is for a queue."""
    if library is not OXTHREADS:
        return (_put if kind == "send" else _get)(library, "Queue", timeout)
    channel: Channel[int] = Channel(0 if kind == "meet" else 1)

    def items() -> list[int]:
        return [channel.receive_nowait() for _ in range(len(channel))]

    if kind == "send":
        channel.send(1)
        return Case(lambda: channel.send(2, timeout), channel.receive, items, [], [])
    return Case(lambda: channel.receive(timeout), lambda: channel.send_nowait(1), items, [1], [1])


def _broadcast(library: BackEnd, _kind: str, timeout: float | None) -> Case:
    if library is not OXTHREADS:
        return _get(library, "Queue", timeout)
    subscription = Broadcast[int](1).subscribe()
    supply = subscription.broadcast.send
    return Case(lambda: subscription.receive(timeout), lambda: supply(1), subscription.receive_nowait, 1, 1)


def _watch(library: BackEnd, kind: str, timeout: float | None) -> Case:
    if library is not OXTHREADS:
        return _wait_set(library, "", timeout)
    watch = Watch(0)
    reader = watch.subscribe()
    wait = (lambda: reader.changed(timeout)) if kind == "changed" else (lambda: watch.wait_for(bool, timeout))
    return Case(wait, lambda: watch.set(1), lambda: reader.changed(0), 1, True)


#: For each name, a function that makes the case, and the kind of object that it takes.
_MAKERS: dict[str, tuple[Callable[[BackEnd, str, float | None], Case], str]] = {
    "Queue.get": (_get, "Queue"),
    "LifoQueue.get": (_get, "LifoQueue"),
    "PriorityQueue.get": (_get, "PriorityQueue"),
    "SimpleQueue.get": (_get, "SimpleQueue"),
    "Queue.put": (_put, "Queue"),
    "LifoQueue.put": (_put, "LifoQueue"),
    "PriorityQueue.put": (_put, "PriorityQueue"),
    "Queue.join": (_queue_join, ""),
    "Lock.acquire": (_acquire, "Lock"),
    "RLock.acquire": (_acquire, "RLock"),
    "Semaphore.acquire": (_acquire_permit, "Semaphore"),
    "BoundedSemaphore.acquire": (_acquire_permit, "BoundedSemaphore"),
    "Condition.wait": (_wait_notified, "Condition"),
    "Condition(Lock).wait": (_wait_notified, "Condition(Lock)"),
    "Condition.wait_for": (_wait_for, ""),
    "Event.wait": (_wait_set, ""),
    "Barrier.wait": (_meet, ""),
    "Thread.join": (_thread_join, ""),
    "shutdown": (_shutdown, ""),
    "Future.result": (_future, "result"),
    "Future.exception": (_future, "exception"),
    "wait": (_future, "wait"),
    "wait FIRST_COMPLETED": (_future, "first"),
    "as_completed": (_future, "as_completed"),
    "map": (_map, ""),
    "Queue.peek": (_peek, ""),
    "Limiter.acquire": (_limiter, ""),
    "DelayQueue.get": (_delay_queue, "get"),
    "DelayQueue.put": (_delay_queue, "put"),
    "Channel.send": (_channel, "send"),
    "Channel.receive": (_channel, "receive"),
    "Channel.receive, rendezvous": (_channel, "meet"),
    "Subscription.receive": (_broadcast, ""),
    "WatchReader.changed": (_watch, "changed"),
    "Watch.wait_for": (_watch, "wait_for"),
    "select: get": (_select, "get"),
    "select: put": (_select, "put"),
    "select: Lock": (_select, "Lock"),
}

NAMES = list(_MAKERS)


def case(library: BackEnd, name: str, timeout: float | None) -> Case:
    """The case with this name, with new objects."""
    maker, kind = _MAKERS[name]
    return maker(library, kind, timeout)
