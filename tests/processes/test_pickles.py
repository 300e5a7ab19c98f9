"""How arguments and results reach another process."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oxthreads.processes import ProcessPoolExecutor, _link, _pickles
from tests.support import process_calls as calls

pytestmark = pytest.mark.one_thread("starts processes")

has_memory = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="there is no memory without a name")


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    """A pool of one child."""
    with ProcessPoolExecutor(1, pickler="pickle") as pool:
        yield pool


class TestErrors:
    @pytest.mark.parametrize("value", [lambda: 1, threading.Lock(), (number for number in range(3))])
    def test_what_cannot_be_pickled_is_refused_by_submit(self, pool: ProcessPoolExecutor, value: Any) -> None:
        with pytest.raises(TypeError, match="the call cannot be sent to another process: ") as error:
            pool.submit(calls.echo, value)
        assert error.value.__cause__ is not None
        assert pool.submit(abs, -1).result() == 1

    def test_a_result_that_cannot_be_pickled(self, pool: ProcessPoolExecutor) -> None:
        error = pool.submit(calls.local_function).exception()
        assert isinstance(error, pickle.PicklingError | AttributeError)
        assert error.__notes__ == [
            "This was the result of the call, which cannot be sent to the parent process."
        ]

    def test_a_result_that_cannot_be_unpickled_fails_its_call_alone(self, pool: ProcessPoolExecutor) -> None:
        before = pool.submit(calls.pid).result()
        with pytest.raises(ValueError, match="not a number"):
            pool.submit(calls.make_unloadable).result()
        assert pool.submit(calls.pid).result() == before

    def test_an_argument_that_cannot_be_unpickled(self, pool: ProcessPoolExecutor) -> None:
        before = pool.submit(calls.pid).result()
        with pytest.raises(ValueError, match="not a number"):
            pool.submit(calls.echo, calls.LoadsNowhere()).result()
        assert pool.submit(calls.pid).result() == before

    def test_an_exception_that_cannot_be_unpickled(self, pool: ProcessPoolExecutor) -> None:
        error = pool.submit(calls.fail_awkwardly).exception()
        assert isinstance(error, pickle.PicklingError)
        assert str(error).startswith("AwkwardError: 1, which cannot be sent to the parent process: TypeError")
        assert "raise AwkwardError(1, 2)" in str(error.__cause__)


class TestCloudpickle:
    @pytest.fixture(autouse=True)
    def installed(self) -> None:
        """The tests are of the library."""
        pytest.importorskip("cloudpickle")

    @pytest.mark.parametrize("pickler", ["auto", "cloudpickle"])
    def test_functions_and_results_without_a_name(self, pickler: Any) -> None:
        number = 5
        with ProcessPoolExecutor(1, pickler=pickler) as pool:
            assert pool.submit(lambda: number + 1).result() == 6
            assert pool.submit(calls.local_function).result()() == "from a lambda"

    def test_a_session(self) -> None:
        program = (
            "from oxthreads.processes import ProcessPoolExecutor\n"
            "def double(number): return 2 * number\n"
            "with ProcessPoolExecutor(1) as pool: print(list(pool.map(double, [1, 2])))\n"
        )
        ran = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
        )
        assert (ran.stdout, ran.stderr) == ("[2, 4]\n", "")


class TestBuffers:
    @pytest.mark.parametrize("size", [0, 1, 1000, _pickles.LARGE - 1, _pickles.LARGE, 1_000_003, 50_000_000])
    @pytest.mark.parametrize("count", [1, 3])
    def test_buffers_there_and_back(self, pool: ProcessPoolExecutor, size: int, count: int) -> None:
        buffers = [calls.Buffer(bytearray(b"ab" * (size // 2 + 1))[:size]) for _ in range(count)]
        if not size:
            assert pool.submit(calls.echo, buffers).result()[0].content == b""
            return
        results = pool.submit(calls.add_one, buffers).result()
        for result, buffer in zip(results, buffers, strict=True):
            assert bytes(buffer.content[:1]) == b"a"  # the child has its own
            assert bytes(result.content) == b"b" + bytes(buffer.content[1:])
            memoryview(result.content)[0] = 7  # a result can be changed, too

    def test_a_buffer_that_must_not_be_changed(self, pool: ProcessPoolExecutor) -> None:
        error = pool.submit(calls.add_one, [calls.Buffer(bytes(100_000))]).exception()
        assert isinstance(error, TypeError)

    def test_a_buffer_in_pieces(self, pool: ProcessPoolExecutor) -> None:
        numpy = pytest.importorskip("numpy")
        table = numpy.arange(90_000.0).reshape(300, 300)[::2, ::3]
        assert (pool.submit(calls.echo, table).result() == table).all()

    def test_a_child_may_keep_its_arguments(self) -> None:
        with ProcessPoolExecutor(1) as pool:
            for number in range(1, 5):
                buffer = calls.Buffer(bytearray([number]) * 300_000)
                assert pool.submit(calls.keep, buffer).result() == number
            assert pool.submit(calls.kept_bytes).result() == [1, 2, 3, 4]

    @has_memory
    def test_the_memory_of_a_result_is_freed_with_it(self, pool: ProcessPoolExecutor) -> None:
        def shared() -> int:
            return Path("/proc/self/maps").read_text().count("memfd:oxthreads")

        pool.submit(abs, -1).result()  # a short message gives back the memory of those before
        before = shared()
        result = pool.submit(calls.add_one, [calls.Buffer(bytearray(300_000))]).result()
        assert shared() == before + 1
        descriptors = calls.descriptors()
        del result
        gc.collect()  # without a GIL, the thread that has received the result has a part in it
        pool.submit(abs, 1).result()  # until then it may be used for another long message
        assert shared() == before
        assert calls.descriptors() <= descriptors


def other_side(ends: Any, count: int) -> None:
    """Send back what comes."""
    link = _link.other_end(ends)
    for _ in range(count):
        kind, parts = link.receive()
        link.send(kind + 1, [bytes(part) for part in parts])
    link.let_go()


class TestLinks:
    """The two ways of a message that this system does not use."""

    @pytest.mark.parametrize("way", ["memory", "socket", "connection"])
    @pytest.mark.parametrize(
        "sizes", [[0], [5], [70_000], [3_000_000], [1, 2, 3], [100, 3_000_000, 0, 70_000]]
    )
    def test_parts_there_and_back(self, way: str, sizes: list[int]) -> None:
        made: Any = _link.ConnectionLink.pair() if way == "connection" else _link.SocketLink.pair()
        link, ends = made
        if way == "socket":
            link._shares = False
        thread = threading.Thread(target=other_side, args=(ends, 2))
        thread.start()
        for _ in range(2):
            parts = [os.urandom(size) for size in sizes]
            link.send(3, parts)
            kind, received = link.receive()
            assert kind == 4
            assert [bytes(part) for part in received] == parts
        thread.join()
        with pytest.raises(_link.Lost):
            link.receive()
        with pytest.raises(_link.Lost):
            for _ in range(3):  # a connection notices with the second one
                link.send(0, [b"nobody"])
        link.close()
        link.let_go()
        link.let_go()

    @pytest.mark.parametrize("over", [0, 1])
    def test_nobody_waits_when_a_message_is_sent(self, over: int) -> None:
        link, ends = _link.SocketLink.pair()
        link.send(0, [bytes(_link.LONGEST_IN_SOCKET + over)])
        other = _link.other_end(ends)
        assert len(other.receive()[1][0]) == _link.LONGEST_IN_SOCKET + over
        link.let_go()
        other.let_go()

    @pytest.mark.parametrize("way", ["socket", "connection"])
    def test_a_deadline(self, way: str) -> None:
        made: Any = _link.ConnectionLink.pair() if way == "connection" else _link.SocketLink.pair()
        link, ends = made
        with pytest.raises(TimeoutError):
            link.receive(0.0)
        link.let_go()
        for end in ends:
            end.close()

    def test_a_pool_over_connections(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("oxthreads.processes._worker.make_pair", _link.ConnectionLink.pair)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            assert pool.submit(calls.echo, [b"x" * 100_000, 5]).result() == [b"x" * 100_000, 5]
            buffer = calls.Buffer(bytearray(300_000))
            assert pool.submit(calls.add_one, [buffer]).result()[0].content[0] == 1
            assert "was killed by SIGKILL" in str(pool.submit(calls.kill_own_process).exception())
            assert pool.submit(abs, -1).result() == 1
