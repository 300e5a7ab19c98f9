"""A cluster of two worker processes on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A cluster of two processes with a thread each. A worker that dies is replaced."""
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def client(cluster: Any) -> Iterator[Any]:
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    with distributed.Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2)
        yield client


@pytest.fixture
def pool(client: Any) -> Iterator[Any]:
    from oxthreads.dask import DaskExecutor  # noqa: PLC0415

    with DaskExecutor(client) as pool:
        yield pool


@pytest.fixture
def own_pool(cluster: Any) -> Iterator[Any]:
    """A pool with a client that no other test has."""
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    from oxthreads.dask import DaskExecutor  # noqa: PLC0415

    with distributed.Client(cluster, set_as_default=False) as client:
        pool = DaskExecutor(client)
        yield pool
        # If the test has failed, its calls may never end. The client ends them.
        pool.shutdown(wait=False)
