"""Channels, subscriptions and watched values as sources of `select`, `merge` and `readable`."""

from __future__ import annotations

import queue
import selectors
import sys
from typing import Any

import pytest

from oxthreads.channels import Broadcast, Channel, ClosedError, Lagged, Watch
from oxthreads.queue import Queue, ShutDown
from oxthreads.threading import Event
from oxthreads.waiting import get, merge, put, readable, select
from tests.support.threads import Result
from tests.support.waiting import until_asleep


def test_what_is_ready_is_taken_at_once() -> None:
    channel: Channel[int] = Channel(1)
    channel.send(1)
    broadcast: Broadcast[int] = Broadcast(1)
    subscription = broadcast.subscribe()
    broadcast.send(2)
    watch = Watch(0)
    reader = watch.subscribe()
    watch.set(3)
    never = Event()
    assert select(never, channel, timeout=0) == (channel, 1)
    assert select(never, subscription, timeout=0) == (subscription, 2)
    assert select(never, reader, timeout=0) == (reader, 3)
    for source in (channel, subscription, reader):
        assert select(never, source, timeout=0, default=None) is None


def test_what_becomes_ready_ends_the_wait() -> None:
    channel: Channel[int] = Channel()
    broadcast: Broadcast[int] = Broadcast(1)
    subscription = broadcast.subscribe()
    watch = Watch(0)
    reader = watch.subscribe()
    for end, source, value in (
        (lambda: channel.send(1), channel, 1),
        (lambda: broadcast.send(2), subscription, 2),
        (lambda: watch.set(3), reader, 3),
    ):
        waiting = Result(select, channel, subscription, reader)
        until_asleep(waiting.thread)
        end()
        assert waiting.get() == (source, value)


def test_it_sends() -> None:
    full: Channel[int] = Channel(1)
    full.send(0)
    never = Event()
    sending = put(full, 1)
    assert sending.queue is full
    assert sending.item == 1
    waiting = Result(select, sending, never)
    until_asleep(waiting.thread)
    assert full.receive() == 0
    assert waiting.get() == (sending, None)
    assert full.receive() == 1


def test_it_sends_to_a_broadcast_when_the_slowest_has_room() -> None:
    broadcast: Broadcast[int] = Broadcast(1, on_lag="block")
    first, second = broadcast.subscribe(), broadcast.subscribe()
    assert select(put(broadcast, 0), timeout=0)[1] is None
    sending = put(broadcast, 1)
    assert select(sending, timeout=0, default="full") == "full"
    waiting = Result(select, sending, Event())
    until_asleep(waiting.thread)
    assert first.receive() == 0
    assert second.receive() == 0
    assert waiting.get() == (sending, None)
    assert (first.receive(), second.receive()) == (1, 1)


def test_the_end_of_a_channel_raises_with_the_source() -> None:
    channel: Channel[int] = Channel()
    broadcast: Broadcast[int] = Broadcast(1)
    subscription = broadcast.subscribe()
    watch = Watch(0)
    reader = watch.subscribe()
    never = Event()
    sending = put(Channel[int](1), 1)
    select(sending)
    to_broadcast = put(Broadcast[int](1, "block"), 1)
    for source, close in (
        (channel, channel.close),
        (subscription, broadcast.close),
        (reader, watch.close),
        (sending, sending.queue.close),  # type: ignore[union-attr]
        (to_broadcast, to_broadcast.queue.close),  # type: ignore[union-attr]
    ):
        if source is not to_broadcast:
            waiting = Result(select, never, source)
            until_asleep(waiting.thread)
            close()
            with pytest.raises(ClosedError) as caught:
                waiting.get()
            assert caught.value.source is source
        close()
        with pytest.raises(ShutDown) as again:
            select(never, source, timeout=0)
        assert again.value.source is source  # type: ignore[attr-defined]


def test_a_full_channel_that_raises_does_not_wait() -> None:
    for capacity in (0, 1):
        channel: Channel[int] = Channel(capacity, "raise")
        if capacity:
            channel.send(0)
        sending = put(channel, 1)
        with pytest.raises(queue.Full) as caught:
            select(Event(), sending, timeout=30)
        assert caught.value.source is sending  # type: ignore[attr-defined]


@pytest.mark.parametrize("on_full", ["drop_oldest", "drop_newest"])
def test_a_full_channel_that_drops_does_not_wait(on_full: Any) -> None:
    for capacity in (0, 1):
        channel: Channel[int] = Channel(capacity, on_full)
        if capacity:
            channel.send(0)
        sending = put(channel, 1)
        assert select(Event(), sending, timeout=30) == (sending, None)
        assert channel.dropped == 1


