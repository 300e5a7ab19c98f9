"""The pool of threads of :mod:`oxthreads.concurrent.futures`."""

from __future__ import annotations

import collections
import itertools
import math
import operator
import sys
import threading as _threading
import weakref
from concurrent.futures import _base
from concurrent.futures import thread as _thread

from .._oxthreads import ThreadPoolExecutor as _NativeThreadPoolExecutor
from .._oxthreads import close_executors
from .._oxthreads import install_in as _callable_at_once
from ..threading import Semaphore, Thread, _StandardThread
from ._map import map_calls
from ._worker import register, work

# Importing typing takes longer than all the rest, and a program's start waits for this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Literal, NamedTuple, TypeVar

    from .futures import Future

    T = TypeVar("T")

    class ExecutorStatistics(NamedTuple):
        workers: int
        busy: int
        queued: int
        done: int
        queue_wait_total: float
        queue_wait_max: float
        run_time_total: float
        run_time_max: float
else:
    ExecutorStatistics = collections.namedtuple(
        "ExecutorStatistics",
        "workers busy queued done queue_wait_total queue_wait_max run_time_total run_time_max",
    )
    ExecutorStatistics.__doc__ = """What a ThreadPoolExecutor's ``stats()`` returns.

    workers: threads that run calls, or could; busy: those of them that run one now.
    queued: calls that wait for a worker; done: calls that have ended, however they did, without those
        that were cancelled.
    queue_wait_total, queue_wait_max: seconds between submission and beginning, of the calls begun.
    run_time_total, run_time_max: seconds between beginning and end, callbacks included, of the calls
        that have ended. A call that a worker ran inside another counts in both.
    """

_StandardThreadPoolExecutor = _thread.ThreadPoolExecutor

# At exit the standard library joins the threads in `_threads_queues`. This runs before that: no
# pool takes calls any more, and workers leave once they have run what is pending.
_threading._register_atexit(close_executors)  # type: ignore[attr-defined]


