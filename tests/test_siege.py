"""The attacks of `siege`, in the quick form; with ``-m siege``, in full, which takes hours."""

from __future__ import annotations

import sys

import pytest

from siege import attack
from siege.attack import Attack, Outcome

KINDS = attack.attacks()


def complaints(kind: Attack, count: int) -> list[str]:
    """What is wrong with how the children ended."""
    outcomes = (attack.run(program, sys.executable) for program in kind.programs(count))
    return [describe(outcome) for outcome in outcomes if outcome.complaint is not None]


def describe(outcome: Outcome) -> str:
    written = f"{outcome.standard_output[-1000:]}\n{outcome.standard_error[-5000:]}"
    return f"{outcome.program.name}: {outcome.complaint}\n{written}"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_quickly(kind: Attack) -> None:
    assert not complaints(kind, kind.quick)


@pytest.mark.siege
@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_in_full(kind: Attack) -> None:
    assert not complaints(kind, kind.full)
