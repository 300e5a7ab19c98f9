"""What reports, profiles and traces call threads that wait for channels."""

from __future__ import annotations

import os

import pytest

from oxthreads import diagnose
from oxthreads.channels import Broadcast, Channel, Watch
from oxthreads.diagnose import _objects
from tests.diagnose.running import WAITING, start
from tests.support.threads import Result
from tests.support.waits import until_nobody_waits, until_waits

pytestmark = [
    pytest.mark.one_thread("starts child interpreters, and profiles the process"),
    pytest.mark.skipif(os.name != "posix", reason="the helper that runs programs needs sessions"),
]

PROGRAM = (
    WAITING
    + """
from oxthreads.channels import Broadcast, Channel, Watch
from oxthreads.waiting import put, select

meeting, full, empty = Channel(), Channel(1), Channel(5)
full.send(0)
news = Broadcast(1, on_lag="block")
reader, other = news.subscribe(), Broadcast(1).subscribe()
news.send(0)
state = Watch(0)
changes = state.subscribe()
"""
)


def output_of(program: str) -> list[str]:
    """The lines that the program writes to standard output."""
    with start(PROGRAM + program) as process:
        assert process.ends() == 0, str(process)
        assert process.errors == ""
        return process.output.splitlines()


def test_a_report_says_what_a_thread_waits_for() -> None:
    program = """
for name, wait, *arguments in (
    ["1", meeting.receive], ["2", full.send, 1], ["3", empty.receive], ["4", news.send, 1],
    ["5", other.receive], ["6", changes.changed], ["7", select, meeting, put(full, 1), changes],
):
    print(said_of(wait_in(wait, *arguments, name=name)).splitlines()[0].partition(" for ")[2])
"""
    said = output_of(program)
    assert said[0].startswith("an item of Channel meeting, where nobody is on the other side")
    assert said[1].startswith("room in Channel full, which has 1 item")
    assert said[2].startswith("an item of Channel empty, which has 0 items")
    assert said[3].startswith("room in Broadcast news, which has 1 item")
    assert said[4].startswith("an item of Subscription other, which has 0 items")
    assert said[5].startswith("a change of WatchReader changes")
    assert said[6] == (
        "the first of: an item of Channel meeting, room in Channel full, a change of WatchReader changes"
    )


def test_a_given_name_is_used() -> None:
    program = """
diagnose.set_name(meeting, "orders")
print(said_of(wait_in(meeting.receive)).splitlines()[0].partition(" for ")[2])
"""
    assert output_of(program)[0].startswith("an item of Channel orders")


def test_what_has_no_name_is_called_by_its_kind() -> None:
    assert _objects.unnamed("item of a channel", 0) == "an item of a channel"
    assert _objects.unnamed("room in a broadcast", 0) == "room in a broadcast"
    assert _objects.unnamed("change of a watch", 0) == "a change of a watch"


def test_a_profile_tells_waits_for_channels_apart() -> None:
    until_nobody_waits()
    channel, news, state = Channel[int](), Broadcast[int](1), Watch(0)
    with diagnose.profile() as found:
        waits = {
            "item of a channel": Result(channel.receive),
            "item of a broadcast": Result(news.subscribe().receive),
            "change of a watch": Result(state.subscribe().changed),
        }
        for what, waiting in waits.items():
            until_waits(what, waiting.thread)
        channel.send(1)
        news.send(1)
        state.set(1)
        for waiting in waits.values():
            assert waiting.get() == 1
        sender = Result(channel.send, 2)
        until_waits("room in a channel", sender.thread)
        assert channel.receive() == 2
        sender.get()
    rows = {row["for"]: row for row in found.data()["objects"]}
    assert rows.keys() >= {*waits, "room in a channel"}
    assert {what for what, row in rows.items() if row["idle"]} >= {"item of a channel", "item of a broadcast"}
    assert not rows["room in a channel"]["idle"]


def test_an_inspection_names_a_channel() -> None:
    program = """
import json
waiting = wait_in(meeting.receive)
print(json.dumps(diagnose.inspect()) if hasattr(diagnose, "inspect") else diagnose.report())
"""
    assert "meeting" in "\n".join(output_of(program))


def test_a_trace_names_a_channel(tmp_path: object) -> None:
    file = f"{tmp_path}/trace.json"
    program = f"""
with diagnose.trace({file!r}):
    waiting = wait_in(meeting.receive)
    meeting.send(1)
    waiting.join()
print(open({file!r}).read().count("an item of Channel meeting") > 0)
"""
    assert output_of(program) == ["True"]
