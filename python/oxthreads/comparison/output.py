"""Captured output: what is set aside in comparing it, its fingerprint, the lines that differ.

Output is bytes, of any size, and need not be text. It is read once, line by line. Its fingerprint
does not depend on the order of the lines, so nothing has to be sorted or kept in memory for it.
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

SET_ASIDE = (
    "timestamps",
    "addresses",
    "thread identifiers",
    "the order of lines",
    "traceback frames in the standard library and in oxthreads",
)

# What the runner itself has to say on stderr, such as that it does not know this Python.
NOTE_PREFIX = b"oxthreads: "

UNTERMINATED = rb"\ No newline at end of output"

MAX_SHOWN_LINES = 5
MAX_SHOWN_CHARACTERS = 160

# Each of these starts with a digit, which the expression tries first and alone: that is six times
# faster than trying them one by one at every byte. What is looked up behind is that digit.
_CHANGING = re.compile(
    # Not inside a longer number or word, nor in a longer row of numbers and colons (a MAC address).
    rb"\d(?<![\w.].)(?<!\d:.)(?:"
    # 2024-05-01 10:00, 2024-05-01T10:00:00.000Z, 2024-05-01 10:00:00,000+02:00
    rb"(?P<date>\d{3}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)"
    # 10:00:00, 0:00:01.250000
    rb"|(?P<clock>\d?:\d\d:\d\d(?:[.,]\d+)?)"
    # time.time() from 2020 to 2033; without a fraction it could be any number
    rb"|(?P<epoch>(?<=1)[6-9]\d{8}\.\d+)"
    rb"|(?P<address>(?<=0)[xX][0-9a-fA-F]+)"
    # get_ident() is an address on the thread's stack: 15 digits, from 12, 13 or 14 on (x86-64) or
    # from 28 on (64-bit Arm)
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

# The margin is empty, or in an exception group a bar for each level.
_FRAME = re.compile(rb'(?P<margin>[ |]*)  File "(?P<file>[^"]*)", line \d')


@dataclass(frozen=True)
class Output:
    """What one run has written to one stream."""

    size: int
    """Bytes as written."""
    lines: int
    digest: str
    """SHA-256 of the bytes as written."""
    fingerprint: str
    """Equal for outputs that are the same but for what is set aside."""
    last_line: str
    """The last line that is not blank, without what is set aside."""
    notes: tuple[str, ...]
    """Lines of the runner, which are no part of the script's output."""
    path: Path
    """A file with these bytes, as long as the store's directory exists."""


class OutputStore:
    """The captured outputs of all runs, in one directory; equal ones are kept, and read, once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._opened = 0
        self._kept: dict[tuple[str, bool], Output] = {}

    def open(self) -> IO[bytes]:
        """Open a new file for a script to write to."""
        self._opened += 1
        return (self._directory / f"output-{self._opened}").open("xb")

    def keep(self, file: IO[bytes], *, with_notes: bool = False) -> Output:
        """Read what a script has written; ``with_notes`` tells that the runner's lines are in it."""
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
    """Read a captured output once, from start to end."""
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
            # The sum of the lines' hashes is that of the whole in any order.
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
    """The lines without their ends and without what is set aside.

    As in a diff, a line of its own says that the last one has no end: which of the lines that is
    depends on their order.
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
    """The lines without the traceback frames of files of the standard library and of oxthreads.

    The same error passes through other files there, which is no difference in what a script does.
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
    """Whether a file named in a traceback belongs to the standard library or to oxthreads."""
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
    """A line as a terminal can show it, with a limit to its length."""
    text = line[: 4 * MAX_SHOWN_CHARACTERS].decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[: MAX_SHOWN_CHARACTERS - 3] + "..."


def differing_lines(standard: Output, oxthreads: Output) -> list[str]:
    """The first lines that only one of two outputs has, in the manner of a unified diff."""
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
