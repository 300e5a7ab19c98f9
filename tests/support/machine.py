"""What the state machines share. A machine compares an object of oxthreads with the standard one.

It calls the same method of both objects, and compares the outcomes: the values, or the types and messages of
the exceptions. In :class:`Alone`, one thread makes all calls. In :class:`Together`, each library has some
actors. An actor is a thread that does one thing at a time, as the machine tells it. The machine goes on when
each actor has done it or sleeps in the kernel. So it knows which actors are blocked, without timing.

There are few examples, and they are always the same. For twenty times as many, with new random ones each
time::

    OXTHREADS_MACHINES=20 pytest --timeout=0 tests/model/test_threading_machines*.py

With that, hypothesis also shortens a failure among several threads, which can take minutes.
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

from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.threads import start
from tests.support.waiting import TIMEOUT_SECONDS

#: How many times the usual number of examples. If it is set, the examples are random.
LONGER = int(os.environ.get("OXTHREADS_MACHINES", "0"))

Act = Callable[[Any], Any]
Outcome = tuple[Any, ...]

#: A timeout that ends before anything else happens, and one that never ends in a test.
BRIEF, LONG = 0.0005, 1000.0

#: Timeouts that end soon, or that are refused, whether -1 or None stands for no timeout.
_PROMPT = [
    *(0, 0.0, -0.0, False, 1e-9, BRIEF, -0.5, -2, -(2**70), -math.inf),
    *(math.inf, 1e300, 2**70, threading.TIMEOUT_MAX * 1.01),
    *("1", [], {}, 1j, Decimal("0.0005"), Fraction(1, 2000)),
]
#: For acquire() of a lock: timeouts that end soon or are refused, and timeouts that may last.
PROMPT_FOR_LOCK = [*_PROMPT, None, math.nan]
PATIENT_FOR_LOCK = [-1, -1.0, 5, True, 1e6, threading.TIMEOUT_MAX]
#: The same for all other waits.
PROMPT = [*_PROMPT, -1, -1.0]
PATIENT = [None, 5, True, 1e6]

#: Arguments for waits that do not end by themselves.
ENDLESS_FOR_LOCK: list[tuple[Any, ...]] = [(), (True,), (True, -1), (True, LONG)]
ENDLESS: list[tuple[Any, ...]] = [(), (None,), (LONG,)]

_ADDRESS = re.compile(r"0x[0-9a-f]+")
_MODULE = re.compile(r"\b(?:oxthreads\._oxthreads|oxthreads\.threading|oxthreads|threading|_thread)\.")
_OWNER = re.compile(r"owner=(\d+)")


def run(machine: Callable[[], Pair], examples: int, slow: bool = False) -> None:
    """Run the machine with this many examples. `slow`: do not look for the shortest failure."""
    run_as_test(
        machine,  # type: ignore[arg-type]
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
    """The text without the parts that differ from object to object, or between the libraries."""
    text = _ADDRESS.sub("0x", _MODULE.sub("", text))
    return text.replace("lock object", "Lock object").replace("RLock object", "Lock object")


def outcome(act: Act, subject: Any) -> Outcome:
    """The outcome of a call: the value and its type, or the type and the message of the exception."""
    try:
        value = act(subject)
    except Exception as error:
        return type(error), words(str(error))
    if isinstance(value, tuple):
        return "returned", *((type(item), item) for item in value)
    return "returned", type(value), value


def unlike(ours: object, standard: object) -> str:
    """The message of a failure."""
    return f"ours: {ours}, the standard one: {standard}"


class Pair(RuleBasedStateMachine):
    """A machine that has one object of each library."""

    libraries = (STANDARD, OXTHREADS)

    def __init__(self) -> None:
        super().__init__()
        self.subjects = [self.make(library) for library in self.libraries]
        self.native_for = 0

    @property
    def standard(self) -> Any:
        """The object of the standard library, whose outcomes are the expected ones."""
        return self.subjects[0]

    def make(self, library: BackEnd) -> Any:
        """A new object of the library."""
        raise NotImplementedError

    def observe(self, subject: Any) -> Iterable[Any]:
        """What can be seen of the object from outside."""
        raise NotImplementedError

    def both(self, act: Act, by_type: bool = False) -> Outcome:
        """Do it with both objects, and return the outcome. `by_type`: the messages may differ."""
        standard, ours = (outcome(act, subject) for subject in self.subjects)
        if by_type:
            assert ours[:1] == standard[:1], unlike(ours, standard)
        else:
            assert ours == standard, unlike(ours, standard)
        return standard

    #: Attributes that make our object fall back when they are first used.
    standard_attributes: tuple[str, ...] = ()

    @initialize(steps=st.sampled_from([0, 5, 10, 20, 1000]))
    def stay_native(self, steps: int) -> None:
        """Do not fall back for this many steps. After that, only the standard library's code is tested."""
        self.native_for = steps

    @precondition(lambda self: self.standard_attributes and self.native_for <= 0)
    @rule(data=st.data())
    def take_fallback(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.standard_attributes))
        self.both(lambda subject: type(getattr(subject, name)).__name__)

    @invariant()
    def they_look_alike(self) -> None:
        self.native_for -= 1
        standard, ours = (list(self.observe(subject)) for subject in self.subjects)
        assert ours == standard, unlike(ours, standard)


