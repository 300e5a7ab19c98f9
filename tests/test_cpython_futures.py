"""CPython's tests of concurrent.futures, taken from the interpreter that runs them.

From 3.13 on; before that, they are not installed with it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cpython_suite import LIMIT, assert_as_many_pass

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

#: The tests of threads; and those of processes, of whose futures this process has one each, started in
#: the fastest of the three ways.
WANTED = r"\.(FutureTests|ThreadPool|ProcessPoolFork(?!server))"


@pytest.mark.timeout(3 * LIMIT)
@pytest.mark.parametrize("module", MODULES)
def test_as_many_pass_with_every_name_replaced(module: str, tmp_path: Path) -> None:
    # One run in twenty of this module hangs on 3.13.0, with either library; others take some 3 s.
    patience = {"limit": 30, "attempts": 5} if module == "test_deadlock" else {}
    assert len(assert_as_many_pass(f"{PACKAGE}.{module}", tmp_path, wanted=WANTED, **patience)) > 3
