"""Tests of pools whose inner parts a program uses.

Programs have names of their own, override hooks, delete attributes and set them again, take items out of the
work queue, wrap the classes that a pool uses, and kill threads. Most tests run on the standard library too.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import functools
import itertools
import logging
import queue
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import thread as standard_module
from pathlib import Path
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.interpreters import python
from tests.support.pools import AFTER_SHUTDOWN, Pools
from tests.support.refusals import refusal
from tests.support.threads import Result, functions_here
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, until_asleep

#: From Python 3.14 on, an item of the work queue has a task, and it is run in a context.
HAS_CONTEXTS = sys.version_info >= (3, 14)

STANDARD_ATTRIBUTES = [
    "_max_workers",
    "_work_queue",
    "_idle_semaphore",
    "_threads",
    "_broken",
    "_shutdown",
    "_shutdown_lock",
    "_thread_name_prefix",
] + (["_create_worker_context", "_resolve_work_item_task"] if HAS_CONTEXTS else ["_initializer", "_initargs"])


@pytest.fixture
def pools(library: BackEnd) -> Iterator[Pools]:
    pools = Pools(library)
    yield pools
    pools.gate.set()
    for executor in pools.made:
        Result(executor.shutdown).get()


@pytest.mark.parametrize("workers", [None, 1, 40])
@pytest.mark.parametrize("prefix", ["", "crawler", 5])
@pytest.mark.parametrize("initializer", [None, print])
def test_a_pool_without_options_has_the_attributes_of_the_standard_pool(
    workers: int | None, prefix: Any, initializer: Any
) -> None:
    """It does not call the standard __init__."""
    seen = []
    for library in (STANDARD, OXTHREADS):
        pool = library.futures.ThreadPoolExecutor(workers, prefix, initializer, (3,))
        attributes = {name: value for name, value in vars(pool).items() if not name.startswith("_oxthreads")}
        for name in ("_work_queue", "_idle_semaphore"):
            attributes[name] = getattr(pool, name)
        number = attributes["_thread_name_prefix"]
        if not prefix:
            assert number.removeprefix("ThreadPoolExecutor-").isdecimal()
            del attributes["_thread_name_prefix"]
        plain = {name: value for name, value in attributes.items() if name in PLAIN}
        assert type(attributes["_shutdown_lock"]) in (
            type(threading.Lock()),
            type(OXTHREADS.threading.Lock()),
        )
        seen.append((sorted(attributes), plain))
        pool.shutdown()
    assert seen[0] == seen[1]
    assert {"_max_workers", "_broken", "_shutdown", "_threads"} <= set(seen[0][1])


#: The attributes of a pool that can be compared.
PLAIN = {
    *("_max_workers", "_threads", "_broken", "_shutdown", "_thread_name_prefix"),
    *("_initializer", "_initargs"),
}


def item(future: Any, fn: Any, *args: Any, cls: Any = None, **kwargs: Any) -> Any:
    """Return a work item as the standard submit() makes it."""
    cls = cls or standard_module._WorkItem  # type: ignore[attr-defined]
    return cls(future, (fn, args, kwargs)) if HAS_CONTEXTS else cls(future, fn, args, kwargs)


def run(item: Any) -> None:
    """Run the item as a worker does."""
    item.run(*((standard_module.WorkerContext(None, ()),) if HAS_CONTEXTS else ()))


def check(executor: Any) -> None:
    """Check that the pool works."""
    assert executor.submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8
    assert list(executor.map(pow, [2, 3], [2, 2])) == [4, 9]
    Result(executor.shutdown).get()
    assert refusal(executor.submit, int) == AFTER_SHUTDOWN


# Names that our class has, and names that a program has.

PUBLIC = {"stats", "with_options"}

#: Names that our class, or a part of it, has had or may get. A program may have them too.
NAMES_OF_PROGRAMS = [
    "_close", "_configure", "_retire", "_is_retired", "_set_capacity",
    "_departing", "_idle_timeout", "_worker_numbers", "_depart", "_statistics",
    "_submit_with", "_substitute_work_queue", "_native_work_queue", "_refuse_submission", "_wait_for_starts",
    "_idle_workers", "_overrides_hooks", "_queue", "_workers", "_pool",
    "_start_worker", "_reopen", "_refuse", "_staff", "_fall_back",
]  # fmt: skip


def names_of_ours() -> set[str]:
    """Return the names that our class and its objects have, and the standard ones do not have."""
    cls, standard = OXTHREADS.futures.ThreadPoolExecutor, STANDARD.futures.ThreadPoolExecutor
    made, of_standard = cls(1), standard(1)
    made.submit(int).result(TIMEOUT_SECONDS)
    of_standard.submit(int).result(TIMEOUT_SECONDS)
    names = {*dir(cls), *dir(cls.__new__(cls)), *dir(made)}
    names -= {*dir(standard), *dir(of_standard)}
    made.shutdown()
    of_standard.shutdown()
    return names


def test_our_private_names_have_our_prefix() -> None:
    names = {name for name in names_of_ours() if not name.startswith(("__", "_oxthreads_"))}
    # On Python 3.14, our class has properties for attributes that are not in the dictionary of an object.
    assert names <= PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
@pytest.mark.parametrize("kind", ["method", "class attribute", "attribute", "attribute before"])
def test_a_program_may_use_our_public_names_for_its_own_attributes(
    library: BackEnd, name: str, kind: str
) -> None:
    base = library.futures.ThreadPoolExecutor

    class Own(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            if kind == "attribute before":
                setattr(self, name, 5)
            super().__init__(1)
            if kind == "attribute":
                setattr(self, name, 5)

    if kind == "method":
        setattr(Own, name, lambda self: 5)
    if kind == "class attribute":
        setattr(Own, name, 5)
    executor = Own()
    value = getattr(executor, name)
    assert (value() if kind == "method" else value) == 5
    check(executor)
    assert (getattr(executor, name)() if kind == "method" else getattr(executor, name)) == 5


@pytest.mark.parametrize("name", NAMES_OF_PROGRAMS)
def test_a_program_may_use_names_that_we_have_used(library: BackEnd, name: str) -> None:
    class Own(library.futures.ThreadPoolExecutor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__(1)
            self.mine = getattr(self, name)(1)

    setattr(Own, name, lambda self, one: one)
    executor = Own()
    assert executor.mine == 1
    setattr(executor, name, "an attribute")
    check(executor)


# Hooks: standard methods that a program overrides.


def counting(library: BackEnd, calls: list[Any]) -> dict[str, Any]:
    """Return overrides that record their calls."""
    base = library.futures.ThreadPoolExecutor

    def adjust(self: Any) -> None:
        calls.append("_adjust_thread_count")
        base._adjust_thread_count(self)

    def failed(self: Any) -> None:
        calls.append("_initializer_failed")
        base._initializer_failed(self)

    hooks: dict[str, Any] = {"_adjust_thread_count": adjust, "_initializer_failed": failed}
    if HAS_CONTEXTS:

        def prepare(cls: Any, initializer: Any, initargs: Any) -> Any:
            calls.append("prepare_context")
            return base.prepare_context(initializer, initargs)

        hooks["prepare_context"] = classmethod(prepare)
    return hooks


HOOKS = ["_adjust_thread_count", "_initializer_failed"] + ["prepare_context"] * HAS_CONTEXTS
WAYS = ["class", "plugin", "decorator", "mixin", "later", "meta"]


def hooked(library: BackEnd, way: str, name: str, calls: list[Any]) -> Any:
    """Return a class that has the hook. `way` says how the class gets it."""
    base, hook = library.futures.ThreadPoolExecutor, counting(library, calls)[name]
    if way == "plugin":

        class Plugin:
            def __init_subclass__(cls) -> None: ...

        return type("Own", (Plugin, base), {name: hook})
    if way == "decorator":

        def decorate(cls: Any) -> Any:
            setattr(cls, name, hook)
            return cls

        return decorate(type("Own", (base,), {}))
    if way == "mixin":
        mixin = type("Mixin", (), {})
        own = type("Own", (mixin, base), {})
        setattr(mixin, name, hook)
        return own
    if way == "later":
        own = type("Own", (base,), {})
        own(1).shutdown()
        own.__bases__ = (type("Mixin", (base,), {name: hook}),)
        return own
    if way == "meta":
        meta = type("Meta", (type(base),), {})
        return meta("Own", (base,), {name: hook})
    return type("Own", (base,), {name: hook})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", HOOKS)
def test_hooks_are_called_however_the_class_got_them(library: BackEnd, way: str, name: str) -> None:
    calls: list[Any] = []
    cls = hooked(library, way, name, calls)
    logging.disable(logging.CRITICAL)
    try:
        executor = cls(1, initializer=(lambda: 1 / 0) if name == "_initializer_failed" else None)
        calls[:] = [call for call in calls if call == name]
        future = executor.submit(pow, 2, 3)
        if name == "_initializer_failed":
            assert isinstance(future.exception(TIMEOUT_SECONDS), standard_module.BrokenThreadPool)
        else:
            assert future.result(TIMEOUT_SECONDS) == 8
        executor.shutdown()
    finally:
        logging.disable(logging.NOTSET)
    assert calls == [name]


@pytest.mark.parametrize("way", ["instance", "__class__"])
@pytest.mark.parametrize("name", HOOKS[:2])
def test_hooks_that_are_added_to_an_existing_pool_are_called(library: BackEnd, way: str, name: str) -> None:
    calls: list[Any] = []
    hook = counting(library, calls)[name]
    cls = type("Plain", (library.futures.ThreadPoolExecutor,), {})
    logging.disable(logging.CRITICAL)
    try:
        executor: Any = cls(1, initializer=(lambda: 1 / 0) if name == "_initializer_failed" else None)
        if way == "instance":
            setattr(executor, name, hook.__get__(executor))
        else:
            executor.__class__ = type("Own", (library.futures.ThreadPoolExecutor,), {name: hook})
        future = executor.submit(pow, 2, 3)
        if name == "_initializer_failed":
            assert isinstance(future.exception(TIMEOUT_SECONDS), standard_module.BrokenThreadPool)
        else:
            assert future.result(TIMEOUT_SECONDS) == 8
        executor.shutdown()
    finally:
        logging.disable(logging.NOTSET)
    assert calls == [name]


def test_a_hook_that_is_added_while_workers_run_is_called_and_they_go_on(pools: Pools) -> None:
    executor, calls = pools(2), []
    (blocked,) = pools.block(executor)
    worker = next(iter(executor._threads))

    def adjust(self: Any) -> None:
        calls.append("_adjust_thread_count")
        pools.library.futures.ThreadPoolExecutor._adjust_thread_count(self)

    executor.__class__ = type(
        "Own", (pools.library.futures.ThreadPoolExecutor,), {"_adjust_thread_count": adjust}
    )
    waiting = pools.block(executor)
    pending = [executor.submit(threading.current_thread) for _ in range(3)]
    assert len(executor._threads) == 2
    pools.gate.set()
    assert blocked.result(TIMEOUT_SECONDS) is waiting[0].result(TIMEOUT_SECONDS) is True
    assert {future.result(TIMEOUT_SECONDS) for future in pending} <= executor._threads
    barrier = threading.Barrier(2)
    both = [
        executor.submit(lambda: (barrier.wait(TIMEOUT_SECONDS), threading.current_thread())) for _ in range(2)
    ]
    assert worker in {future.result(TIMEOUT_SECONDS)[1] for future in both}
    assert {*calls} == {"_adjust_thread_count"}
    workers = [*executor._threads]
    executor.shutdown()
    assert not any(worker.is_alive() for worker in workers)


def test_dropping_a_pool_with_a_hook_ends_its_workers(library: BackEnd) -> None:
    executor = library.futures.ThreadPoolExecutor(2)
    worker = executor.submit(threading.current_thread).result(TIMEOUT_SECONDS)
    until_asleep(worker)
    executor.__class__ = type("Own", (library.futures.ThreadPoolExecutor,), {"_idle_semaphore": None})
    if library is OXTHREADS:
        del executor._work_queue  # this makes the pool fall back
        executor.__class__ = library.futures.ThreadPoolExecutor
        until_asleep(worker)
    del executor
    worker.join(TIMEOUT_SECONDS)
    assert not worker.is_alive()


def test_map_and_with_call_overridden_methods(library: BackEnd) -> None:
    calls: list[str] = []

    class Own(library.futures.ThreadPoolExecutor):  # type: ignore[misc, name-defined]
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            calls.append("submit")
            return super().submit(fn, *args, **kwargs)

        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            calls.append("shutdown")
            super().shutdown(wait, cancel_futures=cancel_futures)

    with Own(1) as executor:
        assert list(executor.map(pow, [2, 3], [2, 2])) == [4, 9]
    assert calls == ["submit", "submit", "shutdown"]


# Standard attributes that a subclass defines in another way.


@pytest.mark.parametrize("name", STANDARD_ATTRIBUTES)
def test_a_standard_attribute_may_be_a_property(library: BackEnd, name: str) -> None:
    class Own(library.futures.ThreadPoolExecutor):  # type: ignore[misc, name-defined]
        def _get(self) -> Any:
            seen.append("get")
            return self.__dict__[f"own{name}"]

        def _set(self, value: Any) -> None:
            seen.append("set")
            self.__dict__[f"own{name}"] = value

    setattr(Own, name, property(Own._get, Own._set))
    seen: list[str] = []
    executor = Own(1)
    assert seen[0] == "set"
    executor.submit(int).result(TIMEOUT_SECONDS)
    assert "get" in seen
    check(executor)


@pytest.mark.parametrize("name", STANDARD_ATTRIBUTES)
def test_a_standard_attribute_may_be_a_class_attribute(library: BackEnd, name: str) -> None:
    check(type("Own", (library.futures.ThreadPoolExecutor,), {name: "of the class"})(1))


def test_a_subclass_may_define_the_number_of_workers(library: BackEnd) -> None:
    class Own(library.futures.ThreadPoolExecutor):  # type: ignore[misc, name-defined]
        limit = 1
        _max_workers = property(lambda self: self.limit, lambda self, number: None)

    executor, gate = Own(5), threading.Event()
    calls = [executor.submit(gate.wait, TIMEOUT_SECONDS) for _ in range(3)]
    assert len(executor._threads) == 1
    executor.limit = 2
    calls += [executor.submit(gate.wait, TIMEOUT_SECONDS) for _ in range(3)]
    assert len(executor._threads) == 2
    gate.set()
    assert all(call.result(TIMEOUT_SECONDS) for call in calls)
    executor.shutdown()


def test_a_subclass_may_make_all_attributes_itself(library: BackEnd) -> None:
    class Own(library.futures.ThreadPoolExecutor):  # type: ignore[misc, name-defined]
        def __init__(self, number: int) -> None:
            self._max_workers = number
            self._work_queue = queue.SimpleQueue()  # type: ignore[var-annotated]
            self._idle_semaphore = threading.Semaphore(0)
            self._threads: set[Any] = set()
            self._broken = self._shutdown = False
            self._shutdown_lock = threading.Lock()
            self._thread_name_prefix = "own"
            self._initializer, self._initargs = None, ()
            if HAS_CONTEXTS:
                self._create_worker_context, self._resolve_work_item_task = self.prepare_context(None, ())

    executor = Own(2)
    assert executor.submit(lambda: threading.current_thread().name).result(TIMEOUT_SECONDS) == "own_0"
    assert len(executor._threads) == 1
    check(executor)


# Attributes that are deleted and set again.


@pytest.mark.parametrize("name", STANDARD_ATTRIBUTES)
@pytest.mark.parametrize("used", [False, True])
def test_standard_attributes_can_be_deleted_and_set_again(library: BackEnd, name: str, used: bool) -> None:
    executor = library.futures.ThreadPoolExecutor(2)
    if used:
        executor.submit(int).result(TIMEOUT_SECONDS)
    value = getattr(executor, name)
    delattr(executor, name)
    assert not hasattr(executor, name)
    kind, words = refusal(getattr, executor, name)
    assert (kind, words) == (AttributeError, f"'ThreadPoolExecutor' object has no attribute '{name}'")
    assert refusal(delattr, executor, name)[0] is AttributeError
    setattr(executor, name, value)
    assert getattr(executor, name) is value
    check(executor)


@pytest.mark.parametrize("is_set", [False, True])
def test_an_idle_worker_is_counted_once(library: BackEnd, is_set: bool) -> None:
    """If it were counted twice, both calls would wait for it, and no other worker would be started."""
    for _ in range(20):
        executor = library.futures.ThreadPoolExecutor(2)
        worker = executor.submit(threading.current_thread).result(TIMEOUT_SECONDS)
        until_asleep(worker)
        if is_set:
            executor._idle_semaphore = executor._idle_semaphore
        else:
            executor._work_queue = executor._work_queue
        together = threading.Barrier(2)
        for call in [executor.submit(together.wait, TIMEOUT_SECONDS) for _ in range(2)]:
            call.result(TIMEOUT_SECONDS)
        assert worker.is_alive()
        check(executor)


@pytest.mark.parametrize("name", ["_broken", "_shutdown", "_work_queue", "_idle_semaphore"])
def test_submit_to_a_pool_without_an_attribute_raises_the_standard_error(library: BackEnd, name: str) -> None:
    executor = library.futures.ThreadPoolExecutor(1)
    value = getattr(executor, name)
    delattr(executor, name)
    words = f"'ThreadPoolExecutor' object has no attribute '{name}'"
    assert refusal(executor.submit, int) == (AttributeError, words)
    setattr(executor, name, value)
    check(executor)


def test_a_subclass_may_delete_the_idle_semaphore(library: BackEnd) -> None:
    class Own(library.futures.ThreadPoolExecutor):  # type: ignore[misc, name-defined]
        def __init__(self, number: int) -> None:
            super().__init__(number)
            del self._idle_semaphore

        def _adjust_thread_count(self) -> None:
            self._idle_semaphore = threading.Semaphore(0)
            super()._adjust_thread_count()

    check(Own(1))


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize(
    ("name", "value"), [("_broken", "as it is"), ("_shutdown", True)], ids=["broken", "shutdown"]
)
def test_a_pool_accepts_calls_again_when_its_flag_is_reset(
    library: BackEnd, name: str, value: Any, used: bool
) -> None:
    executor = library.futures.ThreadPoolExecutor(2)
    if used:
        executor.submit(int).result(TIMEOUT_SECONDS)
    for _ in range(3):
        setattr(executor, name, value)
        refused = AFTER_SHUTDOWN if name == "_shutdown" else (standard_module.BrokenThreadPool, value)
        assert refusal(executor.submit, int) == refused
        setattr(executor, name, False)
        assert executor.submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8
    check(executor)


def test_no_call_is_lost_when_a_pool_is_closed_and_opened_again(frantic: None) -> None:
    executor = OXTHREADS.futures.ThreadPoolExecutor(1)
    for number in range(1_000):
        executor._broken = "for a moment"
        executor._broken = False
        assert executor.submit(pow, number, 2).result(TIMEOUT_SECONDS) == number**2
    executor.shutdown()


@pytest.mark.parametrize("runner", [False, True])
def test_pools_accept_calls_again_when_the_flag_of_the_module_is_reset(runner: bool) -> None:
    done = python(
        """
