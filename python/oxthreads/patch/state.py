"""The state of the patch: what was asked for, what has been replaced, and how it is taken back.

:func:`apply` patches one module and records everything that it changes, and :func:`take_back` undoes
what is recorded. When a module can be patched is decided by :mod:`oxthreads.patch.import_hook`.

All functions are thread-safe.
"""

from __future__ import annotations

import sys
from _thread import RLock

from . import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

__all__ = [
    "apply",
    "fail",
    "failures",
    "forget",
    "is_installed",
    "is_quiet",
    "lock",
    "needs_patch",
    "originals",
    "request",
    "say_once",
    "take_back",
    "wanted",
]

#: Guards the whole patch, the import hook included. Nothing may be imported while it is held: a thread
#: that held it while it waits for the import of a module would deadlock with a thread that imports this
#: module and comes to patch it.
lock = RLock()

_MISSING = object()


class _Flags:
    """Whether the patch is installed, whether it is silent about failures, and whether it has spoken."""

    installed = False
    quiet = False
    has_spoken = False


_flags = _Flags()
# The names that were asked for, as (module, name) in REPLACED.
_wanted: set[tuple[str, str]] = set()
# The modules that are patched, and those of them for which more names were asked for since.
_patched: dict[str, ModuleType] = {}
_widened: set[str] = set()
# What stood under each replaced name: _MISSING for a name that was added.
_originals: dict[tuple[str, str], object] = {}
# Class, its base now, its base before.
_rebased: list[tuple[type, type, type]] = []
# Our object, the ``__module__`` that it had before, and its line there.
_renamed: list[tuple[Any, str, object]] = []
# Module, or module and name -> why it was left as it is.
_failures: dict[str, str] = {}


def is_installed() -> bool:
    """Whether the patch is installed."""
    return _flags.installed


def is_quiet() -> bool:
    """Whether the patch was asked not to write about failures."""
    return _flags.quiet


def wanted() -> set[tuple[str, str]]:
    """The names that were asked for, as (module, name): a copy."""
    return _wanted.copy()


def failures() -> dict[str, str]:
    """Why modules ("queue") or names in them ("queue.Queue") were left as they are: a copy."""
    return _failures.copy()


def originals() -> dict[tuple[str, str], object]:
    """What stood under each name, (module, name), that is replaced now, without names that were added."""
    with lock:
        return {key: value for key, value in _originals.items() if value is not _MISSING}


def request(names: set[tuple[str, str]], *, quiet: bool) -> bool:
    """Mark the patch as installed and add *names* to what is asked for.

    Returns whether that asks for anything new. *quiet* counts only if the patch was not installed yet.
    """
    with lock:
        if _flags.installed and names <= _wanted:
            return False
        _widened.update(target for target, _ in names - _wanted if target in _patched)
        _wanted.update(names)
        if not _flags.installed:
            _flags.installed, _flags.quiet = True, quiet
        return True


def needs_patch(target: str) -> bool:
    """Whether names were asked for that the module has not got yet, and patching it has not failed."""
    if target in _failures or (target in _patched and target not in _widened):
        return False
    return any((target, name) in _wanted for name in table.REPLACED[target][1])


def fail(target: str, reason: str) -> None:
    """Record why the module cannot be patched. One line on standard error says so, unless that is off."""
    _failures[target] = reason
    if not _flags.quiet:
        say_once(f"the standard {target} stays ({reason})")


def say_once(message: str) -> None:
    """Write *message* to standard error, if nothing was written in this process yet."""
    if not _flags.has_spoken and sys.stderr is not None:
        _flags.has_spoken = True
        sys.stderr.write(f"oxthreads: {message}\n")


def forget(target: str, module: ModuleType) -> None:
    """Note that *module* is about to be executed again: a reload makes its names new ones."""
    with lock:
        if _patched.get(target) is module:
            del _patched[target]


def apply(target: str) -> None:
    """Replace the names that are asked for in the standard module *target*.

    Both that module and ours have been imported. A name that somebody else has wrapped is left as it is,
    and recorded in :func:`failures`. Call this with :data:`lock` held.
    """
    source, names = table.REPLACED[target]
    names = tuple(name for name in names if (target, name) in _wanted)
    module, ours = sys.modules[target], sys.modules[source]
    _patched[target] = module  # first, so that take_back() mends whatever is left half done
    _widened.discard(target)
    replacements = {name: getattr(ours, name) for name in names}
    for name in table.ADDED.get(target, ()):
        if not hasattr(module, name) and hasattr(ours, name):
            replacements[name] = getattr(ours, name)
    for name, replacement in replacements.items():
        original: Any = vars(module).get(name, _MISSING)
        if original is replacement or (original is _MISSING and name in names):
            continue  # concurrent.futures takes the name from its submodule when first asked for it
        # The package has what its submodule has, from 3.15 on by an import that may not have been made yet.
        elsewhere = (f"{other}.{name}" for other in table.targets_of(source))
        known = next((_failures[key] for key in elsewhere if key in _failures), "")
        if reason := known or _foreign_change(original, replacement):
            _failures[f"{target}.{name}"] = reason
            continue
        if (target, name) in table.REBASED:
            _rebase_subclasses(original, replacement)
        _originals[target, name] = original
        setattr(module, name, replacement)
        # What a program prints or pickles by name is `threading.Event`, with the patch or without it.
        if table.is_own(replacement.__module__):
            _rename(replacement, target, original)


