"""Tests of classes that define how their objects are pickled, by the recipes that people use."""

from __future__ import annotations

import copy
import pickle
import queue as standard_queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import oxthreads._oxthreads as native
from tests.support.back_ends import BackEnd

pytestmark = pytest.mark.one_thread("puts classes into its module")

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)

#: The locks and conditions of the standard classes. They are not pickled, but made again.
LOCKS = ("mutex", "not_empty", "not_full", "all_tasks_done", "_cond")


class WithoutLocks:
    """The recipe of the documentation: the state without the locks."""

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        for name in LOCKS:
            state.pop(name, None)
        return state


@pytest.fixture
def define(library: BackEnd) -> Iterator[Any]:
    """A function that derives a class from one of the library, and puts it where pickle finds it."""
    names: list[str] = []

    def define(base: type, **members: Any) -> Any:
        cls = type(f"Mine{library.name}{base.__name__}", (WithoutLocks, base), members)
        cls.__module__ = __name__
        globals()[cls.__name__] = cls
        names.append(cls.__name__)
        return cls

    yield define
    for name in names:
        del globals()[name]


def copies(thing: Any) -> list[Any]:
    return [pickle.loads(pickle.dumps(thing, protocol)) for protocol in PROTOCOLS] + [copy.deepcopy(thing)]


@pytest.mark.parametrize("name", ["Queue", "LifoQueue", "PriorityQueue"])
def test_a_queue_is_pickled_by_its_items(library: BackEnd, define: Any, name: str) -> None:
    def set_state(self: Any, items: list[int]) -> None:
        self.__init__()
        for item in items:
            self.put(item)

    cls = define(
        getattr(library.queue, name), __getstate__=lambda self: [*self.queue], __setstate__=set_state
    )
    queue = cls()
    for item in (1, 2):
        queue.put(item)
    for other in copies(queue):
        assert type(other) is cls and other.qsize() == 2
        assert sorted((other.get_nowait(), other.get_nowait())) == [1, 2]


@pytest.mark.parametrize("name", ["Queue", "LifoQueue", "PriorityQueue"])
def test_a_queue_is_pickled_without_its_locks(library: BackEnd, define: Any, name: str) -> None:
    def set_state(self: Any, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.mutex = library.threading.Lock()
        for condition in ("not_empty", "not_full", "all_tasks_done"):
            setattr(self, condition, library.threading.Condition(self.mutex))

    queue = define(getattr(library.queue, name), __setstate__=set_state)(maxsize=3)
    for item in (1, 2):
        queue.put(item)
    queue.get()
    queue.label = "mine"
    for other in copies(queue):
        assert (other.maxsize, other.qsize(), other.unfinished_tasks, other.label) == (3, 1, 2, "mine")
        assert [*other.queue] == [*queue.queue]
        assert other.get() == queue.queue[0]
        for item in range(3):
            other.put_nowait(item)
        with pytest.raises(standard_queue.Full):
            other.put_nowait(4)
    assert queue.qsize() == 1


@pytest.mark.parametrize("is_set", [True, False])
def test_an_event_is_pickled_without_its_lock(library: BackEnd, define: Any, is_set: bool) -> None:
    def set_state(self: Any, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cond = library.threading.Condition(library.threading.Lock())

    event = define(library.threading.Event, __setstate__=set_state)()
    event.set()
    copies(event)
    if not is_set:
        event.clear()
    for other in copies(event):
        assert other.is_set() is is_set
        other.set()
        assert other.wait(0)
        other.clear()
        assert not other.wait(0)
    assert event.is_set() is is_set


@pytest.mark.parametrize("name", ["Semaphore", "BoundedSemaphore"])
def test_a_semaphore_is_pickled_without_its_lock(library: BackEnd, define: Any, name: str) -> None:
    def set_state(self: Any, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cond = library.threading.Condition(library.threading.Lock())

    semaphore = define(getattr(library.threading, name), __setstate__=set_state)(2)
    semaphore.acquire()
    for other in copies(semaphore):
        assert other.acquire(blocking=False) and not other.acquire(blocking=False)
        other.release(2)
        if name == "BoundedSemaphore":
            with pytest.raises(ValueError, match="released too many times"):
                other.release()


def test_a_barrier_is_pickled_without_its_lock(library: BackEnd, define: Any) -> None:
    def set_state(self: Any, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cond = library.threading.Condition(library.threading.Lock())

    barrier = define(library.threading.Barrier, __setstate__=set_state)(2)
    for other in copies(barrier):
        assert (other.parties, other.n_waiting, other.broken) == (2, 0, False)
        thread = threading.Thread(target=other.wait, daemon=True)
        thread.start()
        assert other.wait(30) in (0, 1)
        thread.join()


@pytest.mark.parametrize("name", ["Queue", "Condition", "Event", "Semaphore", "Future"])
def test_a_native_half_can_be_made_by_itself(name: str) -> None:
    # copyreg does this, if the class does not say otherwise.
    assert type(getattr(native, name)()) is getattr(native, name)
    assert type(native.Barrier(2)) is native.Barrier
