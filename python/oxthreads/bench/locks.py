"""Scenarios of locks, conditions, semaphores, events, barriers and threads."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from .libraries import Library
from .rounds import Prepare, Round, SpeedScenario, alone, loops_in, prepared, spin, together
from .scenario import Goal

MICROSECOND = 1e-6


def with_statement(kind: str) -> Prepare:
    """Use ``with`` on an object that no other thread uses.

    Args:
        kind: the name of its type.
    """

    def prepare(library: Library, operations: int) -> Generator[Round]:
        lock = getattr(library, kind)()
        yield alone(partial(enter_and_leave, lock, operations))

    return prepared(prepare)


def enter_and_leave(lock: Any, operations: int) -> None:
    """Acquire and release the lock, this many times."""
    for _ in range(operations):
        with lock:
            pass


def enter_work_and_leave(lock: Any, operations: int, passes: int) -> None:
    """Acquire and release the lock, and run a loop while it is held.

    Args:
        lock: the lock.
        operations: how often to acquire it.
        passes: the number of passes of the loop.
    """
    for _ in range(operations):
        with lock:
            spin(passes)


@prepared
def acquire_and_release(library: Library, operations: int) -> Generator[Round]:
    """Call ``acquire`` and ``release`` instead of using ``with``."""
    lock = library.Lock()

    def work() -> None:
        acquire, release = lock.acquire, lock.release
        for _ in range(operations):
            acquire()
            release()

    yield alone(work)


def contended(threads: int, seconds: float = 0, kind: str = "Lock") -> Prepare:
    """Let threads compete for one lock.

    Args:
        threads: the number of threads.
        seconds: how long a thread holds the lock each time.
        kind: the name of its type.
    """

    def prepare(library: Library, operations: int) -> Generator[Round]:
        lock, share = getattr(library, kind)(), max(1, operations // threads)
        work: Callable[[], None] = (
            partial(enter_work_and_leave, lock, share, loops_in(seconds))
            if seconds
            else partial(enter_and_leave, lock, share)
        )
        yield together(*[work] * threads)

    return prepared(prepare)


@prepared
def notify_without_waiters(library: Library, operations: int) -> Generator[Round]:
    """Notify when no thread waits."""
    condition = library.Condition()

    def work() -> None:
        for _ in range(operations):
            with condition:
                condition.notify_all()

    yield alone(work)


@prepared
def wait_when_set(library: Library, operations: int) -> Generator[Round]:
    """Wait for a flag that is set, so that no thread blocks."""
    event = library.Event()
    event.set()

    def work() -> None:
        wait = event.wait
        for _ in range(operations):
            wait()

    yield alone(work)


@prepared
def set_and_clear(library: Library, operations: int) -> Generator[Round]:
    """Set and clear a flag for which no thread waits."""
    event = library.Event()

    def work() -> None:
        set_, clear = event.set, event.clear
        for _ in range(operations):
            set_()
            clear()

    yield alone(work)


def share_event(threads: int) -> Prepare:
    """Let all threads set one flag and wait for it, again and again.

    Args:
        threads: the number of threads.
    """

    def prepare(library: Library, operations: int) -> Generator[Round]:
        event, share = library.Event(), max(1, operations // threads)

        def work() -> None:
            set_, wait = event.set, event.wait
            for _ in range(share):
                set_()
                wait()

        yield together(*[work] * threads)

    return prepared(prepare)


def meet(threads: int) -> Prepare:
    """Let all threads meet at one barrier, again and again.

    Args:
        threads: the number of threads.
    """

    def prepare(library: Library, operations: int) -> Generator[Round]:
        barrier = library.Barrier(threads)

        def work() -> None:
            wait = barrier.wait
            for _ in range(operations):
                wait()

        yield together(*[work] * threads)

    return prepared(prepare)


@prepared
def start_and_join(library: Library, operations: int) -> Generator[Round]:
    """Start threads that do nothing, and join each before the next is started."""

    def nothing() -> None:
        pass

    def work() -> None:
        for _ in range(operations):
            thread = library.Thread(target=nothing)
            thread.start()
            thread.join()

    yield alone(work)


SCENARIOS = (
    SpeedScenario(
        "lock-with", "Lock: `with`", "A lock that no other thread uses.",
        operations=100_000, threads=1, goal=Goal(1.0, before_3_14=1.3),
        prepare=with_statement("Lock"), needs=("Lock",),
    ),
    SpeedScenario(
        "lock-acquire", "Lock: acquire + release",
        "`acquire` and `release` of a lock that no other thread uses.",
        operations=100_000, threads=1, goal=Goal(1.0, before_3_14=1.3),
        prepare=acquire_and_release, needs=("Lock",),
    ),
    SpeedScenario(
        "lock-contended", "Lock: `with`, 4 threads", "Four threads acquire one lock again and again.",
        operations=100_000, threads=4, goal=Goal(1.0), prepare=contended(4), needs=("Lock",),
    ),
    SpeedScenario(
        "lock-contended-work", "Lock: `with`, 4 threads, 1 us inside",
        "Four threads acquire one lock, and hold it for a microsecond of Python code.",
        operations=10_000, threads=4, goal=Goal(1.0), prepare=contended(4, MICROSECOND), needs=("Lock",),
    ),
    SpeedScenario(
        "rlock-with", "RLock: `with`", "A lock that no other thread uses.",
        operations=100_000, threads=1, goal=Goal(1.3), prepare=with_statement("RLock"), needs=("RLock",),
    ),
    SpeedScenario(
        "condition-with", "Condition: `with`", "A condition that no other thread uses.",
        operations=50_000, threads=1, prepare=with_statement("Condition"), needs=("Condition",),
    ),
    SpeedScenario(
        "condition-notify", "Condition: `with` + notify_all", "No thread waits to be notified.",
        operations=50_000, threads=1, goal=Goal(4.0), prepare=notify_without_waiters, needs=("Condition",),
    ),
    SpeedScenario(
        "semaphore-with", "Semaphore: `with`", "A semaphore with one permit, which is free.",
        operations=20_000, threads=1, goal=Goal(8.0), prepare=with_statement("Semaphore"),
        needs=("Semaphore",),
    ),
    SpeedScenario(
        "event-wait", "Event: wait when set", "The flag is set, so no thread waits.",
        operations=50_000, threads=1, goal=Goal(8.0), prepare=wait_when_set, needs=("Event",),
    ),
    SpeedScenario(
        "event-set-clear", "Event: set + clear", "No thread waits for the flag.",
        operations=20_000, threads=1, goal=Goal(12.0), prepare=set_and_clear, needs=("Event",),
    ),
    SpeedScenario(
        "barrier", "Barrier: wait, 2 threads", "Two threads meet; an operation is one meeting.",
        operations=1_000, threads=2, goal=Goal(3.0), prepare=meet(2), needs=("Barrier",),
    ),
    SpeedScenario(
        "thread", "Thread: start + join", "A thread that does nothing; one at a time.",
        operations=500, threads=2, goal=Goal(2.0), prepare=start_and_join, needs=("Thread",),
    ),
)  # fmt: skip
