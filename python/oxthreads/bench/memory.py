"""Memory: the bytes of one idle object, and the peak of a process that holds many objects.

Each number comes from a child process that does nothing else. For the bytes of an object, the child makes
100,000 objects; the growth of its resident memory is divided by their number. So the number includes all
memory, not only that of Python's allocator. The peak of a process is what the kernel reports; it
includes the interpreter and the imported modules.
"""

from __future__ import annotations

from dataclasses import dataclass

from oxthreads.comparison.measurement import BackEnd

from .children import OURS, PLAIN, Children, children, peak_memory
from .scenario import BenchmarkError, Goal, Kind, Outcome, Samples, Scenario, Settings, Unit, ratio, times

#: More rounds would only repeat the same numbers.
MOST_ROUNDS = 3

MEMORY = Kind(
    "memory",
    "Bytes, of one idle object, and at the peak of a process. Ratio: standard / oxthreads.",
    Unit.BYTES,
    ratio,
    "ratio",
    times,
)

OBJECT = """
import os
from {module} import {name} as make

def in_use():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

kept = [0] * {count}
first = make({arguments})
before = in_use()
for place in range({count}):
    kept[place] = make({arguments})
print((in_use() - before) / {count})
"""

QUEUED = """
from {module} import Queue
items = Queue()
for number in range({count}):
    items.put(number)
"""

PENDING = """
from {module} import ThreadPoolExecutor
from _thread import allocate_lock
gate = allocate_lock()
gate.acquire()
with ThreadPoolExecutor(1) as executor:
    executor.submit(gate.acquire)
    futures = [executor.submit(abs, -1) for _ in range({count})]
    for future in futures:
        future.cancel()
    gate.release()
"""

MODULES = {"threading": "threading", "queue": "queue", "futures": "concurrent.futures"}


@dataclass(frozen=True)
class MemoryScenario(Scenario):
    """Runs a program with the standard library and with oxthreads, and compares the memory."""

    program: str = ""
    module: str = ""
    made: str = ""
    """The type of the objects, which is called with `arguments`. Empty if the peak is measured."""
    arguments: str = ""

    @property
    def kind(self) -> Kind:
        return MEMORY

    def measure(self, settings: Settings) -> Outcome:
        samples: Samples = {back_end.name: [] for back_end in (PLAIN, OURS)}
        with children() as run:
            for _ in range(min(settings.rounds, MOST_ROUNDS)):
                for back_end in (PLAIN, OURS):
                    samples[back_end.name].append(self._bytes(run, back_end, settings))
        return Outcome(samples)

    def _bytes(self, children: Children, back_end: BackEnd, settings: Settings) -> float:
        module = MODULES[self.module]
        code = self.program.format(
            module=f"oxthreads.{module}" if back_end is OURS else module,
            name=self.made,
            arguments=self.arguments,
            count=settings.divided(self.operations),
        )
        run = children.run(back_end, ["-c", code])
        if not self.made:
            return peak_memory(run)
        printed = run.stdout.path.read_text()
        try:
            return float(printed)
        except ValueError:
            raise BenchmarkError(f"{back_end.name}: the child printed {printed!r}") from None


def _object(name: str, module: str, made: str, arguments: str = "") -> MemoryScenario:
    return MemoryScenario(
        f"memory-{name}", f"{made}, bytes", "One object, for which no thread waits.",
        operations=100_000, threads=1, goal=Goal(1.0), program=OBJECT, module=module, made=made,
        arguments=arguments,
    )  # fmt: skip


SCENARIOS = (
    _object("lock", "threading", "Lock"),
    _object("rlock", "threading", "RLock"),
    _object("condition", "threading", "Condition"),
    _object("semaphore", "threading", "Semaphore"),
    _object("event", "threading", "Event"),
    _object("barrier", "threading", "Barrier", "2"),
    _object("queue", "queue", "Queue"),
    _object("simple-queue", "queue", "SimpleQueue"),
    _object("future", "futures", "Future"),
    MemoryScenario(
        "memory-queued-items", "1,000,000 queued items, peak", "Numbers in a Queue; the whole process.",
        operations=1_000_000, threads=1, goal=Goal(1.0), program=QUEUED, module="queue",
    ),
    MemoryScenario(
        "memory-pending-futures", "100,000 pending futures, peak",
        "Calls submitted to a pool whose worker is busy, and their futures; the whole process.",
        operations=100_000, threads=2, goal=Goal(1.0), program=PENDING, module="futures",
    ),
)  # fmt: skip
