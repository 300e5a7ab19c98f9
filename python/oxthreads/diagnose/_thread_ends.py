"""How threads have ended: for reports of what such a thread has left behind."""

from __future__ import annotations

import contextlib
import functools
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from oxthreads import _oxthreads as _native
from oxthreads.diagnose import _names

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

__all__ = ["End", "of_thread", "recorded"]

#: The most threads that are remembered, the latest ones.
_MOST = 1000


class End(NamedTuple):
    """How a thread has ended."""

    name: str
    #: The name of the type of the error that it has not handled. Empty if there was none.
    error: str


_ends: dict[int, End] = {}


def of_thread(number: int) -> End | None:
    """How the thread with this number has ended; None if it is not known to have."""
    return _ends.get(number)


def recorded(bootstrap: Callable[[Any], None]) -> Callable[[Any], None]:
    """The method that runs a thread from its first call to its last, with a record of its end."""

    @functools.wraps(bootstrap)
    def run(self: threading.Thread) -> None:
        of_self: Any = self
        show: Any = getattr(self, "_invoke_excepthook", None)
        error = ""

        def noted(thread: threading.Thread) -> None:
            nonlocal error
            kind = sys.exc_info()[0]
            if kind is not None and not issubclass(kind, SystemExit):
                error = _names.name_of_class(kind)
            show(thread)

        if callable(show):
            of_self._invoke_excepthook = noted
        try:
            bootstrap(self)
        finally:
            name = getattr(self, "_name", None)
            _ends[_native.thread_number()] = End(name if type(name) is str else "", error)
            # Another thread may have changed it in between, and then removes as many.
            with contextlib.suppress(RuntimeError, StopIteration):
                while len(_ends) > _MOST:
                    _ends.pop(next(iter(_ends)), None)

    return run
