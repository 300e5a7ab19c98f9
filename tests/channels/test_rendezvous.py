"""`Channel` without room: a sender and a receiver meet, and what nobody receives stays with its sender."""

from __future__ import annotations

import gc
import queue
import sys
import threading
import weakref
from typing import Any

import pytest

from oxthreads.channels import Channel, ClosedError
from oxthreads.threading import Event
from oxthreads.waiting import put, select
from tests.support.threads import Result
from tests.support.waiting import rounds, spin_until, until_asleep


class Item:
    """An object that can be referred to weakly."""


def test_send_returns_only_when_the_item_was_received() -> None:
    channel: Channel[int] = Channel()
    sent = threading.Event()

    def send() -> None:
        channel.send(1)
        sent.set()

    sender = Result(send)
    until_asleep(sender.thread)
    assert not sent.is_set()
    assert len(channel) == 0
    assert channel.receive() == 1
    sender.get()


def test_a_receiver_that_waits_gets_the_item() -> None:
    channel: Channel[int] = Channel()
    for number in range(100):
        receiver = Result(channel.receive)
        if number % 10 == 0:
            until_asleep(receiver.thread)
        channel.send(number)
        assert receiver.get() == number


def test_without_a_receiver_nothing_is_sent_without_a_wait() -> None:
    channel: Channel[int] = Channel()
    with pytest.raises(queue.Full):
        channel.send_nowait(1)
    with pytest.raises(TimeoutError):
        channel.send(1, timeout=0)
    with pytest.raises(TimeoutError):
        channel.send(1, timeout=0.01)
    with pytest.raises(queue.Empty):
        channel.receive_nowait()


def test_a_receiver_that_waits_is_enough_to_send_without_a_wait() -> None:
    channel: Channel[int] = Channel()
    receiver = Result(channel.receive)
    until_asleep(receiver.thread)
    channel.send_nowait(1)
    assert receiver.get() == 1


def test_a_sender_that_waits_is_enough_to_receive_without_a_wait() -> None:
    channel: Channel[int] = Channel()
    sender = Result(channel.send, 1)
    until_asleep(sender.thread)
    assert channel.receive_nowait() == 1
    sender.get()


def test_senders_are_received_from_in_the_order_in_which_they_came() -> None:
    channel: Channel[int] = Channel()
    senders = []
    for number in range(5):
        senders.append(Result(channel.send, number))
        until_asleep(senders[-1].thread)
    assert [channel.receive() for _ in range(5)] == list(range(5))
    for sender in senders:
        sender.get()


def test_one_that_gives_up_leaves_its_place_to_the_next() -> None:
    channel: Channel[int] = Channel()
    hasty = Result(channel.send, 1, 2.0)
    until_asleep(hasty.thread)
    patient = Result(channel.send, 2)
    until_asleep(patient.thread)
    with pytest.raises(TimeoutError):
        hasty.get()
    assert channel.receive() == 2
    patient.get()


def test_the_items_of_a_rendezvous_are_let_go_of() -> None:
    channel: Channel[Any] = Channel()
    item = Item()
    reference = weakref.ref(item)
    sender = Result(channel.send, item)
    del item
    until_asleep(sender.thread)
    received = channel.receive()
    sender.get()
    assert reference() is received
    del received
    # The thread that sent it may have dropped its own reference last.
    spin_until(lambda: gc.collect() is not None and reference() is None)


@pytest.mark.parametrize("on_full", ["drop_oldest", "drop_newest"])
def test_what_nobody_waits_for_is_dropped_if_told_so(on_full: Any) -> None:
    channel: Channel[int] = Channel(0, on_full)
    channel.send(1)
    assert channel.dropped == 1
    receiver = Result(channel.receive)
    until_asleep(receiver.thread)
    channel.send(2)
    assert receiver.get() == 2
    assert channel.dropped == 1


def test_nothing_is_received_from_a_sender_after_the_end() -> None:
    """The one or the other: the item was received, or its sender got the error."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in rounds(300):
            channel: Channel[str] = Channel()
            barrier = threading.Barrier(3)

            def send(channel: Channel[str] = channel, barrier: threading.Barrier = barrier) -> bool:
                barrier.wait()
                try:
                    channel.send("item")
                except ClosedError:
                    return False
                return True

            def receive(channel: Channel[str] = channel, barrier: threading.Barrier = barrier) -> list[str]:
                barrier.wait()
                return list(channel)

            sender, receiver = Result(send), Result(receive)
            barrier.wait()
            channel.close()
            assert receiver.get() == (["item"] if sender.get() else [])
    finally:
        sys.setswitchinterval(before)


def test_an_item_that_its_receiver_gave_back_is_received_after_the_end() -> None:
    """`send_nowait` hands it to a thread that waits. It is not lost if that one times out just then."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in rounds(300):
            channel: Channel[int] = Channel()
            receiver = Result(receive_in_time, channel)
            sent = False
            while not sent and receiver.thread.is_alive():
                try:
                    channel.send_nowait(1)
                    sent = True
                except queue.Full:
                    pass
            channel.close()
            received = receiver.get()
            assert received + list(channel) == [1] * sent
            with pytest.raises(ClosedError):
                channel.receive()
    finally:
        sys.setswitchinterval(before)


