"""The table of what the patch replaces, and which modules it concerns.

Nothing in here changes while a program runs: what has been patched so far is in
:mod:`oxthreads.patch.state`.
"""

# Pathlib is not loaded when an interpreter starts.
# ruff: noqa: PTH118, PTH120, PTH122
from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

__all__ = [
    "ADDED",
    "REBASED",
    "REPLACED",
    "WATCHED",
    "chosen",
    "is_own",
    "is_standard",
    "is_standard_origin",
    "source_of",
    "targets_of",
]

#: Standard module -> (our module, the names that are replaced).
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

#: Names that a standard module gets where it does not have them yet, if our module has them.
ADDED: dict[str, tuple[str, ...]] = {"queue": ("ShutDown",)}

#: Replaced classes whose existing subclasses get our class as their base, so that
#: ``isinstance(threading.main_thread(), threading.Thread)`` stays true, and a class that calls
#: ``threading.Thread.__init__(self)`` works. The subclasses are `_MainThread`, `_DummyThread` and
#: `Timer`, and what was derived from the standard class before it was replaced.
REBASED = frozenset({("threading", "Thread")})

#: The modules whose execution the import hook watches: the standard ones and ours.
WATCHED = frozenset(source for source, _ in REPLACED.values()).union(REPLACED)

_PACKAGE = __name__.partition(".")[0]


def source_of(target: str) -> str:
    """Our module, from which the standard module *target* gets its names."""
    return REPLACED[target][0]


def targets_of(source: str) -> list[str]:
    """The standard modules that get names from *source*, which is one of ours."""
    return [target for target, (origin, _) in REPLACED.items() if origin == source]


def chosen(only: Iterable[str] | None) -> set[tuple[str, str]]:
    """The entries of :data:`REPLACED`, as (module, name), that *only* stands for; None stands for all.

    *only* has modules ("queue") and names in them ("threading.Event"). ``concurrent.futures`` also
    stands for its submodules, since programs import from the package. Raises ValueError for a name
    that is never replaced.
    """
    known: dict[str, list[tuple[str, str]]] = {}
    for target, (_, names) in REPLACED.items():
        public = "concurrent.futures" if target.startswith("concurrent.futures.") else target
        for name in names:
            for asked in (public, f"{public}.{name}", target, f"{target}.{name}"):
                known.setdefault(asked, []).append((target, name))
    asked_for = known if only is None else dict.fromkeys([only] if isinstance(only, str) else only)
    unknown = [name for name in asked_for if name not in known]
    if unknown:
        raise ValueError(f"not a name that is replaced: {unknown[0]!r}")
    return {entry for asked in asked_for for entry in known[asked]}


def is_own(name: str) -> bool:
    """Whether the module of this name belongs to this package."""
    return name.partition(".")[0] == _PACKAGE


def is_standard(name: str, module: ModuleType | None) -> bool:
    """Whether *module* is the standard library's *name*. It is not if there is no module."""
    spec = getattr(module, "__spec__", None)
    return spec is not None and is_standard_origin(name, spec.origin)


def is_standard_origin(name: str, origin: str | None) -> bool:
    """Whether the file *origin* is the standard library's *name*, and not, say, a script's own queue.py."""
    beside = getattr(os, "__file__", None)  # a frozen program may have none
    if origin is None or beside is None:
        return False
    stem = os.path.splitext(origin)[0].removesuffix(os.sep + "__init__")
    return stem == os.path.join(os.path.dirname(beside), *name.split("."))
