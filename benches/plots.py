"""Writes docs/performance.json, and draws it, from the tables of docs/performance.md.

    python benches/plots.py

`benches/record.py` does this at its end. It takes nothing but the standard library. The pictures have the
colour of the text around them where they are part of a page, and otherwise that of a light or a dark system.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = "performance.md"
DATA = "performance.json"

#: What the units in the tables are, in seconds and in bytes.
UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20}
QUANTITY = re.compile(r"^([\d.]+) (ns|us|ms|s|B|KiB|MiB)\b")
POINT = re.compile(r"^(.*), (threads|producers, consumers|workers): (\d+)(?: each)?$")
TASK = re.compile(r"^(pool of \d+): tasks of (.*)$")

WIDTH = 480
MARGIN = 12
#: Readable on a light and on a dark page. Each has a shape of its own, too.
COLOURS = ("#e8590c", "#1c7ed6", "#2f9e44", "#be4bdb")
SHAPES = ("circle", "square", "diamond", "triangle")
STYLE = "svg{color:#1f2328}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}"


def quantity(cell: str) -> float | None:
    """Return what a cell says, in seconds or bytes; None if it has no such thing."""
    found = QUANTITY.match(cell)
    return float(f"{float(found[1]) * UNITS[found[2]]:.6g}") if found else None


def tables(section: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Yield the head and the rows of each table of a section."""
    lines = section.splitlines()
    for is_table, group in itertools.groupby(lines, lambda line: line.startswith("|")):
        if is_table:
            head, _, *rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in group]
            yield head, rows


def measurements(page: str) -> dict[str, Any]:
    """Return what the tables of the page say.

    Args:
        page: the text of docs/performance.md.

    Returns:
        A document for JSON. ``machines`` has for each interpreter its title and, by kind, the operations with
        their seconds or bytes and the ratio. ``growth`` has the machine and the curves.
    """
    machines = []
    growth: dict[str, Any] = {}
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0]
        kinds: dict[str, list[dict[str, Any]]] = {}
        for head, rows in tables(section):
            kinds[head[0]] = [
                {"operation": row[0]}
                | {name: quantity(cell) for name, cell in zip(head[1:3], row[1:3], strict=True)}
                | ({"ratio": float(row[3].removesuffix("x"))} if head[3] == "ratio" else {})
                for row in rows
                if head[1:3] == ["standard", "oxthreads"]
            ]
        if "growth" in kinds:
            growth = {"machine": title.partition(": ")[2], "curves": curves(kinds["growth"])}
        elif kinds:
            machines.append({"machine": title, **{kind: rows for kind, rows in kinds.items() if rows}})
    return {"from": f"docs/{PAGE}", "machines": machines, "growth": growth}


def curves(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the growth, a list of points for each curve."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if match := POINT.match(row["operation"]):
            title, axis, at = match.groups()
        else:
            match = TASK.match(row["operation"])
            assert match is not None, row
            title, axis, at = match[1], "length of a task", match[2]
        curve = found.setdefault(title, {"title": title, "axis": axis, "points": []})
        curve["points"].append({"at": at, "standard": row["standard"], "oxthreads": row["oxthreads"]})
    return list(found.values())


def length(value: float, unit: str) -> str:
    """Return seconds or bytes for people."""
    steps = [("B", 1.0), ("KiB", 2.0**10), ("MiB", 2.0**20)]
    if unit == "s":
        steps = [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0)]
    name, step = next(((name, step) for name, step in reversed(steps) if value >= step * 0.999), steps[0])
    return f"{value / step:.3g} {name}"


