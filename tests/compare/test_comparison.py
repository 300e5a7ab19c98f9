"""Tests of the parts of the comparison: measuring one run, and deciding what is the same."""

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from oxthreads.comparison import report
from oxthreads.comparison.measurement import BackEnd, run_by_launcher, run_directly, run_once
from oxthreads.comparison.output import (
    NOTE_PREFIX,
    UNTERMINATED,
    OutputStore,
    compared_lines,
    differing_lines,
    is_inner_file,
    shown,
)
from oxthreads.comparison.rounds import compare_back_ends

pytestmark = pytest.mark.one_thread("starts child interpreters")

posix = pytest.mark.skipif(not hasattr(os, "wait4"), reason="needs POSIX rusage")


# --- Measuring ---------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> OutputStore:
    directory = tmp_path / "outputs"
    directory.mkdir()
    return OutputStore(directory)


PYTHON = BackEnd("standard", (sys.executable,))


@posix
def test_peak_memory_is_the_scripts_own(store: OutputStore) -> None:
    # This process is large. If it forked the child itself, the child would report the memory of this
    # process.
    fat = b"x" * (300 * 2**20)
    small = run_once(PYTHON, ["-c", "pass"], store).usage.peak_memory_bytes
    large = run_once(PYTHON, ["-c", "x = b'x' * (200 * 2**20)"], store).usage.peak_memory_bytes
    assert fat
    assert small is not None and large is not None
    assert small < 100 * 2**20
    assert 195 * 2**20 < large - small < 205 * 2**20


@posix
def test_the_measuring_process_is_smaller_than_any_script(store: OutputStore) -> None:
    bare = run_once(PYTHON, ["-I", "-S", "-c", "pass"], store).usage.peak_memory_bytes
    with_modules = run_once(PYTHON, ["-c", "import argparse, json, logging"], store).usage.peak_memory_bytes
    assert bare is not None and with_modules is not None
    assert bare < with_modules


@posix
def test_cpu_time_and_context_switches_are_measured(store: OutputStore) -> None:
    busy = run_once(PYTHON, ["-c", "import time\nwhile time.process_time() < 0.3: pass"], store)
    idle = run_once(PYTHON, ["-c", "import time\nfor _ in range(200): time.sleep(0.001)"], store)
    assert busy.cpu_seconds is not None and idle.usage.voluntary_context_switches is not None
    assert 0.3 <= busy.cpu_seconds < busy.usage.wall_seconds + 0.1
    assert idle.usage.voluntary_context_switches >= 200
    assert idle.usage.wall_seconds >= 0.2


EXECUTE = [run_directly, *([run_by_launcher] if hasattr(os, "wait4") else [])]


@pytest.mark.parametrize("execute", EXECUTE)
def test_both_ways_to_run_a_script_measure_it(execute: Any, store: OutputStore) -> None:
    def run(code: str, timeout: float | None = None) -> tuple[Any, bool, bytes, bytes]:
        with store.open() as stdout, store.open() as stderr:
            command = [sys.executable, "-c", code]
            usage, timed_out = execute(command, dict(os.environ), stdout, stderr, timeout)
        return usage, timed_out, Path(stdout.name).read_bytes(), Path(stderr.name).read_bytes()

    usage, timed_out, stdout, stderr = run("import sys\nsys.stderr.write('b')\nprint(end='a')\nsys.exit(5)")
    assert (usage.exit_code, timed_out, stdout, stderr) == (5, False, b"a", b"b")
    usage, timed_out, _, _ = run("while True: pass", timeout=0.3)
    assert timed_out
    assert 0.2 < usage.wall_seconds < 60


def test_missing_measures_are_shown_as_not_available(
    monkeypatch: pytest.MonkeyPatch, store: OutputStore
) -> None:
    monkeypatch.delattr(os, "wait4", raising=False)
    other = BackEnd("oxthreads", (sys.executable,))
    comparison = compare_back_ends((PYTHON, other), ["-c", "print(1)"], store, runs=1)
    assert comparison.same
    table = report.table(comparison, "script.py")
    not_available = [line for line in table.splitlines() if line.count(" n/a |") == 3]
    assert len(not_available) == 3
    assert not any("wall time" in line for line in not_available)
    assert json.dumps(report.document(comparison, ["-c", "print(1)"]))


@pytest.mark.parametrize(
    ("best", "worst", "text"),
    [
        (0.5, 0.5, "500 ms"),
        (0.5, 0.52, "500 ms (+4%)"),
        (0.5, 1.2, "500 ms (to 1.20 s)"),
        (0, 0.1, "0.00 ms (to 100 ms)"),
    ],
)
def test_the_spread_is_shown_after_the_best_run(best: float, worst: float, text: str) -> None:
    assert report.spread_text(report.METRICS[0], report.Spread(best, worst)) == text


# --- What is set aside -------------------------------------------------------------------------------


