"""Limits: thousands of waiting threads, counts and timeouts at their limits, no more threads to be had."""

from __future__ import annotations

from collections.abc import Iterator

from tests.stress.attack import Attack, Program
from tests.stress.inside.limits import LIMITS

_INSIDE = "tests.stress.inside"

#: The most seconds that one limit may take, and how many more it may take for each thread.
_SECONDS, _EACH = 60.0, 0.04


def _limits(count: int) -> Iterator[Program]:
    for name in LIMITS:
        yield Program(
            name=name.replace("_", " "),
            arguments=("-m", f"{_INSIDE}.limits", name, str(count)),
            counts=count if name.startswith("crowd") else 1,
            seconds=_SECONDS + _EACH * count,
        )


ATTACKS = [
    Attack(
        name="limits",
        about="threads that wait for one object, and the other limits, each in a process of its own",
        full=5000,
        quick=100,
        programs=_limits,
        reports=True,  # whether a limit could not be tried here
    ),
]
