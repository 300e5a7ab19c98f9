"""What a trace shows: waits, wakes and calls of pools, over time."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oxthreads import _oxthreads, diagnose, queue, threading
from oxthreads.concurrent import futures
from oxthreads.diagnose import _trace
from tests.support.chrome_traces import Slice, Timeline, check_nesting
from tests.support.program_with_a_wait import program_with_a_wait
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, times_run
from tests.support.waits import sleep_in, until_named, until_waits

pytestmark = [
    pytest.mark.one_thread("a process has one trace, and some tests start child interpreters"),
    pytest.mark.usefixtures("nobody_else_waits"),
]

COMMAND = ["-c", "import sys; from oxthreads.cli import main; sys.exit(main())", "trace"]

#: Seconds that a wait of a test lasts at least. The test keeps what is waited for until this is over.
LONG = 0.05

# Here, so that a trace finds the names.
shared_lock = threading.Lock()
shared_rlock = threading.RLock()
shared_queue: queue.Queue[int] = queue.Queue(1)
shared_condition = threading.Condition()


def line_of(text: str) -> int:
    """The number of the only line of this file that ends with the text, as a comment."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if line.endswith(f"# {text}")]
    return number


def started(function: Callable[..., object], name: str, *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=function, args=arguments, name=name, daemon=True)
    thread.start()
    return thread


def ended(*threads: threading.Thread) -> None:
    for thread in threads:
        thread.join(TIMEOUT_SECONDS)
        assert not thread.is_alive()


def take(lock: Any) -> None:
    with lock:  # waits
        pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.json"


# ---- What is shown


@pytest.mark.parametrize("lock", [shared_lock, shared_rlock], ids=["Lock", "RLock"])
def test_a_wait_for_a_lock(path: Path, lock: Any) -> None:
    lasted = 0.0

    def hold() -> None:
        nonlocal lasted
        with lock:  # keeps
            taker = started(take, "taker", lock)
            until_waits(type(lock).__name__, taker)
            asleep = time.monotonic()
            time.sleep(LONG)
            lasted = time.monotonic() - asleep
        ended(taker)

    with diagnose.trace(path):
        ended(started(hold, "holder"))
    shown = Timeline(path)
    kind = type(lock).__name__
    name = f"{kind} shared_{kind.lower()}"
    wait = shown.only("wait", "taker", name)
    assert wait.end - wait.begin >= lasted * 1e6
    assert wait.arguments["ended"] == "completed"
    assert wait.arguments["by"] == "holder"
    assert wait.arguments["sleeps"] >= 1
    assert 0 <= wait.arguments["interpreter_us"] <= wait.end - wait.begin
    awake = [each for each in shown.of("awake", "taker") if wait.has(each)]
    assert awake[-1].end == wait.end
    assert awake[-1].name == "waits for the interpreter"
    assert wait.arguments["stack"][0] == f"tests/diagnose/test_trace.py:{line_of('waits')} in take"
    (flow,) = [flow for flow in shown.flows if wait.has(flow.end)]
    assert (flow.name, flow.begin.track, flow.begin.name) == ("wakes", "holder", "wakes taker")
    assert flow.begin.arguments == {"from": name}
    held, taken = shown.of("lock", name)
    assert (held.name, held.arguments["from"], held.arguments["until"]) == ("held by holder", "seen", "freed")
    assert held.arguments["freed_at"][0] == f"tests/diagnose/test_trace.py:{line_of('keeps')} in hold"
    assert held.end - held.begin >= lasted * 1e6
    assert (taken.name, taken.arguments["from"]) == ("held by taker", "taken, after a wait")
    assert taken.begin >= held.end


def test_a_lock_that_is_not_freed_is_held_while_others_wait(path: Path) -> None:
    with diagnose.trace(path), shared_lock:
        ended(started(shared_lock.acquire, "patient", True, LONG))
    shown = Timeline(path)
    wait = shown.only("wait", "patient", "Lock shared_lock")
    assert wait.arguments["ended"] == "timed out"
    assert "by" not in wait.arguments
    held = shown.only("lock", "Lock shared_lock")
    assert (held.name, held.arguments) == ("held by MainThread", {"from": "seen", "until": "seen"})
    assert held.begin >= wait.begin
    assert held.end == pytest.approx(wait.end, abs=1)


