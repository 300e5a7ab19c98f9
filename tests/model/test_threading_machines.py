"""The types of `threading` behave as the standard types when one thread calls their methods in any order.

The module `machine` says how long this runs, and how to run it longer.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.support.back_ends import BackEnd
from tests.support.machine import (
    BRIEF,
    LOCKS,
    LONG,
    PATIENT,
    PATIENT_FOR_LOCK,
    PROMPT,
    PROMPT_FOR_LOCK,
    Alone,
    outcome,
    run,
    words,
)

#: Arguments for `blocking`: truth values, and other values.
BLOCKING = [True, False, 0, 1, 2, "", "x", None, [], 0.5]
#: Numbers of permits, of threads to notify and of parties. Some of them are not valid.
NUMBERS = [0, 1, 2, 3, -1, True, False, 2**63 - 1, 2**63, 2**70, -(2**70), 1.0, 1.5, -0.5, "x", None, [], 1j]
#: Before Python 3.13, the standard semaphore notifies one by one, even if no thread waits. A great number
#: would take too long.
COUNTS_TO_RELEASE = sys.version_info < (3, 13)
NUMBERS_TO_RELEASE = [
    number for number in NUMBERS if not (COUNTS_TO_RELEASE and isinstance(number, int) and number > 3)
]
#: Stands for an argument that is not given.
ABSENT = object()


def arguments(*values: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and keyword arguments of a call with this `blocking` and `timeout`."""
    blocking, timeout = values
    if blocking is ABSENT:
        return (), {} if timeout is ABSENT else {"timeout": timeout}
    return (blocking,) if timeout is ABSENT else (blocking, timeout), {}


class LockRules(Alone):
    """The steps that all locks have."""

    def is_locked(self) -> bool:
        """Whether `acquire` would block."""
        return "<locked" in repr(self.standard)

    def observe(self, subject: Any) -> Iterable[Any]:
        yield words(repr(subject))
        yield "<locked" in repr(subject)
        if hasattr(self.standard, "locked"):
            yield subject.locked()

    @rule(data=st.data())
    def acquire(self, data: st.DataObject) -> None:
        blocking = data.draw(st.sampled_from([ABSENT, *BLOCKING]))
        timeouts = [*PROMPT_FOR_LOCK, ABSENT, *PATIENT_FOR_LOCK]
        if self.is_locked() and (blocking is ABSENT or blocking):
            timeouts = PROMPT_FOR_LOCK
        args, keywords = arguments(blocking, data.draw(st.sampled_from(timeouts)))
        self.both(lambda lock: lock.acquire(*args, **keywords))

    @rule()
    def release(self) -> None:
        self.both(lambda lock: lock.release())

    @precondition(lambda self: not self.is_locked())
    @rule()
    def enter(self) -> None:
        self.both(lambda lock: lock.__enter__())

    @rule(args=st.sampled_from([(), (None, None, None)]))
    def exit(self, args: tuple[Any, ...]) -> None:
        self.both(lambda lock: lock.__exit__(*args))

    @rule()
    def start_anew_as_in_a_forked_child(self) -> None:
        self.both(lambda lock: lock._at_fork_reinit())

    @rule(args=st.sampled_from([(1, 2, 3), (True, -1, None)]))
    def acquire_with_too_many_arguments(self, args: tuple[Any, ...]) -> None:
        self.both(lambda lock: lock.acquire(*args), by_type=True)

    @rule()
    def acquire_with_an_unknown_argument(self) -> None:
        self.both(lambda lock: lock.acquire(wait=True), by_type=True)

    @rule()
    def release_with_an_argument(self) -> None:
        self.both(lambda lock: lock.release(1), by_type=True)


class LockAlone(LockRules):
    def make(self, library: BackEnd) -> Any:
        return library.threading.Lock()

    @precondition(lambda self: hasattr(self.standard, "acquire_lock"))
    @rule(blocking=st.sampled_from(BLOCKING))
    def use_old_names(self, blocking: Any) -> None:
        if not (self.is_locked() and blocking):
            self.both(lambda lock: lock.acquire_lock(blocking))
        self.both(lambda lock: lock.locked_lock())
        self.both(lambda lock: lock.release_lock())


