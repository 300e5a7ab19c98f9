"""The ``oxthreads`` command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import oxthreads
from oxthreads import cli, environment

pytestmark = pytest.mark.one_thread("starts child interpreters")

TIMEOUT = 60
COMMAND = [sys.executable, "-c", "import sys; from oxthreads.cli import main; sys.exit(main())"]


def run(*arguments: str, where: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "OXTHREADS"}
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=where,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=kept,
        check=False,
    )


def test_version_and_help(tmp_path: Path) -> None:
    for option in ("-V", "--version"):
        asked = run(option, where=tmp_path)
        assert (asked.returncode, asked.stdout.splitlines()[0]) == (0, f"oxthreads {oxthreads.__version__}")
    for arguments in (["-h"], ["enable", "--help"], ["compare", "--help"], ["bench", "-h"], ["status", "-h"]):
        asked = run(*arguments, where=tmp_path)
        assert (asked.returncode, asked.stderr) == (0, "")
        assert asked.stdout.startswith("usage: oxthreads")
    for command in ("bench", "compare", "run", "enable", "disable", "status"):
        assert f"  {command} " in run("--help", where=tmp_path).stdout


@pytest.mark.parametrize(
    "arguments",
    [[], ["unknown"], ["--unknown"], ["enable", "now"], ["status", "--xml"], ["compare"], ["run"]],
)
def test_wrong_usage(tmp_path: Path, arguments: list[str]) -> None:
    wrong = run(*arguments, where=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith(("usage: ", "oxthreads"))
    assert "Traceback" not in wrong.stderr


def test_run_is_the_runner(tmp_path: Path) -> None:
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "script.py").write_text(
        "import sys, queue, threading\nprint(sys.argv, sys.path[0], threading.Lock, __name__)\nsys.exit(3)\n"
    )
    arguments = ("programs/script.py", "--help", "-m")
    mine = run("run", *arguments, where=tmp_path)
    runner = subprocess.run(
        [sys.executable, "-m", "oxthreads", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert (mine.returncode, mine.stdout, mine.stderr) == (3, runner.stdout, "")
    assert run("run", "--help", where=tmp_path).stdout.startswith(
        "usage: python -m oxthreads [--watch[=MODE]] SCRIPT"
    )


def test_run_shows_the_traceback_that_python_shows(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("def fail():\n    1/0\nfail()\n")
    standard = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    mine = run("run", "script.py", where=tmp_path)
    assert (mine.returncode, mine.stderr) == (1, standard.stderr)


def test_run_imports_no_parser(tmp_path: Path) -> None:
    code = "import sys; print(sorted({'argparse', 'subprocess', 'sysconfig'} & set(sys.modules)))"
    assert run("run", "-c", code, where=tmp_path).stdout == "[]\n"


@pytest.mark.skipif(sys.platform == "win32", reason="a signal ends the process")
def test_run_dies_of_an_interrupt_as_python_does(tmp_path: Path) -> None:
    result = run("run", "-c", "raise KeyboardInterrupt", where=tmp_path)
    # The test starts the command by `python -c`. The installed command ends in the same way.
    assert result.returncode == -signal.SIGINT
    assert result.stderr.splitlines()[-1] == "KeyboardInterrupt"
    assert "cli.py" not in result.stderr


def test_an_interrupt_of_another_command_exits_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(environment, "status", interrupted)
    assert cli.main(["status"]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("command", ["enable", "disable"])
def test_site_packages_that_cannot_be_written_are_an_error(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    # Even root cannot write to a directory that does not exist. To disable, the marker must exist.
    place = tmp_path / "missing"
    if command == "disable":
        (place / "oxthreads_startup.enabled").mkdir(parents=True)
    monkeypatch.setattr(environment, "site_packages", lambda: place)
    assert cli.main([command]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"oxthreads {command}: ")
    assert len(err.splitlines()) == 1
    assert str(place) in err
