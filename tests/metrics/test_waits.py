"""Which waits are counted, and how long they are: exactly those that sleep, and each once."""

from __future__ import annotations

import gc
import signal
import threading as standard
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from oxthreads import _oxthreads, diagnose, queue, threading
from oxthreads.concurrent import futures
from oxthreads.metrics import BUCKETS, PrometheusCollector
from tests.metrics.scraping import Scraped, run, run_threads, wait_for_lock
from tests.support.signals import Interrupt, fail, handler, signal_once_asleep
from tests.support.threads import start
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, until_asleep

pytestmark = pytest.mark.one_thread("a process counts its waits once")

#: Seconds that are long enough for a thread to sleep, and end by themselves.
SHORT = 0.001


@pytest.fixture
def scraped() -> Iterator[Scraped]:
    with Scraped() as found:
        yield found


def named(thing: Any, name: str) -> Any:
    diagnose.set_name(thing, name)
    return thing


def waits(scraped: Scraped, kind: str, name: str) -> tuple[float | None, float | None]:
    """How many waits have ended, and how many go on."""
    return (
        scraped.value("wait_seconds_count", kind=kind, name=name),
        scraped.value("threads_waiting", kind=kind, name=name),
    )


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_each_wait_for_a_lock_counts_once(scraped: Scraped, make: Callable[[], Any]) -> None:
    lock = named(make(), "counted")
    kind = make.__name__
    during = []

    def look() -> None:
        time.sleep(0.01)
        during.append(waits(scraped, kind, "counted"))

    before = time.monotonic()
    at_least = wait_for_lock(lock, 5, look)
    at_most = 5 * (time.monotonic() - before)
    assert during == [(0, 5)]
    assert waits(scraped, kind, "counted") == (5, 0)
    assert scraped.value("contentions_total", kind=kind, name="counted") == 5
    total = scraped.value("wait_seconds_sum", kind=kind, name="counted")
    assert total is not None
    assert at_least <= total <= at_most
    # All of them were longer than this bucket.
    assert scraped.value("wait_seconds_bucket", kind=kind, name="counted", le="0.005") == 0


def test_what_does_not_sleep_is_not_counted(scraped: Scraped) -> None:
    lock, items = named(threading.Lock(), "free"), named(queue.Queue(), "full")
    for _ in range(100):
        with lock:
            items.put(1)
        items.get()
        lock.acquire(timeout=1)
        assert not lock.acquire(blocking=False)
        lock.release()
    assert 'name="free"' not in scraped.text()
    assert 'name="full"' not in scraped.text()


def test_what_does_not_sleep_is_not_recorded_either() -> None:
    # In a process that was never watched.
    program = """
        from oxthreads import _oxthreads, metrics, queue
        with metrics.PrometheusCollector():
            items = queue.Queue()
            items.put(1)
            items.get()
            print(_oxthreads.takers_of(items), _oxthreads.asleep())
    """
    assert run(program) == "[] []\n"


def test_a_barrier_and_a_semaphore_and_an_event(scraped: Scraped) -> None:
    barrier = named(threading.Barrier(4), "gate")
    run_threads(lambda _: [barrier.wait(TIMEOUT_SECONDS) for _ in range(25)], 4)
    # In each round, the last one does not wait. Who is back before the others are gone waits for that, too.
    count, going = waits(scraped, "Barrier", "gate")
    assert count is not None and 3 * 25 <= count <= 7 * 25
    assert going == 0
    semaphore, event = named(threading.Semaphore(0), "signal"), named(threading.Event(), "signal")
    for wait, kind in ((semaphore.acquire, "Semaphore"), (event.wait, "Event")):
        for _ in range(3):
            assert not wait(timeout=SHORT)
        assert waits(scraped, kind, "signal") == (3, 0)
        assert scraped.value("contentions_total", kind=kind, name="signal") is None


