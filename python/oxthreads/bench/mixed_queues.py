"""Queues between threads and coroutines of asyncio, and locks of coroutines.

A *mixed queue* has ``put`` and ``get`` for threads, and ``async_put`` and ``async_get`` for coroutines.
"""

from __future__ import annotations

import queue
from typing import Any


class StandardMixedQueue:
    """What programs write with the standard library: a queue for each side; each item calls the loop."""

    def __init__(self) -> None:
        import asyncio  # noqa: PLC0415 - not for the other scenarios

        loop = asyncio.get_running_loop()
        there: asyncio.Queue[Any] = asyncio.Queue()
        back: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def put(item: object) -> None:
            loop.call_soon_threadsafe(there.put_nowait, item)

        async def async_put(item: object) -> None:
            back.put(item)

        self.put, self.async_get, self.get, self.async_put = put, there.get, back.get, async_put


class OurMixedQueue:
    """A queue of oxthreads, and its view."""

    def __init__(self) -> None:
        from oxthreads.aio import as_async  # noqa: PLC0415 - as above
        from oxthreads.queue import Queue  # noqa: PLC0415

        items: Queue[Any] = Queue()
        view = as_async(items)
        self.put, self.get, self.async_put, self.async_get = items.put, items.get, view.put, view.get


def standard_async_lock() -> Any:
    """Return a lock of asyncio."""
    import asyncio  # noqa: PLC0415 - as above

    return asyncio.Lock()


def our_async_lock() -> Any:
    """Return the view of a lock of oxthreads."""
    from oxthreads.aio import as_async  # noqa: PLC0415 - as above
    from oxthreads.threading import Lock  # noqa: PLC0415

    return as_async(Lock())
