"""Work that one coroutine does for all that ask for it, in any event loops of any threads.

It is to coroutines what ``src/primitives/single_run.rs`` is to threads.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque

from ._oxthreads import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CLOSED", "DONE", "LATE", "MINE", "CoroutineRun"]

#: What `CoroutineRun.begin` returns: the caller does the work; it was done while the caller waited; it was
#: done before; nobody will do it here.
MINE, DONE, LATE, CLOSED = "mine", "done", "late", "closed"

#: What a waiter is told that must look again.
_AGAIN = "again"

_IDLE, _RUNNING = "idle", "running"


class CoroutineRun:
    """Work that is done once at most, and who waits for it."""

    __slots__ = ("_mutex", "_process", "_runner", "_stage", "_waiters")

    def __init__(self) -> None:
        # Reentrant, because a garbage collection may begin under it.
        self._mutex = RLock()
        #: One of _IDLE, _RUNNING, DONE and CLOSED.
        self._stage = _IDLE
        #: The task that has the turn. Or the future of the one that was given it and has not run since.
        self._runner: object = None
        #: The process in which the runner began.
        self._process = 0
        self._waiters: deque[asyncio.Future[str]] = deque()

    @property
    def is_done(self) -> bool:
        """Whether the work is done."""
        return self._stage == DONE

    async def begin(self, name: str) -> str:
        """Wait until the work is done, or until it is the caller's turn.

        A caller whose turn it is must call `finish`, `pass_on` or `close`.

        Args:
            name: what the error calls the work.

        Returns:
            MINE, DONE, LATE or CLOSED.

        Raises:
            RuntimeError: the task of the caller is doing the work already.
        """
        caller = _current_task()
        while True:
            with self._mutex:
                self._follow_forks(caller)
                if self._stage == _IDLE:
                    self._give_to(caller)
                    return MINE
                if self._stage != _RUNNING:
                    return LATE if self._stage == DONE else CLOSED
                if self._runner is caller:
                    raise RuntimeError(
                        f"{name}() is called by itself, in the same task: it would wait for its own result"
                    )
                future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
                self._waiters.append(future)
            try:
                turn = await future
            except BaseException:
                self._leave(future)
                raise
            if turn == MINE:
                with self._mutex:
                    self._give_to(caller)
            if turn != _AGAIN:
                return turn

    def finish(self) -> None:
        """The work is done: all who wait go on."""
        self._end(DONE)

    def close(self) -> None:
        """Nobody will do the work here: all who wait go on."""
        self._end(CLOSED)

    def pass_on(self, *, keep: bool = False) -> bool:
        """The caller has not done the work. The next that waits has the turn.

        A loop that does not run would keep the turn from the others. So it goes to the next whose loop runs.

        Args:
            keep: if nobody waits, the caller still has the turn.

        Returns:
            Whether anybody waits.
        """
        while True:
            with self._mutex:
                following = self._take_running_waiter()
                if following is None:
                    others = list(self._waiters)
                    if keep and not others:
                        return False
                    self._waiters.clear()
                    self._stage, self._runner = _IDLE, None
                    break
                self._give_to(following)
            if _tell(following, MINE):
                return True
        _tell_all(others, _AGAIN)
        return bool(others)

    def _give_to(self, runner: object) -> None:
        self._stage, self._runner, self._process = _RUNNING, runner, os.getpid()

    def _end(self, stage: str) -> None:
        with self._mutex:
            self._stage, self._runner = stage, None
            waiters = list(self._waiters)
            self._waiters.clear()
        _tell_all(waiters, stage)

    def _take_running_waiter(self) -> asyncio.Future[str] | None:
        for future in self._waiters:
            if not future.done() and future.get_loop().is_running():
                self._waiters.remove(future)
                return future
        return None

    def _leave(self, future: asyncio.Future[str]) -> None:
        """The caller does not wait any more. If the turn was given to it, the next one has it."""
        with self._mutex:
            if self._runner is not future:
                if future in self._waiters:
                    self._waiters.remove(future)
                return
        self.pass_on()

    def _follow_forks(self, caller: object) -> None:
        """In a forked child, other threads of the parent do not exist. The next that asks has the turn."""
        if self._stage == _RUNNING and self._process != os.getpid() and self._runner is not caller:
            self._waiters.clear()
            self._stage, self._runner = _IDLE, None


def _current_task() -> object:
    """The task of the caller; if there is none, something that is no task."""
    try:
        return asyncio.current_task() or object()
    except RuntimeError:
        return object()


def _tell_all(waiters: Iterable[asyncio.Future[str]], what: str) -> None:
    for future in waiters:
        _tell(future, what)


def _tell(future: asyncio.Future[str], what: str) -> bool:
    """Set the result of the future. Returns whether that is possible: whether its loop is open, for one."""

    def set_result() -> None:
        # If it was cancelled since, its task finds that out.
        if not future.done():
            future.set_result(what)

    loop = future.get_loop()
    if future.done():
        return False
    if loop is asyncio._get_running_loop():
        set_result()
        return True
    try:
        loop.call_soon_threadsafe(set_result)
    except RuntimeError:
        return False
    return True
