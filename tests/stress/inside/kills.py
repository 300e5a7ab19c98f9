"""Processes of pools are killed at random, while threads submit calls to the pools.

``python -m tests.stress.inside.kills COUNT [SEED]``: COUNT processes are killed, in rounds. Each round has a
pool with other options. A call must end with its right result, with its own error, with WorkerDied, or, if it
has a time limit, with CallTimeout. After each round, no process, thread, descriptor or memory may be left. If
nothing moves for two minutes, all stacks are printed and the process ends.
"""

from __future__ import annotations

import contextlib
import faulthandler
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.stress.inside import killed_calls as calls

#: After so many seconds without an end of a call, something hangs.
PATIENCE = 120.0

#: The kills of a round.
KILLS = 40

#: The bytes of a large argument or result. The smaller ones go through sockets.
SIZES = [0, 1000, 70_000, 300_000]

#: The time limit of calls that have one. Only processes that were stopped reach it.
LIMIT = 0.5


def processes_left() -> set[int]:
    """The children of this process, and theirs, but for the fork server and the resource tracker."""
    from multiprocessing import forkserver, resource_tracker  # noqa: PLC0415

    kept = {forkserver._forkserver._forkserver_pid, resource_tracker._resource_tracker._pid}  # type: ignore[attr-defined]
    found, look_at = set(), [os.getpid()]
    while look_at:
        folder = Path(f"/proc/{look_at.pop()}/task")
        with contextlib.suppress(OSError):  # it has ended meanwhile
            for thread in folder.iterdir():
                look_at += map(int, (thread / "children").read_text().split())
        found |= {*look_at}
    return found - kept


def left() -> dict[str, Any]:
    """What a pool could leave behind in this process."""
    descriptors: Counter[str] = Counter()
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the folder
            descriptors[os.readlink(each).partition(":")[0]] += 1  # noqa: PTH115
    maps = Path("/proc/self/maps").read_text()
    return {
        "descriptors": +descriptors,
        "threads": {thread.name for thread in threading.enumerate()},
        "memory": maps.count("memfd:oxthreads"),
        "children": multiprocessing.active_children(),
    }


_limiting = threading.Lock()


