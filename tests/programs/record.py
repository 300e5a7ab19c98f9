"""The record of the results: JSON, and a page made of it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.programs.environment import ROOT, Interpreter
from tests.programs.suites import AGAIN, Comparison, reason
from tests.programs.table import PROGRAMS, Library, Program

__all__ = ["Record", "commit"]

PLACE = ROOT / "docs" / "compatibility"

_INTRODUCTION = f"""\
# Programs that run on oxthreads

This page shows whether the tests of other programs pass on oxthreads as they do on the standard library.
`python -m tests.programs --record` writes it; do not edit it by hand.

**How it is measured.** Each test suite ran once under `python` and once under `python -m oxthreads`, one
after the other, with the same interpreter and in the same environment. The columns *date* and *commit* say
when, and with which version of oxthreads. Each test then counts as one of these:

* *passed*: it passed on both.
* *failed on both*: it failed on both. The names of these tests are in `compatibility.json`.
* *flaky*: it passed on only one of the two. Then it ran {AGAIN} times more on both, and passed in at least
  half of its runs on each. It counts as passed on both. Flaky tests are listed below the table, with the
  number of runs that passed.
* *difference*: it passed on only one of the two, and is not flaky. Differences are listed below the table,
  with the reason if it is known.

**How to read the tables.** If a cell has two numbers, the first is for the standard library and the second,
after the slash, is for oxthreads. The seconds are for the whole suite. They say little: suites mostly wait
and start up, each time was taken only once, and the machine did other things at the same time. CPU time
depends less on these. The ratio compares the wall times: above 1x, oxthreads is faster. Between 0.8x and
1.25x it says nothing.
"""

_SERVERS = """
## Servers under load

These are measurements of a Flask application under load. Its handlers use a lock, a queue and a thread
pool, and {tool} sends requests through {connections} connections. *Memory* is the resident memory of all
processes of the server at the end; the number in parentheses is how much it has grown since the warm-up.

