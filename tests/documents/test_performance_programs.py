"""The tables of docs/performance_programs.md are those of what was measured."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from oxthreads.bench.catalogue import short_name
from oxthreads.bench.program_runs import SCENARIOS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/performance_programs.md"
DATA = ROOT / "docs/performance_programs.json"

pytestmark = [
    pytest.mark.one_thread("reads the documents"),
    pytest.mark.skipif(not (ROOT / "benches").is_dir(), reason="the documents are not here"),
]


@pytest.fixture(scope="module")
def record_programs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("record_programs", ROOT / "benches/record_programs.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def machines() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DATA.read_text())["machines"]
    return found


def test_the_page_has_the_tables_of_the_data(
    record_programs: ModuleType, machines: list[dict[str, Any]]
) -> None:
    # If this fails, one of the two has changed since: `python benches/record_programs.py`.
    assert record_programs.written(PAGE.read_text(), machines) == PAGE.read_text()


def test_every_program_was_measured_or_skipped_with_a_reason(machines: list[dict[str, Any]]) -> None:
    names = [short_name(scenario) for scenario in SCENARIOS]
    for machine in machines:
        measured = [program["name"] for program in machine["programs"]]
        skipped = [name.removeprefix("program-") for name in machine["skipped"]]
        assert sorted(measured + skipped) == sorted(names)


def test_a_ratio_and_a_cell_are_those_of_the_figures(record_programs: ModuleType) -> None:
    program = {
        "standard": {"best": 0.3, "median": 0.4},
        "oxthreads": {"best": 0.1, "median": 0.2},
        "standard_cpu": {"best": 0.2, "median": 0.2},
        "oxthreads_cpu": {"best": 0.4, "median": 0.4},
    }
    assert record_programs.ratio(program) == "3.00x"
    samples = {"standard": [4.0, 9.0, 2.0], "oxthreads": [2.0, 3.0, 2.0]}
    assert record_programs.median_of_pairs(samples, "standard", "oxthreads") == 2.0
    assert record_programs.ratio(program, "_cpu") == "0.50x"
    assert record_programs.cell(program["oxthreads"]) == "100 ms (+100%)"
