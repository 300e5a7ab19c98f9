"""Metrics for OpenTelemetry."""

from __future__ import annotations

import functools
import logging
import os
import time
import weakref
from _thread import RLock, _local
from typing import TYPE_CHECKING, Any

from oxthreads import __version__
from oxthreads.metrics._source import Source, bounds_of, counted
from oxthreads.metrics._table import LENGTH_OF_WAITS, METRICS, Metric

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from opentelemetry.metrics import Meter

    from oxthreads.concurrent.futures import ThreadPoolExecutor
    from oxthreads.metrics._source import Reading
    from oxthreads.metrics._table import Values
    from oxthreads.processes import ProcessPoolExecutor

__all__ = ["Instrumentation", "instrument"]

_MISSING = "instrument() needs the package opentelemetry-api: pip install 'oxthreads[opentelemetry]'"

#: After so many seconds, a thread reads anew in any case.
_STALE_SECONDS = 10.0

_logger = logging.getLogger("oxthreads")

#: Held while instrumentations begin or end.
_lock = RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_lock._at_fork_reinit)  # type: ignore[attr-defined]

#: What is measured for each meter. A meter keeps its instruments for ever, so this outlives a stop.
_of_meters: weakref.WeakKeyDictionary[Meter, _Measured] = weakref.WeakKeyDictionary()

#: The meter of the global provider, once somebody has asked for it.
_global_meter: Meter | None = None


def instrument(
    pool: ThreadPoolExecutor | ProcessPoolExecutor | None = None,
    meter: Meter | None = None,
    *,
    buckets: Iterable[float] | None = None,
) -> Instrumentation:
    """Give metrics of waits and pools to OpenTelemetry.

    They are read when the reader of the SDK collects; in between, nothing is sent. docs/metrics.md has a
    table of the metrics. To measure the whole process, call ``instrument()`` once when the program starts.

    Thread-safe. In a forked child the measurement goes on, and counts from zero.

    Args:
        pool (ThreadPoolExecutor or ProcessPoolExecutor): measure only this pool, and no waits. None: the
            whole process, with all its waits for objects of oxthreads, and all its pools. That keeps no pool
            alive.
        meter (opentelemetry.metrics.Meter): where the metrics go. None: a meter of the global provider.
        buckets (iterable of float): the bounds of the buckets of waits, in seconds, increasing. None: those
            by which this process counts waits already, or else ``oxthreads.metrics.BUCKETS``.

    Returns:
        Instrumentation: its ``stop()`` ends the measurement. It need not be kept. If the same is measured for
            this meter already, it is the one that was returned then, and nothing counts twice.

    Raises:
        ImportError: if opentelemetry-api is not installed.
        TypeError: if `pool` is no such pool of oxthreads, `meter` no meter, or something in
            `buckets` no number.
        ValueError: if `buckets` are not positive and increasing, or other ones than those by which this
            process counts waits already; or if `buckets` are given together with `pool`.

    Example:
        >>> from oxthreads.concurrent.futures import ThreadPoolExecutor
        >>> from oxthreads.metrics import instrument
        >>> with ThreadPoolExecutor(4, thread_name_prefix="resize") as pool, instrument(pool):
        ...     pool.submit(pow, 2, 10).result()
        1024
    """
    try:
        from opentelemetry import metrics  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportError(_MISSING, name=error.name) from error
    if isinstance(pool, metrics.Meter):
        raise TypeError("a meter is the second argument: instrument(meter=meter)")
    if pool is not None:
        threads = counted(pool)
        if buckets is not None:
            raise ValueError("buckets are for the waits of the process, and not for a pool")
    if meter is not None and not isinstance(meter, metrics.Meter):
        raise TypeError(f"meter must be a Meter of opentelemetry.metrics, not {type(meter).__name__!r}")
    if buckets is not None:
        buckets = list(buckets) if not isinstance(buckets, str) else buckets
        bounds_of(buckets)
    with _lock:
        if meter is None:
            meter = _meter_of_global_provider(metrics)
        measured = _of_meters.get(meter)
        if measured is None:
            measured = _Measured(metrics.Observation)
            measured.create_instruments(meter)
            _of_meters[meter] = measured
        return measured.process(buckets) if pool is None else measured.pool(threads)


def _meter_of_global_provider(metrics: Any) -> Meter:
    """Always the same: before a program sets its provider, each call would make another meter."""
    global _global_meter  # noqa: PLW0603
    if _global_meter is None:
        _global_meter = metrics.get_meter("oxthreads", __version__)
    return _global_meter


