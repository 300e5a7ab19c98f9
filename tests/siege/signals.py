"""Signals: one that arrives in a wait ends it or leaves it as it was, and loses nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from conftest import PATIENCE

from .attack import Attack, Program
from .inside import deadlines, interrupts
from .inside.contended import CONTENDED
from .inside.storms import EVERY, HANDLERS

_INSIDE = "tests.siege.inside"

#: Seconds for the start of a child, and for one of what it does, at the most.
_START, _EACH = 30.0, 1.0

#: Seconds of a storm from which on there is one for each handler.
_LONG = 10


def _each(module: str, names: Iterable[str], count: int) -> Iterator[Program]:
    """A child for each wait, which does so many."""
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
            handlers = ["raises"]  # only what does not wait on can take a wake-up with it
        else:
            # In a short storm, one handler for each, and another for the next.
            handlers = [HANDLERS[number % len(HANDLERS)]]
        for handler in handlers:
            yield Program(
                name=f"{name}, the handler {handler}",
                arguments=("-m", f"{_INSIDE}.storms", name, handler, str(count)),
                counts=count,
                seconds=_START + PATIENCE + count,
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
