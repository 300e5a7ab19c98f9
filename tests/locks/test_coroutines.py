"""`once` and `singleflight` of coroutine functions, in one event loop and in several."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from oxthreads import _coroutine_run
from oxthreads.locks import once, singleflight
from tests.support.forks import can_fork, forks, in_child
from tests.support.threads import Result
from tests.support.waiting import TIMEOUT_SECONDS, rounds, spin_until

TASKS = 5
Decorator = Callable[[Callable[[], Awaitable[Any]]], Callable[[], Awaitable[Any]]]
decorated = pytest.mark.parametrize("decorate", [once, singleflight], ids=["once", "singleflight"])


async def turns(count: int = 5) -> None:
    """Let the other tasks run until they wait."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Let other tasks and threads run until the condition holds."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not condition():
            await asyncio.sleep(0.0005)


class Gate:
    """A coroutine function that waits until the test lets it go on, in whatever loop."""

    __name__ = __qualname__ = "gate"

    def __init__(self, outcome: Callable[[], object] = object) -> None:
        self.calls, self.is_open = 0, False
        self.outcome = outcome

    def function(self) -> Callable[[], Awaitable[Any]]:
        async def gate() -> object:
            self.calls += 1
            await until(lambda: self.is_open)
            return self.outcome()

        return gate


@decorated
def test_the_tasks_of_a_loop_share_one_call(decorate: Decorator) -> None:
    gate = Gate()
    load = decorate(gate.function())

    async def main() -> None:
        tasks = [asyncio.ensure_future(load()) for _ in range(TASKS)]
        await turns()
        gate.is_open = True
        assert len({id(result) for result in await asyncio.gather(*tasks)}) == 1
        assert gate.calls == 1
        await load()
        assert gate.calls == (1 if decorate is once else 2)

    asyncio.run(main())


@decorated
def test_the_tasks_of_many_loops_share_one_call(decorate: Decorator) -> None:
    gate = Gate()
    load = decorate(gate.function())
    waiting = threading.Barrier(4)

    async def main() -> list[object]:
        tasks = [asyncio.ensure_future(load()) for _ in range(TASKS)]
        await turns()
        await asyncio.to_thread(waiting.wait, TIMEOUT_SECONDS)
        return await asyncio.gather(*tasks)

    loops = [Result(asyncio.run, main()) for _ in range(3)]
    waiting.wait(TIMEOUT_SECONDS)
    gate.is_open = True
    results = {id(result) for loop in loops for result in loop.get()}
    assert (len(results), gate.calls) == (1, 1)


@decorated
def test_many_loops_at_the_same_time_lose_nothing(decorate: Decorator, frantic: None) -> None:
    running, calls = [0], [0]

    def new() -> Callable[[], Awaitable[Any]]:
        async def work() -> int:
            running[0] += 1
            assert running[0] == 1
            calls[0] += 1
            number = calls[0]
            await asyncio.sleep(0)
            running[0] -= 1
            if number % 3 == 0:
                raise KeyError
            return number

        return decorate(work)

    numbers, functions = rounds(100), [new()]

    def begin() -> None:
        functions[0] = new()
        over[0] = next(numbers, None) is None

    over, meeting = [False], threading.Barrier(3, begin)

    async def main() -> None:
        while True:
            await asyncio.to_thread(meeting.wait, TIMEOUT_SECONDS)
            # All of them end with the same round.
            if over[0]:
                return
            for result in await asyncio.gather(*(functions[0]() for _ in range(3)), return_exceptions=True):
                assert isinstance(result, int | KeyError)

    for loop in [Result(asyncio.run, main()) for _ in range(3)]:
        loop.get()
    assert running == [0]


@decorated
def test_a_cancelled_caller_hands_over_to_the_next(decorate: Decorator) -> None:
    gate = Gate()
    load = decorate(gate.function())

    async def main() -> None:
        tasks = [asyncio.ensure_future(load()) for _ in range(4)]
        await turns()
        assert gate.calls == 1
        tasks[0].cancel()
        await until(lambda: gate.calls == 2)
        # One that waits may be cancelled, too.
        tasks[2].cancel()
        tasks[1].cancel()
        await until(lambda: gate.calls == 3)
        gate.is_open = True
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * 3 + [object]

    asyncio.run(main())


