"""Hostile callers: programs made up by chance, which must not kill the interpreter."""

from __future__ import annotations

from collections.abc import Iterator

from .attack import Attack, Program

#: Programs of one child.
_EACH = 200


def _programs(count: int) -> Iterator[Program]:
    for seed in range(0, count, _EACH):
        yield Program(
            name=f"from seed {seed}",
            arguments=("-m", "tests.siege.inside.fuzz", str(seed), str(min(_EACH, count - seed))),
            counts=min(_EACH, count - seed),
            # Each has a dog of its own, which says more; reducing what was found takes minutes.
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
