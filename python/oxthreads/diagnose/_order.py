"""Lock order: what is said of locks that threads acquire in orders which can deadlock.

The engine keeps the locks that each thread holds, and looks for cycles (src/diagnostics/order/). The
functions here are called by the thread of the watch, while the thread that acquires a lock stands still: then
its `with` statements tell where it has acquired the locks that it holds.
"""

from __future__ import annotations

import atexit
import functools
import gc
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import oxthreads.threading as _threads
from oxthreads import _oxthreads as _native
from oxthreads import _reused_threads
from oxthreads.diagnose import _holders, _objects, _profile_names, _report, _situation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

__all__ = ["findings", "is_on", "listeners", "start", "stop"]

#: A function of a thread: the file, the line, and the name.
_Function = tuple[str, int, str]

#: A lock: what it is, its address, and its name.
_Lock = tuple[str, int, str | None]

#: A step of a cycle, as the engine describes it.
_Described = tuple[int, str | None, _Lock, _Function | None, list[_Function]]

#: Seconds of calculation for which names are searched in all, before there is anything to report.
_NAMES_SECONDS = 1.0

#: For how many of the locks that a thread holds a name is searched at once, the last ones.
_NAMED_AT_ONCE = 3

#: The most reports. Later ones are only counted.
_MOST_REPORTS = 100

#: The most functions of a stack that are shown.
_MOST_FUNCTIONS = 5

#: How many objects are asked for their references at once.
_CHUNK = 10_000


class _Step(NamedTuple):
    """A thread held a lock, and acquired that of the next step."""

    thread: str
    lock: str
    first: _Function | None
    #: Where it acquired the second lock: the functions of the program, the innermost first.
    stack: list[_Function]


_is_on = False
_left_for_names = _NAMES_SECONDS
#: What was reported, by the places in the source.
_reported: dict[frozenset[object], list[_Step]] = {}
#: How many more cycles there were at places that were reported, and at others for which there was no room.
_more = {"same": 0, "other": 0}
#: Called with the text of each report, by the thread of the watch.
listeners: list[Callable[[str], object]] = []


def is_on() -> bool:
    """Whether lock order is watched."""
    return _is_on


def start() -> None:
    """Begin. The thread of the watch runs."""
    global _is_on, _left_for_names  # noqa: PLW0603 - there is one watch in a process
    if _is_on:
        return
    _reported.clear()
    _more.update(same=0, other=0)
    _left_for_names = _NAMES_SECONDS
    _prepare()
    _is_on = True
    _native.start_lock_order(_look, _tell)
    _follow_all()


def stop() -> None:
    """End it, and say what was not reported."""
    global _is_on  # noqa: PLW0603
    if not _is_on:
        return
    _is_on = False
    _, dropped = _native.lock_order_counts()
    _native.stop_lock_order()
    lines = []
    if _more["same"]:
        lines.append(f"{_more['same']} more of these with other locks, at the same lines")
    if _more["other"]:
        lines.append(f"{_more['other']} more, which were not reported after the first {_MOST_REPORTS}")
    if dropped:
        lines.append(f"{dropped} pairs of locks were left out, for want of room")
    if lines:
        _report.write("".join(f"oxthreads: lock order: {line}.\n" for line in lines))


def findings() -> list[list[dict[str, Any]]]:
    """What was reported, as data: for each cycle its steps."""
    return [
        [_data(step, steps[(number + 1) % len(steps)]) for number, step in enumerate(steps)]
        for steps in [*_reported.values()]
    ]


def _data(step: _Step, following: _Step) -> dict[str, Any]:
    return {
        "thread": step.thread,
        "first": step.lock,
        "first_at": step.first and _function(step.first),
        "then": following.lock,
        "stack": [_function(each) for each in step.stack],
    }


def _function(place: _Function) -> dict[str, Any]:
    return {"file": place[0], "line": place[1], "function": place[2]}


# ---- What the thread of the watch is asked


def _look(
    identifier: int, held: list[tuple[str, int]], acquired: tuple[str, int]
) -> tuple[list[_Function | None], list[str | None]]:
    """Where a thread has acquired the locks that it holds, and what these and the next one are called."""
    global _left_for_names  # noqa: PLW0603
    places: dict[int, _Function] = {}
    names: list[str | None] = [None] * (len(held) + 1)
    try:
        with _situation.without_finalizers():
            innermost = sys._current_frames().get(identifier)
            places = _places({address for _, address in held}, innermost)
            frames = _situation.frames_of(innermost)
            locks = [*held, acquired]
            # Most threads hold one other lock. Whoever holds many has told the names of the first before.
            for position in range(len(locks))[-_NAMED_AT_ONCE:]:
                if _left_for_names > 0:
                    begun = time.thread_time()
                    names[position] = _name(locks[position][1], frames)
                    _left_for_names -= time.thread_time() - begun
    except Exception:  # what cannot be found is left out
        pass
    return [places.get(address) for _, address in held], names


def _places(wanted: set[int], frame: FrameType | None) -> dict[int, _Function]:
    """Where the `with` statements are that have acquired these locks. Of several, it is the outermost."""
    found: dict[int, _Function] = {}
    while frame is not None:
        in_frame: dict[int, _Function] = {}
        for value, item in _holders.held_values(frame):
            for address in wanted:
                if address not in in_frame and _situation.is_for_lock(value, address):
                    described = item()
                    function = described.function.rpartition(".")[2]
                    in_frame[address] = (described.filename, described.line, function)
        found.update(in_frame)
        frame = frame.f_back
    return found


def _name(address: int, frames: Iterable[FrameType]) -> str | None:
    found = _situation.object_named(address, frames)
    return _objects.given_name(address) or (found and found[0])


