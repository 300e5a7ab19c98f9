"""Scenarios of `oxthreads.dask`: calls in a cluster of two processes on this machine."""

from __future__ import annotations

import importlib
import operator
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from .added_locks import BASELINE, multiple
from .rounds import Round, alone, interleave
from .scenario import OXTHREADS, Goal, Kind, NotInstalledError, Outcome, Scenario, Settings, Unit, times

CLUSTER = Kind(
    "cluster",
    "Time of a call in a cluster of two processes on this machine. Multiple: oxthreads / `client.map` and"
    " `client.gather`. It needs the extra `dask`.",
    Unit.SECONDS,
    multiple,
    "multiple",
    times,
    at_least=False,
)

#: What the pool of distributed itself is called in the table.
OWN_EXECUTOR = "get_executor"


def cluster(stack: ExitStack) -> Any:
    """Start a cluster, which ends with the stack, and return a client of it."""
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise NotInstalledError("distributed") from error
    local = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    )
    client = stack.enter_context(distributed.Client(stack.enter_context(local), set_as_default=False))
    client.wait_for_workers(2)
    return client


def mapped(stack: ExitStack, client: Any, operations: int) -> dict[str, Round]:
    """Call ``map`` with a function that does next to nothing."""
    pool = stack.enter_context(importlib.import_module("oxthreads.dask").DaskExecutor(client))
    own = client.get_executor(pure=False)
    numbers = range(operations)

    def gather() -> None:
        client.gather(client.map(operator.neg, numbers, pure=False))

    return {
        BASELINE: alone(gather),
        OXTHREADS: alone(lambda: list(pool.map(operator.neg, numbers))),
        OWN_EXECUTOR: alone(lambda: list(own.map(operator.neg, numbers))),
    }


def in_chunks(stack: ExitStack, client: Any, operations: int) -> dict[str, Round]:
    """The same, a hundred calls a task; the baseline knows no chunks."""
    rounds = mapped(stack, client, operations)
    pool = stack.enter_context(importlib.import_module("oxthreads.dask").DaskExecutor(client))
    numbers = range(operations)
    return {
        BASELINE: rounds[BASELINE],
        OXTHREADS: alone(lambda: list(pool.map(operator.neg, numbers, chunksize=100))),
    }


@dataclass(frozen=True)
class ClusterScenario(Scenario):
    """Compares oxthreads with what a program would do with the client itself."""

    prepare: Callable[[ExitStack, Any, int], dict[str, Round]] = field(kw_only=True)

    @property
    def kind(self) -> Kind:
        return CLUSTER

    def measure(self, settings: Settings) -> Outcome:
        operations = settings.divided(self.operations)
        with ExitStack() as stack:
            client = cluster(stack)
            return interleave(self.prepare(stack, client, operations), settings, operations)


SCENARIOS = (
    ClusterScenario(
        "dask-map", "DaskExecutor: map, 10,000 calls",
        "`operator.neg`; an operation is one call. Baseline: `client.map` and `client.gather`.",
        operations=10_000, threads=1, goal=Goal(1.2), prepare=mapped,
    ),
    ClusterScenario(
        "dask-chunks", "DaskExecutor: map with chunksize=100",
        "`operator.neg`; an operation is one call. Baseline: `client.map` and `client.gather`.",
        operations=10_000, threads=1, prepare=in_chunks,
    ),
)  # fmt: skip
