"""What a profile or a trace costs: a free lock, a hand-over between threads, and a contended release.

Run ``python benches/profile_costs.py nothing``, ``metrics``, ``watch``, ``profile`` or ``trace``. It prints
nanoseconds for a ``with`` statement on a free lock, microseconds for a hand-over between two threads through
two queues, and microseconds for a release that wakes a thread. This is the processor time of all threads
together, the best of nine rounds each.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from oxthreads import diagnose, metrics, queue, threading

ROUNDS = 9


def with_other(other: Callable[[], object], own: Callable[[], object]) -> float:
    """The seconds of processor time that both take, side by side."""
    thread = threading.Thread(target=other)
    begun = time.process_time()
    thread.start()
    own()
    thread.join()
    return time.process_time() - begun


def free_lock(count: int = 500_000) -> float:
    """Nanoseconds for a ``with`` statement."""
    lock = threading.Lock()
    begun = time.process_time()
    for _ in range(count):
        with lock:
            pass
    return (time.process_time() - begun) / count * 1e9


def hand_over(count: int = 20_000) -> float:
    """Microseconds until the other thread has an item."""
    there: queue.SimpleQueue[int] = queue.SimpleQueue()
    back: queue.SimpleQueue[int] = queue.SimpleQueue()

    def answer() -> None:
        for _ in range(count):
            back.put(there.get())

    def ask() -> None:
        for _ in range(count):
            there.put(1)
            back.get()

    return with_other(answer, ask) / count / 2 * 1e6


def contended_release(count: int = 5_000) -> float:
    """Microseconds until the other thread has the lock that it waits for."""
    first, second = threading.Lock(), threading.Lock()
    first.acquire()
    second.acquire()

    def take_turns(mine: Any, others: Any) -> None:
        for _ in range(count):
            others.release()
            mine.acquire()

    def answer() -> None:
        for _ in range(count):
            first.acquire()
            second.release()

    return with_other(answer, lambda: take_turns(second, first)) / count / 2 * 1e6


def main(mode: str) -> None:
    """Measure with nothing, metrics for Prometheus, a watch, a profile or a trace."""
    modes: dict[str, Callable[[], contextlib.AbstractContextManager[object]]] = {
        "nothing": contextlib.nullcontext,
        "metrics": metrics.PrometheusCollector,
        "watch": diagnose.watch,
        "profile": diagnose.profile,
        "trace": lambda: diagnose.trace(os.devnull),
    }
    with modes[mode]():
        for measured in (free_lock, hand_over, contended_release):
            print(f"{mode} {measured.__name__} {min(measured() for _ in range(ROUNDS)):.2f}")


if __name__ == "__main__":
    main(sys.argv[1])
