"""A profile of waiting in the format of pprof, decoded by protobuf's own library."""

from __future__ import annotations

import gzip
import time
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from oxthreads import diagnose, threading
from oxthreads.diagnose import _profile_pprof
from oxthreads.diagnose._profile import Profile, _write
from tests.support.waits import until_waits

pytestmark = [
    pytest.mark.one_thread("a process has one profile"),
    pytest.mark.usefixtures("nobody_else_waits"),
]

#: The messages of profile.proto: for each field its number, its type, and whether it is repeated.
MESSAGES: dict[str, dict[str, tuple[int, str, bool]]] = {
    "Profile": {
        "sample_type": (1, "ValueType", True),
        "sample": (2, "Sample", True),
        "mapping": (3, "Mapping", True),
        "location": (4, "Location", True),
        "function": (5, "Function", True),
        "string_table": (6, "string", True),
        "drop_frames": (7, "int64", False),
        "keep_frames": (8, "int64", False),
        "time_nanos": (9, "int64", False),
        "duration_nanos": (10, "int64", False),
        "period_type": (11, "ValueType", False),
        "period": (12, "int64", False),
        "comment": (13, "int64", True),
        "default_sample_type": (14, "int64", False),
    },
    "ValueType": {"type": (1, "int64", False), "unit": (2, "int64", False)},
    "Sample": {
        "location_id": (1, "uint64", True),
        "value": (2, "int64", True),
        "label": (3, "Label", True),
    },
    "Label": {
        "key": (1, "int64", False),
        "str": (2, "int64", False),
        "num": (3, "int64", False),
        "num_unit": (4, "int64", False),
    },
    "Mapping": {
        "id": (1, "uint64", False),
        "memory_start": (2, "uint64", False),
        "memory_limit": (3, "uint64", False),
        "file_offset": (4, "uint64", False),
        "filename": (5, "int64", False),
        "build_id": (6, "int64", False),
        "has_functions": (7, "bool", False),
        "has_filenames": (8, "bool", False),
        "has_line_numbers": (9, "bool", False),
        "has_inline_frames": (10, "bool", False),
    },
    "Location": {
        "id": (1, "uint64", False),
        "mapping_id": (2, "uint64", False),
        "address": (3, "uint64", False),
        "line": (4, "Line", True),
        "is_folded": (5, "bool", False),
    },
    "Line": {"function_id": (1, "uint64", False), "line": (2, "int64", False)},
    "Function": {
        "id": (1, "uint64", False),
        "name": (2, "int64", False),
        "system_name": (3, "int64", False),
        "filename": (4, "int64", False),
        "start_line": (5, "int64", False),
    },
}


def message_class() -> Any:
    field: Any = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="profile.proto", package="perftools.profiles", syntax="proto3"
    )
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, (number, kind, is_repeated) in fields.items():
            added = message.field.add(name=field_name, number=number)
            added.label = field.LABEL_REPEATED if is_repeated else field.LABEL_OPTIONAL
            if kind in MESSAGES:
                added.type, added.type_name = field.TYPE_MESSAGE, f".perftools.profiles.{kind}"
            else:
                added.type = getattr(field, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("perftools.profiles.Profile"))


def decoded(content: bytes) -> Any:
    profile = message_class()()
    profile.ParseFromString(gzip.decompress(content))
    # Nothing that the format does not have: what is unknown would be kept, and written again.
    known = type(profile)()
    known.CopyFrom(profile)
    known.DiscardUnknownFields()
    assert known.SerializeToString() == profile.SerializeToString()
    check(profile)
    return profile


def check(profile: Any) -> None:
    """The rules of profile.proto."""
    texts = profile.string_table
    assert texts[0] == ""
    assert len(set(texts)) == len(texts)
    for messages in (profile.mapping, profile.location, profile.function):
        numbers = [each.id for each in messages]
        assert 0 not in numbers
        assert len(set(numbers)) == len(numbers)
    functions = {function.id for function in profile.function}
    locations = {location.id for location in profile.location}
    for location in profile.location:
        assert location.mapping_id == profile.mapping[0].id
        assert {line.function_id for line in location.line} <= functions
    for sample in profile.sample:
        assert sample.location_id
        assert set(sample.location_id) <= locations
        assert len(sample.value) == len(profile.sample_type)
    for function in profile.function:
        assert max(function.name, function.system_name, function.filename) < len(texts)


def waits() -> Profile:
    lock, event = threading.Lock(), threading.Event()

    def take() -> None:
        with lock:
            pass

    with diagnose.profile() as found:
        with lock:
            thread = threading.Thread(target=take, daemon=True)
            thread.start()
            until_waits("Lock", thread)
        thread.join()
        event.wait(0.001)
    return found


def test_it_has_what_json_has() -> None:
    before = time.time_ns()
    found = waits()
    profile = decoded(found.pprof())
    data = found.data()
    texts = profile.string_table
    types = [(texts[each.type], texts[each.unit]) for each in profile.sample_type]
    assert types == [("contentions", "count"), ("delay", "nanoseconds")]
    places = [(place, row) for row in data["objects"] if not row["idle"] for place in row["places"]]
    assert len(profile.sample) == len(places)
    assert sum(sample.value[0] for sample in profile.sample) == data["waiting"]["waits"]
    delay = sum(sample.value[1] for sample in profile.sample)
    assert delay == pytest.approx(data["waiting"]["seconds"] * 1e9, abs=len(places))
    locations = {location.id: location for location in profile.location}
    functions = {function.id: function for function in profile.function}
    for sample, (place, row) in zip(profile.sample, places, strict=True):
        lines = [locations[number].line[0] for number in sample.location_id]
        shown = [(functions[line.function_id], line.line) for line in lines]
        assert texts[shown[0][0].name] == f"[{row['object']}]"
        assert [
            {"file": texts[function.filename], "line": line, "function": texts[function.name]}
            for function, line in shown[1:]
        ] == place["stack"]
        labels = {texts[label.key]: texts[label.str] for label in sample.label}
        assert labels == {"object": row["object"], "for": row["for"]}
    assert before <= profile.time_nanos <= time.time_ns()
    assert profile.duration_nanos == round(data["seconds"] * 1e9)
    assert texts[profile.default_sample_type] == "delay"
    assert (texts[profile.period_type.type], profile.period) == ("contentions", 1)


def test_an_empty_profile() -> None:
    with diagnose.profile() as found:
        pass
    profile = decoded(found.pprof())
    assert len(profile.sample) == 0
    assert len(profile.sample_type) == 2


def test_what_is_dropped_and_idle() -> None:
    with diagnose.profile() as found:
        pass
    data = found.data()
    data["dropped"]["waiting"] = {**data["dropped"]["waiting"], "waits": 3, "seconds": 2**33 / 1e9}
    place = {"stack": [], "waits": 1, "seconds": 1.0}
    row = {"idle": True, "object": "x", "for": "y", "places": [place]}
    named = {**row, "idle": False, "object": "\udc80 ü;\n"}
    data["objects"] = [row, named]
    profile = decoded(_profile_pprof.encoded(data, "program", 2**62))
    assert [list(sample.value) for sample in profile.sample] == [[1, 10**9], [3, 2**33]]
    assert profile.time_nanos == 2**62
    assert "[\\udc80 ü;\n]" in profile.string_table
    assert "[at more places than are kept]" in profile.string_table


def test_it_is_written_to_a_file(tmp_path: Path) -> None:
    found = waits()
    _write(found, tmp_path / "found.pb.gz")
    content = (tmp_path / "found.pb.gz").read_bytes()
    assert content == found.pprof()
    decoded(content)
