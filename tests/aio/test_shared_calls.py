"""`once` and `singleflight` of coroutine functions, under each of the libraries and across them."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from oxthreads.locks import once, singleflight
from tests.aio.event_loops import ALL, ASYNCIO, EventLoops, Trio
from tests.support.threads import Result

Decorator = Callable[[Callable[[], Awaitable[Any]]], Callable[[], Awaitable[Any]]]
decorated = pytest.mark.parametrize("decorate", [once, singleflight], ids=["once", "singleflight"])


class Gate:
    """A coroutine function that is called once at a time, and waits until it is let go on, in any library."""

    def __init__(self, decorate: Decorator) -> None:
        self.calls, self.callers, self.is_open = 0, 0, False
        self.loops: dict[int, EventLoops] = {}

        async def load() -> object:
            self.calls += 1
            await self.loops[threading.get_ident()].until(lambda: self.is_open)
            return object()

        self._load: Any = decorate(load)

    async def call(self, loops: EventLoops) -> object:
        """Call the function, from a task of the library that this thread runs."""
        self.loops[threading.get_ident()] = loops
        self.callers += 1
        return await self._load()

    async def open(self, loops: EventLoops, callers: int) -> None:
        """Let it go on when so many have called it, and the tasks of this thread wait."""
        await loops.until(lambda: self.callers == callers)
        for _ in range(5):
            await loops.turn()
        self.is_open = True


@decorated
def test_the_tasks_of_a_loop_share_one_call(loops: EventLoops, decorate: Decorator) -> None:
    gate = Gate(decorate)

    async def main() -> None:
        calls = [lambda: gate.call(loops)] * 5
        *results, _ = await loops.together(*calls, lambda: gate.open(loops, 5))
        assert (len({id(result) for result in results}), gate.calls) == (1, 1)
        await gate.call(loops)
        assert gate.calls == (1 if decorate is once else 2)

    loops.run(main)


@pytest.mark.parametrize("others", ALL)
@decorated
def test_loops_of_two_threads_share_one_call(
    loops: EventLoops, others: EventLoops, decorate: Decorator
) -> None:
    gate = Gate(decorate)

    def run(loops: EventLoops, *more: Callable[[], Any]) -> Any:
        async def main() -> list[Any]:
            return await loops.together(*[lambda: gate.call(loops)] * 3, *more)

        return loops.run(main)

    there = Result(run, others)
    # Who waits in the other thread is told by this one, or the reverse.
    here = run(loops, lambda: gate.open(loops, 6))
    results = [*here[:3], *there.get()]
    # With `singleflight`, a call that came late is another one.
    assert len({id(result) for result in results}) == gate.calls
    assert decorate is singleflight or gate.calls == 1


@decorated
def test_a_cancelled_caller_hands_over_to_the_next(loops: EventLoops, decorate: Decorator) -> None:
    gate = Gate(decorate)

    async def main() -> None:
        ends = [False, False]

        async def give_up() -> None:
            ends[0] = not await loops.ends_in_time(lambda: gate.call(loops), 0.01)

        async def go_on() -> None:
            await loops.until(lambda: gate.calls == 1)
            await gate.call(loops)
            ends[1] = True

        async def let_go() -> None:
            await loops.until(lambda: gate.calls == 2)
            gate.is_open = True

        await loops.together(give_up, go_on, let_go)
        assert ends == [True, True]

    loops.run(main)


@decorated
def test_one_that_gives_up_while_it_waits_takes_nothing(loops: EventLoops, decorate: Decorator) -> None:
    gate = Gate(decorate)

    async def main() -> None:
        async def give_up() -> None:
            await loops.until(lambda: gate.calls == 1)
            assert not await loops.ends_in_time(lambda: gate.call(loops), 0.01)
            gate.is_open = True

        first, _ = await loops.together(lambda: gate.call(loops), give_up)
        assert type(first) is object
        assert gate.calls == 1

    loops.run(main)


@decorated
def test_a_call_inside_itself_fails(loops: EventLoops, decorate: Decorator) -> None:
    async def call_itself() -> None:
        await load()

    load = decorate(call_itself)

    async def main() -> None:
        with pytest.raises(RuntimeError, match="called by itself"):
            await load()

    loops.run(main)


@pytest.mark.skipif(importlib.util.find_spec("trio") is None, reason="trio is not installed")
@decorated
def test_the_turn_passes_over_a_run_of_trio_that_has_ended(decorate: Decorator) -> None:
    trio: Any = importlib.import_module("trio")
    gate, inner = Gate(decorate), Trio()

    async def crash() -> None:
        def stop() -> None:
            raise ValueError

        async with trio.open_nursery() as nursery:
            nursery.start_soon(gate.call, inner)
            await inner.until(lambda: gate.callers == 2)
            for _ in range(5):
                await inner.turn()
            # An error in a callback ends the run without a word to its tasks.
            trio.lowlevel.current_trio_token().run_sync_soon(stop)
            await trio.sleep_forever()

    async def main() -> None:
        first = asyncio.ensure_future(gate.call(ASYNCIO))
        await ASYNCIO.until(lambda: gate.calls == 1)
        with pytest.raises(trio.TrioInternalError):
            await asyncio.to_thread(trio.run, crash)
        last = asyncio.ensure_future(gate.call(ASYNCIO))
        await ASYNCIO.until(lambda: gate.callers == 3)
        first.cancel()
        await ASYNCIO.until(lambda: gate.calls == 2)
        gate.is_open = True
        assert type(await last) is object

    ASYNCIO.run(main)
