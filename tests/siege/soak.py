"""A soak: every type in random use, with interrupts, for long."""

from __future__ import annotations

from collections.abc import Iterator

from .attack import Attack, Program

#: Seconds for the start of the child, and for the end of its last round, at the most.
_AROUND = 60.0


def _programs(count: int) -> Iterator[Program]:
    yield Program(
        name="every type",
        arguments=("-m", "tests.siege.inside.soak", str(count), "1"),
        counts=count,
        seconds=count + _AROUND,
    )


ATTACKS = [
    Attack(
        name="soak",
        about="seconds of every type in random use by several threads, with interrupts",
        full=3600,
        quick=5,
        programs=_programs,
        reports=True,
    ),
]
