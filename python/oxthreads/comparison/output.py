"""Stores and compares the output of scripts.

Two runs of the same script often differ in things that do not matter, such as times and addresses
(`SET_ASIDE`). These are ignored: outputs are compared by *fingerprints*, which are equal if the outputs
are equal apart from that.

Output is bytes, of any size, and may be something other than text. It is read once, line by line. The
fingerprint does not depend on the order of the lines, so nothing has to be sorted or kept in memory.
"""

import functools
import hashlib
import os
import re
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

#: What is ignored when outputs are compared.
SET_ASIDE = (
    "timestamps",
    "addresses",
    "thread identifiers",
    "the order of lines",
    "traceback frames in the standard library and in oxthreads",
)

#: Lines of the runner on stderr begin with this. An example is that it does not know this Python.
NOTE_PREFIX = b"oxthreads: "

#: Stands for the missing end of the last line, as in a diff.
UNTERMINATED = rb"\ No newline at end of output"

MAX_SHOWN_LINES = 5
MAX_SHOWN_CHARACTERS = 160

# Matches what changes from run to run. Each alternative begins with a digit. The expression first matches
# this digit alone, because that is six times as fast as to try each alternative at every byte. So the
# alternatives begin after the digit, and look behind for it where its value matters.
_CHANGING = re.compile(
    # Not inside a longer number or word, and not inside numbers joined by colons (a MAC address).
    rb"\d(?<![\w.].)(?<!\d:.)(?:"
    # 2024-05-01 10:00, 2024-05-01T10:00:00.000Z, 2024-05-01 10:00:00,000+02:00
    rb"(?P<date>\d{3}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)"
    # 10:00:00, 0:00:01.250000
    rb"|(?P<clock>\d?:\d\d:\d\d(?:[.,]\d+)?)"
    # time.time() from 2020 to 2033. A fraction is required; without one it could be any number.
    rb"|(?P<epoch>(?<=1)[6-9]\d{8}\.\d+)"
    rb"|(?P<address>(?<=0)[xX][0-9a-fA-F]+)"
    # get_ident() is an address in the stack of the thread. It has 15 digits, and begins with 12, 13 or 14
    # (x86-64), or with 28 (64-bit Arm).
    rb"|(?P<thread>(?:(?<=1)[234]\d|(?<=2)8[01])\d{12})"
    rb")(?!\w|:\d)"
)
_SUBSTITUTES = {
    "date": b"<time>",
    "clock": b"<time>",
    "epoch": b"<time>",
    "address": b"<address>",
    "thread": b"<thread>",
}

# The margin: spaces, and in an exception group a bar for each level.
_FRAME = re.compile(rb'(?P<margin>[ |]*)  File "(?P<file>[^"]*)", line \d')


@dataclass(frozen=True)
class Output:
    """What one run has written to standard output or to standard error."""

    size: int
    """The number of bytes that were written."""
    lines: int
    digest: str
    """SHA-256 of the bytes that were written."""
    fingerprint: str
    """Equal for outputs that differ only in what is ignored."""
    last_line: str
    """The last line that is not blank, without what is ignored."""
    notes: tuple[str, ...]
    """Lines of the runner, which are not part of the script's output."""
    path: Path
    """A file with these bytes. It exists as long as the directory of the store."""


