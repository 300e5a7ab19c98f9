"""``--version`` says the version, and on what it runs; wrong usage says what is wrong."""

from __future__ import annotations

import platform
import re
import sys
import sysconfig
from pathlib import Path

import pytest

import oxthreads
from oxthreads import _version
from oxthreads._oxthreads import PARKER
from tests.command_line.running import COMMAND, run

pytestmark = pytest.mark.one_thread("starts child interpreters")

MODULE = [sys.executable, "-m", "oxthreads"]


@pytest.mark.parametrize("command", [COMMAND, MODULE], ids=["command", "module"])
@pytest.mark.parametrize("option", ["-V", "--version"])
def test_it_says_on_what_it_runs(command: list[str], option: str, tmp_path: Path) -> None:
    asked = run(option, where=tmp_path, command=command)
    assert (asked.returncode, asked.stderr) == (0, "")
    first, *rest = asked.stdout.splitlines()
    assert first == f"oxthreads {oxthreads.__version__}"
    said = dict(re.fullmatch(r"(\w+): +(.*)", line).group(1, 2) for line in rest)  # type: ignore[union-attr]
    assert list(said) == ["interpreter", "platform", "parker", "GIL"]
    assert said["interpreter"] == f"CPython {platform.python_version()} ({sys.executable})"
    assert said["platform"].startswith(f"{platform.system()} {platform.machine()}")
    assert said["parker"] == PARKER


def test_the_parker_has_a_name() -> None:
    assert PARKER in ("futex", "portable")
    if sys.platform != "linux":
        assert PARKER == "portable"


def test_the_gil_is_on_or_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert _version.description().endswith("\nGIL:         on\n")
        # As on the other build.
        monkeypatch.setattr(sysconfig, "get_config_var", lambda _: 1)
        monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
        assert _version.description().endswith("\nGIL:         off (free-threaded build)\n")
        monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
        assert _version.description().endswith("\nGIL:         on (free-threaded build)\n")
        return
    for gil, words in (("0", "off (free-threaded build)"), ("1", "on (free-threaded build)")):
        asked = run("--version", where=tmp_path, PYTHON_GIL=gil)
        assert asked.stdout.endswith(f"\nGIL:         {words}\n")


def test_it_says_why_the_extension_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "oxthreads._oxthreads", None)
    assert "\nparker:      none, since the extension module cannot be imported (" in _version.description()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "COMMAND"),
        (["nonsense"], "invalid choice: 'nonsense'"),
        (["--nonsense"], "COMMAND"),
        (["status", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["inspect"], "PID"),
        (["completion", "ksh"], "invalid choice: 'ksh'"),
        (["compare"], "SCRIPT"),
        (["compare", "missing.py"], "missing.py"),
        (["run"], "what to run is missing"),
        (["run", "--"], "what to run is missing"),
        (["run", "--watch"], "what to run is missing"),
        (["run", "--watch=never", "script.py"], "--watch must be"),
        (["run", "-x"], "unknown option: -x"),
        (["run", "-m"], "argument expected for the -m option"),
        (["run", "missing.py"], "can't open file"),
        (["profile"], "oxthreads profile: what to run is missing"),
        (["profile", "-o"], "oxthreads profile: -o needs the name of a file"),
        (["profile", "-o", "out.html"], "oxthreads profile: what to run is missing"),
        (["profile", "--watch=never", "script.py"], "oxthreads profile: --watch must be"),
        (["trace"], "oxthreads trace: what to run is missing"),
        (["trace", "script.py"], "oxthreads trace: it needs -o FILE"),
        (["trace", "-o", "out.json", "-x"], "oxthreads trace: unknown option: -x"),
    ],
    ids=" ".join,
)
def test_wrong_usage_says_what_is_wrong(arguments: list[str], words: str, tmp_path: Path) -> None:
    wrong = run(*arguments, where=tmp_path)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert words in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_the_help_of_each_command_says_what_it_is_for(tmp_path: Path) -> None:
    whole = run("--help", where=tmp_path).stdout
    commands = re.findall(r"^    (\w+) ", whole, re.MULTILINE)
    assert len(commands) == 10
    for command in commands:
        asked = run(command, "--help", where=tmp_path, COLUMNS="80")
        assert (asked.returncode, asked.stderr) == (0, "")
        assert asked.stdout.startswith("usage: ")
        for part in ("\nexamples:\n", "\nexit codes:", "Read on in docs/"):
            assert part in asked.stdout, command
        assert max(len(line) for line in asked.stdout.splitlines()) <= 88, command
