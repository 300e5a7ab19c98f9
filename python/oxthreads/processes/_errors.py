"""The errors of calls in other processes."""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool

__all__ = ["CallTimeout", "WorkerDied"]


class CallTimeout(TimeoutError):
    """A call took longer than it may. The process that ran it was killed.

    It is a :exc:`TimeoutError`, but not the one of ``future.result(timeout)``: that only stops waiting, and
    the call goes on.
    """


class WorkerDied(BrokenProcessPool):
    """The process that ran a call has died: it was killed, has crashed, or has called ``os._exit``.

    Only this call has failed. The pool goes on, with another process in its place. It is a
    :exc:`~concurrent.futures.process.BrokenProcessPool`, so that programs for the standard pool handle it.

    Attributes:
        pid (int or None): the number of the process. None if it is not known.
        exitcode (int or None): what the process has ended with, as in :class:`multiprocessing.Process`: minus
            the number of the signal that has killed it. None if it is not known.
    """

    def __init__(self, message: str, pid: int | None = None, exitcode: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid
        self.exitcode = exitcode

    def __reduce__(self) -> tuple[type[WorkerDied], tuple[object, ...], dict[str, object]]:
        return type(self), (*self.args, self.pid, self.exitcode), self.__dict__
