"""What the start-up file in site-packages calls while an interpreter starts.

``OXTHREADS=0`` in the environment switches the patch off for one run and ``OXTHREADS=1`` on;
otherwise it is on if ``oxthreads enable`` left its marker in this environment. Nothing here may
keep an interpreter from starting, so nothing is raised; and what is imported here, every
interpreter of an environment pays for.
"""

# Pathlib is not loaded when an interpreter starts.
# ruff: noqa: PTH110, PTH118
from __future__ import annotations

import os

__all__ = [
    "MARKER",
    "PROFILE_VARIABLE",
    "TRACE_VARIABLE",
    "VARIABLE",
    "WATCH_VARIABLE",
    "main",
    "profile_if_asked",
    "trace_if_asked",
    "watch_if_asked",
]

#: The environment variable: "0" is off, "1" is on, anything else leaves it to the marker.
VARIABLE = "OXTHREADS"

#: The environment variable that asks for a watch for deadlocks: its mode; "1" is "report", "" and "0" are
#: off.
WATCH_VARIABLE = "OXTHREADS_WATCH"

#: The environment variable that asks for a profile of waiting: the file for it; "1" is standard error, "" and
#: "0" are off.
PROFILE_VARIABLE = "OXTHREADS_PROFILE"

#: The environment variable that asks for a trace of waits: the file for it; "" and "0" are off.
TRACE_VARIABLE = "OXTHREADS_TRACE"

#: The file in site-packages that ``oxthreads enable`` writes. It lies beside the start-up file
#: and not in the package: the package of an editable install is shared by several environments,
#: and pip, which does not know the file, would leave a half-removed package behind for its sake.
#: Here it survives an upgrade, and costs one look at one file.
MARKER = "oxthreads_startup.enabled"


def main(site_packages: str) -> None:
    """Install the patch if it is switched on.

    *site_packages* is where to look for the marker. Raises no exception.
    """
    try:
        choice = os.environ.get(VARIABLE)
        if choice != "1" and (choice == "0" or not os.path.exists(os.path.join(site_packages, MARKER))):
            return
        from oxthreads import patch  # noqa: PLC0415 - only an enabled interpreter pays for it

        # Asked for by name on a Python that is not known, it says so; otherwise a process that
        # never mentioned oxthreads gets no line that its parent may not expect.
        patch.install(quiet=choice != "1" or patch.is_supported())
        watch_if_asked()
        profile_if_asked()
        trace_if_asked()
    except Exception:
        pass


def split_watch(choice: str) -> tuple[str, bool] | None:
    """Split the choice of a watch, such as "order,raise": its mode, and whether it is about lock order.

    None: it is no such choice.
    """
    parts = choice.split(",")
    modes = [part for part in parts if part != "order"]
    is_valid = len(parts) - len(modes) <= 1 and len(modes) <= 1
    if not is_valid or any(mode not in ("report", "raise", "exit") for mode in modes):
        return None
    return modes[0] if modes else "report", len(modes) < len(parts)


def watch_if_asked() -> None:
    """Start a watch for deadlocks, if the environment variable asks for one."""
    choice = os.environ.get(WATCH_VARIABLE, "")
    if choice not in ("", "0"):
        from oxthreads.diagnose import _watch  # noqa: PLC0415 - only those who ask for it pay for it

        _watch.start_as_asked(choice)


def profile_if_asked() -> None:
    """Start a profile of waiting, if the environment variable asks for one."""
    choice = _file_asked_for(PROFILE_VARIABLE)
    if choice:
        from oxthreads.diagnose import _profile  # noqa: PLC0415 - as above

        _profile.start_as_asked(choice)


def trace_if_asked() -> None:
    """Start a trace of waits, if the environment variable asks for one."""
    choice = _file_asked_for(TRACE_VARIABLE)
    if choice:
        from oxthreads.diagnose import _trace  # noqa: PLC0415 - as above

        _trace.start_as_asked(choice)


def _file_asked_for(variable: str) -> str:
    """The file that the environment variable names; "" for none."""
    choice = os.environ.get(variable, "")
    if choice in ("", "0"):
        return ""
    if "{pid}" not in choice:
        # Child processes would write to the same place.
        del os.environ[variable]
    return choice
