"""What is recorded until the process ends, and is written then.

A process ends in three ways in which Python code can still run: by the exit of the interpreter; by
`os._exit`, as the children of `multiprocessing` do; and by SIGTERM.
"""

from __future__ import annotations

import atexit
import functools
import operator
import os
import signal
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import NoReturn

from oxthreads.diagnose import _report, _situation

__all__ = ["PROCESS", "UntilExit", "directory_error", "of_this_process"]

#: What stands for the number of the process in the name of a file.
PROCESS = "{pid}"

#: All that is, or was, recorded in this process until it ends.
_recordings: list[UntilExit] = []
#: The process in which SIGTERM came while something was written.
_terminated_in = 0


def directory_error(file: str) -> str | None:
    """Why there can be no such file; None if nothing is known against it."""
    directory = Path(file).parent
    return None if directory.absolute().is_dir() else f"there is no directory {str(directory)!r}"


def of_this_process(path: Path) -> Path:
    """The file for this process. "{pid}" in the name stands for the number of the process."""
    return path.with_name(path.name.replace(PROCESS, str(os.getpid())))


class UntilExit(ABC):
    """Something that is recorded until the process ends."""

    def __init__(self, what: str) -> None:
        """Begin nothing yet. `what`: what it is, for messages."""
        self._what = what
        self._process = 0
        #: Has one element while it is recorded. Only one thread can take it.
        self._running: list[bool] = []
        self._is_writing = False

    @abstractmethod
    def _begin(self) -> None:
        """Begin to record."""

    @abstractmethod
    def _write(self) -> None:
        """End the recording, and write it."""

    def start(self) -> None:
        """Record from now on until the process ends."""
        self._begin()
        self._note_beginning()
        atexit.register(self._end)
        if not _recordings:
            _write_before_exit()
            _write_before_termination()
        _recordings.append(self)

    def _note_beginning(self) -> None:
        """Note that the recording has begun in this process."""
        self._process = os.getpid()
        self._running = [True]
        self._is_writing = False

    def _end(self) -> None:
        """Write it, unless that was done, or it is that of the parent process, which has forked this one."""
        if os.getpid() != self._process:
            return
        try:
            self._running.pop()
        except IndexError:
            return
        self._is_writing = True
        try:
            self._write()
        except Exception as error:
            _report.write(f"oxthreads: the {self._what} could not be written: {error!r}\n")
        finally:
            self._is_writing = False
            if _terminated_in == self._process:
                _end_all_and_terminate()

    def is_writing_here(self) -> bool:
        """Whether it is being written in this process."""
        return self._is_writing and os.getpid() == self._process


def _end_all() -> None:
    for recording in _recordings:
        recording._end()


def _write_before_exit() -> None:
    """Have everything written before `os._exit`."""
    leave = os._exit

    @functools.wraps(leave)
    def write_and_leave(status: int) -> NoReturn:
        number = operator.index(status)
        try:
            _end_all()
        finally:
            leave(number)

    os._exit = write_and_leave


def _write_before_termination() -> None:
    """Have everything written before SIGTERM ends the process, if the program does not handle that."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        return

    def write_and_terminate(_number: int, _frame: object) -> None:
        global _terminated_in  # noqa: PLW0603 - it is about the process
        if any(recording.is_writing_here() for recording in _recordings):
            _terminated_in = os.getpid()
        else:
            _end_all_and_terminate()

    _situation.expected_handlers.append(write_and_terminate)
    signal.signal(signal.SIGTERM, write_and_terminate)


def _end_all_and_terminate() -> None:
    """Write everything, and end the process by SIGTERM, as if nobody had handled it.

    In another thread than the main one, which is about to call `os._exit`, only the first.
    """
    global _terminated_in  # noqa: PLW0603 - as above
    _terminated_in = 0
    try:
        _end_all()
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)
