"""Hooks and attributes that a program puts into a class or an object are used, however they got there.

Each program runs on both libraries, and gets its hooks in many ways.
"""

from __future__ import annotations

import threading
import types
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from tests.support.back_ends import OXTHREADS, BackEnd
from tests.support.threads import Result
from tests.support.waiting import until_asleep

pytestmark = pytest.mark.one_thread("changes classes that others use")

#: Makes a class with these attributes, derived from `base`.
Way = Callable[[type, dict[str, Any]], type]


def by_statement(base: type, attributes: dict[str, Any]) -> type:
    return types.new_class("Derived", (base,), exec_body=lambda namespace: namespace.update(attributes))


def by_registry(base: type, attributes: dict[str, Any]) -> type:
    """The class has another base, as for plugins, whose `__init_subclass__` does not call the next one."""

    class Plugin:
        def __init_subclass__(cls) -> None:
            pass

    return types.new_class(
        "Derived", (Plugin, base), exec_body=lambda namespace: namespace.update(attributes)
    )


def by_decorator(base: type, attributes: dict[str, Any]) -> type:
    cls: type = types.new_class("Derived", (base,))
    for name, value in attributes.items():
        setattr(cls, name, value)
    return cls


def by_mixin(base: type, attributes: dict[str, Any]) -> type:
    mixin = type("Mixin", (), dict(attributes))
    return types.new_class("Derived", (mixin, base))


def by_mixin_later(base: type, attributes: dict[str, Any]) -> type:
    mixin = type("Mixin", (), {})
    cls = types.new_class("Derived", (mixin, base))
    for name, value in attributes.items():
        setattr(mixin, name, value)
    return cls


def by_bases(base: type, attributes: dict[str, Any]) -> type:
    mixin = type("Mixin", (), dict(attributes))
    cls: Any = types.new_class("Derived", (base,))
    cls.__bases__ = (mixin, base)
    result: type = cls
    return result


def by_metaclass(base: type, attributes: dict[str, Any]) -> type:
    class Meta(type):
        def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> Any:
            return super().__new__(mcs, name, bases, {**namespace, **attributes})

        def __getattribute__(cls, name: str) -> Any:
            if name in attributes:
                raise AttributeError(name)  # a metaclass is not asked for the attributes of objects
            return super().__getattribute__(name)

    return types.new_class("Derived", (base,), {"metaclass": Meta})


def by_grandchild(base: type, attributes: dict[str, Any]) -> type:
    return types.new_class("Grandchild", (by_decorator(base, attributes),))


WAYS: list[Way] = [
    by_statement,
    by_registry,
    by_decorator,
    by_mixin,
    by_mixin_later,
    by_bases,
    by_metaclass,
    by_grandchild,
]


@pytest.fixture(params=WAYS)
def derive(request: pytest.FixtureRequest) -> Way:
    way: Way = request.param
    return way


# -- The hooks of each class, with results that show that they are used.


def a_stack(library: BackEnd, derive: Way) -> object:
    def _put(self: Any, item: object) -> None:
        self.queue.appendleft(item)

    cls: Any = derive(library.queue.Queue, {"_put": _put})
    items = cls()
    items.put(1)
    items.put(2)
    items.put_nowait(3)
    return [items.get(), items.get(block=False), items.get_nowait(), items.qsize()]


def a_bag(library: BackEnd, derive: Way) -> object:
    """All four hooks, as in the recipe for a queue without duplicates."""
    hooks = {
        "_init": lambda self, maxsize: setattr(self, "queue", {}),
        "_qsize": lambda self: len(self.queue),
        "_put": lambda self, item: self.queue.setdefault(item),
        "_get": lambda self: self.queue.popitem()[0],
    }
    cls: Any = derive(library.queue.LifoQueue, hooks)
    items = cls(2)
    items.put("a")
    items.put("a")
    sizes = items.qsize(), items.full(), items.empty()
    items.put("b")
    return [sizes, items.full(), items.get(), items.get(), items.empty(), items.unfinished_tasks]


def a_size(library: BackEnd, derive: Way) -> object:
    cls: Any = derive(library.queue.PriorityQueue, {"_qsize": lambda self: 7})
    items = cls(7)
    return [items.qsize(), items.full(), items.empty()]


