"""What a pool and its views share: the calls that were submitted and have not ended.

Three kinds of threads work here. Those that submit put calls into `_new`. The event loop of the client hands
them over to the cluster, many at a time, is told which have ended, and fetches their results, many at a time.
A thread of the pool takes what was fetched, unpickles it, and ends the futures; so done callbacks, and
whatever else takes long, do not keep the loop from its work.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import time
import uuid
import weakref
from collections import deque
from concurrent.futures import InvalidStateError
from contextvars import ContextVar
from queue import Empty, Full

import dask.config
from distributed import Client, KilledWorker
from distributed import Future as RemoteFuture

from ..queue import SimpleQueue
from ..threading import Condition, RLock, Thread, current_thread
from ._call import Call
from ._errors import (
    FORKED,
    ClusterLost,
    cancelled_in_cluster,
    check_running,
    lost_with,
    was_restarted,
    worker_died,
)
from ._payload import RUN, explain, returning_bytes, unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Literal, TypeAlias

    from ..concurrent.futures import Future
    from ._call import Options

    #: A call with its pickled result, or with what it has raised; neither: it was cancelled.
    Outcome: TypeAlias = tuple[Call, bytes | None, BaseException | None]

__all__ = ["Link"]

_logger = logging.getLogger("oxthreads")

#: How many calls, and how many bytes of them, are handed over at once. More bytes than these, and distributed
#: warns that a graph is large; and the event loop does nothing else meanwhile.
CALLS_AT_ONCE = 1_000
BYTES_AT_ONCE = 4_000_000

_NO_WARNING = {"distributed.admin.large-graph-warning-threshold": 1 << 62}

#: How many results are asked for at once, and how many times before the first answer.
RESULTS_AT_ONCE = 500
FETCHES_AT_ONCE = 4

#: Seconds for which calls and results are gathered into one batch, while the cluster has enough to do. It
#: takes about a millisecond a task, whatever the batches; and small batches would cost as much again.
HAND_OVER_EVERY = 0.1
FETCH_EVERY = 0.1

#: That many calls are enough.
ENOUGH = 100

#: Seconds between two questions for the number of threads in the cluster.
ASK_FOR_THREADS_EVERY = 5.0

#: Seconds after which a result that was lost is looked for again, where the client tells nothing.
LOOK_AGAIN_AFTER = 0.01

#: Seconds after which the thread of a pool with calls looks whether the client is still there to end them.
CHECK_EVERY = 1.0


#: The request for results that a coroutine belongs to.
_request: ContextVar[asyncio.Task[Any] | None] = ContextVar("oxthreads.dask request", default=None)


class _Completion(asyncio.Event):
    """The event that the client sets when the state of a task has changed; instead of a coroutine a task."""

    def __init__(self, link: Link, call: Call) -> None:
        super().__init__()
        #: More than one, if equal calls of a pure function are one task; perhaps of several pools.
        self._calls = [(link, call)]

    def set(self) -> None:
        super().set()
        for link, call in self._calls:
            link.changed(call)

    async def wait(self) -> Literal[True]:
        """Wait until the task has ended. A request for results does not wait for those that were lost."""
        request = _request.get()
        if request is not None and not self.is_set():
            # It would keep back the other results until this one is there again. It has sent nothing yet that
            # others wait for, too: it looks at all tasks before.
            request.cancel()
            return True
        return await super().wait()

    def tell(self, link: Link, call: Call) -> None:
        """Tell of this call, too."""
        self._calls.append((link, call))
        if self.is_set():
            link.changed(call)


class Link:
    """The calls of a pool, and the client that they are handed over to.

    It does not keep the pool alive: what was submitted goes on without it.
    """

    def __init__(
        self, client: Client, *, owns_client: bool, max_pending: int, when_full: str, name: str
    ) -> None:
        self.client = client
        self.max_pending = max_pending
        self._owns_client = owns_client
        self._when_full = when_full
        self._name = name
        self._loop: Any = client.loop
        self._pid = os.getpid()
        self._prefix = uuid.uuid4().hex
        self._numbers = itertools.count()
        # Reentrant: a destructor or the handler of a signal may submit a call while this thread does.
        lock: Any = RLock()
        #: Notified when there is room for a call.
        self._room: Any = Condition(lock)
        self._blocked = 0
        self._new: deque[Call] = deque()
        #: The calls that were handed over and have not ended.
        self._handed: set[Call] = set()
        self._is_closed = False
        self._is_at_exit = False
        self._flush_is_due = False
        self._thread: Thread | None = None
        #: What the thread is given; None: to look again whether there is anything to do.
        self._outcomes: Any = SimpleQueue()
        # Only the event loop uses these.
        self._changed: list[Call] = []
        self._fetched: deque[Call] = deque()
        self._fetches = 0
        self._fetch_is_due = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._revoked: deque[Call] = deque()
        # Counts and seconds. The event loop writes the first, the thread the others.
        self._waited, self._waited_most = 0.0, 0.0
        self._done = 0
        self._ran, self._ran_most = 0.0, 0.0
        #: The threads of the workers, and when to ask for them again.
        self._threads, self._ask_for_threads_at = 0, 0.0

    # Submitting.

    def submit(
        self,
        options: Options,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        is_revocable: bool = False,
    ) -> Future[Any]:
        """Take a call, and return its future."""
        self._check_open()
        check_running(self.client)
        call = Call(
            f"{self._prefix}-{next(self._numbers)}", options, fn, args, kwargs, is_revocable=is_revocable
        )
        future = call.future
        if call.is_revocable:
            # A call keeps its future. If the future kept the call, its result would stay until the collector
            # of cycles runs.
            reference = weakref.ref(call)

            def revoke(future: Future[Any]) -> None:
                if future.cancelled() and (found := reference()) is not None:
                    self._revoke(found)

            future.add_done_callback(revoke)
        with self._room:
            if self._unfinished() < self.max_pending or self._wait_for_room(call):
                self._check_open()
                self._add(call)
                return future
        if call.depends_on_results:
            fn, args, kwargs = _with_results, (fn, args, kwargs), {}
        _run_here(future, fn, args, kwargs)
        return future

    def _wait_for_room(self, call: Call) -> bool:
        """Wait until there is room, with the lock held; return whether the pool takes the call."""
        if self._when_full == "caller_runs" and not (call.depends_on_results and self.client.asynchronous):
            return False
        if self._when_full == "raise":
            raise Full(f"{self.max_pending} calls were handed over and have not ended")
        if self._thread is current_thread():
            return True  # in a done callback: while it waits, this thread cannot make room
        if self.client.asynchronous:
            raise RuntimeError(
                "submit() cannot wait for room, or for results that are arguments, in the event loop of the "
                "client, which makes room and fetches them"
            )
        try:
            while self._unfinished() >= self.max_pending:
                self._blocked += 1
                try:
                    self._room.wait()
                finally:
                    self._blocked -= 1
                self._check_open()
                check_running(self.client)
        except BaseException:
            # It may have been told of room, which it does not take: the next one gets it.
            self._room.notify()
            raise
        return True

    def _add(self, call: Call) -> None:
        """Let the event loop hand the call over. The lock is held."""
        if self._thread is None:
            self._start_thread()
        self._new.append(call)
        if not self._flush_is_due:
            self._flush_is_due = True
            self._loop.add_callback(self._flush_in_time)
        if len(self._new) + len(self._handed) == 1:
            # From now on it looks from time to time whether the client is still there.
            self._outcomes.put(None)

    def _unfinished(self) -> int:
        return len(self._new) + len(self._handed)

    def _check_open(self) -> None:
        """Raise RuntimeError if there can be no new calls."""
        if self._pid != os.getpid():
            raise RuntimeError(FORKED)
        if self._is_at_exit:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")
        if self._is_closed:
            raise RuntimeError("cannot schedule new futures after shutdown")

    # In the event loop of the client.

    def _flush_in_time(self) -> None:
        """Hand new calls over; in a moment, if more may come meanwhile and the cluster has enough to do."""
        handed = len(self._handed)
        if handed > ENOUGH and 8 * len(self._new) < handed and not self._is_closed:
            self._loop.call_later(HAND_OVER_EVERY, self._flush)
        else:
            self._flush()

    def _flush(self) -> None:
        """Hand new calls over."""
        batch: list[Call] = []
        size = 0
        with self._room:
            while self._new and len(batch) < CALLS_AT_ONCE:
                size += len(self._new[0].payload)
                if batch and size > BYTES_AT_ONCE:
                    break
                call = self._new.popleft()
                self._handed.add(call)
                batch.append(call)
            self._flush_is_due = bool(self._new)
            if self._flush_is_due:
                self._loop.add_callback(self._flush)
        batch = [call for call in batch if self._begin(call)]
        if not batch:
            return
        try:
            check_running(self.client)
        except ClusterLost as error:
            self._fail(batch, error)
            return
        if batch[0].began > self._ask_for_threads_at:
            self._ask_for_threads_at = batch[0].began + ASK_FOR_THREADS_EVERY
            self._start(self._ask_for_threads())
        for _, calls in itertools.groupby(batch, lambda call: (id(call.options), call.depends_on_results)):
            group = list(calls)
            try:
                remotes = self._hand_over(group)
            except Exception as error:
                self._fail(group, lost_with(self.client, error) or error)
                continue
            for call, remote in zip(group, remotes, strict=True):
                call.forget_arguments()
                self._follow(call, remote)

    async def _ask_for_threads(self) -> None:
        with contextlib.suppress(Exception):
            self._threads = sum((await self.client.nthreads(asynchronous=True)).values())

    def _begin(self, call: Call) -> bool:
        """Say that the call is running; return False if it was cancelled before."""
        call.began = time.monotonic()
        try:
            goes_on = (
                not call.future.done() if call.is_revocable else call.future.set_running_or_notify_cancel()
            )
        except (InvalidStateError, RuntimeError):
            goes_on = False  # somebody else has ended the future
        if goes_on:
            waited = call.began - call.submitted
            self._waited += waited
            self._waited_most = max(self._waited_most, waited)
        else:
            self._outcomes.put([(call, None, None)])
        return goes_on

    def _hand_over(self, calls: list[Call]) -> list[RemoteFuture[Any]]:
        options = calls[0].options.arguments
        if calls[0].options.pure and len(calls) > 1:
            # Equal calls would share one future of the cluster, which the first to end would release.
            return [remote for call in calls for remote in self._hand_over([call])]
        if calls[0].depends_on_results:
            return [
                self.client.submit(
                    returning_bytes(call.fn, tuple(call.kwargs)),
                    *(*call.args, *call.kwargs.values()),
                    key=call.key,
                    pure=False,
                    **options,
                )
                for call in calls
                if call.fn is not None
            ]
        payloads = [call.payload for call in calls]
        is_large = sum(map(len, payloads)) > BYTES_AT_ONCE
        # The warning of distributed is about graphs, and does not say which argument is large.
        with dask.config.set(_NO_WARNING if is_large else {}):
            remotes: list[RemoteFuture[Any]] = self.client.map(
                RUN, payloads, key=[call.key for call in calls], pure=False, **options
            )
        return remotes

    def _follow(self, call: Call, remote: RemoteFuture[Any]) -> None:
        """Have `changed` called when the state of the task changes."""
        call.remote = remote
        state: Any = getattr(remote, "_state", None)
        event = getattr(state, "_event", self)
        if event is None:
            state._event = _Completion(self, call)
        elif isinstance(event, _Completion):
            event.tell(self, call)
        else:
            # The program waits for the same task; or it is another version of distributed.
            self._start(self._wait_for(call, remote))

    async def _wait_for(self, call: Call, remote: RemoteFuture[Any]) -> None:
        """End a call whose task has an event that is not ours, with what the client offers to everybody.

        Its result is asked for alone, because such a request waits until a lost result is there again.
        """
        try:
            while call.remote is not None:
                # It returns when the task has ended, in whatever way.
                await remote.exception(asynchronous=True)
                if remote.status == "finished":
                    self._end(await self._results([call]))
                elif remote.status == "error":
                    await self._fetch_errors([call])
                elif remote.status == "cancelled":
                    self._fail_cancelled(call)
                if call.remote is not None:
                    await asyncio.sleep(LOOK_AGAIN_AFTER)  # it was lost
        except asyncio.CancelledError:
            self._fail([call], ClusterLost("the event loop of the client has ended"))
            raise
        except Exception as failure:
            self._fail([call], lost_with(self.client, failure) or failure)

    def changed(self, call: Call) -> None:
        """The state of the task of the call has changed."""
        if call.remote is None:
            return
        self._changed.append(call)
        if len(self._changed) == 1:
            # A message of the scheduler may be about many.
            self._loop.add_callback(self._collect)

    def _collect(self) -> None:
        """See what has become of the calls whose tasks have changed."""
        changed, self._changed = self._changed, []
        erred = []
        for call in changed:
            if call.remote is None or call.is_being_fetched:
                continue
            status = call.remote.status
            if status == "finished":
                call.is_being_fetched = True
                self._fetched.append(call)
            elif status == "error":
                call.is_being_fetched = True
                erred.append(call)
            elif status == "cancelled":
                self._fail_cancelled(call)
            # "lost": it is run again.
        if erred:
            self._start(self._fetch_errors(erred))
        self._fetch_in_time()

    def _fail_cancelled(self, call: Call) -> None:
        reason = getattr(getattr(call.remote, "_state", None), "exception", None)
        error = cancelled_in_cluster(self.client, call.name, reason)
        error.__cause__ = reason
        if was_restarted(reason):
            # If the scheduler got the call only after it had restarted, it runs it. And the client releases
            # nothing of the time before, but this does.
            with contextlib.suppress(Exception):
                RemoteFuture(call.key, self.client).release()
        self._fail([call], error)

    def _start(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)  # the loop itself keeps none alive
        task.add_done_callback(self._tasks.discard)

    def _fetch_in_time(self) -> None:
        """Ask for results; in a moment, if more may come meanwhile and few calls wait for these."""
        if not self._fetched or self._fetch_is_due:
            return
        unfinished = self._unfinished()
        if unfinished > ENOUGH and 16 * len(self._fetched) < unfinished:
            self._fetch_is_due = True
            self._loop.call_later(FETCH_EVERY, self._fetch_more)
        else:
            self._fetch_more()

    def _fetch_more(self) -> None:
        self._fetch_is_due = False
        while self._fetched and self._fetches < FETCHES_AT_ONCE:
            calls = [self._fetched.popleft() for _ in range(min(RESULTS_AT_ONCE, len(self._fetched)))]
            self._fetches += 1
            self._start(self._fetch(calls))

    async def _fetch(self, calls: list[Call]) -> None:
        """Ask for the results of calls that have ended."""
        try:
            outcomes = await self._results(calls)
        except asyncio.CancelledError:
            # The event loop ends.
            self._fail(calls, ClusterLost("the event loop of the client has ended"))
            raise
        finally:
            self._fetches -= 1
        self._end(outcomes)
        again = len(calls) - len(outcomes)
        if again:
            ended = {id(call) for call, _, _ in outcomes}
            for call in calls:
                if id(call) not in ended:
                    self._is_not_fetched(call)
        self._fetch_in_time()

    def _is_not_fetched(self, call: Call) -> None:
        """What a call ended with was lost; or it is run again, at the request of somebody; or cancelled."""
        call.is_being_fetched = False
        # Otherwise its event will be set.
        if call.remote is not None and call.remote.status not in ("pending", "lost"):
            self.changed(call)

    async def _results(self, calls: list[Call]) -> list[Outcome]:
        """Ask for results. Calls whose results were lost, or that were cancelled, are left out."""
        try:
            found = await self._gather(calls)
        except Exception as error:
            lost = lost_with(self.client, error)
            if lost is not None:
                return [(call, None, lost) for call in calls]
            if len(calls) == 1:
                return [(calls[0], None, error)]
            # One of them may be to blame.
            return [outcome for call in calls for outcome in await self._results([call])]
        return [(calls[number], result, None) for number, result in found.items() if result is not None]

    async def _gather(self, calls: list[Call]) -> dict[int, bytes | None]:
        # `Client.gather` waits until lost results are there again, and gives none of the others before. So
        # `_Completion` cancels it then, and it is asked for the others alone. It is also cancelled together
        # with a request of the program that had the same answer to wait for.
        while True:
            remotes = {
                number: remote
                for number, call in enumerate(calls)
                if (remote := call.remote) is not None and remote.status == "finished"
            }
            if not remotes:
                return {}
            request = asyncio.ensure_future(self._ask_for(remotes))
            try:
                await asyncio.wait({request})
            except asyncio.CancelledError:
                request.cancel()
                raise
            if not request.cancelled():
                return request.result()
            check_running(self.client)
            shared: Any = getattr(self.client, "_gather_future", None)
            if shared is not None and shared.cancelled():
                # The client would add all requests to this one for ever.
                self.client._gather_future = None
                await asyncio.sleep(LOOK_AGAIN_AFTER)

    async def _ask_for(self, remotes: dict[int, RemoteFuture[Any]]) -> dict[int, bytes | None]:
        _request.set(asyncio.current_task())
        gather: Any = self.client.gather
        found: dict[int, bytes | None] = await gather(remotes, errors="skip", asynchronous=True)
        return found

    async def _fetch_errors(self, calls: list[Call]) -> None:
        outcomes: list[Outcome] = []
        for call in calls:
            remote = call.remote
            if remote is None:
                continue
            if remote.status != "error":
                # It was asked to run again, and has not ended; the others are not to wait for it.
                self._is_not_fetched(call)
                continue
            try:
                error = await remote.exception(asynchronous=True)
                traceback = await remote.traceback(asynchronous=True)
            except asyncio.CancelledError:
                self._fail(calls, ClusterLost("the event loop of the client has ended"))
                raise
            except Exception as failure:
                error, traceback = lost_with(self.client, failure) or failure, failure.__traceback__
            if error is None:
                self._is_not_fetched(call)
                continue
            try:
                found = _error_of(call, error, traceback)
            except Exception as failure:  # of a method of its class
                found = failure
            outcomes.append((call, None, found))
            del error, traceback, found
        self._end(outcomes)

    def _fail(self, calls: Iterable[Call], error: BaseException) -> None:
        self._end([(call, None, error) for call in calls])

    def _end(self, outcomes: list[Outcome]) -> None:
        """Give outcomes to the thread. What is in the cluster is not needed any more."""
        for call, _, _ in outcomes:
            self._release(call)
        self._outcomes.put(outcomes)

    def _release(self, call: Call) -> None:
        remote, call.remote = call.remote, None
        if remote is not None:
            remote.release()

    @property
    def waits_for_room(self) -> bool:
        """Whether `submit` may wait."""
        return self._when_full == "block"

    # Cancelling what was handed over.

    def _revoke(self, call: Call) -> None:
        """The future of a call was cancelled."""
        self._revoked.append(call)
        self._loop.add_callback(self._revoke_more)

    def _revoke_more(self) -> None:
        ended: list[Outcome] = []
        while self._revoked:
            call = self._revoked.popleft()
            # Those that were not handed over are left out when it is their turn.
            if call.remote is not None:
                ended.append((call, None, None))
        if ended:
            self._end(ended)

    # In the thread of the pool.

    def _start_thread(self) -> None:
        self._thread = Thread(target=self._deliver, name=self._name, daemon=True)
        self._thread.start()

    def _deliver(self) -> None:
        """End futures until the pool is shut down and all have ended."""
        while True:
            with self._room:
                is_idle = not self._unfinished()
                if is_idle and self._is_closed and self._outcomes.empty():
                    break
            try:
                outcomes = self._outcomes.get(timeout=None if is_idle else CHECK_EVERY)
            except Empty:
                self._look_after_client()
                continue
            if outcomes is not None:
                outcomes.reverse()
                while outcomes:
                    self._deliver_one(*outcomes.pop())
            outcomes = None
        if self._owns_client:
            with contextlib.suppress(Exception):
                self.client.close()

    def _deliver_one(self, call: Call, result: bytes | None, error: BaseException | None) -> None:
        """End a future. No variable keeps the result after that."""
        with self._room:
            if call not in self._handed:
                return
            # Before the future ends: whoever waits for it may rely on that there is room.
            self._handed.discard(call)
            if self._blocked:
                self._room.notify()
        future = call.future
        if result is None and error is None:
            if call.is_revocable:
                _claim(future)  # so that `wait` and `as_completed` are told that it was cancelled
            return
        self._done += 1
        ran = time.monotonic() - call.began
        self._ran += ran
        self._ran_most = max(self._ran_most, ran)
        try:
            if call.is_revocable and not _claim(future):
                return
            if error is None and result is not None:
                try:
                    value = unpack(call.name, result)
                except BaseException as failure:
                    error = failure
                else:
                    future.set_result(value)
                    return
            future.set_exception(error)
        except InvalidStateError:
            pass  # somebody else has ended it
        except BaseException:
            # Of a done callback. The other futures are to end, too.
            _logger.exception("a done callback of the call of %s has failed", call.name)
        finally:
            error = None

    def _look_after_client(self) -> None:
        """End the calls if the client will not."""
        loop: Any = getattr(self._loop, "asyncio_loop", None)
        is_over = self.client.status == "closed" or (loop is not None and loop.is_closed())
        calls: list[Call] = []
        with self._room:
            if is_over:
                calls = [*self._new, *self._handed]
                self._new.clear()
                self._handed.update(calls)
                # There will be no room any more.
                self._room.notify_all()
            elif self._new:
                # Perhaps whoever has submitted them was interrupted.
                self._flush_is_due = True
                self._loop.add_callback(self._flush)
        if is_over:
            lost = "the client of the cluster was closed before the call of"
            for call in calls:
                self._deliver_one(call, None, ClusterLost(f"{lost} {call.name} has ended"))

    # Ending.

    def close(self, *, cancel: bool = False, at_exit: bool = False) -> None:
        """Take no more calls. The thread ends when there are none."""
        if self._pid != os.getpid():
            self._is_closed = True
            return
        with self._room:
            was_closed, self._is_closed = self._is_closed, True
            self._is_at_exit |= at_exit and not was_closed
            if self._thread is None and self._owns_client and not was_closed:
                try:
                    self._start_thread()  # which closes the client
                except RuntimeError:  # the interpreter ends
                    self.client.close()
            self._room.notify_all()
            calls = list(self._new) if cancel else []
        self._outcomes.put(None)
        for call in calls:
            call.future.cancel()

    def join(self) -> None:
        """Wait until all calls have ended.

        Raises:
            RuntimeError: in a thread that ends them.
        """
        # A client in a worker may be gone when all calls have ended, and asking it fails.
        if self._pid != os.getpid() or self._thread is None or not self._thread.is_alive():
            return
        if self.client.asynchronous:
            raise RuntimeError("cannot wait for calls in the event loop of the client, which ends them")
        self._thread.join()

    # Counts.

    def counts(self) -> tuple[int, int, int, int, float, float, float, float]:
        """What ExecutorStatistics consists of."""
        return (
            self._threads,
            len(self._handed),
            len(self._new),
            self._done,
            self._waited,
            self._waited_most,
            self._ran,
            self._ran_most,
        )


def _claim(future: Future[Any]) -> bool:
    """Whether the future can be ended now: it was not cancelled."""
    try:
        return future.set_running_or_notify_cancel()
    except (InvalidStateError, RuntimeError):
        return False


def _error_of(call: Call, error: BaseException, traceback: Any) -> BaseException:
    if isinstance(error, KilledWorker):
        died = worker_died(call.name, error)
        died.__cause__ = error
        return died
    return explain(call.name, error, traceback)


def _with_results(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call it with the results of arguments that are futures of the cluster."""
    return fn(*map(_result, args), **{name: _result(value) for name, value in kwargs.items()})


def _result(argument: Any) -> Any:
    return argument.result() if isinstance(argument, RemoteFuture) else argument


def _run_here(future: Future[Any], fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
    """Call it in this thread, as workers of a pool do."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = fn(*args, **kwargs)
    except BaseException as error:
        future.set_exception(error)
        try:
            if not isinstance(error, Exception):
                raise
        finally:
            del error
    else:
        future.set_result(result)
