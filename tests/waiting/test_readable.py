"""Tests of `readable`: the descriptor says what the source is, at every moment."""

from __future__ import annotations

import os
import selectors
import sys
from collections.abc import Callable
from typing import Any

import pytest

from oxthreads.concurrent.futures import Future
from oxthreads.queue import LifoQueue, PriorityQueue, Queue, SimpleQueue
from oxthreads.threading import Event, Lock, Thread
from oxthreads.waiting import readable, select
from tests.support.forks import can_fork, forks, in_child
from tests.support.garbage import is_freed
from tests.support.refusals import refusal
from tests.support.threads import Result, start
from tests.support.waiting import rounds, spin_until, until_asleep

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no readable() on Windows")


def is_readable(file: Any) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(file, selectors.EVENT_READ)
        return bool(selector.select(timeout=0))


@pytest.mark.parametrize("make", [Queue, LifoQueue, PriorityQueue, SimpleQueue, lambda: Queue(2)])
def test_a_queue_is_readable_as_long_as_it_has_items(make: Callable[[], Any]) -> None:
    items = make()
    with readable(items) as file:
        assert file.source is items
        assert not is_readable(file)
        items.put(1)
        assert is_readable(file)
        items.put(2)
        items.get()
        assert is_readable(file)
        items.get()
        assert not is_readable(file)
        items.put_many([1, 2])
        assert is_readable(file)
        assert len(items.get_many()) == 2
        assert not is_readable(file)
        items.put_nowait(1)
        assert is_readable(file)
        assert select(items) == (items, 1)
        assert not is_readable(file)
        items.shutdown()
        assert is_readable(file)


def test_a_queue_that_has_items_before() -> None:
    items: Queue[int] = Queue()
    items.put(1)
    with readable(items) as file:
        assert is_readable(file)
        with readable(items) as other:
            assert is_readable(other)
            items.get()
            assert not is_readable(other)
        assert not is_readable(file)
        items.put(2)
        assert is_readable(file)
        items.shutdown(immediate=True)
        assert is_readable(file)


def test_an_event_a_future_and_a_thread() -> None:
    flag = Event()
    with readable(flag) as file:
        for _ in range(2):
            assert not is_readable(file)
            flag.set()
            flag.set()
            assert is_readable(file)
            flag.clear()
            flag.clear()
        assert not is_readable(file)
    future: Future[int] = Future()
    with readable(future) as file:
        assert not is_readable(file)
        future.set_result(1)
        assert is_readable(file)
    with readable(future) as file:
        assert is_readable(file)
    end = Event()
    thread = Thread(target=end.wait)
    thread.start()
    with readable(thread) as file:
        assert file.source is thread
        assert not is_readable(file)
        end.set()
        spin_until(lambda: is_readable(file))
        assert not thread.is_alive()


def test_waiting_threads_are_woken_as_before() -> None:
    items: Queue[int] = Queue(1)
    with readable(items) as file:
        getter = Result(items.get)
        until_asleep(getter.thread)
        items.put(1)
        assert getter.get() == 1
        assert not is_readable(file)
        items.put(2)
        putter = Result(items.put, 3)
        until_asleep(putter.thread)
        assert items.get() == 2
        putter.get()
        assert is_readable(file)
        assert items.get() == 3
        assert not is_readable(file)
    flag = Event()
    with readable(flag):
        waiter = Result(flag.wait)
        until_asleep(waiter.thread)
        flag.set()
        assert waiter.get() is True


def test_a_select_sleeps_for_the_file_like_for_any_other() -> None:
    items: Queue[int] = Queue()
    with readable(items) as file:
        sleeper = Result(select, file, Event())
        until_asleep(sleeper.thread)
        items.put(1)
        assert sleeper.get() == (file, None)


def test_a_selector_loop_gets_every_item(frantic: None) -> None:
    first: Queue[int] = Queue(3)
    second: SimpleQueue[int] = SimpleQueue()
    count, taken = 300, []

    def send(items: Any, numbers: range) -> None:
        for number in numbers:
            items.put(number)

    with readable(first) as one, readable(second) as two, selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, first)
        selector.register(two, selectors.EVENT_READ, second)
        senders = [start(send, items, range(begin, count, 2)) for begin, items in enumerate((first, second))]
        while len(taken) < count:
            ready = selector.select(timeout=30)
            assert ready
            for key, _ in ready:
                taken += key.data.get_many(block=False) if not key.data.empty() else []
        for sender in senders:
            sender.join()
        assert sorted(taken) == list(range(count))
        assert not is_readable(one)
        assert not is_readable(two)


def test_it_is_right_whenever_nothing_moves(frantic: None) -> None:
    items: Queue[int] = Queue(2)
    with readable(items) as file:
        for number in rounds(100):
            putters = [start(items.put, number) for _ in range(3)]
            getters = [start(items.get) for _ in range(2)]
            for thread in [*putters, *getters]:
                thread.join()
            assert is_readable(file)
            items.get()
            assert not is_readable(file)


def test_it_costs_nothing_once_it_is_closed() -> None:
    items: Queue[int] = Queue()
    size = items.__sizeof__()
    file = readable(items)
    assert items.__sizeof__() > size
    file.close()
    file.close()
    assert items.__sizeof__() == size
    assert file.closed
    assert refusal(file.fileno) == (ValueError, "I/O operation on closed file")
    assert repr(file).startswith("<closed oxthreads.waiting.readable(<oxthreads.queue.Queue object")
    file = readable(items)
    number = file.fileno()
    del file
    assert items.__sizeof__() == size
    with pytest.raises(OSError):
        os.fstat(number)


def test_it_is_freed_with_its_queue() -> None:
    def cycle() -> Any:
        items: Queue[Any] = Queue()
        items.put(readable(items))
        return items

    assert is_freed(cycle)


@pytest.mark.parametrize("make", [Lock, dict, lambda: 1])
def test_what_has_no_such_file(make: Any) -> None:
    assert refusal(readable, make())[0] is TypeError


def test_an_object_that_uses_the_standard_library() -> None:
    items: Queue[int] = Queue()
    assert not items.queue  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="uses the standard library"):
        readable(items)


def test_a_future_that_falls_back_is_readable_once_it_is_done() -> None:
    future: Future[int] = Future()
    with readable(future) as file:
        assert future._condition  # type: ignore[attr-defined]
        assert not is_readable(file)
        future.set_result(1)
        assert is_readable(file)
    with readable(future) as file:
        assert is_readable(file)


def test_a_queue_or_event_that_falls_back_is_readable_from_then_on() -> None:
    items: Queue[int] = Queue()
    flag = Event()
    with readable(items) as one, readable(flag) as two:
        assert not items.queue  # type: ignore[attr-defined]
        assert flag._cond  # type: ignore[attr-defined]
        assert is_readable(one)
        assert is_readable(two)
        flag.set()
        flag.clear()
        assert is_readable(two)


@forks
@can_fork
@pytest.mark.one_thread("forks")
def test_a_child_has_a_descriptor_of_its_own() -> None:
    items: Queue[int] = Queue()
    file = readable(items)
    parent = file.fileno()

    def check() -> None:
        items.put(1)
        assert is_readable(file)
        items.get()
        assert not is_readable(file)
        items.put(1)
        number = file.fileno()
        assert number != parent
        file.close()
        for closed in (number, parent):
            with pytest.raises(OSError):
                os.fstat(closed)

    in_child(check)
    assert file.fileno() == parent
    assert not is_readable(file)
    items.put(1)
    assert is_readable(file)
    file.close()