class Instrumentation:
    """What :func:`instrument` measures. It may be used in a ``with`` statement, which stops it at its end.

    Thread-safe.
    """

    def __init__(self, measured: _Measured, number: int | None) -> None:
        self._measured = measured
        self._number = number

    def stop(self) -> None:
        """End the measurement. A second call does nothing."""
        with _lock:
            self._measured.stop(self, self._number)

    def __enter__(self) -> Instrumentation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class _Last(_local):
    """What a thread has read last, and for which instruments it has used that."""

    reading: Reading | None = None
    at = 0.0
    used: frozenset[str] = frozenset()


class _Measured:
    """What is measured for one meter. It has no reference to the meter, which has references to this."""

    def __init__(self, observation: Any) -> None:
        self._observation = observation
        self._source: Source | None = None
        #: By the number of the pool; None: the process.
        self._running: dict[int | None, Instrumentation] = {}
        #: So that what has gone is forgotten, by the number of the pool.
        self._pools: dict[int, weakref.ref[Any]] = {}
        self._last = _Last()

    # ---- What is measured; the caller has the lock.

    def process(self, buckets: Iterable[float] | None) -> Instrumentation:
        running = self._running.get(None)
        if running is not None:
            assert self._source is not None
            if buckets is not None and not self._source.measures_in(bounds_of(buckets)):
                raise ValueError("waits are counted already, in other buckets")
            return running
        source = self._source or Source()
        source.measure_process(buckets)
        self._source = source
        return self._begin(None)

    def pool(self, pool: ThreadPoolExecutor) -> Instrumentation:
        source = self._source = self._source or Source()
        number = source.add(pool)
        if number not in self._running:
            # Not the lock: this may be called anywhere, in a thread that has it, too.
            self._pools[number] = weakref.ref(
                pool, functools.partial(_forget, self._running, self._pools, number)
            )
            self._begin(number)
        return self._running[number]

    def _begin(self, number: int | None) -> Instrumentation:
        begun = self._running[number] = Instrumentation(self, number)
        return begun

    def stop(self, instrumentation: Instrumentation, number: int | None) -> None:
        if self._running.get(number) is not instrumentation or self._source is None:
            return
        del self._running[number]
        if number is None:
            self._source.stop_process()
        else:
            self._pools.pop(number, None)
            self._source.remove(number)
        if not self._running:
            self._source = None
            self._last = _Last()

    # ---- How it is read.

    def create_instruments(self, meter: Meter) -> None:
        """Create the instruments. The meter keeps them, and what they call."""

        for metric in (*_LENGTHS, *METRICS):
            create = (
                meter.create_observable_counter
                if metric.is_counter
                else meter.create_observable_up_down_counter
            )
            create(metric.name, [functools.partial(self._observe, metric)], metric.unit, metric.text)

    def _observe(self, metric: Metric, options: object = None) -> list[Any]:
        """The callback of an instrument. It raises nothing."""
        try:
            reading = self._reading(metric.name)
            if reading is None:
                return []
            return [
                self._observation(value, dict(zip(metric.labels, labels, strict=True)))
                for labels, value in metric.values(reading)
            ]
        except Exception:
            _logger.warning("a metric of oxthreads could not be read", exc_info=True)
            return []

    def _reading(self, name: str) -> Reading | None:
        """What the instrument with this name shows.

        A collection asks for one instrument after the other. They show the same reading, so that they fit
        together: a thread reads anew when an instrument has shown what was read before.
        """
        source = self._source
        if source is None:
            return None
        last = self._last
        now = time.monotonic()
        reading = last.reading
        if reading is None or name in last.used or now - last.at > _STALE_SECONDS:
            reading = source.read()
            last.reading, last.at, last.used = reading, now, frozenset()
        last.used |= {name}
        return reading


def _forget(running: dict[int | None, Any], pools: dict[int, Any], number: int, _: object) -> None:
    running.pop(number, None)
    pools.pop(number, None)


def _buckets(reading: Reading) -> Values:
    for waits in reading.waits:
        for bound, count in waits.buckets:
            yield (waits.kind, waits.name, bound), count


def _counts(reading: Reading) -> Values:
    for waits in reading.waits:
        yield (waits.kind, waits.name), waits.ended


def _sums(reading: Reading) -> Values:
    for waits in reading.waits:
        yield (waits.kind, waits.name), waits.seconds


#: The parts of a histogram: OpenTelemetry has none that is read when it is collected.
_LENGTHS = (
    Metric(
        *("oxthreads.wait.duration.bucket", "{wait}", "Waits that were not longer than `le` seconds."),
        *(("kind", "name", "le"), True, _buckets),
    ),
    Metric(
        *("oxthreads.wait.duration.count", "{wait}", "Waits that have ended."),
        *(("kind", "name"), True, _counts),
    ),
    Metric("oxthreads.wait.duration.sum", "s", LENGTH_OF_WAITS, ("kind", "name"), True, _sums),
)
