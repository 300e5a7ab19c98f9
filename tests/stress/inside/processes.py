"""Processes that start while threads wait: by multiprocessing, `subprocess` and `os.posix_spawn`.

``python [-m oxthreads] -m tests.stress.inside.processes METHOD COUNT``. With the runner, the standard names
are those of oxthreads, also in the processes of multiprocessing. Without it, only what they import from
oxthreads is.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import subprocess
import sys
import threading
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import oxthreads.concurrent.futures
import oxthreads.queue
import oxthreads.threading

#: After this many seconds, a process that has not ended is a failure.
TIMEOUT_SECONDS = 30.0

#: Type checkers do not know that the module has this name.
OurThreadPoolExecutor: Any = vars(oxthreads.concurrent.futures)["ThreadPoolExecutor"]

METHODS = ["fork", "spawn", "forkserver", "subprocess", "posix_spawn"]

#: The code for an interpreter that is started anew.
CODE = """
import queue, threading
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(2) as pool:
    assert list(pool.map(abs, [-1, -2])) == [1, 2]
items = queue.Queue()
threading.Thread(target=items.put, args=(1,)).start()
assert items.get() == 1
"""


def use(number: int, patched: bool) -> int:
    """Use the standard names and those of oxthreads in another process."""
    assert (queue.Queue is oxthreads.queue.Queue) is patched
    for threads, queues, pool in (
        (threading, queue, ThreadPoolExecutor),
        (oxthreads.threading, oxthreads.queue, OurThreadPoolExecutor),
    ):
        items, event = queues.Queue(1), threads.Event()
        thread = threads.Thread(target=lambda items=items, event=event: (items.put(1), event.set()))
        thread.start()
        assert items.get(timeout=TIMEOUT_SECONDS) == 1
        assert event.wait(TIMEOUT_SECONDS)
        thread.join()
        with pool(2) as executor, threads.Lock(), threads.RLock():
            assert list(executor.map(abs, range(-3, 0))) == [3, 2, 1]
    return number * 2


def put(items: Any, number: int, patched: bool) -> None:
    """The target of a process."""
    items.put(use(number, patched))


def by_multiprocessing(method: str, count: int, patched: bool) -> None:
    context: Any = multiprocessing.get_context(method)
    for number in range(count):
        items = context.Queue()
        process = context.Process(target=put, args=(items, number, patched))
        process.start()
        assert items.get(timeout=TIMEOUT_SECONDS) == 2 * number
        process.join(TIMEOUT_SECONDS)
        assert process.exitcode == 0
        items.close()
        items.join_thread()
    with context.Pool(2) as pool:
        assert pool.starmap(use, [(number, patched) for number in range(4)]) == [0, 2, 4, 6]
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        calls = [executor.submit(use, number, patched) for number in range(4)]
        assert [call.result(TIMEOUT_SECONDS) for call in calls] == [0, 2, 4, 6]


def by_starting_python(method: str, count: int) -> None:
    command = [sys.executable, "-c", CODE]
    for _ in range(count):
        if method == "subprocess":
            done = subprocess.run(command, timeout=TIMEOUT_SECONDS, capture_output=True, check=False)
            assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        else:
            process = os.posix_spawn(sys.executable, command, os.environ)
            assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


def main(method: str, count: int) -> None:
    """Raises AssertionError if a process fails, or if a wait of this process is affected."""
    patched = queue.Queue is oxthreads.queue.Queue
    lock, future = oxthreads.threading.Lock(), Future[int]()
    items: queue.Queue[int] = oxthreads.queue.Queue()
    lock.acquire()
    pool = OurThreadPoolExecutor(3)
    waits = [pool.submit(wait) for wait in (lock.acquire, items.get, future.result)]
    if method in ("subprocess", "posix_spawn"):
        by_starting_python(method, count)
    else:
        by_multiprocessing(method, count, patched)
    assert not any(wait.done() for wait in waits)
    lock.release()
    items.put(1)
    future.set_result(2)
    assert [wait.result(TIMEOUT_SECONDS) for wait in waits] == [True, 1, 2]
    pool.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
