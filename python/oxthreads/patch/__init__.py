"""Puts the types of :mod:`oxthreads` in the place of the standard library's, name by name.

:data:`~oxthreads.patch.table.REPLACED` says what is replaced where. Only names in modules change, and the
bases of a few classes. A lock that exists stays what it is and works beside ours, but it is not an
instance of what the names mean from then on. A module that is imported already is patched at once, any
other right after its first import. So the patch imports nothing, and starts no thread, that the program
does not ask for. A name whose class somebody has wrapped before is left as it is: the wrapper would have
no effect on our class.

The parts:

* :mod:`~oxthreads.patch.table`: what is replaced by what.
* :mod:`~oxthreads.patch.state`: what has been replaced so far, and how it is taken back.
* :mod:`~oxthreads.patch.import_hook`: patches modules as they are imported.
* :mod:`~oxthreads.patch.status_report`: what the patch has reached.

All but the last are imported while an interpreter starts, so they import only what is loaded then anyway.
"""

from __future__ import annotations

import sys

from . import import_hook, state, table
from .table import REPLACED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .status_report import Status
else:
    # Runtime placeholders for names used in annotations.
    from _collections_abc import Iterable

    Status = dict

__all__ = ["REPLACED", "install", "installed", "is_installed", "is_supported", "status", "uninstall"]

#: The first Python of which nothing is known: there the standard library stays.
FIRST_UNKNOWN_PYTHON = (3, 16)


def is_supported() -> bool:
    """Whether this version of Python is one that the patch knows."""
    return sys.version_info < FIRST_UNKNOWN_PYTHON


def is_installed() -> bool:
    """Whether the patch is installed; :func:`status` says what it reached."""
    return state.is_installed()


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
    wanted = table.chosen(only)
    if not is_supported():
        if not quiet:
            version = f"{sys.version_info[0]}.{sys.version_info[1]}"
            state.say_once(f"Python {version} is not known to this version; the standard library stays")
        return False
    with state.lock:
        was_installed = state.is_installed()
        if not state.request(wanted, quiet=quiet):
            return True
        if not was_installed:
            import_hook.start()
    import_hook.patch_what_is_ready()
    return True


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
        before = state.wanted()
        is_on = install(only=self._only, quiet=self._quiet)
        self._before.append(before)
        return is_on

    def __exit__(self, *_: object) -> None:
        before = self._before.pop()
        if before != state.wanted():
            uninstall()
        if before:
            install(only=[".".join(entry) for entry in before], quiet=state.is_quiet())


def uninstall() -> None:
    """Put the standard names back wherever ours are found, and watch imports no longer.

    Objects made in between stay what they are. A name that somebody else has replaced since is
    left alone. Does nothing if the patch is not installed. Raises nothing.
    """
    with state.lock:
        if state.is_installed():
            import_hook.stop()
            state.take_back()


def status(*, fresh: bool = False) -> Status:
    """What is active in this process: JSON-ready, and true of the modules as they are now.

    ``names`` has an entry for each replaced name; ``captured`` lists the variables of imported
    modules that hold an original, as after ``from threading import Lock`` before the patch;
    ``failures`` says why a module could not be patched, or why one of its names was left as it is.
    With *fresh*, each module is imported first, so that no name is pending. Raises nothing, unless
    a module cannot be imported.
    """
    from . import status_report  # noqa: PLC0415 - an interpreter that starts has no use for it

    return status_report.status(fresh=fresh)


def _hide_file(variables: dict[str, Any]) -> None:
    """Take ``__file__`` out of a module's variables, but leave it for those who ask the module for it.

    Tools that trace a program by the files of its frames, as `trace` does, look at the variables. They are
    to see as little of the patch as of the import system that calls it.
    """
    if "__file__" not in variables:
        return  # it was hidden before: this package has been reloaded
    name, file = variables["__name__"], variables.pop("__file__")

    def __getattr__(attribute: str) -> Any:  # noqa: N807 - a function of the module
        if attribute == "__file__":
            return file
        raise AttributeError(f"module {name!r} has no attribute {attribute!r}")

    variables["__getattr__"] = __getattr__


for _module in (table, state, import_hook):
    _hide_file(vars(_module))
_hide_file(globals())
del _module
