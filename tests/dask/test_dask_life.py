"""How a pool ends: shut down, dropped, forked, at the exit of the interpreter."""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="distributed is not installed")

from oxthreads.dask import DaskExecutor, _errors, _executor
from tests.dask.blocked import BlockedSubmissions
from tests.dask.calls import square, wait_for_file
from tests.dask.loops import LoopHeld
from tests.dask.scripts import run_in_tree, run_script
from tests.support.interpreters import python
from tests.support.waiting import TIMEOUT_SECONDS, spin_until

pytestmark = pytest.mark.one_thread("a cluster of two processes")


def threads_of_pools() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("DaskExecutor")]


def test_shutdown_waits_for_calls(client: Any, tmp_path: Path) -> None:
    pool = DaskExecutor(client)
    future = pool.submit(wait_for_file, str(tmp_path / "go"))
    waiter = threading.Thread(target=pool.shutdown)
    waiter.start()
    spin_until(lambda: pool._link._is_closed)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.submit(square, 1)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.map(square, [1])
    assert waiter.is_alive()
    (tmp_path / "go").touch()
    waiter.join(TIMEOUT_SECONDS)
    assert future.done()
    pool.shutdown()
    # It was given the client.
    assert client.status == "running"


def test_shutdown_may_leave_calls_behind(client: Any, tmp_path: Path) -> None:
    pool = DaskExecutor(client)
    future = pool.submit(wait_for_file, str(tmp_path / "go"))
    pool.shutdown(wait=False)
    assert not future.done()
    (tmp_path / "go").touch()
    assert future.result(TIMEOUT_SECONDS) == "go"
    spin_until(lambda: not threads_of_pools())


def test_shutdown_may_cancel_what_was_not_handed_over(client: Any, tmp_path: Path) -> None:
    pool = DaskExecutor(client)
    running = pool.submit(wait_for_file, str(tmp_path / "go"))
    spin_until(running.running)
    with LoopHeld(client):
        waiting = pool.submit(square, 2)
        pool.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(CancelledError):
        waiting.result(TIMEOUT_SECONDS)
    (tmp_path / "go").touch()
    assert running.result(TIMEOUT_SECONDS) == "go"
    pool.shutdown()


def test_a_submission_that_waits_for_room_ends_with_the_pool(client: Any, tmp_path: Path) -> None:
    pool = DaskExecutor(client, max_pending=1)
    pool.submit(wait_for_file, str(tmp_path / "go"))
    blocked = BlockedSubmissions(pool, 1)
    pool.shutdown(wait=False)
    assert list(map(str, blocked.errors())) == ["cannot schedule new futures after shutdown"]
    (tmp_path / "go").touch()
    pool.shutdown()


def test_shutdown_in_a_done_callback_does_not_wait_for_itself(client: Any) -> None:
    pool = DaskExecutor(client)
    errors: list[Exception] = []

    def shut_down(_: object) -> None:
        try:
            pool.shutdown()
        except Exception as error:
            errors.append(error)

    pool.submit(square, 1).add_done_callback(shut_down)
    spin_until(lambda: len(errors) == 1)
    assert isinstance(errors[0], RuntimeError)
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(square, 1)
    pool.shutdown()


def test_a_client_of_its_own_is_closed_with_the_pool(cluster: Any) -> None:
    with DaskExecutor(cluster.scheduler_address) as pool:
        client = pool.client
        assert pool.submit(square, 4).result(TIMEOUT_SECONDS) == 16
    assert client.status == "closed"
    unused = DaskExecutor(cluster.scheduler_address)
    client = unused.client
    unused.shutdown()
    assert client.status == "closed"


def test_a_pool_that_is_dropped_ends(cluster: Any, client: Any, tmp_path: Path) -> None:
    pool = DaskExecutor(client)
    future = pool.submit(wait_for_file, str(tmp_path / "go"))
    dropped = weakref.ref(pool)
    del pool
    gc.collect()
    assert dropped() is None
    (tmp_path / "go").touch()
    assert future.result(TIMEOUT_SECONDS) == "go"
    spin_until(lambda: not threads_of_pools())
    own = DaskExecutor(cluster.scheduler_address).client
    gc.collect()
    spin_until(lambda: own.status == "closed")


def test_nothing_keeps_results_and_calls_alive(pool: Any) -> None:
    class Thing:
        pass

    future = pool.submit(lambda thing: thing, Thing())
    result = weakref.ref(future.result(TIMEOUT_SECONDS))
    call = weakref.ref(future)
    del future
    spin_until(lambda: (gc.collect(), result() is None and call() is None)[1])


class Thing:
    pass


def make_a_thing(_: object) -> Thing:
    return Thing()


@pytest.mark.parametrize("chunksize", [1, 2])
def test_results_of_map_are_freed_without_the_collector_of_cycles(pool: Any, chunksize: int) -> None:
    gc.disable()
    try:
        results = [weakref.ref(thing) for thing in pool.map(make_a_thing, range(6), chunksize=chunksize)]
        spin_until(lambda: not any(result() for result in results))
    finally:
        gc.enable()


def test_submit_in_a_destructor(pool: Any) -> None:
    futures: list[Any] = []

    class Dropped:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            futures.append(pool.submit(square, 3))

    for _ in range(50):
        Dropped()
        pool.submit(square, 2)
    # While another thread runs the collector, collect() does nothing.
    spin_until(lambda: gc.collect() >= 0 and len(futures) == 50)
    assert [future.result(TIMEOUT_SECONDS) for future in futures] == [9] * 50


