"""What the patch has reached, and what it could not reach: :func:`oxthreads.patch.status`.

It is not named ``status``, which is the function, and an interpreter that starts does not import it.
"""

from __future__ import annotations

import importlib
import sys
from typing import Literal, TypedDict

from . import state, table

__all__ = ["Capture", "NameStatus", "Status", "status"]

_MISSING = object()


class NameStatus(TypedDict):
    """One replaced name: is it ours where a program looks it up?

    ``pending`` says that the module is not imported yet, and will be patched when it is.
    """

    module: str
    name: str
    state: Literal["active", "pending", "standard"]


class Capture(TypedDict):
    """A global variable of an imported module that still holds what was replaced."""

    module: str
    variable: str
    original: str


class Status(TypedDict):
    """What :func:`status` returns."""

    installed: bool
    names: list[NameStatus]
    captured: list[Capture]
    failures: dict[str, str]


def status(*, fresh: bool) -> Status:
    """See :func:`oxthreads.patch.status`."""
    if fresh:
        for target in table.REPLACED:
            importlib.import_module(target)
    wanted = state.wanted()
    return {
        "installed": state.is_installed(),
        "names": [
            {"module": target, "name": name, "state": _state(target, name, (target, name) in wanted)}
            for target, (_, names) in table.REPLACED.items()
            for name in names
        ],
        "captured": _captured(),
        "failures": state.failures(),
    }


def _state(target: str, name: str, wanted: bool) -> Literal["active", "pending", "standard"]:
    module = sys.modules.get(target)
    if module is None:
        return "pending" if wanted else "standard"
    # getattr, as a program would: concurrent.futures finds its executors when asked.
    found = getattr(module, name, None)
    ours = getattr(sys.modules.get(table.source_of(target)), name, _MISSING)
    return "active" if found is ours else "standard"


def _captured() -> list[Capture]:
    originals = {id(value): ".".join(key) for key, value in reversed(state.originals().items())}
    # The standard modules' own private aliases are no captures: they are meant to stay.
    standard = table.WATCHED.union(("_thread", "_queue"))
    return [
        {"module": name, "variable": variable, "original": originals[id(value)]}
        for name, module in sorted(sys.modules.copy().items())
        if name not in standard and not table.is_own(name) and isinstance(module, type(sys))
        for variable, value in vars(module).copy().items()
        if id(value) in originals
    ]
