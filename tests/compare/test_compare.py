"""Tests of the command ``oxthreads compare`` from start to end. test_comparison.py tests its parts."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oxthreads.comparison.report import SET_ASIDE_LINE

pytestmark = pytest.mark.one_thread("starts child interpreters")

# The command as it is installed, in the environment of this interpreter, whatever the PATH is.
COMPARE = [sys.executable, "-c", "import sys; from oxthreads.cli import main; sys.exit(main())", "compare"]

# The limit in seconds for each step, even on a busy machine.
TIMEOUT_SECONDS = 60

# The beginning of each script that behaves differently on the two libraries.
WHICH = "import sys, threading\nox = 'oxthreads' in repr(threading.Event.__mro__)\n"

SPIN = "import time\nwhile True: time.sleep(60)\n"

posix = pytest.mark.skipif(not hasattr(os, "wait4"), reason="needs POSIX process groups and rusage")

Write = Callable[[str], Path]


@pytest.fixture
def script(tmp_path: Path) -> Write:
    """A function that writes a script and returns its path."""

    def write(source: str) -> Path:
        path = tmp_path / "script.py"
        path.write_text(source)
        return path

    return write


def compare(*arguments: str | Path, exit_code: int, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command to its end. Check its exit code, and that it prints no traceback."""
    result = subprocess.run(
        [*COMPARE, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
        **options,
    )
    assert result.returncode == exit_code, result
    assert "Traceback" not in result.stderr
    return result


def compare_json(*arguments: str | Path, exit_code: int = 0) -> Any:
    return json.loads(compare("--json", *arguments, exit_code=exit_code).stdout)


def row(table: str, label: str) -> list[str]:
    """Return the cells to the right of a label: standard, oxthreads, and the ratio or verdict."""
    [line] = [line for line in table.splitlines() if line.startswith(f"| {label} ")]
    return [cell.strip() for cell in line.split("|")[2:-1]]


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition was never met"
        time.sleep(0.005)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # If nobody reaps orphans, they stay as zombies.
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


# --- The table ---------------------------------------------------------------------------------------


def test_the_table_has_a_row_for_each_measure(script: Write) -> None:
    table = compare(script("print('hello')\n"), "--runs", "2", exit_code=0).stdout
    lines = table.splitlines()
    assert lines[0].startswith("script.py on ")
    assert lines[2].startswith("| best of 2 ")
    rows = [line for line in lines if line.startswith("|")]
    assert len({len(line) for line in rows}) == 1, "the columns are not aligned"
    assert re.fullmatch(r"\|-+(\|-+:){3}\|", rows[1]), "the second row is not that of a Markdown table"
    for label in ("wall time", "CPU time (user + system)"):
        for side in row(table, label)[:2]:
            assert re.fullmatch(r"[\d.]+ m?s( \((\+\d+%|to .*)\))?", side)
        assert re.fullmatch(r"[\d.]+x", row(table, label)[2])
    assert "MiB" in row(table, "peak memory")[0]
    assert row(table, "exit code") == ["0", "0", "same"]
    assert row(table, "output") == ["1 line", "1 line", "same"]
    assert table.endswith(SET_ASIDE_LINE + "\n")


def test_back_ends_take_turns_and_the_warm_up_is_not_counted(script: Write) -> None:
    document = compare_json(script(""), "--runs", "3")
    assert [(run["purpose"], run["back_end"]) for run in document["runs"]] == [
        ("warm-up", "oxthreads"),
        ("warm-up", "standard"),
        ("measured", "standard"),
        ("measured", "oxthreads"),
        ("measured", "oxthreads"),
        ("measured", "standard"),
        ("measured", "standard"),
        ("measured", "oxthreads"),
    ]


def test_each_side_runs_on_its_library(script: Write) -> None:
    result = compare(script(WHICH + "print(ox)\n"), "--runs", "1", exit_code=1)
    assert "    -False\n    +True\n" in result.stdout


def test_the_variable_that_switches_oxthreads_off_is_ignored(script: Write) -> None:
    environment = {**os.environ, "OXTHREADS": "0"}
    result = compare(script(WHICH + "print(ox)\n"), "--runs", "1", exit_code=1, env=environment)
    assert "    +True\n" in result.stdout


def test_the_json_document_has_all_fields(script: Write) -> None:
    path = script("import sys\nprint('a\\nb')\nprint('c', file=sys.stderr)\nsys.exit(3)\n")
    document = compare_json(path, "--runs", "2", "--timeout", "50", "--", "x", "--y")
    assert document["version"] == 1
    assert document["command"] == [str(path), "x", "--y"]
    assert document["timeout_seconds"] == 50
    assert document["same"] is True
    assert document["verdicts"] == {"exit_code": "same", "stdout": "same", "stderr": "same"}
    assert document["differences"] == {}
    assert document["python"]["version"] == sys.version.split()[0]
    assert set(document["summary"]) == {
        "wall_seconds",
        "cpu_seconds",
        "peak_memory_bytes",
        "voluntary_context_switches",
    }
    for measure in document["summary"].values():
        assert set(measure) == {"standard", "oxthreads", "ratio"}
        assert measure["standard"]["best"] <= measure["standard"]["worst"]
    assert len(document["runs"]) == 6
    for run in document["runs"]:
        assert run["exit_code"] == 3
        assert run["timed_out"] is False
        assert run["wall_seconds"] > 0
        assert run["user_seconds"] + run["system_seconds"] > 0
        assert run["peak_memory_bytes"] > 2**20
        assert run["voluntary_context_switches"] >= 0
        assert (run["stdout"]["bytes"], run["stdout"]["lines"]) == (len(f"a{os.linesep}b{os.linesep}"), 2)
        assert run["stderr"]["lines"] == 1


# --- What is run -------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True], ids=["options first", "script first"])
def test_arguments_after_two_dashes_are_passed_to_the_script(script: Write, after: bool) -> None:
    path = str(script("import sys\nsys.exit(sys.argv[1:] != ['a', '--runs', '--', '-x'])\n"))
    front = [path, "--runs", "1"] if after else ["--runs", "1", path]
    table = compare(*front, "--", "a", "--runs", "--", "-x", exit_code=0).stdout
    assert row(table, "exit code") == ["0", "0", "same"]


def test_modules_code_and_directories_can_be_run(tmp_path: Path) -> None:
    (tmp_path / "__main__.py").write_text("import sys\nsys.exit(7)\n")
    for target in (["-m", "json.tool", "--", "nowhere.json"], ["-c", "raise SystemExit(7)"], [str(tmp_path)]):
        table = compare("--runs", "1", *target, exit_code=0).stdout
        standard, oxthreads, verdict = row(table, "exit code")
        assert standard == oxthreads != "0"
        assert verdict == "same"


def test_standard_input_is_empty(script: Write) -> None:
    path = script("import sys\nsys.exit(len(sys.stdin.read()))\n")
    assert row(compare(path, "--runs", "1", exit_code=0).stdout, "exit code")[0] == "0"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.py"], "can't open file 'nowhere.py': No such file or directory"),
        (["."], "can't find '__main__' module in '.'"),
        ([], "one of SCRIPT, -m MODULE and -c CODE is needed, and only one"),
        (["-c", "pass", "script.py"], "one of SCRIPT, -m MODULE and -c CODE is needed, and only one"),
        (["script.py", "--runs", "0"], "argument --runs: a whole number from 1 on is needed, not 0"),
        (["script.py", "--runs", "-1"], "argument --runs: a whole number from 1 on is needed, not -1"),
        (["script.py", "--runs", "many"], "argument --runs: a whole number from 1 on is needed, not many"),
        (["script.py", "--timeout", "0"], "argument --timeout: a number of seconds above 0 is needed, not 0"),
        (
            ["script.py", "--timeout", "nan"],
            "argument --timeout: a number of seconds above 0 is needed, not nan",
        ),
        (["script.py", "x"], "unrecognized arguments: x"),
    ],
)
def test_wrong_usage_is_refused_with_a_message(
    script: Write, tmp_path: Path, arguments: list[str], message: str
) -> None:
    script("")
    result = compare(*arguments, exit_code=2, cwd=tmp_path)
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1].endswith(f": {message}")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root can read everything")
def test_an_unreadable_script_is_refused(script: Write) -> None:
    path = script("")
    path.chmod(0)
    result = compare(path, exit_code=2)
    assert result.stderr == f"oxthreads compare: can't open file {str(path)!r}: Permission denied\n"


