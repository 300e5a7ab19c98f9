"""What a profile of waiting finds: how long, for what, at which line, and who held it meanwhile."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fastjsonschema  # type: ignore[import-untyped]
import pytest

from oxthreads import _oxthreads, diagnose, queue, threading
from oxthreads.concurrent import futures
from oxthreads.diagnose import _objects, _profile_places, _profile_text
from oxthreads.diagnose._profile import Profile
from tests.support.program_with_a_wait import program_with_a_wait
from tests.support.waiting import TIMEOUT_SECONDS
from tests.support.waits import until_named, until_waits

pytestmark = [
    pytest.mark.one_thread("a process has one profile, and some tests start child interpreters"),
    pytest.mark.usefixtures("nobody_else_waits"),
]

SCHEMA = Path(__file__).resolve().parents[2] / "docs/profile.schema.json"
validate = fastjsonschema.compile(json.loads(SCHEMA.read_text()))
COMMAND = ["-c", "import sys; from oxthreads.cli import main; sys.exit(main())", "profile"]

#: Seconds that a wait of a test lasts at least. The test keeps what is waited for until this is over.
LONG = 0.05

# Here, so that a profile finds the name.
shared_lock = threading.Lock()
shared_rlock = threading.RLock()


def line_of(text: str) -> int:
    """The number of the only line of this file that ends with the text, as a comment."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if line.endswith(f"# {text}")]
    return number


def rows(found: Profile, **wanted: object) -> list[dict[str, Any]]:
    data = json.loads(found.json())
    validate(data)
    check_sums(data)
    return [row for row in data["objects"] if all(row[name] == value for name, value in wanted.items())]


def check_sums(data: dict[str, Any]) -> None:
    for name, is_idle in (("waiting", False), ("idle", True)):
        of_class = [row for row in data["objects"] if row["idle"] == is_idle]
        dropped = data["dropped"][name]
        assert data[name]["waits"] == sum(row["waits"] for row in of_class) + dropped["waits"]
        seconds = sum(row["seconds"] for row in of_class) + dropped["seconds"]
        assert data[name]["seconds"] == pytest.approx(seconds, abs=1e-6)
        assert [row["seconds"] for row in of_class] == sorted(
            (row["seconds"] for row in of_class), reverse=True
        )
    for row in data["objects"]:
        assert row["waits"] == sum(place["waits"] for place in row["places"])
        assert row["seconds"] == pytest.approx(sum(place["seconds"] for place in row["places"]), abs=1e-6)
        assert row["max"] == max(place["max"] for place in row["places"])
        assert row["p50"] <= row["p99"] <= row["max"]
        for place in row["places"]:
            assert sum(held["seconds"] for held in place["held"]) <= place["seconds"] * 1.01 + 0.001


def only(found: list[dict[str, Any]]) -> dict[str, Any]:
    (row,) = found
    return row


def started(function: Callable[[], object], name: str) -> threading.Thread:
    thread = threading.Thread(target=function, name=name, daemon=True)
    thread.start()
    return thread


def take(lock: Any) -> None:
    with lock:  # waits
        pass


def keep(lock: Any, waiting: Callable[[], list[threading.Thread]]) -> tuple[float, list[threading.Thread]]:
    """Have the lock until these threads have waited for it for long; return how long they have at least."""
    with lock:  # keeps
        threads = waiting()
        until_waits(type(lock).__name__, *threads)
        asleep = time.monotonic()
        time.sleep(LONG)
        waited = time.monotonic() - asleep
    for thread in threads:
        thread.join(TIMEOUT_SECONDS)
    return waited, threads


