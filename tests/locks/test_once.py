"""`oxthreads.locks.once`: the first call runs, all others get its result."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import inspect
import os
import pickle
import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from oxthreads.locks import once
from tests.support.forks import can_fork, forks, in_child
from tests.support.interpreters import FREE_THREADED, python
from tests.support.signals import Interrupt, fail, handler, signal_once_asleep
from tests.support.threads import Result
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, until_asleep

THREADS = 8


class Gate:
    """A function that waits until the test lets it go on, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.entered, self.opened = threading.Event(), threading.Event()
        self.outcomes: Iterator[object] = iter([])

    def __call__(self) -> object:
        self.calls += 1
        self.entered.set()
        assert self.opened.wait(TIMEOUT_SECONDS)
        outcome = next(self.outcomes, None)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome if outcome is not None else self

    def wait_until_entered(self) -> None:
        assert self.entered.wait(TIMEOUT_SECONDS)


def test_the_first_caller_runs_it_and_the_others_wait_for_its_result() -> None:
    gate = Gate()
    only_once = once(gate)
    first = Result(only_once)
    gate.wait_until_entered()
    others = [Result(only_once) for _ in range(THREADS)]
    until_asleep(*(other.thread for other in others))
    gate.opened.set()
    assert {id(caller.get()) for caller in (first, *others)} == {id(gate)}
    assert only_once() is gate
    assert gate.calls == 1


def test_it_is_called_once_by_threads_that_come_together(frantic: None) -> None:
    for _ in range(50):
        calls, meeting = [], threading.Barrier(4)

        @once
        def make(calls: list[int] = calls) -> object:
            calls.append(1)
            return object()

        def call(make: Any = make, meeting: threading.Barrier = meeting) -> object:
            meeting.wait(TIMEOUT_SECONDS)
            return make()

        results = {id(caller.get()) for caller in [Result(call) for _ in range(4)]}
        assert (len(results), len(calls)) == (1, 1)


@pytest.mark.parametrize("result", [None, False, 0, (), [], StopIteration()])
def test_any_result_counts(result: object) -> None:
    results = [result]
    take = once(results.pop)
    assert take() is result
    assert take() is result


def test_an_exception_goes_to_its_caller_alone_and_the_next_tries() -> None:
    gate = Gate()
    gate.outcomes = iter([KeyError("first"), SystemExit("second"), "third"])
    only_once = once(gate)
    callers = [Result(only_once)]
    gate.wait_until_entered()
    for _ in range(3):
        callers.append(Result(only_once))
        until_asleep(callers[-1].thread)
    gate.opened.set()
    with pytest.raises(KeyError, match="first"):
        callers[0].get()
    with pytest.raises(SystemExit, match="second"):
        callers[1].get()
    assert [callers[2].get(), callers[3].get(), only_once()] == ["third"] * 3
    assert gate.calls == 3


def test_if_all_fail_each_has_its_own_exception() -> None:
    gate = Gate()
    gate.outcomes = (KeyError(gate.calls) for _ in range(100))
    only_once = once(gate)
    callers = [Result(only_once) for _ in range(THREADS)]
    spin_until(lambda: gate.calls)
    gate.opened.set()
    errors = set()
    for caller in callers:
        with pytest.raises(KeyError) as caught:
            caller.get()
        errors.add(caught.value.args)
    assert errors == {(number + 1,) for number in range(THREADS)}


def test_a_call_inside_itself_is_refused() -> None:
    @once
    def forwards() -> object:
        return backwards()

    @once
    def backwards() -> object:
        return forwards()

    with pytest.raises(RuntimeError, match=r"forwards\(\) is called by itself, in the same thread"):
        forwards()
    # Both have failed, so both may try again.
    with pytest.raises(RuntimeError, match="backwards"):
        backwards()


def test_a_call_in_a_del_method_of_its_own_garbage_is_refused() -> None:
    class Garbage:
        def __del__(self) -> None:
            try:
                only_once()
            except RuntimeError:
                refused.append(True)

    @once
    def only_once() -> str:
        Garbage()
        gc.collect()
        return "made"

    refused: list[bool] = []
    assert only_once() == "made"
    assert refused == [True]


def test_it_looks_like_the_function() -> None:
    @once
    def documented() -> int:
        """Return one."""
        return 1

    documented.note = "noted"  # type: ignore[attr-defined]
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        assert getattr(documented, name) == getattr(documented.__wrapped__, name)
    assert documented.__doc__ == "Return one."
    assert inspect.signature(documented) == inspect.signature(documented.__wrapped__)
    assert inspect.unwrap(documented) is documented.__wrapped__
    assert repr(documented) == f"<once function {documented.__qualname__} at {id(documented):#x}>"
    assert weakref.ref(documented)() is documented
    assert callable(documented)
    assert not inspect.iscoroutinefunction(documented)


@once
def at_the_top() -> int:
    return 1


def test_it_is_copied_and_pickled_by_its_name() -> None:
    assert copy.copy(at_the_top) is at_the_top
    assert copy.deepcopy(at_the_top) is at_the_top
    assert pickle.loads(pickle.dumps(at_the_top)) is at_the_top


