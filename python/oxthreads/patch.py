"""Puts the types of :mod:`oxthreads` in the place of the standard library's, name by name.

:data:`REPLACED` says what is replaced where. Only names in modules change, and the bases of
REBASED: a lock that exists stays the lock it is, and works beside ours, but it is no instance of
what the names mean from then on. A module that is imported already is patched at once; any other
right after its first import, so that nothing is imported, and no thread is started, which the
program does not ask for.

This module is imported while an interpreter starts, so it imports nothing that is not loaded
then anyway.
"""

# Pathlib is not loaded when an interpreter starts.
# ruff: noqa: PTH118, PTH120, PTH122
from __future__ import annotations

import os
import sys
from _thread import RLock, get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    from oxthreads._status import Status
else:
    # What who asks for the annotations is told of.
    from _collections_abc import Iterable

    Status = dict

__all__ = ["REPLACED", "install", "installed", "is_installed", "is_supported", "status", "uninstall"]

#: Standard module -> (the module that has ours, the names that are replaced).
#: ``concurrent.futures`` comes after the submodules that it takes its names from.
REPLACED: dict[str, tuple[str, tuple[str, ...]]] = {
    "threading": (
        "oxthreads.threading",
        (
            "Lock",
            "RLock",
            "Condition",
            "Semaphore",
            "BoundedSemaphore",
            "Event",
            "Barrier",
            "Thread",
            "Timer",
        ),
    ),
    "queue": ("oxthreads.queue", ("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue")),
    "concurrent.futures._base": ("oxthreads.concurrent.futures", ("Future", "wait", "as_completed")),
    "concurrent.futures.thread": ("oxthreads.concurrent.futures", ("ThreadPoolExecutor",)),
    "concurrent.futures": (
        "oxthreads.concurrent.futures",
        ("Future", "ThreadPoolExecutor", "wait", "as_completed"),
    ),
}

#: Names that a standard module gets where it has none yet, if ours has one.
ADDED: dict[str, tuple[str, ...]] = {"queue": ("ShutDown",)}

#: Names of exceptions, made anew by a module that is executed once more, of which ours raises those it
#: has known first. A module that is reloaded gets these back, so that its ``except queue.Full``
#: catches what our ``Queue`` raises; any other copy of the module is left alone.
SHARED: dict[str, tuple[str, ...]] = {"queue": ("Empty", "Full", "ShutDown")}

#: Replaced classes whose existing subclasses get ours as their base, so that
#: ``isinstance(threading.main_thread(), threading.Thread)`` stays true, and a class that calls
#: ``threading.Thread.__init__(self)`` works. They are `_MainThread`, `_DummyThread` and `Timer`,
#: and what was derived from the standard class before it was replaced.
REBASED = frozenset({("threading", "Thread")})

#: The first Python of which nothing is known: there the standard library stays.
FIRST_UNKNOWN_PYTHON = (3, 16)

_SOURCES = frozenset(source for source, _ in REPLACED.values())
_WATCHED = _SOURCES.union(REPLACED)
_MISSING = object()

# A leaf lock: nothing is imported under it. A thread that held it while it waits for the import
# of a module would deadlock with one that imports this module and comes to patch it.
_lock = RLock()


class _State:
    """Whether the patch is installed, whether to be silent about failures, and what was said."""

    installed = False
    quiet = False
    said = False


_state = _State()
# The names that were asked for: module and name, as in REPLACED. And of the modules that are patched
# already, those of which more was asked for since.
_wanted: set[tuple[str, str]] = set()
_widened: set[str] = set()
# Watched module being executed -> the thread that executes it.
_executing: dict[str, int] = {}
# The threads that began to execute one, in order.
_begun: list[int] = []
# The threads that import one of ours on behalf of the patch, and what they execute meanwhile.
_importing: set[int] = set()
_guarded: set[str] = set()
# What has been patched, and what stood there: _MISSING for a name that was added.
_patched: dict[str, ModuleType] = {}
_originals: dict[tuple[str, str], object] = {}
_reloaded: set[str] = set()
_rebased: list[tuple[type, type, type]] = []  # class, its base now, its base before
_renamed: list[tuple[Any, str]] = []  # ours, the module that it said it is from
_failures: dict[str, str] = {}


