"""Random lock programs: no deadlock is said of them that is none, and none is missed.

`random_programs.py` runs them, in a process of its own. A failure names its seed. To see one again::

    python -m tests.diagnose.random_programs judge SEED 60 1
"""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_thread("starts child interpreters")


def run(what: str, seed: int, seconds: float, most: int) -> dict[str, int]:
    """Run programs for so long, or until there are enough, and return what was counted."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.diagnose.random_programs", what, str(seed), str(seconds), str(most)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=seconds + 90,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-5000:]
    counts: dict[str, int] = ast.literal_eval(process.stdout)
    print(counts)
    return counts


def test_each_deadlock_is_found_and_no_other() -> None:
    counts = run("judge", 0, 12, 3000)
    assert counts["programs"] >= 20  # thousands, where nothing else runs
    assert counts["ended"] > 0


def test_a_watch_ends_each_deadlock_and_nothing_else() -> None:
    counts = run("be_watched", 0, 8, 100)
    assert counts["ended"] > 0


@pytest.mark.stress
@pytest.mark.timeout(1000)
def test_other_programs_each_time() -> None:
    run("judge", time.time_ns() >> 10, 600, 10**9)
    run("be_watched", time.time_ns() >> 10, 200, 10**9)
