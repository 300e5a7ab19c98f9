"""What a trace calls threads, objects and files."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from oxthreads import _oxthreads as _native
from oxthreads.diagnose import _objects, _profile_names, _situation

if TYPE_CHECKING:
    from oxthreads._oxthreads import Recording

__all__ = ["write"]

#: The most objects for which a name is looked for at the end. A look takes some milliseconds.
_MOST_LOOKS = 200

#: What is before the name of the object itself, by what is waited for.
_BEFORE = {
    "item of a queue": "an item of ",
    "room in a queue": "room in ",
    "end of the work of a queue": "the end of the work of ",
    "item of a channel": "an item of ",
    "room in a channel": "room in ",
    "item of a broadcast": "an item of ",
    "room in a broadcast": "room in ",
    "change of a watch": "a change of ",
    "call for a worker": "a call to run in ",
    "room in a pool": "room in ",
}


def write(recording: Recording, path: Path) -> None:
    """Write the file of the trace.

    Raises:
        OSError: if it cannot be written.
    """
    files = [file for file in recording.files() if _situation.is_file_of_program(file)]
    waits, objects = _names(recording, set(files))
    recording.write(
        str(path),
        _text(_process()),
        waits,
        objects,
        _threads(recording),
        {file: _objects.file(file) for file in files},
    )


def _process() -> str:
    arguments: object = getattr(sys, "argv", None)
    first: object = arguments[0] if type(arguments) is list and arguments else ""
    name = first.rpartition("/")[2] if type(first) is str else ""
    return name if name not in ("", "-c", "-m", "-") else "python"


def _text(text: str) -> str:
    """Without what cannot be written."""
    return text.encode("utf-8", "backslashreplace").decode()


def _names(recording: Recording, files: set[str]) -> tuple[list[str], list[str]]:
    """For each object: what a wait for it is called, and what it is called itself, unlike all others."""
    frames = _profile_names.frames_at_end(files)
    waits: list[str] = []
    objects: list[str] = []
    names: dict[tuple[int, int], str] = {}
    taken: Counter[str] = Counter()
    with _situation.without_finalizers():
        for number, (what, address, generation, is_there, label) in enumerate(recording.objects()):
            known = frames if number <= _MOST_LOOKS else []
            seen = (what, address, generation)
            text = _profile_names.name_of(seen, known, is_there=is_there, label=label)
            waits.append(_text(text or "something"))
            key = (address, generation)
            if not address or key not in names:
                name = _own_name(what, _text(text))
                taken[name] += 1
                names[key] = name if taken[name] == 1 else f"{name} ({taken[name]})"
            objects.append(names[key])
    return waits, objects


def _own_name(what: str, text: str) -> str:
    return text.removeprefix(_BEFORE.get(what, "")) or "an object"


def _threads(recording: Recording) -> dict[int, str]:
    """The names of threads that are alive and have not told theirs."""
    unnamed = set(recording.unnamed_threads())
    active = dict(threading._active)  # type: ignore[attr-defined]
    return {
        number: _text(_situation.label(active.get(identifier), number))
        for number, identifier in _native.threads_alive()
        if number in unnamed
    }
