"""What the state machines share, which drive an object of each library and compare what comes of it.

A machine calls the same method of both objects and compares the outcomes: the values, or the types and
words of what was raised. In :class:`Alone` all calls are made by one thread; in :class:`Together` each
library has some actors, threads that do one thing at a time as the machine tells them, and the machine goes
on when each of them has done it or sleeps in the kernel. So it knows who is blocked, without any timing.

The examples are few and always the same ones. For twenty times as many, other ones every time::

    OXTHREADS_MACHINES=20 pytest --timeout=0 tests/test_threading_machines*.py

Only then is what fails among several threads made shorter, too, which can take minutes.
"""

from __future__ import annotations

import math
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_as_test

from conftest import OXTHREADS, PATIENCE, STANDARD, BackEnd, start

#: How many times the usual number of examples; if given at all, they are random ones.
LONGER = int(os.environ.get("OXTHREADS_MACHINES", "0"))

Act = Callable[[Any], Any]
Outcome = tuple[Any, ...]

#: A timeout that is over before anything else happens, and one that will not pass.
BRIEF, LONG = 0.0005, 1000.0

#: What neither waits nor is right, or is soon over, whether -1 or None means without end.
_PROMPT = [
    *(0, 0.0, -0.0, False, 1e-9, BRIEF, -0.5, -2, -(2**70), -math.inf),
    *(math.inf, 1e300, 2**70, threading.TIMEOUT_MAX * 1.01),
    *("1", [], {}, 1j, Decimal("0.0005"), Fraction(1, 2000)),
]
#: For acquire() of a lock: those that are soon over, and those that may last.
PROMPT_FOR_LOCK = [*_PROMPT, None, math.nan]
PATIENT_FOR_LOCK = [-1, -1.0, 5, True, 1e6, threading.TIMEOUT_MAX]
#: For all other waits.
PROMPT = [*_PROMPT, -1, -1.0]
PATIENT = [None, 5, True, 1e6]

#: The arguments of waits that do not end by themselves.
ENDLESS_FOR_LOCK: list[tuple[Any, ...]] = [(), (True,), (True, -1), (True, LONG)]
ENDLESS: list[tuple[Any, ...]] = [(), (None,), (LONG,)]

_ADDRESS = re.compile(r"0x[0-9a-f]+")
_MODULE = re.compile(r"\b(?:oxthreads\._oxthreads|oxthreads\.threading|oxthreads|threading|_thread)\.")
_OWNER = re.compile(r"owner=(\d+)")


