"""Gives docstrings the headings that they have in words: differences, and options of our own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sphinx.application import Sphinx

DIFFERENCES = re.compile(r"^Differences from (?P<name>[\w.]+):(?P<rest>.*)$")
#: "The standard pool does not have these options. They are keyword-only:"
OPTIONS = re.compile(r"^(?P<sentence>.*keyword-only):$")


#: "see docs/fallback.md" is the path of a page for those who read the source. It may be in backticks.
PAGE = re.compile(r"(`?)docs/(\w+)\.md(?:#[\w-]+)?\1")


def linked(lines: Iterable[str]) -> list[str]:
    """Make references of the pages that lines name."""
    return [PAGE.sub(r":doc:`/\2`", line) for line in lines]


def put_headings(*arguments: Any) -> None:
    """Change the lines of a docstring, before its sections are read. They are the last argument."""
    lines: list[str] = arguments[-1]
    changed: list[str] = []
    for line in linked(lines):
        if found := DIFFERENCES.match(line):
            changed += [f".. rubric:: Differences from {found['name']}", ""]
            if found["rest"].strip():
                rest = found["rest"].strip()
                changed += [rest[0].upper() + rest[1:]]
        elif found := OPTIONS.match(line):
            changed += [f"{found['sentence']}.", "", "Options:"]
        elif changed and changed[-1] == "Options:" and not line:
            continue  # a section begins right below its heading
        else:
            changed.append(line)
    lines[:] = changed


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    # Before napoleon, which reads the sections.
    app.connect("autodoc-process-docstring", put_headings, priority=100)
    return {"parallel_read_safe": True}