@decorated
def test_one_that_is_cancelled_when_it_gets_the_turn_passes_it_on(decorate: Decorator) -> None:
    """At each step of the loop in turn: before the turn comes, with it, and after it."""
    for steps in range(6):
        gate = Gate()
        load = decorate(gate.function())

        async def main(steps: int = steps, load: Any = load, gate: Gate = gate) -> None:
            tasks = [asyncio.ensure_future(load()) for _ in range(3)]
            await turns()
            tasks[0].cancel()
            await turns(steps)
            tasks[1].cancel()
            gate.is_open = True
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(results[0], asyncio.CancelledError)
            assert type(results[2]) is object

        asyncio.run(main())


@decorated
@pytest.mark.parametrize("is_closed", [False, True], ids=["stopped", "closed"])
def test_the_turn_passes_over_loops_that_do_not_run(decorate: Decorator, is_closed: bool) -> None:
    gate = Gate()
    load = decorate(gate.function())
    other = asyncio.new_event_loop()

    def leave_a_waiter() -> Any:
        waiter = other.create_task(load())  # type: ignore[arg-type]
        other.run_until_complete(turns())
        if is_closed:
            other.close()
        return waiter

    async def main() -> Any:
        first = asyncio.ensure_future(load())
        await turns()
        waiter = await asyncio.to_thread(leave_a_waiter)
        last = asyncio.ensure_future(load())
        await turns()
        first.cancel()
        await until(lambda: gate.calls == 2)
        gate.is_open = True
        result = await last
        if not is_closed:
            # The loop goes on, and its task gets the result.
            assert await asyncio.to_thread(other.run_until_complete, waiter) is result
            other.close()
        waiter._log_destroy_pending = False

    asyncio.run(main())
    gc.collect()


@decorated
def test_if_no_loop_runs_the_next_that_runs_has_the_turn(decorate: Decorator) -> None:
    gate = Gate()
    load = decorate(gate.function())
    first_loop, second_loop = asyncio.new_event_loop(), asyncio.new_event_loop()
    first = first_loop.create_task(load())  # type: ignore[arg-type]
    first_loop.run_until_complete(turns())
    second = second_loop.create_task(load())  # type: ignore[arg-type]
    second_loop.run_until_complete(turns())
    first.cancel()
    first_loop.run_until_complete(turns())
    assert gate.calls == 1
    gate.is_open = True
    second_loop.run_until_complete(second)
    assert gate.calls == 2
    first_loop.close()
    second_loop.close()


@decorated
def test_a_coroutine_that_is_dropped_gives_back_its_turn(decorate: Decorator) -> None:
    gate = Gate()
    load = decorate(gate.function())

    async def main() -> None:
        coroutine: Any = load()
        coroutine.send(None)  # it has the turn
        assert gate.calls == 1
        task = asyncio.ensure_future(load())
        await turns()
        assert gate.calls == 1
        coroutine.close()
        await until(lambda: gate.calls == 2)
        gate.is_open = True
        await task

    asyncio.run(main())


@decorated
def test_a_call_inside_itself_is_refused(decorate: Any) -> None:
    @decorate
    async def endless() -> Any:
        return await endless()

    @decorate
    async def in_another_task() -> str:
        # Another task waits, and is cancelled when nobody waits for it any more.
        other = asyncio.ensure_future(in_another_task())
        await turns()
        assert not other.done()
        other.cancel()
        return "result"

    async def main() -> None:
        for _ in range(2):
            with pytest.raises(RuntimeError, match=r"endless\(\) is called by itself, in the same task"):
                await endless()
        assert await in_another_task() == "result"

    asyncio.run(main())


def test_with_once_an_exception_goes_to_its_caller_alone() -> None:
    outcomes = iter([KeyError(0), KeyError(1), "result"])

    @once
    async def connect() -> object:
        await turns()
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def main() -> None:
        results = await asyncio.gather(*(connect() for _ in range(4)), return_exceptions=True)
        assert [str(result) for result in results] == ["0", "1", "result", "result"]

    asyncio.run(main())


