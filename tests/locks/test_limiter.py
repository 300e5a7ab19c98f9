"""`Limiter`: how many get through, in which order, and what happens when one of them gives up.

What is compared with the clock are lower bounds, because a machine may be slow.
"""

from __future__ import annotations

import asyncio
import copy
import ctypes
import math
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from oxthreads import aio
from oxthreads.aio import as_async
from oxthreads.locks import Limiter
from oxthreads.queue import PriorityQueue, Queue
from oxthreads.waiting import after, every, select
from tests.aio.event_loops import ALL, EventLoops
from tests.support.forks import can_fork, forks, in_child
from tests.support.interpreters import FREE_THREADED
from tests.support.refusals import refusal
from tests.support.signals import Interrupt, fail, handler, signal_once_asleep
from tests.support.threads import Result
from tests.support.waiting import spin_until, until_asleep

#: So slow that nothing gets through during a test.
NEVER = 1e-6


def used_up(rate: float = NEVER, burst: int = 1) -> Limiter:
    limiter = Limiter(rate, burst=burst)
    assert limiter.acquire(amount=burst, blocking=False)
    return limiter


@pytest.fixture
def switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_a_burst_gets_through_and_then_one_after_the_other() -> None:
    limiter, begun = Limiter(100, burst=3), time.monotonic()
    for _ in range(8):
        with limiter as entered:
            assert entered is limiter
    assert time.monotonic() - begun >= 5 / 100
    assert limiter.acquire() is True


def test_a_pause_allows_no_more_than_a_burst() -> None:
    limiter = Limiter(1_000_000, burst=3)
    time.sleep(0.01)
    limiter.rate = NEVER
    assert limiter.available == 3
    assert [limiter.acquire(blocking=False) for _ in range(5)] == [True, True, True, False, False]
    assert limiter.available == 0


@pytest.mark.usefixtures("switches")
def test_threads_together_keep_to_the_pace() -> None:
    limiter, begun = Limiter(2_000, per=1, burst=5), time.monotonic()
    done = [0] * 4

    def work(number: int) -> None:
        while time.monotonic() - begun < 0.2:
            with limiter:
                done[number] += 1

    for worker in [Result(work, number) for number in range(4)]:
        worker.get()
    # Each may have begun one more when the time was over.
    assert sum(done) <= 5 + 4 + 2_000 * (time.monotonic() - begun)


def test_those_who_wait_get_through_in_their_order() -> None:
    limiter, order = used_up(), []

    def work(number: int) -> None:
        limiter.acquire(amount=1)
        order.append(number)

    workers = []
    for number in range(6):
        workers.append(Result(work, number))
        spin_until(lambda number=number: limiter.waiting == number + 1)
    assert not limiter.acquire(blocking=False)
    limiter.rate = 200
    for worker in workers:
        worker.get()
    assert order == [*range(6)]


def test_small_acquisitions_do_not_overtake_a_large_one() -> None:
    limiter = used_up(burst=10)
    large = Result(limiter.acquire, amount=10)
    until_asleep(large.thread)
    small = Result(limiter.acquire)
    spin_until(lambda: limiter.waiting == 2)
    limiter.per = 1e-5  # so that one more is soon allowed, and ten are not yet
    assert limiter.acquire(blocking=False) is False
    assert limiter.acquire(timeout=0.01) is False
    limiter.rate = 1_000
    assert large.get()
    assert small.get()


