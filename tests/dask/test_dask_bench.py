"""`oxthreads bench cluster` measures calls in a cluster."""

from __future__ import annotations

import sys

import pytest

from oxthreads.bench import clusters
from oxthreads.bench.added_locks import BASELINE
from oxthreads.bench.clusters import OWN_EXECUTOR
from oxthreads.bench.libraries import ours, standard
from oxthreads.bench.scenario import OXTHREADS, NotInstalledError, Result, Settings

SETTINGS = Settings(libraries=(standard(), ours()), rounds=1, divisor=1_000)

pytestmark = pytest.mark.one_thread("a cluster of two processes")


@pytest.mark.parametrize("scenario", clusters.SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_scenario_runs(scenario: clusters.ClusterScenario) -> None:
    pytest.importorskip("distributed", reason="distributed is not installed")
    outcome = scenario.measure(SETTINGS)
    assert not outcome.failures
    assert {BASELINE, OXTHREADS} <= set(outcome.samples) <= {BASELINE, OXTHREADS, OWN_EXECUTOR}
    assert Result(scenario, outcome).score


def test_without_distributed_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(NotInstalledError, match="distributed"):
        clusters.SCENARIOS[0].measure(SETTINGS)
