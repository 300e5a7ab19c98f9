"""The memory of long messages is used again, and never while somebody has a part of it."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oxthreads.processes import ProcessPoolExecutor, _link
from tests.support import process_calls as calls

pytestmark = [
    pytest.mark.one_thread("starts processes"),
    pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="there is no memory without a name"),
]

SIZE = 300_000


@pytest.fixture
def pool() -> Iterator[ProcessPoolExecutor]:
    """A pool of one child."""
    with ProcessPoolExecutor(1, pickler="pickle") as pool:
        yield pool


@pytest.fixture
def link() -> Iterator[tuple[_link.SocketLink, _link.SocketLink]]:
    """Both ends of a link."""
    ours, ends = _link.SocketLink.pair()
    theirs = _link.SocketLink(*ends)
    yield ours, theirs
    ours.let_go()
    theirs.let_go()


def buffer(number: int, size: int = SIZE) -> calls.Buffer:
    return calls.Buffer(bytearray([number]) * size)


def written(pool: ProcessPoolExecutor) -> int | None:
    """Return the number of the memory of the last argument. None: there is none."""
    (child,) = pool._settings.children
    descriptor = child._link._written.descriptor  # type: ignore[union-attr]
    return None if descriptor < 0 else os.fstat(descriptor).st_ino


def there(link: tuple[_link.SocketLink, _link.SocketLink], number: int, size: int = SIZE) -> list[memoryview]:
    """Send a long message, and return its parts."""
    sent = threading.Thread(target=link[0].send, args=[0, [b"first", bytes([number]) * size]])
    sent.start()
    _, parts = link[1].receive()
    sent.join()
    assert bytes(parts[0]) == b"first"
    return parts


def back(link: tuple[_link.SocketLink, _link.SocketLink]) -> None:
    """Send a short message in the other direction."""
    link[1].send(1, [b"short"])
    assert link[0].receive()[0] == 1


def test_arguments_use_the_memory_of_the_last_one(pool: ProcessPoolExecutor) -> None:
    numbers = set()
    for number in range(1, 6):
        assert pool.submit(calls.first_byte, buffer(number, SIZE + 10_000 * number)).result() == number
        numbers.add(written(pool))
    assert len(numbers) == 1 and None not in numbers


def test_a_shorter_one_gives_memory_back(pool: ProcessPoolExecutor) -> None:
    for size in (4 * SIZE, SIZE, 4 * SIZE):
        assert pool.submit(calls.first_byte, buffer(1, size)).result() == 1
        (child,) = pool._settings.children
        used = os.fstat(child._link._written.descriptor).st_size  # type: ignore[union-attr]
        assert size < used < size + 10_000


def test_an_argument_that_the_child_keeps_stays_as_it_is(pool: ProcessPoolExecutor) -> None:
    numbers = []
    for number in range(1, 5):
        assert pool.submit(calls.keep, buffer(number)).result() == number
        numbers.append(written(pool))
    assert pool.submit(calls.kept_bytes).result() == [1, 2, 3, 4]
    assert len(numbers) == 4


def test_a_result_that_is_kept_stays_as_it_is(pool: ProcessPoolExecutor) -> None:
    kept = [pool.submit(calls.echo, buffer(number)).result() for number in range(1, 5)]
    for number, result in enumerate(kept, 1):
        assert bytes(result.content) == bytes([number]) * SIZE
    del kept, result
    gc.collect()
    for number in range(5, 9):
        result = pool.submit(calls.echo, buffer(number)).result()
        assert bytes(result.content) == bytes([number]) * SIZE


def test_a_short_message_gives_the_memory_back(pool: ProcessPoolExecutor) -> None:
    before = calls.descriptors()
    assert pool.submit(calls.first_byte, buffer(1)).result() == 1
    assert written(pool) is not None
    assert pool.submit(abs, -1).result() == 1
    assert written(pool) is None
    assert pool.submit(calls.echo, buffer(2)).result().content[0] == 2
    assert pool.submit(abs, -1).result() == 1
    assert calls.descriptors() <= before + 8  # a pool has a few for its child


def test_the_memory_is_not_used_again_while_it_is_used(link: Any) -> None:
    first = there(link, 1)
    back(link)
    assert bytes(there(link, 2)[1]) == b"\2" * SIZE
    assert bytes(first[1]) == b"\1" * SIZE
    again = os.fstat(link[0]._written.descriptor).st_ino
    back(link)
    assert bytes(there(link, 3)[1]) == b"\3" * SIZE
    assert os.fstat(link[0]._written.descriptor).st_ino == again
    assert os.fstat(link[1]._read.descriptor).st_ino == again
    assert not os.get_inheritable(link[1]._read.descriptor)


def test_memory_that_is_used_again_grows_and_shrinks(link: Any) -> None:
    numbers = set()
    for number, times in enumerate([1, 1, 8, 8, 2, 2, 8, 12, 12, 12, 1, 12], 1):
        # More than is copied at once, and no multiple of that.
        size = times * SIZE + number
        assert bytes(there(link, number, size)[1]) == bytes([number]) * size
        numbers.add(os.fstat(link[0]._written.descriptor).st_ino)
        back(link)
    assert len(numbers) == 1


def test_much_memory_is_not_kept(link: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oxthreads.processes._memory.MOST_KEPT", SIZE)
    monkeypatch.setattr(_link, "MOST_KEPT", SIZE)
    for number in range(1, 4):
        assert bytes(there(link, number)[1]) == bytes([number]) * SIZE
        assert link[0]._written.descriptor == link[1]._read.descriptor == -1
        back(link)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only Unix has it")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_has_what_was_received_before(link: Any, tmp_path: Path) -> None:
    parts = there(link, 1)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.read(reader, 1)
            (tmp_path / "found").write_bytes(bytes(parts[1]))
        finally:
            os._exit(0)
    del parts
    back(link)
    assert bytes(there(link, 2)[1]) == b"\2" * SIZE
    os.write(writer, b"x")
    os.waitpid(pid, 0)
    os.close(reader)
    os.close(writer)
    assert (tmp_path / "found").read_bytes() == b"\1" * SIZE
    back(link)
    known = os.fstat(link[0]._written.descriptor).st_ino
    there(link, 3)
    assert os.fstat(link[0]._written.descriptor).st_ino == known
