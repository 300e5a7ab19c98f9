"""A soak: several threads use every type at random, with very frequent thread switches.

``python -m tests.stress.inside.soak SECONDS [SEED [KIND]]`` runs one round after another: of every kind, of
one, or of a group of kinds, such as ``channels``. A round has one object and a few threads. In many rounds, a
timer interrupts the waits of the main thread. After each round, every item must have been taken, permits and
tokens must balance, and every future must be done. If nothing moves for 20 seconds, all stacks are printed
and the process ends. The default seed is the time.
"""

from __future__ import annotations

import logging
import random
import sys
import time
import traceback
from collections import Counter
from typing import Any

from tests.stress.inside import soak_channels, soak_lines, soak_locks, soak_pools, soak_queues, soak_tasks
from tests.stress.inside.soak_round import Actor, Interrupted, Interrupts, Watchdog

GROUPS = {
    "locks": soak_locks.ROUNDS,
    "lines": soak_lines.ROUNDS,
    "queues": soak_queues.ROUNDS,
    "pools": soak_pools.ROUNDS,
    "channels": soak_channels.ROUNDS,
    "tasks": soak_tasks.ROUNDS,
}
ROUNDS = [kind for kinds in GROUPS.values() for kind in kinds]


def main(seconds: float, seed: int, only: str | None = None) -> int:
    """Run rounds for this many seconds, with a random order that `seed` decides. Return how many failed."""
    print(f"seed {seed}", flush=True)
    chance = random.Random(seed)
    actors: list[Actor] = []
    counts: Counter[str] = Counter()
    failed = 0
    rounds = GROUPS.get(only or "") or [each for each in ROUNDS if only in (None, each.__name__)]
    deck: list[Any] = []
    done = 0
    interrupts = Interrupts()
    unraisable = sys.unraisablehook

    def show(args: Any) -> None:
        # The signal may come while the callback of a weak reference runs.
        if not isinstance(args.exc_value, Interrupted):
            unraisable(args)

    sys.unraisablehook = show
    logging.disable()  # for futures in an unexpected state, and callbacks that raise
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    end = time.monotonic() + seconds
    try:
        with Watchdog(lambda: sum(actor.operations for actor in [*actors]) + sum(counts.values())):
            while time.monotonic() < end:
                if not deck:  # each kind equally often, also in a short soak
                    deck = chance.sample(rounds, len(rounds))
                kind = deck.pop()
                name = f"{kind.__name__} {seed}.{done}"
                made = kind(name)
                try:
                    made.run(interrupts, actors.append)
                except BaseException:
                    failed += 1
                    print(f"{name}: {str(vars(made))[:2000]}", file=sys.stderr)
                    traceback.print_exc()
                counts[kind.__name__] += sum(actor.operations for actor in actors)
                actors.clear()
                done += 1
    finally:
        sys.setswitchinterval(interval)
        sys.unraisablehook = unraisable
    by_kind = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    print(
        f"seed {seed}, {done} rounds, {sum(counts.values()):,} operations ({by_kind}), "
        f"{interrupts.raised:,} interrupts, {seconds:.0f} s, {failed} failed",
        flush=True,
    )
    return failed


if __name__ == "__main__":
    _seed = int(sys.argv[2]) if sys.argv[2:] else int(time.time())
    sys.exit(bool(main(float(sys.argv[1]), _seed, *sys.argv[3:])))
