"""A wait as data, as docs/inspection.schema.json describes it, and as text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from oxthreads.diagnose import _objects, _situation

if TYPE_CHECKING:
    from oxthreads.diagnose._situation import Situation

__all__ = ["described", "named", "short", "text"]


def described(situation: Situation, number: int) -> dict[str, Any]:
    """The wait of this thread or task."""
    waiting, dependence = situation.waits[number], situation.dependences[number]
    owner, item = dependence.owner, situation.taken.get(number)
    taken = {"file": item.filename, "line": item.line, "function": item.function} if item else None
    ends = waiting.ends
    return {
        "for": waiting.what,
        "object": _objects.thing(situation, waiting),
        "seconds": round(waiting.age, 3),
        "seconds_left": None if ends == math.inf else ends,
        "ended_by_scope": ends not in (math.inf, waiting.left),
        "owner": named(situation, owner) if owner else None,
        "taken_at": taken,
        "state": _objects.why(situation, number) or None,
    }


def named(situation: Situation, number: int) -> dict[str, Any]:
    """A thread."""
    return {"number": number, "name": _situation.label(situation.thread(number), number)}


def text(wait: dict[str, Any] | None, *, has_interpreter: bool = True) -> str:
    """What a thread does, of which this is known."""
    if wait is None:
        return "runs" if has_interpreter else "is not waiting"
    what = wait["object"] or wait["for"]
    left = "" if wait["seconds_left"] is None else f", for {wait['seconds_left']:.1f} s more at most"
    if wait.get("ended_by_scope"):
        left += " (the deadline of a scope)"
    state = f", {wait['state']}" if wait["state"] else ""
    return f"{_waits(wait)} for {what}{left}{state}"


def short(wait: dict[str, Any] | None) -> str:
    """The same without what is known of the thing that it waits for."""
    return f"{_waits(wait)} for {wait['object'] or wait['for']}" if wait else "runs"


def _waits(wait: dict[str, Any]) -> str:
    return "waits" if wait["seconds"] is None else f"has waited {wait['seconds']:.1f} s"
