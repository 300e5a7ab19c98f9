"""Signals: a signal during a wait ends the wait or leaves it as it was. Nothing is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from tests.stress.attack import Attack, Program
from tests.stress.inside import deadlines, interrupts
from tests.stress.inside.contended import CONTENDED
from tests.stress.inside.storms import EVERY, HANDLERS
from tests.support.waiting import TIMEOUT_SECONDS

_INSIDE = "tests.stress.inside"

#: The most seconds that the start of a child may take, and one of its repetitions.
_START, _EACH = 30.0, 1.0

#: A storm of at least this many seconds runs once for each handler.
_LONG = 10


def _each(module: str, names: Iterable[str], count: int) -> Iterator[Program]:
    """One child for each wait. It repeats the wait `count` times."""
    for name in names:
        yield Program(
            name=name,
            arguments=("-m", f"{_INSIDE}.{module}", name, str(count)),
            counts=count,
            seconds=_START + _EACH * count,
        )


def _storms(count: int) -> Iterator[Program]:
    for number, name in enumerate(EVERY):
        if count >= _LONG:
            handlers = HANDLERS
        elif name in CONTENDED:
            handlers = ["raises"]  # only a wait that the handler ends can lose a wake-up
        else:
            # In a short storm, each family has one handler, and the next family has the next handler.
            handlers = [HANDLERS[number % len(HANDLERS)]]
        for handler in handlers:
            yield Program(
                name=f"{name}, the handler {handler}",
                arguments=("-m", f"{_INSIDE}.storms", name, handler, str(count)),
                counts=count,
                seconds=_START + TIMEOUT_SECONDS + count,
            )


ATTACKS = [
    Attack(
        name="signal-interrupts",
        about="Ctrl-Cs in each wait of the main thread, which must end it within 0.1 s, half of them in 5 ms",
        full=1000,
        quick=10,
        programs=partial(_each, "interrupts", interrupts.NAMES),
        alone=True,
    ),
    Attack(
        name="signal-deadlines",
        about="timeouts of each wait that takes one, while signals arrive",
        full=100,
        quick=3,
        programs=partial(_each, "deadlines", deadlines.NAMES),
        alone=True,
    ),
    Attack(
        name="signal-storms",
        about="seconds of a signal every millisecond, for each type and each kind of handler",
        full=60,
        quick=1,
        programs=_storms,
    ),
]
