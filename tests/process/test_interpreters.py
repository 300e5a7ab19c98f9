"""Several interpreters in one process."""

from __future__ import annotations

import sys

import pytest

from tests.support.interpreters import python

pytestmark = pytest.mark.one_thread("starts child interpreters")


@pytest.mark.skipif(sys.version_info < (3, 13), reason="there are none to be had from Python before")
def test_an_interpreter_with_its_own_gil_cannot_import_oxthreads() -> None:
    # Some objects have no lock but the GIL, so two GILs would not protect them (src/wait/gil_mutex.rs).
    done = python(
        "import _interpreters\n"
        "interpreter = _interpreters.create('isolated')\n"
        "error = _interpreters.exec(interpreter, 'import oxthreads._oxthreads')\n"
        "_interpreters.destroy(interpreter)\n"
        "print(error.formatted)",
        runner=False,
    )
    assert done.stderr == ""
    assert "does not support loading in subinterpreters" in done.stdout


@pytest.mark.skipif(sys.version_info < (3, 13), reason="there are none to be had from Python before")
@pytest.mark.parametrize("enabled", ["0", "1"])
def test_only_one_of_the_interpreters_that_share_a_gil_can_import_oxthreads(enabled: str) -> None:
    """The second would share what the first has cached, and its exit would close the pools of the first."""
    done = python(
        "import _interpreters\n"
        "from oxthreads.concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(1)\n"
        "for _ in range(2):\n"
        "    interpreter = _interpreters.create('legacy')\n"
        "    code = 'import queue, threading; threading.Thread(target=int).start()'\n"
        "    assert _interpreters.exec(interpreter, code) is None\n"
        "    error = _interpreters.exec(interpreter, 'import oxthreads.queue')\n"
        "    _interpreters.destroy(interpreter)\n"
        "    print(error.formatted)\n"
        "print(pool.submit(pow, 2, 3).result())",
        runner=False,
        OXTHREADS=enabled,
    )
    assert done.stderr == ""
    refusal = "ImportError: oxthreads serves one interpreter of a process only, which has imported it before"
    assert done.stdout.splitlines() == [refusal, refusal, "8"]
