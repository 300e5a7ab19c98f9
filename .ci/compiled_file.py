"""What a compiled extension says of itself: the machine it is for, and what is in it for debuggers alone."""

from __future__ import annotations

import hashlib
import io
import struct
from dataclasses import dataclass

from elftools.common.exceptions import ELFError
from elftools.construct.core import ConstructError
from elftools.elf.elffile import ELFFile


@dataclass(frozen=True)
class CompiledFile:
    """A shared library of Linux, macOS or Windows."""

    #: "linux", "macosx" or "win".
    system: str
    #: As in the tags of wheels.
    machine: str
    #: Sections that a stripped file does not have.
    for_debuggers: list[str]
    #: Whether it has a signature that is right, as macOS demands of all code on arm64.
    signed: bool = False


def read(content: bytes) -> CompiledFile:
    """Read the header.

    Raises:
        ValueError: It is none of the three formats, or not whole.
    """
    try:
        if content.startswith(b"\x7fELF"):
            return _elf(content)
        if content.startswith(b"\xcf\xfa\xed\xfe"):
            return _mach_o(content)
        if content.startswith(b"MZ"):
            return _portable_executable(content)
    except (struct.error, IndexError, ELFError, ConstructError) as error:
        raise ValueError(f"cut off, or otherwise broken: {error}") from error
    raise ValueError(f"no compiled file: it begins with {content[:4]!r}")


def _elf(content: bytes) -> CompiledFile:
    file = ELFFile(io.BytesIO(content))
    machine = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}.get(file["e_machine"], file["e_machine"])
    sections = [
        section.name
        for section in file.iter_sections()
        if section["sh_type"] == "SHT_SYMTAB" or section.name.startswith((".debug", ".zdebug"))
    ]
    return CompiledFile("linux", machine, sections)


def _mach_o(content: bytes) -> CompiledFile:
    _, processor, _, _, commands = struct.unpack_from("<5I", content)
    machine = {0x0100000C: "arm64", 0x01000007: "x86_64"}.get(processor, hex(processor))
    found = []
    signed = False
    offset = 32
    for _ in range(commands):
        command, size = struct.unpack_from("<2I", content, offset)
        if command == 0x19 and content[offset + 8 : offset + 24].rstrip(b"\0") == b"__DWARF":  # LC_SEGMENT_64
            found.append("__DWARF")
        if command == 0x2:  # LC_SYMTAB, of which a stripped library has what it exports and imports
            symbols, count = struct.unpack_from("<2I", content, offset + 8)
            kinds = [content[symbols + 16 * index + 4] for index in range(count)]
            # Entries for debuggers (N_STAB); and local ones, neither undefined nor external.
            if any(kind & 0xE0 for kind in kinds) or any(kind & 0x0E and not kind & 0x01 for kind in kinds):
                found.append("LC_SYMTAB with local symbols")
        if command == 0x1D:  # LC_CODE_SIGNATURE
            signed = _is_signed(content, *struct.unpack_from("<I", content, offset + 8))
        offset += size
    return CompiledFile("macosx", machine, found, signed)


def _is_signed(content: bytes, signature: int) -> bool:
    """Whether each page has the hash that stands for it in the list of a Mach-O signature."""
    magic, _, blobs = struct.unpack_from(">3I", content, signature)
    kinds = dict(struct.unpack_from(">2I", content, signature + 12 + 8 * blob) for blob in range(blobs))
    if magic != 0xFADE0CC0 or 0 not in kinds:
        return False
    directory = signature + kinds[0]
    magic, _, _, _, hashes, _, _, pages, limit, length, kind, _, page = struct.unpack_from(
        ">9I4B", content, directory
    )
    if (magic, length, kind, limit) != (0xFADE0C02, 32, 2, signature):  # SHA-256 of all that is before it
        return False
    return pages == -(-limit // 2**page) and all(
        hashlib.sha256(content[number << page : min((number + 1) << page, limit)]).digest()
        == content[directory + hashes + length * number :][:length]
        for number in range(pages)
    )


def _portable_executable(content: bytes) -> CompiledFile:
    (header,) = struct.unpack_from("<I", content, 0x3C)
    processor, sections, _, symbol_table, symbols, optional = struct.unpack_from(
        "<HHIIIH", content, header + 4
    )
    machine = {0x8664: "amd64", 0xAA64: "arm64"}.get(processor, hex(processor))
    found = [".symtab"] if symbols else []
    names = [content[header + 24 + optional + 40 * index :][:8].rstrip(b"\0") for index in range(sections)]
    # A name of more than eight bytes is the offset of it in the table of strings behind the symbols.
    for short in names:
        name = short
        if short.startswith(b"/") and symbol_table:
            start = symbol_table + 18 * symbols + int(short[1:])
            name = content[start : content.index(b"\0", start)]
        if name.startswith(b".debug"):
            found.append(name.decode())
    return CompiledFile("win", machine, found)
