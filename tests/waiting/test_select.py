"""Tests of `select`: what each source gives, errors, and that nothing is taken twice or lost."""

from __future__ import annotations

import _thread
import math
import os
import queue
import random
import signal
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from oxthreads import waiting
from oxthreads.waiting import after, every, get, put, select
from tests.support.back_ends import OXTHREADS, STANDARD
from tests.support.forks import can_fork, forks, in_child
from tests.support.garbage import is_freed
from tests.support.refusals import refusal
from tests.support.signals import Interrupt, fail, handler, signal_once_asleep
from tests.support.threads import Result, start
from tests.support.waiting import rounds, spin_until, until_asleep

Queue, SimpleQueue = OXTHREADS.queue.Queue, OXTHREADS.queue.SimpleQueue
ShutDown = OXTHREADS.queue.ShutDown
Event, Lock, Semaphore = OXTHREADS.threading.Event, OXTHREADS.threading.Lock, OXTHREADS.threading.Semaphore
Future = OXTHREADS.futures.Future


def with_item(kind: str) -> Any:
    items = getattr(OXTHREADS.queue, kind)()
    return items, lambda: items.put("tea"), "tea"


def event() -> Any:
    flag = Event()
    return flag, flag.set, True


def lock() -> Any:
    taken = Lock()
    taken.acquire()
    return taken, taken.release, True


def semaphore(kind: str) -> Any:
    permits = getattr(OXTHREADS.threading, kind)(1)
    permits.acquire()
    return permits, permits.release, True


def future(settle: Callable[[Any], object]) -> Any:
    promised: Any = Future()
    return promised, lambda: settle(promised), None


def thread(cls: Any) -> Any:
    end = Event()
    running = cls(target=end.wait)
    running.start()
    return running, end.set, None


def room() -> Any:
    full = Queue(1)
    full.put("old")
    return put(full, "new"), full.get, None


def several(max_items: int | None) -> Any:
    items = Queue()
    expected = [1, 2, 3][:max_items]
    return get(items, max_items), lambda: items.put_many([1, 2, 3]), expected


