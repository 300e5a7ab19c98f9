"""Where the threads were that ended the waits which a profile has found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastjsonschema  # type: ignore[import-untyped]
import pytest

from oxthreads import diagnose, queue, threading
from oxthreads.concurrent import futures
from oxthreads.diagnose._profile import Profile
from tests.support.waiting import TIMEOUT_SECONDS
from tests.support.waits import until_waits

pytestmark = [
    pytest.mark.one_thread("a process has one profile"),
    pytest.mark.usefixtures("nobody_else_waits"),
]

SCHEMA = Path(__file__).resolve().parents[2] / "docs/profile.schema.json"
validate = fastjsonschema.compile(json.loads(SCHEMA.read_text()))


def line_of(text: str) -> int:
    """The number of the only line of this file that ends with the text, as a comment."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if line.endswith(f"# {text}")]
    return number


def ends(found: Profile, what: str) -> list[dict[str, Any]]:
    data = json.loads(found.json())
    validate(data)
    rows = [row for row in data["objects"] if row["for"] == what]
    return [each for row in rows for place in row["places"] for each in place["ended_by"]]


def ended_by(found: Profile, what: str) -> dict[str, Any]:
    (end,) = ends(found, what)
    assert end["waits"] == 1
    return end


def after_a_wait(what: str, wait: Callable[[], object], end: Callable[[], object]) -> Profile:
    """Have a thread wait for that, and another one end it."""
    with diagnose.profile() as found:
        waiter = threading.Thread(target=wait, daemon=True)
        waiter.start()
        until_waits(what, waiter)
        ender = threading.Thread(target=end, name="ender", daemon=True)
        ender.start()
        ender.join(TIMEOUT_SECONDS)
        waiter.join(TIMEOUT_SECONDS)
    return found


def check(found: Profile, what: str, comment: str) -> None:
    end = ended_by(found, what)
    assert end["thread"] == "ender"
    assert end["place"] == {"file": __file__, "line": line_of(comment), "function": "finish"}
    assert (
        f"ended by tests/diagnose/test_profile_wakers.py:{line_of(comment)} in finish, by ender"
        in found.text()
    )


def test_an_event() -> None:
    event = threading.Event()

    def finish() -> None:
        event.set()  # sets

    with diagnose.profile() as found:
        waiter = threading.Thread(target=event.wait, daemon=True)
        waiter.start()
        until_waits("Event", waiter)
        ender = threading.Thread(target=finish, name="ender", daemon=True)
        # Not by start(), which waits for an event of its own.
        ender.run()
        waiter.join(TIMEOUT_SECONDS)
    places = [end["place"] for end in ends(found, "Event")]
    assert {"file": __file__, "line": line_of("sets"), "function": "finish"} in places


def test_an_item_of_a_queue() -> None:
    items: queue.Queue[int] = queue.Queue()

    def finish() -> None:
        items.put(1)  # puts

    found = after_a_wait("item of a queue", items.get, finish)
    end = ended_by(found, "item of a queue")
    assert (end["place"]["line"], end["place"]["function"]) == (line_of("puts"), "finish")


def test_room_in_a_queue() -> None:
    items: queue.Queue[int] = queue.Queue(1)
    items.put(1)

    def finish() -> None:
        items.get()  # gets

    what = "room in a queue"
    check(after_a_wait(what, lambda: items.put(2), finish), what, "gets")


def test_a_semaphore() -> None:
    semaphore = threading.Semaphore(0)

    def finish() -> None:
        semaphore.release()  # releases

    check(after_a_wait("Semaphore", semaphore.acquire, finish), "Semaphore", "releases")


@pytest.mark.parametrize("waiters", [1, 3])
def test_a_condition(waiters: int) -> None:
    condition = threading.Condition()

    def wait() -> None:
        with condition:
            condition.wait(TIMEOUT_SECONDS)

    with diagnose.profile() as found:
        threads = [threading.Thread(target=wait, daemon=True) for _ in range(waiters)]
        for thread in threads:
            thread.start()
        until_waits("Condition", *threads)
        with condition:
            condition.notify_all()  # notifies
        for thread in threads:
            thread.join(TIMEOUT_SECONDS)
    (end,) = ends(found, "Condition")
    assert (end["waits"], end["place"]["line"]) == (waiters, line_of("notifies"))


def test_a_future() -> None:
    future: futures.Future[int] = futures.Future()

    def finish() -> None:
        future.set_result(1)  # finishes

    check(after_a_wait("Future", future.result, finish), "Future", "finishes")


def test_the_function_of_a_pool_whose_end_ends_a_wait() -> None:
    go = threading.Event()

    def work() -> None:
        go.wait(TIMEOUT_SECONDS)

    with diagnose.profile() as found, futures.ThreadPoolExecutor(1, "worker") as pool:
        call = pool.submit(work)
        waiter = threading.Thread(target=call.result, daemon=True)
        waiter.start()
        until_waits("Future", waiter)
        go.set()
        waiter.join(TIMEOUT_SECONDS)
    end = ended_by(found, "Future")
    assert end["thread"] == "worker_0"
    assert end["place"]["function"].endswith("<locals>.work")
    assert end["place"]["line"] == work.__code__.co_firstlineno


def test_a_done_callback_is_not_the_call() -> None:
    go, done = threading.Event(), threading.Event()

    def work() -> None:
        go.wait(TIMEOUT_SECONDS)

    def tell(_: object) -> None:
        done.set()  # tells

    with diagnose.profile() as found, futures.ThreadPoolExecutor(1) as pool:
        pool.submit(work).add_done_callback(tell)
        waiter = threading.Thread(target=done.wait, daemon=True)
        waiter.start()
        until_waits("Event", waiter)
        go.set()
        waiter.join(TIMEOUT_SECONDS)
    places = [(end["place"] or {}).get("line") for end in ends(found, "Event")]
    assert line_of("tells") in places


def test_places_of_an_earlier_profile_are_not_taken_for_those_of_the_next() -> None:
    event = threading.Event()
    waiter = threading.Thread(target=event.wait, daemon=True)
    with diagnose.profile():
        waiter.start()
        until_waits("Event", waiter)
    event.set()  # no profile runs
    with diagnose.profile() as found:
        waiter.join(TIMEOUT_SECONDS)
    assert all(end["place"] is None for end in ends(found, "Event"))


def test_a_timeout_is_ended_by_nobody() -> None:
    event = threading.Event()
    with diagnose.profile() as found:
        event.wait(0.001)
    assert ends(found, "Event") == []
