"""`oxthreads.locks.RWLock`: many readers, or one writer."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from oxthreads.locks import RWLock
from tests.support.garbage import is_freed
from tests.support.lock_arguments import BAD_ARGUMENTS
from tests.support.refusals import refusal
from tests.support.threads import Result
from tests.support.waiting import TIMEOUT_SECONDS, rounds, spin_until, until_asleep


def use(hold: AbstractContextManager[object], order: list[str], name: str) -> None:
    with hold:
        order.append(name)


def expire(hold: AbstractContextManager[object]) -> None:
    with pytest.raises(TimeoutError, match="not acquired in time"), hold:
        pass


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
        for hold in (lock.read, lock.write):
            Result(expire, hold(0.01)).get()
            Result(expire, hold(0)).get()
    assert (lock.is_written, lock.readers, lock.waiting) == (False, 0, 0)


def test_a_reader_waits_behind_a_writer_that_waits() -> None:
    lock = RWLock()
    order: list[str] = []
    with lock.read():
        writer = Result(use, lock.write(), order, "writer")
        until_asleep(writer.thread)
        reader = Result(use, lock.read(), order, "reader")
        until_asleep(reader.thread)
        assert Result(lock.acquire_read, blocking=False).get() is False
        # Who reads already does not wait.
        with lock.read():
            order.append("nested")
        assert lock.waiting == 2
    writer.get()
    reader.get()
    assert order == ["nested", "writer", "reader"]


def test_all_get_the_lock_in_the_order_in_which_they_came() -> None:
    lock = RWLock()
    order: list[str] = []
    waiters = []
    with lock.write():
        for name in ("reader 0", "writer 1", "writer 2", "reader 3", "writer 4"):
            hold = lock.read() if name.startswith("reader") else lock.write()
            waiters.append(Result(use, hold, order, name))
            until_asleep(waiters[-1].thread)
    for waiter in waiters:
        waiter.get()
    assert order == ["reader 0", "writer 1", "writer 2", "reader 3", "writer 4"]


def test_readers_that_wait_together_come_in_together() -> None:
    lock = RWLock()
    meeting = threading.Barrier(3)

    def read() -> None:
        with lock.read():
            meeting.wait(TIMEOUT_SECONDS)

    with lock.write():
        readers = [Result(read) for _ in range(3)]
        spin_until(lambda: lock.waiting == 3)
    for reader in readers:
        reader.get()


@pytest.mark.parametrize("timeout", [0.05, 0.2])
def test_a_writer_that_gives_up_lets_the_readers_behind_it_in(timeout: float) -> None:
    lock = RWLock()

    def read() -> str:
        with lock.read():
            return "read"

    with lock.read():
        writer = Result(expire, lock.write(timeout))
        spin_until(lambda: lock.waiting or not writer.thread.is_alive())
        reader = Result(read)
        writer.get()
        assert reader.get() == "read"
    assert lock.waiting == 0


def test_a_reader_that_gives_up_leaves_the_others_where_they_are() -> None:
    lock = RWLock()
    order: list[str] = []
    with lock.write():
        late = Result(expire, lock.read(0.05))
        spin_until(lambda: lock.waiting or not late.thread.is_alive())
        reader = Result(use, lock.read(), order, "reader")
        late.get()
        assert order == []
    reader.get()


def test_a_writer_may_write_and_read_again() -> None:
    lock = RWLock()
    with lock.write(), lock.write(), lock.read():
        assert lock.holds_write()
        assert lock.holds_read()
        assert lock.is_written
        other = Result(lock.acquire_read, timeout=0.01)
        assert other.get() is False
    assert (lock.is_written, lock.readers) == (False, 0)


def test_a_reader_that_wants_to_write_is_refused_at_once() -> None:
    lock = RWLock()
    with lock.read():
        with pytest.raises(RuntimeError, match="leave read"), lock.write():
            pass
        for arguments in ((), (False,), (True, 1.0)):
            with pytest.raises(RuntimeError, match="leave read"):
                lock.acquire_write(*arguments)
        assert lock.readers == 1
        # Also if another thread reads or waits.
        other = Result(use, lock.write(), [], "")
        until_asleep(other.thread)
        with pytest.raises(RuntimeError, match="leave read"), lock.write(timeout=0):
            pass
    other.get()
    with lock.write():
        pass


def test_a_writer_goes_on_to_read() -> None:
    lock = RWLock()

    def read() -> int:
        with lock.read():
            return lock.readers

    with lock.write() as writing:
        reader = Result(read)
        until_asleep(reader.thread)
        writer = Result(use, lock.write(), [], "")
        until_asleep(writer.thread)
        writing.downgrade()
        assert reader.get() == 2
        assert (lock.holds_write(), lock.holds_read(), lock.waiting) == (False, True, 1)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="cannot downgrade"):
                writing.downgrade()
        with lock.read():
            pass
    writer.get()
    assert (lock.is_written, lock.readers) == (False, 0)


def test_a_writer_inside_another_goes_on_to_read_and_nobody_comes_in() -> None:
    for outer_hold, inner_hold in ((lock := RWLock()).write(), lock.write()), ((same := lock.write()), same):
        with outer_hold:
            with inner_hold as inner:
                inner.downgrade()
                assert (lock.holds_write(), lock.readers) == (True, 1)
                assert Result(lock.acquire_read, blocking=False).get() is False
            assert (lock.holds_write(), lock.readers) == (True, 0)
        assert (lock.is_written, lock.readers) == (False, 0)


def test_the_outer_writer_goes_on_to_read_inside_the_inner_one() -> None:
    lock = RWLock()
    with lock.write() as outer:
        with lock.write():
            outer.downgrade()
            assert (lock.holds_write(), lock.readers) == (True, 1)
        assert (lock.holds_write(), lock.readers) == (False, 1)
    assert lock.readers == 0


def test_a_hold_may_be_used_again_and_by_all_threads() -> None:
    lock = RWLock()
    reading, writing = lock.read(0.0), lock.write(timeout=None)
    with reading, reading:
        assert Result(use, reading, [], "").get() is None
        assert lock.readers == 1
    for _ in range(2):
        with writing as again:
            assert again is writing
            again.downgrade()
        Result(use, writing, [], "").get()
    assert (lock.is_written, lock.readers) == (False, 0)


def test_what_is_not_held_cannot_be_released() -> None:
    lock = RWLock()
    none = (None, None, None)
    release: list[Callable[[], object]] = [
        lambda: lock.read().__exit__(*none),
        lambda: lock.write().__exit__(*none),
        lock.release_read,
        lock.release_write,
        lambda: lock.write().downgrade(),
    ]
    for each in release:
        with pytest.raises(RuntimeError, match="this thread does not hold the lock to"):
            each()
    with lock.read():
        # By another thread; and as a writer.
        for each in release:
            with pytest.raises(RuntimeError, match="does not hold"):
                Result(each).get()
        with pytest.raises(RuntimeError, match="does not hold the lock to write"):
            lock.release_write()
        assert lock.readers == 1
    with lock.write() as writing:
        for each in (*release, lambda: writing.__exit__(*none), writing.downgrade):
            with pytest.raises(RuntimeError, match="does not hold"):
                Result(each).get()
        with pytest.raises(RuntimeError, match="does not hold the lock to read"):
            lock.release_read()
        assert lock.is_written
        # By a hold that was not entered.
        with pytest.raises(RuntimeError, match="does not hold"):
            lock.write().downgrade()
        with pytest.raises(RuntimeError, match="does not hold"):
            lock.write().__exit__(*none)
        assert lock.is_written


def test_an_exit_that_is_called_twice_is_refused() -> None:
    lock = RWLock()
    for hold in (lock.read(), lock.write()):
        with pytest.raises(RuntimeError, match="does not hold"), hold:
            hold.__exit__(None, None, None)
        assert (lock.is_written, lock.readers) == (False, 0)


def test_holds_may_be_left_in_another_order() -> None:
    lock = RWLock()
    lock.acquire_write()
    lock.acquire_read()
    lock.release_write()
    assert (lock.holds_write(), lock.holds_read()) == (False, True)
    assert Result(lock.acquire_read).get() is True
    with pytest.raises(RuntimeError, match="leave read"):
        lock.acquire_write()
    lock.release_read()
    assert not lock.holds_read()


def test_a_hold_that_is_dropped_is_not_released() -> None:
    lock = RWLock()
    lock.write()
    lock.read()
    assert (lock.is_written, lock.readers) == (False, 0)
    lock.write().__enter__()
    assert lock.holds_write()
    lock.release_write()


def test_exceptions_leave_the_lock_free_and_are_not_swallowed() -> None:
    lock = RWLock()
    for hold in (lock.read(), lock.write()):
        with pytest.raises(KeyError), hold:
            raise KeyError
        assert (lock.is_written, lock.readers) == (False, 0)


@pytest.mark.parametrize(("arguments", "keywords"), BAD_ARGUMENTS)
def test_arguments_are_refused_as_by_the_standard_lock(
    arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> None:
    lock = RWLock()
    expected = refusal(threading.Lock().acquire, *arguments, **keywords)
    for method in (lock.acquire_read, lock.acquire_write):
        assert refusal(method, *arguments, **keywords) == expected
    assert (lock.is_written, lock.readers) == (False, 0)


TIMEOUTS: list[Any] = [
    -2,
    -0.5,
    1e300,
    2**70,
    -(2**70),
    float("nan"),
    float("inf"),
    float("-inf"),
    "1",
    [],
    1j,
]


@pytest.mark.parametrize("timeout", TIMEOUTS)
def test_timeouts_are_refused_as_by_the_standard_lock(timeout: Any) -> None:
    lock = RWLock()
    expected = refusal(threading.Lock().acquire, True, timeout)
    for method in (lock.read, lock.write):
        assert refusal(method, timeout) == expected
        assert refusal(method, timeout=timeout) == expected


@pytest.mark.parametrize("timeout", [None, -1, -1.0, 0, 0.0, 1, True, threading.TIMEOUT_MAX])
def test_timeouts_are_accepted_as_by_the_standard_lock(timeout: Any) -> None:
    lock = RWLock()
    with lock.read(timeout), lock.read(timeout=timeout):
        pass
    with lock.write(timeout), lock.write(timeout=timeout):
        pass


def test_other_arguments_are_refused() -> None:
    lock = RWLock()
    for call in (
        lambda: RWLock(1),  # type: ignore[call-arg]
        lambda: RWLock(a=1),  # type: ignore[call-arg]
        lambda: lock.read(1, 2),  # type: ignore[call-arg]
        lambda: lock.write(wait=1),  # type: ignore[call-arg]
        lambda: lock.acquire_read(True, 1, 2),  # type: ignore[call-arg]
        lambda: lock.release_read(1),  # type: ignore[call-arg]
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(TypeError):
        type(lock.read())()  # type: ignore[call-arg]


def test_non_blocking_and_late_acquisitions_return_false() -> None:
    lock = RWLock()
    assert lock.acquire_write() is True
    for method in (lock.acquire_read, lock.acquire_write):
        assert Result(method, False).get() is False
        assert Result(method, timeout=0.01).get() is False
        assert Result(method, timeout=0).get() is False
    lock.release_write()
    assert Result(lock.acquire_read, False).get() is True
    assert lock.acquire_read(blocking=False) is True


def test_repr_shows_the_state() -> None:
    lock = RWLock()
    end = f" at {id(lock):#x}>"
    assert repr(lock) == f"<unlocked oxthreads.locks.RWLock object readers=0 waiting=0{end}"
    with lock.read():
        assert repr(lock) == f"<read-locked oxthreads.locks.RWLock object readers=1 waiting=0{end}"
    with lock.write():
        assert repr(lock) == f"<write-locked oxthreads.locks.RWLock object readers=0 waiting=0{end}"


class Named(RWLock):
    """A subclass with arguments and attributes of its own."""

    def __init__(self, name: str) -> None:
        self.name = name


def test_it_may_be_derived_from() -> None:
    lock = Named("cache")
    with lock.read(), lock.read():
        assert lock.readers == 1
    with lock.write():
        assert (lock.name, lock.is_written) == ("cache", True)
    assert "Named object" in repr(lock)


def test_it_cannot_be_copied_or_pickled() -> None:
    for lock in (RWLock(), Named("cache"), RWLock().read(), RWLock().write()):
        with pytest.raises(TypeError, match="cannot pickle"):
            copy.copy(lock)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="cannot pickle"):
                pickle.dumps(lock, protocol)


def test_it_may_be_weakly_referenced_and_outlived_by_its_holds() -> None:
    lock = RWLock()
    reference = weakref.ref(lock)
    hold = lock.write()
    assert reference() is lock
    with hold:
        del lock
        assert reference() is None
    with hold:
        pass


def test_a_subclass_in_a_cycle_is_freed() -> None:
    def cycle() -> Named:
        lock = Named("cycle")
        lock.name = lock  # type: ignore[assignment]
        return lock

    assert is_freed(cycle)


def test_no_references_are_lost_or_kept() -> None:
    lock = RWLock()
    hold = lock.read()
    before = sys.getrefcount(hold), sys.getrefcount(lock)
    for _ in range(100):
        with lock.read(), lock.read(1):
            pass
        with lock.write() as writing:
            writing.downgrade()
    del writing
    assert (sys.getrefcount(hold), sys.getrefcount(lock)) == before


def test_a_writer_gets_in_under_a_stream_of_readers(frantic: None) -> None:
    lock, over = RWLock(), threading.Event()
    meeting = threading.Barrier(3)

    def read() -> None:
        meeting.wait(TIMEOUT_SECONDS)
        # There is a reader at every moment: the one does not leave before the other has come.
        for _ in rounds(10**9):
            with lock.read():
                if over.is_set():
                    return
                with lock.read(), lock.read():
                    pass

    readers = [Result(read) for _ in range(2)]
    meeting.wait(TIMEOUT_SECONDS)
    for _ in range(20):
        with lock.write(timeout=TIMEOUT_SECONDS):
            assert lock.readers == 0
    over.set()
    for reader in readers:
        reader.get()


def test_a_reader_gets_in_under_a_stream_of_writers(frantic: None) -> None:
    lock, over = RWLock(), threading.Event()
    meeting = threading.Barrier(3)

    def write() -> None:
        meeting.wait(TIMEOUT_SECONDS)
        for _ in rounds(10**9):
            with lock.write():
                if over.is_set():
                    return

    writers = [Result(write) for _ in range(2)]
    meeting.wait(TIMEOUT_SECONDS)
    for _ in range(20):
        with lock.read(timeout=TIMEOUT_SECONDS):
            assert not lock.is_written
    over.set()
    for writer in writers:
        writer.get()


def test_writers_exclude_all_others(frantic: None) -> None:
    lock, values = RWLock(), [0, 0]

    def write() -> None:
        for _ in rounds(2000):
            with lock.write() as writing:
                values[0] += 1
                values[1] += 1
                if values[0] % 3 == 0:
                    writing.downgrade()
                    assert values[0] == values[1]

    def read() -> None:
        for _ in rounds(2000):
            with lock.read():
                assert values[0] == values[1]

    threads = [Result(work) for work in (write, write, read, read)]
    for thread in threads:
        thread.get()
    assert (lock.is_written, lock.readers, lock.waiting) == (False, 0, 0)


def test_time_outs_lose_nothing(frantic: None) -> None:
    """Holds that are given up just when the lock is handed over are given back."""
    lock = RWLock()

    def work(hold: Callable[[float], AbstractContextManager[object]]) -> None:
        for number in rounds(1000):
            try:
                with hold(number % 7 * 1e-5):
                    pass
            except TimeoutError:
                pass

    threads = [Result(work, hold) for hold in (lock.read, lock.write) * 2]
    for thread in threads:
        thread.get()
    assert (lock.is_written, lock.readers, lock.waiting) == (False, 0, 0)
    with lock.write(0):
        pass
