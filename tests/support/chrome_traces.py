"""Reads a trace in Chrome's JSON format, and checks what holds for each of them."""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

#: Added to the number of the process, it is that of the tracks of locks.
LOCKS = 1_000_000_000


class Slice(NamedTuple):
    """A slice; times are in microseconds."""

    track: str
    name: str
    begin: float
    end: float
    category: str
    arguments: dict[str, Any]

    def has(self, other: Slice) -> bool:
        """Whether the other is nested in this."""
        return self.track == other.track and self.begin < other.begin and other.end <= self.end


class Flow(NamedTuple):
    """An arrow, with the innermost slices at its ends."""

    name: str
    begin: Slice
    end: Slice


class Timeline:
    """What a trace shows."""

    def __init__(self, path: Path) -> None:
        self.data = json.loads(path.read_text(encoding="utf-8"))
        self.events: list[dict[str, Any]] = self.data["traceEvents"]
        self.names = {
            (event["pid"], event["tid"]): event["args"]["name"]
            for event in self.events
            if event["name"] == "thread_name"
        }
        self._by_track: dict[tuple[int, int], list[Slice]] = defaultdict(list)
        for event in self.events:
            if event["ph"] == "X":
                key = (event["pid"], event["tid"])
                assert event["ts"] >= 0
                assert event["dur"] > 0
                self._by_track[key].append(
                    Slice(
                        self.names[key],
                        event["name"],
                        event["ts"],
                        event["ts"] + event["dur"],
                        event["cat"],
                        event["args"],
                    )
                )
        for slices in self._by_track.values():
            slices.sort(key=lambda each: each.begin)
            check_nesting(slices)
        self.slices = [each for slices in self._by_track.values() for each in slices]
        self.flows = self._flows()
        self.counters = self._counters()
        processes = {event["pid"] for event in self.events}
        assert len({process % LOCKS for process in processes}) == 1
        assert {event["ph"] for event in self.events} <= set("MXsfC")

    def _flows(self) -> list[Flow]:
        ends: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for event in self.events:
            if event["ph"] in "sf":
                ends[event["id"]].append(event)
        flows = []
        for both in ends.values():
            begin, end = sorted(both, key=lambda event: -ord(event["ph"]))  # "s" before "f"
            assert (begin["ph"], end["ph"], end["bp"]) == ("s", "f", "e")
            assert begin["name"] == end["name"]
            assert begin["ts"] <= end["ts"]
            flow = Flow(begin["name"], self._at(begin), self._at(end))
            # Perfetto takes the slice that begins first for the one that the arrow comes from.
            assert flow.begin.begin <= flow.end.begin
            flows.append(flow)
        return flows

    def _at(self, event: dict[str, Any]) -> Slice:
        """The innermost slice at this end of a flow."""
        slices = self._by_track[event["pid"], event["tid"]]
        return [each for each in slices if each.begin <= event["ts"] < each.end][-1]

    def _counters(self) -> dict[str, list[tuple[float, int]]]:
        counters: dict[str, list[tuple[float, int]]] = defaultdict(list)
        for event in self.events:
            if event["ph"] == "C":
                (value,) = event["args"].values()
                counters[event["name"]].append((event["ts"], value))
        for values in counters.values():
            for (before, old), (after, new) in pairwise(values):
                assert before < after
                assert old != new
            assert all(value >= 0 for _, value in values)
        return dict(counters)

    def of(self, category: str, track: str | None = None, name: str | None = None) -> list[Slice]:
        """The slices of this category."""
        return [
            each
            for each in self.slices
            if each.category == category and track in (None, each.track) and name in (None, each.name)
        ]

    def only(self, category: str, track: str | None = None, name: str | None = None) -> Slice:
        """The only such slice."""
        (found,) = self.of(category, track, name)
        return found


def check_nesting(slices: list[Slice]) -> None:
    """Check that these slices of one track, in the order of their beginnings, are nested or apart."""
    open_slices: list[Slice] = []
    last = -1.0
    for each in slices:
        assert each.begin > last, "two begin at the same time"
        last = each.begin
        while open_slices and open_slices[-1].end <= each.begin:
            open_slices.pop()
        assert not open_slices or each.end <= open_slices[-1].end, (open_slices[-1], each)
        open_slices.append(each)
