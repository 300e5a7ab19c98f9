"""Look-ups in classes that run no code of the program, whatever its metaclasses do."""

from __future__ import annotations

from types import ModuleType
from typing import Any

__all__ = ["NOTHING", "PLAIN_LOOK_UPS", "dict_of_class", "in_classes", "is_a", "is_one_of", "mro_of"]

#: What a look-up gives that has found nothing.
NOTHING: Any = object()

mro_of = type.__dict__["__mro__"].__get__
dict_of_class = type.__dict__["__dict__"].__get__

#: The `__getattribute__` of `object`, of modules and of classes. They find attributes in the way that the
#: reference describes.
PLAIN_LOOK_UPS = [dict_of_class(cls)["__getattribute__"] for cls in (object, ModuleType, type)]


def in_classes(classes: tuple[type, ...], name: str) -> Any:
    """What the first of these classes that has the name stores under it, or `NOTHING`."""
    for cls in classes:
        value = dict_of_class(cls).get(name, NOTHING)
        if value is not NOTHING:
            return value
    return NOTHING


def is_one_of(cls: type, classes: tuple[type, ...]) -> bool:
    """Whether it is one of these classes. (`in` may compare two classes by code of a metaclass.)"""
    return any(cls is other for other in classes)


def is_a(value: object, *classes: type) -> bool:
    """Whether the object is of one of these classes, which have no metaclass, or of a derived one.

    (`isinstance` may ask the object for its `__class__`, and `in` may compare two classes by code of a
    metaclass.)
    """
    return issubclass(type(value), classes)