class Picture:
    """An SVG file that is being drawn, from the top to the bottom."""

    def __init__(self, title: str, description: str) -> None:
        self._title, self._description = title, description
        self._parts: list[str] = []
        self.y = 0.0

    def text(self, x: float, y: float, text: str, *, end: str = "start", small: bool = False) -> None:
        """Write a text with its left end, its middle or its right end at x."""
        size = ' font-size="12" opacity="0.75"' if small else ""
        text = escape(text.replace("`", ""))
        self._parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{end}"{size}>{text}</text>')

    def line(
        self, points: list[tuple[float, float]], colour: str = "currentColor", *, faint: bool = False
    ) -> None:
        """Draw a line through the points."""
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        look = 'opacity="0.2"' if faint else 'stroke-width="2"'
        self._parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" {look}/>')

    def mark(self, x: float, y: float, shape: str, colour: str, tip: str = "") -> None:
        """Draw a mark, which shows a text under the pointer."""
        ways = {
            "square": f"M{x - 4:.1f},{y - 4:.1f}h8v8h-8z",
            "diamond": f"M{x:.1f},{y - 5.5:.1f}l5.5,5.5l-5.5,5.5l-5.5,-5.5z",
            "triangle": f"M{x:.1f},{y - 5:.1f}l5,9h-10z",
            "circle": f"M{x - 4.5:.1f},{y:.1f}a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0z",
        }
        tip = f"<title>{escape(tip.replace('`', ''))}</title>" if tip else ""
        self._parts.append(f'<path d="{ways[shape]}" fill="{colour}">{tip}</path>')

    def legend(self, entries: list[tuple[str, str, str]]) -> None:
        """Write what the marks are: shape, colour, name."""
        x = float(MARGIN)
        for shape, colour, name in entries:
            wide = 22 + 8 * len(name)
            if x + wide > WIDTH:
                x, self.y = MARGIN, self.y + 22
            self.mark(x + 6, self.y + 10, shape, colour)
            self.text(x + 16, self.y + 15, name)
            x += wide
        self.y += 30

    def svg(self) -> str:
        """Return the file."""
        body = "\n".join(self._parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {math.ceil(self.y)}" role="img"'
            ' font-family="system-ui, sans-serif" font-size="14" fill="currentColor">\n'
            f"<style>{STYLE}</style>\n<title>{escape(self._title)}</title>\n"
            f"<desc>{escape(self._description)}</desc>\n{body}\n</svg>\n"
        )


