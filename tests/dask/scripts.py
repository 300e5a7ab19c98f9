"""Programs that use a cluster, in an interpreter of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.interpreters import python

TREE = str(Path(__file__).resolve().parents[2])


def run_script(script: Path) -> subprocess.CompletedProcess[str]:
    """Run a file, with the packages that are here."""
    return subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )


def run_in_tree(code: str, *args: str) -> Any:
    """Run code that may import the tests."""
    path = os.pathsep.join([TREE, *filter(None, sys.path)])
    return python(code, *args, runner=False, PYTHONPATH=path)