def test_each_kind_of_wait_for_a_queue(scraped: Scraped) -> None:
    items: queue.Queue[int] = named(queue.Queue(1), "jobs")
    with pytest.raises(queue.Empty):
        items.get(timeout=SHORT)
    items.put(1)
    for _ in range(2):
        with pytest.raises(queue.Full):
            items.put(2, timeout=SHORT)
    joiner = start(items.join)
    until_asleep(joiner)
    assert waits(scraped, "end of the work of a queue", "jobs") == (0, 1)
    items.task_done()
    joiner.join(TIMEOUT_SECONDS)
    assert waits(scraped, "end of the work of a queue", "jobs") == (1, 0)
    assert waits(scraped, "item of a queue", "jobs") == (1, 0)
    assert waits(scraped, "room in a queue", "jobs") == (2, 0)


def test_a_condition_and_its_lock_are_two_waits(scraped: Scraped) -> None:
    lock = named(threading.Lock(), "its lock")
    condition = named(threading.Condition(lock), "news")

    def wait() -> None:
        with condition:
            condition.wait(TIMEOUT_SECONDS)

    waiter = start(wait)
    spin_until(lambda: waits(scraped, "Condition", "news") == (0, 1))
    until_asleep(waiter)
    with condition:
        condition.notify()
        until_asleep(waiter)
        assert waits(scraped, "Condition", "news") == (1, 0)
        assert waits(scraped, "Lock", "its lock") == (0, 1)
    waiter.join(TIMEOUT_SECONDS)
    assert waits(scraped, "Lock", "its lock") == (1, 0)


def test_a_signal_does_not_make_two_waits_of_one(scraped: Scraped) -> None:
    outer, inner = named(threading.Event(), "outer"), named(threading.Event(), "inner")

    def handle() -> None:
        inner.wait(SHORT)
        inner.wait(SHORT)
        # The same object as outside.
        outer.wait(SHORT)
        outer.set()

    with handler(handle):
        sender = signal_once_asleep()
        assert outer.wait(TIMEOUT_SECONDS)
    sender.join()
    assert waits(scraped, "Event", "inner") == (2, 0)
    assert waits(scraped, "Event", "outer") == (2, 0)


@pytest.mark.parametrize("make", [threading.Lock, threading.Semaphore, threading.Barrier])
def test_a_wait_that_is_ended_by_an_exception_is_over(scraped: Scraped, make: Callable[..., Any]) -> None:
    thing = named(make(2) if make is threading.Barrier else make(), "interrupted")
    wait = thing.wait if make is threading.Barrier else thing.acquire
    if make is not threading.Barrier:
        thing.acquire()
    with handler(fail):
        sender = signal_once_asleep()
        with pytest.raises(Interrupt):
            wait()
    sender.join()
    assert waits(scraped, make.__name__, "interrupted") == (1, 0)


def test_pools_and_futures(scraped: Scraped) -> None:
    future: futures.Future[int] = futures.Future()
    diagnose.set_name(future, "answer")
    with pytest.raises(futures.TimeoutError):
        future.result(SHORT)
    assert waits(scraped, "Future", "answer") == (1, 0)
    with futures.ThreadPoolExecutor(1, thread_name_prefix="crew") as pool:
        pool.submit(int).result()
        spin_until(lambda: waits(scraped, "call for a worker", "crew")[1] == 1)
    assert waits(scraped, "call for a worker", "crew")[1] == 0


def test_the_name_at_the_beginning_of_a_wait_counts(scraped: Scraped) -> None:
    event = threading.Event()
    event.wait(SHORT)
    diagnose.set_name(event, "early")
    event.wait(SHORT)
    diagnose.set_name(event, "late")
    event.wait(SHORT)
    assert waits(scraped, "Event", "early") == (1, 0)
    assert waits(scraped, "Event", "late") == (1, 0)


def test_a_new_object_does_not_inherit_a_name(scraped: Scraped) -> None:
    # Some of these get the addresses of others that are gone.
    for number in range(100):
        event = threading.Event()
        if number % 2 == 0:
            diagnose.set_name(event, "even")
        event.wait(0.000001)
        del event
    gc.collect()
    assert waits(scraped, "Event", "even") == (50, 0)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ('a "quoted" \\ name\nin {two} lines', 'a "quoted" \\ name\nin {two} lines'),
        ("Schlüssel 🔑", "Schlüssel 🔑"),
        ("\ud800 alone", "��� alone"),
        ("", ""),
        ("x" * 5000, "x" * 200),
        ("ü" * 5000, "ü" * 200),
    ],
)
def test_odd_names(scraped: Scraped, name: str, shown: str) -> None:
    event = named(threading.Event(), name)
    event.wait(SHORT)
    assert (waits(scraped, "Event", shown)[0] or 0) >= 1


