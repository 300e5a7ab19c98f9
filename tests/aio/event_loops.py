"""The libraries that run coroutines, so that a test can run on each of them."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from tests.support.waiting import TIMEOUT_SECONDS

Function = Callable[[], Coroutine[Any, Any, Any]]


class EventLoops:
    """asyncio."""

    name = "asyncio"

    def run(self, function: Function) -> Any:
        """Run the function in a new event loop. Fails if that takes too long."""
        return asyncio.run(self._in_time(function))

    @staticmethod
    async def _in_time(function: Function) -> Any:
        return await asyncio.wait_for(function(), TIMEOUT_SECONDS)

    def turn(self) -> Awaitable[None]:
        """Let the other tasks go on."""
        return asyncio.sleep(0)

    async def together(self, *functions: Function) -> list[Any]:
        """Call all of them at once, each in a task of its own."""
        return list(await asyncio.gather(*[function() for function in functions]))

    async def until(self, condition: Callable[[], object]) -> None:
        """Let other tasks and threads go on until the condition holds."""
        end = time.monotonic() + TIMEOUT_SECONDS
        while not condition():
            assert time.monotonic() < end, f"the condition does not hold after {TIMEOUT_SECONDS} s"
            await self.turn()

    async def ends_in_time(self, function: Function, seconds: float) -> bool:
        """Call the function, and cancel it after some seconds. Returns whether it was faster."""
        try:
            await asyncio.wait_for(function(), seconds)
        except TimeoutError:
            return False
        return True

    def __repr__(self) -> str:
        return self.name


class Uvloop(EventLoops):
    """asyncio with the loop of uvloop."""

    name = "uvloop"

    def run(self, function: Function) -> Any:
        uvloop: Any = importlib.import_module("uvloop")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(self._in_time(function))


class Trio(EventLoops):
    """trio."""

    name = "trio"

    def run(self, function: Function) -> Any:
        trio: Any = importlib.import_module("trio")

        async def main() -> Any:
            with trio.fail_after(TIMEOUT_SECONDS):
                return await function()

        return trio.run(main)

    def turn(self) -> Awaitable[None]:
        trio: Any = importlib.import_module("trio")
        checkpoint: Awaitable[None] = trio.lowlevel.checkpoint()
        return checkpoint

    async def together(self, *functions: Function) -> list[Any]:
        trio: Any = importlib.import_module("trio")
        results: list[Any] = [None] * len(functions)

        async def call(number: int, function: Function) -> None:
            results[number] = await function()

        async with trio.open_nursery() as nursery:
            for number, function in enumerate(functions):
                nursery.start_soon(call, number, function)
        return results

    async def ends_in_time(self, function: Function, seconds: float) -> bool:
        trio: Any = importlib.import_module("trio")
        with trio.move_on_after(seconds) as scope:
            await function()
        return not scope.cancelled_caught


def _unless_missing(loops: EventLoops) -> Any:
    is_there = importlib.util.find_spec(loops.name) is not None
    return pytest.param(
        loops, id=loops.name, marks=[] if is_there else pytest.mark.skip(f"{loops.name} is not installed")
    )


ASYNCIO = EventLoops()
ALL = [_unless_missing(loops) for loops in (ASYNCIO, Uvloop(), Trio())]