def put_and_get(library: BackEnd, derive: Way) -> object:
    calls: list[object] = []

    def put(self: Any, item: object, block: bool = True, timeout: Any = None) -> None:
        calls.append((item, block))
        library.queue.Queue.put(self, item, block, timeout)

    def get(self: Any, block: bool = True, timeout: Any = None) -> object:
        calls.append(block)
        return library.queue.Queue.get(self, block, timeout)

    cls: Any = derive(library.queue.Queue, {"put": put, "get": get})
    items = cls()
    items.put_nowait(1)
    return [items.get_nowait(), calls]


def queue_attributes(library: BackEnd, derive: Way) -> object:
    """The attributes that the standard methods read, as properties of the class."""
    limit = [1]
    hooks = {
        "maxsize": property(lambda self: limit[0], lambda self, maxsize: None),
        "unfinished_tasks": property(
            lambda self: self.tasks, lambda self, tasks: self.__dict__.update(tasks=tasks)
        ),
    }
    cls: Any = derive(library.queue.Queue, hooks)
    items = cls(5)
    items.put(1)
    full = items.full()
    limit[0] = 3
    items.put(2, timeout=10)
    return [full, items.full(), items.tasks, items.get(), items.task_done(), items.tasks]


def a_mutex(library: BackEnd, derive: Way) -> object:
    entered = []

    class Mutex:
        def __init__(self) -> None:
            self.lock = library.threading.Lock()

        def acquire(self, *arguments: Any) -> bool:
            entered.append(1)
            result: bool = self.lock.acquire(*arguments)
            return result

        def release(self) -> None:
            self.lock.release()

        def locked(self) -> bool:
            result: bool = self.lock.locked()
            return result

        def __enter__(self) -> bool:
            return self.acquire()

        def __exit__(self, *_: object) -> None:
            self.release()

    shared = Mutex()
    cls: Any = derive(library.queue.Queue, {"mutex": property(lambda self: shared, lambda self, mutex: None)})
    items = cls()
    items.put(1)
    return [items.qsize(), items.get(), len(entered) > 0]


def an_event_flag(library: BackEnd, derive: Way) -> object:
    flags: list[object] = [False]
    flag = property(lambda self: flags[-1], lambda self, value: flags.append(value))
    cls: Any = derive(library.threading.Event, {"_flag": flag})
    event = cls()
    answers = [event.is_set(), event.wait(0.001)]
    event.set()
    answers += [event.is_set(), event.wait(0), event.wait(), flags[-1]]
    event.clear()
    return [*answers, event.is_set(), flags[-1]]


def an_event_condition(library: BackEnd, derive: Way) -> object:
    used = []

    class Condition(library.threading.Condition):  # type: ignore[misc, name-defined]
        def notify_all(self) -> None:
            used.append("notify_all")
            super().notify_all()

    own = Condition(library.threading.Lock())
    cls: Any = derive(library.threading.Event, {"_cond": property(lambda self: own, lambda self, cond: None)})
    event = cls()
    event.set()
    return [used, event.is_set(), event.wait()]


def a_release(library: BackEnd, derive: Way) -> object:
    released = []

    def release(self: Any, n: int = 1) -> None:
        released.append(n)
        library.threading.Semaphore.release(self, n)

    cls: Any = derive(library.threading.Semaphore, {"release": release})
    semaphore = cls(1)
    with semaphore:
        taken = semaphore.acquire(blocking=False)
    semaphore.release(2)
    return [taken, released, semaphore._value]


def a_bounded_release(library: BackEnd, derive: Way) -> object:
    released = []

    def release(self: Any, n: int = 1) -> None:
        released.append(n)
        library.threading.BoundedSemaphore.release(self, n)

    cls: Any = derive(library.threading.BoundedSemaphore, {"release": release})
    semaphore = cls(1)
    with semaphore:
        pass
    with pytest.raises(ValueError, match="released too many times"):
        semaphore.release()
    return [released, semaphore._value, semaphore._initial_value]


def permits(library: BackEnd, derive: Way) -> object:
    values: list[int] = []
    value = property(lambda self: values[-1], lambda self, number: values.append(number))
    cls: Any = derive(library.threading.BoundedSemaphore, {"_value": value})
    semaphore = cls(2)
    answers = [semaphore.acquire(), semaphore.acquire(), semaphore.acquire(blocking=False)]
    semaphore.release()
    return [answers, values]


