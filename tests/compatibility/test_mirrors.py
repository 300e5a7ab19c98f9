"""Tests of what the mirrors of the standard modules define, export and import."""

from __future__ import annotations

import ast
import concurrent.futures
import importlib.util
import queue
import threading
from pathlib import Path
from types import ModuleType

import pytest

import oxthreads.concurrent.futures
import oxthreads.queue
import oxthreads.threading
from tests.support.interpreters import python

MIRRORS = {
    "threading": (oxthreads.threading, threading),
    "queue": (oxthreads.queue, queue),
    "concurrent.futures": (oxthreads.concurrent.futures, concurrent.futures),
}
#: Names that only oxthreads has. They are in no ``__all__``: `with_options` and `stats` of an executor return
#: them.
ADDITIONS = {
    "concurrent.futures": {"ExecutorView", "ExecutorStatistics", "SlowCall"},
    "threading": {"reuse_threads"},
}
#: The modules of this package that a mirror may import.
PARTS = {
    "oxthreads",
    "oxthreads._annotations",
    "oxthreads._collector_at_exit",
    "oxthreads._mirror",
    "oxthreads._oxthreads",
    "oxthreads._queue_shutdown",
    "oxthreads._reused_threads",
    "oxthreads._fallback",
    "oxthreads.concurrent",
    "oxthreads.concurrent._executor",
    "oxthreads.concurrent._slow_calls",
    "oxthreads.concurrent._map",
    "oxthreads.concurrent._standard_frames",
    "oxthreads.concurrent._waiting",
    "oxthreads.concurrent._worker",
    "oxthreads.concurrent.futures",
    "oxthreads.queue",
    "oxthreads.threading",
}
#: Modules that take long to import, and that no program needs at its start.
HEAVY = {"asyncio", "dataclasses", "importlib.metadata", "inspect", "json", "typing"}


@pytest.mark.parametrize("name", MIRRORS)
def test_all_equals_that_of_the_standard_module(name: str) -> None:
    ours, standard = MIRRORS[name]
    expected = set(standard.__all__)
    if name == "queue":
        expected.add("ShutDown")  # the standard one has it from Python 3.13 on
    assert set(ours.__all__) == expected


@pytest.mark.parametrize("name", MIRRORS)
def test_public_names_are_in_the_standard_module_or_known_additions(name: str) -> None:
    ours, standard = MIRRORS[name]
    allowed = set(dir(standard)) | ADDITIONS.get(name, set()) | {"ShutDown"}
    made_here = {
        key
        for key, value in vars(ours).items()
        if not key.startswith("_") and getattr(value, "__module__", "").startswith(ours.__name__)
    }
    made_elsewhere = {key for key in ADDITIONS.get(name, set()) if key in vars(ours)}
    assert made_here <= allowed
    assert made_elsewhere == ADDITIONS.get(name, set())


@pytest.mark.parametrize("name", MIRRORS)
def test_no_class_can_be_awaited(name: str) -> None:
    ours: ModuleType = MIRRORS[name][0]
    for key in ours.__all__:
        cls = getattr(ours, key)
        if isinstance(cls, type):
            assert not [method for method in ("__await__", "__aenter__", "__aiter__") if hasattr(cls, method)]


@pytest.mark.parametrize("name", MIRRORS)
def test_importing_a_mirror_imports_only_its_parts(name: str) -> None:
    code = f"""
import sys
import concurrent.futures.thread, queue, threading, time, weakref
before = set(sys.modules)
import oxthreads.{name}
print(*sorted(set(sys.modules) - before))
"""
    result = python(code, runner=False, OXTHREADS="0")
    assert result.stderr == ""
    loaded = set(result.stdout.split())
    assert {module for module in loaded if module.startswith("oxthreads")} <= PARTS
    assert not loaded & HEAVY


def test_the_patch_imports_nothing_heavy() -> None:
    code = """
import sys
before = set(sys.modules)
from oxthreads import patch
print(*sorted(set(sys.modules) - before))
"""
    result = python(code, runner=False, OXTHREADS="0")
    assert result.stderr == ""
    assert set(result.stdout.split()) <= {
        "oxthreads",
        "oxthreads.patch",
        "oxthreads.patch.import_hook",
        "oxthreads.patch.state",
        "oxthreads.patch.table",
        "__future__",
    }


def test_map_does_not_import_the_executor() -> None:
    code = "import sys, oxthreads.concurrent._map; print('oxthreads.concurrent._executor' in sys.modules)"
    assert python(code, runner=False, OXTHREADS="0").stdout == "False\n"


@pytest.mark.parametrize("name", ["table", "state", "import_hook", "status_report"])
def test_modules_of_the_patch_use_only_public_names_of_each_other(name: str) -> None:
    code = f"""
import ast, inspect, oxthreads.patch.{name} as module
from oxthreads import patch
others = {{"table", "state", "import_hook", "status_report", "patch"}}
for node in ast.walk(ast.parse(inspect.getsource(module))):
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in others:
        assert not node.attr.startswith("_"), ast.unparse(node)
for public in module.__all__:
    assert not callable(getattr(module, public)) or getattr(module, public).__doc__, public
"""
    result = python(code, runner=False, OXTHREADS="0")
    assert (result.stderr, result.returncode) == ("", 0)


#: The first runs before everything else; the others have an answer for the case that nothing can be imported.
MAY_IMPORT = {
    ("oxthreads", "pytest_addoption"),
    ("oxthreads", "__getattr__"),
    ("oxthreads.threading", "_reused_threads"),
    ("oxthreads._reused_threads", "_finds_local_keys"),
}


@pytest.mark.parametrize("name", sorted(PARTS))
def test_no_function_imports_a_module(name: str) -> None:
    # A function may run while the interpreter ends, when nothing can be imported any more.
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None
    if not spec.origin.endswith(".py"):
        return
    functions = (
        node
        for node in ast.walk(ast.parse(Path(spec.origin).read_text()))
        if isinstance(node, ast.FunctionDef) and (name, node.name) not in MAY_IMPORT
    )
    late = [
        ast.unparse(node)
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert late == []
