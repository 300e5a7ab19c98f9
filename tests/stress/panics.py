"""Panics in Rust: each becomes an exception in Python, and the object can still be used."""

from __future__ import annotations

from collections.abc import Iterator

from tests.stress.attack import Attack, Program
from tests.stress.inside.panics import arm

#: The most seconds that all of them take together.
_SECONDS = 110.0


def _programs(count: int) -> Iterator[Program]:
    for number in range(count):
        yield Program(
            name=f"each once, run {number + 1}",
            arguments=("-m", "tests.stress.inside.panics"),
            seconds=_SECONDS,
        )


# Only a special build can be made to panic. Without it, there is no attack.
ATTACKS = [
    Attack(
        name="panics",
        about="times that each of the first leaf sections of every operation panics",
        full=10,
        quick=1,
        programs=_programs,
        reports=True,
    ),
][: arm is not None]
