"""What reports, profiles and metrics say of a pool of processes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import fastjsonschema  # type: ignore[import-untyped]
import pytest

from oxthreads.processes import ProcessPoolExecutor
from tests.support.waiting import TIMEOUT_SECONDS

pytestmark = pytest.mark.one_thread("starts processes")

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "docs/inspection.schema.json"

#: A program whose pool runs one call, has one pending, and has no room for a third, which a thread submits.
BEGINNING = """
import functools, json, os, sys, tempfile
from oxthreads import diagnose
from oxthreads.concurrent.futures import wait
from oxthreads.processes import ProcessPoolExecutor
from oxthreads.threading import Thread
from tests.support import long_calls as calls
from tests.support.waiting import spin_until

if __name__ == "__main__":
    diagnose.watch()
    folder = tempfile.TemporaryDirectory()
    end = os.path.join(folder.name, "end")
    with ProcessPoolExecutor(1, max_pending=1) as pool:
        running = pool.submit(functools.partial(calls.outer, end))
        spin_until(lambda: any(child.function is not None for child in pool._settings.children))
        (pid,) = pool._processes
        try:
"""


def run(program: str) -> str:
    """What it prints."""
    indented = "".join(f"            {line}\n" for line in program.strip().splitlines())
    # The call ends also if a wait has failed, so that this is told.
    ending = "        finally:\n            open(end, 'w').close()\n"
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING + indented + ending],
        capture_output=True,
        text=True,
        timeout=3 * TIMEOUT_SECONDS,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_report_tells_which_process_runs_which_call() -> None:
    said = run("print(diagnose.report(), '---', pid)")
    pid = said.rpartition("---")[2].strip()
    assert f"\nProcessPoolExecutor-0_0 runs outer in process {pid}\n" in said


def test_who_waits_for_a_call_is_told_where_that_runs() -> None:
    said = run("""
waiter = Thread(target=running.result)
waiter.start()
spin_until(lambda: "for Future running of outer(), whose call" in diagnose.report())
print(diagnose.report(), '---', pid)
""")
    pid = said.rpartition("---")[2].strip()
    assert f"whose call ProcessPoolExecutor-0_0 runs in process {pid}\n" in said


def test_the_data_of_an_inspection() -> None:
    said = run("""
from oxthreads.diagnose import _inspection
print(json.dumps([pid, _inspection.description()]))
""")
    pid, data = json.loads(said)
    fastjsonschema.compile(json.loads(SCHEMA.read_text()))(data)
    calls = {thread["name"]: thread.get("call") for thread in data["threads"]}
    assert calls["ProcessPoolExecutor-0_0"] == {"process": pid, "function": "outer"}
    assert calls["MainThread"] is None


@pytest.mark.parametrize("name", ["", "render"])
def test_who_waits_for_room_waits_for_the_pool_of_processes(name: str) -> None:
    said = run(f"""
if {name!r}: diagnose.set_name(pool, {name!r})
pool.submit(abs, 1)
waiter = Thread(target=lambda: pool.submit(abs, 2))
waiter.start()
spin_until(lambda: "room in" in diagnose.report())
print(diagnose.report())
open(end, 'w').close()
waiter.join()
""")
    assert re.search(rf"for room in ProcessPoolExecutor {name or 'pool'}$", said, re.MULTILINE)


def test_a_profile_names_the_pool_of_processes() -> None:
    said = run("""
with diagnose.profile() as profile:
    pool.submit(abs, 1)
    waiter = Thread(target=lambda: pool.submit(abs, 2))
    waiter.start()
    spin_until(lambda: "room in" in diagnose.report())
    open(end, 'w').close()
    waiter.join()
    wait([pool.submit(abs, 3)])
print(profile.text())
""")
    assert re.search(r" ProcessPoolExecutor pool: 1 worker", said)
    assert "room in ProcessPoolExecutor pool" in said
    assert "ThreadPoolExecutor" not in said


def test_metrics_of_a_pool_of_processes() -> None:
    prometheus = pytest.importorskip("prometheus_client")
    from oxthreads.metrics import PrometheusCollector  # noqa: PLC0415

    with ProcessPoolExecutor(1, thread_name_prefix="render") as pool, ProcessPoolExecutor(1) as other:
        registry = prometheus.CollectorRegistry()
        registry.register(PrometheusCollector([pool, other]))
        assert pool.submit(abs, -1).result(TIMEOUT_SECONDS) == 1
        assert isinstance(pool.submit(int, "x").exception(TIMEOUT_SECONDS), ValueError)
        pool.shutdown()
        text = prometheus.generate_latest(registry).decode()
    assert 'oxthreads_pool_workers_max{name="render"} 1.0' in text
    assert 'oxthreads_pool_calls_total{name="render"} 2.0' in text
    assert 'oxthreads_pool_calls_failed_total{name="render"} 1.0' in text
    # Pools to which the program gives no name have one series together.
    assert 'oxthreads_pool_workers_max{name=""} 1.0' in text


def test_the_names_of_pools_of_threads_do_not_count_pools_of_processes() -> None:
    program = """
from oxthreads.concurrent.futures import ThreadPoolExecutor
from oxthreads.processes import ProcessPoolExecutor
pools: list = [ThreadPoolExecutor(1), ProcessPoolExecutor(1), ThreadPoolExecutor(1), ProcessPoolExecutor(1)]
print([getattr(pool, "_oxthreads_threads", pool)._thread_name_prefix for pool in pools])
"""
    done: Any = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    expected = [
        "ThreadPoolExecutor-0",
        "ProcessPoolExecutor-0",
        "ThreadPoolExecutor-1",
        "ProcessPoolExecutor-1",
    ]
    assert done.stdout.strip() == str(expected)
