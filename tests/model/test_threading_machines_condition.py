"""Condition behaves as the standard one when several threads use it in any order.

One thread acts at a time, until it blocks. The module `machine` says how long this runs, how to run it
longer, and how it finds out which threads are blocked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.support.back_ends import BackEnd
from tests.support.machine import BRIEF, ENDLESS, ENDLESS_FOR_LOCK, LOCKS, Actor, Together, run, settle


class ConditionTogether(Together):
    """A condition. The actors that wait are notified in the order in which they came.

    The order in which notified actors take the lock is not defined. So each of them releases it at once. Of
    the actors that are about to take the lock, at most one may change the order of the others (`unordered`).
    """

    standard_attributes = ("_waiters",)

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__()
        self.holder: int | None = None
        self.unordered = 0
        #: The actors that wait, in the order in which they came. Those in `once_more` wait again when
        #: notified.
        self.waiting: list[int] = []
        self.once_more: set[int] = set()
        #: The actors that will wait when the holder has released the lock.
        self.coming: list[int] = []

    def make(self, library: BackEnd) -> Any:
        return library.threading.Condition(LOCKS[self.kind](library))

    @property
    def is_reentrant(self) -> bool:
        return "RLock" in self.kind or self.kind == "own"

    def observe(self, subject: Any) -> Iterable[Any]:
        yield self.names(repr(subject))
        if self.holder is None:
            yield subject._is_owned()

    def they_are_blocked_as_they_should(self) -> None:
        """Check that exactly the expected actors are blocked. This is called after each step."""
        if self.holder is None:
            self.waiting += self.coming
            self.coming, self.unordered = [], 0
            assert sorted(self.waiting) == self.blocked()

    def release_everybody(self, subject: Any, cast: list[Actor]) -> None:
        with subject:
            subject.notify_all()

    def teardown(self) -> None:
        if self.holder is not None:
            for subject, cast in zip(self.subjects, self.casts, strict=True):
                cast[self.holder].tell(lambda condition: condition.release(), subject, brief=True)
                settle(cast)
        super().teardown()

    def others(self) -> list[int]:
        return [number for number in self.idle() if number != self.holder]

    def may_change_order(self) -> bool:
        return bool(self.others()) and (self.holder is None or not self.unordered)

    def draw(self, data: st.DataObject) -> int:
        """Choose an actor that does not hold the lock."""
        return data.draw(st.sampled_from(self.others()))

    def come(self, number: int, act: Callable[[Any], Any]) -> None:
        """Make the actor take the lock and wait."""
        self.coming.append(number)
        self.unordered += 1
        self.tell(number, act)
        self.they_are_blocked_as_they_should()

    @precondition(lambda self: self.may_change_order())
    @rule(
        data=st.data(),
        args=st.sampled_from(ENDLESS),
        depth=st.integers(1, 3),
        times=st.integers(1, 3),
    )
    def wait(self, data: st.DataObject, args: tuple[Any, ...], depth: int, times: int) -> None:
        depth = depth if self.is_reentrant else 1

        def act(condition: Any) -> Any:
            for _ in range(depth):
                condition.acquire()
            result = condition.wait(*args)
            for _ in range(depth):
                condition.release()
            return result

        while times and self.may_change_order():
            self.come(self.draw(data), act)
            times -= 1

    @precondition(lambda self: self.may_change_order())
    @rule(data=st.data(), args=st.sampled_from(ENDLESS))
    def wait_for(self, data: st.DataObject, args: tuple[Any, ...]) -> None:
        def act(condition: Any) -> Any:
            results = ["", 0, "it is so"]
            with condition:
                return condition.wait_for(lambda: results.pop(0), *args)

        number = self.draw(data)
        self.once_more.add(number)
        self.come(number, act)

    @precondition(lambda self: self.holder is None and self.idle())
    @rule(data=st.data(), timeout=st.sampled_from([0, -1, BRIEF]))
    def wait_in_vain(self, data: st.DataObject, timeout: float) -> None:
        def act(condition: Any) -> Any:
            with condition:
                return condition.wait(timeout)

        self.tell(self.draw(data), act, brief=True)

    @precondition(lambda self: self.others())
    @rule(data=st.data())
    def pass_by(self, data: st.DataObject) -> None:
        def act(condition: Any) -> Any:
            with condition as entered:
                return entered

        self.tell(self.draw(data), act)
        self.they_are_blocked_as_they_should()

    @precondition(lambda self: self.holder is None and self.idle())
    @rule(data=st.data(), args=st.sampled_from(ENDLESS_FOR_LOCK))
    def hold(self, data: st.DataObject, args: tuple[Any, ...]) -> None:
        number = self.draw(data)
        self.tell(number, lambda condition: condition.acquire(*args))
        self.holder = number

    @precondition(lambda self: self.holder is not None)
    @rule()
    def let_go(self) -> None:
        number, self.holder = self.holder, None
        assert number is not None
        self.tell(number, lambda condition: condition.release())
        self.they_are_blocked_as_they_should()

    @precondition(lambda self: self.holder is not None and not self.unordered)
    @rule()
    def wait_as_the_holder(self) -> None:
        def act(condition: Any) -> Any:
            result = condition.wait()
            condition.release()
            return result

        number, self.holder = self.holder, None
        assert number is not None
        self.come(number, act)

    @rule(data=st.data(), n=st.sampled_from([None, 0, 1, 1, 2, 3, "all"]))
    def notify(self, data: st.DataObject, n: Any) -> None:
        count = len(self.waiting) if n == "all" else 1 if n is None else n
        notified, rest = self.waiting[:count], self.waiting[count:]
        again = [number for number in notified if number in self.once_more]
        if len(again) + self.unordered > 1:
            return

        def act(condition: Any) -> None:
            if n == "all":
                condition.notify_all()
            elif n is None:
                condition.notify()
            else:
                condition.notify(n)

        def enter_and_act(condition: Any) -> None:
            with condition:
                act(condition)

        self.waiting = rest
        self.coming += again
        self.once_more.difference_update(again)
        self.unordered += len(again)
        if self.holder is None and not self.idle():
            self.do_here(enter_and_act)
        elif self.holder is None:
            self.tell(self.draw(data), enter_and_act)
        else:
            self.tell(self.holder, act)
        self.they_are_blocked_as_they_should()

    @precondition(lambda self: self.others() and (self.holder is None or self.is_reentrant))
    @rule(data=st.data(), name=st.sampled_from(["wait", "notify", "notify_all", "_is_owned"]))
    def use_without_the_lock(self, data: st.DataObject, name: str) -> None:
        self.tell(self.draw(data), lambda condition: getattr(condition, name)())


@pytest.mark.parametrize("kind", LOCKS)
def test_condition_behaves_as_the_standard_condition(kind: str) -> None:
    run(lambda: ConditionTogether(kind), 30, slow=True)
