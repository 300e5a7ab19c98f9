"""Where the call of a child process is, for reports of calls that run for long.

A child cannot be asked by a message: it runs a call, and looks at no message meanwhile. And a call in C may
hold its GIL. So it is asked by a signal, and :mod:`faulthandler` writes the functions of the call from the
handler, in C, into memory without a name that the parent reads. On systems without such memory or without
real-time signals (macOS, Windows) nothing is told.
"""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import sys
import time
import traceback
from multiprocessing.reduction import DupFd
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..threading import RLock

#: The signal. Systems leave these to programs; the first ones are those that programs use most.
_QUESTION = signal.SIGRTMIN + 7 if sys.platform == "linux" else 0

#: How long a child has for its answer, in seconds, and the time between two looks. One that the system has
#: stopped does not answer.
_PATIENCE, _BETWEEN_LOOKS = 1.0, 0.001

#: What a child writes once it can be asked.
_READY = b"\n"

#: faulthandler writes no more functions, and so the most bytes of an answer.
_MOST_FUNCTIONS, _LONGEST_ANSWER = 100, 1 << 20

#: The line of a function, as faulthandler writes it.
_LINE = re.compile(rb'^  File "(.*)", line (\d+|\?\?\?) in (.*)$', re.MULTILINE)

#: A character that it does not write as it is.
_ESCAPED = re.compile(r"\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}")

#: The files of this package. What is outside of the first of its functions is no part of the call.
_OWN = os.path.join(os.path.dirname(__file__), "")  # noqa: PTH118, PTH120 - as code has it


class Stack:
    """The parent's side: it asks one child where its call is.

    Args:
        changing: held while the memory is used, so that nobody closes it then, or forks this process.
    """

    def __init__(self, changing: RLock) -> None:
        self._changing = changing
        self._descriptor: int | None = None
        if _QUESTION and hasattr(os, "memfd_create"):
            self._descriptor = os.memfd_create("oxthreads stack")

    def __reduce__(self) -> tuple[Any, ...]:
        """For the child, while that is started."""
        return _answer_questions, (None if self._descriptor is None else DupFd(self._descriptor),)

    def ask(self, send: Callable[[int], bool]) -> traceback.StackSummary:
        """Return where the call is, the outermost function first. Nothing if the child does not tell.

        Args:
            send: sends the child a signal. It returns False if the child runs no call.

        Raises:
            OSError: the child has ended meanwhile.
        """
        end = time.monotonic() + _PATIENCE
        with self._changing:
            # A child that does not answer yet would be killed by the signal.
            if self._descriptor is None or not os.pread(self._descriptor, 1, 0):
                return traceback.StackSummary()
            # What is written is also the sign that it answers.
            os.ftruncate(self._descriptor, len(_READY))
            os.lseek(self._descriptor, len(_READY), os.SEEK_SET)  # the child has the same position
            if not send(_QUESTION):
                return traceback.StackSummary()
        while True:
            with self._changing:
                if self._descriptor is None:
                    return traceback.StackSummary()
                answer = os.pread(self._descriptor, _LONGEST_ANSWER, 0)
            if _is_complete(answer) or time.monotonic() >= end:
                return _parsed(answer)
            time.sleep(_BETWEEN_LOOKS)

    def close(self) -> None:
        """The child has ended. May be called again."""
        with self._changing:
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                os.close(descriptor)


def _answer_questions(descriptor: Any) -> None:
    """In the child: from now on, it answers, into the memory with this descriptor."""
    if descriptor is not None:
        number = descriptor.detach()
        os.set_inheritable(number, False)
        faulthandler.register(_QUESTION, file=number, all_threads=False, chain=False)
        os.pwrite(number, _READY, 0)


def _is_complete(answer: bytes) -> bool:
    """Whether all functions were written: the last ones are those of this package, or were left out."""
    found = [*_LINE.finditer(answer)]
    return answer.endswith(b"\n") and (len(found) >= _MOST_FUNCTIONS or any(map(_is_own, found)))


def _is_own(match: re.Match[bytes]) -> bool:
    return _text(match[1]).startswith(_OWN)


def _parsed(answer: bytes) -> traceback.StackSummary:
    found = []
    for match in _LINE.finditer(answer):
        if _is_own(match):
            break
        # Its text is read when it is asked for.
        line = int(match[2]) if match[2].isdigit() else None
        found.append(traceback.FrameSummary(_text(match[1]), line, _text(match[3]), lookup_line=False))
    found.reverse()
    return traceback.StackSummary.from_list(found)


def _text(written: bytes) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[0][2:], 16)), written.decode("ascii", "replace"))