def is_supported() -> bool:
    """Whether this version of Python is one that the patch knows."""
    return sys.version_info < FIRST_UNKNOWN_PYTHON


def is_installed() -> bool:
    """Whether the patch is installed; :func:`status` says what it reached."""
    return _state.installed


def install(*, only: Iterable[str] | None = None, quiet: bool = False) -> bool:
    """Replace the standard names by ours, now and in every module imported from now on.

    *only* says which: modules ("queue") and names in them ("threading.Event",
    "concurrent.futures.ThreadPoolExecutor"); without it, all. Installing again adds what is asked
    for and not there yet, and otherwise does nothing.

    Returns whether the patch is installed. It is not on a Python that is not known yet: then the
    standard library stays, and one line on standard error says so, once in a process, unless
    *quiet*. The same line is written later if a module of ours cannot be imported when its turn
    comes. Raises ValueError for a name in *only* that is never replaced, and nothing else.
    """
    wanted = _chosen(only)
    if not is_supported():
        if not quiet:
            version = f"{sys.version_info[0]}.{sys.version_info[1]}"
            _say_once(f"Python {version} is not known to this version; the standard library stays")
        return False
    with _lock:
        if _state.installed and wanted <= _wanted:
            return True
        _widened.update(target for target, _ in wanted - _wanted if target in _patched)
        _wanted.update(wanted)
        if not _state.installed:
            _state.installed, _state.quiet = True, quiet
            sys.meta_path.insert(0, _finder)
    _patch_what_is_ready()
    return True


def _chosen(only: Iterable[str] | None) -> set[tuple[str, str]]:
    """The entries of REPLACED that *only* names, by the modules that a program imports them from."""
    chosen: dict[str, list[tuple[str, str]]] = {}
    for target, (_, names) in REPLACED.items():
        public = "concurrent.futures" if target.startswith("concurrent.futures.") else target
        for name in names:
            for asked in (public, f"{public}.{name}", target, f"{target}.{name}"):
                chosen.setdefault(asked, []).append((target, name))
    asked_for = chosen if only is None else dict.fromkeys([only] if isinstance(only, str) else only)
    unknown = [name for name in asked_for if name not in chosen]
    if unknown:
        raise ValueError(f"not a name that is replaced: {unknown[0]!r}")
    return {entry for asked in asked_for for entry in chosen[asked]}


class installed:  # noqa: N801 - a context manager, and used as a function
    """``with installed():`` has the patch installed in its block, and as before after it.

    Takes the arguments of :func:`install` and raises what that raises. The names are replaced for
    all threads of the process. What was made in the block stays what it is.
    """

    def __init__(self, *, only: Iterable[str] | None = None, quiet: bool = False) -> None:
        self._only = only if only is None or isinstance(only, str) else list(only)
        self._quiet = quiet
        self._before: list[set[tuple[str, str]]] = []  # one for each block that is open

    def __enter__(self) -> bool:
        before = _wanted.copy()
        is_on = install(only=self._only, quiet=self._quiet)
        self._before.append(before)
        return is_on

    def __exit__(self, *_: object) -> None:
        before = self._before.pop()
        if before != _wanted:
            uninstall()
        if before:
            install(only=[".".join(entry) for entry in before], quiet=_state.quiet)


def uninstall() -> None:
    """Put the standard names back wherever ours are found, and watch imports no longer.

    Objects made in between stay what they are. A name that somebody else has replaced since is
    left alone. Does nothing if the patch is not installed. Raises nothing.
    """
    with _lock:
        if not _state.installed:
            return
        _state.installed = False
        if _finder in sys.meta_path:
            sys.meta_path.remove(_finder)
        for cls, new, old in _rebased:
            _swap_base(cls, new, old)
        for target, module in _patched.items():
            source, names = REPLACED[target]
            more = ADDED.get(target, ()) + SHARED.get(target, ())
            recorded = tuple(name for name in dict.fromkeys(more) if (target, name) in _originals)
            for name in names + recorded:
                ours = getattr(sys.modules.get(source), name, _MISSING)
                if vars(module).get(name, _MISSING) is ours is not _MISSING:
                    _restore(module, name, _originals.get((target, name), _MISSING))
        for ours, module_name in _renamed:
            ours.__module__ = module_name
        for record in (_patched, _originals, _reloaded, _rebased, _renamed, _failures, _wanted, _widened):
            record.clear()