# --- Results -----------------------------------------------------------------------------------------


def test_scripts_that_fail_the_same_way_are_the_same(script: Write) -> None:
    table = compare(script("import sys\nsys.exit(3)\n"), "--runs", "1", exit_code=0).stdout
    assert row(table, "exit code") == ["3", "3", "same"]

    table = compare(script("print('before')\n1 / 0\n"), "--runs", "1", exit_code=0).stdout
    assert row(table, "exit code") == ["1", "1", "same"]
    assert row(table, "output")[2] == "same"
    assert "The script fails on standard and oxthreads: ZeroDivisionError: division by zero" in table

    table = compare(script("def (\n"), "--runs", "1", exit_code=0).stdout
    assert row(table, "exit code") == ["1", "1", "same"]
    assert row(table, "output")[2] == "same"
    assert "SyntaxError: invalid syntax" in table


def test_an_error_inside_either_library_is_no_difference(script: Write) -> None:
    path = script(
        "import queue, threading\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "def fail(): queue.Queue().get(timeout=0.001)\n"
        "thread = threading.Thread(target=fail)\n"
        "thread.start()\n"
        "thread.join()\n"
        "with ThreadPoolExecutor() as pool: pool.submit(fail).result()\n"
    )
    table = compare(path, "--runs", "1", exit_code=0).stdout
    assert row(table, "exit code") == ["1", "1", "same"]
    assert row(table, "output")[2] == "same"