def test_with_singleflight_an_exception_goes_to_all_who_wait() -> None:
    calls: list[int] = []

    @singleflight(key=lambda user: user)
    async def load(user: str) -> object:
        calls.append(1)
        await turns()
        raise KeyError(user)

    async def main() -> None:
        results = await asyncio.gather(*(load("ann") for _ in range(4)), return_exceptions=True)
        assert {id(result) for result in results} == {id(results[0])}
        assert isinstance(results[0], KeyError)
        with pytest.raises(KeyError):
            await load("ann")
        assert len(calls) == 2
        with pytest.raises(TypeError, match="unhashable"):
            await load([])  # type: ignore[arg-type]

    asyncio.run(main())


class Client:
    """Its methods are coroutine functions."""

    def __init__(self) -> None:
        self.calls = 0

    @once
    async def connect(self) -> object:
        self.calls += 1
        await turns()
        return object()

    @singleflight(key=lambda self, user: (id(self), user))
    async def load(self, user: str) -> object:
        self.calls += 1
        await turns()
        return object()


def test_methods_may_be_coroutine_functions() -> None:
    async def main() -> None:
        one, other = Client(), Client()
        for call in (Client.connect, lambda client: client.load("ann")):
            results = await asyncio.gather(*(call(client) for client in (one, one, other)))
            assert results[0] is results[1] is not results[2]
        assert (one.calls, other.calls) == (2, 2)
        assert await one.connect() is await one.connect()
        copied = copy.deepcopy(one)
        assert await copied.connect() is not await one.connect()
        assert await copy.copy(one).connect() is not await one.connect()

    asyncio.run(main())
    assert inspect.iscoroutinefunction(Client().connect)


def test_arguments_are_refused() -> None:
    @once
    async def connect() -> int:
        return 1

    async def main() -> None:
        for arguments, keywords in (((1, 2), {}), ((), {"a": 1})):
            with pytest.raises(TypeError, match="takes no arguments"):
                await connect(*arguments, **keywords)
        with pytest.raises(TypeError, match="no __dict__"):
            await connect(1)  # type: ignore[call-arg]
        assert await connect() == 1

    asyncio.run(main())


@pytest.mark.one_thread("turns the collector off")
def test_results_and_errors_are_kept_by_nothing() -> None:
    class Thing(Exception):
        pass

    @singleflight
    async def make() -> Thing:
        return Thing()

    @singleflight
    async def fail() -> None:
        raise Thing

    async def main() -> None:
        reference = weakref.ref(await make())
        gc.collect()
        assert reference() is None
        gc.disable()
        try:
            try:
                await fail()
            except Thing as error:
                reference = weakref.ref(error)
            assert reference() is None
        finally:
            gc.enable()

    asyncio.run(main())


@can_fork
@forks
@pytest.mark.one_thread("forks")
@decorated
def test_a_child_begins_again_what_another_thread_was_doing(decorate: Decorator) -> None:
    gate = Gate(lambda: "result")
    load = decorate(gate.function())
    loop = Result(asyncio.run, load())
    spin_until(lambda: gate.calls)

    def check() -> None:
        gate.is_open = True
        assert asyncio.run(load()) == "result"  # type: ignore[arg-type]
        assert gate.calls == 2

    in_child(check)
    gate.is_open = True
    assert loop.get() == "result"


def test_a_key_that_has_changed_does_no_harm() -> None:
    class Key:
        def __init__(self) -> None:
            self.is_well = True

        def __hash__(self) -> int:
            if not self.is_well:
                raise ValueError("no hash")
            return 1

    @singleflight
    async def load(key: Key) -> object:
        await turns()
        key.is_well = False
        return object()

    async def main() -> None:
        key = Key()
        result = await load(key)
        key.is_well = True
        assert await asyncio.wait_for(load(key), TIMEOUT_SECONDS) is not result

    asyncio.run(main())


def test_a_copy_of_a_copy_at_the_address_of_the_first_begins_anew() -> None:
    class Named:
        def __init__(self, name: object) -> None:
            self.name = name

        @once
        async def read(self) -> object:
            return self.name

    class WithoutWeakReferences:
        __slots__ = ("__dict__",)
        name: object = None

        @once
        async def read(self) -> object:
            return self.name

    async def main() -> None:
        for number in range(100):
            first = Named(number)
            assert await first.read() == number
            second = copy.copy(first)
            del first
            third = copy.copy(second)
            third.name = "third"
            assert await third.read() == await third.read() == "third"
        other = WithoutWeakReferences()
        assert await other.read() is await other.read() is None

    asyncio.run(main())


