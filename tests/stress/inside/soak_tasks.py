"""Rounds with groups of tasks: all of them end, nothing stays locked, and no error is lost."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import threading as standard
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

from oxthreads import _oxthreads, aio, locks, queue, threading
from oxthreads.aio import as_async
from oxthreads.channels import Channel
from oxthreads.concurrent.futures import ThreadPoolExecutor
from oxthreads.tasks import (
    Cancelled,
    CancelScope,
    TaskGroup,
    check_cancelled,
    fail_after,
    move_on_after,
    race,
    sleep,
)
from tests.stress.inside.soak_round import STUCK_SECONDS, Actor, Interrupted, Round

#: Seconds for which code that cleans up may wait. So long that a wait that is ended only by this hangs.
GRACE = 1000.0

#: The longest time of a tree of groups, in seconds.
LONGEST = 0.03


class Failure(Exception):
    """What a task or a block raises, with a number of its own."""


def errors_in(error: BaseException) -> Iterator[BaseException]:
    """The exceptions that are no groups."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from errors_in(each)
    else:
        yield error


def threads_of(group: str) -> list[str]:
    """The threads of the group's own. (One whose `start` was interrupted is listed, but not alive.)"""
    return [each.name for each in standard.enumerate() if each.name.startswith(group) and each.is_alive()]


class Branch:
    """One group of a tree, with what happened in it and in those inside of it."""

    def __init__(self, around: Branch | None) -> None:
        self.around = around
        self.begun = self.ended = 0
        self.failures: set[int] = set()
        self.guard = standard.Lock()

    def add(self, *, begun: int = 0, ended: int = 0, failure: int | None = None) -> None:
        branch: Branch | None = self
        while branch is not None:
            with branch.guard:
                branch.begun += begun
                branch.ended += ended
                if failure is not None:
                    branch.failures.add(failure)
            branch = branch.around