def a_bound(library: BackEnd, derive: Way) -> object:
    bound = property(lambda self: 3, lambda self, number: None)
    cls: Any = derive(library.threading.BoundedSemaphore, {"_initial_value": bound})
    semaphore = cls(1)
    semaphore.release(2)
    with pytest.raises(ValueError, match="released too many times"):
        semaphore.release()
    return semaphore._value


def a_notify(library: BackEnd, derive: Way) -> object:
    notified = []

    def notify(self: Any, n: int = 1) -> None:
        notified.append(n)
        library.threading.Condition.notify(self, n)

    cls: Any = derive(library.threading.Condition, {"notify": notify})
    condition = cls()
    with condition:
        condition.notify_all()
        condition.notify(3)
    return notified


def an_owner(library: BackEnd, derive: Way) -> object:
    cls: Any = derive(library.threading.Condition, {"_is_owned": lambda self: True})
    condition = cls(library.threading.Lock())
    condition.notify()  # this does not raise
    return True


def waiters(library: BackEnd, derive: Way) -> object:
    class Waiters(list[Any]):
        appended = 0

        def append(self, waiter: Any) -> None:
            self.appended += 1
            super().append(waiter)

    own = Waiters()
    hooks = {"_waiters": property(lambda self: own, lambda self, waiters: None)}
    cls: Any = derive(library.threading.Condition, hooks)
    condition = cls()
    with condition:
        timed_out = condition.wait(0.001)
    return [timed_out, own.appended, [*own]]


def the_locks_own(library: BackEnd, derive: Way) -> object:
    """The standard class puts the methods of the lock into the object, where they hide those of the class."""
    hooks = {"acquire": lambda self, *_: "mine", "release": lambda self: "mine"}
    cls: Any = derive(library.threading.Condition, hooks)
    condition = cls(library.threading.Lock())
    return [condition.acquire(), condition._lock.locked(), condition.release(), condition._lock.locked()]


def a_barrier(library: BackEnd, derive: Way) -> object:
    entered = []

    def _enter(self: Any) -> None:
        entered.append(1)
        library.threading.Barrier._enter(self)

    cls: Any = derive(library.threading.Barrier, {"_enter": _enter})
    barrier = cls(2)
    other = Result(barrier.wait, 10)
    indices = {barrier.wait(10), other.get()}
    return [indices, len(entered)]


def parties(library: BackEnd, derive: Way) -> object:
    cls: Any = derive(library.threading.Barrier, {"_parties": property(lambda self: 1, lambda self, n: None)})
    barrier = cls(5)
    return [barrier.wait(10), barrier.parties, barrier.n_waiting]


def callbacks(library: BackEnd, derive: Way) -> object:
    invoked = []

    def _invoke_callbacks(self: Any) -> None:
        invoked.append(self.done())
        library.futures.Future._invoke_callbacks(self)

    cls: Any = derive(library.futures.Future, {"_invoke_callbacks": _invoke_callbacks})
    future, called = cls(), []
    future.add_done_callback(lambda future: called.append(future.result()))
    future.set_result(5)
    return [invoked, called, cls().cancel(), invoked]


def future_state(library: BackEnd, derive: Way) -> object:
    states: list[str] = []
    state = property(lambda self: states[-1], lambda self, state: states.append(state))
    cls: Any = derive(library.futures.Future, {"_state": state})
    future = cls()
    future.set_running_or_notify_cancel()
    future.set_result(1)
    return [future.result(), future.done(), states]


PROGRAMS = [
    a_stack,
    a_bag,
    a_size,
    put_and_get,
    queue_attributes,
    a_mutex,
    an_event_flag,
    an_event_condition,
    a_release,
    a_bounded_release,
    permits,
    a_bound,
    a_notify,
    an_owner,
    waiters,
    the_locks_own,
    a_barrier,
    parties,
    callbacks,
    future_state,
]

