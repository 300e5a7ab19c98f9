"""CPython's own tests of concurrent.futures.

They come with the interpreter from Python 3.13 on, and are skipped before.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cpython_suite import LIMIT, assert_as_many_pass

pytestmark = pytest.mark.one_thread("starts child interpreters")

PACKAGE = "test.test_concurrent_futures"


pytest.importorskip(PACKAGE, reason="this interpreter does not ship these tests")

MODULES = [
    "test_future",
    "test_thread_pool",
    "test_process_pool",
    "test_wait",
    "test_as_completed",
    "test_init",
    "test_shutdown",
    "test_deadlock",
]

#: Selects the tests of threads, and those of processes with the fastest of the three start methods. The
#: futures of a process pool are in this process.
WANTED = r"\.(FutureTests|ThreadPool|ProcessPoolFork(?!server))"


@pytest.mark.timeout(3 * LIMIT)
@pytest.mark.parametrize("module", MODULES)
def test_as_many_tests_pass_under_the_runner(module: str, tmp_path: Path) -> None:
    # On Python 3.13.0, one run in twenty of this module hangs, with either library. The others take 3 s.
    patience = {"limit": 30, "attempts": 5} if module == "test_deadlock" else {}
    assert len(assert_as_many_pass(f"{PACKAGE}.{module}", tmp_path, wanted=WANTED, **patience)) > 3
