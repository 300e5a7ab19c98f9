"""What a profile of waiting finds about queues."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastjsonschema  # type: ignore[import-untyped]
import pytest

from oxthreads import diagnose, queue, threading
from oxthreads.diagnose._profile import Profile
from tests.support.waiting import TIMEOUT_SECONDS
from tests.support.waits import until_named, until_waits

pytestmark = [
    pytest.mark.one_thread("a process has one profile"),
    pytest.mark.usefixtures("nobody_else_waits"),
]

SCHEMA = Path(__file__).resolve().parents[2] / "docs/profile.schema.json"
validate = fastjsonschema.compile(json.loads(SCHEMA.read_text()))

#: Seconds that something lasts at least.
LONG = 0.05

#: Here, so that a profile finds the name.
shared_queue: queue.Queue[int] = queue.Queue(3)


def queues(found: Profile) -> list[dict[str, Any]]:
    data = json.loads(found.json())
    validate(data)
    for row in data["queues"]:
        lengths = [length for _, length in row["samples"]]
        times = [at for at, _ in row["samples"]]
        assert row["greatest_length"] >= max(lengths)
        assert lengths[-1] == row["length"] or len(lengths) == 256
        assert times == sorted(times)
        assert row["begins"] <= times[0]
        assert times[-1] <= row["begins"] + row["seconds"] + 1e-6
        assert row["begins"] + row["seconds"] <= data["seconds"]
    return list(data["queues"])


@pytest.mark.parametrize(
    "made",
    [queue.Queue, queue.LifoQueue, queue.PriorityQueue, queue.SimpleQueue],
    ids=lambda made: made.__name__,
)
def test_puts_gets_and_lengths_are_counted(made: Callable[[], Any]) -> None:
    diagnose.report()  # from here on, queues are known
    items = made()
    for number in range(3):
        items.put(number)
    items.get()
    with diagnose.profile() as found:
        for number in range(10):
            items.put(number)
        items.put_many(range(5))
        for _ in range(6):
            items.get()
        items.get_many(4)
        items.put_nowait(1)
        items.get_nowait()
    (row,) = queues(found)
    assert (row["puts"], row["gets"]) == (16, 11)
    assert (row["length"], row["greatest_length"], row["capacity"]) == (7, 17, 0)
    assert (row["begins"], row["full_seconds"], row["empty_seconds"]) == (pytest.approx(0, abs=1), 0, 0)
    assert row["samples"][0][1] == 2
    assert "17" in found.text().partition("queues, in which")[2]


def test_a_queue_that_threads_wait_for_has_a_name_and_the_waits() -> None:
    with diagnose.profile() as found:
        for number in range(3):
            shared_queue.put(number)
        putter = threading.Thread(target=shared_queue.put, args=(3,), daemon=True)
        putter.start()
        until_waits("room in a queue", putter)
        time.sleep(LONG)
        for _ in range(4):
            shared_queue.get()
        putter.join(TIMEOUT_SECONDS)
        getter = threading.Thread(target=shared_queue.get, daemon=True)
        getter.start()
        until_waits("item of a queue", getter)
        time.sleep(LONG)
        shared_queue.put(4)
        getter.join(TIMEOUT_SECONDS)
    (row,) = queues(found)
    assert row["queue"] == "Queue shared_queue"
    # It is older than the profile, so it is known since the first wait for it.
    assert (row["puts"], row["gets"], row["length"]) == (2, 5, 0) or (row["puts"], row["gets"]) == (5, 5)
    assert (row["greatest_length"], row["capacity"]) == (3, 3)
    assert row["full_seconds"] >= LONG
    assert row["empty_seconds"] >= LONG
    assert "Queue shared_queue" in found.text().partition("queues, in which")[2]


def test_the_length_is_looked_at_while_nothing_is_taken() -> None:
    with diagnose.profile() as found:
        growing: queue.SimpleQueue[int] = queue.SimpleQueue()
        growing.put(1)
        for number in range(2):
            until_looked(number)
            growing.put(1)
    (row,) = queues(found)
    assert row["puts"] == row["length"] == row["greatest_length"] == growing.qsize()
    assert row["gets"] == 0
    # When it was made, in each look, and at the end.
    assert {length for _, length in row["samples"]} == {0, 1, 2, 3}


def until_looked(number: int) -> None:
    """Return once the thread of the watch has looked at the queues, which it does before it finds a name."""
    event = threading.Event()
    diagnose.set_name(event, f"look {number}")
    waiter = threading.Thread(target=event.wait, daemon=True)
    waiter.start()
    until_named(f"Event look {number}")
    event.set()
    waiter.join(TIMEOUT_SECONDS)


def test_queues_that_are_gone_count() -> None:
    with diagnose.profile() as found:
        for _ in range(20):
            reply: queue.Queue[int] = queue.Queue()
            reply.put(1)
            reply.put(2)
            reply.get()
            reply.get()
            del reply
    rows = queues(found)
    assert [(row["puts"], row["gets"]) for row in rows] == [(2, 2)] * 20
    text = found.text().partition("queues, in which")[2]
    assert "(20 objects)" in text


def test_items_that_a_shutdown_removes_are_no_gets() -> None:
    with diagnose.profile() as found:
        items: queue.Queue[int] = queue.Queue()
        for number in range(4):
            items.put(number)
        items.get()
        items.shutdown(immediate=True)
    (row,) = queues(found)
    assert (row["puts"], row["gets"], row["length"], row["greatest_length"]) == (4, 1, 0, 4)


def test_more_queues_than_are_kept() -> None:
    with diagnose.profile() as found:
        kept = [queue.SimpleQueue[int]() for _ in range(1005)]
        for each in kept:
            each.put(1)
    # There may be queues of earlier tests.
    assert 0 < len(queues(found)) <= 1000
    dropped = found.data()["queues_dropped"]
    assert dropped >= 5
    assert f"{dropped} more queues" in found.text()


def test_a_queue_is_not_kept_alive() -> None:
    class Item:
        gone = 0

        def __del__(self) -> None:
            Item.gone += 1

    with diagnose.profile() as found:
        items: queue.Queue[Item] = queue.Queue()
        items.put(Item())
        del items
        assert Item.gone == 1
    queues(found)
