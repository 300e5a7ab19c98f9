"""Extreme timeouts: each is refused, ends at once or is waited for, as in the standard library."""

from __future__ import annotations

import contextlib
import math
import threading as standard
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.stress.inside.processor import until_all_sleep
from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.threads import start
from tests.support.waiting import TIMEOUT_SECONDS

#: A wait that ends at once may sleep for AT_ONCE seconds, in the best of ATTEMPTS attempts.
AT_ONCE, ATTEMPTS = 0.02, 5

#: A wait that takes a timeout, and a function that ends it.
Wait = tuple[Callable[[float], object], Callable[[], object]]


def _locks(library: BackEnd) -> dict[str, Wait]:
    found: dict[str, Wait] = {}
    threads = library.threading
    lock, rlock, free = threads.Lock(), threads.RLock(), standard.Event()
    lock.acquire()
    held = standard.Event()

    def hold() -> None:
        with rlock:
            held.set()
            free.wait()

    start(hold)
    held.wait()
    found["Lock"] = lambda timeout: lock.acquire(True, timeout), lock.release
    found["RLock"] = lambda timeout: rlock.acquire(True, timeout), free.set
    for name in ("Semaphore", "BoundedSemaphore"):
        semaphore = getattr(threads, name)(1)
        semaphore.acquire()
        found[name] = partial(semaphore.acquire, True), semaphore.release
    for name, condition in (
        ("Condition", threads.Condition()),
        ("Condition(Lock)", threads.Condition(threads.Lock())),
    ):
        found[name] = _condition(condition, condition.wait)
        is_so: list[object] = []
        found[f"{name}.wait_for"] = _condition(condition, partial(condition.wait_for, is_so.copy), is_so)
    event, barrier = threads.Event(), threads.Barrier(2)
    found["Event"] = event.wait, event.set

    def meet(timeout: float) -> object:
        try:
            return barrier.wait(timeout)
        finally:
            if barrier.broken:
                barrier.reset()

    found["Barrier"] = meet, barrier.wait
    thread = threads.Thread(target=event.wait, daemon=True)
    thread.start()
    found["Thread.join"] = thread.join, event.set
    return found


def _condition(condition: Any, wait: Callable[[float], object], is_so: list[object] | None = None) -> Wait:
    def let_go() -> None:
        with condition:
            if is_so is not None:
                is_so.append(True)
            condition.notify_all()

    def waits(timeout: float) -> object:
        with condition:
            return bool(wait(timeout))

    return waits, let_go


def _queues(library: BackEnd) -> dict[str, Wait]:
    found: dict[str, Wait] = {}
    for name in ("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"):
        empty = getattr(library.queue, name)()
        found[f"{name}.get"] = partial(empty.get, True), partial(empty.put, 1)
        if name == "SimpleQueue":
            continue
        full = getattr(library.queue, name)(1)
        full.put(1)
        found[f"{name}.put"] = partial(full.put, 1, True), full.get
    # The standard library has no such methods. There, the methods for one item say what is right.
    many, few = library.queue.Queue(), library.queue.Queue(1)
    few.put(1)
    get_many = getattr(many, "get_many", lambda _, *arguments: [many.get(*arguments)])
    put_many = getattr(few, "put_many", lambda items, *arguments: few.put(*items, *arguments))
    found["Queue.get_many"] = partial(get_many, 1, True), partial(many.put, 1)
    found["Queue.put_many"] = partial(put_many, [1], True), few.get
    return found


def _futures(library: BackEnd) -> dict[str, Wait]:
    futures = library.futures
    future, gate = futures.Future(), standard.Event()
    pool = futures.ThreadPoolExecutor(1)
    pool.submit(gate.wait)
    wait: Callable[[float], object] = lambda timeout: len(futures.wait([future], timeout).done)  # noqa: E731
    set_result = _once(partial(future.set_result, 1))
    return {
        "Future.result": (future.result, set_result),
        "Future.exception": (future.exception, set_result),
        "wait": (wait, set_result),
        "as_completed": (
            lambda timeout: [each.result() for each in futures.as_completed([future], timeout)],
            set_result,
        ),
        "map": (lambda timeout: [*pool.map(abs, [-1], timeout=timeout)], gate.set),
    }


