"""`oxthreads.locks.singleflight`: calls with the same key at the same time are one call."""

from __future__ import annotations

import gc
import inspect
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from oxthreads.locks import singleflight
from tests.support.forks import can_fork, forks, in_child
from tests.support.signals import Interrupt, fail, handler, signal_once_asleep
from tests.support.threads import Result
from tests.support.waiting import TIMEOUT_SECONDS, rounds, until_asleep

THREADS = 6


class Gate:
    """A function that waits until the test lets it go on, and keeps what it was called with."""

    __name__ = __qualname__ = "gate"

    def __init__(self, outcome: Callable[[], object] = object) -> None:
        self.calls: list[Any] = []
        self.outcome = outcome
        self.entered, self.opened = threading.Event(), threading.Event()

    def __call__(self, *arguments: object, **keywords: object) -> object:
        self.calls.append((arguments, keywords))
        self.entered.set()
        assert self.opened.wait(TIMEOUT_SECONDS)
        return self.outcome()

    def wait_until_entered(self) -> None:
        assert self.entered.wait(TIMEOUT_SECONDS)


def test_calls_with_the_same_key_share_one_call_and_nothing_is_kept() -> None:
    gate = Gate()
    load = singleflight(key=lambda user, *_: user)(gate)
    first = Result(load, "ann", 0)
    gate.wait_until_entered()
    others = [Result(load, "ann", number) for number in range(1, THREADS)]
    until_asleep(*(other.thread for other in others))
    gate.opened.set()
    result = first.get()
    assert all(other.get() is result for other in others)
    assert gate.calls == [(("ann", 0), {})]
    assert load("ann", 7) is not result
    assert len(gate.calls) == 2


def test_calls_with_other_keys_are_other_calls() -> None:
    gate = Gate()
    load = singleflight(key=lambda user: user)(gate)
    callers = [Result(load, number) for number in range(THREADS)]
    until_asleep(*(caller.thread for caller in callers))
    assert len(gate.calls) == THREADS
    gate.opened.set()
    assert len({id(caller.get()) for caller in callers}) == THREADS


@pytest.mark.parametrize("decorate", [singleflight, singleflight(), singleflight(key=None)])
def test_without_a_key_equal_arguments_share_one_call(decorate: Any) -> None:
    gate = Gate()
    load = decorate(gate)
    callers = [Result(load, 1, b=2, c=3), Result(load, 1.0, c=3, b=2), Result(load, 1, 2, 3), Result(load)]
    until_asleep(*(caller.thread for caller in callers))
    gate.opened.set()
    results = [caller.get() for caller in callers]
    assert results[0] is results[1]
    assert len({id(result) for result in results}) == len(gate.calls) == 3


def test_an_exception_goes_to_all_who_wait_and_not_to_later_calls() -> None:
    outcomes: Iterator[Any] = iter([KeyError("lost"), "found"])

    def outcome() -> object:
        value = next(outcomes)
        if isinstance(value, Exception):
            raise value
        return value

    gate = Gate(outcome)
    load = singleflight(gate)
    first = Result(load)
    gate.wait_until_entered()
    others = [Result(load) for _ in range(THREADS)]
    until_asleep(*(other.thread for other in others))
    gate.opened.set()
    errors = []
    for caller in (first, *others):
        with pytest.raises(KeyError, match="lost") as caught:
            caller.get()
        errors.append(caught.value)
    assert len({id(error) for error in errors}) == 1
    assert load() == "found"


def test_the_end_of_a_thread_concerns_it_alone_and_the_next_runs_with_its_arguments() -> None:
    endings = [SystemExit(), KeyboardInterrupt()]

    def outcome() -> object:
        if endings:
            raise endings.pop(0)
        return gate.calls[-1][0]

    gate = Gate(outcome)
    load = singleflight(key=lambda _: "same")(gate)
    callers = [Result(load, 0)]
    gate.wait_until_entered()
    for number in range(1, 4):
        callers.append(Result(load, number))
        until_asleep(callers[-1].thread)
    gate.opened.set()
    with pytest.raises(SystemExit):
        callers[0].get()
    with pytest.raises(KeyboardInterrupt):
        callers[1].get()
    assert [callers[2].get(), callers[3].get()] == [(2,), (2,)]
    assert load(9) == (9,)


