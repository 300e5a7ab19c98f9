"""Rounds with futures and pools: every future is settled once, and every submitted call ends."""

from __future__ import annotations

import concurrent.futures as standard_futures
import contextvars
import gc
import queue as standard_queue
import threading as standard
from collections import Counter
from typing import Any

from oxthreads.concurrent import futures
from tests.stress.inside.soak_round import Actor, Round


class Failure(Exception):
    """Raised by a call."""


class Settling(Round):
    """Several threads try to settle each future. One succeeds, and waits and callbacks see its result."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.takes_form = self.chance.random() < 0.3
        self.interruptible = not self.takes_form
        self.current: list[Any] = [futures.Future() for _ in range(3)]
        self.all: list[Any] = [*self.current]
        self.settled: dict[int, Counter[Any]] = {number: Counter() for number in range(self.actors)}
        self.added: dict[int, Counter[Any]] = {number: Counter() for number in range(self.actors)}
        self.called: list[Any] = []

    def _called(self, future: Any) -> None:
        assert future.done()
        # This must be one step. An interrupt may come here, too, and would leave a lock locked.
        self.called.append(future)

    def act(self, actor: Actor) -> None:
        chance = actor.chance
        place = chance.randrange(3)
        future = self.current[place]
        kind = chance.randrange(10)
        if kind < 3:
            self._settle(actor, future, kind)
        elif kind == 3:
            # An interrupt in the callback ends the call, but the callback may have been added all the same.
            _, error = actor.call(future.add_done_callback, self._called)
            if error is None:
                self.added[actor.number][future] += 1
        elif kind < 6:
            self._read(actor, future, chance.random() < 0.5)
        elif kind == 6:
            done, not_done = actor.call_in_peace(futures.wait, [*self.current], actor.timeout())
            assert all(each.done() for each in done) and len(done | not_done) <= 3
        elif kind == 7:
            actor.operations += 1
            try:
                for each in futures.as_completed([*self.current], actor.timeout()):
                    assert each.done()
            except TimeoutError:
                pass
        elif kind == 8 and self.takes_form:
            actor.operations += 1
            with future._condition:
                assert future._state
        elif future.done() and actor.number == 1:
            self.current[place] = futures.Future()
            self.all.append(self.current[place])

    def _settle(self, actor: Actor, future: Any, kind: int) -> None:
        actor.operations += 1
        mine = self.settled[actor.number]
        try:
            if kind == 0:
                future.set_result(actor.number)
            elif kind == 1:
                future.set_exception(Failure(actor.number))
            else:
                if actor.chance.random() < 0.5:
                    future.cancel()
                elif future.set_running_or_notify_cancel() and actor.chance.random() < 0.5:
                    future.set_result(actor.number)
                    mine[future] += 1
                return
        except standard_futures.InvalidStateError:
            return
        except RuntimeError as error:
            assert "in unexpected state" in str(error)
            return
        mine[future] += 1

    def _read(self, actor: Actor, future: Any, result: bool) -> None:
        function = future.result if result else future.exception
        try:
            box, _ = actor.call(function, actor.timeout())
        except (Failure, TimeoutError, standard_futures.CancelledError):
            return
        assert not box or future.done()

    def check(self) -> None:
        settled: Counter[Any] = sum(self.settled.values(), Counter())
        added: Counter[Any] = sum(self.added.values(), Counter())
        for future in self.all:
            if not future.done():
                future.set_result(None)
                settled[future] += 1
            assert settled[future] == (not future.cancelled()), "settled twice, or by nobody"
            # For wait(), a cancelled future is not done until a worker has noticed it.
            assert future.cancelled() or future in futures.wait([future], 1).done
            called = Counter(self.called)
            assert called[future] >= added[future], "a callback was not called"
            if not any(actor._interrupts for actor in self.cast):
                assert called[future] == added[future], "a callback was called twice"


VARIABLE: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=-1)


class Pool(Round):
    """A pool with random options: every submitted call ends with its own result."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        chance = self.chance
        # Its calls wait for other calls. Without "run", all workers might wait, and none would work.
        self.options: dict[str, Any] = {"max_workers": chance.choice([1, 1, 2, 3, 8]), "nested": "run"}
        if chance.random() < 0.4:
            self.options["idle_timeout"] = chance.choice([0, 1e-6, 1e-3])
        if chance.random() < 0.4:
            self.options["max_pending"] = chance.choice([1, 2, 10])
            self.options["on_full"] = chance.choice(["block", "raise", "caller_runs"])
        if chance.random() < 0.3:
            self.options["context"] = "submitter"
        if chance.random() < 0.2:
            self.options.update(initializer=VARIABLE.set, initargs=(1,))
        self.pool: Any = futures.ThreadPoolExecutor(**self.options)
        self.dropped = chance.random() < 0.15
        self.waits, self.cancels = chance.random() < 0.7, chance.random() < 0.3
        self.submitted: dict[int, list[tuple[Any, Any]]] = {number: [] for number in range(self.actors)}
        self.ran = [0] * self.actors
        self.guard = standard.Lock()

    def _work(self, what: Any, depth: int) -> Any:
        """The submitted call. It may submit more calls and wait for them."""
        if depth:
            try:
                inner = [self.pool.submit(self._work, (what, number), depth - 1) for number in range(2)]
            except (RuntimeError, standard_queue.Full, AttributeError):
                return what  # the pool has been shut down, is full, or is gone
            try:
                for number, future in enumerate(inner):
                    assert future.result() == (what, number)
            except standard_futures.CancelledError:
                pass
        return what

    def _fail(self, what: Any) -> None:
        raise Failure(what)

    def act(self, actor: Actor) -> None:
        chance = actor.chance
        mine = self.submitted[actor.number]
        what = (actor.number, len(mine))
        kind = chance.randrange(10)
        try:
            if kind < 5:
                depth = chance.choice([0, 0, 0, 1, 2])
                view = (
                    self.pool
                    if chance.random() < 0.7
                    else self.pool.with_options(priority=chance.randrange(-2, 3))
                )
                # This may start a worker, in code of the standard library that an interrupt would break.
                mine.append((actor.call_in_peace(view.submit, self._work, what, depth), what))
            elif kind == 5:
                mine.append((actor.call_in_peace(self.pool.submit, self._fail, what), Failure))
            elif kind == 6:
                self._map(actor)
            elif kind == 7 and mine:
                future, expected = chance.choice(mine)
                if not future.cancel() and expected is not Failure:
                    future.result()
            elif mine:
                self._read(actor, *chance.choice(mine))
        except standard_queue.Full:
            assert self.options.get("on_full") == "raise"
        if len(mine) > 200:
            for future, expected in mine:
                self._verify(future, expected)
            mine.clear()

    def _map(self, actor: Actor) -> None:
        actor.operations += 1
        several = range(actor.chance.randrange(20))
        results = self.pool.map(abs, several, buffersize=actor.chance.choice([None, 1, 3]))
        most = actor.chance.choice([0, 1, 5, 100])
        try:
            for expected, result in zip(range(most), results, strict=False):
                assert result == expected
        finally:
            results.close()

    def _read(self, actor: Actor, future: Any, expected: Any) -> None:
        try:
            box, _ = actor.call(future.result, actor.chance.choice([None, actor.timeout()]))
            assert not box or box == [expected]
        except Failure:
            assert expected is Failure
        except (TimeoutError, standard_futures.CancelledError):
            pass

    def _verify(self, future: Any, expected: Any) -> None:
        """The call ends in the expected way."""
        try:
            assert future.result() == expected
        except Failure:
            assert expected is Failure
        except standard_futures.CancelledError:
            assert future.cancelled()

    def check(self) -> None:
        all_of_them = list(self.submitted.values())
        if self.dropped:
            del self.pool
            gc.collect(0)
        elif self.waits:
            workers = [*self.pool._threads]
            self.pool.shutdown(cancel_futures=self.cancels)
            assert not any(worker.is_alive() for worker in workers), "a worker is alive after the shutdown"
            for futures_of_one in all_of_them:
                assert all(future.done() for future, _ in futures_of_one), (
                    "a call has not ended after the shutdown"
                )
        else:
            self.pool.shutdown(wait=False, cancel_futures=self.cancels)
        for futures_of_one in all_of_them:
            for future, expected in futures_of_one:
                self._verify(future, expected)
        if not self.dropped:
            try:
                self.pool.submit(int)
            except RuntimeError:
                return
            raise AssertionError("the pool accepts a call after the shutdown")


ROUNDS: tuple[type[Round], ...] = (Settling, Pool, Pool, Pool)
