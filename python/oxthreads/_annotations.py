"""Removes the annotations of our functions at run time; the standard functions have none.

Type checkers read them in the source. At run time some of their names do not exist, because modules such as
``typing`` are not imported. So ``typing.get_type_hints``, and containers that inject dependencies, would
raise NameError.
"""

from __future__ import annotations

__all__ = ["forget"]


def forget(*public: object) -> None:
    """Remove the annotations of these functions, and of these classes and their methods."""
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
