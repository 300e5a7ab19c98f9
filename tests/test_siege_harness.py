"""How the siege judges its children, and what it says of them; see `siege`."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from siege import attack
from siege.attack import Attack, Program

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