def test_names_are_limited() -> None:
    with Scraped() as scraped:
        for number in range(250):
            named(threading.Event(), f"event {number}").wait(0.000001)
        assert waits(scraped, "Event", "event 0") == (1, 0)
        assert waits(scraped, "Event", "event 249") == (None, None)
        assert waits(scraped, "Event", "other") == (50, 0)


def test_two_measurements_share_their_counts_and_buckets() -> None:
    event = named(threading.Event(), "shared")
    with Scraped(buckets=[0.5, 1, float("inf")]) as first:
        event.wait(SHORT)
        with Scraped() as second:
            event.wait(SHORT)
            for scraped in (first, second):
                assert waits(scraped, "Event", "shared") == (2, 0)
                bounds = [
                    dict(labels)["le"]
                    for (name, labels) in scraped.samples()
                    if name == "oxthreads_wait_seconds_bucket" and ("name", "shared") in labels
                ]
                assert bounds == ["0.5", "1.0", "+Inf"]
            with pytest.raises(ValueError, match="counts waits already, in other buckets"):
                PrometheusCollector(buckets=[2])
        event.wait(SHORT)
        assert waits(first, "Event", "shared") == (3, 0)
        assert second.text() == ""
    with Scraped(buckets=[2]) as third:
        assert waits(third, "Event", "shared") == (None, None)


def test_nothing_is_left_after_the_end() -> None:
    event = threading.Event()
    collector: PrometheusCollector | None = PrometheusCollector()
    event.wait(SHORT)
    assert _oxthreads.wait_counts() != []
    assert collector is not None
    collector.stop()
    collector.stop()
    assert list(collector.collect()) == []
    assert _oxthreads.wait_counts() == []
    collector = PrometheusCollector()
    event.wait(SHORT)
    reference = weakref.ref(collector)
    collector = None
    gc.collect()
    assert reference() is None
    assert _oxthreads.wait_counts() == []


def test_a_wait_that_began_before_is_not_counted() -> None:
    lock = named(threading.Lock(), "early bird")
    found: list[Scraped] = []
    wait_for_lock(lock, 3, lambda: found.append(Scraped()))
    assert 'name="early bird"' not in found[0].text()
    found[0].collector.stop()
    # And one that began in an earlier measurement, of which none is left.
    first = Scraped()

    def change() -> None:
        first.collector.stop()
        found.append(Scraped())

    wait_for_lock(lock, 3, change)
    wait_for_lock(lock, 1)
    assert waits(found[1], "Lock", "early bird") == (1, 0)
    found[1].collector.stop()


def test_counts_never_go_back_and_fit_together_while_threads_wait(scraped: Scraped) -> None:
    there: queue.SimpleQueue[int] = named(queue.SimpleQueue(), "there")
    back: queue.SimpleQueue[int] = named(queue.SimpleQueue(), "back")
    rounds, done = 2000, standard.Event()

    def answer() -> None:
        for _ in range(rounds):
            back.put(there.get())

    def ask() -> None:
        for _ in range(rounds):
            there.put(1)
            back.get()
        done.set()

    before: dict[Any, float] = {}
    threads = [start(answer), start(ask)]
    while not done.is_set():
        samples = scraped.samples()  # it checks each by itself
        for key, value in before.items():
            if not key[0].startswith("oxthreads_threads"):
                assert samples[key] >= value
        before = samples
    for thread in threads:
        thread.join(TIMEOUT_SECONDS)
    # All that begin end.
    for name in ("there", "back"):
        count, going = waits(scraped, "item of a queue", name)
        assert going in (0, None) and (count or 0) <= rounds


def test_threads_begin_and_end_measurements_and_wait_at_once() -> None:
    lock = named(threading.Lock(), "busy")

    def act(number: int) -> None:
        for _ in range(50):
            if number % 2:
                with Scraped() as scraped:
                    scraped.samples()
            else:
                with lock:
                    time.sleep(0)

    run_threads(act, 6)
    assert _oxthreads.wait_counts() == []