def test_an_item_that_wakes_a_getter(path: Path) -> None:
    with diagnose.trace(path):
        consumer = started(shared_queue.get, "consumer")
        until_waits("item of a queue", consumer)
        producer = started(shared_queue.put, "producer", 1)  # makes room
        ended(consumer, producer)
    shown = Timeline(path)
    name = "an item of Queue shared_queue"
    wait = shown.only("wait", "consumer", name)
    assert (wait.arguments["ended"], wait.arguments["by"]) == ("completed", "producer")
    (flow,) = [flow for flow in shown.flows if wait.has(flow.end)]
    assert (flow.name, flow.begin.track, flow.begin.name) == ("item", "producer", "wakes consumer")
    values = [value for _, value in shown.counters["length of Queue shared_queue"]]
    assert values == [0, 1, 0]


def test_room_in_a_queue(path: Path) -> None:
    shared_queue.put(1)
    with diagnose.trace(path):
        producer = started(shared_queue.put, "producer", 2)
        until_waits("room in a queue", producer)
        shared_queue.get()
        ended(producer)
    shared_queue.get()
    shown = Timeline(path)
    wait = shown.only("wait", "producer", "room in Queue shared_queue")
    assert wait.arguments["by"] == "MainThread"
    (flow,) = [flow for flow in shown.flows if wait.has(flow.end)]
    assert flow.name == "wakes"
    assert [value for _, value in shown.counters["length of Queue shared_queue"]] == [1, 0, 1]


def test_a_condition_and_its_lock(path: Path) -> None:
    def wait() -> None:
        with shared_condition:
            shared_condition.wait()

    with diagnose.trace(path):
        waiter = started(wait, "waiter")
        until_waits("Condition", waiter)
        with shared_condition:
            shared_condition.notify()
            until_waits("RLock", waiter)
        ended(waiter)
    shown = Timeline(path)
    first, second = shown.of("wait", "waiter")
    assert first.name == "Condition shared_condition"
    # What it is part of is known only if the thread of the watch has looked meanwhile.
    assert second.name in ("RLock shared_condition", "RLock of Condition shared_condition")
    assert [first.arguments["by"], second.arguments["by"]] == ["MainThread"] * 2
    assert {flow.name for flow in shown.flows if first.has(flow.end) or second.has(flow.end)} == {"wakes"}


def test_an_event(path: Path) -> None:
    event = threading.Event()
    diagnose.set_name(event, "the start")
    with diagnose.trace(path):
        threads = [started(event.wait, f"waiter-{number}") for number in range(3)]
        until_waits("Event", *threads)
        event.set()
        ended(*threads)
        event.clear()
        assert not event.wait(0.001)
    shown = Timeline(path)
    for number in range(3):
        wait = shown.only("wait", f"waiter-{number}", "Event the start")
        assert (wait.arguments["ended"], wait.arguments["by"]) == ("completed", "MainThread")
        assert [flow.begin.name for flow in shown.flows if wait.has(flow.end)] == [f"wakes waiter-{number}"]
    assert shown.only("wait", "MainThread", "Event the start").arguments["ended"] == "timed out"


def test_a_join(path: Path) -> None:
    event = threading.Event()
    with diagnose.trace(path):
        sleeper = started(event.wait, "sleeper")
        joiner = started(sleeper.join, "joiner")
        until_waits("Event", sleeper)
        until_waits("join", joiner)
        event.set()
        ended(joiner)
    (wait,) = Timeline(path).of("wait", "joiner")
    assert wait.name in ("sleeper to end", "a thread to end")
    assert wait.arguments["ended"] == "completed"


def work(event: threading.Event) -> None:
    event.wait(TIMEOUT_SECONDS)  # works


