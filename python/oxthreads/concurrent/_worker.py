"""The worker threads of a pool of :mod:`oxthreads.concurrent.futures`."""

from __future__ import annotations

import sys
import threading as _threading
import weakref
from concurrent.futures import _base
from concurrent.futures import thread as _thread

from .._oxthreads import Place as _NativePlace
from .._oxthreads import put_standard_frames

# Not imported at run time: importing typing takes longer than everything else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._oxthreads import Worker, WorkQueue
    from ._executor import ThreadPoolExecutor

#: The number of Rust panics that a worker survives.
_PANICS = 10

#: How often in a row a thread that was killed before it became a worker is replaced by another.
_KILLS = 10

#: From 3.14 on the executor creates the context object that runs the calls.
_HAS_CONTEXTS = sys.version_info >= (3, 14)

# The context for items that a program puts into the queue. It only runs the call.
_CONTEXT = (_thread.WorkerContext(None, ()),) if _HAS_CONTEXTS else ()  # type: ignore[attr-defined]


def run_item(item: Any) -> None:
    """Run a ``_WorkItem`` that was put into the queue of pending calls.

    The worker continues whatever is raised here: the item has no future that could hold it.
    """
    try:
        item.run(*_CONTEXT)
    except BaseException:
        _base.LOGGER.critical("Exception in worker", exc_info=True)


