"""The import hook: patches each standard module right after its first import.

The hook is a finder in ``sys.meta_path``. It finds the watched modules as the other finders do, and gives
them a loader that patches whatever has become ready once the module is executed.

It also keeps the first copy of a module. Some tools take modules out of ``sys.modules`` to have them
imported anew (ddtrace does, and so do tests that want a fresh module). Our classes derive from the classes
of the first copy, raise its exceptions and enter their threads in its tables. So an import of a patched
module, or of a module of this package, gives the first copy again, as it is.
"""

from __future__ import annotations

import sys
from _thread import get_ident

from . import state, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

__all__ = ["finder", "patch_what_is_ready", "start", "stop"]

# Watched module that is being executed -> the thread that executes it.
_executing: dict[str, int] = {}
# The threads that began to execute a watched module, in order.
_begun: list[int] = []
# The threads that import a module of ours for the patch, and what they execute meanwhile.
_importing: set[int] = set()
_guarded: set[str] = set()
# The modules of this package. They hold the state of the patch and the only classes that the native code
# knows, so they are never executed a second time, as the standard ones are not.
_own: dict[str, ModuleType] = {}


def start() -> None:
    """Watch imports from now on. Call this with ``state.lock`` held, once for each :func:`stop`."""
    for name, module in sys.modules.copy().items():
        if table.is_own(name) and not getattr(getattr(module, "__spec__", None), "_initializing", False):
            _own[name] = module
    sys.meta_path.insert(0, finder)


def stop() -> None:
    """Watch imports no longer."""
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)


def patch_what_is_ready() -> None:
    """Patch each standard module that is imported, and for which ours can be imported now.

    Raises nothing: a module that cannot be patched stays the standard one, and the state records why.
    """
    for target in table.REPLACED:
        if not (state.is_installed() and _is_ready(target)):
            continue
        others, begun = _executing.copy(), len(_begun)
        source = table.source_of(target)
        try:
            _import(source)
            _refuse_another_copy(source)
            with state.lock:
                # Another thread may have executed half of our module and wait for what this thread
                # imports. To wait for it would be a deadlock, so the import system gives what there is.
                if state.is_installed() and _is_ready(target) and source not in _executing:
                    state.apply(target)
        except Exception as error:
            if type(error).__name__ == "_DeadlockError" or _is_contended(others, begun):
                # Two threads needed what the other one was importing, and this thread had to give
                # way, by that error or by half a module. The other one goes on, and patches.
                continue
            # Whatever is broken in our module must not break a program's `import queue`.
            state.fail(target, f"{type(error).__name__}: {error}")


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
    """Whether another thread is among those *executing*, or has begun to execute since *begun*."""
    return any(thread != get_ident() for thread in (*executing.values(), *_begun[begun:]))


def _is_ready(target: str) -> bool:
    """Whether the standard module is to be patched, and our module can be imported without a deadlock."""
    if not (state.needs_patch(target) and table.is_standard(target, sys.modules.get(target))):
        return False
    source = table.source_of(target)
    # Our module would find these half executed.
    if any(module in _executing for module in table.targets_of(source)):
        return False
    # Our module imports the very module that it replaces. If this thread is executing ours, it patches
    # as soon as ours is complete. If another thread is, this one waits for it, unless that is an import
    # of the program's own: such an import could not give way if it came to wait for this thread.
    executing = _executing.get(source)
    return executing is None or (executing != get_ident() and source in _guarded)


def _standard_modules(source: str) -> dict[str, ModuleType]:
    """The standard modules that our module was made from, by name; none if it was not made yet.

    Our modules have no public name for this, because they have no names that the standard ones have not.
    """
    found: dict[str, ModuleType] = getattr(_own.get(source), "_STANDARD_MODULES", {})
    return found


def _refuse_another_copy(source: str) -> None:
    """Raise ImportError if a standard module is another copy than the one that our module was made from.

    It was imported a second time before the hook was there to keep the first copy.
    """
    for name, first in _standard_modules(source).items():
        if sys.modules.get(name, first) is not first:
            raise ImportError(f"{name} has been imported a second time since {source} was")


def _first_copy(name: str) -> ModuleType | None:
    """The copy that an import of the module is to find again; None if it is to be imported as usual."""
    if not state.is_installed():
        return None
    if table.is_own(name):
        return _own.get(name)
    if name not in table.REPLACED or all(target != name for target, _ in state.wanted()):
        return None
    return _standard_modules(table.source_of(name)).get(name)


class _Finder:
    """Finds the watched modules as the other finders do, and gives them a loader of ours."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in table.WATCHED and not table.is_own(name):
            return None
        finders = list(sys.meta_path)
        # Those before this one have been asked, and had no answer.
        later = finders[finders.index(self) + 1 :] if self in finders else finders
        for each in later:
            find_spec = getattr(each, "find_spec", None)
            spec: ModuleSpec | None = find_spec(name, path, target) if find_spec else None
            if spec is not None:
                watched = name not in table.REPLACED or table.is_standard_origin(name, spec.origin)
                if watched and hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
                return spec
        return None


class _Loader:
    """Stands in for a module's loader until the module is executed, then puts that loader back.

    If the first copy of the module is to be kept, it makes no new one and gives out the first.
    """

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._first: ModuleType | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        self._first = _first_copy(spec.name)
        if self._first is not None:
            return self._first
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module is self._first:
            self._first = None
            self._put_back(module)
            patch_what_is_ready()
            return
        executed = False
        self._before(module)
        try:
            self._loader.exec_module(module)
            executed = True
        finally:
            self._after(module, executed)

    # The import system leaves its own frames out of the traceback of a module that fails. It knows
    # them by these two names. With them, the traceback of a standard module looks as it always does.
    exec_module.__code__ = exec_module.__code__.replace(
        co_filename="<frozen importlib._bootstrap>", co_name="_call_with_frames_removed"
    )

    def _put_back(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader

    def _before(self, module: ModuleType) -> None:
        self._put_back(module)
        if module.__name__ not in table.WATCHED:
            return
        with state.lock:
            _executing[module.__name__] = get_ident()
            _begun.append(get_ident())
            if get_ident() in _importing:
                _guarded.add(module.__name__)
            state.forget(module.__name__, module)

    def _after(self, module: ModuleType, executed: bool) -> None:
        with state.lock:
            _executing.pop(module.__name__, None)
            _guarded.discard(module.__name__)
            if executed and table.is_own(module.__name__):
                _own[module.__name__] = module
        # A module whose execution failed is about to be taken out of sys.modules.
        if executed and module.__name__ in table.WATCHED:
            patch_what_is_ready()


#: The one finder, which is in ``sys.meta_path`` while the patch is installed.
finder = _Finder()
