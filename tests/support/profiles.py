"""Profiles that are made up, and the single waits of a page."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, NamedTuple

#: The numbers of no waits.
NO_WAITS: dict[str, Any] = {
    "waits": 0,
    "seconds": 0,
    "p50": 0,
    "p99": 0,
    "max": 0,
    "interpreter_seconds": 0,
}


class Wait(NamedTuple):
    """A single wait: times in nanoseconds; the share of the interpreter is one of 255."""

    begin: int
    length: int
    site: int
    by: int
    interpreter: int


def made_up(objects: Iterable[tuple[str, str, float]], seconds: float = 2.0) -> dict[str, Any]:
    """The data of a profile with one wait for each of these objects.

    Args:
        objects: what was waited for, the name, and the seconds.
        seconds: how long the profile ran.
    """
    rows = []
    for what, name, waited in objects:
        numbers = {**NO_WAITS, "waits": 1, "seconds": waited, "p50": waited, "p99": waited, "max": waited}
        stack = [{"file": "program.py", "line": 1, "function": "wait"}]
        place = {"stack": stack, **numbers, "held": [], "ended_by": []}
        rows.append({"for": what, "object": name, "objects": 1, "idle": False, **numbers, "places": [place]})
    rows.sort(key=lambda row: -row["seconds"])
    return {
        "version": 1,
        "process": 1,
        "seconds": seconds,
        "threads": 2,
        "tasks": 0,
        "waiting": {"waits": len(rows), "seconds": sum(row["seconds"] for row in rows)},
        "idle": {"waits": 0, "seconds": 0},
        "dropped": {
            "most_places": 10_000,
            "waiting": dict(NO_WAITS),
            "idle": dict(NO_WAITS),
            "without_holder_seconds": 0,
        },
        "objects": rows,
    }


def packed(waits: Iterable[tuple[int, int, int, int, int]]) -> bytes:
    """Waits as `Timeline::packed` (src/diagnostics/timeline.rs) describes them."""
    out = bytearray()
    before = 0
    for begin, *numbers, share in waits:
        for number in (begin - before, *numbers):
            rest = number
            while rest >= 0x80:
                out.append(rest & 0x7F | 0x80)
                rest >>= 7
            out.append(rest)
        out.append(share)
        before = begin
    return bytes(out)


def waits_of(thread: dict[str, Any]) -> list[Wait]:
    """The waits of a thread of a timeline."""
    waits = []
    begin = 0
    data = iter(base64.b64decode(thread["packed"]))

    def number() -> int:
        value = shift = 0
        for byte in data:
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        return value

    for _ in range(thread["waits"]):
        begin += number()
        waits.append(Wait(begin, number(), number(), number(), next(data)))
    assert next(data, None) is None
    return waits
