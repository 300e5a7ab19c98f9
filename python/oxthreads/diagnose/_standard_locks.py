"""Which of the interpreter's own locks a thread waits for.

Programs have such locks if these were made before the patch, or by code that asks `_thread` for them. The
engine does not know these waits. But then the thread is in a call of ``acquire()`` or at the beginning of a
``with`` statement, and its bytecode says of which object. The text of an `RLock` says who owns it.
"""

from __future__ import annotations

import _thread
import re
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from oxthreads.diagnose import _holders
from oxthreads.diagnose._look_ups import NOTHING, is_one_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

__all__ = ["StandardWait", "keep_only", "wait_of"]

_RLOCK, _LOCK = _thread.RLock, _thread.LockType

#: The owner and the count in the text of an `RLock`. The owner is the identifier of a thread.
_OWNER = re.compile(r" owner=(\d+) count=[1-9]")


class StandardWait(NamedTuple):
    """A thread waits for one of the interpreter's own locks."""

    #: "RLock" or "Lock".
    kind: str
    lock: Any
    #: The identifier of the thread that has an `RLock`. None: it is a `Lock`, and nobody knows.
    owner: int | None
    #: Seconds since a look has found the thread there first.
    age: float


#: When a thread was found in a wait first, by the thread, the lock, and the instruction.
_first_found: dict[tuple[int, int, int], float] = {}


def wait_of(identifier: int, frame: FrameType) -> StandardWait | None:
    """The wait of the thread with this innermost frame, if it waits for a lock that another thread has."""
    offset = frame.f_lasti
    lock: Any = _holders.acquired_in(frame)
    if lock is NOTHING or not is_one_of(type(lock), (_RLOCK, _LOCK)):
        return None
    owner = None
    if type(lock) is _RLOCK:
        found = _OWNER.search(repr(lock))
        if found is None or int(found[1]) == identifier:
            return None
        owner = int(found[1])
    elif not lock.locked():
        return None
    # Another thread may have run meanwhile, and this one, too.
    if sys._current_frames().get(identifier) is not frame or frame.f_lasti != offset:
        return None
    now = time.monotonic()
    since = _first_found.setdefault((identifier, id(lock), offset), now)
    return StandardWait("RLock" if type(lock) is _RLOCK else "Lock", lock, owner, now - since)


def keep_only(identifiers: Iterable[int]) -> None:
    """Forget the waits of all other threads."""
    kept = set(identifiers)
    for key in [key for key in _first_found if key[0] not in kept]:
        del _first_found[key]
