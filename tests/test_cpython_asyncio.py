"""Those of CPython's tests of asyncio that use executors and their futures."""

from __future__ import annotations

from pathlib import Path

import pytest

from cpython_suite import LIMIT, assert_as_many_pass

pytest.importorskip("test.test_asyncio", reason="this interpreter ships no test package")

#: The tests of each module. The slow ones of test_events and test_tasks have nothing to do with
#: executors, and those called del_collect are about what is collected when.
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
def test_as_many_pass_with_every_name_replaced(module: str, tmp_path: Path) -> None:
    assert len(assert_as_many_pass(f"test.test_asyncio.{module}", tmp_path, wanted=WANTED[module])) > 3
