"""Tests of Queue. Most of them run on the standard library too."""

from __future__ import annotations

import contextlib
import gc
import itertools
import logging.handlers
import pickle
import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import starmap
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, BackEnd
from tests.support.parkers import WAITERS_KEEP_THEIR_PLACE
from tests.support.refusals import refusal
from tests.support.threads import Result, start
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, until_asleep

KINDS = ["Queue", "LifoQueue", "PriorityQueue"]


def test_items_come_out_in_order(library: BackEnd) -> None:
    expected = {"Queue": [3, 1, 2], "LifoQueue": [2, 1, 3], "PriorityQueue": [1, 2, 3]}
    for kind, order in expected.items():
        items = getattr(library.queue, kind)()
        for item in (3, 1, 2):
            items.put(item)
        assert [items.get() for _ in range(3)] == order


def test_none_is_an_item_like_any_other(library: BackEnd) -> None:
    items = library.queue.Queue()
    items.put(None)
    assert items.qsize() == 1
    assert items.get_nowait() is None


@pytest.mark.parametrize("maxsize", [0, -1, 1, 3, 10**9, 2**70, 1.5, float("inf"), True])
def test_maxsize_is_stored_and_limits_the_queue(library: BackEnd, maxsize: Any) -> None:
    items = library.queue.Queue(maxsize)
    assert items.maxsize == maxsize
    room = 3 if maxsize <= 0 else maxsize
    for item in range(3):
        if item < room:
            items.put_nowait(item)
        else:
            assert refusal(items.put_nowait, item)[0] is queue.Full
    assert items.full() is (0 < maxsize <= 3)


def test_maxsize_may_change(library: BackEnd) -> None:
    items = library.queue.Queue(1)
    items.put(1)
    assert refusal(items.put, 2, timeout=0.001) == (queue.Full, "")
    items.maxsize = 2
    items.put(2, timeout=0.001)
    assert items.full()
    items.maxsize = 0
    assert not items.full()


def test_a_greater_maxsize_lets_a_waiting_putter_go_on() -> None:
    items = OXTHREADS.queue.Queue(1)
    items.put(1)
    putter = Result(items.put, 2)
    until_asleep(putter.thread)
    items.maxsize = 2
    putter.get()
    assert items.qsize() == 2


@pytest.mark.parametrize("timeout", [-1, -0.1, "x", [], 1e300, float("inf"), 2**70])
@pytest.mark.parametrize("state", ["empty", "full"])
def test_bad_timeouts_raise_the_standard_errors(timeout: Any, state: str) -> None:
    def outcome(module: Any) -> list[object]:
        items = module.Queue(1)
        if state == "full":
            items.put(1)
        outcomes: list[object] = []
        for function, *args in ([items.get], [items.put, 2], [items.put, 3]):
            try:
                outcomes.append(function(*args, timeout=timeout))
            except Exception as error:
                outcomes.append((type(error), str(error)))
        return outcomes

    assert outcome(OXTHREADS.queue) == outcome(queue)


def test_a_timeout_that_is_not_a_number_is_refused() -> None:
    # The standard queue would spin for ever.
    assert refusal(OXTHREADS.queue.Queue().get, timeout=float("nan"))[0] is ValueError


@pytest.mark.parametrize("timeout", [0, 0.0, 0.001, 1])
def test_empty_and_full_are_raised_at_the_timeout(library: BackEnd, timeout: float) -> None:
    items = library.queue.Queue(1)
    if timeout == 1:
        assert refusal(items.get, block=False, timeout=timeout) == (queue.Empty, "")
        assert refusal(items.get, False, -1) == (queue.Empty, "")
        return
    assert refusal(items.get, timeout=timeout) == (queue.Empty, "")
    items.put(1)
    assert refusal(items.put, 2, timeout=timeout) == (queue.Full, "")
    assert refusal(items.put, 2, False) == (queue.Full, "")
    assert items.qsize() == 1


def test_join_waits_until_task_done_was_called_for_all_items(library: BackEnd) -> None:
    items = library.queue.Queue()
    items.join()
    for item in range(3):
        items.put(item)
    joiner = Result(items.join)
    until_asleep(joiner.thread)
    assert items.unfinished_tasks == 3
    for _ in range(2):
        items.task_done()
    until_asleep(joiner.thread)
    items.task_done()
    joiner.get()
    assert refusal(items.task_done) == (ValueError, "task_done() called too many times")


