"""``oxthreads completion`` prints scripts that complete the command in bash, zsh and fish."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command_line.running import run
from tests.support.waiting import TIMEOUT_SECONDS

pytest.importorskip("shtab")

pytestmark = [
    pytest.mark.one_thread("starts child interpreters"),
    pytest.mark.skipif(sys.platform == "win32", reason="these shells are those of other systems"),
]

#: What is typed, and what it becomes.
LINES = {
    "oxthreads pro": "profile",
    "oxthreads compare --prof": "--profile",
    "oxthreads completion f": "fish",
    "oxthreads bench progr": "programs",
    "oxthreads run only_o": "only_one.py",
    "oxthreads trace -o only_o": "only_one.py",
}

#: In zsh the script of shtab completes the first of several names only.
FURTHER_LINES = {"oxthreads bench programs thumb": "thumbnails"}

BASH = """
source "$1"
read -ra COMP_WORDS <<< "$2"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$2 COMP_POINT=${#2}
function=$(complete -p oxthreads | sed 's/.*-F \\([^ ]*\\).*/\\1/')
"$function" oxthreads "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one file, and the scripts beside it."""
    place = tmp_path / "work"
    place.mkdir()
    (place / "only_one.py").touch()
    return place


def script(shell: str, folder: Path, name: str) -> Path:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    printed = run("completion", shell, where=folder)
    assert (printed.returncode, printed.stderr) == (0, "")
    file = folder.parent / name
    file.write_text(printed.stdout)
    return file


@pytest.mark.parametrize(("line", "completed"), (LINES | FURTHER_LINES).items())
def test_bash(line: str, completed: str, folder: Path) -> None:
    file = script("bash", folder, "oxthreads")
    command = ["bash", "--norc", "-c", BASH, "bash", str(file), line]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True
    )
    assert (done.stdout.split(), done.stderr) == ([completed], "")


@pytest.mark.parametrize(("line", "completed"), (LINES | FURTHER_LINES).items())
def test_fish(line: str, completed: str, folder: Path) -> None:
    file = script("fish", folder, "oxthreads.fish")
    command = ["fish", "--no-config", "-c", 'source $argv[1]; complete -C "$argv[2]"', str(file), line]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True
    )
    # Behind the word is what it means.
    assert [found.split("\t")[0] for found in done.stdout.splitlines()] == [completed]


class Terminal:
    """A zsh at a terminal: its completion works only there."""

    def __init__(self, folder: Path) -> None:
        import pty  # noqa: PLC0415 - not on every system

        self.descriptor, other = pty.openpty()
        self.process = subprocess.Popen(
            ["zsh", "-f", "-i", "+m"],
            cwd=folder,
            env={**os.environ, "TERM": "dumb"},
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
        )
        os.close(other)

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def read_until(self, text: str) -> str:
        """Return what is shown until that text is there."""
        shown = ""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while text not in shown:
            assert time.monotonic() < deadline, shown
            if select.select([self.descriptor], [], [], 0.1)[0]:
                shown += os.read(self.descriptor, 4096).decode(errors="replace")
        return shown

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.descriptor)


@pytest.mark.parametrize("line", LINES)
def test_zsh(line: str, folder: Path) -> None:
    file = script("zsh", folder, "_oxthreads")
    terminal = Terminal(folder)
    try:
        # Not as a whole word in what is typed, which the terminal shows.
        terminal.type(f"fpath=({file.parent} $fpath); autoload -U compinit; compinit -u -D; echo re''ady\n")
        terminal.read_until("ready")
        terminal.type(line + "\t")
        terminal.read_until(" ".join([*line.split()[:-1], LINES[line]]))
    finally:
        terminal.close()
