"""Instrumentation for OpenTelemetry, with its SDK."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from prometheus_client import REGISTRY, generate_latest

from oxthreads import _oxthreads, diagnose, metrics
from oxthreads.concurrent.futures import ThreadPoolExecutor
from oxthreads.threading import Event, Lock
from tests.metrics.scraping import Scraped, parsed, run, run_threads, wait_for_lock
from tests.support.waiting import spin_until

pytestmark = pytest.mark.one_thread("a process counts its waits once")

SHORT = 0.001


class Collected:
    """A provider with a reader, and what this collects."""

    def __init__(self, **options: Any) -> None:
        self.reader = InMemoryMetricReader(**options)
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.meter = self.provider.get_meter("test")

    def metrics(self) -> dict[str, Any]:
        data = self.reader.get_metrics_data()
        found: dict[str, Any] = {}
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    assert metric.name not in found
                    found[metric.name] = metric
        return found

    def values(self) -> dict[str, dict[tuple[str, ...], float]]:
        """The values by the names of metrics and the values of attributes."""
        values: dict[str, dict[tuple[str, ...], float]] = {}
        for name, metric in self.metrics().items():
            points = values[name.removeprefix("oxthreads.")] = {}
            for point in metric.data.data_points:
                key = tuple(str(value) for value in point.attributes.values())
                assert key not in points
                points[key] = point.value
        check_histograms(values)
        return values


def check_histograms(values: dict[str, dict[tuple[str, ...], float]]) -> None:
    counts = values.get("wait.duration.count", {})
    assert counts.keys() == values.get("wait.duration.sum", {}).keys()
    for (kind, name), count in counts.items():
        buckets = [
            (float(key[2]), value)
            for key, value in values["wait.duration.bucket"].items()
            if key[:2] == (kind, name)
        ]
        in_order = [value for _, value in sorted(buckets)]
        assert in_order == sorted(in_order)
        assert in_order[-1] == count


@pytest.fixture
def collected() -> Iterator[Collected]:
    found = Collected()
    yield found
    found.provider.shutdown()
    assert _oxthreads.wait_counts() == [], "the test has left an instrumentation"


def wait(name: str, times: int = 1) -> None:
    event = Event()
    diagnose.set_name(event, name)
    for _ in range(times):
        event.wait(SHORT)


def test_waits_are_counted_exactly(collected: Collected) -> None:
    lock = Lock()
    diagnose.set_name(lock, "db")
    with metrics.instrument(meter=collected.meter, buckets=[0.001, 60]):
        during: list[dict[str, dict[tuple[str, ...], float]]] = []
        wait_for_lock(lock, 4, lambda: during.append(collected.values()))
        assert during[0]["threads.waiting"]["Lock", "db"] == 4
        assert during[0]["wait.duration.count"]["Lock", "db"] == 0
        values = collected.values()
        assert values["threads.waiting"]["Lock", "db"] == 0
        assert values["wait.duration.count"]["Lock", "db"] == 4
        assert values["wait.duration.bucket"]["Lock", "db", "+Inf"] == 4
        assert values["wait.duration.sum"]["Lock", "db"] > 0
        assert values["contentions"]["Lock", "db"] == 4
    assert collected.values() == {}


def test_names_units_and_kinds(collected: Collected) -> None:
    with (
        ThreadPoolExecutor(1, thread_name_prefix="crew") as pool,
        diagnose.watch(),
        metrics.instrument(meter=collected.meter),
    ):
        pool.submit(int).result()
        wait_for_lock(Lock(), 1)
        found = {
            name: (metric.unit, metric.data.is_monotonic, bool(metric.description))
            for name, metric in collected.metrics().items()
        }
    counters = {
        "oxthreads.wait.duration.bucket": "{wait}",
        "oxthreads.wait.duration.count": "{wait}",
        "oxthreads.wait.duration.sum": "s",
        "oxthreads.contentions": "{wait}",
        "oxthreads.pool.calls": "{call}",
        "oxthreads.pool.calls.failed": "{call}",
        "oxthreads.pool.queue.time": "s",
        "oxthreads.pool.run.time": "s",
    }
    gauges = {
        "oxthreads.threads.waiting": "{thread}",
        "oxthreads.threads.deadlocked": "{thread}",
        "oxthreads.pools": "{pool}",
        "oxthreads.pool.workers": "{thread}",
        "oxthreads.pool.workers.busy": "{thread}",
        "oxthreads.pool.workers.max": "{thread}",
        "oxthreads.pool.pending": "{call}",
    }
    expected = {name: (unit, True, True) for name, unit in counters.items()}
    assert found == expected | {name: (unit, False, True) for name, unit in gauges.items()}


def test_the_exporter_for_prometheus_yields_the_names_of_the_collector() -> None:
    reader = PrometheusMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    try:
        with (
            ThreadPoolExecutor(1, thread_name_prefix="crew") as pool,
            diagnose.watch(),
            metrics.instrument(meter=provider.get_meter("test")),
            Scraped() as scraped,
        ):
            pool.submit(int).result()
            wait_for_lock(Lock(), 1)
            direct = {name for name, _ in scraped.samples()}
            text = generate_latest(REGISTRY).decode()
            exported = {name for name, _ in parsed(text) if name.startswith("oxthreads")}
    finally:
        provider.shutdown()
    assert direct - exported == {f"oxthreads_wait_seconds_{part}" for part in ("bucket", "count", "sum")}
    assert exported - direct == {
        "oxthreads_wait_duration_bucket_total",
        "oxthreads_wait_duration_count_total",
        "oxthreads_wait_duration_sum_seconds_total",
    }


def test_the_same_is_instrumented_once(collected: Collected) -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="once") as pool:
        process = metrics.instrument(meter=collected.meter)
        assert metrics.instrument(None, collected.meter) is process
        one = metrics.instrument(pool, collected.meter)
        assert metrics.instrument(pool, collected.meter) is one
        assert one is not process
        wait("once")
        pool.submit(int).result()
        spin_until(lambda: collected.values()["pool.calls"]["once",] == 1)
        values = collected.values()
        assert values["wait.duration.count"]["Event", "once"] == 1
        assert values["pools"]["once",] == 1
        process.stop()
        process.stop()
        values = collected.values()
        assert "wait.duration.count" not in values
        # The pool itself is still measured, and another instrumentation of it is a new one.
        assert values["pools"] == {("once",): 1}
        assert values["pool.calls"]["once",] == 1
        one.stop()
        assert collected.values() == {}
        again = metrics.instrument(pool, collected.meter)
        assert again is not one
        one.stop()
        assert collected.values()["pools"] == {("once",): 1}
        again.stop()


def test_two_meters_count_the_same(collected: Collected) -> None:
    other = Collected()
    with metrics.instrument(meter=collected.meter), metrics.instrument(meter=other.meter):
        wait("both", 3)
        for each in (collected, other):
            assert each.values()["wait.duration.count"]["Event", "both"] == 3
    other.provider.shutdown()


def test_a_meter_that_is_asked_for_again_is_the_same(collected: Collected) -> None:
    with metrics.instrument(meter=collected.meter):
        again = metrics.instrument(meter=collected.provider.get_meter("test"))
        wait("again")
        assert collected.values()["wait.duration.count"]["Event", "again"] == 1
        again.stop()


def test_a_stop_begins_anew_without_a_warning(collected: Collected, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        with metrics.instrument(meter=collected.meter):
            wait("anew", 2)
            assert collected.values()["wait.duration.count"]["Event", "anew"] == 2
        assert collected.values() == {}
    assert caplog.records == []


def test_differences_instead_of_totals() -> None:
    collected = Collected(preferred_temporality={ObservableCounter: AggregationTemporality.DELTA})
    with metrics.instrument(meter=collected.meter):
        for times in (2, 3):
            wait("delta", times)
            assert collected.values()["wait.duration.count"]["Event", "delta"] == times
    collected.provider.shutdown()


def test_other_buckets_than_the_present_ones_are_refused(collected: Collected) -> None:
    with metrics.instrument(meter=collected.meter, buckets=iter([1, 2])) as first:
        assert metrics.instrument(meter=collected.meter, buckets=[1, 2]) is first
        assert metrics.instrument(meter=collected.meter) is first
        with pytest.raises(ValueError, match="other buckets"):
            metrics.instrument(meter=collected.meter, buckets=[1])
        other = Collected()
        with pytest.raises(ValueError, match="other buckets"):
            metrics.instrument(meter=other.meter, buckets=[1])
        other.provider.shutdown()


def test_a_pool_that_is_gone_disappears(collected: Collected) -> None:
    pool = ThreadPoolExecutor(1, thread_name_prefix="gone")
    metrics.instrument(pool, collected.meter)
    pool.submit(int).result()
    pool.shutdown()
    assert collected.values()["pools"] == {("gone",): 1}
    reference = weakref.ref(pool)
    del pool
    gc.collect()
    assert reference() is None
    spin_until(lambda: collected.values() == {})


def test_a_provider_that_is_gone_is_measured_no_more() -> None:
    collected = Collected()
    metrics.instrument(meter=collected.meter)
    wait("measured")
    assert _oxthreads.wait_counts() != []
    collected.provider.shutdown()
    del collected
    gc.collect()
    assert _oxthreads.wait_counts() == []


def test_threads_instrument_and_collect_at_once(collected: Collected) -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="shared") as pool:

        def act(number: int) -> None:
            for _ in range(30):
                with metrics.instrument(pool if number % 2 else None, collected.meter):
                    wait("at once")
                collected.reader.collect()

        run_threads(act, 4)
    # The reader keeps what it has collected until somebody takes it.
    collected.reader.get_metrics_data()
    assert collected.values() == {}


@pytest.mark.parametrize("pool", [3, "pool", object(), ThreadPoolExecutor])
def test_what_is_no_pool(collected: Collected, pool: Any) -> None:
    with pytest.raises(TypeError, match="only a ThreadPoolExecutor or a ProcessPoolExecutor of oxthreads"):
        metrics.instrument(pool, collected.meter)


def test_arguments_that_are_mixed_up(collected: Collected) -> None:
    meter: Any = collected.meter
    with pytest.raises(TypeError, match=r"instrument\(meter=meter\)"):
        metrics.instrument(meter)
    with pytest.raises(TypeError, match=r"must be a Meter of opentelemetry\.metrics, not 'int'"):
        metrics.instrument(meter=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not 'MeterProvider'"):
        metrics.instrument(meter=collected.provider)  # type: ignore[arg-type]
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="not for a pool"):
        metrics.instrument(pool, meter, buckets=[1])
    for buckets in ("1", 1, [0], []):
        with pytest.raises((TypeError, ValueError)):
            metrics.instrument(meter=meter, buckets=buckets)  # type: ignore[arg-type]


def test_a_meter_that_does_nothing() -> None:
    meter = NoOpMeterProvider().get_meter("test")
    with metrics.instrument(meter=meter):
        wait("unseen")


def test_what_cannot_be_read_is_missing(
    collected: Collected, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    with ThreadPoolExecutor(1, thread_name_prefix="sound"), metrics.instrument(meter=collected.meter):
        wait("unread")
        monkeypatch.setattr("oxthreads._oxthreads.wait_counts", broken)
        with caplog.at_level(logging.WARNING, "oxthreads"):
            values = collected.values()
        assert "wait.duration.count" not in values
        assert values["pools"]["sound",] == 1
        assert "could not be read" in caplog.text
        monkeypatch.setattr("oxthreads.metrics._source.Source.read", broken)
        assert collected.values() == {}
        monkeypatch.undo()
        assert collected.values()["wait.duration.count"]["Event", "unread"] == 1


def test_the_global_provider_may_come_later() -> None:
    program = """
        from oxthreads import diagnose, metrics, threading
        first = metrics.instrument()
        assert metrics.instrument() is first
        event = threading.Event()
        diagnose.set_name(event, "global")
        event.wait(0.001)
        from opentelemetry.metrics import set_meter_provider
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        reader = InMemoryMetricReader()
        set_meter_provider(MeterProvider([reader]))
        assert metrics.instrument() is first
        event.wait(0.001)
        (resource,) = reader.get_metrics_data().resource_metrics
        (scope,) = resource.scope_metrics
        print(scope.scope.name)
        for metric in scope.metrics:
            for point in metric.data.data_points:
                if metric.name == "oxthreads.wait.duration.count":
                    print(dict(point.attributes), point.value)
    """
    assert run(program).splitlines() == ["oxthreads", "{'kind': 'Event', 'name': 'global'} 2"]


def test_without_the_package() -> None:
    program = """
        import sys
        sys.modules["opentelemetry"] = None
        from oxthreads import metrics
        try:
            metrics.instrument()
        except ImportError as error:
            print(error)
    """
    assert run(program) == (
        "instrument() needs the package opentelemetry-api: pip install 'oxthreads[opentelemetry]'\n"
    )


def test_neither_package_is_imported_before_it_is_used() -> None:
    program = """
        import sys
        from oxthreads import metrics
        print([name for name in sys.modules if name.startswith(("opentelemetry", "prometheus"))])
        metrics.PrometheusCollector()
        print(any(name.startswith("opentelemetry") for name in sys.modules))
    """
    assert run(program).splitlines() == ["[]", "False"]


def test_a_forked_child_counts_anew() -> None:
    program = """
        import os
        from oxthreads import diagnose, metrics, threading
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        reader = InMemoryMetricReader()
        provider = MeterProvider([reader])
        instrumentation = metrics.instrument(meter=provider.get_meter("test"))

        def count():
            data = reader.get_metrics_data()
            for resource in data.resource_metrics if data else ():
                for metric in resource.scope_metrics[0].metrics:
                    if metric.name == "oxthreads.wait.duration.count":
                        for point in metric.data.data_points:
                            if point.attributes["name"] == "forked":
                                return point.value

        event = threading.Event()
        diagnose.set_name(event, "forked")
        event.wait(0.001)
        event.wait(0.001)
        print(count(), flush=True)
        child = os.fork()
        if not child:
            event.wait(0.001)
            print(count(), flush=True)
            instrumentation.stop()
            print(count(), flush=True)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        print(count())
    """
    assert run(program).splitlines() == ["2", "1", "None", "2"]


def test_a_reader_that_collects_at_the_exit() -> None:
    program = """
        from oxthreads import diagnose, metrics, threading
        from opentelemetry.metrics import set_meter_provider
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
        set_meter_provider(MeterProvider([PeriodicExportingMetricReader(ConsoleMetricExporter())]))
        metrics.instrument()
        event = threading.Event()
        diagnose.set_name(event, "at the exit")
        event.wait(0.001)
    """
    assert '"name": "at the exit"' in run(program)
