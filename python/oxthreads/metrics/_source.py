"""What metrics are made of: the counts of waits and pools, as they are at the moment."""

from __future__ import annotations

import logging
import math
import sys
import weakref
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from oxthreads import _oxthreads as _native

__all__ = ["BUCKETS", "Pools", "Reading", "Source", "Waits", "bounds_of", "counted"]

T = TypeVar("T")

#: The bounds of the buckets of waits, in seconds, unless others are given.
BUCKETS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0)

#: What a thread waits for because another has it: such waits are contentions.
_LOCKS = ("Lock", "RLock")

_logger = logging.getLogger("oxthreads")


class Waits(NamedTuple):
    """The waits for one kind of object with one name."""

    kind: str
    name: str
    begun: int
    going: int
    seconds: float
    #: For each bound, and at last for "+Inf": how many waits were not longer.
    buckets: list[tuple[str, int]]

    @property
    def is_contention(self) -> bool:
        """Whether another thread had what was waited for."""
        return self.kind in _LOCKS

    @property
    def ended(self) -> int:
        """How many waits have ended."""
        return self.buckets[-1][1]


class Pools(NamedTuple):
    """The pools of one name, together."""

    name: str
    #: How many there are. Of none, only what they have done is known.
    present: int
    workers_max: int
    workers: int
    busy: int
    pending: int
    calls: int
    failed: int
    queue_seconds: float
    run_seconds: float


class Reading(NamedTuple):
    """Everything, at one moment."""

    waits: list[Waits]
    pools: list[Pools]
    #: How many threads are in a deadlock; None: nobody watches.
    deadlocked: int | None


def counted(pool: Any) -> Any:
    """Return the pool of threads that counts the calls of this pool.

    Raises:
        TypeError: if there is none.
    """
    # A pool of processes is made of one.
    threads = getattr(pool, "_oxthreads_threads", pool)
    if not isinstance(threads, _native.ThreadPoolExecutor):
        raise TypeError(
            "only a ThreadPoolExecutor or a ProcessPoolExecutor of oxthreads can be measured, "
            f"not {type(pool).__name__!r}"
        )
    return threads


def bounds_of(buckets: Iterable[float]) -> list[int]:
    """The bounds of buckets in nanoseconds.

    Raises:
        TypeError: if they are not numbers.
        ValueError: if they are not in order, or not positive; or if there are none.
    """
    if isinstance(buckets, str | bytes) or not isinstance(buckets, Iterable):
        raise TypeError(f"buckets must be numbers of seconds, not {type(buckets).__name__!r}")
    bounds: list[int] = []
    for bound in buckets:
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            raise TypeError(f"buckets must be numbers of seconds; one is a {type(bound).__name__!r}")
        if bound == math.inf:
            break  # there is always such a bucket
        nanoseconds = round(bound * 1e9) if -1e9 < bound < 1e9 else 0  # 31 years
        if nanoseconds <= (bounds[-1] if bounds else 0):
            raise ValueError(f"buckets must be positive, increasing numbers of seconds; {bound!r} is not one")
        bounds.append(nanoseconds)
    if not bounds:
        raise ValueError("there must be at least one bucket")
    return bounds


def _without_failure(read: Callable[[], T], otherwise: T) -> T:
    """What `read` returns. A failure is logged: it must not keep other metrics from being collected."""
    try:
        return read()
    except Exception:
        _logger.warning("some metrics of oxthreads could not be read", exc_info=True)
        return otherwise


class Source:
    """What one collector reads: the waits of the process and all its pools, or some pools.

    Thread-safe, but only one thread at a time may change what is read.
    """

    def __init__(self) -> None:
        self._ledger = _native.PoolLedger()
        self._bounds: list[str] = []
        self._in_nanoseconds: list[int] = []
        self._stop_waits: weakref.finalize[[], Any] | None = None

    @property
    def measures_process(self) -> bool:
        """Whether the waits of the process and all pools are read."""
        return self._stop_waits is not None

    def measures_in(self, bounds: list[int]) -> bool:
        """Whether waits are counted in buckets with these bounds."""
        return self._in_nanoseconds == bounds

    def measure_process(self, buckets: Iterable[float] | None) -> None:
        """Read the waits of the process, and all pools.

        Args:
            buckets: the bounds in seconds. None: those by which waits are counted already, or else BUCKETS.
        """
        self._in_nanoseconds = _native.start_metrics(
            bounds_of(BUCKETS if buckets is None else buckets), buckets is not None
        )
        self._bounds = [f"{nanoseconds / 1e9}" for nanoseconds in self._in_nanoseconds] + ["+Inf"]
        # Also if this is forgotten without a stop.
        self._stop_waits = weakref.finalize(self, _native.stop_metrics)
        self._stop_waits.atexit = False
        self._ledger.count_all(True)

    def stop_process(self) -> None:
        """Read only the pools that were added."""
        stop_waits, self._stop_waits = self._stop_waits, None
        if stop_waits is not None:
            stop_waits()  # which does something only once
            self._ledger.count_all(False)

    def add(self, pool: Any) -> int:
        """Read this pool, too. Returns its number."""
        return self._ledger.add(pool)

    def remove(self, number: int) -> None:
        """Undo `add` for the pool with this number."""
        self._ledger.remove(number)

    def read(self) -> Reading:
        """Everything, at this moment. What cannot be read is missing."""
        if not self.measures_process:
            return Reading([], _without_failure(self._pools, []), None)
        return Reading(
            _without_failure(self._waits, []),
            _without_failure(self._pools, []),
            _without_failure(_deadlocked, None),
        )

    def _waits(self) -> list[Waits]:
        waits = []
        for kind, name, begun, going, seconds, counts in sorted(_native.wait_counts()):
            ended, buckets = 0, []
            for bound, count in zip(self._bounds, counts, strict=True):
                ended += count
                buckets.append((bound, ended))
            waits.append(Waits(kind, name, begun, going, seconds, buckets))
        return waits

    def _pools(self) -> list[Pools]:
        return [Pools(*totals) for totals in sorted(self._ledger.totals())]


def _deadlocked() -> int | None:
    # Nobody watches as long as it is not imported.
    watch = sys.modules.get("oxthreads.diagnose._watch")
    return None if watch is None else watch.deadlocked()
