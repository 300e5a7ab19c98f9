"""`Channel` does what a plain model says, whatever several threads do with two channels in any order.

The model says of each step whether it returns, raises or waits, and which of those that wait it completes.
"""

from __future__ import annotations

import itertools
import queue
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from oxthreads.channels import Channel, ClosedError
from oxthreads.waiting import put, select
from tests.support.actors import CANCELLED, CancellableActor
from tests.support.state_machines import run_machine

ACTORS = range(3)
CHANNELS = range(2)
SEND, RECEIVE = "send", "receive"
#: What an iteration returns when the channel has ended.
END = "end"
#: In the place of the number of an arm: it may be any of them.
ANY = -1


@dataclass(frozen=True)
class Arm:
    """One of the things that a thread does or waits for: to send this item, or to receive one."""

    kind: str
    channel: int
    item: int = 0


@dataclass
class Waiting:
    """A thread that waits for the first of its arms."""

    actor: int
    arms: list[Arm]

    def place_of(self, kind: str, channel: int) -> int | None:
        places = [place for place, arm in enumerate(self.arms) if (arm.kind, arm.channel) == (kind, channel)]
        return places[0] if places else None


class Line:
    """One channel."""

    def __init__(self, capacity: int | None, on_full: str) -> None:
        self.capacity, self.on_full = capacity, on_full
        self.items: list[int] = []
        self.closed, self.dropped = False, 0

    @property
    def has_room(self) -> bool:
        return self.capacity is None or len(self.items) < self.capacity


class Model:
    """The rules of channels, for threads that are numbers.

    An outcome is the number of an arm, and what it gives: an item, None, or the class of an exception.
    """

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self.waiting: list[Waiting] = []
        #: What became of those that waited.
        self.completed: dict[int, tuple[int, object]] = {}

    def call(self, actor: int, arms: list[Arm], *, waits: bool) -> tuple[int, object] | None:
        """The outcome of the first arm that has one. None: there is none, or the actor waits."""
        for place, arm in enumerate(arms):
            outcome = (self.send if arm.kind == SEND else self.receive)(actor, arm)
            if outcome is not None:
                return place, outcome[0]
        if waits:
            self.waiting.append(Waiting(actor, arms))
        return None

    def receive(self, actor: int, arm: Arm) -> tuple[object] | None:
        line = self.lines[arm.channel]
        if line.items:
            item = line.items.pop(0)
            while line.has_room and (sender := self.first(SEND, arm.channel)) is not None:
                line.items.append(self.complete(sender, SEND, arm.channel, None))
            return (item,)
        if line.closed:
            return (ClosedError,)
        if line.capacity == 0 and (sender := self.first(SEND, arm.channel, actor)) is not None:
            return (self.complete(sender, SEND, arm.channel, None),)
        return None

    def send(self, actor: int, arm: Arm) -> tuple[object] | None:
        line = self.lines[arm.channel]
        if line.closed:
            return (ClosedError,)
        if (receiver := self.first(RECEIVE, arm.channel, actor)) is not None:
            self.complete(receiver, RECEIVE, arm.channel, arm.item)
            return (None,)
        if not line.has_room:
            if line.on_full == "block":
                return None
            if line.on_full == "raise":
                return (queue.Full,)
            line.dropped += 1
            if line.on_full == "drop_newest" or not line.items:
                return (None,)
            line.items.pop(0)
        line.items.append(arm.item)
        return (None,)

    def first(self, kind: str, channel: int, but: int | None = None) -> Waiting | None:
        """Who has waited longest for this. No thread meets itself."""
        those = (each for each in self.waiting if each.actor != but)
        return next((each for each in those if each.place_of(kind, channel) is not None), None)

    def complete(self, waiting: Waiting, kind: str, channel: int, value: object) -> int:
        """Let the arm take effect. Returns its item."""
        place = waiting.place_of(kind, channel)
        assert place is not None
        self.waiting.remove(waiting)
        self.completed[waiting.actor] = (place, value)
        return waiting.arms[place].item

    def close(self, channel: int) -> None:
        self.lines[channel].closed = True
        for each in [*self.waiting]:
            places = [place for place, arm in enumerate(each.arms) if arm.channel == channel]
            if places:
                self.waiting.remove(each)
                self.completed[each.actor] = (places[0] if len(places) == 1 else ANY, ClosedError)

    def cancel(self, actor: int) -> None:
        self.waiting = [each for each in self.waiting if each.actor != actor]

    def waits(self, actor: int) -> bool:
        return any(each.actor == actor for each in self.waiting)


