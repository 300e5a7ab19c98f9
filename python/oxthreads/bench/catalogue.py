"""All scenarios, and how names select some of them."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from . import calls, growth, latency, locks, memory, parallelism, pools, program_runs, queues, startup
from .rounds import SPEED
from .scenario import Kind, Scenario

SCENARIOS: tuple[Scenario, ...] = (
    *locks.SCENARIOS,
    *queues.SCENARIOS,
    *pools.SCENARIOS,
    *calls.SCENARIOS,
    *memory.SCENARIOS,
    *startup.SCENARIOS,
    *latency.SCENARIOS,
    *parallelism.SCENARIOS,
    *growth.SCENARIOS,
    *program_runs.SCENARIOS,
)

KINDS: tuple[Kind, ...] = tuple({scenario.kind.name: scenario.kind for scenario in SCENARIOS}.values())


class UnknownNameError(ValueError):
    """No scenario or kind has that name."""


def select(names: Iterable[str]) -> list[Scenario]:
    """Return the selected scenarios, each once, in the order of the catalogue.

    Args:
        names: names of scenarios, patterns for them (``queue-*``), or names of kinds. If there are none,
            the kind ``speed`` is selected. If the first is ``programs``, the others are names of programs, or
            patterns for them.

    Raises:
        UnknownNameError: if a name selects nothing.
    """
    asked = list(names) or [SPEED.name]
    if asked[0] == program_runs.PROGRAMS.name and len(asked) > 1:
        asked = [program_runs.PREFIX + name.removeprefix(program_runs.PREFIX) for name in asked[1:]]
    for name in asked:
        if not any(_selects(name, scenario) for scenario in SCENARIOS):
            raise UnknownNameError(name)
    return [scenario for scenario in SCENARIOS if any(_selects(name, scenario) for name in asked)]


def _selects(name: str, scenario: Scenario) -> bool:
    return name == scenario.kind.name or fnmatchcase(scenario.name, name)