class Place(_NativePlace):
    """The arguments that the thread of a worker gives to the standard function ``_worker``.

    The thread runs ``_worker``, as the threads of the standard pool do and as tools expect. Where
    ``_worker`` calls the initializer, it calls ``initialize`` of the base class, which calls ``work``: our
    worker lives its whole life there. Afterwards ``_worker`` finds nothing to do: its executor is gone, and
    its queue gives None. But if the pool has fallen back to the standard library meanwhile, it finds that
    executor and its queue, and continues as a standard worker.
    """

    __slots__ = (
        "_context",
        "_end",
        "_executor",
        "_initialized",
        "_is_counted",
        "_native_queue",
        "_queue",
        "_standard_executor",
    )

    def __init__(self, executor: ThreadPoolExecutor, idle_timeout: float | None, queue: WorkQueue) -> None:
        """Create the arguments; ``idle_timeout`` is in seconds, see ThreadPoolExecutor."""
        self._executor = weakref.ref(executor)
        self._native_queue = queue
        self._context: Any
        if _HAS_CONTEXTS:
            self._context = executor._create_worker_context()  # type: ignore[attr-defined]
        else:
            self._context = (executor._initializer, executor._initargs)
        self._end = executor._oxthreads_end_worker
        self._initialized = False
        self._is_counted = False
        self._queue: Any = None
        self._standard_executor: Any = None

    # The life of our worker.

    def work(self, worker: Worker) -> bool:
        """Run calls in this thread; return whether it may continue if calls have come in since."""
        try:
            self._enter()
            if not self._initialized:
                try:
                    if _HAS_CONTEXTS:
                        self._context.initialize()
                    else:
                        initializer, arguments = self._context
                        if initializer is not None:
                            initializer(*arguments)
                        del initializer, arguments
                except BaseException as error:
                    put_standard_frames(error, "initializer", 2 if _HAS_CONTEXTS else 1)
                    _base.LOGGER.critical("Exception in initializer:", exc_info=True)
                    if (executor := self._executor()) is not None:
                        executor._initializer_failed()
                    return False
                self._initialized = True
            went_on: bool | None = True
            panics = 0
            while went_on:
                try:
                    went_on = worker.work()
                except BaseException as error:
                    # A panic is a bug of ours. The worker survives it, unless it happens again and again.
                    panics += 1
                    if type(error).__name__ != "PanicException" or panics > _PANICS:
                        raise
                    _base.LOGGER.critical("Exception in worker", exc_info=True)
            self._is_counted = worker.was_counted
            if went_on is None and (executor := self._executor()) is not None:
                depart(executor)
            return True
        finally:
            if self._end is not None:
                self._end()

    def _enter(self) -> None:
        """Add this thread to the threads of the executor."""
        executor = self._executor()
        if executor is not None:
            # The starter of the worker adds it too, but perhaps only after its first call has looked.
            threads = vars(executor).get("_threads")
            if threads is not None:
                threads.add(_threading.current_thread())
            if executor._oxthreads_lost_starts:
                executor._oxthreads_lost_starts = 0

    def replace(self) -> None:
        """This worker ends too early: start another one if one is needed."""
        if (executor := self._executor()) is not None:
            depart(executor)
            executor._oxthreads_scale()

    def give_up(self, thread: _threading.Thread) -> None:
        """This thread was killed before it was a worker: to other threads it is one that has ended."""
        if getattr(thread, "_tstate_lock", thread) is None:
            # Before 3.13, join() expects this of a thread without that lock.
            thread._is_stopped = True  # type: ignore[attr-defined]
        _threading._limbo.pop(thread, None)  # type: ignore[attr-defined]
        if (executor := self._executor()) is not None:
            # The starter, which still waits for `_started`, looks for the thread there:
            executor._oxthreads_departing.add(thread)
            thread._started.set()  # type: ignore[attr-defined]
            # A thread started here inherits from this one, which must be known to `threading` for that.
            active, ident = _threading._active, _threading.get_ident()  # type: ignore[attr-defined]
            active[ident] = thread
            # Not forever: a trace function that raises ends every worker before it works.
            if executor._oxthreads_lost_starts < _KILLS:
                executor._oxthreads_lost_starts += 1
                executor._oxthreads_scale()
            active.pop(ident, None)
        thread._started.set()  # type: ignore[attr-defined]

    def log(self, error: BaseException) -> None:
        """Log the exception that has ended the worker."""
        _base.LOGGER.critical("Exception in worker", exc_info=error)

    # What the standard worker sees afterwards.

    def __call__(self) -> Any:
        """Return the executor, like the weak reference that a standard worker gets."""
        return None if self._standard_executor is None else self._standard_executor()

    def _find_queue(self) -> Any:
        """Return the queue of the pool, if the pool has fallen back since this worker began; else None."""
        executor = self._executor() if self._queue is None else None
        if executor is not None and executor._oxthreads_turned:
            queue = self._native_queue
            self._standard_executor = weakref.ref(executor, lambda _: queue.put(None))
            self._queue = queue
        return self._queue

    def get_nowait(self) -> Any:
        """Return the next item of the queue; None ends the worker.

        A standard worker counts itself as idle if the queue is empty. A worker that is counted already waits
        instead.
        """
        queue = self._find_queue()
        if queue is None:
            return None
        is_counted, self._is_counted = self._is_counted, False
        return queue.get() if is_counted else queue.get_nowait()

    def get(self, block: bool = True) -> Any:
        """Wait for the next item, and return it as `get_nowait` does."""
        queue = self._find_queue()
        return None if queue is None else queue.get(block=block)

    def put(self, item: None) -> None:
        """Tell other workers to end."""
        if self._queue is not None:
            self._queue.put(item)

    def run(self, task: Any) -> Any:
        """Run the task in the worker's context."""
        return self._context.run(task)

    def finalize(self) -> None:
        """End the worker's context."""
        if _HAS_CONTEXTS:
            self._context.finalize()


def depart(executor: ThreadPoolExecutor) -> None:
    """Note that this thread, a worker, is about to end; shutdown() waits for it."""
    if executor._oxthreads_has_fallen_back:
        return
    worker = _threading.current_thread()
    departing = executor._oxthreads_departing
    for other in [*departing]:
        if not other.is_alive():
            departing.discard(other)
    departing.add(worker)
    if (threads := vars(executor).get("_threads")) is not None:
        threads.discard(worker)
