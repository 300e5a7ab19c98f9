"""A trace, read by Perfetto's own trace processor: without errors, nested, and with arrows that connect."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.diagnose import perfetto
from tests.diagnose.perfetto import Perfetto
from tests.support.chrome_traces import Timeline
from tests.support.waiting import TIMEOUT_SECONDS

pytestmark = [
    pytest.mark.skipif(bool(perfetto.what_is_missing()), reason=perfetto.what_is_missing()),
    pytest.mark.one_thread("a browser takes enough"),
    pytest.mark.timeout(600),
]

# A bit of everything: threads that wait for a lock, a queue, a condition, an event, and calls of a pool; and
# waits that are one inside the other.
PROGRAM = textwrap.dedent("""
    import queue, signal, sys, threading, time
    from concurrent.futures import ThreadPoolExecutor

    lock, jobs, ready = threading.RLock(), queue.Queue(2), threading.Condition()
    inner, outer = threading.Event(), threading.Event()

    def consume():
        while (job := jobs.get()) is not None:
            with lock:
                time.sleep(0.001)
        jobs.put(None)

    def produce():
        for job in range(40):
            jobs.put(job)
            with ready:
                ready.notify_all()

    def call():
        with ready:
            ready.wait(0.002)
        with lock:
            return threading.current_thread().name

    def handle(*_):
        inner.wait(0.01)
        outer.set()

    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    with ThreadPoolExecutor(3, thread_name_prefix="worker") as pool:
        threads = [threading.Thread(target=consume, name=f"consumer-{number}") for number in range(2)]
        threads += [threading.Thread(target=produce, name=f"producer-{number}") for number in range(2)]
        for thread in threads:
            thread.start()
        calls = [pool.submit(call) for _ in range(100)]
        outer.wait(30)
        for each in calls:
            each.result()
        for thread in threads[2:]:
            thread.join()
        jobs.put(None)
    """)


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trace") / "trace.json"
    command = ["-c", "import sys; from oxthreads.cli import main; sys.exit(main())", "trace", "-o", str(path)]
    subprocess.run([sys.executable, *command, "-c", PROGRAM], timeout=TIMEOUT_SECONDS, check=True)
    return path


@pytest.fixture(scope="module")
def opened(trace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Perfetto]:
    with Perfetto(trace, tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def test_it_loads_without_errors(opened: Perfetto) -> None:
    wrong = opened.query(
        "select name, value from stats where severity in ('error', 'data_loss') and value != 0"
    )
    assert wrong == []


def test_every_slice_is_there_as_it_was_written(opened: Perfetto, trace: Path) -> None:
    shown = Timeline(trace)
    rows = opened.query(
        "select thread.name as track, slice.name as name, slice.category as category, ts, dur, depth "
        "from slice join thread_track on slice.track_id = thread_track.id join thread using (utid)"
    )
    found = sorted((row["track"], row["name"], row["category"], row["ts"], row["dur"]) for row in rows)
    written = sorted(
        (
            each.track,
            each.name,
            each.category,
            round(each.begin * 1000),
            round((each.end - each.begin) * 1000),
        )
        for each in shown.slices
    )
    assert found == written
    assert opened.query("select count(*) as slices from slice") == [{"slices": len(written)}]
    # A wait in a call, and the end of that wait.
    assert {row["depth"] for row in rows} >= {0, 1, 2}


def test_slices_are_nested(opened: Perfetto) -> None:
    wrong = opened.query(
        "select child.name from slice as child join slice as parent on child.parent_id = parent.id "
        "where child.ts < parent.ts or child.ts + child.dur > parent.ts + parent.dur "
        "or child.depth != parent.depth + 1"
    )
    assert wrong == []
    apart = opened.query(
        "select name from (select name, ts, dur, lead(ts) over (partition by track_id, depth order by ts) "
        "as next from slice) where ts + dur > next"
    )
    assert apart == []


def test_arrows_connect(opened: Perfetto, trace: Path) -> None:
    rows = opened.query(
        "select source.name as source, target.name as target, source.ts as left_at, target.ts as came_at, "
        "source.category as category from flow join slice as source on flow.slice_out = source.id "
        "join slice as target on flow.slice_in = target.id"
    )
    flows = Timeline(trace).flows
    found = sorted((row["source"], row["target"], row["left_at"], row["came_at"]) for row in rows)
    written = sorted(
        (flow.begin.name, flow.end.name, round(flow.begin.begin * 1000), round(flow.end.begin * 1000))
        for flow in flows
    )
    assert found == written
    assert {flow.name for flow in flows} == {"wakes", "item", "call"}


def test_counters_are_there(opened: Perfetto, trace: Path) -> None:
    rows = opened.query(
        "select track.name as name, count(*) as changes, max(value) as most "
        "from counter join counter_track as track on counter.track_id = track.id group by 1"
    )
    units = {"length": "items", "pending": "calls", "busy": "workers"}
    written = {
        f"{name} {units[name.split()[0]]}": (len(values), max(value for _, value in values))
        for name, values in Timeline(trace).counters.items()
    }
    assert {row["name"]: (row["changes"], row["most"]) for row in rows} == written
    assert "length of Queue jobs items" in written
    # The variable that has the pool is found if a look falls into a wait of a worker; else it is the prefix.
    assert set(written) & {"busy workers of pool workers", "busy workers of worker workers"}


def test_threads_and_processes_have_their_names(opened: Perfetto, trace: Path) -> None:
    names = {row["name"] for row in opened.query("select name from thread where name is not null")}
    assert names == set(Timeline(trace).names.values())
    processes = {row["name"] for row in opened.query("select name from process where name is not null")}
    assert processes == {"python", "locks"}


def test_it_is_drawn(opened: Perfetto) -> None:
    (row,) = opened.query("select id from slice where category = 'wait' limit 1")
    assert opened.show(0, 1, row["id"]).startswith(b"\x89PNG")