@pytest.mark.parametrize("how", ["time-out", "signal"])
def test_when_the_first_gives_up_the_next_goes_on(how: str) -> None:
    limiter = used_up(rate=2.5, burst=5)
    followers: list[Result] = []

    def follow() -> None:
        spin_until(lambda: limiter.waiting == 1)
        followers.append(Result(limiter.acquire))

    helper = Result(follow)
    if how == "time-out":
        assert limiter.acquire(amount=5, timeout=1) is False
    else:
        with handler(fail):
            sender = signal_once_asleep()
            with pytest.raises(Interrupt):
                limiter.acquire(amount=5)
            sender.join()
    helper.get()
    assert followers[0].get() is True
    assert limiter.waiting == 0


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="signals as POSIX has them")
def test_a_signal_handler_may_use_the_limiter_and_the_wait_goes_on() -> None:
    limiter, seen = used_up(rate=20), []
    with handler(lambda: seen.append((limiter.waiting, limiter.acquire(blocking=False)))):
        sender = signal_once_asleep()
        limiter.acquire()
        sender.join()
    assert seen in ([(0, False)], [(0, True)], [])


def test_an_acquisition_is_not_made_if_it_is_not_due_in_time() -> None:
    limiter, begun = used_up(), time.monotonic()
    for timeout in (0, 0.01):
        assert limiter.acquire(timeout=timeout) is False
    assert time.monotonic() - begun >= 0.01
    assert limiter.acquire(True, 0) is False
    assert limiter.waiting == 0
    assert limiter.delay() > 1_000


def test_a_wait_without_a_limit_may_be_given_as_none_or_minus_one() -> None:
    limiter = Limiter(200)
    for arguments in ((), (True,), (True, None), (True, -1), (1, 5)):
        assert limiter.acquire(*arguments) is True


def test_delay_and_available_tell_what_to_expect() -> None:
    limiter = Limiter(0.001, burst=4)
    assert (limiter.available, limiter.delay(), limiter.delay(4)) == (4, 0.0, 0.0)
    limiter.acquire(amount=4)
    assert 900 < limiter.delay() <= 1_000
    assert 3_900 < limiter.delay(4) <= 4_000
    waiter = Result(limiter.acquire)
    spin_until(lambda: limiter.waiting)
    assert limiter.available == 0
    assert 1_900 < limiter.delay() <= 2_000
    limiter.rate = 1_000
    assert waiter.get()


def test_a_new_pace_applies_to_those_who_wait() -> None:
    limiter = used_up()
    waiter = Result(limiter.acquire)
    until_asleep(waiter.thread)
    limiter.rate = 0.5e-6
    until_asleep(waiter.thread)
    assert 1.9e6 < limiter.delay() / 2 <= 2e6
    limiter.per = 1e-8
    assert waiter.get()
    assert (limiter.rate, limiter.per, limiter.burst) == (0.5e-6, 1e-8, 1)


def test_a_smaller_burst_does_not_strand_a_large_acquisition() -> None:
    limiter = used_up(burst=10)
    waiter = Result(limiter.acquire, amount=10)
    until_asleep(waiter.thread)
    limiter.burst = 2
    limiter.rate = 1_000
    assert waiter.get()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((0,), ValueError),
        ((-1,), ValueError),
        ((math.nan,), ValueError),
        ((math.inf,), ValueError),
        ((1, 0), ValueError),
        ((1, -2.0), ValueError),
        ((1, math.nan), ValueError),
        ((1e-300, 1e300), ValueError),
        ((1e-300,), ValueError),
        ((1, 1e21, 2), ValueError),
        ((1e-9, 1, 10**12), ValueError),
        ((1, 1e19, 9), ValueError),
        ((1, 1, 0), ValueError),
        ((1, 1, -5), ValueError),
        ((1, 1, 1.5), TypeError),
        ((1, 1, "2"), TypeError),
        (("1",), TypeError),
        ((None,), TypeError),
        ((1j,), TypeError),
        ((), TypeError),
        ((1, 1, 1, "name"), TypeError),
    ],
)
def test_wrong_numbers_are_refused(arguments: tuple[Any, ...], error: type[Exception]) -> None:
    assert refusal(Limiter, *arguments)[0] is error
    assert refusal(Limiter, 1, name=5) == (TypeError, "'name' must be a string or None")


