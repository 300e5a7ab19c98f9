"""Parts of the soak on their own: channels, and groups of tasks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from tests.stress.attack import Attack, Program

#: The most seconds for the start of the child and the end of its last round.
_AROUND = 60.0

#: A new seed each time, for a run that is not asked for by name.
_SEED = int(time.time())


def _program(group: str, seed: int, count: int) -> Program:
    return Program(
        name=f"{group}, seed {seed}",
        arguments=("-m", "tests.stress.inside.soak", str(count), str(seed), group),
        counts=count,
        seconds=count + _AROUND,
    )


def _programs(group: str) -> Callable[[int], Iterator[Program]]:
    def programs(count: int) -> Iterator[Program]:
        yield _program(group, _SEED, count)

    return programs


def _named(group: str) -> Callable[[str, int], Program | None]:
    def named(name: str, count: int) -> Program | None:
        seed = name.removeprefix(f"{group}, seed ")
        return _program(group, int(seed), count) if seed != name and seed.isdecimal() else None

    return named


def _attack(group: str, about: str) -> Attack:
    return Attack(
        name=group,
        about=about,
        full=600,
        quick=5,
        programs=_programs(group),
        named=_named(group),
        reports=True,
    )


ATTACKS = [
    _attack("channels", "seconds of channels, broadcasts and watched values in random use, with interrupts"),
    _attack(
        "tasks", "seconds of groups of tasks inside of groups, with failures, cancellations and deadlines"
    ),
]
