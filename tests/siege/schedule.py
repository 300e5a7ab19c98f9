"""Which children run when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Thread

from .attack import Attack, Outcome, Program, kill_children

#: Seconds between two looks for a signal. One that comes just before the main thread sleeps in a lock of the
#: standard library, or to another thread, is noticed only when that sleep ends.
LOOKS = 0.5

#: What is asked for of an attack.
Request = tuple[Attack, list[Program]]


def outcomes(
    requests: Iterable[Request], children: int, run: Callable[[Program], Outcome]
) -> Generator[tuple[Attack, Outcome | None], None, None]:
    """Run every program, and yield how each ended as it does; None is the end of the attack.

    So many children run at once, also of several attacks: some have one only, which takes an hour. Those
    that may take the longest begin. After all the others come the children that measure time, one by one.
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
    """End it with the children that still run, if it is left early."""
    ending = Thread(target=executor.shutdown, kwargs={"cancel_futures": True})
    ending.start()
    while ending.is_alive():  # one may just be starting
        kill_children()
        ending.join(0.1)
