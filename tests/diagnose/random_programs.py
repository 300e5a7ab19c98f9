"""Random lock programs, run step by step, and a model that says which of their threads can never go on.

A *program* is a few threads, each with a script of nested steps. A *conductor* lets one thread at a time do
one step, and then waits until all threads are still: each has ended, waits for its turn, or is asleep in its
step. For its turn a thread waits in a lock of the interpreter, which the watch does not know: for the watch
it runs.

The model knows nothing of the engine. The scripts write down what they hold and what they wait for.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from oxthreads import _oxthreads as native
from oxthreads import diagnose, threading
from oxthreads.concurrent.futures import Future, ThreadPoolExecutor
from oxthreads.diagnose import _watch
from oxthreads.diagnose._situation import Situation, Waiting

#: Seconds after which threads that are not still are a failure.
LIMIT = 30.0

#: How many programs are run, even if it takes longer than it should. A deadlock must be among them.
FEWEST = 20

#: Waits with this time-out are ended by the conductor, long before.
LONG = 1000.0

#: Why the conductor ends waits.
ENDED = "the conductor has ended it"


@dataclass(eq=False)
class Thing:
    """A lock or an event of a program."""

    kind: str
    value: Any
    #: Of what a thread waits for in `Condition.wait`: the condition.
    condition: Thing | None = None
    #: Who has the lock, and how it was taken: "with" or "acquire".
    holders: list[tuple[Actor, str]] = field(default_factory=list)

    @property
    def is_reentrant(self) -> bool:
        return self.kind in ("RLock", "Condition")


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a script. `form` says how it is written in Python."""

    kind: str
    thing: Thing | None = None
    body: tuple[Step, ...] = ()
    form: str = ""
    #: The index of a thread that is joined, or whose call is waited for.
    other: int = 0


