"""`RWLock` when a wait is interrupted: by signals, by exceptions of other threads, by forks, by the end."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from oxthreads.locks import RWLock
from tests.support.endings import ENDINGS, HELPERS, Ending
from tests.support.forks import can_fork, forks, in_child
from tests.support.interpreters import python
from tests.support.signals import Interrupt, fail, handler, signal_once_asleep
from tests.support.threads import Result, start
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, times_run, until_asleep

pytestmark = [
    pytest.mark.one_thread("sends signals, raises exceptions in other threads, and forks"),
    pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them"),
]

Take = Callable[[RWLock], AbstractContextManager[object]]
TAKE: dict[str, Take] = {"read": RWLock.read, "write": RWLock.write}
taken = pytest.mark.parametrize("take", TAKE.values(), ids=TAKE)


class Killed(BaseException):
    """The exception that ends a thread."""


def kill(thread: threading.Thread) -> None:
    """Let the thread raise `Killed` as soon as it executes Python code."""
    assert thread.ident is not None
    set_exception = ctypes.pythonapi.PyThreadState_SetAsyncExc
    assert set_exception(ctypes.c_ulong(thread.ident), ctypes.py_object(Killed)) == 1


def enter(hold: AbstractContextManager[object]) -> str:
    with hold:
        return "entered"


class Holder:
    """A thread that holds the lock until `leave` is called."""

    def __init__(self, hold: AbstractContextManager[object]) -> None:
        self._entered, self._leave = threading.Event(), threading.Event()

        def run() -> None:
            with hold:
                self._entered.set()
                assert self._leave.wait(TIMEOUT_SECONDS)

        self._result = Result(run)
        assert self._entered.wait(TIMEOUT_SECONDS)

    def leave(self) -> None:
        self._leave.set()
        self._result.get()


@taken
def test_ctrl_c_ends_the_wait_at_once(take: Take) -> None:
    """The lock of ft_utils is deaf to Ctrl-C until it is free."""
    lock = RWLock()
    holder = Holder(lock.write())

    def press() -> None:
        until_asleep(threading.main_thread())
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        keyboard = start(press)
        with pytest.raises(KeyboardInterrupt), take(lock):
            pass
        keyboard.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert (lock.is_written, lock.readers, lock.waiting) == (True, 0, 0)
    holder.leave()
    with take(lock):
        pass


def test_ctrl_c_in_the_wait_of_a_writer_blocks_no_reader() -> None:
    """With fasteners and readerwriterlock, no reader comes in after that, for ever."""
    lock = RWLock()
    holder = Holder(lock.read())
    readers: list[Result] = []

    def press() -> None:
        until_asleep(threading.main_thread())
        reader = Result(enter, lock.read())
        readers.append(reader)
        # It waits behind the writer. Before Python 3.13, a main thread that waits leaves the list now and
        # then, to look for signals: then the readers behind it go ahead.
        spin_until(lambda: lock.waiting == 2 or not reader.thread.is_alive())
        os.kill(os.getpid(), signal.SIGUSR1)

    with handler(fail):
        sender = start(press)
        with pytest.raises(Interrupt), lock.write():
            pass
        sender.join()
    assert readers[0].get() == "entered"
    assert Result(enter, lock.read()).get() == "entered"
    holder.leave()
    assert Result(enter, lock.write()).get() == "entered"


@pytest.mark.skipif(sys.version_info < (3, 13), reason="it leaves its place to look for signals")
def test_a_writer_that_looks_for_signals_keeps_its_place() -> None:
    lock = RWLock()
    holder = Holder(lock.read())
    folder = Path(f"/proc/self/task/{threading.main_thread().native_id}")

    def look() -> None:
        until_asleep(threading.main_thread())
        reader = Result(enter, lock.read())
        try:
            spin_until(lambda: lock.waiting == 2)
            for _ in range(2):
                before = times_run(folder)
                spin_until(lambda before=before: times_run(folder) != before)  # type: ignore[misc]
                until_asleep(threading.main_thread())
            assert (lock.waiting, reader.thread.is_alive()) == (2, True)
        finally:
            holder.leave()
        assert reader.get() == "entered"

    looker = Result(look)
    with lock.write():
        assert lock.waiting == 1
    looker.get()


def test_a_reader_that_reads_again_does_not_wait_for_the_writer_that_waits_for_it() -> None:
    """With readerwriterlock and ft_utils, they wait for each other."""
    lock = RWLock()
    with lock.read():
        writer = Result(enter, lock.write())
        until_asleep(writer.thread)
        with lock.read(timeout=TIMEOUT_SECONDS):
            pass
    assert writer.get() == "entered"


@taken
def test_a_handler_that_returns_does_not_cost_the_place(take: Take) -> None:
    lock, order = RWLock(), list[str]()
    holder = Holder(lock.write())

    def second() -> None:
        with lock.write():
            order.append("second")

    def send() -> None:
        until_asleep(threading.main_thread())
        behind = Result(second)
        until_asleep(behind.thread)
        os.kill(os.getpid(), signal.SIGUSR1)
        spin_until(lambda: seen)
        until_asleep(threading.main_thread())
        holder.leave()
        behind.get()

    seen: list[int] = []
    with handler(lambda: seen.append(lock.waiting)):
        sender = Result(send)
        with take(lock):
            order.append("first")
        sender.get()
    assert order == ["first", "second"]
    # The wait is in no list while the handler runs.
    assert seen == [1]


@taken
def test_a_handler_may_use_the_lock_that_its_thread_waits_for(take: Take) -> None:
    lock, seen = RWLock(), list[bool]()
    holder = Holder(lock.write())

    def use() -> None:
        seen.append(lock.acquire_read(blocking=False))
        holder.leave()
        with lock.write(), lock.read():
            seen.append(lock.is_written)

    with handler(use):
        sender = signal_once_asleep()
        with take(lock):
            pass
        sender.join()
    assert seen == [False, True]
    assert (lock.is_written, lock.readers, lock.waiting) == (False, 0, 0)


def test_a_handler_that_begins_to_read_makes_the_writer_fail_and_not_wait_for_itself() -> None:
    lock = RWLock()
    holder = Holder(lock.read())
    with handler(lambda: lock.acquire_read() and None):
        sender = signal_once_asleep()
        with pytest.raises(RuntimeError, match="leave read"), lock.write():
            pass
        sender.join()
    holder.leave()
    lock.release_read()
    assert (lock.readers, lock.waiting) == (0, 0)


@taken
def test_an_exception_of_another_thread_ends_the_wait_and_takes_nothing(take: Take) -> None:
    lock = RWLock()
    holder = Holder(lock.write())
    waiter = Result(enter, take(lock))
    until_asleep(waiter.thread)
    behind = Result(enter, lock.read())
    until_asleep(behind.thread)
    kill(waiter.thread)
    # The exception does not end the sleep; the hand-over does.
    holder.leave()
    with pytest.raises(Killed):
        waiter.get()
    assert behind.get() == "entered"
    assert (lock.is_written, lock.readers, lock.waiting) == (False, 0, 0)


@taken
def test_a_garbage_collection_may_use_the_lock_anywhere(take: Take) -> None:
    lock = RWLock()

    class Garbage:
        def __del__(self) -> None:
            with take(lock):
                freed.append(lock.holds_write())

    freed: list[bool] = []
    del_outside = Garbage()
    del del_outside
    with lock.write():
        del_inside = Garbage()
        del del_inside
    assert freed[0] is (take is RWLock.write)
    assert freed[1] is True
    assert (lock.is_written, lock.readers) == (False, 0)


@can_fork
@forks
def test_a_child_has_what_the_thread_that_forked_held() -> None:
    lock = RWLock()
    for hold, name in ((lock.read(), "readers"), (lock.write(), "is_written")):
        with hold:

            def check(hold: Any = hold, name: str = name) -> None:
                assert getattr(lock, name) == 1
                assert Result(lock.acquire_write, blocking=False).get() is False
                hold.__exit__(None, None, None)
                assert Result(lock.acquire_write, blocking=False).get() is True

            in_child(check)
        assert (lock.is_written, lock.readers) == (False, 0)


@can_fork
@forks
@pytest.mark.parametrize("readers", [1, 2])
def test_readers_of_the_parent_do_not_count_in_the_child(readers: int) -> None:
    lock = RWLock()
    holders = [Holder(lock.read()) for _ in range(readers)]
    writer = Result(enter, lock.write())
    until_asleep(writer.thread)

    def check() -> None:
        assert (lock.readers, lock.waiting) == (0, 0)
        with lock.write(timeout=0):
            assert Result(lock.acquire_read, blocking=False).get() is False

    in_child(check)
    for holder in holders:
        holder.leave()
    assert writer.get() == "entered"


@can_fork
@forks
def test_a_lone_reader_of_the_parent_does_not_count_in_the_child() -> None:
    lock = RWLock()
    holder = Holder(lock.read())
    in_child(lambda: enter(lock.write(timeout=0)))
    holder.leave()


@can_fork
@forks
def test_a_writer_of_the_parent_keeps_the_lock_in_the_child() -> None:
    lock = RWLock()
    holder = Holder(lock.write())
    waiter = Result(enter, lock.read())
    until_asleep(waiter.thread)

    def check() -> None:
        assert lock.is_written
        assert lock.acquire_read(blocking=False) is False
        lock._at_fork_reinit()
        assert (lock.is_written, lock.readers, lock.waiting) == (False, 0, 0)
        with lock.write(timeout=0):
            pass

    in_child(check)
    holder.leave()
    assert waiter.get() == "entered"


PROGRAM = f"""
import atexit, os, sys, threading, time
from oxthreads.locks import RWLock
{HELPERS}
read, written = RWLock(), RWLock()
read.acquire_read(); written.acquire_write()
def enter(hold):
    with hold: pass
