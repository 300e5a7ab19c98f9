"""`Broadcast` and `Watch` do what plain models say, whatever several threads do with them in any order."""

from __future__ import annotations

import itertools
import queue
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from oxthreads.channels import Broadcast, ClosedError, Lagged, Subscription, Watch, WatchReader
from oxthreads.waiting import put, select
from tests.support.actors import CANCELLED, CancellableActor
from tests.support.state_machines import run_machine
from tests.support.waiting import spin_until

ACTORS = range(3)
actors = st.sampled_from(ACTORS)
places = st.integers(0, 3)
timeouts = st.sampled_from([0, 0.0, 1e-9, 1e-4])
#: Not often: what comes after it is mostly refused.
seldom = st.sampled_from([*[False] * 9, True])


def outcome(call: Callable[[], object]) -> object:
    """What it returns; or the class of what it raises, with the number of items that were missed."""
    try:
        return call()
    except Lagged as error:
        return Lagged, error.missed
    except Exception as error:
        return type(error)


class Reading:
    """What a subscription has received: it goes on with the item of this number."""

    def __init__(self, following: int) -> None:
        self.following, self.missed, self.closed = following, 0, False


class News:
    """The rules of a broadcast. All items that were ever sent are in a list."""

    def __init__(self, capacity: int | None, on_lag: str) -> None:
        self.capacity, self.on_lag, self.closed = capacity, on_lag, False
        self.items: list[int] = []
        #: How many of the items were dropped because somebody was slow.
        self.lost = 0
        self.readings: list[Reading] = []
        #: Who waits to send, in this order, with the item; and who waits to receive, with the subscription.
        self.senders: dict[int, int] = {}
        self.receivers: dict[int, int] = {}
        self.completed: dict[int, object] = {}

    @property
    def kept(self) -> int:
        """How many items somebody has not received."""
        following = [each.following for each in self.readings if not each.closed]
        return len(self.items) - max(self.lost, min(following, default=len(self.items)))

    @property
    def has_room(self) -> bool:
        return self.capacity is None or self.kept < self.capacity

    def send(self, item: int) -> object:
        """None; or ClosedError or Full. Those who wait for the item get it by `hand_out`."""
        if self.closed:
            return ClosedError
        if not self.has_room:
            if self.on_lag == "block":
                return queue.Full
            self.lost = len(self.items) - self.kept + 1
        self.items.append(item)
        return None

    def receive(self, place: int) -> object:
        reading = self.readings[place]
        if reading.closed:
            return ClosedError
        missed = self.lost - reading.following
        if missed > 0:
            reading.missed += missed
            reading.following = self.lost
            if self.on_lag == "raise":
                return Lagged, missed
        if reading.following == len(self.items):
            return ClosedError if self.closed else queue.Empty
        reading.following += 1
        item = self.items[reading.following - 1]
        self.move_up()
        return item

    def move_up(self) -> None:
        """There may be room for those that wait to send."""
        while self.senders and self.has_room and not self.closed:
            actor = next(iter(self.senders))
            assert self.send(self.senders.pop(actor)) is None
            self.completed[actor] = None

    def close_reading(self, place: int) -> None:
        self.readings[place].closed = True
        self.move_up()

    def close(self) -> None:
        self.closed = True
        for actor in self.senders:
            self.completed[actor] = ClosedError
        self.senders.clear()

    def waits(self, actor: int) -> bool:
        return actor in self.senders or actor in self.receivers


