"""Tests of the notes: every script and every example of notes/README.md runs on both libraries."""

import ast
import functools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.one_thread("starts child interpreters")

ROOT = Path(__file__).resolve().parents[2]
NOTES = ROOT / "notes"
README = (NOTES / "README.md").read_text(encoding="utf-8")

# In the scripts, sleeps of tenths of a second stand for long work, and other threads run meanwhile. On a busy
# machine they may not, but not so often in a row.
TRIES = 3

# A script that takes longer hangs. Normally it takes about a second.
TIMEOUT = 50

BACK_ENDS = {"standard library": [sys.executable], "oxthreads": [sys.executable, "-m", "oxthreads"]}

# Lines that a script must print, on either library, as often as they are listed here.
EXPECTED = {
    "thread_no_thread.py": [
        "MainThread: the long task begins",
        "MainThread: the long task ends",
        "MainThread: without a thread: main goes on only now",
        "Thread-1 (long_task): the long task begins",
        "Thread-1 (long_task): the long task ends",
        "MainThread: with a thread: main goes on at once",
        "MainThread: with a thread: main has waited for the task",
    ],
    "daemon_no_daemon.py": [
        "daemon: begins 60 s of work",
        "non-daemon: begins 0.4 s of work",
        "MainThread: main() returns",
        "non-daemon: ends its work",
        "non-daemon: cleans up",
        "MainThread: at exit: the daemon thread is alive: True",
        "MainThread: at exit: the non-daemon thread is alive: False",
    ],
    "thread_pooling.py": [
        *(f"{page}: begins" for page in ("index", "news", "about", "search", "images", "contact")),
        *(f"{page}: ends" for page in ("index", "news", "about", "search", "images", "contact")),
        "the sum of the first 10,000 squares is 333283335000",
    ],
    "lock.py": [
        *["read 0, wrote 1"] * 7,
        "read 1, wrote 2",
        "read 2, wrote 3",
        "without a lock: 3 updates, the value is 1",
        "with a lock made in each call: 3 updates, the value is 1",
        "with a shared lock: 3 updates, the value is 3",
    ],
    "producer_consumer.py": [
        "the producer has stopped",
        "the consumer has seen the end",
        "every message arrived, once and in order: True",
        "the queue is empty: True",
    ],
    "slow_database.py": [
        "these queries are under way: [1, 2, 3, 4, 5]",
        "the first poll finds: []",
        "number and answer of each: [[1, 1], [2, 4], [3, 9], [4, 16], [5, 25]]",
    ],
}

# Lines that must come in this order, on either library. An order is listed only if the script enforces it,
# or if a wait of tenths of a second is in between.
ORDER = {
    "thread_no_thread.py": [
        "MainThread: the long task ends",
        "MainThread: without a thread: main goes on only now",
        "MainThread: with a thread: main goes on at once",
        "Thread-1 (long_task): the long task ends",
        "MainThread: with a thread: main has waited for the task",
    ],
    "daemon_no_daemon.py": [
        "MainThread: main() returns",
        "non-daemon: ends its work",
        "MainThread: at exit: the daemon thread is alive: True",
    ],
    "thread_pooling.py": [
        *(f"main has <h1>{page}</h1>" for page in ("index", "news", "about", "search", "images", "contact")),
    ],
    "lock.py": [
        "without a lock: 3 updates, the value is 1",
        "with a lock made in each call: 3 updates, the value is 1",
        "read 1, wrote 2",
        "read 2, wrote 3",
        "with a shared lock: 3 updates, the value is 3",
    ],
    "producer_consumer.py": [
        "main lets them work for a while",
        "the producer has stopped",
        "every message arrived, once and in order: True",
    ],
    "slow_database.py": [
        "these queries are under way: [1, 2, 3, 4, 5]",
        "the first poll finds: []",
        "number and answer of each: [[1, 1], [2, 4], [3, 9], [4, 16], [5, 25]]",
    ],
}


class Outcome(NamedTuple):
    exit_code: int
    stdout: list[str]
    stderr: list[str]


def environment(back_end: str) -> dict[str, str]:
    """The environment of the tests, without variables that choose a back end."""
    result = {name: value for name, value in os.environ.items() if name != "OXTHREADS"}
    if back_end == "standard library":
        # `oxthreads enable` may have been run in this environment.
        result["OXTHREADS"] = "0"
    return result


def masked(text: str) -> list[str]:
    text = re.sub(r"\d{4}-\d\d-\d\d ", "", text)
    return re.sub(r"\d\d:\d\d:\d\d([.,]\d+)? ?", "", text).splitlines()


