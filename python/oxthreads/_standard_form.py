"""How an object that runs natively takes its *standard form*.

The standard classes keep their state in attributes that people reach for: ``queue.mutex``,
``future._condition``, ``event._cond``. Our classes make these on the first use, and with that the
object becomes a standard one for good: its state moves into the attributes, whoever waits moves
over, and the methods of the standard class, which ours derives from, serve from then on. So what
such an attribute guarantees (nobody changes a queue while its mutex is held, say) holds, and
objects whose internals nobody touches stay fast.
"""

from __future__ import annotations

import _thread
import os

# Importing typing takes longer than all the rest, and a program's start waits for this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class HasStandardForm(Protocol):
        """An object that StandardAttribute serves."""

        def _take_standard_form(self) -> None: ...


__all__ = ["StandardAttribute"]

# One object at a time, and rarely. Re-entrant, for a signal handler may come back here.
_taking_form = _thread.RLock()
# Held over a fork, so that no thread that the child does not have holds it there.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_taking_form.acquire,
        after_in_parent=_taking_form.release,
        after_in_child=_taking_form.release,
    )


class StandardAttribute:
    """An attribute of the standard class, whose first use gives the object its standard form.

    It defines no ``__set__``: the instance's own dictionary, once filled, takes precedence.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: HasStandardForm | None, owner: type) -> Any:
        if instance is None:
            raise AttributeError(f"type object {owner.__name__!r} has no attribute {self._name!r}")
        with _taking_form:
            if self._name not in vars(instance):
                instance._take_standard_form()
        return vars(instance)[self._name]
