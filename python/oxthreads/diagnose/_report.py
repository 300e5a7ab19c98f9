"""The words of a report."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from oxthreads.diagnose import _situation
from oxthreads.diagnose._objects import listed, place, thing, why

if TYPE_CHECKING:
    from oxthreads.diagnose._situation import Group, Situation

__all__ = ["all_asleep", "deadlock", "likely_deadlock", "write"]


def deadlock(situation: Situation, group: Group) -> str:
    """A certain deadlock."""
    return _chain(situation, group, f"oxthreads: deadlock: {_what_is_wrong(situation, group)}")


def likely_deadlock(situation: Situation, group: Group) -> str:
    """A deadlock, if nothing is released by another thread than the one that took it."""
    unsure = [number for number in group.core if situation.dependences[number].kind == "likely"]
    calls = [number for number in unsure if number in situation.pending]
    locks = [number for number in unsure if number not in situation.pending]
    conditions = []
    if locks or not calls:
        names = _things(situation, locks) or "what they wait for"
        are = "is" if len(locks) < 2 else "are"
        conditions.append(f"{names} {are} released by whoever took it")
    if calls:
        conditions.append(f"nobody cancels {_things(situation, calls)}")
    first = f"oxthreads: likely deadlock, if {' and '.join(conditions)}:"
    return _chain(situation, group, f"{first} {_what_is_wrong(situation, group)}")


def _things(situation: Situation, numbers: list[int]) -> str:
    """What these threads wait for."""
    return listed([thing(situation, situation.waits[number]) for number in numbers]) if numbers else ""


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
    return f"{name}, {place(frames[0])}" if frames else name


def _waits(situation: Situation, number: int) -> list[str]:
    """A thread, what it waits for, and who has that."""
    waiting = situation.waits[number]
    name = _situation.label(situation.thread(number), number)
    # Since when a thread waits for what the engine does not know is not known either.
    waits = f"has waited {waiting.age:.1f} s" if waiting.sleep else "waits"
    lines = [f"{name} {waits} for {thing(situation, waiting)}"]
    lines += [f"    {place(frame)}" for frame in situation.frames_of(number)[:1]]
    reason = why(situation, number)
    return [*lines, f"  {reason}"] if reason else lines


def write(text: str) -> None:
    """Write to standard error, without locks and buffers. What cannot be written is lost."""
    if sys.__stderr__ is None:
        return  # It was closed at the start. The next file that the program has opened may have its number.
    data = text.encode(errors="backslashreplace")
    try:
        while data:
            data = data[os.write(2, data) :]
    except OSError:
        pass
