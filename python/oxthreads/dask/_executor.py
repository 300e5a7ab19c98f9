"""The executor whose workers are those of a cluster."""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import math
import operator
import threading as _threading
import weakref
from concurrent.futures import Executor

from distributed import Client

from ..concurrent._awaited_call import AwaitedCall
from ..concurrent._chunks import map_in_chunks
from ..concurrent.futures import ExecutorStatistics
from ._call import Options
from ._errors import check_process, check_running
from ._link import Link
from ._payload import call_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Literal, ParamSpec, TypeVar

    from ..concurrent.futures import Future

    P = ParamSpec("P")
    T = TypeVar("T")

__all__ = ["DaskExecutor", "DaskExecutorView"]

_logger = logging.getLogger("oxthreads")

_WHEN_FULL = ("block", "raise", "caller_runs")
_SUBMIT_OPTIONS = ("allow_other_workers", "fifo_timeout", "resources", "workers")

_numbers = itertools.count()

#: The links of all pools: at exit, their calls are waited for.
_links: weakref.WeakSet[Link] = weakref.WeakSet()


class _Submits(Executor):
    """What a pool in a cluster and its views have in common."""

    _options: Options

    @property
    def _pool(self) -> DaskExecutor:
        raise NotImplementedError

    def with_options(
        self, *, priority: float | None = None, retries: int | None = None, **submit_options: Any
    ) -> DaskExecutorView:
        """Return a view of this pool whose calls have options of their own.

        Thread-safe. The view shares the cluster and ``max_pending`` with the pool.

        Args:
            priority (float): calls with a lower number run first, as in ``ThreadPoolExecutor``. (In
                ``Client.submit``, those with a higher one do: there the number is negated.) Calls that are
                submitted to the pool itself have priority 0, unless it was made with another.
            retries (int): how many times a call that has raised is run again.
            submit_options: ``workers``, ``allow_other_workers``, ``resources``, ``fifo_timeout``; ``pure``.

        Returns:
            DaskExecutorView: an executor with ``submit``, ``map``, ``shutdown`` and ``with_options``. An
            option that is None or left out is that of this pool.

        Raises:
            TypeError, ValueError: as for :class:`DaskExecutor`.

        Example:
            >>> urgent = pool.with_options(priority=-1, retries=2)
            >>> urgent.submit(sum, [1, 2, 3]).result()
            6
        """
        return DaskExecutorView(self._pool, _changed(self._options, priority, retries, submit_options))

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn(*args, **kwargs)`` in a worker of the cluster.

        Args:
            fn (callable): what to call. It is not a coroutine function.
            args, kwargs: its arguments.

        Returns:
            Future: the result of the call, once it has ended.

        Raises:
            TypeError: if the call cannot be pickled. It is found out here and not by the future, because here
                the caller can still do something about it.
            RuntimeError: if the pool was shut down, in a forked child, or in the event loop of the client if
                it has to wait for room.
            queue.Full: if there are ``max_pending`` calls, with ``on_full="raise"``.
            ClusterLost: if the client is closed or has lost its scheduler.

        A future fails with what its call has raised, with the traceback of the worker; if its workers have
        died, with `:exc:`~oxthreads.processes.WorkerDied``; if it was cancelled in the cluster, by its client
        for example, with :exc:`~concurrent.futures.CancelledError`. If a worker could not unpickle the call,
        because it lacks a module or has another version of it, or could not pickle the result, a note of the
        exception says so.

        Example:
            >>> future = pool.submit(divmod, 17, 5)
            >>> future.result()
            (3, 2)
        """
        return self._pool._link.submit(self._options, fn, args, kwargs)

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

        It is ``map(fn, *iterables)``, with calls that run in the cluster at the same time. All calls are
        submitted before ``map`` returns, unless ``buffersize`` is given. Calls that have not ended are
        cancelled when the iterator is closed, raises, or is dropped after its first result.

        Thread-safe; but the iterator may be used by one thread at a time only.

        Args:
            fn (callable): what to call, with one item of each iterable.
            iterables: where the arguments come from. The shortest one ends the calls.
            timeout (float): seconds, counted from the call of ``map``, after which waiting for a result
                raises TimeoutError. None: no limit.
            chunksize (int): how many calls make up one task of the cluster. A task takes the cluster about a
                millisecond, so calls that are shorter should come in chunks. If a call raises, the results of
                its chunk are lost.
            buffersize (int): the largest number of submitted chunks whose results have not been yielded. The
                iterables are read further only as results are asked for; so they may be very long, or
                endless. None: no limit but ``max_pending``.
            progress (callable): called as ``progress(done, total)`` as chunks end, with numbers of calls; see
                :meth:`oxthreads.concurrent.futures.ThreadPoolExecutor.map`.

        Returns:
            iterator: the results. If a call raised, the iterator raises that exception in the place of its
            result, and ends.

        Raises:
            TypeError: if ``buffersize`` or ``chunksize`` is not an integer or ``progress`` cannot be called.
            ValueError: if ``buffersize`` or ``chunksize`` is zero or less.
            Exception: also what ``submit`` and the iterables raise.

        Example:
            >>> list(pool.map(pow, [2, 3, 4], [5, 2, 1]))
            [32, 9, 4]

        An endless iterable, of which never more than forty items are in work:
            >>> from itertools import count
            >>> numbers = pool.map(float, count(), chunksize=10, buffersize=4)
            >>> [next(numbers), next(numbers), next(numbers)]
            [0.0, 1.0, 2.0]
            >>> numbers.close()
        """
        pool, options = weakref.ref(self._pool), self._options

        def reference() -> _Submission | None:
            found = pool()
            return None if found is None else _Submission(found, options)

        return map_in_chunks(
            _Submission(self._pool, options),
            fn,
            iterables,
            reference=reference,
            call_each=call_all,
            timeout=timeout,
            chunksize=chunksize,
            buffersize=buffersize,
            progress=progress,
        )

    def _oxthreads_cancellable(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> AwaitedCall:
        """For coroutines: a call that can be cancelled also when it has begun."""
        submit = self._pool._link.submit
        return AwaitedCall(functools.partial(submit, self._options, fn, args, kwargs, is_revocable=True))

    @property
    def _oxthreads_waits_for_room(self) -> bool:
        return self._pool._link.waits_for_room


class DaskExecutor(_Submits):
    """A pool whose workers are those of a cluster of dask.distributed.

    ``submit`` gives a call to the cluster and returns a :class:`~oxthreads.concurrent.futures.Future` for its
    result; ``map`` does so for many calls. The interface is that of
    :class:`~oxthreads.concurrent.futures.ThreadPoolExecutor`; what differs is below. As a context manager it
    calls ``shutdown`` at the end of the block, which waits for all calls.

    Thread-safe. ``submit`` may also be called from ``__del__`` or from a signal handler, unless it has to
    wait for room there.

    Args:
        client_or_address (distributed.Client or str): the client of a cluster; or the address of a scheduler,
            for which a client is made. A client that was given is not closed with the pool.
        max_pending (int): the largest number of calls that were submitted and have not ended. It bounds the
            memory that they take here and in the scheduler.
        on_full (str): what ``submit`` does when there are ``max_pending`` such calls. "block": it waits for
            room, without a time limit; but a call that a done callback submits is taken without room, because
            waiting could hang the pool. "raise": it raises ``queue.Full``. "caller_runs": it runs the call in
            the submitting thread before it returns; if arguments are futures of the cluster, it waits for
            their results.
        pure (bool): True: two equal calls of the same function at the same time are one task of the cluster,
            which is run once. It is only right for functions whose result depends on nothing but the
            arguments. (``Client.submit`` and ``Client.get_executor`` take this for granted.)
        retries (int): how many times a call that has raised an exception is run again before its future
            fails.
        submit_options: what else ``Client.submit`` takes: ``workers``, ``allow_other_workers``,
            ``resources``, ``fifo_timeout``; and ``priority``, which is explained in :meth:`with_options`.

    Raises:
        TypeError: for something else than a client or an address, an asynchronous client, or another option.
        ValueError: if ``max_pending`` is zero or less, ``retries`` is negative, ``priority`` is not a number,
            or ``on_full`` is another string.
        RuntimeError: in a forked child, for a client of its parent.
        OSError: if there is no scheduler at the address.
        ClusterLost: if the client is closed.

    Example:
        >>> from distributed import Client
        >>> from oxthreads.dask import DaskExecutor
        >>> with Client(n_workers=1, processes=False, dashboard_address=":0") as client:
        ...     with DaskExecutor(client, max_pending=200) as pool:
        ...         pool.submit(pow, 2, 10).result()
        1024

    Calls in a cluster:

    * The call and its result are pickled. What is changed in an argument on the worker is not changed here.
      Functions of the main program, lambdas and closures are sent by value (cloudpickle); other functions by
      their names, so that the workers need their modules. They need no oxthreads.
    * A call may be run more than once: a worker has died, or had the result when it died. If the workers that
      run it die again and again (``distributed.scheduler.allowed-failures``), it fails with
      `:exc:`~oxthreads.processes.WorkerDied``.
    * A future is running from the moment on at which its call was handed over to the cluster, which is almost
      at once: the client is not told when a worker begins. So ``cancel`` returns False then. The calls of a
      :class:`~oxthreads.tasks.TaskGroup` and those of ``map`` can be cancelled until they have ended: the
      cluster forgets them, and a worker that runs one already finishes it for nobody.
    * An argument that is a ``distributed.Future`` stands for its result, as in ``Client.submit``.
    * Done callbacks are called by one thread of the pool, not by the event loop of the client.
    * If the client is closed or loses its scheduler, the calls that have not ended fail with
      :exc:`ClusterLost`, and ``submit`` raises it.
    * In a forked child, ``submit`` raises RuntimeError, and so does a new pool on the same client. The child
      needs a client of its own.
    """

    def __init__(
        self,
        client_or_address: Client | str,
        *,
        max_pending: int = 1000,
        on_full: Literal["block", "raise", "caller_runs"] = "block",
        pure: bool = False,
        retries: int = 0,
        **submit_options: Any,
    ) -> None:
        if on_full not in _WHEN_FULL:
            raise ValueError("on_full must be 'block', 'raise' or 'caller_runs'")
        max_pending = operator.index(max_pending)
        if max_pending <= 0:
            raise ValueError("max_pending must be greater than 0")
        priority = submit_options.pop("priority", 0)
        self._options = _options(priority, retries, pure, submit_options)
        client, owns_client = _client(client_or_address)
        self._link = Link(
            client,
            owns_client=owns_client,
            max_pending=max_pending,
            when_full=on_full,
            name=f"DaskExecutor-{next(_numbers)}",
        )
        _links.add(self._link)
        # What was submitted goes on; its futures may be in use. At exit, see `_end_all`.
        weakref.finalize(self, self._link.close).atexit = False

    @property
    def _pool(self) -> DaskExecutor:
        return self

    @property
    def client(self) -> Client:
        """The client of the cluster."""
        return self._link.client

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self._link.client!r}>"

    def stats(self) -> ExecutorStatistics:
        """Return what the pool has done since it was made, and what it does now, as far as it is known here.

        Thread-safe. It waits for nothing.

        Returns:
            ExecutorStatistics: ``workers`` are the threads of the cluster's workers, for which the scheduler
            is asked every few seconds while calls are handed over. ``busy`` are the calls
            that were handed over and have not ended, whether they run or not; ``queued`` those that were not
            handed over yet. ``queue_wait_total`` and ``queue_wait_max`` are seconds until calls were handed
            over; ``run_time_total`` and ``run_time_max`` are seconds from then until the result was here.
            Calls that ``on_full="caller_runs"`` has run are not counted.

        Example:
            >>> pool.submit(len, "tea").result()
            3
            >>> pool.stats().busy
            0
        """
        return ExecutorStatistics(*self._link.counts())

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls, and end once those that were submitted have ended.

        Leaving a ``with`` block calls it. Thread-safe; it may be called more than once. The client is closed
        only if the pool has made it. At the exit of the interpreter, all pools are shut down, and their calls
        waited for, as those of the standard pools.

        Args:
            wait (bool): True: return when all calls have ended. False: return immediately.
            cancel_futures (bool): True: cancel the calls that were not handed over to the cluster yet.

        Raises:
            RuntimeError: with ``wait`` in a done callback or in the event loop of the client, which would
                wait for itself. No more calls are accepted all the same.

        Example:
            >>> from oxthreads.dask import DaskExecutor
            >>> pool = DaskExecutor(client)
            >>> pool.shutdown()
            >>> pool.submit(print)
            Traceback (most recent call last):
                ...
            RuntimeError: cannot schedule new futures after shutdown
        """
        self._link.close(cancel=cancel_futures)
        if wait:
            self._link.join()


class DaskExecutorView(_Submits):
    """A view of a DaskExecutor with other options. ``with_options`` returns it.

    It submits to the same cluster; only the options of its calls are its own. Thread-safe, like the pool. The
    view keeps the pool alive, and shuts it down if the view is shut down.

    Example:
        >>> background = pool.with_options(priority=10)
        >>> list(background.map(len, ["a", "bc"]))
        [1, 2]
    """

    def __init__(self, executor: DaskExecutor, options: Options) -> None:
        self._executor = executor
        self._options = options

    @property
    def _pool(self) -> DaskExecutor:
        return self._executor

    def __repr__(self) -> str:
        options = self._options
        return (
            f"<{type(self).__name__} of {self._executor!r}, priority={options.priority}, "
            f"retries={options.retries}>"
        )

    def stats(self) -> ExecutorStatistics:
        """Return the statistics of the pool: see :meth:`DaskExecutor.stats`."""
        return self._executor.stats()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut down the pool itself, not only the view.

        Args:
            wait (bool): as in :meth:`DaskExecutor.shutdown`.
            cancel_futures (bool): as in :meth:`DaskExecutor.shutdown`.
        """
        self._executor.shutdown(wait, cancel_futures=cancel_futures)


