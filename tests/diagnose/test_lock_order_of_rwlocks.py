"""Lock orders of `RWLock`: what can deadlock is told, and readers that cannot are not."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from oxthreads import diagnose, threading
from oxthreads.aio import as_async
from oxthreads.locks import RWLock
from tests.diagnose.lock_orders import check_count, nested, only, side_by_side
from tests.support.waiting import until_asleep

pytestmark = pytest.mark.one_thread("a process has one watch")

prices, rates = RWLock(), RWLock()
lock = threading.Lock()


@pytest.fixture
def watch() -> Iterator[Any]:
    # Those locks that are there already are followed, too.
    with diagnose.watch("order") as watch:
        yield watch


def holds(*kinds: str) -> list[Any]:
    """`prices` and `rates`, to read or to write."""
    return [getattr(each, kind)() for each, kind in zip((prices, rates), kinds, strict=True)]


def conflict(one: str, other: str) -> bool:
    return "write" in (one, other)


@pytest.mark.parametrize("kinds", list(itertools.product(("read", "write"), repeat=4)), ids="-".join)
def test_two_orders_deadlock_if_they_conflict_at_both_locks(watch: Any, kinds: tuple[str, ...]) -> None:
    first = holds(*kinds[:2])
    second = holds(*kinds[2:])[::-1]
    side_by_side(nested(*first), nested(*second))
    # Each holds one lock in the way that the other one wants it.
    can_deadlock = conflict(kinds[0], kinds[2]) and conflict(kinds[1], kinds[3])
    check_count(1 if can_deadlock else 0)


def read_then_lock() -> None:
    with prices.read():  # noqa: SIM117
        with lock:
            pass


def lock_then_write() -> None:
    with lock:  # noqa: SIM117
        with prices.write():
            pass


def test_the_lines_are_told(watch: Any) -> None:
    side_by_side(read_then_lock, lock_then_write)
    second, first = only(watch)
    assert (first["first"], first["then"]) == ("prices", "lock")
    assert (second["first"], second["then"]) == ("lock", "prices")
    assert first["first_at"]["function"] == "read_then_lock"
    assert first["first_at"]["line"] + 1 == first["stack"][0]["line"]
    assert second["first_at"]["function"] == "lock_then_write"


def test_a_gate_that_is_only_read_lets_both_in(watch: Any) -> None:
    gate, one, two = RWLock(), threading.Lock(), threading.Lock()
    side_by_side(nested(gate.read(), one, two), nested(gate.read(), two, one))
    check_count(1)


@pytest.mark.parametrize("kinds", [("write", "write"), ("write", "read"), ("read", "write")], ids="-".join)
def test_a_gate_that_one_writes_lets_one_in(watch: Any, kinds: tuple[str, str]) -> None:
    gate, one, two = RWLock(), threading.Lock(), threading.Lock()
    entered = [getattr(gate, kind)() for kind in kinds]
    side_by_side(nested(entered[0], one, two), nested(entered[1], two, one))
    check_count(0)


def test_a_lock_that_is_taken_again_is_no_order(watch: Any) -> None:
    def again() -> None:
        with prices.read(), lock, prices.read():
            pass

    def write_again() -> None:
        with prices.write(), lock, prices.write(), prices.read():
            pass

    side_by_side(again, write_again)
    check_count(0)


def test_a_lock_that_was_left_is_not_held(watch: Any) -> None:
    def one_after_the_other() -> None:
        prices.acquire_write()
        prices.acquire_read()
        prices.release_write()
        with rates.write():  # it reads still
            pass
        prices.release_read()
        with rates.read(), prices.read():
            pass
        with rates.write():
            pass

    def write_and_read() -> None:
        with rates.write(), prices.read():
            pass

    side_by_side(one_after_the_other, write_and_read)
    check_count(0)


def test_who_goes_on_to_read_holds_it_as_a_reader(watch: Any) -> None:
    def downgrade() -> None:
        with prices.write() as hold:
            hold.downgrade()
            with rates.write():
                pass

    side_by_side(downgrade, nested(*holds("read", "write")[::-1]))
    check_count(0)
    side_by_side(downgrade, nested(*holds("write", "write")[::-1]))
    check_count(1)


def test_a_wait_with_a_timeout_is_no_order(watch: Any) -> None:
    side_by_side(
        nested(prices.write(), rates.write(timeout=5)), nested(rates.write(), prices.write(timeout=5))
    )
    check_count(0)


def test_an_acquisition_that_has_waited_counts(watch: Any) -> None:
    prices.acquire_write()

    def wait() -> None:
        with lock, prices.read():
            pass

    waiter = threading.Thread(target=wait)
    other = threading.Thread(target=nested(prices.write(), lock))
    waiter.start()
    until_asleep(waiter)
    other.start()
    until_asleep(other)
    prices.release_write()
    waiter.join()
    other.join()
    check_count(1)


def test_what_coroutines_take_is_left_out(watch: Any) -> None:
    async def take(first: RWLock, second: RWLock) -> None:
        async with as_async(first).write(), as_async(second).write():
            pass

    side_by_side(lambda: asyncio.run(take(prices, rates)), lambda: asyncio.run(take(rates, prices)))
    check_count(0)


def test_a_lock_that_is_gone_is_forgotten(watch: Any) -> None:
    for _ in range(100):
        one, two = RWLock(), RWLock()
        side_by_side(nested(one.write(), two.read()))
        del one, two
        gc.collect()
    check_count(0)


def test_after_the_watch_locks_are_as_fast_as_before() -> None:
    with diagnose.watch("order"), prices.write():
        pass
    # The first acquisition finds out that nobody follows it, and a free lock goes back to one word.
    with prices.write():
        pass
    assert repr(prices).startswith("<unlocked")
    side_by_side(nested(*holds("write", "write")), nested(*holds("write", "write")[::-1]))