import concurrent.futures.thread as thread
from concurrent.futures import ThreadPoolExecutor

used, pool = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
print(used.submit(int).result())
thread._python_exit()
try:
    pool.submit(int)
except RuntimeError as error:
    print(error)
thread._shutdown = False
print(pool.submit(pow, 2, 3).result())
print(ThreadPoolExecutor(1).submit(pow, 2, 4).result())
""",
        runner=runner,
    )
    words = "cannot schedule new futures after interpreter shutdown"
    assert (done.stdout.splitlines(), done.stderr, done.returncode) == (["0", words, "8", "16"], "", 0)


# Items of the work queue.


def test_an_item_that_is_taken_out_is_a_standard_item_and_may_be_put_back(pools: Pools) -> None:
    executor = pools(1)
    pools.block(executor)
    futures = [executor.submit(pow, 2, exp=number) for number in range(3)]
    for _ in range(3):
        items = [executor._work_queue.get_nowait(), executor._work_queue.get()]
        items.append(executor._work_queue.get(True, 5))
        assert [each.future for each in items] == futures
        for number, each in enumerate(items):
            assert type(each) is standard_module._WorkItem  # type: ignore[attr-defined]
            if HAS_CONTEXTS:
                assert each.task == (pow, (2,), {"exp": number})
            else:
                assert (each.fn, each.args, each.kwargs) == (pow, (2,), {"exp": number})
        assert refusal(executor._work_queue.get_nowait)[0] is queue.Empty
        assert refusal(executor._work_queue.get, block=False)[0] is queue.Empty
        assert refusal(executor._work_queue.get, timeout=0.001)[0] is queue.Empty
        assert executor._work_queue.empty()
        executor._work_queue.put(items[0])
        executor._work_queue.put(items[1], False)
        executor._work_queue.put_nowait(items[2])
        assert executor._work_queue.qsize() == 3
    pools.gate.set()
    assert [future.result(TIMEOUT_SECONDS) for future in futures] == [1, 2, 4]


def test_the_work_queue_raises_the_errors_of_a_simple_queue(pools: Pools) -> None:
    work_queue = pools(1)._work_queue
    assert refusal(work_queue.get, timeout=-1) == (
        ValueError,
        "'timeout' must be a non-negative number",
    )
    assert refusal(work_queue.put)[0] is TypeError


def test_an_item_that_is_put_back_stays_the_same_object(pools: Pools) -> None:
    executor = pools(1)
    pools.block(executor)
    mine = item(pools.library.futures.Future(), pow, 2, 3)
    executor._work_queue.put(mine)
    for _ in range(3):
        assert executor._work_queue.get() is mine
        executor._work_queue.put(mine)
    pools.gate.set()
    assert mine.future.result(TIMEOUT_SECONDS) == 8


def test_a_program_may_run_an_item_that_it_takes_out(pools: Pools) -> None:
    executor = pools(1)
    pools.block(executor)
    one, other = executor.submit(pow, 2, 3), executor.submit(pow, 2, 4)
    assert other.cancel()
    for _ in range(2):
        run(executor._work_queue.get_nowait())
    assert one.result(0) == 8
    assert other.cancelled()
    assert refusal(other.set_running_or_notify_cancel)[0] is RuntimeError


@pytest.mark.parametrize("make", ["ours", "standard", "item", "duck"])
@pytest.mark.parametrize("started", [False, True])
def test_a_subclass_may_make_the_items_itself(library: BackEnd, make: str, started: bool) -> None:
    class Item(standard_module._WorkItem):  # type: ignore[name-defined, misc]
        def run(self, *context: Any) -> None:
            ran.append(self)
            super().run(*context)

    class Duck:
        def __init__(self, future: Any) -> None:
            self.future = future

        def run(self, *context: Any) -> None:
            self.future.set_result(8)

    class Own(library.futures.ThreadPoolExecutor):  # type: ignore[misc, name-defined]
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            future = (STANDARD if make == "standard" else library).futures.Future()
            each = item(future, fn, *args, cls=Item if make == "item" else None, **kwargs)
            self._work_queue.put(Duck(future) if make == "duck" else each)
            self._adjust_thread_count()
            return future

    ran: list[Any] = []
    executor = Own(2)
    if started:
        base = library.futures.ThreadPoolExecutor
        assert base.submit(executor, int).result(TIMEOUT_SECONDS) == 0
    assert [executor.submit(pow, 2, 3).result(TIMEOUT_SECONDS) for _ in range(50)] == [8] * 50
    assert len(ran) == (50 if make == "item" else 0)
    assert 1 <= len(executor._threads) <= 2
    gate = threading.Event()
    if make != "duck":
        # Each call has a worker of its own.
        calls = [executor.submit(gate.wait, TIMEOUT_SECONDS) for _ in range(2)]
        spin_until(lambda: all(call.running() for call in calls))
        assert len(executor._threads) == 2
        gate.set()
        assert all(call.result(TIMEOUT_SECONDS) for call in calls)
    executor.shutdown()


def test_a_pool_goes_on_after_an_item_that_raises(pools: Pools, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def run(self, *context: Any) -> None:
            raise ZeroDivisionError

    executor = pools(2)
    executor._work_queue.put(Broken())
    executor._adjust_thread_count()
    spin_until(lambda: caplog.records)
    (record,) = caplog.records
    assert record.getMessage() == "Exception in worker"
    assert record.exc_info is not None and record.exc_info[0] is ZeroDivisionError
    assert executor.submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8


def test_another_thread_may_take_items_out_of_the_queue(pools: Pools) -> None:
    executor = pools(1)
    taking = Result(executor._work_queue.get)
    until_asleep(taking.thread)
    mine = item(pools.library.futures.Future(), pow, 2, 3)
    executor._work_queue.put(mine)
    assert taking.get() is mine
    taking = Result(executor._work_queue.get, timeout=TIMEOUT_SECONDS)
    until_asleep(taking.thread)
    executor._work_queue.put(None)
    assert taking.get() is None
    executor._work_queue.put(None)
    assert executor._work_queue.qsize() == 1
    assert executor._work_queue.get_nowait() is None
    assert refusal(executor._work_queue.get_nowait)[0] is queue.Empty


def test_workers_end_though_other_threads_have_waited_longer_for_items() -> None:
    # The standard workers go on to sleep: one of the other threads takes the note that is meant for them.
    executor = OXTHREADS.futures.ThreadPoolExecutor(2)
    go = threading.Event()
    futures = [executor.submit(go.wait) for _ in range(2)]
    # Otherwise the other threads could take the calls.
    spin_until(lambda: all(future.running() for future in futures))
    takings = [Result(executor._work_queue.get) for _ in range(2)]
    for taking in takings:
        until_asleep(taking.thread)
    go.set()
    workers = [*executor._threads]
    assert [future.result(TIMEOUT_SECONDS) for future in futures] == [True, True]
    until_asleep(*workers)
    executor.shutdown(wait=False)
    for worker in workers:
        worker.join(TIMEOUT_SECONDS)
        assert not worker.is_alive()
    executor._work_queue.put(None)
    assert [taking.get() for taking in takings] == [None, None]


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="there are no such signals")
@pytest.mark.parametrize("back_end", [STANDARD, OXTHREADS], ids=str)
def test_a_signal_handler_shuts_down_while_its_thread_waits_for_an_item(back_end: BackEnd) -> None:
    code = f"""
