"""The collector for Prometheus: how it is registered and scraped, and what it says of pools."""

from __future__ import annotations

import gc
import logging
import threading
import urllib.request
import weakref
from typing import Any

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from oxthreads import _oxthreads, diagnose, metrics
from oxthreads.concurrent.futures import ThreadPoolExecutor
from oxthreads.threading import Event
from tests.metrics.scraping import Scraped, parsed, run, run_threads
from tests.support.waiting import TIMEOUT_SECONDS, spin_until

pytestmark = pytest.mark.one_thread("a process counts its waits once")


def of_pools(scraped: Scraped, name: str) -> dict[str, float]:
    """What is said of the pools of that name."""
    key = frozenset({("name", name)})
    return {
        metric.removeprefix("oxthreads_"): value
        for (metric, labels), value in scraped.samples().items()
        if labels == key
    }


def fail() -> None:
    raise ValueError


def test_what_a_pool_does_and_has_done() -> None:
    go, begun = Event(), threading.Barrier(3)
    with ThreadPoolExecutor(2, thread_name_prefix="crew") as pool, Scraped([pool]) as scraped:
        nothing = of_pools(scraped, "crew")
        assert nothing == {
            "pools": 1,
            "pool_workers_max": 2,
            "pool_workers": 0,
            "pool_workers_busy": 0,
            "pool_pending": 0,
            "pool_calls_total": 0,
            "pool_calls_failed_total": 0,
            "pool_queue_time_seconds_total": 0,
            "pool_run_time_seconds_total": 0,
        }

        def call() -> None:
            begun.wait(TIMEOUT_SECONDS)
            go.wait(TIMEOUT_SECONDS)

        running = [pool.submit(call) for _ in range(2)]
        begun.wait(TIMEOUT_SECONDS)
        pending = [pool.submit(fail) for _ in range(3)]
        now = of_pools(scraped, "crew")
        assert (now["pool_workers"], now["pool_workers_busy"], now["pool_pending"]) == (2, 2, 3)
        assert now["pool_calls_total"] == 0
        go.set()
        for future in running:
            future.result(TIMEOUT_SECONDS)
        for future in pending:
            assert isinstance(future.exception(TIMEOUT_SECONDS), ValueError)
        # A future is done a moment before its call has ended.
        spin_until(lambda: of_pools(scraped, "crew")["pool_calls_total"] == 5)
        now = of_pools(scraped, "crew")
        assert now["pool_calls_failed_total"] == 3
        stats = pool.stats()
        assert now["pool_queue_time_seconds_total"] == stats.queue_wait_total
        assert now["pool_run_time_seconds_total"] == stats.run_time_total
        assert now["pool_queue_time_seconds_total"] > 0
    # No waits: only the pool is measured.
    assert _oxthreads.wait_counts() == []
    assert scraped.text() == ""


def test_calls_in_the_submitting_thread_and_cancelled_calls() -> None:
    go, begun = Event(), Event()
    pool = ThreadPoolExecutor(1, "busy", max_pending=1, on_full="caller_runs")
    with pool, Scraped([pool]) as scraped:

        def call() -> None:
            begun.set()
            go.wait(TIMEOUT_SECONDS)

        pool.submit(call)
        assert begun.wait(TIMEOUT_SECONDS)
        pending = pool.submit(int)
        assert isinstance(pool.submit(fail).exception(), ValueError)
        now = of_pools(scraped, "busy")
        assert (now["pool_calls_total"], now["pool_calls_failed_total"]) == (1, 1)
        assert pending.cancel()
        go.set()
        spin_until(lambda: of_pools(scraped, "busy")["pool_calls_total"] == 2)
        pool.shutdown()
        # The one that was cancelled is no call that has ended.
        assert of_pools(scraped, "busy")["pool_calls_total"] == 2


