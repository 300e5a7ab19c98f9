"""What cancellation does to code that knows nothing of it: `docs/cancellation.md` has a table of this.

The standard library is patched, and its modules are used as programs use them. Libraries of others keep what
they imported, so they are used in child interpreters.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import http.client
import http.server
import logging
import logging.handlers
import multiprocessing.pool
import os
import queue
import socketserver
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oxthreads import patch
from oxthreads.tasks import Cancelled, CancelScope, TaskGroup, check_cancelled, move_on_after
from oxthreads.waiting import select
from tests.support.interpreters import python
from tests.support.threads import start
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, until_asleep

pytestmark = pytest.mark.one_thread("patches the standard library")

#: Ends a function while it waits.
End = Callable[[Callable[[], object]], None]


@pytest.fixture(autouse=True)
def patched() -> Iterator[None]:
    """The standard names are those of oxthreads, as under `python -m oxthreads`."""
    with patch.installed(quiet=True):
        yield


class SiblingError(Exception):
    """Another task has failed."""


def end_by_deadline(function: Callable[[], object]) -> None:
    """Call a function in a scope whose time is over soon."""
    with move_on_after(0.05) as scope:
        function()
    assert scope.cancelled_caught


def end_by_sibling(function: Callable[[], object]) -> None:
    """Call a function in a task, beside another one that fails when the first one sleeps."""
    raised: list[BaseException] = []
    threads: list[threading.Thread] = []

    def call() -> None:
        threads.append(threading.current_thread())
        try:
            function()
        except BaseException as error:
            raised.append(error)
            raise

    def fail() -> None:
        spin_until(lambda: threads)
        until_asleep(threads[0])
        raise SiblingError

    with pytest.raises(ExceptionGroup) as errors, TaskGroup() as group:
        group.start_soon(call)
        group.start_soon(fail)
    assert [type(error) for error in errors.value.exceptions] == [SiblingError]
    assert [type(error) for error in raised] == [Cancelled]


@pytest.fixture(params=[end_by_deadline, end_by_sibling])
def end(request: pytest.FixtureRequest) -> End:
    """Each of the ways in which the waits of library code are ended."""
    function: End = request.param
    return function


def call_in_a_cancelled_scope(function: Callable[[], Any]) -> Any:
    """Call a function where each wait that can be ended is. Returns what it returns."""
    with CancelScope() as scope:
        scope.cancel()
        result = function()
        with pytest.raises(Cancelled):
            check_cancelled()
    assert not scope.cancelled_caught
    return result


def wait_for_ever() -> None:
    """Wait for an item that never comes."""
    queue.Queue[None]().get()


def assert_free(lock: Any) -> None:
    """No thread has the lock."""

    def acquire() -> bool:
        with contextlib.ExitStack() as stack:
            if lock.acquire(blocking=False):
                stack.callback(lock.release)
                return True
        return False

    with concurrent.futures.ThreadPoolExecutor(1) as pool:  # for an RLock, another thread
        assert pool.submit(acquire).result()


class TestHandlers:
    """`except` and `finally` blocks of code that does not expect to be cancelled."""

    def test_code_that_handles_errors_and_goes_on_is_ended(self, end: End) -> None:
        turns = []

        def work() -> None:
            while True:
                turns.append(1)
                with contextlib.suppress(Exception):
                    wait_for_ever()

        end(work)
        assert len(turns) == 1

    def test_code_that_tries_again_after_a_timeout_is_ended(self, end: End) -> None:
        items: queue.Queue[None] = queue.Queue()

        def work() -> None:
            while True:
                with contextlib.suppress(queue.Empty):
                    items.get(timeout=0.02)

        end(work)

    def test_a_finally_block_may_wait(self, end: End) -> None:
        last: queue.Queue[str] = queue.Queue(1)
        last.put("in the way")
        reader: list[threading.Thread] = []

        def take() -> None:
            until_asleep(reader[0])
            last.get()

        def work() -> None:
            try:
                wait_for_ever()
            finally:
                reader.append(threading.current_thread())
                start(take)
                last.put("the last words")

        end(work)
        assert last.get_nowait() == "the last words"

    def test_a_closed_generator_may_wait(self, end: End) -> None:
        waited = []

        def rows() -> Iterator[int]:
            try:
                yield 1
            finally:
                with contextlib.suppress(queue.Empty):
                    queue.Queue[None]().get(timeout=0.001)
                waited.append(True)

        def work() -> None:
            with contextlib.closing(rows()) as all_rows:  # type: ignore[type-var]
                for _ in all_rows:
                    wait_for_ever()

        end(work)
        assert waited == [True]

    def test_a_generator_that_is_dropped_may_wait_behind_a_shield(self, end: End) -> None:
        waited = []

        def rows() -> Iterator[int]:
            try:
                yield 1
            finally:
                with CancelScope(shield=True), contextlib.suppress(queue.Empty):
                    queue.Queue[None]().get(timeout=0.001)
                    waited.append("an item")  # never
                waited.append("done")

        def work() -> None:
            for _ in rows():
                wait_for_ever()

        end(work)
        assert waited == ["done"]

    def test_code_that_swallows_the_cancellation_is_ended_at_its_next_wait(self, end: End) -> None:
        swallowed = []

        def work() -> None:
            try:
                wait_for_ever()
            except BaseException as error:
                swallowed.append(type(error))
            wait_for_ever()

        end(work)
        assert swallowed == [Cancelled]


class TestSqlite:
    def test_a_transaction_that_is_ended_is_rolled_back(self, end: End, tmp_path: Path) -> None:
        path = tmp_path / "rows"
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("create table rows (number)")

            def work() -> None:
                with contextlib.closing(sqlite3.connect(path)) as connection, connection:
                    connection.execute("insert into rows values (1)")
                    wait_for_ever()

            end(work)
            assert other.execute("select count(*) from rows").fetchone() == (0,)
            other.execute("begin exclusive")  # nobody has a lock

    def test_a_wait_for_the_lock_of_a_database_is_not_ended(self, tmp_path: Path) -> None:
        path = tmp_path / "rows"

        def wait() -> str:
            with contextlib.closing(sqlite3.connect(path, timeout=0.1)) as connection:
                try:
                    connection.execute("begin exclusive")
                except sqlite3.OperationalError as error:
                    return str(error)
            return "not locked"

        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("begin exclusive")
            assert call_in_a_cancelled_scope(wait) == "database is locked"


#: A process that ends by itself after a moment.
SHORT = [sys.executable, "-S", "-c", "import time; time.sleep(0.1)"]
#: A process that does not.
LONG = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]


@pytest.mark.skipif(sys.platform == "win32", reason="communicate uses threads there")
class TestSubprocess:
    @pytest.mark.parametrize(
        "wait",
        [
            lambda process: process.wait(),
            lambda process: process.wait(TIMEOUT_SECONDS),
            lambda process: process.communicate(),
            lambda process: process.communicate(timeout=TIMEOUT_SECONDS),
        ],
        ids=["wait", "wait-timeout", "communicate", "communicate-timeout"],
    )
    def test_a_wait_for_a_process_is_not_ended(self, wait: Callable[[Any], object]) -> None:
        pipe = subprocess.PIPE
        process = subprocess.Popen(SHORT, stdin=pipe, stdout=pipe, stderr=pipe)
        with process:
            call_in_a_cancelled_scope(lambda: wait(process))
            assert process.returncode == 0  # no zombie

    @pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux has descriptors of processes")
    def test_select_waits_for_a_process_and_is_ended(self, end: End) -> None:
        processes = []

        def work() -> None:
            with subprocess.Popen(LONG) as process:
                processes.append(process)
                try:
                    with os.fdopen(os.pidfd_open(process.pid), "rb", buffering=0) as ended:
                        select(ended)
                except BaseException:
                    process.kill()
                    raise

        end(work)
        assert [process.returncode for process in processes] == [-9]

    def test_the_end_of_a_with_block_waits_for_the_process(self, end: End) -> None:
        def work() -> None:
            with subprocess.Popen(SHORT) as process:
                processes.append(process)
                wait_for_ever()

        processes: list[Any] = []
        end(work)
        assert [process.returncode for process in processes] == [0]


class SlowHandler(http.server.BaseHTTPRequestHandler):
    """Answers `/slow` after a moment, and `/never` when the test ends."""

    over: threading.Event

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(0.1)
        elif self.path == "/never":
            self.over.wait()
        with contextlib.suppress(OSError):
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    """A server whose `server_close` waits for the requests."""

    daemon_threads = False

    def handle_error(self, *_: object) -> None:
        """A client has gone."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that runs, until the test has ended."""
    SlowHandler.over = threading.Event()
    with Server(("127.0.0.1", 0), SlowHandler) as server:
        thread = start(server.serve_forever)
        yield server
        SlowHandler.over.set()
        server.shutdown()
        thread.join()


