"""No name of ours clashes with a name that a program gives to its own subclass or object.

Our classes and objects have names that the standard ones do not have. Each of them has a prefix, or it is a
public addition. A program may use the name of an addition for something else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.threads import Result
from tests.support.waiting import until_asleep

PREFIX = "_oxthreads_"

#: Names that no program would use for its own attributes.
EVERYBODYS = {"__annotations__", "__annotate_func__", "__annotations_cache__", "__setattr__", "__delattr__"}

BATCHES = {"put_many", "get_many", "iterate"}

ADDITIONS = {
    "Queue": {*BATCHES, "peek", "peek_nowait", "clear", "shutdown", "is_shutdown"},
    "LifoQueue": {*BATCHES, "peek", "peek_nowait", "clear", "shutdown", "is_shutdown"},
    "PriorityQueue": {*BATCHES, "peek", "peek_nowait", "clear", "shutdown", "is_shutdown"},
    "SimpleQueue": {*BATCHES, "peek", "peek_nowait", "clear", "shutdown", "is_shutdown"},
    "Condition": {"locked"},
}

CLASSES = [
    *("Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier", "Thread", "Timer"),
    *("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"),
    "Future",
]

ARGUMENTS: dict[str, tuple[Any, ...]] = {"Barrier": (2,), "Timer": (0.001, int), "Thread": (None, int)}


def find(library: BackEnd, name: str) -> Any:
    modules = [library.threading, library.queue, library.futures]
    return next(getattr(module, name) for module in modules if hasattr(module, name))


def make(cls: Any, name: str) -> Any:
    return cls(*ARGUMENTS.get(name, ()))


def names_of_ours(name: str) -> set[str]:
    """Return the names that our objects have, native or fallen back, and the standard ones do not have."""
    ours, standard = make(find(OXTHREADS, name), name), make(find(STANDARD, name), name)
    fallen_back = make(find(OXTHREADS, name), name)
    if hasattr(fallen_back, "_oxthreads_fall_back"):
        fallen_back._oxthreads_fall_back()
    return {*dir(ours), *vars_of(fallen_back)} - {*dir(standard)} - EVERYBODYS


def vars_of(thing: object) -> set[str]:
    return set(getattr(thing, "__dict__", ()))


@pytest.mark.parametrize("name", CLASSES)
def test_our_names_have_the_prefix_or_are_additions(name: str) -> None:
    found = names_of_ours(name)
    assert {each for each in found if not each.startswith(PREFIX)} <= ADDITIONS.get(name, set())
    if name in ADDITIONS and name != "Condition":
        assert found >= BATCHES


def use_queue(items: Any) -> None:
    items.put(1)
    items.put_nowait(2)
    assert items.qsize() == 2
    assert {items.get(), items.get_nowait()} == {1, 2}
    getter = Result(items.get, True, 30)
    until_asleep(getter.thread)
    items.put(3)
    assert getter.get() == 3
    if hasattr(items, "task_done"):
        for _ in range(3):
            items.task_done()
        items.join()
        assert items.unfinished_tasks == 0
        assert items.mutex is not None  # from here on, it has fallen back
        items.put(4)
        assert items.get(timeout=1) == 4


def use_condition(condition: Any) -> None:
    with condition:
        assert not condition.wait(0.001)
        condition.notify()
        condition.notify_all()
    assert condition._waiters is not None
    with condition:
        assert not condition.wait(0.001)


def use_semaphore(permits: Any) -> None:
    with permits:
        assert permits.acquire(blocking=False) is False
    assert permits._cond is not None
    with permits:
        assert permits.acquire(timeout=0.001) is False
    assert repr(permits)


def use_event(event: Any) -> None:
    assert not event.wait(0.001)
    event.set()
    assert event.wait()
    assert event._cond is not None
    event.clear()
    assert not event.is_set()


def use_barrier(barrier: Any) -> None:
    for _ in range(2):
        other = Result(barrier.wait, 30)
        assert {barrier.wait(30), other.get()} == {0, 1}
        assert barrier._cond is not None


def use_thread(thread: Any) -> None:
    thread.start()
    thread.join()
    assert not thread.is_alive()


def use_future(future: Any) -> None:
    called: list[object] = []
    future.add_done_callback(called.append)
    waiter = Result(future.result, 30)
    until_asleep(waiter.thread)
    assert future._condition is not None
    future.set_result(1)
    assert (waiter.get(), called, future.exception(), future.done()) == (1, [future], None, True)


USES: dict[str, Callable[[Any], None]] = {
    "Condition": use_condition,
    "Semaphore": use_semaphore,
    "BoundedSemaphore": use_semaphore,
    "Event": use_event,
    "Barrier": use_barrier,
    "Thread": use_thread,
    "Timer": use_thread,
    "Future": use_future,
}


def own_method(self: object, *arguments: object, **keywords: object) -> str:
    return "mine"


def own_attribute(name: str) -> list[tuple[str, Any]]:
    """Ways in which a class may have its own attribute of this name."""
    return [
        ("method", lambda cls: setattr(cls, name, own_method)),
        ("attribute", lambda cls: setattr(cls, name, "mine")),
        ("number", lambda cls: setattr(cls, name, 5)),
        ("property", lambda cls: setattr(cls, name, property(lambda self: "mine", lambda self, value: None))),
    ]


#: Names that our classes once had without a prefix, and that subclasses in programs have.
TAKEN = [
    *(
        "_close",
        "_configure",
        "_order",
        "_retire",
        "_is_retired",
        "_set_capacity",
        "_departing",
        "_is_direct",
    ),
    *("_idle_timeout", "_fall_back", "_overrides_hooks", "_state_names", "_wait_on", "_withdraw"),
    *(
        "_set_far_off",
        "_put_one_by_one",
        "_get_one_by_one",
        "stats",
        "with_options",
        "items",
        "order",
        "name_",
    ),
]


def candidates(name: str) -> list[str]:
    found = {each for each in names_of_ours(name) if not each.startswith(PREFIX)}
    return sorted(found | ADDITIONS.get(name, set()) | set(TAKEN))


@pytest.mark.parametrize("name", CLASSES)
def test_a_subclass_may_use_any_of_these_names(library: BackEnd, name: str) -> None:
    base, use = find(library, name), USES.get(name, use_queue)
    # From Python 3.13 on, the standard class has some of these names itself.
    own = [each for each in candidates(name) if not hasattr(make(find(STANDARD, name), name), each)]
    for each in own:
        for _, put in own_attribute(each):
            cls = type("Mine", (base,), {})
            put(cls)
            thing = make(cls, name)
            use(thing)
            expected = getattr(thing, each)
            assert expected() == "mine" if callable(expected) else expected in ("mine", 5), each


@pytest.mark.parametrize("name", CLASSES)
def test_an_object_may_use_any_of_these_names(library: BackEnd, name: str) -> None:
    base, use = find(library, name), USES.get(name, use_queue)
    own = [each for each in candidates(name) if not hasattr(make(find(STANDARD, name), name), each)]

    class Before(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            for each in own:
                setattr(self, each, f"my {each}")
            super().__init__(*ARGUMENTS.get(name, ()))

    class After(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__(*ARGUMENTS.get(name, ()))
            for each in own:
                setattr(self, each, f"my {each}")

    for cls in (Before, After):
        thing = cls()
        use(thing)
        for each in own:
            assert getattr(thing, each) == f"my {each}"
            delattr(thing, each)


def test_a_program_may_set_is_shutdown_of_its_queue(library: BackEnd) -> None:
    """Before Python 3.13, `is_shutdown` is an attribute like any other."""

    class Closing(library.queue.Queue):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.is_shutdown = False

        def close(self) -> None:
            self.is_shutdown = True
            if sys.version_info < (3, 13):
                self.put(None)

    items = Closing()
    items.put(1)
    items.close()
    assert items.get() == 1
    if sys.version_info < (3, 13):
        assert items.get() is None
    else:
        with pytest.raises(library.queue.ShutDown):
            items.get()
    assert items.is_shutdown is True


def test_a_subclass_of_simple_queue_may_have_its_own_is_shutdown(library: BackEnd) -> None:
    class Closing(library.queue.SimpleQueue):  # type: ignore[misc, name-defined]
        pass

    items = Closing()
    items.is_shutdown = True
    items.put(1)
    assert (items.get(), items.is_shutdown) == (1, True)
    del items.is_shutdown


def test_additions_work_although_a_subclass_uses_their_names() -> None:
    class Mine(OXTHREADS.queue.Queue):  # type: ignore[misc, name-defined]
        iterate = put_many = "mine"
        if sys.version_info < (3, 13):  # from 3.13 on, the standard class reads it
            is_shutdown = property(lambda self: "mine")

    items = Mine()
    OXTHREADS.queue.Queue.put_many(items, [1, 2, 3])
    assert items.get_many(2) == [1, 2]
    items.shutdown()
    assert [*OXTHREADS.queue.Queue.iterate(items)] == [3]
    assert (items.iterate, items.put_many) == ("mine", "mine")
    assert items.is_shutdown == ("mine" if sys.version_info < (3, 13) else True)
