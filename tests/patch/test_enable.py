"""``oxthreads enable`` and ``disable`` in a test environment: which library does plain ``python`` use?"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import oxthreads
from oxthreads import environment
from oxthreads._startup import MARKER

pytestmark = pytest.mark.one_thread("starts child interpreters")

TIMEOUT = 60
DATA = Path(__file__).parents[2] / "python" / "oxthreads.data" / "platlib"

SCRIPT = """\
from threading import Event, Lock, Thread
from queue import LifoQueue, PriorityQueue, Queue
from concurrent.futures import Future, ThreadPoolExecutor
import sys
kinds = Lock, Event, Thread, LifoQueue, PriorityQueue, Queue, Future, ThreadPoolExecutor
modules = [module for name, module in sys.modules.items() if name.partition(".")[0] == "oxthreads"]
ours = [value for module in modules for value in vars(module).values()]
print({any(kind is value for value in ours) for kind in kinds})
"""
OURS, STANDARD = "{True}\n", "{False}\n"


class Environment:
    """A virtual environment with a copy of the package, and nothing else."""

    def __init__(self, directory: Path) -> None:
        venv.EnvBuilder(symlinks=sys.platform != "win32").create(directory)
        scripts = "Scripts" if sys.platform == "win32" else "bin"
        self.python = directory / scripts / "python"
        self.script = directory / "script.py"
        self.script.write_text(SCRIPT)
        self.site_packages = Path(
            self.run("-c", "import sysconfig; print(sysconfig.get_path('platlib'))").stdout.strip()
        )
        self.package = self.site_packages / "oxthreads"
        source = Path(oxthreads.__file__).parent
        shutil.copytree(source, self.package, ignore=shutil.ignore_patterns("__pycache__"))

    def install_start_up_files(self) -> None:
        for path in DATA.iterdir():
            shutil.copy(path, self.site_packages)

    def run(self, *arguments: str | Path, **changes: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if name not in ("OXTHREADS", "PYTHONPATH")}
        return subprocess.run(
            [self.python, *arguments],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            env={**kept, **changes},
            check=False,
            cwd=self.python.parent,
        )

    def kind(self, **changes: str) -> str:
        """The output of a plain ``python script.py``, which must print nothing else."""
        result = self.run(self.script, **changes)
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout

    def oxthreads(self, *arguments: str, status: int = 0, **changes: str) -> str:
        code = "import sys; from oxthreads.cli import main; sys.exit(main())"
        result = self.run("-c", code, *arguments, **changes)
        assert result.returncode == status, result.stderr
        assert result.stderr == ""
        return result.stdout


@pytest.fixture
def scratch(tmp_path: Path) -> Environment:
    """The package as installed from the wheel."""
    made = Environment(tmp_path / "environment")
    made.install_start_up_files()
    return made


@pytest.fixture
def bare(tmp_path: Path) -> Environment:
    """The package without its start-up files, as if it were only put on the path."""
    return Environment(tmp_path / "environment")


def listing(scratch: Environment) -> list[str]:
    return sorted(path.name for path in scratch.site_packages.iterdir() if path.name != "__pycache__")


def test_the_wheel_has_the_start_up_file() -> None:
    found = {path.name: path.read_text() for path in DATA.iterdir()}
    assert found == {environment.START_UP_FILE: environment.START_UP_LINE}
    # It must be one line that `site` executes, and readable in every encoding.
    assert environment.START_UP_LINE.count("\n") == 1
    assert environment.START_UP_LINE.startswith("import ")
    assert environment.START_UP_LINE.isascii()


def test_enable_and_disable(scratch: Environment) -> None:
    before = listing(scratch)
    assert scratch.kind() == STANDARD
    assert scratch.oxthreads("enable") == f"enabled in {scratch.site_packages}\n"
    assert scratch.kind() == OURS
    assert scratch.oxthreads("enable") == f"already enabled in {scratch.site_packages}\n"
    assert listing(scratch) == sorted([*before, MARKER])
    assert scratch.oxthreads("disable") == f"disabled in {scratch.site_packages}\n"
    assert scratch.kind() == STANDARD
    assert scratch.oxthreads("disable") == f"not enabled in {scratch.site_packages}\n"
    assert listing(scratch) == before


def test_the_variable_overrides_enable_and_disable(scratch: Environment) -> None:
    assert scratch.kind(OXTHREADS="1") == OURS
    assert scratch.kind(OXTHREADS="0") == STANDARD
    scratch.oxthreads("enable")
    assert scratch.kind(OXTHREADS="1") == OURS
    assert scratch.kind(OXTHREADS="0") == STANDARD
    for meaningless in ("", "yes"):
        assert scratch.kind(OXTHREADS=meaningless) == OURS


def test_without_the_start_up_file(bare: Environment) -> None:
    before = listing(bare)
    assert bare.kind(OXTHREADS="1") == STANDARD
    bare.oxthreads("enable")
    assert listing(bare) == sorted([*before, MARKER, environment.START_UP_FILE])
    assert bare.kind() == OURS
    assert bare.kind(OXTHREADS="0") == STANDARD
    assert bare.oxthreads("enable").startswith("already")
    bare.oxthreads("disable")
    assert listing(bare) == before


def test_enable_restores_a_removed_start_up_file(scratch: Environment) -> None:
    scratch.oxthreads("enable")
    (scratch.site_packages / environment.START_UP_FILE).unlink()
    assert scratch.kind() == STANDARD
    assert scratch.oxthreads("enable").startswith("enabled")
    assert scratch.kind() == OURS
    scratch.oxthreads("disable")
    assert environment.START_UP_FILE not in listing(scratch)


def test_an_interpreter_does_not_import_oxthreads_while_it_is_disabled(scratch: Environment) -> None:
    look = "import sys; print('oxthreads' in sys.modules)"
    assert scratch.run("-c", look).stdout == "False\n"
    scratch.oxthreads("enable")
    assert scratch.run("-c", look, OXTHREADS="0").stdout == "False\n"
    assert scratch.run("-c", look).stdout == "True\n"


def test_child_processes_run_on_oxthreads(scratch: Environment) -> None:
    spawn = (
        "import subprocess, sys; from multiprocessing import get_context\n"
        "def kind(_):\n"
        "    import queue\n"
        "    return queue.Queue.__mro__[1].__module__\n"
        "if __name__ == '__main__':\n"
        "    with get_context('spawn').Pool(1) as pool: print(*pool.map(kind, [0]))\n"
        f"    subprocess.run([sys.executable, {str(scratch.script)!r}])\n"
    )
    scratch.script.with_name("spawn.py").write_text(spawn)
    program = scratch.script.with_name("spawn.py")
    for way in (["-m", "oxthreads"], []):
        assert scratch.run("-u", *way, program).stdout == f"oxthreads._oxthreads\n{OURS}"
        scratch.oxthreads("enable")


@pytest.mark.parametrize("variable", ["0", "1", "unset"])
@pytest.mark.parametrize(
    "damage", ["package removed", "start-up removed", "start-up broken", "patch broken", "extension broken"]
)
def test_damage_never_keeps_python_from_starting(scratch: Environment, damage: str, variable: str) -> None:
    scratch.oxthreads("enable")
    if damage == "package removed":
        shutil.rmtree(scratch.package)
    elif damage == "start-up removed":
        (scratch.package / "_startup.py").unlink()
    elif damage == "start-up broken":
        (scratch.package / "_startup.py").write_text("def main(: this is not Python")
    elif damage == "patch broken":
        (scratch.package / "patch" / "__init__.py").write_text("1/0")
    else:
        for extension in scratch.package.glob("_oxthreads*.*"):
            extension.write_bytes(b"this is no extension")
    shutil.rmtree(scratch.package / "__pycache__", ignore_errors=True)
    changes = {} if variable == "unset" else {"OXTHREADS": variable}
    assert scratch.kind(**changes) == STANDARD


def test_an_unknown_python_is_reported_only_on_explicit_request(scratch: Environment) -> None:
    scratch.oxthreads("enable")
    patch = scratch.package / "patch" / "__init__.py"
    patch.write_text(patch.read_text().replace("(3, 16)", "(3, 0)"))
    assert scratch.kind() == STANDARD
    result = scratch.run(scratch.script, OXTHREADS="1")
    assert result.stdout == STANDARD
    assert len(result.stderr.splitlines()) == 1
    assert "is not known" in result.stderr
    code = "import sys; from oxthreads.cli import main; sys.exit(main())"
    refused = scratch.run("-c", code, "enable")
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    assert "Traceback" not in refused.stderr


def test_status(scratch: Environment) -> None:
    text = scratch.oxthreads("status")
    assert "standard library" in text and "not set" in text
    found = json.loads(scratch.oxthreads("status", "--json"))
    assert (found["enabled"], found["variable"]) == (False, None)
    assert found["site_packages"] == str(scratch.site_packages)
    assert found["start_up_file"] == str(scratch.site_packages / environment.START_UP_FILE)
    assert {name["state"] for name in found["fresh"]["names"]} == {"standard"}
    scratch.oxthreads("enable")
    found = json.loads(scratch.oxthreads("status", "--json"))
    assert found["enabled"]
    assert {name["state"] for name in found["fresh"]["names"]} == {"active"}
    assert "standard library" not in scratch.oxthreads("status")
    off = json.loads(scratch.oxthreads("status", "--json", OXTHREADS="0"))
    assert (off["enabled"], off["variable"]) == (True, "0")
    assert {name["state"] for name in off["fresh"]["names"]} == {"standard"}


def test_status_lists_modules_that_hold_standard_names(scratch: Environment) -> None:
    scratch.oxthreads("enable")
    assert "still holds" not in scratch.oxthreads("status")
    # Start-up files are read in the order of their names, so early.pth comes first.
    (scratch.site_packages / "early.py").write_text("from threading import Lock as mine\n")
    (scratch.site_packages / "early.pth").write_text("import early\n")
    text = scratch.oxthreads("status")
    assert "  early.mine still holds the standard threading.Lock, imported before" in text.splitlines()
    found = json.loads(scratch.oxthreads("status", "--json"))
    capture = {"module": "early", "variable": "mine", "original": "threading.Lock"}
    assert found["fresh"]["captured"] == [capture]


def test_status_fails_if_enabling_had_no_effect(scratch: Environment) -> None:
    scratch.oxthreads("enable")
    for extension in scratch.package.glob("_oxthreads*.*"):
        extension.write_bytes(b"this is no extension")
    text = scratch.oxthreads("status", status=1)
    assert "threading could not be patched: ImportError" in text
    assert "not what is asked for" in text


def test_enabling_one_environment_does_not_affect_another(scratch: Environment, tmp_path: Path) -> None:
    other = Environment(tmp_path / "other")
    other.install_start_up_files()
    scratch.oxthreads("enable")
    assert other.kind() == STANDARD


def test_enabling_a_virtual_environment_leaves_the_system_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The package belongs to the system, and the environment can see it.
    monkeypatch.setattr(oxthreads, "__file__", str(tmp_path / "system" / "oxthreads" / "__init__.py"))
    monkeypatch.setattr(environment.sysconfig, "get_path", lambda name: str(tmp_path / "own"))
    assert environment.site_packages() == tmp_path / "own"


def test_a_package_in_the_user_site_is_enabled_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    user = tmp_path / "user"
    monkeypatch.setattr(oxthreads, "__file__", str(user / "oxthreads" / "__init__.py"))
    monkeypatch.setattr(environment.sysconfig, "get_path", lambda name: str(tmp_path / "system"))
    monkeypatch.setattr(environment.site, "getusersitepackages", lambda: str(user))
    monkeypatch.setattr(environment.site, "ENABLE_USER_SITE", True)
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert environment.site_packages() == user


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="for root, nothing is read-only")
def test_read_only_site_packages(scratch: Environment) -> None:
    code = "import sys; from oxthreads.cli import main; sys.exit(main())"
    scratch.site_packages.chmod(0o555)
    try:
        refused = scratch.run("-c", code, "enable")
    finally:
        scratch.site_packages.chmod(0o755)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert len(refused.stderr.splitlines()) == 1
    assert "Permission denied" in refused.stderr