def test_a_subscriber_that_has_missed_items_is_told() -> None:
    broadcast: Broadcast[int] = Broadcast(1)
    subscription = broadcast.subscribe()
    broadcast.send(1)
    broadcast.send(2)
    with pytest.raises(Lagged) as caught:
        select(Event(), subscription, timeout=0)
    assert (caught.value.missed, caught.value.source) == (1, subscription)
    assert select(Event(), subscription, timeout=0) == (subscription, 2)


def test_exactly_one_of_a_channel_and_a_queue_is_taken() -> None:
    channel: Channel[int] = Channel(1)
    items: Queue[int] = Queue()
    channel.send(1)
    items.put(1)
    for _ in range(50):
        source, _ = select(channel, items)
        if source is channel:
            assert items.qsize() == 1
            channel.send(1)
        else:
            assert len(channel) == 1
            items.put(1)


def test_a_broadcast_and_a_watch_have_to_be_subscribed_to() -> None:
    for source in (Broadcast[int](1), Watch(1)):
        with pytest.raises(TypeError, match=r"wait for what its subscribe\(\) returns"):
            select(source)  # type: ignore[call-overload]


def test_methods_of_a_subclass_are_not_passed_by() -> None:
    class Counting(Channel[int]):
        def receive(self, timeout: float | None = None) -> int:
            return super().receive(timeout) + 1

    class Telling(Broadcast[int]):
        def send(self, item: int, timeout: float | None = None) -> None:
            super().send(item + 1, timeout)

    for action in (select, lambda source: put(source, 1), readable):
        with pytest.raises(TypeError, match="has a send or receive of its own"):
            action(Counting(1))  # type: ignore[operator]
    with pytest.raises(TypeError, match="has a send or receive of its own"):
        put(Telling(1), 1)

    class Plain(Channel[int]):
        pass

    channel = Plain(1)
    channel.send(1)
    assert select(channel) == (channel, 1)


def test_a_channel_has_no_batches() -> None:
    with pytest.raises(TypeError, match="an oxthreads queue is needed"):
        get(Channel[int](1))  # type: ignore[arg-type]


def test_merge_takes_channels_and_queues_until_all_have_ended() -> None:
    channel, items = Channel[str](3), Queue[str]()
    broadcast: Broadcast[str] = Broadcast(3)
    subscription = broadcast.subscribe()
    watch = Watch("")
    reader = watch.subscribe()
    channel.send("a")
    items.put("b")
    broadcast.send("c")
    watch.set("d")
    channel.close()
    items.shutdown()
    broadcast.close()
    watch.close()
    found = list(merge(channel, items, subscription, reader))
    assert sorted(item for _, item in found) == ["a", "b", "c", "d"]
    assert {id(source) for source, _ in found} == {
        id(each) for each in (channel, items, subscription, reader)
    }


@pytest.mark.skipif(sys.platform == "win32", reason="no descriptors there")
def test_a_descriptor_tells_whether_a_source_is_ready() -> None:
    room, meeting = Channel[int](1), Channel[int]()
    broadcast: Broadcast[int] = Broadcast(1)
    subscription = broadcast.subscribe()
    watch = Watch(0)
    reader = watch.subscribe()
    for source, make_ready, take, close in (
        (room, lambda: room.send(1), room.receive, room.close),
        (subscription, lambda: broadcast.send(1), subscription.receive, broadcast.close),
        (reader, lambda: watch.set(1), reader.changed, watch.close),
    ):
        with readable(source) as file, selectors.DefaultSelector() as selector:  # type: ignore[arg-type]
            selector.register(file, selectors.EVENT_READ)
            for _ in range(2):
                assert not selector.select(0)
                make_ready()
                assert selector.select(0)
                take()
            assert not selector.select(0)
            close()
            assert selector.select(0)
    with readable(meeting) as file, selectors.DefaultSelector() as selector:
        selector.register(file, selectors.EVENT_READ)
        assert not selector.select(0)
        sender = Result(meeting.send, 1)
        assert selector.select(30)
        assert meeting.receive() == 1
        assert not selector.select(0)
        sender.get()
        meeting.close()
        assert selector.select(0)


@pytest.mark.skipif(sys.platform == "win32", reason="no descriptors there")
def test_a_subscription_that_is_closed_is_readable() -> None:
    subscription = Broadcast[int](1).subscribe()
    with readable(subscription) as file, selectors.DefaultSelector() as selector:
        selector.register(file, selectors.EVENT_READ)
        subscription.close()
        assert selector.select(0)
    with readable(subscription) as file, selectors.DefaultSelector() as selector:
        selector.register(file, selectors.EVENT_READ)
        assert selector.select(0)