def test_waiters_are_served_in_the_order_they_came(library: BackEnd) -> None:
    keep_places = WAITERS_KEEP_THEIR_PLACE or library is not OXTHREADS
    items = library.queue.Queue(1)
    getters = []
    for _ in range(3):
        getters.append(Result(items.get))
        until_asleep(getters[-1].thread)
    for item in range(3):
        items.put(item)
        if keep_places:
            assert getters[item].get() == item
    assert sorted(getter.get() for getter in getters) == [0, 1, 2]
    items.put("full")
    putters = []
    for item in range(3):
        putters.append(Result(items.put, item))
        until_asleep(putters[-1].thread)
    assert items.get() == "full"
    order = [items.get() for _ in range(3)]
    if keep_places:
        assert order == [0, 1, 2]
    assert sorted(order) == [0, 1, 2]


@pytest.mark.parametrize("kind", [*KINDS, "SimpleQueue"])
def test_get_nowait_gets_an_item_that_qsize_counts(library: BackEnd, kind: str) -> None:
    for _ in range(50):
        items = getattr(library.queue, kind)()
        getter = Result(items.get)
        until_asleep(getter.thread)
        items.put(1)
        try:
            first = items.get_nowait()
        except library.queue.Empty:
            assert items.qsize() == 0  # the getter was faster
        else:
            items.put(first)
        assert getter.get() == 1
        assert items.empty()


@pytest.mark.parametrize("kind", KINDS)
def test_put_nowait_may_use_free_room_while_a_putter_waits(library: BackEnd, kind: str) -> None:
    for _ in range(50):
        items = getattr(library.queue, kind)(1)
        items.put(1)
        putter = Result(items.put, 2)
        until_asleep(putter.thread)
        assert items.get_nowait() == 1
        try:
            items.put_nowait(3)
        except library.queue.Full:
            assert items.get() == 2  # the putter was faster
        else:
            assert items.get() == 3
            assert items.get() == 2
        assert putter.get() is None


@pytest.mark.parametrize("kind", [*KINDS, "SimpleQueue"])
def test_a_waiting_getter_does_not_starve(kind: str) -> None:
    # On the standard queue, the getter may starve.
    items = getattr(OXTHREADS.queue, kind)()
    getter = Result(items.get)
    until_asleep(getter.thread)

    def put_and_get() -> bool:
        items.put(1)
        with contextlib.suppress(queue.Empty):
            items.get(timeout=0.01)
        return not getter.thread.is_alive()

    spin_until(put_and_get)
    assert getter.get() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_waiting_putter_does_not_starve(kind: str) -> None:
    # On the standard queue, the putter may starve.
    items = getattr(OXTHREADS.queue, kind)(1)
    items.put(1)
    putter = Result(items.put, 2)
    until_asleep(putter.thread)

    def get_and_put() -> bool:
        items.get()
        with contextlib.suppress(queue.Full):
            items.put(1, timeout=0.01)
        return not putter.thread.is_alive()

    spin_until(get_and_put)
    putter.get()


def _pairs(first: Callable[..., object], second: Callable[..., object], stop: threading.Event) -> None:
    """Call both in turn. Where there is a GIL, no other thread runs between the two."""
    while not stop.is_set():
        with contextlib.suppress(queue.Empty, queue.Full):
            deque(zip(starmap(first, [()] * 10), starmap(second, [()] * 10), strict=True), maxlen=0)


@pytest.mark.parametrize("kind", [*KINDS, "SimpleQueue"])
def test_the_main_thread_does_not_starve_as_a_getter(kind: str) -> None:
    # It looks for signals after every sleep, which must not cost it its turn.
    items = getattr(OXTHREADS.queue, kind)()
    stop = threading.Event()
    thief = start(_pairs, partial(items.put, 1), items.get_nowait, stop)
    try:
        for _ in range(3):
            assert items.get(timeout=TIMEOUT_SECONDS) == 1
    finally:
        stop.set()
        thief.join()


@pytest.mark.parametrize("kind", KINDS)
def test_the_main_thread_does_not_starve_as_a_putter(kind: str) -> None:
    items = getattr(OXTHREADS.queue, kind)(1)
    items.put(1)
    stop = threading.Event()
    thief = start(_pairs, items.get_nowait, partial(items.put_nowait, 1), stop)
    try:
        for _ in range(3):
            items.put(1, timeout=TIMEOUT_SECONDS)
    finally:
        stop.set()
        thief.join()