def test_wrong_arguments_of_acquire_are_refused() -> None:
    limiter = Limiter(1_000, burst=3)
    for keywords, error in [
        ({"amount": 0}, ValueError),
        ({"amount": 4}, ValueError),
        ({"amount": 10**30}, ValueError),
        ({"amount": 1.0}, TypeError),
        ({"timeout": -2}, ValueError),
        ({"timeout": math.nan}, ValueError),
        ({"timeout": "1"}, TypeError),
        ({"timeout": 1e100}, OverflowError),
        ({"timeout": 1, "blocking": False}, ValueError),
        ({"more": 1}, TypeError),
    ]:
        assert refusal(limiter.acquire, **keywords)[0] is error
    assert limiter.available == 3
    for name, value in [("rate", 0), ("per", math.nan), ("burst", 0)]:
        assert refusal(setattr, limiter, name, value)[0] is ValueError
    assert (limiter.rate, limiter.per, limiter.burst) == (1_000, 1, 3)
    assert refusal(limiter.delay, 4)[0] is ValueError


def test_extreme_numbers_are_possible() -> None:
    slow = Limiter(1, per=1e19, burst=8)
    assert slow.acquire(amount=8)
    assert slow.acquire(blocking=False) is False
    assert slow.delay(8) > 1e9
    slow = Limiter(1, burst=2**70)
    assert slow.acquire(amount=2**63)
    assert slow.acquire(timeout=0.001, amount=2**64) is False
    assert slow.delay(2**64) > 1e9
    # It would let everything through if one of the times ended at the largest number.
    for name, value in [("rate", 1e-3), ("per", 1e3), ("burst", 2**80)]:
        limiter = Limiter(1, per=5 if name == "burst" else 1, burst=1 if name == "burst" else 2**63)
        before = (limiter.rate, limiter.per, limiter.burst)
        assert refusal(setattr, limiter, name, value)[0] is ValueError
        assert (limiter.rate, limiter.per, limiter.burst) == before
    fast = Limiter(1e30)
    assert all(fast.acquire() for _ in range(100))
    assert Limiter(True, True, True).acquire(amount=True)


def test_it_shows_its_numbers_and_is_neither_copied_nor_pickled() -> None:
    limiter = Limiter(2.5, per=60, burst=7, name="service")
    assert repr(limiter).startswith(
        '<oxthreads.locks.Limiter "service" rate=2.5 per=60.0 burst=7 waiting=0 at 0x'
    )
    assert (limiter.name, Limiter(1).name) == ("service", None)
    for refused in (copy.copy, copy.deepcopy, pickle.dumps):
        assert refusal(refused, limiter)[0] is TypeError


def test_a_subclass_may_take_other_arguments() -> None:
    class ForHost(Limiter):
        def __init__(self, host: str) -> None:
            super().__init__(10, burst=2)
            self.host = host

    limiter = ForHost("example.org")
    assert (limiter.host, limiter.rate, limiter.burst) == ("example.org", 10, 2)
    assert select(limiter) == (limiter, True)


def test_methods_of_a_subclass_are_not_passed_by() -> None:
    class Counting(Limiter):
        def acquire(self, *arguments: Any, **keywords: Any) -> bool:
            return super().acquire(*arguments, **keywords)

    class Entering(Limiter):
        def __enter__(self) -> Any:
            return super().__enter__()

    for limiter in (Counting(1), Entering(1)):
        for action in (select, as_async):
            kind, text = refusal(action, limiter)
            assert kind is TypeError
            assert "has an acquire or __enter__ of its own" in text


@forks
@can_fork
@pytest.mark.one_thread("forks")
def test_a_forked_child_has_what_was_acquired_and_no_waiters() -> None:
    limiter = used_up()
    waiter = Result(limiter.acquire)
    until_asleep(waiter.thread)

    def check() -> None:
        assert limiter.waiting == 0
        assert limiter.acquire(blocking=False) is False
        limiter.rate = 1_000
        assert limiter.acquire(timeout=20)

    in_child(check)
    assert limiter.waiting == 1
    limiter.rate = 1_000
    assert waiter.get()


