"""Workers that die, a scheduler that is lost, a client that is closed."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="distributed is not installed")

import distributed

from oxthreads.dask import ClusterLost, DaskExecutor
from oxthreads.dask._link import Link
from oxthreads.processes import WorkerDied
from tests.dask.blocked import BlockedSubmissions
from tests.dask.calls import die, fail, square, tell_pid_and_wait, wait_for_file
from tests.dask.conftest import Processes
from tests.dask.workers import until_two_workers
from tests.support.waiting import TIMEOUT_SECONDS, spin_until

pytestmark = pytest.mark.one_thread("a cluster of two processes")


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def test_a_call_whose_worker_is_killed_runs_again(client: Any, pool: Any, tmp_path: Path) -> None:
    told, go = tmp_path / "told", tmp_path / "go"
    future = pool.submit(tell_pid_and_wait, str(told), str(go))
    spin_until(lambda: len(lines(told)) == 1)
    os.kill(int(lines(told)[0]), signal.SIGKILL)
    spin_until(lambda: len(lines(told)) == 2)
    go.touch()
    first, second = map(int, lines(told))
    assert first != second
    assert future.result(TIMEOUT_SECONDS) == second
    assert len(lines(told)) == 2
    until_two_workers(client)


def test_a_call_that_kills_its_workers_fails_alone(client: Any, pool: Any) -> None:
    def allow(failures: int) -> int:
        def set_failures(dask_scheduler: Any) -> int:
            before, dask_scheduler.allowed_failures = dask_scheduler.allowed_failures, failures
            return before

        return client.run_on_scheduler(set_failures)

    before = allow(0)
    try:
        with pytest.raises(WorkerDied, match="a worker died while it ran the call of die, at tcp") as caught:
            pool.submit(die).result(TIMEOUT_SECONDS)
    finally:
        allow(before)
    assert isinstance(caught.value.__cause__, distributed.KilledWorker)
    assert (caught.value.pid, caught.value.exitcode) == (None, None)
    assert pool.submit(square, 3).result(TIMEOUT_SECONDS) == 9
    until_two_workers(client)


def test_a_client_that_is_closed(cluster: Any, tmp_path: Path) -> None:
    client = distributed.Client(cluster, set_as_default=False)
    pool = DaskExecutor(client, max_pending=3)
    go = str(tmp_path / "go")
    futures = [pool.submit(wait_for_file, go) for _ in range(3)]
    blocked = BlockedSubmissions(pool, 1)
    client.close()
    for future in futures:
        with pytest.raises(ClusterLost, match="client of the cluster"):
            future.result(TIMEOUT_SECONDS)
    assert list(map(type, blocked.errors())) == [ClusterLost]
    with pytest.raises(ClusterLost, match="the client of the cluster is closed"):
        pool.submit(square, 2)
    with pytest.raises(ClusterLost):
        DaskExecutor(client)
    pool.shutdown()
    Path(go).touch()


def test_all_submissions_that_wait_for_room_end_with_the_client(cluster: Any, tmp_path: Path) -> None:
    client = distributed.Client(cluster, set_as_default=False)
    pool = DaskExecutor(client, max_pending=1)
    go = str(tmp_path / "go")
    pool.submit(wait_for_file, go)
    blocked = BlockedSubmissions(pool, 4)
    client.close()
    assert list(map(type, blocked.errors())) == [ClusterLost] * 4
    pool.shutdown()
    Path(go).touch()


def test_a_call_that_is_submitted_while_the_client_closes(cluster: Any) -> None:
    client = distributed.Client(cluster, set_as_default=False)
    pool = DaskExecutor(client)
    assert pool.submit(square, 2).result(TIMEOUT_SECONDS) == 4
    ended = threading.Event()
    futures: list[Any] = []

    def submit_until_refused() -> None:
        try:
            while True:
                futures.append(pool.submit(square, len(futures)))
        except ClusterLost:
            ended.set()

    thread = threading.Thread(target=submit_until_refused)
    thread.start()
    spin_until(lambda: len(futures) > 20)
    client.close()
    assert ended.wait(TIMEOUT_SECONDS)
    thread.join()
    for number, future in enumerate(futures):
        error = future.exception(TIMEOUT_SECONDS)
        assert isinstance(error, ClusterLost) or future.result() == number * number
    pool.shutdown()


@pytest.mark.parametrize("status", ["running", "connecting", "closing"])
@pytest.mark.parametrize(
    "error", [distributed.comm.CommClosedError("gone"), RuntimeError("ConnectionPool is closed")]
)
def test_a_request_that_fails_because_the_connection_is_gone(
    own_pool: Any, monkeypatch: pytest.MonkeyPatch, status: str, error: Exception
) -> None:
    asked: list[int] = []
    pool, client = own_pool, own_pool.client

    # It may have noticed, or not yet.
    def fail() -> Any:
        asked.append(1)
        client.status = status
        raise error

    async def gather(*_: object, **__: object) -> Any:
        fail()

    def hand_over(*_: object, **__: object) -> Any:
        fail()

    for name, instead in (("gather", gather), ("map", hand_over)):
        monkeypatch.setattr(client, name, instead)
        futures = [pool.submit(square, number) for number in range(3)]
        caught = [future.exception(TIMEOUT_SECONDS) for future in futures]
        client.status = "running"
        assert {type(each) for each in caught} == {ClusterLost}
        assert {each.__cause__ for each in caught if each is not None} <= {error, None}
    # Not once more for each call: each would wait for the scheduler.
    assert len(asked) <= 6
    monkeypatch.undo()
    assert pool.submit(square, 3).result(TIMEOUT_SECONDS) == 9


def test_an_attribute_of_a_closed_client_is_not_to_blame(
    own_pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, client = own_pool, own_pool.client

    async def gather(*_: object, **__: object) -> Any:
        client.status = "closing"
        raise AttributeError("'NoneType' object has no attribute 'gather'")

    monkeypatch.setattr(client, "gather", gather)
    error = pool.submit(square, 2).exception(TIMEOUT_SECONDS)
    client.status = "running"
    assert isinstance(error, ClusterLost)
    assert isinstance(error.__cause__, AttributeError)


def test_a_call_that_has_raised_and_is_cancelled_then_ends(
    own_pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, client = own_pool, own_pool.client
    collect = Link._collect

    def collect_and_restart(link: Link) -> None:
        erred = [call for call in link._changed if call.remote is not None and call.remote.status == "error"]
        collect(link)
        if erred:
            client._handle_restart()

    monkeypatch.setattr(Link, "_collect", collect_and_restart)
    error = pool.submit(fail, "a text").exception(TIMEOUT_SECONDS)
    assert isinstance(error, CancelledError | LookupError)


def test_a_scheduler_that_is_killed(processes: Processes) -> None:
    process, address = processes.scheduler()
    # The pool makes the client, and closes it.
    pool = DaskExecutor(address)
    client = pool.client
    futures = [pool.submit(square, number) for number in range(5)]
    spin_until(futures[-1].running)
    process.kill()
    for future in futures:
        with pytest.raises(ClusterLost, match="lost its connection to the scheduler"):
            future.result(TIMEOUT_SECONDS)
    with pytest.raises(ClusterLost):
        pool.submit(square, 1)
    pool.shutdown()
    assert client.status == "closed"


def test_no_scheduler_at_the_address() -> None:
    import dask  # noqa: PLC0415

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "100ms"}),
        pytest.raises(OSError, match="127"),
    ):
        DaskExecutor("tcp://127.0.0.1:9")


def test_a_cluster_that_is_restarted(own_pool: Any, tmp_path: Path) -> None:
    pool, client = own_pool, own_pool.client
    future = pool.submit(wait_for_file, str(tmp_path / "go"))
    spin_until(future.running)
    # What a client does when it is told that another one has restarted the cluster.
    client.loop.add_callback(client._handle_restart)
    error = future.exception(TIMEOUT_SECONDS)
    assert isinstance(error, CancelledError)
    assert "was cancelled in the cluster" in str(error)
    (tmp_path / "go").touch()
    assert pool.submit(square, 3).result(TIMEOUT_SECONDS) == 9
