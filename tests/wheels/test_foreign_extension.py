"""Where there is no compiled extension for the running interpreter, the import says so in one sentence."""

from __future__ import annotations

import importlib.machinery
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import oxthreads
from tests.support.waiting import TIMEOUT_SECONDS

PACKAGE = Path(oxthreads.__file__).parent
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")

#: What wheels for others have in this place.
FOREIGN = {
    "another version": "_oxthreads.cpython-310-x86_64-linux-gnu.so",
    "another C library": "_oxthreads.cpython-313-armv7l-linux-musleabihf.so",
    "another system": "_oxthreads.cp310-win_amd64.pyd",
}

IMPORTS = [
    "import oxthreads.threading",
    "import oxthreads.queue",
    "import oxthreads.concurrent.futures",
]


@pytest.fixture
def package_without_extension(tmp_path: Path) -> Path:
    """A copy of the package that lacks the extension, as in a clone where nothing was built."""
    ignored = [f"*{suffix}" for suffix in importlib.machinery.EXTENSION_SUFFIXES]
    shutil.copytree(PACKAGE, tmp_path / "oxthreads", ignore=shutil.ignore_patterns(*ignored))
    return tmp_path / "oxthreads"


def run(package: Path, code: str) -> subprocess.CompletedProcess[str]:
    place = f"import sys; sys.path.insert(0, {str(package.parent)!r}); "
    return subprocess.run(
        # Without site-packages, where the whole package is, and its start-up file.
        [sys.executable, "-I", "-S", "-c", place + code],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


def said(package: Path, code: str) -> str:
    done = run(package, code)
    assert done.returncode == 1, done
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: oxthreads has no compiled extension for CPython 3."), done.stderr
    assert f"that would be _oxthreads{SUFFIX}" in last
    assert last.endswith(f"{sys.executable} -m pip install --force-reinstall oxthreads")
    return last


@pytest.mark.parametrize("code", IMPORTS)
def test_no_extension_is_said(code: str, package_without_extension: Path) -> None:
    assert "there is none." in said(package_without_extension, code)


@pytest.mark.parametrize("name", FOREIGN.values(), ids=FOREIGN)
def test_the_extension_of_another_interpreter_is_named(name: str, package_without_extension: Path) -> None:
    (package_without_extension / name).write_bytes(b"")
    assert f"there is {name}, which is for another one." in said(package_without_extension, IMPORTS[0])


def test_the_patch_says_it_and_leaves_the_standard_library(package_without_extension: Path) -> None:
    code = "import oxthreads.patch; oxthreads.patch.install(); import queue; print(queue.Queue.__module__)"
    done = run(package_without_extension, code)
    assert (done.returncode, done.stdout.strip()) == (0, "queue"), done
    assert (
        "the standard threading stays (ImportError: oxthreads has no compiled extension for CPython"
        in done.stderr
    )


def test_the_package_itself_needs_no_extension_and_knows_its_version_only_if_it_is_installed(
    package_without_extension: Path,
) -> None:
    done = run(package_without_extension, "import oxthreads; print(oxthreads.__version__)")
    assert (done.stdout.strip(), done.stderr) == ("unknown", "")


def test_the_extension_of_this_interpreter_comes_first(package_without_extension: Path) -> None:
    extension = next(PACKAGE.glob(f"_oxthreads{SUFFIX}"))
    shutil.copy(extension, package_without_extension)
    done = run(package_without_extension, "import oxthreads._oxthreads as found; print(found.__file__)")
    assert done.stdout.strip() == str(package_without_extension / extension.name), done.stderr
