"""Results that are lost, requests that are cancelled, and futures of the cluster that tell nothing."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="distributed is not installed")

import distributed
from distributed.client import FutureState

from oxthreads.dask import ClusterLost, DaskExecutor
from oxthreads.dask._call import Call, Options
from oxthreads.dask._link import Link
from tests.dask.calls import fail, fail_at_first, square, tell_pid_and_wait, wait_for_file
from tests.dask.tasks import cancel_task
from tests.dask.workers import until_two_workers
from tests.support.waiting import TIMEOUT_SECONDS, spin_until

pytestmark = pytest.mark.one_thread("a cluster of two processes")


def keys_of(client: Any, name: str) -> list[str]:
    return [key for key in client.futures if key.startswith(name)]


@pytest.fixture
def three_together(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The first three results are asked for at once; the numbers of calls that were asked for."""
    fetch_in_time = Link._fetch_in_time
    together: list[int] = []

    def fetch_together(link: Link) -> None:
        if together or len(link._fetched) == 3:
            together.append(len(link._fetched))
            fetch_in_time(link)

    monkeypatch.setattr(Link, "_fetch_in_time", fetch_together)
    return together


async def lose(client: Any) -> list[str]:
    """What the client does when the scheduler tells it. It is no part of the request."""
    lost = keys_of(client, "fail_at_first")
    for key in lost:
        client._handle_lost_data(key)
    return lost


