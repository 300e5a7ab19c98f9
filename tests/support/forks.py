"""Checks that run in a forked child."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable

import pytest

forks = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
can_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def in_child(check: Callable[[], object]) -> None:
    """Fork, and run ``check`` in the child. Fails if the check fails or hangs there."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            # If the child hangs, SIGALRM ends it, which is a failure, too.
            signal.alarm(20)
            check()
            status = 0
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
