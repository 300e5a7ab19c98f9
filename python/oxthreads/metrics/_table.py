"""The metrics that are the same for OpenTelemetry and for Prometheus: all but the lengths of waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from oxthreads.metrics._source import Reading

__all__ = ["LENGTH_OF_WAITS", "METRICS", "Metric"]

#: The values of the labels, and the value.
Values = Iterator[tuple[tuple[str, ...], float]]

#: What the lengths of waits are called.
LENGTH_OF_WAITS = "How long waits slept that have ended."


class Metric(NamedTuple):
    """A metric with one number for each set of labels."""

    #: As OpenTelemetry writes it.
    name: str
    #: "s", or what is counted in braces.
    unit: str
    text: str
    labels: tuple[str, ...]
    #: Whether it never becomes smaller.
    is_counter: bool
    values: Callable[[Reading], Values]

    @property
    def prometheus_name(self) -> str:
        """As Prometheus writes it, without the "_total" of a counter."""
        return self.name.replace(".", "_") + ("_seconds" if self.unit == "s" else "")

    @property
    def is_of_pools(self) -> bool:
        """Whether it is measured for single pools, too."""
        return self.labels == ("name",)


def _contentions(reading: Reading) -> Values:
    for waits in reading.waits:
        if waits.is_contention:
            yield (waits.kind, waits.name), waits.begun


def _waiting(reading: Reading) -> Values:
    for waits in reading.waits:
        yield (waits.kind, waits.name), waits.going


def _deadlocked(reading: Reading) -> Values:
    if reading.deadlocked is not None:
        yield (), reading.deadlocked


def _of_pools(name: str, unit: str, text: str, field: str, *, is_counter: bool) -> Metric:
    def values(reading: Reading) -> Values:
        for pools in reading.pools:
            # What pools have done goes on to count when they are gone.
            if pools.present or is_counter:
                yield (pools.name,), getattr(pools, field)

    return Metric(name, unit, text, ("name",), is_counter, values)


def _gauge(name: str, unit: str, text: str, field: str) -> Metric:
    return _of_pools(name, unit, text, field, is_counter=False)


def _counter(name: str, unit: str, text: str, field: str) -> Metric:
    return _of_pools(name, unit, text, field, is_counter=True)


_OF_WAITS = ("kind", "name")

METRICS = (
    Metric(
        *("oxthreads.contentions", "{wait}", "Waits for a lock that another thread had."),
        *(_OF_WAITS, True, _contentions),
    ),
    Metric("oxthreads.threads.waiting", "{thread}", "Threads that wait now.", _OF_WAITS, False, _waiting),
    Metric(
        *("oxthreads.threads.deadlocked", "{thread}", "Threads that are in a deadlock."),
        *((), False, _deadlocked),
    ),
    _gauge("oxthreads.pools", "{pool}", "Pools.", "present"),
    _gauge("oxthreads.pool.workers.max", "{thread}", "Workers that the pools may have.", "workers_max"),
    _gauge("oxthreads.pool.workers", "{thread}", "Workers that the pools have.", "workers"),
    _gauge("oxthreads.pool.workers.busy", "{thread}", "Workers that run a call.", "busy"),
    _gauge("oxthreads.pool.pending", "{call}", "Calls that wait for a worker.", "pending"),
    _counter("oxthreads.pool.calls", "{call}", "Calls that have ended.", "calls"),
    _counter("oxthreads.pool.calls.failed", "{call}", "Calls that have ended with an exception.", "failed"),
    _counter("oxthreads.pool.queue.time", "s", "How long calls waited for a worker.", "queue_seconds"),
    _counter("oxthreads.pool.run.time", "s", "How long calls ran that have ended.", "run_seconds"),
)
