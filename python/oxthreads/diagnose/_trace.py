"""A trace of all waits: when it runs, and how its file is written."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from oxthreads import _oxthreads as _native
from oxthreads.diagnose import _profile_names, _report, _trace_names, _until_exit, _watch

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Trace", "output_error", "start_for_process"]

#: The memory for the events of a trace, in bytes; None: 64 MiB. For tests.
most_bytes: int | None = None


class Trace:
    """A trace of all waits; see :func:`oxthreads.diagnose.trace`.

    Only one thread may enter and leave the ``with`` statement.

    Attributes:
        events (int): how many events were recorded; 0 before the end.
        dropped (int): how many events found no room; 0 before the end.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # The program may change the directory.
        self._path = Path(path).absolute()
        self._was_entered = False
        self.events = self.dropped = 0

    def __enter__(self) -> Trace:
        if self._was_entered:
            raise RuntimeError("a trace can run only once; call oxthreads.diagnose.trace() again")
        if _native.trace_runs():
            raise RuntimeError("a trace runs already in this process")
        # Better now than after the program has run for hours.
        self._path.open("wb").close()
        _watch._record()
        if not _native.start_trace(most_bytes):
            raise RuntimeError("a trace runs already in this process")
        self._was_entered = True
        if not _native.profile_runs():
            _profile_names.clear()
        _watch.start_to_name()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        recording = _native.stop_trace()
        if recording is None:
            return  # It belongs to the parent process, which has forked this one.
        _watch.stop_if_unused()
        self.events, self.dropped = recording.kept, recording.dropped
        _trace_names.write(recording, self._path)


def output_error(file: str) -> str | None:
    """Why a trace cannot be written to this file; None if nothing is known against it."""
    return _until_exit.directory_error(file)


def start_for_process(file: str) -> None:
    """Trace this process from now until it exits.

    Args:
        file: where to write it. "{pid}" in it stands for the number of the process.

    Raises:
        ValueError: if there is no such directory.
        OSError: if the file cannot be written.
        RuntimeError: if a trace runs already.
    """
    wrong = output_error(file)
    if wrong is not None:
        raise ValueError(wrong)
    # The program may change the directory.
    _WholeProcess(_until_exit.of_this_process(Path(file).absolute())).start()


class _WholeProcess(_until_exit.UntilExit):
    """A trace of all that a process does."""

    def __init__(self, path: Path) -> None:
        super().__init__("trace")
        self._path = path
        self._trace = Trace(path)

    def _begin(self) -> None:
        self._trace.__enter__()

    def _write(self) -> None:
        trace = self._trace
        try:
            trace.__exit__(None, None, None)
        except OSError as error:
            _report.write(
                f"oxthreads: the trace could not be written to {str(self._path)!r}: {error.strerror}\n"
            )
        if trace.dropped:
            _report.write(
                f"oxthreads: {trace.dropped} events of the trace found no room after {trace.events}: "
                "of the threads concerned, it shows only the beginning\n"
            )


def start_as_asked(file: str) -> None:
    """Start the trace that the environment variable asks for. What is wrong with it is reported."""
    if _native.trace_runs():
        return
    try:
        start_for_process(file)
    except ValueError as error:
        sys.stderr.write(f"oxthreads: OXTHREADS_TRACE: {error}\n")
    except OSError as error:
        sys.stderr.write(f"oxthreads: OXTHREADS_TRACE: {error.filename!r}: {error.strerror}\n")
