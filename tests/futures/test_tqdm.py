"""Tests of tqdm's `thread_map`, which makes the standard executor and has arguments of its own."""

from __future__ import annotations

import pytest

from tests.support.interpreters import python

pytestmark = pytest.mark.one_thread("starts child interpreters")

pytest.importorskip("tqdm")

PROGRAM = """if True:
    import threading
    INSTALL
    from tqdm.contrib.concurrent import thread_map
    pools = set()
    def call(number, factor=3):
        pools.add(type(threading.current_thread()))
        return number * factor
    results = thread_map(call, range(200), max_workers=3, disable=None, chunksize=2)
    print(results == [n * 3 for n in range(200)])
    print(thread_map(call, range(5), range(5), max_workers=3, total=5, desc="told"))
    import concurrent.futures, oxthreads._oxthreads, oxthreads.threading
    print(*[issubclass(thread, oxthreads.threading.Thread) for thread in pools])
    executor = concurrent.futures.ThreadPoolExecutor
    print(issubclass(executor, oxthreads._oxthreads.ThreadPoolExecutor))
    try:
        thread_map(divmod, [1, 2], [1, 0], disable=True)
    except ZeroDivisionError as error:
        print(type(error).__name__)
"""

INSTALL = "import oxthreads.patch; oxthreads.patch.install()"


@pytest.mark.parametrize("way", ["standard", "runner", "install"])
def test_thread_map_uses_the_executor_of_the_patch_if_it_is_installed(way: str) -> None:
    install = INSTALL if way == "install" else "pass"
    done = python(PROGRAM.replace("INSTALL", install), runner=way == "runner")
    assert done.returncode == 0, done.stderr
    equal, product, threads, executor, error = done.stdout.splitlines()
    assert (equal, product, error) == ("True", "[0, 1, 4, 9, 16]", "ZeroDivisionError")
    assert threads == executor == str(way != "standard")
    # tqdm may end the bar before its last done callback runs. So the final count is not checked.
    assert "told: " in done.stderr
