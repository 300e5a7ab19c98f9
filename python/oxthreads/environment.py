"""Switches oxthreads on and off for the environment that it is installed in, and tells which it is.

The wheel brings a start-up file for site-packages, ``oxthreads_startup.pth``. It looks for a marker,
a file beside it, and does nothing without it. :func:`enable` writes the marker, :func:`disable`
removes it. The environment variable ``OXTHREADS`` (0 or 1) overrides it for one run.

There is no ``.start`` file (PEP 829), which Python knows since 3.15 and will need from 3.18 on: each
interpreter of the environment would import oxthreads to hear that it is off, and would print an
error once the package is gone.
"""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import oxthreads
from oxthreads import patch
from oxthreads._startup import MARKER, VARIABLE

if TYPE_CHECKING:
    from oxthreads._status import Status

__all__ = ["EnvironmentStatus", "describe", "disable", "enable", "is_as_asked", "site_packages", "status"]

# Not `oxthreads.pth`: an editable install keeps its path there. In the order of names, which is the
# order in which Python reads them, this one comes after it.
START_UP_FILE = "oxthreads_startup.pth"

# As little as will tell that it is off, since every interpreter compiles it; and nothing that could
# fail: a file that `enable` wrote may outlive the package. `sitedir` is a variable of site.py, where
# the line is executed, on every version.
START_UP_LINE = (
    "import os; choice = os.environ.get('OXTHREADS'); "
    f"(choice == '1' or choice != '0' and os.access(locals().get('sitedir', '') + '/{MARKER}', 0)) and exec("
    r"'try:\n from oxthreads._startup import main; main(sitedir)\nexcept Exception: pass')"
    "\n"
)

_PROBE = """
import json
from oxthreads import patch
print(json.dumps(patch.status(fresh=True)))
"""


class EnvironmentStatus(TypedDict):
    """What :func:`status` returns."""

    version: str
    python: str
    site_packages: str
    enabled: bool
    marker: str
    start_up_file: str | None
    variable: str | None
    fresh: Status | None
    error: str | None


def site_packages() -> Path:
    """Where this environment's start-up files lie: the site-packages that oxthreads is in.

    If it is in none of this environment's (an editable install, or a virtual environment that
    sees the system's packages), the one that the environment installs to.
    """
    own = [Path(sysconfig.get_path(name)) for name in ("platlib", "purelib")]
    if sys.prefix == sys.base_prefix and site.ENABLE_USER_SITE:
        own.append(Path(site.getusersitepackages()))
    home = Path(oxthreads.__file__).resolve().parent.parent
    return next((directory for directory in own if directory.resolve() == home), own[0])


def enable() -> str:
    """Have every interpreter of this environment start on oxthreads; return a line that says so.

    Does nothing if that is so already. Raises OSError if site-packages cannot be written to, and
    RuntimeError on a version of Python that is not known yet.
    """
    if not patch.is_supported():
        raise RuntimeError("this version of Python is not known to this version of oxthreads")
    directory = site_packages()
    start_up_file, marker = directory / START_UP_FILE, directory / MARKER
    if marker.exists() and start_up_file.exists():
        return f"already enabled in {directory}"
    written = _written_by_enable(marker)
    if not start_up_file.exists():
        # A package that was not installed, only put on the path, brings none.
        start_up_file.write_text(START_UP_LINE, encoding="utf-8")
        written = [START_UP_FILE]
    comment = "# `oxthreads enable` wrote this file and those named here; `oxthreads disable` removes them."
    marker.write_text("\n".join([comment, *written, ""]), encoding="utf-8")
    return f"enabled in {directory}"


def disable() -> str:
    """Have the interpreters of this environment start as they always did; return a line.

    Removes what :func:`enable` wrote, and does nothing if there is nothing. Raises OSError if
    site-packages cannot be written to.
    """
    directory = site_packages()
    marker = directory / MARKER
    if not marker.exists():
        return f"not enabled in {directory}"
    written = _written_by_enable(marker)
    marker.unlink()
    for name in written:
        (directory / name).unlink(missing_ok=True)
    return f"disabled in {directory}"


def _written_by_enable(marker: Path) -> list[str]:
    if not marker.exists():
        return []
    lines = marker.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line == START_UP_FILE]


def status() -> EnvironmentStatus:
    """What is switched on here, and what a new interpreter of this environment really has.

    ``fresh`` is :func:`oxthreads.patch.status` of that interpreter after it has imported each
    module; if it could not say, it is None and ``error`` tells why.
    """
    directory = site_packages()
    start_up_file = directory / START_UP_FILE
    fresh: Status | None = None
    error: str | None = None
    # -P: a queue.py in the working directory is not what is asked about.
    probe = subprocess.run([sys.executable, "-P", "-c", _PROBE], capture_output=True, text=True, check=False)
    try:
        fresh = json.loads(probe.stdout)
    except ValueError:
        error = (probe.stderr.strip().splitlines() or ["it printed nothing"])[-1]
    return {
        "version": oxthreads.__version__,
        "python": sys.executable,
        "site_packages": str(directory),
        "enabled": (directory / MARKER).exists(),
        "marker": str(directory / MARKER),
        "start_up_file": str(start_up_file) if start_up_file.exists() else None,
        "variable": os.environ.get(VARIABLE),
        "fresh": fresh,
        "error": error,
    }


def is_as_asked(found: EnvironmentStatus) -> bool:
    """Whether a new interpreter has what the marker and the variable ask for."""
    if found["fresh"] is None:
        return False
    asked = found["variable"] == "1" or (found["variable"] != "0" and found["enabled"])
    return all((name["state"] == "active") == asked for name in found["fresh"]["names"])


def describe(found: EnvironmentStatus) -> str:
    """*found* as lines for people."""
    known = {None: "not set", "0": "0: off, whatever is enabled", "1": "1: on, whatever is enabled"}
    variable = known.get(found["variable"], f"{found['variable']!r}: means nothing")
    lines = [
        f"oxthreads {found['version']} for {found['python']}",
        f"enabled:        {'yes' if found['enabled'] else 'no'} ({found['marker']})",
        f"start-up file:  {found['start_up_file'] or 'none; `oxthreads enable` writes it'}",
        f"{VARIABLE}:      {variable}",
    ]
    if found["fresh"] is None:
        lines.append(f"a new interpreter could not be asked: {found['error']}")
    else:
        lines.append("a new interpreter has:")
        for name in found["fresh"]["names"]:
            kind = "oxthreads" if name["state"] == "active" else "standard library"
            lines.append(f"  {name['module'] + '.' + name['name']:<46}{kind}")
        for module, failure in found["fresh"]["failures"].items():
            lines.append(f"  {module} could not be patched: {failure}")
        for capture in found["fresh"]["captured"]:
            where = f"{capture['module']}.{capture['variable']}"
            lines.append(f"  {where} still holds the standard {capture['original']}, imported before")
    if not is_as_asked(found):
        lines.append("this is not what is asked for")
    return "\n".join(lines)
