"""The plots of docs/performance.md are drawn from its tables, and stand alone."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

pytestmark = [
    pytest.mark.one_thread("reads the documents"),
    pytest.mark.skipif(not (ROOT / "benches").is_dir(), reason="the documents are not here"),
]


@pytest.fixture(scope="module")
def plots() -> ModuleType:
    spec = importlib.util.spec_from_file_location("plots", ROOT / "benches/plots.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def files(plots: ModuleType) -> dict[str, str]:
    found: dict[str, str] = plots.files((DOCS / "performance.md").read_text())
    return found


@pytest.fixture(scope="module")
def data(files: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files["performance.json"])
    return found


def test_the_files_are_those_of_the_tables(files: dict[str, str]) -> None:
    # If this fails, the page has changed since: `just plots`.
    assert [name for name, text in files.items() if (DOCS / name).read_text() != text] == []
    page = (DOCS / "performance.md").read_text()
    assert [name for name in files if f"]({name})" not in page] == []


def test_every_row_is_in_the_data(data: dict[str, Any]) -> None:
    page = (DOCS / "performance.md").read_text()
    for machine in data["machines"]:
        section = page.partition(f"## {machine['machine']}\n")[2].partition("\n## ")[0]
        for kind in ("speed", "memory"):
            table = section.partition(f"| {kind} ")[2].partition("\n\n")[0].splitlines()[2:]
            rows = machine[kind]
            assert [row["operation"] for row in rows] == [line.split("|")[1].strip() for line in table]
            for row, line in zip(rows, table, strict=True):
                assert row["ratio"] == pytest.approx(row["standard"] / row["oxthreads"], rel=0.02)
                assert line.split("|")[4].strip() == f"{row['ratio']:.{0 if row['ratio'] >= 100 else 2}f}x"
    assert (
        sum(len(curve["points"]) for curve in data["growth"]["curves"])
        == page.count("\n|", page.index("| growth ")) - 1
    )


@pytest.mark.parametrize("name", ["speed.svg", "memory.svg", "growth.svg"])
def test_a_picture_is_well_formed_and_loads_nothing(name: str, files: dict[str, str]) -> None:
    picture = ElementTree.fromstring(files[name])
    space = "{http://www.w3.org/2000/svg}"
    assert picture.find(f"{space}title") is not None
    assert len(picture.findall(f"{space}path")) > 20
    assert "prefers-color-scheme" in files[name]
    assert "http" not in files[name].replace("http://www.w3.org/2000/svg", "")
    # Whole in its box, which is as narrow as a phone can show.
    width, height = (float(number) for number in picture.attrib["viewBox"].split()[2:])
    assert width <= 480
    for text in picture.iter(f"{space}text"):
        assert 0 <= float(text.attrib["x"]) <= width and 0 < float(text.attrib["y"]) <= height
    for path in picture.iter(f"{space}path"):
        x, y = (
            float(number)
            for number in path.attrib["d"][1:]
            .replace("a", ",")
            .replace("h", ",")
            .replace("l", ",")
            .split(",")[:2]
        )
        assert 0 <= x <= width and 0 <= y <= height


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("269 ns (+8%)", 269e-9),
        ("1.74 us", 1.74e-6),
        ("195 MiB (+0%)", 195 * 2**20),
        ("", None),
        (">= 1.30x", None),
    ],
)
def test_a_cell_is_read(cell: str, value: float | None, plots: ModuleType) -> None:
    assert plots.quantity(cell) == (pytest.approx(value, rel=1e-5) if value else None)


def test_a_page_without_tables_has_no_measurements(plots: ModuleType) -> None:
    assert plots.measurements("# Nothing\n\n## Here\n\ntext\n")["machines"] == []