import os, signal, sys, threading
from {back_end.futures.__name__} import ThreadPoolExecutor
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.support.waiting import until_asleep

executor = ThreadPoolExecutor(2)
go = threading.Event()
for _ in range(2):
    executor.submit(go.wait)

def handler(*_):
    executor.shutdown(wait=True)
    print("all have ended")

signal.signal(signal.SIGUSR1, handler)

def end():
    until_asleep(threading.main_thread())
    go.set()
    until_asleep(*executor._threads)
    sys.setswitchinterval(5)
    executor.shutdown(wait=False)
    os.kill(os.getpid(), signal.SIGUSR1)

other = threading.Thread(target=end)
other.start()
executor._work_queue.get()
other.join()
"""
    ran = python(code, runner=False)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("all have ended\n", "", 0)


def test_a_call_is_run_if_a_thread_that_waits_for_an_item_gives_up(frantic: None) -> None:
    executor = OXTHREADS.futures.ThreadPoolExecutor(1, idle_timeout=0)
    for number in range(200):
        taking = Result(executor._work_queue.get, timeout=0.0005)
        future = executor.submit(pow, number, 2)
        with contextlib.suppress(queue.Empty):
            run(taking.get())
        assert future.result(TIMEOUT_SECONDS) == number**2
    executor.shutdown()


def test_items_and_calls_are_run_in_the_order_in_which_they_were_put(pools: Pools) -> None:
    executor, order = pools(1), []
    pools.block(executor)
    for number in range(6):
        if number % 2:
            executor.submit(order.append, number)
        else:
            executor._work_queue.put(item(pools.library.futures.Future(), order.append, number))
    pools.gate.set()
    executor.shutdown()
    assert order == [0, 1, 2, 3, 4, 5]


# Recipes that people have published.


def test_a_recipe_for_a_bounded_pool_works(library: BackEnd) -> None:
    class Bounded(library.futures.ThreadPoolExecutor):  # type: ignore[misc, name-defined]
        def __init__(self, workers: int, size: int) -> None:
            super().__init__(workers)
            self._work_queue = queue.Queue(size)

    executor, gate = Bounded(1, 1), threading.Event()
    futures = [executor.submit(gate.wait, TIMEOUT_SECONDS)]
    spin_until(futures[0].running)
    futures.append(executor.submit(gate.wait, TIMEOUT_SECONDS))
    waiting = Result(executor.submit, gate.wait, TIMEOUT_SECONDS)
    until_asleep(waiting.thread)
    gate.set()
    assert all(future.result(TIMEOUT_SECONDS) for future in [*futures, waiting.get()])
    check(executor)


def test_a_recipe_for_a_pool_bounded_by_a_semaphore_works(library: BackEnd) -> None:
    class Bounded(library.futures.ThreadPoolExecutor):  # type: ignore[misc, name-defined]
        def __init__(self, workers: int, size: int) -> None:
            super().__init__(workers)
            self._semaphore = threading.BoundedSemaphore(size)

        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            self._semaphore.acquire()
            try:
                future = super().submit(fn, *args, **kwargs)
            except BaseException:
                self._semaphore.release()
                raise
            future.add_done_callback(lambda _: self._semaphore.release())
            return future

    executor = Bounded(2, 3)
    assert [future.result(TIMEOUT_SECONDS) for future in [executor.submit(abs, -n) for n in range(100)]] == [
        *range(100)
    ]
    check(executor)


def test_a_recipe_for_a_pool_with_priorities_works(library: BackEnd) -> None:
    class Entry:
        count = itertools.count()

        def __init__(self, priority: int, item: Any) -> None:
            self.rank, self.item = (priority, next(self.count)), item

        def __lt__(self, other: Entry) -> bool:
            return self.rank < other.rank

    class ByPriority(queue.PriorityQueue):  # type: ignore[type-arg]
        def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
            super().put(Entry(sys.maxsize if item is None else priority.pop(), item), block, timeout)

        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            return super().get(block, timeout).item

        def get_nowait(self) -> Any:
            return self.get(False)

    class Pool(library.futures.ThreadPoolExecutor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__(1)
            self._work_queue = ByPriority()

        def submit(self, number: int, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            priority.append(number)
            return super().submit(fn, *args, **kwargs)

    priority: list[int] = []
    executor, gate, order = Pool(), threading.Event(), []
    spin_until(executor.submit(0, gate.wait, TIMEOUT_SECONDS).running)
    for number in (3, 1, 2):
        executor.submit(number, order.append, number)
    gate.set()
    executor.shutdown()
    assert order == [1, 2, 3]


def test_a_recipe_for_a_pool_of_daemon_threads_works(library: BackEnd) -> None:
    class Daemons(library.futures.ThreadPoolExecutor):  # type: ignore[misc, name-defined]
        def _adjust_thread_count(self) -> None:
            if self._idle_semaphore.acquire(timeout=0):
                return

            def weakref_cb(_: Any, q: Any = self._work_queue) -> None:
                q.put(None)

            number = len(self._threads)
            if number < self._max_workers:
                arguments: tuple[Any, ...] = (weakref.ref(self, weakref_cb),)
                if HAS_CONTEXTS:
                    arguments += (self._create_worker_context(), self._work_queue)
                else:
                    arguments += (self._work_queue, self._initializer, self._initargs)
                thread = threading.Thread(
                    name=f"{self._thread_name_prefix}_{number}",
                    target=standard_module._worker,  # type: ignore[attr-defined]
                    args=arguments,
                    daemon=True,
                )
                thread.start()
                self._threads.add(thread)

    executor = Daemons(2)
    assert executor.submit(lambda: threading.current_thread().daemon).result(TIMEOUT_SECONDS) is True
    check(executor)


def test_a_recipe_for_a_shutdown_that_drains_the_queue_works(library: BackEnd) -> None:
    class Draining(library.futures.ThreadPoolExecutor):  # type: ignore[misc, name-defined]
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            while True:
                try:
                    each = self._work_queue.get_nowait()
                except queue.Empty:
                    break
                if each is not None:
                    dropped.append(each)
                    each.future.cancel()
            super().shutdown(wait, cancel_futures=cancel_futures)

    dropped: list[Any] = []
    executor, gate = Draining(1), threading.Event()
    running = executor.submit(gate.wait, TIMEOUT_SECONDS)
    spin_until(running.running)
    pending = [executor.submit(int) for _ in range(3)]
    executor.shutdown(wait=False)
    gate.set()
    executor.shutdown()
    assert running.result(TIMEOUT_SECONDS) is True
    assert [each.future for each in dropped] == pending
    assert all(future.cancelled() for future in pending)


def test_a_recipe_that_ends_idle_workers_by_none_works(library: BackEnd) -> None:
    """The recipe ends a pool quickly: it puts None once for each worker."""
    executor = library.futures.ThreadPoolExecutor(3)
    barrier = threading.Barrier(3)
    for future in [executor.submit(barrier.wait, TIMEOUT_SECONDS) for _ in range(3)]:
        future.result(TIMEOUT_SECONDS)
    workers = [*executor._threads]
    executor._shutdown = True
    for _ in workers:
        executor._work_queue.put(None)
    for worker in workers:
        worker.join(TIMEOUT_SECONDS)
        assert not worker.is_alive()


def test_a_recipe_that_forgets_the_threads_works(library: BackEnd) -> None:
    """With the recipe, the exit does not wait for the threads."""
    executor, gate = library.futures.ThreadPoolExecutor(2), threading.Event()
    spin_until(executor.submit(gate.wait, TIMEOUT_SECONDS).running)
    worker = executor._threads.pop()
    del standard_module._threads_queues[worker]  # type: ignore[attr-defined]
    Result(executor.shutdown).get()
    assert worker.is_alive()
    gate.set()
    worker.join(TIMEOUT_SECONDS)


# Tools that wrap or replace the classes and functions that a pool uses.

TOOLS = {
    "_WorkItem": """