def test_the_calls_of_a_pool(path: Path) -> None:
    first, second = threading.Event(), threading.Event()
    with diagnose.trace(path), futures.ThreadPoolExecutor(1, thread_name_prefix="worker") as pool:
        diagnose.set_name(pool, "the pool")
        calls = [pool.submit(work, first)]
        (worker,) = pool._threads
        # From now on, the first call is not pending any more.
        until_waits("Event", worker)
        calls += [pool.submit(work, second), pool.submit(int)]
        first.set()
        calls[0].result(TIMEOUT_SECONDS)
        until_waits("Event", worker)
        second.set()
        for call in calls:
            call.result(TIMEOUT_SECONDS)
    shown = Timeline(path)
    one, two, three = shown.of("call", "worker_0")
    assert [one.name, two.name, three.name] == ["work", "work", "int"]
    assert [each.arguments["pool"] for each in (one, two, three)] == ["the pool"] * 3
    assert one.arguments["pending_us"] >= 0
    waits = [wait for wait in shown.of("wait", "worker_0") if wait.name.startswith("Event")]
    assert one.has(waits[0])
    assert two.has(waits[1])
    assert waits[0].arguments["stack"][0].endswith(f":{line_of('works')} in work")
    flows = [flow for flow in shown.flows if flow.name == "call"]
    assert [flow.end for flow in flows] == [one, two, three]
    # The second was pending at least from its submission until the end of the first.
    assert two.arguments["pending_us"] > one.end - flows[1].begin.end > 0
    assert {(flow.begin.name, flow.begin.track) for flow in flows} == {("submits a call", "MainThread")}
    busy = [value for _, value in shown.counters["busy workers of the pool"]]
    assert busy[0] == 1
    assert busy[-1] == 0
    pending = [value for _, value in shown.counters["pending calls of the pool"]]
    assert max(pending) == 2
    assert pending[-1] == 0


def test_a_call_that_its_submitter_runs(path: Path) -> None:
    event = threading.Event()
    with (
        diagnose.trace(path),
        futures.ThreadPoolExecutor(1, max_pending=1, on_full="caller_runs") as pool,
    ):
        running = pool.submit(work, event)
        spin_until(running.running)
        pool.submit(int)
        pool.submit(len, "")
        event.set()
    shown = Timeline(path)
    assert shown.only("call", "MainThread").name == "len"
    assert {value for _, value in shown.counters["busy workers of pool"]} == {0, 1}


def test_waits_that_last_at_both_ends(path: Path) -> None:
    diagnose.report()  # from here on, waits are known
    event, after = threading.Event(), threading.Event()
    before = started(event.wait, "before")
    until_waits("Event", before)
    with diagnose.trace(path):
        event.set()
        ended(before)
        lasting = started(after.wait, "lasting")
        until_waits("Event", lasting)
    after.set()
    ended(lasting)
    shown = Timeline(path)
    first = shown.only("wait", "before")
    assert first.begin < 1
    assert (first.arguments["ended"], first.arguments["by"]) == ("completed", "MainThread")
    assert [flow.begin.name for flow in shown.flows if first.has(flow.end)] == ["wakes before"]
    (last,) = [each for each in shown.of("wait", "lasting") if each.name.startswith("Event")]
    assert last.arguments["ended"] == "not before the end of the trace"


def test_one_long_wait_of_the_main_thread_is_one_slice(path: Path) -> None:
    event = threading.Event()
    diagnose.set_name(event, "the end")
    main = threading.current_thread()

    folder = Path(f"/proc/self/task/{main.native_id}")

    def end_after_a_look() -> None:
        # The main thread wakes to look for signals, after 50 ms for the first time. From Python 3.13 on, it
        # stays in the list of waiters meanwhile, and it is the same sleep.
        until_waits("Event", main)
        first, turns = sleep_in("Event", main), times_run(folder)
        if sys.version_info < (3, 13):
            spin_until(lambda: sleep_in("Event", main) not in (0, first))
        elif turns:
            spin_until(lambda: times_run(folder) != turns)
        event.set()

    with diagnose.trace(path):
        ender = started(end_after_a_look, "ender")
        assert event.wait(TIMEOUT_SECONDS)
        ended(ender)
    wait = Timeline(path).only("wait", "MainThread", "Event the end")
    assert (wait.arguments["sleeps"] > 1) == (sys.version_info < (3, 13))
    assert wait.arguments["ended"] == "completed"


