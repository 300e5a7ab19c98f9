"""An interpreter that cannot run oxthreads gets one sentence, not a traceback of a module it cannot read."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import oxthreads
from tests.support.waiting import TIMEOUT_SECONDS

pytestmark = pytest.mark.one_thread("starts child interpreters")

#: The folder of the package, as if it had been copied.
PACKAGE = Path(oxthreads.__file__).resolve().parents[1]

REFUSED = r"oxthreads needs CPython 3\.11 or later, and this is {}"
#: What makes this interpreter look like another one.
DISGUISES = {
    "CPython 3.10.13": "sys.version_info = (3, 10, 13, 'final', 0)",
    "PyPy 3.11.13": "sys.implementation.name = 'pypy'; sys.version_info = (3, 11, 13, 'final', 0)",
    "GraalPy 3.12.8": "sys.implementation.name = 'graalpy'; sys.version_info = (3, 12, 8, 'final', 0)",
}


def others() -> list[str]:
    """Interpreters of this machine that cannot run oxthreads."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    old = [
        str(path) for version in range(6, 11) for path in pyenv.glob(f"3.{version}.*/bin/python3.{version}")
    ]
    named = [*(f"python3.{version}" for version in range(6, 11)), "pypy3", "graalpy"]
    found = [path for name in named if (path := shutil.which(name)) is not None]
    # pyenv has a file for each version, which starts only those that are switched on.
    return sorted({*old, *(path for path in found if "shims" not in Path(path).parts)})


def run(python: str, *arguments: str, where: Path) -> subprocess.CompletedProcess[str]:
    variables = {"PYTHONPATH": str(PACKAGE), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [python, *arguments],
        cwd=where,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("name", DISGUISES)
def test_another_interpreter_is_refused_by_an_import_error(name: str, tmp_path: Path) -> None:
    code = (
        f"import sys; {DISGUISES[name]}\n"
        "try: import oxthreads.queue\n"
        "except ImportError as error: print(error)"
    )
    refused = run(sys.executable, "-c", code, where=tmp_path)
    assert (refused.returncode, refused.stderr) == (0, "")
    assert re.fullmatch(REFUSED.format(re.escape(name)), refused.stdout.strip())


@pytest.mark.parametrize("name", DISGUISES)
def test_the_runner_of_another_interpreter_prints_one_line(name: str, tmp_path: Path) -> None:
    code = f"import sys; {DISGUISES[name]}; import runpy; runpy._run_module_as_main('oxthreads')"
    refused = run(sys.executable, "-c", code, where=tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert re.fullmatch(REFUSED.format(re.escape(name)), refused.stderr.strip())


@pytest.mark.parametrize("python", others() or [None])  # type: ignore[list-item]
def test_a_real_one_is_refused(python: str | None, tmp_path: Path) -> None:
    if python is None:
        pytest.skip("this machine has no other interpreter")
    version = r"(CPython 3\.\d+\.\d+|PyPy 3\.\d+\.\d+|GraalPy 3\.\d+\.\d+)"
    imported = run(python, "-c", "import oxthreads.threading", where=tmp_path)
    assert imported.returncode == 1
    assert re.fullmatch("ImportError: " + REFUSED.format(version), imported.stderr.splitlines()[-1])
    module = run(python, "-m", "oxthreads", "-c", "print(1)", where=tmp_path)
    assert (module.returncode, module.stdout) == (1, "")
    assert re.fullmatch(REFUSED.format(version), module.stderr.strip())