@posix
def test_death_by_a_signal_is_reported(script: Write) -> None:
    # The signal goes to the process group. It must hit neither the command nor the process that measures.
    path = script("import os, signal\nos.killpg(0, signal.SIGTERM)\n")
    table = compare(path, "--runs", "1", exit_code=0).stdout
    assert row(table, "exit code") == ["SIGTERM", "SIGTERM", "same"]


def test_different_exit_codes_are_reported(script: Write) -> None:
    table = compare(script(WHICH + "sys.exit(4 if ox else 0)\n"), "--runs", "2", exit_code=1).stdout
    assert row(table, "exit code") == ["0", "4", "differs"]
    assert row(table, "output")[2] == "same"


def test_different_output_is_reported(script: Write) -> None:
    path = script(WHICH + "print('the same')\nfor i in range(8): print('line', i, ox)\n")
    table = compare(path, "--runs", "2", exit_code=1).stdout
    assert row(table, "output") == ["9 lines", "9 lines", "stdout differs"]
    assert "stdout differs in 2 of 2 (- standard, + oxthreads):" in table
    assert "\n    -line 4 False\n    -... and 3 more\n    +line 0 True\n" in table

    path = script(WHICH + "print('the same')\nprint(ox, file=sys.stderr)\n")
    document = compare_json(path, "--runs", "1", exit_code=1)
    assert document["same"] is False
    assert document["verdicts"] == {"exit_code": "same", "stdout": "same", "stderr": "differs"}
    assert document["differences"] == {
        "stderr": {"differing_runs": 1, "compared_runs": 1, "lines": ["-False", "+True"]}
    }


@pytest.mark.parametrize("runs", ["1", "2"])
def test_output_that_varies_by_itself_is_no_difference(script: Write, runs: str) -> None:
    path = script("import os\nprint('process', os.getpid())\n")
    table = compare(path, "--runs", runs, exit_code=0).stdout
    assert row(table, "output")[2] == "stdout varies"
    assert "on the standard library alone, so no difference is counted: stdout." in table


def test_one_run_that_differs_is_checked_once_more(script: Write) -> None:
    document = compare_json(script(WHICH + "print(ox)\n"), "--runs", "1", exit_code=1)
    assert [run["purpose"] for run in document["runs"]] == ["measured", "measured", "repeated"]
    assert document["runs"][2]["back_end"] == "standard"


