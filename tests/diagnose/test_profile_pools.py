"""What a profile of waiting finds about the calls of pools."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastjsonschema  # type: ignore[import-untyped]
import pytest

from oxthreads import diagnose, threading
from oxthreads.concurrent import futures
from oxthreads.diagnose._profile import Profile
from tests.support.waiting import TIMEOUT_SECONDS, spin_until
from tests.support.waits import until_waits

pytestmark = [
    pytest.mark.one_thread("a process has one profile"),
    pytest.mark.usefixtures("nobody_else_waits"),
]

SCHEMA = Path(__file__).resolve().parents[2] / "docs/profile.schema.json"
validate = fastjsonschema.compile(json.loads(SCHEMA.read_text()))

#: Seconds that something lasts at least.
LONG = 0.05


def pools(found: Profile) -> list[dict[str, Any]]:
    data = json.loads(found.json())
    validate(data)
    for row in data["pools"]:
        parts = sum(row[f"{name}_seconds"] for name in ("working", "waiting", "idle"))
        assert row["worker_seconds"] == pytest.approx(parts, abs=1e-6)
        for name in ("calls", "failed", "cancelled", "running"):
            assert row[name] == sum(each[name] for each in row["functions"])
        for kind in ("wait", "run"):
            seconds = sum(each[kind]["seconds"] for each in row["functions"])
            assert row[kind]["seconds"] == pytest.approx(seconds, abs=1e-6)
            assert row[kind]["p50"] <= row[kind]["p99"] <= row[kind]["max"]
    waits = [row["wait"]["seconds"] for row in data["pools"]]
    assert waits == sorted(waits, reverse=True)
    return list(data["pools"])


def by_name(row: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["function"]["function"]: each for each in row["functions"]}


def work() -> None:
    pass


def fail() -> None:
    raise ValueError


class Server:
    def serve(self) -> None:
        pass

    def __call__(self) -> None:
        pass


def line_of(function: Callable[..., object]) -> int:
    return function.__code__.co_firstlineno


def test_calls_are_counted_by_function() -> None:
    begun, go = threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        go.wait(TIMEOUT_SECONDS)

    with diagnose.profile() as found, futures.ThreadPoolExecutor(1) as measured:
        first = measured.submit(block)
        assert begun.wait(TIMEOUT_SECONDS)
        until_waits("Event", *measured._threads)
        calls = [measured.submit(work) for _ in range(3)]
        failed = measured.submit(fail)
        cancelled = measured.submit(work)
        assert cancelled.cancel()
        submitted = time.monotonic()
        time.sleep(LONG)
        waited = time.monotonic() - submitted
        go.set()
        futures.wait([first, *calls, failed], TIMEOUT_SECONDS)
    (row,) = pools(found)
    assert row["pool"].startswith("ThreadPoolExecutor ")
    assert (row["objects"], row["workers"], row["pending"]) == (1, 1, 0)
    assert (row["calls"], row["failed"], row["cancelled"], row["running"]) == (5, 1, 1, 0)
    rows = by_name(row)
    assert set(rows) == {f"{test_calls_are_counted_by_function.__qualname__}.<locals>.block", "work", "fail"}
    assert rows["work"]["function"] == {"file": __file__, "line": line_of(work), "function": "work"}
    assert rows["work"]["calls"] == 3
    assert rows["work"]["wait"]["p50"] >= waited * 0.96
    assert rows["work"]["wait"]["seconds"] >= 3 * waited
    assert rows["fail"]["failed"] == 1
    # The worker has waited for the event in its call.
    assert row["waiting_seconds"] >= waited
    assert row["run"]["max"] >= waited
    assert row["worker_seconds"] <= found.data()["seconds"]
    text = found.text()
    assert "1 worker: " in text
    assert "; 1 cancelled" in text
    assert f"  work (tests/diagnose/test_profile_pools.py:{line_of(work)})" in text


def test_what_has_not_ended_is_counted_up_to_the_end() -> None:
    begun, go = threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        go.wait(TIMEOUT_SECONDS)

    with futures.ThreadPoolExecutor(1) as measured:
        with diagnose.profile() as found:
            measured.submit(block)
            assert begun.wait(TIMEOUT_SECONDS)
            until_waits("Event", *measured._threads)
            measured.submit(work)
            time.sleep(LONG)
        try:
            (row,) = pools(found)
            assert (row["calls"], row["running"], row["pending"]) == (1, 1, 1)
            assert row["run"]["seconds"] >= LONG
            assert row["waiting_seconds"] >= LONG
            assert "1 running; 1 pending" in found.text()
        finally:
            go.set()


def test_workers_of_earlier_pools_are_known() -> None:
    begun, go = threading.Event(), threading.Event()
    with futures.ThreadPoolExecutor(2) as measured:
        earlier = measured.submit(lambda: (begun.set(), go.wait(TIMEOUT_SECONDS)))
        assert begun.wait(TIMEOUT_SECONDS)
        with diagnose.profile() as found:
            measured.submit(work).result(TIMEOUT_SECONDS)
            time.sleep(LONG)
            go.set()
            earlier.result(TIMEOUT_SECONDS)
    (row,) = pools(found)
    # The first call began before the profile.
    assert set(by_name(row)) == {"work"}
    assert row["workers"] == 2
    assert row["worker_seconds"] >= LONG


@pytest.mark.parametrize(
    ("function", "name", "has_line"),
    [
        (Server().serve, "Server.serve", True),
        (functools.partial(work), "work", True),
        (functools.partial(Server().serve), "Server.serve", True),
        (Server(), "Server", False),
        (dict, "dict", False),
        (time.monotonic, "monotonic", False),
    ],
    ids=["method", "partial", "partial method", "object", "class", "built-in"],
)
def test_what_was_submitted_has_a_name(function: Any, name: str, has_line: bool) -> None:
    with diagnose.profile() as found, futures.ThreadPoolExecutor(1) as measured:
        measured.submit(function).result(TIMEOUT_SECONDS)
    ((shown, each),) = by_name(pools(found)[0]).items()
    assert shown == name
    assert (each["function"]["file"] == __file__) is has_line
    assert (each["function"]["line"] > 0) is has_line


def test_no_code_of_the_program_runs_for_the_name() -> None:
    class Hostile:
        def __call__(self) -> None:
            pass

        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(name)

    class Derived(functools.partial):  # type: ignore[type-arg]
        @property
        def func(self) -> Any:
            raise AssertionError

    with diagnose.profile() as found, futures.ThreadPoolExecutor(1) as measured:
        measured.submit(Hostile()).result(TIMEOUT_SECONDS)
        measured.submit(Derived(work)).result(TIMEOUT_SECONDS)
    assert set(by_name(pools(found)[0])) == {"Hostile", "Derived"}


def test_the_submitter_may_run_the_call() -> None:
    go = threading.Event()
    with (
        diagnose.profile() as found,
        futures.ThreadPoolExecutor(1, max_pending=1, on_full="caller_runs") as measured,
    ):
        measured.submit(go.wait, TIMEOUT_SECONDS)
        spin_until(lambda: measured.stats().queued == 0)
        measured.submit(int)
        assert measured.submit(work).done()
        go.set()
    rows = by_name(pools(found)[0])
    assert rows["work"]["calls"] == 1


def test_a_call_inside_another_counts_for_both() -> None:
    def inner() -> None:
        time.sleep(LONG)

    def outer() -> None:
        measured.submit(inner).result()

    with diagnose.profile() as found, futures.ThreadPoolExecutor(1, nested="run") as measured:
        measured.submit(outer).result(TIMEOUT_SECONDS)
    (row,) = pools(found)
    assert sorted(each["run"]["seconds"] >= LONG for each in row["functions"]) == [True, True]
    assert row["working_seconds"] >= LONG


def test_more_functions_than_are_kept() -> None:
    namespace: dict[str, Any] = {}
    exec("\n".join(f"def function_{number}(): pass" for number in range(2003)), namespace)
    with diagnose.profile() as found, futures.ThreadPoolExecutor(1) as measured:
        futures.wait([measured.submit(namespace[f"function_{number}"]) for number in range(2003)])
    (row,) = pools(found)
    assert row["calls"] == 2003
    assert len(row["functions"]) == 2001
    (others,) = [each for each in row["functions"] if each["function"] is None]
    assert others["calls"] == 3
    assert "more functions" in found.text()


def test_more_pools_than_are_kept() -> None:
    with diagnose.profile() as found:
        made = [futures.ThreadPoolExecutor(1) for _ in range(1003)]
        for measured in made:
            measured.submit(work)
            measured.shutdown(wait=False)
        for measured in made:
            measured.shutdown()
    rows = pools(found)
    assert sum(row["calls"] for row in rows) == 1003
    assert sum(row["workers"] for row in rows) == 1003
    assert [row["calls"] for row in rows if row["pool"] == "other pools"] == [3]


def test_calls_without_a_profile_are_not_kept() -> None:
    with diagnose.profile():
        pass
    with futures.ThreadPoolExecutor(1) as measured:
        measured.submit(work).result(TIMEOUT_SECONDS)
        with diagnose.profile() as found:
            pass
    assert [row["calls"] for row in pools(found)] == [0]
    with diagnose.profile() as found:
        pass
    assert pools(found) == []
    assert "calls of pools" not in found.text()