@pytest.mark.parametrize("kind", [*KINDS, "SimpleQueue"])
def test_a_burst_of_puts_wakes_all_getters(library: BackEnd, kind: str) -> None:
    items = getattr(library.queue, kind)()
    for _ in range(20):
        getters = [Result(items.get) for _ in range(4)]
        until_asleep(*(getter.thread for getter in getters))
        for item in range(4):
            items.put(item)
        assert sorted(getter.get() for getter in getters) == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_a_burst_of_gets_wakes_all_putters(library: BackEnd, kind: str) -> None:
    for _ in range(20):
        items = getattr(library.queue, kind)(4)
        for item in range(4):
            items.put(item)
        putters = [Result(items.put, item) for item in range(4, 8)]
        until_asleep(*(putter.thread for putter in putters))
        taken = [items.get() for _ in range(4)]
        for putter in putters:
            putter.get()
        taken += [items.get() for _ in range(4)]
        assert sorted(taken) == list(range(8))


def test_eight_producers_and_eight_consumers_lose_and_reorder_nothing(
    library: BackEnd, frantic: None
) -> None:
    items = library.queue.Queue(5)
    barrier = threading.Barrier(16)

    def produce(producer: int) -> None:
        barrier.wait()
        for item in range(250):
            items.put((producer, item))

    def consume() -> list[tuple[int, int]]:
        barrier.wait()
        return [items.get() for _ in range(250)]

    for producer in range(8):
        start(produce, producer)
    consumers = [Result(consume) for _ in range(8)]
    received = [consumer.get() for consumer in consumers]
    for mine in received:
        for producer in range(8):
            numbers = [item for who, item in mine if who == producer]
            assert numbers == sorted(numbers)
    assert sorted(itertools.chain(*received)) == [(p, i) for p in range(8) for i in range(250)]


def test_a_get_that_times_out_takes_nothing(library: BackEnd, frantic: None) -> None:
    items = library.queue.Queue()
    stop = threading.Event()
    taken: list[int] = []

    def hasty() -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Empty):
                taken.append(items.get(timeout=0.0001))

    threads = [start(hasty) for _ in range(3)]
    for item in range(500):
        items.put(item)
    while items.qsize():
        pass
    stop.set()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(500))


def test_the_standard_attributes_can_be_used(library: BackEnd) -> None:
    items = library.queue.Queue()
    for item in range(5):
        items.put(item)
    with items.mutex:
        assert items.queue[0] == 0
        assert len(items.queue) == 5
        assert isinstance(items.queue, deque)
        items.queue.clear()
        items.all_tasks_done.notify_all()
        items.unfinished_tasks = 0
    assert items.empty()
    items.join()
    items.put("after")
    assert list(items.queue) == ["after"]
    assert items.get() == "after"
    with items.not_empty:
        items.not_empty.notify()
    with items.not_full:
        assert items.mutex.locked()


def test_put_waits_while_the_mutex_is_held(library: BackEnd) -> None:
    items = library.queue.Queue()
    with items.mutex:
        putter = Result(items.put, 1)
        until_asleep(putter.thread)
        assert not items.queue
    putter.get()
    assert items.get() == 1


def test_waits_in_progress_end_after_the_queue_falls_back(library: BackEnd) -> None:
    empty, full = library.queue.Queue(), library.queue.Queue(1)
    full.put(1)
    waiting = [Result(empty.get), Result(empty.get, timeout=30), Result(full.put, 2), Result(full.join)]
    until_asleep(*(result.thread for result in waiting))
    assert list(full.queue) == [1]
    assert not empty.queue
    until_asleep(*(result.thread for result in waiting))
    empty.put("a")
    empty.put("b")
    assert {waiting[0].get(), waiting[1].get()} == {"a", "b"}
    assert full.get() == 1
    waiting[2].get()
    assert full.get() == 2
    full.task_done()
    full.task_done()
    waiting[3].get()


