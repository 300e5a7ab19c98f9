"""How an object that runs natively falls back to the standard library.

The standard classes keep their state in attributes that programs use: ``queue.mutex``,
``future._condition``, ``event._cond``. Our classes create these attributes on the first use, and with
that the object falls back for good: its state moves into the attributes, its waiters move over, and from
then on it uses the methods of the standard class, from which ours derives. So what such an attribute
guarantees is true (nobody changes a queue while its mutex is held, for example), and objects whose
internals nobody uses stay fast.
"""

from __future__ import annotations

from _operator import index

from ._oxthreads import dictionary

# Not imported at run time: importing typing takes longer than everything else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol, SupportsIndex, TypeVar

    T = TypeVar("T")

    class HasFallback(Protocol):
        """An object that StandardAttribute serves."""

        def _oxthreads_fall_back(self) -> None: ...


__all__ = [
    "Addition",
    "ReadOnly",
    "StandardAttribute",
    "UnchangedIn",
    "found",
    "given",
    "name_as_standard",
    "pickling_protocol",
    "put_back",
    "show_as_standard",
    "stand_in",
    "stands_for",
]


def found(cls: type, name: str) -> object:
    """Return what a class has under a name, for its objects; None if it has nothing there.

    This is the value in the class, or in the first of its bases that has the name. It is neither bound nor
    called, and no metaclass of the program is asked.
    """
    for base in type.__getattribute__(cls, "__mro__"):
        namespace = type.__getattribute__(base, "__dict__")
        if name in namespace:
            return namespace[name]
    return None


class UnchangedIn:
    """Tells whether a class has, under some names, the same values as one of our classes.

    Args:
        ours: one of our classes, complete.
        names: what the standard class looks up in its objects: its attributes, and the methods that other
            methods call. A subclass that has anything else there needs the standard algorithm, which uses it.
    """

    def __init__(self, ours: type, *names: str) -> None:
        # Stored here: a __del__ may call this after the interpreter has cleared this module at exit.
        self._found = found
        self._expected = [(name, found(ours, name)) for name in names]

    def __call__(self, cls: type) -> bool:
        return all(self._found(cls, name) is expected for name, expected in self._expected)


def _template(self, /, *args, **kwargs):  # type: ignore[no-untyped-def]
    return _native(self, *args, **kwargs)  # type: ignore[name-defined]  # noqa: F821


def stand_in(native: Any, standard: Any) -> Any:
    """Return a function that calls a native method, and whose code others may copy or replace.

    It has no closure, so that code without a closure can take its place.
    """
    function_type: Any = type(_template)
    variables = {"__name__": standard.__module__, "__builtins__": __builtins__, "_native": native}
    function = function_type(_template.__code__, variables, standard.__name__)
    function.__qualname__ = standard.__qualname__
    function.__module__ = standard.__module__
    function.__doc__ = native.__doc__
    return function


def stands_for(cls: str, module: str) -> Callable[[T], T]:
    """Let the functions of the decorated class name that class and module as their own."""

    def name(additions: T) -> T:
        for function in vars(additions).values():
            if isinstance(function, type(found)):
                function.__qualname__ = f"{cls}.{function.__name__}"
                function.__module__ = module
        return additions

    return name


def name_as_standard(cls: type, standard: type) -> None:
    """Let the functions of our class name the standard class and its module as their own.

    Only those that the standard class, or a base of it, has too. The native methods do so by themselves.
    """
    for name, function in vars(cls).items():
        model = found(standard, name)
        if isinstance(function, type(found)) and isinstance(model, type(found)):
            function.__qualname__ = model.__qualname__
            function.__module__ = model.__module__


def show_as_standard(*classes: type) -> None:
    """Remove from our classes what the standard ones do not have: how their bases were written."""
    for cls in classes:
        for name in ("__orig_bases__", "__parameters__"):
            if name in vars(cls):
                delattr(cls, name)


class StandardAttribute:
    """An attribute of the standard class; its first use makes the object fall back.

    It defines no ``__set__``: once the instance's own dictionary is filled, that has precedence.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: HasFallback | None, owner: type) -> Any:
        if instance is None:
            raise AttributeError(f"type object {owner.__name__!r} has no attribute {self._name!r}")
        # Several threads may get here at the same time: the first makes the object fall back, and the
        # others find that it has fallen back.
        instance._oxthreads_fall_back()
        try:
            return vars(instance)[self._name]
        except KeyError:  # it has been deleted since
            message = f"{type(instance).__name__!r} object has no attribute {self._name!r}"
            raise AttributeError(message, name=self._name, obj=instance) from None


class ReadOnly:
    """An attribute that the standard class does not have. It can be read, and a program can replace it.

    Args:
        getter: the native attribute that it shows.
    """

    def __init__(self, getter: Any) -> None:
        self._getter = getter

    def __get__(self, instance: object, owner: type) -> Any:
        return self if instance is None else self._getter.__get__(instance, owner)


class Addition:
    """A method that the standard class does not have, as an attribute of ours.

    If a class that comes after ours in the method resolution order has the same name, that one is found: it
    would be found with the standard class, too, which comes before it and has no such name.

    Args:
        name: the name of the method.
        function: what ours has under the name.
        native: the native half, which has the name as well.
    """

    def __init__(self, name: str, function: Any, native: type) -> None:
        self._name = name
        self._function = function
        self._native = native

    def __get__(self, instance: object, owner: type) -> Any:
        is_behind = False
        for base in type.__getattribute__(owner, "__mro__"):
            namespace = type.__getattribute__(base, "__dict__")
            if self._name not in namespace:
                continue
            value = namespace[self._name]
            if value is self:
                is_behind = True
            elif is_behind and base is not self._native:
                get = getattr(type(value), "__get__", None)
                return value if get is None else get(value, instance, owner)
        return self._function.__get__(instance, owner)


def pickling_protocol(instance: HasFallback, protocol: SupportsIndex, names: tuple[str, ...]) -> int:
    """Return the protocol by which to pickle or copy the object: at least 2, which creates it by its class.

    A class of the program that defines the state of its objects itself may look for the standard attributes
    in ``self.__dict__``. For such a class the object falls back, and the attributes are put there.

    Args:
        names: the attributes that are the standard object's state.
    """
    cls = type(instance)
    if cls.__getstate__ is not object.__getstate__ or cls.__reduce__ is not object.__reduce__:
        state = dictionary(instance)
        if names[0] not in state:
            instance._oxthreads_fall_back()
        for name in names:
            state[name] = getattr(instance, name)
    return max(2, index(protocol))


def given(instance: object, names: tuple[str, ...]) -> dict[str, Any]:
    """Return what a ``__setstate__`` has put into ``self.__dict__`` of an object that is about to fall back.

    Args:
        names: the attributes of the standard object's state. The first is one that it never has before.
    """
    state = dictionary(instance)
    return {} if names[0] in state else {name: state[name] for name in names if name in state}


def put_back(instance: object, state: dict[str, Any]) -> None:
    """Set the attributes of an object that has fallen back to what `given` returned."""
    for name, value in state.items():
        setattr(instance, name, value)
