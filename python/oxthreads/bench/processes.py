"""Scenarios of pools of processes, which the libraries of :mod:`.process_pools` have.

The functions that the children call are at the top of modules, since a child imports them by name.
"""

from __future__ import annotations

import functools
import os
import pickle
import signal
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .libraries import Library
from .rounds import Prepare, Round, SpeedScenario, alone, prepared
from .scenario import (
    OXTHREADS,
    STANDARD,
    BenchmarkError,
    Goal,
    Kind,
    Outcome,
    Scenario,
    Settings,
    Unit,
    ratio,
    times,
)

WORKERS = 2
NEEDS = ("ProcessPool",)

#: So many calls are sent to a child at once by ``process-map``.
CHUNK = 100

#: The calls of ``process-death``, and how long one takes, in seconds.
CALLS = 10
SECONDS = 0.05

#: What the contender is called that copies data in one process.
COPY = "memory copy"

#: Touching a byte of each page shows that the memory is there.
PAGE = 4096


def copies(figures: Mapping[str, float]) -> float | None:
    """Return how many memory copies oxthreads takes as long as. None if one is missing."""
    copy, ours = figures.get(COPY), figures.get(OXTHREADS)
    return ours / copy if copy and ours is not None else None


PROCESSES = Kind(
    "processes",
    f"Time of a call in a pool of {WORKERS} processes, which are started by `spawn`. Ratio: standard /"
    " oxthreads.",
    Unit.SECONDS,
    ratio,
    "ratio",
    times,
)

PROCESS_DATA = Kind(
    "process-data",
    f"Time of a call in a pool of {WORKERS} processes, with data as its argument, or as its result. {COPY}:"
    f" of the data, in one process, into new memory. Multiple: oxthreads / {COPY}.",
    Unit.SECONDS,
    copies,
    "multiple",
    times,
    at_least=False,
)

PROCESS_DEATHS = Kind(
    "process-deaths",
    f"How many calls fail of {CALLS} in a pool of {WORKERS} processes, one of which kills its process. Ratio:"
    " standard / oxthreads.",
    Unit.CALLS,
    ratio,
    "ratio",
    times,
    typical=True,
)


