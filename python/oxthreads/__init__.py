"""Threads, locks, events, queues and thread pools that wait and wake in Rust.

The modules mirror the standard ones: :mod:`oxthreads.threading`, :mod:`oxthreads.queue` and
:mod:`oxthreads.concurrent.futures`. Importing this package imports none of them, starts no
thread and changes nothing; :func:`oxthreads.patch.install` does the last. It is a plugin of pytest as
well, which has it installed: ``pytest -p oxthreads``.

(pytest imports its plugins with asserts of another kind, and warns of those that are imported already,
as this may be. So here is the word by which it is told to do neither: PYTEST_DONT_REWRITE.)
"""

import sys

__all__ = ["__version__"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pytest

    __version__: str
else:

    def __getattr__(name):
        """Look up the version of the installed package when somebody asks for it: that takes milliseconds."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            from importlib import metadata  # noqa: PLC0415

            return globals().setdefault(name, metadata.version(__name__))
        except ImportError:
            # Its folder is on the path, and it was not installed; or the interpreter is ending.
            return "unknown"


def _check_interpreter() -> None:
    """Refuse an interpreter that cannot run oxthreads: by an ImportError; ``python -m oxthreads`` by a line.

    pip installs it for no such interpreter, but it may be in a folder that was copied. This file, unlike the
    others, can be read by older versions of Python.
    """
    names = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalPy"}
    name = names.get(sys.implementation.name, sys.implementation.name)
    if name == "CPython" and sys.version_info >= (3, 11):
        return
    version = ".".join([str(part) for part in sys.version_info[:3]])
    message = "oxthreads needs CPython 3.11 or later, and this is " + name + " " + version
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name == "_run_module_as_main" and frame.f_locals.get("mod_name") == "oxthreads":
            raise SystemExit(message)
    raise ImportError(message)


_check_interpreter()


def pytest_addoption(pluginmanager: "pytest.PytestPluginManager") -> None:
    """Install the patch in the process of pytest and in those that it starts, and add the watch's option.

    It is this hook because pytest calls it as soon as it knows of a plugin, before it looks for tests
    or for a ``conftest.py``.
    """
    import os  # noqa: PLC0415 - as in the start of a program, nothing that is not needed

    from oxthreads import patch  # noqa: PLC0415
    from oxthreads._startup import VARIABLE  # noqa: PLC0415

    if patch.install():
        os.environ[VARIABLE] = "1"
    pluginmanager.import_plugin("oxthreads.diagnose.pytest_plugin")
