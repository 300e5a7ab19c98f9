"""What ``oxthreads --version`` says: the version, and on what it runs. It is what a report of a bug needs."""

from __future__ import annotations

import platform
import sys
import sysconfig

from oxthreads import __version__

__all__ = ["description"]


def description() -> str:
    """Return the version of oxthreads, of the interpreter and of the platform, in several lines.

    The first line is the name and the version alone.
    """
    return "\n".join(
        [
            f"oxthreads {__version__}",
            f"interpreter: {platform.python_implementation()} {platform.python_version()} ({sys.executable})",
            f"platform:    {_platform()}",
            f"parker:      {_parker()}",
            f"GIL:         {_gil()}",
            "",
        ]
    )


def _platform() -> str:
    library = " ".join(platform.libc_ver())
    return ", ".join(part for part in (f"{platform.system()} {platform.machine()}", library.strip()) if part)


def _parker() -> str:
    """How threads sleep. Without the extension, why it is not there."""
    try:
        from oxthreads._oxthreads import PARKER  # noqa: PLC0415 - it may be missing
    except ImportError as error:
        return f"none, since the extension module cannot be imported ({error})"
    return PARKER


def _gil() -> str:
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "on"
    # After the import of the extension, which would switch it on if it needed it.
    is_on = getattr(sys, "_is_gil_enabled", lambda: True)()
    return f"{'on' if is_on else 'off'} (free-threaded build)"