class Nest(Round):
    """Groups inside of groups, with pools and coroutines, that fail, are cancelled, and have deadlines."""

    actors = 4

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        chance = self.chance
        self.pool = ThreadPoolExecutor(chance.choice([1, 2, 4]))
        self.lock, self.rlock, self.rwlock = threading.Lock(), threading.RLock(), locks.RWLock()
        self.semaphore, self.condition = threading.Semaphore(2), threading.Condition()
        self.event, self.full = threading.Event(), queue.Queue[int](1)
        self.full.put(0)
        self.channel, self.future = Channel[int](), self.pool.submit(int)
        self.numbers = itertools.count(1)
        self.living: dict[int, Any] = {}

    # -- What tasks do ------------------------------------------------------------------------

    def fail(self, chance: random.Random, branch: Branch) -> None:
        number = next(self.numbers)
        branch.add(failure=number)
        raise Failure(number)

    def wait(self, chance: random.Random, branch: Branch) -> None:
        """A wait that only a cancellation ends."""
        waits: list[Callable[[], object]] = [
            queue.Queue[int]().get,
            lambda: self.full.put(1),
            queue.Queue[int]().get_many,
            self.event.wait,
            threading.Semaphore(0).acquire,
            threading.Barrier(2).wait,
            self.channel.receive,
            lambda: sleep(1000),
            lambda: threading.Barrier(2).wait(500),
            self.sleep_often,
            self.compute,
        ]
        chance.choice(waits)()

    @staticmethod
    def sleep_often() -> None:
        while True:
            sleep(0.0001)

    @staticmethod
    def compute() -> None:
        while True:
            check_cancelled()

    def hold(self, chance: random.Random, branch: Branch) -> None:
        """A wait with something that must be given back."""
        holds: list[Any] = [self.lock, self.rlock, self.semaphore, self.condition, self.rwlock.write()]
        with chance.choice(holds):
            sleep(chance.choice([0.0, 0.001, 1.0]))

    def be_notified(self, chance: random.Random, branch: Branch) -> None:
        with self.condition:
            if chance.random() < 0.5:
                self.condition.notify()
            self.condition.wait()

    def clean_up(self, chance: random.Random, branch: Branch) -> None:
        """The clean-up may wait, although the task was cancelled; and it may fail."""
        try:
            self.wait(chance, branch)
        finally:
            sleep(0.0005)
            with move_on_after(0.0005) as scope:
                queue.Queue[int]().get()
            assert scope.cancelled_caught
            if chance.random() < 0.3:
                self.fail(chance, branch)

    def shield(self, chance: random.Random, branch: Branch) -> None:
        with CancelScope(shield=True), move_on_after(0.001) as scope:
            queue.Queue[int]().get()
        assert scope.cancelled_caught
        check_cancelled()

    def cancel(self, chance: random.Random, branch: Branch) -> None:
        """Cancel any group or scope that some thread is in."""
        sleep(chance.choice([0.0, 0.001]))
        for each in [*self.living.values()]:
            if chance.random() < 0.3:
                each.cancel()

    def run_a_race(self, chance: random.Random, branch: Branch) -> None:
        assert race(lambda: sleep(1000), lambda: sleep(0.0002), lambda: queue.Queue[int]().get()) is None

    def run_a_loop(self, chance: random.Random, branch: Branch) -> None:
        """A coroutine whose time is over ends the thread that it waits for, and its own waits."""

        async def main() -> None:
            await asyncio.gather(limited(aio.to_thread(self.hold, chance, branch)), limited(view.get()))

        async def limited(wait: Any) -> None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wait, 0.002)

        view: Any = as_async(queue.Queue[int]())
        asyncio.run(main())

    # -- The tree ---------------------------------------------------------------------------------

    def task(self, seed: float, depth: int, branch: Branch) -> None:
        branch.add(begun=1)
        chance = random.Random(seed)
        kinds = [self.fail, self.wait, self.wait, self.hold, self.be_notified, self.clean_up, self.shield]
        kinds += [self.cancel, self.run_a_race]
        if chance.random() < 0.1:
            kinds = [self.run_a_loop]
        try:
            if depth and chance.random() < 0.4:
                self.grow(chance, depth - 1, branch)
            elif chance.random() < 0.8:
                chance.choice(kinds)(chance, branch)
        finally:
            branch.add(ended=1)

    def grow(self, chance: random.Random, depth: int, around: Branch | None) -> None:
        """A group, mostly in a scope. Raises what it raises, once it was checked."""
        branch = Branch(around)
        number = next(self.numbers)
        after = chance.choice([None, 0.0, 0.001, 0.005, 0.02])
        kind = chance.choice([move_on_after, fail_after])
        scope = kind(after, shield=chance.random() < 0.1 and after is not None, grace=GRACE)
        name = f"nest {number} of {self.seed},"
        error: BaseException | None = None
        try:
            with scope:
                self.living[number] = scope
                try:
                    self.block(chance, depth, branch, name)
                except BaseException as found:
                    error = found
                    raise
        except TimeoutError as timeout:
            assert kind is fail_after and scope.cancel_called, "a scope has timed out without a reason"
            assert isinstance(error, Cancelled)
            # From here on, it is a failure like others.
            self.check_branch(branch, error)
            failure = next(self.numbers)
            (around or branch).add(failure=failure)
            raise Failure(failure) from timeout
        except BaseException as found:
            self.check_branch(branch, found)
            raise
        else:
            self.check_branch(branch, None)
        finally:
            del self.living[number]
            error = None

    def block(self, chance: random.Random, depth: int, branch: Branch, name: str) -> None:
        executor = self.pool if chance.random() < 0.3 else None
        workers = chance.choice([None, None, 1, 2]) if executor is None else None
        group = TaskGroup(executor, max_workers=workers, name=name, grace=GRACE)
        try:
            with group:
                self.living[id(group)] = group
                futures = []
                for _ in range(chance.randrange(1, 5)):
                    seed = chance.random()
                    if chance.random() < 0.5:
                        group.start_soon(self.task, seed, depth, branch)
                    else:
                        futures.append(group.submit(self.task, seed, depth, branch))
                what = chance.randrange(6)
                if what == 0:
                    self.wait(chance, branch)
                elif what == 1:
                    self.fail(chance, branch)
                elif what == 2:
                    group.cancel()
                elif what == 3 and futures:
                    futures[0].result()
                elif what == 4:
                    self.hold(chance, branch)
        finally:
            del self.living[id(group)]
            assert branch.begun == branch.ended, "the group was left before its tasks had ended"
            left = threads_of(name)
            assert not left, f"threads are left: {left}"
            assert all(future.done() for future in futures), "a future is not done"

    def check_branch(self, branch: Branch, error: BaseException | None) -> None:
        """Each failure has come out, and nothing else but a cancellation of what is around it."""
        found = [] if error is None else [*errors_in(error)]
        failures = [each.args[0] for each in found if isinstance(each, Failure)]
        others = [each for each in found if not isinstance(each, Failure)]
        if others:
            assert [type(each) for each in others] == [Cancelled] and found == others, others
        assert len(failures) == len({*failures}), "an error has come out twice"
        assert {*failures} == branch.failures, ({*failures}, branch.failures)

    def act(self, actor: Actor) -> None:
        actor.operations += 1
        with move_on_after(actor.chance.random() * LONGEST, grace=GRACE):
            try:
                self.grow(actor.chance, 2, None)
            except Failure:
                pass
            except BaseExceptionGroup as group:
                assert all(isinstance(each, Failure) for each in errors_in(group))
        assert not _oxthreads.is_in_scope(), "the thread is still in a scope"

    def check(self) -> None:
        assert not self.living
        assert self.pool.submit(pow, 2, 5).result() == 32
        assert self.pool.stats().queued == 0
        self.pool.shutdown()
        assert not _oxthreads.task_groups(), "a group is still entered"
        # With a time-out: a thread of `to_thread` that waits for a lock gets it, although its task has ended.
        for lock in (self.lock, self.rlock, self.condition):
            assert lock.acquire(timeout=STUCK_SECONDS / 2), f"{lock} is still locked"
            lock.release()
        assert self.rwlock.acquire_write(timeout=STUCK_SECONDS / 2), "the RWLock is still locked"
        self.rwlock.release_write()
        for _ in range(2):
            assert self.semaphore.acquire(timeout=STUCK_SECONDS / 2), "permits are lost"
        assert not self.semaphore.acquire(blocking=False), "permits were made"
        assert self.full.qsize() == 1 and len(self.channel) == 0


