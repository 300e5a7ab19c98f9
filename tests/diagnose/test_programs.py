"""The programs of the catalogue do what their docstrings say, without a watch and on both libraries."""

from __future__ import annotations

import ast
import linecache
import re
from pathlib import Path

import pytest

from tests.diagnose.catalogue import NOT_TO_REPORT, PROGRAMS, TO_REPORT, Expected, runnable
from tests.diagnose.running import FOLDER, Run, path
from tests.support.back_ends import OXTHREADS, BackEnd

pytestmark = pytest.mark.one_thread("starts child interpreters")

#: Runs a program that prints all stacks again and again, in each of its processes.
WITH_STACKS = """
import faulthandler, os, runpy, signal, sys
faulthandler.register(signal.SIGALRM)
# The thread of `dump_traceback_later` is not there in a child, and cannot be started anew.
os.register_at_fork(after_in_child=lambda: signal.setitimer(signal.ITIMER_REAL, 0.3, 0.3))
faulthandler.dump_traceback_later(0.3, repeat=True)
program = sys.argv[1]
sys.path.insert(0, os.path.dirname(program))
runpy.run_path(program, run_name="__main__")
"""


def run(library: BackEnd, *arguments: str) -> Run:
    return Run(*(["-m", "oxthreads"] if library is OXTHREADS else []), *arguments)


def lines_of(stacks: str) -> set[str]:
    """The source lines of a text of faulthandler."""
    found = re.findall(r'File "(.*)", line (\d+)', stacks)
    return {linecache.getline(file, int(line)).partition("  #")[0].strip() for file, line in found}


def test_each_program_is_in_the_catalogue_once() -> None:
    files = {file.relative_to(FOLDER).with_suffix("").as_posix() for file in FOLDER.rglob("*.py")}
    assert files - set(PROGRAMS) == {"import_and_join/configuration", "import_and_join/settings_reader"}
    assert set(PROGRAMS) <= files
    assert [each.number for each in TO_REPORT.values()] == list(range(1, 31))
    assert [each.number for each in NOT_TO_REPORT.values()] == list(range(1, 21))


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_says_what_goes_wrong_and_imports_nothing_of_ours(program: str) -> None:
    tree = ast.parse(Path(path(program)).read_text())
    assert ast.get_docstring(tree)
    assert not re.search(r"^\s*(import|from) oxthreads", ast.unparse(tree), re.MULTILINE)


@pytest.mark.parametrize(("program", "expected"), runnable(TO_REPORT))
def test_it_hangs_where_it_is_meant_to(library: BackEnd, program: str, expected: Expected) -> None:
    with run(library, "-c", WITH_STACKS, path(program)) as process:

        def missing() -> list[str]:
            # The last whole ones, and those of a child beside them.
            last = process.errors.split("Timeout (")[1:-1][-2:]
            lines = {line for stacks in last for line in lines_of(stacks)}
            return [line for line in expected.lines if line not in lines]

        assert process.wait_until(missing) == [], str(process)
        assert process.runs
        assert process.output == expected.output


@pytest.mark.parametrize(("program", "expected"), runnable(NOT_TO_REPORT))
def test_it_ends_by_itself_after_some_time(library: BackEnd, program: str, expected: Expected) -> None:
    with run(library, path(program)) as process:
        assert process.ends() == 0, str(process)
        assert process.seconds > 1.5
        assert process.output == "done\n"
        assert process.errors == ""
