"""The single waits of a profile, put into the form that its page reads."""

from __future__ import annotations

import base64
from typing import Any, TypeAlias

__all__ = ["ShownAt", "described"]

#: Where a site is shown: the name of the object, whether the waits are for work, and the functions of the
#: program.
ShownAt: TypeAlias = tuple[str, bool, tuple[tuple[str, int, str], ...]]


def described(
    found: Any, shown_at: dict[int, ShownAt], sites: int, threads: dict[int, str], data: dict[str, Any]
) -> dict[str, Any]:
    """Put the single waits that `stop_profile` has returned into the form that the page reads.

    Args:
        found: what it has returned.
        shown_at: where the sites are shown, by their numbers. Those for which there was no room are nowhere.
        sites: how many sites there are.
        threads: the names of the threads, by their numbers.
        data: the profile, as docs/profile.schema.json describes it.

    Returns:
        dict: "sites": for each site its object and the place of that, as indices into the data; [-1, -1] for
            those without a place. "threads": for each thread with waits its number, its name, how many waits,
            and these as base64 of what `Timeline::packed` (src/diagnostics/timeline.rs) describes. "names":
            the names of all threads, by their numbers as text. "dropped": what found no room, in seconds.
    """
    waits_of_threads, dropped, dropped_seconds, longest_dropped = found
    indices: dict[ShownAt, list[int]] = {}
    for row_index, row in enumerate(data["objects"]):
        for place_index, place in enumerate(row["places"]):
            stack = tuple((each["file"], each["line"], each["function"]) for each in place["stack"])
            indices[row["object"], row["idle"], stack] = [row_index, place_index]
    nowhere = [-1, -1]
    return {
        "sites": [indices[shown_at[site]] if site in shown_at else nowhere for site in range(sites)],
        "threads": [
            {
                "number": number,
                "name": threads.get(number, f"thread {number}"),
                "waits": count,
                "packed": base64.b64encode(packed).decode(),
            }
            for number, count, packed in waits_of_threads
        ],
        "names": {str(number): name for number, name in sorted(threads.items())},
        "dropped": {
            "waits": dropped,
            "seconds": round(dropped_seconds, 9),
            "longest": round(longest_dropped, 9),
        },
    }
