"""A cluster of two worker processes on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dask.workers import until_two_workers
from tests.support.waiting import spin_until


@pytest.fixture(scope="package")
def cluster() -> Iterator[Any]:
    """A cluster of two processes with a thread each. A worker that dies is replaced.

    It ends after the tests of this folder: others count the processes and threads that there are.
    """
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    import dask  # noqa: PLC0415 - not installed with all versions

    with (
        # On a busy machine, a worker may take longer to start again than the 15 seconds after which the
        # cluster gives it up.
        dask.config.set({"distributed.deploy.lost-worker-timeout": "45s"}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
    ):
        yield cluster


@pytest.fixture(scope="module")
def client(cluster: Any) -> Iterator[Any]:
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    with distributed.Client(cluster, set_as_default=False) as client:
        until_two_workers(client)
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
        until_two_workers(client)
        pool = DaskExecutor(client)
        yield pool
        # If the test has failed, its calls may never end. The client ends them.
        pool.shutdown(wait=False)


class Processes:
    """Starts schedulers and workers in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []

    def _start(self, python: str, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [python, "-m", f"distributed.cli.{program}", *arguments, "--no-dashboard"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            # Workers of other versions of Python have their own packages.
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path) if python == sys.executable else ""},
        )
        self._started.append(process)
        return process

    def scheduler(self, address: str = "tcp://127.0.0.1:0") -> tuple[subprocess.Popen[bytes], str]:
        """Start a scheduler without workers; return its process and its address."""
        file = self._folder / f"scheduler-{len(self._started)}.json"
        options = ["--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--dashboard-address", ":0"]
        process = self._start(sys.executable, "dask_scheduler", *options, "--scheduler-file", str(file))
        found = ""

        def is_written() -> bool:
            nonlocal found
            try:
                found = json.loads(file.read_text())["address"]
            except (FileNotFoundError, ValueError):
                return False
            return True

        spin_until(is_written)
        return process, found

    def worker(self, address: str, python: str = sys.executable) -> subprocess.Popen[bytes]:
        """Start a worker with one thread."""
        return self._start(python, "dask_worker", address, "--no-nanny", "--nthreads", "1")

    def end(self) -> None:
        for process in self._started:
            process.kill()
        for process in self._started:
            process.wait()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """What starts schedulers and workers, which end with the test."""
    processes = Processes(tmp_path)
    yield processes
    processes.end()
