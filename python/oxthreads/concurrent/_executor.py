"""The thread pool of :mod:`oxthreads.concurrent.futures`."""

from __future__ import annotations

import collections
import functools
import itertools
import math
import operator
import os
import sys
import threading as _threading
import weakref
from concurrent.futures import _base
from concurrent.futures import thread as _thread

from .._fallback import name_as_standard as _name_as_standard
from .._oxthreads import ThreadPoolExecutor as _NativeThreadPoolExecutor
from .._oxthreads import close_executors, register, versions
from .._oxthreads import install_in as _install_in
from .._oxthreads import set_questions as _set_questions
from ..threading import (
    Semaphore,
    Thread,
    _reused_threads,
    _StandardThread,
    _start_reused,
    _start_thread,
)
from ._map import map_calls
from ._slow_calls import SlowCall, report_slow_calls
from ._worker import Place

# Not imported at run time: importing typing takes longer than everything else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Literal, NamedTuple, TypeVar

    from .._oxthreads import WorkQueue
    from ._slow_calls import Question
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
    ExecutorStatistics.__doc__ = """Counts and times of a pool, which ``ThreadPoolExecutor.stats`` returns.

    Attributes:
        workers (int): the worker threads, busy or idle.
        busy (int): the workers that run a call now.
        queued (int): the calls that wait for a worker.
        done (int): the calls that have ended, with a result or an exception. Cancelled calls are not counted.
        queue_wait_total, queue_wait_max (float): seconds that calls waited for a worker: the sum and the
            longest wait, of the calls that have begun.
        run_time_total, run_time_max (float): seconds that calls ran, done callbacks included: the sum and the
            longest run, of the calls that have ended. A call that a worker ran inside another one counts in
            the time of both.

    Example:
        >>> from oxthreads.concurrent.futures import ThreadPoolExecutor
        >>> with ThreadPoolExecutor(max_workers=1) as pool:
        ...     pool.submit(len, "tea").result()
        3
        >>> workers, busy, queued, done, *times = pool.stats()
        >>> busy, queued, done
        (0, 0, 1)
    """


_StandardThreadPoolExecutor = _thread.ThreadPoolExecutor
_NO_OPTIONS = (None,) * 5
_STANDARD_SHUTDOWN = _StandardThreadPoolExecutor.shutdown

# At exit the standard library joins the threads in `_threads_queues`. This function runs before that:
# all pools refuse new calls, and workers end once they have run the pending calls.
_threading._register_atexit(close_executors)  # type: ignore[attr-defined]