def test_an_object_whose_call_is_a_coroutine_function_counts_as_one() -> None:
    class Loader:
        calls = 0

        async def __call__(self) -> int:
            await turns()
            self.calls += 1
            return self.calls

    async def main() -> None:
        for decorate in (once, singleflight):
            load: Any = decorate(Loader())
            assert await asyncio.gather(load(), load()) == [1, 1]
            assert inspect.iscoroutinefunction(load)

    asyncio.run(main())


@pytest.mark.one_thread("collects garbage at a point")
def test_a_turn_that_comes_while_a_caller_begins_to_wait_is_not_lost() -> None:
    """The coroutine that has the turn is garbage, and is collected when the next caller makes its future."""
    coroutines: list[Any] = []

    class Loop(asyncio.SelectorEventLoop):
        def create_future(self) -> asyncio.Future[Any]:
            if coroutines:
                coroutines.pop().close()
            return super().create_future()

    gate = Gate()
    gate.is_open = True
    load = once(gate.function())
    coroutine: Any = load()

    async def begin() -> None:
        gate.is_open = False
        coroutine.send(None)

    async def main() -> None:
        await begin()
        gate.is_open = True

        async def wait() -> None:
            coroutines.append(coroutine)
            await load()

        await asyncio.wait_for(asyncio.ensure_future(wait()), TIMEOUT_SECONDS)
        assert gate.calls == 2

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(main())


@pytest.mark.one_thread("collects garbage at a point")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@decorated
def test_a_task_that_is_garbage_gives_back_its_turn(decorate: Decorator) -> None:
    gate = Gate()
    load = decorate(gate.function())

    def leave_a_task() -> None:
        loop = asyncio.new_event_loop()

        async def begin() -> None:
            task = asyncio.ensure_future(load())
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            await turns()

        loop.run_until_complete(begin())
        loop.close()

    async def main() -> None:
        task = asyncio.ensure_future(load())
        await turns()
        gc.collect()
        await until(lambda: gate.calls == 2)
        gate.is_open = True
        await task

    leave_a_task()
    assert gate.calls == 1
    asyncio.run(main())


@decorated
def test_all_who_wait_are_told_although_something_is_raised_meanwhile(decorate: Decorator) -> None:
    raising = threading.Event()

    class Alarm(Exception):
        pass

    class Loop(asyncio.SelectorEventLoop):
        def call_soon_threadsafe(self, *arguments: Any, **keywords: Any) -> Any:
            if raising.is_set():
                raising.clear()
                raise Alarm
            return super().call_soon_threadsafe(*arguments, **keywords)

    gate = Gate()
    load = decorate(gate.function())
    waiting = threading.Barrier(4)

    def wait() -> object:
        async def main() -> object:
            task = asyncio.ensure_future(load())
            await turns()
            waiting.wait(TIMEOUT_SECONDS)
            return await task

        with asyncio.Runner(loop_factory=Loop) as runner:
            return runner.run(main())

    async def main() -> list[Result]:
        task = asyncio.ensure_future(load())
        await turns()
        others = [Result(wait) for _ in range(3)]
        await asyncio.to_thread(waiting.wait, TIMEOUT_SECONDS)
        raising.set()
        gate.is_open = True
        with pytest.raises(Alarm):
            await task
        return others

    assert len({id(other.get()) for other in asyncio.run(main())}) == 1
    assert gate.calls == 1


@can_fork
@forks
@pytest.mark.one_thread("forks")
@decorated
def test_a_child_does_not_wait_for_what_another_thread_was_changing(decorate: Decorator) -> None:
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        with _coroutine_run._mutex:
            holding.set()
            done.wait(TIMEOUT_SECONDS)

    gate = Gate(lambda: "result")
    gate.is_open = True
    load = decorate(gate.function())
    holder = Result(hold)
    assert holding.wait(TIMEOUT_SECONDS)

    def check() -> None:
        assert asyncio.run(load()) == "result"  # type: ignore[arg-type]

    try:
        in_child(check)
    finally:
        done.set()
        holder.get()
