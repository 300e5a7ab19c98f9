"""Pools, as coroutines use them, and :func:`to_thread`."""

from __future__ import annotations

import contextvars
import os
from collections import deque
from concurrent.futures import CancelledError
from functools import partial

from oxthreads._oxthreads import AsyncFuture, AsyncLock, scope_after
from oxthreads.concurrent._awaited_call import AwaitedCall
from oxthreads.concurrent.futures import Future, ThreadPoolExecutor
from oxthreads.threading import Lock, Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from types import TracebackType
    from typing import Any, ParamSpec, Self, TypeAlias, TypeVar

    from oxthreads.dask import DaskExecutor, DaskExecutorView
    from oxthreads.processes import ProcessPoolExecutor, ProcessPoolView

    Pool: TypeAlias = (
        ThreadPoolExecutor | ProcessPoolExecutor | ProcessPoolView | DaskExecutor | DaskExecutorView
    )
    P = ParamSpec("P")
    T = TypeVar("T")

__all__ = ["AsyncExecutor", "to_thread"]


async def _result(future: Future[T], call: AwaitedCall) -> T:
    """Wait for the future. If that is cancelled, so is the call."""
    try:
        return await AsyncFuture(future)
    except BaseException:
        call.cancel(future)
        raise


def _cancel_submitted(submitted: Future[Future[T]]) -> None:
    if not submitted.cancelled() and submitted.exception() is None:
        submitted.result().cancel()


