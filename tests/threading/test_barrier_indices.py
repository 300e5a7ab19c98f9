"""Which index `Barrier.wait` returns after another wait was interrupted. Both libraries return the same."""

from __future__ import annotations

import pytest

from tests.support.endings import HELPERS
from tests.support.interpreters import python

# The signal comes once the main thread sleeps. A standard wait does not notice one that comes just before.
PROGRAM = f"""
import signal, threading, time
{HELPERS}
def until(number):
    while barrier.n_waiting != number: time.sleep(0)
def interrupt():
    until(1); first.start(); until(2); until_asleep(threading.main_thread())
    signal.pthread_kill(main, signal.SIGINT)
main = threading.get_ident()
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
def test_after_an_interrupted_wait_two_threads_get_the_same_index(runner: bool) -> None:
    done = python(PROGRAM, runner=runner)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "[1, 1, 2]\n")
