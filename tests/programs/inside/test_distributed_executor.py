"""The executor of a Dask cluster. Its futures must live as long as those of concurrent.futures."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator

import pytest
from distributed import Client


@pytest.fixture
def client() -> Iterator[Client]:
    """A cluster of two workers in this process."""
    with Client(processes=False, n_workers=2, threads_per_worker=2, dashboard_address=None) as client:
        yield client


def _increment(number: int) -> int:
    return number + 1


def _fail(_: int) -> int:
    raise RuntimeError("no")


def test_results_are_kept_on_the_worker_that_was_asked_for(client: Client) -> None:
    for worker in client.scheduler_info()["workers"]:
        with client.get_executor(workers=[worker]) as executor:
            futures = [executor.submit(_increment, number, pure=False) for number in range(10)]
            concurrent.futures.wait(futures)
            kept = {name: len(keys) for name, keys in client.has_what().items()}
            assert kept[worker] == 10 and sum(kept.values()) == 10
            assert sum(future.result() for future in futures) == 55
        del futures


def test_as_completed_wait_and_map(client: Client) -> None:
    with client.get_executor() as executor:
        futures = {executor.submit(_increment, number, pure=False) for number in range(20)}
        assert set(concurrent.futures.as_completed(futures)) == futures
        assert concurrent.futures.wait(futures).done == futures
        assert list(executor.map(_increment, range(5))) == [1, 2, 3, 4, 5]


def test_exceptions_and_cancellation(client: Client) -> None:
    executor = client.get_executor(pure=False)
    failed = executor.submit(_fail, 1)
    assert isinstance(failed.exception(), RuntimeError)
    done = executor.submit(_increment, 1)
    assert done.result() == 2 and not done.cancel()
    executor.shutdown()
    with pytest.raises(RuntimeError):
        executor.submit(_increment, 1)
