"""Garbage and memory: the collector frees nothing that is still used, and no memory is lost."""

from __future__ import annotations

from collections.abc import Iterator

from tests.stress.attack import Attack, Program
from tests.stress.inside.memory import operations_of, repetitions

_INSIDE = "tests.stress.inside"

#: The most seconds that the start of a child may take, and a thousand operations in it.
_START, _THOUSAND = 60.0, 1.0


def _cycles(count: int) -> Iterator[Program]:
    yield Program(
        name="every cycle",
        arguments=("-m", f"{_INSIDE}.garbage", "cycles", str(count)),
        counts=count,
        seconds=_START + 10 * count,
    )


def _collections(count: int) -> Iterator[Program]:
    yield Program(
        name="beside mutators",
        arguments=("-m", f"{_INSIDE}.garbage", "beside-mutators", str(count)),
        counts=count,
        seconds=_START + count,
    )


def _references(count: int) -> Iterator[Program]:
    yield Program(
        name="to what is passed",
        arguments=("-m", f"{_INSIDE}.references", str(count)),
        counts=count,
        seconds=_START + 100 * _THOUSAND * count / 1000,
    )


def _memory(count: int) -> Iterator[Program]:
    for name, (_, cost) in operations_of(None).items():
        yield Program(
            name=name,
            arguments=("-m", f"{_INSIDE}.memory", name, str(count)),
            counts=repetitions(count, cost),
            seconds=_START + _THOUSAND * count / 1000,
        )


ATTACKS = [
    Attack(
        name="garbage-cycles",
        about="times that every type is in every cycle it can be in, and must be freed",
        full=100,
        quick=2,
        programs=_cycles,
        reports=True,
    ),
    Attack(
        name="garbage-collections",
        about="seconds of one collection after the other, beside threads that make cycles and use them",
        full=600,
        quick=3,
        programs=_collections,
        reports=True,
    ),
    Attack(
        name="garbage-references",
        about="operations after which what was passed is referred to as often as before",
        full=1000,
        quick=100,
        programs=_references,
    ),
    Attack(
        name="garbage-memory",
        about="operations of each kind, fewer of those that take long, over which no memory is lost",
        full=10_000_000,
        quick=10_000,
        programs=_memory,
        reports=True,
    ),
]
