"""What type checkers know of `select`: mypy checks this file, and it runs as a test."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any, assert_type

from oxthreads.concurrent.futures import Future
from oxthreads.queue import Queue, SimpleQueue
from oxthreads.threading import Event, Lock, Semaphore
from oxthreads.waiting import after, every, get, merge, put, select

if TYPE_CHECKING:
    from oxthreads.waiting import Source


def test_the_value_has_the_type_of_the_sources() -> None:
    numbers: Queue[int] = Queue()
    words: SimpleQueue[str] = SimpleQueue()
    numbers.put(1)
    source, number = select(numbers)
    assert_type(number, int)
    assert number + 1 == 2
    assert source is numbers
    words.put("tea")
    _, either = select(numbers, words)
    assert_type(either, int | str)
    numbers.put_many([1, 2])
    _, many = select(get(numbers, 2))
    assert_type(many, list[int])
    _, nothing = select(put(words, "a"))
    assert_type(nothing, None)
    _, acquired = select(Lock(), Semaphore())
    assert_type(acquired, bool)
    _, ticks = select(every(0.001))
    assert_type(ticks, int)
    _, over = select(after(0))
    assert_type(over, None)
    flag = Event()
    flag.set()
    future: Future[str] = Future()
    _, three = select(words, flag, future)
    assert_type(three, str | bool | None)


def test_a_default_adds_its_type() -> None:
    numbers: Queue[int] = Queue()
    found = select(numbers, timeout=0, default="none")
    if isinstance(found, str):
        assert_type(found, str)
        assert found == "none"
    else:
        assert_type(found[1], int)
        raise AssertionError(found)


def test_threads_and_sockets_are_sources() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    near, far = socket.socketpair()
    with near, far:
        far.send(b"x")
        source, value = select(thread, near)
        assert_type(value, Any)
        assert source in (thread, near)
        found = select(near, thread, timeout=0, default=None)
        assert found is not None


def test_merged_items() -> None:
    numbers: Queue[int] = Queue()
    numbers.put(1)
    numbers.shutdown()
    for queue, item in merge(numbers):
        assert_type(item, int)
        assert queue is numbers


def first_of(*sources: Source[int]) -> int:
    return select(*sources)[1]


def test_a_function_of_its_own() -> None:
    numbers: Queue[int] = Queue()
    numbers.put(3)
    assert first_of(numbers, every(60)) == 3
