"""Tests of the scenarios of ``oxthreads bench``. Each scenario runs on every library that it is for."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oxthreads.bench import catalogue, libraries, peers, report, rounds
from oxthreads.bench.added_locks import BASELINE, AddedScenario
from oxthreads.bench.channels import ChannelScenario
from oxthreads.bench.clusters import CLUSTER
from oxthreads.bench.growth import THREADS, GrowthScenario
from oxthreads.bench.libraries import Library
from oxthreads.bench.machine import OthersMeter
from oxthreads.bench.processes import DeathScenario
from oxthreads.bench.program_runs import PROGRAMS
from oxthreads.bench.rounds import SpeedScenario, alone, interleave, prepared, together
from oxthreads.bench.scenario import (
    OXTHREADS,
    STANDARD,
    BenchmarkError,
    Goal,
    Outcome,
    Result,
    Scenario,
    Settings,
)
from oxthreads.bench.task_groups import TaskScenario

pytestmark = pytest.mark.one_thread("counts the threads of the process")

BOTH = (libraries.standard(), libraries.ours())
README = Path(__file__).parents[2] / "benches" / "README.md"


#: Threads of peers that end by themselves, or with the program: mpire uses tqdm.
OTHERS = ("Trio thread", "AnyIO worker", "tqdm_monitor")


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Check that a scenario ends all threads that it starts. Those of trio sleep on for ten seconds.

    Those of anyio end by themselves, a moment after their event loop.
    """
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if not thread.name.startswith(OTHERS)]


def names(scenarios: tuple[Scenario, ...]) -> list[str]:
    return [scenario.name for scenario in scenarios]


#: Without whole programs (test_bench_programs.py) and calls in a cluster (test_dask_bench.py).
OPERATIONS = tuple(scenario for scenario in catalogue.SCENARIOS if scenario.kind not in (PROGRAMS, CLUSTER))


#: The scenarios that peers take part in.
WITH_PEERS = (SpeedScenario, AddedScenario, TaskScenario, DeathScenario)


@pytest.mark.parametrize("scenario", OPERATIONS, ids=names(OPERATIONS))
def test_a_scenario_runs_on_both_libraries(scenario: Scenario) -> None:
    # With a greater divisor, a memory scenario would use less than a page.
    divisor = 10 if scenario.kind.name == "memory" else 1_000
    outcome = scenario.measure(Settings(libraries=BOTH, rounds=1, divisor=divisor))
    assert not outcome.failures
    # The standard library has nothing like `oxthreads.locks` and `oxthreads.channels`.
    compared = BASELINE if isinstance(scenario, AddedScenario | ChannelScenario) else STANDARD
    assert {compared, OXTHREADS} <= set(outcome.samples)
    for samples in outcome.samples.values():
        assert samples
        assert all(math.isfinite(sample) and sample > 0 for sample in samples)
    result = Result(scenario, outcome)
    assert result.score is not None and math.isfinite(result.score)
    assert (result.met is None) == (scenario.goal is None)


@pytest.mark.parametrize("name", peers.PEERS)
def test_a_peer_runs_every_scenario_that_it_has_the_names_for(name: str) -> None:
    found, missing = peers.find()
    library = {library.name: library for library in found}.get(name)
    if library is None:
        assert name in missing
        pytest.skip(missing[name])
    able = [s for s in catalogue.SCENARIOS if isinstance(s, WITH_PEERS) and s.needs and library.has(*s.needs)]
    able = [s for s in able if not isinstance(s, GrowthScenario)]
    assert able
    for scenario in able:
        outcome = scenario.measure(Settings(libraries=(*BOTH, library), rounds=1, divisor=1_000))
        # A peer may fail. That is reported, and is no fault of oxthreads.
        assert name in outcome.samples or outcome.failures[name]


def test_names_of_scenarios_are_unique_and_are_no_names_of_kinds() -> None:
    assert len({scenario.name for scenario in catalogue.SCENARIOS}) == len(catalogue.SCENARIOS)
    assert not {scenario.name for scenario in catalogue.SCENARIOS} & {kind.name for kind in catalogue.KINDS}


def test_the_readme_lists_the_scenarios() -> None:
    assert report.listing(catalogue.SCENARIOS) in README.read_text()


def test_growth_has_a_point_for_each_number_of_threads() -> None:
    curves: dict[str, list[float]] = {}
    for scenario in catalogue.SCENARIOS:
        if isinstance(scenario, GrowthScenario):
            curves.setdefault(scenario.curve, []).append(scenario.value)
    assert {tuple(values) for values in curves.values()} == {THREADS, (0.0, 1e-5, 1e-4, 1e-3)}


@pytest.mark.parametrize(
    ("asked", "selected"),
    [
        (["lock-with"], ["lock-with"]),
        (["future", "lock-with", "future"], ["lock-with", "future"]),
        (["lock-*"], ["lock-with", "lock-acquire", "lock-contended", "lock-contended-work"]),
        (["startup"], ["startup-import", "startup-modules", "startup-runner"]),
        ([], [scenario.name for scenario in catalogue.SCENARIOS if scenario.kind is rounds.SPEED]),
        (["*"], names(catalogue.SCENARIOS)),
    ],
)
def test_names_and_patterns_select_scenarios(asked: list[str], selected: list[str]) -> None:
    assert [scenario.name for scenario in catalogue.select(asked)] == selected


@pytest.mark.parametrize("name", ["lock", "queue-*-nothing", ""])
def test_a_name_that_selects_nothing_is_an_error(name: str) -> None:
    message = f"no scenario is called '{name}'; there are: lock-with, lock-acquire"
    with pytest.raises(catalogue.UnknownNameError, match=f"^{re.escape(message)}"):
        catalogue.select(["lock-with", name])


