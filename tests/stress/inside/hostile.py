"""What hostile callers pass: objects that raise, lie or call back, and numbers at every limit."""

from __future__ import annotations

import decimal
import fractions
import gc
import inspect
import math
import random
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

_EDGES = (0, 1, 2, 3, 7, 31, 32, 53, 62, 63, 64, 65, 100, 1000)

#: Numbers at which something overflows, is refused, or changes its meaning.
NUMBERS: tuple[Any, ...] = (
    *(sign * 2**power + off for power in _EDGES for sign in (1, -1) for off in (-1, 0, 1)),
    *(0.0, -0.0, 5e-324, 1e-9, 1e-3, 0.5, 1.5, -0.5, -1.0, 1e9, 1e18, 1e19, 1e300, -1e300),
    *(math.inf, -math.inf, math.nan, threading.TIMEOUT_MAX, threading.TIMEOUT_MAX * 1.0000001),
    *(math.nextafter(threading.TIMEOUT_MAX, 0), True, False, 1j),
    *(decimal.Decimal("0.001"), decimal.Decimal("NaN"), fractions.Fraction(1, 1000)),
)

#: Methods that an object of a program may have, and that somebody may call.
_SPECIAL = (
    *("__bool__", "__lt__", "__gt__", "__le__", "__ge__", "__eq__", "__hash__", "__float__", "__index__"),
    *("__int__", "__len__", "__iter__", "__next__", "__add__", "__radd__", "__call__", "__enter__"),
    *("__exit__", "__repr__", "__str__", "__getattribute__", "__contains__", "__sub__", "__rsub__"),
    *("__class__", "__getitem__", "__length_hint__", "__neg__", "__del__"),
)


class Mischief(Exception):
    """Raised by the objects below."""


class Outrage(BaseException):
    """Also raised by them: an exception that a program would not expect."""


def hostile_object(chance: random.Random, reenter: Callable[[], object]) -> Any:
    """An object whose methods raise, return nonsense, or call back into their caller."""
    nonsense = chance.choice([None, NotImplemented, 0, -1, 2**70, math.nan, "", (), object()])

    def misbehave(kind: int, name: str) -> Any:
        if name == "__del__":
            return lambda self: reenter()

        def method(self: Any, *args: Any, **keywords: Any) -> Any:
            if name == "__getattribute__" and not (args and str(args[0]).startswith("_")):
                return object.__getattribute__(self, *args)
            if kind == 0:
                raise Mischief(name)
            if kind == 1:
                raise Outrage(name)
            if kind == 2:
                return nonsense
            reenter()
            return chance_free.get(name, nonsense)

        return property(method) if name == "__class__" else method

    # What a re-entrant method returns, so that its caller goes on.
    chance_free: dict[str, Any] = {
        **dict.fromkeys(("__bool__", "__lt__", "__gt__", "__eq__", "__le__", "__ge__"), True),
        **{"__hash__": 1, "__float__": 1e-4, "__index__": 1, "__int__": 1, "__len__": 1, "__repr__": "x"},
        **{"__str__": "x", "__iter__": iter(()), "__enter__": None, "__exit__": False},
    }
    names = chance.sample(_SPECIAL, chance.randint(1, 6))
    body = {name: misbehave(chance.randrange(4), name) for name in names}
    bases = chance.choice([(), (), (), (int,), (float,), (str,), (tuple,), (list,), (dict,)])
    try:
        return type("Hostile", bases, body)()
    except (Mischief, Outrage, TypeError):
        return nonsense


def _raise(error: BaseException) -> Any:
    raise error


def _generate(length: int, error: BaseException | None) -> Iterator[int]:
    yield from range(length)
    if error is not None:
        raise error


