"""The attacks in the quick form. With ``-m stress`` they run in full, which takes hours."""

from __future__ import annotations

import sys

import pytest

from tests.stress import attack
from tests.stress.attack import Attack, Outcome

KINDS = attack.attacks()


def complaints(kind: Attack, count: int) -> list[str]:
    """What is wrong with how the children ended."""
    found, slow, done = [], [], 0
    for program in kind.programs(count):
        outcome = attack.run(program, sys.executable)
        done += program.counts
        if outcome.is_slow:
            slow.append(program.name)
        if outcome.complaint is not None:
            found.append(describe(outcome))
    return [*found, *(slow if attack.too_many_slow(len(slow), done) else [])]


def describe(outcome: Outcome) -> str:
    written = f"{outcome.standard_output[-1000:]}\n{outcome.standard_error[-5000:]}"
    return f"{outcome.program.name}: {outcome.complaint}\n{written}"


@pytest.mark.quick_attacks
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_quickly(kind: Attack) -> None:
    assert not complaints(kind, kind.quick)


@pytest.mark.stress
@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_in_full(kind: Attack) -> None:
    assert not complaints(kind, kind.full)
