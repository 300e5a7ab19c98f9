"""Forks, and other ways to start a process: the child can use everything, and the parent is not affected."""

from __future__ import annotations

from collections.abc import Iterator

from tests.stress.attack import Attack, Program
from tests.stress.inside.forks import FORKERS, LOADS
from tests.stress.inside.processes import METHODS

#: Python warns about a fork in a process that has threads. These tests fork on purpose.
_QUIETLY = ("-W", "ignore:.*fork.*:DeprecationWarning")

#: The most seconds that the start of a child may take, and one fork or process in it.
_START, _EACH_FORK, _EACH_PROCESS = 60.0, 0.5, 5.0


def _forks(count: int) -> Iterator[Program]:
    each = -(-count // (len(FORKERS) * len(LOADS)))
    for forker in FORKERS:
        for load in LOADS:
            yield Program(
                name=f"{forker}, {load}",
                arguments=(*_QUIETLY, "-m", "tests.stress.inside.forks", forker, load, str(each)),
                counts=each,
                seconds=_START + _EACH_FORK * each,
            )


def _processes(count: int) -> Iterator[Program]:
    for method in METHODS:
        for start, runner in {"runner": ("-m", "oxthreads"), "plain": ()}.items():
            yield Program(
                name=f"{method}, {start}",
                arguments=(*_QUIETLY, *runner, "-m", "tests.stress.inside.processes", method, str(count)),
                counts=count,
                seconds=_START + _EACH_PROCESS * count,
            )


ATTACKS = [
    Attack(
        name="fork",
        about="forks by the main thread, a thread and a pool's worker, while others wait or are busy",
        full=10_000,
        quick=150,
        programs=_forks,
    ),
    Attack(
        name="processes",
        about="processes by each method of multiprocessing, subprocess and posix_spawn, while threads wait",
        full=200,
        quick=3,
        programs=_processes,
    ),
]