def test_many_threads_submit_at_the_same_time(client: Any) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with DaskExecutor(client, max_pending=10) as pool:
            results: list[list[int]] = []

            def submit() -> None:
                futures = [pool.submit(square, number) for number in range(20)]
                results.append([future.result(TIMEOUT_SECONDS) for future in futures])

            threads = [threading.Thread(target=submit) for _ in range(5)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(TIMEOUT_SECONDS)
    finally:
        sys.setswitchinterval(interval)
    assert results == [[number * number for number in range(20)]] * 5
    assert pool.stats()[1:4] == (0, 0, 100)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_is_told_to_make_its_own_client(client: Any) -> None:
    pool = DaskExecutor(client)
    assert pool.submit(square, 2).result(TIMEOUT_SECONDS) == 4
    child = os.fork()
    if child == 0:
        code = 1
        try:
            try:
                pool.submit(square, 2)
            except RuntimeError as error:
                code = 0 if "does not survive a fork" in str(error) else 2
            pool.shutdown()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert pool.submit(square, 3).result(TIMEOUT_SECONDS) == 9
    pool.shutdown()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("is_known", [True, False])
def test_a_forked_child_cannot_make_a_pool_on_the_client_of_its_parent(client: Any, is_known: bool) -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if not is_known:
                # As if the module was imported here for the first time.
                _errors._clients_of_the_parent.clear()
            DaskExecutor(client)
        except RuntimeError as error:
            code = 0 if "does not survive a fork" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with DaskExecutor(client) as pool:
        assert pool.submit(square, 3).result(TIMEOUT_SECONDS) == 9


IN_A_WORKER = """
from distributed import Client, LocalCluster, get_client, secede

def nested():
    from oxthreads.dask import DaskExecutor
    secede()
    with DaskExecutor(get_client()) as pool:
        return pool.submit(pow, 2, 5).result()

if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster:
        with Client(cluster) as client:
            print(client.submit(nested).result())
"""


def test_a_worker_in_which_a_pool_was_used_ends_without_a_word(tmp_path: Path) -> None:
    script = tmp_path / "nested.py"
    script.write_text(IN_A_WORKER)
    ended = run_script(script)
    assert (ended.returncode, ended.stdout.split()) == (0, ["32"]), ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_pool_that_has_ended_does_not_ask_its_client_at_exit(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = DaskExecutor(client)
    assert pool.submit(square, 2).result(TIMEOUT_SECONDS) == 4
    pool.shutdown()
    # As one of a worker that is half gone, of which every attribute fails.
    monkeypatch.setattr(pool._link, "client", None)
    pool._link.join()


def test_a_pool_that_cannot_be_ended_at_exit_leaves_the_others_to_end(
    client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[Any] = []

    class Broken:
        def close(self, *, at_exit: bool) -> None:
            raise AttributeError("gone")

        def join(self) -> None:
            ended.append(self)

    monkeypatch.setattr(_executor, "Link", Broken)
    monkeypatch.setattr(_executor, "_links", [Broken()])
    _executor._end_all()
    assert len(ended) == 1
    assert "could not be ended" in caplog.text


AT_EXIT = """
import sys
from distributed import Client
from oxthreads.dask import DaskExecutor

pool = DaskExecutor(sys.argv[1])
client = Client(sys.argv[1])
other = DaskExecutor(client)
idle = DaskExecutor(client)
from tests.dask.calls import wait_for_file
pool.submit(wait_for_file, sys.argv[2]).add_done_callback(lambda future: print(future.result()))
other.submit(wait_for_file, sys.argv[2]).add_done_callback(lambda future: print(future.result()))
open(sys.argv[2], "w").close()
"""

CLOSED_BEFORE = """
import sys
from distributed import Client
from oxthreads.dask import DaskExecutor
from tests.dask.calls import wait_for_file

client = Client(sys.argv[1])
pool = DaskExecutor(client)
future = pool.submit(wait_for_file, sys.argv[2])
client.close()
print(type(future.exception()).__name__)
"""


def test_the_calls_of_a_pool_end_before_the_interpreter(cluster: Any, tmp_path: Path) -> None:
    name = str(tmp_path / "go")
    ended = run_in_tree(AT_EXIT, cluster.scheduler_address, name)
    assert (ended.returncode, ended.stdout.split()) == (0, ["go", "go"]), ended.stderr


def test_an_interpreter_whose_client_is_closed_ends(cluster: Any, tmp_path: Path) -> None:
    name = str(tmp_path / "go")
    ended = run_in_tree(CLOSED_BEFORE, cluster.scheduler_address, name)
    assert (ended.returncode, ended.stdout.split()) == (0, ["ClusterLost"]), ended.stderr
    Path(name).touch()


WITHOUT = """
import sys
sys.modules["distributed"] = None
import oxthreads
try:
    import oxthreads.dask
except ImportError as error:
    print(error)
"""


def test_without_distributed_the_import_says_what_to_install() -> None:
    ended = python(WITHOUT, runner=False)
    assert "pip install 'oxthreads[dask]'" in ended.stdout, ended.stderr


def test_distributed_is_imported_only_with_the_module() -> None:
    code = (
        "import sys, oxthreads.concurrent.futures, oxthreads.tasks, oxthreads.processes;"
        "print('dask' in sys.modules, 'distributed' in sys.modules, 'oxthreads.dask' in sys.modules)"
    )
    assert python(code, runner=False).stdout.split() == ["False"] * 3
    code = "import oxthreads.dask, dask, sys; print('oxthreads' in dask.__file__.split('/')[-3:])"
    assert python(code, runner=False).stdout.split() == ["False"]
