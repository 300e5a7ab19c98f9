"""What a child process does: it calls functions for its parent, one after the other."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from typing import TYPE_CHECKING, Any

from .._oxthreads import end_with, end_with_parent_thread
from ._link import Link, Lost, other_end
from ._pickles import PICKLERS, load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: The kinds of messages from a child.
RESULT, ERROR, READY, BROKEN = range(4)

_PROTOCOL = 5

#: The parent has sent a call.
CALL = 0


def main(
    ends: tuple[Any, ...],
    method: str,
    pickler: str,
    initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...],
) -> None:
    """Call what the parent sends, until the parent has ended or wants no more."""
    _ignore_interrupts()
    link = other_end(ends)
    _end_with_parent(link, method)
    if hasattr(os, "register_at_fork"):
        # So that the parent learns of the end of this process, while one that it has forked goes on.
        os.register_at_fork(after_in_child=link.close)
    dumps = PICKLERS[pickler][1]
    try:
        if initializer is not None:
            try:
                initializer(*initargs)
            except BaseException as error:
                from concurrent.futures import _base  # noqa: PLC0415

                # Where the standard pool tells of it, too.
                _base.LOGGER.critical("Exception in initializer:", exc_info=True)
                link.send(BROKEN, failure(error))
                return
        del initializer, initargs
        link.send(READY, [b""])
        while True:
            # In a function, so that nothing of a call is kept until the next one.
            link.send(*_answer(link, dumps))
    except Lost:
        pass


def _ignore_interrupts() -> None:
    """Leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # the parent has blocked it for the start


def _end_with_parent(link: Link, method: str) -> None:
    """End when the parent does, whatever this process does then."""
    if method == "spawn" and end_with_parent_thread():
        return
    # The process that has started this one may be another than the parent.
    lifeline = link.lifeline
    if lifeline is None or not end_with(lifeline):
        threading.Thread(target=_watch_parent, name="oxthreads parent watch", daemon=True).start()


def _watch_parent() -> None:
    """End this process when its parent has ended."""
    from multiprocessing import parent_process  # noqa: PLC0415
    from multiprocessing.connection import wait  # noqa: PLC0415

    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _answer(link: Link, dumps: Callable[[Any], Sequence[Any]]) -> tuple[int, Sequence[Any]]:
    """Run the next call. Returns what to send back."""
    parts = link.receive()[1]
    try:
        function, arguments, keywords = load(parts)
        del parts
        result = function(*arguments, **keywords)
    except BaseException as error:
        return ERROR, failure(error)
    try:
        return RESULT, dumps(result)
    except BaseException as error:
        error.add_note("This was the result of the call, which cannot be sent to the parent process.")
        return ERROR, failure(error)


def failure(error: BaseException) -> Sequence[Any]:
    """Return a message with the error, and with the text of its traceback as its cause."""
    try:
        text = _traceback(error)
        try:
            message = pickle.dumps(_Failure(error, text), _PROTOCOL)
            # Many classes have an __init__ by which they can be pickled, and not unpickled.
            pickle.loads(message)
        except Exception as reason:
            told = f"{_described(error)}, which cannot be sent to the parent process: {_described(reason)}"
            message = pickle.dumps(_Failure(pickle.PicklingError(told), text), _PROTOCOL)
    except MemoryError:
        message = pickle.dumps(MemoryError(), _PROTOCOL)
    return [message]


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
