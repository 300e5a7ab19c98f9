"""Metrics of waits and of pools, for OpenTelemetry and for Prometheus.

:func:`instrument` gives them to a meter of OpenTelemetry. :class:`PrometheusCollector` gives them to a
registry of prometheus_client. Each needs its own package: ``pip install 'oxthreads[opentelemetry]'`` or
``pip install 'oxthreads[prometheus]'``. Neither is imported before it is used.
"""

from __future__ import annotations

from oxthreads.metrics._opentelemetry import Instrumentation, instrument
from oxthreads.metrics._prometheus import PrometheusCollector
from oxthreads.metrics._source import BUCKETS

__all__ = ["BUCKETS", "Instrumentation", "PrometheusCollector", "instrument"]

for _public in (Instrumentation, PrometheusCollector, instrument):
    _public.__module__ = __name__
