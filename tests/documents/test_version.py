"""The version is in Cargo.toml. The other places agree with it."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import oxthreads
from tests.support.waiting import TIMEOUT_SECONDS

ROOT = Path(__file__).resolve().parent
while not (ROOT / "Cargo.toml").exists():
    ROOT = ROOT.parent


def version() -> str:
    found: str = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    return found


def test_the_package_has_the_version_of_the_crate() -> None:
    assert oxthreads.__version__ == version()


def test_it_can_be_asked_for_while_the_interpreter_ends() -> None:
    program = """
import sys, oxthreads
class Late:
    def __del__(self, print=print):
        sys.modules["importlib.metadata"] = None  # what cannot be imported any more
        print(oxthreads.__version__)
late = Late()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=TIMEOUT_SECONDS
    )
    assert (done.stdout, done.stderr) == ("unknown\n", "")


def test_other_names_are_missing_as_in_any_module() -> None:
    with pytest.raises(AttributeError, match=r"^module 'oxthreads' has no attribute 'nothing'$"):
        oxthreads.nothing  # noqa: B018


def test_the_project_takes_the_version_from_the_crate() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" in project["dynamic"] and "version" not in project


def test_the_installed_metadata_has_the_same_version() -> None:
    try:
        installed = importlib.metadata.version("oxthreads")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package is on the path, and not installed")
    assert installed == version()


def test_the_lock_file_has_the_same_version() -> None:
    packages = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    assert [package["version"] for package in packages if package["name"] == "oxthreads"] == [version()]