def status(*, fresh: bool = False) -> Status:
    """What is active in this process: JSON-ready, and true of the modules as they are now.

    ``names`` has an entry for each replaced name; ``captured`` lists the variables of imported
    modules that hold an original, as after ``from threading import Lock`` before the patch;
    ``failures`` says why a module could not be patched. With *fresh*, each module is imported
    first, so that no name is pending. Raises nothing, unless a module cannot be imported.
    """
    from oxthreads import _status  # noqa: PLC0415 - an interpreter that starts has no use for it

    return _status.status(fresh=fresh)


def _patch_what_is_ready() -> None:
    """Patch each module that is imported, and of which ours can be imported now."""
    for target in REPLACED:
        if not (_state.installed and _is_ready(target)):
            continue
        others, begun = _executing.copy(), len(_begun)
        try:
            _import(REPLACED[target][0])
            with _lock:
                # Ours may be half executed by another thread that waits for what this one
                # imports: waiting would be a deadlock, so the import system gives what there is.
                if _state.installed and _is_ready(target) and REPLACED[target][0] not in _executing:
                    _patch(target)
        except Exception as error:
            if type(error).__name__ == "_DeadlockError" or _is_contended(others, begun):
                # Two threads needed what the other one was importing, and this one had to give
                # way, by that error or half a module. The other one goes on, and patches.
                continue
            # Whatever is broken in ours must not break a program's `import queue`.
            _failures[target] = f"{type(error).__name__}: {error}"
            if not _state.quiet:
                _say_once(f"the standard {target} stays ({_failures[target]})")


def _import(source: str) -> None:
    thread = get_ident()
    outermost = thread not in _importing
    _importing.add(thread)
    try:
        __import__(source)
    finally:
        if outermost:
            _importing.discard(thread)


def _is_contended(executing: dict[str, int], begun: int) -> bool:
    """Whether another thread was *executing* a watched module, or one more than *begun* began to."""
    return any(thread != get_ident() for thread in (*executing.values(), *_begun[begun:]))


def _is_ready(target: str) -> bool:
    if target in _patched and target not in _widened:
        return False
    if target in _failures or not _is_standard(target, sys.modules.get(target)):
        return False
    if not any((target, name) in _wanted for name in REPLACED[target][1]):
        return False
    source = REPLACED[target][0]
    if target not in _reloaded and _foreign(target):
        return False
    # Ours would find these half executed.
    if any(module in _executing for module in REPLACED if REPLACED[module][0] == source):
        return False
    # Ours imports the very module that it replaces. Who does that import in this thread patches
    # as soon as ours is complete. If another thread does, this one waits for it, unless that is
    # an import of the program's own, which could not give way if it came to wait for this one.
    executing = _executing.get(source)
    return executing is None or (executing != get_ident() and source in _guarded)


def _foreign(target: str) -> dict[str, object]:
    """Ours of the exceptions that the module and ours would not agree about."""
    module, ours = sys.modules[target], sys.modules.get(REPLACED[target][0])
    return {
        name: vars(ours)[name]
        for name in SHARED.get(target, ())
        if ours is not None and name in vars(module) and name in vars(ours)
        if vars(module)[name] is not vars(ours)[name]
    }


