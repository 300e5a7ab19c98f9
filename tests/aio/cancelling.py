"""A coroutine that is cancelled at a chosen step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any


class CancelledAt(Coroutine[Any, Any, Any]):
    """Runs a coroutine, and raises CancelledError in it instead of going on after a suspension.

    So a wait may be complete at the moment when it is cancelled, as when a task is cancelled that the loop is
    about to resume. Step 0 comes before the first.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], step: int) -> None:
        self._coroutine = coroutine
        self._left = step
        self.cancelled = False

    def send(self, value: Any) -> Any:
        if self._left == 0 and not self.cancelled:
            self.cancelled = True
            return self._coroutine.throw(asyncio.CancelledError())
        self._left -= 1
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        raise NotImplementedError


class CancelledWhileSuspended(CancelledAt):
    """Runs a coroutine, whose task is cancelled while it is suspended for this step."""

    def send(self, value: Any) -> Any:
        yielded = self._coroutine.send(value)
        if self._left == 0:
            self.cancelled = True
            task = asyncio.current_task()
            assert task is not None
            task.get_loop().call_soon(task.cancel)
        self._left -= 1
        return yielded


async def at_each_step(
    kind: type[CancelledAt],
    round_of_test: Callable[[Callable[[Coroutine[Any, Any, Any]], Any]], Awaitable[None]],
) -> int:
    """Call the function again and again; it gives its victim to a function that makes a task.

    The victim is cancelled at the first step, then at the second, and so on, until it is over before that.
    Returns the number of steps.
    """
    for step in range(10_000):
        made: list[CancelledAt] = []

        def victim(coroutine: Coroutine[Any, Any, Any], step: int = step, made: list[Any] = made) -> Any:
            made.append(kind(coroutine, step))
            return asyncio.ensure_future(_run(made[-1]))

        await round_of_test(victim)
        if not made[0].cancelled:
            return step
    raise AssertionError("the victim never ends")


async def _run(coroutine: CancelledAt) -> bool:
    """Whether the coroutine came to its end."""
    try:
        await _Awaitable(coroutine)
    except asyncio.CancelledError:
        return False
    return True


class _Awaitable:
    def __init__(self, coroutine: CancelledAt) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        resume: Callable[[Any], Any] = self._coroutine.send
        argument: Any = None
        while True:
            try:
                yielded = resume(argument)
            except StopIteration as end:
                return end.value
            try:
                resume, argument = self._coroutine.send, (yield yielded)
            except BaseException as error:
                resume, argument = self._coroutine.throw, error