class Block:
    """Data that is pickled as an array of NumPy is: by protocol 5 it may travel beside the pickle."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> tuple[type[Block], tuple[object]]:
        return Block, (pickle.PickleBuffer(self.data) if protocol >= 5 else bytes(self.data),)

    def copied(self) -> Block:
        """Return a copy in new memory."""
        return Block(bytearray(self.data))


@functools.cache
def block(size: int) -> Block:
    """Return a block of so many bytes. It is made once in each process."""
    return Block(bytearray(b"\1") * size)


def touch(given: Block) -> int:
    """Read a byte of each page of the block."""
    return len(memoryview(given.data)[::PAGE].tobytes())


def kill_own_process(number: int) -> int:
    """Kill this process if the number is 0. Otherwise, take some time."""
    if number == 0:
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    time.sleep(SECONDS)
    return number


@prepared
def burst(library: Library, operations: int) -> Generator[Round]:
    """Submit all calls, then ask for all results."""
    with library.ProcessPool(WORKERS) as pool:
        yield alone(lambda: pool.many(abs, [-1] * operations))


@prepared
def one_by_one(library: Library, operations: int) -> Generator[Round]:
    """Submit a call when the result of the previous one is there."""
    with library.ProcessPool(WORKERS) as pool:

        def work() -> None:
            for _ in range(operations):
                pool.one(abs, -1)

        yield alone(work)


@prepared
def in_chunks(library: Library, operations: int) -> Generator[Round]:
    """Call ``map`` with many arguments in each message."""
    with library.ProcessPool(WORKERS) as pool:
        yield alone(lambda: pool.in_chunks(abs, [-1] * operations, CHUNK))


def there(size: int) -> Prepare:
    """Send a block of so many bytes to a child."""

    def prepare(library: Library, operations: int) -> Generator[Round]:
        with library.ProcessPool(WORKERS) as pool:
            given = block(size)

            def work() -> None:
                for _ in range(operations):
                    pool.one(touch, given)

            yield alone(work)

    return prepared(prepare)


def back(size: int) -> Prepare:
    """Let a child send a block of so many bytes."""

    def prepare(library: Library, operations: int) -> Generator[Round]:
        with library.ProcessPool(WORKERS) as pool:
            # Each child makes its block before the rounds.
            pool.many(block, [size] * 4 * WORKERS)

            def work() -> None:
                for _ in range(operations):
                    touch(pool.one(block, size))

            yield alone(work)

    return prepared(prepare)


class Copies:
    """No pool: a call in this process, with copies of its argument and of its result."""

    def __init__(self, _workers: int) -> None:
        pass

    def __enter__(self) -> Copies:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def one(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """Call the function."""
        return _copied(function(_copied(argument)))

    def many(self, function: Callable[[Any], Any], arguments: list[Any]) -> list[Any]:
        """Call the function with each argument."""
        return [function(argument) for argument in arguments]


def _copied(value: Any) -> Any:
    return value.copied() if isinstance(value, Block) else value


@dataclass(frozen=True)
class DataScenario(SpeedScenario):
    """Measures calls with much data, beside a copy of it."""

    transfer: Callable[[int], Prepare] = there
    size: int = 0
    """So many bytes."""

    def measure(self, settings: Settings) -> Outcome:
        sized = replace(self, prepare=self.transfer(settings.divided(self.size)))
        copy = Library(COPY, "", {"ProcessPool": Copies})
        return SpeedScenario.measure(sized, replace(settings, libraries=(*settings.libraries, copy)))


@dataclass(frozen=True)
class DeathScenario(Scenario):
    """Counts the calls that fail if one of them kills its process."""

    needs: tuple[str, ...] = NEEDS

    @property
    def kind(self) -> Kind:
        return PROCESS_DEATHS

    def measure(self, settings: Settings) -> Outcome:
        outcome = Outcome({})
        for library in settings.libraries:
            if not library.has(*self.needs):
                continue
            try:
                counts = [_failures(library) for _ in range(min(settings.rounds, 3))]
            except Exception as error:
                if library.name in (STANDARD, OXTHREADS):
                    raise BenchmarkError(f"{library.name}: {type(error).__name__}: {error}") from error
                outcome.failures[library.name] = f"{type(error).__name__}: {error}"
            else:
                outcome.samples[library.name] = counts
        return outcome


def _failures(library: Library) -> float:
    with library.ProcessPool(WORKERS) as pool:
        pool.many(abs, [-1] * 4 * WORKERS)  # so that all children are there
        return float(pool.failures(kill_own_process, range(CALLS)))


SCENARIOS = (
    SpeedScenario(
        "process-burst", "1,000 submit, then result", "Calls of `abs(-1)`; an operation is one call.",
        operations=1_000, threads=3, goal=Goal(2.5), prepare=burst, needs=NEEDS, kind_of=PROCESSES,
    ),
    SpeedScenario(
        "process-one-by-one", "submit, wait, repeat",
        "Each call of `abs(-1)` is submitted when the last result is there.",
        operations=100, threads=3, goal=Goal(5.0), prepare=one_by_one, needs=NEEDS, kind_of=PROCESSES,
    ),
    SpeedScenario(
        "process-map", f"map in chunks of {CHUNK}", "Calls of `abs(-1)`; an operation is one of them.",
        operations=20_000, threads=3, prepare=in_chunks, needs=NEEDS, kind_of=PROCESSES,
    ),
    DataScenario(
        "process-there-1", "1 MB as an argument", "The call reads a byte of each page.",
        operations=20, threads=3, needs=NEEDS, kind_of=PROCESS_DATA, transfer=there, size=10**6,
    ),
    DataScenario(
        "process-back-1", "1 MB as a result", "The program reads a byte of each page.",
        operations=20, threads=3, needs=NEEDS, kind_of=PROCESS_DATA, transfer=back, size=10**6,
    ),
    DataScenario(
        "process-there-100", "100 MB as an argument", "As with 1 MB.",
        operations=1, threads=3, goal=Goal(1.5), needs=NEEDS, kind_of=PROCESS_DATA, transfer=there,
        size=10**8,
    ),
    DataScenario(
        "process-back-100", "100 MB as a result", "As with 1 MB.",
        operations=1, threads=3, goal=Goal(1.5), needs=NEEDS, kind_of=PROCESS_DATA, transfer=back, size=10**8,
    ),
    DeathScenario(
        "process-death", "calls that fail", f"A call kills its process; {CALLS - 1} other calls do not.",
        operations=CALLS, threads=3, goal=Goal(5.0),
    ),
)  # fmt: skip