def _client(client_or_address: Client | str) -> tuple[Client, bool]:
    """Return a client, and whether it was made here."""
    if isinstance(client_or_address, str):
        return Client(client_or_address, set_as_default=False), True
    if not isinstance(client_or_address, Client):
        kind = type(client_or_address).__name__
        raise TypeError(f"a distributed.Client or the address of a scheduler is needed, not {kind!r}")
    # `asynchronous` is also true of other clients, in their event loop.
    if getattr(client_or_address, "_asynchronous", False):
        raise TypeError(
            "the client is asynchronous: waits of the pool would block the event loop that it runs in; "
            "make a Client without asynchronous=True, and await the futures with oxthreads.aio.as_async"
        )
    check_running(client_or_address)
    check_process(client_or_address)
    return client_or_address, False


def _options(priority: Any, retries: Any, pure: Any, submit_options: dict[str, Any]) -> Options:
    for name in submit_options:
        if name not in _SUBMIT_OPTIONS:
            raise TypeError(f"{name!r} is not an option of calls; these are: {', '.join(_SUBMIT_OPTIONS)}")
    if isinstance(priority, bool) or not isinstance(priority, int | float):
        raise TypeError(f"priority must be a number, not {type(priority).__name__!r}")
    if not math.isfinite(priority):
        raise ValueError("priority must be a finite number")
    retries = operator.index(retries)
    if retries < 0:
        raise ValueError("retries must not be negative")
    if submit_options.get("allow_other_workers") and not submit_options.get("workers"):
        raise ValueError("allow_other_workers needs workers")
    # As `Client.submit` takes them, and `Client.map` does not.
    workers = submit_options.get("workers")
    if isinstance(workers, str):
        submit_options["workers"] = [workers]
    elif workers is not None:
        submit_options["workers"] = list(workers)
    return Options(priority, retries, bool(pure), submit_options)