def test_a_wait_in_a_signal_handler(path: Path) -> None:
    program = textwrap.dedent("""
        import os, signal, sys, threading, time
        from oxthreads import _oxthreads, diagnose
        inner, outer = threading.Event(), threading.Event()

        def handle(*_):
            inner.wait(0.01)
            outer.set()

        def signal_once_asleep():
            while not any(sleep[3] == "Event" for sleep in _oxthreads.asleep()):
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGALRM)

        signal.signal(signal.SIGALRM, handle)
        with diagnose.trace(sys.argv[1]):
            threading.Thread(target=signal_once_asleep).start()
            outer.wait(30)
        """)
    ran = run("-m", "oxthreads", "-c", program, str(path))
    assert ran.returncode == 0, ran
    shown = Timeline(path)
    assert shown.only("wait", "MainThread", "Event inner").arguments["ended"] == "timed out"
    assert [each.arguments["ended"] for each in shown.of("wait", name="Event outer")] in (
        ["interrupted"],
        ["interrupted", "completed"],
        ["completed"],
    )


def test_names_that_are_hard_to_write(path: Path) -> None:
    name = 'a"b\\c\n\x01</script>\ud800'
    event = threading.Event()
    diagnose.set_name(event, name)
    with diagnose.trace(path):
        thread = started(event.wait, name)
        until_waits("Event", thread)
        event.set()
        ended(thread)
    shown = Timeline(path)
    written = name.replace("\ud800", "\\ud800")
    (wait,) = [each for each in shown.of("wait") if each.name == f"Event {written}"]
    assert wait.arguments["by"] == "MainThread"


def test_objects_of_the_same_name_have_tracks_of_their_own(path: Path) -> None:
    class Cache:
        def __init__(self) -> None:
            self.lock = threading.Lock()

    with diagnose.trace(path):
        for number in (1, 2):
            cache = Cache()
            diagnose.set_name(cache.lock, "a cache")
            with cache.lock:
                taker = started(take, "taker", cache.lock)
                until_named("Lock a cache", number)
            ended(taker)
    shown = Timeline(path)
    assert {each.track for each in shown.of("lock")} == {"Lock a cache", "Lock a cache (2)"}


def disturb(seed: int, objects: list[Any]) -> None:
    chance = random.Random(seed)
    for _ in range(60):
        each = chance.choice(objects)
        if isinstance(each, queue.Queue):
            with contextlib.suppress(queue.Empty, queue.Full):
                chance.choice([lambda q: q.get(timeout=0.001), lambda q: q.put(1, timeout=0.001)])(each)
        elif isinstance(each, futures.ThreadPoolExecutor):
            each.submit(take, objects[0])
        else:
            with each:
                time.sleep(chance.choice([0, 0, 0.0005]))


def test_many_threads(path: Path) -> None:
    with diagnose.trace(path) as trace, futures.ThreadPoolExecutor(3) as pool:
        objects = [threading.Lock(), threading.RLock(), threading.Condition(), queue.Queue(2), pool]
        ended(*[started(disturb, f"thread-{seed}", seed, objects) for seed in range(12)])
    shown = Timeline(path)
    assert shown.data["otherData"]["events"] == trace.events > 0
    assert shown.data["otherData"]["events_dropped"] == trace.dropped == 0
    assert len(shown.of("call")) == len(shown.of("submit")) > 0
    assert sum(flow.name == "call" for flow in shown.flows) == len(shown.of("call"))
    waits = shown.of("wait")
    assert all(0 <= each.arguments["interpreter_us"] <= each.end - each.begin for each in waits)
    woken = [each for each in waits if "by" in each.arguments]
    assert woken
    ends = [flow.end for flow in shown.flows if flow.name != "call"]
    # Only a wake that the observed thread noticed before the waker's note has no arrow.
    assert sum(any(each.has(end) for end in ends) for each in woken) >= len(woken) * 0.9
    assert {end.name for end in ends} == {"waits for the interpreter"}


