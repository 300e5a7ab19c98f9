"""Which index a wait of a barrier gets after another was interrupted: the same from both libraries."""

from __future__ import annotations

import pytest

from conftest import python

PROGRAM = """
import os, signal, threading, time
def until(number):
    while barrier.n_waiting != number: time.sleep(0)
def interrupt():
    until(1); first.start(); until(2); os.kill(os.getpid(), signal.SIGINT)
barrier, indices = threading.Barrier(3), []
first, second = [threading.Thread(target=lambda: indices.append(barrier.wait())) for _ in range(2)]
threading.Thread(target=interrupt).start()
signal.signal(signal.SIGINT, signal.default_int_handler)
try: barrier.wait()
except KeyboardInterrupt: pass
second.start(); until(2)
indices.append(barrier.wait())
first.join(); second.join()
print(sorted(indices))
"""


@pytest.mark.parametrize("runner", [False, True])
def test_who_comes_after_an_interrupted_wait_gets_an_index_that_another_has(runner: bool) -> None:
    done = python(PROGRAM, runner=runner)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "[1, 1, 2]\n")
