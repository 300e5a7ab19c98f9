"""docs/metrics.md: its examples run, and its table has all metrics."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from oxthreads.metrics import BUCKETS
from oxthreads.metrics._table import METRICS
from tests.metrics.scraping import run

pytestmark = pytest.mark.one_thread("starts child interpreters")

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs/metrics.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```\n\nIt printed:\n\n```\n(.*?)```", DOCUMENT, flags=re.DOTALL)


def without_values(text: str) -> list[str]:
    """The lines without values, and without waits for calls: a worker waits if the program is slower."""
    lines = [line.rpartition(" ")[0] for line in text.splitlines()]
    return [line for line in lines if "call for a worker" not in line]


@pytest.mark.parametrize("number", [0, 1])
def test_an_example_prints_what_the_document_says(number: int) -> None:
    program, output = EXAMPLES[number]
    # Other tests use ports, too.
    program = program.replace("start_http_server(9464,", "start_http_server(0,")
    program = program.replace('"http://127.0.0.1:9464/', 'f"http://127.0.0.1:{server.server_port}/')
    assert without_values(run(program)) == without_values(output)


def test_there_are_two_examples() -> None:
    assert len(EXAMPLES) == 2


def test_the_table_has_all_metrics() -> None:
    rows = re.findall(r"^\| `(oxthreads_\w+)` \| (\w+) \| \w+ \|(.*?)\|", DOCUMENT, flags=re.MULTILINE)
    expected: set[tuple[str, str, tuple[str, ...]]] = {
        ("oxthreads_wait_seconds", "histogram", ("kind", "name"))
    }
    for metric in METRICS:
        name = metric.prometheus_name + "_total" * metric.is_counter
        expected.add((name, "counter" if metric.is_counter else "gauge", metric.labels))
    assert {(name, kind, tuple(re.findall(r"\w+", labels))) for name, kind, labels in rows} == expected


def test_the_bounds_of_the_buckets_are_told() -> None:
    (text,) = re.findall(r"have the bounds (.*?), unless", DOCUMENT, flags=re.DOTALL)
    units = {"ms": 0.001, "s": 1.0}
    bounds = [float(number) * units[unit] for number, unit in re.findall(r"([\d.]+) (ms|s)\b", text)]
    assert bounds == pytest.approx(BUCKETS)