def test_a_subclass_may_override_the_hooks(library: BackEnd) -> None:
    class Unique(library.queue.Queue):  # type: ignore[misc, name-defined]
        def _init(self, maxsize: int) -> None:
            self.queue: set[int] = set()
            self.seen_maxsize = maxsize

        def _qsize(self) -> int:
            return len(self.queue)

        def _put(self, item: int) -> None:
            self.queue.add(item)

        def _get(self) -> int:
            return self.queue.pop()

    items = Unique(2)
    assert items.seen_maxsize == 2
    for item in (1, 1, 2):
        items.put(item)
    assert items.full()
    assert {items.get(), items.get_nowait()} == {1, 2}
    getter = Result(items.get, timeout=30)
    until_asleep(getter.thread)
    items.put(7)
    assert getter.get() == 7
    assert items.unfinished_tasks == 4


def test_a_subclass_may_override_put_and_get(library: BackEnd) -> None:
    class Doubling(library.queue.Queue):  # type: ignore[misc, name-defined]
        def __init__(self, label: str, maxsize: int = 0) -> None:
            super().__init__(maxsize)
            self.label = label

        def put(self, item: int, *args: Any, **keywords: Any) -> None:
            super().put(2 * item, *args, **keywords)

        def get(self, *args: Any, **keywords: Any) -> int:
            return super().get(*args, **keywords) + 1  # type: ignore[no-any-return]

    items = Doubling("a", maxsize=3)
    items.put(1)
    items.put_nowait(2)
    assert [items.get(), items.get_nowait()] == [3, 5]
    assert (items.label, items.maxsize) == ("a", 3)


def test_the_classes_derive_from_the_standard_classes() -> None:
    for kind in KINDS:
        ours, standard = getattr(OXTHREADS.queue, kind), getattr(queue, kind)
        assert issubclass(ours, standard)
        assert isinstance(ours(), OXTHREADS.queue.Queue)
        assert ours[int].__origin__ is ours
    assert OXTHREADS.queue.Empty is queue.Empty
    assert OXTHREADS.queue.Full is queue.Full
    assert set(queue.__all__) <= set(OXTHREADS.queue.__all__)
    for name in OXTHREADS.queue.__all__:
        assert hasattr(OXTHREADS.queue, name)


def test_put_from_del_during_put_does_not_deadlock() -> None:
    items = OXTHREADS.queue.Queue()

    class Chatty:
        def __del__(self) -> None:
            items.put("from __del__")

    def work() -> None:
        for _ in range(200):
            cycle: list[Any] = [Chatty()]
            cycle.append(cycle)
            del cycle
            items.put("plain")
        gc.collect()

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        Result(work).get()
    finally:
        gc.set_threshold(*threshold)
    seen = [items.get_nowait() for _ in range(items.qsize())]
    assert seen.count("plain") == seen.count("from __del__") == 200


def test_an_item_that_uses_the_queue_when_shutdown_drops_it_does_not_deadlock() -> None:
    items = OXTHREADS.queue.Queue()

    class Chatty:
        def __del__(self) -> None:
            items.qsize()
            items.unfinished_tasks  # noqa: B018

    items.put(Chatty())
    Result(items.shutdown, immediate=True).get()
    assert items.qsize() == items.unfinished_tasks == 0


def test_shutdown_wakes_everybody() -> None:
    ShutDown = OXTHREADS.queue.ShutDown  # noqa: N806
    empty, full = OXTHREADS.queue.Queue(), OXTHREADS.queue.Queue(1)
    full.put(1)
    waiting = [Result(empty.get), Result(full.put, 2), Result(empty.get, timeout=30)]
    joiner = Result(full.join)
    until_asleep(joiner.thread, *(result.thread for result in waiting))
    empty.shutdown()
    full.shutdown()
    for result in waiting:
        assert refusal(result.get)[0] is ShutDown
    assert full.is_shutdown
    assert full.get() == 1
    assert refusal(full.get)[0] is ShutDown
    assert refusal(full.put, 1)[0] is ShutDown
    full.task_done()
    joiner.get()


def test_an_immediate_shutdown_drops_the_items_and_ends_the_joins() -> None:
    items = OXTHREADS.queue.Queue()
    items.put(1)
    items.put(2)
    joiner = Result(items.join)
    until_asleep(joiner.thread)
    items.shutdown(immediate=True)
    joiner.get()
    assert refusal(items.get_nowait)[0] is OXTHREADS.queue.ShutDown
    items.shutdown()


