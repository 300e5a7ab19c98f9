"""Tests of `select` with sockets and pipes, beside other sources."""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
from typing import Any

import pytest

from oxthreads.queue import Queue
from oxthreads.threading import Event
from oxthreads.waiting import after, select
from tests.support.forks import can_fork, forks
from tests.support.refusals import refusal
from tests.support.signals import handler, signal_once_asleep
from tests.support.threads import Result, start
from tests.support.waiting import spin_until, until_asleep

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="only sockets of other platforms can be polled"
)


@pytest.fixture
def pair() -> Any:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


def test_a_socket_is_readable_or_not(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    assert select(near, timeout=0, default="no") == "no"
    far.send(b"tea")
    assert select(near, Queue()) == (near, None)
    # It is as readable as before, until somebody reads.
    assert select(near) == (near, None)
    assert near.recv(10) == b"tea"
    assert select(near, timeout=0, default="no") == "no"
    far.close()
    assert select(near) == (near, None)
    assert near.recv(10) == b""


def test_each_source_ends_a_sleep_beside_a_socket(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    items: Queue[int] = Queue()
    flag = Event()
    for make_ready, expected in [
        (lambda: items.put(1), (items, 1)),
        (lambda: far.send(b"x"), (near, None)),
        (flag.set, (flag, True)),
    ]:
        sleeper = Result(select, items, near, flag)
        until_asleep(sleeper.thread)
        make_ready()
        assert sleeper.get() == expected
        if expected[0] is near:
            near.recv(1)


def test_two_sockets_and_a_timer(pair: tuple[socket.socket, socket.socket]) -> None:
    near, far = pair
    timer = after(0.02)
    assert select(near, far, timer) == (timer, None)
    assert select(near, far, timeout=0.01, default="over") == "over"
    near.send(b"x")
    assert select(near, far) == (far, None)


def test_a_listening_socket_has_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sleeper = Result(select, server, Queue())
        until_asleep(sleeper.thread)
        with socket.create_connection(server.getsockname()):
            assert sleeper.get() == (server, None)
            server.accept()[0].close()


def test_closed_and_wrong_files(pair: tuple[socket.socket, socket.socket]) -> None:
    near, _ = pair

    class Number:
        def __init__(self, number: Any) -> None:
            self.number = number

        def fileno(self) -> Any:
            return self.number

    near.close()
    assert refusal(select, near) == (ValueError, "Invalid file descriptor: -1")
    assert refusal(select, Number("1"))[0] is TypeError
    assert refusal(select, Number(2**70))[0] is OverflowError
    spare = os.open(os.devnull, os.O_RDONLY)
    os.close(spare)
    with pytest.raises(OSError) as caught:
        select(Number(spare), Event())
    assert caught.value.errno == errno.EBADF
    with tempfile.TemporaryFile() as file:
        assert select(file) == (file, None)
        with pytest.raises(ValueError, match="closed file"):
            file.close()
            select(file)


def test_no_descriptor_is_left(pair: tuple[socket.socket, socket.socket]) -> None:
    near, _ = pair

    def next_number() -> int:
        number = os.open(os.devnull, os.O_RDONLY)
        os.close(number)
        return number

    before = next_number()
    for _ in range(5):
        select(near, Queue(), timeout=0.001, default=None)
    # Another thread of the test run may have opened and closed some in between.
    spin_until(lambda: next_number() <= before)


@pytest.mark.one_thread("lowers a limit of the process")
def test_an_error_if_there_is_no_descriptor_left(pair: tuple[socket.socket, socket.socket]) -> None:
    near, _ = pair
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[0], near.fileno() + 20), limits[1]))
        with pytest.raises(OSError):
            while True:
                opened.append(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(OSError) as caught:
            select(near, Queue(), timeout=1)
        assert caught.value.errno == errno.EMFILE
    finally:
        for number in opened:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.one_thread("lowers a limit of the process")
def test_more_files_than_can_be_polled_are_an_error(pair: tuple[socket.socket, socket.socket]) -> None:
    near, _ = pair
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = near.fileno() + 40
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[0], most), limits[1]))
        with pytest.raises(OSError) as caught:
            select(Queue(), *[near] * (most + 10), timeout=30)
        assert caught.value.errno == errno.EINVAL
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@forks
@can_fork
@pytest.mark.one_thread("forks in a signal handler")
def test_a_handler_forks_during_the_wait(pair: tuple[socket.socket, socket.socket]) -> None:
    near, _ = pair
    items: Queue[int] = Queue()
    children: list[int] = []

    def put_once_asleep() -> None:
        until_asleep(threading.main_thread())
        items.put(os.getpid())

    def handle() -> None:
        children.append(os.fork())
        if children[0] == 0:
            signal.alarm(20)
            threading.main_thread()._set_native_id()  # type: ignore[attr-defined]
        start(put_once_asleep)

    with handler(handle):
        sender = signal_once_asleep()
        status = 1
        try:
            status = int(select(items, near) != (items, os.getpid()))
        finally:
            if children == [0]:
                os._exit(status)
        sender.join()
    assert status == 0
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0


def test_a_stream_of_both_loses_nothing(pair: tuple[socket.socket, socket.socket], frantic: None) -> None:
    near, far = pair
    items: Queue[int] = Queue()
    count = 300

    def send() -> None:
        for number in range(count):
            items.put(number)
            far.send(b"x")

    sender = start(send)
    taken, read = [], 0
    while len(taken) < count or read < count:
        source, value = select(items, near, timeout=30)
        if source is near:
            read += len(near.recv(7))
        else:
            taken.append(value)
    sender.join()
    assert taken == list(range(count))
    assert read == count