capacities = st.sampled_from([0, 0, 1, 3, None])
behaviours = st.sampled_from(["block", "block", "block", "raise", "drop_oldest", "drop_newest"])
actors = st.sampled_from(ACTORS)
channels = st.sampled_from(CHANNELS)
#: Not often: what comes after it is mostly refused.
seldom = st.sampled_from([*[False] * 9, True])
kinds = st.sampled_from([SEND, RECEIVE])


class Machine(RuleBasedStateMachine):
    """Gives each actor one call at a time, and makes those itself that do not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.items = itertools.count(1)
        self.actors = [CancellableActor() for _ in ACTORS]
        self.channels: list[Channel[int]] = []
        self.model = Model([])

    @initialize(lines=st.lists(st.tuples(capacities, behaviours), min_size=2, max_size=2))
    def begin(self, lines: list[tuple[int | None, Any]]) -> None:
        self.channels = [Channel(capacity, on_full) for capacity, on_full in lines]
        self.model = Model([Line(capacity, on_full) for capacity, on_full in lines])

    def arm(self, kind: str, channel: int) -> Arm:
        return Arm(kind, channel, next(self.items) if kind == SEND else 0)

    def plain(self, arm: Arm, timeout: float | None) -> Callable[[], object]:
        """The call that does this, without `select`."""
        channel = self.channels[arm.channel]
        if arm.kind == SEND:
            return lambda: (0, channel.send(arm.item, timeout))  # type: ignore[func-returns-value]
        return lambda: (0, channel.receive(timeout))

    def selected(self, arms: list[Arm], **keywords: Any) -> Callable[[], object]:
        """The same by `select`, with the number of the arm that has taken effect."""
        sources: list[Any] = [
            put(self.channels[arm.channel], arm.item) if arm.kind == SEND else self.channels[arm.channel]
            for arm in arms
        ]

        def call() -> object:
            try:
                source, value = select(*sources, fair=False, **keywords)
            except (ClosedError, queue.Full) as error:
                source, value = error.source, type(error)  # type: ignore[union-attr]
            return next(place for place, each in enumerate(sources) if each is source), value

        return call

    def give(self, actor: int, arms: list[Arm], call: Callable[[], object]) -> None:
        """Let the actor make the call, which may wait; or if it waits already, another one."""
        free = [each for each in (*range(actor, len(ACTORS)), *range(actor)) if not self.model.waits(each)]
        if not free:
            return
        actor = free[0]
        self.actors[actor].give(call)
        outcome = self.model.call(actor, arms, waits=True)
        if outcome is not None:
            self.compare(actor, outcome)

    def compare(self, actor: int, expected: tuple[int, object]) -> None:
        found: Any = self.actors[actor].outcome()
        if isinstance(found, type):
            found = (0, found)
        if found == END:
            found = (0, ClosedError)
        if expected[0] == ANY:
            found = (ANY, found[1])
        assert found == expected, (actor, found, expected)

    @rule(actor=actors, kind=kinds, channel=channels)
    def wait(self, actor: int, kind: str, channel: int) -> None:
        arm = self.arm(kind, channel)
        self.give(actor, [arm], self.plain(arm, None))

    @rule(kind=kinds, channel=channels)
    def all_wait(self, kind: str, channel: int) -> None:
        for actor in ACTORS:
            if not self.model.waits(actor):
                self.wait(actor, kind, channel)
                self.they_agree()

    @rule(actor=actors, channel=channels)
    def wait_in_a_loop(self, actor: int, channel: int) -> None:
        def call() -> object:
            found = next(iter(self.channels[channel]), END)
            return found if found == END else (0, found)

        self.give(actor, [self.arm(RECEIVE, channel)], call)

    @rule(actor=actors, arms=st.lists(st.tuples(kinds, channels), min_size=2, max_size=4, unique=True))
    def wait_for_the_first(self, actor: int, arms: list[tuple[str, int]]) -> None:
        made = [self.arm(*arm) for arm in arms]
        self.give(actor, made, self.selected(made))

    def here(self, arms: list[Arm], call: Callable[[], object], otherwise: type[Exception]) -> None:
        """Make a call that does not wait for long, in this thread."""
        outcome = self.model.call(ANY, arms, waits=False)
        try:
            found: Any = call()
        except Exception as error:
            found = 0, type(error)
        assert found == (outcome or (0, otherwise)), (found, outcome)

    @rule(kind=kinds, channel=channels, timeout=st.sampled_from([0, 0.0, 1e-9, 1e-4]))
    def in_time(self, kind: str, channel: int, timeout: float) -> None:
        arm, line = self.arm(kind, channel), self.model.lines[channel]
        call = self.plain(arm, timeout)
        meets = (kind, line.capacity, line.on_full) == (SEND, 0, "block") and timeout > 0
        if meets and self.model.first(RECEIVE, channel) is not None:
            # Either the thread that waits to receive is faster, or the time is over before.
            try:
                call()
            except TimeoutError:
                return
            assert self.model.call(ANY, [arm], waits=False) == (0, None)
            return
        self.here([arm], call, TimeoutError)

    @rule(kind=kinds, channel=channels)
    def without_a_wait(self, kind: str, channel: int) -> None:
        arm, target = self.arm(kind, channel), self.channels[channel]
        if kind == SEND:
            self.here([arm], lambda: (0, target.send_nowait(arm.item)), queue.Full)  # type: ignore[func-returns-value]
        else:
            self.here([arm], lambda: (0, target.receive_nowait()), queue.Empty)

    @rule(
        arms=st.lists(st.tuples(kinds, channels), min_size=1, max_size=4, unique=True),
        timeout=st.sampled_from([0, 1e-4]),
    )
    def the_first_in_time(self, arms: list[tuple[str, int]], timeout: float) -> None:
        made = [self.arm(*arm) for arm in arms]
        self.here(made, self.selected(made, timeout=timeout), TimeoutError)

    @rule(channel=channels, by_with=st.booleans(), sure=seldom)
    def close(self, channel: int, by_with: bool, sure: bool) -> None:
        if not sure:
            return
        if by_with:
            with self.channels[channel]:
                pass
        else:
            self.channels[channel].close()
        self.model.close(channel)

    @rule(actor=actors)
    def cancel(self, actor: int) -> None:
        if self.model.waits(actor):
            self.actors[actor].scope.cancel()
            self.model.cancel(actor)
            assert self.actors[actor].outcome() == CANCELLED

    @invariant()
    def they_agree(self) -> None:
        while self.model.completed:
            self.compare(*self.model.completed.popitem())
        for each in self.model.waiting:
            self.actors[each.actor].until_parked()
        for channel, line in zip(self.channels, self.model.lines, strict=True):
            assert len(channel) == len(line.items)
            assert (channel.closed, channel.dropped) == (line.closed, line.dropped)

    def teardown(self) -> None:
        # What is in a channel that was closed comes out in order, and who waits is told the end.
        for number, channel in enumerate(self.channels):
            channel.close()
            self.model.close(number)
            assert [*channel] == self.model.lines[number].items
            self.model.lines[number].items.clear()
            self.they_agree()
        for actor in self.actors:
            actor.dismiss()


@pytest.mark.one_thread("starts threads in each example")
@pytest.mark.timeout(600)  # after a failure, the fewest steps that lead to it are looked for
def test_channels_do_what_the_model_says() -> None:
    run_machine(Machine, examples=150, steps=50)
