"""How the attacks judge their children, and what they print about them; see `tests.stress`."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.stress import ROOT, attack
from tests.stress.attack import Attack, Program
from tests.stress.schedule import outcomes
from tests.support.interpreters import FREE_THREADED
from tests.support.waiting import TIMEOUT_SECONDS, spin_until

KINDS = attack.attacks()


def outcome(code: str, **expected: object) -> attack.Outcome:
    return attack.run(replace(Program("it", ("-c", code)), **expected), sys.executable)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("pass", {}),
        ("import sys; sys.exit(3)", {"status": 3}),
        ("print('not looked at')", {}),
        ("raise KeyError(1)", {"status": 1, "error": "KeyError: 1"}),
        ("import os; os.kill(os.getpid(), 15)", {"status": -15}),
    ],
)
def test_a_child_that_ends_as_expected_has_not_failed(code: str, expected: dict[str, object]) -> None:
    assert outcome(code, **expected).complaint is None


@pytest.mark.parametrize(
    ("code", "expected", "complaint"),
    [
        ("pass", {"status": 3}, "exit status 0 instead of 3"),
        ("import os; os.abort()", {}, "exit status -6 instead of 0"),
        ("import sys; sys.stderr.write('.')", {}, "something on standard error"),
        ("raise KeyError(1)", {"status": 1}, "something on standard error"),
        (
            "try: 1 / 0\nexcept ZeroDivisionError: raise KeyError(1)",
            {"status": 1, "error": "KeyError: 1"},
            "not one traceback that ends with 'KeyError: 1' on standard error",
        ),
    ],
)
def test_a_child_that_ends_in_another_way_has_failed(
    code: str, expected: dict[str, object], complaint: str
) -> None:
    assert outcome(code, **expected).complaint == complaint


def test_a_child_that_hangs_shows_where_it_hangs() -> None:
    # On a busy machine it takes more than a second until it hangs there.
    for seconds in (1, 10, 60):
        hanging = outcome("import threading\ndef here(): threading.Event().wait()\nhere()", seconds=seconds)
        assert hanging.complaint == f"hangs after {seconds} s"
        if "in here" in hanging.standard_error:
            break
    assert "in here" in hanging.standard_error


def test_no_two_attacks_have_the_same_name() -> None:
    names = [kind.name for kind in KINDS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_name_stands_for_one_program(kind: Attack) -> None:
    assert kind.quick < kind.full
    named: dict[str, Program] = {}
    for program in kind.programs(kind.full):
        assert named.setdefault(program.name, program) == program


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_quick_form_runs_only_programs_of_the_full_form(kind: Attack) -> None:
    full = {program.name for program in kind.programs(kind.full)}
    assert {program.name for program in kind.programs(kind.quick)} <= full


def test_a_child_that_is_slow_each_time_has_failed() -> None:
    # Up to three times. On a busy machine much of the time counts as time spent waiting for a processor.
    for _ in range(3):
        judged = outcome("import time; time.sleep(1)", slow=0.25)
        if judged.complaint is not None:
            break
    assert judged.complaint == "takes more than 0.25 s 3 times of 3" and judged.is_slow


def runs_that_are(monkeypatch: pytest.MonkeyPatch, *, slow: set[int]) -> list[int]:
    """Let no child run. The runs with these numbers are slow, and the others are not. Return the numbers."""
    runs: list[int] = []

    def run_once(program: Program, _: str) -> attack.Outcome:
        runs.append(len(runs) + 1)
        return attack.Outcome(program, None, "", "", 3.0 if runs[-1] in slow else 2.0)

    monkeypatch.setattr(attack, "_run_once", run_once)
    return runs


def test_a_child_that_is_slow_now_and_then_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    runs_that_are(monkeypatch, slow={1, 20, 35})
    judged = outcome("pass", slow=2.5)
    assert judged.complaint == "takes more than 2.5 s 3 times of 35" and judged.is_slow


def test_a_child_that_is_slow_once_is_reported_as_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = runs_that_are(monkeypatch, slow={1})
    judged = outcome("pass", slow=2.5)
    assert judged.complaint is None and judged.is_slow
    assert len(runs) == 1 + attack.AGAIN


#: It fails in its first run only.
AT_FIRST = """
import pathlib, sys, time
runs = pathlib.Path({runs!r})
with runs.open("a") as file:
    file.write(".")
time.sleep(0.5)
sys.exit(len(runs.read_text()) == 1)
"""


@pytest.mark.parametrize(("still", "complaint"), [(0.1, None), (10.0, "exit status 1 instead of 0")])
def test_a_child_that_failed_while_the_machine_stood_still_is_run_again(
    still: float, complaint: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attack, "STILL", still)  # 0.1 s is less than the time between two looks
    judged = outcome(AT_FIRST.format(runs=str(tmp_path / "runs")))
    assert judged.complaint == complaint and judged.stood_still > 0.1


def test_an_attack_with_too_many_slow_children_has_failed() -> None:
    assert [attack.too_many_slow(slow, 100) for slow in (0, 2, 3)] == [False, False, True]
    assert [attack.too_many_slow(slow, 10_000) for slow in (3, 50, 51)] == [False, False, True]


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the system does not tell")
def test_time_spent_waiting_for_a_processor_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attack, "LONGEST", 60.0)
    # Several processes share one processor, so each is kept waiting by the others.
    code = """
