"""A name for an object, as a reader of the program would call it.

A report says "Lock Cache.lock" rather than "Lock at 0x7f...". Nobody told us the name, so this looks for the
object where the frames at hand can reach it: in their variables, in the attributes of what these refer to,
and in lists and dicts.

It is silent: it runs no code of the user, and raises nothing. Of the attributes it sees only what is stored,
in the object, in a slot or in a class. It does not ask the garbage collector who refers to an object: that
goes through all objects there are, and not all of them can be looked at safely.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from functools import lru_cache, partial
from itertools import islice
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    CodeType,
    FrameType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, NamedTuple

from oxthreads import _oxthreads as _native
from oxthreads.diagnose._look_ups import PLAIN_LOOK_UPS, dict_of_class, in_classes, is_a, is_one_of, mro_of

__all__ = [
    "find",
    "flights_address",
    "is_call_in_flight",
    "name_of",
    "name_of_class",
    "name_of_function",
    "text_of_key",
]

#: How many references are looked at, for each of the kinds of names. A look takes about 0.1 us.
LIMIT = 10_000


def name_of(object: object, frames: Iterable[FrameType], limit: int = LIMIT) -> str | None:
    """A name for `object`, or None if there is none.

    `frames` are those that may know it, innermost first: those of the thread that waits for it, say. The
    first of these kinds of names that exists is chosen:

    1. an attribute of `self` or `cls`: ``Cache.lock``
    2. a global variable: ``lock``
    3. an attribute of another variable: ``account.lock``, ``Account.lock``
    4. an item of a list, a tuple or a dict that is an attribute of `self` or `cls`: ``Cache.locks[3]``
    5. a local variable: ``lock``
    6. an item of another such container: ``locks['a']``, ``account.locks[3]``
    7. an attribute that begins with an underscore, of what is not `self`: ``ready._lock``
    8. an attribute of an imported module: ``config.lock``

    Of several, it is that of the innermost frame; then the shortest; then the first by the alphabet. For
    each kind, no more than `limit` references are looked at.
    """
    found = find(lambda value: value is object, frames, limit)
    return found and found[0]


def find(
    is_wanted: Callable[[Any], bool],
    frames: Iterable[FrameType],
    limit: int = LIMIT,
    without: Container[str] = (),
) -> tuple[str, Any] | None:
    """A name for the object of which `is_wanted` is true, as of :func:`name_of`; and the object.

    `without`: names that it must not have, because other objects have them.
    """
    scopes = _scopes(frames)
    for kind in _KINDS:
        left = limit
        for scope in scopes:
            found = []
            for value, root, attribute, key in islice(kind(scope), left):
                left -= 1
                if root and is_wanted(value) and (name := _text(root, attribute, key)) not in without:
                    found.append((name, value))
            if found:
                return min(found, key=lambda name: (len(name[0]), name[0]))
    return None


# Where a reference is: the value; a variable or a class; the attribute of it or ""; the key of an item, in a
# tuple, because any object may be a key. A plain tuple, because there are very many. A text is made only of
# the one that was looked for.
_Place = tuple[Any, str, str, tuple[Any] | None]

#: What was looked at and is not of the right kind. It counts as a look, so that the search has an end.
_SKIPPED: _Place = (None, "", "", None)


def _text(root: str, attribute: str, key: tuple[Any] | None) -> str:
    name = root
    if attribute:
        # `self.__lock` in a method of Cache is stored as `_Cache__lock`.
        prefix = f"_{root.lstrip('_')}"
        is_mangled = attribute.startswith(f"{prefix}__")
        name += "." + (attribute.removeprefix(prefix) if is_mangled else attribute)
    return name if key is None else f"{name}[{_key_text(key[0])}]"


class _Scope(NamedTuple):
    is_local: bool
    variables: list[tuple[str, Any]]


#: An object may be `self` of a function with another first argument, and so have another name.
_OWN = ("self", "cls")


def _scopes(frames: Iterable[FrameType]) -> list[_Scope]:
    found = []
    # Many frames of a stack are in the same module.
    seen: set[int] = set()
    for frame in frames:
        is_function = frame.f_code.co_flags & 1  # CO_OPTIMIZED
        local, of_module = frame.f_locals, frame.f_globals
        # A class body may have a mapping of any type, which might run code.
        if is_function or (type(local) is dict and local is not of_module):
            found.append(_Scope(True, _variables(local)))
        if id(of_module) not in seen and type(of_module) is dict:
            seen.add(id(of_module))
            found.append(_Scope(False, _variables(of_module)))
    return found


def _variables(namespace: Any) -> list[tuple[str, Any]]:
    # There are variables that no program can name: ".0" in a comprehension, "@py_assert1" of pytest.
    return [
        (name, value) for name, value in _copied(namespace.items) if _is_shown(name) and name.isidentifier()
    ]


def _copied(items: Callable[[], Iterable[tuple[Any, Any]]], limit: int = LIMIT) -> list[tuple[Any, Any]]:
    try:
        return list(islice(items(), limit))
    except RuntimeError:
        # Another thread has changed it meanwhile.
        return []


# ---- The kinds of names


def _attributes_of_self(scope: _Scope) -> Iterator[_Place]:
    for name, value in scope.variables:
        if scope.is_local and name in _OWN:
            yield from _attributes(value, None)


def _global_variables(scope: _Scope) -> Iterator[_Place]:
    if not scope.is_local:
        yield from _plain_variables(scope)


def _local_variables(scope: _Scope) -> Iterator[_Place]:
    if scope.is_local:
        yield from _plain_variables(scope)


def _plain_variables(scope: _Scope) -> Iterator[_Place]:
    for name, value in scope.variables:
        # The object itself may be the `self` of a frame, and that is no name for it.
        if not (scope.is_local and name in _OWN):
            yield value, name, "", None


def _attributes_of_others(scope: _Scope) -> Iterator[_Place]:
    for name, value in scope.variables:
        if not (scope.is_local and name in _OWN) and type(value) is not ModuleType:
            yield from _attributes(value, name)


def _public_attributes(scope: _Scope) -> Iterator[_Place]:
    for place in _attributes_of_others(scope):
        yield _SKIPPED if place[2].startswith("_") else place


def _private_attributes(scope: _Scope) -> Iterator[_Place]:
    for place in _attributes_of_others(scope):
        yield place if place[2].startswith("_") else _SKIPPED


def _attributes_of_modules(scope: _Scope) -> Iterator[_Place]:
    for name, value in scope.variables:
        if type(value) is ModuleType:
            yield from _attributes(value, name)


def _items_of_self(scope: _Scope) -> Iterator[_Place]:
    return _items_in(_attributes_of_self(scope))


def _items_of_others(scope: _Scope) -> Iterator[_Place]:
    yield from _items_in(_plain_variables(scope))
    yield from _items_in(_public_attributes(scope))


def _items_in(places: Iterable[_Place]) -> Iterator[_Place]:
    for container, root, attribute, _ in places:
        yield _SKIPPED
        for key, value in _items_of(container):
            yield value, root, attribute, (key,)


_KINDS: tuple[Callable[[_Scope], Iterator[_Place]], ...] = (
    _attributes_of_self,
    _global_variables,
    _public_attributes,
    _items_of_self,
    _local_variables,
    _items_of_others,
    _private_attributes,
    _attributes_of_modules,
)


# ---- What objects store


_stored_name = type.__dict__["__name__"].__get__

# Types whose objects have no attributes worth a look. There are many of them in each module.
_WITHOUT = (
    *(str, int, float, bool, bytes, list, tuple, dict, set, frozenset, type(None)),
    *(FunctionType, BuiltinFunctionType, MethodType),
)


def _attributes(owner: Any, root: str | None) -> Iterator[_Place]:
    """The attributes of an object and of its class. Without a root, they are called after the class."""
    cls = type(owner)
    if is_one_of(cls, _WITHOUT):
        return
    classes = mro_of(cls)
    if issubclass(cls, type):
        yield from _class_attributes(owner, root)
        return
    look_up = in_classes(classes, "__getattribute__")
    # Of an object that finds its attributes in another way, the program does not see what is stored. And if
    # its class is not written in Python, to ask for its `__dict__` may run anything.
    if any(look_up is plain for plain in PLAIN_LOOK_UPS):
        root = root or name_of_class(cls)
        for name, value in _stored(owner, classes):
            if _is_shown(name):
                yield value, root, name, None
        # All objects of the class have these in common.
        yield from _class_attributes(cls, None)


def _class_attributes(cls: type, root: str | None) -> Iterator[_Place]:
    for base in mro_of(cls):
        # It has nothing but functions.
        if base is object:
            continue
        shown = root or name_of_class(base)
        for name, value in _copied(dict_of_class(base).items):
            if _is_shown(name):
                yield value, shown, name, None


def name_of_class(cls: type) -> str:
    """The name of a class, as a string of no subclass of `str`."""
    name = _stored_name(cls)
    # A program may set it to an object of a subclass of `str`, which might run code when it is shown.
    return name if type(name) is str else "?"


#: The types of functions in C. Their attributes are no code of the program.
_IN_C = (
    *(BuiltinFunctionType, MethodDescriptorType, WrapperDescriptorType, MethodWrapperType),
    *(ClassMethodDescriptorType, type(lru_cache(name_of_class))),
)


def name_of_function(function: Any) -> str:
    """The name of a function, or of the class of another object. It runs no code of the program."""
    while is_one_of(type(function), (MethodType, partial)):
        function = function.__func__ if type(function) is MethodType else function.func
    if (
        is_one_of(type(function), _IN_C)
        and type(wrapped := getattr(function, "__wrapped__", None)) is FunctionType
    ):
        function = wrapped  # by functools.lru_cache
    if is_one_of(type(function), (FunctionType, *_IN_C)):
        name = getattr(function, "__qualname__", None)
        return name if type(name) is str else "?"
    return name_of_class(function if is_a(function, type) else type(function))


def _is_shown(name: object) -> bool:
    return type(name) is str and not name.startswith(("__", "_oxthreads"))


def _stored(owner: Any, classes: tuple[type, ...]) -> Iterator[tuple[Any, Any]]:
    descriptor = in_classes(classes, "__dict__")
    # A property of that name would be code of the user.
    if is_one_of(type(descriptor), (GetSetDescriptorType, MemberDescriptorType)):
        namespace = _read(descriptor, owner)
        if issubclass(type(namespace), dict):
            yield from _copied(lambda: dict.items(namespace))
    for cls in classes:
        namespace = dict_of_class(cls)
        if "__slots__" not in namespace:
            continue
        for name, value in _copied(namespace.items):
            if type(value) is MemberDescriptorType:
                yield name, _read(value, owner)


def _read(descriptor: Any, owner: Any) -> Any:
    try:
        return descriptor.__get__(owner)
    except (AttributeError, TypeError):  # an empty slot, or the slot of another class
        return None


def _items_of(container: Any) -> Iterable[tuple[Any, Any]]:
    """The items of a list, a tuple or a dict, by the code of these types even if a subclass has its own."""
    if issubclass(type(container), dict):
        return _copied(lambda: dict.items(container))
    if is_one_of(type(container), (list, tuple)):
        return enumerate(islice(container, LIMIT))
    return ()


def is_call_in_flight(code: CodeType) -> bool:
    """Whether it is the code of the functions that `singleflight` returns."""
    # By the name of the file: to import the module may be what hangs.
    return code.co_name == "call_in_flight" and code.co_filename == _LOCKS


def flights_address(value: Any) -> int | None:
    """The address that waits for calls of this function have, if `singleflight` has returned it."""
    if type(value) is not FunctionType or not is_call_in_flight(value.__code__):
        return None
    cells = dict(zip(value.__code__.co_freevars, value.__closure__ or (), strict=True))
    call = cells["call"].cell_contents
    return _native.address_of(call.__self__)


def text_of_key(key: Any) -> str:
    """The key of a call by `singleflight`, by default its arguments. Empty if that is no plain value."""
    if type(key) is tuple and len(key) == 2 and type(key[0]) is tuple and type(key[1]) is frozenset:
        named = [each for each in key[1] if type(each) is tuple and len(each) == 2]
        texts = [_key_text(each) for each in key[0]]
        texts += sorted(f"{name}={_key_text(each)}" for name, each in named if type(name) is str)
    else:
        texts = [_key_text(key)]
    text = ", ".join(texts)
    return "" if "..." in texts or len(text) > 100 else text


#: The file of `oxthreads.locks`.
_LOCKS = f"{__file__.rpartition('diagnose')[0]}locks.py"


def _key_text(key: Any) -> str:
    if not is_one_of(type(key), (str, int, bool, bytes, float, type(None))):
        return "..."  # its `repr` might be the user's
    text = repr(key[:50] if is_one_of(type(key), (str, bytes)) else key)
    return text if len(text) <= 40 else f"{text[:36]}...{text[-1]}"