class Pipe:
    """The reading end of a pipe."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def fileno(self) -> int:
        return self.reader

    def end(self) -> None:
        os.close(self.writer)

    def __del__(self) -> None:
        os.close(self.reader)


def pipe() -> Any:
    source = Pipe()
    return source, source.end, None


#: Each makes a source that is not ready, a function that makes it ready, and the value that it has then.
SOURCES: dict[str, Callable[[], Any]] = {
    **{
        kind: lambda kind=kind: with_item(kind)  # type: ignore[misc]
        for kind in ("Queue", "LifoQueue", "PriorityQueue", "SimpleQueue")
    },
    "Event": event,
    "Lock": lock,
    "Semaphore": lambda: semaphore("Semaphore"),
    "BoundedSemaphore": lambda: semaphore("BoundedSemaphore"),
    "Future": lambda: future(lambda promised: promised.set_result(1)),
    "failed Future": lambda: future(lambda promised: promised.set_exception(KeyError())),
    "cancelled Future": lambda: future(lambda promised: promised.cancel()),
    "Thread": lambda: thread(OXTHREADS.threading.Thread),
    "standard Thread": lambda: thread(STANDARD.threading.Thread),
    "put": room,
    "get": lambda: several(2),
    "get all": lambda: several(None),
    "pipe": pipe,
}


@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_that_is_ready_is_returned_at_once(kind: str) -> None:
    source, make_ready, value = SOURCES[kind]()
    never = Event()
    assert select(never, source, timeout=0, default="none") == "none"
    make_ready()
    if kind.endswith("Thread"):
        source.join()
    assert select(never, source) == (source, value)
    # What is not used up by that is ready again.
    again = select(source, never, timeout=0, default="no")
    assert again in {"get": [(source, [3])], "pipe": [(source, None)]}.get(kind, ["no", (source, value)])


@pytest.mark.parametrize("kind", SOURCES)
def test_a_sleeping_select_is_woken_by_each_kind_of_source(kind: str) -> None:
    source, make_ready, value = SOURCES[kind]()
    never = Queue()
    waiting_thread = Result(select, never, source)
    until_asleep(waiting_thread.thread)
    make_ready()
    found, given = waiting_thread.get()
    assert (found is source, given) == (True, value)


def test_what_was_put_is_in_the_queue() -> None:
    full = Queue(1)
    full.put("old")
    source = put(full, "new")
    sleeper = Result(select, source, Event())
    until_asleep(sleeper.thread)
    assert full.get() == "old"
    assert sleeper.get() == (source, None)
    assert full.get() == "new"
    assert (source.queue, source.item) == (full, "new")
    # The same source puts the item once more.
    assert select(source) == (source, None)
    assert full.get_nowait() == "new"


def test_nobody_gets_what_was_not_returned() -> None:
    first, second, mutex, permits = Queue(), SimpleQueue(), Lock(), Semaphore(1)
    first.put(1)
    second.put(2)
    taken = [select(first, second, mutex, permits)[0] for _ in range(4)]
    # Each was used once, in some order.
    assert {id(source) for source in taken} == {id(first), id(second), id(mutex), id(permits)}
    assert first.empty()
    assert second.empty()
    assert mutex.locked()
    assert not permits.acquire(blocking=False)


def test_the_order_of_the_arguments_counts_if_it_is_not_fair() -> None:
    queues = [Queue() for _ in range(3)]
    for items in queues:
        items.put_many([0] * 20)
    for expected in queues:
        for _ in range(20):
            assert select(*queues, fair=False)[0] is expected


def test_a_fair_choice_neglects_no_source() -> None:
    events = [Event() for _ in range(4)]
    for flag in events:
        flag.set()
    counts = Counter(id(select(*events)[0]) for _ in range(4000))
    # Each is due 1000 times; one that is so far off is found by chance once in 10**20 runs.
    assert len(counts) == 4
    assert all(700 < count < 1300 for count in counts.values())


def test_time_outs() -> None:
    items, flag = Queue(), Event()
    assert refusal(select, items, flag, timeout=0) == (TimeoutError, "no source was ready in time")
    assert refusal(select, items, flag, timeout=0.01) == (TimeoutError, "no source was ready in time")
    assert select(items, flag, timeout=0.001, default=None) is None
    assert select(items, timeout=0, default=(1, 2)) == (1, 2)
    # Nothing was left behind in the lists.
    items.put("tea")
    assert items.get_nowait() == "tea"


@pytest.mark.parametrize("timeout", [-1, -0.1, "1", 1e300, True, 10**400])
def test_wrong_timeouts_are_those_of_a_queue(timeout: Any) -> None:
    ready = Queue()
    ready.put(1)
    standard: Any = STANDARD.queue.Queue()
    if timeout is True:
        assert select(ready, timeout=timeout) == (ready, 1)
        return
    expected = refusal(standard.get, timeout=timeout)
    assert refusal(select, Queue(), timeout=timeout) == expected


def test_a_timeout_that_is_no_number_at_all() -> None:
    # The standard queue spins for ever.
    assert refusal(select, Queue(), timeout=math.nan)[0] is ValueError


class Odd:
    def fileno(self) -> int:
        raise LookupError("no number")


class OverriddenQueue(Queue):  # type: ignore[misc, valid-type]
    def get(self, *args: Any, **keywords: Any) -> Any:
        return super().get(*args, **keywords)


class OverriddenSimpleQueue(SimpleQueue):  # type: ignore[misc, valid-type]
    def put(self, *args: Any, **keywords: Any) -> None:
        super().put(*args, **keywords)


class OverriddenEvent(Event):  # type: ignore[misc, valid-type]
    def wait(self, timeout: float | None = None) -> bool:
        return bool(super().wait(timeout))


class OverriddenSemaphore(Semaphore):  # type: ignore[misc, valid-type]
    def acquire(self, *args: Any, **keywords: Any) -> bool:
        return bool(super().acquire(*args, **keywords))


def fallen_back() -> Any:
    items = Queue()
    assert not items.queue
    return items


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (OXTHREADS.threading.RLock, TypeError, "RLock"),
        (OXTHREADS.threading.Condition, TypeError, "Condition"),
        (lambda: OXTHREADS.threading.Barrier(2), TypeError, "Barrier"),
        (lambda: 3, TypeError, "int object"),
        (dict, TypeError, "dict object"),
        (lambda: None, TypeError, "NoneType object"),
        (fallen_back, TypeError, "uses the standard library"),
        (OverriddenQueue, TypeError, "overrides"),
        (OverriddenSimpleQueue, TypeError, "overrides"),
        (OverriddenEvent, TypeError, "overrides"),
        (OverriddenSemaphore, TypeError, "overrides"),
        (Odd, LookupError, "no number"),
        (threading.current_thread, RuntimeError, "cannot join current thread"),
        (OXTHREADS.threading.Thread, RuntimeError, "cannot join thread before it is started"),
        (lambda: put(OverriddenQueue(), 1), TypeError, "overrides"),
        (lambda: get(Queue(), -1), ValueError, "non-negative"),
        (lambda: put(3, 1), TypeError, "an oxthreads queue is needed"),  # type: ignore[arg-type]
        (lambda: get(queue.Queue()), TypeError, "an oxthreads queue is needed"),  # type: ignore[arg-type]
    ],
)
@pytest.mark.parametrize("with_another", [False, True])
def test_what_is_no_source(make: Any, error: type[Exception], message: str, *, with_another: bool) -> None:
    ready = Queue()
    ready.put("tea")
    with pytest.raises(error, match=message):
        select(*[ready] * with_another, make(), timeout=0)
    assert ready.qsize() == 1


@pytest.mark.parametrize("make", [STANDARD.queue.Queue, STANDARD.threading.Event, STANDARD.futures.Future])
def test_an_object_of_the_standard_library_is_refused_with_advice(make: Any) -> None:
    with pytest.raises(TypeError, match=r"an object of the standard library .*oxthreads run"):
        select(make(), timeout=0)


def test_there_must_be_a_source() -> None:
    assert refusal(select) == (ValueError, "select() needs at least one source")
    assert refusal(select, timeout=0)[0] is ValueError


def test_a_class_of_its_own_without_overrides_is_a_source() -> None:
    class Jobs(Queue):  # type: ignore[misc, valid-type]
        pass

    jobs = Jobs()
    jobs.put(1)
    assert select(jobs) == (jobs, 1)
    jobs.get = lambda: 2
    assert refusal(select, jobs)[0] is TypeError


def test_a_queue_that_falls_back_ends_the_wait() -> None:
    items = Queue()
    sleeper = Result(select, items, Event())
    until_asleep(sleeper.thread)
    assert not items.queue
    with pytest.raises(TypeError, match="uses the standard library"):
        sleeper.get()


def test_a_queue_that_is_shut_down_says_which_it_is() -> None:
    first, second = Queue(), SimpleQueue()
    first.put(1)
    first.shutdown()
    assert select(first, second) == (first, 1)
    with pytest.raises(ShutDown) as caught:
        select(first, second)
    assert caught.value.source is first  # type: ignore[attr-defined]
    sleeper = Result(select, second, Event())
    until_asleep(sleeper.thread)
    second.shutdown()
    with pytest.raises(ShutDown) as caught:
        sleeper.get()
    assert caught.value.source is second  # type: ignore[attr-defined]
    # The source of a put is what was given.
    source = put(first, 2)
    with pytest.raises(ShutDown) as caught:
        select(source)
    assert caught.value.source is source  # type: ignore[attr-defined]


def test_items_that_cannot_be_compared() -> None:
    heap = OXTHREADS.queue.PriorityQueue()
    heap.put(1)
    with pytest.raises(TypeError, match="not supported between"):
        select(put(heap, "a"), fair=False)
    assert heap.get_nowait() == 1


def test_the_same_object_twice() -> None:
    items = Queue()
    sleeper = Result(select, items, items)
    until_asleep(sleeper.thread)
    items.put(1)
    items.put(2)
    assert sleeper.get() == (items, 1)
    assert items.get_nowait() == 2


def test_a_put_and_a_get_of_one_queue_do_not_serve_each_other() -> None:
    items = Queue(1)
    items.put("old")
    source = put(items, "new")
    # Full: only the get can be done. Empty: only the put.
    assert select(source, items, fair=False) == (items, "old")
    assert select(items, source, fair=False) == (source, None)
    assert items.get_nowait() == "new"


def test_a_sleeping_select_has_its_place_among_plain_waits() -> None:
    items: Any = Queue()
    order: list[str] = []

    def plain(name: str) -> None:
        order.append(name + items.get())

    def selecting(name: str) -> None:
        order.append(name + select(Event(), items)[1])

    for count, (name, run) in enumerate([("a", plain), ("b", selecting), ("c", plain)]):
        until_asleep(start(run, name))
        assert len(order) == 0, count
    for count, item in enumerate("123", 1):
        items.put(item)
        spin_until(lambda count=count: len(order) == count)  # type: ignore[misc]
    assert order == ["a1", "b2", "c3"]


def test_what_a_select_leaves_is_free_for_others() -> None:
    mutex, flag = Lock(), Event()
    mutex.acquire()
    sleeper = Result(select, mutex, flag)
    until_asleep(sleeper.thread)
    plain = Result(mutex.acquire)
    until_asleep(plain.thread)
    flag.set()
    assert sleeper.get() == (flag, True)
    mutex.release()
    assert plain.get() is True


def test_each_item_is_taken_once(frantic: None) -> None:
    queues = [Queue(3), SimpleQueue(), Queue()]
    count, end = 300, Event()
    taken: list[int] = []

    def take() -> None:
        while True:
            source, item = select(*queues, end, timeout=30)
            if source is end:
                return
            taken.append(item)

    def take_from_one(items: Any) -> None:
        while (item := items.get()) is not None:
            taken.append(item)

    def send(items: Any, numbers: range) -> None:
        for number in numbers:
            select(put(items, number), timeout=30)

    plain = [start(take_from_one, items) for items in queues[:2]]
    takers = [start(take) for _ in range(3)]
    senders = [start(send, items, range(first, 3 * count, 3)) for first, items in enumerate(queues)]
    for sender in senders:
        sender.join()
    spin_until(lambda: len(taken) == 3 * count)
    for items in queues[:2]:
        items.put(None)
    # A taker may have got the None of a plain wait.
    end.set()
    for thread in takers:
        thread.join()
    for items in queues[:2]:
        items.put(None)
    for thread in plain:
        thread.join()
    assert sorted(item for item in taken if item is not None) == list(range(3 * count))


def test_a_lock_is_held_by_one(frantic: None) -> None:
    mutexes = [Lock(), Lock()]
    inside = [0, 0]

    def work() -> None:
        for _ in range(200):
            source, _ = select(*mutexes, timeout=30)
            place = mutexes.index(source)
            inside[place] += 1
            assert inside[place] == 1
            inside[place] -= 1
            source.release()

    workers = [Result(work) for _ in range(4)]
    for worker in workers:
        worker.get()
    assert not any(mutex.locked() for mutex in mutexes)


def test_time_outs_lose_nothing(frantic: None) -> None:
    first, second, end = Queue(), Queue(), Event()
    taken: list[int] = []

    def take() -> None:
        while not end.is_set():
            found = select(first, second, timeout=random.choice([0, 1e-6, 1e-4]), default=None)
            if found is not None:
                taken.append(found[1])

    takers = [start(take) for _ in range(3)]
    put_in = 0
    for number in rounds(2000):
        (first if number % 2 else second).put(number)
        put_in += 1
    spin_until(lambda: first.empty() and second.empty())
    end.set()
    for taker in takers:
        taker.join()
    assert sorted(taken) == list(range(put_in))


@pytest.mark.one_thread("signals")
class TestSignals:
    def test_a_handler_uses_the_same_objects(self) -> None:
        items, flag = Queue(), Event()
        seen: list[object] = []

        def handle() -> None:
            items.put("from the handler")
            seen.append(select(items, flag))
            flag.set()

        with handler(handle):
            sender = signal_once_asleep()
            assert select(items, flag) == (flag, True)
            sender.join()
        assert seen == [(items, "from the handler")]

    def test_a_handler_that_raises_ends_the_wait_and_leaves_everything(self) -> None:
        items, mutex = Queue(), Lock()
        mutex.acquire()
        with handler(fail):
            sender = signal_once_asleep()
            with pytest.raises(Interrupt):
                select(items, mutex)
            sender.join()
        items.put(1)
        assert items.get_nowait() == 1
        mutex.release()
        assert mutex.acquire(blocking=False)

    def test_a_wait_with_a_file_is_interrupted_too(self) -> None:
        reader, writer = os.pipe()
        with handler(fail), os.fdopen(reader) as file:
            sender = signal_once_asleep()
            with pytest.raises(Interrupt):
                select(Queue(), file)
            sender.join()
            os.close(writer)

    def test_a_wait_keeps_its_place_during_a_handler(self) -> None:
        items: Any = Queue()
        order: list[str] = []

        def handle() -> None:
            # They come after the main thread, which has left the list only for the time of this handler.
            for name in "bc":
                thread = start(lambda name=name: order.append(name + items.get()))  # type: ignore[misc]
                until_asleep(thread)
                handled.append(thread)

        def send() -> None:
            until_asleep(threading.main_thread())
            os.kill(os.getpid(), signal.SIGUSR1)
            spin_until(lambda: len(handled) == 2)
            until_asleep(*handled)
            until_asleep(threading.main_thread())
            items.put("1")

        handled: list[threading.Thread] = []
        with handler(handle):
            sender = start(send)
            assert select(items, Event()) == (items, "1")
            sender.join()
        items.put("2")
        items.put("3")
        spin_until(lambda: len(order) == 2)
        assert sorted(order) == ["b2", "c3"]

    def test_a_storm_of_signals_loses_no_item(self) -> None:
        first, second = Queue(), SimpleQueue()
        calls, taken = [], []
        with handler(lambda: calls.append(1)):
            end = Event()

            def storm() -> None:
                while not end.is_set():
                    os.kill(os.getpid(), signal.SIGUSR1)
                    end.wait(0.0005)

            def send() -> None:
                for number in range(300):
                    (first if number % 2 else second).put(number)

            stormy = start(storm)
            # Otherwise it may be over before the first signal.
            spin_until(lambda: calls)
            sender = start(send)
            while len(taken) < 300:
                taken.append(select(first, second, timeout=30)[1])
            end.set()
            stormy.join()
            sender.join()
        assert sorted(taken) == list(range(300))
        assert calls


@forks
@can_fork
@pytest.mark.one_thread("forks")
def test_a_child_has_none_of_the_waits_of_its_parent() -> None:
    first, second = Queue(), Queue()
    sleeper = Result(select, first, second)
    until_asleep(sleeper.thread)

    def check() -> None:
        first.put("child")
        assert select(first, second) == (first, "child")
        waiting_thread = Result(select, first, second)
        until_asleep(waiting_thread.thread)
        second.put("again")
        assert waiting_thread.get() == (second, "again")

    in_child(check)
    second.put("parent")
    assert sleeper.get() == (second, "parent")


def test_a_thread_that_is_waited_for_by_many_ends_once() -> None:
    end = Event()
    running = start(end.wait)
    sleepers = [Result(select, running, Queue()) for _ in range(3)]
    for sleeper in sleepers:
        until_asleep(sleeper.thread)
    end.set()
    assert [sleeper.get() for sleeper in sleepers] == [(running, None)] * 3
    assert not running.is_alive()
    # Those that come later need no other thread.
    before = threading.active_count()
    assert select(running) == (running, None)
    assert threading.active_count() <= before


def test_a_thread_that_nobody_has_started_by_threading_cannot_be_waited_for() -> None:
    found: list[threading.Thread] = []
    end = _thread.allocate_lock()
    end.acquire()

    def run() -> None:
        found.append(threading.current_thread())
        end.acquire()

    _thread.start_new_thread(run, ())
    spin_until(lambda: found)
    try:
        assert refusal(select, found[0], timeout=0) == (RuntimeError, "cannot join a dummy thread")
    finally:
        end.release()


@forks
@can_fork
@pytest.mark.one_thread("forks")
def test_a_thread_that_forks_while_it_is_waited_for() -> None:
    forked: list[int] = []
    wanted = Event()

    def fork() -> None:
        me = threading.current_thread()
        wanted.wait()

        def check() -> None:
            # It is the main thread of the child, where the one that joins it in the parent does not exist.
            waiting_thread = Result(select, me, timeout=0.05, default="alive")
            assert waiting_thread.get() == "alive"

        in_child(check)
        forked.append(1)

    running = start(fork)
    sleeper = Result(select, running)
    until_asleep(sleeper.thread)
    wanted.set()
    assert sleeper.get() == (running, None)
    assert forked == [1]


def test_a_comparison_runs_while_no_other_arm_waits() -> None:
    plain, heap = Queue(), OXTHREADS.queue.PriorityQueue(1)
    got: list[object] = []

    class Item:
        def __init__(self, number: int) -> None:
            self.number = number

        def __lt__(self, other: Item) -> bool:
            # The thread that compares is no getter of this queue meanwhile.
            plain.put("tea")
            got.append(plain.get(timeout=30))
            return self.number < other.number

    heap.put(Item(1))
    heap.maxsize = 2
    heap.put(Item(2))
    sleeper = Result(select, plain, put(heap, Item(3)), fair=False)
    until_asleep(sleeper.thread)
    first = heap.get()
    assert first.number == 1
    source, _ = sleeper.get()
    assert got
    assert set(got) == {"tea"}
    assert source is not plain
    assert plain.empty()


def test_nothing_is_kept_after_a_wait() -> None:
    class Item:
        pass

    full, flag = Queue(1), Event()
    full.put("old")
    item = Item()
    gone = weakref.ref(item)
    # It sleeps, so there is an arm that has the item.
    assert select(put(full, item), flag, timeout=0.01, default="late") == "late"
    del item
    spin_until(lambda: gone() is None)


def test_a_source_that_is_in_its_own_queue_is_freed() -> None:
    def cycle() -> Any:
        items = Queue()
        items.put(put(items, 1))
        return items

    assert is_freed(cycle)


def test_sources_show_what_they_are() -> None:
    items = SimpleQueue()
    assert repr(put(items, 1)) == f"oxthreads.waiting.put({items!r}, 1)"
    assert repr(get(items)) == f"oxthreads.waiting.get({items!r})"
    assert repr(get(items, 5)) == f"oxthreads.waiting.get({items!r}, 5)"
    assert repr(after(1.5)) == "oxthreads.waiting.after(1.5)"
    assert repr(every(2)) == "oxthreads.waiting.every(2)"
    assert get(items, 5).max_items == 5
    assert get(items).max_items is None
    assert get(items).queue is items


def test_all_names_have_a_docstring() -> None:
    for name in waiting.__all__:
        assert getattr(waiting, name).__doc__, name
