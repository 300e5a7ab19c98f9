"""A soak: every type, used at random by several threads that are switched all the time.

``python -m tests.siege.inside.soak SECONDS [SEED [KIND]]`` has round after round, each with one object, a few
threads and, in many, a timer that interrupts the main thread in the midst of what it waits for. After each
round what was put must have been taken, permits and tokens must balance, every future must be done. If
nothing moves for 20 seconds, all stacks are shown and the process ends. Without a seed, the clock gives one.
"""

from __future__ import annotations

import logging
import random
import sys
import time
import traceback
from collections import Counter
from typing import Any

from . import soak_lines, soak_locks, soak_pools, soak_queues
from .soak_round import Actor, Interrupted, Interrupts, Watchdog

ROUNDS = (*soak_locks.ROUNDS, *soak_lines.ROUNDS, *soak_queues.ROUNDS, *soak_pools.ROUNDS)


def main(seconds: float, seed: int, only: str | None = None) -> int:
    """Have rounds for so long, in an order and with chances that `seed` decides; how many failed."""
    print(f"seed {seed}", flush=True)
    chance = random.Random(seed)
    actors: list[Actor] = []
    counts: Counter[str] = Counter()
    failed = 0
    rounds = [each for each in ROUNDS if only in (None, each.__name__)]
    deck: list[Any] = []
    done = 0
    interrupts = Interrupts()
    unraisable = sys.unraisablehook

    def show(args: Any) -> None:
        # A weakref's callback may be what runs when the signal comes.
        if not isinstance(args.exc_value, Interrupted):
            unraisable(args)

    sys.unraisablehook = show
    logging.disable()  # futures in an unexpected state, and what callbacks raise
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    end = time.monotonic() + seconds
    try:
        with Watchdog(lambda: sum(actor.operations for actor in [*actors]) + sum(counts.values())):
            while time.monotonic() < end:
                if not deck:  # each as often as every other, also in a short soak
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
