"""How an object that runs natively takes its *standard form*.

The standard classes keep their state in attributes that people reach for: ``queue.mutex``,
``future._condition``, ``event._cond``. Our classes make these on the first use, and with that the
object becomes a standard one for good: its state moves into the attributes, whoever waits moves
over, and the methods of the standard class, which ours derives from, serve from then on. So what
such an attribute guarantees (nobody changes a queue while its mutex is held, say) holds, and
objects whose internals nobody touches stay fast.
"""

from __future__ import annotations

from _operator import index

from ._oxthreads import dictionary

# Importing typing takes longer than all the rest, and a program's start waits for this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol, SupportsIndex

    class HasStandardForm(Protocol):
        """An object that StandardAttribute serves."""

        def _take_standard_form(self) -> None: ...


__all__ = ["StandardAttribute", "given", "pickling_protocol", "put_back"]


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


def pickling_protocol(instance: HasStandardForm, protocol: SupportsIndex, names: tuple[str, ...]) -> int:
    """By which protocol to pickle or copy the object: one that makes it by its class, as from 2 on.

    names: the attributes that are the standard object's state. If a class of the program's says itself
    what its objects' state is, it may look for them in ``self.__dict__``: so they are put there, and the
    object takes its standard form.
    """
    cls = type(instance)
    if cls.__getstate__ is not object.__getstate__ or cls.__reduce__ is not object.__reduce__:
        state = dictionary(instance)
        if names[0] not in state:
            instance._take_standard_form()
        for name in names:
            state[name] = getattr(instance, name)
    return max(2, index(protocol))


def given(instance: object, names: tuple[str, ...]) -> dict[str, Any]:
    """What a ``__setstate__`` has put into ``self.__dict__`` of an object that is about to take its form.

    names: the attributes of the standard object's state, first one that it never has before.
    """
    state = dictionary(instance)
    return {} if names[0] in state else {name: state[name] for name in names if name in state}


def put_back(instance: object, state: dict[str, Any]) -> None:
    """Have the object, which has its form now, take over what was given to it."""
    for name, value in state.items():
        setattr(instance, name, value)
