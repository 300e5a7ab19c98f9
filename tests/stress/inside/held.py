"""Objects that are alive only through an object of oxthreads. A wrong traversal would free them.

The collector counts how often the objects that it visits refer to something. If that equals the reference
count, it takes the thing for garbage. So each thing here has two references: one from an object of oxthreads
and one from a local variable of a running function. Then it is enough that the object reports its reference
once too often. A third reference, from a list or another thread, would hide the fault.
"""

from __future__ import annotations

import threading as standard
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from oxthreads import queue as queues
from oxthreads import threading as threads
from oxthreads.concurrent import futures
from tests.support.waiting import spin_until


class Thing:
    """A callable that accepts anything and remembers that it was called."""

    ours: Any
    queue: weakref.ref[Any]
    called = False

    def __call__(self, *_: object) -> Thing:
        self.called = True
        return self


#: A function that makes something, and one that checks that all of it still exists.
Kind = tuple[Callable[[], Any], Callable[[Any], object]]

KINDS: dict[str, Kind] = {}


def _kind(name: str, make: Callable[[Thing], Any], check: Callable[[Thing], object]) -> None:
    """Add a kind: a thing whose attribute `ours` is what `make` makes of the thing."""

    def made() -> Thing:
        thing = Thing()
        thing.ours = make(thing)
        return thing

    KINDS[name] = made, check


# -- Queues --------------------------------------------------------------------------------------


def _queue(name: str, thing: Thing) -> Any:
    queue = getattr(queues, name)()
    queue.put(thing)
    return queue


def _iterator(name: str, thing: Thing) -> Any:
    queue = _queue(name, thing)
    thing.queue = weakref.ref(queue)
    return queue.iterate()


def _queue_fallen_back(name: str, thing: Thing) -> Any:
    queue = getattr(queues, name)()
    assert queue.mutex
    queue.put(thing)
    return queue


def _is_in_queue(thing: Thing) -> None:
    assert thing.ours.qsize() == 1, "the item is gone"
    assert thing.ours.get_nowait() is thing


def _is_in_iterator(thing: Thing) -> None:
    queue = thing.queue()
    assert queue is not None and queue.qsize() == 1, "the item is gone"
    assert next(thing.ours) is thing


for _name in ("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"):
    _kind(f"{_name}'s item", partial(_queue, _name), _is_in_queue)
    _kind(f"{_name}'s iterator", partial(_iterator, _name), _is_in_iterator)
    if _name != "SimpleQueue":
        _kind(f"{_name}'s fallback's", partial(_queue_fallen_back, _name), _is_in_queue)


# -- Futures -------------------------------------------------------------------------------------


def _future_with_result(thing: Thing) -> Any:
    future: Any = futures.Future()
    future.set_result(thing)
    return future


def _has_result(thing: Thing) -> None:
    assert thing.ours.result(0) is thing


def _future_with_callback(thing: Thing) -> Any:
    future: Any = futures.Future()
    future.add_done_callback(thing)
    return future


def _future_with_callbacks_fallen_back(thing: Thing) -> Any:
    future: Any = futures.Future()
    assert future._condition
    future.add_done_callback(thing)
    return future


def _calls_back(thing: Thing) -> None:
    thing.ours.set_result(1)
    assert thing.called, "the callback is gone"


def _error_of_a_future() -> Any:
    error: Any = ValueError()
    error.ours = futures.Future()
    error.ours.set_exception(error)
    return error


def _is_error(error: Any) -> None:
    assert error.ours.exception(0) is error


def _future_in_its_iterator() -> Any:
    future: Any = futures.Future()
    future.iterator = futures.as_completed([future])
    return future


def _is_in_its_iterator(future: Any) -> None:
    future.set_result(1)
    assert next(future.iterator) is future


_kind("Future's result", _future_with_result, _has_result)
_kind("Future's callback", _future_with_callback, _calls_back)
_kind("Future's fallback's callback", _future_with_callbacks_fallen_back, _calls_back)
KINDS["Future's exception"] = _error_of_a_future, _is_error
KINDS["as_completed's future"] = _future_in_its_iterator, _is_in_its_iterator


# -- Locks, and what is made of them -------------------------------------------------------------


class MyRLock(type(threads.RLock())):  # type: ignore[misc]
    """A lock that can have attributes, so that it can be in a cycle."""


def _lock_of_a_condition() -> Any:
    lock: Any = MyRLock()
    lock.ours = threads.Condition(lock)
    return lock


def _is_lock(lock: Any) -> None:
    with lock, lock.ours:
        assert lock.ours._is_owned()
        lock.ours.notify_all()


def _barrier_passed(thing: Thing) -> None:
    assert thing.ours.wait(10) == 0
    assert thing.called, "the action is gone"


