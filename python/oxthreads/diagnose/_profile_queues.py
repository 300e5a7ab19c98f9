"""The queues of a profile: how long they were over time, and how many items passed through them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from oxthreads.diagnose import _profile_names

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["described"]

#: The most queues for which a name is looked for at the end. A look takes some milliseconds.
_MOST_LOOKS = 50


def described(queues: list[Any], sites: list[Any], frames: list[FrameType]) -> list[dict[str, Any]]:
    """Put the queues of `stop_profile` into the form of docs/profile.schema.json.

    Args:
        queues, sites: see `stop_profile`.
        frames: where to look for the names of queues that nobody waited for.
    """
    waits: Counter[tuple[str, int, int]] = Counter()
    for site in sites:
        waits[site[:3]] += site[5]
    rows: list[dict[str, Any]] = []
    for found in queues:
        address, generation, is_there, capacity, begins, ends, puts, gets, length, greatest, samples = found
        full, empty = (waits[what, address, generation] for what in ("room in a queue", "item of a queue"))
        if puts or gets or full or empty:
            looks = frames if len(rows) < _MOST_LOOKS else []
            rows.append(
                {
                    "queue": _profile_names.name_of_queue(address, generation, looks, is_there=is_there),
                    "capacity": capacity,
                    "begins": round(begins, 9),
                    "seconds": round(ends - begins, 9),
                    "puts": puts,
                    "gets": gets,
                    "length": length,
                    "greatest_length": greatest,
                    "full_seconds": round(full, 9),
                    "empty_seconds": round(empty, 9),
                    "samples": [[round(at, 9), items] for at, items in samples],
                }
            )
    rows.sort(key=lambda row: (-row["full_seconds"], -row["puts"]))
    return rows