class Item(thread._WorkItem):
    def __init__(self, *args):
        seen.append("made")
        super().__init__(*args)
    def run(self, *args):
        seen.append("run")
        super().run(*args)
thread._WorkItem = Item
""",
    "_WorkItem.__init__": """
original = thread._WorkItem.__init__
def init(self, *args):
    seen.append("made")
    original(self, *args)
thread._WorkItem.__init__ = init
""",
    "_WorkItem.run": """
original = thread._WorkItem.run
def run(self, *args):
    seen.append("run")
    original(self, *args)
thread._WorkItem.run = run
""",
    "_worker": """
original = thread._worker
def worker(*args):
    seen.append("worker")
    original(*args)
thread._worker = worker
""",
    "_base.Future": """
class Future(thread._base.Future):
    def set_result(self, result):
        seen.append("set_result")
        super().set_result(result)
thread._base.Future = Future
""",
    **{
        f"Future.{name}": f"""
original = futures.Future.{name}
def wrapped(self, *args):
    seen.append("{name}")
    return original(self, *args)
futures.Future.{name} = wrapped
"""
        for name in ("__init__", "set_running_or_notify_cancel", "set_result", "set_exception", "cancel")
    },
    **{
        f"ThreadPoolExecutor.{name}": f"""
original = futures.ThreadPoolExecutor.{name}
def wrapped(self, *args, **keywords):
    seen.append("{name}")
    return original(self, *args, **keywords)
