"""The words of a report."""

from __future__ import annotations

import contextlib
import linecache
import os
import select
import stat
import sys
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oxthreads import _oxthreads as _native
from oxthreads.diagnose import _situation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from oxthreads.diagnose._situation import Group, Situation, Waiting

__all__ = ["all_asleep", "deadlock", "file", "likely_deadlock", "set_name", "thing", "why", "write"]

#: What waits are called, by what the engine calls them.
_KINDS = {
    "item of a queue": "an item of",
    "room in a queue": "room in",
    "end of the work of a queue": "the end of the work of",
    "one of several futures": "one of several futures",
    "call for a worker": "a call to run",
    "room in a pool": "room in",
    "start of workers": "the start of workers",
}

#: How long `write` waits until standard error takes something.
_WRITE_SECONDS = 1.0

#: How many bytes a pipe takes without blocking, once it is ready.
_AT_ONCE = getattr(select, "PIPE_BUF", 512)

#: The names that programs have given, by the address of the object.
_given_names: dict[int, tuple[weakref.ref[Any], str]] = {}


def set_name(object: Any, name: str) -> None:
    """Remember the name of an object, for reports; see `oxthreads.diagnose.set_name`."""
    address = _native.address_of(object)
    if address is None:
        raise TypeError(f"{type(object).__name__!r} is not an object that threads wait for in oxthreads")
    if not isinstance(name, str):
        raise TypeError(f"the name must be a string, not {type(name).__name__!r}")
    _given_names[address] = weakref.ref(object, lambda _: _given_names.pop(address, None)), name


def deadlock(situation: Situation, group: Group) -> str:
    """A certain deadlock."""
    return _chain(situation, group, f"oxthreads: deadlock: {_what_is_wrong(situation, group)}")


def likely_deadlock(situation: Situation, group: Group) -> str:
    """A deadlock, if nothing is released by another thread than the one that took it."""
    unsure = [
        situation.waits[number] for number in group.core if situation.dependences[number].kind == "likely"
    ]
    names = _listed([thing(situation, waiting) for waiting in unsure] or ["what they wait for"])
    are = "is" if len(unsure) < 2 else "are"
    first = f"oxthreads: likely deadlock, if {names} {are} released by whoever took it:"
    return _chain(situation, group, f"{first} {_what_is_wrong(situation, group)}")


def all_asleep(situation: Situation) -> str:
    """All threads sleep."""
    count = len(situation.waits)
    subject = "all threads sleep" if count == 1 else f"all {count} threads sleep"
    lines = [f"oxthreads: {subject} without a time-out; only Ctrl-C can end it.", ""]
    for number in sorted(situation.waits):
        lines += _waits(situation, number)
    return "\n".join([*lines, ""])


def _what_is_wrong(situation: Situation, group: Group) -> str:
    if len(group.core) > 1:
        return f"{len(group.core)} threads wait for each other, and nothing else can end it."
    number = group.core[0]
    if situation.dependences[number].reason:
        return "a thread waits for what no thread can give it."
    return "a thread waits for itself, and nothing else can end it."


def _chain(situation: Situation, group: Group, first: str) -> str:
    lines = [first, ""]
    for number in group.core:
        lines += _waits(situation, number)
    if group.behind:
        lines.append("")
        stuck = [_short(situation, number) for number in group.behind]
        lines.append(f"Also stuck behind {'it' if len(group.core) == 1 else 'them'}: {'; '.join(stuck)}")
    return "\n".join([*lines, ""])


def _short(situation: Situation, number: int) -> str:
    name = _situation.label(situation.thread(number), number)
    frames = situation.frames_of(number)
    return f"{name}, {_place(frames[0])}" if frames else name


def _waits(situation: Situation, number: int) -> list[str]:
    """A thread, what it waits for, and who has that."""
    waiting = situation.waits[number]
    name = _situation.label(situation.thread(number), number)
    # Since when a thread waits for an import is not known.
    waits = "waits" if waiting.what == "import" else f"has waited {waiting.age:.1f} s"
    lines = [f"{name} {waits} for {thing(situation, waiting)}"]
    lines += [f"    {_place(frame)}" for frame in situation.frames_of(number)[:1]]
    reason = why(situation, number)
    return [*lines, f"  {reason}"] if reason else lines


def why(situation: Situation, number: int) -> str:  # noqa: PLR0911 - a case for each kind of reason
    """Why a wait has not ended: who has what it waits for, or how that is."""
    waiting, dependence = situation.waits[number], situation.dependences[number]
    owner = dependence.owner
    if dependence.reason == "parent":
        return "which a thread of the parent process has, and that thread does not exist here"
    if dependence.reason == "ended":
        return "whose owner has ended"
    if waiting.what == "import" and owner is not None:
        return f"which {_situation.label(situation.thread(owner), owner)} is doing"
    if waiting.what == "Future" and owner is not None:
        return f"whose call {_situation.label(situation.thread(owner), owner)} runs"
    if owner is not None:
        name = "it itself" if owner == number else _situation.label(situation.thread(owner), owner)
        item = situation.taken.get(number)
        if item is None:
            frames = situation.frames_of(owner) if owner in situation.waits else []
            now = f", now at {_place(frames[0])}" if frames and owner != number else ""
            return f"which {name} took{now}"
        text = f":  {item.text}" if item.text else ""
        function = item.function.rpartition(".")[2]
        return f"which {name} took at {file(item.filename)}:{item.line} in {function}{text}"
    return _state(situation, waiting)