import os, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
children = [1]
while len(children) < 9 and children[-1]:
    children.append(os.fork())
end = time.process_time() + 0.15
while time.process_time() < end: pass
if children[-1]:
    for child in children[1:]: os.waitpid(child, 0)
"""
    # Up to three times. Other programs delay the children, too, and the parent cannot see that delay.
    for _ in range(3):
        judged = outcome(code, seconds=1.0, slow=1.0)
        if judged.complaint is None and not judged.is_slow:
            break
    assert judged.complaint is None and not judged.is_slow
    assert judged.seconds > 1.0 and judged.kept_waiting > 0


@pytest.mark.parametrize("code", ["import time; time.sleep(9)", "while True: pass"])
def test_time_spent_sleeping_or_running_counts(code: str) -> None:
    judged = outcome(code, seconds=1.0)
    assert judged.complaint == "hangs after 1 s"


def test_children_that_measure_time_come_last_and_alone() -> None:
    def program(name: str, seconds: float) -> Program:
        return Program(name, (), seconds=seconds)

    quiet = Attack("quiet", "", 1, 1, lambda count: [], alone=True)
    others = [Attack(name, "", 1, 1, lambda count: []) for name in ("short", "long", "empty")]
    requests = [
        (quiet, [program(f"quiet {number}", 1_000) for number in range(5)]),
        (others[0], [program(f"short {number}", 1) for number in range(50)]),
        (others[1], [program("long", 100)]),
        (others[2], []),
    ]
    lock, running, begun, most = threading.Lock(), [0], [], {True: 0, False: 0}

    def run(program: Program) -> attack.Outcome:
        is_alone = program.name.startswith("quiet")
        with lock:
            begun.append(program.name)
            running[0] += 1
            most[is_alone] = max(most[is_alone], running[0])
        if program.name == "long":
            spin_until(lambda: len(begun) > 10)
        with lock:
            running[0] -= 1
        return attack.Outcome(program, None, "", "", 0.0)

    ended: dict[str, int] = {}
    done: dict[str, int] = {}
    for kind, judged in outcomes(requests, 3, run):
        if judged is None:
            ended[kind.name] = done.get(kind.name, 0)
        else:
            done[kind.name] = done.get(kind.name, 0) + 1
    assert ended == {"quiet": 5, "short": 50, "long": 1, "empty": 0} and done | {"empty": 0} == ended
    assert "long" in begun[:3] and begun[-5:] == [f"quiet {number}" for number in range(5)]
    assert most[True] == 1 and 1 < most[False] <= 3


def test_no_child_is_left_when_the_attacks_stop_early() -> None:
    sleeper = Program("sleeper", ("-c", "import time; time.sleep(600)"), seconds=600)
    kind = Attack("kind", "", 1, 1, lambda count: [])

    def run(program: Program) -> attack.Outcome:
        return attack.run(program, sys.executable)

    ending = outcomes([(kind, [sleeper, sleeper, Program("quick", ("-c", "pass"))])], 3, run)
    _, judged = next(ending)
    assert judged is not None and judged.program.name == "quick"
    ending.close()
    assert not attack._children


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_no_child_is_left_when_a_signal_ends_the_attacks(number: signal.Signals) -> None:
    # The child would run for a minute. SIGHUP may be ignored here, so the code restores it. The signals go to
    # another thread, so they do not wake the main thread. Nor does a signal wake it that comes just before
    # the main thread sleeps.
    code = """if True:
        import runpy, signal, threading, time
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        runpy.run_module("tests.stress", run_name="__main__", alter_sys=True)
    """
    with subprocess.Popen(
        [sys.executable, "-c", code, "soak", "--count", "60"], cwd=ROOT, stdout=subprocess.DEVNULL
    ) as stress:
        children: list[str] = []

        def find() -> bool:
            tasks = Path(f"/proc/{stress.pid}/task").glob("*/children")
            children[:] = [child for task in tasks for child in task.read_text().split()]
            return bool(children) or stress.poll() is not None

        spin_until(find)
        stress.send_signal(number)
        assert stress.wait(TIMEOUT_SECONDS) == 128 + number
    assert children and not any(Path(f"/proc/{child}").exists() for child in children)


def test_the_attacks_run_on_each_of_several_interpreters() -> None:
    arguments = ["exit-blocked", "--count", "1", *["--python", sys.executable] * 2]
    done = subprocess.run(
        [sys.executable, "-m", "tests.stress", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    version = f"{sys.version_info[0]}.{sys.version_info[1]}{'t' if FREE_THREADED else ''}"
    assert done.stdout.count(f"{version}, exit-blocked: 1 done, 0 failures") == 2
