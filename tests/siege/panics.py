"""Panics in Rust: each is an exception in Python, and what it happened in can still be used."""

from __future__ import annotations

from collections.abc import Iterator

from .attack import Attack, Program
from .inside.panics import arm

#: Seconds that all of them take at the most.
_SECONDS = 110.0


def _programs(count: int) -> Iterator[Program]:
    for number in range(count):
        yield Program(
            name=f"each once, run {number + 1}",
            arguments=("-m", "tests.siege.inside.panics"),
            seconds=_SECONDS,
        )


# Only a build for it can be made to panic.
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
