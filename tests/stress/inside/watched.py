"""An attack of this package under a watch, which must see no deadlock.

``python -m tests.stress.inside.watched MODULE [ARGUMENT ...]`` runs ``tests.stress.inside.MODULE`` with these
arguments. The watch looks ten times a second, at waits that have lasted. Beside it, another thread judges all
waits again and again, also those that have just begun, so that pins meet as many wake-ups as possible.

A deadlock that is reported ends the process with status 2.
"""

from __future__ import annotations

import contextlib
import runpy
import sys
import threading
from collections.abc import Iterator

from oxthreads import _oxthreads as native
from oxthreads import diagnose
from oxthreads.diagnose import _watch

#: Seconds between two looks of the other thread. The threads under attack need time to run, too.
PAUSE = 0.0005


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Watch this process."""
    # The objects of the standard library: their waits are not among those that are looked at.
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(PAUSE):
            _watch._judge([sleep[1] for sleep in native.asleep()])

    looks = threading.Thread(target=look, name="looks")
    with diagnose.watch("exit"):
        looks.start()
        try:
            yield
        finally:
            is_over.set()
            looks.join()


if __name__ == "__main__":
    name = f"{__package__}.{sys.argv[1]}"
    del sys.argv[1]
    with watched():
        runpy.run_module(name, run_name="__main__", alter_sys=True)
