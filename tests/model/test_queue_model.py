"""Each queue does what the standard queue does, for random sequences of calls."""

from __future__ import annotations

import queue
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import oxthreads.queue

HAS_SHUTDOWN = sys.version_info >= (3, 13)


class Compared:
    """An item that only Python code can compare."""

    def __init__(self, key: int) -> None:
        self.key = key

    def __lt__(self, other: Any) -> bool:
        return self.key < other.key if isinstance(other, Compared) else NotImplemented

    def __repr__(self) -> str:
        return f"Compared({self.key})"


numbers = st.integers(-3, 3) | st.floats() | st.booleans() | st.just(2**70)
items = numbers | st.text(max_size=2) | st.tuples(numbers, numbers) | st.builds(Compared, st.integers(-3, 3))


def outcome(method: Any, *args: Any) -> tuple[str, Any]:
    """Return what the call returned, or the name and the message of the exception that it raised."""
    try:
        return "returned", method(*args)
    except Exception as error:
        return type(error).__name__, str(error)


class Machine(RuleBasedStateMachine):
    """Uses one of our queues and the standard queue in the same way, and compares them."""

    kind = "Queue"

    def __init__(self) -> None:
        super().__init__()
        self.standard = getattr(queue, self.kind)()
        self.ours = getattr(oxthreads.queue, self.kind)()

    def both(self, method: str, *args: Any) -> Any:
        """Call the method of both queues. The outcomes must be the same."""
        outcomes = [outcome(getattr(target, method), *args) for target in (self.standard, self.ours)]
        standard, ours = outcomes
        assert standard[0] == ours[0], outcomes
        # Compare identities first: 1 and True are equal, and NaN is not equal to itself.
        assert standard[1] is ours[1] or standard[1] == ours[1], outcomes
        return standard[1]

    @rule(item=st.integers(-5, 5) | items)
    def put(self, item: Any) -> None:
        self.both("put_nowait", item)

    @rule()
    def get(self) -> None:
        self.both("get_nowait")

    @rule(item=st.integers(-5, 5))
    def put_with_a_timeout(self, item: int) -> None:
        self.both("put", item, True, 0)

    @rule(timeout=st.sampled_from([0, 0.0, 1e-6, -1]))
    def get_with_a_timeout(self, timeout: float) -> None:
        self.both("get", True, timeout)

    @invariant()
    def looks_the_same(self) -> None:
        self.both("qsize")
        self.both("empty")

    def teardown(self) -> None:
        """The items that are left must come out in the same order."""
        for _ in range(self.both("qsize")):
            self.both("get_nowait")


class QueueMachine(Machine):
    """Steps that all queues but SimpleQueue have."""

    @rule()
    def task_done(self) -> None:
        self.both("task_done")

    @rule(maxsize=st.integers(-1, 5))
    def change_maxsize(self, maxsize: int) -> None:
        self.standard.maxsize = self.ours.maxsize = maxsize

    @rule(maxsize=st.none() | st.integers(-1, 5))
    def initialize_again(self, maxsize: int | None) -> None:
        self.both("__init__", *([] if maxsize is None else [maxsize]))

    @rule()
    def fall_back(self) -> None:
        with self.ours.mutex:
            assert type(self.ours.queue) is type(self.standard.queue)
            assert [id(item) for item in self.ours.queue] == [id(item) for item in self.standard.queue]

    @rule()
    def clear(self) -> None:
        for target in (self.standard, self.ours):
            with target.mutex:
                target.queue.clear()

    if HAS_SHUTDOWN:

        @rule(immediate=st.booleans())
        def shutdown(self, immediate: bool) -> None:
            self.both("shutdown", immediate)

    @invariant()
    def has_the_same_attributes(self) -> None:
        self.both("full")
        for name in ("maxsize", "unfinished_tasks", *(["is_shutdown"] if HAS_SHUTDOWN else [])):
            assert getattr(self.ours, name) == getattr(self.standard, name), name


class LifoQueueMachine(QueueMachine):
    kind = "LifoQueue"


class PriorityQueueMachine(QueueMachine):
    kind = "PriorityQueue"

    # When a comparison fails, heappush leaves the item in the list without counting its task, and heappop
    # loses an item. Our queue does neither. So all items here can be compared with each other.

    @rule(item=st.integers(-9, 9) | st.floats(allow_nan=False) | st.booleans() | st.just(-(2**70)))
    def put(self, item: Any) -> None:
        self.both("put_nowait", item)


class ComparedMachine(QueueMachine):
    """A queue whose items only Python code can compare."""

    kind = "PriorityQueue"

    @rule(item=st.builds(Compared, st.integers(-9, 9)))
    def put(self, item: Any) -> None:
        self.both("put_nowait", item)

    def put_with_a_timeout(self) -> None:  # type: ignore[override]
        """Left out: this step puts numbers, which cannot be compared with the items."""


class TupleMachine(QueueMachine):
    """A queue of tuples. Some are ordered by their numbers, and some only by Python code."""

    kind = "PriorityQueue"

    @rule(item=st.tuples(st.integers(-2, 2), st.integers(0, 2), st.builds(Compared, st.integers(-2, 2))))
    def put(self, item: Any) -> None:
        self.both("put_nowait", item)

    def put_with_a_timeout(self) -> None:  # type: ignore[override]
        """Left out: this step puts numbers, which cannot be compared with the items."""


class SimpleQueueMachine(Machine):
    kind = "SimpleQueue"

    @rule(timeout=st.sampled_from([0, 0.0, 1e-6, -1]))
    def get_with_a_timeout(self, timeout: float) -> None:
        # On Python 3.11.7, the standard get may wait for ever if its short timeout passes before the wait
        # begins. That happens on a busy machine. So the standard get does not wait here, and ours does.
        assert outcome(self.standard.get, True, min(timeout, 0)) == outcome(self.ours.get, True, timeout)


@pytest.mark.parametrize(
    "machine",
    [
        QueueMachine,
        LifoQueueMachine,
        PriorityQueueMachine,
        ComparedMachine,
        TupleMachine,
        SimpleQueueMachine,
    ],
)
def test_a_queue_behaves_as_the_standard_queue(machine: type[Machine]) -> None:
    test = machine.TestCase()
    test.settings = settings(
        max_examples=150, stateful_step_count=40, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    test.runTest()