def _once(function: Callable[[], object]) -> Callable[[], None]:
    again: list[bool] = []

    def call() -> None:
        if not again:
            again.append(True)
            function()

    return call


def waits(library: BackEnd) -> dict[str, Wait]:
    """All waits that take a timeout, by name, on new objects."""
    return {**_locks(library), **_queues(library), **_futures(library)}


def _outcome(function: Callable[[], object]) -> object:
    try:
        return function()
    except Exception as error:
        return type(error), str(error).replace(hex(id(error)), "")


def slept(function: Callable[[], object]) -> float:
    """Seconds of the call in which this thread neither ran nor waited for a processor."""

    def awake() -> float:
        numbers = Path("/proc/thread-self/schedstat").read_text().split()
        return (int(numbers[0]) + int(numbers[1])) / 1e9

    begin, before = time.monotonic(), awake()
    function()
    # The kernel may not have counted the time since its last tick. So the result may be too high, never too
    # low.
    return time.monotonic() - begin - (awake() - before)


def timeouts() -> None:
    """A timeout is refused if the standard library refuses it. A timeout that is over causes no sleep."""
    theirs, ours = waits(STANDARD), waits(OXTHREADS)
    try:
        for name in ours:
            _shortest_and_refused(name, theirs[name][0], ours[name][0])
    finally:
        for each in (theirs, ours):
            for _, let_go in each.values():
                start(let_go)  # in a thread, because for a barrier it waits itself
    top = standard.TIMEOUT_MAX
    for timeout in (top, math.nextafter(top, 0), int(top), top / 2):
        patience(timeout)


def _shortest_and_refused(name: str, theirs: Callable[..., object], ours: Callable[..., object]) -> None:
    top = standard.TIMEOUT_MAX
    soon = [0, 0.0, -0.0, 1e-9, 5e-324, 1e-12]
    # TIMEOUT_MAX is rounded down. Each of these is so far above it that every version refuses it.
    beyond = [top + 1, top * 1.001, top + 1e6, 1e300, math.inf, 2**63, 10**30]
    for timeout in [*soon, *beyond]:
        outcomes = [_outcome(partial(wait, timeout)) for wait in (theirs, ours)]
        assert outcomes[0] == outcomes[1], (name, timeout, outcomes)
        call = partial(_outcome, partial(ours, timeout))
        assert any(slept(call) < AT_ONCE for _ in range(ATTEMPTS)), f"{name}: {timeout} s are waited for"


def patience(timeout: float) -> None:
    """The longest timeouts: the wait is ended by what it waits for.

    The standard library adds the timeout to its clock. If the sum is too large there, oxthreads must refuse
    it, too.
    """
    came: list[dict[str, tuple[bool, object]]] = []
    for library in (STANDARD, OXTHREADS):
        results: dict[str, object] = {}
        every = waits(library)

        def live(name: str, wait: Callable[[float], object], results: dict[str, object] = results) -> None:
            results[name] = _outcome(partial(wait, timeout))

        members = [start(live, name, wait) for name, (wait, _) in every.items()]
        while True:
            with contextlib.suppress(OSError):  # a thread has ended meanwhile
                until_all_sleep([member for member in members if member.is_alive()])
                break
        refused = results.copy()
        for _, let_go in every.values():
            start(let_go)
        for member in members:
            member.join(TIMEOUT_SECONDS)
            assert not member.is_alive(), (
                f"still waits, with a timeout of {timeout} s; these have ended: {sorted(results)}"
            )
        came.append({name: (name in refused, result) for name, result in results.items()})
    standards, ours = came
    assert ours == standards, f"{timeout}: {ours}, the standard library's {standards}"
    assert any(not at_once for at_once, _ in ours.values()), f"nothing waits for {timeout} s"