class Scale:
    """A logarithmic scale from the left to the right, or from the bottom to the top."""

    def __init__(self, values: list[float], begin: float, end: float) -> None:
        low, high = math.log10(min(values)), math.log10(max(values))
        room = max(high - low, 0.5) * 0.06
        self._low, self._high = low - room, high + room
        self._begin, self._end = begin, end

    def __call__(self, value: float) -> float:
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return self._begin + share * (self._end - self._begin)

    def steps(self) -> list[float]:
        """Return round numbers that are on the scale."""
        powers = range(math.floor(self._low), math.ceil(self._high) + 1)
        steps = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        steps = [step for step in steps if self._low <= math.log10(step) <= self._high]
        return steps if len(steps) <= 5 else steps[:: len(steps) // 4]


def short(machine: str) -> str:
    """Return "3.13.0" for a long title."""
    found = re.match(r"CPython ([\w.]+)(, free-threaded)?", machine)
    return f"{found[1]}{' free-threaded' if found[2] else ''}" if found else machine


def speed(data: dict[str, Any]) -> str:
    """Draw the ratios of all operations, a mark for each interpreter."""
    machines = data["machines"]
    picture = Picture(
        "How many times as fast as the standard library",
        "A row for each operation, a mark for each version of Python. Right of 1x, oxthreads is faster.",
    )
    looks = list(zip(SHAPES, COLOURS, machines, strict=False))
    picture.legend([(shape, colour, short(machine["machine"])) for shape, colour, machine in looks])
    operations = [row["operation"] for row in machines[0]["speed"]]
    scale = Scale(
        [row["ratio"] for machine in machines for row in machine["speed"]], MARGIN + 6, WIDTH - MARGIN - 6
    )
    steps = [step for step in (0.5, 1, 2, 5, 10, 20, 50, 100) if MARGIN <= scale(step) <= WIDTH - MARGIN]
    top = picture.y + 12
    bottom = top + 40 * len(operations)
    for step in steps:
        picture.text(scale(step), picture.y + 4, f"{step:g}x", end="middle", small=True)
    for number, operation in enumerate(operations):
        y = top + 40 * number
        picture.text(MARGIN, y + 16, operation)
        picture.line([(MARGIN, y + 29), (WIDTH - MARGIN, y + 29)], faint=True)
        for step in steps:
            picture.line([(scale(step), y + 23), (scale(step), y + 35)], faint=step != 1)
        for shape, colour, machine in looks:
            row = next((each for each in machine["speed"] if each["operation"] == operation), None)
            if row is not None:
                tip = f"{operation}: {row['ratio']}x on {short(machine['machine'])}"
                tip += f" ({length(row['standard'], 's')} before, {length(row['oxthreads'], 's')} now)"
                picture.mark(scale(row["ratio"]), y + 29, shape, colour, tip)
    picture.y = bottom + 8
    return picture.svg()


def memory(data: dict[str, Any]) -> str:
    """Draw the sizes of objects in both libraries."""
    machine = data["machines"][0]
    picture = Picture(
        f"Memory: {machine['machine']}",
        "A row for each object: its size in the standard library and in oxthreads.",
    )
    picture.legend([("square", "currentColor", "standard library"), ("circle", COLOURS[0], "oxthreads")])
    for unit, rows in itertools.groupby(machine["memory"], lambda row: row["operation"].endswith("bytes")):
        found = list(rows)
        values = [row[name] for row in found for name in ("standard", "oxthreads")]
        scale = Scale(values, MARGIN + 6, WIDTH - MARGIN - 6)
        for row in found:
            y = picture.y
            picture.text(MARGIN, y + 16, row["operation"].removesuffix(", bytes"))
            sizes = f"{length(row['standard'], 'B')}, now {length(row['oxthreads'], 'B')}"
            picture.text(WIDTH - MARGIN, y + 16, sizes, end="end", small=True)
            picture.line([(MARGIN, y + 29), (WIDTH - MARGIN, y + 29)], faint=True)
            for name, shape, colour in (
                ("standard", "square", "currentColor"),
                ("oxthreads", "circle", COLOURS[0]),
            ):
                tip = f"{row['operation']}: {length(row[name], 'B')} with {name}"
                picture.mark(scale(row[name]), y + 29, shape, colour, tip)
            picture.y += 40
        if unit:
            picture.y += 12
    picture.y += 8
    return picture.svg()


def growth(data: dict[str, Any]) -> str:
    """Draw a panel for each curve."""
    picture = Picture(
        f"More threads, longer tasks: {data['growth']['machine']}",
        "Time of an operation with more and more threads, and with longer and longer tasks.",
    )
    picture.legend([("square", "currentColor", "standard library"), ("circle", COLOURS[0], "oxthreads")])
    for curve in data["growth"]["curves"]:
        points = curve["points"]
        top, bottom = picture.y + 30, picture.y + 170
        picture.text(MARGIN, picture.y + 18, curve["title"])
        values = [point[name] for point in points for name in ("standard", "oxthreads")]
        scale = Scale(values, bottom, top)
        for step in scale.steps():
            picture.line([(64, scale(step)), (WIDTH - MARGIN, scale(step))], faint=True)
            picture.text(58, scale(step) + 4, length(step, "s"), end="end", small=True)
        left, right = 84.0, WIDTH - MARGIN - 20.0
        places = [left + (right - left) * number / (len(points) - 1) for number in range(len(points))]
        for x, point in zip(places, points, strict=True):
            picture.text(x, bottom + 18, point["at"], end="middle", small=True)
        picture.text((left + right) / 2, bottom + 36, curve["axis"], end="middle", small=True)
        for name, shape, colour in (
            ("standard", "square", "currentColor"),
            ("oxthreads", "circle", COLOURS[0]),
        ):
            picture.line([(x, scale(point[name])) for x, point in zip(places, points, strict=True)], colour)
            for x, point in zip(places, points, strict=True):
                tip = (
                    f"{curve['title']}, {curve['axis']} {point['at']}: {length(point[name], 's')} with {name}"
                )
                picture.mark(x, scale(point[name]), shape, colour, tip)
        picture.y = bottom + 56
    return picture.svg()


def files(page: str) -> dict[str, str]:
    """Return the names and the contents of all files that are written.

    Args:
        page: the text of docs/performance.md.
    """
    data = measurements(page)
    return {
        DATA: json.dumps(data, indent=1) + "\n",
        "speed.svg": speed(data),
        "memory.svg": memory(data),
        "growth.svg": growth(data),
    }


def main() -> None:
    """Write the files."""
    for name, text in files((DOCS / PAGE).read_text(encoding="utf-8")).items():
        (DOCS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