@pytest.mark.parametrize("lock", [shared_lock, shared_rlock], ids=["Lock", "RLock"])
def test_a_lock_is_charged_to_the_line_of_its_holder(lock: Any) -> None:
    results: list[float] = []

    def hold() -> None:
        results.append(keep(lock, lambda: [started(lambda: take(lock), "taker")])[0])

    with diagnose.profile() as found:
        begun = time.monotonic()
        holder = started(hold, "holder")
        holder.join(TIMEOUT_SECONDS)
        whole = time.monotonic() - begun
    kind = type(lock).__name__
    (row,) = [row for row in rows(found) if row["for"] == kind and "shared" in row["object"]]
    assert row["object"] == f"{kind} shared_{kind.lower()}"
    assert (row["waits"], row["objects"], row["idle"]) == (1, 1, False)
    assert results[0] <= row["seconds"] <= whole
    place = only(row["places"])
    assert (place["stack"][0]["function"], place["stack"][0]["line"]) == ("take", line_of("waits"))
    held = only(place["held"])
    assert (held["thread"], held["place"]["function"]) == ("holder", "keep")
    assert held["place"]["line"] == line_of("keeps")
    assert held["place"]["file"] == __file__
    assert results[0] <= held["seconds"] <= place["seconds"]
    assert place["ended_by"] == [{"place": None, "thread": "holder", "waits": 1}]


def test_each_of_several_waiters_counts() -> None:
    lock = threading.Lock()
    with diagnose.profile() as found:
        waited, _ = keep(lock, lambda: [started(lambda: take(lock), f"taker-{each}") for each in range(3)])
    (row,) = [row for row in rows(found) if row["for"] == "Lock" and row["seconds"] > LONG]
    assert row["waits"] == 3
    assert row["seconds"] >= 3 * waited
    held = [each for each in row["places"][0]["held"] if each["place"]["function"] == "keep"]
    assert only(held)["seconds"] >= 3 * waited
    text = found.text()
    assert "tests/diagnose/test_profile.py" in text
    assert "in keep, by MainThread" in text


def test_workers_without_work_are_apart() -> None:
    with diagnose.profile() as found:
        work: queue.Queue[int] = queue.Queue()
        consumer = started(work.get, "consumer")
        with futures.ThreadPoolExecutor(1) as pool:
            pool.submit(int).result(TIMEOUT_SECONDS)
            until_waits("item of a queue", consumer)
            until_waits("call for a worker", *pool._threads)
            time.sleep(LONG)
        work.put(1)
        consumer.join(TIMEOUT_SECONDS)
    idle = {row["for"]: row for row in rows(found, idle=True)}
    assert set(idle) == {"item of a queue", "call for a worker"}
    assert all(row["seconds"] >= LONG for row in idle.values())
    data = found.data()
    assert data["idle"]["seconds"] >= 2 * LONG
    assert "call to run" not in found.collapsed()
    assert "waits for work:" in found.text()


def test_a_pool_without_a_name_is_no_queue() -> None:
    assert _objects.unnamed("call for a worker", 0) == "a call to run in a pool"
    assert _objects.unnamed("room in a pool", 0) == "room in a pool"
    assert _objects.unnamed("room in a queue", 0) == "room in a queue"


def test_waits_that_have_not_ended_count_up_to_the_end() -> None:
    diagnose.report()  # from here on, waits are known
    after = threading.Event()
    diagnose.set_name(after, "the end")
    known = started(after.wait, "known")
    until_waits("Event", known)
    with diagnose.profile() as found:
        lasting = started(after.wait, "lasting")
        until_waits("Event", lasting)
        time.sleep(LONG)
    after.set()
    for thread in (known, lasting):
        thread.join(TIMEOUT_SECONDS)
    row = only(rows(found, object="Event the end"))
    assert row["waits"] == 2
    assert LONG <= row["max"] <= found.data()["seconds"]


def test_a_loop_with_a_timeout_is_as_many_waits() -> None:
    never = threading.Event()
    with diagnose.profile() as found:
        for _ in range(5):
            never.wait(0.002)
    (row,) = [row for row in rows(found) if row["object"].endswith("never")] or rows(
        found, **{"for": "Event"}
    )
    assert row["waits"] == 5
    # The deadline of each may have come before its sleep began.
    assert row["seconds"] > 0
    assert row["places"][0]["ended_by"] == []


