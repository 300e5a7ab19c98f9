"""What a child process does: it calls functions for its parent, one after the other."""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import signal
import socket
import sys
import threading
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any

from .._oxthreads import end_with
from ._link import Link, Lost, map_shared, other_end, share
from ._memory import TooLarge
from ._pickles import PICKLERS, load, with_pickle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: The kinds of messages from a child.
RESULT, ERROR, READY, BROKEN = range(4)

#: The most bytes of an initializer and its arguments that go through the pipe by which a child is started.
_LONGEST_IN_PIPE = 16 * 1024

#: The parent has sent a call.
CALL = 0


def main(
    _stack: None,
    ends: tuple[Any, ...],
    pickler: str,
    begin: Beginning,
) -> None:
    """Call what the parent sends, until the parent has ended or wants no more.

    Args:
        _stack: what a `Stack` of the parent becomes here. The first argument, since this process answers
            where it is once it has been unpickled.
        ends: this end of the link to the parent.
        pickler: how results are pickled.
        begin: the initializer.
    """
    link = other_end(ends)
    _live_with_the_parent(link.life)
    if hasattr(os, "register_at_fork"):
        # So that the parent learns of the end of this process, while one that it has forked goes on.
        os.register_at_fork(after_in_child=link.close)
    dumps = PICKLERS[pickler]
    try:
        if begin.initializer is not None:
            try:
                begin.initializer(*begin.arguments)
            except BaseException as error:
                from concurrent.futures import _base  # noqa: PLC0415

                # Where the standard pool tells of it, too.
                _base.LOGGER.critical("Exception in initializer:", exc_info=True)
                link.send(BROKEN, failure(error))
                return
        del begin
        link.send(READY, [b""])
        # The number of the call, which answers have; see _stack.py.
        for number in itertools.count(1):  # noqa: B007
            # In a function, so that nothing of a call is kept until the next one.
            _run_next(link, dumps)
    except Lost:
        pass
    finally:
        link.close()


class Beginning:
    """An initializer and its arguments, as a child that is started gets them.

    multiprocessing writes what a child needs into a pipe. If that is much, and the child ends before it has
    read all of it, the parent would wait forever. So, if it is much, it is in shared memory.
    """

    def __init__(self, initializer: Callable[..., object] | None, arguments: tuple[Any, ...]) -> None:
        self.initializer = initializer
        self.arguments = arguments
        self._descriptor: int | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        message = bytes(ForkingPickler.dumps((self.initializer, self.arguments)))
        if len(message) <= _LONGEST_IN_PIPE or not hasattr(os, "memfd_create"):
            return _beginning, (message,)
        from multiprocessing.reduction import DupFd  # noqa: PLC0415

        self.close()
        self._descriptor, length = share([message])
        return _shared_beginning, (DupFd(self._descriptor), length)

    def close(self) -> None:
        """The child has been started."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _beginning(message: bytes | memoryview) -> Beginning:
    return Beginning(*pickle.loads(message))


def _shared_beginning(descriptor: Any, length: int) -> Beginning:
    return _beginning(map_shared(descriptor.detach(), length)[0])


def _live_with_the_parent(life: socket.socket | None) -> None:
    """Leave Ctrl-C to the parent, and end when it does, whatever this process does then.

    Args:
        life (socket or None): it hangs up when the parent ends.
    """
    # Not SIG_IGN, which the programs that a call starts would inherit.
    signal.signal(signal.SIGINT, _ignore)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # the parent has blocked it for the start
    # A thread is the second choice: programs are warned when they fork a process that has several.
    if life is None or not (_end_by_hangup(life) or end_with(life.fileno())):
        threading.Thread(target=_watch_parent, name="oxthreads parent watch", daemon=True).start()


def _ignore(_number: int, _frame: object) -> None:
    """The handler of Ctrl-C."""


def _end_by_hangup(life: socket.socket) -> bool:
    """From now on, the system kills this process when the socket hangs up. Returns False if it cannot."""
    if sys.platform != "linux":
        return False
    import fcntl  # noqa: PLC0415

    try:
        fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(life, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
    except OSError:
        return False
    try:
        life.recv(1, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    except OSError:
        pass
    os._exit(1)  # it has ended before


def _watch_parent() -> None:
    """End this process when its parent has ended."""
    from multiprocessing import parent_process  # noqa: PLC0415
    from multiprocessing.connection import wait  # noqa: PLC0415

    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _run_next(link: Link, dumps: Callable[[Any], Sequence[Any]]) -> None:
    """Run the next call, and send back what comes of it."""
    kind, answer = _answer(link, dumps)
    try:
        link.send(kind, answer)
    except (OSError, MemoryError) as error:
        # There is no memory for the answer, or no descriptor for it: nothing was sent.
        link.send(ERROR, failure(error))


def _answer(link: Link, dumps: Callable[[Any], Sequence[Any]]) -> tuple[int, Sequence[Any]]:
    """Run the next call. Returns what to send back."""
    try:
        parts = link.receive()[1]
    except TooLarge as error:
        return ERROR, failure(MemoryError(str(error)))
    except OSError as error:
        return ERROR, failure(error)  # of too many files, for example
    try:
        function, arguments, keywords = load(parts)
        del parts
        result = function(*arguments, **keywords)
    except BaseException as error:
        return ERROR, failure(error, dumps)
    try:
        return RESULT, dumps(result)
    except BaseException as error:
        with contextlib.suppress(Exception):
            error.add_note("This was the result of the call, which cannot be sent to the parent process.")
        return ERROR, failure(error)


def failure(error: BaseException, dumps: Callable[[Any], Sequence[Any]] = with_pickle) -> Sequence[Any]:
    """Return a message with the error, and with the text of its traceback as its cause."""
    try:
        text = _traceback(error)
        try:
            message = dumps(_Failure(error, text))
            # Many classes have an __init__ by which they can be pickled, and not unpickled.
            load([memoryview(part) for part in message])
        except Exception as reason:
            told = f"{_described(error)}, which cannot be sent to the parent process: {_described(reason)}"
            message = with_pickle(_Failure(pickle.PicklingError(told), text))
    except MemoryError:
        message = with_pickle(MemoryError())
    return message


class _Failure:
    """An exception, pickled as the standard pool does."""

    def __init__(self, error: BaseException, text: str) -> None:
        self._error = error
        self._text = text

    def __reduce__(self) -> tuple[Any, ...]:
        from concurrent.futures import process  # noqa: PLC0415

        return process._rebuild_exc, (self._error, self._text)


def _traceback(error: BaseException) -> str:
    """Return the text of the traceback, without the frames of this file."""
    import traceback  # noqa: PLC0415

    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames))
    return f'\n"""\n{text}"""'


def _described(error: BaseException) -> str:
    try:
        return f"{type(error).__qualname__}: {error}"
    except Exception:
        return type(error).__qualname__
