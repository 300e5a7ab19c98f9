"""Tests of queues when something goes wrong.

There are signals, comparisons that raise, attributes that the program writes, and the end of the interpreter.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import threading
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, BackEnd
from tests.support.interpreters import python
from tests.support.threads import Result, start
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, until_asleep

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


class Stop(BaseException):
    """An exception that is not an `Exception`, so that `except Exception` does not catch it."""


def stop(*_: object) -> None:
    raise Stop


@posix
@pytest.mark.parametrize("way", ["put_many", "iterate"])
def test_a_signal_ends_a_batch_that_runs_no_python_code(way: str) -> None:
    items = OXTHREADS.queue.Queue(100)
    done = threading.Event()

    def other_end() -> None:
        while not done.is_set():
            items.get_many(50, timeout=0.01) if way == "put_many" else items.put_many([1] * 50, timeout=0.01)

    def tolerant() -> None:
        while not done.is_set():
            with contextlib.suppress(OXTHREADS.queue.Empty, OXTHREADS.queue.Full):
                other_end()

    def interrupt() -> None:
        spin_until(lambda: items.unfinished_tasks > 1000)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        threads = [start(tolerant), start(interrupt)]
        with pytest.raises(Stop):
            # Neither call ends by itself.
            if way == "put_many":
                items.put_many(itertools.repeat(1))
            else:
                all(items.iterate())
    finally:
        done.set()
        signal.signal(signal.SIGUSR1, before)
    for thread in threads:
        thread.join()


class Item:
    """An item that compares by its number. The comparison of number 5 raises `error`, if it is set."""

    error: BaseException | None = None

    def __init__(self, number: int) -> None:
        self.number = number

    def __lt__(self, other: Item) -> bool:
        if Item.error is not None and 5 in (self.number, other.number):
            raise Item.error
        return self.number < other.number


@pytest.mark.parametrize("fallback", [False, True])
def test_a_base_exception_from_a_comparison_ends_get_many_and_has_the_items(fallback: bool) -> None:
    items = OXTHREADS.queue.PriorityQueue()
    for number in range(10):
        items.put(Item(number))
    if fallback:
        assert len(items.queue) == 10
    Item.error = Stop()
    try:
        with pytest.raises(Stop) as caught:
            items.get_many()
    finally:
        Item.error = None
    taken = [item.number for item in getattr(caught.value, "taken", [])]
    rest = [item.number for item in items.get_many()]
    if not fallback:  # heapq loses the item whose comparison raises
        assert sorted(taken + rest) == list(range(10))
        assert taken == list(range(len(taken)))


def test_a_failing_comparison_ends_get_many_at_that_item() -> None:
    items = OXTHREADS.queue.PriorityQueue()
    for number in range(10):
        items.put(Item(number))
    Item.error = ValueError("incomparable")
    try:
        taken = [item.number for item in items.get_many()]
    finally:
        Item.error = None
    assert taken == list(range(len(taken))) and taken
    assert sorted(item.number for item in items.get_many()) == list(range(len(taken), 10))


def test_an_exception_from_an_overridden_get_has_the_items_taken_so_far() -> None:
    class Mine(OXTHREADS.queue.Queue):  # type: ignore[misc, name-defined]
        def _get(self) -> Any:
            if self.queue[0] == 3:
                raise Stop
            return super()._get()

    items = Mine()
    items.put_many(range(6))
    with pytest.raises(Stop) as caught:
        items.get_many()
    assert caught.value.taken == [0, 1, 2]  # type: ignore[attr-defined]
    assert list(items.queue) == [3, 4, 5]


@pytest.mark.skipif(
    sys.version_info < (3, 13), reason="the standard queue has no is_shutdown before Python 3.13"
)
def test_setting_is_shutdown_ends_the_waits(library: BackEnd) -> None:
    full, empty = library.queue.Queue(1), library.queue.Queue()
    full.put(1)
    if library is OXTHREADS:
        putter, getter = Result(full.put, 2), Result(empty.get)
        until_asleep(putter.thread, getter.thread)
        full.is_shutdown = empty.is_shutdown = True
        for waiter in (putter, getter):
            with pytest.raises(library.queue.ShutDown):
                waiter.get()
        full.is_shutdown = empty.is_shutdown = False
    assert full.get() == 1
    full.put(3)
    assert full.get() == 3


def test_a_queue_initialized_again_accepts_no_more_than_maxsize() -> None:
    items = OXTHREADS.queue.Queue(1)
    items.put(0)
    putters = []
    for number in range(1, 5):
        putters.append(Result(items.put, number))
        until_asleep(putters[-1].thread)
    items.__init__(1)
    assert items.maxsize == 1
    spin_until(lambda: items.qsize() == 1)
    assert [putter.thread.is_alive() for putter in putters].count(True) >= 3
    assert [items.get(timeout=TIMEOUT_SECONDS) for _ in range(4)] == [1, 2, 3, 4]
    for putter in putters:
        putter.get()


def test_its_size_is_right_while_it_falls_back(frantic: None) -> None:
    for _ in range(200):
        items = OXTHREADS.queue.Queue(3)
        items.put_many("abc")
        looker = Result(lambda items=items: [(items.qsize(), items.empty(), items.full()) for _ in range(20)])
        assert items.mutex
        assert set(looker.get()) == {(3, False, True)}


MORTAL = """
import queue, threading, time, sys
class Slow:
    def __del__(self): time.sleep(0.001)
    def __lt__(self, other): time.sleep(0.001); return False
    __gt__ = __le__ = __ge__ = __lt__
    def __bool__(self): time.sleep(0.001); return True
    def __radd__(self, other): time.sleep(0.001); return 0.0
class Again:
    def __init__(self): self.items = iter([1])
    def __iter__(self): time.sleep(0.001); return self
    def __next__(self): return next(self.items)
def forget(kind):
    while True: items = kind(); items.put(Slow()); items.put(Slow())
def shut(kind):
    while True: items = kind(); items.put(Slow()); items.shutdown(True)
def renew():
    items = queue.Queue()
    while True: items.put(Slow()); items.__init__()
def arguments():
    items = queue.Queue(1)
    while True: items.put(1, Slow(), Slow()); items.get(Slow(), Slow())
def batches():
    items = queue.Queue()
    while True: items.put_many(Again()); items.get_many()
def semaphores():
    semaphore = threading.Semaphore(0)
    while True: semaphore.acquire(Slow(), Slow())
kinds = [(queue.Queue,), (queue.SimpleQueue,)]
for target, args in [*((forget, kind) for kind in kinds), *((shut, kind) for kind in kinds),
                     (renew, ()), (arguments, ()), (batches, ()), (semaphores, ())]:
    threading.Thread(target=target, args=args, daemon=True).start()
time.sleep(0.05)  # exit while the threads work
"""


@pytest.mark.parametrize("attempt", range(5))
def test_daemon_threads_in_code_that_a_queue_calls_do_not_crash_the_exit(attempt: int) -> None:
    done = python(MORTAL)
    assert (done.returncode, done.stderr) == (0, "")
