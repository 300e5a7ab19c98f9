"""The program of docs/dask.md runs as a script, on threads as well."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="distributed is not installed")

from tests.dask.scripts import run_script

PAGE = Path(__file__).resolve().parents[2] / "docs/dask.md"

pytestmark = [
    pytest.mark.one_thread("starts child interpreters"),
    pytest.mark.skipif(not PAGE.is_file(), reason="the documents are not here"),
]


def run(program: str, folder: Path) -> list[str]:
    script = folder / "count_words.py"
    script.write_text(program)
    ended = run_script(script)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split()


def test_the_program_runs_in_a_cluster_and_by_the_other_line_on_threads(tmp_path: Path) -> None:
    _, _, rest = PAGE.read_text().partition("```py\n")
    program, _, _ = rest.partition("```")
    assert run(program, tmp_path) == ["2", "4", "4"]
    (there,) = [line for line in program.splitlines() if "DaskExecutor(" in line]
    threads = (
        program.replace(there, "")
        .replace("# In threads: ", "")
        .replace("import as_completed", "import ThreadPoolExecutor, as_completed")
    )
    assert "        ThreadPoolExecutor(2, max_pending=200) as pool,\n" in threads
    assert run(threads, tmp_path) == ["2", "4", "4"]