@pytest.mark.parametrize("kind", ["Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"])
def test_immediate_may_be_any_true_value(kind: str) -> None:
    for immediate in (1, "no", [0], 0.5):
        items = getattr(OXTHREADS.queue, kind)()
        items.put(1)
        items.shutdown(immediate)
        assert items.empty()
    for immediate in (0, "", [], None):
        items = getattr(OXTHREADS.queue, kind)()
        items.put(1)
        items.shutdown(immediate=immediate)
        assert items.get_nowait() == 1
    with pytest.raises(ZeroDivisionError):
        items.shutdown(Unclear())


class Unclear:
    """An object whose truth value cannot be computed."""

    def __bool__(self) -> bool:
        raise ZeroDivisionError


@pytest.mark.parametrize("kind", KINDS)
def test_shutdown_works_after_the_queue_falls_back(kind: str) -> None:
    ShutDown = OXTHREADS.queue.ShutDown  # noqa: N806
    empty, full = (getattr(OXTHREADS.queue, kind)(1) for _ in range(2))
    assert not empty.queue
    full.put(1)
    assert list(full.queue) == [1]
    waiting = [Result(empty.get), Result(full.put, 2), Result(full.put, 2, timeout=30)]
    joiner = Result(full.join)
    until_asleep(joiner.thread, *(result.thread for result in waiting))
    empty.shutdown()
    full.shutdown()
    for result in waiting:
        assert refusal(result.get)[0] is ShutDown
    assert full.is_shutdown
    assert refusal(full.put, 3)[0] is ShutDown
    until_asleep(joiner.thread)
    full.shutdown(immediate=True)
    joiner.get()
    assert refusal(full.get)[0] is ShutDown


@pytest.mark.parametrize("kind", KINDS)
def test_timeouts_work_after_the_queue_falls_back(kind: str) -> None:
    items = getattr(OXTHREADS.queue, kind)(1)
    assert not items.queue
    for arguments in [(False,), (True, 0), (True, 0.001), (False, -1)]:
        assert refusal(items.get, *arguments) == (queue.Empty, "")
    assert refusal(items.get, True, -1)[0] is ValueError
    items.put(1)
    for arguments in [(False,), (True, 0), (True, 0.001), (False, -1)]:
        assert refusal(items.put, 2, *arguments) == (queue.Full, "")
    assert refusal(items.put, 2, True, -1)[0] is ValueError
    assert items.get() == 1


def test_a_cycle_through_the_items_is_collected(library: BackEnd) -> None:
    class Node:
        pass

    items, node = library.queue.Queue(), Node()
    node.queue = items  # type: ignore[attr-defined]
    items.put(node)
    alive = [weakref.ref(items), weakref.ref(node)]
    del items, node
    gc.collect()
    assert [reference() for reference in alive] == [None, None]


def test_the_queue_keeps_no_reference_to_a_taken_item(library: BackEnd) -> None:
    class Thing:
        pass

    items = library.queue.Queue()
    items.put(Thing())
    alive = weakref.ref(thing := items.get())
    del thing
    assert alive() is None


def test_garbage_collections_during_puts_and_gets_clear_nothing_alive(frantic: None) -> None:
    items = OXTHREADS.queue.Queue(10)
    stop = threading.Event()

    def collect() -> None:
        while not stop.is_set():
            gc.collect()

    collector = start(collect)
    producer = start(lambda: [items.put([number, {number: [number]}]) for number in range(2000)])
    for number in range(2000):
        assert items.get() == [number, {number: [number]}]
    producer.join()
    stop.set()
    collector.join()


def test_it_cannot_be_pickled(library: BackEnd) -> None:
    assert refusal(pickle.dumps, library.queue.Queue())[0] is TypeError


def test_wrong_calls_raise_type_error(library: BackEnd) -> None:
    items = library.queue.Queue()
    for function, args in [(items.put, ()), (items.get, (1, 2, 3)), (items.qsize, (1,))]:
        assert refusal(function, *args)[0] is TypeError
    assert refusal(library.queue.Queue, 1, 2)[0] is TypeError


def test_logging_handlers_work_with_a_queue(library: BackEnd) -> None:
    records: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record.getMessage())

    items = library.queue.Queue()
    listener = logging.handlers.QueueListener(items, Keep())
    logger = logging.Logger("test")
    logger.addHandler(logging.handlers.QueueHandler(items))
    listener.start()
    for number in range(20):
        logger.warning("number %d", number)
    listener.stop()
    assert records == [f"number {number}" for number in range(20)]
