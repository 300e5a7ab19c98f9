"""Rounds with the queues: an item that was put is taken once, in its producer's order, or is still there."""

from __future__ import annotations

import threading as standard
from collections import Counter
from collections.abc import Iterator
from typing import Any

import oxthreads.queue as queues
from tests.stress.inside.soak_round import Actor, Round

Item = tuple[int, int]


class Traffic(Round):
    """Two producers and two consumers. One of them may be interrupted at any moment."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        chance = self.chance
        self.kind = chance.choice(["Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"])
        self.bound = chance.choice([0, 0, 1, 2, 5]) if self.kind != "SimpleQueue" else 0
        self.queue: Any = getattr(queues, self.kind)(*([self.bound] if self.bound else []))
        self.counts = self.kind != "SimpleQueue"
        self.immediate = chance.random() < 0.2
        self.main_produces = chance.random() < 0.5
        # An object that falls back during the round runs Python code, which must not be interrupted halfway.
        self.takes_form = self.counts and chance.random() < 0.15
        self.interruptible = not self.takes_form
        self.put: dict[int, list[Item]] = {number: [] for number in range(self.actors)}
        self.taken: dict[int, list[Item]] = {number: [] for number in range(self.actors)}
        self.next = Counter[int]()
        self.done = 0
        self.guard = standard.Lock()

    def act(self, actor: Actor) -> None:
        try:
            if (actor.number in (0, 1)) == self.main_produces:
                self._produce(actor)
            else:
                self._consume(actor)
        except queues.ShutDown:
            assert self.over, "ShutDown was raised before the end"
        if self.takes_form and actor.chance.random() < 0.002:
            with self.queue.mutex:
                assert len(self.queue.queue) == self.queue._qsize()

    def _numbered(self, actor: Actor) -> Item:
        """The next item of this producer. If it is not used, its number is left out."""
        self.next[actor.number] += 1
        return actor.number, self.next[actor.number]

    def _produce(self, actor: Actor) -> None:
        if not self.bound and self.queue.qsize() > 200:
            return
        kind = actor.chance.randrange(5)
        if kind == 0:
            self._produce_many(actor)
            return
        item = self._numbered(actor)
        try:
            if kind == 1:
                box, _ = actor.call(self.queue.put_nowait, item)
            elif kind == 2:
                box, _ = actor.call(self.queue.put, item)
            else:
                box, _ = actor.call(self.queue.put, item, True, actor.timeout())
        except queues.Full:
            assert self.bound
            return
        if box:
            self.put[actor.number].append(item)

    def _produce_many(self, actor: Actor) -> None:
        items = [self._numbered(actor) for _ in range(actor.chance.randrange(8))]

        def one_by_one() -> Iterator[Item]:
            yield from items

        source = items if actor.chance.random() < 0.6 else one_by_one()
        error: BaseException | None = None
        try:
            box, error = actor.call(self.queue.put_many, source, True, actor.timeout())
        except (queues.Full, queues.ShutDown) as refusal:
            box, error = [], refusal
        if box:
            self.put[actor.number].extend(items)
            return
        assert error is not None
        count = getattr(error, "items_put", 0)
        self.put[actor.number].extend(items[:count])
        if hasattr(error, "items_put"):
            not_put = error.not_put  # type: ignore[attr-defined]
            assert items[count : count + len(not_put)] == not_put
        if isinstance(error, queues.ShutDown):
            raise error

    def _consume(self, actor: Actor) -> None:
        kind = actor.chance.randrange(5)
        error = None
        try:
            if kind == 0:
                box, error = actor.call(self.queue.get_nowait)
            elif kind == 1:
                box, error = actor.call(self.queue.get)
            elif kind == 2:
                most = actor.chance.choice([None, 1, 3, 10])
                box, error = actor.call(self.queue.get_many, most, True, actor.timeout())
                box = [*box[0]] if box else [*getattr(error, "taken", [])]
            else:
                box, error = actor.call(self.queue.get, True, actor.timeout())
        except queues.Empty:
            return
        self._take(actor, box)

    def _take(self, actor: Actor, items: list[Item]) -> None:
        self.taken[actor.number].extend(items)
        if self.counts:
            for _ in items:
                self.queue.task_done()
                with self.guard:
                    self.done += 1

    def end(self) -> None:
        self.queue.shutdown(self.immediate)

    def check(self) -> None:
        rest: list[Item] = []
        try:
            while True:
                rest.append(self.queue.get(timeout=0))
                if self.counts:
                    self.queue.task_done()
        except queues.ShutDown:
            pass
        put = Counter(item for items in self.put.values() for item in items)
        taken = Counter(item for items in [*self.taken.values(), rest] for item in items)
        assert all(count == 1 for count in taken.values()), "an item was taken twice"
        if self.immediate:
            assert not taken - put, f"{self.kind}: {taken - put} was never put"
        else:
            assert put == taken, f"{self.kind}: lost {put - taken}, never put {taken - put}"
        if self.kind in ("Queue", "SimpleQueue"):
            for items in [*self.taken.values(), rest]:
                for producer in self.put:
                    numbers = [number for whose, number in items if whose == producer]
                    assert numbers == sorted(numbers), f"{self.kind}: out of order: {numbers}"
        if self.kind == "PriorityQueue":
            assert rest == sorted(rest)
        if self.counts:
            self.queue.join()
            assert self.queue.unfinished_tasks == 0


class Joining(Round):
    """A thread that joins a queue goes on when every task is done. The count of tasks is always right."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        kind = self.chance.choice(["Queue", "LifoQueue", "PriorityQueue"])
        self.queue = getattr(queues, kind)(self.chance.choice([0, 1, 4]))
        self.put = self.done = 0

    def act(self, actor: Actor) -> None:
        actor.operations += 1
        if actor.number == 0:
            box, _ = actor.call(self.queue.put, 1)
            self.put += len(box)
            if actor.chance.random() < 0.3:
                box, error = actor.call(self.queue.join)
                # Only this thread puts.
                assert error is not None or (self.done == self.put and self.queue.empty())
        elif actor.number == 1:
            self.queue.join()
        elif actor.number == 2:
            for _ in self.queue.get_many(5) if actor.chance.random() < 0.5 else [self.queue.get()]:
                self.done += 1
                self.queue.task_done()
        else:
            self.queue.qsize(), self.queue.empty(), self.queue.full()

    def _live(self, actor: Actor) -> None:
        if actor.number != 2:
            super()._live(actor)
            return
        try:
            while True:  # until the queue is empty, so that the threads that join it are woken
                self.act(actor)
        except queues.ShutDown:
            pass
        except BaseException as error:
            actor.error, self.over = error, True
            self.queue.shutdown(True)

    def end(self) -> None:
        self.queue.shutdown()

    def check(self) -> None:
        assert self.done == self.put and self.queue.unfinished_tasks == 0


class Iteration(Round):
    """Several threads iterate over one queue until it is shut down, and share its items."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        kind = self.chance.choice(["Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"])
        self.queue = getattr(queues, kind)(*([8] if kind != "SimpleQueue" else []))
        self.iterator = self.queue.iterate()
        self.put = 0
        self.taken = [0] * self.actors

    def act(self, actor: Actor) -> None:
        if actor.number == 0:
            # One item at a time, because the producer goes on until this thread says that the time is over.
            self.taken[0] += len(actor.call(next, self.iterator)[0])
            return
        if actor.number == 1:
            actor.operations += 1
            if self.queue.qsize() < 100:
                try:
                    self.queue.put(self.put)
                except queues.ShutDown:
                    assert self.over, "ShutDown was raised before the end"
                else:
                    self.put += 1
            return
        for _ in self.queue.iterate():
            self.taken[actor.number] += 1
            actor.operations += 1
        assert self.over

    def end(self) -> None:
        self.queue.shutdown()

    def check(self) -> None:
        rest = sum(1 for _ in self.queue.iterate())
        assert rest + sum(self.taken) == self.put


ROUNDS: tuple[type[Round], ...] = (Traffic, Traffic, Traffic, Joining, Iteration)
