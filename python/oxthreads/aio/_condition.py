"""Conditions, as coroutines use them."""

from __future__ import annotations

from oxthreads._oxthreads import AsyncLock, wait_notified

from ._library import despite_cancellation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import TypeVar

    from oxthreads._oxthreads import Wait
    from oxthreads.threading import Condition

    T = TypeVar("T")

__all__ = ["AsyncCondition"]


class AsyncCondition:
    """A condition, as coroutines use it. :func:`oxthreads.aio.as_async` makes it.

    It has the names of asyncio.Condition. Threads use the condition itself at the same time: they notify
    coroutines, and are notified by them.

    Args:
        condition (Condition): a condition over a Lock. A new Condition has an RLock, which belongs to a
            thread and not to a coroutine: so write ``Condition(Lock())``.

    Raises:
        TypeError: the condition is over another kind of lock, or works as one of the standard library.

    Example:
        >>> import asyncio
        >>> from oxthreads import aio, threading
        >>> changed, data = threading.Condition(threading.Lock()), []
        >>> def produce():
        ...     with changed:
        ...         data.append("item")
        ...         changed.notify()
        >>> async def main():
        ...     view = aio.as_async(changed)
        ...     async with view:
        ...         threading.Thread(target=produce).start()
        ...         await view.wait_for(lambda: data)
        ...         return data
        >>> asyncio.run(main())
        ['item']
    """

    __slots__ = ("__weakref__", "_condition", "_lock")

    def __init__(self, condition: Condition, /) -> None:
        lock = condition._oxthreads_lock
        if lock is None:
            raise TypeError(
                "this condition works as one of the standard library, and coroutines cannot wait for that; "
                "make it with oxthreads.threading: Condition(Lock())"
            )
        try:
            self._lock = AsyncLock(lock)
        except TypeError:
            raise TypeError(
                "an RLock belongs to a thread, and all coroutines of an event loop are in one thread; "
                "use a condition over a Lock: Condition(Lock())"
            ) from None
        self._condition = condition

    @property
    def sync(self) -> Condition:
        """The condition that threads use."""
        return self._condition

    def acquire(self) -> Wait[bool]:
        """Acquire the lock of the condition. Wait until it is free."""
        return self._lock.acquire()

    def release(self) -> None:
        """Release the lock of the condition."""
        self._lock.release()

    def locked(self) -> bool:
        """Return whether the lock of the condition is locked."""
        return self._lock.locked()

    async def wait(self) -> bool:
        """Release the lock, wait for a notification, and acquire the lock again.

        Returns:
            bool: True.

        Raises:
            RuntimeError: the lock is not locked.

        If it is cancelled, it has the lock nevertheless when it raises. A notification that it received goes
        to the next waiter.
        """
        if not self._lock.locked():
            raise RuntimeError("cannot wait on un-acquired lock")
        # From now on a notification counts. So it must be before the release.
        notified = wait_notified(self._condition)
        received = False
        self._lock.release()
        try:
            await notified
            received = True
        finally:
            cancelled = await despite_cancellation(self._lock.acquire)
            if cancelled is not None:
                if received:
                    self._condition.notify()
                raise cancelled
        return True

    async def wait_for(self, predicate: Callable[[], T]) -> T:
        """Wait until the function returns something true, and return that.

        Args:
            predicate: called with the lock held, at first and after each notification.

        Raises:
            RuntimeError: the lock is not locked.
        """
        result = predicate()
        while not result:
            await self.wait()
            result = predicate()
        return result

    def notify(self, n: int = 1) -> None:
        """Wake those that have waited longest, threads or coroutines.

        Args:
            n (int): how many.

        Raises:
            RuntimeError: the lock is not locked.
        """
        self._condition.notify(n)

    def notify_all(self) -> None:
        """Wake all that wait.

        Raises:
            RuntimeError: the lock is not locked.
        """
        self._condition.notify_all()

    async def __aenter__(self) -> None:
        await self._lock.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()

    def __repr__(self) -> str:
        return f"<AsyncCondition of {self._condition!r}>"
