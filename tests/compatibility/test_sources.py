"""Tests of tools that read sources and trace lines: `inspect` and `trace`."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import pytest

import oxthreads.concurrent.futures
import oxthreads.queue
import oxthreads.threading
from oxthreads import patch
from tests.support.interpreters import python

#: Names that the standard library writes in Python. RLock is a function there, with a source from 3.13 on.
NAMES = {
    "threading": ["Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier", "Thread", "Timer"]
    + ["RLock"] * (sys.version_info >= (3, 13)),
    "queue": ["Queue", "LifoQueue", "PriorityQueue"] + ["ShutDown"] * (sys.version_info >= (3, 13)),
    "concurrent.futures": ["Future", "ThreadPoolExecutor", "wait", "as_completed"],
}

SOURCES = f"""
import concurrent.futures, inspect, queue, sys, threading
for module, names in {NAMES!r}.items():
    for name in names:
        lines, number = inspect.getsourcelines(getattr(sys.modules[module], name))
        print(module, name, number, "".join(lines))
class Mine(queue.Queue):
    "Mine."
print(Mine.__doc__, queue.Queue.__module__)
"""


def test_under_the_patch_inspect_shows_the_standard_source() -> None:
    standard = python(SOURCES, runner=False, OXTHREADS="0")
    assert standard.stderr == "" and standard.stdout.count("class ") > 8
    for runner in (True, False):
        ours = python(SOURCES, runner=runner, OXTHREADS="1")
        assert (ours.stderr, ours.stdout) == ("", standard.stdout)


def test_inspect_shows_the_standard_source_when_the_patch_is_installed_again() -> None:
    code = f"""
from oxthreads import patch
import oxthreads.queue, inspect
for _ in range(3):
    patch.install()
    assert "mutex" in inspect.getsource(oxthreads.queue.Queue)
    patch.uninstall()
    assert "_NativeQueue" in inspect.getsource(oxthreads.queue.Queue)
patch.install()
{SOURCES}
"""
    standard = python(SOURCES, runner=False, OXTHREADS="0")
    assert python(code, runner=False, OXTHREADS="0").stdout == standard.stdout


def test_without_the_patch_inspect_shows_our_source() -> None:
    for module, names in (
        (oxthreads.threading, NAMES["threading"]),
        (oxthreads.queue, NAMES["queue"]),
        (oxthreads.concurrent.futures, ["Future", "ThreadPoolExecutor", "ExecutorView"]),
    ):
        for name in names:
            found: Any = getattr(module, name)
            if name in ("RLock", "ShutDown"):  # RLock is native, and ShutDown may be the standard one
                continue
            file = inspect.getsourcefile(found)
            assert file is not None and "oxthreads" in file
            assert f"class {name}(" in inspect.getsource(found)


PROGRAM = """
import queue, threading
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(1) as executor:
    executor.submit(queue.Queue(1).put, 1).result()
"""


@pytest.mark.parametrize("way", ["runner", "variable"])
def test_a_trace_has_no_lines_of_the_patch(tmp_path: Path, way: str) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    code = f"""
import runpy, sys
sys.argv = ["trace", *sys.argv[1:], {str(tmp_path / "program.py")!r}]
runpy.run_module("trace", run_name="__main__")
"""
    runner, variable = way == "runner", "0" if way == "runner" else "1"
    counts = tmp_path / "counts"
    counted = python(code, "--count", "-C", str(counts), runner=runner, OXTHREADS=variable)
    assert counted.stderr == ""
    written = {file.name for file in counts.iterdir()}
    assert "program.cover" in written and any("queue" in name for name in written)
    hidden = ("patch", "runner", "table", "state", "import_hook")
    assert not {name for name in written if any(part in name for part in hidden)}
    traced = python(code, "--trace", runner=runner, OXTHREADS=variable)
    assert traced.stderr == "" and "program.py(2)" in traced.stdout
    for part in hidden:
        assert f"{part}.py" not in traced.stdout and f"modulename: {part}" not in traced.stdout


def test_the_modules_of_the_patch_have_a_file_and_a_source() -> None:
    assert Path(patch.__file__).parts[-2:] == ("patch", "__init__.py")
    assert Path(patch.state.__file__).name == "state.py"
    assert "def install(" in inspect.getsource(patch.install)
    assert not hasattr(patch, "no_such_name")
    code = """
import importlib
from oxthreads import patch
patch.install()
files = patch.__file__, patch.state.__file__
importlib.reload(patch)
assert (patch.__file__, patch.state.__file__) == files and "__file__" not in vars(patch)
assert patch.is_installed()
"""
    assert python(code, runner=False, OXTHREADS="0").stderr == ""
