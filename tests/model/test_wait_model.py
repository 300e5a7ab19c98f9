"""`wait` and `as_completed` give the standard results after each of many random steps."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.back_ends import OXTHREADS
from tests.support.mixed_futures import MAKERS, observers

STEPS: dict[str, Callable[[Any], object]] = {
    "begin": lambda future: future.set_running_or_notify_cancel(),
    "cancel": lambda future: future.cancel(),
    "return": lambda future: future.set_result(1),
    "raise": lambda future: future.set_exception(KeyError()),
    "raise nothing": lambda future: future.set_exception(None),
    "fall back to the standard library": lambda future: future._condition and None,
}
DONE = ("CANCELLED_AND_NOTIFIED", "FINISHED")


class Side:
    """A library and its futures. Each future goes through the same steps as one of the other library."""

    def __init__(self, functions: Any, futures: list[Any]) -> None:
        self.functions, self.futures = functions, futures
        self.iterator = functions.as_completed(futures)
        self.next()

    def numbers(self, futures: Any) -> list[int]:
        return sorted(self.futures.index(future) for future in futures)

    def next(self) -> int:
        return self.futures.index(next(self.iterator))

    def step(self, number: int, step: str) -> list[Any]:
        seen: list[Any] = []
        try:
            seen.append(STEPS[step](self.futures[number]))
        except (RuntimeError, concurrent.futures.InvalidStateError) as error:
            seen.append(type(error))
        for when in (FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED):
            result = self.functions.wait(self.futures, 0, when)
            seen += [self.numbers(result.done), self.numbers(result.not_done)]
        return seen


# On a busy machine, it may take long to make the examples.
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    makers=st.lists(st.sampled_from(sorted(MAKERS)), min_size=1, max_size=5),
    steps=st.lists(st.tuples(st.integers(0, 4), st.sampled_from([*STEPS]), st.booleans()), max_size=25),
)
def test_wait_and_as_completed_behave_as_the_standard_functions(
    makers: list[str], steps: list[tuple[int, str, bool]]
) -> None:
    """One future is finished from the beginning, so that the generators can be started."""
    ours = [MAKERS[maker](OXTHREADS) for maker in makers]
    standard: list[Any] = [concurrent.futures.Future() for _ in makers]
    sides = []
    for functions, futures in ((OXTHREADS.futures, ours), (concurrent.futures, standard)):
        futures.append(OXTHREADS.futures.Future() if futures is ours else concurrent.futures.Future())
        futures[-1].set_result(0)
        sides.append(Side(functions, futures))
    yielded = 1
    for index, step, look in steps:
        number = index % len(makers)
        assert sides[0].step(number, step) == sides[1].step(number, step)
        ready = sum(future._state in DONE for future in standard)
        assert sum(future._state in DONE for future in ours) == ready
        if look and ready > yielded:
            assert sides[0].next() == sides[1].next()
            yielded += 1
    for side in sides:
        side.iterator.close()
    assert [observers(future) for future in ours] == [0] * len(ours)