class TestHttp:
    def test_an_answer_is_not_ended(self, server: Server) -> None:
        def ask() -> bytes:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/slow") as answer:
                content: bytes = answer.read()
                return content

        assert call_in_a_cancelled_scope(ask) == b"ok"

    def test_the_timeout_of_a_socket_counts_as_ever(self, server: Server) -> None:
        def ask() -> str:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/never", timeout=0.05)
            except TimeoutError as error:
                return str(error)
            return "an answer"

        assert call_in_a_cancelled_scope(ask) == "timed out"

    def test_select_waits_for_an_answer_and_is_ended(self, end: End, server: Server) -> None:
        closed = []

        def ask() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
            with contextlib.closing(connection):
                connection.request("GET", "/never")
                select(connection.sock)
            closed.append(connection.sock)

        end(ask)
        assert closed == []

    def test_shutdown_of_a_server_is_ended_and_the_server_stops(self, end: End) -> None:
        SlowHandler.over = threading.Event()
        inside = threading.Event()

        class Alone(socketserver.TCPServer):
            """A server without threads, which is busy."""

            def finish_request(self, *_: object) -> None:
                inside.set()
                SlowHandler.over.wait()

        with Alone(("127.0.0.1", 0), SlowHandler) as server:
            thread = start(server.serve_forever)
            client = http.client.HTTPConnection(*server.server_address)
            client.connect()
            assert inside.wait(TIMEOUT_SECONDS)
            end(server.shutdown)
            assert thread.is_alive()
            SlowHandler.over.set()
            thread.join(TIMEOUT_SECONDS)  # it was told to stop
            assert not thread.is_alive()
            server.shutdown()
            client.close()

    def test_server_close_is_ended_and_leaves_the_requests_running(self, end: End, server: Server) -> None:
        before = set(threading.enumerate())
        client = http.client.HTTPConnection("127.0.0.1", server.server_port)
        client.request("GET", "/never")
        spin_until(lambda: set(threading.enumerate()) - before)
        server.shutdown()
        end(server.server_close)
        left = set(threading.enumerate()) - before
        assert left
        server.server_close()  # has forgotten them
        SlowHandler.over.set()
        for thread in left:
            thread.join(TIMEOUT_SECONDS)
            assert not thread.is_alive()
        assert client.getresponse().read() == b"ok"
        client.close()


