"""`oxthreads.locks.RWLock`: many readers, or one writer."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

import pytest

from oxthreads.locks import RWLock
from tests.support.threads import Result
from tests.support.waiting import TIMEOUT_SECONDS, until_asleep


def test_readers_share_the_lock_and_a_writer_has_it_alone() -> None:
    lock = RWLock()
    meeting = threading.Barrier(3)

    def read() -> None:
        with lock.read():
            meeting.wait(TIMEOUT_SECONDS)

    readers = [Result(read) for _ in range(2)]
    with lock.read():
        meeting.wait(TIMEOUT_SECONDS)
    for reader in readers:
        reader.get()
    with lock.write():
        assert (lock.is_written, lock.readers) == (True, 0)
        other = Result(lambda: pytest.raises(TimeoutError, lock.read(0.01).__enter__))
        other.get()
    assert (lock.is_written, lock.readers, lock.waiting) == (False, 0, 0)


def test_a_reader_waits_behind_a_writer_that_waits() -> None:
    lock = RWLock()
    order: list[str] = []

    def use(how: Callable[[], object], name: str) -> None:
        with how():  # type: ignore[attr-defined]
            order.append(name)

    with lock.read():
        writer = Result(use, lock.write, "writer")
        until_asleep(writer.thread)
        reader = Result(use, lock.read, "reader")
        until_asleep(reader.thread)
        # Who reads already does not wait.
        with lock.read():
            order.append("nested")
        assert lock.waiting == 2
    writer.get()
    reader.get()
    assert order == ["nested", "writer", "reader"]


def test_a_writer_that_gives_up_lets_the_readers_behind_it_in() -> None:
    lock = RWLock()

    def read() -> str:
        with lock.read():
            return "read"

    with lock.read():
        writer = Result(lambda: pytest.raises(TimeoutError, lock.write(0.2).__enter__))
        until_asleep(writer.thread)
        reader = Result(read)
        writer.get()
        assert reader.get() == "read"


def test_a_writer_may_write_and_read_again() -> None:
    lock = RWLock()
    with lock.write(), lock.write(), lock.read():
        assert lock.is_written
    assert (lock.is_written, lock.readers) == (False, 0)


def test_a_reader_that_wants_to_write_is_refused_at_once() -> None:
    lock = RWLock()
    with lock.read():
        with pytest.raises(RuntimeError, match="leave read"), lock.write():
            pass
        assert lock.readers == 1
    with lock.write():
        pass


def test_a_writer_goes_on_to_read() -> None:
    lock = RWLock()

    def read() -> int:
        with lock.read():
            return lock.readers

    with lock.write() as writing:
        other = Result(read)
        until_asleep(other.thread)
        writing.downgrade()
        assert other.get() == 2
        with pytest.raises(RuntimeError):
            writing.downgrade()
    assert (lock.is_written, lock.readers) == (False, 0)


def test_what_is_not_held_cannot_be_released() -> None:
    lock = RWLock()
    for hold in (lock.read(), lock.write()):
        with pytest.raises(RuntimeError, match="does not hold"):
            hold.__exit__(None, None, None)


def test_it_may_be_weakly_referenced() -> None:
    lock = RWLock()
    reference = weakref.ref(lock)
    assert reference() is lock