class RLockAlone(LockRules):
    def __init__(self) -> None:
        super().__init__()
        self.saved: list[Any] = []

    def make(self, library: BackEnd) -> Any:
        return library.threading.RLock()

    def is_locked(self) -> bool:
        return False  # its owner never blocks, and there is no other thread

    def observe(self, subject: Any) -> Iterable[Any]:
        yield from super().observe(subject)
        yield subject._is_owned()
        if hasattr(self.standard, "_recursion_count"):
            yield subject._recursion_count()

    @rule()
    def save(self) -> None:
        came, *value = self.both(lambda lock: lock._release_save())
        if came == "returned":
            self.saved.append(tuple(item for _, item in value))

    @precondition(lambda self: self.saved and not self.standard._is_owned())
    @rule(sequence=st.sampled_from([tuple, list]))
    def restore(self, sequence: type) -> None:
        state = sequence(self.saved.pop())
        self.both(lambda lock: lock._acquire_restore(state))

    @rule(state=st.sampled_from([None, 1, (), (1,), (1, 2, 3), ("x", 1), (1, "x"), (1.5, 1), [1], 1j]))
    def restore_nonsense(self, state: Any) -> None:
        self.both(lambda lock: lock._acquire_restore(state), by_type=True)


class ConditionAlone(LockRules):
    """A condition. It has the methods of its lock too."""

    standard_attributes = ("_waiters",)

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__()
        self.saved: list[Any] = []

    def make(self, library: BackEnd) -> Any:
        return library.threading.Condition(LOCKS[self.kind](library))

    def is_locked(self) -> bool:
        return "RLock" not in self.kind and self.kind != "own" and self.standard._is_owned()

    def observe(self, subject: Any) -> Iterable[Any]:
        yield words(repr(subject))
        yield subject._is_owned()
        if hasattr(self.standard, "locked"):
            yield subject.locked()

    @rule(timeout=st.sampled_from([*PROMPT, math.nan]))
    def wait(self, timeout: Any) -> None:
        self.both(lambda condition: condition.wait(timeout))

    @precondition(lambda self: not self.standard._is_owned())
    @rule(timeout=st.sampled_from(PATIENT))
    def wait_in_vain(self, timeout: Any) -> None:
        self.both(lambda condition: condition.wait(timeout))

    @rule(timeout=st.sampled_from(PROMPT), results=st.lists(st.sampled_from([0, "", None, 1, True, "x"])))
    def wait_for(self, timeout: Any, results: list[Any]) -> None:
        def act(condition: Any) -> Any:
            left = list(results)
            return condition.wait_for(lambda: left.pop(0) if left else 0, timeout), len(left)

        self.both(act)

    @rule(result=st.sampled_from([1, "x"]), timeout=st.sampled_from(PATIENT))
    def wait_for_what_is_so(self, result: Any, timeout: Any) -> None:
        self.both(lambda condition: condition.wait_for(lambda: result, timeout))

    @rule(args=st.sampled_from([(), *((number,) for number in NUMBERS)]))
    def notify(self, args: tuple[Any, ...]) -> None:
        self.both(lambda condition: condition.notify(*args))

    @rule(method=st.sampled_from(["notify_all", "notifyAll"]))
    def notify_all(self, method: str) -> None:
        self.both(lambda condition: getattr(condition, method)())

    @rule()
    def save(self) -> None:
        came, *value = self.both(lambda condition: condition._release_save())
        if came == "returned":
            self.saved.append(None if value == [type(None), None] else tuple(item for _, item in value))

    @precondition(lambda self: self.saved and not self.standard._is_owned())
    @rule()
    def restore(self) -> None:
        state = self.saved.pop()
        self.both(lambda condition: condition._acquire_restore(state))

    @rule()
    def use_its_lock(self) -> None:
        self.both(
            lambda condition: type(condition._lock.release).__name__ != "" and condition._lock.release()
        )

    @rule()
    def set_attribute(self) -> None:
        def act(condition: Any) -> Any:
            condition.attribute = 1
            return condition.attribute

        self.both(act)

    @rule(act=st.sampled_from([lambda c: c.wait(1, 2), lambda c: c.notify(1, 2), lambda c: c.notify_all(1)]))
    def pass_too_many_arguments(self, act: Any) -> None:
        self.both(act, by_type=True)


