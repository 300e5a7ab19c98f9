"""`Watch`: its readers see the newest value, and miss no change."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
import time
import weakref
from typing import Any

import pytest

from oxthreads.channels import ClosedError, Watch, WatchReader
from oxthreads.tasks import CancelScope
from tests.support.garbage import is_freed
from tests.support.threads import Result
from tests.support.waiting import until_asleep


def test_the_value_is_what_was_set_last() -> None:
    watch: Watch[object] = Watch("first")
    assert watch.value == "first"
    watch.set("second")
    watch.set(None)
    assert watch.value is None


def test_a_reader_sees_the_newest_value_once() -> None:
    watch = Watch(0)
    reader = watch.subscribe()
    assert not reader.has_changed
    watch.set(1)
    watch.set(2)
    assert reader.has_changed
    assert reader.value == 2
    assert reader.has_changed, "a look does not count"
    assert reader.changed() == 2
    assert not reader.has_changed
    with pytest.raises(TimeoutError):
        reader.changed(timeout=0)
    assert watch.subscribe().has_changed is False
    assert reader.watch is watch


def test_each_reader_has_seen_what_it_has_seen() -> None:
    watch = Watch(0)
    readers = [watch.subscribe() for _ in range(3)]
    watch.set(1)
    assert [reader.changed() for reader in readers] == [1, 1, 1]
    waiting = [Result(reader.changed) for reader in readers]
    until_asleep(*(each.thread for each in waiting))
    watch.set(2)
    assert [each.get() for each in waiting] == [2, 2, 2]


def test_a_value_that_is_set_again_is_a_change() -> None:
    watch = Watch(1)
    reader = watch.subscribe()
    watch.set(1)
    assert reader.changed(timeout=5) == 1


def test_no_change_is_missed() -> None:
    """The last value is always seen, however the threads run."""
    watch = Watch(0)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def read(reader: WatchReader[int]) -> list[int]:
        seen = []
        while not seen or seen[-1] != 1000:
            seen.append(reader.changed(timeout=30))
        return seen

    try:
        readers = [Result(read, watch.subscribe()) for _ in range(3)]
        for number in range(1, 1001):
            watch.set(number)
        for reader in readers:
            seen = reader.get()
            assert seen == sorted(set(seen))
    finally:
        sys.setswitchinterval(before)


def test_a_reader_is_an_iterator_that_ends() -> None:
    watch = Watch(0)
    reader = watch.subscribe()
    watch.set(1)
    watch.close()
    assert list(reader) == [1]
    with pytest.raises(ClosedError, match="the watched value is closed"):
        reader.changed()
    for change in (lambda: watch.set(2), lambda: watch.update(lambda number: number + 1)):
        with pytest.raises(ClosedError):
            change()
    assert watch.value == 1
    assert watch.closed


def test_the_end_wakes_who_waits() -> None:
    watch = Watch(0)
    waits = [Result(watch.subscribe().changed), Result(watch.wait_for, bool), Result(list, watch.subscribe())]
    until_asleep(*(wait.thread for wait in waits))
    with watch:
        pass
    for wait in waits[:2]:
        with pytest.raises(ClosedError):
            wait.get()
    assert waits[2].get() == []


def test_wait_for_looks_at_the_present_value_first() -> None:
    watch = Watch(3)
    assert watch.wait_for(lambda value: value == 3, timeout=0) == 3
    watch.close()
    assert watch.wait_for(lambda value: value == 3) == 3
    with pytest.raises(ClosedError):
        watch.wait_for(lambda value: value == 4)


@pytest.mark.parametrize("timeout", [0, 1e-9, 0.01])
def test_wait_for_tells_the_end_whatever_the_timeout(timeout: float) -> None:
    watch = Watch(3)
    with pytest.raises(TimeoutError):
        watch.wait_for(lambda value: value == 4, timeout)
    watch.close()
    with pytest.raises(ClosedError):
        watch.wait_for(lambda value: value == 4, timeout)
    assert watch.wait_for(lambda value: value == 3, timeout) == 3


def test_wait_for_ends_when_the_predicate_is_true() -> None:
    watch = Watch(0)
    waiting = Result(watch.wait_for, lambda value: value >= 5)
    until_asleep(waiting.thread)
    for number in range(1, 6):
        watch.set(number)
    assert waiting.get() == 5


def test_wait_for_ends_in_time_while_the_value_keeps_changing() -> None:
    watch = Watch(0)
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            watch.update(lambda value: value + 1)

    changing = Result(change)
    begin = time.monotonic()
    try:
        with pytest.raises(TimeoutError):
            watch.wait_for(lambda value: False, timeout=0.2)
        assert time.monotonic() - begin >= 0.2
        # A predicate in C runs no bytecode.
        with pytest.raises(TimeoutError):
            watch.wait_for(frozenset().__contains__, timeout=0.05)
    finally:
        stop.set()
    changing.get()


def test_a_scope_ends_wait_for_while_the_value_keeps_changing() -> None:
    watch, asked = Watch(0), []

    def reject(value: int) -> bool:
        asked.append(value)
        assert len(asked) < 100, "the scope was cancelled long ago"
        watch.set(value + 1)  # so that the thread never sleeps
        if value == 3:
            scope.cancel()
        return False

    with CancelScope() as scope:
        watch.wait_for(reject)
    assert asked == [0, 1, 2, 3]


def test_wait_for_with_no_time_asks_once() -> None:
    asked = []
    for timeout in (0, 0.0):
        with pytest.raises(TimeoutError):
            Watch(7).wait_for(asked.append, timeout)
    assert asked == [7, 7]


def test_what_the_predicate_raises_ends_the_wait() -> None:
    with pytest.raises(ZeroDivisionError):
        Watch(0).wait_for(lambda value: 1 / value)

    class Undecided:
        def __bool__(self) -> bool:
            raise KeyError

    with pytest.raises(KeyError):
        Watch(0).wait_for(lambda _: Undecided())


def test_update_is_one_step() -> None:
    watch = Watch(0)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def add() -> None:
        for _ in range(200):
            watch.update(lambda value: value + 1)

    try:
        for adding in [Result(add) for _ in range(4)]:
            adding.get()
    finally:
        sys.setswitchinterval(before)
    assert watch.value == 800


def test_what_the_function_of_an_update_raises_sets_nothing() -> None:
    watch = Watch(0)
    reader = watch.subscribe()
    with pytest.raises(ZeroDivisionError):
        watch.update(lambda value: 1 // value)
    assert not reader.has_changed


def test_a_function_of_an_update_may_set_the_value_itself() -> None:
    watch = Watch(0)

    def disturb(value: int) -> int:
        if value == 0:
            watch.set(10)
        return value + 1

    assert watch.update(disturb) == 11


def test_threads_that_share_a_reader_see_each_change_once() -> None:
    watch = Watch(0)
    reader = watch.subscribe()
    waits = [Result(reader.changed) for _ in range(2)]
    until_asleep(*(wait.thread for wait in waits))
    watch.set(1)
    watch.set(2)
    # Both, if one of them was fast. Else the last one, and one of them waits on.
    watch.close()
    seen = []
    for wait in waits:
        try:
            seen.append(wait.get())
        except ClosedError:
            continue
    assert seen in ([1, 2], [2, 1], [2])


@pytest.mark.parametrize("arguments", [(), (1, 2)])
def test_it_has_one_value(arguments: tuple[int, ...]) -> None:
    with pytest.raises(TypeError):
        Watch(*arguments)


@pytest.mark.parametrize(
    ("timeout", "error"), [(-1, ValueError), ("1", TypeError), (float("nan"), ValueError)]
)
def test_wrong_timeouts_are_refused(timeout: Any, error: type[Exception]) -> None:
    watch = Watch(0)
    with pytest.raises(error):
        watch.wait_for(lambda _: False, timeout)
    with pytest.raises(error):
        watch.subscribe().changed(timeout)


@pytest.mark.parametrize("action", [copy.copy, copy.deepcopy, pickle.dumps])
def test_it_is_not_copied(action: Any) -> None:
    watch = Watch(1)
    for thing in (watch, watch.subscribe()):
        with pytest.raises(TypeError, match=f"cannot pickle '{type(thing).__name__}' object"):
            action(thing)


def test_the_value_before_is_let_go_of_and_may_use_the_watch() -> None:
    seen = []

    class Noisy:
        def __del__(self) -> None:
            seen.append(watch.value)

    watch: Watch[Any] = Watch(Noisy())
    watch.set(1)
    assert seen == [1]


def test_a_watch_in_a_cycle_with_its_value_is_freed() -> None:
    class Mine(Watch[Any]):
        pass

    def cycle() -> Any:
        watch = Mine(None)
        watch.set([watch, watch.subscribe()])
        return watch

    assert is_freed(cycle)


def test_a_reader_keeps_its_watch() -> None:
    watch = Watch(1)
    reference = weakref.ref(watch)
    reader = watch.subscribe()
    del watch
    assert reader.value == 1
    del reader
    assert reference() is None


def test_a_subclass_may_take_arguments_of_its_own() -> None:
    class Level(Watch[str]):
        def __init__(self) -> None:
            super().__init__("info")

    assert Level().value == "info"

    class Forgetful(Watch[Any]):
        def __init__(self) -> None:
            pass

    assert Forgetful().value is None
    with pytest.raises(RuntimeError, match="called twice"):
        Level().__init__()  # type: ignore[misc]


def test_it_says_what_it_is() -> None:
    watch = Watch(1)
    reader = watch.subscribe()
    assert repr(watch).startswith("<oxthreads.channels.Watch at 0x")
    assert "of a value that was seen" in repr(reader)
    watch.set(2)
    assert "of a value that was not seen" in repr(reader)
    watch.close()
    assert repr(watch).startswith("<closed ")
