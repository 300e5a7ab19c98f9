"""Methods are functions, as in the standard library. They can be bound, kept weakly, and inspected."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import pickle
import types
import weakref
from typing import Any
from unittest import mock

import pytest

from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.refusals import refusal
from tests.support.threads import Result

pytestmark = pytest.mark.one_thread("changes classes that others use")

CLASSES = [
    *("Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier", "Thread", "Timer"),
    *("Queue", "LifoQueue", "PriorityQueue", "Future", "ThreadPoolExecutor"),
]

#: The standard library has these classes in C. Their methods are built-in methods there, and here too.
BUILT_IN = ["Lock", "RLock", "SimpleQueue"]

ARGUMENTS: dict[str, tuple[Any, ...]] = {"Barrier": (1,), "Timer": (1000, int), "ThreadPoolExecutor": (1,)}


def find(library: BackEnd, name: str) -> Any:
    modules = [library.threading, library.queue, library.futures]
    return next(getattr(module, name) for module in modules if hasattr(module, name))


def make(library: BackEnd, name: str) -> Any:
    return find(library, name)(*ARGUMENTS.get(name, ()))


def public_methods(name: str) -> list[str]:
    """Return the methods of the standard class that are Python functions."""
    members = inspect.getmembers(find(STANDARD, name), inspect.isfunction)
    return [method for method, _ in members if not method.startswith("_")]


METHODS = [(name, method) for name in CLASSES for method in public_methods(name)]

#: Methods that tools know, although they are private.
PRIVATE_METHODS = [
    ("Event", "_at_fork_reinit"),
    ("Condition", "_at_fork_reinit"),
    ("ThreadPoolExecutor", "_adjust_thread_count"),
    ("ThreadPoolExecutor", "_initializer_failed"),
]


def signature(function: Any) -> inspect.Signature:
    """Return the signature without the parameters that only our `map` has."""
    found = inspect.signature(function)
    ours = {"buffersize", "progress"}
    return found.replace(parameters=[each for each in found.parameters.values() if each.name not in ours])


@pytest.mark.parametrize(("name", "method"), METHODS + PRIVATE_METHODS)
def test_a_method_looks_like_the_standard_one(name: str, method: str) -> None:
    standard, ours = (getattr(find(library, name), method) for library in (STANDARD, OXTHREADS))
    assert inspect.isfunction(ours)
    assert inspect.isroutine(ours)
    assert not inspect.ismethod(ours)
    assert not inspect.isbuiltin(ours)
    assert signature(ours) == signature(standard)
    for attribute in ("__name__", "__qualname__", "__module__"):
        assert getattr(ours, attribute) == getattr(standard, attribute), attribute
    assert inspect.getsource(ours)
    assert callable(ours.__code__.co_positions)
    assert repr(ours).startswith(f"<function {ours.__qualname__} at 0x")
    assert ours.__doc__ or not standard.__doc__
    native = [base for base in find(OXTHREADS, name).__mro__ if base.__module__ == "oxthreads._oxthreads"]
    documented = [vars(base)[method].__doc__ for base in native if method in vars(base)]
    assert documented in ([], [ours.__doc__])


@pytest.mark.parametrize(("name", "method"), METHODS)
def test_a_bound_method_has_the_usual_type_and_attributes(name: str, method: str) -> None:
    things = [make(library, name) for library in (STANDARD, OXTHREADS)]
    standard, ours = (getattr(thing, method) for thing in things)
    assert type(ours) is types.MethodType is type(standard)
    assert ours.__self__ is things[1]
    assert ours.__func__ is getattr(type(things[1]), method)
    assert inspect.ismethod(ours)
    assert signature(ours) == signature(standard)
    assert ours == getattr(things[1], method)
    assert hash(ours) == hash(getattr(things[1], method))
    assert ours.__name__ == standard.__name__
    reference = weakref.WeakMethod(ours)
    assert reference() == ours
    function = weakref.ref(ours.__func__)
    assert function() is ours.__func__
    del ours, things
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_methods_are_built_in_as_in_the_standard_library(library: BackEnd, name: str) -> None:
    thing = make(library, name)
    for method in ("acquire", "release") if name != "SimpleQueue" else ("put", "get", "qsize"):
        assert inspect.isbuiltin(getattr(thing, method))
        assert refusal(weakref.WeakMethod, getattr(thing, method))[0] is TypeError


def test_methods_that_are_kept_by_weak_references_are_called(library: BackEnd) -> None:
    """The signals of Django and blinker keep their receivers in this way."""

    class Signal:
        def __init__(self) -> None:
            self.receivers: list[Any] = []

        def connect(self, receiver: Any) -> None:
            kind = (
                weakref.WeakMethod
                if hasattr(receiver, "__self__") and hasattr(receiver, "__func__")
                else weakref.ref
            )
            self.receivers.append(kind(receiver))

        def send(self, *arguments: object) -> None:
            for reference in self.receivers:
                if (receiver := reference()) is not None:
                    receiver(*arguments)

    event, items, future = library.threading.Event(), library.queue.Queue(), library.futures.Future()
    begun, gathered = Signal(), Signal()
    begun.connect(event.set)
    gathered.connect(items.put)
    gathered.connect(items.put_nowait)
    gathered.connect(future.set_result)
    begun.send()
    gathered.send(5)
    assert (event.is_set(), items.get(), items.get(), future.result()) == (True, 5, 5, 5)


@pytest.mark.parametrize("name", ["Event", "Queue", "Semaphore", "Condition", "Future", "Barrier"])
def test_a_method_can_be_pickled_copied_and_wrapped(library: BackEnd, name: str) -> None:
    cls = find(library, name)
    method = {"Queue": "put", "Future": "result", "Barrier": "wait", "Semaphore": "release"}.get(name, "wait")
    function = getattr(cls, method)
    assert copy.copy(function) is function
    assert copy.deepcopy(function) is function
    assert pickle.loads(pickle.dumps(function)) is function

    @functools.wraps(function)
    def wrapper(*arguments: Any, **keywords: Any) -> Any:
        return function(*arguments, **keywords)

    assert (wrapper.__name__, wrapper.__wrapped__) == (method, function)
    assert inspect.signature(wrapper) == inspect.signature(function)
    function.mark = "mine"
    assert getattr(make(library, name), method).mark == "mine"
    del function.mark
    partial = functools.partialmethod(function)
    assert partial.func is function


@pytest.mark.parametrize("name", ["Event", "Queue", "Semaphore", "Condition", "Future", "Barrier"])
def test_a_method_can_be_called_as_a_function(library: BackEnd, name: str) -> None:
    cls = find(library, name)
    for method in ("wait", "put", "get", "release", "notify", "result", "set", "reset"):
        function = getattr(cls, method, None)
        if function is None:
            continue
        assert refusal(function)[0] is TypeError
        assert refusal(function, object())[0] in (AttributeError, TypeError)
    if name == "Event":
        event = cls()
        cls.set(event)
        assert (cls.wait(event), cls.wait(self=event, timeout=1) if library is STANDARD else True) == (
            True,
            True,
        )
    if name == "Queue":
        items = cls()
        cls.put(items, 1)
        cls.put(items, item=2, block=True, timeout=None)
        assert [cls.get(items), cls.get(items, timeout=1)] == [1, 2]


@pytest.mark.parametrize("name", ["Event", "Queue"])
def test_a_function_works_on_an_object_that_only_looks_like_one_of_its_class(
    library: BackEnd, name: str
) -> None:
    """The proxy has the standard attributes, so the standard function accepts it."""
    real = find(STANDARD, name)()
    proxy = types.SimpleNamespace(**vars(real))
    cls = find(library, name)
    if name == "Event":
        cls.set(proxy)
        assert cls.is_set(proxy) is True
    else:
        proxy._qsize, proxy._put, proxy._get = real._qsize, real._put, real._get
        cls.put(proxy, 1)
        assert cls.get(proxy) == 1


@pytest.mark.parametrize("name", ["Event", "Queue", "Semaphore", "Condition", "Future"])
def test_a_mock_with_autospec_checks_arguments(library: BackEnd, name: str) -> None:
    fake = mock.create_autospec(find(library, name))()
    if name == "Queue":
        fake.put(1)
        fake.get(timeout=1)
        assert refusal(fake.put)[0] is TypeError
        assert refusal(fake.get, 1, 2, 3)[0] is TypeError
    elif name == "Future":
        fake.set_result(1)
        assert refusal(fake.set_result)[0] is TypeError
    else:
        method = "release" if name == "Semaphore" else "wait"
        getattr(fake, method)()
        assert refusal(getattr(fake, method), 1, 2, 3)[0] is TypeError


def test_a_patched_method_is_called(library: BackEnd) -> None:
    items = library.queue.Queue()
    with mock.patch.object(library.queue.Queue, "put", autospec=True) as put:
        items.put_nowait(5)
    put.assert_called_once_with(items, 5, block=False)
    items.put_nowait(6)
    assert items.get() == 6
    with mock.patch.object(items, "get", return_value=7):
        assert items.get_nowait() == 7


def test_threads_may_call_the_methods_of_many_objects(frantic: None) -> None:
    def work() -> int:
        count = 0
        for _ in range(2_000):
            items = OXTHREADS.queue.Queue()
            items.put(1)
            count += items.get()
            event = OXTHREADS.threading.Event()
            event.set()
            count += event.wait()
        return count

    assert [result.get() for result in [Result(work) for _ in range(4)]] == [4_000] * 4
