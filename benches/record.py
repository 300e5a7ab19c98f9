"""Writes docs/performance.md and the table of the README: what the suite measures on this machine.

    python benches/record.py PYTHON...

Each of them must have oxthreads installed; the first, whose figures go into the README, matplotlib too, to
draw the growth. It takes a minute or two for each, in which nothing else should run.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
MARKS = ("<!-- benches/record.py -->\n", "<!-- end -->")
KINDS = ["speed", "calls", "memory", "startup", "latency", "parallelism"]

HEAD = """\
# Performance, as measured

Written by `python benches/record.py PYTHON...`, which runs `oxthreads bench` and adds nothing to what that
prints. [benches/README.md](../benches/README.md) tells what each row is, how it is measured and how to
read it. The goals are what the project wants to reach; the last section says what stands in the way of
those that are missed.
"""


def bench(python: str, *arguments: str) -> str:
    """What the suite prints under that interpreter."""
    command = [Path(python).with_name("oxthreads"), "bench", "--without-peers", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def versions(output: str) -> tuple[str, str]:
    """The first line of the output, as a heading, and the rest."""
    first, _, rest = output.partition("\n")
    return first.removeprefix("oxthreads ").partition(" on ")[2], rest.strip()


def put_into_readme(heading: str, section: str) -> None:
    """The table of speeds, which is the first of a section."""
    readme = ROOT / "README.md"
    begin, end = MARKS
    before, _, rest = readme.read_text().partition(begin)
    _, _, after = rest.partition(end)
    lines = section.splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("|"))
    table = list(itertools.takewhile(lambda line: line.startswith("|"), lines[first:]))
    text = "\n".join([heading + ":", "", *table, ""])
    readme.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def main(interpreters: list[str]) -> None:
    if not interpreters:
        sys.exit(__doc__)
    if sysconfig.get_platform().startswith("linux"):
        print(f"load at the beginning: {Path('/proc/loadavg').read_text().split()[0]}", file=sys.stderr)
    page = DOCS / "performance.md"
    _, marker, bounds = (
        page.read_text().partition("## What bounds the rest") if page.exists() else ("", "", "")
    )
    sections = [HEAD]
    for python in interpreters:
        print(python, file=sys.stderr)
        heading, rest = versions(bench(python, *KINDS))
        if python == interpreters[0]:
            put_into_readme(heading, rest)
        sections.append(f"## {heading}\n\n{rest}\n")
    plot = DOCS / "growth.svg"
    heading, rest = versions(bench(interpreters[0], "growth", "--plot", str(plot)))
    sections.append(
        f"## More threads, longer tasks: {heading}\n\n"
        f"![Growth with threads and with task lengths]({plot.name})\n\n{rest}\n"
    )
    page.write_text("\n".join(sections) + (f"\n{marker}{bounds}" if marker else ""))


if __name__ == "__main__":
    main(sys.argv[1:])