def run(back_end: str, *arguments: str) -> Outcome:
    process = subprocess.run(
        [*BACK_ENDS[back_end], *arguments],
        cwd=ROOT,
        env=environment(back_end),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    return Outcome(process.returncode, masked(process.stdout), masked(process.stderr))


def run_until(is_right: Callable[[Outcome], bool], back_end: str, *arguments: str) -> Outcome:
    """Run a script up to TRIES times, and return the last outcome. A script that fails is not run again."""
    for _ in range(TRIES):
        outcome = run(back_end, *arguments)
        if outcome.exit_code != 0 or is_right(outcome):
            break
    return outcome


@functools.cache
def run_note(back_end: str, name: str) -> Outcome:
    def is_right(outcome: Outcome) -> bool:
        lines = outcome.stdout + outcome.stderr
        if any(lines.count(line) != EXPECTED[name].count(line) for line in EXPECTED[name]):
            return False
        positions = [lines.index(line) for line in ORDER[name]]
        return positions == sorted(positions)

    return run_until(is_right, back_end, f"notes/{name}")


def examples() -> list[str]:
    return re.findall(r"^```py\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


both_back_ends = pytest.mark.parametrize("back_end", BACK_ENDS)
every_note = pytest.mark.parametrize("name", EXPECTED)


def test_every_note_is_tested() -> None:
    scripts = {path.name for path in NOTES.glob("*.py")}
    assert scripts == EXPECTED.keys() == ORDER.keys()


@every_note
def test_note_imports_only_the_standard_library(name: str) -> None:
    modules: set[str] = set()
    for node in ast.walk(ast.parse((NOTES / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None
            modules.add(node.module.partition(".")[0])
    assert modules
    assert modules <= sys.stdlib_module_names


@every_note
def test_note_is_short(name: str) -> None:
    assert 25 <= len((NOTES / name).read_text(encoding="utf-8").splitlines()) <= 70


@both_back_ends
@every_note
def test_note_prints_what_it_should(name: str, back_end: str) -> None:
    outcome = run_note(back_end, name)
    assert outcome.exit_code == 0, outcome.stderr
    lines = outcome.stdout + outcome.stderr
    for line in EXPECTED[name]:
        assert lines.count(line) == EXPECTED[name].count(line), (line, lines)
    positions = [lines.index(line) for line in ORDER[name]]
    assert positions == sorted(positions), lines


@both_back_ends
def test_daemon_thread_is_abandoned(back_end: str) -> None:
    outcome = run_note(back_end, "daemon_no_daemon.py")
    assert [line for line in outcome.stderr if line.startswith("daemon:")] == ["daemon: begins 60 s of work"]


@every_note
def test_note_prints_the_same_on_both_libraries(name: str) -> None:
    # If several threads print, the order of the lines depends on timing.
    expected, actual = (run_note(back_end, name) for back_end in BACK_ENDS)
    assert actual.exit_code == expected.exit_code
    assert sorted(actual.stdout) == sorted(expected.stdout)
    assert sorted(actual.stderr) == sorted(expected.stderr)


@both_back_ends
def test_producer_and_consumer_always_end(back_end: str) -> None:
    # With a very short switch interval, threads switch in the middle of each other's operations.
    code = (
        "import runpy, sys; sys.setswitchinterval(1e-6);"
        "runpy.run_path('notes/producer_consumer.py', run_name='__main__')"
    )
    with ThreadPoolExecutor(max_workers=3) as executor:
        outcomes = list(executor.map(lambda _: run(back_end, "-c", code), range(9)))
    for outcome in outcomes:
        assert outcome.exit_code == 0, outcome.stderr
        assert "every message arrived, once and in order: True" in outcome.stderr


@both_back_ends
def test_producer_and_consumer_end_after_interrupt(back_end: str) -> None:
    with subprocess.Popen(
        [*BACK_ENDS[back_end], "notes/producer_consumer.py"],
        cwd=ROOT,
        env=environment(back_end),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        bufsize=0,  # otherwise readline() could take lines that communicate() has to return
    ) as process:
        assert process.stderr is not None
        try:
            assert b"main lets them work" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            _, rest = process.communicate(timeout=TIMEOUT)
        finally:
            process.kill()
    assert b"the producer has stopped" in rest
    assert b"the consumer has seen the end" in rest


def test_readme_names_every_note() -> None:
    assert set(re.findall(r"Full example: `python notes/(\w+\.py)`", README)) == EXPECTED.keys()


def test_readme_names_no_missing_file() -> None:
    named = re.findall(r"\bnotes/(\w+\.py)", README) + re.findall(r"\]\((\w+\.py)\)", README)
    assert named
    assert [name for name in named if not (NOTES / name).is_file()] == []


def test_readme_links_to_its_own_headings() -> None:
    headings = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    }
    links = re.findall(r"\]\(#([^)]*)\)", README)
    assert links
    assert set(links) <= headings


def test_readme_has_examples() -> None:
    # Without any example, the test that runs them would be skipped, and nobody would notice.
    assert len(examples()) == README.count("```") / 2 > 0


@both_back_ends
@pytest.mark.parametrize("number", range(len(examples())))
def test_readme_example_prints_what_its_comments_say(number: int, back_end: str, tmp_path: Path) -> None:
    example = examples()[number]
    script = tmp_path / "example.py"
    script.write_text(example, encoding="utf-8")
    # The comment after a print() says what it prints, so that the reader need not run it.
    promised = re.findall(r"\bprint\(.*\)  # (.*)$", example, re.MULTILINE)
    assert len(promised) == example.count("print(") > 0
    outcome = run_until(lambda outcome: sorted(outcome.stdout) == sorted(promised), back_end, str(script))
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stderr == []
    assert sorted(outcome.stdout) == sorted(promised)