@_callable_at_once
class ThreadPoolExecutor(_NativeThreadPoolExecutor, _StandardThreadPoolExecutor):
    """Worker threads that run calls.

    max_workers: at most this many threads, started as calls come in.
    thread_name_prefix: what the threads' names begin with.
    initializer, initargs: called by each worker first; if it raises, the pool is broken.

    And what the standard pool does not have, by keyword only:

    context: "worker", as in the standard library, runs every call in the context (``contextvars``) of
        the worker's thread; "submitter" in a copy of that of the thread that submits, made then.
    idle_timeout: seconds after which a worker that has nothing to do ends. None: workers stay.
    max_pending: at most this many calls wait for a worker. None: any number.
    on_full: what ``submit`` does when that many wait. "block" waits for room, without end; "raise"
        raises queue.Full; "caller_runs" runs the call before it returns, in the thread that submits,
        where an exception that is no Exception, such as KeyboardInterrupt, is raised as well.

    Raises ValueError for max_workers or max_pending of zero or less, an idle_timeout that is negative or
    NaN, and another context or on_full than these; TypeError for an initializer that cannot be called.
    Thread-safe, and ``submit`` may be called from ``__del__`` or a signal handler, unless it has to wait
    for room there: what it interrupts may be what keeps the workers from making it.

    A call may wait for another of the same pool: if every worker waits, without a timeout, for the
    future of some call, and one of these calls is pending, the worker that waits for it runs it, inside
    its own (and, with ``context="worker"``, in the context of that). As long as one worker does not wait
    nothing is different from the standard pool. It is not done for a wait with a timeout, a future in its
    standard form, or a worker that waits for something else, such as a queue or a call of another pool
    that waits in turn for this one. With ``on_full="block"``, a worker of the pool itself runs what it
    submits, rather than wait for room. Calls that a worker is there for, or can be started for, need none.

    Differences from concurrent.futures.ThreadPoolExecutor: ``_work_queue`` is not a SimpleQueue;
    once another queue is put in its place, the pool is a standard one (see the README, "Standard
    form"); so is, from the beginning, one of a subclass that overrides ``_adjust_thread_count``, and
    neither has the options above. ``_idle_semaphore`` is new each time it is looked at, with the number
    of idle workers. The worker that has been idle for the shortest time is given the next call. In a
    forked child the pool starts afresh, without the parent's calls. A worker goes on after a done
    callback has raised what is no Exception.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        context: Literal["worker", "submitter"] = "worker",
        idle_timeout: float | None = None,
        max_pending: int | None = None,
        on_full: Literal["block", "raise", "caller_runs"] = "block",
        **prepare_context: Any,
    ) -> None:
        # If it is initialized again, the queue that the standard initializer makes is not needed either.
        self.__dict__.pop("_substitute_work_queue", None)
        # `prepare_context`: what later versions of Python pass to the method of that name.
        super().__init__(max_workers, thread_name_prefix, initializer, initargs, **prepare_context)
        if sys.version_info >= (3, 14):
            self._initializer: Callable[..., object] | None = initializer
            self._initargs = initargs
        self._worker_numbers = itertools.count()
        self._departing: set[threading.Thread] = set()
        self._idle_timeout = None if idle_timeout is None else _check_idle_timeout(idle_timeout)
        carries_context = context != "worker" and _check_context(context)
        if max_pending is not None:
            max_pending = min(operator.index(max_pending), sys.maxsize)
            if max_pending <= 0:
                raise ValueError("max_pending must be greater than 0")
        self._configure(max_pending, on_full, carries_context)
        self._substitute_work_queue: Any = None
        if self._overrides_hooks:
            if carries_context or idle_timeout is not None or max_pending is not None:
                raise TypeError(
                    f"{type(self).__name__} starts workers of its own, which know nothing of "
                    "context, idle_timeout and max_pending"
                )
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

    def with_options(
        self, *, priority: int = 0, context: Literal["worker", "submitter"] | None = None
    ) -> ExecutorView:
        """The same pool, for calls that are not like the others.

        priority: calls with lower numbers are run first, equal ones in the order they were submitted.
            Those submitted without options have priority 0.
        context: as of the executor, whose own applies if it is None.

        Raises TypeError for a priority that is no integer, OverflowError for one beyond 64 bits,
        ValueError for another context, RuntimeError for a pool in its standard form.

        A ``submit`` that a subclass overrides is not called by that of the view.
        """
        return ExecutorView(self, priority, context)

    def stats(self) -> ExecutorStatistics:
        """What there is, and what has been done since the pool was made; see ExecutorStatistics.

        Nobody has to wait for it: every worker keeps its own record, which is read as it is.

        Raises RuntimeError for a pool in its standard form, which keeps none.
        """
        if self._is_retired:
            raise RuntimeError("a pool in its standard form keeps no statistics")
        return ExecutorStatistics(*self._statistics())

    @property
    def _max_workers(self) -> Any:
        return self.__dict__["_max_workers"]

    @_max_workers.setter
    def _max_workers(self, max_workers: Any) -> None:
        self.__dict__["_max_workers"] = max_workers
        self._set_capacity(max(0, math.ceil(min(max_workers, sys.maxsize))))

    @property
    def _work_queue(self) -> Any:
        substitute = self._substitute_work_queue
        return self._native_work_queue if substitute is None else substitute

    @_work_queue.setter
    def _work_queue(self, queue: Any) -> None:
        if "_substitute_work_queue" not in self.__dict__:
            return  # the standard initializer's, which is not needed
        self._substitute_work_queue = queue
        self._retire()

    @property
    def _idle_semaphore(self) -> Any:
        if self._is_retired:
            return self.__dict__["_idle_semaphore"]
        return Semaphore(self._idle_workers)

    @_idle_semaphore.setter
    def _idle_semaphore(self, semaphore: Any) -> None:
        self.__dict__["_idle_semaphore"] = semaphore

    @property
    def _shutdown(self) -> Any:
        return self.__dict__["_shutdown"]

    @_shutdown.setter
    def _shutdown(self, shutdown: Any) -> None:
        self.__dict__["_shutdown"] = shutdown
        if shutdown:
            self._close()

    @property
    def _broken(self) -> Any:
        return self.__dict__["_broken"]

    @_broken.setter
    def _broken(self, reason: Any) -> None:
        # In this order: whoever is refused is told why.
        self.__dict__["_broken"] = reason
        if reason:
            self._close()

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
        # What somebody has put in the place of the standard class, or ours.
        replaced = _threading.Thread is not _StandardThread
        worker = (_threading.Thread if replaced else Thread)(
            name=f"{self._thread_name_prefix or self}_{next(self._worker_numbers)}",
            target=work,
            args=(weakref.ref(self), queue, self._idle_timeout, self._initializer, self._initargs),
        )
        worker.start()
        if worker.daemon:
            # As the thread that submits, which so cannot be the main thread, where a Ctrl-C might come.
            register(worker, queue)
        self._threads.add(worker)  # type: ignore[attr-defined]
        # It may have departed before it was added. Looked at in this order: it leaves `_departing`
        # only once it has ended.
        if worker in self._departing or not worker.is_alive():
            self._threads.discard(worker)  # type: ignore[attr-defined]

    def _depart(self) -> None:
        """This thread, a worker that has been idle for too long, ends; shutdown() waits for that."""
        worker = _threading.current_thread()
        for other in [*self._departing]:
            if not other.is_alive():
                self._departing.discard(other)
        self._departing.add(worker)
        self._threads.discard(worker)  # type: ignore[attr-defined]

    def _initializer_failed(self) -> None:
        # Closed first: nobody would run a call that came in after the standard method has failed
        # those that are pending.
        self._broken = "A thread initializer failed, the thread pool is not usable anymore"
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
        super().shutdown(wait=False, cancel_futures=cancel_futures)
        if not wait:
            return
        if _threading.current_thread() not in self._threads:
            # A worker that another thread is just starting is not among `_threads` yet.
            self._wait_for_starts()
        # Lists, which copy a set at once, where there is no GIL too. In this order: a worker that
        # departs is in the second set before it leaves the first.
        for worker in [*self._threads, *self._departing]:
            worker.join()


class ExecutorView(_base.Executor):
    """A ThreadPoolExecutor with other options; what its ``with_options`` returns.

    Thread-safe as the executor, which it keeps alive, and shuts down if it is shut down itself.
    """

    def __init__(
        self,
        executor: ThreadPoolExecutor,
        priority: int,
        context: Literal["worker", "submitter"] | None,
    ) -> None:
        priority = operator.index(priority)
        if not -(2**63) <= priority < 2**63:
            raise OverflowError("priority does not fit in 64 bits")
        self._executor = executor
        self._priority = priority
        self._context = context
        self._carries_context = None if context is None else _check_context(context)
        self._check_form()

    def _check_form(self) -> None:
        if self._executor._is_retired:
            raise RuntimeError("a pool in its standard form has no options")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._executor!r}, priority={self._priority}>"

    def with_options(
        self, *, priority: int | None = None, context: Literal["worker", "submitter"] | None = None
    ) -> ExecutorView:
        """The same with other options; those that are None are as here."""
        return ExecutorView(
            self._executor,
            self._priority if priority is None else priority,
            self._context if context is None else context,
        )

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have ``fn(*args, **kwargs)`` called by a worker of the pool; its Future.

        Raises what the executor's ``submit`` raises.
        """
        self._check_form()
        future: Future[T] = self._executor._submit_with(
            self._priority, self._carries_context, fn, args, kwargs
        )
        return future

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> Iterator[Any]:
        """As the executor's ``map``, with the options of the view."""
        executor = weakref.ref(self._executor)

        def reference() -> ExecutorView | None:
            """The view, or another like it, if its executor is there."""
            found = executor()
            return None if found is None else ExecutorView(found, priority, context)

        priority, context = self._priority, self._context
        return map_calls(
            self,
            fn,
            iterables,
            timeout=timeout,
            buffersize=buffersize,
            progress=progress,
            reference=reference,
        )

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut the executor down."""
        self._executor.shutdown(wait, cancel_futures=cancel_futures)


def _check_context(context: str) -> bool:
    """Whether calls carry the submitter's context along."""
    if context not in ("worker", "submitter"):
        raise ValueError("context must be 'worker' or 'submitter'")
    return context == "submitter"


def _check_idle_timeout(timeout: float) -> float:
    seconds = float(timeout)
    if not seconds >= 0:
        raise ValueError("idle_timeout must be a non-negative number")
    return seconds


def _prepare_context(cls: type) -> object:
    """The function of the class method, which is bound to another class in each subclass."""
    method = getattr(cls, "prepare_context", None)
    return getattr(method, "__func__", method)


def _standard_work_queue() -> Any:
    import queue  # noqa: PLC0415

    return queue.SimpleQueue()
