"""Tests of ``oxthreads bench programs``: the programs, and the command that runs them on both libraries."""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from oxthreads import cli
from oxthreads.bench import catalogue, program_runs, timed_program
from oxthreads.bench.program_runs import CPU, FOLDER, PREFIX, ProgramScenario
from oxthreads.bench.scenario import OXTHREADS, STANDARD, BenchmarkError, Settings
from tests.command_line.running import run

pytestmark = pytest.mark.one_thread("starts child interpreters, and replaces the catalogue")

#: A fiftieth of each program, once on each side.
QUICK = Settings(libraries=(), rounds=1, divisor=50)
NAMES = [scenario.name for scenario in program_runs.SCENARIOS]

ANSWERS = """
import threading
SIZE = 100
def main(size):
    lock = threading.Lock()
    with lock:
        return str(size)
"""
OTHER_ON_THE_OTHER_SIDE = """
import sys
SIZE = 100
def main(size):
    return "other" if "oxthreads.patch" in sys.modules else "one"
"""
FAILS = """
SIZE = 100
def main(size):
    raise LookupError("nothing there")
"""
VARIES = """
import os
SIZE = 100
def main(size):
    return str(os.getpid())
"""


def written(folder: Path, source: str) -> ProgramScenario:
    """A program of one's own."""
    (folder / "made.py").write_text(source)
    return ProgramScenario("program-made", "a made one", "", operations=1, threads=1, folder=folder)


@pytest.mark.parametrize("scenario", program_runs.SCENARIOS, ids=NAMES)
def test_a_program_prints_the_same_on_both_libraries(scenario: ProgramScenario) -> None:
    for package in scenario.needs:
        pytest.importorskip(package)
    # This raises if the output differs, or if a side has run on the other library.
    outcome = scenario.measure(QUICK)
    assert set(outcome.samples) == {STANDARD, OXTHREADS, CPU.standard, CPU.oxthreads}
    assert all(len(samples) == 1 and samples[0] > 0 for samples in outcome.samples.values())


def test_each_file_is_a_program_and_has_its_name() -> None:
    files = {file.stem for file in (FOLDER / "programs").glob("*.py")} - {"__init__"}
    assert {scenario.file.stem for scenario in program_runs.SCENARIOS} == files
    assert len(set(NAMES)) == len(NAMES) and all(name.startswith(PREFIX) for name in NAMES)


@pytest.mark.parametrize("scenario", program_runs.SCENARIOS, ids=NAMES)
def test_a_program_imports_only_the_standard_library_and_what_it_needs(scenario: ProgramScenario) -> None:
    tree = ast.parse(scenario.file.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    packages = {name.partition(".")[0] for name in imported}
    assert packages - set(sys.stdlib_module_names) == set(scenario.needs)
    assert ast.get_docstring(tree)


@pytest.mark.parametrize("name", ["cache", "crawler"])
def test_a_program_can_be_run_by_itself(name: str, tmp_path: Path) -> None:
    done = run(str(FOLDER / "programs" / f"{name}.py"), where=tmp_path, command=[sys.executable])
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)


def test_the_counted_runs_are_on_both_sides(tmp_path: Path) -> None:
    outcome = written(tmp_path, ANSWERS).measure(Settings(libraries=(), rounds=3))
    assert {name: len(samples) for name, samples in outcome.samples.items()} == {
        STANDARD: 3,
        OXTHREADS: 3,
        CPU.standard: 3,
        CPU.oxthreads: 3,
    }


def test_the_size_is_divided_and_is_never_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, record = tmp_path / "made.py", tmp_path / "times"
    path.write_text(ANSWERS)
    for divisor in (1, 10, 1_000):
        timed_program.main(str(path), divisor, str(record))
    assert capfd.readouterr().out.split() == ["100", "10", "1"]
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [line["library"] for line in lines] == ["standard"] * 3
    assert all(line["wall_seconds"] > 0 and line["cpu_seconds"] >= 0 for line in lines)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (OTHER_ON_THE_OTHER_SIDE, "stdout differs: -one; +other"),
        (FAILS, "LookupError: nothing there"),
        (VARIES, "stdout varies on the standard library alone"),
        ("SIZE = 1", "AttributeError: module 'program' has no attribute 'main'"),
        ("nonsense(", "SyntaxError: '(' was never closed"),
    ],
)
def test_a_program_that_is_not_the_same_is_an_error(source: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError) as raised:
        written(tmp_path, source).measure(Settings(libraries=(), rounds=2))
    assert why in str(raised.value)


