"""The record of what the programs came to: kept as JSON, shown as a page."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .environment import ROOT, Interpreter
from .suites import AGAIN, Comparison, reason
from .table import PROGRAMS, Library, Program

__all__ = ["Record", "commit"]

PLACE = ROOT / "docs" / "compatibility"

_INTRODUCTION = f"""\
# Programs that run on oxthreads

Made by `python -m tests.programs --record`, never by hand: what that command found, in the runs that the
last two columns name. Each suite ran once under `python` and once under `python -m oxthreads`, on the same
interpreter and in the same environment, one after the other. What *failed on both* is named in the JSON. A
test that passed on one of the two only was run {AGAIN} times more on both. If it passed in at least half of
its runs on each, it counts as passed on both, is *unsteady*, and is listed below with how often it passed.
Whatever is still different is a *difference*, and is listed with the reason, if there is one.

Where a cell has two figures, they are those of the standard library and, after the stroke, of oxthreads. The
time is that of the whole suite, most of which is waiting and starting up, and was taken once, on a machine
that did other things as well; CPU time depends less on these. A ratio (above 1x: oxthreads is faster) is that
of the wall time, and between 0.8x and 1.25x it says nothing.
"""

_SERVERS = """
## Servers under load

A Flask application whose handlers take a lock, a queue and a thread pool, and {tool} with {connections}
connections. Memory is what all the server's processes have resident at the end, and in brackets how much
that is more than after warming up.

| server | version | seconds | requests/s | ratio | errors | memory, MiB | Python | date | commit |
|---|---|---:|---:|---:|---:|---:|---|---|---|
"""


def commit() -> str:
    """The commit of this tree, with a plus behind it if what is installed has been changed since."""
    name = _git("rev-parse", "--short=10", "HEAD")
    return name + ("+" if _git("status", "--porcelain", "--", "python", "src", "Cargo.toml") else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or ("unknown" if done.returncode else "")


class Record:
    """Results of this and earlier runs: one for each program and version of Python, the newest."""

    def __init__(self, place: Path = PLACE) -> None:
        self._json, self._page = place.with_suffix(".json"), place.with_suffix(".md")
        self._commit = commit()  # now, when the wheel is about to be built
        self.suites: list[dict[str, Any]] = []
        self.servers: list[dict[str, Any]] = []
        self._read()

    def _read(self) -> None:
        """Take up what is there: several of these may run at once, on an interpreter each."""
        if self._json.exists():
            found = json.loads(self._json.read_text(encoding="utf-8"))
            self.suites, self.servers = found["suites"], found["servers"]

    def add_suite(self, program: Program, interpreter: Interpreter, comparison: Comparison) -> None:
        """Write down what *program* came to, instead of what it came to before on this Python."""
        entry = {
            **self._head(program.name, interpreter),
            "version": program.version if isinstance(program, Library) else interpreter.version,
            "note": program.note,
            "left_out": dict(program.left_out),
            **asdict(comparison),
        }
        for difference in entry["differences"] + entry["unsteady"]:
            del difference["details"]  # has paths, and lines that change from run to run
        self._read()
        self.suites = _with(self.suites, entry)
        self.write()

    def add_server(self, entry: dict[str, Any], interpreter: Interpreter) -> None:
        """Write down what a server did under load: *entry* has the figures."""
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
        """Write the JSON and the page that is made of it."""
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
            "| program | version | passed | failed on both | differences | unsteady | seconds | ratio "
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
                or ("not mended yet" if kind == "differences" else "passes at times")
            )
            word = "differs" if kind == "differences" else "is unsteady"
            notes.append(f"* {name}: `{found['test']}` {word} ({rates}): {why}")
    if entry["endings"]["standard"] != entry["endings"]["oxthreads"]:
        endings = " and ".join(f"{how} ({side})" for side, how in entry["endings"].items())
        notes.append(f"* {name}: ended with {endings}")
    return notes


def _known(name: str, test: str) -> str:
    """The reason that the table gives by now."""
    programs = {program.name: program for program in PROGRAMS}
    return reason(programs[name].differences, test) if name in programs else ""


def _with(entries: list[dict[str, Any]], entry: dict[str, Any]) -> list[dict[str, Any]]:
    key = (entry["program"], entry["tag"])
    return [old for old in entries if (old["program"], old["tag"]) != key] + [entry]


def _order_of_tags(tag: str) -> tuple[int, bool]:
    return int(tag.rstrip("t").split(".")[1]), tag.endswith("t")