class ThreadPoolExecutor(_NativeThreadPoolExecutor, _StandardThreadPoolExecutor):
    """A pool of worker threads that runs calls.

    ``submit`` gives a call to the pool and returns a :class:`Future` for its result; ``map`` does so for
    many calls. Use it to run calls at the same time without starting a thread for each. As a context
    manager it calls ``shutdown`` at the end of the block, which waits for all calls.

    Thread-safe. ``submit`` may also be called from ``__del__`` or from a signal handler, unless it has to
    wait for room there (``max_pending``): the code that it interrupts may keep the workers from making room.

    Args:
        max_workers (int): the largest number of threads. They are started as calls come in. By default it
            depends on the number of CPUs, as in the standard library.
        thread_name_prefix (str): the beginning of the threads' names.
        initializer (callable): called once by each worker, before its first call. If it raises, the pool is
            broken and takes no more calls.
        initargs (tuple): the arguments of ``initializer``.

    The standard pool does not have these options. They are keyword-only:

        context (str): the context (``contextvars``) in which calls run. "worker", as in the standard
            library: the context of the worker's thread. "submitter": a copy of the context of the thread
            that submits, made in ``submit``.
        idle_timeout (float): seconds after which a worker without work ends. None: workers stay.
        max_pending (int): the largest number of calls that wait for a worker. None: no limit. Calls for
            which a worker is free, or can be started, are not counted.
        on_full (str): what ``submit`` does when ``max_pending`` calls wait. "block": it waits for room,
            without a time limit; but a worker of this pool runs the call itself, because waiting could
            hang the pool. "raise": it raises ``queue.Full``. "caller_runs": it runs the call in the
            submitting thread before it returns; an exception that is not an ``Exception``, such as
            KeyboardInterrupt, is raised there as well.
        nested (str): what a worker does when it waits for the future of another call of its own pool, in
            ``result``, ``exception``, ``wait``, ``as_completed`` or ``map``. "wait", as in the standard
            library: it only waits. "run": it may run that call inside its wait, as described below.
        reuse_threads (float): seconds for which the operating system threads of workers that have ended are
            kept, to be used again by the next threads that ask for it; see ``reuse_threads`` of
            :mod:`oxthreads.threading`, which says so for all threads. 0: not at all. None: as that says.
        slow_after (float): seconds after which a call that still runs is reported, once. None: never. Calls
            that ``on_full="caller_runs"`` runs in the submitting thread are not reported.
        on_slow (callable): called with a :class:`SlowCall` for each such call, in a thread of its own: it
            must not take long. What it raises is logged. None: a warning with the stack of the call is
            written to the logger "oxthreads".

    Raises:
        ValueError: if ``max_workers``, ``max_pending`` or ``slow_after`` is zero or less, ``idle_timeout`` or
            ``reuse_threads`` is negative, one of these times is NaN, or ``context``, ``on_full`` or
            ``nested`` is another string.
        TypeError: if ``initializer`` or ``on_slow`` cannot be called, for ``on_slow`` without ``slow_after``,
            or for an option together with an override that makes the pool fall back.

    Example:
        >>> from oxthreads.concurrent.futures import ThreadPoolExecutor
        >>> with ThreadPoolExecutor(max_workers=4) as pool:
        ...     future = pool.submit(pow, 2, 10)
        ...     future.result()
        1024

    One worker is enough for calls that wait for other calls, with ``nested="run"``:
        >>> with ThreadPoolExecutor(max_workers=1, nested="run") as pool:
        ...     def total(numbers):
        ...         if len(numbers) == 1:
        ...             return numbers[0]
        ...         rest = pool.submit(total, numbers[1:])
        ...         return numbers[0] + rest.result()
        ...     pool.submit(total, [1, 2, 3]).result()
        6

    Calls that wait for calls, ``nested="run"``:

    If every worker runs a call that waits for a pending call of the same pool, the standard pool hangs: no
    worker is free to run the pending calls. With ``nested="run"`` the pool does not hang. A worker runs a
    pending call inside its wait only if both of these are true:

    * every worker of the pool waits, without a timeout;
    * everything that each of them waits for is an unfinished call of this pool, which is pending or is run
      by one of these workers.

    Otherwise no worker runs calls inside its wait, because something else may end one of the waits: for
    example, if one of the futures comes from elsewhere (made by hand, of another pool, of a coroutine) or
    has fallen back, or if a worker waits for a queue or a lock. Once a call has been taken out of
    ``_work_queue``, no worker of the pool ever runs calls inside its wait.

    It is off by default for two reasons. First, a call that runs inside another one sees what that
    one has left in the thread: its thread-locals (an open transaction, for example) and its locks, for which
    it may wait forever. Second, cancelling a pending call, or setting its future, ends the wait in the
    standard pool, but has no effect once the call runs inside the wait. Context variables are not shared:
    the call runs in a copy of the context of the call that waits, or with ``context="submitter"`` in the
    copy that was made when it was submitted.

    Differences from concurrent.futures.ThreadPoolExecutor:

    * ``_work_queue`` is not a SimpleQueue. It takes and gives ``_WorkItem`` objects; those that it gives
      are created at that moment. A worker continues after an item that raises, and after a done callback
      that raises an exception that is not an ``Exception``.
    * The pool falls back to the standard library (see docs/fallback.md) when another queue is put
      in the place of ``_work_queue``; if its class changes ``_adjust_thread_count``,
      ``_initializer_failed``, ``prepare_context`` or one of the standard attributes, in whatever way; and
      if, when it is made, a tool has replaced or wrapped ``_WorkItem``, ``_worker``, or a method of the
      standard pool or of Future that the pool uses. This is checked when a pool is made and when a worker
      is started.
    * A pool that has fallen back has none of the options above. An override together with an option raises
      TypeError. A pool with an option ignores tools.
    * If a subclass defines ``stats`` or ``with_options``, its own methods are used.
    * ``_idle_semaphore`` is a new object each time it is read; its value is the number of idle workers.
    * The worker that has been idle for the shortest time gets the next call.
    * In a forked child the pool starts empty, without the parent's calls.
    * If a worker is killed between two calls (``PyThreadState_SetAsyncExc``), another takes its place.
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
        nested: Literal["wait", "run"] = "wait",
        slow_after: float | None = None,
        on_slow: Callable[[SlowCall], object] | None = None,
        reuse_threads: float | None = None,
        **prepare_context: Any,
    ) -> None:
        if (
            type(self) is ThreadPoolExecutor
            and (max_workers is None or (type(max_workers) is int and max_workers > 0))
            and (initializer is None or callable(initializer))
            and (context, on_full, nested) == ("worker", "block", "wait")
            and (idle_timeout, max_pending, slow_after, on_slow, reuse_threads) == _NO_OPTIONS
            and not prepare_context
            and "_threads" not in vars(self)
            and is_known(self)
        ):
            self._oxthreads_begin(max_workers, thread_name_prefix, initializer, initargs)
            return
        carries_context = context != "worker" and _check_context(context)
        helps = nested != "wait" and _check_nested(nested)
        reports = slow_after is not None or on_slow is not None
        has_options = (
            carries_context
            or helps
            or reports
            or idle_timeout is not None
            or max_pending is not None
            or reuse_threads is not None
        )
        is_ours = is_known(self) or is_allowed(self, has_options)
        if is_ours:
            self._oxthreads_is_being_made = True
        elif has_options:
            raise TypeError(
                f"{type(self).__name__} starts workers of its own, which know nothing of "
                "context, idle_timeout, max_pending, nested, slow_after and reuse_threads"
            )
        # Until __init__ is complete this is a standard pool, also if __init__ is called a second time.
        self._oxthreads_leave_submission()
        try:
            # `prepare_context`: arguments that later versions of Python pass to the method of that name.
            super().__init__(max_workers, thread_name_prefix, initializer, initargs, **prepare_context)
            when_full = self._oxthreads_when_full(on_full)
            if max_pending is not None:
                max_pending = min(operator.index(max_pending), sys.maxsize)
                if max_pending <= 0:
                    raise ValueError("max_pending must be greater than 0")
            if not is_ours:
                return
            if has_options or self._oxthreads_has_options:
                self._oxthreads_has_options = has_options
                self._oxthreads_waits_for_room = max_pending is not None and on_full == "block"
                self._oxthreads_idle_timeout = (
                    None if idle_timeout is None else _check_idle_timeout(idle_timeout)
                )
                self._oxthreads_slow_after = _check_slow_after(slow_after, on_slow) if reports else math.inf
                self._oxthreads_on_slow = on_slow
                self._oxthreads_keep_for = None if reuse_threads is None else _check_keep(reuse_threads)
            self._oxthreads_numbers = itertools.count()
            self._oxthreads_departing: set[threading.Thread] = set()
            if self._oxthreads_turned:
                self._oxthreads_turned = False
            self._oxthreads_set_capacity(_capacity(self._max_workers))
            prefix = (isinstance(thread_name_prefix, str) and thread_name_prefix) or None
            self._oxthreads_configure(max_pending, when_full, carries_context, helps, prefix)
        finally:
            self._oxthreads_is_being_made = False

    def _oxthreads_begin(
        self,
        max_workers: int | None,
        thread_name_prefix: str,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
    ) -> None:
        """Do what __init__ does for a new pool without options, whose class was checked.

        Programs make a pool for each request, and the standard __init__ creates a queue and a semaphore that
        are not needed. A test compares the attributes with those that it sets.
        """
        if max_workers is None:
            if sys.version_info >= (3, 13):
                processors = os.process_cpu_count()
            else:
                processors = os.cpu_count()
            max_workers = min(32, (processors or 1) + 4)
        attributes = vars(self)
        attributes["_max_workers"] = max_workers
        attributes["_threads"] = set()
        attributes["_broken"] = attributes["_shutdown"] = False
        attributes["_shutdown_lock"] = _threading.Lock()
        attributes["_thread_name_prefix"] = (
            thread_name_prefix or f"ThreadPoolExecutor-{self._counter()}"  # type: ignore[attr-defined]
        )
        if _HAS_CONTEXTS:
            context, resolve = self.prepare_context(initializer, initargs)  # type: ignore[attr-defined]
            attributes["_create_worker_context"], attributes["_resolve_work_item_task"] = context, resolve
        else:
            attributes["_initializer"], attributes["_initargs"] = initializer, initargs
        attributes["_oxthreads_numbers"] = itertools.count()
        attributes["_oxthreads_departing"] = set()
        prefix = (isinstance(thread_name_prefix, str) and thread_name_prefix) or None
        self._oxthreads_open(min(max_workers, sys.maxsize), prefix)

    #: Whether this pool has an option that the standard pool does not have; and one of these options.
    _oxthreads_has_options = False
    #: Whether submit() may wait for room.
    _oxthreads_waits_for_room = False
    _oxthreads_idle_timeout: float | None = None
    #: For how many seconds the threads of workers are kept; 0: not at all; None: as other threads.
    _oxthreads_keep_for: float | None = None
    #: Seconds after which a call is reported, and who is told; see _slow_calls.py.
    _oxthreads_slow_after = math.inf
    _oxthreads_on_slow: Callable[[SlowCall], object] | None = None
    #: Called by each worker before it ends: for pools that are made of this one.
    _oxthreads_end_worker: Callable[[], object] | None = None
    #: For pools that are made of this one, whose calls run elsewhere: asks where the call of a worker is, by
    #: the identifier of its thread. None: they run here.
    _oxthreads_ask: Callable[[int], Question] | None = None
    #: How many threads in a row were killed before they became workers; see Place.give_up.
    _oxthreads_lost_starts = 0
    #: Whether the pool has fallen back, so that its workers continue as standard workers.
    _oxthreads_turned = False

    def with_options(
        self, *, priority: int = 0, context: Literal["worker", "submitter"] | None = None
    ) -> ExecutorView:
        """Return a view of this pool whose calls have a priority or a context of their own.

        Use it when some calls are more urgent than others, or need another context. The view shares the
        workers and the queue of the pool.

        Thread-safe. If a subclass overrides ``submit``, the view's ``submit`` does not call the override.

        Args:
            priority (int): calls with a lower number run first. Calls with the same number run in the order
                in which they were submitted. Calls that are submitted to the pool itself have priority 0.
            context (str): "worker" or "submitter", as in :class:`ThreadPoolExecutor`. None: as in this pool.

        Returns:
            ExecutorView: an executor with ``submit``, ``map``, ``shutdown`` and ``with_options``.

        Raises:
            TypeError: if ``priority`` is not an integer.
            OverflowError: if ``priority`` does not fit in 64 bits.
            ValueError: for another ``context``.
            RuntimeError: if the pool has fallen back.

        Example:
            >>> from oxthreads.concurrent.futures import ThreadPoolExecutor
            >>> from oxthreads.threading import Event
            >>> order, go = [], Event()
            >>> with ThreadPoolExecutor(max_workers=1) as pool:
            ...     first = pool.submit(go.wait)  # keeps the only worker busy
            ...     normal = pool.submit(order.append, "normal")
            ...     urgent = pool.with_options(priority=-1).submit(order.append, "urgent")
            ...     go.set()
            >>> order
            ['urgent', 'normal']
        """
        return ExecutorView(self, priority, context)

    def stats(self) -> ExecutorStatistics:
        """Return what the pool has done since it was made, and what it does now.

        Use it to find out whether a pool has enough workers: see ``queued`` and ``queue_wait_max``.

        Thread-safe. It makes no worker wait: each worker keeps its own record, which is read as it is, so the
        numbers may be from slightly different moments.

        Returns:
            ExecutorStatistics: counts, and times in seconds.

        Raises:
            RuntimeError: if the pool has fallen back; it keeps no statistics.

        Example:
            >>> from oxthreads.concurrent.futures import ThreadPoolExecutor
            >>> with ThreadPoolExecutor(max_workers=2) as pool:
            ...     lengths = list(pool.map(len, ["a", "bc", "def"]))
            >>> pool.stats().done
            3
        """
        if self._oxthreads_has_fallen_back:
            raise RuntimeError("a pool that has fallen back keeps no statistics")
        return ExecutorStatistics(*self._oxthreads_statistics())

    # Attributes of the standard pool that have an effect here when they are set. In a pool that has fallen
    # back they are in its dictionary, as in a standard pool, and only the standard methods read them.

    @property
    def _max_workers(self) -> Any:
        try:
            return vars(self)["_max_workers"]
        except KeyError:
            return _found(self, "_max_workers")

    @_max_workers.setter
    def _max_workers(self, max_workers: Any) -> None:
        vars(self)["_max_workers"] = max_workers
        if not self._oxthreads_has_fallen_back:
            self._oxthreads_set_capacity(_capacity(max_workers))

    @_max_workers.deleter
    def _max_workers(self) -> None:
        _delete(self, "_max_workers")

    @property
    def _work_queue(self) -> Any:
        if self._oxthreads_has_fallen_back:
            return _found(self, "_work_queue")
        return _native_queue(self)

    @_work_queue.setter
    def _work_queue(self, queue: Any) -> None:
        if self._oxthreads_is_being_made:
            return  # the queue that the standard __init__ creates, which is not needed
        if self._oxthreads_has_fallen_back:
            vars(self)["_work_queue"] = queue
        elif queue is not _native_queue(self):
            vars(self)["_work_queue"] = queue
            # As in the standard library, the current workers continue to use the old queue. They end once
            # they have run the calls in it.
            vars(self).setdefault("_idle_semaphore", _threading.Semaphore(0))
            self._oxthreads_leave_submission()

    @_work_queue.deleter
    def _work_queue(self) -> None:
        _delete(self, "_work_queue")

    @property
    def _idle_semaphore(self) -> Any:
        if self._oxthreads_has_fallen_back:
            return _found(self, "_idle_semaphore")
        return Semaphore(self._oxthreads_idle_workers)

    @_idle_semaphore.setter
    def _idle_semaphore(self, semaphore: Any) -> None:
        if self._oxthreads_is_being_made:
            return
        if not self._oxthreads_has_fallen_back:
            _fall_back(self)
        vars(self)["_idle_semaphore"] = semaphore

    @_idle_semaphore.deleter
    def _idle_semaphore(self) -> None:
        _delete(self, "_idle_semaphore")

    @property
    def _shutdown(self) -> Any:
        try:
            return vars(self)["_shutdown"]
        except KeyError:
            return _found(self, "_shutdown")

    @_shutdown.setter
    def _shutdown(self, shutdown: Any) -> None:
        vars(self)["_shutdown"] = shutdown
        if shutdown:
            self._oxthreads_close()
        elif not self._oxthreads_is_being_made:
            _reopen(self)

    @_shutdown.deleter
    def _shutdown(self) -> None:
        _delete(self, "_shutdown")

    @property
    def _broken(self) -> Any:
        try:
            return vars(self)["_broken"]
        except KeyError:
            return _found(self, "_broken")

    @_broken.setter
    def _broken(self, reason: Any) -> None:
        # In this order, so that a refused submit() finds the reason.
        vars(self)["_broken"] = reason
        if reason:
            self._oxthreads_close()
        elif not self._oxthreads_is_being_made:
            _reopen(self)

    @_broken.deleter
    def _broken(self) -> None:
        _delete(self, "_broken")

    def _oxthreads_refuse(self) -> None:
        """Raise what the standard submit() raises; or accept calls again, if the reason to refuse is over."""
        # Without `_shutdown_lock`: shutdown() may hold it while it runs the callbacks of cancelled calls.
        # The code that closes the pool sets the reason before that.
        if self._broken:
            raise getattr(self, "BROKEN", _thread.BrokenThreadPool)(self._broken)
        if self._shutdown:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if not self._oxthreads_reopen_after_exit():
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    def _adjust_thread_count(self) -> None:
        """Start a worker if the pending calls need one: for code that puts calls into the queue itself."""
        if self._oxthreads_has_fallen_back:
            super()._adjust_thread_count()
        else:
            self._oxthreads_scale()

    def _oxthreads_start_worker(self) -> bool:
        """Start the worker for which submit() has reserved a place; return whether it was started."""
        if self._oxthreads_has_fallen_back:
            return False
        if not is_complete(self) or not (is_known(self) or is_allowed(self, self._oxthreads_has_options)):
            # Its class has changed since it was made, or an attribute is missing.
            _fall_back(self)
            return False
        if self._oxthreads_slow_after < math.inf:
            report_slow_calls(self)
        # If somebody has replaced `threading.Thread`, use that class; otherwise ours.
        replaced = _threading.Thread is not _StandardThread
        queue = _native_queue(self)
        place = Place(self, self._oxthreads_idle_timeout, queue)
        if _HAS_CONTEXTS:
            arguments: tuple[Any, ...] = (place, place, place)
        else:
            arguments = (place, place, place.initialize, ())
        worker = (_threading.Thread if replaced else Thread)(
            name=f"{self._thread_name_prefix or self}_{next(self._oxthreads_numbers)}",
            target=_thread._worker,
            args=arguments,
        )
        worker._bootstrap = functools.partial(place._bootstrap, worker)  # type: ignore[attr-defined]
        start: Any = type(worker).start
        keep = self._oxthreads_keep_for
        if start is _start_reused or (keep is not None and start is _StandardThread.start):
            # It waits: a worker that has begun may be free for the next call, so that fewer are started.
            _start_thread(worker, keep, waits=True)  # type: ignore[arg-type]
        else:
            worker.start()
        register(worker, queue)
        self._threads.add(worker)  # type: ignore[attr-defined]
        # It may have departed before it was added. Check in this order: a worker is removed from the set of
        # departing workers only after it has ended.
        if worker in self._oxthreads_departing or not worker.is_alive():
            self._threads.discard(worker)  # type: ignore[attr-defined]
        return True

    def _initializer_failed(self) -> None:
        # Close the pool first: the standard method fails all pending calls, and nobody would run a call
        # that is submitted after that.
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
        """Call ``fn`` with the items of the iterables, and yield the results in the order of the items.

        It is ``map(fn, *iterables)``, with calls that run at the same time. All calls are submitted before
        ``map`` returns, unless ``buffersize`` is given. Calls that have not begun are cancelled when the
        iterator is closed, raises, or is dropped after its first result.

        Thread-safe; but the iterator may be used by one thread at a time only.

        Args:
            fn (callable): what to call, with one item of each iterable.
            iterables: where the arguments come from. The shortest one ends the calls.
            timeout (float): seconds, counted from the call of ``map``, after which waiting for a result
                raises TimeoutError. None: no limit.
            chunksize (int): has no effect in a pool of threads.
            buffersize (int): the largest number of submitted calls whose results have not been yielded. The
                iterables are read further only as results are asked for; so they may be very long, or
                endless. None: no limit.
            progress (callable): called as ``progress(done, total)`` as calls end. ``done`` is the number of
                calls that have ended; cancelled calls are not counted. ``total`` is the number of all calls,
                or None while it is not known: with ``buffersize`` or an iterable without a length, until the
                iterables have been read to their end. See below.

        Returns:
            iterator: the results. If a call raised, the iterator raises that exception in the place of its
            result, and ends.

        Raises:
            TypeError: if ``buffersize`` is not an integer or ``progress`` cannot be called.
            ValueError: if ``buffersize`` is zero or less.
            Exception: also what ``submit`` and the iterables raise.

        The thread that ends a call also calls ``progress``, at most ten times a second, never in two threads
        at once, and with a growing ``done``. There is always a last report, when all calls have ended or were
        cancelled and no more will come. (With ``buffersize`` that is when the iterator has reached the end of
        the iterables or was closed.) If no call ends after this is known, the thread that finds it out makes
        the last report, which may repeat ``done`` in order to add ``total``. If there are no calls at all, it
        is ``progress(0, 0)``. What ``progress`` raises is logged, as for done callbacks.

        Example:
            >>> from oxthreads.concurrent.futures import ThreadPoolExecutor
            >>> with ThreadPoolExecutor(max_workers=2) as pool:
            ...     list(pool.map(pow, [2, 3, 4], [5, 2, 1]))
            [32, 9, 4]

        An endless iterable, of which never more than four items are in work:
            >>> from itertools import count
            >>> with ThreadPoolExecutor(max_workers=2) as pool:
            ...     squares = pool.map(lambda number: number * number, count(), buffersize=4)
            ...     [next(squares), next(squares), next(squares)]
            ...     squares.close()
            [0, 1, 4]

        A progress report:
            >>> reports = []
            >>> with ThreadPoolExecutor(max_workers=2) as pool:
            ...     words = list(pool.map(str.upper, "abc", progress=lambda *report: reports.append(report)))
            >>> reports[-1]
            (3, 3)

        Differences from concurrent.futures.Executor.map:

        * ``buffersize`` also exists before Python 3.14, and is never exceeded. (The standard ``map`` exceeds
          it by one while it waits for a result.)
        * If the iterables or ``submit`` raise once the iterator is in use, the exception is raised after the
          results of the calls that were submitted. The standard ``map`` raises it immediately, and these
          results are lost.
        * With ``buffersize``, the iterator keeps the executor alive once its first result is asked for. If
          the executor is gone before that and calls are left, the iterator raises RuntimeError. In the
          standard library the results end as if there were no more.
        * ``progress`` is an addition.
        """
        return map_calls(
            self,
            fn,
            iterables,
            timeout=timeout,
            buffersize=buffersize,
            progress=progress,
            makes_native_futures=(
                type(self).submit is ThreadPoolExecutor.submit and "submit" not in vars(self)
            ),
        )

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls, and end the workers once the pending calls have been run.

        Leaving a ``with`` block calls it. Thread-safe; it may be called more than once.

        Args:
            wait (bool): True: return when the pending calls have been run and the workers have ended. False:
                return immediately.
            cancel_futures (bool): True: cancel the pending calls instead of running them.

        Example:
            >>> from oxthreads.concurrent.futures import ThreadPoolExecutor
            >>> pool = ThreadPoolExecutor()
            >>> pool.shutdown()
            >>> pool.submit(print)
            Traceback (most recent call last):
                ...
            RuntimeError: cannot schedule new futures after shutdown
        """
        if self._oxthreads_has_fallen_back:
            super().shutdown(wait, cancel_futures=cancel_futures)
        elif (
            not cancel_futures
            and type(self) is ThreadPoolExecutor
            and _StandardThreadPoolExecutor.shutdown is _STANDARD_SHUTDOWN
        ):
            # What the standard shutdown() does; what it puts into the queue is a mark here. But without
            # `_shutdown_lock`: a handler of a signal that comes meanwhile may shut the pool down too.
            vars(self)["_shutdown"] = True
            self._oxthreads_shut_down()
        else:
            self._shutdown = True
            super().shutdown(False, cancel_futures=cancel_futures)
        if not wait:
            return
        if _threading.current_thread() not in self._threads:
            # A worker that another thread is starting now is not in `_threads` yet.
            self._oxthreads_wait_for_starts()
        # Making a list copies a set in one step, also without a GIL. In this order, because a worker that
        # departs is added to the second set before it is removed from the first.
        for worker in [*self._threads, *vars(self).get("_oxthreads_departing", ())]:
            worker.join()


