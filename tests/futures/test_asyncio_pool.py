"""Tests of asyncio on our pool: the default executor, cancellation, and many calls."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from tests.support.back_ends import OXTHREADS, STANDARD, BackEnd
from tests.support.interpreters import python
from tests.support.refusals import refusal
from tests.support.threads import Result, start
from tests.support.waiting import TIMEOUT_SECONDS, until_asleep


class Program:
    """Runs a coroutine on a pool, and records the futures that the pool returns."""

    def __init__(self, library: BackEnd) -> None:
        self.library, self.gate = library, threading.Event()
        self.futures: list[Any] = []
        submitted = self.futures

        class Pool(library.futures.ThreadPoolExecutor):  # type: ignore[misc, name-defined]
            def submit(self, fn: Callable[..., object], /, *args: object, **keywords: object) -> Any:
                submitted.append(super().submit(fn, *args, **keywords))
                return submitted[-1]

        self.pool = Pool(1)

    def run(self, main: Coroutine[Any, Any, Any], **keywords: Any) -> Any:
        async def with_pool() -> Any:
            asyncio.get_running_loop().set_default_executor(self.pool)
            return await asyncio.wait_for(main, TIMEOUT_SECONDS)

        return asyncio.run(with_pool(), **keywords)


@pytest.fixture
def program(library: BackEnd) -> Iterator[Program]:
    program = Program(library)
    yield program
    program.gate.set()
    program.pool.shutdown()
    if library is OXTHREADS:
        # Each future is still native: asyncio has not made it fall back.
        assert program.futures
        assert not any("_condition" in vars(future) for future in program.futures)


async def call(fn: Callable[..., Any], *args: object) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, fn, *args)


def test_our_pool_is_accepted_as_the_default_executor() -> None:
    async def main(executor: Any) -> None:
        asyncio.get_running_loop().set_default_executor(executor)

    for executor in (OXTHREADS.futures.ThreadPoolExecutor(1), STANDARD.futures.ThreadPoolExecutor(1)):
        asyncio.run(main(executor))
    words = (TypeError, "executor must be ThreadPoolExecutor instance")
    assert refusal(asyncio.run, main(object())) == words


def test_ten_thousand_calls_return_their_results(program: Program) -> None:
    async def main() -> list[int]:
        return await asyncio.gather(*(call(pow, number, 2) for number in range(10_000)))

    assert program.run(main()) == [number**2 for number in range(10_000)]
    assert len(program.futures) == 10_000


def test_ten_thousand_calls_of_to_thread_return_their_results(program: Program) -> None:
    async def main() -> list[int]:
        return await asyncio.gather(*(asyncio.to_thread(pow, number, exp=2) for number in range(10_000)))

    assert program.run(main()) == [number**2 for number in range(10_000)]


def test_a_pending_call_is_cancelled_with_the_task_that_awaits_it(program: Program) -> None:
    async def main() -> None:
        running = asyncio.create_task(call(program.gate.wait, TIMEOUT_SECONDS))
        pending = asyncio.create_task(call(int))
        while not program.futures or not program.futures[0].running():
            await asyncio.sleep(0)
        for task in (running, pending):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        first, second = program.futures
        assert (first.cancelled(), second.cancelled()) == (False, True)
        assert first.running()
        program.gate.set()
        assert await call(int) == 0
        assert first.result() is True

    program.run(main())


def test_cancelling_a_pending_call_cancels_the_await(program: Program) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(None, program.gate.wait, TIMEOUT_SECONDS)
        awaited = loop.run_in_executor(None, int)
        start(program.futures[1].cancel)
        with pytest.raises(asyncio.CancelledError):
            await awaited
        assert awaited.cancelled()
        program.gate.set()
        assert await running is True

    program.run(main())


def test_a_shutdown_that_cancels_futures_cancels_the_awaits(program: Program) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(None, program.gate.wait, TIMEOUT_SECONDS)
        while not program.futures[0].running():
            await asyncio.sleep(0)
        pending = [loop.run_in_executor(None, int) for _ in range(5)]
        program.pool.shutdown(wait=False, cancel_futures=True)
        outcomes = await asyncio.gather(*pending, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 5
        program.gate.set()
        assert await running is True
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            await loop.run_in_executor(None, int)

    program.run(main())


def test_a_timeout_cancels_a_call_that_has_not_begun(program: Program) -> None:
    async def main() -> None:
        loop, ran = asyncio.get_running_loop(), []
        running = loop.run_in_executor(None, program.gate.wait, TIMEOUT_SECONDS)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.to_thread(ran.append, 1)
        program.gate.set()
        assert await running
        assert program.futures[1].cancelled()
        assert not ran

    program.run(main())


@pytest.mark.parametrize("error", [LookupError("told"), SystemExit("told")], ids=repr)
def test_await_raises_the_exception_of_the_call(program: Program, error: BaseException) -> None:
    def fail() -> None:
        raise error

    async def main() -> tuple[type[BaseException], str]:
        try:
            await call(fail)
        except BaseException as caught:
            return type(caught), str(caught)
        raise AssertionError

    assert program.run(main()) == (type(error), "told")


def test_the_default_executor_is_shut_down_with_the_loop(program: Program) -> None:
    async def main() -> None:
        assert await call(int) == 0
        await asyncio.get_running_loop().shutdown_default_executor()
        assert not any(worker.is_alive() for worker in program.pool._threads)
        with pytest.raises(RuntimeError, match="Executor shutdown has been called"):
            await call(int)

    program.run(main())


def test_shutdown_default_executor_ends_at_its_timeout(program: Program) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        running = loop.run_in_executor(None, program.gate.wait, TIMEOUT_SECONDS)
        if sys.version_info >= (3, 13):
            with pytest.warns(RuntimeWarning, match=r"The executor did not finishing joining its threads"):
                await loop.shutdown_default_executor(0.001)
        elif sys.version_info < (3, 12):
            assert refusal(loop.shutdown_default_executor, 0.001)[0] is TypeError
        # Python 3.12.1 waits for the calls in spite of the timeout, so nothing is tested there.
        assert not running.done()
        program.gate.set()
        assert await running

    program.run(main())


def test_calls_work_in_the_debug_mode_of_asyncio(program: Program, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> list[int]:
        return await asyncio.gather(*(call(pow, number, 2) for number in range(100)))

    assert program.run(main(), debug=True) == [number**2 for number in range(100)]
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


@pytest.mark.parametrize("ending", ["set_result", "set_exception", "cancel"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_awaited_future_does_not_fall_back(library: BackEnd, ending: str, when: str) -> None:
    future = library.futures.Future()
    arguments: dict[str, tuple[Any, ...]] = {"set_result": (1,), "set_exception": (OSError("told"),)}

    def end() -> None:
        getattr(future, ending)(*arguments.get(ending, ()))

    async def main() -> object:
        if when == "before":
            end()
        else:
            asyncio.get_running_loop().call_soon(start, end)
        try:
            return await asyncio.wrap_future(future)
        except (OSError, asyncio.CancelledError) as error:
            return type(error)

    expected = {"set_result": 1, "set_exception": OSError, "cancel": asyncio.CancelledError}
    assert asyncio.run(main()) == expected[ending]
    if library is OXTHREADS:
        assert "_condition" not in vars(future)


def test_ctrl_c_ends_the_program_after_the_running_call(program: Program) -> None:
    seen: list[str] = []

    def interrupt() -> None:
        # The loop waits in select().
        until_asleep(threading.main_thread())
        os.kill(os.getpid(), signal.SIGINT)
        program.gate.wait(TIMEOUT_SECONDS)
        seen.append("call")

    async def main() -> None:
        try:
            await call(interrupt)
        except asyncio.CancelledError:
            seen.append("cancelled")
            program.gate.set()
            raise

    with pytest.raises(KeyboardInterrupt):
        program.run(main())
    assert sorted(seen) == ["call", "cancelled"]
    assert not any(worker.is_alive() for worker in program.pool._threads)


THREADSAFE = """if True:
    import asyncio, concurrent.futures, threading
    async def add(a, b):
        await asyncio.sleep(0)
        return a + b
    async def fail():
        raise LookupError("told")
    async def endless():
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.set()
    begun, ended = threading.Event(), threading.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    def run(coroutine):
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        assert type(future) is concurrent.futures.Future, type(future)
        print(type(future).__mro__[1].__module__, end=" ")
        return future
    sums = [run(add(number, 1)) for number in range(100)]
    print(sum(future.result(30) for future in sums))
    print(repr(run(fail()).exception(30)))
    try:
        run(add(1, "")).result(30)
    except TypeError:
        print("TypeError")
    future = run(endless())
    assert begun.wait(30)
    try:
        future.result(0.01)
    except TimeoutError:
        print("TimeoutError", future.cancel(), future.cancelled(), ended.wait(30))
    assert not any("_condition" in vars(each) for each in [*sums, future]) or not OURS
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
"""


@pytest.mark.parametrize("ours", [False, True])
def test_run_coroutine_threadsafe_returns_our_futures_under_the_runner(ours: bool) -> None:
    done = python(THREADSAFE.replace("OURS", str(ours)), runner=ours)
    # Under the runner, our classes have the standard names.
    where = "oxthreads._oxthreads" if ours else "builtins"
    lines = [
        f"{where} " * 100 + "5050",
        f"{where} LookupError('told')",
        f"{where} TypeError",
        f"{where} TimeoutError True True True",
    ]
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == sorted("\n".join(lines).split()), done.stdout


def test_the_default_executor_is_ours_under_the_runner() -> None:
    done = python("""if True:
        import asyncio, threading
        async def main():
            loop = asyncio.get_running_loop()
            results = await asyncio.gather(*(loop.run_in_executor(None, pow, n, 2) for n in range(10_000)))
            assert results == [n ** 2 for n in range(10_000)]
            print(type(loop._default_executor).__mro__[1].__module__)
            print(await asyncio.to_thread(lambda: threading.current_thread().name.split("_")[0]))
        asyncio.run(main(), debug=None)
    """)
    assert (done.stdout, done.returncode) == ("oxthreads._oxthreads\nasyncio\n", 0), done.stderr


def test_several_loops_one_after_the_other_use_their_own_pools(library: BackEnd) -> None:
    for _ in range(3):
        pool = library.futures.ThreadPoolExecutor(2)

        async def main(pool: Any = pool) -> list[int]:
            asyncio.get_running_loop().set_default_executor(pool)
            return await asyncio.gather(*(call(abs, -number) for number in range(50)))

        assert Result(asyncio.run, main()).get() == [*range(50)]
        assert isinstance(pool, concurrent.futures.ThreadPoolExecutor)
        assert not any(worker.is_alive() for worker in pool._threads)
