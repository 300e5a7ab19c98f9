"""The pools of a profile: how long calls waited for a worker and ran, by function; what the workers did."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from oxthreads.diagnose import _profile_names
from oxthreads.diagnose._profile_lengths import Lengths

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["described"]

#: The number of the pool that stands for those for which there was no room (src/diagnostics/pools.rs).
_OTHER_POOLS = 2**64 - 1

#: From here on, the numbers are those of names of groups, and stand for all pools of these groups.
_POOLS_OF_GROUPS = 2**63

#: The most pools for which a name is looked for at the end. A look takes some milliseconds.
_MOST_LOOKS = 50

#: A function: the file, the line, and the name. None: one for which there was no room.
_Function = tuple[str, int, str] | None


class _Calls:
    """Calls that are shown as one: of a function, or of a pool."""

    def __init__(self) -> None:
        self.wait, self.run = Lengths(), Lengths()
        self.counts: Counter[str] = Counter()

    def add(self, found: Any) -> None:
        _, _, wait, run, failed, running, cancelled = found
        self.wait.add(wait)
        self.run.add(run)
        self.counts.update({"failed": failed, "running": running, "cancelled": cancelled})

    def described(self) -> dict[str, Any]:
        return {
            "calls": self.wait.counts.total(),
            **{name: self.counts[name] for name in ("failed", "cancelled", "running")},
            "wait": self.wait.described(),
            "run": self.run.described(),
        }


class _Pool:
    """Pools that are shown as one."""

    def __init__(self) -> None:
        self.objects = self.workers = self.pending = 0
        self.alive = self.idle = self.waited = 0.0
        self.whole = _Calls()
        self.functions: dict[_Function, _Calls] = {}


def described(pools: list[Any], calls: list[Any], frames: list[FrameType]) -> list[dict[str, Any]]:
    """Put the pools of `stop_profile` into the form of docs/profile.schema.json.

    Args:
        pools, calls: see `stop_profile`.
        frames: where to look for the names of pools that nobody waited for.
    """
    shown: dict[str, _Pool] = {}
    names: dict[int, str] = {}
    of_pool: Counter[int] = Counter(found[0] for found in calls)
    pools = [found for found in pools if found[4] or of_pool[found[0]]]
    for number, address, generation, is_there, workers, alive, idle, waited, pending in pools:
        if number == _OTHER_POOLS:
            names[number] = "other pools"
        elif number >= _POOLS_OF_GROUPS:
            names[number] = _profile_names.name_of_group(number - _POOLS_OF_GROUPS)
        else:
            looks = frames if len(names) < _MOST_LOOKS else []
            names[number] = _profile_names.name_of_pool(address, generation, looks, is_there=is_there)
        pool = shown.setdefault(names[number], _Pool())
        pool.objects += 1
        pool.workers += workers
        pool.pending += pending
        pool.alive += alive
        pool.idle += idle
        pool.waited += waited
    for found in calls:
        pool = shown[names[found[0]]]
        pool.whole.add(found)
        pool.functions.setdefault(found[1], _Calls()).add(found)
    rows = [_row(name, pool) for name, pool in shown.items()]
    rows.sort(key=lambda row: -row["wait"]["seconds"])
    return rows


def _row(name: str, pool: _Pool) -> dict[str, Any]:
    functions = [
        {
            "function": function and {"file": function[0], "line": function[1], "function": function[2]},
            **calls.described(),
        }
        for function, calls in pool.functions.items()
    ]
    functions.sort(key=lambda row: -row["wait"]["seconds"])
    return {
        "pool": name,
        "objects": pool.objects,
        "workers": pool.workers,
        "worker_seconds": round(pool.alive, 9),
        "working_seconds": round(max(pool.alive - pool.idle - pool.waited, 0.0), 9),
        "waiting_seconds": round(pool.waited, 9),
        "idle_seconds": round(pool.idle, 9),
        "pending": pool.pending,
        **pool.whole.described(),
        "functions": functions,
    }