def test_pools_of_one_name_are_one_and_those_without_a_name_are_another() -> None:
    pools = [ThreadPoolExecutor(number, thread_name_prefix="twin") for number in (1, 2)]
    pools += [ThreadPoolExecutor(4), ThreadPoolExecutor(8, thread_name_prefix="")]
    renamed = ThreadPoolExecutor(16, thread_name_prefix="prefix")
    diagnose.set_name(renamed, "given")
    with Scraped([*pools, renamed, renamed]) as scraped:
        for pool in (*pools, renamed):
            pool.submit(int).result()
            pool.shutdown()
        for name, count, most in (("twin", 2, 3), ("", 2, 12), ("given", 1, 16)):
            found = of_pools(scraped, name)
            assert (found["pools"], found["pool_workers_max"], found["pool_calls_total"]) == (
                count,
                most,
                count,
            )
        assert of_pools(scraped, "prefix") == {}


def test_a_name_that_comes_later_does_not_move_counts() -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="first") as pool, Scraped([pool]) as scraped:
        pool.submit(int).result()
        spin_until(lambda: of_pools(scraped, "first")["pool_calls_total"] == 1)
        diagnose.set_name(pool, "second")
        assert of_pools(scraped, "first")["pool_calls_total"] == 1
        assert of_pools(scraped, "second") == {}


def test_a_pool_that_is_gone_disappears() -> None:
    pools = [ThreadPoolExecutor(1, thread_name_prefix="brief") for _ in range(2)]
    with Scraped(pools) as scraped:
        for pool in pools:
            pool.submit(int).result()
            pool.shutdown()
        del pool
        reference = weakref.ref(pools.pop())
        gc.collect()
        assert reference() is None
        # What it has done still counts among those of its name.
        spin_until(lambda: of_pools(scraped, "brief")["pools"] == 1)
        assert of_pools(scraped, "brief")["pool_calls_total"] == 2
        pools.clear()
        gc.collect()
        spin_until(lambda: scraped.text() == "")
    assert scraped.text() == ""


def test_in_the_whole_process_the_counts_of_pools_stay() -> None:
    with Scraped() as scraped:
        for _ in range(3):
            # The last two were never seen by a scrape.
            with ThreadPoolExecutor(1, thread_name_prefix="again") as pool:
                pool.submit(int).result()
                pool.submit(fail).exception()
            del pool
            gc.collect()
            scraped.samples()
        spin_until(lambda: "pools" not in of_pools(scraped, "again"))
        found = of_pools(scraped, "again")
        assert found["pool_calls_total"] == 6
        assert found["pool_calls_failed_total"] == 3
        assert "pool_workers" not in found
    with Scraped() as scraped:
        assert of_pools(scraped, "again") == {}


def test_counts_of_pools_never_go_back_while_pools_come_and_go() -> None:
    done = threading.Event()
    before: dict[Any, float] = {}

    def work(number: int) -> None:
        if number == 0:
            while not done.is_set():
                samples = scraped.samples()
                for key, value in before.items():
                    if key[0].startswith("oxthreads_pool_calls"):
                        assert samples[key] >= value
                before.update(samples)
        else:
            for _ in range(50):
                with ThreadPoolExecutor(2, thread_name_prefix="mayfly") as pool:
                    list(pool.map(int, "12"))
            if number == 1:
                done.set()

    with Scraped() as scraped:
        run_threads(work, 3)
        gc.collect()
        spin_until(lambda: of_pools(scraped, "mayfly")["pool_calls_total"] == 200)


def test_a_thousand_pools() -> None:
    pools = [ThreadPoolExecutor(3, thread_name_prefix=f"pool {number}") for number in range(1000)]
    with Scraped(pools) as scraped:
        samples = scraped.samples()
        names = {dict(labels)["name"] for metric, labels in samples if metric == "oxthreads_pools"}
        # Names are limited; no pool is lost.
        assert len(names) == 201 and "other" in names
        assert sum(value for (metric, _), value in samples.items() if metric == "oxthreads_pools") == 1000
        assert of_pools(scraped, "other")["pool_workers_max"] == 3 * 800
        del pools
        gc.collect()
        spin_until(lambda: scraped.text() == "")


