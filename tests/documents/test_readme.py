"""README.md is short, its numbers are those of docs/performance.md, and its examples run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from oxthreads.bench import catalogue

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PERFORMANCE = ROOT / "docs/performance.md"

#: The commands of set-up, as `.ci/run` looks for the second one.
SET_UP = re.compile(r"^python3 -m venv \.venv && .*$", re.MULTILINE)
#: A row of the measured numbers: what, standard, oxthreads, ratio, and the scenario that measures it.
NUMBER = re.compile(r"^\| (.+) \| (.+) \| (.+) \| (.+) \| `oxthreads bench ([\w-]+)` \|$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)]+)\)")

pytestmark = [
    pytest.mark.one_thread("starts child interpreters"),
    pytest.mark.skipif(not README.is_file(), reason="the documents are not here"),
]


def examples() -> list[str]:
    return re.findall(r"^```py\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)


def test_it_is_short() -> None:
    lines = README.read_text().splitlines()
    assert len(lines) <= 100
    assert max(len(line) for line in lines if not line.startswith("|")) <= 120


def test_the_set_up_is_two_commands() -> None:
    compare, test = SET_UP.findall(README.read_text())
    note = re.search(r"oxthreads compare (\S+)$", compare)
    assert note and (ROOT / note[1]).is_file()
    assert re.search(r"/pytest( -n [0-9]+ --dist worksteal)?$", test)


def test_its_numbers_were_measured() -> None:
    numbers = NUMBER.findall(README.read_text())
    assert len(numbers) == 3
    # The first version that was measured.
    _, section, *_ = PERFORMANCE.read_text().split("\n## ")
    machine = section.partition("\n")[0]
    assert f"\n| {machine} | standard | oxthreads | ratio | measured by |\n" in README.read_text()
    measured = [re.sub(r" \([^)]*\)", "", line) for line in section.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in measured]
    names = {scenario.name: scenario.title for scenario in catalogue.SCENARIOS}
    for what, *figures, name in numbers:
        assert names[name] == what
        assert [what, *figures] in [row[:4] for row in rows]


@pytest.mark.parametrize("number", range(len(examples())))
def test_an_example_runs(number: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", examples()[number]], capture_output=True, text=True, check=True
    )
    assert done.stdout == "a message\n"
    assert done.stderr == ""


def test_it_has_an_example() -> None:
    assert len(examples()) == 1


def test_its_links_can_be_made_absolute(tmp_path: Path) -> None:
    # On the page of a package index, it stands alone.
    (tmp_path / ".ci").mkdir()
    script = shutil.copy(ROOT / ".ci/readme-links", tmp_path / ".ci")
    shutil.copy(README, tmp_path)
    command = [sys.executable, script, "https://example.org/oxthreads/blob/v1/"]
    subprocess.run(command, check=True, capture_output=True)
    made = LINK.findall((tmp_path / "README.md").read_text())
    assert made == [
        f"https://example.org/oxthreads/blob/v1/{link}" for link in LINK.findall(README.read_text())
    ]
    assert made


@pytest.mark.parametrize("arguments", [[], ["example.org"], ["https://example.org", "more"]])
def test_a_wrong_address_changes_nothing(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    script = shutil.copy(ROOT / ".ci/readme-links", tmp_path / ".ci")
    shutil.copy(README, tmp_path)
    done = subprocess.run([sys.executable, script, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "ADDRESS" in done.stderr
    assert (tmp_path / "README.md").read_text() == README.read_text()
