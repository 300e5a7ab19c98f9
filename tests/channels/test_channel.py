"""`Channel` with room: what is sent is received, once and in order, and the end comes after the last item."""

from __future__ import annotations

import copy
import math
import pickle
import queue
import sys
import threading
import weakref
from collections import Counter
from typing import Any

import pytest

from oxthreads.channels import Channel, ClosedError
from oxthreads.queue import ShutDown
from tests.support.garbage import is_freed
from tests.support.threads import Result
from tests.support.waiting import until_asleep


def drained(channel: Channel[Any]) -> list[Any]:
    """What can be received without a wait."""
    items = []
    try:
        while True:
            items.append(channel.receive_nowait())
    except (queue.Empty, ClosedError):
        return items


def test_items_come_out_in_order_and_the_loop_ends_after_the_last() -> None:
    channel: Channel[int] = Channel(3)

    def produce() -> None:
        with channel:
            for number in range(1000):
                channel.send(number)

    producer = Result(produce)
    assert list(channel) == list(range(1000))
    producer.get()
    assert channel.closed
    assert len(channel) == 0


@pytest.mark.parametrize("capacity", [0, 1, 5, math.inf])
def test_several_senders_and_receivers_lose_nothing(capacity: float) -> None:
    channel: Channel[tuple[int, int]] = Channel(capacity)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        receivers = [Result(list, channel) for _ in range(3)]

        def send_all(sender: int) -> None:
            for number in range(300):
                channel.send((sender, number))

        senders = [Result(send_all, sender) for sender in range(3)]
        for each in senders:
            each.get()
        channel.close()
        received = [receiver.get() for receiver in receivers]
    finally:
        sys.setswitchinterval(before)
    counts = Counter(item for items in received for item in items)
    assert counts == Counter((sender, number) for sender in range(3) for number in range(300))
    for items in received:
        for sender in range(3):
            numbers = [number for which, number in items if which == sender]
            assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    ("capacity", "shown"),
    [(0, 0), (7, 7), (True, 1), (None, math.inf), (math.inf, math.inf), (10**30, math.inf)],
)
def test_the_capacity_is_what_was_given(capacity: Any, shown: float) -> None:
    assert Channel(capacity).capacity == shown


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((-1,), ValueError, "'capacity' must be at least 0"),
        ((-(10**30),), ValueError, "'capacity' must be at least 0"),
        ((1.5,), TypeError, "must be an int, math.inf or None, not float"),
        ((math.nan,), TypeError, "must be an int"),
        ((-math.inf,), TypeError, "must be an int"),
        (("3",), TypeError, "not str"),
        ((1, "wait"), ValueError, "must be 'block', 'raise', 'drop_oldest' or 'drop_newest', not 'wait'"),
        ((1, 2), TypeError, None),
        ((1, "block", 3), TypeError, None),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: tuple[Any, ...], error: type[Exception], words: str | None
) -> None:
    with pytest.raises(error, match=words):
        Channel(*arguments)


@pytest.mark.parametrize("capacity", [0, 1])
@pytest.mark.parametrize(
    ("timeout", "error"), [(-1, ValueError), ("1", TypeError), (math.nan, ValueError), (1e300, OverflowError)]
)
def test_wrong_timeouts_are_refused(capacity: int, timeout: Any, error: type[Exception]) -> None:
    channel: Channel[int] = Channel(capacity)
    if capacity:
        channel.send(1)
    with pytest.raises(error):
        channel.send(2, timeout)
    channel = Channel(capacity)
    with pytest.raises(error):
        channel.receive(timeout)
    assert len(channel) == 0


def test_waits_end_in_time() -> None:
    channel: Channel[int] = Channel(1)
    for seconds in (0, 0.01):
        with pytest.raises(TimeoutError):
            channel.receive(seconds)
    channel.send(1)
    for seconds in (0, 0.01):
        with pytest.raises(TimeoutError):
            channel.send(2, timeout=seconds)
    assert drained(channel) == [1]


def test_nowait_raises_the_exceptions_of_queues() -> None:
    channel: Channel[int] = Channel(1)
    with pytest.raises(queue.Empty):
        channel.receive_nowait()
    channel.send_nowait(1)
    with pytest.raises(queue.Full):
        channel.send_nowait(2)
    assert channel.receive_nowait() == 1


def test_after_the_end_what_is_inside_is_received_and_nothing_is_sent() -> None:
    channel: Channel[int] = Channel(2)
    channel.send(1)
    channel.send(2)
    channel.close()
    channel.close()
    for send in (channel.send, channel.send_nowait):
        with pytest.raises(ClosedError, match="the channel is closed"):
            send(3)
    assert channel.receive() == 1
    assert channel.receive(timeout=5) == 2
    for receive in (channel.receive, channel.receive_nowait):
        with pytest.raises(ClosedError):
            receive()
    assert list(channel) == []


def test_the_error_is_a_shutdown_of_queues() -> None:
    assert issubclass(ClosedError, ShutDown)
    if sys.version_info >= (3, 13):
        assert issubclass(ClosedError, queue.ShutDown)


@pytest.mark.parametrize("capacity", [0, 1])
def test_the_end_wakes_senders_who_keep_their_items(capacity: int) -> None:
    channel: Channel[str] = Channel(capacity)
    for _ in range(capacity):
        channel.send("inside")
    item = "kept"
    senders = [Result(channel.send, item, timeout) for timeout in (None, 60)]
    until_asleep(*(sender.thread for sender in senders))
    channel.close()
    for sender in senders:
        with pytest.raises(ClosedError):
            sender.get()
    assert drained(channel) == ["inside"] * capacity


