"""How one coroutine waits until any thread tells it something: under asyncio and under trio."""

from __future__ import annotations

import sys
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from typing import Any

__all__ = ["AsyncioWait", "TrioWait", "current_task", "new_wait", "runs_trio"]


def runs_trio() -> bool:
    """Whether the present task is one of trio. (Not if it is one of asyncio that runs inside of it.)"""
    trio: Any = sys.modules.get("trio")
    if trio is None:
        return False
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    asyncio: Any = sys.modules.get("asyncio")
    running = None if asyncio is None else asyncio._get_running_loop()
    return running is None or asyncio.current_task(running) is None


def current_task() -> object:
    """What stands for the task of the caller: the same object as long as the task lives. It does not keep it.

    A task that is never continued, since its loop was closed, is garbage then.
    """
    task: object
    if runs_trio():
        task = sys.modules["trio"].lowlevel.current_task()
    else:
        import asyncio  # noqa: PLC0415 - not for programs that use trio alone

        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
    if task is None:
        return object()
    try:
        return weakref.ref(task)
    except TypeError:  # a loop may have tasks of its own class
        return task


def new_wait() -> AsyncioWait | TrioWait:
    """Make a wait for the calling coroutine. Code of a program may run here, in a garbage collection."""
    return TrioWait() if runs_trio() else AsyncioWait()


class AsyncioWait:
    """A wait of a coroutine that asyncio runs, or a loop that works with asyncio's futures."""

    __slots__ = ("_future",)

    def __init__(self) -> None:
        import asyncio  # noqa: PLC0415 - not for programs that use trio alone

        self._future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def may_end(self) -> bool:
        """Whether it is not over, and its loop runs, so that the coroutine would go on if it was told."""
        return not self._future.done() and self._future.get_loop().is_running()

    async def told(self) -> str:
        """Wait until it is told something, and return that."""
        return await self._future

    def tell(self, what: str) -> bool:
        """Tell the coroutine. Returns whether that is possible: whether its loop is open, for one."""
        future = self._future

        def set_result() -> None:
            # If it was cancelled since, its task finds that out.
            if not future.done():
                future.set_result(what)

        loop = future.get_loop()
        if future.done():
            return False
        if loop is sys.modules["asyncio"]._get_running_loop():
            set_result()
            return True
        try:
            loop.call_soon_threadsafe(set_result)
        except RuntimeError:
            if loop.is_closed():
                return False
            raise
        return True


class TrioWait:
    """A wait of a coroutine that trio runs."""

    __slots__ = ("_task", "_token", "_what")

    def __init__(self) -> None:
        self._token: Any = sys.modules["trio"].lowlevel.current_trio_token()
        #: The task, while it sleeps here.
        self._task: Any = None
        self._what: str | None = None

    @property
    def may_end(self) -> bool:
        """Whether it is not over. (Only telling it shows whether its run has ended.)"""
        return self._what is None

    async def told(self) -> str:
        """Wait until it is told something, and return that."""
        if self._what is None:
            lowlevel: Any = sys.modules["trio"].lowlevel

            def abort(_raise_cancel: object) -> Any:
                self._task = None
                return lowlevel.Abort.SUCCEEDED

            try:
                self._task = lowlevel.current_task()
                await lowlevel.wait_task_rescheduled(abort)
            finally:
                # It does not sleep here any more, whatever a signal handler has raised.
                self._task = None
        assert self._what is not None
        return self._what

    def tell(self, what: str) -> bool:
        """Tell the coroutine. Returns whether that is possible: whether its run has not ended, for one."""
        trio: Any = sys.modules["trio"]
        if self._what is not None:
            return False

        def wake() -> None:
            if self._what is not None:
                return
            self._what = what
            task, self._task = self._task, None
            if task is not None:
                trio.lowlevel.reschedule(task)

        try:
            is_here = trio.lowlevel.current_trio_token() is self._token
        except RuntimeError:
            is_here = False
        if is_here:
            wake()
            return True
        try:
            self._token.run_sync_soon(wake)
        except trio.RunFinishedError:
            return False
        return True
