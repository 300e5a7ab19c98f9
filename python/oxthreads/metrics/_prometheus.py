"""Metrics for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oxthreads.metrics._source import Source, counted
from oxthreads.metrics._table import LENGTH_OF_WAITS, METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from prometheus_client.metrics_core import Metric as Family

    from oxthreads.concurrent.futures import ThreadPoolExecutor
    from oxthreads.metrics._table import Metric
    from oxthreads.processes import ProcessPoolExecutor

__all__ = ["PrometheusCollector"]

_MISSING = "PrometheusCollector needs the package prometheus_client: pip install 'oxthreads[prometheus]'"


class PrometheusCollector:
    """Give metrics of waits and pools to Prometheus.

    It is a custom collector: register it with a registry of prometheus_client. It measures from its creation
    until :meth:`stop`, or until nobody has it any more. docs/metrics.md has a table of the metrics.

    Thread-safe. In a forked child it goes on, and counts from zero.

    Args:
        pools (iterable of ThreadPoolExecutor or ProcessPoolExecutor): measure only these pools, and no
            waits. None: the whole process, with all its waits for objects of oxthreads, and all its pools.
            That keeps no pool alive.
        buckets (iterable of float): the bounds of the buckets of waits, in seconds, increasing. None: those
            by which this process counts waits already, or else ``oxthreads.metrics.BUCKETS``.

    Raises:
        ImportError: if prometheus_client is not installed.
        TypeError: if something in `pools` is no such pool of oxthreads, or in `buckets` no number.
        ValueError: if `buckets` are not positive and increasing, or other ones than those by which this
            process counts waits already; or if `buckets` are given together with `pools`.

    Example:
        >>> from prometheus_client import CollectorRegistry, generate_latest
        >>> from oxthreads.concurrent.futures import ThreadPoolExecutor
        >>> from oxthreads.metrics import PrometheusCollector
        >>> registry = CollectorRegistry()
        >>> with ThreadPoolExecutor(4, thread_name_prefix="resize") as pool:
        ...     registry.register(PrometheusCollector([pool]))
        ...     "oxthreads_pool_workers_max{name=\\"resize\\"} 4.0" in generate_latest(registry).decode()
        True
    """

    def __init__(
        self,
        pools: Iterable[ThreadPoolExecutor | ProcessPoolExecutor] | None = None,
        *,
        buckets: Iterable[float] | None = None,
    ) -> None:
        try:
            from prometheus_client import metrics_core  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ImportError(_MISSING, name=error.name) from error
        # Here, because an exiting interpreter imports nothing.
        self._core: Any = metrics_core
        source = Source()
        if pools is None:
            source.measure_process(buckets)
        else:
            if buckets is not None:
                raise ValueError("buckets are for the waits of the process, and not for pools")
            for pool in list(pools):
                source.add(counted(pool))
        self._is_process = pools is None
        self._source: Source | None = source

    def stop(self) -> None:
        """End the measurement. From then on there are no metrics. A second call does nothing.

        It stays in the registries: ``registry.unregister(collector)`` takes it out.
        """
        source, self._source = self._source, None
        if source is not None:
            source.stop_process()

    def __enter__(self) -> PrometheusCollector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def describe(self) -> Iterable[Family]:
        """Return the metrics without values: a registry wants to know their names.

        Returns:
            list: metrics of prometheus_client.
        """
        lengths, others = self._families()
        return [*([lengths] if self._is_process else []), *(family for _, family in others)]

    def collect(self) -> Iterable[Family]:
        """Return the metrics with their values at this moment.

        It raises nothing: what cannot be read is missing.

        Returns:
            list: metrics of prometheus_client.
        """
        source = self._source
        if source is None:
            return []
        reading = source.read()
        lengths, others = self._families()
        for waits in reading.waits:
            lengths.add_metric([waits.kind, waits.name], buckets=waits.buckets, sum_value=waits.seconds)
        for metric, family in others:
            for labels, value in metric.values(reading):
                family.add_metric(labels, value)
        return [family for family in (lengths, *(family for _, family in others)) if family.samples]

    def _families(self) -> tuple[Any, list[tuple[Metric, Any]]]:
        """The metrics of prometheus_client, without values: that of the lengths of waits, and the others."""
        core = self._core
        lengths = core.HistogramMetricFamily(
            "oxthreads_wait_seconds", LENGTH_OF_WAITS, labels=["kind", "name"]
        )
        others = [
            (
                metric,
                (core.CounterMetricFamily if metric.is_counter else core.GaugeMetricFamily)(
                    metric.prometheus_name, metric.text, labels=metric.labels
                ),
            )
            for metric in METRICS
            if self._is_process or metric.is_of_pools
        ]
        return lengths, others
