"""How the siege judges its children, and what it says of them; see `siege`."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import spin_until
from siege import attack
from siege.attack import Attack, Program
from siege.schedule import outcomes

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
def test_a_child_that_ends_as_it_must_is_well(code: str, expected: dict[str, object]) -> None:
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
def test_a_child_that_ends_otherwise_is_not(code: str, expected: dict[str, object], complaint: str) -> None:
    assert outcome(code, **expected).complaint == complaint


def test_a_child_that_hangs_shows_where() -> None:
    hanging = outcome("import threading\ndef here(): threading.Event().wait()\nhere()", seconds=1)
    assert hanging.complaint == "hangs after 1 s"
    assert "in here" in hanging.standard_error


def test_no_two_attacks_have_one_name() -> None:
    names = [kind.name for kind in KINDS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_program_has_the_same_name_whenever_it_comes(kind: Attack) -> None:
    assert kind.quick < kind.full
    named: dict[str, Program] = {}
    for program in kind.programs(kind.full):
        assert named.setdefault(program.name, program) == program


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_quick_form_asks_for_what_the_full_one_has(kind: Attack) -> None:
    full = {program.name for program in kind.programs(kind.full)}
    assert {program.name for program in kind.programs(kind.quick)} <= full


def test_a_child_that_is_slow_each_time_has_failed() -> None:
    judged = outcome("pass", slow=0.0)
    assert judged.complaint == "takes more than 0 s each time" and judged.is_slow


def test_a_child_that_is_slow_once_is_told_of(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    code = f"""
import pathlib, time
seen = pathlib.Path({str(seen)!r})
if not seen.exists():
    seen.touch()
    time.sleep(2.5)
"""
    judged = outcome(code, slow=2.5)
    assert judged.complaint is None and judged.is_slow


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


def test_no_child_is_left_where_the_siege_is_left() -> None:
    sleeper = Program("sleeper", ("-c", "import time; time.sleep(600)"), seconds=600)
    kind = Attack("kind", "", 1, 1, lambda count: [])

    def run(program: Program) -> attack.Outcome:
        return attack.run(program, sys.executable)

    ending = outcomes([(kind, [sleeper, sleeper, Program("quick", ("-c", "pass"))])], 3, run)
    _, judged = next(ending)
    assert judged is not None and judged.program.name == "quick"
    ending.close()
    assert not attack._children