def test_a_check_of_the_nesting_that_can_fail() -> None:
    def of(*times: tuple[float, float]) -> list[Slice]:
        return [Slice("track", "name", begin, end, "wait", {}) for begin, end in times]

    check_nesting(of((0, 10), (1, 5), (2, 3), (5, 10), (10, 11)))
    for wrong in (of((0, 10), (5, 11)), of((0, 10), (0, 5)), of((0, 4), (1, 2), (3, 5))):
        with pytest.raises(AssertionError):
            check_nesting(wrong)


# ---- When it runs


def test_nothing_is_recorded_when_no_trace_runs(path: Path) -> None:
    with diagnose.trace(path):
        pass
    with shared_lock:
        taker = started(take, "taker", shared_lock)
        until_waits("Lock", taker)
    ended(taker)
    assert not _oxthreads.trace_runs()
    assert _oxthreads.stop_trace() is None
    with diagnose.trace(path) as trace:
        pass
    assert (trace.events, trace.dropped, Timeline(path).slices) == (0, 0, [])


def test_an_exception_ends_the_trace(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), diagnose.trace(path):
        threading.Event().wait(0.001)
        raise ZeroDivisionError
    assert Timeline(path).only("wait").arguments["ended"] == "timed out"
    with diagnose.trace(path):
        pass


def test_wrong_use_is_an_error(path: Path) -> None:
    trace = diagnose.trace(path)
    with trace:
        with pytest.raises(RuntimeError, match="a trace runs already"), diagnose.trace(path):
            pass
        threading.Event().wait(0.001)
    with pytest.raises(RuntimeError, match="only once"), trace:
        pass
    assert len(Timeline(path).of("wait")) == 1
    with pytest.raises(TypeError):
        diagnose.trace(1)  # type: ignore[arg-type]
    _oxthreads.start_trace()
    recording = _oxthreads.stop_trace()
    assert recording
    with pytest.raises(ValueError, match="a name is missing"):
        recording.write(str(path), "", [], [], {}, {})
    with pytest.raises(ValueError, match="has been written"):
        recording.write(str(path), "", [""], [""], {}, {})


def test_a_file_that_cannot_be_made_is_an_error_at_once(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent" / "trace.json"):
        with pytest.raises(OSError, match=re.escape(str(path))), diagnose.trace(path):
            raise AssertionError("it has begun")
    assert not _oxthreads.trace_runs()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_an_error(path: Path) -> None:
    with pytest.raises(OSError, match="No space left"), diagnose.trace("/dev/full"):
        threading.Event().wait(0.001)
    with diagnose.trace(path):
        threading.Event().wait(0.001)
    assert Timeline(path).only("wait")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_no_trace(path: Path, tmp_path: Path) -> None:
    status = 1
    trace = diagnose.trace(path)
    with trace:
        threading.Event().wait(0.001)
        child = os.fork()
        if child == 0:
            try:
                assert not _oxthreads.trace_runs()
                threading.Event().wait(0.001)
                trace.__exit__(None, None, None)
                assert path.read_bytes() == b""
                with diagnose.trace(tmp_path / "child.json"):
                    threading.Event().wait(0.001)
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        threading.Event().wait(0.001)
    assert len(Timeline(path).of("wait")) == 2
    assert len(Timeline(tmp_path / "child.json").of("wait")) == 1


def test_what_finds_no_room_is_counted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_trace, "most_bytes", 32 * 100)
    never = threading.Event()
    with diagnose.trace(path) as trace:
        for _ in range(200):
            never.wait(1e-6)
    assert (trace.events, trace.dropped) == (100, 300)
    shown = Timeline(path)
    assert shown.data["otherData"]["events"] == 100
    assert shown.data["otherData"]["events_dropped"] == 300
    assert len(shown.of("wait")) == 50


def test_a_wait_whose_end_finds_no_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_trace, "most_bytes", 32 * 3)
    never = threading.Event()
    with diagnose.trace(path) as trace:
        never.wait(1e-6)
        never.wait(0.01)
        never.wait(0.01)
    assert (trace.events, trace.dropped) == (3, 3)
    first, second = Timeline(path).of("wait")
    assert (first.arguments["ended"], second.arguments["ended"]) == ("timed out", "not recorded")


