"""`DaskExecutor.map`: order, chunks, buffers, progress, time limits, and what becomes of the rest."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="distributed is not installed")

from oxthreads.dask import DaskExecutor
from tests.dask.calls import square, wait_for_file
from tests.dask.tasks import until_forgotten
from tests.support.waiting import TIMEOUT_SECONDS, spin_until

pytestmark = pytest.mark.one_thread("a cluster of two processes")


def fail_at_seven(number: int) -> int:
    if number == 7:
        raise LookupError(number)
    return number


def stop_at_seven(number: int) -> int:
    if number == 7:
        raise StopIteration(number)
    return number


@pytest.mark.parametrize("chunksize", [1, 3, 100])
@pytest.mark.parametrize("buffersize", [None, 2])
def test_the_results_come_in_the_order_of_the_items(
    pool: Any, chunksize: int, buffersize: int | None
) -> None:
    results = pool.map(square, range(10), chunksize=chunksize, buffersize=buffersize)
    assert list(results) == [number * number for number in range(10)]


def test_several_iterables_and_the_shortest_ends_them(pool: Any) -> None:
    assert list(pool.map(pow, [2, 3, 4], [5, 2])) == [32, 9]
    assert list(pool.map(pow, [2, 3, 4], [5, 2], chunksize=2)) == [32, 9]
    assert list(pool.map(pow)) == []
    assert list(pool.map(square, [], chunksize=5)) == []


def test_a_chunk_is_one_task(pool: Any) -> None:
    list(pool.map(square, range(100), chunksize=30))
    assert pool.stats().done == 4


@pytest.mark.parametrize("chunksize", [1, 2, 3, 10])
def test_results_in_the_cluster_as_items(client: Any, pool: Any, chunksize: int) -> None:
    squares = client.map(square, range(5))
    assert [*pool.map(square, squares, chunksize=chunksize)] == [0, 1, 16, 81, 256]
    items = [squares[0], 1, squares[2], squares[3], 4]
    sums = pool.map(partial(pow, mod=1000), items, [*range(4), squares[2]], chunksize=chunksize)
    assert [*sums] == [1, 1, 16, 729, 256]


def test_the_iterables_are_read_only_as_results_are_asked_for(pool: Any) -> None:
    read: list[int] = []

    def numbers() -> Any:
        for number in itertools.count():
            read.append(number)
            yield number

    results = pool.map(square, numbers(), buffersize=3)
    assert read == [0, 1, 2]
    assert [next(results) for _ in range(4)] == [0, 1, 4, 9]
    assert len(read) == 6
    results.close()
    read.clear()
    chunks = pool.map(square, numbers(), buffersize=3, chunksize=2)
    assert len(read) == 6
    assert next(chunks) == 0
    chunks.close()


@pytest.mark.parametrize("chunksize", [1, 4])
def test_a_call_that_raises_ends_the_iterator(pool: Any, chunksize: int) -> None:
    results = pool.map(fail_at_seven, range(20), chunksize=chunksize)
    # The results of its chunk are lost.
    assert list(itertools.islice(results, 4)) == [0, 1, 2, 3]
    with pytest.raises(LookupError):
        list(results)


@pytest.mark.parametrize("chunksize", [1, 5])
@pytest.mark.parametrize("buffersize", [None, 1])
def test_stop_iteration_does_not_end_the_results(pool: Any, chunksize: int, buffersize: int | None) -> None:
    results = pool.map(stop_at_seven, range(20), chunksize=chunksize, buffersize=buffersize)
    assert list(itertools.islice(results, 5)) == [0, 1, 2, 3, 4]
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(results)
    # Also if it is the last call of its chunk.
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(pool.map(stop_at_seven, range(8), chunksize=4))


@pytest.mark.parametrize("chunksize", [1, 4])
def test_progress(pool: Any, chunksize: int) -> None:
    reports: list[tuple[int, int | None]] = []
    results = pool.map(
        square, range(10), chunksize=chunksize, progress=lambda *report: reports.append(report)
    )
    assert len(list(results)) == 10
    spin_until(lambda: reports[-1] == (10, 10))
    assert [done for done, _ in reports] == sorted(done for done, _ in reports)
    assert all(total == 10 for _, total in reports)


@pytest.mark.parametrize("chunksize", [1, 4])
def test_progress_with_a_buffer(pool: Any, chunksize: int) -> None:
    reports: list[tuple[int, int | None]] = []
    results = pool.map(
        square,
        iter(range(10)),
        chunksize=chunksize,
        buffersize=2,
        progress=lambda *report: reports.append(report),
    )
    assert len(list(results)) == 10
    spin_until(lambda: reports[-1] == (10, 10))


@pytest.mark.parametrize("chunksize", [1, 4])
def test_progress_with_a_buffer_knows_no_total_before_all_is_read(pool: Any, chunksize: int) -> None:
    reports: list[tuple[int, int | None]] = []
    results = pool.map(
        square,
        range(10),
        chunksize=chunksize,
        buffersize=1,
        progress=lambda *report: reports.append(report),
    )
    assert next(results) == 0
    spin_until(lambda: reports)
    assert reports == [(chunksize, None)]
    assert len(list(results)) == 9
    spin_until(lambda: reports[-1] == (10, 10))


def test_progress_of_chunks_that_several_threads_run(client: Any) -> None:
    reports: list[tuple[int, int | None]] = []
    with DaskExecutor(client, max_pending=1, on_full="caller_runs") as pool:
        results = pool.map(square, range(200), chunksize=2, progress=lambda *report: reports.append(report))
        assert len(list(results)) == 200
        spin_until(lambda: reports[-1] == (200, 200))


def test_a_time_limit(pool: Any, tmp_path: Path) -> None:
    results = pool.map(wait_for_file, [str(tmp_path / "go")], timeout=0.05)
    with pytest.raises(TimeoutError):
        next(results)
    (tmp_path / "go").touch()


def test_what_is_left_is_cancelled_in_the_cluster(client: Any, pool: Any, tmp_path: Path) -> None:
    results = pool.map(wait_for_file, [str(tmp_path / "go")] * 50, timeout=0.2)
    spin_until(lambda: pool.stats()[1:3] == (50, 0))
    with pytest.raises(TimeoutError):
        next(results)

    until_forgotten(client)
    spin_until(lambda: not pool.stats().busy)
    # A worker cannot be told to end what it runs.
    (tmp_path / "go").touch()


def test_wrong_arguments(pool: Any) -> None:
    for wrong in ({"chunksize": 0}, {"chunksize": -1}, {"buffersize": 0}):
        with pytest.raises(ValueError, match="must be"):
            pool.map(square, [1], **wrong)
    for wrong in ({"chunksize": 1.5}, {"chunksize": None}, {"buffersize": 1.5}, {"progress": 1}):
        with pytest.raises(TypeError):
            pool.map(square, [1], **wrong)
    with pytest.raises(TypeError, match="progress must be a callable"):
        pool.map(square, [1], chunksize=2, progress=1)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pool.map(square, [(number for number in "ab")])


def test_a_view_maps_with_its_options(pool: Any) -> None:
    urgent = pool.with_options(priority=-1)
    assert list(urgent.map(square, range(5), buffersize=2)) == [0, 1, 4, 9, 16]
    assert repr(urgent).endswith("priority=-1, retries=0>")
    assert urgent.stats().done == 5
    assert urgent.submit(square, 3).result(TIMEOUT_SECONDS) == 9