def test_select_takes_the_first_that_is_due() -> None:
    limiter, items = Limiter(1_000), Queue[str]()
    assert select(limiter) == (limiter, True)
    assert select(limiter, items) == (limiter, True)
    slow = used_up()
    items.put("item")
    assert select(slow, items) == (items, "item")
    with pytest.raises(TimeoutError):
        select(slow, items, timeout=0.01)
    assert slow.waiting == 0
    putter = threading.Timer(0.01, items.put, ["late"])
    putter.start()
    assert select(slow, items, timeout=30) == (items, "late")
    assert slow.waiting == 0
    waiter = Result(select, slow, items)
    until_asleep(waiter.thread)
    slow.rate = 1_000
    assert waiter.get() == (slow, True)


def test_select_passes_its_place_on_when_another_source_is_first() -> None:
    limiter, items = used_up(rate=0.5), Queue[str]()
    first = Result(select, limiter, items)
    spin_until(lambda: limiter.waiting == 1)
    second = Result(limiter.acquire)
    spin_until(lambda: limiter.waiting == 2)
    items.put("item")
    assert first.get() == (items, "item")
    assert second.get() is True


def test_a_select_has_no_place_in_line_while_items_are_compared() -> None:
    limiter, heap, seen = used_up(), PriorityQueue[Any](), []

    class Item:
        def __init__(self, number: int) -> None:
            self.number = number

        def __lt__(self, other: Item) -> bool:
            if threading.current_thread() is waiter.thread:
                # Others would wait behind it, and this thread itself if it acquired here.
                seen.append(limiter.waiting)
            return self.number < other.number

    waiter = Result(select, limiter, heap, fair=False)
    until_asleep(waiter.thread)
    assert limiter.waiting == 1
    heap.put_many([Item(3), Item(2), Item(1)])
    # Without a GIL, it may take an item before the others are put, and compare none.
    assert waiter.get()[0] is heap
    assert seen or FREE_THREADED
    assert set(seen) <= {0}
    assert limiter.waiting == 0


def test_select_with_timers_and_a_limiter() -> None:
    slow, ticks = used_up(), every(0.005)
    timer = after(0.02)
    got = [select(slow, ticks, timer, fair=False)[0] for _ in range(3)]
    assert got[0] is ticks
    while timer not in got:
        got.append(select(slow, ticks, timer, fair=False)[0])
    assert slow.waiting == 0


@pytest.mark.parametrize("loops", ALL)
def test_coroutines_and_threads_wait_in_one_order(loops: EventLoops) -> None:
    limiter, order, begun = used_up(), [], []
    view = as_async(limiter)

    async def main() -> None:
        async def coroutine() -> None:
            async with view:
                order.append("coroutine")

        async def others() -> None:
            await loops.until(lambda: limiter.waiting == 1)

            def acquire() -> None:
                limiter.acquire()
                order.append("thread")

            thread = Result(acquire)
            await loops.until(lambda: limiter.waiting == 2)
            begun.append(time.monotonic())
            limiter.rate = 100
            await loops.until(lambda: not thread.thread.is_alive())
            thread.get()

        await loops.together(coroutine, others)

    loops.run(main)
    # If the machine is so slow that the loop is late, the thread goes first.
    assert sorted(order) == ["coroutine", "thread"]
    assert order[0] == "coroutine" or time.monotonic() - begun[0] > 0.05


