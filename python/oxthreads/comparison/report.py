"""The table and the JSON document of a comparison."""

import os
import platform
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from oxthreads import __version__

from .measurement import BackEnd, Run
from .output import SET_ASIDE, Output
from .rounds import Comparison, Verdict

SET_ASIDE_LINE = f"Set aside in comparing output: {', '.join(SET_ASIDE)}."

NOT_AVAILABLE = "n/a"


@dataclass(frozen=True)
class Metric:
    """A row of numbers in the table, less being better in each."""

    label: str
    key: str
    """Its name in the JSON document, unit included."""
    of: Callable[[Run], float | None]
    text: Callable[[float], str]


@dataclass(frozen=True)
class Spread:
    """The least and the most that the runs of one back end needed."""

    best: float
    worst: float


def seconds_text(seconds: float) -> str:
    """Three digits and a unit: ``12.3 ms``, ``1.23 s``."""
    return three_digits(seconds) + " s" if seconds >= 1 else three_digits(1000 * seconds) + " ms"


def memory_text(size: float) -> str:
    """Bytes as ``12.3 MiB``."""
    return three_digits(size / 2**20) + " MiB"


def three_digits(value: float) -> str:
    """A number with three digits, or with all those before the point."""
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f}"


METRICS = (
    Metric("wall time", "wall_seconds", lambda run: run.usage.wall_seconds, seconds_text),
    Metric("CPU time (user + system)", "cpu_seconds", lambda run: run.cpu_seconds, seconds_text),
    Metric("peak memory", "peak_memory_bytes", lambda run: run.usage.peak_memory_bytes, memory_text),
    Metric(
        "voluntary context switches",
        "voluntary_context_switches",
        lambda run: run.usage.voluntary_context_switches,
        "{:.0f}".format,
    ),
)


def spread(metric: Metric, runs: list[Run]) -> Spread | None:
    """Best and worst of the runs that came to their end; None where there is nothing to tell."""
    values = [metric.of(run) for run in runs if not run.timed_out]
    known = [value for value in values if value is not None]
    return Spread(min(known), max(known)) if known else None


def ratio(standard: Spread | None, oxthreads: Spread | None) -> float | None:
    """How many times more the standard library needs, best against best."""
    if standard is None or oxthreads is None or not oxthreads.best:
        return None
    return standard.best / oxthreads.best


def table(comparison: Comparison, script: str) -> str:
    """The comparison as a Markdown table that reads as plain text, what there is to say below it."""
    most = max(len(comparison.measured(back_end)) for back_end in comparison.back_ends)
    header = [
        f"best of {most}" if most > 1 else "one run",
        *(back_end.name for back_end in comparison.back_ends),
        "ratio (above 1x: oxthreads is better)",
    ]
    rows = [
        header,
        *(metric_row(comparison, metric) for metric in METRICS),
        exit_code_row(comparison),
        output_row(comparison),
    ]
    return "\n".join([title(script), "", *aligned(rows), "", SET_ASIDE_LINE, *remarks(comparison)])