class Values:
    """Random arguments. The objects under test, `subjects`, may be arguments, too."""

    def __init__(self, chance: random.Random, subjects: list[Any]) -> None:
        self._chance = chance
        self._subjects = subjects

    def number(self) -> Any:
        return self._chance.choice(NUMBERS)

    def brief(self) -> Any:
        """A short timeout."""
        return self._chance.choice([0, 0.0, 1e-9, 1e-4, -0.5, 0.001])

    def touch(self) -> object:
        """Use one of the objects while something else is going on."""
        chance = self._chance
        if not self._subjects:
            return gc.collect(0)
        subject = chance.choice(self._subjects)
        name = chance.choice(["put", "get_nowait", "acquire", "release", "set", "notify", "cancel", "repr"])
        if name == "repr":
            return object.__repr__(subject)
        arguments = {"put": (1, False), "acquire": (False,)}.get(name, ())
        method = getattr(type(subject), name, None)
        return None if method is None else method(subject, *arguments)

    def function(self) -> Any:
        chance = self._chance
        return chance.choice(
            [
                int,
                lambda *args, **keywords: None,
                lambda *args, **keywords: _raise(Mischief()),
                lambda *args, **keywords: _raise(Outrage()),
                lambda *args, **keywords: _raise(SystemExit(1)),
                lambda *args, **keywords: self.touch(),
                lambda *args, **keywords: gc.collect(),
                lambda future=None, *args: future,
            ]
        )

    def any(self) -> Any:  # noqa: PLR0911
        """Any value."""
        chance = self._chance
        kind = chance.randrange(12)
        if kind < 3:
            return self.number()
        if kind == 3:
            return self.brief()
        if kind == 4:
            return hostile_object(chance, self.touch)
        if kind == 5 and self._subjects:
            return chance.choice(self._subjects)
        if kind == 6:
            return self.function()
        if kind == 7:
            return chance.choice(
                [
                    _generate(chance.randrange(20), chance.choice([None, Mischief(), Outrage()])),
                    range(chance.randrange(50)),
                    [hostile_object(chance, self.touch) for _ in range(3)],
                    [*self._subjects],
                    {},
                    set(),
                ]
            )
        if kind == 8:
            return chance.choice([ValueError, ValueError("x"), BaseException(), Outrage, KeyboardInterrupt()])
        if kind == 9:
            return chance.choice(
                ["", "x", "\ud800", b"", b"x", "_cond", "worker", "submitter", "block", "raise"]
            )
        if kind == 10:
            return chance.choice([int, type, object, object(), weakref.ref(Values), threading.Lock(), ...])
        return chance.choice([None, True, False])

    def likely(self) -> Any:
        """A value that a program might pass."""
        chance = self._chance
        kind = chance.randrange(5)
        if kind == 0:
            return self.brief()
        if kind == 1:
            return self.function()
        if kind == 2 and self._subjects:
            return chance.choice(self._subjects)
        return chance.choice([None, False, False, 0, 1, 2, "x", (), [1, 2]])

    def arguments_for(self, function: Any, bound: bool = True) -> tuple[list[Any], dict[str, Any]]:
        """Mostly as many arguments as the function takes. Some are values that a program might pass."""
        chance = self._chance
        if chance.random() < 0.2:
            return self.arguments()
        try:
            parameters = [*inspect.signature(function).parameters.values()][0 if bound else 1 :]
        except BaseException:
            return self.arguments()
        positional: list[Any] = []
        keywords: dict[str, Any] = {}
        for parameter in parameters:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                if chance.random() < 0.7:
                    continue
            elif parameter.default is not parameter.empty and chance.random() < 0.4:
                continue
            value = self.likely() if chance.random() < 0.55 else self.any()
            if parameter.kind == parameter.KEYWORD_ONLY or (
                parameter.kind == parameter.POSITIONAL_OR_KEYWORD and (keywords or chance.random() < 0.15)
            ):
                keywords[parameter.name] = value
            elif not keywords:
                positional.append(value)
        return positional, keywords

    def arguments(self, most: int = 4) -> tuple[list[Any], dict[str, Any]]:
        """Positional arguments, and sometimes keyword arguments."""
        chance = self._chance
        positional = [self.any() for _ in range(chance.choice([0, 0, 1, 1, 2, 2, 3, most]))]
        names = [
            *("timeout", "blocking", "block", "n", "value", "parties", "action", "lock", "maxsize", "item"),
            *("max_workers", "initializer", "initargs", "max_pending", "on_full", "idle_timeout", "context"),
            *("fn", "priority", "wait", "cancel_futures", "immediate", "max_items", "predicate", "\ud800"),
        ]
        keywords = {chance.choice(names): self.any() for _ in range(chance.choice([0, 0, 0, 1, 2]))}
        return positional, keywords
