"""Coroutines that wait for objects of oxthreads: what a report knows of them.

No thread sleeps in such a wait, and it is no part of a deadlock: the task may be cancelled. With a GIL, the
frames of the task are looked at, also for the name of what it waits for. Without one, its event loop may go
on with it at any time; then only what the wait has noted is known.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from types import AsyncGeneratorType, CoroutineType, FrameType, FunctionType, GeneratorType
from typing import Any, NamedTuple

from oxthreads import _oxthreads as _native
from oxthreads.diagnose._look_ups import in_classes, mro_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST_OBJECTS", "Facts", "Task", "all_waiting"]

#: The most objects that are looked at, if only some are wanted.
MOST_OBJECTS = 100

#: The most functions of a task that are looked at.
_DEEPEST = 100

_NAMES = {
    CoroutineType: ("cr_frame", "cr_await"),
    GeneratorType: ("gi_frame", "gi_yieldfrom"),
    AsyncGeneratorType: ("ag_frame", "ag_await"),
}


class Facts(NamedTuple):
    """What the engine knows of the object that a coroutine waits for; see `_oxthreads.Pin`."""

    owner: int | None
    holders: tuple[bool, list[int], int | None] | None
    pending: tuple[int, str] | None
    arms: list[tuple[str, int]]


class Task(NamedTuple):
    """A task whose coroutine waits."""

    name: str
    #: The number of the thread that runs it.
    thread: int | None
    what: str
    address: int
    #: For how many seconds. None: it had begun before waits were recorded.
    age: float | None
    facts: Facts
    #: The functions that it is in, the innermost first: file, line, name.
    stack: list[tuple[str, int, str]]
    #: The same as frames; empty without a GIL.
    frames: list[FrameType]


def all_waiting(
    *, has_gil: bool, kept: list[object], is_wanted: Callable[[str, int], bool] | None = None
) -> list[Task]:
    """The tasks that wait now, those that have waited longest first.

    Args:
        has_gil: whether there is a GIL.
        kept: gets everything of the program that was looked at. A task may end meanwhile, and then this
            function has the last reference to it. The caller drops that where code of the program may run.
        is_wanted: called with what is waited for and its address. Only wanted objects are looked at, each
            with one of its tasks, and `MOST_OBJECTS` of them.
    """
    found: list[Task] = []
    coroutines = _native.waiting_coroutines()
    kept.append(coroutines)
    looked_at: set[tuple[str, int]] = set()
    for task, event_loop, thread, (what, address), age, owner, holders, pending, arms, noted in coroutines:
        if is_wanted is not None:
            if len(looked_at) == MOST_OBJECTS:
                break
            if (what, address) in looked_at or not is_wanted(what, address):
                continue
            looked_at.add((what, address))
        if event_loop is not None and _is_closed(event_loop):
            continue
        frames = _frames(_coroutine(task), kept) if has_gil else []
        stack = noted or [
            (each.f_code.co_filename, each.f_lineno or 0, each.f_code.co_name) for each in frames
        ]
        facts = Facts(owner, holders, pending, arms)
        found.append(Task(_name(task), thread, what, address, age, facts, stack, frames))
    return sorted(found, key=lambda each: -(each.age or 0.0))


def _is_closed(event_loop: Any) -> bool:
    """Whether the loop is closed, as far as that can be asked without code of the program."""
    method = in_classes(mro_of(type(event_loop)), "is_closed")
    base = getattr(sys.modules.get("asyncio.base_events"), "BaseEventLoop", object)
    is_known = type(method) is not FunctionType or method is in_classes((base,), "is_closed")
    with contextlib.suppress(Exception):
        return is_known and bool(method(event_loop))
    return False


def _is_of_asyncio(task: object) -> bool:
    base = getattr(sys.modules.get("asyncio.tasks"), "Task", None)
    return isinstance(base, type) and base in mro_of(type(task))


def _name(task: Any) -> str:
    """The name of a task, by no code of the program."""
    name = None
    with contextlib.suppress(Exception):
        if _is_of_asyncio(task):
            name = sys.modules["asyncio.tasks"].Task.get_name(task)
        else:
            name = object.__getattribute__(task, "name")
    return name if type(name) is str else "?"


def _coroutine(task: Any) -> Any:
    with contextlib.suppress(Exception):
        if _is_of_asyncio(task):
            return sys.modules["asyncio.tasks"].Task.get_coro(task)
        return object.__getattribute__(task, "coro")
    return None


def _frames(coroutine: Any, kept: list[object]) -> list[FrameType]:
    """The frames of a suspended coroutine and of what it awaits, innermost first; see `all_waiting`."""
    frames: list[FrameType] = []
    kept.append(frames)
    awaited = coroutine
    for _ in range(_DEEPEST):
        if awaited is None:
            break
        kept.append(awaited)
        names = _NAMES.get(type(awaited))
        if names is None:
            # The step of an asynchronous generator, or what a coroutine's `__await__` returns.
            behind = gc.get_referents(awaited)
            kept.append(behind)
            behind = [each for each in behind if type(each) in _NAMES]
            if type(awaited).__name__ not in _WRAPPERS or len(behind) != 1:
                break
            awaited = behind[0]
            continue
        frame = getattr(awaited, names[0])
        if frame is not None:
            frames.append(frame)
        awaited = getattr(awaited, names[1])
    return frames[::-1]


#: What stands for a coroutine or an asynchronous generator that is awaited.
_WRAPPERS = ("coroutine_wrapper", "async_generator_asend", "async_generator_athrow", "anext_awaitable")