def _tell(identifier: int | None, steps: list[_Described]) -> None:
    """Report a cycle. The thread with this identifier has closed it, and stands still; None: it runs."""
    try:
        with _situation.without_finalizers():
            _report_cycle(identifier, steps)
    except Exception as error:
        _report.write(f"oxthreads: lock order: a report has failed: {type(error).__name__}\n")


def _report_cycle(identifier: int | None, steps: list[_Described]) -> None:
    stacks = [[each for each in step[4] if _situation.is_file_of_program(each[0])] for step in steps]
    key = frozenset(
        (step[3] and step[3][:2], stack[0][:2] if stack else None)
        for step, stack in zip(steps, stacks, strict=True)
    )
    if key in _reported:
        _more["same"] += 1
        return
    if len(_reported) >= _MOST_REPORTS:
        _more["other"] += 1
        return
    frames: list[FrameType] = []
    # If it runs, the locks may be gone, and others at their addresses.
    if identifier is not None:
        frames = [
            *_situation.frames_of(sys._current_frames().get(identifier)),
            *_profile_names.frames_at_end({place[0] for stack in stacks for place in stack}),
        ]
    cycle = [
        _Step(name or f"thread {number}", _called(lock, frames), first, stack)
        for (number, name, lock, first, _), stack in zip(steps, stacks, strict=True)
    ]
    _reported[key] = cycle
    text = _text(cycle)
    _report.write(text)
    for listener in listeners:
        try:
            listener(text)
        except Exception as error:
            _report.write(f"oxthreads: a listener of the watch has failed: {error!r}\n")


def _called(lock: _Lock, frames: list[FrameType]) -> str:
    what, address, name = lock
    return (
        _objects.given_name(address)
        or name
        or _name(address, frames)
        or f"the {_objects.unnamed(what, address)}"
    )


def _text(cycle: list[_Step]) -> str:
    lines = ["oxthreads: lock order: this can deadlock, and has not yet."]
    for number, step in enumerate(cycle):
        second = cycle[(number + 1) % len(cycle)].lock
        then = f" ({_line(step.stack[0])})" if step.stack else ""
        first = f" ({_line(step.first)})" if step.first else ""
        lines.append(f"  {step.thread} took {step.lock}{first}, then {second}{then}")
        lines += [f"      {_shown(each)}" for each in step.stack[:_MOST_FUNCTIONS]]
        left = len(step.stack) - _MOST_FUNCTIONS
        if left > 0:
            lines.append(f"      and {left} more")
    return "\n".join([*lines, "", ""])


def _line(place: _Function) -> str:
    return f"{_objects.file(place[0])}:{place[1]}"


def _shown(place: _Function) -> str:
    source = _holders.line_of_file(place[0], place[1]).strip()
    return f"{_line(place)} in {place[2]}{f':  {source}' if source else ''}"


# ---- The locks that are there already


def _follow_all() -> None:
    """Have all locks followed that the garbage collector knows of. Those that are made later are anyway."""
    with _situation.without_finalizers():
        left: list[Any] = [*gc.get_objects(), sys.modules]
        seen = set(map(id, left))
        while left:
            chunk = left[-_CHUNK:]
            del left[-_CHUNK:]
            for value in gc.get_referents(*chunk):
                kind = type(value)
                if kind is _native.Lock or (kind not in _PLAIN and issubclass(kind, _FOLLOWED)):
                    _native.follow_lock(value)
                # After `gc.freeze`, an object is in none of the lists of the collector. And it leaves out a
                # container in which it has seen nothing that may be in a cycle: a lock may not.
                elif id(value) not in seen and (kind is dict or kind is tuple or gc.is_tracked(value)):
                    seen.add(id(value))
                    left.append(value)


#: The other types of locks that tell of their acquisitions.
_FOLLOWED = (_native.RLock, _native.RWLock)

#: Types of many objects, none of which is a lock.
_PLAIN = frozenset((str, int, float, bytes, bool, type(None), dict, tuple, list, type))


# ---- The order of threads


#: Where a thread object has what happened before its start, and before its end.
_BEGIN, _END = "_oxthreads_begin", "_oxthreads_end"


@functools.cache
def _prepare() -> None:
    """What is done once: starts and joins of threads are noted from now on, and the exit ends it."""
    standard: Any = _threads._StandardThread
    standard.start = _noted_start(standard.start)
    _reused_threads.known_starts.append(standard.start)
    _reused_threads.before_start.append(_note_start)
    standard._bootstrap_inner = _noted_run(standard._bootstrap_inner)
    standard.join = _noted_join(standard.join, standard.is_alive)
    atexit.register(stop)


def _noted_start(start: Callable[[Any], None]) -> Callable[[Any], None]:
    @functools.wraps(start)
    def noted(self: threading.Thread) -> None:
        _note_start(self)
        start(self)

    return noted


def _note_start(thread: threading.Thread) -> None:
    if _is_on:
        _native.dictionary(thread)[_BEGIN] = _native.before_start()


def _noted_run(bootstrap: Callable[[Any], None]) -> Callable[[Any], None]:
    @functools.wraps(bootstrap)
    def noted(self: threading.Thread) -> None:
        begin = _native.dictionary(self).pop(_BEGIN, None)
        if begin is not None:
            _native.follow_thread(begin)
        try:
            bootstrap(self)
        finally:
            if _is_on:
                _native.dictionary(self)[_END] = _native.end_of_thread()

    return noted


def _noted_join(
    join: Callable[..., None], is_alive: Callable[[threading.Thread], bool]
) -> Callable[..., None]:
    @functools.wraps(join)
    def noted(self: threading.Thread, timeout: float | None = None) -> None:
        join(self, timeout)
        end = _native.dictionary(self).get(_END) if _is_on else None
        if end is not None and not is_alive(self):
            _native.follow_thread(end)

    return noted
