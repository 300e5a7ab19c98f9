"""`put_nowait` and `get_nowait` call `put` and `get`, also when a program has replaced those."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

import oxthreads.queue
from tests.support.back_ends import OXTHREADS, BackEnd

pytestmark = pytest.mark.one_thread("changes the classes of the process")

NAMES = ["Queue", "LifoQueue", "PriorityQueue"]


@pytest.mark.parametrize("name", NAMES)
def test_an_overridden_method_gets_the_standard_arguments(library: BackEnd, name: str) -> None:
    calls: list[object] = []

    class Traced(getattr(library.queue, name)):  # type: ignore[misc]
        def put(self, *args: Any, **keywords: Any) -> None:
            calls.append(("put", args, keywords))
            super().put(*args, **keywords)

        def get(self, *args: Any, **keywords: Any) -> Any:
            calls.append(("get", args, keywords))
            return super().get(*args, **keywords)

    queue = Traced()
    queue.put_nowait(1)
    assert queue.get_nowait() == 1
    assert calls == [("put", (1,), {"block": False}), ("get", (), {"block": False})]


def test_block_is_passed_by_name_to_an_overridden_put(library: BackEnd) -> None:
    class Tagged(library.queue.Queue):  # type: ignore[misc,name-defined]
        def put(self, item: object, tag: str = "none", block: bool = True, timeout: Any = None) -> None:
            super().put((tag, item), block, timeout)

    queue = Tagged(1)
    queue.put_nowait(1)
    with pytest.raises(library.queue.Full):
        queue.put_nowait(2)
    assert queue.get_nowait() == ("none", 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_method_of_the_instance_is_called(library: BackEnd, name: str) -> None:
    queue = getattr(library.queue, name)()
    queue.put_nowait(1)
    queue.put, queue.get = mock.Mock(), mock.Mock(return_value="mine")
    queue.put_nowait(2)
    assert queue.get_nowait() == "mine"
    assert queue.put.mock_calls == [mock.call(2, block=False)]
    assert queue.get.mock_calls == [mock.call(block=False)]
    del queue.put, queue.get
    queue.put_nowait(3)
    assert [queue.get_nowait(), queue.get_nowait()] == ([3, 1] if name == "LifoQueue" else [1, 3])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("patched", ["Queue", "the class itself"])
def test_a_method_that_is_put_into_the_class_later_is_called(
    library: BackEnd, name: str, patched: str
) -> None:
    cls = getattr(library.queue, name)
    queue = cls()
    queue.put_nowait(1)
    assert queue.get_nowait() == 1
    owner = library.queue.Queue if patched == "Queue" else cls
    with (
        mock.patch.object(owner, "put", mock.Mock()) as put,
        mock.patch.object(owner, "get", mock.Mock(return_value="mine")) as get,
    ):
        queue.put_nowait(2)
        assert cls().get_nowait() == "mine"
        assert put.mock_calls == [mock.call(2, block=False)]
        assert get.mock_calls == [mock.call(block=False)]
    queue.put_nowait(3)
    assert queue.get_nowait() == 3
    with mock.patch.object(owner, "new_attribute", 1, create=True):
        queue.put_nowait(4)
        assert queue.get_nowait() == 4


def test_batches_call_put_and_get_that_were_replaced() -> None:
    queue: Any = oxthreads.queue.Queue()
    with mock.patch.object(queue, "put") as put:
        queue.put_many([1])
    assert put.call_args.args[0] == 1
    with mock.patch.object(OXTHREADS.queue.Queue, "get", mock.Mock(return_value="mine")):
        assert oxthreads.queue.Queue().get_many(1) == ["mine"]
    queue.put_many([1, 2])
    assert queue.get_many() == [1, 2]