class AsyncExecutor:
    """A pool of threads or of processes, as coroutines use it. :func:`oxthreads.aio.as_async` makes it.

    Args:
        pool (ThreadPoolExecutor, ProcessPoolExecutor or DaskExecutor): a pool of oxthreads. What is said here
            of threads is true of processes.

    Example:
        >>> import asyncio
        >>> from oxthreads import aio
        >>> from oxthreads.concurrent.futures import ThreadPoolExecutor
        >>> async def main():
        ...     async with aio.as_async(ThreadPoolExecutor(4)) as pool:
        ...         first = pool.submit(pow, 2, 5)
        ...         rest = [square async for square in pool.map(lambda number: number**2, range(4))]
        ...         return await first, rest
        >>> asyncio.run(main())
        (32, [0, 1, 4, 9])
    """

    __slots__ = ("__weakref__", "_pool", "_submitting")

    def __init__(self, pool: Pool, /) -> None:
        self._pool: Any = pool
        #: Held while a thread waits for room in the pool, so that there is one such thread at a time.
        self._submitting = Lock()

    @property
    def sync(self) -> Pool:
        """The pool that threads use."""
        pool: Pool = self._pool
        return pool

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> AsyncFuture[T]:
        """Let a thread of the pool call the function.

        Args:
            function: what to call, with the other arguments.

        Returns:
            AsyncFuture: await it for the result. A coroutine that is cancelled meanwhile only stops waiting.

        Raises:
            RuntimeError: the pool is shut down.

        If the pool has a limit for pending calls (max_pending), this may block. Then use run, or a thread.
        """
        return AsyncFuture(self._pool.submit(function, *args, **kwargs))

    async def _submit(self, submission: Callable[[], Future[T]]) -> Future[T]:
        """Call ``submission``, which submits a call. If it may wait for room, a thread of its own does so.

        If this is cancelled, the call never begins.
        """
        if not self._pool._oxthreads_waits_for_room:
            return submission()
        submitted: Future[Future[T]] = Future()

        def submit() -> None:
            try:
                future = submission()
            except BaseException as error:
                if submitted.set_running_or_notify_cancel():
                    submitted.set_exception(error)
            else:
                if submitted.set_running_or_notify_cancel():
                    submitted.set_result(future)
                else:
                    future.cancel()
            finally:
                self._submitting.release()

        await AsyncLock(self._submitting).acquire()
        try:
            context = contextvars.copy_context()
            Thread(target=context.run, args=(submit,), name="oxthreads.aio submit", daemon=True).start()
        except BaseException:
            self._submitting.release()
            raise
        try:
            return await AsyncFuture(submitted)
        except BaseException:
            if not submitted.cancel():
                submitted.add_done_callback(_cancel_submitted)
            raise

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Let a thread of the pool call the function, and wait for the result.

        Args:
            function: what to call, with the other arguments. In a thread, it sees the context variables of
                the caller.

        Returns:
            What the function returned.

        Raises:
            BaseException: what the function raised.
            RuntimeError: the pool is shut down.

        If it is cancelled, a call that has not begun never does. A call that has begun in a thread goes on,
        and nobody learns its result. One that has begun in a process is ended, with the process. If the
        pool has a limit for pending calls (max_pending) and waits for room, the event loop goes on
        meanwhile.
        """
        call = self._call(function, args, kwargs)
        return await _result(await self._submit(call.submit), call)

    def _call_of_map(self, function: Callable[..., T], items: tuple[Any, ...]) -> AwaitedCall:
        if isinstance(self._pool, ThreadPoolExecutor):
            return AwaitedCall(partial(self._pool.submit, function, *items))
        return self._call(function, items, {})

    def _call(self, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> AwaitedCall:
        if isinstance(self._pool, ThreadPoolExecutor):
            context = contextvars.copy_context()
            return AwaitedCall(partial(self._pool.submit, context.run, function, *args, **kwargs))
        call: AwaitedCall = self._pool._oxthreads_cancellable(function, args, kwargs)
        return call

    async def map(
        self, function: Callable[..., T], /, *iterables: Iterable[Any], buffersize: int | None = None
    ) -> AsyncIterator[T]:
        """Call the function with items of the iterables in threads of the pool, and give the results in
        order.

        Args:
            function: what to call.
            *iterables: what to call it with. They are read in the thread of the event loop.
            buffersize (int or None): at most so many calls are ahead of the reader. None means all.

        Returns:
            An asynchronous iterator. When it is closed, calls are cancelled, as by ``run``.

        Raises:
            ValueError: buffersize is less than 1.
            BaseException: what a call raised, in its place.
        """
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        arguments = zip(*iterables, strict=False)
        ahead: deque[tuple[Future[T], AwaitedCall]] = deque()
        try:
            while True:
                while buffersize is None or len(ahead) < buffersize:
                    try:
                        items = next(arguments)
                    except StopIteration:
                        break
                    call = self._call_of_map(function, items)
                    ahead.append((await self._submit(call.submit), call))
                if not ahead:
                    return
                yield await _result(*ahead.popleft())
        finally:
            for future, call in ahead:
                call.cancel(future)

    async def shutdown(self, *, cancel_futures: bool = False) -> None:
        """Shut the pool down, and wait until its threads have ended. The event loop goes on meanwhile.

        Args:
            cancel_futures (bool): if True, calls that have not begun are cancelled.

        Raises:
            BaseException: what the shutdown of the pool raised.
        """
        self._pool.shutdown(wait=False, cancel_futures=cancel_futures)
        over: Future[None] = Future()

        def wait() -> None:
            try:
                self._pool.shutdown()
            except BaseException as error:
                over.set_exception(error)
            else:
                over.set_result(None)

        Thread(target=wait, name="oxthreads.aio shutdown", daemon=True).start()
        await AsyncFuture(over)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.shutdown()

    def __repr__(self) -> str:
        return f"<AsyncExecutor of {self._pool!r}>"


class _Default:
    """The pool of :func:`to_thread`, from its first call on."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._pool: ThreadPoolExecutor | None = None

    def get(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(thread_name_prefix="oxthreads.aio", idle_timeout=60)
            return self._pool

    def forget(self) -> None:
        """In a forked child: its threads are the parent's."""
        self._lock._at_fork_reinit()
        self._pool = None


_default = _Default()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_default.forget)


async def to_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call the function in a thread, and wait for the result. As ``asyncio.to_thread``, and for trio too.

    Args:
        function: what to call, with the other arguments. It sees the context variables of the caller.

    Returns:
        What the function returned.

    Raises:
        BaseException: what the function raised.

    All calls of a process share one pool, of as many threads as ThreadPoolExecutor has by default. If the
    wait is cancelled, a call that has not begun never does. One that has begun is in a
    :class:`~oxthreads.tasks.CancelScope`, which is then cancelled: what the function waits for ends at once,
    and so do the task groups inside of it. This does not wait until the function has ended.

    Example:
        >>> import asyncio
        >>> from oxthreads import aio
        >>> asyncio.run(aio.to_thread(pow, 2, 5))
        32
    """
    context = contextvars.copy_context()
    scope = scope_after(None, False, False, None)

    def call() -> T:
        with scope:
            return context.run(function, *args, **kwargs)
        raise CancelledError  # nobody waits for it any more

    future = _default.get().submit(call)
    try:
        return await AsyncFuture(future)
    except BaseException:
        if not future.cancel():
            scope.cancel()
        raise
