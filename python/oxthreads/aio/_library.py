"""Which of asyncio and trio runs the present task, for the parts that are written in Python."""

from __future__ import annotations

import sys

from oxthreads._coroutine_wait import runs_trio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any, TypeVar

    T = TypeVar("T")


async def despite_cancellation(wait: Callable[[], Awaitable[object]]) -> BaseException | None:
    """Wait until it is over, even if the task is cancelled meanwhile; return the exception of that.

    Under trio the wait is shielded, and the cancellation comes with the next checkpoint.
    """
    if runs_trio():
        trio: Any = sys.modules["trio"]
        with trio.CancelScope(shield=True):
            await wait()
        return None
    import asyncio  # noqa: PLC0415 - not for programs that use trio alone

    cancelled: BaseException | None = None
    while True:
        try:
            await wait()
        except asyncio.CancelledError as error:
            cancelled = error
        else:
            return cancelled


def call_later_in_trio(seconds: float, function: Callable[[], object]) -> Callable[[], None]:
    """Call the function later, in the thread of the present run of trio. Return what prevents that."""
    trio: Any = sys.modules["trio"]
    scope = trio.CancelScope()

    async def sleep() -> None:
        with scope:
            await trio.sleep(seconds)
            function()

    trio.lowlevel.spawn_system_task(sleep, name="timer of oxthreads")
    cancel: Callable[[], None] = scope.cancel
    return cancel


async def within(seconds: float | None, wait: Awaitable[T]) -> tuple[bool, T | None]:
    """Await it for so many seconds at most. Return whether it was over in time, and its result."""
    if seconds is None:
        return True, await wait
    if runs_trio():
        trio: Any = sys.modules["trio"]
        with trio.move_on_after(seconds):
            return True, await wait
        return False, None
    import asyncio  # noqa: PLC0415 - not for programs that use trio alone

    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return True, await wait
    except TimeoutError:
        if not limit.expired():
            raise
        return False, None