def test_the_end_of_the_only_caller_leaves_nothing() -> None:
    endings = [SystemExit()]

    def leave() -> str:
        if endings:
            raise endings.pop()
        return "well"

    load = singleflight(leave)
    with pytest.raises(SystemExit):
        load()
    assert load() == "well"


def test_a_call_with_the_same_key_inside_itself_is_refused() -> None:
    @singleflight(key=lambda number, _: number)
    def call(number: int, inner: int) -> int:
        return inner if number == inner else call(inner, inner)

    assert call(1, 2) == 2

    @singleflight
    def endless() -> object:
        return endless()

    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"endless\(\) is called by itself, in the same thread"):
            endless()


def test_a_key_that_cannot_be_hashed_or_made_is_an_error() -> None:
    calls: list[object] = []

    def fails(_: object) -> None:
        raise ZeroDivisionError

    load = singleflight(key=lambda argument: argument)(calls.append)
    with pytest.raises(TypeError, match="unhashable"):
        load([])
    with pytest.raises(TypeError, match="unhashable"):
        singleflight(calls.append)([])
    with pytest.raises(ZeroDivisionError):
        singleflight(key=fails)(calls.append)(1)
    with pytest.raises(TypeError):
        load(1, 2)  # type: ignore[call-arg]
    assert calls == []
    load(1)
    assert calls == [1]


class Awkward:
    """A key whose comparison can fail."""

    fails = False

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        if Awkward.fails:
            raise ZeroDivisionError
        return isinstance(other, Awkward)


@pytest.mark.one_thread("lets all comparisons of the class fail")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_key_whose_comparison_fails_does_not_make_others_wait_for_ever() -> None:
    def fail_from_now_on() -> str:
        Awkward.fails = True
        return "result"

    gate = Gate(fail_from_now_on)
    load = singleflight(key=lambda key: key)(gate)
    try:
        callers = [Result(load, Awkward())]
        gate.wait_until_entered()
        callers += [Result(load, Awkward()) for _ in range(2)]
        until_asleep(*(caller.thread for caller in callers))
        gate.opened.set()
        assert [caller.get() for caller in callers] == ["result"] * 3
    finally:
        Awkward.fails = False


def test_keys_that_are_compared_by_code_of_the_program_share_one_call(frantic: None) -> None:
    running, most = [0], [0]

    def work(_: object) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        running[0] -= 1

    load = singleflight(key=lambda key: key)(work)

    def call() -> None:
        for _ in rounds(300):
            load(Awkward())

    for caller in [Result(call) for _ in range(4)]:
        caller.get()
    assert most == [1]


def test_no_two_calls_are_in_flight_and_none_is_lost(frantic: None) -> None:
    running, calls = [0] * 3, [0]

    @singleflight(key=lambda number: number % 3)
    def work(number: int) -> int:
        running[number % 3] += 1
        assert running[number % 3] == 1
        calls[0] += 1
        running[number % 3] -= 1
        if calls[0] % 5 == 0:
            raise KeyError(number % 3)
        if calls[0] % 7 == 0:
            raise SystemExit
        return number % 3

    def call() -> None:
        for number in rounds(2000):
            try:
                assert work(number) == number % 3
            except KeyError as error:
                assert error.args == (number % 3,)
            except SystemExit:
                pass

    for caller in [Result(call) for _ in range(4)]:
        caller.get()
    assert running == [0, 0, 0]