def test_a_run_on_the_other_library_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = program_runs.PLAIN
    monkeypatch.setattr(program_runs, "RUNNER", type(plain)(OXTHREADS, plain.command, plain.environment))
    with pytest.raises(BenchmarkError, match="oxthreads: the program has run on standard"):
        written(tmp_path, ANSWERS).measure(QUICK)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Replace the catalogue by a program that can run, and one for which a package is missing."""
    fine = written(tmp_path, ANSWERS)
    lacking = replace(
        fine, name="program-lacking", title="a lacking one", needs=("no_such_package", "nor_this")
    )
    monkeypatch.setattr(catalogue, "SCENARIOS", (fine, lacking))


@pytest.mark.usefixtures("only")
def test_a_program_without_its_packages_is_skipped_with_a_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["bench", "programs", "--rounds", "2", "--check"]) in (0, 1)  # 1: it was slower
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "program-lacking was skipped: no_such_package and nor_this must be installed." in printed.out
    assert "| a made one |" in printed.out and "| a lacking one |" not in printed.out
    assert "Peers" not in printed.out and "not installed" not in printed.out


@pytest.mark.usefixtures("only")
def test_json_has_both_ratios_and_what_was_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "programs", "--rounds", "2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["skipped"] == {"program-lacking": "no_such_package and nor_this"}
    [result] = document["results"]
    assert result["kind"] == "programs" and result["unit"] == "seconds"
    assert all(len(samples) == 2 for samples in result["samples"].values())
    figures = result["figures"]
    assert result["score"] == figures[STANDARD] / figures[OXTHREADS]
    assert result[CPU.label] == figures[CPU.standard] / figures[CPU.oxthreads]


@pytest.mark.usefixtures("only")
def test_the_table_has_wall_time_and_cpu_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "programs", "made", "--rounds", "2"]) == 0
    [head] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| programs ")]
    assert [cell.strip() for cell in head.strip("|").split("|")] == [
        "programs", "standard", "oxthreads", "ratio", "CPU: standard", "CPU: oxthreads", "CPU ratio", "goal",
    ]  # fmt: skip


def test_names_after_programs_are_names_of_programs() -> None:
    def selected(*names: str) -> list[str]:
        return [scenario.name.removeprefix(PREFIX) for scenario in catalogue.select(names)]

    assert selected("programs", "crawler") == selected("programs", "program-crawler") == ["crawler"]
    assert selected("programs", "cache", "pool-*") == ["pool-for-each-request", "cache"]
    assert selected("programs") == selected("program-*") == [name.removeprefix(PREFIX) for name in NAMES]
    assert "pool-burst" in selected("pool-*") and "pool-for-each-request" not in selected("pool-*")
    assert {scenario.kind.name for scenario in catalogue.select(["startup", "programs"])} == {
        "startup",
        "programs",
    }


@pytest.mark.parametrize("name", ["nonsense", "", "queue-burst", "startup"])
def test_an_unknown_program_is_an_error_that_lists_them(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bench", "programs", "crawler", name]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"oxthreads bench: no program is called {name!r}; there are: worker-pool, ")
    assert "lock-with" not in printed.err


def test_list_prints_the_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "programs", "--list"]) == 0
    listed = capsys.readouterr().out
    assert [line.split()[1] for line in listed.splitlines()[2:]] == NAMES
    assert cli.main(["bench", "programs", "c*", "--list"]) == 0
    listed = capsys.readouterr().out
    assert "| program-crawler " in listed and "| program-pipeline " not in listed


def test_help_names_the_programs(tmp_path: Path) -> None:
    done = run("bench", "programs", "--help", where=tmp_path)
    assert done.returncode == 0
    assert "oxthreads bench programs crawler 'pool-*'" in done.stdout


def test_the_programs_are_in_the_package() -> None:
    spec = importlib.util.find_spec("oxthreads.bench.programs")
    assert spec is not None and spec.origin is not None
    assert (Path(spec.origin).parent / "beside" / "visitors.py").is_file()
