"""Waits for channels that are interrupted: by signals, exceptions of other threads, forks, and the end."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from oxthreads.channels import Broadcast, Channel, ClosedError, Watch
from oxthreads.threading import Event
from oxthreads.waiting import put, select
from tests.support.endings import ENDINGS, HELPERS, Ending
from tests.support.forks import can_fork, forks, in_child
from tests.support.interpreters import python
from tests.support.signals import Interrupt, fail, handler, signal_once_asleep
from tests.support.threads import Result, start
from tests.support.waiting import until_asleep

pytestmark = [
    pytest.mark.one_thread("sends signals, raises exceptions in other threads, and forks"),
    pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them"),
]

WAITS = [
    "send", "receive", "send: rendezvous", "receive: rendezvous", "send: broadcast", "receive: broadcast",
    "changed", "wait_for", "select: send", "select: receive", "select: broadcast", "for",
]  # fmt: skip


def endless(name: str) -> Callable[[], object]:
    """A wait that nothing ends."""
    full, empty, meeting = Channel[int](1), Channel[int](1), Channel[int]()
    full.send(0)
    broadcast: Broadcast[int] = Broadcast(1, on_lag="block")
    subscription, other = broadcast.subscribe(), Broadcast[int](1).subscribe()
    broadcast.send(0)
    watch = Watch(0)
    reader = watch.subscribe()
    never = Event()
    waits: dict[str, Callable[[], object]] = {
        "send": lambda: full.send(1),
        "receive": empty.receive,
        "send: rendezvous": lambda: meeting.send(1),
        "receive: rendezvous": meeting.receive,
        "send: broadcast": lambda: broadcast.send(1) or subscription,
        "receive: broadcast": other.receive,
        "changed": reader.changed,
        "wait_for": lambda: watch.wait_for(bool),
        "select: send": lambda: select(put(meeting, 1), never),
        "select: receive": lambda: select(meeting, empty, other, reader),
        "select: broadcast": lambda: select(put(broadcast, 1), never) and subscription,
        "for": lambda: list(meeting),
    }
    return waits[name]


class Killed(BaseException):
    """The exception that ends a thread."""


def kill(thread: threading.Thread) -> None:
    """Let the thread raise `Killed` as soon as it executes Python code."""
    assert thread.ident is not None
    set_exception = ctypes.pythonapi.PyThreadState_SetAsyncExc
    assert set_exception(ctypes.c_ulong(thread.ident), ctypes.py_object(Killed)) == 1


@pytest.mark.parametrize("name", WAITS)
def test_an_exception_of_a_handler_ends_the_wait(name: str) -> None:
    with handler(fail):
        sender = signal_once_asleep()
        with pytest.raises(Interrupt):
            endless(name)()
        sender.join()


def test_an_interrupted_send_has_sent_nothing() -> None:
    meeting, full = Channel[int](), Channel[int](1)
    full.send(0)
    broadcast: Broadcast[int] = Broadcast(1, on_lag="block")
    subscription = broadcast.subscribe()
    broadcast.send(0)
    for send in (meeting.send, full.send, broadcast.send):
        with handler(fail):
            sender = signal_once_asleep()
            with pytest.raises(Interrupt):
                send(1)
            sender.join()
    with pytest.raises(queue.Empty):
        meeting.receive_nowait()
    assert full.receive() == 0
    assert len(full) == 0
    assert subscription.receive() == 0
    assert len(subscription) == 0


def test_an_interrupted_receive_has_taken_nothing() -> None:
    meeting, empty = Channel[int](), Channel[int](1)
    subscription = Broadcast[int](1).subscribe()
    for receive in (meeting.receive, empty.receive, subscription.receive):
        with handler(fail):
            sender = signal_once_asleep()
            with pytest.raises(Interrupt):
                receive()
            sender.join()
    with pytest.raises(queue.Full):
        meeting.send_nowait(1)
    empty.send(1)
    assert len(empty) == 1
    subscription.broadcast.send(1)
    assert len(subscription) == 1


def once_given(give: Callable[[], object]) -> Callable[[], object]:
    """Sends the signal when the wait was given what it waits for, and has not run since."""

    def send() -> None:
        until_asleep(threading.main_thread())
        # In one step, so that the main thread cannot run in between, if there is a GIL.
        before = sys.getswitchinterval()
        sys.setswitchinterval(100)
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
            give()
        finally:
            sys.setswitchinterval(before)

    return send


def test_a_handler_may_receive_from_the_channel_that_the_thread_waits_for() -> None:
    """It takes the item that the wait was woken for, and the wait goes on."""
    for capacity in (0, 1):
        channel: Channel[int] = Channel(capacity)
        taken: list[int] = []

        def take(channel: Channel[int] = channel, taken: list[int] = taken) -> None:
            taken.append(channel.receive(timeout=30))

        def give(channel: Channel[int] = channel) -> None:
            channel.send(1)
            channel.send(2)

        with handler(take):
            sender = start(once_given(give))
            taken.append(channel.receive(timeout=30))
            sender.join()
        assert sorted(taken) == [1, 2]


def test_a_handler_may_send_to_the_channel_that_the_thread_waits_to_send_to() -> None:
    for capacity in (0, 1):
        channel: Channel[int] = Channel(capacity)
        for _ in range(capacity):
            channel.send(0)
        received: list[int] = []

        def receive(channel: Channel[int] = channel, received: list[int] = received) -> None:
            for _ in range(2 + channel.capacity):  # type: ignore[call-overload]
                received.append(channel.receive(timeout=30))

        with handler(lambda channel=channel: channel.send(2, timeout=30)):  # type: ignore[misc]
            sender = start(once_given(receive))
            channel.send(1, timeout=30)
            sender.join()
        assert sorted(received)[-2:] == [1, 2]


def test_a_handler_may_use_the_broadcast_that_the_thread_waits_for() -> None:
    broadcast: Broadcast[int] = Broadcast(1, on_lag="block")
    subscription = broadcast.subscribe()
    broadcast.send(0)
    # The handler makes the room that the wait is for.
    with handler(lambda: subscription.receive(timeout=30)):
        sender = signal_once_asleep()
        broadcast.send(1, timeout=30)
        sender.join()
    assert subscription.receive() == 1
    # The handler takes room before the wait does, and makes it again.
    broadcast.send(2)

    def use() -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                subscription.receive_nowait()
        broadcast.send(3, timeout=30)
        subscription.receive(timeout=30)

    with handler(use):
        sender = start(once_given(subscription.receive))
        broadcast.send(4, timeout=30)
        sender.join()
    # The handler sends what the wait is for.
    subscription.close()
    other = broadcast.subscribe()
    with handler(lambda: broadcast.send(5)):
        sender = signal_once_asleep()
        assert other.receive(timeout=30) == 5
        sender.join()


def test_a_handler_may_set_the_value_that_the_thread_waits_for() -> None:
    watch = Watch(0)
    reader = watch.subscribe()
    with handler(lambda: watch.set(1)):
        sender = signal_once_asleep()
        assert reader.changed(timeout=30) == 1
        sender.join()
    with handler(lambda: watch.set(2)):
        sender = signal_once_asleep()
        assert watch.wait_for(lambda value: value == 2, timeout=30) == 2
        sender.join()


def test_a_handler_may_close_the_channel_that_the_thread_waits_for() -> None:
    for wait in ("send", "receive"):
        channel: Channel[int] = Channel()
        with handler(channel.close):
            sender = signal_once_asleep()
            with pytest.raises(ClosedError):
                channel.send(1) if wait == "send" else channel.receive()
            sender.join()


def test_another_receiver_is_served_while_a_handler_runs() -> None:
    """The main thread has been woken for an item, and its handler waits until another thread has it."""
    for capacity in (0, 1):
        channel: Channel[int] = Channel(capacity)
        other_has_it = threading.Event()

        def receive(channel: Channel[int] = channel, done: threading.Event = other_has_it) -> None:
            channel.receive(timeout=30)
            done.set()

        def give(channel: Channel[int] = channel) -> None:
            receiver = Result(receive)
            until_asleep(receiver.thread)
            channel.send(1, timeout=30)

        with handler(lambda done=other_has_it: done.wait(30)):  # type: ignore[misc]
            sender = start(once_given(give))
            if not other_has_it.is_set():
                with contextlib.suppress(TimeoutError):
                    channel.receive(timeout=1)
            sender.join()
        channel.close()


@pytest.mark.parametrize("capacity", [0, 1, 5])
def test_a_storm_of_signals_loses_no_item_and_sends_none_twice(capacity: int) -> None:
    channel: Channel[int] = Channel(capacity)
    received: list[int] = []
    count = 300
    over = threading.Event()
    raised: list[int] = []

    def receive_one() -> None:
        # The list has the item before the next bytecode, so no exception can come in between.
        received.extend(itertools.islice(channel, 1))

    def interrupt(_number: int, frame: Any) -> None:
        if frame is not None and frame.f_code is receive_one.__code__:
            raised.append(1)
            raise Interrupt

    def send() -> None:
        for number in range(count):
            channel.send(number)

    def disturb() -> None:
        while not over.is_set():
            os.kill(os.getpid(), signal.SIGUSR1)
            over.wait(0.0002)

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        sender, disturber = Result(send), Result(disturb)
        while len(received) < count:
            with contextlib.suppress(Interrupt):
                receive_one()
        over.set()
        sender.get()
        disturber.get()
    finally:
        over.set()
        signal.signal(signal.SIGUSR1, before)
    assert received == list(range(count))
    assert len(channel) == 0


@can_fork
@forks
def test_the_parents_waiters_are_passed_over_in_a_child() -> None:
    meeting, empty, full = Channel[int](), Channel[int](5), Channel[int](1)
    other: Channel[int] = Channel()
    full.send(0)
    broadcast: Broadcast[int] = Broadcast(1, on_lag="block")
    subscription = broadcast.subscribe()
    broadcast.send(0)
    idle = Broadcast[int](5).subscribe()
    watch = Watch(0)
    reader = watch.subscribe()
    waiters = [
        Result(meeting.send, 1), Result(other.receive), Result(empty.receive), Result(full.send, 1),
        Result(broadcast.send, 1), Result(idle.receive), Result(reader.changed),
        Result(select, put(meeting, 2), other, idle),
    ]  # fmt: skip
    until_asleep(*(waiter.thread for waiter in waiters))

    def check() -> None:
        with pytest.raises(queue.Empty):
            meeting.receive_nowait()
        with pytest.raises(queue.Full):
            other.send_nowait(1)
        receiver = Result(other.receive)
        other.send(2, timeout=10)
        assert receiver.get() == 2
        sender = Result(meeting.send, 3)
        assert meeting.receive(timeout=10) == 3
        sender.get()
        empty.send(4)
        assert empty.receive() == 4
        assert full.receive() == 0
        full.send(5)
        assert full.receive() == 5
        assert subscription.receive() == 0
        assert len(subscription) == 0
        broadcast.send(6)
        assert subscription.receive() == 6
        idle.broadcast.send(7)
        assert idle.receive() == 7
        watch.set(8)
        assert reader.changed() == 8
        for each in (meeting, other, empty, full):
            each.close()

    in_child(check)
    for channel in (meeting, other, empty, full, broadcast, idle, watch):
        channel.close()
    for waiter in waiters:
        with contextlib.suppress(ClosedError):
            waiter.get()


OBJECTS = f"""
import sys, threading, time, os, atexit
from oxthreads.channels import Broadcast, Channel, Watch
from oxthreads.waiting import select, put
meeting, full, empty, other = Channel(), Channel(1), Channel(1), Channel()
full.send(0)
broadcast = Broadcast(1, on_lag="block")
subscription = broadcast.subscribe()
broadcast.send(0)
idle = Broadcast(1).subscribe()
watch = Watch(0)
reader = watch.subscribe()
{HELPERS}
until_asleep(*daemons(
    lambda: meeting.send(1), lambda: meeting.send(1, timeout=1000), other.receive, empty.receive,
    lambda: full.send(1), lambda: broadcast.send(1), idle.receive, reader.changed,
    lambda: watch.wait_for(bool), lambda: select(put(full, 1), empty, idle, reader), lambda: list(empty)))