@pytest.mark.parametrize("loops", ALL)
def test_coroutines_wait_for_their_time(loops: EventLoops) -> None:
    limiter, begun = Limiter(100, burst=2), time.monotonic()
    view = as_async(limiter)

    async def request() -> bool:
        return await view.acquire()

    async def main() -> None:
        assert await loops.together(*[request] * 8) == [True] * 8
        assert not await loops.ends_in_time(lambda: as_async(used_up()).acquire(), 0.01)
        with pytest.raises(ValueError, match="amount"):
            view.acquire(amount=3)

    loops.run(main)
    assert time.monotonic() - begun >= 6 / 100
    assert limiter.waiting == 0


@pytest.mark.parametrize("loops", ALL)
def test_a_cancelled_coroutine_lets_the_next_one_go_on(loops: EventLoops) -> None:
    limiter = used_up(rate=2.5, burst=5)
    view = as_async(limiter)

    async def main() -> None:
        async def impatient() -> None:
            assert not await loops.ends_in_time(lambda: view.acquire(amount=5), 0.5)

        async def next_one() -> bool:
            await loops.until(lambda: limiter.waiting == 1)
            return await view.acquire()

        await loops.together(impatient, next_one)

    loops.run(main)
    assert limiter.waiting == 0


@pytest.mark.parametrize("loops", ALL)
def test_a_thread_passes_a_coroutine_over_whose_loop_is_busy(loops: EventLoops) -> None:
    limiter = used_up(rate=50)
    view = as_async(limiter)

    async def main() -> bool:
        async def block_the_loop() -> bool:
            await loops.until(lambda: limiter.waiting == 1)
            return Result(limiter.acquire).get()

        return (await loops.together(view.acquire, block_the_loop))[1]

    assert loops.run(main) is True


@pytest.mark.parametrize("loops", ALL)
def test_a_coroutine_selects_a_limiter_and_timers(loops: EventLoops) -> None:
    limiter, items = used_up(rate=100), Queue[str]()

    async def main() -> None:
        assert await aio.select(limiter, items) == (limiter, True)
        timer = after(0.01)
        assert await aio.select(used_up(), timer) == (timer, None)
        ticks = every(0.01)
        source, times = await aio.select(ticks, items)
        assert source is ticks
        assert times >= 1
        with pytest.raises(TimeoutError):
            await aio.select(used_up(), items, timeout=0.01)

    loops.run(main)


def test_a_loop_that_is_closed_holds_up_nobody() -> None:
    limiter = used_up(rate=20)
    loop = asyncio.new_event_loop()
    wait: Any = as_async(limiter).acquire()
    loop.call_soon(wait.send, None)
    loop.run_until_complete(asyncio.sleep(0))
    assert limiter.waiting == 1
    loop.close()
    assert limiter.acquire(timeout=30)
    wait.close()
    assert limiter.waiting == 0
    assert limiter.acquire(timeout=30)


@pytest.mark.usefixtures("switches")
def test_nothing_is_lost_when_many_give_up() -> None:
    limiter, got = Limiter(5_000, burst=2), []

    def work(seconds: float) -> None:
        for _ in range(60):
            if limiter.acquire(timeout=seconds, amount=1 + (seconds > 0.0005)):
                got.append(1)

    for worker in [Result(work, seconds) for seconds in (0.0001, 0.0003, 0.0007, 0.002)]:
        worker.get()
    assert limiter.waiting == 0
    assert limiter.acquire(timeout=30)
    assert got


@pytest.mark.one_thread("raises exceptions in other threads")
def test_a_thread_that_is_killed_lets_the_next_one_go_on() -> None:
    class Killed(BaseException):
        pass

    limiter = used_up(rate=1, burst=5)
    victim = Result(limiter.acquire, amount=5)
    until_asleep(victim.thread)
    follower = Result(limiter.acquire)
    until_asleep(follower.thread)
    assert victim.thread.ident is not None
    set_exception: Callable[..., int] = ctypes.pythonapi.PyThreadState_SetAsyncExc
    assert set_exception(ctypes.c_ulong(victim.thread.ident), ctypes.py_object(Killed)) == 1
    assert follower.get() is True
    with pytest.raises(Killed):
        victim.get()
