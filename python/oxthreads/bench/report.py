"""The tables and the JSON document with the results."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from oxthreads import __version__
from oxthreads.comparison.report import NOT_AVAILABLE, aligned, seconds_text, three_digits

from . import machine
from .catalogue import KINDS
from .machine import usable_cpus
from .scenario import OXTHREADS, STANDARD, Kind, Result, Scenario, Settings, Unit, times


@dataclass(frozen=True)
class Peers:
    """The peers that were measured, with their versions, and the reasons why the others were not."""

    found: Mapping[str, str]
    missing: Mapping[str, str]


#: The scenarios that were not measured because packages are not installed, and the names of these.
Skipped = Mapping[str, str]

#: The share of the CPUs from which on the use by other processes is reported.
BUSY = 0.05


def figure_text(kind: Kind, value: float) -> str:
    """Return a time, a size or a number as text: ``26.1 ns``, ``1.04 us``, ``56 B``, ``27.8 MiB``, ``10``."""
    if kind.unit is Unit.BYTES:
        return f"{value:.0f} B" if value < 10_000 else f"{three_digits(value / 2**20)} MiB"
    if kind.unit is Unit.CALLS:
        return f"{value:g}"
    if value < 9.995e-7:
        return f"{three_digits(value * 1e9)} ns"
    if value < 9.995e-4:
        return f"{three_digits(value * 1e6)} us"
    return seconds_text(value)


def cell(kind: Kind, samples: list[float] | None) -> str:
    """Return a contender's figure, and in parentheses how much its samples vary.

    If the figure is the best sample, this is how much higher the median is: ``26.1 ns (+4%)``. If the
    figure is the median, it is the 95th percentile: ``5.1 ms (95%: 10.2 ms)``.
    """
    if not samples:
        return NOT_AVAILABLE
    figure = kind.figure(samples)
    text = figure_text(kind, figure)
    if len(samples) < 2:
        return text
    if kind.typical:
        ninety_five = statistics.quantiles(samples, n=20, method="inclusive")[-1]
        return f"{text} (95%: {figure_text(kind, ninety_five)})"
    median = statistics.median(samples)
    if figure and median < 2 * figure:
        return f"{text} (+{100 * (median / figure - 1):.0f}%)"
    return f"{text} (median {figure_text(kind, median)})"


def tables(
    results: Sequence[Result],
    settings: Settings,
    peers: Peers,
    others: float | None,
    skipped: Skipped = MappingProxyType({}),
) -> str:
    """Return all results as Markdown tables, one for each kind. They are also readable as plain text.

    Args:
        results: the results.
        settings: how they were measured.
        peers: which peers were measured.
        others: the share of the CPUs that other processes used, from 0 to 1. None: not known.
        skipped: which scenarios were not measured, and the packages that are missing.
    """
    parts = [machine.title()]
    for kind in KINDS:
        of_kind = [result for result in results if result.scenario.kind == kind]
        if of_kind:
            parts += [
                f"{kind.summary} {spread_legend(kind, of_kind)}",
                "\n".join(aligned(rows(kind, of_kind))),
            ]
    parts.append("\n".join([*remarks(results, settings, peers, others), *skipped_remarks(skipped)]))
    return "\n\n".join(part for part in parts if part)


def spread_legend(kind: Kind, results: Sequence[Result]) -> str:
    """Return a sentence that explains the cells: how many samples, and what is in parentheses."""
    counts = [len(samples) for result in results for samples in result.outcome.samples.values()]
    fewest, most = min(counts), max(counts)
    number = f"{most}" if fewest == most else f"{fewest} to {most}"
    if kind.typical:
        return f"Of {number}; in parentheses what 95 of 100 do not exceed."
    return f"Best of {number}; in parentheses, by how much the median is above it."


def rows(kind: Kind, results: Sequence[Result]) -> list[list[str]]:
    """Return the cells of a table: its head, and a row for each result."""
    names = columns(results)
    also = [] if kind.also is None else [kind.also.standard, kind.also.oxthreads, kind.also.label]
    head = [kind.name, *names, kind.score_label, *also, "goal"]
    return [head, *(row(result, names) for result in results)]


def columns(results: Sequence[Result]) -> list[str]:
    """Return the contenders of all results: the standard library first, oxthreads last.

    What a kind measures besides is not among them.
    """
    seen = dict.fromkeys(
        name
        for result in results
        for name in result.outcome.samples
        if (also := result.scenario.kind.also) is None or name not in (also.standard, also.oxthreads)
    )
    return sorted(seen, key=lambda name: (name == OXTHREADS, name != STANDARD))


def row(result: Result, names: Sequence[str]) -> list[str]:
    """Return a row: title, figure of each contender, score, and goal, with ``missed`` if it is missed."""
    kind, samples = result.scenario.kind, result.outcome.samples
    cells = [cell(kind, samples[name]) if name in samples else "" for name in names]
    score = result.score
    goal = "" if result.scenario.goal is None else kind.goal_text(result.scenario.goal.here)
    return [
        result.scenario.title,
        *cells,
        NOT_AVAILABLE if score is None else kind.score_text(score),
        *also_cells(result),
        f"{goal} missed" if result.met is False else goal,
    ]


def also_cells(result: Result) -> list[str]:
    """Return the cells of what the kind measures besides: both figures, and their ratio."""
    kind, samples = result.scenario.kind, result.outcome.samples
    if kind.also is None:
        return []
    ratio = kind.also.ratio(result.figures)
    figures = [cell(kind, samples.get(name)) for name in (kind.also.standard, kind.also.oxthreads)]
    return [*figures, NOT_AVAILABLE if ratio is None else times(ratio)]


def missed(results: Sequence[Result]) -> list[str]:
    """Return the names of the scenarios that do not reach their goals."""
    return [result.scenario.name for result in results if result.met is False]


def remarks(results: Sequence[Result], settings: Settings, peers: Peers, others: float | None) -> list[str]:
    """Return lines about what the tables do not show, such as failures and missed goals."""
    lines = []
    if others is not None and others >= BUSY:
        lines.append(f"Others used {others:.0%} of the CPUs meanwhile{busiest(results)}.")
    if settings.divisor > 1:
        lines.append(f"A quick look: operations divided by {settings.divisor}.")
    if peers.found:
        lines.append(
            "Peers: " + ", ".join(f"{name} {version}" for name, version in peers.found.items()) + "."
        )
    if peers.missing:
        lines.append("Without " + ", ".join(f"{name} ({why})" for name, why in peers.missing.items()) + ".")
    for result in results:
        for name, why in result.outcome.failures.items():
            lines.append(f"{result.scenario.name}: {name} failed: {why}")
    with_goal = [result for result in results if result.met is not None]
    if with_goal:
        names = missed(results)
        reached = len(with_goal) - len(names)
        lines.append(
            f"Goals reached: {reached} of {len(with_goal)}"
            + (f"; missed: {', '.join(names)}." if names else ".")
        )
    return lines


def skipped_remarks(skipped: Skipped) -> list[str]:
    """Return a line for each scenario that was not measured."""
    return [f"{name} was skipped: {packages} must be installed." for name, packages in skipped.items()]


def busiest(results: Sequence[Result]) -> str:
    """Return text that names the scenario during which other processes used the CPUs most."""
    known = [(result.others, result.scenario.name) for result in results if result.others is not None]
    if len(known) < 2:
        return ""
    share, name = max(known)
    return f", and {share:.0%} during {name}"


def document(
    results: Sequence[Result],
    settings: Settings,
    peers: Peers,
    others: float | None,
    skipped: Skipped = MappingProxyType({}),
) -> dict[str, Any]:
    """Return all results for JSON, with the samples of every round.

    Args:
        results: the results.
        settings: how they were measured.
        peers: which peers were measured.
        others: the share of the CPUs that other processes used, from 0 to 1. None: not known.
        skipped: which scenarios were not measured, and the packages that are missing.
    """
    return {
        "version": 1,
        "oxthreads": __version__,
        "machine": machine.document(),
        "others_cpu_share": others,
        "settings": {
            "rounds": settings.rounds,
            "divisor": settings.divisor,
            "seconds": settings.seconds,
        },
        "peers": {"found": dict(peers.found), "missing": dict(peers.missing)},
        "missed": missed(results),
        "skipped": dict(skipped),
        "results": [result_document(result, settings) for result in results],
    }


def result_document(result: Result, settings: Settings) -> dict[str, Any]:
    """Return one result for JSON, with its samples."""
    scenario, kind = result.scenario, result.scenario.kind
    return {
        **scenario_document(scenario),
        "operations": settings.divided(scenario.operations),
        "unit": kind.unit.value,
        "score_is": kind.score_label,
        "score": result.score,
        **({} if kind.also is None else {kind.also.label: kind.also.ratio(result.figures)}),
        "met": result.met,
        "others_cpu_share": result.others,
        "figures": result.figures,
        "samples": result.outcome.samples,
        "failures": result.outcome.failures,
    }


def scenario_document(scenario: Scenario) -> dict[str, Any]:
    """Return the description of a scenario for JSON, without results."""
    return {
        "name": scenario.name,
        "kind": scenario.kind.name,
        "title": scenario.title,
        "explanation": scenario.explanation,
        "threads": scenario.threads or usable_cpus(),
        "operations": scenario.operations,
        "goal": None if scenario.goal is None else scenario.goal.here,
    }


def listing(scenarios: Sequence[Scenario]) -> str:
    """Return a Markdown table of the scenarios: what each measures, and its goal."""
    head = ["name", "scenario", "what it is", "operations", "threads", "goal"]
    lines = [
        [
            scenario.name,
            scenario.title,
            scenario.explanation,
            f"{scenario.operations:,}",
            str(scenario.threads or "CPUs"),
            goal_in_words(scenario),
        ]
        for scenario in scenarios
    ]
    return "\n".join(aligned([head, *lines]))


def goal_in_words(scenario: Scenario) -> str:
    """Return a goal as text, for all versions of Python: ``>= 1.00x (before 3.14 >= 1.30x)``."""
    if scenario.goal is None:
        return ""
    text = scenario.kind.goal_text(scenario.goal.value)
    if scenario.goal.before_3_14 is not None:
        text += f" (before 3.14 {scenario.kind.goal_text(scenario.goal.before_3_14)})"
    return text
