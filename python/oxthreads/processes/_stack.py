"""Where the call of a child process is, for reports of calls that run for long.

A child cannot be asked by a message: it runs a call, and looks at no message meanwhile. So it is asked by a
signal. Its handler is a function in Python, which runs between two instructions of the call and writes the
functions of the call into memory without a name, where the parent reads them. A call in C answers when that
looks at signals, as waits in Python do, or when it ends.

:mod:`faulthandler` would answer for calls in C as well. But before Python 3.14 it may read the functions
while the interpreter changes them, and crash the child. On systems without such memory or without real-time
signals (macOS, Windows) nothing is told.
"""

from __future__ import annotations

import marshal
import os
import signal
import struct
import sys
import time
import traceback
from multiprocessing.reduction import DupFd
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

    from ..threading import RLock
    from ._worker import Child

#: The signal. Systems leave these to programs; the first ones are those that programs use most.
_QUESTION = signal.SIGRTMIN + 7 if sys.platform == "linux" else 0

#: What the memory begins with. By the parent: the numbers of the question and of the call that it is about.
#: By the child: the number of the question that it has answered, and the length of the answer, which follows.
_ASKED, _ANSWERED = struct.Struct("=QQ"), struct.Struct("=QQ")

#: The files of this package.
_OWN = os.path.join(os.path.dirname(__file__), "")  # noqa: PTH118, PTH120 - as code has it

#: How long a child has for an answer, in seconds. One in C may not answer.
_LONGEST_ANSWER = 1.0

#: The child waits for its first call; see `_child.main`.
STARTING = 0


class Stack:
    """The parent's side: it asks one child where its call is. Only one thread at a time may use it.

    Args:
        changing: held while the memory is used, so that nobody closes it then, or forks this process.
    """

    def __init__(self, changing: RLock) -> None:
        self._changing = changing
        self._asked = 0
        self._descriptor: int | None = None
        if _QUESTION and hasattr(os, "memfd_create"):
            self._descriptor = os.memfd_create("oxthreads stack")
            os.ftruncate(self._descriptor, _ASKED.size + _ANSWERED.size)

    def __reduce__(self) -> tuple[Any, ...]:
        """For the child, while that is started."""
        return _answer_questions, (None if self._descriptor is None else DupFd(self._descriptor),)

    def ask(self, pid: int, call: int) -> bool:
        """Ask the child where its call is. The caller holds `changing`, and the child exists.

        Args:
            pid: the number of its process.
            call: the number of the call, or STARTING.

        Returns:
            bool: whether it may answer.
        """
        # A program may have taken the handler away. Then the signal would kill the process.
        if self._descriptor is None or not _has_handler(pid):
            return False
        self._asked += 1
        os.pwrite(self._descriptor, _ASKED.pack(self._asked, call), 0)
        os.kill(pid, _QUESTION)
        return True

    def answer(self) -> traceback.StackSummary | None:
        """Return the answer to the last question, the outermost function first; None if there is none yet."""
        with self._changing:
            if self._descriptor is None:
                return None
            header = os.pread(self._descriptor, _ANSWERED.size, _ASKED.size)
            answered, length = _ANSWERED.unpack(header)
            if answered != self._asked:
                return None
            text = os.pread(self._descriptor, length, _ASKED.size + _ANSWERED.size)
        # The text of a line is read when it is asked for.
        return traceback.StackSummary.from_list(
            [traceback.FrameSummary(*entry, lookup_line=False) for entry in marshal.loads(text)]
        )

    def close(self) -> None:
        """The child has ended. May be called again."""
        with self._changing:
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                os.close(descriptor)


class Question:
    """Asks the child of a worker where its call is."""

    def __init__(self, child: Child | None) -> None:
        #: The number of its process, and the name of the function. Without a child it is this process, where
        #: the worker's thread shows what it does: it starts a child, for example, or runs a done callback.
        self.process = os.getpid()
        self.function: str | None = None
        self._stack: Stack | None = None
        self._ends = time.monotonic() + _LONGEST_ANSWER
        if child is not None:
            call, function, pid = child.calls, child.function, child.pid
            if function is not None:
                from ..diagnose._names import name_of_function  # noqa: PLC0415 - for reports only

                self.function = name_of_function(function)
            if pid is not None:
                self.process = pid
                self._stack = child.ask(STARTING if function is None else call)

    def answer(self) -> traceback.StackSummary | None:
        """Return the functions, the outermost one first; nothing if they are not told; None: not yet."""
        answer = traceback.StackSummary() if self._stack is None else self._stack.answer()
        return traceback.StackSummary() if answer is None and time.monotonic() >= self._ends else answer


def _has_handler(pid: int) -> bool:
    """Whether the process has a handler for the question."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:  # noqa: PTH123 - without an import of pathlib
            status = file.read()
    except OSError:
        return False
    caught = status.partition(b"\nSigCgt:")[2].split(maxsplit=1)
    return bool(caught) and bool(int(caught[0], 16) >> (_QUESTION - 1) & 1)


def _answer_questions(descriptor: Any) -> None:
    """In the child: from now on, it answers, into the memory with this descriptor."""
    if descriptor is None:
        return
    memory = descriptor.detach()
    os.set_inheritable(memory, False)
    is_answering = False

    def answer(_: int, frame: FrameType | None) -> None:
        nonlocal is_answering
        # The handler may be interrupted by the next question. Then it goes round once more.
        if is_answering:
            return
        is_answering = True
        try:
            answered = 0
            while (asked := _ASKED.unpack(os.pread(memory, _ASKED.size, 0))) and asked[0] != answered:
                answered, call = asked
                text = marshal.dumps(_functions(frame, call))
                os.pwrite(memory, text, _ASKED.size + _ANSWERED.size)
                os.pwrite(memory, _ANSWERED.pack(answered, len(text)), _ASKED.size)
        except Exception as error:
            # The call does not notice. But another handler may have run inside of this one, for a time limit
            # of the program, and what that raises is for the call.
            if not _is_raised_here(error):
                raise
        finally:
            is_answering = False

    signal.signal(_QUESTION, answer)
    # The parent may have blocked it, for itself.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {_QUESTION})


def _is_raised_here(error: Exception) -> bool:
    """Whether a function of this file has raised the error, or one in C that it has called."""
    place = error.__traceback__
    while place is not None and place.tb_frame.f_code.co_filename == __file__:
        place = place.tb_next
    return place is None


def _functions(frame: FrameType | None, call: int) -> list[tuple[str, int | None, str]]:
    """The functions of the call with this number, the outermost first. None if it runs no more."""
    found, number = [], STARTING
    while frame is not None:
        code = frame.f_code
        if code.co_name == "main" and code.co_filename.startswith(_OWN):
            number = frame.f_locals.get("number", STARTING)
        found.append((code.co_filename, frame.f_lineno, code.co_name))
        frame = frame.f_back
    if number != call:
        return []
    found.reverse()
    # It begins inside of the first functions of this package.
    begin = next((place for place, entry in enumerate(found) if entry[0].startswith(_OWN)), 0)
    while begin < len(found) and found[begin][0].startswith(_OWN):
        begin += 1
    return found[begin:]
