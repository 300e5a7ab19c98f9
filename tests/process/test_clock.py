"""Timeouts use a clock that nobody can set. Changes of the time of day have no effect on them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.interpreters import python

#: Each time it is read, the time of day jumps by two days, forwards or back.
JUMPS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *at) {
    static int looks;
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, at);
    if (clock == CLOCK_REALTIME) at->tv_sec += looks++ % 2 ? 86400 : -86400;
    return status;
}
"""

WAITS = """
import contextlib, sys, threading, time
sys.path.insert(0, sys.argv[1])
from tests.support.back_ends import OXTHREADS
from tests.support.endless_waits import DEADLINES, waits

assert abs(time.time() - time.time()) > 86_400, "the clock is not ours"
OVER = OXTHREADS.queue.Empty, OXTHREADS.queue.Full, TimeoutError, threading.BrokenBarrierError
for name in DEADLINES:
    begin = time.monotonic()
    with contextlib.suppress(*OVER):
        waits(OXTHREADS)[name](0.05)
    took = time.monotonic() - begin
    assert 0.05 <= took < 60, (name, took)
print("done")
"""


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="takes a C compiler, on Linux"
)
def test_setting_the_clock_ends_no_wait_early_or_late(tmp_path: Path) -> None:
    source, library = tmp_path / "jumps.c", tmp_path / "jumps.so"
    source.write_text(JUMPS)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    done = python(
        WAITS,
        str(Path(__file__).parents[2]),
        runner=False,
        LD_PRELOAD=f"{os.environ.get('LD_PRELOAD', '')} {library}",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
