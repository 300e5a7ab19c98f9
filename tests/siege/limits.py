"""Limits: thousands that wait, counts and timeouts at their ends, no more threads; and injected panics."""

from __future__ import annotations

from collections.abc import Iterator

from .attack import Attack, Program
from .inside.limits import LIMITS

_INSIDE = "tests.siege.inside"

#: Seconds that one takes at the most, however many threads there are.
_SECONDS = 300.0


def _limits(count: int) -> Iterator[Program]:
    for name in LIMITS:
        yield Program(
            name=name.replace("_", " "),
            arguments=("-m", f"{_INSIDE}.limits", name, str(count)),
            counts=count,
            seconds=_SECONDS,
        )


def _panics(count: int) -> Iterator[Program]:
    for number in range(count):
        yield Program(
            name=f"each once, run {number + 1}",
            arguments=("-m", f"{_INSIDE}.panics"),
            seconds=_SECONDS,
        )


ATTACKS = [
    Attack(
        name="limits",
        about="threads that wait for one object, and the other limits, each in a process of its own",
        full=5000,
        quick=100,
        programs=_limits,
    ),
    Attack(
        name="panics",
        about="times that every leaf section panics, in a build for that (just test-panics)",
        full=10,
        quick=1,
        programs=_panics,
        reports=True,
    ),
]
