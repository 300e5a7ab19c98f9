"""``pytest -p oxthreads --oxthreads-watch`` in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

import pytest

from tests.diagnose.running import Run

pytestmark = [
    pytest.mark.one_thread("starts child interpreters"),
    pytest.mark.skipif(os.name != "posix", reason="the helper that runs programs needs sessions"),
]

TESTS = """
import queue
import threading


def test_before():
    lock = threading.Lock()
    with lock:
        pass


def test_crosswise():
    first, second = threading.Lock(), threading.Lock()
    both = threading.Barrier(2)

    def other():
        with second:
            both.wait()
            with first:
                pass

    thread = threading.Thread(target=other, name="the other")
    thread.start()
    try:
        with first:
            both.wait()
            with second:
                pass
    finally:
        thread.join()


def test_that_joins_with_its_lock():
    lock = threading.RLock()

    def other():
        with lock:
            pass

    thread = threading.Thread(target=other)
    with lock:
        thread.start()
        thread.join()


def test_after():
    jobs = queue.Queue()
    thread = threading.Thread(target=jobs.put, args=(1,))
    thread.start()
    assert jobs.get() == 1
    thread.join()
"""

OPTIONS = ("-p", "oxthreads", "-p", "no:cacheprovider", "-v")


def run(folder: Path, *options: str, tests: str = TESTS) -> tuple[int, str]:
    """The exit status of pytest, and what it writes."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_some.py").write_text(tests)
    with Run("-m", "pytest", *OPTIONS, *options, "--rootdir", str(folder), str(folder)) as process:
        return process.ends(100), process.output + process.errors


@pytest.mark.parametrize("processes", [0, 2])
def test_tests_that_deadlock_fail_and_the_others_go_on(processes: int, tmp_path: Path) -> None:
    if processes and importlib.util.find_spec("xdist") is None:
        pytest.skip("pytest-xdist is not here")
    side_by_side = ("-n", str(processes)) if processes else ()
    status, text = run(tmp_path, "--oxthreads-watch", *side_by_side)
    assert status == 1, text
    assert re.search(r"\b2 failed, 2 passed\b", text), text
    for name in ("test_crosswise", "test_that_joins_with_its_lock"):
        assert re.search(rf"^FAILED .*::{name}\b", text, re.MULTILINE), text
    assert len(re.findall(r"^E +oxthreads\.diagnose\.DeadlockError: 2 threads", text, re.MULTILINE)) == 2, (
        text
    )
    assert len(re.findall(r"^-+ deadlock -+$", text, re.MULTILINE)) == 2, text
    assert "the other has waited" in text
    assert "with first:" in text


def test_a_test_fails_whose_other_threads_were_in_a_deadlock(tmp_path: Path) -> None:
    tests = TESTS.partition("def test_crosswise")[0] + (
        "def test_others():\n"
        "    lock = threading.Lock()\n"
        "    def twice():\n"
        "        try:\n"
        "            with lock:\n"
        "                with lock:\n"
        "                    pass\n"
        "        except RuntimeError:\n"
        "            pass\n"
        "    thread = threading.Thread(target=twice)\n"
        "    thread.start()\n"
        "    thread.join()\n"
    )
    status, text = run(tmp_path, "--oxthreads-watch", tests=tests)
    assert status == 1, text
    assert re.search(r"\b1 failed, 1 passed\b", text), text
    assert "a thread waits for itself" in text


def test_without_the_option_nobody_watches(tmp_path: Path) -> None:
    tests = (
        "import sys\n\ndef test_none():\n"
        "    import oxthreads\n"
        "    assert 'oxthreads.diagnose._watch' not in sys.modules\n"
    )
    status, text = run(tmp_path, tests=tests)
    assert status == 0, text
    assert re.search(r"\b1 passed\b", text), text