class ListHandler(logging.Handler):
    """Keeps the messages. Waits for ever at `wait`."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "wait":
            wait_for_ever()
        self.gate.wait()
        self.messages.append(record.getMessage())


@pytest.fixture
def log(request: pytest.FixtureRequest) -> Iterator[logging.Logger]:
    """A logger of this test."""
    logger = logging.getLogger(f"{__name__}.{request.node.name}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield logger
    logger.handlers.clear()


class TestLogging:
    def test_a_handler_that_is_ended_gives_its_lock_back(self, end: End, log: logging.Logger) -> None:
        handler = ListHandler()
        log.addHandler(handler)
        end(lambda: log.info("wait"))
        assert_free(handler.lock)
        log.info("next")
        assert handler.messages == ["next"]

    def test_a_wait_for_the_lock_of_a_handler_is_not_ended(self, log: logging.Logger) -> None:
        handler = ListHandler()
        log.addHandler(handler)
        waiting = threading.current_thread()
        has_it = threading.Event()

        def hold() -> None:
            with handler.lock:  # type: ignore[union-attr]
                has_it.set()
                until_asleep(waiting)

        holder = start(hold)
        assert has_it.wait(TIMEOUT_SECONDS)
        call_in_a_cancelled_scope(lambda: log.info("not lost"))
        assert handler.messages == ["not lost"]
        holder.join()

    def test_a_record_for_a_queue_is_not_lost(self, log: logging.Logger) -> None:
        records: queue.Queue[logging.LogRecord] = queue.Queue()
        log.addHandler(logging.handlers.QueueHandler(records))
        call_in_a_cancelled_scope(lambda: log.info("not lost"))  # it need not wait
        assert records.get_nowait().getMessage() == "not lost"

    def test_a_record_that_waits_for_room_is_dropped(self, end: End, log: logging.Logger) -> None:
        class Patient(logging.handlers.QueueHandler):
            def enqueue(self, record: logging.LogRecord) -> None:
                self.queue.put(record)  # type: ignore[attr-defined]

        records: queue.Queue[logging.LogRecord] = queue.Queue(1)
        handler = Patient(records)
        log.addHandler(handler)
        log.info("first")
        end(lambda: log.info("second"))
        assert_free(handler.lock)
        assert records.get_nowait().getMessage() == "first"
        assert records.empty()

    def test_the_end_of_a_listener_goes_on_by_itself(self, end: End, log: logging.Logger) -> None:
        records: queue.Queue[Any] = queue.Queue()
        log.addHandler(logging.handlers.QueueHandler(records))
        handler = ListHandler()
        handler.gate.clear()
        before = set(threading.enumerate())
        listener = logging.handlers.QueueListener(records, handler)
        listener.start()
        (thread,) = set(threading.enumerate()) - before
        log.info("first")
        log.info("second")
        end(listener.stop)
        assert thread.is_alive()
        handler.gate.set()
        thread.join(TIMEOUT_SECONDS)
        assert handler.messages == ["first", "second"]
        listener.stop()


class TestPools:
    def test_a_pool_is_left_with_its_calls_if_nothing_was_wrong_before(self, end: End) -> None:
        over = threading.Event()
        futures: list[concurrent.futures.Future[Any]] = []

        def work() -> None:
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                futures.extend(pool.submit(over.wait) for _ in range(4))

        end(work)
        assert not any(future.done() for future in futures)
        over.set()
        assert all(future.result(TIMEOUT_SECONDS) for future in futures)

    def test_a_pool_waits_for_its_calls_if_its_block_was_ended(self, end: End) -> None:
        futures: list[concurrent.futures.Future[Any]] = []

        def work() -> None:
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                futures.extend(pool.submit(time.sleep, 0.05) for _ in range(4))
                wait_for_ever()

        end(work)
        assert all(future.done() for future in futures)

    def test_a_call_of_a_pool_belongs_to_no_scope(self) -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(int).result()  # there is a worker

            def work() -> list[concurrent.futures.Future[bool]]:
                return [pool.submit(threading.Event().wait, 0.001)]

            (future,) = call_in_a_cancelled_scope(work)
            assert future.result(TIMEOUT_SECONDS) is False

    def test_a_thread_pool_of_multiprocessing_ends_by_itself(self, end: End) -> None:
        before = set(threading.enumerate())
        over = threading.Event()

        pool = multiprocessing.pool.ThreadPool(2)

        def work() -> None:
            with pool:
                pool.map(lambda _: over.wait(), range(4))

        end(work)
        over.set()
        for thread in set(threading.enumerate()) - before:
            thread.join(TIMEOUT_SECONDS)
            assert not thread.is_alive()

    def test_a_timer_goes_on(self, end: End) -> None:
        rung = threading.Event()
        over = threading.Event()

        def ring() -> None:
            over.wait()
            rung.set()

        timer = threading.Timer(0, ring)
        timer.start()
        end(timer.join)
        over.set()
        assert rung.wait(TIMEOUT_SECONDS)
        timer.join()


class TestStarts:
    """Threads that are started in a scope that is cancelled."""

    def test_a_thread_that_has_started_is_not_lost(self) -> None:
        ran: list[int] = []
        thread = threading.Thread(target=ran.append, args=(1,))
        call_in_a_cancelled_scope(thread.start)
        thread.join()
        assert ran == [1]

    def test_a_call_that_starts_a_worker_is_not_lost(self) -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            future = call_in_a_cancelled_scope(lambda: pool.submit(pow, 2, 5))
            assert future.result(TIMEOUT_SECONDS) == 32

    def test_a_call_of_an_event_loop_is_not_lost(self) -> None:
        async def main() -> int:
            return await asyncio.get_running_loop().run_in_executor(None, pow, 2, 5)

        with CancelScope() as scope:
            results = []
            scope.cancel()
            with asyncio.Runner() as runner:
                results.append(runner.run(main()))
            # The end of the loop joins the threads of its pool: a wait, which may be ended.
        assert results == [32]


class TestAsyncio:
    def test_a_loop_is_not_ended(self) -> None:
        async def main() -> str:
            await asyncio.sleep(0.05)
            return "done"

        assert call_in_a_cancelled_scope(lambda: asyncio.run(main())) == "done"

    def test_scopes_of_coroutines_that_overlap_are_an_error(self) -> None:
        async def wait(inside: asyncio.Event, end: asyncio.Event) -> None:
            with CancelScope():
                inside.set()
                await end.wait()

        async def main() -> list[Any]:
            tasks, ends = [], [asyncio.Event(), asyncio.Event()]
            for end in ends:
                inside = asyncio.Event()
                tasks.append(asyncio.create_task(wait(inside, end)))
                await inside.wait()
            ends[0].set()
            await asyncio.wait(tasks[:1])
            ends[1].set()
            return await asyncio.gather(*tasks, return_exceptions=True)

        outer, inner = asyncio.run(main())
        assert (type(outer), inner) == (RuntimeError, None)
        with CancelScope() as scope:  # the thread is in order again
            pass
        assert not scope.cancel_called

    def test_a_wait_for_a_coroutine_is_ended_and_the_coroutine_goes_on(self, end: End) -> None:
        loop = asyncio.new_event_loop()
        thread = start(loop.run_forever)
        over = asyncio.Event()
        futures = []

        async def main() -> str:
            await over.wait()
            return "done"

        def work() -> None:
            futures.append(asyncio.run_coroutine_threadsafe(main(), loop))
            futures[0].result()

        end(work)
        assert not futures[0].done()
        loop.call_soon_threadsafe(over.set)
        assert futures[0].result(TIMEOUT_SECONDS) == "done"
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


#: What the programs below have in common.
BEGINNING = """
import queue, threading
from oxthreads.tasks import TaskGroup, move_on_after