def take_back() -> None:
    """Undo everything that :func:`apply` has done, and forget what was asked for.

    A name that somebody else has replaced since is left alone. Raises nothing.
    """
    with lock:
        _flags.installed = False
        for cls, new, old in _rebased:
            _swap_base(cls, new, old)
        for target, module in _patched.items():
            source, names = table.REPLACED[target]
            added = tuple(name for name in table.ADDED.get(target, ()) if (target, name) in _originals)
            for name in names + added:
                ours = getattr(sys.modules.get(source), name, _MISSING)
                if vars(module).get(name, _MISSING) is ours is not _MISSING:
                    _restore(module, name, _originals.get((target, name), _MISSING))
        for ours, module_name, line in _renamed:
            ours.__module__ = module_name
            if line is not _MISSING:
                ours.__firstlineno__ = line
        for record in (_patched, _originals, _rebased, _renamed, _failures, _wanted, _widened):
            record.clear()


def _restore(module: ModuleType, name: str, original: object) -> None:
    if original is _MISSING:
        delattr(module, name)
    else:
        setattr(module, name, original)


def _rename(ours: Any, target: str, original: Any) -> None:
    """Make our object say that it is from the standard module, so that `inspect` shows the original's source.

    From Python 3.13 on, `inspect` finds a class by the line that is recorded in it, and setting
    ``__module__`` removes this line.
    """
    attributes = vars(ours) if isinstance(ours, type) else {}
    _renamed.append((ours, ours.__module__, attributes.get("__firstlineno__", _MISSING)))
    ours.__module__ = target
    if attributes and sys.version_info >= (3, 13):
        code = getattr(original, "__code__", None)  # RLock is a function
        line = getattr(original, "__firstlineno__", None) if code is None else code.co_firstlineno
        if line is not None:
            ours.__firstlineno__ = line


def _rebase_subclasses(old: type, new: type) -> None:
    subclasses: list[type] = old.__subclasses__()
    for cls in subclasses:
        # What oxthreads derives from a standard class is meant to be just that.
        if cls is not new and not table.is_own(cls.__module__) and _swap_base(cls, old, new):
            _rebased.append((cls, new, old))


def _swap_base(cls: type, old: type, new: type) -> bool:
    """Whether *new* could be put in the place of *old* among the bases of *cls*."""
    try:
        cls.__bases__ = tuple(new if base is old else base for base in cls.__bases__)
    except TypeError:
        return False  # its other bases do not go with ours; it stays what it is
    return True


def _foreign_change(original: object, replacement: object) -> str:
    """Why the original has to stay: somebody has wrapped or replaced a method that our class would hide.

    Tracers do so as soon as a module is imported: they put something else under the method's name, or
    other code into its function. Such a change would have no effect on our class. The result is empty if
    all is as the standard library made it, or our class inherits the method.
    """
    if not (isinstance(original, type) and isinstance(replacement, type)):
        return ""
    ours = [renamed for renamed, _, _ in _renamed]
    for cls in original.__mro__:
        if cls.__module__ not in table.REPLACED or cls in ours:
            continue
        for name, method in vars(cls).copy().items():
            if not _is_as_made(method, cls.__module__):
                found = next((base for base in replacement.__mro__ if name in vars(base)), cls)
                if found is not cls:
                    return f"{cls.__name__}.{name} is not the standard one any more"
    return ""


#: Types of what the standard classes have besides functions, and of the constants in their code.
_NO_FUNCTIONS = frozenset(("classmethod", "type", "method-wrapper"))
_CONSTANTS = frozenset(("NoneType", "bool", "code", "ellipsis", "float", "frozenset", "int", "str", "tuple"))


def _is_as_made(member: Any, module: str) -> bool:
    """Whether a member of a standard class is what its module has made, or we, if it is a method."""
    if type(member) is type(_is_as_made):
        if member.__globals__.get("__name__", "").startswith("oxthreads."):
            return True  # of a watch, which our classes take into account
        return member.__globals__ is vars(sys.modules[module]) and all(
            type(constant).__name__ in _CONSTANTS for constant in member.__code__.co_consts
        )
    return not callable(member) or type(member).__name__ in _NO_FUNCTIONS
