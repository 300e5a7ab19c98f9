"""CPython's tests of asyncio that use executors and their futures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cpython_suite import LIMIT, assert_as_many_pass

pytestmark = pytest.mark.one_thread("starts child interpreters")

pytest.importorskip("test.test_asyncio", reason="this interpreter ships no test package")

#: For each module, a pattern that selects tests. Left out are slow tests of test_events and test_tasks that
#: use no executor, and tests called del_collect, which check when objects are collected.
WANTED = {
    "test_base_events": "",
    "test_events": "executor|thread|close|run_until|getaddrinfo|getnameinfo",
    "test_futures": "^(?!.*del_collect)",
    "test_runners": "",
    "test_sock_lowlevel": "",
    "test_tasks": "RunCoroutineThreadsafe",
    "test_threads": "",
}


@pytest.mark.timeout(3 * LIMIT)
@pytest.mark.parametrize("module", WANTED)
def test_as_many_tests_pass_under_the_runner(module: str, tmp_path: Path) -> None:
    assert len(assert_as_many_pass(f"test.test_asyncio.{module}", tmp_path, wanted=WANTED[module])) > 3
