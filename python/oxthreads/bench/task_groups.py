"""Scenarios of `oxthreads.tasks`: calls in groups of tasks, and the end of calls that wait.

The baseline is what the same calls cost without a group, in a pool of oxthreads.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from oxthreads.tasks import TaskGroup

from .added_locks import BASELINE, multiple
from .libraries import Library, ours, standard
from .rounds import Round, alone, interleave
from .scenario import OXTHREADS, STANDARD, Goal, Kind, Outcome, Scenario, Settings, Unit, times

#: What the other contender is called.
ASYNCIO = "asyncio"

TASKS = Kind(
    "tasks",
    "Time of a call in a group of tasks. standard: the same calls in a standard pool, without a group. "
    f"{ASYNCIO}: its TaskGroup, with calls in such a pool. Multiple: oxthreads / the baseline, which the list"
    " of scenarios names.",
    Unit.SECONDS,
    multiple,
    "multiple",
    times,
    at_least=False,
)

WORKERS = 4

#: The calls of a small group.
FEW = 4

#: Seconds in which threads fall asleep that have nothing else to do.
UNTIL_ASLEEP = 0.05

#: Makes the rounds of the contenders that are no peers.
Prepare = Callable[[ExitStack, int], dict[str, Round]]

#: Makes the round of a peer.
PreparePeer = Callable[[Library, int], Round]


def one_group(stack: ExitStack, operations: int) -> dict[str, Round]:
    """Submit all calls, and ask for all results, in pools that are there already."""

    def in_a_pool(pool: Any) -> None:
        futures = [pool.submit(abs, -1) for _ in range(operations)]
        for future in futures:
            future.result()

    def in_a_group(pool: Any) -> None:
        with TaskGroup(pool) as group:
            futures = [group.submit(abs, -1) for _ in range(operations)]
        for future in futures:
            future.result()

    our_pool = stack.enter_context(ours().ThreadPoolExecutor(WORKERS))
    standard_pool = stack.enter_context(standard().ThreadPoolExecutor(WORKERS))
    return {
        BASELINE: alone(lambda: in_a_pool(our_pool)),
        OXTHREADS: alone(lambda: in_a_group(our_pool)),
        STANDARD: alone(lambda: in_a_pool(standard_pool)),
        ASYNCIO: alone(lambda: call_in_asyncio(standard_pool, 1, operations)),
    }


def small_groups(stack: ExitStack, operations: int) -> dict[str, Round]:
    """Make a group or a pool for a few calls, again and again."""
    turns = max(1, operations // FEW)

    def in_pools(library: Library) -> None:
        for _ in range(turns):
            with library.ThreadPoolExecutor(FEW) as pool:
                futures = [pool.submit(abs, -1) for _ in range(FEW)]
            for future in futures:
                future.result()

    def in_groups() -> None:
        for _ in range(turns):
            with TaskGroup() as group:
                futures = [group.submit(abs, -1) for _ in range(FEW)]
            for future in futures:
                future.result()

    standard_pool = stack.enter_context(standard().ThreadPoolExecutor(FEW))
    return {
        BASELINE: alone(lambda: in_pools(ours())),
        OXTHREADS: alone(in_groups),
        STANDARD: alone(lambda: in_pools(standard())),
        ASYNCIO: alone(lambda: call_in_asyncio(standard_pool, turns, FEW)),
    }


def call_in_asyncio(pool: Any, groups: int, calls: int) -> None:
    """Call a function in the pool, from groups of asyncio."""
    import asyncio  # noqa: PLC0415 - not for the other scenarios

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def call() -> Any:
            return await loop.run_in_executor(pool, abs, -1)

        for _ in range(groups):
            async with asyncio.TaskGroup() as group:
                for _ in range(calls):
                    group.create_task(call())

    asyncio.run(main())


def call_in_groups(peer: Library, operations: int) -> Round:
    """Let a peer make one group for all calls."""
    return alone(lambda: peer.call_in_tasks(1, operations, WORKERS))


def call_in_small_groups(peer: Library, operations: int) -> Round:
    """Let a peer make a group for a few calls, again and again."""
    return alone(lambda: peer.call_in_tasks(max(1, operations // FEW), FEW, FEW))


def waiting_calls(stack: ExitStack, operations: int) -> dict[str, Round]:
    """End calls that wait. Without a group, that means to set the event for which they wait."""

    def ended_by_an_event(library: Library, pool: Any) -> int:
        begun: list[None] = []
        event = library.Event()

        def wait() -> None:
            begun.append(None)
            event.wait()

        futures = [pool.submit(wait) for _ in range(operations)]
        until_all_wait(begun, operations)
        begin = time.perf_counter_ns()
        event.set()
        for future in futures:
            future.result()
        return time.perf_counter_ns() - begin

    def cancelled(pool: Any) -> int:
        begun: list[None] = []
        event = ours().Event()

        def wait() -> None:
            begun.append(None)
            event.wait()

        with TaskGroup(pool) as group:
            for _ in range(operations):
                group.start_soon(wait)
            until_all_wait(begun, operations)
            begin = time.perf_counter_ns()
            group.cancel()
        return time.perf_counter_ns() - begin

    our_pool = stack.enter_context(ours().ThreadPoolExecutor(operations))
    standard_pool = stack.enter_context(standard().ThreadPoolExecutor(operations))
    return {
        BASELINE: lambda: ended_by_an_event(ours(), our_pool),
        OXTHREADS: lambda: cancelled(our_pool),
        STANDARD: lambda: ended_by_an_event(standard(), standard_pool),
    }


def until_all_wait(begun: list[None], calls: int) -> None:
    """Return when so many calls have begun, and sleep."""
    while len(begun) < calls:
        time.sleep(0.001)
    time.sleep(UNTIL_ASLEEP)


def cancel_calls(peer: Library, operations: int) -> Round:
    """Let a peer cancel calls that wait."""

    def cancel() -> int:
        elapsed: int = peer.cancel_tasks(operations, UNTIL_ASLEEP)
        return elapsed

    return cancel


@dataclass(frozen=True)
class TaskScenario(Scenario):
    """Compares groups of tasks with the same calls without a group, and with the groups of peers."""

    prepare: Prepare = field(kw_only=True)
    prepare_peer: PreparePeer = field(kw_only=True)
    needs: tuple[str, ...] = field(kw_only=True)
    """What a peer must have."""

    @property
    def kind(self) -> Kind:
        return TASKS

    def measure(self, settings: Settings) -> Outcome:
        operations = settings.divided(self.operations)
        with ExitStack() as stack:
            rounds = self.prepare(stack, operations)
            for library in settings.libraries:
                if library.has(*self.needs):
                    rounds[library.name] = self.prepare_peer(library, operations)
            return interleave(rounds, settings, operations)


SCENARIOS = (
    TaskScenario(
        "tasks-burst", "10,000 tasks in a group",
        f"{WORKERS} workers call `abs(-1)`. Baseline: `submit` and `result` of our pool.",
        operations=10_000, threads=WORKERS + 1, goal=Goal(1.3), prepare=one_group,
        prepare_peer=call_in_groups, needs=("call_in_tasks",),
    ),
    TaskScenario(
        "tasks-small", f"groups of {FEW} tasks",
        f"A new group with threads of its own for {FEW} calls. Baseline: our pool, made for {FEW} calls.",
        operations=400, threads=FEW + 1, prepare=small_groups, prepare_peer=call_in_small_groups,
        needs=("call_in_tasks",),
    ),
    TaskScenario(
        "tasks-cancelled", "1,000 tasks that wait are cancelled",
        "Until all have ended; an operation is one task. Baseline: our Event, for which all wait, is set.",
        operations=1_000, threads=1_001, prepare=waiting_calls, prepare_peer=cancel_calls,
        needs=("cancel_tasks",),
    ),
)  # fmt: skip
