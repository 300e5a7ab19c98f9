"""Recursion in C code alone, which could be deeper than the stack."""

from __future__ import annotations

import pytest

from tests.support.interpreters import python

pytestmark = pytest.mark.one_thread("starts child interpreters")

CHAIN = """
import logging, sys, threading
import concurrent.futures, oxthreads.concurrent.futures

class Counter(logging.Handler):
    count = 0
    def emit(self, record):
        self.count += record.msg == "exception calling callback for %r"
    def handleError(self, record):
        pass

counter = Counter()
logging.getLogger("concurrent.futures").addHandler(counter)

def run():
    futures = [sys.modules[MODULE].Future() for _ in range(20_000)]
    for future, following in zip(futures, futures[1:]):
        future.add_done_callback(following.set_result)
    counter.count = 0
    futures[0].set_result(1)
    print(futures[300].done(), futures[-1].done(), counter.count > 0)

run()
for size in SIZES:  # KiB; zero means the usual one
    threading.stack_size(size * 1024)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
"""


@pytest.mark.parametrize(
    ("library_name", "sizes"),
    # In 3.13, the standard class crashes the interpreter if the stack has half a MiB.
    [("concurrent.futures", [0]), ("oxthreads.concurrent.futures", [0, 512, 1024, 4096])],
)
def test_a_chain_of_callbacks_that_is_too_long_is_cut_and_logged(library_name: str, sizes: list[int]) -> None:
    done = python(f"MODULE, SIZES = {library_name!r}, {sizes}\n{CHAIN}", runner=False)
    assert (done.returncode, done.stdout) == (0, "True False True\n" * (1 + len(sizes)))


QUEUES = """
import threading
from oxthreads.queue import SimpleQueue

def run():
    queue = SimpleQueue()
    for _ in range(100_000):
        outer = SimpleQueue()
        outer.put(queue)
        queue = outer
    del queue, outer
    print("gone")

for size in (0, 512):
    threading.stack_size(size * 1024)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
"""


def test_nested_queues_are_freed_without_recursion() -> None:
    done = python(QUEUES, runner=False)
    assert (done.returncode, done.stdout) == (0, "gone\n" * 2)


SMALL = """
import importlib, sys, threading

futures = importlib.import_module(sys.argv[1])
threading.stack_size(64 * 1024)

def called():
    done = futures.Future()
    done.add_done_callback(lambda future: answers.append(future.result()))
    done.set_result(2)
    return 1

answers = []
with futures.ThreadPoolExecutor(1) as pool:
    print(pool.submit(called).result(), answers)
"""


@pytest.mark.parametrize("library_name", ["concurrent.futures", "oxthreads.concurrent.futures"])
def test_a_worker_with_a_small_stack_runs_calls(library_name: str) -> None:
    done = python(SMALL, library_name, runner=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 [2]\n", "")
