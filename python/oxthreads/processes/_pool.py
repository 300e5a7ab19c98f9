"""The pool of processes."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import operator
import os
import queue
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor
from concurrent.futures import process as _standard
from functools import partial
from multiprocessing import spawn
from multiprocessing.context import BaseContext
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, ParamSpec, TypeVar

from .._oxthreads import CancelScope, StandIn, TaskCall, scope_after
from ..concurrent._awaited_call import AwaitedCall
from ..concurrent._chunks import map_in_chunks
from ..concurrent.futures import ThreadPoolExecutor
from ._errors import WorkerDied
from ._link import Part
from ._pickles import PICKLERS, for_calls, load
from ._worker import EachOf, IsGone, Settings

if TYPE_CHECKING:
    from ..concurrent._executor import ExecutorStatistics
    from ..concurrent._slow_calls import SlowCall
    from ..concurrent.futures import Future

__all__ = ["ProcessPoolExecutor", "ProcessPoolView"]

P = ParamSpec("P")
T = TypeVar("T")

#: How many children in a row may die before they have got the same call.
_MOST_GONE = 10

#: The start methods of the children.
Method = Literal["spawn", "forkserver"]

_numbers = itertools.count()


class Options(NamedTuple):
    """The options of a call."""

    timeout: float | None = None
    retries: int = 0
    priority: int = 0


class _KilledCall(AwaitedCall):
    """A call whose child is killed when its result is not wanted any more."""

    __slots__ = ("_scope",)

    def __init__(self, submit: Callable[..., Future[Any]]) -> None:
        self._scope = scope_after(None, False, False, None)
        super().__init__(partial(submit, scope=self._scope))

    def cancel(self, future: Future[Any]) -> None:
        """The result is not wanted any more."""
        if not future.cancel():
            self._scope.cancel()


class _Threads(ThreadPoolExecutor):
    """The worker threads of a pool of processes."""

    #: The standard class counts its pools, for the names of their threads. These have other names.
    _counter = itertools.count().__next__
    #: What `submit` raises once an initializer has failed.
    BROKEN = _standard.BrokenProcessPool


class Call(StandIn):
    """A call, as a worker thread runs it. It stands for the function that a child calls."""

    __slots__ = ("_around", "_options", "_parts", "_settings")

    def __init__(
        self,
        function: Any,
        settings: Settings,
        parts: list[Part],
        options: Options,
        around: TaskCall | CancelScope | None,
    ) -> None:
        self._settings = settings
        self._parts = parts
        self._options = options
        #: The task of a group that the call is, or the scope that ends it.
        self._around = around

    def __call__(self) -> Any:
        around = self._around
        if around is None:
            return self._run()
        if isinstance(around, TaskCall):
            return around.call_instead(self._run)
        with around:
            return self._run()
        raise CancelledError

    def _run(self) -> Any:
        settings = self._settings
        if not settings.here.is_worker:
            return self._run_here()
        timeout, retries, _ = self._options
        gone = 0
        while True:
            child = None
            try:
                child = settings.take()
                return child.call(self.function, self._parts, timeout)
            except IsGone as error:
                gone += 1
                if gone > _MOST_GONE:
                    # Something kills each of them.
                    raise error.died from None
            except WorkerDied:
                # It may also be an error that the function has raised.
                is_alive = child is not None and (child.is_usable or child.is_ending)
                if retries <= 0 or settings.is_killed or is_alive:
                    raise
                retries -= 1
            finally:
                if child is not None:
                    settings.give_back(child)

    def _run_here(self) -> Any:
        """The pool is full, and the submitting thread runs the call."""
        function, arguments, keywords = load([memoryview(part) for part in self._parts])
        return function(*arguments, **keywords)


def _each_of(
    function: Callable[..., Any], columns: tuple[tuple[Any, ...], ...]
) -> tuple[EachOf, tuple[Any, ...]]:
    return EachOf(function), columns


class _Unchanged:
    """The default of an option that stays as it is."""

    def __repr__(self) -> str:
        return "unchanged"


_UNCHANGED: Any = _Unchanged()


class _Submits(Executor):
    """What a pool of processes and its views have in common."""

    _options: Options

    @property
    def _pool(self) -> ProcessPoolExecutor:
        raise NotImplementedError

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Let a child process call ``fn(*args, **kwargs)``.

        The function and its arguments are pickled before this returns, but for large buffers in them (those
        of arrays of NumPy, for example), which are copied when a child is free: do not change an array
        before its call has ended. Thread-safe.

        Args:
            fn (callable): what to call.
            args, kwargs: its arguments.

        Returns:
            Future: the result of the call, once it has ended. It fails with :exc:`CallTimeout` or
            :exc:`WorkerDied` if there is none.

        Raises:
            TypeError: the function or an argument cannot be pickled.
            RuntimeError: the pool was shut down; or this is a child that imports the module which has started
                the program, and which has no ``if __name__ == "__main__":``.
            concurrent.futures.process.BrokenProcessPool: an initializer has failed.
            queue.Full: the pool has ``on_full="raise"`` and is full.
        """
        future: Future[T] = self._pool._submit(self._options, fn, args, kwargs)
        return future

    def _oxthreads_cancellable(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> AwaitedCall:
        """For coroutines: a call that can be ended."""
        return _KilledCall(partial(self._pool._submit, self._options, fn, args, kwargs))

    @property
    def _oxthreads_waits_for_room(self) -> bool:
        return self._pool._oxthreads_threads._oxthreads_waits_for_room

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> Iterator[T]:
        """Call ``fn`` with the items of the iterables, and yield the results in the order of the items.

        As :meth:`oxthreads.concurrent.futures.ThreadPoolExecutor.map`, and with one more argument that has an
        effect:

        Args:
            fn (callable): what to call, with one item of each iterable.
            iterables: where the arguments come from. The shortest one ends the calls.
            timeout (float): seconds, counted from the call of ``map``, after which waiting for a result
                raises TimeoutError. None: no limit.
            chunksize (int): so many items are sent to a child at once, and are one call for
                ``buffersize``, and for the timeout and the retries of the pool. A large one makes many short
                calls cheaper.
            buffersize (int): the largest number of submitted calls whose results have not been yielded.
                None: no limit.
            progress (callable): called as ``progress(done, total)`` as calls end.

        Returns:
            iterator: the results. If a call raised, the iterator raises that exception in the place of its
            result, and ends.

        Raises:
            TypeError, ValueError: an argument is wrong.
            Exception: also what ``submit`` and the iterables raise.
        """
        pool, options = weakref.ref(self._pool), self._options

        def reference() -> ProcessPoolView | None:
            """A view with these options, if its pool is there."""
            found = pool()
            return None if found is None else ProcessPoolView(found, options)

        return map_in_chunks(
            self,
            fn,
            iterables,
            reference=reference,
            call_each=_each_of,
            chunksize=chunksize,
            timeout=timeout,
            buffersize=buffersize,
            progress=progress,
        )

    def with_options(
        self, *, timeout: float | None = _UNCHANGED, retries: int = _UNCHANGED, priority: int = _UNCHANGED
    ) -> ProcessPoolView:
        """Return a view of this pool whose calls have other options.

        It shares the children, the worker threads and the queue of the pool. Thread-safe.

        Args:
            timeout (float or None): as for :class:`ProcessPoolExecutor`.
            retries (int): as for :class:`ProcessPoolExecutor`.
            priority (int): calls with a lower number run first. Those of the pool itself have 0.

        Returns:
            ProcessPoolView: with ``submit``, ``map``, ``shutdown`` and ``with_options``. An option that is
            not given stays as it is here.

        Raises:
            TypeError, ValueError, OverflowError: an option is wrong.

        Example:
            >>> from oxthreads.processes import CallTimeout, ProcessPoolExecutor
            >>> import time
            >>> with ProcessPoolExecutor(1) as pool:
            ...     quick = pool.with_options(timeout=0.1)
            ...     try:
            ...         quick.submit(time.sleep, 60).result()
            ...     except CallTimeout as error:
            ...         print(error)
            sleep took longer than 0.1 seconds
        """
        given = {"timeout": timeout, "retries": retries, "priority": priority}
        changed: dict[str, Any] = {name: value for name, value in given.items() if value is not _UNCHANGED}
        return ProcessPoolView(self._pool, _checked(self._options._replace(**changed)))


def _checked(options: Options) -> Options:
    """Return the options, if they are right."""
    timeout, retries, priority = options
    if timeout is not None:
        timeout = float(timeout)
        if not timeout > 0:
            raise ValueError("timeout must be a positive number")
        if timeout > threading.TIMEOUT_MAX:
            timeout = None
    retries = operator.index(retries)
    if retries < 0:
        raise ValueError("retries must be >= 0")
    priority = operator.index(priority)
    if not -(2**63) <= priority < 2**63:
        raise OverflowError("priority does not fit in 64 bits")
    return Options(timeout, retries, priority)


class ProcessPoolView(_Submits):
    """A view of a ProcessPoolExecutor with other options. Its ``with_options`` returns it.

    Thread-safe, like the pool. It keeps the pool alive.

    Example:
        >>> from oxthreads.processes import ProcessPoolExecutor
        >>> with ProcessPoolExecutor(1) as pool:
        ...     pool.with_options(priority=-1, retries=2).submit(sum, [1, 2, 3]).result()
        6
    """

    def __init__(self, pool: ProcessPoolExecutor, options: Options) -> None:
        self._viewed = pool
        self._options = options

    @property
    def _pool(self) -> ProcessPoolExecutor:
        return self._viewed

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._viewed!r}, {self._options}>"

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut down the pool itself, not only the view.

        Args:
            wait (bool): as in :meth:`ProcessPoolExecutor.shutdown`.
            cancel_futures (bool): as in :meth:`ProcessPoolExecutor.shutdown`.
        """
        self._viewed.shutdown(wait, cancel_futures=cancel_futures)


class ProcessPoolExecutor(_Submits):
    """A pool of child processes that run calls.

    Use it for calls in Python code that keep a processor busy. Threads of one process take turns there, but
    for a free-threaded Python. Functions, arguments and results are pickled, and sent from process to
    process.

    Each worker thread of the pool has a child process. So the pool is like a
    :class:`~oxthreads.concurrent.futures.ThreadPoolExecutor` in everything else: its futures are of the same
    class, and work with ``wait``, ``as_completed``, :func:`~oxthreads.waiting.select`,
    :func:`~oxthreads.aio.as_async` and :class:`~oxthreads.tasks.TaskGroup`. The children are started when
    calls come in. If a child dies, the call that it ran fails, and no other.

    Thread-safe. As a context manager, it calls ``shutdown`` at the end of the block.

    Args:
        max_workers (int or None): the largest number of children at a time. None: as many as there are
            processors for this process.
        mp_context (str, object or None): how children are started: "spawn", "forkserver", or a
            context of :mod:`multiprocessing` for one of these. None is "spawn".
        initializer (callable): called once in each child, before its first call. If it raises, the pool is
            broken and takes no more calls.
        initargs (tuple): the arguments of ``initializer``.
        max_tasks_per_child (int or None): a child ends after so many calls, and another one takes its place.
            None: no limit.

    The standard pool does not have these options. They are keyword-only:

        timeout (float or None): seconds that a call may take, from the moment at which a child is ready for
            it. The child of a call that takes longer is killed, and the call fails with :exc:`CallTimeout`.
            None: no limit.
        retries (int): how often a call is run again if its child dies. Give it only for calls that may run
            twice.
        pickler (str): "pickle", "cloudpickle", or "auto": pickle, and what pickle cannot do by cloudpickle,
            if that is installed. cloudpickle knows functions that were made by ``lambda``, inside of
            functions and in interactive sessions.
        max_pending (int or None): the largest number of calls that wait for a worker. None: no limit.
        on_full (str): what ``submit`` does then: "block", "raise" or "caller_runs". See
            :class:`~oxthreads.concurrent.futures.ThreadPoolExecutor`. With "caller_runs", the call runs in
            the submitting thread, in this process, and without a time limit.
        idle_timeout (float or None): seconds after which a worker without work ends, and its child. None:
            they stay.
        slow_after (float or None): seconds after which a call that still runs is reported, once, with the
            functions that it is in. None: never. The child is asked for them by a signal
            (``signal.SIGRTMIN + 7``) on Linux; elsewhere they are not told.
        on_slow (callable or None): called with a :class:`~oxthreads.concurrent.futures.SlowCall` for each
            such call, in a thread of its own, in this process. None: a warning of the logger ``oxthreads``.
        thread_name_prefix (str): the beginning of the names of the worker threads, which are those of the
            children as well.

    Raises:
        ValueError: an argument has a wrong value.
        TypeError: an argument has a wrong type.

    Example:
        >>> from oxthreads.processes import ProcessPoolExecutor
        >>> with ProcessPoolExecutor(2) as pool:
        ...     list(pool.map(pow, [2, 3, 4], [5, 2, 1]))
        [32, 9, 4]

    When the program ends, the children end after their calls, as those of the standard pool do. If the
    program is killed, the children end at once, also in the middle of a call (not on Windows). They ignore
    Ctrl-C, which is for the program.

    If a scope or a group of tasks is cancelled, the children of its calls are killed.

    In a forked process, the pool has no children, and no calls of the parent. It starts children of its own
    when calls come in.

    Differences from concurrent.futures.ProcessPoolExecutor:

    * The death of a child fails only its own call, with :exc:`WorkerDied`, which is a ``BrokenProcessPool``.
    * The default start method is "spawn". "fork" is refused: this process has threads, and a child that is
      forked from it may hang.
    * What cannot be pickled is a TypeError of ``submit``, not an error of the future.
    * A result or an exception that cannot be unpickled fails only its own call.
    * ``map`` reads its input no further than ``buffersize``, on all versions of Python, and has ``progress``.
    * Children ignore Ctrl-C.
    * It is not a subclass of the standard class.
    * Of the private attributes, there are ``_processes``, ``_max_workers``, ``_mp_context`` and
      ``_broken``.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: Method | BaseContext | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        timeout: float | None = None,
        retries: int = 0,
        pickler: Literal["auto", "pickle", "cloudpickle"] = "auto",
        max_pending: int | None = None,
        on_full: Literal["block", "raise", "caller_runs"] = "block",
        idle_timeout: float | None = None,
        slow_after: float | None = None,
        on_slow: Callable[[SlowCall], object] | None = None,
        thread_name_prefix: str = "",
    ) -> None:
        if max_workers is None:
            if sys.version_info >= (3, 13):
                max_workers = os.process_cpu_count() or 1
            else:
                max_workers = os.cpu_count() or 1
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if max_tasks_per_child is not None:
            if not isinstance(max_tasks_per_child, int):
                raise TypeError("max_tasks_per_child must be an integer")
            if max_tasks_per_child <= 0:
                raise ValueError("max_tasks_per_child must be >= 1")
        if not isinstance(pickler, str) or pickler not in PICKLERS:
            raise ValueError("pickler must be 'auto', 'pickle' or 'cloudpickle'")
        if pickler == "cloudpickle":
            import cloudpickle  # noqa: F401, PLC0415
        self._options = _checked(Options(timeout, retries))
        self._mp_context = _context(mp_context)
        self._dumps = for_calls(pickler)
        self._may_start = False
        self._settings = Settings(
            self._mp_context,
            pickler,
            initializer,
            initargs,
            max_tasks_per_child,
            tells_stacks=slow_after is not None,
        )
        self._oxthreads_threads = _Threads(
            max_workers,
            thread_name_prefix,
            self._settings.enter,
            max_pending=max_pending,
            on_full=on_full,
            idle_timeout=idle_timeout,
            slow_after=slow_after,
            on_slow=on_slow,
            # So that it is a pool of ours whatever tools do, and since a child ends with its thread.
            reuse_threads=0,
        )
        if not thread_name_prefix:
            # Not an argument: it would be a name that the program has given, by which metrics are kept.
            self._oxthreads_threads._thread_name_prefix = f"ProcessPoolExecutor-{next(_numbers)}"
        self._oxthreads_threads._oxthreads_end_worker = self._settings.end_own
        self._oxthreads_threads._oxthreads_ask = self._settings.ask
        self._settings.breaks = partial(_break, weakref.ref(self._oxthreads_threads))

    @property
    def _pool(self) -> ProcessPoolExecutor:
        return self

    def _submit(
        self,
        options: Options,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        scope: CancelScope | None = None,
    ) -> Any:
        """Submit a call. `scope`: if that is cancelled, the call ends."""
        if not self._may_start:
            self._check_start()
        try:
            parts = self._dumps((fn, args, kwargs))
        except (MemoryError, RecursionError):
            raise
        except Exception as error:
            raise TypeError(f"the call cannot be sent to another process: {error}") from error
        around: TaskCall | CancelScope | None = scope
        if isinstance(fn, TaskCall):
            around, fn = fn, fn.function
        if isinstance(fn, EachOf):
            fn = fn.function
        call = Call(fn, self._settings, parts, options, around)
        return self._oxthreads_threads._oxthreads_submit(options.priority, None, call, (), {})

    def _check_start(self) -> None:
        """Refuse to start children while this process is a child that does not know its main module yet.

        Otherwise each child would start children, without end.
        """
        spawn._check_not_importing_main()  # type: ignore[attr-defined]
        self._may_start = True

    def stats(self) -> ExecutorStatistics:
        """Return what the pool has done since it was made, and what it does now. Thread-safe.

        Returns:
            ExecutorStatistics: as :meth:`oxthreads.concurrent.futures.ThreadPoolExecutor.stats`. The time for
            which a call runs includes that for sending it and, for the first one of a child, for starting
            the child.

        Example:
            >>> from oxthreads.processes import ProcessPoolExecutor
            >>> with ProcessPoolExecutor(1) as pool:
            ...     lengths = list(pool.map(len, ["a", "bc", "def"]))
            >>> pool.stats().done
            3
        """
        return self._oxthreads_threads.stats()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls, and end the children once the pending calls have been run.

        Leaving a ``with`` block calls it. Thread-safe; it may be called more than once.

        Args:
            wait (bool): True: return when the pending calls have been run and the children have ended. False:
                return immediately.
            cancel_futures (bool): True: cancel the pending calls instead of running them.

        Example:
            >>> from oxthreads.processes import ProcessPoolExecutor
            >>> pool = ProcessPoolExecutor(1)
            >>> pool.shutdown()
            >>> pool.submit(print)
            Traceback (most recent call last):
                ...
            RuntimeError: cannot schedule new futures after shutdown
        """
        self._oxthreads_threads.shutdown(wait, cancel_futures=cancel_futures)

    def terminate_workers(self) -> None:
        """End all children by SIGTERM, and cancel the pending calls.

        Calls that run fail with :exc:`WorkerDied`. The pool is shut down. Thread-safe. Python 3.14
        has it in the standard pool, too.

        Example:
            >>> from oxthreads.processes import ProcessPoolExecutor
            >>> pool = ProcessPoolExecutor(1)
            >>> pool.terminate_workers()
        """
        self._end_by("terminate")

    def kill_workers(self) -> None:
        """End all children by SIGKILL. Otherwise as :meth:`terminate_workers`.

        Example:
            >>> from oxthreads.processes import ProcessPoolExecutor, WorkerDied
            >>> import time
            >>> pool = ProcessPoolExecutor(1)
            >>> future = pool.submit(time.sleep, 60)
            >>> pool.kill_workers()
            >>> isinstance(future.exception(), (WorkerDied, RuntimeError)) if not future.cancelled() else True
            True
        """
        self._end_by("kill")

    def _end_by(self, way: str) -> None:
        self._oxthreads_threads.shutdown(False, cancel_futures=True)
        self._settings.end_all(way)

    # What programs use of the standard pool's own.

    @property
    def _processes(self) -> dict[int, Any]:
        """The processes of the children that may run calls, by their numbers."""
        processes = {}
        for child in [*self._settings.children]:
            if not child.is_ending:
                with contextlib.suppress(ValueError):  # its thread has seen its end
                    processes[child.process.pid] = child.process
        return processes

    @property
    def _broken(self) -> str | bool:
        """Why it takes no more calls, if an initializer has failed; else False."""
        return self._settings.broken or False

    @property
    def _max_workers(self) -> int:
        workers: int = self._oxthreads_threads._max_workers
        return workers


def _context(context: Any) -> BaseContext:
    """Return the context. Raises ValueError if children cannot be started by it."""
    if context is None:
        context = "spawn"
    if isinstance(context, str):
        if context == "fork":
            raise ValueError(_NO_FORK)
        return multiprocessing.get_context(context)
    if not isinstance(context, BaseContext):
        raise TypeError("mp_context must be a string, a context of multiprocessing, or None")
    if context.get_start_method() == "fork":
        raise ValueError(_NO_FORK)
    return context


_NO_FORK = (
    "mp_context must be 'spawn' or 'forkserver': the pool has threads, and a process that is forked from "
    "one with threads may hang"
)


def _break(threads: weakref.ref[_Threads], reason: str) -> None:
    """The pool takes no more calls. The pending ones fail."""
    pool = threads()
    if pool is None:
        return
    pool._broken = reason
    while True:
        try:
            item = pool._work_queue.get_nowait()
        except queue.Empty:
            return
        if item is not None and item.future.set_running_or_notify_cancel():
            item.future.set_exception(_standard.BrokenProcessPool(reason))