class SemaphoreAlone(Alone):
    standard_attributes = ("_cond",)
    value: Any
    name = "Semaphore"

    def make(self, library: BackEnd) -> Any:
        return getattr(library.threading, self.name)()

    @initialize(args=st.sampled_from([(), *((number,) for number in [*NUMBERS, math.nan])]))
    def begin(self, args: tuple[Any, ...]) -> None:
        constructor = [getattr(library.threading, self.name) for library in self.libraries]
        standard, ours = (outcome(lambda new: type(new(*args)).__name__, new) for new in constructor)
        assert ours == standard
        if standard[0] == "returned":
            self.subjects = [new(*args) for new in constructor]

    def would_block(self) -> bool:
        return bool(self.standard._value == 0)

    def observe(self, subject: Any) -> Iterable[Any]:
        yield outcome(lambda semaphore: words(repr(semaphore)), subject)
        yield outcome(lambda semaphore: repr(semaphore._value), subject)
        yield outcome(lambda semaphore: repr(semaphore._initial_value), subject)

    @rule(data=st.data())
    def acquire(self, data: st.DataObject) -> None:
        blocking = data.draw(st.sampled_from([ABSENT, *BLOCKING]))
        timeouts = [*PROMPT, ABSENT, *PATIENT, math.nan]
        if self.would_block() and (blocking is ABSENT or blocking):
            timeouts = PROMPT
        args, keywords = arguments(blocking, data.draw(st.sampled_from(timeouts)))
        self.both(lambda semaphore: semaphore.acquire(*args, **keywords))

    @precondition(lambda self: self.would_block() and "_cond" not in vars(self.subjects[1]))
    @rule()
    def acquire_with_nan_is_refused_where_the_standard_one_spins(self) -> None:
        came = outcome(lambda semaphore: semaphore.acquire(timeout=math.nan), self.subjects[1])
        assert came == (ValueError, "Invalid value NaN (not a number)")

    @rule(args=st.sampled_from([(), (), *((number,) for number in NUMBERS_TO_RELEASE)]))
    def release(self, args: tuple[Any, ...]) -> None:
        self.both(lambda semaphore: semaphore.release(*args))

    @precondition(lambda self: not self.would_block())
    @rule()
    def enter(self) -> None:
        self.both(lambda semaphore: semaphore.__enter__())

    @rule()
    def exit(self) -> None:
        self.both(lambda semaphore: semaphore.__exit__(None, None, None))

    @rule(number=st.sampled_from([0, 1, 2, 3, -1, 2**70, 1.5]))
    def set_value(self, number: Any) -> None:
        self.both(lambda semaphore: setattr(semaphore, "_value", number))

    @rule(args=st.sampled_from([(), *((number,) for number in NUMBERS)]))
    def initialize_again(self, args: tuple[Any, ...]) -> None:
        self.both(lambda semaphore: semaphore.__init__(*args))

    @rule(
        act=st.sampled_from(
            [lambda s: s.acquire(1, 2, 3), lambda s: s.release(1, 2), lambda s: s.acquire(wait=1)]
        )
    )
    def pass_wrong_arguments(self, act: Any) -> None:
        self.both(act, by_type=True)


class BoundedSemaphoreAlone(SemaphoreAlone):
    name = "BoundedSemaphore"

    @rule(number=st.sampled_from([0, 1, 2, 3, -1, 2**63 - 1, 2**70, 1.5]))
    def set_bound(self, number: Any) -> None:
        self.both(lambda semaphore: setattr(semaphore, "_initial_value", number))


class EventAlone(Alone):
    standard_attributes = ("_cond",)

    def make(self, library: BackEnd) -> Any:
        return library.threading.Event()

    def observe(self, subject: Any) -> Iterable[Any]:
        yield words(repr(subject))
        yield subject.is_set()
        yield subject._flag

    @rule()
    def set(self) -> None:
        self.both(lambda event: event.set())

    @rule()
    def clear(self) -> None:
        self.both(lambda event: event.clear())

    @rule()
    def use_the_old_name(self) -> None:
        self.both(lambda event: event.isSet())

    @rule(data=st.data())
    def wait(self, data: st.DataObject) -> None:
        patient = PATIENT if self.standard.is_set() else []
        timeout = data.draw(st.sampled_from([*PROMPT, math.nan, *patient]))
        self.both(lambda event: event.wait(timeout))

    @rule(flag=st.booleans())
    def set_flag(self, flag: bool) -> None:
        self.both(lambda event: setattr(event, "_flag", flag))

    @rule()
    def start_anew_as_in_a_forked_child(self) -> None:
        self.both(lambda event: event._at_fork_reinit())

    @rule()
    def initialize_again(self) -> None:
        self.both(lambda event: event.__init__())

    @rule(
        act=st.sampled_from(
            [lambda e: e.set(1), lambda e: e.wait(1, 2), lambda e: e.is_set(1), lambda e: e.__init__(1)]
        )
    )
    def pass_too_many_arguments(self, act: Any) -> None:
        self.both(act, by_type=True)