def test_times_addresses_and_thread_numbers_are_no_difference(script: Write) -> None:
    path = script(
        "import logging, random, sys, threading, time\n"
        "logging.basicConfig(format='%(asctime)s %(created)f %(thread)d %(message)s', level=10)\n"
        "lines = [f'line {i}' for i in range(50)]\n"
        "random.shuffle(lines)\n"
        "for line in lines: print(line, object(), threading.get_ident(), time.time())\n"
        "for line in lines: logging.info(line)\n"
    )
    table = compare(path, "--runs", "2", exit_code=0).stdout
    assert row(table, "output") == ["100 lines", "100 lines", "same"]


def test_megabytes_of_binary_output_can_be_compared(script: Write) -> None:
    path = script(
        "import sys\n"
        "sys.stdout.buffer.write(bytes(range(256)) * 20_000 + b'\\xff')\n"
        "sys.stdout.buffer.write(bytes(5_000_000))\n"
    )
    document = compare_json(path, "--runs", "1")
    assert document["runs"][0]["stdout"]["bytes"] == 256 * 20_000 + 1 + 5_000_000
    assert document["verdicts"]["stdout"] == "same"

    path = script(WHICH + "sys.stdout.buffer.write(b'\\x1b\\xff\\xfe' + bytes(1_000_000) * ox)\n")
    result = compare(path, "--runs", "1", exit_code=1)
    assert "\n    -\\x1b\\xff\\xfe\n" in result.stdout
    assert max(map(len, result.stdout.splitlines())) < 200


# --- Waits -------------------------------------------------------------------------------------------

WAITS = """\
import threading, time; from oxthreads import _oxthreads
lock, waits = threading.Lock(), threading.Event()

def take():
    waits.set()
    with lock:
        pass

with lock:
    thread = threading.Thread(target=take)
    thread.start()
    waits.wait()
    while _oxthreads.profile_runs() and not any(sleep[3] == "Lock" for sleep in _oxthreads.asleep()):
        time.sleep(0.001)
thread.join()
print("done")
"""


def test_a_profile_says_where_threads_wait(script: Write) -> None:
    table, _, waits = compare("--runs", "1", "--profile", script(WAITS), exit_code=0).stdout.partition(
        "\n\nWhere threads waited for others in one run on oxthreads: "
    )
    assert row(table, "exit code") == ["0", "0", "same"]
    lines = waits.splitlines()
    assert 3 < len(lines) <= 10
    assert any("Lock lock" in line for line in lines)
    assert any("script.py:6 in take" in line and "script.py:9 in <module>" in line for line in lines)


def test_the_json_document_has_the_profile(script: Write) -> None:
    path = script(WAITS)
    document = compare_json(path, "--runs", "1", "--profile")
    # The run with the profile is not compared with the others.
    assert len(document["runs"]) == 2
    assert document["profile"]["version"] == 1
    assert "Lock lock" in [each["object"] for each in document["profile"]["objects"]]
    assert "profile" not in compare_json(path, "--runs", "1")


def test_a_script_without_waits_and_one_without_a_profile(script: Write) -> None:
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    ended = compare("--runs", "1", "--profile", script(killed), exit_code=0)
    assert "The run with a profile has written none" in ended.stdout
    assert compare_json(script(killed), "--runs", "1", "--profile")["profile"] is None
    ended = compare("--runs", "1", "--profile", script("pass"), exit_code=0)
    assert "in one run on oxthreads: " in ended.stdout


# --- Ends --------------------------------------------------------------------------------------------


def test_a_timeout_on_both_sides_is_reported(script: Write) -> None:
    table = compare(script(SPIN), "--timeout", "0.5", exit_code=1).stdout
    assert row(table, "exit code") == ["timed out", "timed out", "not compared"]
    assert row(table, "wall time") == ["n/a", "n/a", "n/a"]
    assert "standard: the run took longer than 0.5 s, and was killed." in table
    assert "oxthreads: the run took longer than 0.5 s, and was killed." in table


