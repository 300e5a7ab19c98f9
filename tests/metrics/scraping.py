"""What Prometheus would see, and programs whose waits can be counted."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from oxthreads.metrics import PrometheusCollector
from tests.support.threads import start
from tests.support.waiting import TIMEOUT_SECONDS, until_asleep

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Samples:
    """The samples of a scrape, by name and labels. Each must be there once."""
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in samples
            samples[key] = sample.value
    check_histograms(samples)
    return samples


def check_histograms(samples: Samples) -> None:
    """Buckets are cumulative, and the last one is the count."""
    buckets: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}
    for (name, labels), value in samples.items():
        if name == "oxthreads_wait_seconds_bucket":
            bound = float(dict(labels)["le"])
            buckets.setdefault(frozenset(labels - {("le", dict(labels)["le"])}), []).append((bound, value))
    for key, found in buckets.items():
        counts = [count for _, count in sorted(found)]
        assert counts == sorted(counts)
        assert counts[-1] == samples["oxthreads_wait_seconds_count", key]
        assert samples["oxthreads_contentions_total", key] >= counts[-1] if is_lock(key) else True
        assert samples["oxthreads_wait_seconds_sum", key] >= 0


def is_lock(labels: frozenset[tuple[str, str]]) -> bool:
    return dict(labels)["kind"] in ("Lock", "RLock")


class Scraped:
    """A registry with one collector."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.collector = PrometheusCollector(*arguments, **options)
        self.registry = CollectorRegistry()
        self.registry.register(self.collector)

    def text(self) -> str:
        return generate_latest(self.registry).decode()

    def samples(self) -> Samples:
        return parsed(self.text())

    def value(self, metric: str, **labels: str) -> float | None:
        return self.samples().get((f"oxthreads_{metric}", frozenset(labels.items())))

    def __enter__(self) -> Scraped:
        return self

    def __exit__(self, *_: object) -> None:
        self.collector.stop()


def wait_for_lock(lock: Any, threads: int, while_asleep: Callable[[], object] = lambda: None) -> float:
    """Let so many threads wait for the lock once each. Return the seconds they waited at least."""

    def take() -> None:
        with lock:
            pass

    with lock:
        waiting = [start(take) for _ in range(threads)]
        until_asleep(*waiting)
        begun = time.monotonic()
        while_asleep()
        waited = time.monotonic() - begun
    for thread in waiting:
        thread.join(TIMEOUT_SECONDS)
        assert not thread.is_alive()
    return waited * threads


def run(program: str, *, may_report: bool = False) -> str:
    """Run a program in a process of its own. Returns its output.

    It must not write to standard error, but if `may_report`.
    """
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * TIMEOUT_SECONDS, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert may_report or not done.stderr, f"{done.stdout}{done.stderr}"
    return done.stdout


def run_threads(action: Callable[[int], object], count: int) -> None:
    """Run the action in so many threads that begin together. What one raises is raised here."""
    barrier = threading.Barrier(count)
    errors: list[BaseException] = []

    def one(number: int) -> None:
        barrier.wait(TIMEOUT_SECONDS)
        try:
            action(number)
        except BaseException as error:
            errors.append(error)

    threads = [start(lambda number=number: one(number)) for number in range(count)]
    for thread in threads:
        thread.join(TIMEOUT_SECONDS)
        assert not thread.is_alive()
    if errors:
        raise errors[0]
