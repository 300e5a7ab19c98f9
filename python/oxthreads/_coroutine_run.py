"""Work that one coroutine does for all that ask for it, in any event loops of any threads.

It is to coroutines what ``src/primitives/single_run.rs`` is to threads.
"""

from __future__ import annotations

import os

from ._coroutine_wait import current_task, new_wait
from ._oxthreads import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._coroutine_wait import AsyncioWait, TrioWait

    Wait = AsyncioWait | TrioWait

__all__ = ["CLOSED", "DONE", "LATE", "MINE", "CoroutineRun"]

#: What `CoroutineRun.begin` returns: the caller does the work; it was done while the caller waited; it was
#: done before; nobody will do it here.
MINE, DONE, LATE, CLOSED = "mine", "done", "late", "closed"

#: What a waiter is told that must look again.
_AGAIN = "again"

_IDLE, _RUNNING = "idle", "running"

#: How often a waiter is told if something is raised meanwhile, by a signal handler for example.
_ATTEMPTS = 3


# One for all, so that it can be renewed in a forked child: another thread of the parent may have held it. It
# is reentrant, because a garbage collection may begin under it, or a signal handler run.
_mutex = RLock()


def _renew_mutex() -> None:
    global _mutex  # noqa: PLW0603 - renewed as a whole
    _mutex = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_mutex)


class CoroutineRun:
    """Work that is done once at most, and who waits for it."""

    __slots__ = ("_process", "_runner", "_stage", "_waiters")

    def __init__(self) -> None:
        #: One of _IDLE, _RUNNING, DONE and CLOSED.
        self._stage = _IDLE
        #: What stands for the task that has the turn. Or the wait of the one that was given it and has not
        #: run since.
        self._runner: object = None
        #: The process in which the runner began.
        self._process = 0
        #: In their order. A dictionary, because a change of it is one step: between our steps, a garbage
        #: collection may call methods of this object.
        self._waiters: dict[Wait, None] = {}

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
        caller, process = current_task(), os.getpid()
        wait: Wait | None = None
        while True:
            with _mutex:
                self._follow_forks(caller)
                if self._stage == _IDLE:
                    self._stage, self._runner, self._process = _RUNNING, caller, process
                    return MINE
                if self._stage != _RUNNING:
                    return LATE if self._stage == DONE else CLOSED
                if self._runner is caller:
                    raise RuntimeError(
                        f"{name}() is called by itself, in the same task: it would wait for its own result"
                    )
                if wait is not None:
                    self._waiters[wait] = None
            if wait is None:
                # Not under the mutex: code of a program may run here, in a garbage collection, and end the
                # work. So look again after that.
                wait = new_wait()
                continue
            try:
                turn = await wait.told()
                if turn == MINE:
                    with _mutex:
                        if self._runner is wait:
                            self._runner, self._process = caller, process
                        else:  # it has passed on since, because telling it failed halfway
                            turn = _AGAIN
            except BaseException:
                self._leave(wait, caller)
                raise
            if turn != _AGAIN:
                return turn
            wait = None

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
        raised: BaseException | None = None
        others: list[Wait] = []
        while True:
            with _mutex:
                following = self._give_to_running_waiter()
                if following is None:
                    others += self._waiters
                    if keep and not others:
                        return False
                    self._waiters.clear()
                    self._stage, self._runner = _IDLE, None
                    break
            try:
                if following.tell(MINE):
                    break
            except BaseException as error:
                # Of a signal handler, for example. It goes on with the next, and that one looks again.
                raised = error
                others.append(following)
        try:
            _tell_all(others, _AGAIN)
            if raised is not None:
                raise raised
            return following is not None or bool(others)
        finally:
            # Its traceback has this frame.
            del raised

    def _end(self, stage: str) -> None:
        with _mutex:
            self._stage, self._runner = stage, None
            waiters = list(self._waiters)
            self._waiters.clear()
        _tell_all(waiters, stage)

    def _give_to_running_waiter(self) -> Wait | None:
        process = os.getpid()
        # A copy: a garbage collection in between may close a coroutine that waits, and so remove it.
        for wait in list(self._waiters):
            if wait.may_end and wait in self._waiters:
                # Without a call in between, since a garbage collection may begin after each.
                del self._waiters[wait]
                self._stage, self._runner, self._process = _RUNNING, wait, process
                return wait
        return None

    def _leave(self, wait: Wait, caller: object) -> None:
        """The caller does not wait any more. If the turn was given to it, the next one has it."""
        with _mutex:
            if self._runner is not wait and self._runner is not caller:
                self._waiters.pop(wait, None)
                return
        self.pass_on()

    def _follow_forks(self, caller: object) -> None:
        """In a forked child, other threads of the parent do not exist. The next that asks has the turn."""
        if self._stage == _RUNNING and self._process != os.getpid() and self._runner is not caller:
            self._waiters.clear()
            self._stage, self._runner = _IDLE, None


def _tell_all(waiters: Iterable[Wait], what: str) -> None:
    """Tell all of them, whatever a signal handler raises in between. That is raised at the end."""
    remaining = list(waiters)
    remaining.reverse()
    raised: BaseException | None = None
    failures = 0
    while remaining:
        try:
            while remaining:
                remaining[-1].tell(what)
                remaining.pop()
        except BaseException as error:
            raised = error
            failures += 1
            if failures % _ATTEMPTS == 0:
                remaining.pop()
    if raised is not None:
        try:
            raise raised
        finally:
            # Its traceback has this frame.
            del raised
