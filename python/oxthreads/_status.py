"""What the patch has reached, and what it could not reach: :func:`oxthreads.patch.status`.

Apart from the patch itself, which an interpreter imports while it starts.
"""

from __future__ import annotations

import importlib
import sys
from typing import Literal, TypedDict

from oxthreads import patch

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
        for target in patch.REPLACED:
            importlib.import_module(target)
    names: list[NameStatus] = []
    for target, (source, attributes) in patch.REPLACED.items():
        module, ours = sys.modules.get(target), sys.modules.get(source)
        for name in attributes:
            state: Literal["active", "pending", "standard"]
            if module is None:
                state = "pending" if (target, name) in patch._wanted else "standard"
            else:
                # getattr, as a program would: concurrent.futures finds its executors when asked.
                found = getattr(module, name, None)
                state = "active" if found is getattr(ours, name, _MISSING) else "standard"
            names.append({"module": target, "name": name, "state": state})
    return {
        "installed": patch.is_installed(),
        "names": names,
        "captured": _captured(),
        "failures": patch._failures.copy(),
    }


def _captured() -> list[Capture]:
    with patch._lock:
        originals = {
            id(value): ".".join(key)
            for key, value in reversed(patch._originals.items())
            if value is not patch._MISSING
        }
    # The standard modules' own private aliases are no captures: they are meant to stay.
    own = patch._WATCHED.union(("_thread", "_queue"))
    package = __name__.partition(".")[0]
    return [
        {"module": name, "variable": variable, "original": originals[id(value)]}
        for name, module in sorted(sys.modules.copy().items())
        if name not in own and name.partition(".")[0] != package and isinstance(module, type(sys))
        for variable, value in vars(module).copy().items()
        if id(value) in originals
    ]