#: The right result of each program. The standard library has the same results, as the test shows.
RIGHT: dict[Any, object] = {
    a_stack: [3, 2, 1, 0],
    a_bag: [(1, False, False), True, "b", "a", True, 3],
    a_size: [7, True, False],
    put_and_get: [1, [(1, False), False]],
    queue_attributes: [True, False, 2, 1, None, 1],
    a_mutex: [1, 1, True],
    an_event_flag: [False, False, True, True, True, True, False, False],
    an_event_condition: [["notify_all"], True, True],
    a_release: [False, [1, 2], 3],
    a_bounded_release: [[1, 1], 1, 1],
    permits: [[True, True, False], [2, 1, 0, 1]],
    a_bound: 3,
    a_notify: [0, 3],
    an_owner: True,
    waiters: [False, 1, []],
    the_locks_own: [True, True, None, False],
    a_barrier: [{0, 1}, 2],
    parties: [0, 1, 0],
    callbacks: [[True, True], [5], True, [True, True]],
    future_state: [1, True, ["PENDING", "RUNNING", "FINISHED"]],
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_hook_is_used_however_it_got_into_the_class(library: BackEnd, program: Any, derive: Way) -> None:
    assert program(library, derive) == RIGHT[program]


# -- Hooks that are added when there are objects already.


def later(put: Callable[[type, Any, dict[str, Any]], None]) -> Callable[..., object]:
    """Return a program that makes an object of a class, uses it, and then lets `put` add the hooks."""

    def program(library: BackEnd, base: Any, hooks: dict[str, Any], use: Any, *arguments: Any) -> object:
        cls: Any = types.new_class("Derived", (type("Mixin", (), {}), base))
        thing = cls(*arguments)
        use(thing)
        put(cls, thing, hooks)
        return use(thing)

    return program


def into_the_class(cls: type, thing: object, hooks: dict[str, Any]) -> None:
    for name, hook in hooks.items():
        setattr(cls, name, hook)


def into_a_base(cls: type, thing: object, hooks: dict[str, Any]) -> None:
    into_the_class(cls.__bases__[0], thing, hooks)


def by_another_base(cls: Any, thing: object, hooks: dict[str, Any]) -> None:
    cls.__bases__ = (type("Mixin", (), dict(hooks)), cls.__bases__[1])


def by_another_class(cls: Any, thing: Any, hooks: dict[str, Any]) -> None:
    thing.__class__ = types.new_class("Other", (cls,), exec_body=lambda namespace: namespace.update(hooks))


def in_three_steps(cls: Any, thing: Any, hooks: dict[str, Any]) -> None:
    into_the_class(cls, thing, {"something": "else"})
    into_the_class(cls, thing, hooks)
    into_the_class(cls, thing, {"something": "different"})


@pytest.mark.parametrize(
    "put", [into_the_class, into_a_base, by_another_base, by_another_class, in_three_steps]
)
@pytest.mark.parametrize(
    "kind", ["queue", "event", "release", "exit", "notify", "put_nowait", "barrier", "future"]
)
def test_a_hook_is_used_from_the_next_call_on(library: BackEnd, kind: str, put: Any) -> None:
    used: list[object] = []

    def traced(base: type, name: str) -> dict[str, Any]:
        def hook(self: Any, *arguments: Any, **keywords: Any) -> Any:
            used.append(name)
            return getattr(base, name)(self, *arguments, **keywords)

        return {name: hook}

    run = later(put)
    threads, queues = library.threading, library.queue
    if kind == "queue":
        run(library, queues.Queue, traced(queues.Queue, "_put"), lambda items: items.put(1))
    elif kind == "event":
        flag = property(lambda self: used.append("_flag") or True, lambda self, flag: None)
        assert run(library, threads.Event, {"_flag": flag}, lambda event: event.is_set()) is True
    elif kind == "release":
        run(
            library,
            threads.Semaphore,
            traced(threads.Semaphore, "release"),
            lambda permits: permits.release(),
        )
    elif kind == "exit":

        def use(permits: Any) -> None:
            with permits:
                pass

        run(library, threads.BoundedSemaphore, traced(threads.BoundedSemaphore, "release"), use)
    elif kind == "notify":

        def notify(condition: Any) -> None:
            with condition:
                condition.notify_all()

        run(library, threads.Condition, traced(threads.Condition, "notify"), notify)
    elif kind == "put_nowait":
        run(library, queues.LifoQueue, traced(queues.LifoQueue, "put"), lambda items: items.put_nowait(1))
    elif kind == "barrier":
        run(library, threads.Barrier, traced(threads.Barrier, "_exit"), lambda barrier: barrier.wait(), 1)
    else:
        hooks = traced(library.futures.Future, "_invoke_callbacks")
        run(library, library.futures.Future, hooks, lambda future: future.done() or future.cancel())
        if library is OXTHREADS or used == []:  # the future was done before the hook was added
            used.append("done")
    assert len(used) == 1


@pytest.mark.parametrize("name", ["Queue", "LifoQueue", "PriorityQueue"])
def test_a_hook_in_a_class_of_the_library_is_used_while_it_is_there(library: BackEnd, name: str) -> None:
    """A test of a program may patch the class itself while objects of it exist."""
    cls = getattr(library.queue, name)
    before = cls()
    before.put(1)
    taken = []

    def _get(self: Any) -> object:
        taken.append(self)
        return original(self)

    original = cls._get
    own = "_get" in vars(cls)
    cls._get = _get
    try:
        during = cls()
        during.put(2)
        assert (before.get(), during.get()) == (1, 2)
        assert taken == [before, during]
    finally:
        if own:
            cls._get = original
        else:
            del cls._get
    after = cls()
    after.put(3)
    assert (after.get(), len(taken)) == (3, 2)


def test_an_object_that_fell_back_stays_so_and_a_new_one_is_native() -> None:
    cls = type("Derived", (OXTHREADS.queue.Queue,), {})
    old: Any = cls()
    cls._put = lambda self, item: self.queue.appendleft(item)  # type: ignore[attr-defined]
    old.put(1)
    assert "mutex" in vars(old)
    del cls._put  # type: ignore[attr-defined]
    new: Any = cls()
    new.put(1)
    assert not vars(new)
    assert (old.get(), new.get()) == (1, 1)


def test_a_queue_may_change_to_a_class_with_another_order(library: BackEnd) -> None:
    items = type("Mine", (library.queue.Queue,), {})()
    items.put(1)
    items.__class__ = type("Stack", (library.queue.LifoQueue,), {})
    items.put(2)
    assert [items.get(), items.get()] == [2, 1]


def test_a_waiting_getter_goes_on_when_its_queue_falls_back(library: BackEnd) -> None:
    cls: Any = type("Derived", (library.queue.Queue,), {})
    items = cls()
    getter = Result(items.get)
    until_asleep(getter.thread)
    cls._put = lambda self, item: self.queue.append(("hooked", item))
    items.put(1)
    assert getter.get() == ("hooked", 1)


# -- Objects that share one dictionary, and attributes that are deleted.


@pytest.mark.parametrize("name", ["Event", "Semaphore", "Condition", "Queue", "Future"])
def test_objects_that_share_a_dictionary_share_their_state(library: BackEnd, name: str) -> None:
    modules = [library.threading, library.queue, library.futures]
    base = next(getattr(module, name) for module in modules if hasattr(module, name))

    class Borg(base):  # type: ignore[misc]
        shared: ClassVar[dict[str, Any]] = {}

        def __init__(self) -> None:
            self.__dict__ = self.shared
            if not self.shared:
                super().__init__()

    one, other = Borg(), Borg()
    if name == "Event":
        waiter = Result(other.wait)
        until_asleep(waiter.thread)
        one.set()
        assert (waiter.get(), other.is_set()) == (True, True)
    elif name == "Semaphore":
        one.acquire()
        assert other.acquire(blocking=False) is False
        other.release()
        assert one.acquire(blocking=False) is True
    elif name == "Condition":
        with one:
            assert not Result(other.acquire, False).get()
        with other:
            one.notify()
    elif name == "Queue":
        getter = Result(other.get)
        until_asleep(getter.thread)
        one.put(1)
        assert (getter.get(), other.unfinished_tasks) == (1, 1)
    else:
        waiter = Result(other.result)
        until_asleep(waiter.thread)
        one.set_result(1)
        assert (waiter.get(), other.done(), other._state) == (1, True, "FINISHED")


ATTRIBUTES = {
    "Event": ["_cond", "_flag"],
    "Semaphore": ["_cond", "_value"],
    "BoundedSemaphore": ["_cond", "_value", "_initial_value"],
    "Condition": ["_lock", "_waiters"],
    "Barrier": ["_cond", "_action", "_timeout", "_parties", "_state", "_count"],
    "Queue": ["mutex", "not_empty", "not_full", "all_tasks_done", "queue", "maxsize", "unfinished_tasks"],
    "Future": ["_condition", "_state", "_result", "_exception", "_waiters", "_done_callbacks"],
}


def make(library: BackEnd, name: str) -> Any:
    modules = [library.threading, library.queue, library.futures]
    cls = next(getattr(module, name) for module in modules if hasattr(module, name))
    return cls(2) if name == "Barrier" else cls()


@pytest.mark.parametrize(
    ("name", "attribute"), [(name, each) for name in ATTRIBUTES for each in ATTRIBUTES[name]]
)
def test_a_standard_attribute_can_be_deleted_and_set_again(
    library: BackEnd, name: str, attribute: str
) -> None:
    thing = make(library, name)
    before = getattr(thing, attribute)
    delattr(thing, attribute)
    assert not hasattr(thing, attribute)
    with pytest.raises(AttributeError):
        delattr(thing, attribute)
    setattr(thing, attribute, before)
    assert getattr(thing, attribute) is before
    if name == "Queue":
        thing.put(1)
        assert (thing.get(), thing.full()) == (1, False)
    elif name == "Event":
        thing.set()
        assert thing.wait()
    elif name in ("Semaphore", "BoundedSemaphore"):
        with thing:
            assert not thing.acquire(blocking=False)
    elif name == "Future":
        thing.set_result(1)
        assert thing.result() == 1


@pytest.mark.parametrize("name", ["Event", "Queue", "Future", "Semaphore"])
def test_values_that_are_written_into_the_dictionary_are_used(library: BackEnd, name: str) -> None:
    thing = make(library, name)
    if name == "Event":
        assert thing._cond is not None
        vars(thing)["_flag"] = True
        assert (thing.is_set(), thing.wait(0)) == (True, True)
    elif name == "Queue":
        with thing.mutex:
            vars(thing)["unfinished_tasks"] = 5
            vars(thing)["maxsize"] = 1
        thing.put(1)
        assert (thing.unfinished_tasks, thing.full()) == (6, True)
    elif name == "Future":
        with thing._condition:
            vars(thing).update(_state="FINISHED", _result=5)
        assert (thing.done(), thing.result()) == (True, 5)
    else:
        with thing._cond:
            vars(thing)["_value"] = 3
        assert [thing.acquire(blocking=False) for _ in range(4)] == [True, True, True, False]


def test_a_future_accepts_any_state(library: BackEnd) -> None:
    future = library.futures.Future()
    future._state = "PAUSED"
    assert (future._state, future.done(), future.running()) == ("PAUSED", False, False)


@pytest.mark.parametrize("name", ["Condition", "Event", "Semaphore", "Queue", "Future"])
def test_a_subclass_may_make_all_attributes_itself(library: BackEnd, name: str) -> None:
    made = make(library, name)
    if name == "Condition":
        lock = library.threading.Lock()
        attributes: dict[str, Any] = {"_lock": lock, "acquire": lock.acquire, "release": lock.release}
        attributes["_waiters"] = made._waiters
    else:
        attributes = {each: getattr(made, each) for each in ATTRIBUTES[name]}
        if name == "Queue" and hasattr(made, "is_shutdown"):
            attributes["is_shutdown"] = False

    class Own(type(made)):  # type: ignore[misc]
        def __init__(self) -> None:
            for key, value in attributes.items():
                setattr(self, key, value)

    thing = Own()
    if name == "Condition":
        with thing:
            assert not thing.wait(0.001)
            thing.notify_all()
        assert thing.acquire() is True
        thing.release()
    elif name == "Event":
        thing.set()
        assert thing.wait(1)
    elif name == "Semaphore":
        with thing:
            assert not thing.acquire(timeout=0.001)
    elif name == "Queue":
        thing.put(1)
        assert (thing.get(timeout=1), thing.task_done(), thing.join()) == (1, None, None)
    else:
        called: list[object] = []
        thing.add_done_callback(called.append)
        thing.set_result(1)
        assert (thing.result(1), called) == (1, [thing])


def test_adding_a_hook_while_threads_use_the_object_loses_nothing(frantic: None) -> None:
    for _ in range(30):
        cls: Any = type("Derived", (OXTHREADS.queue.Queue,), {})
        items, barrier = cls(5), threading.Barrier(3)

        def produce(items: Any = items, barrier: Any = barrier) -> None:
            barrier.wait()
            for number in range(200):
                items.put(number)

        def consume(items: Any = items, barrier: Any = barrier) -> list[int]:
            barrier.wait()
            return [items.get() for _ in range(200)]

        producer, consumer = Result(produce), Result(consume)
        barrier.wait()
        cls._put = lambda self, item: self.queue.append(item)
        producer.get()
        assert consumer.get() == [*range(200)]
