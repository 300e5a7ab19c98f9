"""What type checkers infer from `oxthreads.tasks`. It is checked, and not run."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from typing import assert_type

from oxthreads import aio
from oxthreads.tasks import (
    Cancelled,
    CancelScope,
    TaskGroup,
    check_cancelled,
    fail_after,
    move_on_after,
    race,
    sleep,
)


def load(number: int, *, exact: bool = False) -> str:
    return str(number) if exact else ""


def groups(executor: Executor) -> None:
    with TaskGroup() as group, TaskGroup(executor, name="other", grace=1) as other:
        assert_type(group, TaskGroup)
        future = group.submit(load, 1, exact=True)
        assert_type(future, Future[str])
        assert_type(future.result(), str)
        group.start_soon(load, 2)
        group.submit(load, "no")  # type: ignore[arg-type]
        other.start_soon(load)  # type: ignore[call-arg]
        assert_type(group.name, str | None)
        assert_type(group.cancel_called, bool)
        group.cancel()
    TaskGroup(3)  # type: ignore[arg-type]


def scopes() -> None:
    with CancelScope(deadline=1.0, shield=True, grace=2) as scope:
        assert_type(scope, CancelScope)
        scope.deadline += 1
        scope.shield = False
        assert_type(scope.cancelled_caught, bool)
    with move_on_after(1) as scope, fail_after(None, shield=True) as inner:
        assert_type(inner, CancelScope)
        check_cancelled()
        sleep(0.1)
    CancelScope(1.0)  # type: ignore[call-arg]


def ends(error: BaseException) -> bool:
    return isinstance(error, Cancelled)


def races() -> None:
    assert_type(race(lambda: 1, lambda: 2), int)


async def threads() -> None:
    assert_type(await aio.to_thread(load, 1), str)
