"""Tests of notes/slow_database.py as a server with many clients, on both libraries."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from socket import create_connection, socket
from typing import Any

import pytest

from tests.support.threads import Result
from tests.support.waiting import TIMEOUT_SECONDS, spin_until

pytestmark = pytest.mark.one_thread("starts child interpreters")

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = 50
QUERIES = 4


_numbers = itertools.count()


def free_port() -> int:
    """A port that is free.

    It is none of those that the system gives to clients. One of these might be given to somebody before the
    server takes it.
    """
    while True:
        port = 10_000 + (16 * os.getpid() + next(_numbers)) % 20_000
        with socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Server:
    """The script in its own process. It serves on a port that was free."""

    def __init__(self, *runner: str) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, *runner, "notes/slow_database.py", str(self.port)],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name != "OXTHREADS"}
            | ({} if runner else {"OXTHREADS": "0"}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        spin_until(self.is_up)

    def is_up(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()
        try:
            create_connection(("127.0.0.1", self.port), TIMEOUT_SECONDS).close()
        except ConnectionRefusedError:
            return False
        return True

    def ask(self, method: str) -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, "/")
            response = connection.getresponse()
            return response.status, json.load(response)
        finally:
            connection.close()

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))


@pytest.fixture(params=["standard", "oxthreads"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    runner = ["-m", "oxthreads"] if request.param == "oxthreads" else []
    server = Server(*runner)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.communicate()


def test_each_result_goes_to_one_of_many_clients(server: Server) -> None:
    barrier = threading.Barrier(CLIENTS)
    ended = threading.Event()

    def client() -> tuple[list[int], list[list[int]]]:
        barrier.wait(TIMEOUT_SECONDS)
        started, found = [], []
        for _ in range(QUERIES):
            status, number = server.ask("POST")
            assert status == 202
            started.append(number)
        while not ended.is_set():
            status, results = server.ask("GET")
            assert status == 200
            found.extend(results)
            with lock:
                everything.extend(results)
                if len(everything) >= CLIENTS * QUERIES:
                    ended.set()
            ended.wait(0.2)  # fifty clients that always ask would leave the server no time
        return started, found

    lock = threading.Lock()
    everything: list[list[int]] = []
    before = server.threads() if sys.platform == "linux" else 0
    clients = [Result(client) for _ in range(CLIENTS)]
    outcomes = [each.get() for each in clients]
    numbers = [number for started, _ in outcomes for number in started]
    # Each query has its own number. Its result comes once, to one client.
    assert sorted(numbers) == list(range(1, CLIENTS * QUERIES + 1))
    answers = [tuple(result) for _, found in outcomes for result in found]
    assert sorted(answers) == [(number, number * number) for number in sorted(numbers)]
    assert server.ask("GET") == (200, [])
    if sys.platform == "linux":
        spin_until(lambda: server.threads() <= before)  # no thread is left behind


def test_ctrl_c_ends_the_server_during_a_query(server: Server) -> None:
    # A query is in progress. The server does not wait for it.
    assert server.ask("POST") == (202, 1)
    server.process.send_signal(signal.SIGINT)
    output, _ = server.process.communicate(timeout=TIMEOUT_SECONDS)
    assert "KeyboardInterrupt" in output
    assert server.process.returncode == -signal.SIGINT
