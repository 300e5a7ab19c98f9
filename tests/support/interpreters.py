"""The interpreter that runs the tests, and its child interpreters."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig

from tests.support.waiting import TIMEOUT_SECONDS

#: Whether this is a free-threaded build. If one thread makes an object there and another one drops the last
#: reference, the object is freed when the first thread executes bytecode again.
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def python(
    code: str, *arguments: str, runner: bool = True, timeout: float = 2 * TIMEOUT_SECONDS, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run code in a child interpreter: with ``python -m oxthreads``, or without."""
    module = ["-m", "oxthreads"] if runner else []
    env = {name: value for name, value in os.environ.items() if name != "OXTHREADS"}
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", *module, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**env, **environment},
        check=False,
    )