def fail() -> None:
    """An action of a barrier that raises."""
    raise KeyError("action")


class BarrierAlone(Alone):
    standard_attributes = ("_cond", "_state", "_count", "_parties", "_timeout", "_action")

    def make(self, library: BackEnd) -> Any:
        return library.threading.Barrier(1)

    @initialize(
        parties=st.sampled_from([1, 1, 1, 2, 3, *NUMBERS]),
        action=st.sampled_from([None, None, None, int, fail, 1, "x"]),
        timeout=st.sampled_from([None, None, BRIEF, LONG, 0, -1, "x", math.inf]),
    )
    def begin(self, parties: Any, action: Any, timeout: Any) -> None:
        constructor = [library.threading.Barrier for library in self.libraries]
        standard, ours = (
            outcome(lambda new: type(new(parties, action, timeout)).__name__, new) for new in constructor
        )
        assert ours == standard
        self.has_long_timeout = timeout in (None, LONG)
        if standard[0] == "returned":
            self.subjects = [new(parties, action=action, timeout=timeout) for new in constructor]

    def would_block(self) -> bool:
        return self.standard.parties != 1 and not self.standard.broken

    def observe(self, subject: Any) -> Iterable[Any]:
        yield outcome(lambda barrier: words(repr(barrier)), subject)
        yield repr(subject.parties)
        yield repr(subject.n_waiting)
        yield subject.broken

    @rule(data=st.data())
    def wait(self, data: st.DataObject) -> None:
        patient = [5, True, 1e6]
        if not self.would_block():
            timeouts = [*PROMPT, *patient, None, math.nan]
        else:
            timeouts = PROMPT if self.has_long_timeout else [*PROMPT, None]
        timeout = data.draw(st.sampled_from(timeouts))
        self.both(lambda barrier: barrier.wait(timeout))

    @rule(name=st.sampled_from(["reset", "abort"]))
    def end(self, name: str) -> None:
        self.both(lambda barrier: getattr(barrier, name)())

    @rule(name=st.sampled_from(["parties", "n_waiting", "broken"]))
    def set_what_cannot_be_set(self, name: str) -> None:
        self.both(lambda barrier: setattr(barrier, name, 1), by_type=True)

    @rule(act=st.sampled_from([lambda b: b.wait(1, 2), lambda b: b.reset(1), lambda b: b.__init__()]))
    def pass_wrong_arguments(self, act: Any) -> None:
        self.both(act, by_type=True)


def test_lock_behaves_as_the_standard_lock() -> None:
    run(LockAlone, 60)


def test_rlock_behaves_as_the_standard_rlock() -> None:
    run(RLockAlone, 60)


@pytest.mark.parametrize("kind", LOCKS)
def test_condition_behaves_as_the_standard_condition(kind: str) -> None:
    run(lambda: ConditionAlone(kind), 30)


@pytest.mark.parametrize("machine", [SemaphoreAlone, BoundedSemaphoreAlone])
def test_semaphores_behave_as_the_standard_semaphores(machine: type[SemaphoreAlone]) -> None:
    run(machine, 80)


def test_event_behaves_as_the_standard_event() -> None:
    run(EventAlone, 50)


def test_barrier_behaves_as_the_standard_barrier() -> None:
    run(BarrierAlone, 80)


@pytest.mark.parametrize("timeout", [1j, Fraction(1, 2000), 2**70, "1", []], ids=repr)
@pytest.mark.parametrize("make", ["Semaphore(0).acquire", "Barrier(2).wait"])
def test_invalid_timeouts_raise_the_standard_errors(make: str, timeout: Any) -> None:
    name, parties, method = make.replace(")", "(").split("(")
    objects = [getattr(library.threading, name)(int(parties)) for library in Alone.libraries]
    standard, ours = (outcome(lambda it: getattr(it, method[1:])(timeout=timeout), it) for it in objects)
    assert ours == standard
