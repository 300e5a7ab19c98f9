"""The order in which children run, and how many run at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Thread

from tests.stress.attack import Attack, Outcome, Program, kill_children

#: Seconds between two looks for a signal. A wait of the standard library misses a signal that comes just
#: before it sleeps, or that goes to another thread. It sees the signal only when its sleep ends.
LOOKS = 0.5

#: An attack, and those of its programs that are to be run.
Request = tuple[Attack, list[Program]]


def outcomes(
    requests: Iterable[Request], children: int, run: Callable[[Program], Outcome]
) -> Generator[tuple[Attack, Outcome | None], None, None]:
    """Run every program, and yield how each ended, as soon as it ends. None means the end of the attack.

    At most `children` children run at once. They may belong to several attacks, because some attacks have a
    single child that takes an hour. The children that may take longest come first. Those that measure time
    come last, one by one.
    """
    every = sorted(requests, key=_longest, reverse=True)
    yield from _side_by_side([each for each in every if not each[0].alone], children, run)
    yield from _side_by_side([each for each in every if each[0].alone], 1, run)


def _longest(request: Request) -> float:
    return max((program.seconds for program in request[1]), default=0)


def _side_by_side(
    requests: list[Request], children: int, run: Callable[[Program], Outcome]
) -> Iterator[tuple[Attack, Outcome | None]]:
    left = Counter({attack.name: len(programs) for attack, programs in requests})
    for attack, programs in requests:
        if not programs:
            yield attack, None
    waiting = ((attack, program) for attack, programs in requests for program in programs)
    executor = ThreadPoolExecutor(children)
    running: dict[Future[Outcome], Attack] = {}
    try:
        while True:
            while len(running) < children and (following := next(waiting, None)) is not None:
                attack, program = following
                running[executor.submit(run, program)] = attack
            if not running:
                return
            for future in wait(running, LOOKS, return_when=FIRST_COMPLETED).done:
                attack = running.pop(future)
                yield attack, future.result()
                left[attack.name] -= 1
                if not left[attack.name]:
                    yield attack, None
    finally:
        _leave(executor)


def _leave(executor: ThreadPoolExecutor) -> None:
    """Shut the executor down. If it is left early, kill the children that still run."""
    ending = Thread(target=executor.shutdown, kwargs={"cancel_futures": True})
    ending.start()
    while ending.is_alive():  # a child may be starting just now
        kill_children()
        ending.join(0.1)