| server | version | seconds | requests/s | ratio | errors | memory, MiB | Python | date | commit |
|---|---|---:|---:|---:|---:|---:|---|---|---|
"""


def commit() -> str:
    """The commit of this tree, with a plus after it if installed files have been changed since."""
    name = _git("rev-parse", "--short=10", "HEAD")
    return name + ("+" if _git("status", "--porcelain", "--", "python", "src", "Cargo.toml") else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or ("unknown" if done.returncode else "")


class Record:
    """Results of this and earlier runs: the newest for each program and version of Python."""

    def __init__(self, place: Path = PLACE) -> None:
        self._json, self._page = place.with_suffix(".json"), place.with_suffix(".md")
        self._commit = commit()  # now, because the wheel is about to be built
        self.suites: list[dict[str, Any]] = []
        self.servers: list[dict[str, Any]] = []
        self._read()

    def _read(self) -> None:
        """Read the record again: several processes may write to it at once, each for one interpreter."""
        if self._json.exists():
            found = json.loads(self._json.read_text(encoding="utf-8"))
            self.suites, self.servers = found["suites"], found["servers"]

    def add_suite(self, program: Program, interpreter: Interpreter, comparison: Comparison) -> None:
        """Write the result of *program*. It replaces the earlier one on this Python."""
        entry = {
            **self._head(program.name, interpreter),
            "version": program.version if isinstance(program, Library) else interpreter.version,
            "note": program.note,
            "left_out": dict(program.left_out),
            **asdict(comparison),
        }
        for difference in entry["differences"] + entry["unsteady"]:
            del difference["details"]  # it has paths, and lines that change from run to run
        self._read()
        self.suites = _with(self.suites, entry)
        self.write()

    def add_server(self, entry: dict[str, Any], interpreter: Interpreter) -> None:
        """Write the result of a server under load. *entry* has the figures."""
        self._read()
        self.servers = _with(self.servers, {**self._head(entry["program"], interpreter), **entry})
        self.write()

    def _head(self, name: str, interpreter: Interpreter) -> dict[str, Any]:
        return {
            "program": name,
            "python": interpreter.name,
            "tag": interpreter.tag,
            "date": datetime.now(UTC).date().isoformat(),
            "commit": self._commit,
            "machine": f"{platform.system()}, {os.cpu_count()} cores",
        }

    def write(self) -> None:
        """Write the JSON, and the page that is made of it."""
        self._json.parent.mkdir(exist_ok=True)
        content = {"suites": self.suites, "servers": self.servers}
        self._json.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        self._page.write_text(self.render(), encoding="utf-8")

    def render(self) -> str:
        """The page, in Markdown."""
        tags = sorted({entry["tag"] for entry in self.suites}, key=_order_of_tags)
        parts = [_INTRODUCTION]
        parts.extend(self._section(tag) for tag in tags)
        parts.append(self._server_section())
        return "".join(parts)

    def _section(self, tag: str) -> str:
        entries = [entry for entry in self.suites if entry["tag"] == tag]
        lines = [
            f"\n## Python {entries[0]['python']}\n",
            "| program | version | passed | failed on both | differences | flaky | seconds | ratio "
            "| CPU seconds | date | commit |",
            "|---|---|---:|---:|---:|---:|---:|---:|---:|---|---|",
        ]
        order = {program.name: number for number, program in enumerate(PROGRAMS)}
        entries.sort(key=lambda entry: order.get(entry["program"], len(order)))
        notes: list[str] = []
        for entry in entries:
            passed, seconds, cpu = entry["passed"], entry["seconds"], entry["cpu_seconds"]
            cells = [
                entry["program"] + (f" ({entry['note']})" if entry["note"] else ""),
                entry["version"],
                " / ".join(f"{passed[side]:,}" for side in passed),
                str(len(entry["failed_on_both"])),
                str(len(entry["differences"])),
                str(len(entry["unsteady"])),
                " / ".join(f"{seconds[side]:.1f}" for side in seconds),
                f"{seconds['standard'] / max(seconds['oxthreads'], 0.1):.2f}x",
                " / ".join(f"{cpu[side]:.1f}" for side in cpu),
                entry["date"],
                entry["commit"],
            ]
            lines.append(f"| {' | '.join(cells)} |")
            notes.extend(_notes(entry))
        return "\n".join(lines) + "\n" + ("\n" + "\n".join(notes) + "\n" if notes else "")

    def _server_section(self) -> str:
        if not self.servers:
            return ""
        first = self.servers[0]
        text = _SERVERS.format(tool=first["tool"], connections=first["connections"])
        for entry in sorted(self.servers, key=lambda entry: (_order_of_tags(entry["tag"]), entry["program"])):
            rates, errors = entry["requests_per_second"], entry["errors"]
            memory, growth = entry["memory_mib"], entry["growth_mib"]
            cells = [
                entry["program"],
                entry["version"],
                str(entry["seconds"]),
                " / ".join(f"{rates[side]:,.0f}" for side in rates),
                f"{rates['oxthreads'] / rates['standard']:.2f}x",
                " / ".join(str(errors[side]) for side in errors),
                " / ".join(f"{memory[side]:.1f} ({growth[side]:+.1f})" for side in memory),
                entry["python"],
                entry["date"],
                entry["commit"],
            ]
            text += f"| {' | '.join(cells)} |\n"
        return text


def _notes(entry: dict[str, Any]) -> list[str]:
    name = entry["program"]
    notes = [f"* {name}: `{pattern}` is left out: {why}" for pattern, why in entry["left_out"].items()]
    for kind in ("differences", "unsteady"):
        for found in entry[kind]:
            rates = ", ".join(f"{found['passed'][side]}/{found['runs']} {side}" for side in found["passed"])
            why = (
                found["reason"]
                or _known(name, found["test"])
                or ("not fixed yet" if kind == "differences" else "passes in some runs")
            )
            word = "differs" if kind == "differences" else "is flaky"
            notes.append(f"* {name}: `{found['test']}` {word} ({rates}): {why}")
    if entry["endings"]["standard"] != entry["endings"]["oxthreads"]:
        endings = " and ".join(f"{how} ({side})" for side, how in entry["endings"].items())
        notes.append(f"* {name}: ended with {endings}")
    return notes


def _known(name: str, test: str) -> str:
    """The reason that the table gives now."""
    programs = {program.name: program for program in PROGRAMS}
    return reason(programs[name].differences, test) if name in programs else ""


def _with(entries: list[dict[str, Any]], entry: dict[str, Any]) -> list[dict[str, Any]]:
    key = (entry["program"], entry["tag"])
    return [old for old in entries if (old["program"], old["tag"]) != key] + [entry]


def _order_of_tags(tag: str) -> tuple[int, bool]:
    return int(tag.rstrip("t").split(".")[1]), tag.endswith("t")
