"""A profile of waiting: when it runs, and what it has found."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oxthreads import _oxthreads as _native
from oxthreads.diagnose import (
    _profile_data,
    _profile_names,
    _profile_page,
    _profile_text,
    _report,
    _until_exit,
    _watch,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Profile", "output_error", "start_for_process"]

#: What a file has, by the end of its name.
_FORMATS = (".html", ".json", ".txt", ".collapsed", ".pb.gz")


class Profile:
    """A profile of waiting; see :func:`oxthreads.diagnose.profile`.

    Thread-safe, but only one thread may enter and leave the ``with`` statement.
    """

    def __init__(self, *, timeline: bool = False) -> None:
        self._state = "has not begun"
        self._data: dict[str, Any] = {}
        self._keeps_timeline = timeline
        self._timeline: dict[str, Any] | None = None
        self._program = ""
        self._processor_begun = 0.0
        #: When it began, in nanoseconds since 1970.
        self._begun = 0

    def __enter__(self) -> Profile:
        if self._state != "has not begun":
            raise RuntimeError("a profile can run only once; call oxthreads.diagnose.profile() again")
        _watch._record()
        if not self._begin():
            raise RuntimeError("a profile runs already in this process")
        _watch.start_to_name()
        return self

    def _begin(self) -> bool:
        """Begin, if no profile runs in this process. Return whether it has begun."""
        if not _native.start_profile(self._keeps_timeline):
            return False
        if not _native.trace_runs():
            _profile_names.clear()
        self._begun = time.time_ns()
        self._processor_begun = time.process_time()
        self._state = "has not ended"
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        found = _native.stop_profile()
        processor = time.process_time() - self._processor_begun
        if found is None:
            self._state = "belongs to the parent process, which has forked this one"
            return
        _watch.stop_if_unused()
        self._data, self._timeline = _profile_data.described(found)
        # Not at the beginning: `oxthreads profile` begins before the program has its arguments.
        self._program = _program()
        self._data["processor_seconds"] = round(processor, 9)
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

    def html(self) -> str:
        """Return a page for a web browser; docs/profile.md explains it.

        It has everything that :meth:`json` has, and a timeline of single waits if the profile was begun with
        ``timeline=True``. It loads nothing from anywhere.

        Returns:
            str: an HTML document in ASCII.

        Raises:
            RuntimeError: as for :meth:`data`.
        """
        return _profile_page.page(self.data(), self._timeline, self._program)

    def pprof(self) -> bytes:
        """Return the stacks in the format of pprof, as a block profile of Go. Waits for work are left out.

        Returns:
            bytes: the content of a file whose name ends with ``.pb.gz``. ``go tool pprof`` and speedscope
                open it.

        Raises:
            RuntimeError: as for :meth:`data`.
        """
        from oxthreads.diagnose import _profile_pprof  # noqa: PLC0415 - gzip takes some milliseconds to import

        return _profile_pprof.encoded(self.data(), _main_file(), self._begun)


def _program() -> str:
    """What this process runs, for a title: the name of the script, "" if there is none."""
    arguments: Any = getattr(sys, "argv", None)
    first = arguments[0] if type(arguments) is list and arguments else ""
    if type(first) is not str or first in ("", "-", "-c", "-m"):
        return ""
    path = Path(first)
    return path.parent.name if path.name == "__main__.py" else path.name


def _main_file() -> str:
    """The file that this process runs; that of Python, if the program has none."""
    main: Any = sys.modules.get("__main__")
    return getattr(main, "__file__", None) or sys.executable or "python"


def _format_of(path: Path) -> str | None:
    """What a file of this name has: one of `_FORMATS`, or None."""
    return next((each for each in _FORMATS if path.name.endswith(each)), None)


def output_error(file: str) -> str | None:
    """Why a profile cannot be written to this file; None if nothing is known against it."""
    path = Path(file)
    if _format_of(path) is None:
        return (
            f"the name of the file must end with {', '.join(_FORMATS[:-1])} or {_FORMATS[-1]}, not {file!r}"
        )
    return _until_exit.directory_error(file)


def start_for_process(file: str | None) -> None:
    """Profile this process from now until it exits.

    Args:
        file: where to write what was found; None: the text goes to standard error. "{pid}" in its name stands
            for the number of the process. Then forked children have a profile of their own.

    Raises:
        ValueError: if the file cannot be one.
    """
    path = None
    if file is not None:
        wrong = output_error(file)
        if wrong is not None:
            raise ValueError(wrong)
        # The program may change the directory.
        path = Path(file).absolute()
    _WholeProcess(path).start()


class _WholeProcess(_until_exit.UntilExit):
    """A profile of all that a process does. Forked children have their own if the file tells them apart."""

    def __init__(self, path: Path | None) -> None:
        super().__init__("profile")
        self._path = path
        self._profile = self._new()

    def _new(self) -> Profile:
        return Profile(timeline=self._path is not None and self._path.suffix == ".html")

    def _begin(self) -> None:
        self._profile.__enter__()
        tells_apart = self._path is not None and _until_exit.PROCESS in self._path.name
        if tells_apart and hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin_in_child)

    def _begin_in_child(self) -> None:
        """Begin anew in a forked child. The next thread that falls asleep starts the thread of the watch."""
        self._profile = self._new()
        if self._profile._begin():
            self._note_beginning()

    def _write(self) -> None:
        self._profile.__exit__(None, None, None)
        _write(self._profile, self._path)


def _write(profile: Profile, path: Path | None) -> None:
    if path is None:
        _report.write(profile.text())
        return
    formats: dict[str | None, Callable[[], str | bytes]] = {
        ".html": profile.html,
        ".json": profile.json,
        ".txt": profile.text,
        ".collapsed": profile.collapsed,
        ".pb.gz": profile.pprof,
    }
    path = _until_exit.of_this_process(path)
    content = formats[_format_of(path)]()
    try:
        path.write_bytes(
            content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")
        )
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
