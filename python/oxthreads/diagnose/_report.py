"""The words of a report."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import sys
import time
from typing import TYPE_CHECKING

from oxthreads.diagnose import _group_tree
from oxthreads.diagnose._objects import listed, place, place_of, tell_apart, thing, why
from oxthreads.diagnose._situation import is_file_of_program

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from oxthreads.diagnose._situation import Group, Situation

__all__ = ["all_asleep", "deadlock", "likely_deadlock", "write"]

#: How long `write` waits until standard error takes something.
_WRITE_SECONDS = 1.0

#: The most tasks of event loops that are shown.
_MOST_TASKS = 20

#: How many bytes a pipe takes without blocking, once it is ready.
_AT_ONCE = getattr(select, "PIPE_BUF", 512)


def deadlock(situation: Situation, group: Group) -> str:
    """A certain deadlock."""
    tell_apart(situation, group.core)
    return _chain(situation, group, f"oxthreads: deadlock: {_what_is_wrong(situation, group)}")


def likely_deadlock(situation: Situation, group: Group) -> str:
    """A deadlock, if nothing is released by another thread than the one that took it."""
    tell_apart(situation, group.core)
    unsure = [number for number in group.core if situation.dependences[number].kind == "likely"]
    calls = [number for number in unsure if number in situation.pending]
    locks = [number for number in unsure if number not in situation.pending]
    conditions = []
    if locks or not calls:
        names = _things(situation, locks) or "what they wait for"
        are = "is" if len(locks) < 2 else "are"
        conditions.append(f"{names} {are} released by whoever took it")
    if calls:
        conditions.append(f"nobody cancels {_things(situation, calls) or 'the calls'}")
    first = f"oxthreads: likely deadlock, if {' and '.join(conditions)}:"
    return _chain(situation, group, f"{first} {_what_is_wrong(situation, group)}")


def _things(situation: Situation, numbers: list[int]) -> str:
    """What these threads wait for."""
    try:
        return listed([thing(situation, situation.waits[number]) for number in numbers]) if numbers else ""
    except Exception:  # see `_waits`
        return ""


def all_asleep(situation: Situation) -> str:
    """All threads sleep."""
    tell_apart(situation, situation.waits)
    count = len(situation.waits)
    subject = "all threads sleep" if count == 1 else f"all {count} threads sleep"
    # Programs that a shell starts in the background ignore it.
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    what = "nothing in the program" if is_ignored else "only Ctrl-C"
    lines = [f"oxthreads: {subject} without a time-out; {what} can end it.", ""]
    for number in sorted(situation.waits):
        lines += _waits(situation, number)
    tasks = _with_tasks(situation)
    for number in [*tasks.tasks][:_MOST_TASKS]:
        lines += _waits(tasks, number)
    lines += _groups(situation, situation.waits)
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
    tasks = _with_tasks(situation)
    stuck_threads = {*group.core, *group.behind}
    waiting = [number for number in tasks.tasks if tasks.dependences[number].owner in stuck_threads]
    if waiting:
        lines.append("")
        shown = [_short(tasks, number) for number in waiting[:_MOST_TASKS]]
        if len(waiting) > len(shown):
            shown.append(f"and {len(waiting) - len(shown)} more tasks")
        lines.append(f"Tasks that wait for what these threads have: {'; '.join(shown)}")
    lines += _groups(situation, stuck_threads)
    return "\n".join([*lines, ""])


def _groups(situation: Situation, threads: Container[int]) -> list[str]:
    """The groups of tasks that have to do with these threads, as trees."""
    if not situation.task_groups.roots:
        return []
    try:
        groups = _group_tree.described(situation)
        trees = _group_tree.lines([group for group in groups if _group_tree.concerns(group, threads)])
    except Exception as error:  # see `_waits`
        trees = [f"The groups of tasks cannot be told: {type(error).__name__}"]
    return ["", "Groups of tasks:", *trees] if trees else []


def _with_tasks(situation: Situation) -> Situation:
    """The situation with the tasks that wait; without them, if they cannot be found."""
    try:
        return situation.with_tasks()
    except Exception:  # see `_waits`
        return situation


def _short(situation: Situation, number: int) -> str:
    name = situation.label(number)
    try:
        places = _places(situation, number)
        return f"{name}, {places[0]}" if places else name
    except Exception:  # see `_waits`
        return name


def _waits(situation: Situation, number: int) -> list[str]:
    """A thread, what it waits for, and who has that.

    A deadlock must be reported, and ended if that was asked for, even if something of it cannot be told.
    """
    name = situation.label(number)
    try:
        return _told(situation, number, name)
    except Exception as error:
        return [f"{name} waits (what for cannot be told: {type(error).__name__})"]


def _places(situation: Situation, number: int) -> list[str]:
    """Where a thread or a task waits in the program, if that is known."""
    task = situation.tasks.get(number)
    if task is None:
        return [place(frame) for frame in situation.frames_of(number)[:1]]
    of_program = [each for each in task.stack if is_file_of_program(each[0])]
    return [place_of(*each) for each in of_program[:1]]


def _told(situation: Situation, number: int, name: str) -> list[str]:
    waiting = situation.waits[number]
    # Since when a thread waits for what the engine does not know is not known either.
    task = situation.tasks.get(number)
    is_known = waiting.sleep and not (task and task.age is None)
    waits = f"has waited {waiting.age:.1f} s" if is_known else "waits"
    lines = [f"{name} {waits} for {thing(situation, waiting)}"]
    lines += [f"    {each}" for each in _places(situation, number)]
    reason = why(situation, number)
    return [*lines, f"  {reason}"] if reason else lines


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
