"""An interpreter ends while threads wait: with the right status, at once, and without any message."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.support.endings import BLOCKED, ENDINGS, IMPORTS, OBJECTS, WOKEN, Ending
from tests.support.interpreters import python

pytestmark = pytest.mark.one_thread("starts child interpreters")

PREPARE = IMPORTS + OBJECTS


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_daemon_threads_blocked_in_every_wait_do_not_hold_up_the_exit(ending: Ending) -> None:
    done = python(PREPARE + BLOCKED + ending.code)
    assert done.returncode == ending.status, done.stderr
    if ending.error:
        assert done.stderr.rstrip().endswith(ending.error)
        assert done.stderr.count("Traceback") == 1
    else:
        assert done.stderr == ""


@pytest.mark.parametrize("when", ["atexit.register(wake)", "threading._register_atexit(wake)", "late"])
def test_daemon_threads_woken_while_the_interpreter_ends_do_not_crash_it(when: str) -> None:
    # An object in a module is finalized late: its __del__ wakes threads that can never run again.
    late = "class Late:\n    def __del__(self, wake=wake): wake()\nsys.keep = Late()\n"
    for _ in range(5):
        done = python(PREPARE + WOKEN + BLOCKED + (late if when == "late" else when))
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""


BUSY = """
def busy_lock():
    while True:
        if lock.acquire(timeout=0.001): lock.release()
def busy_event():
    while True: event.set(); event.wait(); event.clear()
def busy_queue():
    while True: items.put([1]); items.get()
def busy_future():
    while True:
        f = Future(); f.add_done_callback(lambda f: f.result()); f.set_result(1); f.result()
def busy_fallback():
    while True:
        q = queue.Queue(); q.put(1); q.mutex; q.get(); f = Future(); f._condition; f.set_result(2)
def busy_rlock():
    while True:
        with threading.RLock(), condition, plain: condition.notify_all(); plain.wait(0.0001)
def busy_semaphore():
    while True: semaphore.release(); semaphore.acquire(timeout=0.001)
def busy_barrier():
    while True: meet(0.01)
def busy_select():
    while True: select(items, event, lock, every(0.0005))
def busy_select_with_a_pipe(ends=os.pipe()):
    end = type("End", (), {"fileno": lambda self: ends[0]})()
    while True: select(end, queue.Queue(), timeout=0.0005, default=None)
daemons(busy_lock, busy_event, busy_queue, busy_future, busy_fallback, busy_rlock,
    busy_semaphore, busy_semaphore, busy_barrier, busy_barrier,
    busy_select, busy_select, busy_select_with_a_pipe)
time.sleep(0.02)  # into the middle of it
"""


@pytest.mark.parametrize("attempt", range(6))
def test_daemon_threads_busy_in_every_type_do_not_crash_the_exit(attempt: int) -> None:
    done = python(PREPARE + BUSY)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_non_daemon_thread_is_waited_for() -> None:
    done = python(
        PREPARE
        + "def work():\n    event.wait(); print('worked')\n"
        + "threading.Thread(target=work).start()\n"
        + "print('main ends')\nthreading.Timer(0.05, event.set).start()\n"
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "main ends\nworked\n")


@pytest.mark.parametrize(
    "pool",
    [
        "ThreadPoolExecutor(2)",
        "pool = ThreadPoolExecutor(2); pool.submit(int)",
        "pool = ThreadPoolExecutor(2); pool.submit(int).result()",
        "ThreadPoolExecutor(2).submit(int)",
        "pool = ThreadPoolExecutor(2); pool.shutdown()",
        "pool = ThreadPoolExecutor(2); pool.submit(int); pool.shutdown(wait=False)",
        "pool = ThreadPoolExecutor(2); pool.itself = pool; pool.submit(int)",
        "pool = ThreadPoolExecutor(2); atexit.register(pool.shutdown); pool.submit(int)",
    ],
)
def test_pools_in_every_state_let_the_interpreter_end(pool: str) -> None:
    done = python(PREPARE + pool)
    assert (done.returncode, done.stderr) == (0, "")


def test_ten_thousand_queued_calls_are_run_before_the_exit() -> None:
    done = python(
        PREPARE
        + "from itertools import count\nran = count()\npool = ThreadPoolExecutor(3)\n"
        + "for _ in range(10_000): pool.submit(next, ran)\n"
        + "atexit.register(lambda: print(next(ran)))\n"
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "10000\n")


def test_ctrl_c_while_the_exit_waits_for_a_worker_ends_it_without_a_crash() -> None:
    done = python(
        PREPARE
        + "import signal\npool = ThreadPoolExecutor(1)\npool.submit(event.wait)\n"
        + "def interrupt():\n    until_asleep(threading.main_thread())\n"
        + "    os.kill(os.getpid(), signal.SIGINT); until_asleep(threading.main_thread())\n"
        + "    event.set()\n"
        + "daemons(interrupt)\n"
    )
    assert done.returncode in (0, 1, -signal.SIGINT), done.stderr
    assert "FATAL" not in done.stderr
    assert "panicked" not in done.stderr


@pytest.mark.skipif(sys.version_info < (3, 13), reason="no PythonFinalizationError before")
def test_waits_that_nobody_can_end_any_more_are_refused_while_the_interpreter_ends() -> None:
    # An object in a module is finalized late, when no other thread runs Python code any more.
    done = python(
        PREPARE
        + "waits = dict(lock=lock.acquire, event=event.wait, get=items.get, put=lambda: full.put(2),\n"
        + "    join=full.join, future=future.result, semaphore=semaphore.acquire, barrier=barrier.wait,\n"
        + "    condition=lambda: wait(condition), plain=lambda: wait(plain))\n"
        + "class Late:\n"
        + "    def __del__(self, waits=waits, condition=condition, write=os.write,\n"
        + "                error=PythonFinalizationError):\n"
        + "        for name, each in waits.items():\n"
        + "            try: each()\n"
        + "            except error: write(1, name.encode() + b' ')\n"
        + "        write(1, str(condition._is_owned()).encode())\n"
        + "sys.keep = Late()\n"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "lock event get put join future semaphore barrier condition plain False"