def test_arguments_are_refused() -> None:
    only_once: Any = once(lambda: 1)
    for arguments, keywords in (((1, 2), {}), ((), {"a": 1}), ((object(),), {"a": 1})):
        with pytest.raises(TypeError, match=r"<lambda>\(\) is called once, so it takes no arguments"):
            only_once(*arguments, **keywords)
    with pytest.raises(TypeError, match="no __dict__"):
        only_once("argument")
    assert only_once() == 1
    with pytest.raises(TypeError, match="takes no arguments"):
        only_once(1, 2)
    with pytest.raises(TypeError):
        once()  # type: ignore[call-overload]


def test_what_cannot_be_called_once_is_refused() -> None:
    def generator() -> Iterator[int]:
        yield 1

    async def asynchronous_generator() -> Any:
        yield 1

    for function in (generator, asynchronous_generator):
        with pytest.raises(TypeError, match="generator"):
            once(function)
    for nothing in (1, None, "connect", classmethod(len)):
        with pytest.raises(TypeError, match="takes a function"):
            once(nothing)  # type: ignore[call-overload]


def test_other_callables_may_be_called_once() -> None:
    class Callable:
        def __call__(self) -> object:
            return object()

    for function in (Callable(), Callable, functools.partial(int, "7"), dict):
        only_once = once(function)
        assert only_once() is only_once()


class Client:
    """Its methods are called once for each object."""

    def __init__(self) -> None:
        self.calls = 0

    @once
    def connect(self) -> object:
        """Connect."""
        self.calls += 1
        return object()

    @property
    @once
    def address(self) -> object:
        return object()

    @staticmethod
    @once
    def of_all() -> object:
        return object()

    def __eq__(self, other: object) -> bool:
        raise AssertionError("objects are told apart by identity")

    __hash__ = None  # type: ignore[assignment]


class Derived(Client):
    @once
    def connect(self) -> object:
        return super().connect(), "derived"


def test_a_method_is_called_once_for_each_object() -> None:
    one, other = Client(), Client()
    assert one.connect() is one.connect() is Client.connect(one)
    assert other.connect() is not one.connect()
    assert one.address is one.address
    assert other.address is not one.address
    assert Client.of_all() is one.of_all() is other.of_all()
    assert one.calls == other.calls == 1
    bound = one.connect
    assert bound.__self__ is one
    assert bound() is one.connect()
    assert Client.connect.__doc__ == "Connect."


def test_a_method_and_the_one_that_it_replaces_are_two() -> None:
    client = Derived()
    assert client.connect() is client.connect()
    connection, name = client.connect()  # type: ignore[misc]
    assert name == "derived"
    assert Client.connect(client) is connection


def test_the_first_caller_of_a_method_runs_it_and_the_others_wait() -> None:
    gate = Gate()

    class Slow:
        @once
        def connect(self) -> object:
            return gate()

    slow = Slow()
    callers = [Result(slow.connect) for _ in range(THREADS)]
    gate.wait_until_entered()
    until_asleep(*(caller.thread for caller in callers))
    gate.opened.set()
    assert {id(caller.get()) for caller in callers} == {id(gate)}
    assert gate.calls == 1


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda client: pickle.loads(pickle.dumps(client))]
)
def test_a_copy_of_an_object_begins_anew(copied: Any) -> None:
    client = Derived()
    connection = client.connect()
    other = copied(client)
    assert type(other) is Derived
    assert other.connect() is not connection
    assert other.connect() is other.connect()
    assert client.connect() is connection


def test_an_object_without_a_dictionary_is_refused() -> None:
    class Slots:
        __slots__ = ()

        @once
        def connect(self) -> int:
            return 1

    with pytest.raises(
        TypeError, match=r"Slots.connect\(\) is called once for each object, and .* no __dict__"
    ):
        Slots().connect()

    class OfClass:
        @classmethod
        @once
        def connect(cls) -> int:
            return 1

    with pytest.raises(TypeError, match="no __dict__"):
        OfClass.connect()


def test_the_object_is_kept_alive_by_nothing() -> None:
    client = Client()
    connection = weakref.ref(Client.connect)
    client.connect()
    reference = weakref.ref(client)
    del client
    if FREE_THREADED:
        gc.collect()
    assert reference() is None
    assert connection() is not None


@pytest.mark.parametrize("is_method", [False, True])
def test_results_in_cycles_are_freed(is_method: bool) -> None:
    class Node:
        other: object

        @once
        def myself(self) -> Node:
            return self

    def cycle() -> Any:
        node = Node()
        if is_method:
            assert node.myself() is node
        else:
            node.other = once(lambda: node)
            assert node.other() is node
        return node

    gc.collect()
    reference = weakref.ref(cycle())
    gc.collect()
    assert reference() is None


def test_a_function_that_returns_itself_is_freed() -> None:
    def make() -> Any:
        itself: Any = once(lambda: itself)
        assert itself() is itself
        return itself

    reference = weakref.ref(make())
    gc.collect()
    assert reference() is None