"""

LATE = """
class Late:
    def __del__(self, channels=(meeting, full, empty, other, broadcast, idle, watch)):
        watch.set(1)
        empty.send_nowait(1)
        full.receive_nowait()
        try: meeting.receive_nowait()
        except Exception: pass
        for each in channels: each.close()
        try: empty.send(1)
        except Exception: pass
sys.keep = Late()
"""


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
@pytest.mark.parametrize("late", ["", LATE], ids=["", "used late"])
def test_threads_that_wait_do_not_hold_up_the_end(ending: Ending, late: str) -> None:
    done = python(OBJECTS + late + ending.code)
    assert done.returncode == ending.status, done.stderr
    if ending.error:
        assert done.stderr.rstrip().endswith(ending.error)
    else:
        assert done.stderr == ""


def test_an_endless_wait_at_the_end_raises() -> None:
    done = python(
        "import os, sys\nfrom oxthreads.channels import Channel\n"
        "class Late:\n"
        "    def __del__(self, channel=Channel(1), write=os.write):\n"
        "        try: channel.receive()\n"
        "        except RuntimeError as error: write(1, type(error).__name__.encode() + b'\\n')\n"
        "sys.keep = Late()\n"
        if sys.version_info >= (3, 13)
        else "print('PythonFinalizationError')"
    )
    assert done.stdout == "PythonFinalizationError\n", done.stderr


def test_a_killed_receiver_leaves_the_item_to_the_next(item: Any = 1) -> None:
    for capacity in (0, 1):
        channel: Channel[Any] = Channel(capacity)
        first = Result(channel.receive)
        until_asleep(first.thread)
        second = Result(channel.receive)
        until_asleep(second.thread)
        kill(first.thread)
        channel.send(item, timeout=30)
        with pytest.raises(Killed):
            first.get()
        assert second.get() == item
