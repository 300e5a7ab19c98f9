"""Rounds with channels: each item that was sent is received once, and who sends knows whether it was sent."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import queue as standard_queue
import threading as standard
import time
import weakref
from collections import Counter
from functools import partial
from typing import Any

from oxthreads.aio import as_async
from oxthreads.channels import Broadcast, Channel, ClosedError, Lagged, Watch
from oxthreads.tasks import CancelScope, move_on_after
from oxthreads.threading import Event
from oxthreads.waiting import put, select
from tests.stress.inside.soak_round import STUCK_SECONDS, Actor, Round


class Item:
    """What is sent, so that one that is left somewhere is found."""

    def __init__(self, sender: int, number: int) -> None:
        self.key = (sender, number)


class Scopes:
    """The scopes that threads are in, which another thread may cancel."""

    def __init__(self) -> None:
        self._entered: dict[int, CancelScope] = {}

    @contextlib.contextmanager
    def one(self, actor: Actor) -> Any:
        """A scope that ends by itself soon, or by another thread before."""
        with move_on_after(actor.timeout() if actor.chance.random() < 0.5 else 0.02) as scope:
            self._entered[actor.number] = scope
            yield scope

    def cancel(self, actor: Actor) -> None:
        for scope in actor.chance.sample([*self._entered.values()], min(1, len(self._entered))):
            scope.cancel()


class Meeting(Round):
    """Threads and coroutines send and receive by channels of every capacity, until these are closed."""

    actors = 7
    #: The numbers of the actors: the main thread, which may be interrupted, does both.
    senders, receivers, loops, canceller = (1, 2), (3, 4), 5, 6

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        chance = self.chance
        self.capacity = chance.choice([0, 0, 1, 2, 5, None])
        on_full: Any = chance.choice(["block", "block", "block", "raise", "drop_oldest", "drop_newest"])
        self.blocks = on_full == "block"
        self.channel: Any = Channel(self.capacity, on_full)
        #: Whether coroutines take part. Then a call of the main thread runs code of the event loop if it
        #: completes their wait, and what interrupts that is raised later, when the call has returned.
        self.with_loop = chance.random() < 0.5
        self.interruptible = not self.with_loop
        #: It is never ready. Threads select it beside the channel.
        self.never, self.other = Event(), Channel[Any](chance.choice([0, 1]))
        self.scopes = Scopes()
        self.numbers = Counter[int]()
        self.sent: dict[int, list[Any]] = {number: [] for number in range(self.actors)}
        self.unsure: dict[int, list[Any]] = {number: [] for number in range(self.actors)}
        self.received: dict[int, list[Any]] = {number: [] for number in range(self.actors)}
        self.alive = weakref.WeakSet[Item]()
        self.guard = standard.Lock()

    def act(self, actor: Actor) -> None:
        number = actor.number
        try:
            if number == self.canceller:
                actor.operations += 1
                self.scopes.cancel(actor)
                standard.Event().wait(actor.chance.choice([0, 1e-5, 1e-3]))
            elif number == self.loops and self.with_loop:
                asyncio.run(self._loop(actor))
            elif number in self.senders or (number == 0 and actor.chance.random() < 0.5):
                self._send(actor)
            else:
                self._receive(actor)
        except ClosedError:
            assert self.over, "it was closed before the end"

    def _item(self, actor: Actor) -> Item:
        self.numbers[actor.number] += 1
        item = Item(actor.number, self.numbers[actor.number])
        with self.guard:
            self.alive.add(item)
        return item

    def _send(self, actor: Actor) -> None:
        channel, chance = self.channel, actor.chance
        if self.capacity is None and len(channel) > 200:
            return
        item = self._item(actor)
        kind = chance.randrange(6)
        box: list[Any] = []
        try:
            if kind == 0:
                box, _ = actor.call(channel.send_nowait, item)
            elif kind == 1:
                box, _ = actor.call(channel.send, item)
            elif kind == 2:
                source = put(channel, item)
                chosen: list[Any] = [source, self.never, self.other][: chance.randint(1, 3)]
                chance.shuffle(chosen)
                if source not in chosen:
                    chosen.append(source)
                found, _ = chosen_of(actor, chance.choice([None, actor.timeout()]), *chosen)
                assert found in (None, source)
                box = [found] if found is source else []
            elif kind == 3 and actor.number:
                with self.scopes.one(actor) as scope:
                    box = [channel.send(item)]
                assert box or scope.cancelled_caught, "a send has ended without a reason"
            else:
                box, _ = actor.call(channel.send, item, actor.timeout())
        except (standard_queue.Full, TimeoutError):
            return
        if box:
            self.sent[actor.number].append(item.key)

    def _receive(self, actor: Actor) -> None:
        channel, chance = self.channel, actor.chance
        kind = chance.randrange(6)
        box: list[Any] = []
        try:
            if kind == 2:
                chosen = [channel, self.never, self.other]
                chance.shuffle(chosen)
                _, item = chosen_of(actor, chance.choice([None, actor.timeout()]), *chosen)
                box = [] if item is None else [item]
                del item
            elif kind == 3 and actor.number:
                with self.scopes.one(actor) as scope:
                    box = [channel.receive()]
                assert box or scope.cancelled_caught, "a receive has ended without a reason"
            elif kind == 4:
                box, _ = actor.call(next, channel, None)
                if None in box:
                    assert self.over, "it has ended before the end"
                    raise ClosedError
            else:
                box = received_by(actor, kind, channel)
        except (standard_queue.Empty, TimeoutError):
            return
        self.received[actor.number] += [item.key for item in box]

    async def _loop(self, actor: Actor) -> None:
        """Coroutines send and receive, and their waits are cancelled."""
        view: Any = as_async(self.channel)

        async def send() -> None:
            for _ in range(20):
                item = self._item(actor)
                actor.operations += 1
                try:
                    await asyncio.wait_for(view.send(item), 5 * actor.timeout())
                except standard_queue.Full:
                    pass
                except TimeoutError:
                    # A rendezvous that took place when the task was cancelled cannot be undone.
                    if self.capacity == 0:
                        self.unsure[actor.number].append(item.key)
                else:
                    self.sent[actor.number].append(item.key)
                await asyncio.sleep(0)

        async def receive() -> None:
            for _ in range(20):
                actor.operations += 1
                with contextlib.suppress(TimeoutError):
                    item = await asyncio.wait_for(view.receive(), 5 * actor.timeout())
                    self.received[actor.number].append(item.key)
                    del item
                await asyncio.sleep(0)

        done = await asyncio.gather(send(), receive(), receive(), return_exceptions=True)
        for error in done:
            if error is not None:
                raise error

    def end(self) -> None:
        self.channel.close()

    def check(self) -> None:
        rest = [item.key for item in self.channel]
        sent = Counter(key for keys in self.sent.values() for key in keys)
        unsure = Counter(key for keys in self.unsure.values() for key in keys)
        received = Counter(key for keys in [*self.received.values(), rest] for key in keys)
        assert all(count == 1 for count in received.values()), "an item was received twice"
        assert not received - sent - unsure, f"never sent: {received - sent - unsure}"
        lost = len(sent - received)
        assert lost <= self.channel.dropped, f"lost {lost}, dropped {self.channel.dropped}: {sent - received}"
        if not unsure:
            assert lost == self.channel.dropped
        # Two coroutines of one loop receive at once, and note their items in any order.
        in_order = [keys for number, keys in self.received.items() if number != self.loops]
        for keys in [*in_order, rest]:
            for sender in range(self.actors):
                numbers = [number for whose, number in keys if whose == sender]
                assert numbers == sorted(numbers), f"out of order: {numbers}"
        assert len(self.channel) == 0
        gc.collect()
        left = [item.key for item in self.alive]
        assert not left, f"items are left: {left}, {[gc.get_referrers(item) for item in self.alive]}"


def chosen_of(actor: Actor, timeout: Any, *sources: Any) -> tuple[Any, Any]:
    """What a `select` returns, or twice None if it was interrupted or the time is over.

    It is one native call, as `Interrupts` needs it.
    """
    box, _ = actor.call(partial(select, timeout=timeout, default=(None, None)), *sources)
    return box[0] if box else (None, None)


def received_by(actor: Actor, kind: int, source: Any) -> list[Any]:
    """The item that a call of `source` returns: at once (0), with waiting (1), or in time (others)."""
    if kind == 0:
        box, _ = actor.call(source.receive_nowait)
    elif kind == 1:
        box, _ = actor.call(source.receive)
    else:
        box, _ = actor.call(source.receive, actor.timeout())
    return box


class News(Round):
    """Each subscription receives in order what was sent after it began, or is told what it has missed."""

    actors = 6

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        on_lag: Any = self.chance.choice(["block", "block", "raise", "drop"])
        self.on_lag = on_lag
        self.broadcast: Any = Broadcast(self.chance.choice([1, 2, 10]), on_lag)
        self.scopes = Scopes()
        self.sent: list[int] = []
        self.last = 0
        #: Of the subscriptions of some threads; and one that two threads share.
        self.mine = {number: self.broadcast.subscribe() for number in (2, 3)}
        self.shared = self.broadcast.subscribe()
        self.seen: dict[int, list[int]] = {number: [] for number in range(self.actors)}
        self.told = Counter[int]()

    def act(self, actor: Actor) -> None:
        try:
            if actor.number == 1:
                self._send(actor)
            elif actor.number == 5:
                self._come_and_go(actor)
            else:
                self._receive(actor, self.mine.get(actor.number, self.shared))
        except ClosedError:
            assert self.over, "it was closed before the end"

    def _send(self, actor: Actor) -> None:
        self.last += 1
        kind = actor.chance.randrange(4)
        actor.operations += 1
        try:
            if kind == 0:
                self.broadcast.send_nowait(self.last)
            elif kind == 1:
                self.broadcast.send(self.last, actor.timeout())
            elif kind == 2:
                with self.scopes.one(actor):
                    self.broadcast.send(self.last)
                    self.sent.append(self.last)
                return
            else:
                select(put(self.broadcast, self.last))
        except (standard_queue.Full, TimeoutError):
            assert self.on_lag == "block"
            return
        self.sent.append(self.last)

    def _receive(self, actor: Actor, subscription: Any) -> None:
        kind = actor.chance.randrange(5)
        box: list[Any] = []
        try:
            if kind == 2 and actor.number:
                with self.scopes.one(actor):
                    box = [subscription.receive()]
            elif kind == 3:
                _, item = chosen_of(actor, actor.timeout(), subscription)
                box = [] if item is None else [item]
            else:
                box = received_by(actor, kind, subscription)
        except (standard_queue.Empty, TimeoutError):
            return
        except Lagged as error:
            assert self.on_lag == "raise" and error.missed > 0
            self.told[actor.number] += error.missed
            return
        self.seen[actor.number] += box

    def _come_and_go(self, actor: Actor) -> None:
        """A subscription that is closed, or dropped, holds nobody up."""
        self.scopes.cancel(actor)
        actor.operations += 1
        subscription = self.broadcast.subscribe()
        numbers = []
        for _ in range(actor.chance.randrange(4)):
            with contextlib.suppress(standard_queue.Empty, TimeoutError, Lagged):
                numbers.append(subscription.receive(actor.timeout()))
        assert numbers == sorted(numbers)
        if self.on_lag == "block" and numbers:
            assert len(set(numbers)) == len(numbers)
        if actor.chance.random() < 0.5:
            subscription.close()

    def end(self) -> None:
        self.broadcast.close()

    def check(self) -> None:
        whole = {number: (self.mine[number], [number]) for number in (2, 3)}
        whole[0] = (self.shared, [0, 4])
        for subscription, numbers in whole.values():
            missed = sum(self.told[number] for number in numbers)
            rest = []
            while True:
                try:
                    rest.append(subscription.receive())
                except Lagged as error:
                    missed += error.missed
                except ClosedError:
                    break
            seen = sorted([*rest, *(item for number in numbers for item in self.seen[number])])
            for number in numbers:
                assert self.seen[number] == sorted(self.seen[number]), "out of order"
            if self.on_lag == "drop" or 0 in numbers:
                # An interrupt may replace the exception that tells the main thread what was missed.
                assert missed <= subscription.missed
                missed = subscription.missed
            assert len(seen) == len(set(seen)), "received twice"
            assert set(seen) <= set(self.sent), "received what was not sent"
            assert len(seen) + missed == len(self.sent), (len(seen), missed, len(self.sent))
            if self.on_lag == "block":
                assert seen == self.sent
            assert subscription.missed == missed
        # A look of the watch may have kept the frame of a subscription that was dropped.
        end = time.monotonic() + STUCK_SECONDS / 2
        while len(self.broadcast) and time.monotonic() < end:
            gc.collect()
            time.sleep(0.01)
        assert len(self.broadcast) == 0


class Change(Round):
    """Whoever waits for a change sees newer and newer values, and the last one in any case."""

    actors = 5

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.watch: Any = Watch(0)
        self.scopes = Scopes()
        self.readers = {number: self.watch.subscribe() for number in range(self.actors)}
        self.seen = dict.fromkeys(range(self.actors), 0)

    def act(self, actor: Actor) -> None:
        reader, kind = self.readers[actor.number], actor.chance.randrange(5)
        box: list[Any] = []
        try:
            if actor.number == 1:
                self.scopes.cancel(actor)
                box, _ = actor.call(self.watch.update, (1).__add__)
                assert box == [reader.value]
                standard.Event().wait(actor.chance.choice([0, 0, 1e-5]))
                return
            if kind == 0 and actor.number:
                wanted = self.seen[actor.number] + actor.chance.randrange(3)
                value = self.watch.wait_for(wanted.__le__, actor.timeout())
                assert value >= wanted
                return
            if kind == 1 and actor.number:
                with self.scopes.one(actor):
                    box = [reader.changed()]
            elif kind == 2:
                _, item = chosen_of(actor, actor.timeout(), reader)
                box = [] if item is None else [item]
            elif kind == 3:
                box, _ = actor.call(reader.changed)
            else:
                box, _ = actor.call(reader.changed, actor.timeout())
        except TimeoutError:
            return
        except ClosedError:
            assert self.over, "it was closed before the end"
        for value in box:
            assert value > self.seen[actor.number], "an old value was seen again"
            self.seen[actor.number] = value

    def end(self) -> None:
        self.watch.close()

    def check(self) -> None:
        for number, reader in self.readers.items():
            assert [*reader] in ([], [self.watch.value])
            if number > 1:
                assert self.seen[number] <= self.watch.value
            assert not reader.has_changed


ROUNDS: tuple[type[Round], ...] = (Meeting, Meeting, Meeting, News, News, Change)