def test_one_long_wait_of_the_main_thread_is_one_wait() -> None:
    # The main thread wakes to look for signals, after 50 ms for the first time.
    never = threading.Event()
    diagnose.set_name(never, "never")
    with diagnose.profile() as found:
        begun = time.monotonic()
        never.wait(0.3)
        whole = time.monotonic() - begun
    row = only(rows(found, object="Event never"))
    assert row["waits"] == 1
    assert 0 < row["seconds"] <= whole
    assert row["max"] == pytest.approx(row["seconds"], abs=1e-6)


def test_the_objects_have_the_names_of_reports() -> None:
    class Cache:
        def __init__(self) -> None:
            self.lock = threading.Lock()

        def get(self) -> None:
            take(self.lock)

    cache = Cache()
    named = threading.Lock()
    diagnose.set_name(named, "the ledger")
    with diagnose.profile() as found:
        for lock, function, name in (
            (cache.lock, cache.get, "Lock Cache.lock"),
            (named, lambda: take(named), "Lock the ledger"),
        ):
            with lock:
                thread = started(function, "taker")
                until_named(name)
            thread.join(TIMEOUT_SECONDS)
    names = {row["object"] for row in rows(found, **{"for": "Lock"})}
    assert {"Lock Cache.lock", "Lock the ledger"} <= names


def test_nothing_is_recorded_when_no_profile_runs() -> None:
    with diagnose.profile():
        pass
    lock = threading.Lock()
    keep(lock, lambda: [started(lambda: take(lock), "taker")])
    assert not _oxthreads.profile_runs()
    assert _oxthreads.stop_profile() is None
    with diagnose.profile() as found:
        pass
    assert rows(found) == []
    assert found.data()["waiting"] == {"waits": 0, "seconds": 0}
    assert "0 waits" in found.text()
    assert found.collapsed() == ""


def test_the_processor_time_is_that_of_the_profile() -> None:
    before = time.process_time()
    while time.process_time() - before < 0.02:
        pass
    begun = time.process_time()
    with diagnose.profile() as found:
        inside = time.process_time()
        while time.process_time() - inside < 0.02:
            pass
    whole = time.process_time() - begun
    assert rows(found) == []
    assert 0.02 <= found.data()["processor_seconds"] <= whole
    assert " of processor time, 0 threads; " in found.text()


def test_an_exception_ends_the_profile() -> None:
    found = diagnose.profile()
    with pytest.raises(ZeroDivisionError), found:
        threading.Event().wait(0.001)
        raise ZeroDivisionError
    assert found.data()["waiting"]["waits"] == 1
    with diagnose.profile():
        pass


def test_wrong_use_is_an_error() -> None:
    found = diagnose.profile()
    with pytest.raises(RuntimeError, match="the profile has not begun"):
        found.text()
    with found:
        with pytest.raises(RuntimeError, match="the profile has not ended"):
            found.json()
        with pytest.raises(RuntimeError, match="a profile runs already"), diagnose.profile():
            pass
    with pytest.raises(RuntimeError, match="only once"), found:
        pass
    assert found.data()["version"] == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_no_profile() -> None:
    status = 1
    found = diagnose.profile()
    with found:
        child = os.fork()
        if child == 0:
            try:
                assert not _oxthreads.profile_runs()
                threading.Event().wait(0.001)
                found.__exit__(None, None, None)
                with pytest.raises(RuntimeError, match="belongs to the parent"):
                    found.text()
                with diagnose.profile() as own:
                    threading.Event().wait(0.001)
                assert own.data()["waiting"]["waits"] == 1
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        threading.Event().wait(0.001)
    assert [row["for"] for row in rows(found)] == ["Event"]


def test_what_is_dropped_is_said() -> None:
    with diagnose.profile() as found:
        pass
    data = found.data()
    measured = {"waits": 3, "seconds": 0.5, "p50": 0.1, "p99": 0.2, "max": 0.2, "interpreter_seconds": 0.0}
    data["dropped"]["waiting"] = measured
    validate(data)
    text = _profile_text.table(data)
    assert "of 3 waits of 500 ms at others, only the sums are known" in text
    assert "at more places than 10000" in text
    assert "[at more places than are kept] 500000" in _profile_text.collapsed(data)


