"""Scenarios of threads and coroutines of asyncio."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from .libraries import Library
from .rounds import Prepare, Round, SpeedScenario, alone, prepared
from .scenario import Goal


def _in_loop(work: Callable[[Library, int], Coroutine[Any, Any, None]]) -> Prepare:
    """Run the coroutine in a loop of asyncio that is there for all rounds."""

    def prepare(library: Library, operations: int) -> Generator[Round]:
        import asyncio  # noqa: PLC0415 - not for the other scenarios

        with asyncio.Runner() as runner:
            yield alone(lambda: runner.run(work(library, operations)))

    return prepared(prepare)


async def stream(library: Library, operations: int) -> None:
    """A thread puts, and a coroutine gets."""
    items = library.MixedQueue()

    def put_all() -> None:
        put = items.put
        for number in range(operations):
            put(number)

    thread = threading.Thread(target=put_all)
    thread.start()
    get = items.async_get
    for _ in range(operations):
        await get()
    thread.join()


async def ping_pong(library: Library, operations: int) -> None:
    """A coroutine sends an item to a thread, which sends it back."""
    there, back = library.MixedQueue(), library.MixedQueue()

    def answer() -> None:
        get, put = there.get, back.put
        for _ in range(operations):
            put(get())

    thread = threading.Thread(target=answer)
    thread.start()
    put, get = there.async_put, back.async_get
    for number in range(operations):
        await put(number)
        await get()
    thread.join()


async def acquire(library: Library, operations: int) -> None:
    """A coroutine acquires a free lock."""
    lock = library.AsyncLock()
    for _ in range(operations):
        async with lock:
            pass


SCENARIOS = (
    SpeedScenario(
        "async-stream", "thread to coroutine: stream",
        "One thread puts and a coroutine gets; an operation is one item.",
        operations=20_000, threads=2, goal=Goal(4.0), prepare=_in_loop(stream), needs=("MixedQueue",),
    ),
    SpeedScenario(
        "async-ping-pong", "coroutine to thread, there and back",
        "A coroutine sends an item to a thread, which sends it back; an operation is one round trip.",
        operations=1_000, threads=2, prepare=_in_loop(ping_pong), needs=("MixedQueue",),
    ),
    SpeedScenario(
        "async-lock", "`async with` of a free lock",
        "One coroutine acquires and releases a lock that nobody else wants.",
        operations=10_000, threads=1, goal=Goal(1.0), prepare=_in_loop(acquire), needs=("AsyncLock",),
    ),
)  # fmt: skip
