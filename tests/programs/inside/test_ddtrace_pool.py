"""A span in a call of a pool must have a parent, however ddtrace and the patch are started.

On the standard library the patch is off. Then these are the same program, started in the ways that people
use.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os
from concurrent.futures import ThreadPoolExecutor
from ddtrace.trace import tracer
def work():
    with tracer.trace("inner") as span:
        return span.parent_id is not None
with tracer.trace("outer"), ThreadPoolExecutor(1) as executor:
    print(executor.submit(work).result(), flush=True)
os._exit(0)  # and send nothing
"""

ON = os.environ.get("OXTHREADS") != "0"
INSTALL = "from oxthreads import patch; patch.install()\n" if ON else ""
RUNNER = ["-m", "oxthreads"] if ON else []
RUN = [str(Path(sys.executable).parent / "ddtrace-run")]

#: For each way: the command that runs python, the options of python, and the program.
WAYS: dict[str, tuple[list[str], list[str], str]] = {
    "auto": ([], [], "import ddtrace.auto\n" + PROGRAM),
    "runner, auto": ([], RUNNER, "import ddtrace.auto\n" + PROGRAM),
    "runner, auto, late": ([], RUNNER, "import concurrent.futures.thread, ddtrace.auto\n" + PROGRAM),
    "run": (RUN, [], PROGRAM),
    "run, runner": (RUN, RUNNER, PROGRAM),
    "install, auto": ([], [], INSTALL + "import ddtrace.auto\n" + PROGRAM),
    "auto, install": ([], [], "import ddtrace.auto\n" + INSTALL + PROGRAM),
    "ddtrace, install, auto": ([], [], "import ddtrace\n" + INSTALL + "import ddtrace.auto\n" + PROGRAM),
}


@pytest.mark.parametrize("unload", ["0", "1"])
@pytest.mark.parametrize("way", WAYS)
def test_the_call_is_a_child_of_the_span(way: str, unload: str) -> None:
    before, options, program = WAYS[way]
    variables = {
        **os.environ,
        "DD_UNLOAD_MODULES_FROM_SITECUSTOMIZE": unload,  # "1" is what it does when gevent is installed
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        "DD_TRACE_AGENT_URL": "http://localhost:9",  # nothing listens there
    }
    if "install" in way or "runner" in way:
        variables["OXTHREADS"] = "0"
    command = [*before, sys.executable, *options, "-c", program]
    result = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout == "True\n", result.stderr
    assert "failed to enable" not in result.stderr