def test_a_place_in_a_library_says_which_line_of_the_program_has_called_it() -> None:
    handler = logging.StreamHandler(io.StringIO())
    logger = logging.Logger("of the test")
    logger.addHandler(handler)
    handler.lock = threading.RLock()  # logging was imported before a patch

    def log() -> None:
        logger.warning("waits")  # logs

    with diagnose.profile() as found:
        keep(handler.lock, lambda: [started(log, "logger")])
    (line,) = [line for line in found.text().splitlines() if "from" in line and "in log" in line]
    file = Path(__file__).relative_to(Path.cwd()) if Path.cwd() in Path(__file__).parents else __file__
    assert re.search(r"  logging/__init__\.py:\d+ in \w+, from ", line)
    assert f", from {file}:{line_of('logs')} in log" in line


def frames(*functions: tuple[str, int]) -> list[dict[str, Any]]:
    return [{"file": file, "line": line, "function": f"f{line}"} for file, line in functions]


def test_places_that_look_the_same_are_told_apart() -> None:
    own = "/program/file.py"
    library = logging.__file__
    names = _profile_places.in_words(
        [
            frames((own, 1), (own, 2)),
            frames((own, 1), (own, 3)),
            frames((own, 4), (own, 3)),
            frames((library, 5), (library, 6), (own, 7), (own, 8)),
            frames((library, 5), (library, 6), (own, 7), (own, 9)),
            frames((library, 10), (library, 11)),
            [],
            frames((own, 12)),
            frames((own, 12), (own, 13)),
        ]
    )
    assert names == [
        f"{own}:1 in f1, from {own}:2 in f2",
        f"{own}:1 in f1, from {own}:3 in f3",
        f"{own}:4 in f4",
        f"logging/__init__.py:5 in f5, from {own}:8 in f8",
        f"logging/__init__.py:5 in f5, from {own}:9 in f9",
        "logging/__init__.py:10 in f10",
        "outside the program's code",
        f"{own}:12 in f12",
        f"{own}:12 in f12, from {own}:13 in f13",
    ]
    assert (
        _profile_places.without_directories(f"Event made at {library}:3")
        == "Event made at logging/__init__.py:3"
    )
    assert _profile_places.in_words([]) == []


def test_more_places_than_are_kept() -> None:
    never = threading.Event()
    function = "def wait(event):\n" + "    event.wait(1e-9)\n" * 100
    namespace: dict[str, Any] = {}
    with diagnose.profile() as found:
        for number in range(103):
            exec(compile(function, f"generated-{number}.py", "exec"), namespace)
            namespace["wait"](never)
    data = found.data()
    check_sums(data)
    assert sum(len(row["places"]) for row in data["objects"]) == 10_000
    assert data["dropped"]["waiting"]["waits"] == 300
    assert data["waiting"]["waits"] == 10_300


# ---- Whole programs


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    def run_in_child(
        *arguments: str, variables: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OXTHREADS")}
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
            cwd=tmp_path,
            env={**kept, **(variables or {}), "TMPDIR": str(tmp_path)},
        )

    yield run_in_child


PROGRAM = program_with_a_wait("OXTHREADS_PROFILE", 0.2)