def test_a_goal_may_differ_before_python_3_14(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.version_info", (3, 13, 9))
    assert Goal(1.0, before_3_14=1.3).here == 1.3
    assert Goal(1.0).here == 1.0
    monkeypatch.setattr("sys.version_info", (3, 14, 0))
    assert Goal(1.0, before_3_14=1.3).here == 1.0


def library(name: str, make: Callable[[], int]) -> Library:
    return Library(name, "1", {"Lock": make})


@prepared
def made(library: Library, operations: int) -> Iterator[rounds.Round]:
    """A scenario whose rounds the library defines."""
    yield library.Lock


def measured(*contenders: Library, rounds: int = 3) -> Outcome:
    scenario = SpeedScenario("made", "made", "", operations=10, threads=1, prepare=made, needs=("Lock",))
    return scenario.measure(Settings(libraries=contenders, rounds=rounds))


def test_libraries_take_turns() -> None:
    order: list[str] = []

    def clock(name: str, elapsed: int) -> Library:
        return library(name, lambda: order.append(name) or elapsed)  # type: ignore[func-returns-value]

    outcome = measured(clock(STANDARD, 3_000), clock(OXTHREADS, 1_000))
    assert order == [OXTHREADS, STANDARD, STANDARD, OXTHREADS] * 2
    # Nanoseconds for ten operations. The first round is not counted.
    assert outcome.samples == {STANDARD: [3e-7] * 3, OXTHREADS: [1e-7] * 3}


def fail() -> int:
    raise LookupError("no such thing")


def test_a_peer_that_fails_is_left_out() -> None:
    fine = library("fine", lambda: 5)
    outcome = measured(
        library(STANDARD, lambda: 1), fine, library("broken", fail), library(OXTHREADS, lambda: 1)
    )
    assert outcome.failures == {"broken": "LookupError: no such thing"}
    assert set(outcome.samples) == {STANDARD, OXTHREADS, "fine"}


@pytest.mark.parametrize("broken", [STANDARD, OXTHREADS])
def test_the_two_libraries_must_not_fail(broken: str) -> None:
    other = ({STANDARD, OXTHREADS} - {broken}).pop()
    with pytest.raises(BenchmarkError, match=f"^{broken}: LookupError: no such thing$"):
        measured(library(broken, fail), library(other, lambda: 1))


def test_a_peer_without_the_names_does_not_take_part() -> None:
    bare = Library("bare", "1", {})
    outcome = measured(library(STANDARD, lambda: 1), library(OXTHREADS, lambda: 1), bare)
    assert set(outcome.samples) == {STANDARD, OXTHREADS}
    with pytest.raises(AttributeError, match="bare has no Lock"):
        _ = bare.Lock


def test_a_peer_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def pytest_() -> dict[str, object]:
        raise ImportError("a part of it is missing")

    monkeypatch.setattr(peers, "PEERS", {"pytest": pytest_, "not-there-at-all": dict})
    assert peers.find() == (
        [],
        {"pytest": "ImportError: a part of it is missing", "not-there-at-all": "not installed"},
    )


def test_a_round_of_threads_raises_the_exception_of_a_thread() -> None:
    with pytest.raises(LookupError):
        together(lambda: None, fail)()


def test_a_round_of_threads_does_not_hang_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "PATIENCE", 0.01)
    gate = threading.Lock()
    gate.acquire()
    hung = together(gate.acquire, lambda: None)
    before = set(threading.enumerate())
    with pytest.raises(rounds.HangError):
        hung()
    gate.release()
    for thread in set(threading.enumerate()) - before:
        thread.join()


def test_a_long_scenario_makes_fewer_rounds() -> None:
    settings = Settings(libraries=(), rounds=100, seconds=0)
    outcome = interleave({STANDARD: alone(lambda: None)}, settings)
    assert len(outcome.samples[STANDARD]) == rounds.FEWEST_ROUNDS


def test_replaced_names_are_noticed() -> None:
    from oxthreads import patch  # noqa: PLC0415

    assert libraries.replaced_names() == []
    with patch.installed(only=["queue.Queue"]):
        assert libraries.replaced_names() == ["queue.Queue"]


BUSY_SECONDS = 0.2
SPEND = f"import time\nwhile time.process_time() < {BUSY_SECONDS}: pass"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has these numbers")
def test_the_meter_counts_only_the_cpu_time_of_other_processes() -> None:
    def busy() -> float:
        """The CPU time of the whole machine."""
        numbers = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        idle = int(numbers[3]) + int(numbers[4])
        return (sum(map(int, numbers)) - idle) / os.sysconf("SC_CLK_TCK")

    cpus = os.cpu_count() or 1
    # This process may stand still between any two lines. The first product below is never too small by that,
    # and the second never too large.
    earlier = time.monotonic()
    meter = OthersMeter()
    later = time.monotonic()
    other = subprocess.Popen([sys.executable, "-c", SPEND])
    # Nobody has waited for the process yet. So its time does not count as time of this process.
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    busy_before = busy()
    share, elapsed = meter.share(), time.monotonic() - earlier
    assert share is not None
    before = share * elapsed * cpus
    # The kernel counts in ticks of 10 ms.
    assert before > BUSY_SECONDS / 2
    other.wait()
    # Now the process is a child that has ended. The meter does not count it, but all that ran meanwhile.
    elapsed, share = time.monotonic() - later, meter.share()
    assert share is not None
    assert share * elapsed * cpus < before + busy() - busy_before - BUSY_SECONDS / 2