def test_no_room_at_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_trace, "most_bytes", 0)
    with diagnose.trace(path) as trace:
        threading.Event().wait(0.001)
    assert (trace.events, trace.dropped) == (0, 2)
    assert Timeline(path).slices == []


def test_a_profile_runs_beside_it(path: Path) -> None:
    with diagnose.trace(path), diagnose.profile() as found:
        with shared_lock:
            taker = started(take, "taker", shared_lock)
            until_waits("Lock", taker)
        ended(taker)
    assert "Lock shared_lock" in found.text()
    assert Timeline(path).only("wait", "taker", "Lock shared_lock")


# ---- Whole programs


def run(
    *arguments: str, folder: Path | None = None, variables: dict[str, str] | None = None, text: str = ""
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OXTHREADS")}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
        cwd=folder,
        env={**kept, **(variables or {})},
        input=text,
    )


PROGRAM = program_with_a_wait("OXTHREADS_TRACE")


def shows_the_program(path: Path) -> bool:
    wait = Timeline(path).only("wait", "taker", "Lock lock")
    return wait.arguments["by"] == "MainThread" and wait.arguments["stack"][0].endswith(":7 in take")


@pytest.mark.parametrize("ending", ["", "sys.exit(3)", "raise ValueError('wrong')", "os.chdir('/')"])
def test_a_program_is_traced_until_its_exit(tmp_path: Path, path: Path, ending: str) -> None:
    (tmp_path / "program.py").write_text(PROGRAM + ending)
    ran = run(*COMMAND, "-o", "trace.json", "program.py", "-o", "x", folder=tmp_path)
    assert ran.stdout == "None ['-o', 'x']\n", ran
    assert ran.returncode == {"": 0, "os.chdir('/')": 0, "sys.exit(3)": 3}.get(ending, 1)
    assert ("Traceback" in ran.stderr) == ("raise" in ending)
    assert "oxthreads" not in ran.stderr
    assert shows_the_program(path)
    shown = Timeline(path)
    names = [event["args"]["name"] for event in shown.events if event["name"] == "process_name"]
    assert names == ["program.py", "locks"]
    # The exit's wait for other threads.
    assert shown.slices[-1].begin >= 0


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("os._exit(3)", 3),
        ("threading.Thread(target=os._exit, args=(3,)).start(); threading.Event().wait()", 3),
        ("os.kill(os.getpid(), signal.SIGTERM); threading.Event().wait()", -signal.SIGTERM),
    ],
)
@pytest.mark.parametrize("is_profiled", [False, True])
def test_a_trace_is_written_however_the_process_ends(
    tmp_path: Path, path: Path, ending: str, status: int, is_profiled: bool
) -> None:
    variables = {"OXTHREADS_PROFILE": "profile.json"} if is_profiled else {}
    program = f"{PROGRAM}import signal\n{ending}"
    ran = run(*COMMAND, "-o", "trace.json", "-c", program, folder=tmp_path, variables=variables)
    assert (ran.returncode, ran.stderr) == (status, "")
    assert shows_the_program(path)
    assert (tmp_path / "profile.json").exists() == is_profiled
    if is_profiled:
        assert json.loads((tmp_path / "profile.json").read_text())["version"] == 1


def test_the_other_kinds_of_programs(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    for number, (arguments, text) in enumerate(
        [(["-m", "program"], ""), (["-c", PROGRAM], ""), (["-"], PROGRAM)]
    ):
        ran = run(*COMMAND, f"-otrace-{number}.json", *arguments, "x", folder=tmp_path, text=text)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "None ['x']\n", "")
        assert shows_the_program(tmp_path / f"trace-{number}.json")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage: oxthreads trace"),
        (["x.py"], "it needs -o FILE"),
        (["-o"], "-o needs the name of a file"),
        (["-o", ""], "-o needs the name of a file"),
        (["-o", "trace.json"], "usage: oxthreads trace"),
        (["-o", "absent/trace.json", "x.py"], "there is no directory 'absent'"),
        (["-o", ".", "x.py"], "Is a directory"),
        (["-o", "trace.json", "absent.py"], "can't open file"),
        (["-o", "trace.json", "--output", "x.py"], "unknown option"),
    ],
)
def test_wrong_usage_is_told(tmp_path: Path, arguments: list[str], message: str) -> None:
    ran = run(*COMMAND, *arguments, folder=tmp_path)
    assert ran.returncode == 2
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr


def test_two_traces_of_a_process_are_refused(tmp_path: Path) -> None:
    program = "from oxthreads import diagnose, runner; t = diagnose.trace('a.json'); t.__enter__();"
    ran = run("-c", program + "runner.record('trace', ['-o', 'b.json', '-c', '0'])", folder=tmp_path)
    assert (ran.returncode, ran.stderr) == (2, "oxthreads trace: a trace runs already in this process\n")


def test_the_help() -> None:
    ran = run(*COMMAND, "--help")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "-o FILE" in ran.stdout


def test_the_variable_of_the_environment(tmp_path: Path, path: Path) -> None:
    def traced(value: str) -> subprocess.CompletedProcess[str]:
        return run("-m", "oxthreads", "-c", PROGRAM, folder=tmp_path, variables={"OXTHREADS_TRACE": value})

    ran = traced("trace.json")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "None []\n", "")
    assert shows_the_program(path)
    for value in ("0", ""):
        assert traced(value).stderr == ""
    for value, message in (("absent/x.json", "there is no directory"), (".", "Is a directory")):
        ran = traced(value)
        assert (ran.returncode, ran.stdout) == (0, "None []\n")
        assert ran.stderr.startswith("oxthreads: OXTHREADS_TRACE: ")
        assert message in ran.stderr
    assert [*tmp_path.iterdir()] == [path]


def test_a_name_with_the_number_of_the_process_is_for_children_too(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys; subprocess.run([sys.executable, '-m', 'oxthreads', '-c', '0'], check=True)"
    )
    variables = {"OXTHREADS_TRACE": "trace-{pid}.json"}
    ran = run("-m", "oxthreads", "-c", program, folder=tmp_path, variables=variables)
    assert (ran.returncode, ran.stderr) == (0, "")
    files = [*tmp_path.glob("trace-*.json")]
    processes = {Timeline(file).events[0]["pid"] for file in files}
    assert {f"trace-{process}.json" for process in processes} == {file.name for file in files}
    assert len(processes) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_does_not_write(tmp_path: Path, path: Path) -> None:
    program = PROGRAM + textwrap.dedent("""
        import warnings
        warnings.simplefilter("ignore")
        child = os.fork()
        if child == 0:
            sys.exit(0)
        os.waitpid(child, 0)
        assert os.path.getsize("trace.json") == 0
        """)
    ran = run(*COMMAND, "-o", "trace.json", "-c", program, folder=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert shows_the_program(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_file_that_cannot_be_written_at_the_end_is_told() -> None:
    ran = run(*COMMAND, "-o", "/dev/full", "-c", PROGRAM)
    assert ran.returncode == 0
    assert "the trace could not be written to '/dev/full': No space left" in ran.stderr


def test_dropped_events_are_told_at_the_end(tmp_path: Path) -> None:
    start = "from oxthreads import runner; from oxthreads.diagnose import _trace; _trace.most_bytes = 64;"
    program = "import threading\nfor _ in range(5): threading.Event().wait(1e-6)"
    ran = run(
        "-c", f"{start} runner.record('trace', ['-o', 'trace.json', '-c', {program!r}])", folder=tmp_path
    )
    assert ran.returncode == 0
    assert re.search(r"oxthreads: \d+ events of the trace found no room after 2: ", ran.stderr)


def test_a_profile_of_the_program_beside_it(tmp_path: Path, path: Path) -> None:
    variables = {"OXTHREADS_PROFILE": "found.txt"}
    ran = run(*COMMAND, "-o", "trace.json", "-c", PROGRAM, folder=tmp_path, variables=variables)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "Lock lock" in (tmp_path / "found.txt").read_text()
    assert shows_the_program(path)
