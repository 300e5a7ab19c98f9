"""Ctrl-C at any moment of a group: no thread is left behind, and no scope."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings

import pytest

from oxthreads._oxthreads import is_in_scope
from oxthreads.concurrent.futures import ThreadPoolExecutor
from oxthreads.tasks import TaskGroup, fail_after
from oxthreads.threading import Event, Lock
from tests.support.interpreters import python
from tests.support.signals import Interrupt, fail, handler, signal_once_asleep
from tests.support.waiting import spin_until, until_asleep

pytestmark = [
    pytest.mark.one_thread("sends signals"),
    pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them"),
]

STORM = """
import gc, os, random, signal, sys, threading, time, warnings
from oxthreads.concurrent.futures import ThreadPoolExecutor
from oxthreads.queue import Queue
from oxthreads.tasks import TaskGroup, fail_after, move_on_after, race, sleep
from oxthreads._oxthreads import is_in_scope
from oxthreads.concurrent.futures import ThreadPoolExecutor

warnings.simplefilter("ignore", ResourceWarning)

def interrupt(_, frame):
    # Python's own threads do not survive an interrupt at any place, from Python 3.14 on: it may come
    # when a `with` statement has acquired a lock and has not begun.
    if "lib/python" in frame.f_code.co_filename:
        signal.setitimer(signal.ITIMER_REAL, 1e-5)
        return
    while frame is not None:
        if frame.f_code is guarded.__code__:
            raise KeyboardInterrupt
        frame = frame.f_back
    # The timer was still on in the lines that follow, which nothing guards.

signal.signal(signal.SIGALRM, interrupt)
randomly = random.Random(int(sys.argv[1]))
in_time, interrupts = 0, 0
pool = ThreadPoolExecutor(2)
pool.submit(int).result()
list(pool.map(sleep, [0.01, 0.01]))
before = len(os.listdir("/proc/self/task"))

def produce(queue):
    for number in range(5):
        queue.put(number)

def consume(queue):
    while True:
        queue.get()

def nested(queue):
    with TaskGroup() as group:
        group.start_soon(consume, queue)
        sleep(1000)

def block():
    queue = Queue(1)
    with fail_after(1000), TaskGroup() as group:
        group.start_soon(produce, queue)
        group.start_soon(consume, queue)
        group.start_soon(nested, queue)
        with TaskGroup(pool) as others:
            for number in range(20):
                others.start_soon(sleep, 0.00001)
        race(lambda: sleep(1000), lambda: sleep(0.0001))
        group.cancel()

def guarded(until):
    global in_time, interrupts
    # From here on, an interrupt may come at any moment, also in the lines around the block.
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, randomly.uniform(1e-6, 0.01), randomly.choice([0, 0.0005]))
            block()
            in_time += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        interrupts += 1

end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    try:
        guarded(end)
    except KeyboardInterrupt:
        interrupts += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    last = time.monotonic() + 30
    while len(os.listdir("/proc/self/task")) > before:
        assert time.monotonic() < last, threading.enumerate()
        time.sleep(0.0001)
    gc.collect()
    assert not is_in_scope()
    assert pool.submit(int).result() == 0
assert interrupts
print("interrupts" if interrupts else "", "blocks" if in_time + interrupts > 10 else "")
"""


# Not by `threading.enumerate`, which may name a thread for ever whose start was interrupted.
@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
@pytest.mark.parametrize("seed", range(4))
def test_a_storm_of_interrupts(seed: int) -> None:
    ended = python(STORM, str(seed), "4")
    # What interrupts a destructor goes to stderr.
    assert (ended.stdout.split(), ended.returncode) == (["interrupts", "blocks"], 0), ended.stderr


def interrupt() -> None:
    raise KeyboardInterrupt


def test_an_interrupt_in_the_block_ends_the_tasks() -> None:
    with handler(interrupt), pytest.raises(KeyboardInterrupt), TaskGroup() as group:
        future = group.submit(Event().wait)
        sender = signal_once_asleep()
        Event().wait()
    sender.join()
    assert future.done()


def test_an_interrupt_at_the_end_ends_the_tasks() -> None:
    before = threading.active_count()
    with handler(fail), pytest.raises(Interrupt), TaskGroup() as group:
        futures = [group.submit(Event().wait) for _ in range(10)]
        sender = signal_once_asleep()
    sender.join()
    assert all(future.done() for future in futures)
    spin_until(lambda: threading.active_count() <= before)


def test_a_second_interrupt_leaves_tasks_that_do_not_end() -> None:
    lock = Lock()
    lock.acquire()

    def interrupt_twice() -> None:
        for _ in range(2):
            until_asleep(threading.main_thread())
            os.kill(os.getpid(), signal.SIGINT)

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(KeyboardInterrupt) as caught, TaskGroup(name="stuck") as group:
            future = group.submit(lock.acquire)
            spin_until(future.running)
            sender = threading.Thread(target=interrupt_twice)
            sender.start()
    assert isinstance(caught.value.__context__, KeyboardInterrupt)
    sender.join()
    messages = [str(warning.message) for warning in seen if warning.category is ResourceWarning]
    assert len(messages) == 1
    assert 'TaskGroup "stuck" was left while 1 of its tasks had not ended: ' in messages[0]
    assert not future.done()
    lock.release()
    assert future.result() is True
    assert not is_in_scope()


def test_a_first_interrupt_in_the_block_counts() -> None:
    lock = Lock()
    lock.acquire()
    with (
        pytest.warns(ResourceWarning, match="was left while 1 of its tasks"),
        pytest.raises(KeyboardInterrupt),
        TaskGroup() as group,
    ):
        future = group.submit(lock.acquire)
        spin_until(future.running)
        threading.Thread(
            target=lambda: (until_asleep(threading.main_thread()), os.kill(os.getpid(), signal.SIGINT))
        ).start()
        raise KeyboardInterrupt
    lock.release()
    assert future.result() is True


def test_an_interrupt_is_told_with_the_errors_of_tasks() -> None:
    def wrong() -> None:
        raise ValueError

    error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt) as caught, fail_after(1000), TaskGroup() as group:
        group.start_soon(wrong)
        spin_until(lambda: group.cancel_called)
        raise error
    assert isinstance(caught.value.__context__, ExceptionGroup)
    caught.value.__context__ = None


def test_an_interrupt_in_a_done_callback_of_a_cancelled_task_is_not_lost() -> None:
    def interrupt_myself(_: object) -> None:
        raise KeyboardInterrupt

    release = Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(release.wait)
        with pytest.raises(KeyboardInterrupt), TaskGroup(pool) as group:
            futures = [group.submit(int) for _ in range(3)]
            futures[0].add_done_callback(interrupt_myself)
            group.cancel()
            raise AssertionError
        assert all(future.cancelled() for future in futures)
        release.set()