class Round:
    """One pool, the threads that submit calls, and the one that kills."""

    def __init__(self, number: int, kills: int, seed: str) -> None:
        from oxthreads.processes import ProcessPoolExecutor  # noqa: PLC0415

        self.chance = random.Random(f"{seed} {number}")
        self.kills, self.killed = kills, 0
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self.is_over = False
        options: dict[str, Any] = {
            "max_workers": self.chance.randint(1, 4),
            "max_tasks_per_child": self.chance.choice([None, None, 1, 5]),
            "idle_timeout": self.chance.choice([None, None, 0.001]),
            "initializer": self.chance.choice([None, calls.begin]),
        }
        self.about = f"round {number}, {options}"
        self.pool = ProcessPoolExecutor(mp_context="forkserver", **options)
        #: Each with the largest number of processes that a call may need, and whether it has a time limit.
        self.views: list[tuple[Any, bool]] = [
            (self.pool, False),
            (self.pool.with_options(retries=3), False),
            (self.pool.with_options(timeout=LIMIT), True),
            (self.pool.with_options(timeout=LIMIT, retries=1, priority=-1), True),
        ]

    def run(self) -> None:
        """Submit and kill until enough processes were killed, and shut the pool down."""
        chances = [random.Random(self.chance.random()) for _ in range(4)]
        submitters = [threading.Thread(target=self.submit, args=(chance,)) for chance in chances]
        killer = threading.Thread(target=self.kill, args=(random.Random(self.chance.random()),))
        for thread in (*submitters, killer):
            thread.start()
        for thread in submitters:
            thread.join()
        # It goes on to kill, also those that are to end.
        self.pool.shutdown(cancel_futures=self.chance.random() < 0.5)
        self.is_over = True
        killer.join()

    def kill(self, chance: random.Random) -> None:
        """Kill processes of the pool."""
        stopped: list[int] = []
        seen: set[int] = set()
        while not self.is_over:
            time.sleep(chance.choice([0, 0.001, 0.01, 0.03, 0.1]))
            # A process that is stopped ends only if it is killed, and calls without a limit wait for it.
            if stopped and chance.random() < 0.1:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(stopped.pop(0), signal.SIGKILL)
                    self.killed += 1
            pids = [pid for pid in self.pids() if pid not in seen]
            if not pids:
                continue
            pid = chance.choice(pids)
            seen.add(pid)
            with contextlib.suppress(ProcessLookupError):
                if chance.random() < 0.05 and len(stopped) < 5:
                    os.kill(pid, signal.SIGSTOP)
                    stopped.append(pid)
                    continue
                os.kill(pid, chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
                self.killed += 1
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def pids(self) -> list[int]:
        """The processes of the pool, also those that are to end."""
        found = []
        for child in [*self.pool._settings.children]:
            with contextlib.suppress(ValueError):  # its thread has seen its end
                found.append(child.process.pid)
        return found

    def submit(self, chance: random.Random) -> None:
        """Submit calls, some at once, and check how they end."""
        while self.killed < self.kills:
            pending = []
            for _ in range(chance.choice([1, 1, 3, 10])):
                view, is_limited = chance.choice(self.views)
                size, number = chance.choice(SIZES), chance.randrange(1000)
                kinds: list[tuple[Any, Any, Any]] = [
                    (calls.double, number, 2 * number),
                    (calls.length, bytearray(size), size),
                    (calls.zeros, size, bytearray(size)),
                    (calls.later, number, number),
                    (calls.refuse, number, LookupError),
                ]
                if chance.random() < 0.03:
                    kinds = [
                        (calls.end, number, "death"),
                        (calls.die, number, "death"),
                        (calls.double, calls.KillsItsReader(), "death"),
                        (calls.result_that_kills, number, "death"),
                    ]
                function, argument, expected = chance.choice(kinds)
                pending.append((view.submit(function, argument), function.__name__, expected, is_limited))
            for each in pending:
                self.check(*each)

    def check(self, future: Any, name: str, expected: Any, is_limited: bool) -> None:
        """Wait for the call, and note what is wrong with its end."""
        from oxthreads.processes import CallTimeout, WorkerDied  # noqa: PLC0415

        try:
            error = future.exception(PATIENCE)
        except TimeoutError:
            faulthandler.dump_traceback()
            os._exit(3)
        # Without a GIL, two threads that call it at once crash or hang.
        with _limiting:
            faulthandler.dump_traceback_later(PATIENCE, exit=True)
        if type(error) is WorkerDied:
            self.counts["deaths"] += 1
            if expected == "death":
                self.killed += 1
            if error.exitcode is None:
                self.faults.append(f"{name}: {error!r} without an exit code")
        elif type(error) is CallTimeout and is_limited:
            self.counts["timeouts"] += 1
        elif error is None and expected not in (LookupError, "death") and future.result() == expected:
            self.counts["results"] += 1
        elif type(error) is LookupError and expected is LookupError:
            self.counts["errors"] += 1
        else:
            self.faults.append(f"{name}: {error!r}" if error else f"{name}: the result is wrong")


def main(count: int, seed: str) -> int:
    """Run rounds until so many processes were killed. Return how many faults there were."""
    # Also what this module imports, since each process runs it as its main module.
    multiprocessing.set_forkserver_preload(["oxthreads.processes", calls.__name__, "random", "pathlib"])
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    Round(0, 1, seed).run()  # what multiprocessing keeps
    before = left()
    counts: Counter[str] = Counter()
    killed = number = faults = 0
    begin = time.monotonic()
    while killed < count:
        number += 1
        one = Round(number, min(KILLS, count - killed), seed)
        one.run()
        killed += one.killed
        counts += one.counts
        after = left()
        if after != before:
            one.faults.append(f"left {after}, not {before}")
        end = time.monotonic() + 60
        while processes := processes_left():
            if time.monotonic() > end:
                one.faults.append(f"these processes are left: {processes}")
                break
            time.sleep(0.01)
        for fault in one.faults:
            print(f"{one.about}: {fault}", file=sys.stderr, flush=True)
        faults += len(one.faults)
    faulthandler.cancel_dump_traceback_later()
    found = ", ".join(f"{value:,} {name}" for name, value in sorted(counts.items()))
    print(
        f"seed {seed}, {number} rounds, {killed:,} kills ({found}), {time.monotonic() - begin:.0f} s, "
        f"{faults} faults",
        flush=True,
    )
    return faults


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), sys.argv[2] if sys.argv[2:] else str(int(time.time())))))