futures.ThreadPoolExecutor.{name} = wrapped
"""
        for name in ("submit", "shutdown", "_adjust_thread_count", "_initializer_failed")
    },
}

CALLS = """
pool = futures.ThreadPoolExecutor(1) if pool is None else pool
gate = threading.Event()
first = pool.submit(gate.wait)
others = [pool.submit(pow, 2, 3), pool.submit(divmod, 1, 0), pool.submit(int)]
others[2].cancel()
gate.set()
print(others[0].result(), others[1].exception())
pool.shutdown(cancel_futures=True)
logging.disable(logging.CRITICAL)
failing = futures.ThreadPoolExecutor(1, initializer=divmod, initargs=(1, 0))
try:
    print(type(failing.submit(int).exception()).__name__)
except RuntimeError as error:
    print(type(error).__name__)
failing.shutdown()
print(sorted(set(seen)))
"""


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("when", ["before the pool", "before the first call", "before the patch"])
def test_tools_that_wrap_the_parts_of_a_pool_see_the_standard_calls(tool: str, when: str) -> None:
    if when == "before the patch" and "Future" in tool:
        pytest.skip("the patch replaces the class")
    prelude = (
        "import logging, sys, threading\n"
        "import concurrent.futures as futures\n"
        "import concurrent.futures.thread as thread\n"
        "futures.ThreadPoolExecutor\n"
        "seen, pool = [], None\n"
    )
    patch = "if len(sys.argv) > 1:\n    import oxthreads.patch\n    oxthreads.patch.install()\n"
    if when == "before the pool":
        code = prelude + patch + TOOLS[tool] + CALLS
    elif when == "before the patch":
        code = prelude + TOOLS[tool] + patch + CALLS
    else:
        code = prelude + patch + "pool = futures.ThreadPoolExecutor(1)\n" + TOOLS[tool] + CALLS
    standard, ours = python(code, runner=False), python(code, "ours", runner=False)
    assert (standard.returncode, standard.stderr) == (0, "")
    assert (ours.stdout, ours.stderr, ours.returncode) == (standard.stdout, "", 0)


def test_options_work_although_a_tool_has_replaced_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that uses our options must not fail because a tool watches it."""
    original: Any = standard_module._WorkItem  # type: ignore[attr-defined]
    monkeypatch.setattr(standard_module, "_WorkItem", type("Item", (original,), {}))
    with OXTHREADS.futures.ThreadPoolExecutor(1, max_pending=5) as executor:
        assert executor.submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8
        assert executor.stats().workers == 1
    with OXTHREADS.futures.ThreadPoolExecutor(1) as executor:
        assert refusal(executor.stats)[0] is RuntimeError


