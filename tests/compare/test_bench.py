"""Tests of ``oxthreads bench``: its command line, its output, and how it ends."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oxthreads import cli
from oxthreads.bench import catalogue, libraries, report
from oxthreads.bench.libraries import Library
from oxthreads.bench.rounds import Round, SpeedScenario, prepared
from oxthreads.bench.scenario import OXTHREADS, STANDARD, Goal, Result, Settings
from tests.support.interpreters import python

pytestmark = pytest.mark.one_thread("replaces the catalogue, and prints")

SUITE = Path(__file__).parents[2] / "benches" / "suite.py"
QUICK = ["--quick", "--rounds", "2", "--without-peers"]
#: Fast scenarios. Each kind that a plot shows in another way is among them.
SOME = ["lock-with", "event-wait", "calls-lock", "startup-import", "latency-pool", "growth-lock-*"]
BENCH = "import sys; from oxthreads.cli import main; sys.exit(main(['bench', *sys.argv[1:]]))"


@prepared
def made(library: Library, operations: int) -> Iterator[Round]:
    """Rounds in which the standard library takes twice as long."""
    yield lambda: 2_000 if library.name == STANDARD else 1_000


@prepared
def interrupted(library: Library, operations: int) -> Iterator[Round]:
    """A round that Ctrl-C interrupts."""

    def round() -> int:
        signal.raise_signal(signal.SIGINT)
        return 1

    yield round


def scenario(name: str, goal: float | None = None, prepare: object = made) -> SpeedScenario:
    return SpeedScenario(
        name, f"the {name}", "", operations=10, threads=1, goal=None if goal is None else Goal(goal),
        prepare=prepare,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> object:
    """A function that replaces the catalogue by the given scenarios."""
    return lambda *scenarios: monkeypatch.setattr(catalogue, "SCENARIOS", scenarios)


def test_the_table_and_json_have_the_same_figures() -> None:
    settings = Settings(libraries=(libraries.standard(), libraries.ours()), rounds=3, divisor=100)
    selected = catalogue.select(SOME)
    results = [Result(scenario, scenario.measure(settings)) for scenario in selected]
    who = report.Peers({"a-peer": "1.2"}, {"another": "not installed"})
    table = report.tables(results, settings, who, 0.25)
    document = json.loads(json.dumps(report.document(results, settings, who, 0.25), allow_nan=False))
    assert [entry["name"] for entry in document["results"]] == [scenario.name for scenario in selected]
    lines = {line.split(" | ")[0].removeprefix("| ").rstrip(): line for line in table.splitlines()}
    for entry, result in zip(document["results"], results, strict=True):
        kind = result.scenario.kind
        for name, samples in entry["samples"].items():
            assert samples and all(math.isfinite(sample) and sample > 0 for sample in samples)
            assert entry["figures"][name] == kind.figure(samples)
            assert report.cell(kind, samples) in lines[entry["title"]]
        assert kind.score_text(entry["score"]) in lines[entry["title"]]
        assert (" missed |" in lines[entry["title"]]) == (entry["met"] is False)
    assert "Peers: a-peer 1.2." in table and "Without another (not installed)." in table
    assert document["peers"] == {"found": {"a-peer": "1.2"}, "missing": {"another": "not installed"}}
    assert "Others used 25% of the CPUs" in table and document["others_cpu_share"] == 0.25
    assert document["machine"]["usable_cpus"] >= 1
    assert document["settings"]["rounds"] == 3


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "lock-with", "event-*", *QUICK, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in document["results"]] == ["lock-with", "event-wait", "event-set-clear"]
    for entry in document["results"]:
        assert set(entry["samples"]) == {STANDARD, OXTHREADS}
        assert all(len(samples) == 2 for samples in entry["samples"].values())


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux has it")
def test_it_can_use_fewer_cpus(capsys: pytest.CaptureFixture[str]) -> None:
    before = os.sched_getaffinity(0)
    assert cli.main(["bench", "lock-with", *QUICK, "--json", "--cpus", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["machine"]["usable_cpus"] == 1
    assert os.sched_getaffinity(0) == before
    assert cli.main(["bench", "lock-with", "--cpus", str(len(before) + 1)]) == 2
    assert "may be used here" in capsys.readouterr().err


def test_the_script_in_benches_runs_the_command() -> None:
    arguments = [sys.executable, str(SUITE), "lock-with", *QUICK]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=True)
    assert "| Lock: `with` |" in done.stdout
    assert done.stderr == ""


def test_list_prints_the_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "--list", "lock-with"]) == 0
    listed = capsys.readouterr().out
    assert "| lock-with |" in listed and "rlock-with" not in listed
    assert cli.main(["bench", "--list"]) == 0
    listed = capsys.readouterr().out
    assert all(f"| {scenario.name} " in listed for scenario in catalogue.SCENARIOS)


def test_an_unknown_name_is_an_error_that_lists_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "lock-with", "no-such-*"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "'no-such-*'" in printed.err
    assert all(scenario.name in printed.err for scenario in catalogue.SCENARIOS)


@pytest.mark.parametrize(
    ("goals", "code"),
    [([None], 0), ([2.0], 0), ([2.0, 2.01], 1), ([math.inf], 1)],
)
def test_check_fails_if_a_goal_is_missed(
    only: object, capsys: pytest.CaptureFixture[str], goals: list[float | None], code: int
) -> None:
    only(*[scenario(f"made-{number}", goal) for number, goal in enumerate(goals)])  # type: ignore[operator]
    assert cli.main(["bench", "*", *QUICK, "--check"]) == code
    assert (" missed |" in capsys.readouterr().out) == (code == 1)
    assert cli.main(["bench", "*", *QUICK]) == 0


def test_a_scenario_that_fails_does_not_stop_the_others(
    only: object, capsys: pytest.CaptureFixture[str]
) -> None:
    @prepared
    def broken(library: Library, operations: int) -> Iterator[Round]:
        raise LookupError("nothing there")
        yield

    only(scenario("broken", prepare=broken), scenario("fine"))  # type: ignore[operator]
    assert cli.main(["bench", "*", *QUICK]) == 1
    printed = capsys.readouterr()
    assert printed.err == "oxthreads bench: broken: standard: LookupError: nothing there\n"
    assert "| the fine |" in printed.out


def test_ctrl_c_ends_the_command(only: object, capsys: pytest.CaptureFixture[str]) -> None:
    only(scenario("interrupted", prepare=interrupted))  # type: ignore[operator]
    assert cli.main(["bench", "*", *QUICK]) == 130
    assert capsys.readouterr() == ("", "")


HANGING = """
import threading
from oxthreads.bench import catalogue
from oxthreads.bench.rounds import SpeedScenario, prepared
@prepared
def hang(library, operations):
    gate = threading.Lock()
    gate.acquire()
    yield gate.acquire