@pytest.mark.parametrize("capacity", [0, 1])
def test_the_end_wakes_receivers(capacity: int) -> None:
    channel: Channel[str] = Channel(capacity)
    receivers = [Result(channel.receive, timeout) for timeout in (None, 60)] + [Result(list, channel)]
    until_asleep(*(receiver.thread for receiver in receivers))
    channel.close()
    for receiver in receivers[:2]:
        with pytest.raises(ClosedError):
            receiver.get()
    assert receivers[2].get() == []


def test_a_full_channel_raises_if_it_is_told_to() -> None:
    channel: Channel[int] = Channel(1, "raise")
    channel.send(1)
    for timeout in (None, 0, 60):
        with pytest.raises(queue.Full):
            channel.send(2, timeout)
    assert channel.on_full == "raise"
    assert drained(channel) == [1]
    assert channel.dropped == 0


def test_the_oldest_is_dropped() -> None:
    channel: Channel[int] = Channel(3, on_full="drop_oldest")
    for number in range(10):
        channel.send(number)
    assert (len(channel), channel.dropped) == (3, 7)
    assert drained(channel) == [7, 8, 9]


def test_the_newest_is_dropped() -> None:
    channel: Channel[int] = Channel(3, on_full="drop_newest")
    for number in range(10):
        channel.send_nowait(number)
    assert (len(channel), channel.dropped) == (3, 7)
    assert drained(channel) == [0, 1, 2]


@pytest.mark.parametrize("on_full", ["drop_oldest", "drop_newest"])
def test_what_is_dropped_is_freed_and_its_destructor_may_use_the_channel(on_full: Any) -> None:
    channel: Channel[Any] = Channel(1, on_full)
    lengths = []

    class Noisy:
        def __del__(self) -> None:
            lengths.append(len(channel))

    for _ in range(4):
        channel.send(Noisy())
    assert channel.dropped == 3
    assert lengths == [1, 1, 1]


def test_a_channel_that_drops_wakes_who_waits() -> None:
    for on_full in ("drop_oldest", "drop_newest", "raise"):
        for capacity in (0, 1):
            channel: Channel[int] = Channel(capacity, on_full)  # type: ignore[arg-type]
            receiver = Result(channel.receive)
            until_asleep(receiver.thread)
            channel.send(1)
            assert receiver.get() == 1
            assert channel.dropped == 0


def test_an_empty_channel_is_true() -> None:
    assert Channel()
    assert len(Channel()) == 0


def test_it_closes_at_the_end_of_a_with_statement() -> None:
    channel: Channel[int] = Channel(1)
    with pytest.raises(KeyError), channel as entered:
        assert entered is channel
        raise KeyError
    assert channel.closed


@pytest.mark.parametrize("action", [copy.copy, copy.deepcopy, pickle.dumps])
def test_it_is_not_copied(action: Any) -> None:
    with pytest.raises(TypeError, match="cannot pickle 'Channel' object"):
        action(Channel())


def test_it_can_be_referred_to_weakly() -> None:
    channel: Channel[int] = Channel()
    reference = weakref.ref(channel)
    assert reference() is channel
    del channel
    assert reference() is None


def test_a_subclass_may_take_arguments_of_its_own() -> None:
    class Named(Channel[int]):
        def __init__(self, name: str, size: int) -> None:
            super().__init__(size, on_full="raise")
            self.name = name

    channel = Named("numbers", 2)
    assert (channel.name, channel.capacity, channel.on_full) == ("numbers", 2, "raise")


def test_a_subclass_that_forgets_to_call_init_is_a_rendezvous() -> None:
    class Forgetful(Channel[int]):
        def __init__(self) -> None:
            pass

    channel = Forgetful()
    assert channel.capacity == 0
    with pytest.raises(queue.Full):
        channel.send_nowait(1)


def test_init_is_called_once() -> None:
    channel: Channel[int] = Channel(1)
    channel.send(1)
    with pytest.raises(RuntimeError, match="called twice"):
        channel.__init__(5)  # type: ignore[misc]
    assert channel.receive() == 1


def test_a_channel_in_a_cycle_with_its_item_is_freed() -> None:
    class Mine(Channel[Any]):
        pass

    def cycle() -> Any:
        channel = Mine(2)
        channel.send([channel])
        return channel

    assert is_freed(cycle)


def test_the_size_grows_with_the_items() -> None:
    channel: Channel[int] = Channel(None)
    empty = sys.getsizeof(channel)
    for number in range(1000):
        channel.send(number)
    assert sys.getsizeof(channel) > empty + 1000


def test_it_says_what_it_is() -> None:
    channel: Channel[int] = Channel(5)
    channel.send(1)
    assert "oxthreads.channels.Channel of 1/5 items at 0x" in repr(channel)
    channel.close()
    assert repr(channel).startswith("<closed ")
    assert "of 0/inf items" in repr(Channel(None))


def test_a_destructor_may_send(capacity: int = 10) -> None:
    channel: Channel[int] = Channel(capacity)

    class Last:
        def __del__(self) -> None:
            channel.send(1)

    for _ in range(3):
        Last()
    assert drained(channel) == [1, 1, 1]


def test_a_waiting_receiver_is_served_before_one_that_comes_later() -> None:
    channel: Channel[int] = Channel(10)
    order: list[str] = []

    def receive(name: str) -> None:
        channel.receive()
        order.append(name)

    first = Result(receive, "first")
    until_asleep(first.thread)
    second = Result(receive, "second")
    until_asleep(second.thread)
    channel.send(1)
    first.get()
    channel.send(2)
    second.get()
    assert order == ["first", "second"]


def test_threads_may_be_of_the_standard_library() -> None:
    channel: Channel[int] = Channel()
    thread = threading.Thread(target=channel.send, args=(1,))
    thread.start()
    assert channel.receive() == 1
    thread.join()
