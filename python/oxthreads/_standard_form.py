"""How an object that runs natively takes its *standard form*.

The standard classes keep their state in attributes that people reach for: ``queue.mutex``,
``future._condition``, ``event._cond``. Our classes make these on the first use, and with that the
object becomes a standard one for good: its state moves into the attributes, whoever waits moves
over, and the methods of the standard class, which ours derives from, serve from then on. So what
such an attribute guarantees (nobody changes a queue while its mutex is held, say) holds, and
objects whose internals nobody touches stay fast.
"""

from __future__ import annotations

# Importing typing takes longer than all the rest, and a program's start waits for this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class HasStandardForm(Protocol):
        """An object that StandardAttribute serves."""

        def _take_standard_form(self) -> None: ...


__all__ = ["StandardAttribute"]


class StandardAttribute:
    """An attribute of the standard class, whose first use gives the object its standard form.

    It defines no ``__set__``: the instance's own dictionary, once filled, takes precedence.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: HasStandardForm | None, owner: type) -> Any:
        if instance is None:
            raise AttributeError(f"type object {owner.__name__!r} has no attribute {self._name!r}")
        # Several threads may come here at once: the first gives the object its form, and the others
        # find that it has it.
        instance._take_standard_form()
        try:
            return vars(instance)[self._name]
        except KeyError:  # somebody has deleted it since
            message = f"{type(instance).__name__!r} object has no attribute {self._name!r}"
            raise AttributeError(message, name=self._name, obj=instance) from None