def test_a_timeout_on_one_side_is_reported(script: Write) -> None:
    path = script(WHICH + f"if ox:\n    threading.Event().wait({TIMEOUT_SECONDS})\n")
    # On a busy machine, the other side may need longer, too.
    for timeout in ("5", "20"):
        document = compare_json(path, "--timeout", timeout, "--runs", "3", exit_code=1)
        timed_out = {(run["back_end"], run["timed_out"]) for run in document["runs"]}
        if ("standard", True) not in timed_out:
            break
    assert document["same"] is False
    assert timed_out == {("standard", False), ("oxthreads", True)}
    assert [run["exit_code"] for run in document["runs"] if run["timed_out"]] == [None]
    assert document["remarks"] == [f"oxthreads: the run took longer than {timeout} s, and was killed."]


# A script that starts a child, which never ends. It writes its own pid and that of the child into a file.
WITH_CHILD = (
    "import os, subprocess, sys, time\n"
    f"child = subprocess.Popen([sys.executable, '-c', {SPIN!r}])\n"
    "with open(sys.argv[1] + '.new', 'w') as file: print(os.getpid(), child.pid, file=file)\n"
    "os.replace(sys.argv[1] + '.new', sys.argv[1])\n"
)


@posix
def test_a_timeout_kills_the_whole_process_group(script: Write, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    path = script(WITH_CHILD + SPIN)
    while not pids.exists():  # on a busy machine, the script may not get this far in time
        compare(path, "--runs", "1", "--timeout", "2", "--", str(pids), exit_code=1)
    wait_until(lambda: not any(is_running(int(pid)) for pid in pids.read_text().split()))


@posix
def test_no_child_outlives_a_run(script: Write, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    compare(script(WITH_CHILD), "--runs", "1", "--", str(pids), exit_code=0)
    wait_until(lambda: not any(is_running(int(pid)) for pid in pids.read_text().split()))


@posix
@pytest.mark.parametrize(
    ("number", "exit_code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_signals_leave_no_child_behind(script: Write, tmp_path: Path, number: int, exit_code: int) -> None:
    pids = tmp_path / "pids"
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [*COMPARE, str(script(WITH_CHILD + SPIN)), "--", str(pids)]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    # Under nohup, the signal is ignored. The command would leave it ignored.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, env=environment
    )
    signal.signal(signal.SIGHUP, before)
    with process:
        wait_until(lambda: pids.exists() or process.poll() is not None)
        # The terminal sends the signal to the foreground process group in this way.
        os.killpg(process.pid, number)
        try:
            assert process.communicate(timeout=TIMEOUT_SECONDS) == (b"", b"")
        finally:
            # The end of the `with` block would wait for a process that the signal does not end.
            process.kill()
    assert process.returncode == exit_code
    wait_until(lambda: not any(is_running(int(pid)) for pid in pids.read_text().split()))
    assert number == signal.SIGKILL or not list(temporary.iterdir())


@posix
def test_the_command_ends_well_if_nobody_reads_its_output(script: Write) -> None:
    path = script("")
    with subprocess.Popen(
        [*COMPARE, str(path), "--runs", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


# --- Progress ----------------------------------------------------------------------------------------


@posix
def test_progress_is_shown_on_a_terminal_and_erased(script: Write) -> None:
    leader, follower = os.openpty()
    process = subprocess.Popen(
        [*COMPARE, str(script("")), "--runs", "2"], stdout=subprocess.DEVNULL, stderr=follower
    )
    os.close(follower)
    written = b"".join(iter(lambda: read_terminal(leader), b""))
    os.close(leader)
    assert process.wait(TIMEOUT_SECONDS) == 0
    assert b"\r\x1b[Kwarm-up: oxthreads\r\x1b[Kwarm-up: standard\r\x1b[Krun 1 of 2: standard" in written
    assert written.endswith(b"\r\x1b[K")
    assert b"\n" not in written


def read_terminal(leader: int) -> bytes:
    try:
        return os.read(leader, 4096)
    except OSError:  # on Linux, when the last process has closed the other end
        return b""


def test_no_progress_is_shown_without_a_terminal(script: Write) -> None:
    assert compare(script(""), "--runs", "2", exit_code=0).stderr == ""
