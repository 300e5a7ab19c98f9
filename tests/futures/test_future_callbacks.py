"""Tests of which callbacks a future keeps. Most of them run on the standard library too."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from typing import Any

import pytest

from tests.support.back_ends import BackEnd
from tests.support.interpreters import FREE_THREADED, python
from tests.support.threads import Result
from tests.support.waiting import spin_until


class Thing:
    """An object that can have weak references."""


def _callback(kept: object) -> Any:
    return lambda _: kept and None


@pytest.mark.parametrize("end", ["set_result", "set_exception", "cancel", "pool", "cancel a call"])
def test_callbacks_are_kept_as_long_as_the_future(library: BackEnd, end: str) -> None:
    things = [Thing(), Thing()]
    kept = [weakref.ref(thing) for thing in things]
    callbacks = [_callback(thing) for thing in things]
    del things
    executor = library.futures.ThreadPoolExecutor(1)
    if end in ("pool", "cancel a call"):
        begin, go_on = threading.Event(), threading.Event()
        first = executor.submit(lambda: (begin.set(), go_on.wait()))
        begin.wait()
        future = first if end == "pool" else executor.submit(int)
    else:
        future = library.futures.Future()
    for callback in callbacks:
        future.add_done_callback(callback)
    if end in ("set_result", "set_exception"):
        getattr(future, end)(KeyError())
    elif end != "pool":
        assert future.cancel() and future.cancel()
    if end in ("pool", "cancel a call"):
        go_on.set()
    executor.shutdown()
    shown = list(callbacks)
    del callbacks, callback
    assert future.done() and future._done_callbacks == shown
    del shown
    gc.collect()
    assert all(reference() for reference in kept)
    if end == "pool":
        del first
    del future
    gc.collect()
    assert not any(reference() for reference in kept)


def test_callbacks_are_kept_even_if_nobody_has_read_the_list(library: BackEnd) -> None:
    thing = Thing()
    kept = weakref.ref(thing)
    future = library.futures.Future()
    future.add_done_callback(_callback(thing))
    del thing
    future.set_result(1)
    gc.collect()
    assert kept() and future.result() == 1
    del future
    gc.collect()
    assert not kept()


def test_a_callback_that_is_added_to_a_done_future_is_called_and_not_kept(library: BackEnd) -> None:
    future = library.futures.Future()
    called: list[Any] = []
    future.add_done_callback(called.append)
    future.set_result(1)
    future.add_done_callback(called.append)
    assert called == [future, future] and len(future._done_callbacks) == 1


def test_a_cycle_through_a_callback_is_collected(library: BackEnd) -> None:
    future = library.futures.Future()
    thing = Thing()
    thing.future = future  # type: ignore[attr-defined]
    kept = weakref.ref(thing)
    future.add_done_callback(_callback(thing))
    future.set_result(1)
    del thing, future
    gc.collect()
    assert not kept()


def test_callbacks_run_once_although_the_future_is_cancelled_again(library: BackEnd) -> None:
    called: list[Any] = []
    future = library.futures.Future()
    future.add_done_callback(called.append)
    assert future.cancel() and future.cancel()
    assert not future.set_running_or_notify_cancel()
    assert future.cancel()
    with pytest.raises(Exception, match="CANCELLED"):
        future.set_result(1)
    assert future._done_callbacks == [called.append]
    assert future.cancel() and called == [future]


def test_a_base_exception_of_a_callback_skips_the_remaining_callbacks(library: BackEnd) -> None:
    called: list[Any] = []

    def leave(_: object) -> None:
        raise SystemExit

    future = library.futures.Future()
    for callback in (called.append, leave, called.append):
        future.add_done_callback(callback)
    with pytest.raises(SystemExit):
        future.set_result(1)
    assert len(called) == 1 and len(future._done_callbacks) == 3


def test_a_callback_may_change_the_list_of_callbacks(library: BackEnd) -> None:
    called: list[Any] = []
    future = library.futures.Future()

    def change(done: Any) -> None:
        called.append("change")
        done._done_callbacks.append(lambda _: called.append("added"))
        del done._done_callbacks[1]

    for callback in (change, lambda _: called.append("deleted"), lambda _: called.append("last")):
        future.add_done_callback(callback)
    future.set_result(1)
    assert called == ["change", "last", "added"]


def test_another_thread_may_use_the_list_while_callbacks_run(library: BackEnd) -> None:
    called: list[Any] = []
    inside, go_on = threading.Event(), threading.Event()

    def wait(_: object) -> None:
        inside.set()
        go_on.wait()
        called.append("first")

    future = library.futures.Future()
    future.add_done_callback(wait)
    future.add_done_callback(lambda _: called.append("second"))
    ending = Result(future.set_result, 1)
    inside.wait()
    assert len(future._done_callbacks) == 2
    future._done_callbacks.append(lambda _: called.append("third"))
    go_on.set()
    ending.get()
    assert called == ["first", "second", "third"]


def test_waits_leave_nothing_in_the_futures(library: BackEnd) -> None:
    with library.futures.ThreadPoolExecutor(2) as executor:
        futures = [executor.submit(int) for _ in range(10)]
        library.futures.wait(futures)
        list(library.futures.as_completed(futures))
        assert [(future._done_callbacks, future._waiters) for future in futures] == [([], [])] * 10
        begin = threading.Event()
        late = executor.submit(begin.wait)
        assert library.futures.wait([late], 0.001).not_done == {late}
        assert next(library.futures.as_completed([futures[0], late])) is futures[0]
        assert (late._done_callbacks, late._waiters) == ([], [])
        begin.set()


def test_asyncio_leaves_the_same_callbacks_in_both_libraries(library: BackEnd) -> None:
    patched = library.name != "standard"
    source = """
