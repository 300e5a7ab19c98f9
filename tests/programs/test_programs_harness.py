"""Tests of the harness that runs other people's programs: does it see a difference if there is one?"""

from __future__ import annotations

import shutil
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from tests.programs import servers
from tests.programs.environment import Interpreter, Workshop
from tests.programs.record import Record
from tests.programs.suites import AGAIN, Comparison, compare
from tests.programs.table import PROGRAMS, CPythonSuite, Library

# These run with the programs, and not on every interpreter, because they do not test oxthreads.
pytestmark = [
    pytest.mark.one_thread("starts child interpreters"),
    pytest.mark.programs,
]


class LocalWorkshop(Workshop):
    """A workshop with this environment's interpreter, and a suite that a test has written."""

    def __init__(self, suite: Path) -> None:
        super().__init__(Interpreter.at(sys.executable), suite)
        self._suite = suite

    def python(self, name: str, requirements: tuple[str, ...]) -> Path:
        return Path(sys.executable)

    def source(self, library: Library) -> Path:
        place = Path(tempfile.mkdtemp(dir=self.scratch))
        shutil.copytree(self._suite, place, dirs_exist_ok=True)
        return place


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "suite").mkdir()
    return tmp_path / "suite"


def run(suite: Path, source: str, **keywords: object) -> Comparison:
    prelude = "import os, pathlib, threading\nOURS = 'oxthreads' in repr(threading.Event.__mro__)\n"
    (suite / "test_it.py").write_text(prelude + textwrap.dedent(source))
    library = Library("something", "1.0", **keywords)  # type: ignore[arg-type]
    with LocalWorkshop(suite) as workshop:
        return compare(library, workshop)


def test_tests_that_pass_on_both_libraries_do_not_differ(suite: Path) -> None:
    found = run(
        suite,
        """
        import pytest
        def test_one(): pass
        @pytest.mark.parametrize("value", ["a b", "[c]"])
        def test_two(value): pass
        def test_failing(): assert False
        def test_skipped(): pytest.skip("why not")
        @pytest.fixture
        def broken():
            yield
            raise ValueError
        def test_broken(broken): pass
        """,
    )
    assert found.passed == {"standard": 3, "oxthreads": 3}
    assert found.failed_on_both == ["test_it.py::test_broken", "test_it.py::test_failing"]
    assert found.differences == found.unsteady == found.unexplained == []  # type: ignore[comparison-overlap]
    assert found.endings == {"standard": "exit status 1", "oxthreads": "exit status 1"}


def test_a_difference_is_found(suite: Path) -> None:
    source = """
        def test_alike(): pass
        def test_worse(): assert not OURS, "the reason"
        def test_better(): assert OURS
        """
    found = run(suite, source)
    assert found.passed == {"standard": 2, "oxthreads": 2}
    better, worse = found.differences
    assert (better.test, worse.test) == ("test_it.py::test_better", "test_it.py::test_worse")
    assert worse.passed == {"standard": 1 + AGAIN, "oxthreads": 0} and worse.runs == 1 + AGAIN
    assert better.passed == {"standard": 0, "oxthreads": 1 + AGAIN}
    assert "the reason" in worse.details
    assert found.unexplained == ["test_it.py::test_better", "test_it.py::test_worse"]
    explained = run(suite, source, differences={"*::test_worse": "on purpose", "*better": "as it is"})
    assert [difference.reason for difference in explained.differences] == ["as it is", "on purpose"]
    assert explained.unexplained == []


def test_an_unsteady_test_is_not_a_difference(suite: Path) -> None:
    found = run(
        suite,
        f"""
        def test_first_time_only():
            marker = pathlib.Path({str(suite)!r}, "has run")
            if OURS and not marker.exists():
                marker.touch()
                assert False
        """,
    )
    assert found.passed == {"standard": 1, "oxthreads": 1}
    (unsteady,) = found.unsteady
    assert unsteady.passed == {"standard": 1 + AGAIN, "oxthreads": AGAIN}
    assert found.differences == found.unexplained == []  # type: ignore[comparison-overlap]


def test_a_test_that_mostly_fails_is_a_difference(suite: Path) -> None:
    found = run(
        suite,
        f"""
        def test_last_time_only():
            with pathlib.Path({str(suite)!r}, "runs").open("a+") as file:
                if OURS:
                    file.write("x")
                    file.seek(0)
                    assert len(file.read()) > {AGAIN}
        """,
    )
    (difference,) = found.differences
    assert difference.passed == {"standard": 1 + AGAIN, "oxthreads": 1}
    assert found.unsteady == [] and found.unexplained == ["test_it.py::test_last_time_only"]


def test_a_test_that_is_left_out_does_not_run(suite: Path) -> None:
    source = """
        def test_one(): pass
        def test_fatal(): os._exit(3)
        """
    found = run(suite, source, left_out={"*::test_fatal": "it ends the process"})
    assert found.passed == {"standard": 1, "oxthreads": 1} and not found.unexplained


