"""The names of :mod:`concurrent.futures`: ours where oxthreads has them, the standard objects
elsewhere.
"""

from __future__ import annotations

import concurrent.futures as _standard
import itertools
import math
import sys
import threading as _threading
import weakref
from concurrent.futures import _base
from concurrent.futures import thread as _thread

from .._oxthreads import Future as _NativeFuture
from .._oxthreads import ThreadPoolExecutor as _NativeThreadPoolExecutor
from .._oxthreads import WorkQueue, close_executors
from .._standard_form import StandardAttribute
from ..threading import Condition, Thread
from ._map import map_calls

# Importing typing takes longer than all the rest, and a program's start waits for this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, TypeVar

    T = TypeVar("T")
else:
    T = object

__all__ = list(_standard.__all__)

_StandardFuture = _base.Future
_StandardThreadPoolExecutor = _thread.ThreadPoolExecutor

# At exit the standard library joins the threads in `_threads_queues`. This runs before that: no
# pool takes calls any more, and workers leave once they have run what is pending.
_threading._register_atexit(close_executors)  # type: ignore[attr-defined]


def __getattr__(name: str) -> Any:
    try:
        return getattr(_standard, name)
    except AttributeError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return [*__all__, "__author__", "__doc__"]


class Future(_NativeFuture[T], _StandardFuture[T]):
    """The result of a call that may not have ended yet.

    Thread-safe. It is made by an executor's ``submit``.

    Differences from concurrent.futures.Future: ``_condition``, ``_waiters`` and
    ``_done_callbacks`` are made when one is first used, or when the state is written to, and the
    future is then a standard one (see the README, "Standard form"). Callbacks are let go once they
    have run. A subclass that overrides ``_invoke_callbacks`` has the
    standard form from the beginning.
    """

    _condition = StandardAttribute()
    _waiters = StandardAttribute()
    _done_callbacks = StandardAttribute()

    _overrides_hooks = False

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        hook = _StandardFuture._invoke_callbacks  # type: ignore[attr-defined]
        cls._overrides_hooks = cls._invoke_callbacks is not hook  # type: ignore[attr-defined]

    def _take_standard_form(self) -> None:
        callbacks: list[Callable[[Any], object]] = []
        attributes = {"_condition": Condition(), "_waiters": [], "_done_callbacks": callbacks}
        self._retire(attributes, callbacks)


