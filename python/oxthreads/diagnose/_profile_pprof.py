"""A profile in the format of pprof: for ``go tool pprof``, speedscope and others.

The format is a message of protocol buffers, ``perftools.profiles.Profile``, compressed by gzip:
https://github.com/google/pprof/blob/main/proto/profile.proto. What is encoded here is so little of it that no
library is needed: numbers of variable length, and texts and messages with their lengths before them.

The samples are those of a block profile of Go: how many waits, and for how long. The innermost location of
each is what was waited for.
"""

from __future__ import annotations

import gzip
from typing import Any

__all__ = ["encoded"]

# The numbers of the fields, by message.
_PROFILE_SAMPLE_TYPE, _PROFILE_SAMPLE, _PROFILE_MAPPING, _PROFILE_LOCATION, _PROFILE_FUNCTION = 1, 2, 3, 4, 5
_PROFILE_STRING_TABLE, _PROFILE_TIME_NANOS, _PROFILE_DURATION_NANOS, _PROFILE_PERIOD_TYPE = 6, 9, 10, 11
_PROFILE_PERIOD, _PROFILE_DEFAULT_SAMPLE_TYPE = 12, 14
_VALUE_TYPE_TYPE, _VALUE_TYPE_UNIT = 1, 2
_SAMPLE_LOCATION_ID, _SAMPLE_VALUE, _SAMPLE_LABEL = 1, 2, 3
_LABEL_KEY, _LABEL_STR = 1, 2
_MAPPING_ID, _MAPPING_FILENAME, _MAPPING_HAS_FUNCTIONS, _MAPPING_HAS_FILENAMES, _MAPPING_HAS_LINE_NUMBERS = (
    1,
    5,
    7,
    8,
    9,
)
_LOCATION_ID, _LOCATION_MAPPING_ID, _LOCATION_LINE = 1, 2, 4
_LINE_FUNCTION_ID, _LINE_LINE = 1, 2
_FUNCTION_ID, _FUNCTION_NAME, _FUNCTION_SYSTEM_NAME, _FUNCTION_FILENAME = 1, 2, 3, 4


def _varint(number: int) -> bytes:
    """A number that is not negative: seven bits a byte, the lowest first; the eighth says if more follow."""
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _number(field: int, number: int) -> bytes:
    # Zero is what a missing field means.
    return _varint(field << 3) + _varint(number) if number else b""


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _numbers(field: int, numbers: list[int]) -> bytes:
    return _bytes(field, b"".join(map(_varint, numbers)))


class _Tables:
    """The texts, functions and locations, each once."""

    def __init__(self) -> None:
        self.texts = {"": 0}
        self.functions: dict[tuple[str, str], int] = {}
        self.locations: dict[tuple[int, int], int] = {}

    def text(self, text: str) -> int:
        return self.texts.setdefault(text, len(self.texts))

    def location(self, name: str, file: str = "", line: int = 0) -> int:
        function = self.functions.setdefault((name, file), len(self.functions) + 1)
        return self.locations.setdefault((function, line), len(self.locations) + 1)

    def value_type(self, kind: str, unit: str) -> bytes:
        return _number(_VALUE_TYPE_TYPE, self.text(kind)) + _number(_VALUE_TYPE_UNIT, self.text(unit))

    def encoded(self) -> bytes:
        functions = [
            _bytes(
                _PROFILE_FUNCTION,
                _number(_FUNCTION_ID, number)
                + _number(_FUNCTION_NAME, self.text(name))
                + _number(_FUNCTION_SYSTEM_NAME, self.text(name))
                + _number(_FUNCTION_FILENAME, self.text(file)),
            )
            for (name, file), number in self.functions.items()
        ]
        locations = [
            _bytes(
                _PROFILE_LOCATION,
                _number(_LOCATION_ID, number)
                + _number(_LOCATION_MAPPING_ID, 1)
                + _bytes(_LOCATION_LINE, _number(_LINE_FUNCTION_ID, function) + _number(_LINE_LINE, line)),
            )
            for (function, line), number in self.locations.items()
        ]
        texts = [
            _bytes(_PROFILE_STRING_TABLE, text.encode("utf-8", "backslashreplace")) for text in self.texts
        ]
        return b"".join([*functions, *locations, *texts])


def _sample(tables: _Tables, locations: list[int], sums: dict[str, Any], labels: dict[str, str]) -> bytes:
    return _bytes(
        _PROFILE_SAMPLE,
        _numbers(_SAMPLE_LOCATION_ID, locations)
        + _numbers(_SAMPLE_VALUE, [sums["waits"], round(sums["seconds"] * 1e9)])
        + b"".join(
            _bytes(
                _SAMPLE_LABEL, _number(_LABEL_KEY, tables.text(key)) + _number(_LABEL_STR, tables.text(text))
            )
            for key, text in labels.items()
        ),
    )


def encoded(data: dict[str, Any], program: str, begun: int) -> bytes:
    """The profile as a file of pprof. Waits for work are left out.

    Args:
        data: the profile, as docs/profile.schema.json describes it.
        program: what was profiled.
        begun: when it began, in nanoseconds since 1970.
    """
    tables = _Tables()
    parts = [
        _bytes(_PROFILE_SAMPLE_TYPE, tables.value_type("contentions", "count")),
        _bytes(_PROFILE_SAMPLE_TYPE, tables.value_type("delay", "nanoseconds")),
    ]
    for row in data["objects"]:
        if row["idle"]:
            continue
        labels = {"object": row["object"], "for": row["for"]}
        innermost = tables.location(f"[{row['object']}]")
        for place in row["places"]:
            stack = [
                tables.location(frame["function"], frame["file"], frame["line"]) for frame in place["stack"]
            ]
            parts.append(_sample(tables, [innermost, *stack], place, labels))
    other = data["dropped"]["waiting"]
    if other["waits"]:
        parts.append(_sample(tables, [tables.location("[at more places than are kept]")], other, {}))
    mapping = (
        _number(_MAPPING_ID, 1)
        + _number(_MAPPING_FILENAME, tables.text(program))
        + _number(_MAPPING_HAS_FUNCTIONS, 1)
        + _number(_MAPPING_HAS_FILENAMES, 1)
        + _number(_MAPPING_HAS_LINE_NUMBERS, 1)
    )
    parts += [
        _bytes(_PROFILE_MAPPING, mapping),
        _number(_PROFILE_TIME_NANOS, begun),
        _number(_PROFILE_DURATION_NANOS, round(data["seconds"] * 1e9)),
        # Every wait is a sample.
        _bytes(_PROFILE_PERIOD_TYPE, tables.value_type("contentions", "count")),
        _number(_PROFILE_PERIOD, 1),
        _number(_PROFILE_DEFAULT_SAMPLE_TYPE, tables.text("delay")),
        tables.encoded(),
    ]
    # Without the time, so that the same data make the same bytes.
    return gzip.compress(b"".join(parts), mtime=0)
