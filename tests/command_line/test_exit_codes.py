"""docs/command_line.md lists the exit codes of every command, and each of them is provoked here."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from oxthreads import cli, environment
from oxthreads.bench import catalogue, command, libraries
from oxthreads.bench.program_runs import ProgramScenario
from oxthreads.diagnose import _inspection
from tests.command_line.running import COMMAND, run
from tests.support.waiting import TIMEOUT_SECONDS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/command_line.md"
ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)

RUNNERS = {"run": ["run"], "profile": ["profile"], "trace": ["trace", "-o", "trace.json"]}
COMMANDS = [*RUNNERS, "inspect", "compare", "bench", "enable", "disable", "status", "completion"]

pytestmark = pytest.mark.one_thread("starts child interpreters")


class Provoked:
    """What a test needs to provoke an exit code: an empty folder, and the fixtures of pytest."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch

    def script(self, source: str) -> str:
        (self.folder / "script.py").write_text(source)
        return "script.py"

    def codes(self, *commands: list[str], **variables: str) -> set[int]:
        """The exit codes of these command lines, each in a process of its own."""
        return {run(*arguments, where=self.folder, **variables).returncode for arguments in commands}

    def code_here(self, *arguments: str) -> int:
        """The exit code in this process, where a part of the command has been replaced."""
        return cli.main(list(arguments))


def helped(given: Provoked) -> set[int]:
    return given.codes(["--help"], *([name, "--help"] for name in COMMANDS))


def wrong(given: Provoked) -> set[int]:
    return given.codes(["--nonsense"], *([name, "--nonsense"] for name in COMMANDS))


def runner_codes(given: Provoked, source: str) -> set[int]:
    return given.codes(*([*arguments, given.script(source)] for arguments in RUNNERS.values()))


def unreadable(given: Provoked) -> set[int]:
    return given.codes(*([*arguments, "missing.py"] for arguments in RUNNERS.values()))


def interrupted(given: Provoked) -> set[int]:
    # Also where SIGINT is ignored, as in a shell's background jobs.
    source = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.raise_signal(signal.SIGINT)\n"
    )
    return {-code for code in runner_codes(given, source)}