def test_a_pool_that_has_fallen_back_is_left_out() -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="fallen") as pool, Scraped([pool]) as scraped:
        assert of_pools(scraped, "fallen")["pools"] == 1
        pool._idle_semaphore = threading.Semaphore(0)
        assert "pools" not in of_pools(scraped, "fallen")


def test_a_registry_takes_it_once() -> None:
    registry = CollectorRegistry()
    with metrics.PrometheusCollector() as first, metrics.PrometheusCollector() as second:
        registry.register(first)
        with pytest.raises(ValueError, match="Duplicated timeseries"):
            registry.register(second)
        registry.unregister(first)
        registry.register(second)
        # One with a default registry is described when it is registered.
        automatic = CollectorRegistry(auto_describe=True)
        automatic.register(first)


def test_a_scrape_over_http() -> None:
    registry = CollectorRegistry()
    event = Event()
    diagnose.set_name(event, "über/http")
    with metrics.PrometheusCollector() as collector:
        registry.register(collector)
        server, thread = prometheus_client.start_http_server(0, "127.0.0.1", registry)
        try:
            event.wait(0.001)
            address = f"http://127.0.0.1:{server.server_port}/metrics"
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(address, timeout=TIMEOUT_SECONDS) as answer:
                samples = parsed(answer.read().decode())
            labels = frozenset({("kind", "Event"), ("name", "über/http")})
            assert samples["oxthreads_wait_seconds_count", labels] == 1
            with opener.open(
                f"{address}?name[]=oxthreads_threads_waiting", timeout=TIMEOUT_SECONDS
            ) as answer:
                assert {name for name, _ in parsed(answer.read().decode())} == {"oxthreads_threads_waiting"}
        finally:
            server.shutdown()
            server.server_close()
            thread.join(TIMEOUT_SECONDS)


def test_the_format_of_openmetrics() -> None:
    with Scraped() as scraped:
        event = Event()
        event.wait(0.001)
        with ThreadPoolExecutor(1, thread_name_prefix="open") as pool:
            pool.submit(int).result()
            exposed: str = generate_openmetrics(scraped.registry).decode()  # type: ignore[no-untyped-call]
            found = [*parse_openmetrics(exposed)]  # type: ignore[no-untyped-call]
    families = {family.name for family in found}
    assert {"oxthreads_wait_seconds", "oxthreads_pool_calls", "oxthreads_pool_run_time_seconds"} <= families


def test_what_cannot_be_read_is_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise RuntimeError("broken")

    with ThreadPoolExecutor(1, thread_name_prefix="sound"), Scraped() as scraped:
        Event().wait(0.001)
        monkeypatch.setattr("oxthreads._oxthreads.wait_counts", broken)
        with caplog.at_level(logging.WARNING, "oxthreads"):
            assert "wait_seconds" not in scraped.text()
            assert of_pools(scraped, "sound")["pools"] == 1
        assert "could not be read" in caplog.text
        monkeypatch.undo()
        assert "wait_seconds" in scraped.text()


@pytest.mark.parametrize("pools", [3, [None], ["pool"], [object()]])
def test_what_is_no_pool(pools: Any) -> None:
    with pytest.raises(TypeError):
        metrics.PrometheusCollector(pools)


def test_buckets_are_for_waits() -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="not for pools"):
        metrics.PrometheusCollector([pool], buckets=[1])
    with Scraped([]) as scraped:
        assert scraped.text() == ""


def test_without_the_package() -> None:
    program = """
        import sys
        sys.modules["prometheus_client"] = None
        from oxthreads import metrics
        try:
            metrics.PrometheusCollector()
        except ImportError as error:
            print(error)
        from oxthreads import _oxthreads
        print(_oxthreads.wait_counts())
    """
    assert run(program).splitlines() == [
        "PrometheusCollector needs the package prometheus_client: pip install 'oxthreads[prometheus]'",
        "[]",
    ]