class ThreadPoolExecutor(_NativeThreadPoolExecutor, _StandardThreadPoolExecutor):
    """Worker threads that run calls.

    max_workers: at most this many threads, started as calls come in.
    thread_name_prefix: what the threads' names begin with.
    initializer, initargs: called by each worker first; if it raises, the pool is broken.

    Raises ValueError for max_workers of zero or less, TypeError for an initializer that cannot be
    called. Thread-safe, and ``submit`` may be called from ``__del__`` or a signal handler.

    Differences from concurrent.futures.ThreadPoolExecutor: ``_work_queue`` is not a SimpleQueue;
    once another queue is put in its place, the pool is a standard one (see the README, "Standard
    form"); so is, from the beginning, one of a subclass that overrides ``_adjust_thread_count``.
    ``_idle_semaphore`` is not used. In a forked child the pool starts afresh, without the parent's
    calls. A worker goes on after a done callback has raised what is no Exception.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        **context: Any,
    ) -> None:
        # `context`: what later versions of Python pass to prepare_context().
        super().__init__(max_workers, thread_name_prefix, initializer, initargs, **context)
        self._initializer: Callable[..., object] | None = initializer  # type: ignore[assignment]
        self._initargs = initargs
        self._worker_numbers = itertools.count()
        self._substitute_work_queue: Any = None
        if self._overrides_hooks:
            self._work_queue = _standard_work_queue()

    _overrides_hooks = False

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        # The recipes for pools of daemon threads start workers of their own, on the standard
        # queue; and a subclass of 3.14 may run its calls in other interpreters.
        cls._overrides_hooks = (
            cls._adjust_thread_count is not ThreadPoolExecutor._adjust_thread_count
            or _prepare_context(cls) is not _prepare_context(ThreadPoolExecutor)
        )

    @property
    def _max_workers(self) -> Any:
        return vars(self)["_max_workers"]

    @_max_workers.setter
    def _max_workers(self, max_workers: Any) -> None:
        vars(self)["_max_workers"] = max_workers
        self._set_capacity(math.ceil(min(max_workers, sys.maxsize)))

    @property
    def _work_queue(self) -> Any:
        substitute = self._substitute_work_queue
        return self._native_work_queue if substitute is None else substitute

    @_work_queue.setter
    def _work_queue(self, queue: Any) -> None:
        if "_substitute_work_queue" not in vars(self):
            return  # the standard initializer's, which is not needed
        self._substitute_work_queue = queue
        self._retire()

    def _refuse_submission(self) -> None:
        """Raise what the standard submit() raises."""
        # Without the lock: shutdown() may hold it while it runs the callbacks of cancelled calls.
        # Whoever closes the pool has said why before.
        if self._broken:
            raise getattr(self, "BROKEN", _thread.BrokenThreadPool)(self._broken)
        if self._shutdown:
            raise RuntimeError("cannot schedule new futures after shutdown")
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    def _adjust_thread_count(self) -> None:
        """Start the worker whose place submit() has taken."""
        if self._is_retired:
            super()._adjust_thread_count()
            return
        queue = self._native_work_queue
        worker = Thread(
            name=f"{self._thread_name_prefix or self}_{next(self._worker_numbers)}",
            target=_work,
            args=(weakref.ref(self), queue, self._initializer, self._initargs),
        )
        worker.start()
        self._threads.add(worker)  # type: ignore[attr-defined]

    def _initializer_failed(self) -> None:
        # Closed first: nobody would run a call that came in after the standard method has failed
        # those that are pending. And told why first, for whoever is then refused.
        self._broken: Any = "A thread initializer failed, the thread pool is not usable anymore"
        self._close()
        super()._initializer_failed()

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> Iterator[Any]:
        """Yield the results of ``fn(*args) for args in zip(*iterables)``, in this order.

        The calls are submitted at once, before the first result is asked for. Those that have not
        begun are cancelled when the iterator is closed, dropped after its first result, or raises.

        timeout: raise TimeoutError if a result is asked for and not there so many seconds after the
        call of ``map``; None means without end.
        chunksize: without effect.
        buffersize: have at most so many calls submitted whose results have not been yielded: the
        iterables are read on as results are asked for. None means without bound.
        progress: called as ``progress(done, total)``. ``done`` is the number of calls that have ended,
        those that were cancelled not counted, and ``total`` that of all calls, or None while it is not
        known, which is as long as iterables without a length or with ``buffersize`` are being read. The
        thread that ends a call calls it; never two at once; with ``done`` growing; and at most ten times
        in any one second. There is always a last call, when all calls have ended or were cancelled and
        no more will come (with ``buffersize``: when the iterator has found that out or was closed). If
        none ends after that is known, it is made by the thread that comes to know, and may repeat
        ``done``, to add the total; if there are no calls at all, it is ``progress(0, 0)``. What it
        raises is logged, as for done callbacks.

        Raises TypeError if ``buffersize`` is no integer or ``progress`` cannot be called, ValueError
        for a ``buffersize`` of zero or less, and what ``submit`` and the iterables raise. The iterator
        raises what a call raised, in its place, and ends; it is for one thread at a time.

        Differences from concurrent.futures.Executor.map: ``buffersize`` is there before Python 3.14,
        and is never exceeded (there, it is by one, as a result is waited for). What the iterables or
        ``submit`` raise once the iterator is in use is raised after the results of the calls so far;
        there, at once, and these results are lost. If nothing has kept the executor until the first
        result is asked for (from then on a buffered iterator does), and calls are left, that is a
        RuntimeError; there, the results end as if there were no more. ``progress`` is not there.
        """
        return map_calls(self, fn, iterables, timeout=timeout, buffersize=buffersize, progress=progress)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls.

        wait: return when the pending calls have been run and the workers have ended.
        cancel_futures: cancel the pending calls instead of running them.
        """
        self._shutdown = True
        self._close()
        super().shutdown(wait=False, cancel_futures=cancel_futures)
        if not wait:
            return
        if _threading.current_thread() not in self._threads:
            # A worker that another thread is just starting is not among `_threads` yet.
            self._wait_for_starts()
        # A list, which copies a set at once, where there is no GIL too.
        for worker in [*self._threads]:
            worker.join()


def _prepare_context(cls: type) -> object:
    """The function of the class method, which is bound to another class in each subclass."""
    method = getattr(cls, "prepare_context", None)
    return getattr(method, "__func__", method)


def _standard_work_queue() -> Any:
    import queue  # noqa: PLC0415

    return queue.SimpleQueue()


def _register(queue: WorkQueue) -> None:
    """Enter this worker in ``_threads_queues``, which the exit joins.

    The exit goes through them once it has set ``_shutdown``, so they change under its lock. It is
    taken in a worker, where no Ctrl-C can come between taking and releasing it; and only if it is
    free, for a collection under it may submit a call. A worker that is not entered leaves at the
    exit all the same.
    """
    if _thread._global_shutdown_lock.acquire(blocking=False):
        try:
            if not _thread._shutdown:
                _thread._threads_queues[_threading.current_thread()] = queue  # type: ignore[index]
        finally:
            _thread._global_shutdown_lock.release()


def _work(
    executor: weakref.ref[ThreadPoolExecutor],
    queue: WorkQueue,
    initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...],
) -> None:
    """What a worker does."""
    if not queue.arrive():
        return
    if (pool := executor()) is not None:
        # Whoever starts the worker does so too, but maybe only after its first call has asked.
        pool._threads.add(_threading.current_thread())  # type: ignore[attr-defined]
        del pool
    _register(queue)
    try:
        if initializer is not None:
            try:
                initializer(*initargs)
            except BaseException:
                _base.LOGGER.critical("Exception in initializer:", exc_info=True)
                if (pool := executor()) is not None:
                    pool._initializer_failed()
                return
        while queue.work():
            pass
    except BaseException:
        _base.LOGGER.critical("Exception in worker", exc_info=True)
    finally:
        queue.leave()