until_asleep(*daemons(*(lambda hold=hold: enter(hold) for hold in (
    read.write(), written.write(), written.read(), read.write(1000), written.read(1000), read.read()))))
"""


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_daemon_threads_that_wait_do_not_hold_up_the_exit(ending: Ending) -> None:
    child = python(PROGRAM + ending.code, runner=False)
    assert child.returncode == ending.status, child.stderr
    assert child.stderr.strip().endswith(ending.error), child.stderr


def test_daemon_threads_that_are_woken_at_the_exit_do_not_crash_it() -> None:
    program = PROGRAM + "atexit.register(lambda: (read.release_read(), written.release_write()))"
    child = python(program, runner=False)
    assert (child.returncode, child.stderr) == (0, "")


def test_a_lock_may_be_used_while_the_interpreter_ends() -> None:
    program = """
from oxthreads.locks import RWLock
class Late:
    def __init__(self): self.lock = RWLock()
    def __del__(self):
        with self.lock.write(timeout=1) as writing:
            writing.downgrade()
        print("well", self.lock.acquire_read(True, 0.5))
late = Late()
"""
    child = python(program, runner=False)
    assert (child.stdout, child.stderr) == ("well True\n", "")


BUSY = """
import faulthandler, threading, time
faulthandler.dump_traceback_later(25, exit=True)  # shows where it hangs
from oxthreads.locks import RWLock, once, singleflight
lock = RWLock()
class Thing:
    @once
    def method(self): return Garbage()
class Garbage:
    def __del__(self):
        # At the exit, the lock may be held by a thread that does not go on.
        if lock.acquire_read(timeout=0.01):
            time.sleep(0.0001)
            lock.release_read()
@singleflight
def fly(key):
    time.sleep(0.0001)
    return Garbage()
def busy():
    while True:
        with lock.read(): time.sleep(0.0001)
        with lock.write() as writing: writing.downgrade()
        once(lambda: Garbage())()
        Thing().method()
        fly(1)
for _ in range(6): threading.Thread(target=busy, daemon=True).start()
time.sleep(0.1)
"""


@pytest.mark.parametrize("attempt", range(5))
def test_daemon_threads_that_are_busy_do_not_crash_the_exit(attempt: int) -> None:
    child = python(BUSY, runner=False)
    assert (child.returncode, child.stderr) == (0, "")