def _patch(target: str) -> None:
    source, names = REPLACED[target]
    names = tuple(name for name in names if (target, name) in _wanted)
    module, ours = sys.modules[target], sys.modules[source]
    _patched[target] = module  # first, so that uninstall() mends whatever is left half done
    _widened.discard(target)
    replacements = {name: getattr(ours, name) for name in names}
    for name in ADDED.get(target, ()):
        if not hasattr(module, name) and hasattr(ours, name):
            replacements[name] = getattr(ours, name)
    replacements.update(_foreign(target))
    for name, replacement in replacements.items():
        original: Any = vars(module).get(name, _MISSING)
        if original is replacement or (original is _MISSING and name in names):
            continue  # concurrent.futures takes the name from its submodule when first asked for it
        if (target, name) in REBASED:
            _rebase_subclasses(original, replacement)
        _originals[target, name] = original
        setattr(module, name, replacement)
        # What a program prints or pickles by name is `threading.Event`, here as everywhere.
        if replacement.__module__.partition(".")[0] == "oxthreads":
            _renamed.append((replacement, replacement.__module__))
            replacement.__module__ = target


def _rebase_subclasses(old: type, new: type) -> None:
    subclasses: list[type] = old.__subclasses__()
    for cls in subclasses:
        # What oxthreads derives from a standard class is meant to be just that.
        if cls is not new and cls.__module__.partition(".")[0] != "oxthreads" and _swap_base(cls, old, new):
            _rebased.append((cls, new, old))


def _swap_base(cls: type, old: type, new: type) -> bool:
    """Whether *new* could be put in the place of *old* among the bases of *cls*."""
    try:
        cls.__bases__ = tuple(new if base is old else base for base in cls.__bases__)
    except TypeError:
        return False  # its other bases do not go with ours; it stays what it is
    return True


def _restore(module: ModuleType, name: str, original: object) -> None:
    if original is _MISSING:
        delattr(module, name)
    else:
        setattr(module, name, original)


def _is_standard(name: str, module: ModuleType | None) -> bool:
    spec = getattr(module, "__spec__", None)
    return spec is not None and _is_standard_origin(name, spec.origin)


def _is_standard_origin(name: str, origin: str | None) -> bool:
    """Whether *origin* is the standard library's *name*, and not, say, a script's own queue.py."""
    beside = getattr(os, "__file__", None)  # a frozen program may have none
    if origin is None or beside is None:
        return False
    stem = os.path.splitext(origin)[0].removesuffix(os.sep + "__init__")
    return stem == os.path.join(os.path.dirname(beside), *name.split("."))


def _say_once(message: str) -> None:
    if not _state.said and sys.stderr is not None:
        _state.said = True
        sys.stderr.write(f"oxthreads: {message}\n")


class _Finder:
    """Finds the watched modules as the other finders do, and has them patched once executed."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _WATCHED:
            return None
        finders = list(sys.meta_path)
        # Those before this one have been asked, and had no answer.
        later = finders[finders.index(self) + 1 :] if self in finders else finders
        for finder in later:
            find_spec = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find_spec(name, path, target) if find_spec else None
            if spec is not None:
                watched = name not in REPLACED or _is_standard_origin(name, spec.origin)
                if watched and hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
                return spec
        return None


class _Loader:
    """Stands in for a module's loader until the module is executed, then leaves it in its place."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        executed = False
        self._before(module)
        try:
            self._loader.exec_module(module)
            executed = True
        finally:
            self._after(module, executed)

    # The import system leaves its own frames out of the traceback of a module that fails, and
    # tells them by these two names. So that of a failing standard module looks as it always does.
    exec_module.__code__ = exec_module.__code__.replace(
        co_filename="<frozen importlib._bootstrap>", co_name="_call_with_frames_removed"
    )

    def _before(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        with _lock:
            _executing[module.__name__] = get_ident()
            _begun.append(get_ident())
            if get_ident() in _importing:
                _guarded.add(module.__name__)
            if _patched.get(module.__name__) is module:
                del _patched[module.__name__]  # a reload: its names are about to be new ones
                _reloaded.add(module.__name__)

    def _after(self, module: ModuleType, executed: bool) -> None:
        with _lock:
            _executing.pop(module.__name__, None)
            _guarded.discard(module.__name__)
        if executed:  # else it is about to be taken out of sys.modules
            _patch_what_is_ready()


_finder = _Finder()
