"""A soak: every type in random use, with interrupts, for a long time."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.stress.attack import Attack, Program

#: The most seconds for the start of the child and the end of its last round.
_AROUND = 60.0

#: A new seed each time, for a run that is not asked for by name.
_SEED = int(time.time())


_NAME = "every type, seed "


def _program(seed: int, count: int) -> Program:
    return Program(
        name=f"{_NAME}{seed}",
        arguments=("-m", "tests.stress.inside.soak", str(count), str(seed)),
        counts=count,
        seconds=count + _AROUND,
    )


def _programs(count: int) -> Iterator[Program]:
    yield _program(_SEED, count)


def _named(name: str, count: int) -> Program | None:
    seed = name.removeprefix(_NAME)
    return _program(int(seed), count) if seed != name and seed.isdecimal() else None


ATTACKS = [
    Attack(
        name="soak",
        about="seconds of every type in random use by several threads, with interrupts",
        full=3600,
        quick=5,
        programs=_programs,
        named=_named,
        reports=True,
    ),
]