def end_by_deadline(function, *arguments):
    with move_on_after(0.05) as scope:
        function(*arguments)
    assert scope.cancelled_caught

def end(function, *arguments):
    end_by_deadline(function, *arguments)
    # Fifty tasks, which the block of the group ends.
    try:
        with TaskGroup() as group:
            for _ in range(50):
                group.start_soon(function, *arguments)
            threading.Event().wait(0.05)
            raise ZeroDivisionError
    except* ZeroDivisionError:
        pass
    assert [thread.name for thread in threading.enumerate()] == BEFORE

BEFORE = [thread.name for thread in threading.enumerate()]
"""


def run(program: str, *, errors: bool = False) -> None:
    """Run a program under the patch. `errors`: it may write some."""
    done = python(BEGINNING + program)
    assert done.returncode == 0, done.stderr
    assert errors or done.stderr == ""


class TestProcesses:
    """Processes that do what another process has asked for."""

    def test_a_pool_waits_for_the_call_of_its_process(self) -> None:
        run(
            """
import concurrent.futures, multiprocessing, time

def work():
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        futures.append(pool.submit(int))
        futures[0].result()
        futures.append(pool.submit(time.sleep, 0.1))
        queue.Queue().get()

futures = []
with move_on_after(1.0) as scope:
    work()