def test_a_crash_is_a_difference(suite: Path) -> None:
    found = run(
        suite,
        """
        def test_one(): pass
        def test_crash():
            if OURS: os._exit(3)
        def test_three(): pass
        """,
    )
    assert found.endings == {"standard": "exit status 0", "oxthreads": "exit status 3"}
    assert "test_it.py::test_crash" in found.unexplained


def test_a_bad_exit_status_alone_is_noticed(suite: Path) -> None:
    (suite / "conftest.py").write_text(
        "import atexit, os, threading\n"
        "if 'oxthreads' in repr(threading.Event.__mro__): atexit.register(os._exit, 9)\n"
    )
    found = run(suite, "def test_one(): pass")
    assert found.differences == [] and found.unexplained == ["the process ended with exit status 9"]


@pytest.mark.timeout(400)
def test_a_suite_that_hangs_is_ended(suite: Path) -> None:
    # On a busy machine, a suite may need longer to come to its tests.
    for timeout in (5, 25):
        found = run(
            suite,
            """
            def test_one(): pass
            def test_hangs():
                if OURS: threading.Event().wait()
            """,
            timeout=timeout,
        )
        expected = {"standard": "exit status 0", "oxthreads": f"no end in {timeout} s"}
        if found.endings == expected and "test_hangs" in found.differences[0].details:
            break
    assert found.endings == expected
    assert found.unexplained == ["test_it.py::test_hangs"]
    assert "test_hangs" in found.differences[0].details  # shows where the threads were


def test_a_suite_without_tests_fails(suite: Path) -> None:
    assert run(suite, "raise ImportError").unexplained


def test_a_run_on_the_wrong_library_does_not_count(suite: Path) -> None:
    (suite / "conftest.py").write_text(
        "def pytest_configure():\n    from oxthreads import patch\n    patch.uninstall()\n"
    )
    with pytest.raises(RuntimeError, match="did not run on oxthreads"):
        run(suite, "def test_one(): pass")


def test_a_suite_of_cpython_runs_on_both_libraries() -> None:
    pytest.importorskip("test.test_sched", reason="this interpreter ships no test package")
    suite = CPythonSuite("test_sched", ("test.test_sched",), ("*.test_enter*", "*.test_cancel*"))
    with LocalWorkshop(Path("nowhere")) as workshop:
        found = compare(suite, workshop)
    assert found.passed["standard"] == found.passed["oxthreads"] > 2
    assert not found.unexplained


def test_the_record_shows_the_newest_results(suite: Path, tmp_path: Path) -> None:
    interpreter = Interpreter("python", "3.14.1", free_threaded=True)
    found = run(suite, "def test_one(): pass\ndef test_worse(): assert not OURS")
    library = Library("something", "1.0", left_out={"x": "no network"})
    record = Record(tmp_path / "record")
    record.add_suite(library, Interpreter("python", "3.14.0", free_threaded=True), found)
    record.add_suite(library, interpreter, found)
    page = (tmp_path / "record.md").read_text()
    assert "## Python 3.14.1 free-threaded" in page and "3.14.0" not in page
    (row,) = [line for line in page.splitlines() if line.startswith("| something |")]
    assert row.startswith("| something | 1.0 | 2 / 1 | 0 | 1 | 0 | ")
    header = next(line for line in page.splitlines() if line.startswith("| program |"))
    assert header.count("|") == row.count("|")
    assert "`x` is left out: no network" in page
    assert "test_worse` differs (4/4 standard, 0/4 oxthreads): not fixed yet" in page
    again = Record(tmp_path / "record")
    assert again.render() == page


def test_the_record_shows_servers(tmp_path: Path) -> None:
    figures = {
        "program": "gunicorn",
        "version": "1",
        "tool": "wrk",
        "connections": 8,
        "seconds": 60,
        "requests_per_second": {"standard": 1000.0, "oxthreads": 1500.0},
        "errors": {"standard": 0, "oxthreads": 0},
        "memory_mib": {"standard": 60.25, "oxthreads": 61.0},
        "growth_mib": {"standard": 0.5, "oxthreads": 0.0},
    }
    assert servers.complaints(figures) == []
    assert servers.complaints({**figures, "errors": {"standard": 0, "oxthreads": 2}}) == ["2 errors"]
    leak = {**figures, "growth_mib": {"standard": 0.5, "oxthreads": 40.0}}
    assert servers.complaints(leak) == ["memory has grown by 40.0 MiB"]
    record = Record(tmp_path / "record")
    record.add_server(figures, Interpreter("python", "3.13.0", free_threaded=False))
    lines = record.render().splitlines()
    (row,) = [line for line in lines if line.startswith("| gunicorn |")]
    assert "| 60 | 1,000 / 1,500 | 1.50x | 0 / 0 | 60.2 (+0.5) / 61.0 (+0.0) | 3.13.0 |" in row
    header = next(line for line in lines if line.startswith("| server |"))
    assert header.count("|") == row.count("|")


def test_the_table_names_each_program_once_with_pinned_versions() -> None:
    names = [program.name for program in PROGRAMS]
    assert len(set(names)) == len(names)
    for program in PROGRAMS:
        if isinstance(program, Library):
            assert program.version
            assert all("==" in requirement for requirement in program.requirements), program.name
