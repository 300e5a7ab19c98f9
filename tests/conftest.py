"""What the tests share: both back ends, child interpreters, and threads that are truly asleep."""

from __future__ import annotations

import concurrent.futures
import gc
import os
import queue
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest

import oxthreads.concurrent.futures
import oxthreads.queue
import oxthreads.threading
import parallel

#: Whether this interpreter counts references without a lock: what one thread has made and another was
#: the last to let go of is freed when the first executes bytecode again.
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

#: Seconds after which something that should have happened long ago is a failure.
PATIENCE = 30.0

#: So often in a row a thread has to be found asleep. Where tests are run side by side, more often: what it
#: sleeps for may be a mutex whose owner waits for its turn on a processor.
looks_until_asleep = 5


@dataclass(frozen=True)
class BackEnd:
    """The three modules of one of the two libraries."""

    name: str
    threading: Any
    queue: Any
    futures: Any

    def __repr__(self) -> str:
        return self.name


def _standard_futures() -> ModuleType:
    return concurrent.futures


STANDARD = BackEnd("standard", threading, queue, _standard_futures())
OXTHREADS = BackEnd("oxthreads", oxthreads.threading, oxthreads.queue, oxthreads.concurrent.futures)


@pytest.fixture(params=[STANDARD, OXTHREADS], ids=repr)
def library(request: pytest.FixtureRequest) -> BackEnd:
    """Each of the two back ends: what holds for ours holds for the standard library."""
    back_end: BackEnd = request.param
    return back_end


@hypothesis.settings(max_examples=1, database=None)
@hypothesis.given(hypothesis.strategies.none())
def _run_hypothesis_once(_: None) -> None:
    """What hypothesis makes in its first run, and looks for with the collector, it has from now on."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Prepare the tests for `--parallel-threads`, an option of a plugin that need not be there."""
    global looks_until_asleep  # noqa: PLW0603
    if config.getoption("parallel_threads", 1) not in (1, "1"):
        looks_until_asleep = 25
        for item in items:
            if isinstance(item, pytest.Function):
                parallel.prepare(item)


def pytest_collection_finish() -> None:
    """Take what exists by now out of the sight of the collector, which many tests have run all the time."""
    _run_hypothesis_once()
    gc.collect()
    gc.freeze()


@pytest.fixture
def frantic() -> Any:
    """Threads are switched as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def spin_until(condition: Callable[[], object]) -> None:
    """Give way to other threads until the condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"still not so after {PATIENCE} s"
        os.sched_yield() if hasattr(os, "sched_yield") else time.sleep(0)


def times_run(proc: Path) -> str:
    """How often the kernel has let a thread run, by its folder in /proc; nothing where that is not told."""
    try:
        return (proc / "schedstat").read_text().split()[-1]
    except FileNotFoundError:
        return ""


def until_asleep(*threads: threading.Thread) -> None:
    """Return once the threads sleep in the kernel, and not only because this one has the GIL."""
    for thread in threads:
        spin_until(lambda thread=thread: thread.native_id)  # type: ignore[misc]
        proc = Path(f"/proc/self/task/{thread.native_id}")
        looks, turns = 0, ""

        def sleeps(proc: Path = proc, thread: threading.Thread = thread) -> bool:
            nonlocal looks, turns
            assert thread.is_alive(), "it has ended instead"
            # A thread that waits for the GIL gets it between two looks, or runs only to wait again.
            time.sleep(0.0005)
            sleeps = (proc / "stat").read_text().rpartition(")")[2].split()[0] == "S"
            before, turns = turns, times_run(proc)
            looks = looks + 1 if sleeps and turns == before else 0
            return looks > looks_until_asleep

        spin_until(sleeps)


def start(target: Callable[..., object], *args: object, daemon: bool = True) -> threading.Thread:
    """A started thread."""
    thread = threading.Thread(target=target, args=args, daemon=daemon)
    thread.start()
    return thread


class Result:
    """What a function came to in a thread of its own."""

    def __init__(self, function: Callable[..., Any], *args: Any, **keywords: Any) -> None:
        self.value: Any = None
        self.error: BaseException | None = None

        def run() -> None:
            try:
                self.value = function(*args, **keywords)
            except BaseException as error:
                self.error = error

        self.thread = start(run)

    def get(self) -> Any:
        """The value, once it is there; raises what the function raised."""
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), "it hangs"
        if self.error is not None:
            raise self.error
        return self.value


def refusal(function: Any, *args: Any, **keywords: Any) -> tuple[type[BaseException], str]:
    """The type and the words of what the call raises."""
    with pytest.raises(BaseException) as caught:
        function(*args, **keywords)
    return caught.type, str(caught.value)


def python(
    code: str, *arguments: str, runner: bool = True, timeout: float = PATIENCE, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run code in a child interpreter: by ``python -m oxthreads``, or plainly."""
    module = ["-m", "oxthreads"] if runner else []
    env = {name: value for name, value in os.environ.items() if name != "OXTHREADS"}
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", *module, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**env, **environment},
        check=False,
    )