def _state(situation: Situation, waiting: Waiting) -> str:
    """What is known of an object that any thread can complete the wait for."""
    if waiting.what == "Condition":
        missed = _native.last_missed(waiting.address)
        if missed is None or missed[0] < waiting.age:
            return ""
        seconds, filename, line, function = missed
        before = seconds - waiting.age
        place = f"{file(filename)}:{line} in {function}"
        return f"a notification at {place}, {before:.1f} s before this wait, found nobody"
    found = _object(situation, waiting)
    if found is None:
        return ""
    try:
        return _state_of(found[1], waiting.what)
    except Exception:  # what cannot be read is left out
        return ""


def _state_of(value: Any, what: str) -> str:
    # The methods and attributes of the native classes: those of a subclass may run code of the program.
    queue: Any = _native.Queue
    semaphore: Any = _native.Semaphore
    barrier: Any = _native.Barrier
    if isinstance(value, _native.Queue):
        queued = queue.qsize(value)
        unfinished = queue.unfinished_tasks.__get__(value)
        if what == "end of the work of a queue":
            return f"{unfinished} not done: {unfinished - queued} taken, and {queued} queued"
        return f"which has {queued} queued"
    if isinstance(value, _native.Event):
        return "which is not set"
    if isinstance(value, _native.Semaphore):
        return f"which has {semaphore._value.__get__(value)} permits"
    if isinstance(value, _native.Barrier):
        return f"where {barrier.n_waiting.__get__(value)} of {barrier.parties.__get__(value)} threads wait"
    return ""


def _object(situation: Situation, waiting: Waiting) -> tuple[str, Any] | None:
    others = [number for number in situation.waits if number != waiting.thread]
    frames = [frame for number in [waiting.thread, *others[:20]] for frame in situation.frames_of(number)]
    return _situation.object_named(waiting.address, frames)


def thing(situation: Situation, waiting: Waiting) -> str:
    """What a thread waits for, with its name if it has one."""
    if waiting.what == "join":
        number = situation.numbers.get(waiting.address, 0)
        return f"{_situation.label(situation.threads.get(waiting.address), number)} to end"
    if waiting.what == "import":
        return f"the import of {situation.imports[waiting.thread]}"
    if waiting.what == "exit":
        return "the other threads to end, because the interpreter exits"
    given = _given_names.get(waiting.address)
    found = None
    if given is not None and given[0]() is not None:
        name: str | None = given[1]
    else:
        found = _object(situation, waiting)
        name = found[0] if found else None
    kind = _KINDS.get(waiting.what)
    if found is not None and waiting.what in ("Lock", "RLock") and isinstance(found[1], _native.Condition):
        return f"{waiting.what} of {type(found[1]).__name__} {name}"
    if kind is None or waiting.what in ("call for a worker", "start of workers", "one of several futures"):
        return " ".join(filter(None, [kind or waiting.what, name]))
    if found is None:
        found = _object(situation, waiting)
    what = type(found[1]).__name__ if found else waiting.what.rpartition(" ")[2].capitalize()
    return " ".join(filter(None, [kind, what, name]))


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _place(frame: FrameType) -> str:
    """A frame, as "bank.py:14 in pay:  with b.lock:"."""
    code = frame.f_code
    text = linecache.getline(code.co_filename, frame.f_lineno or 0).strip()
    shown = f":  {text}" if text else ""
    return f"{file(code.co_filename)}:{frame.f_lineno} in {code.co_name}{shown}"


def file(filename: str) -> str:
    """The file as the user would name it: relative to the working directory, if it is in there."""
    try:
        here = f"{Path.cwd()}{os.sep}"
    except OSError:
        return filename
    return filename.removeprefix(here)


def write(text: str) -> None:
    """Write to standard error, without locks and buffers. What cannot be written is lost.

    A pipe may be full, and nobody may read it. That must not keep the watch from what it has to do: so
    the rest of the text is lost if standard error takes nothing for a second.
    """
    if sys.__stderr__ is None:
        return  # It was closed at the start. The next file that the program has opened may have its number.
    data = text.encode(errors="backslashreplace")
    try:
        with _standard_error() as descriptor:
            end = time.monotonic() + _WRITE_SECONDS
            while data and _is_ready(descriptor, end - time.monotonic()):
                try:
                    data = data[os.write(descriptor, data[:_AT_ONCE]) :]
                except BlockingIOError:  # another thread or process was faster
                    if time.monotonic() > end:
                        break
                else:
                    end = time.monotonic() + _WRITE_SECONDS
    except OSError:
        pass


@contextlib.contextmanager
def _standard_error() -> Iterator[int]:
    """A descriptor of standard error.

    For a pipe or a terminal it is one that does not block, where the system can open such a thing again.
    The mode of the descriptor itself is no concern of this process: other processes share it.
    """
    mode = os.fstat(2).st_mode
    again = None
    if stat.S_ISFIFO(mode) or (stat.S_ISCHR(mode) and os.isatty(2)):
        with contextlib.suppress(OSError, AttributeError):  # there is no /proc, or it belongs to another user
            again = os.open("/proc/self/fd/2", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        yield 2 if again is None else again
    finally:
        if again is not None:
            os.close(again)


def _is_ready(descriptor: int, seconds: float) -> bool:
    """Wait until the descriptor takes something, or writing to it fails. False: not within that time."""
    if not hasattr(select, "poll"):
        return True
    polling = select.poll()
    polling.register(descriptor, select.POLLOUT)
    return bool(polling.poll(max(0.0, seconds) * 1000))