@pytest.mark.parametrize("ending", ["", "sys.exit(3)", "raise ValueError('wrong')", "os.chdir('/')"])
def test_a_program_is_profiled_until_its_exit(run: Any, tmp_path: Path, ending: str) -> None:
    (tmp_path / "program.py").write_text(PROGRAM + ending)
    ended = run(*COMMAND, "-o", "found.json", "program.py", "-o", "x")
    assert ended.stdout == "None ['-o', 'x']\n", ended
    assert ended.returncode == {"": 0, "os.chdir('/')": 0, "sys.exit(3)": 3}.get(ending, 1)
    assert ("Traceback" in ended.stderr) == ("raise" in ending)
    assert "oxthreads" not in ended.stderr
    data = json.loads((tmp_path / "found.json").read_text())
    validate(data)
    check_sums(data)
    row = only([row for row in data["objects"] if row["object"] == "Lock lock"])
    assert row["waits"] == 1
    assert row["places"][0]["stack"][0] == {
        "file": str(tmp_path / "program.py"),
        "line": 7,
        "function": "take",
    }
    assert row["places"][0]["held"][0]["thread"] == "MainThread"
    assert row["places"][0]["held"][0]["place"]["line"] == 10


def test_the_text_goes_to_standard_error(run: Any) -> None:
    ended = run(*COMMAND, "-c", PROGRAM)
    assert (ended.returncode, ended.stdout) == (0, "None []\n")
    assert ended.stderr.startswith("oxthreads profile: ")
    assert "Lock lock" in ended.stderr
    assert "No wait was dropped." in ended.stderr


def test_the_other_forms(run: Any, tmp_path: Path) -> None:
    assert run(*COMMAND, "-ofound.txt", "-c", PROGRAM).stderr == ""
    assert (tmp_path / "found.txt").read_text().startswith("oxthreads profile: ")
    assert run(*COMMAND, "-o", "found.collapsed", "-c", PROGRAM).stderr == ""
    lines = (tmp_path / "found.collapsed").read_text().splitlines()
    stacks = dict(line.rsplit(" ", 1) for line in lines)
    assert int(stacks["take (<string>:7);[Lock lock]"]) > 100_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage: oxthreads profile"),
        (["-o"], "-o needs the name of a file"),
        (["-o", "found.json"], "usage: oxthreads profile"),
        (
            ["-o", "found.pdf", "x.py"],
            "must end with .html, .json, .txt, .collapsed or .pb.gz, not 'found.pdf'",
        ),
        (["-o", "absent/found.json", "x.py"], "there is no directory 'absent'"),
        (["absent.py"], "can't open file"),
        (["--output", "x.json", "x.py"], "unknown option"),
    ],
)
def test_wrong_usage_is_told(run: Any, arguments: list[str], message: str) -> None:
    ended = run(*COMMAND, *arguments)
    assert ended.returncode == 2
    assert message in ended.stderr


def test_two_profiles_of_a_process_are_refused(run: Any, tmp_path: Path) -> None:
    program = "import sys; from oxthreads import diagnose, runner; p = diagnose.profile(); p.__enter__();"
    ended = run("-c", program + "runner.record('profile', ['-c', '0'])")
    assert (ended.returncode, ended.stderr) == (
        2,
        "oxthreads profile: a profile runs already in this process\n",
    )


def test_the_help(run: Any) -> None:
    ended = run(*COMMAND, "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "-o FILE" in ended.stdout


def test_the_variable_of_the_environment(run: Any, tmp_path: Path) -> None:
    variables = {"OXTHREADS_PROFILE": "found.json"}
    ended = run("-m", "oxthreads", "-c", PROGRAM, variables=variables)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "None []\n", "")
    assert "Lock lock" in (tmp_path / "found.json").read_text()
    ended = run("-m", "oxthreads", "-c", PROGRAM, variables={"OXTHREADS_PROFILE": "1"})
    assert ended.stderr.startswith("oxthreads profile: ")
    for value in ("0", ""):
        ended = run("-m", "oxthreads", "-c", PROGRAM, variables={"OXTHREADS_PROFILE": value})
        assert (ended.returncode, ended.stderr) == (0, "")
    ended = run("-m", "oxthreads", "-c", PROGRAM, variables={"OXTHREADS_PROFILE": "found.pdf"})
    assert (ended.returncode, ended.stdout) == (0, "None []\n")
    assert ended.stderr.startswith("oxthreads: OXTHREADS_PROFILE: the name of the file must end with")


