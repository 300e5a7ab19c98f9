"""Every block of Python in the pages runs, or an HTML comment above it says why not.

* ``<!-- not run: REASON -->``: the block is only compiled.
* ``<!-- run after: LINE -->``: that line comes first.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest

from tests.support.waiting import TIMEOUT_SECONDS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

#: A comment of ours, if there is one, and the block below it.
BLOCK = re.compile(
    r"(?:^ *<!-- (?P<what>not run|run after): (?P<rest>[^\n]+?) -->\n+)?"
    r"^(?P<indent> *)```(?:py|python|pycon)\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
FENCE = re.compile(r"^ *```(?:py|python|pycon)\n", re.MULTILINE)

pytestmark = [
    pytest.mark.one_thread("starts child interpreters"),
    pytest.mark.skipif(not DOCS.is_dir(), reason="the documents are not here"),
]


class Example(NamedTuple):
    page: str
    line: int
    code: str
    #: Why it is not run; empty if it is.
    reason: str


def examples() -> list[Example]:
    # The README and the notes have tests of their own, which also know what their examples print.
    pages = [*sorted(DOCS.rglob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "benches/README.md"]
    found = []
    for page in pages if DOCS.is_dir() else []:
        text = page.read_text(encoding="utf-8")
        blocks = list(BLOCK.finditer(text))
        assert len(blocks) == len(FENCE.findall(text)), page
        for block in blocks:
            before = f"{block['rest']}\n" if block["what"] == "run after" else ""
            reason = block["rest"] if block["what"] == "not run" else ""
            line = text.count("\n", 0, block.start("code"))
            found.append(
                Example(page.relative_to(ROOT).as_posix(), line, before + dedent(block["code"]), reason)
            )
    return found


EXAMPLES = examples()


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"{each.page}:{each.line}" for each in EXAMPLES])
def test_an_example_runs(example: Example, tmp_path: Path) -> None:
    compile(example.code, f"{example.page}:{example.line}", "exec")
    if example.reason:
        assert len(example.reason) > 10
        return
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example.code],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS * 4,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr  # of another thread


def test_there_are_examples() -> None:
    assert len([example for example in EXAMPLES if not example.reason]) >= 10


def test_a_comment_belongs_to_the_block_below_it() -> None:
    text = "<!-- not run: it hangs -->\n\n```py\na\n```\n\nText.\n\n```py\nb\n```\n"
    assert [(block["what"], block["code"]) for block in BLOCK.finditer(text)] == [
        ("not run", "a\n"),
        (None, "b\n"),
    ]