def receive_in_time(channel: Channel[int]) -> list[int]:
    try:
        return [channel.receive(timeout=0.0005)]
    except (TimeoutError, ClosedError):
        return []


def test_a_select_that_sends_is_not_overtaken_by_those_who_come_later() -> None:
    channel: Channel[str] = Channel()
    never = Event()
    selecting = Result(select, put(channel, "selected"), never)
    until_asleep(selecting.thread)
    others = [Result(channel.send, "other") for _ in range(3)]
    until_asleep(*(other.thread for other in others))
    assert channel.receive() == "selected"
    assert selecting.get()[1] is None
    assert [channel.receive() for _ in others] == ["other"] * 3
    for other in others:
        other.get()


def test_a_select_that_sends_is_served_beside_senders_that_never_stop() -> None:
    channel: Channel[str] = Channel()
    never = Event()
    stop = threading.Event()

    def send_for_ever() -> None:
        while not stop.is_set():
            try:
                channel.send("other", timeout=1)
            except (TimeoutError, ClosedError):
                return

    def receive_for_ever() -> None:
        for _ in channel:
            pass

    senders = [Result(send_for_ever) for _ in range(3)]
    receiver = Result(receive_for_ever)
    try:
        # In the main thread, too, which before Python 3.13 leaves its lists now and then.
        for _ in range(5):
            assert select(put(channel, "selected"), never, timeout=30)[1] is None
        Result(select, put(channel, "selected"), never, timeout=30).get()
    finally:
        stop.set()
        channel.close()
    for each in [*senders, receiver]:
        each.get()


def test_a_select_in_the_main_thread_is_served_beside_receivers_that_never_stop() -> None:
    channel, never = Channel[int](), Event()
    stop = threading.Event()

    def receive_for_ever() -> None:
        for _ in channel:
            pass

    def send_for_ever() -> None:
        number = 0
        while not stop.is_set():
            channel.send(number)
            number += 1

    receivers = [Result(receive_for_ever) for _ in range(3)]
    sender = Result(send_for_ever)
    try:
        for _ in range(20):
            source, _ = select(channel, never, timeout=30)
            assert source is channel
    finally:
        stop.set()
        sender.get()
        channel.close()
    for receiver in receivers:
        receiver.get()


def test_two_selects_that_send_to_each_other_meet_in_exactly_one_channel() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in rounds(200):
            there, back = Channel[str](), Channel[str]()
            first = Result(select, put(there, "there"), back, timeout=30)
            second = Result(select, put(back, "back"), there, timeout=30)
            results = first.get()[1], second.get()[1]
            assert results in ((None, "there"), ("back", None))
            for channel in (there, back):
                with pytest.raises(queue.Empty):
                    channel.receive_nowait()
    finally:
        sys.setswitchinterval(before)


def test_a_select_does_not_meet_itself() -> None:
    channel: Channel[str] = Channel()
    for fair in (True, False):
        with pytest.raises(TimeoutError):
            select(put(channel, "item"), channel, timeout=0.02, fair=fair)
        with pytest.raises(TimeoutError):
            select(channel, put(channel, "item"), timeout=0.02, fair=fair)
    both = Result(select, put(channel, "mine"), channel)
    until_asleep(both.thread)
    assert channel.receive() == "mine"
    assert both.get()[1] is None
    both = Result(select, put(channel, "mine"), channel)
    until_asleep(both.thread)
    channel.send("yours")
    source, value = both.get()
    assert (source is channel, value) == (True, "yours")


def test_two_selects_that_both_send_and_receive_meet_each_other() -> None:
    for _ in rounds(100):
        channel: Channel[str] = Channel()
        first = Result(select, put(channel, "first"), channel, timeout=30)
        second = Result(select, put(channel, "second"), channel, timeout=30)
        assert {first.get()[1], second.get()[1]} in ({None, "first"}, {None, "second"})


def test_each_item_of_two_channels_is_sent_and_received_once() -> None:
    """Several selects on both sides, with a switch between threads at every step."""
    first, second = Channel[int](), Channel[int]()
    count = 200
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def send(numbers: range) -> list[int]:
        sent = []
        for number in numbers:
            select(put(first, number), put(second, number), timeout=60)
            sent.append(number)
        return sent

    def receive(total: int) -> list[int]:
        return [select(first, second, timeout=60)[1] for _ in range(total)]

    try:
        receivers = [Result(receive, count) for _ in range(2)]
        senders = [Result(send, range(start, 2 * count, 2)) for start in range(2)]
        for sender in senders:
            assert len(sender.get()) == count
        received = [number for receiver in receivers for number in receiver.get()]
    finally:
        sys.setswitchinterval(before)
    assert sorted(received) == list(range(2 * count))
