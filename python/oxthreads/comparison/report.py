"""Shows a comparison as a table or as a JSON document."""

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

SET_ASIDE_LINE = f"Ignored when outputs are compared: {', '.join(SET_ASIDE)}."

#: Stands for a value that is missing.
NOT_AVAILABLE = "n/a"


@dataclass(frozen=True)
class Metric:
    """A row of numbers in the table. Smaller is better in all of them."""

    label: str
    key: str
    """Its name in the JSON document, which includes the unit."""
    of: Callable[[Run], float | None]
    """Returns the value of a run. None if the platform does not provide it."""
    text: Callable[[float], str]
    """Returns a value as text, with its unit."""


@dataclass(frozen=True)
class Spread:
    """The lowest and the highest value of the runs of one back end."""

    best: float
    worst: float


def seconds_text(seconds: float) -> str:
    """Return a time as text with three digits and a unit: ``12.3 ms``, ``1.23 s``."""
    return three_digits(seconds) + " s" if seconds >= 1 else three_digits(1000 * seconds) + " ms"


def memory_text(size: float) -> str:
    """Return a number of bytes as text: ``12.3 MiB``."""
    return three_digits(size / 2**20) + " MiB"


def three_digits(value: float) -> str:
    """Return a number as text with three digits, or with more if there are more before the point."""
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
    """Return the best and the worst value of the runs that have ended by themselves.

    Args:
        metric: the row of the table.
        runs: the runs of one back end.

    Returns:
        The two values. None if there is no such run, or if the platform does not provide the value.
    """
    values = [metric.of(run) for run in runs if not run.timed_out]
    known = [value for value in values if value is not None]
    return Spread(min(known), max(known)) if known else None


def ratio(standard: Spread | None, oxthreads: Spread | None) -> float | None:
    """Return how many times more the standard library needs, comparing the best values.

    Returns:
        The ratio. None if a value is missing, or if that of oxthreads is zero.
    """
    if standard is None or oxthreads is None or not oxthreads.best:
        return None
    return standard.best / oxthreads.best


def table(comparison: Comparison, script: str) -> str:
    """Return the comparison as a Markdown table, followed by remarks. It is also readable as plain text.

    Args:
        comparison: the runs and verdicts.
        script: the name of the script, for the first line.
    """
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
    """Return the lines of a Markdown table with padded columns.

    Args:
        rows: the cells of each row. The first row is the head of the table.

    Returns:
        The lines. The first column is aligned to the left, all others to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = [f"{'':-<{widths[0]}}-"] + [f"{'':-<{width}}:" for width in widths[1:]]

    def line(cells: list[str]) -> str:
        first, *others = cells
        padded = [first.ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        return f"| {' | '.join(padded)} |"

    return [line(rows[0]), f"|-{'|-'.join(rule)}|", *map(line, rows[1:])]


def metric_row(comparison: Comparison, metric: Metric) -> list[str]:
    """Return the cells: the label, the best value and the spread of each side, and the ratio."""
    standard, oxthreads = (spread(metric, comparison.measured(side)) for side in comparison.back_ends)
    quotient = ratio(standard, oxthreads)
    return [
        metric.label,
        spread_text(metric, standard),
        spread_text(metric, oxthreads),
        NOT_AVAILABLE if quotient is None else three_digits(quotient) + "x",
    ]


def spread_text(metric: Metric, spread: Spread | None) -> str:
    """Return the best value, and how much higher the worst is: ``512 ms (+4%)``, ``3 (to 12)``."""
    if spread is None:
        return NOT_AVAILABLE
    best = metric.text(spread.best)
    if spread.worst == spread.best:
        return best
    if spread.worst >= 2 * spread.best:
        return f"{best} (to {metric.text(spread.worst)})"
    return f"{best} (+{100 * (spread.worst / spread.best - 1):.0f}%)"


def exit_code_row(comparison: Comparison) -> list[str]:
    """Return the cells: the label, all exit codes that occurred on each side, and the verdict."""
    sides = [
        " or ".join(dict.fromkeys(exit_text(run) for run in comparison.measured(side)))
        for side in comparison.back_ends
    ]
    return ["exit code", *sides, comparison.verdicts["exit code"].value]


def exit_text(run: Run) -> str:
    """Return the exit code of a run as text. If it has none: the name of the signal, or ``timed out``."""
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
    """Return the cells: the label, how much each side has written, and the verdict on both streams."""
    streams = {name: comparison.verdicts[name] for name in ("stdout", "stderr")}
    if len(set(streams.values())) == 1:
        text = streams["stdout"].value
    else:
        text = ", ".join(f"{name} {v.value}" for name, v in streams.items() if v is not Verdict.SAME)
    return ["output", *(lines_text(comparison, side) for side in comparison.back_ends), text]


def lines_text(comparison: Comparison, back_end: BackEnd) -> str:
    """Return how many lines a run has written to both streams; a range if the runs differ."""
    counts = sorted(run.stdout.lines + run.stderr.lines for run in comparison.measured(back_end))
    if counts[0] == counts[-1]:
        return counted(counts[0], "line")
    return f"{counts[0]} to {counts[-1]} lines"


def counted(number: int, noun: str) -> str:
    """Return a number and its noun: ``1 line``, ``2 lines``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def remarks(comparison: Comparison) -> list[str]:
    """Return lines about what the table does not show, such as the lines that differ."""
    return [
        *timeout_remarks(comparison),
        *difference_remarks(comparison),
        *varying_remarks(comparison),
        *failure_remarks(comparison),
        *runner_remarks(comparison),
    ]


