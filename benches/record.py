"""Writes docs/performance.md and the three numbers of the README: what the suite measures on this machine.

    python benches/record.py PYTHON...

Each of them must have oxthreads installed. The figures of the first go into the README. It takes a minute or
two for each, in which nothing else should run. Then `benches/plots.py` draws what was measured.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import plots

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
MARKS = ("<!-- benches/record.py -->\n", "<!-- end -->")
KINDS = ["speed", "reuse", "calls", "memory", "startup", "latency", "parallelism"]

#: The numbers of the README: the name of a scenario, and its row in the tables.
NUMBERS = {
    "queue": "Queue: put + get",
    "pool-burst": "pool: 4,000 submit, then result",
    "memory-pending-futures": "100,000 pending futures, peak",
}

HEAD = """\
# Performance, as measured

Written by `python benches/record.py PYTHON...`, which runs `oxthreads bench` and adds nothing to what that
prints. [benches/README.md](../benches/README.md) tells what each row is, how it is measured and how to
read it. The goals are what the project wants to reach; the last section says what stands in the way of
those that are missed. [performance.json](performance.json) has the figures of the tables, and
`python benches/plots.py` draws them.

How many times as fast as the standard library each operation is, on each version that was measured. Right of
1x, oxthreads takes less time:

![How many times as fast as the standard library](speed.svg)

The memory of an idle object, and the peak of a process, in the standard library and now, on the first of
these versions:

![Memory in both libraries](memory.svg)
"""


def bench(python: str, *arguments: str) -> str:
    """What the suite prints under that interpreter."""
    command = [Path(python).with_name("oxthreads"), "bench", "--without-peers", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def versions(output: str) -> tuple[str, str]:
    """The first line of the output, as a heading, and the rest."""
    first, _, rest = output.partition("\n")
    return first.removeprefix("oxthreads ").partition(" on ")[2], rest.strip()


def cells(output: str) -> dict[str, list[str]]:
    """The cells of each row of the tables, by the first of them."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in output.splitlines()
        if line.startswith("|")
    ]
    return {row[0]: row[1:] for row in rows}


def put_into_readme(heading: str, section: str) -> None:
    """The three numbers, each with the command that measures it."""
    readme = ROOT / "README.md"
    begin, end = MARKS
    before, _, rest = readme.read_text().partition(begin)
    _, _, after = rest.partition(end)
    measured = cells(section)
    # Without the spread, which is in parentheses.
    rows = [
        [row, *(cell.partition(" (")[0] for cell in measured[row][:3]), f"`oxthreads bench {name}`"]
        for name, row in NUMBERS.items()
    ]
    table = [
        f"| {heading} | standard | oxthreads | ratio | measured by |",
        "|---|---:|---:|---:|---|",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    readme.write_text("\n".join([before + begin, *table, "", end + after]))


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
    heading, rest = versions(bench(interpreters[0], "growth"))
    sections.append(
        f"## More threads, longer tasks: {heading}\n\n"
        f"![Growth with threads and with task lengths](growth.svg)\n\n{rest}\n"
    )
    page.write_text("\n".join(sections) + (f"\n{marker}{bounds}" if marker else ""))
    plots.main()


if __name__ == "__main__":
    main(sys.argv[1:])