def lose_before_it_is_asked_for(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is told that a result is lost after the pool has seen it, and before it asks for it."""
    gather = client.gather

    async def lose_and_gather(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(client, "gather", gather)
        await asyncio.ensure_future(lose(client))
        return await gather(*args, **kwargs)

    monkeypatch.setattr(client, "gather", lose_and_gather)


def lose_while_it_is_fetched(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is told so while the scheduler collects the results, which fails then."""
    gather = client.scheduler.gather

    async def lose_and_fail(keys: list[str], **options: Any) -> Any:
        monkeypatch.setattr(client.scheduler, "gather", gather, raising=False)
        lost = await asyncio.ensure_future(lose(client))
        # To the question what has become of it, the answer is that it is there.
        client._stream_handlers["key-in-memory"] = lambda **_: None
        return {"status": "error", "keys": lost}

    monkeypatch.setattr(client.scheduler, "gather", lose_and_fail, raising=False)


@pytest.mark.parametrize("lose", [lose_before_it_is_asked_for, lose_while_it_is_fetched])
def test_a_result_that_is_lost_between_two_looks_does_not_keep_others_back(
    own_pool: Any,
    monkeypatch: pytest.MonkeyPatch,
    three_together: list[int],
    lose: Callable[[Any, pytest.MonkeyPatch], None],
) -> None:
    client = own_pool.client
    told = client._stream_handlers["key-in-memory"]
    lose(client, monkeypatch)
    lost = own_pool.submit(fail_at_first, str(Path(__file__)))
    others = [own_pool.submit(square, number) for number in (2, 3)]
    assert [future.result(TIMEOUT_SECONDS) for future in others] == [4, 9]
    assert three_together[0] == 3
    assert not lost.done()
    # The scheduler has run it again.
    (key,) = keys_of(client, "fail_at_first")
    client._stream_handlers["key-in-memory"] = told
    client.loop.add_callback(told, key=key)
    assert lost.result(TIMEOUT_SECONDS) == "the second time"


def refuse_results(client: Any, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """No result of `fail_at_first` can be had until the event is set."""
    gather = client.scheduler.gather
    is_there = threading.Event()

    async def gather_without(keys: list[str], **options: Any) -> Any:
        lost = [key for key in keys if not is_there.is_set() and key.startswith("fail_at_first")]
        if lost:
            # As of a worker that does not answer. The scheduler says then that the result is there.
            return {"status": "error", "keys": lost}
        return await gather(keys=keys, **options)

    monkeypatch.setattr(client.scheduler, "gather", gather_without, raising=False)
    return is_there


def test_a_result_that_cannot_be_had_does_not_keep_others_back(
    own_pool: Any, monkeypatch: pytest.MonkeyPatch, three_together: list[int]
) -> None:
    is_there = refuse_results(own_pool.client, monkeypatch)
    lost = own_pool.submit(fail_at_first, str(Path(__file__)))
    others = [own_pool.submit(square, number) for number in (2, 3)]
    assert [future.result(TIMEOUT_SECONDS) for future in others] == [4, 9]
    assert three_together[0] == 3
    assert not lost.done()
    is_there.set()
    assert lost.result(TIMEOUT_SECONDS) == "the second time"


def test_results_that_are_lost_to_another_request_do_not_keep_a_pool_waiting(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two pools have the same task. The request of one finds that it is lost, while that of the other begins.
    with (
        distributed.Client(cluster, set_as_default=False) as client,
        DaskExecutor(client, pure=True) as one,
        DaskExecutor(client, pure=True) as other,
    ):
        gather = client.scheduler.gather
        refused: list[str] = []

        async def gather_the_second_time(keys: list[str], **options: Any) -> Any:
            new = [key for key in keys if key not in refused]
            if new:
                refused.extend(new)
                return {"status": "error", "keys": new}
            return await gather(keys=keys, **options)

        monkeypatch.setattr(client.scheduler, "gather", gather_the_second_time, raising=False)
        futures = [pool.submit(square, number) for number in range(20) for pool in (one, other, one)]
        assert [future.result(TIMEOUT_SECONDS) for future in futures] == [
            number * number for number in range(20) for _ in range(3)
        ]
        assert refused


def test_a_request_that_is_cancelled_with_one_of_the_program_is_sent_again(
    own_pool: Any,
) -> None:
    client = own_pool.client
    nine = client.submit(square, 3)
    assert nine.result(TIMEOUT_SECONDS) == 9
    # The client sends only some requests at once, and adds others to one that waits for its turn.
    at_once = client._gather_semaphore

    async def ask() -> Any:
        while not at_once.locked():
            await at_once.acquire()
        return asyncio.ensure_future(client.gather([nine], asynchronous=True))

    request = client.sync(ask)
    spin_until(lambda: client._gather_future is not None)
    future = own_pool.submit(square, 4)
    spin_until(lambda: own_keys(own_pool) & (client._gather_keys or set()))

    def cancel() -> None:
        # As a `result(timeout=1)` of the program does.
        request.cancel()
        for _ in range(5):
            at_once.release()

    client.loop.add_callback(cancel)
    assert future.result(TIMEOUT_SECONDS) == 16


def own_keys(pool: Any) -> set[str]:
    return {call.key for call in tuple(pool._link._handed)}


def test_a_call_that_was_asked_to_run_again_does_not_keep_errors_back(
    own_pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = own_pool.client
    fetch_errors = Link._fetch_errors
    batches: list[int] = []

    def fetch_together(link: Link, calls: list[Call]) -> Any:
        # What `Client.retry` of the first one does, before its error is asked for.
        batches.append(len(calls))
        if len(batches) == 1:
            client._handle_retried_key(calls[0].key)
        return fetch_errors(link, calls)

    collect = Link._collect

    def collect_three(link: Link) -> None:
        if batches or sum(call.remote.status == "error" for call in link._changed if call.remote) == 3:
            collect(link)
        else:
            link._loop.call_later(0.01, link._collect)

    monkeypatch.setattr(Link, "_fetch_errors", fetch_together)
    monkeypatch.setattr(Link, "_collect", collect_three)
    futures = [own_pool.submit(fail, text) for text in "abc"]
    spin_until(lambda: sum(future.done() for future in futures) == 2)
    assert batches[0] == 3
    spin_until(lambda: len(client.futures) == 1)
    (key,) = client.futures
    error = ValueError("the second time")
    client.loop.add_callback(client._handle_task_erred, key, exception=error, traceback=None)
    assert sorted(str(future.exception(TIMEOUT_SECONDS)) for future in futures)[-1] == "the second time"


@pytest.mark.parametrize("is_known", [True, False])
def test_a_call_that_is_fetched_while_the_client_connects_again_is_lost(
    own_pool: Any, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    client = own_pool.client
    gather = client.gather

    async def connect_again_and_gather(*args: Any, **kwargs: Any) -> Any:
        # What the client does when the connection is gone.
        for state in client.futures.values():
            state.cancel(**({"reason": "scheduler-connection-lost", "msg": "gone"} if is_known else {}))
        client.futures.clear()
        return await gather(*args, **kwargs)

    monkeypatch.setattr(client, "gather", connect_again_and_gather)
    error = own_pool.submit(square, 3).exception(TIMEOUT_SECONDS)
    assert isinstance(error, ClusterLost if is_known else CancelledError)


@pytest.fixture
def other_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """A distributed whose futures have no attribute `_event`."""
    source = inspect.getsource(FutureState)
    assert "_event" in source
    names = vars(distributed.client)
    found: dict[str, Any] = {}
    exec(source.replace("_event", "_completion"), names, found)
    monkeypatch.setattr(distributed.client, "FutureState", found["FutureState"])


@pytest.fixture
def slow_pool(other_version: None, own_pool: Any) -> Any:
    return own_pool


def test_futures_without_the_event_end(slow_pool: Any) -> None:
    futures = [slow_pool.submit(square, number) for number in range(50)]
    assert not hasattr(next(iter(slow_pool.client.futures.values()), None), "_event")
    assert [future.result(TIMEOUT_SECONDS) for future in futures] == [number * number for number in range(50)]
    results = slow_pool.map(square, range(100), buffersize=20, chunksize=3)
    assert list(results) == [number * number for number in range(100)]
    with pytest.raises(LookupError, match="a text"):
        slow_pool.submit(fail, "a text").result(TIMEOUT_SECONDS)
    spin_until(lambda: not slow_pool.client.futures)
    spin_until(lambda: not slow_pool._link._tasks)


def test_calls_without_the_event_are_cancelled(slow_pool: Any, tmp_path: Path) -> None:
    client = slow_pool.client
    future = slow_pool.submit(wait_for_file, str(tmp_path / "go"))
    cancel_task(client)
    with pytest.raises(CancelledError, match="was cancelled in the cluster"):
        future.result(TIMEOUT_SECONDS)
    results = slow_pool.map(wait_for_file, [str(tmp_path / "go")] * 5, timeout=0.1)
    with pytest.raises(TimeoutError):
        next(results)
    spin_until(lambda: not slow_pool.stats().busy)
    (tmp_path / "go").touch()
    # Nothing waits for what nobody wants.
    spin_until(lambda: not slow_pool._link._tasks)


def test_a_worker_that_is_killed_without_the_event(slow_pool: Any, tmp_path: Path) -> None:
    told, go = tmp_path / "told", tmp_path / "go"
    future = slow_pool.submit(tell_pid_and_wait, str(told), str(go))
    spin_until(lambda: told.exists() and told.read_text().endswith("\n"))
    os.kill(int(told.read_text()), signal.SIGKILL)
    spin_until(lambda: len(told.read_text().split()) == 2)
    go.touch()
    assert future.result(TIMEOUT_SECONDS) == int(told.read_text().split()[1])
    until_two_workers(slow_pool.client)


def test_a_lost_result_without_the_event_keeps_only_its_call_waiting(
    slow_pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_there = refuse_results(slow_pool.client, monkeypatch)
    lost = [slow_pool.submit(fail_at_first, str(Path(__file__))) for _ in range(10)]
    others = [slow_pool.submit(square, number) for number in range(10)]
    assert [future.result(TIMEOUT_SECONDS) for future in others] == [number * number for number in range(10)]
    assert not any(future.done() for future in lost)
    is_there.set()
    assert [future.result(TIMEOUT_SECONDS) for future in lost] == ["the second time"] * 10


def test_a_client_that_is_closed_without_the_event(other_version: None, cluster: Any, tmp_path: Path) -> None:
    client = distributed.Client(cluster, set_as_default=False)
    pool = DaskExecutor(client)
    future = pool.submit(wait_for_file, str(tmp_path / "go"))
    spin_until(lambda: client.futures)
    client.close()
    with pytest.raises(ClusterLost):
        future.result(TIMEOUT_SECONDS)
    pool.shutdown()
    (tmp_path / "go").touch()


def test_a_task_that_the_program_waits_for_already(cluster: Any, tmp_path: Path) -> None:
    with (
        distributed.Client(cluster, set_as_default=False) as client,
        DaskExecutor(client, pure=True) as pool,
    ):
        go = str(tmp_path / "go")
        key = Call("", Options(0, 0, True, {}), wait_for_file, (go,), {}, is_revocable=False).key
        own = distributed.Future(key, client)
        told = threading.Event()
        own.add_done_callback(lambda _: told.set())
        spin_until(lambda: own._state._event is not None)
        future = pool.submit(wait_for_file, go)
        spin_until(future.running)
        Path(go).touch()
        assert future.result(TIMEOUT_SECONDS) == "go"
        assert told.wait(TIMEOUT_SECONDS)
        assert own.status == "finished"