def timeout_remarks(comparison: Comparison) -> list[str]:
    """Return lines that name the sides on which the timeout has ended runs."""
    texts = []
    for side in comparison.back_ends:
        runs = comparison.measured(side)
        late = sum(run.timed_out for run in runs)
        if late:
            which = f"{late} of {len(runs)} runs" if len(runs) > 1 else "the run"
            texts.append(f"{side.name}: {which} took longer than {comparison.timeout:g} s, and was killed.")
    return texts


def difference_remarks(comparison: Comparison) -> list[str]:
    """Return the first lines that differ, for each stream."""
    standard, oxthreads = (side.name for side in comparison.back_ends)
    texts = []
    for stream, difference in comparison.differences.items():
        of = f"{difference.differing_runs} of {difference.compared_runs}"
        texts += [f"{stream} differs in {of} (- {standard}, + {oxthreads}):"]
        texts += [f"    {line}" for line in difference.lines]
    return texts


def varying_remarks(comparison: Comparison) -> list[str]:
    """Return a line that names the results which already vary on the standard library."""
    varying = [name for name, verdict in comparison.verdicts.items() if verdict is Verdict.VARIES]
    if not varying:
        return []
    names = " and ".join(varying)
    return [f"Differs between runs on the standard library alone, so no difference is counted: {names}."]


def failure_remarks(comparison: Comparison) -> list[str]:
    """Return the last line on stderr of a script that failed; one line if both sides have the same."""
    said: dict[str, list[str]] = {}
    for side in comparison.back_ends:
        failed = [run for run in comparison.measured(side) if run.usage.exit_code and not run.timed_out]
        if failed and failed[0].stderr.last_line:
            said.setdefault(failed[0].stderr.last_line, []).append(side.name)
    return [f"The script fails on {' and '.join(sides)}: {line}" for line, sides in said.items()]


def runner_remarks(comparison: Comparison) -> list[str]:
    """Return the lines of the runner. An example: it has kept the standard library."""
    return list(dict.fromkeys(note for run in comparison.runs for note in run.stderr.notes))


def title(script: str) -> str:
    """Return a line that says what was compared, and on which machine."""
    implementation = f"{platform.python_implementation()} {platform.python_version()}"
    machine = f"{platform.system()} {platform.machine()}, {counted(os.cpu_count() or 1, 'CPU')}"
    return f"{script} on {implementation}, {machine}"


def document(comparison: Comparison, command: list[str]) -> dict[str, Any]:
    """Return the comparison for JSON: the summary, and every run with its raw numbers.

    Args:
        comparison: the runs and verdicts.
        command: the command line of the script.
    """
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
    """Return a row of the table for JSON: best and worst of each side, and the ratio."""
    spreads = [spread(metric, comparison.measured(side)) for side in comparison.back_ends]
    standard, oxthreads = (spread and asdict(spread) for spread in spreads)
    return {"standard": standard, "oxthreads": oxthreads, "ratio": ratio(*spreads)}


def run_document(run: Run) -> dict[str, Any]:
    """Return one run for JSON. ``exit_code`` is null if the timeout has ended the run.

    Values that the platform does not provide are null too.
    """
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
    """Return the size and the digests of an output for JSON."""
    return {
        "bytes": output.size,
        "lines": output.lines,
        "sha256": output.digest,
        "fingerprint": output.fingerprint,
    }
