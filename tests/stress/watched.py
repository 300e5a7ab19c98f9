"""A watch: it reports no deadlock in storms and the soak, where there is none, and its looks lose nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.stress.attack import Attack, Program
from tests.stress.inside.storms import HANDLERS
from tests.support.waiting import TIMEOUT_SECONDS

#: The families whose waits have an owner, so that they may be part of a deadlock. Short storms are those of
#: the first ones.
OWNED = ["RLock", "Condition(RLock)", "Future", "Thread.join", "Lock", "Condition(Lock)", "Executor"]
_FIRST = 4

#: The most seconds for the start of a child and the end of its last round.
_AROUND = 60.0

#: How many times as long as a storm the soak lasts. It has more kinds of objects.
_TIMES = 3

#: Storms of at least this many seconds are those of all families, and each runs once for each handler.
_LONG = 10

_SOAK = "the soak, seed "

#: A new seed each time, for a run that is not asked for by name.
_SEED = int(time.time())


def _watched(name: str, count: int, *arguments: str) -> Program:
    return Program(
        name=name,
        arguments=("-m", "tests.stress.inside.watched", *arguments),
        counts=count,
        seconds=_AROUND + TIMEOUT_SECONDS + count,
    )


def _soak(seed: int, count: int) -> Program:
    return _watched(f"{_SOAK}{seed}", count, "soak", str(count), str(seed))


def _programs(count: int) -> Iterator[Program]:
    is_long = count >= _LONG
    for number, family in enumerate(OWNED if is_long else OWNED[:_FIRST]):
        # In a short storm, each family has one handler, and the next family has the next handler.
        for handler in HANDLERS if is_long else [HANDLERS[number % len(HANDLERS)]]:
            name = f"{family}, the handler {handler}"
            yield _watched(name, count, "storms", family, handler, str(count))
    yield _soak(_SEED, count * _TIMES)


def _named(name: str, count: int) -> Program | None:
    seed = name.removeprefix(_SOAK)
    return _soak(int(seed), count) if seed != name and seed.isdecimal() else None


ATTACKS = [
    Attack(
        name="watched",
        about="seconds of a storm of signals, and three times as many of the soak, under a watch",
        full=20,
        quick=1,
        programs=_programs,
        named=_named,
    ),
]