def test_a_name_with_the_number_of_the_process_is_for_children_too(run: Any, tmp_path: Path) -> None:
    program = (
        "import subprocess, sys; subprocess.run([sys.executable, '-m', 'oxthreads', '-c', '0'], check=True)"
    )
    ended = run("-m", "oxthreads", "-c", program, variables={"OXTHREADS_PROFILE": "found-{pid}.json"})
    assert (ended.returncode, ended.stderr) == (0, "")
    files = [*tmp_path.glob("found-*.json")]
    processes = {json.loads(file.read_text())["process"] for file in files}
    assert {f"found-{process}.json" for process in processes} == {file.name for file in files}
    assert len(processes) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_does_not_write(run: Any, tmp_path: Path) -> None:
    program = PROGRAM + textwrap.dedent("""
        import warnings
        warnings.simplefilter("ignore")
        child = os.fork()
        if child == 0:
            sys.exit(0)
        os.waitpid(child, 0)
        assert not os.path.exists("found.json")
        """)
    ended = run(*COMMAND, "-o", "found.json", "-c", program)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Lock lock" in (tmp_path / "found.json").read_text()


FORKING = PROGRAM + textwrap.dedent("""
    import multiprocessing, signal, warnings
    warnings.simplefilter("ignore")

    def work():
        with lock:
            waits.clear()
            thread = threading.Thread(target=take, name="taker in the child")
            thread.start()
            waits.wait()
            while not any(sleep[3] == "Lock" for sleep in _oxthreads.asleep()):
                time.sleep(0.001)
        thread.join()
        {ending}

    if {of_multiprocessing}:
        child = multiprocessing.get_context("fork").Process(target=work)
        child.start()
        child.join()
        pid, status = child.pid, child.exitcode
    else:
        pid = os.fork()
        if pid == 0:
            work()
            sys.exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(pid, status)
    """)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("pass", 0),
        ("sys.exit(3)", 3),
        ("os._exit(4)", 4),
        ("os.kill(os.getpid(), signal.SIGTERM)", -15),
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); signal.raise_signal(signal.SIGTERM)", 5),
        ("multiprocessing", 0),
    ],
)
def test_a_forked_child_has_a_profile_of_its_own_if_the_name_tells_them_apart(
    run: Any, tmp_path: Path, ending: str, status: int
) -> None:
    program = FORKING.replace("{of_multiprocessing}", str(ending == "multiprocessing"))
    program = program.replace("{ending}", "pass" if ending == "multiprocessing" else ending)
    ended = run(*COMMAND, "-o", "found-{pid}.json", "-c", program)
    assert (ended.returncode, ended.stderr) == (0, "")
    child, its_status = map(int, ended.stdout.splitlines()[-1].split())
    assert its_status == status
    assert len([*tmp_path.glob("found-*.json")]) == 2
    data = json.loads((tmp_path / f"found-{child}.json").read_text())
    validate(data)
    check_sums(data)
    assert data["process"] == child
    row = only([row for row in data["objects"] if row["object"] == "Lock lock"])
    assert row["waits"] == 1
    assert row["places"][0]["held"][0]["place"]["function"] == "work"
    (own,) = [file for file in tmp_path.glob("found-*.json") if str(child) not in file.name]
    row = only([row for row in json.loads(own.read_text())["objects"] if row["object"] == "Lock lock"])
    assert row["places"][0]["held"][0]["place"]["function"] == "<module>"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_of_a_child_has_a_profile_too(run: Any, tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import os, sys, warnings
        warnings.simplefilter("ignore")
        for _ in range(2):
            child = os.fork()
            if child:
                sys.exit(os.waitpid(child, 0)[1])
        """)
    ended = run(*COMMAND, "-o", "found-{pid}.txt", "-c", program)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len([*tmp_path.glob("found-*.txt")]) == 3


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("os._exit(3)", 3),
        ("threading.Thread(target=os._exit, args=(3,)).start(); threading.Event().wait()", 3),
        ("os.kill(os.getpid(), signal.SIGTERM)", -15),
        (
            "waits.clear(); threading.Timer(0.1, os.kill, (os.getpid(), 15)).start(); waits.wait()",
            -15,
        ),
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN); os.kill(os.getpid(), signal.SIGTERM)", 0),
    ],
)
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there are no such signals")
def test_other_ends_of_a_program_lose_nothing(run: Any, tmp_path: Path, ending: str, status: int) -> None:
    ended = run(*COMMAND, "-o", "found.json", "-c", f"import signal\n{PROGRAM}\n{ending}")
    assert (ended.returncode, ended.stderr) == (status, "")
    data = json.loads((tmp_path / "found.json").read_text())
    validate(data)
    assert [row["waits"] for row in data["objects"] if row["object"] == "Lock lock"] == [1]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there are no such signals")
def test_a_termination_while_the_profile_is_written_waits_for_that(run: Any, tmp_path: Path) -> None:
    program = (
        "import atexit, os, pathlib, signal\n"
        + PROGRAM
        + textwrap.dedent("""
        write = pathlib.Path.write_bytes

        def terminated(*arguments, **options):
            os.kill(os.getpid(), signal.SIGTERM)
            return write(*arguments, **options)

        pathlib.Path.write_bytes = terminated
        """)
    )
    ended = run(*COMMAND, "-o", "found.json", "-c", program)
    assert (ended.returncode, ended.stderr) == (-signal.SIGTERM, "")
    validate(json.loads((tmp_path / "found.json").read_text()))


DEADLOCK = textwrap.dedent("""
    import threading
    a, b, both = threading.Lock(), threading.Lock(), threading.Barrier(2)

    def other():
        with b:
            both.wait()
            with a:
                pass

    threading.Thread(target=other, name="other").start()
    with a:
        both.wait()
        with b:
            pass
    """)


def test_a_watch_that_ends_the_process_loses_nothing(run: Any, tmp_path: Path) -> None:
    variables = {"OXTHREADS_WATCH": "exit", "OXTHREADS_PROFILE": "found.json"}
    ended = run("-m", "oxthreads", "-c", DEADLOCK, variables=variables)
    assert ended.returncode == 2
    assert ended.stderr.startswith("oxthreads: deadlock: 2 threads")
    data = json.loads((tmp_path / "found.json").read_text())
    check_sums(data)
    assert {"Lock a", "Lock b"} <= {row["object"] for row in data["objects"]}


def test_a_wrong_status_for_an_exit_is_an_error(run: Any, tmp_path: Path) -> None:
    program = "import os\ntry:\n    os._exit('1')\nexcept TypeError:\n    print('refused')\n"
    ended = run(*COMMAND, "-o", "found.json", "-c", program)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "refused\n", "")
    assert json.loads((tmp_path / "found.json").read_text())["version"] == 1


def test_a_file_that_cannot_be_written_is_told(run: Any, tmp_path: Path) -> None:
    (tmp_path / "found.json").mkdir()
    ended = run(*COMMAND, "-o", "found.json", "-c", PROGRAM)
    assert ended.returncode == 0
    assert "the profile could not be written to" in ended.stderr


def test_a_profile_and_a_watch_run_side_by_side(run: Any) -> None:
    program = textwrap.dedent("""
        import threading
        from oxthreads import diagnose
        a, b, both = threading.Lock(), threading.Lock(), threading.Barrier(2)

        def other():
            with b:
                both.wait()
                with a:
                    pass

        with diagnose.watch("raise"), diagnose.profile() as found:
            thread = threading.Thread(target=other, name="other")
            thread.start()
            try:
                with a:
                    both.wait()
                    with b:
                        pass
            except diagnose.DeadlockError:
                print("ended")
            thread.join()
        print(found.text())
        """)
    ended = run("-m", "oxthreads", "-c", program)
    assert ended.returncode == 0, ended
    assert ended.stdout.startswith("ended\noxthreads profile: "), ended
    assert "Lock a" in ended.stdout
    assert "Lock b" in ended.stdout