def aligned(rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table, columns padded, all but the first to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = [f"{'':-<{widths[0]}}-"] + [f"{'':-<{width}}:" for width in widths[1:]]

    def line(cells: list[str]) -> str:
        first, *others = cells
        padded = [first.ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        return f"| {' | '.join(padded)} |"

    return [line(rows[0]), f"|-{'|-'.join(rule)}|", *map(line, rows[1:])]


def metric_row(comparison: Comparison, metric: Metric) -> list[str]:
    """The label, both sides' best with their spread, and the ratio."""
    standard, oxthreads = (spread(metric, comparison.measured(side)) for side in comparison.back_ends)
    quotient = ratio(standard, oxthreads)
    return [
        metric.label,
        spread_text(metric, standard),
        spread_text(metric, oxthreads),
        NOT_AVAILABLE if quotient is None else three_digits(quotient) + "x",
    ]


def spread_text(metric: Metric, spread: Spread | None) -> str:
    """The best value and how far the worst is above it: ``512 ms (+4%)``, ``3 (to 12)``."""
    if spread is None:
        return NOT_AVAILABLE
    best = metric.text(spread.best)
    if spread.worst == spread.best:
        return best
    if spread.worst >= 2 * spread.best:
        return f"{best} (to {metric.text(spread.worst)})"
    return f"{best} (+{100 * (spread.worst / spread.best - 1):.0f}%)"


def exit_code_row(comparison: Comparison) -> list[str]:
    """The label, all exit codes that occurred on each side, and the verdict."""
    sides = [
        " or ".join(dict.fromkeys(exit_text(run) for run in comparison.measured(side)))
        for side in comparison.back_ends
    ]
    return ["exit code", *sides, comparison.verdicts["exit code"].value]


def exit_text(run: Run) -> str:
    """An exit code, or how else the run ended."""
    code = run.usage.exit_code
    if run.timed_out:
        return "timed out"
    if code >= 0:
        return str(code)
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def output_row(comparison: Comparison) -> list[str]:
    """The label, how much each side has written, and the verdict on both streams."""
    streams = {name: comparison.verdicts[name] for name in ("stdout", "stderr")}
    if len(set(streams.values())) == 1:
        text = streams["stdout"].value
    else:
        text = ", ".join(f"{name} {v.value}" for name, v in streams.items() if v is not Verdict.SAME)
    return ["output", *(lines_text(comparison, side) for side in comparison.back_ends), text]


def lines_text(comparison: Comparison, back_end: BackEnd) -> str:
    """The number of lines of a run, standard output and error together, or its range."""
    counts = sorted(run.stdout.lines + run.stderr.lines for run in comparison.measured(back_end))
    if counts[0] == counts[-1]:
        return counted(counts[0], "line")
    return f"{counts[0]} to {counts[-1]} lines"


def counted(number: int, noun: str) -> str:
    """``1 line``, ``2 lines``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def remarks(comparison: Comparison) -> list[str]:
    """Lines on all that a reader of the table should know and cannot see in it."""
    return [
        *timeout_remarks(comparison),
        *difference_remarks(comparison),
        *varying_remarks(comparison),
        *failure_remarks(comparison),
        *runner_remarks(comparison),
    ]


def timeout_remarks(comparison: Comparison) -> list[str]:
    """Say on which side runs did not come to an end."""
    texts = []
    for side in comparison.back_ends:
        runs = comparison.measured(side)
        late = sum(run.timed_out for run in runs)
        if late:
            which = f"{late} of {len(runs)} runs" if len(runs) > 1 else "the run"
            texts.append(f"{side.name}: {which} took longer than {comparison.timeout:g} s, and was killed.")
    return texts


def difference_remarks(comparison: Comparison) -> list[str]:
    """Show the first lines that differ."""
    standard, oxthreads = (side.name for side in comparison.back_ends)
    texts = []
    for stream, difference in comparison.differences.items():
        of = f"{difference.differing_runs} of {difference.compared_runs}"
        texts += [f"{stream} differs in {of} (- {standard}, + {oxthreads}):"]
        texts += [f"    {line}" for line in difference.lines]
    return texts


def varying_remarks(comparison: Comparison) -> list[str]:
    """Name the results that already vary on the standard library."""
    varying = [name for name, verdict in comparison.verdicts.items() if verdict is Verdict.VARIES]
    if not varying:
        return []
    names = " and ".join(varying)
    return [f"Not the same in all runs on the standard library alone, so no difference is counted: {names}."]


def failure_remarks(comparison: Comparison) -> list[str]:
    """Give the last line on stderr of a script that failed, once if it is the same on both sides."""
    said: dict[str, list[str]] = {}
    for side in comparison.back_ends:
        failed = [run for run in comparison.measured(side) if run.usage.exit_code and not run.timed_out]
        if failed and failed[0].stderr.last_line:
            said.setdefault(failed[0].stderr.last_line, []).append(side.name)
    return [f"The script fails on {' and '.join(sides)}: {line}" for line, sides in said.items()]


def runner_remarks(comparison: Comparison) -> list[str]:
    """Pass on what the runner said, such as that it fell back to the standard library."""
    return list(dict.fromkeys(note for run in comparison.runs for note in run.stderr.notes))


def title(script: str) -> str:
    """What was compared, and where."""
    implementation = f"{platform.python_implementation()} {platform.python_version()}"
    machine = f"{platform.system()} {platform.machine()}, {counted(os.cpu_count() or 1, 'CPU')}"
    return f"{script} on {implementation}, {machine}"


def document(comparison: Comparison, command: list[str]) -> dict[str, Any]:
    """The comparison as one JSON document: the summary, and every run with its raw numbers."""
    return {
        "version": 1,
        "command": command,
        "timeout_seconds": comparison.timeout,
        "oxthreads": __version__,
        "python": {
            "implementation": platform.python_implementation(),
            "version": platform.python_version(),
            "executable": sys.executable,
        },
        "platform": {"system": platform.system(), "machine": platform.machine(), "cpus": os.cpu_count()},
        "same": comparison.same,
        "verdicts": {name.replace(" ", "_"): verdict.value for name, verdict in comparison.verdicts.items()},
        "set_aside": list(SET_ASIDE),
        "differences": {stream: asdict(difference) for stream, difference in comparison.differences.items()},
        "summary": {metric.key: summary_document(comparison, metric) for metric in METRICS},
        "runs": [run_document(run) for run in comparison.runs],
        "remarks": remarks(comparison),
    }


def summary_document(comparison: Comparison, metric: Metric) -> dict[str, Any]:
    """A row of the table: best and worst of each side, and standard / oxthreads."""
    spreads = [spread(metric, comparison.measured(side)) for side in comparison.back_ends]
    standard, oxthreads = (spread and asdict(spread) for spread in spreads)
    return {"standard": standard, "oxthreads": oxthreads, "ratio": ratio(*spreads)}


def run_document(run: Run) -> dict[str, Any]:
    """One run; exit_code is null if it was timed out, what the platform does not tell is null."""
    return {
        "back_end": run.back_end,
        "purpose": run.purpose.value,
        "timed_out": run.timed_out,
        **asdict(run.usage),
        "exit_code": None if run.timed_out else run.usage.exit_code,
        "stdout": output_document(run.stdout),
        "stderr": output_document(run.stderr),
    }


def output_document(output: Output) -> dict[str, Any]:
    """How much was written, and its digests."""
    return {
        "bytes": output.size,
        "lines": output.lines,
        "sha256": output.digest,
        "fingerprint": output.fingerprint,
    }