def _changed(options: Options, priority: Any, retries: Any, submit_options: dict[str, Any]) -> Options:
    pure = submit_options.pop("pure", None)
    given = {name: value for name, value in submit_options.items() if value is not None}
    return _options(
        options.priority if priority is None else priority,
        options.retries if retries is None else retries,
        options.pure if pure is None else pure,
        {**options.submit_options, **given},
    )


class _Submission:
    """What `map_calls` submits to. Nobody else has the futures, so they are cancelled in the cluster, too."""

    def __init__(self, executor: DaskExecutor, options: Options) -> None:
        # A view keeps its pool alive, and so does an iterator that is in use.
        self._executor = executor
        self._options = options

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        return self._executor._link.submit(self._options, fn, args, {}, is_revocable=True)


def _end_all() -> None:
    """At exit: take no more calls, and wait for those that there are."""
    links = list(_links)
    for end in (functools.partial(Link.close, at_exit=True), Link.join):
        for link in links:
            try:
                end(link)
            except Exception:
                # Of a client that is half gone, for example in a worker. The other pools are to end, too.
                _logger.exception("a pool of calls in a cluster could not be ended")


with contextlib.suppress(RuntimeError):  # imported at exit
    # As for pools of threads; it comes before `distributed` closes its clients.
    _threading._register_atexit(_end_all)  # type: ignore[attr-defined]
