"""Kills: the processes of a pool of processes are killed at any moment, while threads submit calls."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator

from tests.stress.attack import Attack, Program

#: The most seconds for the start of the child, and for each kill.
_START, _EACH = 120.0, 0.5

#: A new seed each time, for a run that is not asked for by name.
_SEED = int(time.time())

_NAME = "kills, seed "


def _program(seed: int, count: int) -> Program:
    return Program(
        name=f"{_NAME}{seed}",
        arguments=("-m", "tests.stress.inside.kills", str(count), str(seed)),
        counts=count,
        seconds=_START + _EACH * count,
    )


def _programs(count: int) -> Iterator[Program]:
    if "forkserver" in multiprocessing.get_all_start_methods():
        yield _program(_SEED, count)


def _named(name: str, count: int) -> Program | None:
    seed = name.removeprefix(_NAME)
    return _program(int(seed), count) if seed != name and seed.isdecimal() else None


ATTACKS = [
    Attack(
        name="kills",
        about="kills of processes of a pool, which start, wait, read, run, write or end, under load",
        full=10_000,
        quick=100,
        programs=_programs,
        named=_named,
        reports=True,
    ),
]