class OutputStore:
    """Stores the captured outputs of all runs in one directory. Equal outputs are stored and read only once.

    Args:
        directory: the directory, which must exist and must not have files with the names ``output-...``.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._opened = 0
        self._kept: dict[tuple[str, bool], Output] = {}

    def open(self) -> IO[bytes]:
        """Return a new file, open for a script to write to.

        Raises:
            OSError: if the file cannot be created.
        """
        self._opened += 1
        return (self._directory / f"output-{self._opened}").open("xb")

    def keep(self, file: IO[bytes], *, with_notes: bool = False) -> Output:
        """Read what a script has written, and store it.

        Args:
            file: a file that `open` has returned.
            with_notes: whether lines of the runner may be in it, which are then separated.

        Returns:
            The output. If an equal one was stored before, it is that object, and the file is deleted.
        """
        path = Path(file.name)
        with path.open("rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
        known = self._kept.get((digest, with_notes))
        if known is None:
            known = self._kept[digest, with_notes] = read_output(path, digest, with_notes)
        else:
            path.unlink()
        return known


def read_output(path: Path, digest: str, with_notes: bool) -> Output:
    """Read a captured output, and compute its fingerprint.

    Args:
        path: the file.
        digest: the SHA-256 of the file.
        with_notes: whether lines of the runner may be in it, which are then separated.
    """
    with path.open("rb") as file:
        lines = sum(1 for _ in file)
    total = 0
    last = b""
    notes = []
    with path.open("rb") as file:
        for line in compared_lines(file):
            if with_notes and line.startswith(NOTE_PREFIX):
                notes.append(shown(line))
                continue
            # A sum of hashes does not depend on the order of the lines.
            total += int.from_bytes(hashlib.sha256(line).digest())
            if line.strip() and line is not UNTERMINATED:
                last = line
    return Output(
        size=path.stat().st_size,
        lines=lines,
        digest=digest,
        fingerprint=f"{total % 2**256:064x}",
        last_line=shown(last),
        notes=tuple(notes),
        path=path,
    )


def compared_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines without their ends and without what is ignored.

    If the last line has no end, one more line says so, as in a diff. (It is a line of its own because it
    depends on the order of the lines which of them is the last.)

    Args:
        lines: the lines as they were written.
    """
    terminated = True
    for line in without_inner_frames(lines):
        terminated = line.endswith(b"\n")
        yield _CHANGING.sub(_substitute, line.removesuffix(b"\n"))
    if not terminated:
        yield UNTERMINATED


def _substitute(match: re.Match[bytes]) -> bytes:
    return _SUBSTITUTES[match.lastgroup or ""]


def without_inner_frames(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines without the traceback frames of the standard library and of oxthreads.

    The same error has other frames there on the two back ends. This is not a difference in what a script
    does.

    Args:
        lines: the lines as they were written.
    """
    source: tuple[bytes, ...] = ()
    for line in lines:
        if source and line.startswith(source):
            continue
        source = ()
        frame = _FRAME.match(line) if b'  File "' in line else None
        if frame is not None and is_inner_file(frame["file"]):
            margin = frame["margin"]
            source = (margin + b"    ", margin + b"  [Previous line repeated ")
        else:
            yield line


@functools.lru_cache(maxsize=1024)
def is_inner_file(name: bytes) -> bool:
    """Return whether a file that a traceback names belongs to the standard library or to oxthreads.

    Args:
        name: the name of the file, as in the traceback.
    """
    path = os.fsdecode(name)
    if path.startswith("<frozen ") or path.startswith(_package_directory()):
        return True
    for directory in _library_directories():
        if path.startswith(directory):
            inside = Path(path[len(directory) :])
            return inside.parts[0] not in ("site-packages", "dist-packages")
    return False


@functools.cache
def _package_directory() -> str:
    return str(Path(__file__).parent.parent) + os.sep


@functools.cache
def _library_directories() -> frozenset[str]:
    named = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), str(Path(os.__file__).parent)}
    return frozenset(path + os.sep for name in named for path in (name, os.path.realpath(name)))


def shown(line: bytes) -> str:
    """Return a line as text that a terminal can show, shortened to `MAX_SHOWN_CHARACTERS`."""
    text = line[: 4 * MAX_SHOWN_CHARACTERS].decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[: MAX_SHOWN_CHARACTERS - 3] + "..."


def differing_lines(standard: Output, oxthreads: Output) -> list[str]:
    """Return the first lines that only one of two outputs has.

    Args:
        standard: the output on the standard library.
        oxthreads: the output on oxthreads.

    Returns:
        Lines as in a unified diff: ``-`` for the standard library, ``+`` for oxthreads.
    """
    surplus = _lines_of(standard)
    surplus.subtract(_lines_of(oxthreads))
    return [
        *_some_lines("-", ((line, count) for line, count in surplus.items() if count > 0)),
        *_some_lines("+", ((line, -count) for line, count in surplus.items() if count < 0)),
    ]


def _lines_of(output: Output) -> Counter[bytes]:
    with output.path.open("rb") as file:
        lines = Counter(compared_lines(file))
    if output.notes:
        lines = Counter({line: n for line, n in lines.items() if not line.startswith(NOTE_PREFIX)})
    return lines


def _some_lines(sign: str, surplus: Iterable[tuple[bytes, int]]) -> list[str]:
    texts: list[str] = []
    left_out = 0
    for line, count in surplus:
        if len(texts) < MAX_SHOWN_LINES:
            texts.append(sign + shown(line) + (f"  ({count} times)" if count > 1 else ""))
        else:
            left_out += count
    if left_out:
        texts.append(f"{sign}... and {left_out} more")
    return texts
