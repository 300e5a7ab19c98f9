"""``shutdown()`` of the queues of Python 3.13, for queues that fall back on an older Python."""

from __future__ import annotations

import queue
from time import monotonic

__all__ = ["QueueWithShutdown", "ShutDown"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Condition
    from typing import Any, TypeVar

    T = TypeVar("T")
else:
    T = object


class ShutDown(Exception):
    """Raised when put/get with shut-down queue."""


class QueueWithShutdown(queue.Queue[T]):
    """A standard queue with the ``shutdown()`` of Python 3.13.

    It uses the attributes and hooks of the standard class, which subclasses may override.
    """

    #: Not `is_shutdown`: the standard class has no such attribute here, so a program may use that name.
    _oxthreads_is_shutdown: bool

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        with self.not_full:
            if not self._oxthreads_is_shutdown and self.maxsize > 0:
                self._oxthreads_wait_for(self._oxthreads_can_put, self.not_full, block, timeout, queue.Full)
            if self._oxthreads_is_shutdown:
                raise ShutDown
            self._put(item)
            self.unfinished_tasks += 1
            self.not_empty.notify()

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        with self.not_empty:
            if not self._oxthreads_is_shutdown:
                self._oxthreads_wait_for(self._oxthreads_can_get, self.not_empty, block, timeout, queue.Empty)
            if self._oxthreads_is_shutdown and not self._qsize():
                raise ShutDown
            item: T = self._get()
            self.not_full.notify()
            return item

    def shutdown(self, immediate: bool = False) -> None:
        with self.mutex:
            self._oxthreads_is_shutdown = True
            if immediate:
                while self._qsize():
                    self._get()
                    self.unfinished_tasks = max(0, self.unfinished_tasks - 1)
                self.all_tasks_done.notify_all()
            self.not_empty.notify_all()
            self.not_full.notify_all()

    def _oxthreads_can_put(self) -> bool:
        return self._oxthreads_is_shutdown or self._qsize() < self.maxsize

    def _oxthreads_can_get(self) -> bool:
        return self._oxthreads_is_shutdown or self._qsize() > 0

    @staticmethod
    def _oxthreads_wait_for(
        ready: Callable[[], bool],
        changed: Condition,
        block: bool,
        timeout: float | None,
        error: type[Exception],
    ) -> None:
        if block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        end: Any = None if timeout is None or not block else monotonic() + timeout
        while not ready():
            remaining = None if end is None else end - monotonic()
            if not block or (remaining is not None and remaining <= 0):
                raise error
            changed.wait(remaining)
