"""Scenarios of `oxthreads.channels`, which the standard library does not have.

Each is compared with what a program would do with queues.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from oxthreads import channels

from .added_locks import BASELINE, multiple
from .libraries import Library, ours, standard
from .rounds import Round, alone, interleave, together
from .scenario import OXTHREADS, Goal, Kind, Outcome, Scenario, Settings, Unit, times

CHANNELS = Kind(
    "channels",
    "Time of an operation of `oxthreads.channels`. Multiple: oxthreads / the baseline, which the list of"
    " scenarios names.",
    Unit.SECONDS,
    multiple,
    "multiple",
    times,
    at_least=False,
)

#: How many receive what is broadcast.
SUBSCRIBERS = 8


def ping_pong(send: Callable[[Any, int], object], take: Callable[[Any], int], make: Callable[[], Any]) -> Any:
    """Return what makes a round in which two threads send each other an item."""

    def prepare(operations: int) -> Round:
        there, back = make(), make()

        def begin() -> None:
            for number in range(operations):
                send(there, number)
                take(back)

        def answer() -> None:
            for _ in range(operations):
                send(back, take(there))

        return together(begin, answer)

    return prepare


def stream(send: Callable[[Any, int], object], take: Callable[[Any], int], make: Callable[[], Any]) -> Any:
    """Return what makes a round in which one thread sends and another receives."""

    def prepare(operations: int) -> Round:
        way = make()

        def produce() -> None:
            for number in range(operations):
                send(way, number)

        def consume() -> None:
            for _ in range(operations):
                take(way)

        return together(produce, consume)

    return prepare


def put(queue: Any, item: int) -> None:
    """Put an item into a queue."""
    queue.put(item)


def get(queue: Any) -> Any:
    """Get an item from a queue."""
    return queue.get()


def send(channel: Any, item: int) -> None:
    """Send an item."""
    channel.send(item)


def receive(channel: Any) -> Any:
    """Receive an item."""
    return channel.receive()


def broadcast(operations: int) -> Round:
    """Send each item to all subscribers, and receive it for each."""
    items: channels.Broadcast[int] = channels.Broadcast(16)
    subscriptions = [items.subscribe() for _ in range(SUBSCRIBERS)]

    def work() -> None:
        for number in range(operations):
            items.send(number)
            for subscription in subscriptions:
                subscription.receive()

    return alone(work)


def put_into_all(library: Library, operations: int) -> Round:
    """The same by a queue for each."""
    queues = [library.Queue(16) for _ in range(SUBSCRIBERS)]

    def work() -> None:
        for number in range(operations):
            for queue in queues:
                queue.put(number)
            for queue in queues:
                queue.get()

    return alone(work)


@dataclass(frozen=True)
class ChannelScenario(Scenario):
    """Compares oxthreads with what a program would do otherwise."""

    prepare: Callable[[int], Round] = field(kw_only=True)
    """The round of oxthreads."""
    baseline: Callable[[int], Round] = field(kw_only=True)

    @property
    def kind(self) -> Kind:
        return CHANNELS

    def measure(self, settings: Settings) -> Outcome:
        operations = settings.divided(self.operations)
        rounds = {BASELINE: self.baseline(operations), OXTHREADS: self.prepare(operations)}
        return interleave(rounds, settings, operations)


SCENARIOS = (
    ChannelScenario(
        "rendezvous", "Channel: there and back",
        "Two threads send each other an item, without room in between. Baseline: by our Queue.",
        operations=1_000, threads=2, goal=Goal(1.2),
        prepare=ping_pong(send, receive, channels.Channel),
        baseline=ping_pong(put, get, lambda: ours().Queue()),
    ),
    ChannelScenario(
        "channel-stream", "Channel(100): stream",
        "One thread sends and another receives. Baseline: by our Queue(100).",
        operations=10_000, threads=2,
        prepare=stream(send, receive, lambda: channels.Channel(100)),
        baseline=stream(put, get, lambda: ours().Queue(100)),
    ),
    ChannelScenario(
        "broadcast", "Broadcast: 8 subscribers",
        "One thread sends an item and receives it for each. Baseline: eight queues of the standard library.",
        operations=2_000, threads=1, goal=Goal(0.2),
        prepare=broadcast, baseline=lambda operations: put_into_all(standard(), operations),
    ),
)  # fmt: skip