class Users:
    """The flights of a method belong to the object if the key has it."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    @singleflight(key=lambda self, user: (id(self), user))
    def load(self, user: str) -> object:
        """Load."""
        return self.gate(user)

    @singleflight(key=lambda self, user: user)
    def load_for_all(self, user: str) -> object:
        return self.gate(user)


@pytest.mark.parametrize(("name", "count"), [("load", 2), ("load_for_all", 1)])
def test_it_works_for_methods(name: str, count: int) -> None:
    gate = Gate()
    callers = [Result(getattr(users, name), "ann") for users in (Users(gate), Users(gate)) for _ in range(2)]
    until_asleep(*(caller.thread for caller in callers))
    gate.opened.set()
    assert len({id(caller.get()) for caller in callers}) == len(gate.calls) == count


def test_it_looks_like_the_function() -> None:
    def load(user: str, *, fresh: bool = False) -> str:
        """Load."""
        return user

    flight = singleflight(key=lambda user, fresh=False: user)(load)
    assert (flight.__name__, flight.__doc__) == ("load", "Load.")
    assert inspect.signature(flight) == inspect.signature(load)
    assert flight("ann", fresh=True) == "ann"
    assert inspect.isfunction(flight)


def test_what_cannot_be_called_is_refused() -> None:
    def generator() -> Iterator[int]:
        yield 1

    for nothing in (1, "key"):
        with pytest.raises(TypeError, match="takes a function"):
            singleflight(nothing)  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="key must be a function"):
            singleflight(key=nothing)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="generator"):
        singleflight(generator)


def test_results_and_errors_are_kept_by_nothing() -> None:
    class Thing(Exception):
        pass

    def raise_it() -> None:
        raise Thing

    make = singleflight(Thing)
    reference = weakref.ref(make())
    gc.collect()
    assert reference() is None
    try:
        singleflight(raise_it)()
    except Thing as error:
        reference = weakref.ref(error)
    gc.collect()
    assert reference() is None


@pytest.mark.one_thread("sends signals to the main thread")
def test_a_signal_ends_the_wait_at_once_and_the_others_get_the_result() -> None:
    gate = Gate()
    load = singleflight(gate)
    first = Result(load)
    gate.wait_until_entered()
    with handler(fail):
        sender = signal_once_asleep()
        with pytest.raises(Interrupt):
            load()
        sender.join()
    gate.opened.set()
    first.get()
    assert len(gate.calls) == 1


@pytest.mark.one_thread("sends signals to the main thread")
def test_a_signal_in_the_call_gives_the_turn_to_the_next() -> None:
    gate = Gate()
    load = singleflight(key=lambda _: 1)(lambda caller: gate(caller) if caller == "main" else caller)
    others: list[Result] = []

    def send() -> None:
        gate.wait_until_entered()
        others.extend(Result(load, "other") for _ in range(2))
        until_asleep(*(other.thread for other in others))
        os.kill(os.getpid(), signal.SIGUSR1)

    with handler(fail):
        sender = Result(send)
        with pytest.raises(Interrupt):
            load("main")
        sender.get()
    assert [other.get() for other in others] == ["other"] * 2


@can_fork
@forks
@pytest.mark.one_thread("forks")
def test_a_child_begins_again_what_another_thread_was_doing() -> None:
    gate = Gate(lambda: "result")
    load = singleflight(gate)
    first = Result(load)
    gate.wait_until_entered()

    def check() -> None:
        gate.opened.set()
        assert load() == "result"
        assert len(gate.calls) == 2
        assert load() == "result"
        assert len(gate.calls) == 3

    in_child(check)
    gate.opened.set()
    assert first.get() == "result"


class Key:
    """A key that changes while a call is in flight."""

    def __init__(self, name: object) -> None:
        self.name = name

    def __hash__(self) -> int:
        if self.name is None:
            raise ValueError("no hash")
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        if self.name is None:
            raise ValueError("no comparison")
        return isinstance(other, Key) and self.name == other.name


@pytest.mark.parametrize("name", [None, 7, 16])
def test_a_key_that_has_changed_does_no_harm(name: object) -> None:
    """The call returns its own result, and later calls neither wait for it nor get it."""

    def load(key: Key) -> object:
        key.name = name
        return object()

    together = singleflight(load)
    key = Key(8)
    result = together(key)
    key.name = 8
    assert together(key) is not result


def test_a_key_that_has_changed_into_another_one_does_not_end_that_call() -> None:
    gate = Gate()

    @singleflight(key=lambda key, function: key)
    def load(key: Key, function: Callable[[], object]) -> object:
        return function()

    other, key = Key(7), Key(8)
    first = Result(load, other, gate)
    gate.wait_until_entered()
    load(key, lambda: setattr(key, "name", 7))
    second = Result(load, Key(7), gate)
    until_asleep(first.thread, second.thread)
    gate.opened.set()
    assert first.get() is second.get()
    assert len(gate.calls) == 1


def test_an_error_of_a_comparison_goes_to_the_caller_that_compares() -> None:
    gate = Gate()
    load = singleflight(key=lambda key: key)(gate)
    key = Key(8)
    first = Result(load, key)
    gate.wait_until_entered()
    key.name = None

    class Equal(int):
        def __hash__(self) -> int:
            return hash(8)

    with pytest.raises(ValueError, match="no comparison"):
        load(Equal())
    gate.opened.set()
    first.get()
    assert len(gate.calls) == 1
