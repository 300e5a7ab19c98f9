"""All scenarios, and how names select from them."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from . import calls, growth, latency, locks, memory, parallelism, pools, queues, startup
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
)

KINDS: tuple[Kind, ...] = tuple({scenario.kind.name: scenario.kind for scenario in SCENARIOS}.values())


class UnknownNameError(ValueError):
    """No scenario has that name."""


def select(names: Iterable[str]) -> list[Scenario]:
    """The scenarios that the names and patterns select, each once, in the order of the catalogue.

    A name is that of a scenario or of a kind, or a pattern (``queue-*``) for names of scenarios;
    without any, the kind ``speed`` is selected. Raises UnknownNameError for one that selects none.
    """
    asked = list(names) or [SPEED.name]
    for name in asked:
        if not any(_selects(name, scenario) for scenario in SCENARIOS):
            raise UnknownNameError(name)
    return [scenario for scenario in SCENARIOS if any(_selects(name, scenario) for name in asked)]


def _selects(name: str, scenario: Scenario) -> bool:
    return name == scenario.kind.name or fnmatchcase(scenario.name, name)
