"""Hostile callers: random programs, which must not kill the interpreter."""

from __future__ import annotations

from collections.abc import Iterator

from tests.stress.attack import Attack, Program

#: How many programs one child runs.
_EACH = 200


def _programs(count: int) -> Iterator[Program]:
    for seed in range(0, count, _EACH):
        yield Program(
            name=f"from seed {seed}",
            arguments=("-m", "tests.stress.inside.fuzz", str(seed), str(min(_EACH, count - seed))),
            counts=min(_EACH, count - seed),
            # Each program has its own watchdog, which reports more. To reduce a program that failed takes
            # minutes.
            seconds=600.0,
        )


ATTACKS = [
    Attack(
        name="hostile",
        about="programs that do what nobody should with every type",
        full=25_000,
        quick=200,
        programs=_programs,
    ),
]
