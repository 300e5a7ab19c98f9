"""Programs that patch the standard library."""

from __future__ import annotations

import textwrap

from tests.support.interpreters import python

ALL_ACTIVE = """
import threading, queue, concurrent.futures, concurrent.futures.thread
import oxthreads.threading, oxthreads.queue, oxthreads.concurrent.futures
found = patch.status()
assert found["installed"] and not found["failures"], found
assert {name["state"] for name in found["names"]} == {"active"}, found
assert concurrent.futures.thread.ThreadPoolExecutor is concurrent.futures.ThreadPoolExecutor
assert concurrent.futures.ThreadPoolExecutor is oxthreads.concurrent.futures.ThreadPoolExecutor
assert concurrent.futures._base.Future is oxthreads.concurrent.futures.Future
assert (threading.Lock, queue.Queue) == (oxthreads.threading.Lock, oxthreads.queue.Queue)
"""


def check(source: str, *, errors: str = "") -> str:
    """Run *source* in an interpreter without the runner. It must succeed. Returns what it prints."""
    code = "from oxthreads import patch\n" + textwrap.dedent(source)
    result = python(code, runner=False, OXTHREADS="0")
    assert result.stderr == errors
    assert result.returncode == 0
    return result.stdout
