"""What the workers of a pool of :mod:`oxthreads.concurrent.futures` do."""

from __future__ import annotations

import threading as _threading
import weakref
from concurrent.futures import _base
from concurrent.futures import thread as _thread

from .._oxthreads import WorkQueue

# Importing typing takes longer than all the rest, and a program's start waits for this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from typing import Any

    from ._executor import ThreadPoolExecutor

#: So many panics a worker survives.
_PANICS = 10


def register(worker: threading.Thread, queue: WorkQueue) -> None:
    """Enter the worker in ``_threads_queues``, which the exit joins.

    The exit goes through them once it has set ``_shutdown``, so they change under its lock. It is taken
    in a thread where no Ctrl-C can come between taking and releasing it; and not without end, for a
    collection under it may submit a call. A worker that is not entered leaves at the exit all the same.
    """
    if _thread._global_shutdown_lock.acquire(timeout=1):
        try:
            if not _thread._shutdown:
                _thread._threads_queues[worker] = queue  # type: ignore[index]
        finally:
            _thread._global_shutdown_lock.release()


def work(
    executor: weakref.ref[ThreadPoolExecutor],
    queue: WorkQueue,
    idle_timeout: float | None,
    initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...],
) -> None:
    """What a worker does."""
    worker = None
    try:
        worker = queue.arrive(idle_timeout)
        if worker is None:
            return
        if (pool := executor()) is not None:
            # Whoever starts the worker does so too, but maybe only after its first call has asked.
            pool._threads.add(_threading.current_thread())  # type: ignore[attr-defined]
            del pool
        register(_threading.current_thread(), queue)
        if initializer is not None:
            try:
                initializer(*initargs)
            except BaseException:
                _base.LOGGER.critical("Exception in initializer:", exc_info=True)
                if (pool := executor()) is not None:
                    pool._initializer_failed()
                return
        went_on: bool | None = True
        panics = 0
        while went_on:
            try:
                went_on = worker.work()
            except BaseException as error:
                # A panic is a mistake of ours, which the pool outlives unless it is made again and again.
                panics += 1
                if type(error).__name__ != "PanicException" or panics > _PANICS:
                    raise
                _base.LOGGER.critical("Exception in worker", exc_info=True)
        if went_on is None and (pool := executor()) is not None:
            pool._depart()
    except BaseException:
        _base.LOGGER.critical("Exception in worker", exc_info=True)
    finally:
        if worker is not None:
            worker.leave()
