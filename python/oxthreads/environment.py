"""Switches oxthreads on and off for the Python environment in which it is installed.

When it is on, each interpreter of the environment installs the patch as it starts. Use it for programs
that you cannot start by ``python -m oxthreads``.

The wheel puts a start-up file into site-packages, ``oxthreads_startup.pth``. It installs the patch only
if there is a *marker*, another file in the same directory. :func:`enable` writes the marker,
:func:`disable` removes it. The environment variable ``OXTHREADS`` (0 or 1) overrides it for one run.

There is no ``.start`` file (PEP 829), which Python supports since 3.15 and requires from 3.18 on. With
such a file each interpreter of the environment would import oxthreads only to find that it is off, and
would print an error after the package was removed.
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
    from oxthreads.patch.status_report import Status

__all__ = ["EnvironmentStatus", "describe", "disable", "enable", "is_as_asked", "site_packages", "status"]

# Not `oxthreads.pth`: an editable install stores its path there. Python reads these files in the order of
# their names, so this one comes after it.
START_UP_FILE = "oxthreads_startup.pth"

# As short as possible, because every interpreter compiles it. It must not fail if the package is gone,
# because a file that `enable` wrote may outlive the package. `sitedir` is a variable of site.py, which
# executes the line, in every version.
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
    """The result of :func:`status`; see there."""

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
    """Return the directory of this environment's start-up files: the site-packages of oxthreads.

    If oxthreads is in none of the environment's directories (an editable install, or a virtual
    environment that can see the system's packages), it is the one to which the environment installs.
    """
    own = [Path(sysconfig.get_path(name)) for name in ("platlib", "purelib")]
    if sys.prefix == sys.base_prefix and site.ENABLE_USER_SITE:
        own.append(Path(site.getusersitepackages()))
    home = Path(oxthreads.__file__).resolve().parent.parent
    return next((directory for directory in own if directory.resolve() == home), own[0])


def enable() -> str:
    """Let every new interpreter of this environment use oxthreads. Does nothing if it is enabled already.

    Returns:
        str: a line that says what was done.

    Raises:
        OSError: if site-packages cannot be written to.
        RuntimeError: if this version of oxthreads does not support the running Python version.
    """
    if not patch.is_supported():
        raise RuntimeError("this version of Python is not known to this version of oxthreads")
    directory = site_packages()
    start_up_file, marker = directory / START_UP_FILE, directory / MARKER
    if marker.exists() and start_up_file.exists():
        return f"already enabled in {directory}"
    written = _written_by_enable(marker)
    if not start_up_file.exists():
        # There is none if the package was not installed, but only put on `sys.path`.
        start_up_file.write_text(START_UP_LINE, encoding="utf-8")
        written = [START_UP_FILE]
    comment = "# `oxthreads enable` wrote this file and those named here; `oxthreads disable` removes them."
    marker.write_text("\n".join([comment, *written, ""]), encoding="utf-8")
    return f"enabled in {directory}"


def disable() -> str:
    """Let new interpreters of this environment start without oxthreads. Removes what :func:`enable` wrote.

    Returns:
        str: a line that says what was done; nothing is done if it is not enabled.

    Raises:
        OSError: if site-packages cannot be written to.
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
    """Return what is enabled, and what a new interpreter of this environment really uses.

    It starts an interpreter to find out, so it takes as long as a start of Python.

    Returns:
        EnvironmentStatus: a dictionary. ``enabled`` says whether there is a marker. ``variable`` is the
        value of the environment variable ``OXTHREADS``. ``fresh`` is :func:`oxthreads.patch.status` of the
        new interpreter after it has imported each module. If that failed, ``fresh`` is None and ``error``
        says why.
    """
    directory = site_packages()
    start_up_file = directory / START_UP_FILE
    fresh: Status | None = None
    error: str | None = None
    # -P: a queue.py in the working directory must not be imported instead of the standard one.
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
    """Return whether a new interpreter uses what the marker and the variable ask for."""
    if found["fresh"] is None:
        return False
    asked = found["variable"] == "1" or (found["variable"] != "0" and found["enabled"])
    return all((name["state"] == "active") == asked for name in found["fresh"]["names"])


def describe(found: EnvironmentStatus) -> str:
    """Return the status as text for people, in several lines."""
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