assert scope.cancelled_caught
assert all(future.done() for future in futures)
assert multiprocessing.active_children() == []
assert [thread.name for thread in threading.enumerate()] == BEFORE
"""
        )

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="takes fork")
    def test_a_forked_process_goes_on_in_the_scope(self) -> None:
        run(
            """
import multiprocessing

def child():
    queue.Queue().get()

context = multiprocessing.get_context("fork")
with move_on_after(0.05):
    process = context.Process(target=child)
    process.start()
    process.join()  # ended by the same deadline, or not begun before the child has ended
process.join(600)
assert process.exitcode == 1
""",
            errors=True,
        )

    def test_a_wait_for_a_result_of_a_process_is_ended(self) -> None:
        run(
            """
import multiprocessing, time

with multiprocessing.get_context("spawn").Pool(1) as pool:
    pool.apply(int)
    end_by_deadline(pool.apply, time.sleep, (600,))
    pool.terminate()
    pool.join()
assert multiprocessing.active_children() == []
assert [thread.name for thread in threading.enumerate()] == BEFORE
"""
        )


@pytest.mark.guides
class TestSqlalchemy:
    @pytest.fixture(autouse=True)
    def sqlalchemy(self) -> None:
        pytest.importorskip("sqlalchemy")

    ENGINE = """