class Actor:
    """A thread of a program, or a call in a pool."""

    def __init__(self, program: Program, script: tuple[Step, ...]) -> None:
        self.program = program
        self.script = script
        self.gate = _thread.allocate_lock()
        self.gate.acquire()
        self.is_at_gate = False
        self.is_over = False
        self.number = 0
        #: What the present step waits for, if it has to wait: a thing or another actor.
        self.awaited: Thing | Actor | None = None
        self.is_timed = False
        #: Whether that wait is in an `acquire()`, or cannot be told from one.
        self.by_acquire = False
        #: Whether it waits for the lock of a condition, at the end of `wait()`.
        self.takes_again = False
        self.is_being_ended = False
        #: How many of its waits the watch has ended.
        self.errors = 0
        self.thread: threading.Thread | None = None
        self.future: Future[None] | None = None

    def run(self) -> None:
        self.number = native.thread_number()
        try:
            self.steps(self.script)
        finally:
            self.is_over = True

    @property
    def has_ended(self) -> bool:
        if not self.is_over:
            return False
        if self.thread is not None:
            # It ends a little later than Python says.
            return not self.thread.is_alive() and self.number not in dict(native.threads_alive())
        return self.future is None or self.future.done()

    def turn(self) -> None:
        """Wait until the conductor says that the next step may begin."""
        self.is_at_gate = True
        self.gate.acquire()

    def steps(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            self.turn()
            try:
                getattr(self, f"do_{step.kind}")(step)
            except diagnose.DeadlockError as error:
                if str(error) != ENDED:
                    self.errors += 1
            self.awaited, self.is_being_ended = None, False
        self.turn()

    @contextlib.contextmanager
    def waiting(
        self, awaited: Thing | Actor, is_timed: bool = False, by_acquire: bool = False
    ) -> Iterator[None]:
        """The step may have to wait for this."""
        self.awaited, self.is_timed, self.by_acquire = awaited, is_timed, by_acquire
        try:
            yield
        finally:
            self.awaited, self.is_being_ended = None, False

    def begins_to_wait(self, awaited: Thing, is_timed: bool = False, by_acquire: bool = False) -> None:
        self.awaited, self.is_timed, self.by_acquire = awaited, is_timed, by_acquire

    def has(self, thing: Thing, how: str) -> None:
        self.awaited, self.is_being_ended = None, False
        thing.holders.append((self, how))

    def is_holder(self, thing: Thing) -> bool:
        return any(holder is self for holder, _ in thing.holders)

    # ---- Steps

    def do_with(self, step: Step) -> None:
        assert step.thing
        getattr(self, f"with_{step.form}")(step, step.thing)

    def body(self, step: Step, thing: Thing, how: str = "with") -> None:
        self.has(thing, how)
        try:
            self.steps(step.body)
        finally:
            thing.holders.pop()

    def with_variable(self, step: Step, thing: Thing) -> None:
        lock = thing.value
        self.begins_to_wait(thing)
        with lock:
            self.body(step, thing)

    def with_attribute(self, step: Step, thing: Thing) -> None:
        self.begins_to_wait(thing)
        with thing.value:
            self.body(step, thing)

    def with_subscript(self, step: Step, thing: Thing) -> None:
        table = {"lock": [thing.value]}
        self.begins_to_wait(thing)
        with table["lock"][0]:
            self.body(step, thing)

    def with_second_item(self, step: Step, thing: Thing) -> None:
        lock = thing.value
        self.begins_to_wait(thing)
        with contextlib.nullcontext(), lock as _:
            self.body(step, thing)

    def with_generator(self, step: Step, thing: Thing) -> None:
        """Another thread could leave it, as far as anybody can see."""

        @contextlib.contextmanager
        def held() -> Iterator[None]:
            with thing.value:
                yield

        self.begins_to_wait(thing, by_acquire=True)
        with held():
            self.body(step, thing, "acquire")

    def with_stack(self, step: Step, thing: Thing) -> None:
        self.begins_to_wait(thing, by_acquire=True)
        with contextlib.ExitStack() as stack:
            stack.enter_context(thing.value)
            self.body(step, thing, "acquire")

    def with_pair(self, step: Step, thing: Thing) -> None:
        self.begins_to_wait(thing, by_acquire=True)
        thing.value.acquire()
        try:
            self.body(step, thing, "acquire")
        finally:
            thing.value.release()

    def with_timeout(self, step: Step, thing: Thing) -> None:
        self.begins_to_wait(thing, is_timed=True, by_acquire=True)
        if thing.value.acquire(timeout=LONG):
            try:
                self.body(step, thing, "acquire")
            finally:
                thing.value.release()

    def do_keep(self, step: Step) -> None:
        """Take a lock for good: its owner may have ended when others wait for it."""
        assert step.thing
        with self.waiting(step.thing, by_acquire=True):
            step.thing.value.acquire()
        self.has(step.thing, "acquire")

    def do_wait(self, step: Step) -> None:
        """Wait for a condition, inside its `with`."""
        thing = step.thing
        assert thing
        if not self.is_holder(thing):
            return
        before, thing.holders = thing.holders, []
        self.awaited, self.is_timed = Thing("notify", None, thing), step.form == "timed"
        self.by_acquire = False
        try:
            thing.value.wait(LONG if self.is_timed else None)
        finally:
            thing.holders = before
            self.awaited, self.takes_again, self.is_being_ended = None, False, False

    def do_notify(self, step: Step) -> None:
        assert step.thing
        if self.is_holder(step.thing):
            step.thing.value.notify_all()
            for other in self.program.actors:
                if isinstance(other.awaited, Thing) and other.awaited.condition is step.thing:
                    other.waits_for_lock_again()

    def waits_for_lock_again(self) -> None:
        """Its wait for a condition is over: from now on it waits for the lock."""
        assert isinstance(self.awaited, Thing)
        self.awaited, self.takes_again, self.is_timed = self.awaited.condition, True, False
        self.is_being_ended = False

    def do_event(self, step: Step) -> None:
        assert step.thing
        with self.waiting(step.thing, step.form == "timed"):
            step.thing.value.wait(LONG if step.form == "timed" else None)

    def do_set(self, step: Step) -> None:
        assert step.thing
        step.thing.value.set()

    def do_join(self, step: Step) -> None:
        other = self.program.actors[step.other]
        if other is self or other.thread is None:
            return
        # The conductor could not end one with a time-out.
        with self.waiting(other):
            other.thread.join()

    def do_result(self, step: Step) -> None:
        other = self.program.actors[step.other]
        if other is self or other.future is None:
            return
        with self.waiting(other, step.form == "timed"):
            other.future.result(LONG if step.form == "timed" else None)


class Program:
    """A program while it runs."""

    #: Forms of holding a lock. The first ones can be seen by the watch.
    SEEN = ("variable", "attribute", "subscript", "second_item")
    UNSEEN = ("generator", "stack", "pair", "timeout")

    def __init__(self, seed: int, pool: ThreadPoolExecutor, calls: int | None = None) -> None:
        self.random = random.Random(seed)
        self.pool = pool
        choose = self.random.choice
        self.things = [self._thing(choose(("Lock", "Lock", "RLock", "Condition"))) for _ in range(3)]
        self.events = [Thing("Event", threading.Event())]
        self.actors: list[Actor] = []
        count = self.random.randint(2, 4)
        calls = self.random.randint(0, 1) if calls is None else calls
        for _ in range(count + calls):
            self.actors.append(Actor(self, self._script(count + calls, ())))
        for actor in self.actors[:count]:
            actor.thread = threading.Thread(target=actor.run, daemon=True)
            actor.thread.start()
        for actor in self.actors[count:]:
            actor.future = pool.submit(actor.run)
        self.settle()

    def _thing(self, kind: str) -> Thing:
        make = {"Lock": threading.Lock, "RLock": threading.RLock, "Condition": threading.Condition}
        return Thing(kind, make[kind]())

    def _script(self, actors: int, held: tuple[Thing, ...]) -> tuple[Step, ...]:
        chance, depth = self.random, len(held)
        steps = []
        for _ in range(chance.randint(1, 3 if depth == 0 else 2)):
            kind = chance.choices(
                ("with", "keep", "wait", "notify", "event", "set", "join", "result"),
                (12 if depth < 3 else 0, 0.5, 1, 1, 0.7, 1, 2, 2),
            )[0]
            thing: Thing | None = None
            form, body = chance.choice(("", "", "", "timed")), ()
            if kind == "with":
                thing = chance.choice(self.things)
                form = chance.choice(self.SEEN if chance.random() < 0.75 else self.UNSEEN)
                body = self._script(actors, (*held, thing))
            elif kind == "keep":
                # Not for good that of a condition: a thread that takes it again cannot be ended.
                thing = chance.choice(self.things)
                if thing.kind == "Condition":
                    continue
            elif kind in ("wait", "notify"):
                conditions = [each for each in held if each.kind == "Condition"]
                # Only the first thread may have other locks while it waits. If all threads of a deadlock took
                # locks of conditions again, none of them could be ended.
                if not conditions or (kind == "wait" and self.actors and len(held) > 1):
                    continue
                thing = chance.choice(conditions)
            elif kind in ("event", "set"):
                thing = self.events[0]
            steps.append(Step(kind, thing, body, form, chance.randrange(actors)))
        return tuple(steps)

    # ---- The conductor

    def settle(self) -> None:
        """Wait until every thread has ended, waits for its turn, or is asleep."""
        end = time.monotonic() + LIMIT
        before: dict[int, int] = {}
        while True:
            in_step = [actor for actor in self.actors if not actor.is_at_gate and not actor.has_ended]
            # Two looks: one thread may have woken another between the looks at these two.
            sleeps = {sleep[0]: sleep[1] for sleep in native.asleep()}
            now = {actor.number: sleeps[actor.number] for actor in in_step if actor.number in sleeps}
            if len(now) == len(in_step) and now == before and all(map(self._may_sleep, in_step)):
                return
            before = now
            assert time.monotonic() < end, "the threads are not still"
            os.sched_yield()

    def _may_sleep(self, actor: Actor) -> bool:
        """Whether its step may take longer. Some waits are over, and the sleep goes on for a moment."""
        awaited = actor.awaited
        if awaited is None or actor.is_being_ended:
            return False
        return not (isinstance(awaited, Actor) and awaited.is_over)

    def go(self, actor: Actor) -> None:
        """Let a thread that is at its gate do its next step."""
        actor.is_at_gate = False
        actor.gate.release()
        self.settle()

    def sleeps(self) -> dict[int, Waiting]:
        """The sleeps of the program's threads, by their numbers."""
        numbers = {actor.number for actor in self.actors if not actor.is_at_gate and not actor.is_over}
        every = map(Waiting._make, native.asleep())
        return {waiting.thread: waiting for waiting in every if waiting.thread in numbers}

    def end_wait(self, actor: Actor) -> None:
        """End the wait of a thread by an error, as the watch does, or as if its time were over."""
        waiting = self.sleeps()[actor.number]
        if isinstance(actor.awaited, Thing) and actor.awaited.condition:
            actor.waits_for_lock_again()
        else:
            actor.is_being_ended = True
        with native.Pin([waiting.sleep]) as pin:
            assert pin.end(waiting.sleep, ENDED)
        self.settle()

    @property
    def ready(self) -> list[Actor]:
        """The threads that can do a step."""
        return [actor for actor in self.actors if actor.is_at_gate]

    @property
    def asleep(self) -> list[Actor]:
        """The threads whose waits can be ended."""
        return [
            actor
            for actor in self.actors
            if not actor.is_at_gate and not actor.is_over and not actor.takes_again
        ]

    # ---- The model

    def wakers(self, actor: Actor) -> set[Actor] | None:
        """Which of the actors can end the wait of this one; None: any thread, or nobody knows."""
        awaited = actor.awaited
        if actor.is_at_gate or actor.is_over or actor.is_timed or awaited is None:
            return None
        if isinstance(awaited, Actor):
            return {awaited}
        if awaited.kind not in ("Lock", "RLock", "Condition") or not awaited.holders:
            return None
        owner, how = awaited.holders[-1]
        if awaited.is_reentrant:
            return set() if owner.is_over and owner.thread else {owner}
        if how != "with" or (owner is actor and actor.by_acquire):
            return None
        return {owner}

    def stuck(self) -> set[Actor]:
        """The threads that can never go on, for certain."""
        wakers = {actor: self.wakers(actor) for actor in self.actors}
        left = {actor for actor in self.actors if wakers[actor] is not None}
        while True:
            kept = {actor for actor in left if (wakers[actor] or set()) <= left}
            if kept == left:
                return left
            left = kept

    def is_cycle(self, core: list[Actor]) -> bool:
        """Whether these wait for each other in a circle, or the only one for what nobody can give."""
        if len(core) == 1 and self.wakers(core[0]) == set():
            return True
        following = [*core[1:], core[0]]
        return all(other in (self.wakers(actor) or ()) for actor, other in zip(core, following, strict=True))

    def is_in_cycle(self, actor: Actor) -> bool:
        """Whether the thread waits in the end for itself, or at once for what nobody can give."""
        reached: set[Actor] = set()
        left = [actor]
        if self.wakers(actor) == set():
            return True
        while left:
            for other in self.wakers(left.pop()) or ():
                if other is actor:
                    return True
                if other not in reached:
                    reached.add(other)
                    left.append(other)
        return False

    def check_end(self) -> None:
        """All locks are free in the end, but those that were kept."""
        for thing in self.things:
            kept = len(thing.holders)
            is_free = thing.value.acquire(blocking=False)
            assert is_free == (not kept), f"{thing.kind}: {kept} holders"
            if is_free:
                thing.value.release()

    def indices(self, actors: Iterable[Actor]) -> list[int]:
        return sorted(map(self.actors.index, actors))

    def describe(self) -> str:
        """What all threads do, for the message of a failure."""
        lines = []
        for actor in self.actors:
            index = self.actors.index(actor)
            if actor.is_at_gate or actor.is_over:
                lines.append(f"{index}: {'over' if actor.is_over else 'at its gate'}")
                continue
            awaited = actor.awaited
            name = (
                f"actor {self.actors.index(awaited)}"
                if isinstance(awaited, Actor)
                else f"{awaited.kind if awaited else None} of "
                f"{[(self.actors.index(holder), how) for holder, how in awaited.holders] if awaited else ''}"
            )
            lines.append(f"{index}: waits for {name}, timed: {actor.is_timed}, again: {actor.takes_again}")
        return "\n".join(lines)


def judged(program: Program) -> tuple[set[Actor], list[list[Actor]]]:
    """What the watch says of the program now: the threads that are stuck for certain, and their circles."""
    sleeps = program.sleeps()
    by_number = {actor.number: actor for actor in program.actors}
    with native.Pin([waiting.sleep for waiting in sleeps.values() if waiting.left is None]) as pin:
        situation = Situation(pin)
        suspects = situation.stuck("certain", "likely", "with")
        if suspects:
            situation.confirm(suspects)
        stuck = situation.stuck("certain")
        assert stuck <= situation.stuck("certain", "likely")
        again = {number for number in stuck if situation.takes_again(number)}
        groups = situation.groups(stuck)
    # Not all of them: the lock may have been taken in another way than by a `with` that can be seen.
    assert again <= {number for number in stuck if by_number[number].takes_again}
    found = {by_number[number] for number in stuck}
    members = [number for group in groups for number in (*group.core, *group.behind)]
    assert sorted(members) == sorted(stuck)
    return found, [[by_number[number] for number in group.core] for group in groups]


def judge(seed: int, pool: ThreadPoolExecutor) -> Counter[str]:
    """Run a program to its end, and compare what the watch says after each step with the model."""
    counts: Counter[str] = Counter(programs=1)
    program = Program(seed, pool)
    chance = program.random
    while any(not actor.has_ended for actor in program.actors):
        stuck, circles = judged(program)
        expected = program.stuck()
        counts.update(looks=1, deadlocks=len(circles))
        assert stuck == expected, f"seed {seed}: {program.indices(stuck)}\n{program.describe()}"
        assert bool(stuck) == bool(circles)
        for circle in circles:
            assert program.is_cycle(circle), f"seed {seed}: {program.indices(circle)}\n{program.describe()}"
        if circles and (chance.random() < 0.3 or not program.ready):
            circle = chance.choice(circles)
            victim = chance.choice([actor for actor in circle if not actor.takes_again])
            program.end_wait(victim)
            assert victim not in judged(program)[0]
            counts.update(ended=1)
        elif program.ready:
            program.go(chance.choice(program.ready))
        else:
            program.end_wait(chance.choice(program.asleep))
    program.check_end()
    return counts


def be_watched(seed: int, pool: ThreadPoolExecutor) -> Counter[str]:
    """Run a program to its end, while the watch ends the waits of deadlocks."""
    counts: Counter[str] = Counter(programs=1)
    program = Program(seed, pool)
    chance = program.random

    def errors() -> dict[Actor, int]:
        return {actor: actor.errors for actor in program.actors if actor.errors}

    while any(not actor.has_ended for actor in program.actors):
        before = errors()
        if program.ready and not program.stuck():
            program.go(chance.choice(program.ready))
            assert errors() == before, f"seed {seed}: no thread was stuck"
        elif stuck := program.stuck():
            circles = [actor for actor in stuck if program.is_in_cycle(actor)]
            end = time.monotonic() + LIMIT
            while errors() == before:
                assert time.monotonic() < end, f"seed {seed}: nothing was ended\n{program.describe()}"
                time.sleep(0.005)
            victims = [actor for actor in program.actors if actor.errors != before.get(actor, 0)]
            assert set(victims) <= set(circles), f"seed {seed}: {program.indices(victims)}"
            counts.update(ended=len(victims))
            program.settle()
        else:
            program.end_wait(chance.choice(program.asleep))
    program.check_end()
    return counts


def main(what: str, seed: int, seconds: float, most: int) -> None:
    """Run programs until the time is over, and at least some, or until this many have been run."""
    # Joins look more often whether they must end.
    _watch.JOIN_SLICE = 0.002
    _watch._record()
    listener: list[str] = []
    if what == "be_watched":
        _watch.listeners.append(listener.append)
        diagnose.watch("raise")
    run = {"judge": judge, "be_watched": be_watched}[what]
    counts: Counter[str] = Counter()
    end = time.monotonic() + seconds
    # Not in a `with`: after a failure, its end would not come.
    pool = ThreadPoolExecutor(2)
    # On a busy machine, few programs may run in that time.
    while counts["programs"] < most and (
        time.monotonic() < end or counts["programs"] < FEWEST or not counts["ended"]
    ):
        counts += run(seed + counts["programs"], pool)
    pool.shutdown()
    # What was reported twice, or would have ended something else.
    assert what == "judge" or len(listener) >= counts["ended"]
    print(dict(counts))


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
    except BaseException:
        # The threads of the program are left as they are, and the pool must not wait for them.
        traceback.print_exc()
        sys.stdout.flush()
        os._exit(1)