class MyTimeout(float):
    """A number that can have attributes, so that it can be in a cycle."""


def _timeout_of_a_barrier() -> Any:
    timeout: Any = MyTimeout(1000.0)
    timeout.ours = threads.Barrier(1, timeout=timeout)
    return timeout


def _is_timeout(timeout: Any) -> None:
    assert timeout.ours._timeout is timeout
    assert timeout.ours.wait() == 0


def _itself(name: str, *arguments: Any) -> Any:
    """An object of oxthreads that refers to itself by an attribute."""
    made = getattr(threads, name)(*arguments)
    made.itself = made
    made.items = [name]
    return made


def _is_itself(name: str, made: Any) -> None:
    assert made.itself is made and made.items == [name]


for _name, _arguments in {
    **dict.fromkeys(("Condition", "Semaphore", "BoundedSemaphore", "Event"), ()),
    "Barrier": (1,),
}.items():
    KINDS[f"{_name}'s attribute"] = partial(_itself, _name, *_arguments), partial(_is_itself, _name)
KINDS["Condition's lock"] = _lock_of_a_condition, _is_lock
KINDS["Barrier's timeout"] = _timeout_of_a_barrier, _is_timeout
_kind("Barrier's action", lambda thing: threads.Barrier(1, action=thing), _barrier_passed)


# -- Threads and pools ---------------------------------------------------------------------------


def _thread_runs(thing: Thing) -> None:
    assert thing.ours._args == (thing,)
    thing.ours.start()
    thing.ours.join()
    assert thing.called, "the target is gone"


def _timer_has_it(thing: Thing) -> None:
    assert thing.ours.function is thing and thing.ours.args == [thing]
    assert thing.ours.kwargs == {"one": thing}


def _is_initializer(thing: Thing) -> None:
    with thing.ours as pool:
        assert pool.submit(int).result() == 0
    assert thing.called, "the initializer is gone"


def _pool_itself() -> Any:
    pool: Any = futures.ThreadPoolExecutor(1)
    pool.itself = pool
    pool.view = pool.with_options(priority=1)
    return pool


def _is_pool(pool: Any) -> None:
    assert pool.itself is pool
    assert pool.view.submit(int).result() == 0
    pool.shutdown()


_kind("Thread's target", lambda thing: threads.Thread(target=thing, args=(thing,)), _thread_runs)
_kind(
    "Timer's function",
    lambda thing: threads.Timer(1000, thing, [thing], {"one": thing}),
    _timer_has_it,
)
_kind(
    "pool's initializer",
    lambda thing: futures.ThreadPoolExecutor(1, initializer=thing, initargs=(thing,)),
    _is_initializer,
)
KINDS["pool itself"] = _pool_itself, _is_pool


def _blocked_pool(gate: standard.Event) -> Any:
    pool = futures.ThreadPoolExecutor(1)
    pool.submit(gate.wait)
    return pool


def _kinds_of_calls(gate: standard.Event) -> dict[str, Kind]:
    """Calls in a pool that wait for the gate."""

    def call() -> Any:
        thing = Thing()
        thing.ours = _blocked_pool(gate).submit(thing, thing)
        return thing

    def is_called(thing: Any) -> None:
        gate.set()
        assert thing.ours.result() is thing, "the call is gone"

    def callback() -> Any:
        thing = Thing()
        thing.ours = _blocked_pool(gate).submit(int)
        thing.ours.add_done_callback(thing)
        return thing

    def is_called_back(thing: Any) -> None:
        gate.set()
        assert thing.ours.result() == 0
        spin_until(lambda: thing.called)  # the callback may come after the result

    def results() -> Any:
        thing = Thing()
        thing.ours = _blocked_pool(gate).map(thing, [thing, thing])
        return thing

    def are_results(thing: Any) -> None:
        gate.set()
        assert [*thing.ours] == [thing, thing], "a result is gone"

    return {
        "call that waits": (call, is_called),
        "callback of a call that waits": (callback, is_called_back),
        "map's results": (results, are_results),
    }


# -- All of them ---------------------------------------------------------------------------------


def every_kind(collect: Callable[[], object]) -> None:
    """Make one of each kind, collect, and check. Raises AssertionError if something is gone."""
    gate = standard.Event()
    try:
        _hold([*KINDS.items(), *_kinds_of_calls(gate).items()], collect)
    finally:
        gate.set()


def _hold(kinds: Sequence[tuple[str, Kind]], collect: Callable[[], object]) -> None:
    """Call itself for each kind: the local variable of each call holds the object of one kind."""
    if not kinds:
        collect()
        return
    (name, (make, check)), *others = kinds
    made = make()
    _hold(others, collect)
    try:
        check(made)
    except Exception as error:
        raise AssertionError(f"{name}: torn down") from error