_name_as_standard(ThreadPoolExecutor, _StandardThreadPoolExecutor)
_install_in(ThreadPoolExecutor, _StandardThreadPoolExecutor)
_set_questions(ThreadPoolExecutor, lambda cls: True)


class ExecutorView(_base.Executor):
    """A view of a ThreadPoolExecutor with other options. ``with_options`` returns it.

    It submits to the workers and the queue of that pool; only the priority and the context of its calls are
    its own. Thread-safe, like the pool. The view keeps the pool alive, and shuts it down if the view is shut
    down.

    Example:
        >>> from oxthreads.concurrent.futures import ThreadPoolExecutor
        >>> with ThreadPoolExecutor() as pool:
        ...     background = pool.with_options(priority=10)
        ...     background.submit(sum, [1, 2, 3]).result()
        6
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
        if self._executor._oxthreads_has_fallen_back:
            raise RuntimeError("a pool that has fallen back has no options")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._executor!r}, priority={self._priority}>"

    def with_options(
        self, *, priority: int | None = None, context: Literal["worker", "submitter"] | None = None
    ) -> ExecutorView:
        """Return another view of the same pool; an option that is None stays as in this view.

        Args:
            priority (int): calls with a lower number run first.
            context (str): "worker" or "submitter", as in :class:`ThreadPoolExecutor`.

        Returns:
            ExecutorView: the new view. This one does not change.

        Raises:
            TypeError, OverflowError, ValueError, RuntimeError: as ``with_options`` of the pool.
        """
        return ExecutorView(
            self._executor,
            self._priority if priority is None else priority,
            self._context if context is None else context,
        )

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run ``fn(*args, **kwargs)`` in a worker of the pool, with the options of this view. Thread-safe.

        Args:
            fn (callable): what to call.
            args, kwargs: its arguments.

        Returns:
            Future: the result of the call, once it has ended.

        Raises:
            RuntimeError: if the pool was shut down or has fallen back.
            queue.Full: if the pool has ``on_full="raise"`` and is full.
            Exception: also what else ``submit`` of the pool raises.
        """
        self._check_form()
        future: Future[T] = self._executor._oxthreads_submit(
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
        """Call ``fn`` with the items of the iterables, with the options of this view.

        Everything else, arguments included, is as in :meth:`ThreadPoolExecutor.map`.
        """
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
        """Shut down the pool itself, not only the view.

        Args:
            wait (bool): as in :meth:`ThreadPoolExecutor.shutdown`.
            cancel_futures (bool): as in :meth:`ThreadPoolExecutor.shutdown`.
        """
        self._executor.shutdown(wait, cancel_futures=cancel_futures)


def _check_context(context: str) -> bool:
    """Return whether calls run in the context of the submitter. Raises ValueError for another string."""
    if context not in ("worker", "submitter"):
        raise ValueError("context must be 'worker' or 'submitter'")
    return context == "submitter"


def _check_nested(nested: str) -> bool:
    """Return whether workers run calls that they wait for. Raises ValueError for another string."""
    if nested not in ("wait", "run"):
        raise ValueError("nested must be 'wait' or 'run'")
    return nested == "run"


def _check_keep(seconds: float) -> float:
    reused = _reused_threads()
    if reused is None:
        return 0.0
    kept: float = reused.seconds_of(seconds, "reuse_threads") or 0.0
    return kept if reused.prepare() else 0.0


def _check_idle_timeout(timeout: float) -> float:
    seconds = float(timeout)
    if not seconds >= 0:
        raise ValueError("idle_timeout must be a non-negative number")
    return seconds


def _check_slow_after(slow_after: float | None, on_slow: Callable[[SlowCall], object] | None) -> float:
    if slow_after is None:
        raise TypeError("on_slow needs slow_after")
    if on_slow is not None and not callable(on_slow):
        raise TypeError("on_slow must be a callable")
    seconds = float(slow_after)
    if not seconds > 0:
        raise ValueError("slow_after must be a positive number")
    return seconds


def _capacity(max_workers: Any) -> int:
    """Return the largest number of workers as an int, also for a `max_workers` that is infinite."""
    workers: int = math.ceil(min(max_workers, sys.maxsize))
    return max(0, workers)


# How a pool falls back to the standard library.

_MISSING = object()
_KNOWN_AT_MOST = 64

#: From 3.14 on the executor creates the context object that runs the calls.
_HAS_CONTEXTS = sys.version_info >= (3, 14)

#: The attributes of a standard pool that are not properties of our class.
_ATTRIBUTES = {"_threads", "_shutdown_lock", "_thread_name_prefix"} | (
    {"_create_worker_context", "_resolve_work_item_task"} if _HAS_CONTEXTS else {"_initializer", "_initargs"}
)

#: What a native pool expects of its class: the methods and attributes of `self` that standard methods use.
_HOOKS = {
    name: getattr(ThreadPoolExecutor, name)
    for name in (
        "_adjust_thread_count",
        "_initializer_failed",
        "_max_workers",
        "_work_queue",
        "_idle_semaphore",
        "_shutdown",
        "_broken",
    )
} | dict.fromkeys(_ATTRIBUTES, _MISSING)


def _function(method: Any) -> Any:
    """Return the function of a class method: each subclass binds it anew."""
    return getattr(method, "__func__", method)


_prepare_context = _function(getattr(ThreadPoolExecutor, "prepare_context", None))


#: Checked before, and found unchanged: the type versions of an executor's class and of `_CLASSES`.
_known: set[tuple[int, ...]] = set()


def is_known(executor: ThreadPoolExecutor) -> bool:
    """Return whether all classes that `overrides_hooks` and `is_instrumented` check were checked before, and
    have not changed since.
    """
    return (
        versions((type(executor), *_CLASSES)) in _known
        and _thread._WorkItem is _WORK_ITEM
        and _thread._worker is _WORKER
        and _base.Future in _FUTURES
    )


def is_allowed(executor: ThreadPoolExecutor, has_options: bool) -> bool:
    """Return whether the executor may run natively.

    It may if its class overrides nothing that only the standard methods would call, and no tool has wrapped
    what only they use. For an executor with options, tools are ignored.
    """
    # Read before the checks: a change after this gives the class another version.
    seen = versions((type(executor), *_CLASSES))
    if overrides_hooks(executor):
        return False
    if is_instrumented():
        return has_options
    # After too many changes the interpreter gives a class no version (0).
    if all(seen):
        if len(_known) > _KNOWN_AT_MOST:
            _known.clear()
        _known.add(seen)
    return True


def is_complete(executor: ThreadPoolExecutor) -> bool:
    """Return whether the executor has all standard attributes, and no hook in its own dictionary."""
    attributes = vars(executor)
    if "_adjust_thread_count" in attributes or "_initializer_failed" in attributes:
        return False
    for name in _ATTRIBUTES:  # noqa: SIM110 - which is faster
        if name not in attributes:
            return False
    return True


def overrides_hooks(executor: ThreadPoolExecutor) -> bool:
    """Return whether the executor or its class, as it is now, overrides a method that the standard methods
    call, or an attribute that they read.

    Recipes for pools of daemon threads start their own workers, on the standard queue; and a subclass may
    run its calls in other interpreters (Python 3.14).
    """
    cls, attributes = type(executor), vars(executor)
    if "_adjust_thread_count" in attributes or "_initializer_failed" in attributes:
        return True
    for name, ours in _HOOKS.items():
        if getattr(cls, name, _MISSING) is not ours:
            return True
    return _function(getattr(cls, "prepare_context", None)) is not _prepare_context


def _parts() -> list[tuple[Any, str, Any]]:
    """Return the parts of the standard pool, each as its owner, its name and the original.

    The original is None if somebody has replaced it before this module was imported: then it does not come
    from the file of the standard module.
    """
    parts: list[tuple[Any, str, Any]] = []
    for owner, names, sample in (
        (_thread._WorkItem, ("__init__", "run"), _thread._python_exit),
        (
            _StandardThreadPoolExecutor,
            ("__init__", "submit", "shutdown", "_adjust_thread_count", "_initializer_failed"),
            _thread._python_exit,
        ),
        (_StandardFuture, _FUTURE_METHODS, _base._yield_finished_futures),  # type: ignore[attr-defined]
    ):
        parts += [(owner, name, _original(getattr(owner, name), sample)) for name in names]
    return parts


#: The methods of Future that the standard pool uses.
_FUTURE_METHODS = ("__init__", "cancel", "set_running_or_notify_cancel", "set_result", "set_exception")


def _original(function: Any, sample: Any) -> Any:
    """Return the function if it comes from the same file as the other function; else None."""
    code, of_sample = getattr(function, "__code__", None), getattr(sample, "__code__", None)
    if code is None or of_sample is None or code.co_filename != of_sample.co_filename:
        return None
    return function


_StandardFuture = _base.Future
_PARTS = _parts()
_WORK_ITEM = _thread._WorkItem
_WORKER = _original(_thread._worker, _thread._python_exit)
#: The values that `_base.Future` may have, and the classes that have the parts.
_FUTURES: tuple[Any, ...] = (_StandardFuture,)
_CLASSES: tuple[type, ...] = (_WORK_ITEM, _StandardThreadPoolExecutor, _StandardFuture)


def watch_future(cls: type) -> None:
    """Check this class, our Future, too: tools may wrap its methods."""
    global _FUTURES, _CLASSES  # noqa: PLW0603
    _FUTURES = (cls, _StandardFuture)
    _CLASSES = (cls, *_CLASSES)
    _PARTS.extend((cls, name, getattr(cls, name)) for name in _FUTURE_METHODS)


def is_instrumented() -> bool:
    """Return whether somebody has replaced or wrapped a part of the standard pool.

    Tools that watch a program or pass contexts on do so. Only a pool that has fallen back calls these parts.
    """
    if _thread._worker is not _WORKER or _thread._WorkItem is not _WORK_ITEM or _base.Future not in _FUTURES:
        return True
    return any(getattr(owner, name, None) is not original for owner, name, original in _PARTS)


def _found(executor: ThreadPoolExecutor, name: str) -> Any:
    """Return the attribute from the executor's own dictionary. Raises AttributeError if it is not there."""
    try:
        return vars(executor)[name]
    except KeyError:
        message = f"{type(executor).__name__!r} object has no attribute {name!r}"
        raise AttributeError(message, name=name, obj=executor) from None


def _native_queue(executor: ThreadPoolExecutor) -> WorkQueue:
    """Return the queue of a native pool, which is always the same object."""
    queue: WorkQueue | None = vars(executor).get("_oxthreads_queue")
    if queue is None:
        queue = vars(executor).setdefault("_oxthreads_queue", executor._oxthreads_work_queue)
    return queue


def _delete(executor: ThreadPoolExecutor, name: str) -> None:
    """Delete an attribute of the standard pool; this makes the executor fall back."""
    if not executor._oxthreads_has_fallen_back:
        _fall_back(executor)
    _found(executor, name)
    del vars(executor)[name]


def _reopen(executor: ThreadPoolExecutor) -> None:
    """A reason to refuse calls is gone: accept calls again if there is no other reason."""
    attributes = vars(executor)
    if not (attributes.get("_broken") or attributes.get("_shutdown") or executor._oxthreads_has_fallen_back):
        executor._oxthreads_reopen()


def _fall_back(executor: ThreadPoolExecutor) -> None:
    """Let the standard methods serve the executor from now on, with the same queue. Its workers continue as
    standard workers.
    """
    attributes = vars(executor)
    queue = _native_queue(executor)
    attributes.setdefault("_work_queue", queue)
    semaphore = attributes.setdefault("_idle_semaphore", _threading.Semaphore(0))
    executor._oxthreads_turned = True
    if idle := executor._oxthreads_leave_submission():
        # These workers do not count themselves as idle again: see Place.get_nowait.
        semaphore.release(idle)
    # As the standard submit() does for each call.
    for _ in range(queue.qsize()):
        executor._adjust_thread_count()