def test_the_target_of_a_worker_is_the_standard_worker(
    library: BackEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, targets = library.threading.Thread.start, []

    def start(self: Any) -> None:
        targets.append(self._target)
        original(self)

    monkeypatch.setattr(library.threading.Thread, "start", start)
    with library.futures.ThreadPoolExecutor(1) as executor:
        assert executor.submit(pow, 2, 3).result(TIMEOUT_SECONDS) == 8
    assert targets == [standard_module._worker]  # type: ignore[attr-defined]


def test_the_frames_below_a_call_are_those_of_the_standard_worker(library: BackEnd) -> None:
    with library.futures.ThreadPoolExecutor(1) as executor:
        names = executor.submit(functions_here).result(TIMEOUT_SECONDS)
    assert names[-4:] == ["_worker", "run", "_bootstrap_inner", "_bootstrap"]


# Workers that are killed by an exception from another thread.


class Killed(BaseException):
    pass


def kill(thread: Any, kind: type[BaseException] = Killed) -> None:
    """Raise the exception in the thread."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(kind))


def test_pending_calls_are_run_by_another_worker_when_one_is_killed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The worker is killed between two calls. The standard pool would then have one worker less for ever."""

    def died(record: logging.LogRecord) -> bool:
        # Logging takes long here, as with a handler that writes to a slow file.
        assert pending[0].result(TIMEOUT_SECONDS) == 8
        return True

    executor = OXTHREADS.futures.ThreadPoolExecutor(1)
    worker = executor.submit(threading.current_thread).result(TIMEOUT_SECONDS)
    original, pending = standard_module._base.LOGGER, []  # type: ignore[attr-defined]
    original.addFilter(died)
    try:
        # The worker dies as soon as it executes bytecode. It executes none during these callbacks, which are
        # C functions.
        begin, gate = threading.Lock(), threading.Lock()
        begin.acquire()
        gate.acquire()
        first = executor.submit(begin.acquire)
        first.add_done_callback(functools.partial(next, iter(gate.acquire, None)))
        begin.release()
        spin_until(first.done)
        until_asleep(worker)
        pending.append(executor.submit(pow, 2, 3))
        kill(worker)
        gate.release()
        assert pending[0].result(TIMEOUT_SECONDS) == 8
        worker.join(TIMEOUT_SECONDS)
        assert not worker.is_alive()
        assert executor.submit(pow, 2, 4).result(TIMEOUT_SECONDS) == 16
        Result(executor.shutdown).get()
    finally:
        original.removeFilter(died)
    assert [record.getMessage() for record in caplog.records] == ["Exception in worker"]


@pytest.mark.parametrize("dropped", [False, True])
def test_kills_at_any_time_leave_no_call_behind(
    dropped: bool, frantic: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some exceptions hit a thread that only starts, and has the number of a thread that has just ended."""
    # A worker may be killed again while it reports the first exception. Then it cannot raise, and a hook in
    # Python would be killed too.
    monkeypatch.setattr(sys, "unraisablehook", collections.deque[Any](maxlen=0).append)
    monkeypatch.setattr(threading, "excepthook", collections.deque[Any](maxlen=0).append)
    workers: set[Any] = set()

    def call(number: int) -> int:
        workers.add(threading.current_thread())
        return number**2

    def kill_on() -> None:
        while not ended.is_set():
            for worker in [*workers]:
                if worker.is_alive():
                    kill(worker)
                else:
                    workers.discard(worker)
            time.sleep(0.0005)

    # From Python 3.14 on, a thread that is killed in `with lock:` may leave the lock locked. Logging has
    # such locks.
    monkeypatch.setattr(standard_module._base.LOGGER, "disabled", True)  # type: ignore[attr-defined]
    ended = threading.Event()
    killing = Result(kill_on)
    try:
        executor: Any = OXTHREADS.futures.ThreadPoolExecutor(2)
        ran = 0
        for _ in range(20):
            futures = [executor.submit(call, number) for number in range(100)]
            if dropped:
                executor = None
            for number, future in enumerate(futures):
                error = future.exception(TIMEOUT_SECONDS)
                assert isinstance(error, Killed) or future.result() == number**2
                ran += error is None
            if dropped:
                executor = OXTHREADS.futures.ThreadPoolExecutor(2)
        ended.set()
        killing.get()
        assert ran
        Result(executor.shutdown).get()
    finally:
        ended.set()
        spin_until(lambda: not any(worker.is_alive() for worker in workers))


# The end of the interpreter.


@pytest.mark.parametrize("runner", [False, True])
@pytest.mark.parametrize(
    ("call", "printed"),
    [
        ("self.pool.shutdown(wait=False)", "closed"),
        ("self.pool.shutdown(wait=True)", "closed"),
        ("self.pool.shutdown(wait=False, cancel_futures=True)", "closed"),
        ("self.pool.__exit__(None, None, None)", "closed"),
        ("self.pool._work_queue.put(None)", "closed"),
        ("self.pool._shutdown = True; self.pool._broken = 'late'", "closed"),
        ("self.submit()", "refused\nclosed"),
    ],
)
def test_ending_a_pool_at_the_exit_of_the_interpreter_imports_nothing(
    runner: bool, call: str, printed: str
) -> None:
    done = python(
        f"""
import concurrent.futures as futures
class Client:
    def __init__(self):
        self.pool = futures.ThreadPoolExecutor(1)
        self.pool.submit(int).result()
    def submit(self):
        try: self.pool.submit(int)
        except RuntimeError: print("refused")
    def __del__(self):
        {call}
        print("closed")
client = Client()
""",
        runner=runner,
    )
    assert (done.stdout.strip(), done.stderr, done.returncode) == (printed, "", 0)


def test_a_worker_ends_if_its_call_held_the_last_reference_to_the_pool(library: BackEnd) -> None:
    def call(executor: Any) -> None:
        gate.acquire()

    for _ in range(50):
        gate = threading.Lock()
        gate.acquire()
        executor = library.futures.ThreadPoolExecutor(1)
        executor.submit(call, executor)
        (worker,) = executor._threads
        del executor
        gate.release()
        # Without a GIL, the pool is freed when this thread, which made it, executes bytecode.
        spin_until(lambda worker=worker: not worker.is_alive())  # type: ignore[misc]
