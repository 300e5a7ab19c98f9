"""What a profile has found, put into the form of docs/profile.schema.json."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

from oxthreads.diagnose import (
    _profile_names,
    _profile_pools,
    _profile_queues,
    _profile_timeline,
    _situation,
)
from oxthreads.diagnose._profile_lengths import percentile

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["VERSION", "described"]

#: The version of the data.
VERSION = 1

#: The most objects for which a name is looked for at the end. A look takes some milliseconds.
_MOST_LOOKS = 200

#: The most sites that the engine keeps (src/diagnostics/profile.rs).
_MOST_SITES = 10_000

#: A function of a thread: the file, the line, and the name.
_Function = tuple[str, int, str]


class _Waits:
    """Waits that are shown as one: for an object, or at a place."""

    def __init__(self) -> None:
        self.lengths: Counter[float] = Counter()
        self.seconds = self.longest = self.interpreter = 0.0
        #: By the place and the thread that freed a lock there: the seconds that others waited for that.
        self.holders: Counter[tuple[_Function | None, str]] = Counter()
        #: By the place and the thread that ended them: how many.
        self.wakers: Counter[tuple[_Function | None, str]] = Counter()

    def add(self, other: _Waits) -> None:
        self.lengths.update(other.lengths)
        self.seconds += other.seconds
        self.longest = max(self.longest, other.longest)
        self.interpreter += other.interpreter
        self.holders.update(other.holders)
        self.wakers.update(other.wakers)

    def described(self) -> dict[str, Any]:
        return {
            "waits": self.lengths.total(),
            "seconds": round(self.seconds, 9),
            "p50": percentile(self.lengths, self.longest, 0.5),
            "p99": percentile(self.lengths, self.longest, 0.99),
            "max": round(self.longest, 9),
            "interpreter_seconds": round(self.interpreter, 9),
        }


class _Object:
    """What is shown as one object."""

    def __init__(self, what: str, *, is_idle: bool) -> None:
        self.what, self.is_idle = what, is_idle
        self.keys: set[_profile_names.Key] = set()
        self.places: dict[tuple[_Function, ...], _Waits] = {}


def described(found: Any) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Put what `stop_profile` has returned into the form of docs/profile.schema.json.

    Returns:
        That, and the single waits as `_profile_timeline.described` returns them, if they were kept.
    """
    seconds, sites, stacks, names, without_holder, pools, calls, queues, queues_dropped, waits_of_threads = (
        found
    )
    threads = {number: name or f"thread {number}" for number, name in names}
    places = [_of_program(stack) for stack in stacks]
    files = {frame[0] for place in places for frame in place}
    files.update(call[1][0] for call in calls if call[1])
    frames = _profile_names.frames_at_end(files)
    numbered = sorted(enumerate(sites), key=lambda each: -each[1][5])
    #: By the number of a site: where it is shown.
    shown_at: dict[int, _profile_timeline.ShownAt] = {}
    objects: dict[tuple[str, bool], _Object] = {}
    dropped = {False: _Waits(), True: _Waits()}
    texts: dict[_profile_names.Key, str] = {}
    for number, site in numbered:
        what, address, generation, stack, is_idle, *_, is_there = site
        waits = _waits(site, places, threads)
        if not what:
            dropped[is_idle].add(waits)
            continue
        key = (what, address, generation)
        if key not in texts:
            texts[key] = _text(key, frames if len(texts) < _MOST_LOOKS else [], is_there=is_there)
        shown = objects.setdefault((texts[key], is_idle), _Object(what, is_idle=is_idle))
        shown.keys.add(key)
        shown.places.setdefault(tuple(places[stack]), _Waits()).add(waits)
        shown_at[number] = (texts[key], is_idle, tuple(places[stack]))
    rows = [_row(text, each) for (text, _), each in objects.items()]
    rows.sort(key=lambda row: (row["idle"], -row["seconds"]))
    data = {
        "version": VERSION,
        "process": os.getpid(),
        "seconds": round(seconds, 9),
        "threads": sum(number < _situation.FIRST_TASK for number in threads),
        "tasks": sum(number >= _situation.FIRST_TASK for number in threads),
        **{
            name: {
                "waits": sum(row["waits"] for row in rows if row["idle"] == is_idle)
                + dropped[is_idle].lengths.total(),
                "seconds": round(
                    sum(row["seconds"] for row in rows if row["idle"] == is_idle) + dropped[is_idle].seconds,
                    9,
                ),
            }
            for name, is_idle in (("waiting", False), ("idle", True))
        },
        "dropped": {
            "most_places": _MOST_SITES,
            "waiting": dropped[False].described(),
            "idle": dropped[True].described(),
            "without_holder_seconds": round(without_holder, 9),
        },
        "objects": rows,
        "pools": _of_pools(pools, calls, frames),
        "queues": _of_queues(queues, sites, frames),
        "queues_dropped": queues_dropped,
    }
    if waits_of_threads is None:
        return data, None
    return data, _profile_timeline.described(waits_of_threads, shown_at, len(sites), threads, data)


