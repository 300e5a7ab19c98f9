"""What a page says that oxthreads reports about a program of this page, it reports, line for line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.waiting import TIMEOUT_SECONDS

DOCS = Path(__file__).resolve().parents[2] / "docs"

pytestmark = [
    pytest.mark.one_thread("starts child interpreters"),
    pytest.mark.skipif(not DOCS.is_dir(), reason="the documents are not here"),
]


class Report(NamedTuple):
    """A program in a page, and below it what a command reports about it."""

    page: str
    #: The name of the program, which the report has in it.
    file: str
    command: str
    #: How the program begins, and how the report does.
    program: str
    begins: str
    status: int


REPORTS = [
    Report(
        "lock_order.md",
        "bank.py",
        "python -m oxthreads --watch=order bank.py",
        "import threading\n\n\nclass Account:",
        "oxthreads: lock order: ",
        0,
    ),
    Report(
        "tutorial/on_oxthreads.md",
        "hang.py",
        "python -m oxthreads --watch=exit hang.py",
        "import threading\n\nchecking, savings =",
        "oxthreads: deadlock: ",
        2,
    ),
]


def lines(text: str) -> list[str]:
    """Which of the threads comes first, and how long it has waited, differ each time."""
    return sorted(re.sub(r"\d+(\.\d+)? s\b", "N s", line) for line in text.splitlines() if line)


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.page)
def test_a_report_is_as_the_page_shows_it(report: Report, tmp_path: Path) -> None:
    text = (DOCS / report.page).read_text(encoding="utf-8")
    assert report.command in text
    blocks = [content for _, content in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]
    (program,) = [block for block in blocks if block.startswith(report.program)]
    (shown,) = [block for block in blocks if block.startswith(report.begins)]
    (tmp_path / report.file).write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, *report.command.split()[1:]],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS * 3,
        check=False,
    )
    assert done.returncode == report.status, done.stderr
    assert lines(done.stderr) == lines(shown)