catalogue.SCENARIOS = (SpeedScenario("hang", "hang", "", operations=1, threads=1, prepare=hang),)
"""


def test_a_scenario_that_hangs_is_ended_and_shows_its_stack() -> None:
    done = python(HANGING + BENCH, "*", "--without-peers", "--timeout", "0.2", runner=False)
    assert done.returncode == 1
    assert "Timeout" in done.stderr and "in interleave" in done.stderr


@pytest.mark.parametrize("how", ["runner", "install"])
def test_it_refuses_to_compare_the_patch_with_itself(how: str) -> None:
    install = "from oxthreads import patch; patch.install(only=['threading.Event']); "
    code = BENCH if how == "runner" else install + BENCH
    done = python(code, "lock-with", *QUICK, runner=how == "runner")
    assert (done.returncode, done.stdout) == (2, "")
    assert "OXTHREADS=0 oxthreads bench" in done.stderr


def test_a_plot_needs_matplotlib(tmp_path: Path) -> None:
    picture = tmp_path / "picture.svg"
    code = "import sys; sys.modules['matplotlib'] = None; " + BENCH
    done = python(code, "lock-with", *QUICK, "--plot", str(picture), runner=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'oxthreads[plot]'" in done.stderr
    assert not picture.exists()


def test_a_plot_is_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    picture = tmp_path / "picture.svg"
    # In a separate process, because matplotlib leaves much behind.
    done = python(BENCH, *SOME, "growth-task-*", *QUICK, "--plot", str(picture), runner=False)
    assert (done.returncode, done.stderr) == (0, "")
    drawn = picture.read_text()
    assert drawn.startswith("<?xml") and "<svg" in drawn
    assert drawn.count('id="axes_') == 6, "four panels of bars, two of curves"