def test_no_references_are_lost_or_kept() -> None:
    result = object()
    only_once, client = once(lambda: result), Client()
    only_once()
    connection = client.connect()
    before = sys.getrefcount(result), sys.getrefcount(connection)
    for _ in range(100):
        only_once()
        client.connect()
    assert (sys.getrefcount(result), sys.getrefcount(connection)) == before


@pytest.mark.one_thread("sends signals to the main thread")
def test_a_signal_ends_the_wait_at_once_and_the_others_get_the_result() -> None:
    gate = Gate()
    only_once = once(gate)
    first = Result(only_once)
    gate.wait_until_entered()
    with handler(fail):
        sender = signal_once_asleep()
        with pytest.raises(Interrupt):
            only_once()
        sender.join()
    gate.opened.set()
    assert first.get() is only_once() is gate


@pytest.mark.one_thread("sends signals to the main thread")
def test_a_signal_in_the_first_call_gives_the_turn_to_the_next() -> None:
    gate = Gate()
    attempts: list[int] = []

    @once
    def only_once() -> object:
        attempts.append(1)
        return gate() if len(attempts) == 1 else "second"

    with handler(fail):
        others: list[Result] = []

        def send() -> None:
            gate.wait_until_entered()
            others.append(Result(only_once))
            until_asleep(others[0].thread)
            os.kill(os.getpid(), signal.SIGUSR1)

        sender = Result(send)
        with pytest.raises(Interrupt):
            only_once()
        sender.get()
    assert others[0].get() == only_once() == "second"


@can_fork
@forks
@pytest.mark.one_thread("forks")
def test_a_child_begins_again_what_another_thread_was_doing() -> None:
    gate = Gate()
    only_once = once(gate)
    first = Result(only_once)
    gate.wait_until_entered()
    waiter = Result(only_once)
    until_asleep(waiter.thread)

    def check() -> None:
        gate.opened.set()
        assert only_once() is gate
        assert gate.calls == 2

    in_child(check)
    gate.opened.set()
    assert first.get() is waiter.get() is gate
    assert gate.calls == 1


@can_fork
@forks
@pytest.mark.one_thread("forks")
def test_a_child_of_the_call_itself_goes_on_with_it() -> None:
    @once
    def only_once() -> str:
        def check() -> None:
            with pytest.raises(RuntimeError, match="called by itself"):
                only_once()

        in_child(check)
        return "made"

    assert only_once() == "made"


def test_threads_that_wait_do_not_hold_up_the_exit() -> None:
    program = """
import threading, time
from oxthreads.locks import once, singleflight
started = threading.Barrier(3)
@once
def forever():
    started.wait(); time.sleep(1000)
@singleflight
def in_flight(key):
    started.wait(); time.sleep(1000)
for function in (forever, lambda: in_flight(1)):
    for _ in range(3): threading.Thread(target=function, daemon=True).start()
started.wait()
"""
    child = python(program, runner=False)
    assert (child.returncode, child.stderr) == (0, "")


def test_it_may_be_called_while_the_interpreter_ends() -> None:
    program = """
from oxthreads.locks import once
class Late:
    @once
    def method(self): return "method"
    def __del__(self): print(once(lambda: "well")(), self.method())
late = Late()
"""
    child = python(program, runner=False)
    assert (child.stdout, child.stderr) == ("well method\n", "")


def test_the_import_brings_in_neither_asyncio_nor_typing() -> None:
    program = "import sys; import oxthreads.locks; print(*{'asyncio', 'typing'} & {*sys.modules})"
    child = python(program, runner=False)
    assert (child.stdout, child.stderr) == ("\n", "")


def test_a_coroutine_function_is_one_still() -> None:
    @once
    async def connect() -> int:
        """Connect."""
        return 1

    assert inspect.iscoroutinefunction(connect)
    assert (connect.__name__, connect.__doc__) == ("connect", "Connect.")
    assert asyncio.run(connect()) == asyncio.run(connect()) == 1


class Named:
    """Its method is called once for each object."""

    def __init__(self, name: object) -> None:
        self.name = name

    @once
    def read(self) -> object:
        return self.name


class NamedWithoutWeakReferences:
    """The same, but there are no weak references to it."""

    __slots__ = ("__dict__",)

    def __init__(self, name: object) -> None:
        self.name = name

    @once
    def read(self) -> object:
        return self.name


@pytest.mark.parametrize("class_of", [Named, NamedWithoutWeakReferences])
def test_a_copy_of_a_copy_at_the_address_of_the_first_begins_anew(class_of: Any) -> None:
    for number in range(100):
        first = class_of(number)
        assert first.read() == first.read() == number
        second = copy.copy(first)
        del first
        third = copy.copy(second)
        third.name = "third"
        assert third.read() == third.read() == "third"


@pytest.mark.parametrize("class_of", [Named, NamedWithoutWeakReferences])
def test_the_result_is_there_while_a_cycle_with_the_object_is_collected(class_of: Any) -> None:
    results = []

    class Closing(class_of):  # type: ignore[misc]
        def __del__(self) -> None:
            self.name = "another"
            results.append(self.read())

    closing = Closing("first")
    closing.read()
    closing.itself = closing
    del closing
    gc.collect()
    assert results == ["first"]
