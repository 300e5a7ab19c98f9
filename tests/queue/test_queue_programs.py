"""Tests of parts of the standard library that use queues. They run under the runner, with our queues."""

from __future__ import annotations

import textwrap

import pytest

from tests.support.interpreters import python

pytestmark = pytest.mark.one_thread("starts child interpreters")

PRELUDE = """
import queue
import oxthreads.queue
assert queue.Queue is oxthreads.queue.Queue and queue.SimpleQueue is oxthreads.queue.SimpleQueue
"""


def run(source: str) -> str:
    result = python(PRELUDE + textwrap.dedent(source), timeout=100)
    assert (result.stderr, result.returncode) == ("", 0)
    return result.stdout


METHODS = ["fork", "spawn", "forkserver"]


@pytest.mark.parametrize("method", METHODS)
def test_multiprocessing_works_with_our_queues(method: str, tmp_path: object) -> None:
    # A process that is started imports the main module, so the program must be a file.
    run_file(
        tmp_path,
        f"""
        import multiprocessing, multiprocessing.pool

        def work(inbox, outbox):
            for number in iter(inbox.get, None):
                outbox.put(number * number)

        def square(number):
            return number * number

        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            inbox, outbox = context.Queue(), context.JoinableQueue()
            process = context.Process(target=work, args=(inbox, outbox))
            process.start()
            for number in [*range(10), None]:
                inbox.put(number)
            assert [outbox.get(timeout=50) for _ in range(10)] == [n * n for n in range(10)]
            for _ in range(10):
                outbox.task_done()
            outbox.join()
            process.join()
            with context.Pool(2) as pool:
                assert type(pool._taskqueue) is oxthreads.queue.SimpleQueue, type(pool._taskqueue)
                assert pool.map(square, range(50)) == [n * n for n in range(50)]
            with multiprocessing.pool.ThreadPool(2) as pool:
                assert list(pool.imap(square, range(50))) == [n * n for n in range(50)]
            with context.Manager() as manager:
                shared = manager.Queue(2)
                shared.put("a")
                assert shared.get(timeout=50) == "a"
            print("done")
        """,
    )


@pytest.mark.parametrize("method", METHODS)
def test_process_pools_work_with_our_queues(method: str, tmp_path: object) -> None:
    run_file(
        tmp_path,
        f"""
        import concurrent.futures, multiprocessing

        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
                assert list(pool.map(abs, range(-20, 0))) == list(range(20, 0, -1))
                assert pool.submit(pow, 2, 10).result(50) == 1024
            print("done")
        """,
    )


def run_file(folder: object, source: str) -> None:
    path = f"{folder}/program.py"
    with open(path, "w") as file:  # noqa: PTH123
        file.write(PRELUDE + textwrap.dedent(source))
    result = python(
        f"import sys, subprocess; sys.exit(subprocess.call("
        f"[sys.executable, '-W', 'ignore::DeprecationWarning', '-m', 'oxthreads', {path!r}]))",
        runner=False,
        timeout=100,
    )
    assert (result.stdout, result.stderr, result.returncode) == ("done\n", "", 0)


@pytest.mark.parametrize("kind", ["Queue", "SimpleQueue"])
def test_logging_works_with_our_queues(kind: str) -> None:
    output = run(f"""
        import logging, logging.handlers, threading

        class Keep(logging.Handler):
            def emit(self, record):
                records.append(record.getMessage())

        records = []
        items = queue.{kind}()
        listener = logging.handlers.QueueListener(items, Keep())
        logger = logging.Logger("test")
        logger.addHandler(logging.handlers.QueueHandler(items))
        listener.start()
        def log(name):
            for number in range(50):
                logger.warning("%s %d", name, number)
        threads = [threading.Thread(target=log, args=[name]) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        listener.stop()
        for name in "abcd":
            mine = [record for record in records if record.startswith(name)]
            assert mine == [f"{{name}} {{number}}" for number in range(50)]
        print(len(records))
        """)
    assert output == "200\n"


def test_the_standard_executor_works_with_our_queue() -> None:
    assert (
        run("""
        import concurrent.futures.thread as thread
        # The standard executor now uses our SimpleQueue. A weakref callback puts into it.
        import oxthreads.concurrent.futures as ours
        executor = ours._StandardThreadPoolExecutor(2)
        assert type(executor._work_queue) is queue.SimpleQueue
        assert list(executor.map(abs, range(-20, 0))) == list(range(20, 0, -1))
        threads = list(executor._threads)
        del executor
        for worker in threads:
            worker.join(30)
            assert not worker.is_alive()
        print("done")
        """)
        == "done\n"
    )