class Bare:
    """A lock with no more methods than a condition needs."""

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
    """An instance of a subclass of RLock."""
    name = "Sub"
    return type(name, (type(library.threading.RLock()),), {"__module__": "threading"})()


#: The locks that a condition may have, by name. None means that the condition makes its own.
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
    """A machine with one thread, which makes all calls. So no call may block for good."""


class Actor:
    """A thread that does one thing at a time."""

    def __init__(self, name: str) -> None:
        self.name = name
        #: Whether it is doing something; and whether that ends by itself.
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
        """The outcome of what it did. It is returned only once."""
        taken, self._outcome = self._outcome, None
        return taken

    def sleeps(self) -> bool:
        """Whether it sleeps in the kernel at this moment."""
        return os.pread(self._state, 512, 0).rpartition(b")")[2].split()[0] == b"S"

    def turns(self) -> list[bytes]:
        """How often the kernel has let it run; empty if the system does not report it."""
        return os.pread(self._turns, 512, 0).split()[-1:]

    def dismiss(self) -> None:
        self._told.put(None)
        self.thread.join(TIMEOUT_SECONDS)
        os.close(self._state)
        os.close(self._turns)
        assert not self.thread.is_alive()


def settle(actors: list[Actor]) -> None:
    """Return when each actor has done what it was told, or sleeps until another thread does something.

    A woken thread is runnable before the thread that woke it goes on, and that can be seen from outside. A
    thread that waits for the GIL is different: it sleeps only until this thread releases the GIL. So this
    thread releases it before every look, and looks several times. If an actor has run between two looks, even
    only to find the GIL taken, it is not at rest.
    """
    end = time.monotonic() + TIMEOUT_SECONDS
    calm = 0
    turns: list[list[bytes]] = []
    while calm < 4 and (busy := [actor for actor in actors if actor.busy]):
        time.sleep(0.00005)
        at_rest = all(actor.sleeps() and not actor.brief for actor in busy)
        before, turns = turns, [actor.turns() for actor in busy]
        calm = calm + 1 if at_rest and turns == before else 0
        assert time.monotonic() < end, f"the actors do not come to rest within {TIMEOUT_SECONDS} s"


class Together(Pair):
    """A machine with some actors for each library. The actors of a library share one object.

    If the standard library does not say which of several actors goes on, set `anonymous`. Then the machine
    only compares how many of them go on, and with which outcomes.
    """

    actor_count = 4
    anonymous = False

    def __init__(self) -> None:
        self.casts = [[Actor(f"actor-{number}") for number in range(self.actor_count)] for _ in range(2)]
        super().__init__()

    def names(self, text: str) -> str:
        """The text with the names of actors for the numbers of threads; if `anonymous`, only "somebody"."""
        actors = {str(actor.thread.ident): actor.name for cast in self.casts for actor in cast}

        def name(match: re.Match[str]) -> str:
            named = "somebody" if self.anonymous and match[1] != "0" else actors.get(match[1], match[1])
            return f"owner={named}"

        return _OWNER.sub(name, words(text))

    def idle(self) -> list[int]:
        """The numbers of the actors that have nothing to do."""
        return [number for number, actor in enumerate(self.casts[0]) if not actor.busy]

    def blocked(self) -> list[int]:
        """The numbers of the actors that are blocked."""
        return [number for number, actor in enumerate(self.casts[0]) if actor.busy]

    def tell(self, number: int, act: Act, brief: bool = False) -> Any:
        """Let that actor of each library do it, and return all outcomes."""
        return self.tell_those([cast[number] for cast in self.casts], act, brief)

    def tell_anybody(self, act: Act, brief: bool = False) -> Any:
        """Let any idle actor of each library do it, and return all outcomes."""
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
        """Do it in this thread, and return all outcomes."""
        self.both(act)
        return self.compare()

    def compare(self) -> Any:
        """Wait until all actors are at rest. Compare which are blocked, and the outcomes of the others."""
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
        """Wake the blocked actors, or some of them."""
        raise NotImplementedError

    def teardown(self) -> None:
        for subject, cast in zip(self.subjects, self.casts, strict=True):
            for _ in range(3 * self.actor_count):
                if not any(actor.busy for actor in cast):
                    break
                self.release_everybody(subject, cast)
                settle(cast)
            assert not any(actor.busy for actor in cast), "an actor is still blocked"
        for cast in self.casts:
            for actor in cast:
                actor.dismiss()