def run(machine: Callable[[], Pair], examples: int, slow: bool = False) -> None:
    """Run the machine that many times. `slow`: there is no time to look for the shortest failure."""
    run_as_test(
        machine,
        settings=settings(
            max_examples=examples * max(LONGER, 1),
            stateful_step_count=30,
            derandomize=not LONGER,
            database=None,
            phases=[Phase.generate, Phase.shrink] if LONGER or not slow else [Phase.generate],
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def words(text: str) -> str:
    """A text without what differs from one object, or one library, to the other."""
    text = _ADDRESS.sub("0x", _MODULE.sub("", text))
    return text.replace("lock object", "Lock object").replace("RLock object", "Lock object")


def outcome(act: Act, subject: Any) -> Outcome:
    """What came of it: the value and its type, or the type and the words of what was raised."""
    try:
        value = act(subject)
    except Exception as error:
        return type(error), words(str(error))
    if isinstance(value, tuple):
        return "returned", *((type(item), item) for item in value)
    return "returned", type(value), value


def unlike(ours: object, standard: object) -> str:
    """What a failure says."""
    return f"ours: {ours}, the standard one: {standard}"


class Pair(RuleBasedStateMachine):
    """A machine that has an object of each library."""

    libraries = (STANDARD, OXTHREADS)

    def __init__(self) -> None:
        super().__init__()
        self.subjects = [self.make(library) for library in self.libraries]
        self.native_for = 0

    @property
    def standard(self) -> Any:
        """The standard object, which says what is to be expected."""
        return self.subjects[0]

    def make(self, library: BackEnd) -> Any:
        """A new object of the library."""
        raise NotImplementedError

    def observe(self, subject: Any) -> Iterable[Any]:
        """What can be seen of the object."""
        raise NotImplementedError

    def both(self, act: Act, by_type: bool = False) -> Outcome:
        """Do it with both; what came of it. `by_type`: what is raised may be put in other words."""
        standard, ours = (outcome(act, subject) for subject in self.subjects)
        if by_type:
            assert ours[:1] == standard[:1], unlike(ours, standard)
        else:
            assert ours == standard, unlike(ours, standard)
        return standard

    #: Attributes whose first use gives our object its standard form.
    standard_attributes: tuple[str, ...] = ()

    @initialize(steps=st.sampled_from([0, 5, 10, 20, 1000]))
    def stay_native(self, steps: int) -> None:
        """At least for so many steps: the standard form is for good, and the standard library's code."""
        self.native_for = steps

    @precondition(lambda self: self.standard_attributes and self.native_for <= 0)
    @rule(data=st.data())
    def take_standard_form(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.standard_attributes))
        self.both(lambda subject: type(getattr(subject, name)).__name__)

    @invariant()
    def they_look_alike(self) -> None:
        self.native_for -= 1
        standard, ours = (list(self.observe(subject)) for subject in self.subjects)
        assert ours == standard, unlike(ours, standard)


class Bare:
    """A lock with the least that a condition asks for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.acquire, self.release, self.locked = self._lock.acquire, self._lock.release, self._lock.locked

    def __enter__(self) -> bool:
        return self._lock.__enter__()

    def __exit__(self, *args: object) -> None:
        return self._lock.__exit__(*args)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"<{'locked' if self.locked() else 'unlocked'} Bare>"

    def _at_fork_reinit(self) -> None:
        self._lock._at_fork_reinit()  # type: ignore[attr-defined]


def subclass_of_rlock(library: BackEnd) -> Any:
    """An RLock of a class of its own."""
    name = "Sub"
    return type(name, (type(library.threading.RLock()),), {"__module__": "threading"})()


#: The lock of a condition, by what it is; None for its own.
LOCKS: dict[str, Callable[[BackEnd], Any]] = {
    "own": lambda library: None,
    "Lock": lambda library: library.threading.Lock(),
    "RLock": lambda library: library.threading.RLock(),
    "RLock subclass": subclass_of_rlock,
    "standard Lock": lambda library: threading.Lock(),
    "standard RLock": lambda library: threading.RLock(),
    "RLock in Python": lambda library: threading._PyRLock(),  # type: ignore[attr-defined]
    "bare": lambda library: Bare(),
}


class Alone(Pair):
    """A machine whose only thread makes all the calls, which therefore must not block for good."""


class Actor:
    """A thread that does one thing at a time."""

    def __init__(self, name: str) -> None:
        self.name = name
        #: Whether it has yet to do what it was told; whether that ends by itself.
        self.busy = False
        self.brief = False
        self._outcome: Outcome | None = None
        self._told: queue.SimpleQueue[tuple[Act, Any] | None] = queue.SimpleQueue()
        self.thread = start(self._live)
        self.thread.name = name
        proc = Path(f"/proc/self/task/{self.thread.native_id}")
        self._state = os.open(proc / "stat", os.O_RDONLY)
        turns = proc / "schedstat"
        self._turns = os.open(turns if turns.exists() else os.devnull, os.O_RDONLY)

    def _live(self) -> None:
        while (told := self._told.get()) is not None:
            self._outcome = outcome(*told)
            del told
            self.busy = False

    def tell(self, act: Act, subject: Any, brief: bool) -> None:
        assert not self.busy
        self.busy, self.brief = True, brief
        self._told.put((act, subject))

    def take_outcome(self) -> Outcome | None:
        """What came of it, once."""
        taken, self._outcome = self._outcome, None
        return taken

    def sleeps(self) -> bool:
        """Whether it sleeps in the kernel at this moment."""
        return os.pread(self._state, 512, 0).rpartition(b")")[2].split()[0] == b"S"

    def turns(self) -> list[bytes]:
        """How often the kernel has let it run; nothing where that is not told."""
        return os.pread(self._turns, 512, 0).split()[-1:]

    def dismiss(self) -> None:
        self._told.put(None)
        self.thread.join(PATIENCE)
        os.close(self._state)
        os.close(self._turns)
        assert not self.thread.is_alive()


def settle(actors: list[Actor]) -> None:
    """Return once each of them has done what it was told, or sleeps until another one does something.

    Whoever is woken is runnable, to be seen from outside, before the waker goes on. What sleeps until this
    thread gives up the GIL is the exception: so it gives it up before every look, and looks again and again.
    Who has run in between, only to find that another thread has the GIL, is not at rest either.
    """
    end = time.monotonic() + PATIENCE
    calm = 0
    turns: list[list[bytes]] = []
    while calm < 4 and (busy := [actor for actor in actors if actor.busy]):
        time.sleep(0.00005)
        at_rest = all(actor.sleeps() and not actor.brief for actor in busy)
        before, turns = turns, [actor.turns() for actor in busy]
        calm = calm + 1 if at_rest and turns == before else 0
        assert time.monotonic() < end, f"they do not come to rest within {PATIENCE} s"


class Together(Pair):
    """A machine with some actors for each library, which have one object.

    Where the standard library does not say which of several actors goes on, `anonymous` is true: what is
    compared is how many do, and with what outcomes.
    """

    actor_count = 4
    anonymous = False

    def __init__(self) -> None:
        self.casts = [[Actor(f"actor-{number}") for number in range(self.actor_count)] for _ in range(2)]
        super().__init__()

    def names(self, text: str) -> str:
        """The text with actors for the numbers of threads, in an anonymous one just somebody."""
        actors = {str(actor.thread.ident): actor.name for cast in self.casts for actor in cast}

        def name(match: re.Match[str]) -> str:
            named = "somebody" if self.anonymous and match[1] != "0" else actors.get(match[1], match[1])
            return f"owner={named}"

        return _OWNER.sub(name, words(text))

    def idle(self) -> list[int]:
        """The actors that have nothing to do."""
        return [number for number, actor in enumerate(self.casts[0]) if not actor.busy]

    def blocked(self) -> list[int]:
        """The actors that are blocked."""
        return [number for number, actor in enumerate(self.casts[0]) if actor.busy]

    def tell(self, number: int, act: Act, brief: bool = False) -> Any:
        """Have that actor of each library do it; what came of it everywhere."""
        return self.tell_those([cast[number] for cast in self.casts], act, brief)

    def tell_anybody(self, act: Act, brief: bool = False) -> Any:
        """Have an actor that is free do it; what came of it everywhere."""
        return self.tell_those(
            [next(actor for actor in cast if self.is_free(actor)) for cast in self.casts], act, brief
        )

    def is_free(self, actor: Actor) -> bool:
        return not actor.busy

    def tell_those(self, actors: list[Actor], act: Act, brief: bool = False) -> Any:
        for actor, subject in zip(actors, self.subjects, strict=True):
            actor.tell(act, subject, brief)
        return self.compare()

    def do_here(self, act: Act) -> Any:
        """Do it in this thread; what came of it everywhere."""
        self.both(act)
        return self.compare()

    def compare(self) -> Any:
        """Wait for quiet, and compare who is blocked, and what came to those that are not."""
        settle([actor for cast in self.casts for actor in cast])
        standard, ours = ([self._report(actor) for actor in cast] for cast in self.casts)
        if self.anonymous:
            standard.sort(key=repr)
            ours.sort(key=repr)
        assert ours == standard, unlike(ours, standard)
        return standard

    def _report(self, actor: Actor) -> Any:
        return "blocked" if actor.busy else actor.take_outcome()

    def release_everybody(self, subject: Any, cast: list[Actor]) -> None:
        """Let those that are blocked go, or some of them."""
        raise NotImplementedError

    def teardown(self) -> None:
        for subject, cast in zip(self.subjects, self.casts, strict=True):
            for _ in range(3 * self.actor_count):
                if not any(actor.busy for actor in cast):
                    break
                self.release_everybody(subject, cast)
                settle(cast)
            assert not any(actor.busy for actor in cast), "somebody is left behind"
        for cast in self.casts:
            for actor in cast:
                actor.dismiss()
