"""Writes docs/performance_programs.json and the tables of docs/performance_programs.md.

    python benches/record_programs.py PYTHON...   # measure: `oxthreads bench programs` of each of them
    python benches/record_programs.py FILE.json...   # what `oxthreads bench programs --json` has printed
    python benches/record_programs.py             # write the tables again, from what was measured

Each PYTHON must have oxthreads and the packages of the extra `programs`. It takes about six minutes for each,
in which nothing else should run.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from oxthreads.bench.program_runs import CPU, PREFIX, PROGRAMS
from oxthreads.bench.report import figure_text
from oxthreads.bench.scenario import times
from oxthreads.comparison.report import aligned

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "performance_programs.md"
DATA = DOCS / "performance_programs.json"
MARKS = ("<!-- benches/record_programs.py -->\n", "<!-- end -->\n")

#: The contenders of the JSON of the command, and what they are called here.
CONTENDERS = {
    "standard": "standard",
    "oxthreads": "oxthreads",
    CPU.standard: "standard_cpu",
    CPU.oxthreads: "oxthreads_cpu",
}


def measure(python: str, rounds: int) -> dict[str, Any]:
    """Return what the command has measured with an interpreter.

    Args:
        python: the path of the interpreter.
        rounds: the number of counted runs on each side.
    """
    command = [
        str(Path(python).with_name("oxthreads")),
        "bench",
        "programs",
        "--json",
        "--rounds",
        str(rounds),
    ]
    # The status is 1 if a program could not be measured; the reason is on standard error.
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return condensed(json.loads(done.stdout))


def condensed(document: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of the JSON of the command.

    Args:
        document: the JSON.
    """
    machine = document["machine"]
    build = ", free-threaded" if machine["free_threaded"] else ""
    system = machine["platform"].partition("-")[0]
    return {
        "machine": f"{machine['implementation']} {machine['python']}{build}, {system} {machine['machine']}, "
        f"{machine['usable_cpus']} CPUs",
        "optimized_build": machine["optimized_build"],
        "rounds": document["settings"]["rounds"],
        "others_cpu_share": round(document["others_cpu_share"] or 0.0, 3),
        "skipped": document["skipped"],
        "programs": [
            {
                "name": result["name"].removeprefix(PREFIX),
                "program": result["title"],
                **{
                    ours: {
                        "best": float(f"{min(samples):.6g}"),
                        "median": float(f"{statistics.median(samples):.6g}"),
                    }
                    for name, ours in CONTENDERS.items()
                    if (samples := result["samples"][name])
                },
                "pairs": median_of_pairs(result["samples"], "standard", "oxthreads"),
                "pairs_cpu": median_of_pairs(result["samples"], CPU.standard, CPU.oxthreads),
            }
            for result in document["results"]
        ],
    }


def median_of_pairs(samples: dict[str, list[float]], standard: str, oxthreads: str) -> float:
    """Return the median of the ratios of two runs that were made one after the other.

    Args:
        samples: the times of each contender, in the order of the rounds.
        standard: the name of the first contender.
        oxthreads: that of the second.
    """
    ratios = [before / now for before, now in zip(samples[standard], samples[oxthreads], strict=True)]
    return float(f"{statistics.median(ratios):.4g}")


def ratio(program: dict[str, Any], suffix: str = "") -> str:
    """Return how many times more the standard library needs, comparing the best runs, as text.

    Args:
        program: the figures of a program.
        suffix: what the names of both contenders end with.
    """
    return times(program[f"standard{suffix}"]["best"] / program[f"oxthreads{suffix}"]["best"])


def short(machine: str) -> str:
    """Return a title without what is the same for all versions: ``3.14.0, free-threaded``."""
    return machine.removeprefix("CPython ").partition(", Linux")[0]


def summary(machines: list[dict[str, Any]]) -> str:
    """Return the table of all medians of pairs: wall time, and in parentheses CPU time."""
    rows: dict[str, list[str]] = {}
    for number, machine in enumerate(machines):
        for program in machine["programs"]:
            row = rows.setdefault(program["program"], [program["program"], *[""] * len(machines)])
            row[number + 1] = f"{times(program['pairs'])} ({times(program['pairs_cpu'])})"
    head = ["wall time (CPU time)", *(short(machine["machine"]) for machine in machines)]
    return "\n".join(aligned([head, *rows.values()]))


def cell(figures: dict[str, float]) -> str:
    """Return the best time, and by how much the median is above it."""
    more = figures["median"] / figures["best"] - 1
    return f"{figure_text(PROGRAMS, figures['best'])} (+{more:.0%})"


def table(machine: dict[str, Any]) -> str:
    """Return the times of all programs with one interpreter."""
    head = ["program", "standard", "oxthreads", "ratio", CPU.standard, CPU.oxthreads, CPU.label, "`NAME`"]
    rows = [
        [
            program["program"],
            cell(program["standard"]),
            cell(program["oxthreads"]),
            ratio(program),
            cell(program["standard_cpu"]),
            cell(program["oxthreads_cpu"]),
            ratio(program, "_cpu"),
            f"`{program['name']}`",
        ]
        for program in machine["programs"]
    ]
    return "\n".join(aligned([head, *rows]))


def remarks(machine: dict[str, Any]) -> str:
    """Return the sentences below a table."""
    build = "with" if machine["optimized_build"] else "without"
    lines = [
        f"Best of {machine['rounds']}. The interpreter was built {build} `--enable-optimizations`. "
        f"Others used {machine['others_cpu_share']:.0%} of the CPUs meanwhile."
    ]
    lines += [
        f"`{name}` was skipped: {missing} must be installed." for name, missing in machine["skipped"].items()
    ]
    return " ".join(lines)


def written(page: str, machines: list[dict[str, Any]]) -> str:
    """Return the page with the tables of these machines.

    Args:
        page: the text of the page.
        machines: what was measured.
    """
    before, _, rest = page.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    sections = [
        f"## {machine['machine']}\n\n{table(machine)}\n\n{remarks(machine)}\n" for machine in machines
    ]
    return (
        before + MARKS[0] + "\n" + "\n".join([summary(machines) + "\n", *sections]) + "\n" + MARKS[1] + after
    )


def main(interpreters: list[str]) -> None:
    """Measure with each interpreter, and write both files."""
    rounds = 15
    if interpreters[:1] == ["--rounds"]:
        rounds = int(interpreters[1])
        interpreters = interpreters[2:]
    if interpreters:
        machines = []
        for python in interpreters:
            print(python, file=sys.stderr)
            if python.endswith(".json"):
                machines.append(condensed(json.loads(Path(python).read_text(encoding="utf-8"))))
            else:
                machines.append(measure(python, rounds))
        DATA.write_text(json.dumps({"machines": machines}, indent=1) + "\n", encoding="utf-8")
    found = json.loads(DATA.read_text(encoding="utf-8"))["machines"]
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
