"""Annotations are for type checkers, which read the source: the standard functions have none at runtime.

Ours name what exists for a type checker only, so that who asks for them at runtime, as
``typing.get_type_hints`` and containers that inject dependencies do, would be told of a NameError.
"""

from __future__ import annotations

__all__ = ["forget"]


def forget(*public: object) -> None:
    """Take the annotations from the functions, and from the classes and their methods."""
    for thing in public:
        if isinstance(thing, type):
            thing.__annotations__ = {}
            for member in list(vars(thing).values()):
                _forget_of_function(getattr(member, "fget", None) or getattr(member, "__func__", member))
        else:
            _forget_of_function(thing)


def _forget_of_function(function: object) -> None:
    if isinstance(function, type(forget)):
        function.__annotations__ = {}
