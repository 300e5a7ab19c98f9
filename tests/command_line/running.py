"""Runs the command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.waiting import TIMEOUT_SECONDS

#: The command, as the installed script starts it.
COMMAND = [sys.executable, "-c", "import sys; from oxthreads.cli import main; sys.exit(main())"]
#: What the environment of the tests must not add to that of the command.
OWN_VARIABLES = ("OXTHREADS", "OXTHREADS_WATCH", "OXTHREADS_PROFILE", "OXTHREADS_TRACE")


def run(
    *arguments: str, where: Path, command: list[str] | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command, or another one, and return what it printed."""
    kept = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
    return subprocess.run(
        [*(command or COMMAND), *arguments],
        cwd=where,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        env=kept | variables,
        stdin=subprocess.DEVNULL,
        check=False,
    )