import sqlalchemy

engine = sqlalchemy.create_engine(
    "sqlite:///:memory:",
    poolclass=sqlalchemy.pool.QueuePool, pool_size=1, max_overflow=0, pool_timeout=600,
    connect_args={"check_same_thread": False},
)
with engine.begin() as connection:
    connection.execute(sqlalchemy.text("create table rows (number)"))

def rows():
    assert engine.pool.checkedout() == 0
    with engine.connect() as connection:
        return connection.scalar(sqlalchemy.text("select count(*) from rows"))
"""

    def test_a_wait_for_a_connection_is_ended_and_none_is_lost(self) -> None:
        run(self.ENGINE + "with engine.connect():\n    end(engine.connect)\nassert rows() == 0\n")

    def test_a_connection_goes_back_when_its_block_is_ended(self) -> None:
        run(
            self.ENGINE
            + """
def insert():
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("insert into rows values (1)"))
        queue.Queue().get()

end(insert)
assert rows() == 0
"""
        )

    def test_a_place_goes_back_when_connecting_is_ended(self) -> None:
        run(
            """
import sqlalchemy

engine = sqlalchemy.create_engine(
    "sqlite://", poolclass=sqlalchemy.pool.QueuePool, pool_size=1, max_overflow=0,
    creator=lambda: queue.Queue().get(),
)
end(engine.connect)
assert engine.pool.checkedout() == 0, engine.pool.status()
"""
        )


@pytest.mark.guides
class TestRequests:
    @pytest.fixture(autouse=True)
    def requests(self) -> None:
        pytest.importorskip("requests")

    SERVER = """
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):  # a client that has gone
        pass

server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}/"
"""

    def test_a_wait_for_a_connection_is_ended_as_ctrl_c_ends_it(self) -> None:
        """urllib3 counts a place as free that was not taken, after Ctrl-C and so after a cancellation."""
        run(
            self.SERVER
            + """
import urllib3

def places_after(end):
    pool = urllib3.HTTPConnectionPool("127.0.0.1", server.server_port, maxsize=1, block=True)
    answer = pool.request("GET", "/", preload_content=False)
    before = pool.pool.qsize()
    end(pool)
    return before, pool.pool.qsize()

def cancel(pool):
    with move_on_after(0.05) as scope:
        pool.request("GET", "/")
    assert scope.cancelled_caught

def interrupt(pool):
    def get(*arguments, **keywords):
        raise KeyboardInterrupt
    pool.pool.get = get
    try:
        pool.request("GET", "/")
    except KeyboardInterrupt:
        pass
    del pool.pool.get

assert places_after(cancel) == places_after(interrupt)
"""
        )

    def test_a_session_works_on_after_a_request_was_ended(self) -> None:
        run(
            self.SERVER
            + """
import requests

session = requests.Session()

def ask():
    assert session.get(address).text == "ok"
    queue.Queue().get()

with move_on_after(0.2) as scope:
    ask()
assert scope.cancelled_caught
assert session.get(address).text == "ok"
"""
        )
