"""What `.ci/check-wheels` reads in a library for macOS, of which the gate builds none."""

from __future__ import annotations

import hashlib
import struct
import sys
from pathlib import Path

import pytest

pytest.importorskip("elftools")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".ci"))

from compiled_file import CompiledFile, read

ARM64, X86_64 = 0x0100000C, 0x01000007
#: The kinds of entries in a table of symbols.
EXPORTED, IMPORTED, LOCAL, FOR_DEBUGGERS = 0x0F, 0x01, 0x0E, 0x64
PAGE = 4096


def signature(content: bytes) -> bytes:
    """An ad hoc signature, as linkers make it: the hash of each page."""
    hashes = [
        hashlib.sha256(content[start : start + PAGE]).digest() for start in range(0, len(content), PAGE)
    ]
    name = b"library\0"
    beginning = 48 + len(name)
    numbers = (0xFADE0C02, beginning + 32 * len(hashes), 0x20400, 2, beginning, 48, 0, len(hashes))
    directory = struct.pack(">9I4B4x", *numbers, len(content), 32, 2, 0, 12)
    directory = directory.ljust(48, b"\0") + name + b"".join(hashes)
    return struct.pack(">5I", 0xFADE0CC0, 20 + len(directory), 1, 0, 20) + directory


def mach_o(processor: int, kinds: list[int], *, signed: bool) -> bytes:
    """A library with such symbols, and nothing else, of a few pages."""
    commands = 2 if signed else 1
    symbols = 32 + 24 + 16
    end = symbols + 16 * len(kinds) + 2 * PAGE
    content = struct.pack("<8I", 0xFEEDFACF, processor, 0, 6, commands, 24 + 16 * (commands - 1), 0, 0)
    content += struct.pack("<6I", 0x2, 24, symbols, len(kinds), end, 0)
    content += struct.pack("<4I", 0x1D, 16, end, 0) if signed else bytes(16)
    content += b"".join(struct.pack("<IBBHQ", 0, kind, 0, 0, 0) for kind in kinds)
    content = content.ljust(end, b"\1")
    return content + signature(content) if signed else content


@pytest.mark.parametrize(("processor", "machine"), [(ARM64, "arm64"), (X86_64, "x86_64")])
def test_a_stripped_library_with_a_signature(processor: int, machine: str) -> None:
    found = read(mach_o(processor, [EXPORTED, IMPORTED], signed=True))
    assert found == CompiledFile("macosx", machine, [], signed=True)


@pytest.mark.parametrize("kind", [LOCAL, FOR_DEBUGGERS])
def test_symbols_for_debuggers_are_found(kind: int) -> None:
    assert read(mach_o(ARM64, [EXPORTED, kind], signed=True)).for_debuggers == [
        "LC_SYMTAB with local symbols"
    ]


def test_a_library_without_a_signature() -> None:
    assert not read(mach_o(ARM64, [EXPORTED], signed=False)).signed


@pytest.mark.parametrize("place", [100, PAGE, 2 * PAGE, -1], ids=str)
def test_a_library_that_was_changed_after_it_was_signed(place: int) -> None:
    content = bytearray(mach_o(ARM64, [EXPORTED], signed=True))
    content[place] ^= 0xFF
    assert not read(bytes(content)).signed


def test_a_library_that_was_cut_off() -> None:
    """It is an error that `.ci/check-wheels` reports."""
    with pytest.raises(ValueError, match="cut off"):
        read(mach_o(ARM64, [EXPORTED], signed=True)[:50])


def test_what_is_no_library() -> None:
    with pytest.raises(ValueError, match="no compiled file"):
        read(b"#!/bin/sh\n")