def deadlocked(given: Provoked) -> set[int]:
    source = (
        "import threading\n"
        "thread = threading.Thread(target=threading.main_thread().join)\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    return given.codes(["run", "--watch=exit", given.script(source)])


def unwritable(given: Provoked) -> set[int]:
    script = given.script("pass")
    return given.codes(
        ["profile", "-o", "missing/found.txt", script], ["trace", "-o", "missing/trace.json", script]
    )


def inspected(given: Provoked) -> set[int]:
    given.monkeypatch.setattr(
        _inspection, "ask", lambda _: {"version": 1, "process": 1, "interpreter": True, "threads": []}
    )
    return {given.code_here("inspect", "1")}


def gone(given: Provoked) -> set[int]:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait(TIMEOUT_SECONDS)
    return given.codes(["inspect", str(process.pid)])


def slow_script(given: Provoked) -> set[int]:
    script = given.script("import threading; threading.Event().wait()")
    return given.codes(["compare", "--runs", "1", "--timeout", "0.01", script])


def compare_interrupted(given: Provoked) -> set[int]:
    if sys.platform == "win32":
        pytest.skip("a signal ends the process")
    # The script ends the comparison, and waits for its own end.
    source = (
        "import os, signal, threading\n"
        "os.kill(int(os.environ['COMPARISON']), signal.SIGINT)\n"
        "threading.Event().wait()\n"
    )
    program = (
        "import os, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"os.environ['COMPARISON'] = str(os.getpid())\n{COMMAND[2]}"
    )
    done = run(
        "compare", "--runs", "1", given.script(source), where=given.folder, command=[*COMMAND[:2], program]
    )
    return {done.returncode}


def benched(given: Provoked) -> set[int]:
    return given.codes(["bench", "--quick", "--rounds", "1", "--without-peers", "event-set-clear"])


def goal_missed(given: Provoked) -> set[int]:
    given.monkeypatch.setattr(command, "measure", lambda arguments, scenarios: 1 if arguments.check else 0)
    assert given.code_here("bench", "event-set-clear") == 0
    return {given.code_here("bench", "--check", "event-set-clear")}


def differing_program(given: Provoked) -> set[int]:
    given.script("import sys\nSIZE = 1\ndef main(size):\n    return str('oxthreads.patch' in sys.modules)\n")
    program = ProgramScenario("program-script", "", "", operations=1, threads=1, folder=given.folder)
    given.monkeypatch.setattr(catalogue, "SCENARIOS", (program,))
    return {given.code_here("bench", "programs", "--rounds", "1")}


def slow_bench(given: Provoked) -> set[int]:
    # So many rounds that they do not end in time.
    return given.codes(
        ["bench", "--without-peers", "--rounds", "100000", "--timeout", "0.01", "pool-as-completed"]
    )


def patched_bench(given: Provoked) -> set[int]:
    given.monkeypatch.setattr(libraries, "replaced_names", lambda: ["threading.Lock"])
    return {given.code_here("bench", catalogue.SCENARIOS[0].name)}


def switched(given: Provoked) -> set[int]:
    given.monkeypatch.setattr(environment, "enable", lambda: "done")
    given.monkeypatch.setattr(environment, "disable", lambda: "done")
    return {given.code_here("enable"), given.code_here("disable")}


def not_switched(given: Provoked) -> set[int]:
    def fail() -> str:
        raise OSError("read-only")

    given.monkeypatch.setattr(environment, "enable", fail)
    given.monkeypatch.setattr(environment, "disable", fail)
    return {given.code_here("enable"), given.code_here("disable")}


def status(given: Provoked, *, is_as_asked: bool) -> set[int]:
    given.monkeypatch.setattr(environment, "is_as_asked", lambda _: is_as_asked)
    given.monkeypatch.setattr(environment, "describe", lambda _: "")
    given.monkeypatch.setattr(environment, "status", dict)
    return {given.code_here("status")}


def completed(given: Provoked) -> set[int]:
    pytest.importorskip("shtab")
    return given.codes(*(["completion", shell] for shell in ("bash", "zsh", "fish")))


def without_shtab(given: Provoked) -> set[int]:
    given.monkeypatch.setitem(sys.modules, "shtab", None)
    return {given.code_here("completion", "bash")}


def ctrl_c(given: Provoked) -> set[int]:
    def interrupt(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    given.monkeypatch.setattr(environment, "enable", interrupt)
    given.monkeypatch.setattr(environment, "disable", interrupt)
    given.monkeypatch.setattr(environment, "status", interrupt)
    given.monkeypatch.setattr(command, "run", interrupt)
    given.monkeypatch.setattr(_inspection, "run", interrupt)
    arguments = [["enable"], ["disable"], ["status"], ["bench"], ["inspect", "1"]]
    return {given.code_here(*each) for each in arguments}


#: Each row of the page: the commands, the code, and when. A code in words comes with its number here.
CASES: dict[tuple[str, str, str], tuple[int, Callable[[Provoked], set[int]]]] = {
    ("every command", "0", "`--help`"): (0, helped),
    ("every command", "2", "the command line is wrong; a sentence says what"): (2, wrong),
    ("`run`, `profile`, `trace`", "as the program", "the program has ended"): (
        7,
        lambda given: runner_codes(given, "raise SystemExit(7)"),
    ),
    ("`run`, `profile`, `trace`", "1", "the program has ended by an exception"): (
        1,
        lambda given: runner_codes(given, "1 / 0"),
    ),
    ("`run`, `profile`, `trace`", "2", "the script cannot be opened"): (2, unreadable),
    ("`run`, `profile`, `trace`", "by the signal", "Ctrl-C, as with `python`"): (signal.SIGINT, interrupted),
    ("`run`", "2", "a deadlock under `--watch=exit`"): (2, deadlocked),
    ("`profile`, `trace`", "2", "the file cannot be written"): (2, unwritable),
    ("`inspect`", "0", "the process has answered"): (0, inspected),
    ("`inspect`", "1", "the process does not exist, or cannot be asked; a sentence says why"): (1, gone),
    ("`inspect`", "2", "what is given is not the number of a process"): (
        2,
        lambda given: given.codes(["inspect", "all"], ["inspect", "0"]),
    ),
    ("`compare`", "0", "exit code and output are the same on both sides"): (
        0,
        lambda given: given.codes(["compare", "--runs", "1", given.script("print(1)")]),
    ),
    ("`compare`", "1", "they differ"): (
        1,
        lambda given: given.codes(
            ["compare", "--runs", "1", given.script("import threading; print(threading.Lock.__module__)")]
        ),
    ),
    ("`compare`", "1", "a run did not end within `--timeout`"): (1, slow_script),
    ("`compare`", "2", "the script cannot be opened"): (
        2,
        lambda given: given.codes(["compare", "missing.py"]),
    ),
    ("`compare`", "130", "Ctrl-C; for another signal 128 and its number"): (130, compare_interrupted),
    ("`bench`", "0", "everything was measured"): (0, benched),
    ("`bench`", "1", "a goal is missed, with `--check`"): (1, goal_missed),
    ("`bench`", "1", "a scenario took longer than `--timeout`"): (1, slow_bench),
    ("`bench`", "1", "a program prints something else on the other side"): (1, differing_program),
    ("`bench`", "2", "a name is unknown"): (2, lambda given: given.codes(["bench", "nonsense"])),
    ("`bench`", "2", "the patch is installed in this process"): (2, patched_bench),
    ("`enable`, `disable`", "0", "done"): (0, switched),
    ("`enable`, `disable`", "1", "it cannot be done; a sentence says why"): (1, not_switched),
    ("`status`", "0", "a new interpreter uses what is asked for"): (
        0,
        lambda given: status(given, is_as_asked=True),
    ),
    ("`status`", "1", "it does not"): (1, lambda given: status(given, is_as_asked=False)),
    ("`completion`", "0", "the script was printed"): (0, completed),
    ("`completion`", "2", "shtab is not installed"): (2, without_shtab),
    ("all but `run`, `profile`, `trace`", "130", "Ctrl-C"): (130, ctrl_c),
}


@pytest.mark.skipif(not PAGE.is_file(), reason="the documents are not here")
def test_the_page_has_these_codes_and_no_others() -> None:
    section = PAGE.read_text().partition("## Exit codes")[2].partition("\n## ")[0]
    rows = [row for row in ROW.findall(section) if row[0] not in ("command", "---")]
    assert rows == list(CASES)


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_an_exit_code(case: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, provoke = CASES[case]
    if sys.platform == "win32" and case[1] == "by the signal":
        pytest.skip("a signal ends the process")
    for name in ("OXTHREADS", "OXTHREADS_WATCH"):
        monkeypatch.delenv(name, raising=False)
    assert os.environ.get("OXTHREADS") is None
    assert provoke(Provoked(tmp_path, monkeypatch)) == {expected}