def test_metrics_a_profile_and_a_watch_count_the_same(scraped: Scraped) -> None:
    lock = named(threading.Lock(), "thrice")
    with diagnose.watch(), diagnose.profile() as found:
        wait_for_lock(lock, 3)
        assert scraped.value("threads_deadlocked") == 0
    rows = [row for row in found.data()["objects"] if row["object"] == "Lock thrice"]
    assert [row["waits"] for row in rows] == [3]
    assert waits(scraped, "Lock", "thrice") == (3, 0)
    total = scraped.value("wait_seconds_sum", kind="Lock", name="thrice")
    # They look at the clock one after the other, and may be stopped in between.
    assert total is not None and total > 0
    assert rows[0]["seconds"] > 0
    # Without a watch, nobody knows.
    assert scraped.value("threads_deadlocked") is None
    wait_for_lock(lock, 2)
    assert waits(scraped, "Lock", "thrice") == (5, 0)


def test_deadlocked_threads_are_counted_until_their_deadlock_ends() -> None:
    program = """
        import time
        from oxthreads import diagnose, metrics, threading
        from prometheus_client import CollectorRegistry
        registry = CollectorRegistry()
        registry.register(metrics.PrometheusCollector())

        def deadlocked():
            return registry.get_sample_value("oxthreads_threads_deadlocked")

        def until(value):
            end = time.monotonic() + 30
            while deadlocked() != value:
                assert time.monotonic() < end, deadlocked()
                time.sleep(0.01)

        def meet():
            a, b, both = threading.Lock(), threading.Lock(), threading.Barrier(2)
            def one(first, second):
                try:
                    with first:
                        both.wait()
                        with second:
                            pass
                except diagnose.DeadlockError:
                    pass
            threads = [threading.Thread(target=one, args=pair, daemon=True) for pair in ((a, b), (b, a))]
            for thread in threads:
                thread.start()
            return threads

        assert deadlocked() is None
        watch = diagnose.watch("raise")
        until(0)
        for thread in meet():
            thread.join(30)
            assert not thread.is_alive()
        until(0)
        diagnose.watch("report")
        meet()
        until(2)
        meet()
        until(4)
        watch.stop()
        assert deadlocked() is None
    """
    assert run(program, may_report=True) == ""


@pytest.mark.parametrize(
    ("buckets", "error", "match"),
    [
        ([], ValueError, "at least one"),
        ([float("inf")], ValueError, "at least one"),
        ([0], ValueError, "positive, increasing"),
        ([1, 1], ValueError, "positive, increasing"),
        ([2, 1], ValueError, "positive, increasing"),
        ([float("nan")], ValueError, "positive, increasing"),
        ([1e-12], ValueError, "positive, increasing"),
        ([10**400], ValueError, "positive, increasing"),
        (["1"], TypeError, "numbers of seconds"),
        ([True], TypeError, "numbers of seconds"),
        ("12", TypeError, "numbers of seconds"),
        (1, TypeError, "numbers of seconds"),
    ],
)
def test_wrong_buckets(buckets: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        PrometheusCollector(buckets=buckets)
    assert _oxthreads.wait_counts() == []


def test_the_usual_buckets(scraped: Scraped) -> None:
    named(threading.Event(), "usual").wait(SHORT)
    bounds = {
        dict(labels)["le"] for name, labels in scraped.samples() if name == "oxthreads_wait_seconds_bucket"
    }
    assert bounds == {*map(str, BUCKETS), "+Inf"}


def test_a_handler_of_a_signal_scrapes(scraped: Scraped) -> None:
    event = named(threading.Event(), "scraped in a handler")
    texts = []

    def scrape() -> None:
        texts.append(waits(scraped, "Event", "scraped in a handler"))
        event.set()

    with handler(scrape):
        sender = signal_once_asleep()
        assert event.wait(TIMEOUT_SECONDS)
    sender.join()
    assert texts == [(0, 1)]
    assert signal.getsignal(signal.SIGUSR1) is not None
