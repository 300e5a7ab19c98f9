"""Clusters that change: restarted, empty for a while, with another scheduler; with TLS; of other versions."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="distributed is not installed")

import distributed

from oxthreads.concurrent.futures import Future
from oxthreads.dask import ClusterLost, DaskExecutor
from tests.dask.calls import square, wait_for_file
from tests.dask.conftest import Processes
from tests.dask.tasks import keys_in_scheduler, until_forgotten
from tests.dask.workers import until_two_workers
from tests.support.waiting import TIMEOUT_SECONDS, spin_until

pytestmark = pytest.mark.one_thread("a cluster of two processes")


def restart(client: Any) -> None:
    # On a busy machine workers may take longer to end; it is over for the calls all the same.
    with contextlib.suppress(TimeoutError):
        client.restart(timeout=TIMEOUT_SECONDS, wait_for_workers=False)


def test_a_client_that_restarts_the_cluster_while_calls_are_submitted(own_pool: Any) -> None:
    client = own_pool.client
    futures: list[Future[int]] = []
    stop = threading.Event()

    def submit() -> None:
        while not stop.is_set():
            futures.append(own_pool.submit(square, len(futures)))
            # Without hindering the scheduler, which is in this process.
            time.sleep(0.002)

    thread = threading.Thread(target=submit, daemon=True)
    thread.start()
    try:
        for _ in range(2):
            before = len(futures)
            spin_until(lambda before=before: len(futures) > before + 20)
            restart(client)
    finally:
        stop.set()
    thread.join(TIMEOUT_SECONDS)
    until_two_workers(client)
    for number, future in enumerate(futures):
        error = future.exception(TIMEOUT_SECONDS)
        if error is None:
            assert future.result() == number * number
        else:
            assert isinstance(error, CancelledError)
            assert "was cancelled in the cluster" in str(error)
    assert own_pool.submit(square, 3).result(TIMEOUT_SECONDS) == 9
    # Nothing goes on for calls that have failed here.
    until_forgotten(client, "square")
    assert own_pool.stats()[1:3] == (0, 0)


def test_a_call_that_is_handed_over_during_a_restart_is_forgotten_in_the_cluster(
    own_pool: Any, tmp_path: Path
) -> None:
    client = own_pool.client
    scheduler = client.cluster.scheduler
    go = str(tmp_path / "go")
    future = own_pool.submit(wait_for_file, go)
    spin_until(lambda: keys_in_scheduler(client, "wait_for_file"))
    # The scheduler has said that all is forgotten before it was told of the call.
    scheduler.loop.add_callback(scheduler.report, {"op": "restart"})
    with pytest.raises(CancelledError):
        future.result(TIMEOUT_SECONDS)
    until_forgotten(client, "wait_for_file")
    Path(go).touch()


def test_a_map_in_a_cluster_that_is_restarted_raises(own_pool: Any, tmp_path: Path) -> None:
    client = own_pool.client
    go = str(tmp_path / "go")
    results = own_pool.map(wait_for_file, [go] * 30, buffersize=10)
    spin_until(lambda: own_pool.stats().busy == 10)
    restarting = threading.Thread(target=restart, args=(client,), daemon=True)
    restarting.start()
    with pytest.raises(CancelledError, match="was cancelled in the cluster"):
        next(results)
    spin_until(lambda: own_pool.stats()[1:3] == (0, 0))
    # Before the workers end, they may wait for their calls.
    Path(go).touch()
    restarting.join(2 * TIMEOUT_SECONDS)
    assert not restarting.is_alive()
    until_two_workers(client)


def test_an_adaptive_cluster_goes_down_to_no_worker_and_up_again() -> None:
    with (
        distributed.LocalCluster(
            n_workers=0, threads_per_worker=1, processes=False, dashboard_address=":0", silence_logs=50
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
        DaskExecutor(client) as pool,
    ):
        cluster.adapt(minimum=0, maximum=2, interval="20ms", wait_count=1)
        for _ in range(3):
            first = pool.submit(square, 3)
            results = pool.map(square, range(100), buffersize=10, chunksize=2)
            assert list(results) == [number * number for number in range(100)]
            assert first.result(TIMEOUT_SECONDS) == 9
            spin_until(lambda: not cluster.workers and not cluster.scheduler.workers)


def test_a_scheduler_that_is_started_again(processes: Processes) -> None:
    process, address = processes.scheduler()
    processes.worker(address)
    with distributed.Client(address, set_as_default=False) as client, DaskExecutor(client) as pool:
        assert pool.submit(square, 2).result(TIMEOUT_SECONDS) == 4
        futures = [pool.submit(wait_for_file, "/never") for _ in range(5)]
        spin_until(lambda: keys_in_scheduler(client, "wait_for_file"))
        process.kill()
        for future in futures:
            with pytest.raises(ClusterLost, match="connection to the scheduler"):
                future.result(TIMEOUT_SECONDS)
        processes.scheduler(address)
        processes.worker(address)
        spin_until(lambda: client.status == "running")
        assert pool.submit(square, 3).result(TIMEOUT_SECONDS) == 9
        assert list(pool.map(square, range(20))) == [number * number for number in range(20)]


def test_a_cluster_with_tls() -> None:
    pytest.importorskip("cryptography", reason="cryptography is not installed")
    security = distributed.Security.temporary()
    with (
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            protocol="tls://",
            security=security,
            dashboard_address=":0",
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
        DaskExecutor(client) as pool,
    ):
        assert cluster.scheduler_address.startswith("tls://")
        assert list(pool.map(square, range(20))) == [number * number for number in range(20)]
        nine = client.submit(square, 3)
        assert pool.submit(square, nine).result(TIMEOUT_SECONDS) == 81
        # The address alone does not say who may connect.
        with pytest.raises((TypeError, ValueError, OSError, RuntimeError)):
            DaskExecutor(cluster.scheduler_address)


@pytest.mark.skipif(not os.environ.get("OXTHREADS_OTHER_PYTHON"), reason="no worker of other versions")
@pytest.mark.filterwarnings("ignore::distributed.versions.VersionMismatchWarning")
def test_a_worker_of_other_versions(processes: Processes) -> None:
    """The Python of OXTHREADS_OTHER_PYTHON runs the worker, with the distributed that is installed there."""
    python = os.environ["OXTHREADS_OTHER_PYTHON"]
    _, address = processes.scheduler()
    processes.worker(address, python)
    with distributed.Client(address, set_as_default=False) as client, DaskExecutor(client) as pool:
        client.wait_for_workers(1, timeout=TIMEOUT_SECONDS)
        with pytest.warns(distributed.versions.VersionMismatchWarning):
            client.get_versions(check=False)
            distributed.Client(address, set_as_default=False).close()
        assert pool.submit(pow, 2, 10).result(TIMEOUT_SECONDS) == 1024
        assert list(pool.map(abs, range(50), chunksize=5)) == list(range(50))
        assert isinstance(pool.submit(int, "no number").exception(TIMEOUT_SECONDS), ValueError)
        assert pool.submit(sum, [1, 2], start=client.submit(abs, -3)).result(TIMEOUT_SECONDS) == 6
        # Not a lambda: what that compiles to may end a worker of another version of Python.