import asyncio, concurrent.futures, gc, threading, weakref
class Thing: pass
async def main():
    loop = asyncio.get_running_loop()
    made = []
    class Pool(concurrent.futures.ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            made.append(super().submit(fn, *args, **kwargs))
            return made[-1]
    with Pool(1) as pool:
        waiting = threading.Event()
        first = loop.run_in_executor(pool, waiting.wait)
        waiting.set()
        await first
        await asyncio.wrap_future(made[0])
    outer = concurrent.futures.Future()
    inner = asyncio.wrap_future(outer)
    outer.set_result(Thing())
    kept = weakref.ref(inner)
    await inner
    del inner
    gc.collect()
    print(len(outer._done_callbacks), kept() is not None, outer._waiters)
    print([len(future._done_callbacks) for future in made])
asyncio.run(main())
"""
    result = python(source, runner=patched, OXTHREADS="0")
    assert (result.stderr, result.stdout) == ("", "1 True []\n[1]\n")


@pytest.mark.skipif(FREE_THREADED, reason="without a GIL, other rules say which thread frees an object")
def test_a_long_chain_of_done_futures_can_be_freed(library: BackEnd) -> None:
    head = future = library.futures.Future()
    for number in range(50_000):
        following = library.futures.Future()
        future.add_done_callback(_callback(following))
        future.set_result(number)
        future = following
    end = weakref.ref(future)
    del future, following
    assert end()
    del head
    gc.collect()
    assert not end()


def test_a_thread_may_read_the_callbacks_while_another_ends_the_future(
    library: BackEnd, frantic: None
) -> None:
    for _ in range(200):
        called: list[int] = []
        future = library.futures.Future()
        for number in range(5):
            future.add_done_callback(lambda _, number=number, called=called: called.append(number))
        ending = Result(future.set_result, 1)
        looking = Result(lambda future=future: len(future._done_callbacks))
        assert looking.get() == 5
        ending.get()
        spin_until(lambda called=called: len(called) == 5)  # type: ignore[misc]
        assert called == [0, 1, 2, 3, 4]


def test_done_futures_take_less_memory_than_the_standard_ones() -> None:
    # docs/performance.md has the numbers for 100,000 futures with one callback each.
    source = """
import gc, sys
from LIBRARY import Future
def size():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
def callback(future): pass
def make():
    future = Future()
    future.add_done_callback(callback)
    future.set_result(None)
    return future
kept = [make() for _ in range(10_000)]
before = size()
kept += [make() for _ in range(50_000)]
print(round((size() - before) / 50_000))
"""
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux says how much memory is used")
    sizes = {
        name: int(python(source.replace("LIBRARY", name), runner=False, OXTHREADS="0").stdout)
        for name in ("concurrent.futures", "oxthreads.concurrent.futures")
    }
    assert sizes["oxthreads.concurrent.futures"] < sizes["concurrent.futures"] / 3, sizes