def _of_pools(pools: list[Any], calls: list[Any], frames: list[FrameType]) -> list[dict[str, Any]]:
    with _situation.without_finalizers():
        return _profile_pools.described(pools, calls, frames)


def _of_queues(queues: list[Any], sites: list[Any], frames: list[FrameType]) -> list[dict[str, Any]]:
    with _situation.without_finalizers():
        return _profile_queues.described(queues, sites, frames)


def _text(key: _profile_names.Key, frames: list[FrameType], *, is_there: bool) -> str:
    if key[0] == "TaskGroup":
        return _profile_names.name_of_group(key[1])
    if key[0] == "call for a worker" and _profile_names.is_of_groups(key[1]):
        return f"a call to run in {_profile_names.name_of_group(key[1])}"
    with _situation.without_finalizers():
        return _profile_names.name_of(key, frames, is_there=is_there)


def _of_program(stack: list[_Function]) -> list[_Function]:
    """The functions of the program, innermost first. Workers that wait for work are in none."""
    return [frame for frame in stack if _situation.is_file_of_program(frame[0])]


def _waits(site: Any, places: list[list[_Function]], threads: dict[int, str]) -> _Waits:
    *_, seconds, longest, interpreter, lengths, holders, wakers, _is_there = site
    waits = _Waits()
    waits.lengths.update(dict(lengths))
    waits.seconds, waits.longest, waits.interpreter = seconds, longest, interpreter
    for stack, thread, lost in holders:
        place = places[stack][0] if places[stack] else None
        waits.holders[place, threads.get(thread, f"thread {thread}")] += lost
    for stack, thread, count in wakers:
        place = places[stack][0] if places[stack] else None
        waits.wakers[place, threads.get(thread, f"thread {thread}")] += count
    return waits


def _row(text: str, shown: _Object) -> dict[str, Any]:
    whole = _Waits()
    for waits in shown.places.values():
        whole.add(waits)
    places = [
        {
            "stack": [_function(frame) for frame in stack],
            **waits.described(),
            "held": [
                {"place": place and _function(place), "thread": thread, "seconds": round(lost, 9)}
                for (place, thread), lost in waits.holders.most_common()
            ],
            "ended_by": [
                {"place": place and _function(place), "thread": thread, "waits": count}
                for (place, thread), count in waits.wakers.most_common()
            ],
        }
        for stack, waits in shown.places.items()
    ]
    places.sort(key=lambda place: -place["seconds"])
    return {
        "for": shown.what,
        "object": text,
        "objects": len(shown.keys),
        "idle": shown.is_idle,
        **whole.described(),
        "places": places,
    }


def _function(frame: _Function) -> dict[str, Any]:
    return {"file": frame[0], "line": frame[1], "function": frame[2]}
