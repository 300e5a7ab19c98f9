"""The scenarios of locks, conditions, semaphores, events, barriers and threads."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from .libraries import Library
from .rounds import Prepare, Round, SpeedScenario, alone, loops_in, prepared, spin, together
from .scenario import Goal

MICROSECOND = 1e-6


def with_statement(kind: str) -> Prepare:
    """``with`` on an object of that type, which nobody else uses."""

    def prepare(library: Library, operations: int) -> Generator[Round]:
        lock = getattr(library, kind)()
        yield alone(partial(enter_and_leave, lock, operations))

    return prepared(prepare)


def enter_and_leave(lock: Any, operations: int) -> None:
    """Take it and free it, so many times."""
    for _ in range(operations):
        with lock:
            pass


def enter_work_and_leave(lock: Any, operations: int, passes: int) -> None:
    """Hold it while a loop makes so many passes."""
    for _ in range(operations):
        with lock:
            spin(passes)


@prepared
def acquire_and_release(library: Library, operations: int) -> Generator[Round]:
    """The same by the methods' names."""
    lock = library.Lock()

    def work() -> None:
        acquire, release = lock.acquire, lock.release
        for _ in range(operations):
            acquire()
            release()

    yield alone(work)


def contended(threads: int, seconds: float = 0) -> Prepare:
    """Threads that all want one lock, and hold it so long each time."""

    def prepare(library: Library, operations: int) -> Generator[Round]:
        lock, share = library.Lock(), max(1, operations // threads)
        work: Callable[[], None] = (
            partial(enter_work_and_leave, lock, share, loops_in(seconds))
            if seconds
            else partial(enter_and_leave, lock, share)
        )
        yield together(*[work] * threads)

    return prepared(prepare)


@prepared
def notify_without_waiters(library: Library, operations: int) -> Generator[Round]:
    """Nobody is there to be notified."""
    condition = library.Condition()

    def work() -> None:
        for _ in range(operations):
            with condition:
                condition.notify_all()

    yield alone(work)


@prepared
def wait_when_set(library: Library, operations: int) -> Generator[Round]:
    """The flag is set, so nobody waits."""
    event = library.Event()
    event.set()

    def work() -> None:
        wait = event.wait
        for _ in range(operations):
            wait()

    yield alone(work)


@prepared
def set_and_clear(library: Library, operations: int) -> Generator[Round]:
    """Nobody waits for it."""
    event = library.Event()

    def work() -> None:
        set_, clear = event.set, event.clear
        for _ in range(operations):
            set_()
            clear()

    yield alone(work)


def meet(threads: int) -> Prepare:
    """All the threads wait at one barrier, over and over."""

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
    """A thread that does nothing, and another after it."""

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
        "lock-with", "Lock: `with`", "A lock that nobody else wants.",
        operations=100_000, threads=1, goal=Goal(1.0, before_3_14=1.3),
        prepare=with_statement("Lock"), needs=("Lock",),
    ),
    SpeedScenario(
        "lock-acquire", "Lock: acquire + release", "A lock that nobody else wants, by its methods.",
        operations=100_000, threads=1, goal=Goal(1.0, before_3_14=1.3),
        prepare=acquire_and_release, needs=("Lock",),
    ),
    SpeedScenario(
        "lock-contended", "Lock: `with`, 4 threads", "Four threads want one lock all the time.",
        operations=100_000, threads=4, goal=Goal(1.0), prepare=contended(4), needs=("Lock",),
    ),
    SpeedScenario(
        "lock-contended-work", "Lock: `with`, 4 threads, 1 us inside",
        "Four threads want one lock, and hold it for a microsecond of Python code.",
        operations=10_000, threads=4, goal=Goal(1.0), prepare=contended(4, MICROSECOND), needs=("Lock",),
    ),
    SpeedScenario(
        "rlock-with", "RLock: `with`", "A lock that nobody else wants.",
        operations=100_000, threads=1, goal=Goal(1.3), prepare=with_statement("RLock"), needs=("RLock",),
    ),
    SpeedScenario(
        "condition-with", "Condition: `with`", "A condition that nobody else wants.",
        operations=50_000, threads=1, prepare=with_statement("Condition"), needs=("Condition",),
    ),
    SpeedScenario(
        "condition-notify", "Condition: `with` + notify_all", "Nobody waits to be notified.",
        operations=50_000, threads=1, goal=Goal(4.0), prepare=notify_without_waiters, needs=("Condition",),
    ),
    SpeedScenario(
        "semaphore-with", "Semaphore: `with`", "A semaphore of one permit, which is free.",
        operations=20_000, threads=1, goal=Goal(8.0), prepare=with_statement("Semaphore"),
        needs=("Semaphore",),
    ),
    SpeedScenario(
        "event-wait", "Event: wait when set", "The flag is set, so that nobody waits.",
        operations=50_000, threads=1, goal=Goal(8.0), prepare=wait_when_set, needs=("Event",),
    ),
    SpeedScenario(
        "event-set-clear", "Event: set + clear", "Nobody waits for the flag.",
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