class BroadcastMachine(RuleBasedStateMachine):
    """Lets threads wait to send and to receive, and does in this thread what does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = itertools.count(1)
        self.actors = [CancellableActor() for _ in ACTORS]
        self.broadcast: Broadcast[int] = Broadcast(1)
        self.model = News(1, "raise")
        self.subscriptions: list[Subscription[int]] = []

    @initialize(
        capacity=st.sampled_from([1, 1, 2, 3, None]),
        on_lag=st.sampled_from(["block", "block", "raise", "drop"]),
    )
    def begin(self, capacity: int | None, on_lag: Any) -> None:
        self.broadcast, self.model = Broadcast(capacity, on_lag), News(capacity, on_lag)
        self.subscribe()

    def free(self) -> int | None:
        return next((each for each in ACTORS if not self.model.waits(each)), None)

    def place(self, number: int) -> int:
        return number % len(self.subscriptions)

    @rule()
    def subscribe(self) -> None:
        if len(self.subscriptions) < 4:
            self.subscriptions.append(self.broadcast.subscribe())
            self.model.readings.append(Reading(len(self.model.items)))

    @rule(selects=st.booleans())
    def wait_to_send(self, selects: bool) -> None:
        actor, item = self.free(), next(self.numbers)
        if actor is None:
            return
        if selects:
            self.actors[actor].give(lambda: outcome(lambda: select(put(self.broadcast, item))[1]))
        else:
            self.actors[actor].give(lambda: outcome(lambda: self.broadcast.send(item)))
        expected = self.model.send(item)
        if expected is queue.Full:
            self.model.senders[actor] = item
        else:
            self.model.completed[actor] = expected

    @rule(number=places, way=st.sampled_from(["receive", "select", "loop"]))
    def wait_to_receive(self, number: int, way: str) -> None:
        actor, place = self.free(), self.place(number)
        if actor is None:
            return
        subscription = self.subscriptions[place]
        calls: dict[str, Callable[[], object]] = {
            "receive": subscription.receive,
            "select": lambda: select(subscription)[1],
            "loop": lambda: next(subscription, ClosedError),
        }
        self.actors[actor].give(lambda: outcome(calls[way]))
        expected = self.model.receive(place)
        if expected is queue.Empty:
            self.model.receivers[actor] = place
        else:
            self.model.completed[actor] = expected

    @rule(timeout=timeouts | st.none())
    def send(self, timeout: float | None) -> None:
        """None: `send_nowait`."""
        item = next(self.numbers)
        expected = self.model.send(item)
        if timeout is None:
            found = outcome(lambda: self.broadcast.send_nowait(item))
        else:
            found = outcome(lambda: self.broadcast.send(item, timeout))
            expected = TimeoutError if expected is queue.Full else expected
        assert found == expected

    @rule(number=places, timeout=timeouts | st.none())
    def receive(self, number: int, timeout: float | None) -> None:
        place = self.place(number)
        expected = self.model.receive(place)
        if timeout is None:
            found = outcome(self.subscriptions[place].receive_nowait)
        else:
            found = outcome(lambda: self.subscriptions[place].receive(timeout))
            expected = TimeoutError if expected is queue.Empty else expected
        assert found == expected

    @rule(number=places, sure=seldom)
    def close_a_subscription(self, number: int, sure: bool) -> None:
        if sure:
            self.subscriptions[self.place(number)].close()
            self.model.close_reading(self.place(number))

    @rule(sure=seldom)
    def close(self, sure: bool) -> None:
        if sure:
            self.broadcast.close()
            self.model.close()

    @rule(actor=actors)
    def cancel(self, actor: int) -> None:
        if self.model.waits(actor):
            self.actors[actor].scope.cancel()
            self.model.senders.pop(actor, None)
            self.model.receivers.pop(actor, None)
            assert self.actors[actor].outcome() == CANCELLED

    def hand_out(self) -> None:
        """Those that wait for an item get theirs. Of several that share a subscription, any gets it."""
        for place in sorted({*self.model.receivers.values()}):
            while True:
                those = [actor for actor, its in self.model.receivers.items() if its == place]
                expected = self.model.receive(place) if those else queue.Empty
                if expected is queue.Empty:
                    break
                spin_until(lambda those=those: any(not self.actors[each].is_busy for each in those))
                actor = next(each for each in those if not self.actors[each].is_busy)
                del self.model.receivers[actor]
                assert self.actors[actor].outcome() == expected, (actor, expected)

    @invariant()
    def they_agree(self) -> None:
        while True:
            self.hand_out()
            if not self.model.completed:
                break
            actor, expected = self.model.completed.popitem()
            assert self.actors[actor].outcome() == expected, (actor, expected)
        for actor in (*self.model.senders, *self.model.receivers):
            self.actors[actor].until_parked()
        assert len(self.broadcast) == self.model.kept
        assert self.broadcast.closed == self.model.closed
        open_ones = [each for each in self.model.readings if not each.closed]
        assert self.broadcast.subscriptions == len(open_ones)
        for subscription, reading in zip(self.subscriptions, self.model.readings, strict=True):
            assert subscription.closed == reading.closed
            lag = max(0, self.model.lost - reading.following)
            assert subscription.missed == (0 if reading.closed else reading.missed + lag)
            left = len(self.model.items) - max(reading.following, self.model.lost)
            assert len(subscription) == (0 if reading.closed else left)

    def teardown(self) -> None:
        self.broadcast.close()
        self.model.close()
        self.they_agree()
        for actor in self.actors:
            actor.dismiss()


class WatchMachine(RuleBasedStateMachine):
    """Sets a value to greater and greater numbers, for which threads wait."""

    def __init__(self) -> None:
        super().__init__()
        self.actors = [CancellableActor() for _ in ACTORS]
        self.watch = Watch(1)
        self.value, self.closed = 1, False
        self.readers: list[WatchReader[int]] = []
        self.seen: list[int] = []
        #: Who waits: for a change, with the place of the reader; or for a number, with that.
        self.of_readers: dict[int, int] = {}
        self.of_numbers: dict[int, int] = {}
        self.subscribe()

    def free(self) -> int | None:
        those = (each for each in ACTORS if each not in self.of_readers and each not in self.of_numbers)
        return next(those, None)

    def place(self, number: int) -> int:
        return number % len(self.readers)

    def changed(self, place: int) -> object:
        """The answer of a reader; None if it has none yet."""
        if self.seen[place] != self.value:
            self.seen[place] = self.value
            return self.value
        return ClosedError if self.closed else None

    def reached(self, number: int) -> object:
        if self.value >= number:
            return self.value
        return ClosedError if self.closed else None

    @rule()
    def subscribe(self) -> None:
        if len(self.readers) < 4:
            self.readers.append(self.watch.subscribe())
            self.seen.append(self.value)

    @rule(step=st.integers(1, 3))
    def set(self, step: int) -> None:
        if self.closed:
            assert outcome(lambda: self.watch.set(99)) is ClosedError
        else:
            self.value += step
            self.watch.set(self.value)

    @rule(step=st.integers(1, 3), meanwhile=st.integers(0, 2))
    def update(self, step: int, meanwhile: int) -> None:
        """The value is set `meanwhile` times while the function runs, so that it is called again."""
        if self.of_readers or self.of_numbers:
            meanwhile = 0  # A thread that waits may see a value in between, or not.
        values: list[int] = []

        def change(value: int) -> int:
            values.append(value)
            if len(values) <= meanwhile and not self.closed:
                self.watch.set(value + 1)
            return value + step

        found = outcome(lambda: self.watch.update(change))
        if self.closed:
            assert (found, values) == (ClosedError, [self.value])
        else:
            assert values == [self.value + number for number in range(meanwhile + 1)]
            self.value += meanwhile + step
            assert found == self.value

    @rule(number=places, way=st.sampled_from(["changed", "select", "loop"]))
    def wait_for_a_change(self, number: int, way: str) -> None:
        actor, place = self.free(), self.place(number)
        if actor is None:
            return
        reader = self.readers[place]
        calls: dict[str, Callable[[], object]] = {
            "changed": reader.changed,
            "select": lambda: select(reader)[1],
            "loop": lambda: next(reader, ClosedError),
        }
        self.actors[actor].give(lambda: outcome(calls[way]))
        self.of_readers[actor] = place

    @rule(more=st.integers(-1, 5))
    def wait_for_a_number(self, more: int) -> None:
        actor, number = self.free(), self.value + more
        if actor is not None:
            self.actors[actor].give(lambda: outcome(lambda: self.watch.wait_for(number.__le__)))
            self.of_numbers[actor] = number

    @rule(number=places, timeout=timeouts)
    def change_in_time(self, number: int, timeout: float) -> None:
        place = self.place(number)
        found = outcome(lambda: self.readers[place].changed(timeout))
        assert found == (self.changed(place) or TimeoutError)

    @rule(more=st.integers(-1, 2), timeout=timeouts)
    def number_in_time(self, more: int, timeout: float) -> None:
        number = self.value + more
        found = outcome(lambda: self.watch.wait_for(number.__le__, timeout))
        assert found == (self.reached(number) or TimeoutError)

    @rule(sure=seldom)
    def close(self, sure: bool) -> None:
        if sure:
            self.watch.close()
            self.closed = True

    @rule(actor=actors)
    def cancel(self, actor: int) -> None:
        if actor in self.of_readers or actor in self.of_numbers:
            self.actors[actor].scope.cancel()
            self.of_readers.pop(actor, None)
            self.of_numbers.pop(actor, None)
            assert self.actors[actor].outcome() == CANCELLED

    @invariant()
    def they_agree(self) -> None:
        for actor, number in [*self.of_numbers.items()]:
            expected = self.reached(number)
            if expected is not None:
                del self.of_numbers[actor]
                assert self.actors[actor].outcome() == expected
        # If several share a reader, any of them sees the change, and all of them the end.
        for place in sorted({*self.of_readers.values()}):
            while those := [actor for actor, its in self.of_readers.items() if its == place]:
                expected = self.changed(place)
                if expected is None:
                    break
                spin_until(lambda those=those: any(not self.actors[each].is_busy for each in those))
                actor = next(each for each in those if not self.actors[each].is_busy)
                del self.of_readers[actor]
                assert self.actors[actor].outcome() == expected
        for actor in (*self.of_readers, *self.of_numbers):
            self.actors[actor].until_parked()
        assert (self.watch.value, self.watch.closed) == (self.value, self.closed)
        for reader, seen in zip(self.readers, self.seen, strict=True):
            assert (reader.value, reader.has_changed) == (self.value, seen != self.value)

    def teardown(self) -> None:
        self.watch.close()
        self.closed = True
        self.they_agree()
        for actor in self.actors:
            actor.dismiss()


@pytest.mark.one_thread("starts threads in each example")
@pytest.mark.timeout(600)  # after a failure, the fewest steps that lead to it are looked for
@pytest.mark.parametrize("machine", [BroadcastMachine, WatchMachine])
def test_they_do_what_the_model_says(machine: type[RuleBasedStateMachine]) -> None:
    run_machine(machine, examples=100, steps=50)
