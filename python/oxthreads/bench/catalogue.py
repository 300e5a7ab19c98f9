"""All scenarios, and how names select some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from . import (
    added_locks,
    calls,
    channels,
    clusters,
    event_loops,
    growth,
    latency,
    locks,
    memory,
    parallelism,
    pools,
    processes,
    program_runs,
    queues,
    reuse,
    selecting,
    startup,
    task_groups,
)
from .program_runs import PREFIX, PROGRAMS
from .rounds import SPEED
from .scenario import Kind, Scenario

SCENARIOS: tuple[Scenario, ...] = (
    *locks.SCENARIOS,
    *added_locks.SCENARIOS,
    *channels.SCENARIOS,
    *queues.SCENARIOS,
    *event_loops.SCENARIOS,
    *pools.SCENARIOS,
    *task_groups.SCENARIOS,
    *clusters.SCENARIOS,
    *reuse.SCENARIOS,
    *selecting.SCENARIOS,
    *calls.SCENARIOS,
    *memory.SCENARIOS,
    *startup.SCENARIOS,
    *latency.SCENARIOS,
    *parallelism.SCENARIOS,
    *processes.SCENARIOS,
    *growth.SCENARIOS,
    *program_runs.SCENARIOS,
)

KINDS: tuple[Kind, ...] = tuple({scenario.kind.name: scenario.kind for scenario in SCENARIOS}.values())


class UnknownNameError(ValueError):
    """No scenario, kind or program has that name. The message says which there are."""


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
    if asked[0] == PROGRAMS.name and len(asked) > 1:
        programs = [scenario for scenario in SCENARIOS if scenario.kind == PROGRAMS]
        known = f"no program is called {{!r}}; there are: {', '.join(map(short_name, programs))}"
        return _chosen(programs, asked[1:], _is_called, known)
    known = (
        f"no scenario is called {{!r}}; there are: {', '.join(scenario.name for scenario in SCENARIOS)}; "
        f"and the kinds {', '.join(kind.name for kind in KINDS)}"
    )
    return _chosen(SCENARIOS, asked, _selects, known)


def _chosen(
    scenarios: Iterable[Scenario], names: list[str], selects: Callable[[str, Scenario], bool], unknown: str
) -> list[Scenario]:
    for name in names:
        if not any(selects(name, scenario) for scenario in scenarios):
            raise UnknownNameError(unknown.format(name))
    return [scenario for scenario in scenarios if any(selects(name, scenario) for name in names)]


def short_name(scenario: Scenario) -> str:
    """Return the name of a program as it is after the word ``programs``. Other scenarios have one name."""
    return scenario.name.removeprefix(PREFIX)


def known_names() -> list[str]:
    """Return the names of all kinds and scenarios; those of programs as they are after ``programs``."""
    return [*(kind.name for kind in KINDS), *map(short_name, SCENARIOS)]


def _is_called(name: str, program: Scenario) -> bool:
    return fnmatchcase(short_name(program), name) or fnmatchcase(program.name, name)


def _selects(name: str, scenario: Scenario) -> bool:
    return name == scenario.kind.name or fnmatchcase(scenario.name, name)
