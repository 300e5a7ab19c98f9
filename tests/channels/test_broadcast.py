"""`Broadcast`: each subscriber receives each item, in order, or is told how many it has missed."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import queue
import sys
import threading
import weakref
from typing import Any

import pytest

from oxthreads.channels import Broadcast, ClosedError, Lagged, Subscription
from tests.support.garbage import is_freed
from tests.support.threads import Result
from tests.support.waiting import spin_until, until_asleep


class Item:
    """An object that can be referred to weakly."""


def drained(subscription: Subscription[Any]) -> list[Any]:
    """What can be received without a wait."""
    items = []
    try:
        while True:
            items.append(subscription.receive_nowait())
    except (queue.Empty, ClosedError):
        return items


def test_each_subscriber_receives_what_is_sent_after_it_has_subscribed() -> None:
    broadcast: Broadcast[int] = Broadcast(10)
    broadcast.send(0)  # for nobody
    first = broadcast.subscribe()
    broadcast.send(1)
    second = broadcast.subscribe()
    broadcast.send(2)
    assert broadcast.subscriptions == 2
    assert (len(broadcast), len(first), len(second)) == (2, 2, 1)
    assert drained(first) == [1, 2]
    assert drained(second) == [2]
    assert len(broadcast) == 0
    assert first.broadcast is broadcast


@pytest.mark.parametrize("on_lag", ["raise", "drop", "block"])
def test_several_threads_send_to_several_subscribers(on_lag: Any) -> None:
    broadcast: Broadcast[tuple[int, int]] = Broadcast(1000 if on_lag != "block" else 3, on_lag)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def send(sender: int) -> None:
        for number in range(200):
            broadcast.send((sender, number))

    try:
        subscriptions = [broadcast.subscribe() for _ in range(4)]
        receivers = [Result(list, subscription) for subscription in subscriptions]
        for sender in [Result(send, sender) for sender in range(3)]:
            sender.get()
        broadcast.close()
        received = [receiver.get() for receiver in receivers]
    finally:
        sys.setswitchinterval(before)
    assert received[1:] == received[:-1], "not in the same order"
    for sender in range(3):
        assert [number for which, number in received[0] if which == sender] == list(range(200))


def test_a_slow_subscriber_is_told_what_it_has_missed_and_goes_on() -> None:
    broadcast: Broadcast[int] = Broadcast(3)
    slow, fast = broadcast.subscribe(), broadcast.subscribe()
    for number in range(10):
        broadcast.send(number)
        assert fast.receive() == number
    assert (slow.missed, fast.missed) == (7, 0)
    with pytest.raises(Lagged, match="7 items were missed") as caught:
        slow.receive()
    assert caught.value.missed == 7
    assert slow.missed == 7
    assert drained(slow) == [7, 8, 9]
    for number in range(5):
        broadcast.send(number)
    with pytest.raises(Lagged) as again:
        slow.receive_nowait()
    assert again.value.missed == 2
    assert drained(slow) == [2, 3, 4]
    assert slow.missed == 9


def test_a_slow_subscriber_may_miss_items_silently() -> None:
    broadcast: Broadcast[int] = Broadcast(3, on_lag="drop")
    subscription = broadcast.subscribe()
    for number in range(10):
        broadcast.send_nowait(number)
    assert drained(subscription) == [7, 8, 9]
    assert subscription.missed == 7


def test_a_sender_waits_for_the_slowest() -> None:
    broadcast: Broadcast[int] = Broadcast(2, on_lag="block")
    slow, fast = broadcast.subscribe(), broadcast.subscribe()
    broadcast.send(1)
    broadcast.send(2)
    with pytest.raises(queue.Full):
        broadcast.send_nowait(3)
    for seconds in (0, 0.01):
        with pytest.raises(TimeoutError):
            broadcast.send(3, timeout=seconds)
    sender = Result(broadcast.send, 3)
    until_asleep(sender.thread)
    assert drained(fast) == [1, 2]
    assert sender.thread.is_alive()
    assert slow.receive() == 1
    sender.get()
    assert drained(slow) == [2, 3]
    assert drained(fast) == [3]
    assert (slow.missed, fast.missed) == (0, 0)


def test_senders_that_wait_are_served_in_the_order_in_which_they_came() -> None:
    broadcast: Broadcast[int] = Broadcast(1, on_lag="block")
    subscription = broadcast.subscribe()
    broadcast.send(0)
    senders = []
    for number in range(1, 4):
        senders.append(Result(broadcast.send, number))
        until_asleep(senders[-1].thread)
    assert [subscription.receive() for _ in range(4)] == [0, 1, 2, 3]
    for sender in senders:
        sender.get()


@pytest.mark.parametrize("end", ["close", "with", "garbage", "the end of a thread"])
def test_a_sender_does_not_wait_for_a_subscription_that_has_ended(end: str) -> None:
    broadcast: Broadcast[int] = Broadcast(1, on_lag="block")
    kept = broadcast.subscribe()
    subscriptions = [broadcast.subscribe()]
    broadcast.send(1)
    assert kept.receive() == 1
    senders = [Result(broadcast.send, number) for number in (2, 3)]
    until_asleep(*(sender.thread for sender in senders))
    if end == "close":
        subscriptions[0].close()
    elif end == "with":
        with subscriptions[0]:
            pass
    elif end == "garbage":
        subscriptions.append(subscriptions)  # type: ignore[arg-type]
        del subscriptions
        gc.collect()
    else:
        Result(subscriptions.clear).get()
    spin_until(lambda: broadcast.subscriptions == 1)
    assert sorted([kept.receive(), kept.receive()]) == [2, 3]
    for sender in senders:
        sender.get()


def test_a_subscription_that_was_closed_receives_nothing() -> None:
    broadcast: Broadcast[int] = Broadcast(3)
    subscription, other = broadcast.subscribe(), broadcast.subscribe()
    broadcast.send(1)
    waiting = broadcast.subscribe()
    receiver = Result(waiting.receive)
    until_asleep(receiver.thread)
    for each in (subscription, waiting):
        each.close()
        each.close()
        assert each.closed
        assert (len(each), each.missed) == (0, 0)
    with pytest.raises(ClosedError):
        receiver.get()
    for receive in (subscription.receive, subscription.receive_nowait):
        with pytest.raises(ClosedError, match="the subscription is closed"):
            receive()
    assert list(subscription) == []
    assert drained(other) == [1]
    assert not broadcast.closed


def test_after_the_end_what_was_sent_is_received() -> None:
    broadcast: Broadcast[int] = Broadcast(1, on_lag="block")
    subscription = broadcast.subscribe()
    broadcast.send(1)
    sender = Result(broadcast.send, 2)
    until_asleep(sender.thread)
    broadcast.close()
    with pytest.raises(ClosedError):
        sender.get()
    for send in (broadcast.send, broadcast.send_nowait):
        with pytest.raises(ClosedError, match="the broadcast is closed"):
            send(3)
    assert list(subscription) == [1]
    with pytest.raises(ClosedError):
        broadcast.subscribe().receive()


def test_the_end_wakes_receivers() -> None:
    broadcast: Broadcast[int] = Broadcast(1)
    receivers = [Result(list, broadcast.subscribe()), Result(broadcast.subscribe().receive, 60)]
    until_asleep(*(receiver.thread for receiver in receivers))
    with broadcast:
        pass
    assert receivers[0].get() == []
    with pytest.raises(ClosedError):
        receivers[1].get()


def test_threads_that_share_a_subscription_share_its_items() -> None:
    broadcast: Broadcast[int] = Broadcast(1000)
    subscription = broadcast.subscribe()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        receivers = [Result(list, subscription) for _ in range(3)]
        until_asleep(*(receiver.thread for receiver in receivers))
        for number in range(500):
            broadcast.send(number)
        broadcast.close()
        received = [number for receiver in receivers for number in receiver.get()]
    finally:
        sys.setswitchinterval(before)
    assert sorted(received) == list(range(500))


def test_waits_end_in_time() -> None:
    subscription = Broadcast[int](1).subscribe()
    for seconds in (0, 0.01):
        with pytest.raises(TimeoutError):
            subscription.receive(seconds)
    with pytest.raises(queue.Empty):
        subscription.receive_nowait()
    for receive in (lambda: subscription.receive(-1), lambda: subscription.broadcast.send(1, -1)):
        with pytest.raises(ValueError, match="non-negative"):
            receive()


def test_what_all_have_received_is_let_go_of() -> None:
    broadcast: Broadcast[Any] = Broadcast(10)
    first, second = broadcast.subscribe(), broadcast.subscribe()
    item = Item()
    reference = weakref.ref(item)
    broadcast.send(item)
    del item
    first.receive()
    assert reference() is not None
    second.receive()
    assert reference() is None


def test_what_nobody_receives_is_let_go_of_and_may_use_the_broadcast() -> None:
    broadcast: Broadcast[Any] = Broadcast(1)
    lengths = []

    class Noisy:
        def __del__(self) -> None:
            lengths.append(len(broadcast))

    broadcast.send(Noisy())
    assert lengths == [0]
    subscription = broadcast.subscribe()
    broadcast.send(Noisy())
    broadcast.send(Noisy())
    assert lengths == [0, 1]
    subscription.close()
    assert lengths == [0, 1, 0]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((0,), ValueError, "'capacity' must be at least 1"),
        ((-3,), ValueError, "'capacity' must be at least 1"),
        ((math.nan,), TypeError, "must be an int"),
        ((), TypeError, "capacity"),
        ((1, "wait"), ValueError, "must be 'raise', 'block' or 'drop', not 'wait'"),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple[Any, ...], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Broadcast(*arguments)


def test_it_may_have_no_limit() -> None:
    broadcast: Broadcast[int] = Broadcast(None)
    assert broadcast.capacity == Broadcast(math.inf).capacity == math.inf
    subscription = broadcast.subscribe()
    for number in range(10_000):
        broadcast.send(number)
    assert len(subscription) == 10_000
    assert drained(subscription) == list(range(10_000))


def test_it_is_true_and_says_what_it_is() -> None:
    broadcast: Broadcast[int] = Broadcast(1)
    subscription = broadcast.subscribe()
    assert broadcast
    assert subscription
    assert "oxthreads.channels.Broadcast to 1 at 0x" in repr(broadcast)
    assert "oxthreads.channels.Subscription with 0 items at 0x" in repr(subscription)
    broadcast.close()
    subscription.close()
    assert repr(broadcast).startswith("<closed ")
    assert repr(subscription).startswith("<closed ")
    assert broadcast.on_lag == "raise"


@pytest.mark.parametrize("action", [copy.copy, copy.deepcopy, pickle.dumps])
def test_it_is_not_copied(action: Any) -> None:
    broadcast: Broadcast[int] = Broadcast(1)
    for thing in (broadcast, broadcast.subscribe()):
        with pytest.raises(TypeError, match=f"cannot pickle '{type(thing).__name__}' object"):
            action(thing)


def test_a_subscription_is_made_only_by_subscribe() -> None:
    with pytest.raises(TypeError):
        Subscription()


def test_a_subclass_may_take_arguments_of_its_own() -> None:
    class Named(Broadcast[int]):
        def __init__(self, name: str) -> None:
            super().__init__(2, on_lag="drop")
            self.name = name

    broadcast = Named("prices")
    assert (broadcast.name, broadcast.capacity, broadcast.on_lag) == ("prices", 2, "drop")
    with pytest.raises(RuntimeError, match="called twice"):
        broadcast.__init__("again")  # type: ignore[misc]


def test_a_broadcast_in_a_cycle_with_an_item_is_freed() -> None:
    class Mine(Broadcast[Any]):
        pass

    def cycle() -> Any:
        broadcast = Mine(2)
        broadcast.send([broadcast, broadcast.subscribe()])  # for nobody, so it is let go of
        subscription = broadcast.subscribe()
        broadcast.send([broadcast, subscription])
        return broadcast

    assert is_freed(cycle)


def test_a_subscription_keeps_its_broadcast() -> None:
    broadcast: Broadcast[int] = Broadcast(1)
    reference = weakref.ref(broadcast)
    subscription = broadcast.subscribe()
    broadcast.send(1)
    del broadcast
    assert reference() is not None
    assert subscription.receive() == 1
    del subscription
    assert reference() is None


def test_subscribers_come_and_go_while_others_send() -> None:
    broadcast: Broadcast[int] = Broadcast(2, on_lag="block")
    stop = threading.Event()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def send() -> int:
        number = 0
        while not stop.is_set():
            broadcast.send(number)
            number += 1
        return number

    def visit() -> None:
        for _ in range(100):
            with broadcast.subscribe() as mine:
                numbers = [mine.receive() for _ in range(3)]
                assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]

    try:
        sender = Result(send)
        for visitor in [Result(visit) for _ in range(3)]:
            visitor.get()
        stop.set()
        assert sender.get() > 0
    finally:
        stop.set()
        sys.setswitchinterval(before)
    assert broadcast.subscriptions == 0
    assert len(broadcast) == 0
