"""CPython's own tests of the standard pool of processes, on ours.

They come with the interpreter from Python 3.13 on, and are skipped before. Each module runs in a child
interpreter, in which the name of the standard pool is that of ours.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cpython_suite import COLLECTOR

pytestmark = pytest.mark.one_thread("starts child interpreters")

PACKAGE = "test.test_concurrent_futures"

pytest.importorskip(PACKAGE, reason="this interpreter does not ship these tests")

#: Seconds for one run of a module. After that it prints where its threads are, and ends.
LIMIT = 250

#: How often a test may fail, before that is a failure: some measure time.
TRIES = 3

METHODS = [method for method in ("spawn", "forkserver") if method in multiprocessing.get_all_start_methods()]

#: For each module, how many tests must pass at least.
MODULES = {
    "test_process_pool": 16,
    "test_wait": 8,
    "test_as_completed": 5,
    "test_init": 3,
    "test_shutdown": 5,
    "test_deadlock": 10,
}

_INSIDE = "it uses what is inside of the standard pool"
_ALONE = "the death of a child fails only its own call"
_CALL = "what cannot be pickled is a TypeError of submit"
_RESULT = "a result that cannot be unpickled fails only its own call, with its own error"

#: The tests that cannot pass, and why. They must fail.
DIFFERENT = {
    "test_killed_child": _ALONE,
    "test_saturation": _CALL,
    "test_processes_terminate": _CALL,
    "test_error_at_task_pickle": _CALL,
    "test_shutdown_deadlock_pickle": _CALL,
    "test_error_at_task_unpickle": "a call that cannot be unpickled fails only itself, with its own error",
    "test_exit_at_task_unpickle": "as that, and SystemExit is such an error",
    "test_error_during_result_unpickle_in_result_handler": _RESULT,
    "test_exit_during_result_unpickle_in_result_handler": _RESULT,
    "test_del_shutdown": _INSIDE,
    "test_shutdown_no_wait": _INSIDE,
    "test_python_finalization_error": _INSIDE,
    "test_kill_workers": _INSIDE,
    "test_terminate_workers": _INSIDE,
}

#: From Python 3.14 on. They are not run: some of them would wait for processes that they do not end here.
NOT_RUN = {
    "test_broken_process_pool_traceback": _ALONE,
    "test_failed_worker_replacement_breaks_pool": _INSIDE,
    "test_force_shutdown_during_max_tasks_worker_exit": _INSIDE,
    "test_force_shutdown_workers_invalid_op": _INSIDE,
    "test_gc_during_max_tasks_worker_exit_gh152967": _INSIDE,
    "test_shutdown_gh_132969_case_1": _INSIDE,
    "test_shutdown_gh_132969_case_2": _INSIDE,
    "test_shutdown_no_wait_max_tasks_gh119592": _INSIDE,
}

RUN = f"""
import concurrent.futures.process, faulthandler, json, os, re, sys, unittest
from test.support import script_helper
{COLLECTOR}
def main():
    from oxthreads.processes import ProcessPoolExecutor
    module, path, wanted = sys.argv[1:]
    concurrent.futures.ProcessPoolExecutor = ProcessPoolExecutor
    concurrent.futures.process.ProcessPoolExecutor = ProcessPoolExecutor
    standard = script_helper.assert_python_ok
    def assert_python_ok(option, code):
        ours = code.replace("concurrent.futures import ProcessPool", "oxthreads.processes import ProcessPool")
        return standard(option, ours, __isolated=False, PYTHONPATH=os.pathsep.join(sys.path))
    script_helper.assert_python_ok = assert_python_ok
    faulthandler.dump_traceback_later({LIMIT}, exit=True)
    result = Result()
    # One by one, since the end of a module would wait for the pools of tests that fail.
    for test in flat(unittest.defaultTestLoader.loadTestsFromName(module)):
        if re.search(wanted, test.id()):
            test.run(result)
    failed = {{test.id(): trace for test, trace in result.failures + result.errors}}
    with open(path, "w") as file:
        json.dump([result.passed, failed], file)
    os._exit(0)

# The children of the pools import this.
if __name__ == "__main__":
    main()
"""


def run(where: Path, module: str, wanted: str) -> tuple[list[str], dict[str, str]]:
    """Return the names of the tests that pass, and for those that fail, how."""
    where.mkdir()
    program, told = where / "run.py", where / "result.json"
    program.write_text(RUN)
    with (where / "errors").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, program, f"{PACKAGE}.{module}", told, wanted],
            cwd=where,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
    try:
        status = process.wait(LIMIT + 30)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert status == 0, (where / "errors").read_text()[-10_000:]
    passed, failed = json.loads(told.read_text())
    return passed, failed


@pytest.mark.timeout(TRIES * LIMIT)
@pytest.mark.parametrize(
    ("module", "method"),
    [
        (module, method)
        for module in MODULES
        for method in METHODS
        # What waits for futures is in this process, however the others were started.
        if module not in ("test_wait", "test_as_completed") or method == METHODS[-1]
    ],
)
def test_they_pass_on_ours(module: str, method: str, tmp_path: Path) -> None:
    names = "|".join(NOT_RUN)
    wanted = rf"^(?!.*\.({names})).*(\.ProcessPool{method.title()}|ResourcesTest\.test_{method}$)"
    passed, failed = run(tmp_path / "0", module, wanted)
    for name in [name for name in failed if name.rpartition(".")[2] not in DIFFERENT]:
        for attempt in range(1, TRIES):
            again, failed_again = run(tmp_path / f"{name}-{attempt}", module, rf"{name}$")
            if again:
                passed += again
                del failed[name]
                break
            failed |= failed_again
    unexpected = {name: trace for name, trace in failed.items() if name.rpartition(".")[2] not in DIFFERENT}
    assert not unexpected, "\n".join(map(str, unexpected.items()))
    assert not {name for name in passed if name.rpartition(".")[2] in DIFFERENT}, "they pass"
    assert len(passed) >= MODULES[module], passed
