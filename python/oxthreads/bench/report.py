"""The tables and the JSON document of the suite."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oxthreads import __version__
from oxthreads.comparison.report import NOT_AVAILABLE, aligned, counted, seconds_text, three_digits

from .catalogue import KINDS
from .parallelism import usable_cpus
from .scenario import OXTHREADS, STANDARD, Kind, Result, Scenario, Settings, Unit


@dataclass(frozen=True)
class Peers:
    """Which peers took part, with their versions, and why others did not."""

    found: Mapping[str, str]
    missing: Mapping[str, str]


#: So many threads that want to run, before the first scenario, are others that use the machine.
BUSY = 0.5


def load() -> float | None:
    """How many threads wanted to run in the last minute, on the average; None where nobody counts."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def figure_text(kind: Kind, value: float) -> str:
    """A time per operation, or a size: ``26.1 ns``, ``1.04 us``, ``56 B``, ``27.8 MiB``."""
    if kind.unit is Unit.BYTES:
        return f"{value:.0f} B" if value < 10_000 else f"{three_digits(value / 2**20)} MiB"
    if value < 9.995e-7:
        return f"{three_digits(value * 1e9)} ns"
    if value < 9.995e-4:
        return f"{three_digits(value * 1e6)} us"
    return seconds_text(value)


def cell(kind: Kind, samples: list[float] | None) -> str:
    """A contender's figure and how far the others lie from it.

    Beside the best, by how much the median is above it: ``26.1 ns (+4%)``. Beside the median, what
    95 of 100 do not exceed: ``5.1 ms (95%: 10.2 ms)``.
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


def tables(results: Sequence[Result], settings: Settings, peers: Peers, load_before: float | None) -> str:
    """All results, kind by kind, as Markdown tables that read as plain text."""
    parts = [title()]
    for kind in KINDS:
        of_kind = [result for result in results if result.scenario.kind == kind]
        if of_kind:
            parts += [
                f"{kind.summary} {spread_legend(kind, of_kind)}",
                "\n".join(aligned(rows(kind, of_kind))),
            ]
    parts.append("\n".join(remarks(results, settings, peers, load_before)))
    return "\n\n".join(part for part in parts if part)


def spread_legend(kind: Kind, results: Sequence[Result]) -> str:
    """What is shown of how many samples, and what stands in parentheses."""
    counts = [len(samples) for result in results for samples in result.outcome.samples.values()]
    fewest, most = min(counts), max(counts)
    number = f"{most}" if fewest == most else f"{fewest} to {most}"
    if kind.typical:
        return f"Of {number}; in parentheses what 95 of 100 do not exceed."
    return f"Best of {number}; in parentheses, by how much the median is above it."


def rows(kind: Kind, results: Sequence[Result]) -> list[list[str]]:
    """The head of a table, and a row for each result."""
    names = columns(results)
    head = [kind.name, *names, kind.score_label, "goal"]
    return [head, *(row(result, names) for result in results)]


def columns(results: Sequence[Result]) -> list[str]:
    """The contenders that any result has, the standard library first and oxthreads last."""
    seen = dict.fromkeys(name for result in results for name in result.outcome.samples)
    return sorted(seen, key=lambda name: (name == OXTHREADS, name != STANDARD))


def row(result: Result, names: Sequence[str]) -> list[str]:
    """The title, each contender's figure, the score, and the goal, marked if it is missed."""
    kind, samples = result.scenario.kind, result.outcome.samples
    cells = [cell(kind, samples[name]) if name in samples else "" for name in names]
    score = result.score
    goal = "" if result.scenario.goal is None else kind.goal_text(result.scenario.goal.here)
    return [
        result.scenario.title,
        *cells,
        NOT_AVAILABLE if score is None else kind.score_text(score),
        f"{goal} missed" if result.met is False else goal,
    ]


def missed(results: Sequence[Result]) -> list[str]:
    """The names of the scenarios that do not reach their goals."""
    return [result.scenario.name for result in results if result.met is False]


def remarks(
    results: Sequence[Result], settings: Settings, peers: Peers, load_before: float | None
) -> list[str]:
    """What a reader of the tables should know and cannot see in them."""
    lines = []
    if load_before is not None and load_before > BUSY:
        lines.append(f"The machine was in use before: its load average was {load_before:.2f}.")
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


def title() -> str:
    """What was measured, and where."""
    implementation = f"{platform.python_implementation()} {platform.python_version()}"
    build = ", free-threaded" if is_free_threaded() else ""
    machine = f"{platform.system()} {platform.machine()}, {counted(usable_cpus(), 'CPU')}"
    return f"oxthreads {__version__} on {implementation}{build}, {machine}"


def is_free_threaded() -> bool:
    """Whether this interpreter runs without the global lock."""
    enabled = getattr(sys, "_is_gil_enabled", None)
    return enabled is not None and not enabled()


def document(
    results: Sequence[Result], settings: Settings, peers: Peers, load_before: float | None
) -> dict[str, Any]:
    """All results as one JSON document, with the samples of every round."""
    return {
        "version": 1,
        "oxthreads": __version__,
        "machine": {
            "implementation": platform.python_implementation(),
            "python": platform.python_version(),
            "build": list(platform.python_build()),
            "compiler": platform.python_compiler(),
            "free_threaded": is_free_threaded(),
            "free_threaded_build": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
            "executable": sys.executable,
            "platform": platform.platform(),
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "usable_cpus": usable_cpus(),
            "load_average_before": load_before,
            "switch_interval_seconds": sys.getswitchinterval(),
        },
        "settings": {
            "rounds": settings.rounds,
            "divisor": settings.divisor,
            "seconds": settings.seconds,
        },
        "peers": {"found": dict(peers.found), "missing": dict(peers.missing)},
        "missed": missed(results),
        "results": [result_document(result, settings) for result in results],
    }


def result_document(result: Result, settings: Settings) -> dict[str, Any]:
    """One row, with what it comes from."""
    scenario, kind = result.scenario, result.scenario.kind
    return {
        **scenario_document(scenario),
        "operations": settings.divided(scenario.operations),
        "unit": kind.unit.value,
        "score_is": kind.score_label,
        "score": result.score,
        "met": result.met,
        "figures": result.figures,
        "samples": result.outcome.samples,
        "failures": result.outcome.failures,
    }


def scenario_document(scenario: Scenario) -> dict[str, Any]:
    """What a scenario is, without results."""
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
    """The scenarios as a Markdown table: what each is, and what it must reach on which Python."""
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
    """A goal on every Python: ``>= 1.00x (before 3.14 >= 1.30x)``."""
    if scenario.goal is None:
        return ""
    text = scenario.kind.goal_text(scenario.goal.value)
    if scenario.goal.before_3_14 is not None:
        text += f" (before 3.14 {scenario.kind.goal_text(scenario.goal.before_3_14)})"
    return text