def test_a_forked_child_counts_anew() -> None:
    program = """
        import os
        from oxthreads import diagnose, metrics, threading
        from oxthreads.concurrent.futures import ThreadPoolExecutor
        from prometheus_client import CollectorRegistry
        registry = CollectorRegistry()
        registry.register(metrics.PrometheusCollector())

        def value(metric, **labels):
            return registry.get_sample_value(f"oxthreads_{metric}", labels)

        def counts():
            return [
                value("wait_seconds_count", kind="Event", name="forked"),
                value("pool_calls_total", name="crew"),
            ]

        event = threading.Event()
        diagnose.set_name(event, "forked")
        pool = ThreadPoolExecutor(1, thread_name_prefix="crew")

        def act(times):
            for _ in range(times):
                event.wait(0.001)
                pool.submit(int).result()
            while counts()[1] != times:
                pass

        act(3)
        print(counts(), flush=True)
        child = os.fork()
        if not child:
            print(counts(), flush=True)
            act(2)
            print(counts(), flush=True)
            grandchild = os.fork()
            if not grandchild:
                act(1)
                print(counts(), flush=True)
                os._exit(0)
            os.waitpid(grandchild, 0)
            print(counts(), flush=True)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        event.wait(0.001)
        print(counts())
    """
    assert run(program).splitlines() == [
        "[3, 3]",
        "[None, 0]",
        "[2, 2]",
        "[1, 1]",
        "[2, 2]",
        "0",
        "[4, 3]",
    ]


def test_a_fork_while_other_threads_wait_and_scrape() -> None:
    program = """
        import os
        from oxthreads import diagnose, metrics, queue, threading
        from prometheus_client import CollectorRegistry, generate_latest
        registry = CollectorRegistry()
        collector = metrics.PrometheusCollector()
        registry.register(collector)
        there, back, stop = queue.SimpleQueue(), queue.SimpleQueue(), threading.Event()

        def answer():
            while item := there.get(timeout=30):
                back.put(item)

        def ask():
            while not stop.is_set():
                there.put(1)
                back.get(timeout=30)
            there.put(0)

        def scrape():
            while not stop.is_set():
                generate_latest(registry)
                diagnose.set_name(threading.Event(), "brief")

        # No import must go on in another thread at the fork.
        diagnose.set_name(there, "there")
        threads = [threading.Thread(target=each) for each in (answer, ask, scrape)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            child = os.fork()
            if not child:
                mine = threading.Event()
                diagnose.set_name(mine, "mine")
                mine.wait(0.001)
                # Another thread of the parent may have had the lock of the registry.
                found = [
                    sample.value
                    for family in collector.collect()
                    for sample in family.samples
                    if sample.name == "oxthreads_wait_seconds_count" and sample.labels["name"] == "mine"
                ]
                os._exit(0 if found == [1] else 3)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        stop.set()
        for thread in threads:
            thread.join()
    """
    run(program)


def test_scrapes_while_the_interpreter_exits() -> None:
    program = """
        import atexit, threading as standard, urllib.request
        from oxthreads import metrics, queue, threading
        from oxthreads.concurrent.futures import ThreadPoolExecutor
        from prometheus_client import REGISTRY, generate_latest, start_http_server
        REGISTRY.register(metrics.PrometheusCollector())
        server, _ = start_http_server(0, "127.0.0.1")
        pool = ThreadPoolExecutor(4, thread_name_prefix="exit")
        pool.submit(int)
        queues = [queue.Queue() for _ in range(4)]
        for each in queues:
            threading.Thread(target=each.get, daemon=True).start()
        running = standard.Event()

        def scrape():
            while True:
                generate_latest()
                running.set()

        standard.Thread(target=scrape, daemon=True).start()
        running.wait()
        atexit.register(lambda: print(b"oxthreads_pool" in generate_latest()))
    """
    assert run(program) == "True\n"


def test_a_collector_that_is_destroyed_with_the_interpreter() -> None:
    run("from oxthreads import metrics; kept = metrics.PrometheusCollector()")
    assert b"oxthreads" not in generate_latest(CollectorRegistry())