class Stopped(Round):
    """An exception of a signal handler ends a group in the main thread. All its tasks have ended then.

    The threads are there before: `Thread.start` of the standard library may keep a lock if it is interrupted.
    """

    actors = 1

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.pool = ThreadPoolExecutor(4)
        meeting = threading.Barrier(4)
        for call in [self.pool.submit(meeting.wait) for _ in range(4)]:
            call.result()

    def act(self, actor: Actor) -> None:
        _, error = actor.call(self.run_a_group, actor.chance.choice([0.0, 0.0005, 0.002]))
        assert error is None or isinstance(error, Interrupted)
        assert len(self.begun) == len(self.ended), "the group was left before its tasks had ended"

    def run_a_group(self, seconds: float) -> None:
        try:
            with TaskGroup(self.pool, grace=GRACE) as group:
                for number in range(3):
                    group.start_soon(self.task, number)
                group.submit(sleep, seconds).result()
                group.cancel()
        except BaseExceptionGroup as errors:
            assert all(isinstance(each, Interrupted) for each in errors_in(errors)), errors
        except CancelledError as error:
            raise AssertionError("a cancellation has come out") from error

    def task(self, number: int) -> None:
        self.begun.append(number)
        try:
            sleep(1000)
        finally:
            self.ended.append(number)

    def check(self) -> None:
        assert not _oxthreads.task_groups(), "a group is still entered"
        assert not _oxthreads.is_in_scope()
        self.pool.shutdown()


ROUNDS: tuple[type[Round], ...] = (Nest, Nest, Nest, Stopped)