def normalized(*lines: bytes) -> list[bytes]:
    return list(compared_lines(iter([line + b"\n" for line in lines])))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"2024-05-01 10:00:00,123: begins", b"<time>: begins"),
        (b"[2024-05-01T10:00:00.123456+02:00] x", b"[<time>] x"),
        (b"2024-05-01T10:00Z", b"<time>"),
        (b"10:00:00: begins", b"<time>: begins"),
        (b"took 0:00:01.250000", b"took <time>"),
        (b"Wed May  1 10:00:00 2024", b"Wed May  1 <time> 2024"),
        (b"now 1714557600.123", b"now <time>"),
        (b"<Lock object at 0x7F00deadbeef>", b"<Lock object at <address>>"),
        (b"thread 140213478913792 ends", b"thread <thread> ends"),
        (b"<Thread(Thread-1, started 123145302310912)>", b"<Thread(Thread-1, started <thread>)>"),
        (b"281473456789012", b"<thread>"),
    ],
)
def test_times_addresses_and_thread_numbers_are_set_aside(line: bytes, expected: bytes) -> None:
    assert normalized(line) == [expected]


@pytest.mark.parametrize(
    "line",
    [
        b"333283335000",
        b"1714557600",
        b"2024-05-01",
        b"1402134789137920",
        b"14021347891379",
        b"3.140213478913792",
        b"00:1b:44:11:3a:b7",
        b"00:11:22:33:44:55",
        b"0xyz",
        b"x10:00:00",
        b"1:2:3",
        b"\xff\x00\x80",
        b"",
    ],
)
def test_other_numbers_are_not_set_aside(line: bytes) -> None:
    assert normalized(line) == [line]


def test_a_missing_end_of_line_is_a_difference() -> None:
    assert list(compared_lines([b"a\n", b"b"])) == [b"a", b"b", UNTERMINATED]


def inner(number: int) -> list[bytes]:
    return [
        f'  File "{threading.__file__}", line {number}, in run'.encode(),
        b"    self._target()",
        b"    ^^^^",
    ]


def test_inner_frames_are_set_aside() -> None:
    ours = [b'  File "/home/me/script.py", line 3, in fail', b"    1 / 0", b"    ~~^~~"]
    begin, end = b"Traceback (most recent call last):", b"ZeroDivisionError: division by zero"
    repeated = b"  [Previous line repeated 9 more times]"
    assert normalized(begin, *inner(3), *ours, *inner(4), repeated, end) == [begin, *ours, end]
    assert normalized(begin, *ours, repeated, end) == [begin, *ours, repeated, end]
    group = [b"  | " + line for line in inner(5)]
    assert normalized(b"  | Traceback", *group, b"  | x", b"    kept") == [
        b"  | Traceback",
        b"  | x",
        b"    kept",
    ]


def test_inner_files_are_those_of_the_two_libraries() -> None:
    library = Path(os.__file__).parent
    package = Path(report.__file__).parent.parent
    for path in (
        library / "queue.py",
        library / "concurrent" / "futures" / "thread.py",
        package / "queue.py",
    ):
        assert is_inner_file(os.fsencode(path))
    assert is_inner_file(b"<frozen runpy>")
    for name in (library / "site-packages" / "trio" / "__init__.py", Path("/home/me/queue.py"), "<string>"):
        assert not is_inner_file(os.fsencode(name))


def keep(store: OutputStore, written: bytes, *, with_notes: bool = False) -> Any:
    with store.open() as file:
        file.write(written)
    return store.keep(file, with_notes=with_notes)


def test_fingerprints_ignore_only_the_order_of_lines(store: OutputStore) -> None:
    output = keep(store, b"a\nb\nb\n")
    assert output.fingerprint == keep(store, b"b\na\nb\n").fingerprint
    for other in (b"a\nb\n", b"a\na\nb\n", b"a\nb\nb", b"a\nb\nb\n\n", b"ab\nb\n", b""):
        assert output.fingerprint != keep(store, other).fingerprint


def test_equal_outputs_are_stored_once(store: OutputStore) -> None:
    first = keep(store, b"a\n")
    assert keep(store, b"a\n") is first
    assert list(first.path.parent.iterdir()) == [first.path]


def test_lines_of_the_runner_are_notes(store: OutputStore) -> None:
    note = NOTE_PREFIX + b"Python 3.99 is not known"
    output = keep(store, note + b"\na\n", with_notes=True)
    plain = keep(store, b"a\n", with_notes=True)
    assert output.notes == (note.decode(),)
    assert output.fingerprint == plain.fingerprint
    assert differing_lines(plain, output) == []
    assert keep(store, note + b"\na\n").notes == ()


def test_differing_lines_of_large_outputs_are_found(store: OutputStore) -> None:
    lines = [b"line %d\n" % i for i in range(100_000)]
    standard = keep(store, b"".join(lines))
    oxthreads = keep(store, b"".join(reversed(lines[3:])) + b"new\nnew\n")
    assert differing_lines(standard, oxthreads) == ["-line 0", "-line 1", "-line 2", "+new  (2 times)"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"caf\xc3\xa9", "caf\xe9"),
        (b"\xff\x00\t\x1b[31m", "\\xff\\x00\\t\\x1b[31m"),
        (b"x" * 1000, "x" * 157 + "..."),
    ],
)
def test_any_line_can_be_shown(line: bytes, expected: str) -> None:
    assert shown(line) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.01234, "12.3 ms"), (0.99996, "1000 ms"), (1.2345, "1.23 s"), (61.7, "61.7 s"), (0.0005, "0.50 ms")],
)
def test_seconds_are_shown_in_a_fitting_unit(seconds: float, text: str) -> None:
    assert report.seconds_text(seconds) == text
