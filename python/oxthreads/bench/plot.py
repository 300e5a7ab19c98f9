"""Draws the results. It needs matplotlib, which the extra ``plot`` installs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .growth import GrowthScenario
from .machine import title
from .scenario import OXTHREADS, STANDARD, Kind, Result, Unit

WIDTH = 9.0
"""Width of the picture, in inches."""


class NoMatplotlibError(Exception):
    """matplotlib cannot be imported."""

    def __str__(self) -> str:
        return "a plot needs matplotlib: pip install 'oxthreads[plot]'"


def load() -> Any:
    """Import matplotlib, and let it draw only into files.

    Returns:
        The module ``matplotlib.pyplot``.

    Raises:
        NoMatplotlibError: if matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: PLC0415 - an extra
    except ImportError:
        raise NoMatplotlibError from None
    matplotlib.use("svg")
    from matplotlib import pyplot  # noqa: PLC0415

    return pyplot


def draw(results: Sequence[Result], path: Path) -> None:
    """Write an SVG file: a panel of bars for each kind, and a panel of curves for each kind of growth.

    Args:
        results: the results to draw.
        path: the file to write.

    Raises:
        NoMatplotlibError: if matplotlib cannot be imported.
        OSError: if the file cannot be written.
    """
    pyplot = load()
    curves: dict[str, list[Result]] = {}
    bars: dict[Kind, list[Result]] = {}
    for result in results:
        if isinstance(result.scenario, GrowthScenario):
            curves.setdefault(result.scenario.curve, []).append(result)
        elif result.score is not None:
            bars.setdefault(result.scenario.kind, []).append(result)
    heights = [0.8 + 0.28 * len(rows) for rows in bars.values()] + [3.2] * len(curves)
    figure, axes = pyplot.subplots(
        len(heights) or 1,
        1,
        figsize=(WIDTH, sum(heights) + 0.6 if heights else 2.0),
        gridspec_kw={"height_ratios": heights or [1]},
        squeeze=False,
        layout="constrained",
    )
    panels = iter(axes[:, 0])
    for kind, rows in bars.items():
        draw_bars(next(panels), kind, rows)
    for curve, points in curves.items():
        draw_curve(next(panels), curve, points)
    figure.suptitle(title(), fontsize="medium")
    figure.savefig(path, format="svg")
    pyplot.close(figure)


def draw_bars(axes: Any, kind: Kind, results: Sequence[Result]) -> None:
    """Draw a bar for each score, and a mark at its goal.

    Args:
        axes: the panel (of matplotlib).
        kind: the kind of the results.
        results: the results, each with a score.
    """
    places = range(len(results))
    scores = [result.score or 0.0 for result in results]
    colours = ["tab:red" if result.met is False else "tab:blue" for result in results]
    axes.barh(places, scores, color=colours)
    for place, result, score in zip(places, results, scores, strict=True):
        end = max(score, 0.0)
        if result.scenario.goal is not None:
            goal = result.scenario.goal.here
            end = max(end, goal)
            axes.plot([goal, goal], [place - 0.4, place + 0.4], color="black", linewidth=1.5)
        axes.text(end, place, f" {kind.score_text(score)}", va="center", fontsize="small")
    axes.set_yticks(places, [result.scenario.title for result in results], fontsize="small")
    axes.invert_yaxis()
    if kind.at_least and min(scores) > 0 and max(scores) / min(scores) > 10:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.12, y=0.02)
    axes.set_title(f"{kind.name}: {kind.score_label} (mark: goal)", loc="left", fontsize="small")


def draw_curve(axes: Any, curve: str, results: Sequence[Result]) -> None:
    """Draw a line for each contender, over the value that grows.

    Args:
        axes: the panel (of matplotlib).
        curve: the title of the panel.
        results: the results of growth scenarios, one for each point.
    """
    points = [(result, result.scenario) for result in results]
    axis = ""
    values: list[float] = []
    for _, scenario in points:
        assert isinstance(scenario, GrowthScenario)
        axis = scenario.axis
        values.append(scenario.value)
    names = dict.fromkeys(name for result in results for name in result.figures)
    for name in sorted(names, key=lambda name: (name != STANDARD, name != OXTHREADS)):
        figures = [result.figures.get(name, math.nan) for result in results]
        axes.plot(values, figures, marker="o", label=name)
    if 0 in values:
        axes.set_xscale("symlog", linthresh=min(value for value in values if value) if any(values) else 1)
    else:
        axes.set_xscale("log", base=2)
        axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.set_yscale("log")
    unit = results[0].scenario.kind.unit
    axes.set_xlabel(axis, fontsize="small")
    axes.set_ylabel(f"{unit.value} an operation" if unit is Unit.SECONDS else unit.value, fontsize="small")
    axes.set_title(curve, loc="left", fontsize="small")
    axes.legend(fontsize="small")
