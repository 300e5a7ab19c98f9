"""A profile of waiting: when it runs, and what it has found."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oxthreads import _oxthreads as _native
from oxthreads.diagnose import (
    _profile_data,
    _profile_names,
    _profile_text,
    _report,
    _until_exit,
    _watch,
)

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Profile", "output_error", "start_for_process"]

#: What a file has, by the end of its name.
_FORMATS = (".json", ".txt", ".collapsed")


class Profile:
    """A profile of waiting; see :func:`oxthreads.diagnose.profile`.

    Thread-safe, but only one thread may enter and leave the ``with`` statement.
    """

    def __init__(self) -> None:
        self._state = "has not begun"
        self._data: dict[str, Any] = {}

    def __enter__(self) -> Profile:
        if self._state != "has not begun":
            raise RuntimeError("a profile can run only once; call oxthreads.diagnose.profile() again")
        _watch._record()
        if not _native.start_profile():
            raise RuntimeError("a profile runs already in this process")
        if not _native.trace_runs():
            _profile_names.clear()
        self._state = "has not ended"
        _watch.start_to_name()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        found = _native.stop_profile()
        if found is None:
            self._state = "belongs to the parent process, which has forked this one"
            return
        _watch.stop_if_unused()
        self._data = _profile_data.described(found)
        self._state = ""

    def data(self) -> dict[str, Any]:
        """Return what was found, as a dictionary that docs/profile.schema.json describes.

        Returns:
            dict: what :meth:`json` writes.

        Raises:
            RuntimeError: if the ``with`` statement has not ended, or was left in a forked child.
        """
        if self._state:
            raise RuntimeError(f"the profile {self._state}")
        return self._data

    def text(self) -> str:
        """Return a table for people; docs/profile.md explains it.

        Returns:
            str: lines of text.

        Raises:
            RuntimeError: as for :meth:`data`.
        """
        return _profile_text.table(self.data())

    def json(self) -> str:
        """Return everything that was found as JSON, version 1.

        Returns:
            str: JSON text, which docs/profile.schema.json describes.

        Raises:
            RuntimeError: as for :meth:`data`.
        """
        return json.dumps(self.data(), indent=1)

    def collapsed(self) -> str:
        """Return the stacks with their times, for flame graphs. Waits for work are left out.

        Returns:
            str: a line for each stack: its functions, the outermost first, what was waited for, and the
                microseconds.

        Raises:
            RuntimeError: as for :meth:`data`.
        """
        return _profile_text.collapsed(self.data())


def output_error(file: str) -> str | None:
    """Why a profile cannot be written to this file; None if nothing is known against it."""
    path = Path(file)
    if path.suffix not in _FORMATS:
        return (
            f"the name of the file must end with {', '.join(_FORMATS[:-1])} or {_FORMATS[-1]}, not {file!r}"
        )
    return _until_exit.directory_error(file)


def start_for_process(file: str | None) -> None:
    """Profile this process from now until it exits.

    Args:
        file: where to write what was found; None: the text goes to standard error. "{pid}" in it stands for
            the number of the process.

    Raises:
        ValueError: if the file cannot be one.
    """
    path = None
    if file is not None:
        wrong = output_error(file)
        if wrong is not None:
            raise ValueError(wrong)
        path = _until_exit.path_of(file)
    running = Profile().__enter__()

    def finish() -> None:
        running.__exit__(None, None, None)
        _write(running, path)

    _until_exit.finish_at_exit(finish)


def _write(profile: Profile, path: Path | None) -> None:
    if path is None:
        _report.write(profile.text())
        return
    formats = {".json": profile.json, ".txt": profile.text, ".collapsed": profile.collapsed}
    try:
        path.write_text(formats[path.suffix](), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        _report.write(f"oxthreads: the profile could not be written to {str(path)!r}: {error.strerror}\n")


def start_as_asked(choice: str) -> None:
    """Start the profile that the environment variable asks for. What is wrong with it is reported."""
    if _native.profile_runs():
        return
    try:
        start_for_process(None if choice == "1" else choice)
    except ValueError as error:
        sys.stderr.write(f"oxthreads: OXTHREADS_PROFILE: {error}\n")
