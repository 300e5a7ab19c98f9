"""Which programs are told that their locks can deadlock, and which are not."""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading as standard
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from oxthreads import _oxthreads, diagnose, threading
from oxthreads.concurrent import futures
from oxthreads.diagnose import _order
from tests.diagnose.lock_orders import (
    check_count,
    count,
    locks_in,
    nested,
    only,
    side_by_side,
)
from tests.support.waiting import TIMEOUT_SECONDS, spin_until, until_asleep

pytestmark = pytest.mark.one_thread("a process has one watch, and some tests start child interpreters")

a = threading.Lock()
b = threading.Lock()
c = threading.RLock()


def line_of(text: str) -> int:
    """The number of the only line of this file that ends with the text, as a comment."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if line.endswith(f"# {text}")]
    return number


@pytest.fixture
def watch() -> Iterator[Any]:
    with diagnose.watch("order") as watch:
        yield watch


# ---- What is said


def take_a_then_b() -> None:
    with a:  # noqa: SIM117  # first a
        with b:  # then b
            pass


def take_b_then_a() -> None:
    with b:  # noqa: SIM117  # first b
        with a:  # then a
            pass


def test_a_report_has_threads_locks_lines_and_stacks(watch: Any, capfd: pytest.CaptureFixture[str]) -> None:
    side_by_side(take_a_then_b, take_b_then_a)
    finding = only(watch)
    # The one that has closed the cycle comes first.
    assert [(step["thread"], step["first"], step["then"]) for step in finding] == [
        ("thread-1", "b", "a"),
        ("thread-0", "a", "b"),
    ]
    assert [step["first_at"]["line"] for step in finding] == [line_of("first b"), line_of("first a")]
    assert [step["stack"][0]["line"] for step in finding] == [line_of("then a"), line_of("then b")]
    assert [step["stack"][0]["function"] for step in finding] == ["take_b_then_a", "take_a_then_b"]
    assert finding[0]["stack"][1]["function"] == "run"
    written = capfd.readouterr().err
    here = "tests/diagnose/test_lock_order.py"
    assert written.startswith("oxthreads: lock order: this can deadlock, and has not yet.\n")
    assert (
        f"  thread-0 took a ({here}:{line_of('first a')}), then b ({here}:{line_of('then b')})\n" in written
    )
    assert (
        f"  thread-1 took b ({here}:{line_of('first b')}), then a ({here}:{line_of('then a')})\n" in written
    )
    assert f"      {here}:{line_of('then b')} in take_a_then_b:  with b:  # then b\n" in written


def test_it_is_said_once(watch: Any, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        side_by_side(take_a_then_b, take_b_then_a)
    check_count(1)
    assert capfd.readouterr().err.count("lock order") == 1
    watch.stop()
    assert capfd.readouterr().err == ""


def test_other_locks_at_the_same_lines_are_counted(watch: Any, capfd: pytest.CaptureFixture[str]) -> None:
    def take_new_locks() -> None:
        one, other = threading.Lock(), threading.Lock()
        side_by_side(lambda: take_both(one, other), lambda: take_both(other, one))

    for _ in range(3):
        take_new_locks()
    check_count(3)
    assert len(watch.lock_orders()) == 1
    watch.stop()
    assert capfd.readouterr().err.endswith(
        "oxthreads: lock order: 2 more of these with other locks, at the same lines.\n"
    )


def take_both(one: Any, other: Any) -> None:
    with one, other:
        pass


def test_a_name_that_was_given_is_used(watch: Any) -> None:
    one, other = threading.Lock(), threading.Lock()
    diagnose.set_name(one, "cache")
    side_by_side(nested(one, other), nested(other, one))
    assert "cache" in locks_in(only(watch))


def test_a_report_for_which_the_watch_has_no_time_comes_later(watch: Any) -> None:
    is_told, goes_on = standard.Event(), standard.Event()

    def keep_the_watch(_: str) -> None:
        is_told.set()
        assert goes_on.wait(TIMEOUT_SECONDS)

    # It stands still until the watch is free.
    last = threading.Thread(target=take_b_then_a, daemon=True)
    _order.listeners.append(keep_the_watch)
    try:
        side_by_side(take_a_then_b, last.start)
        assert is_told.wait(TIMEOUT_SECONDS)
        # Each of these waits for a second.
        one, other = threading.Lock(), threading.Lock()
        side_by_side(lambda: take_both(one, other), lambda: take_both(other, one))
        assert count() == 1
    finally:
        _order.listeners.remove(keep_the_watch)
        goes_on.set()
    check_count(2)
    last.join(TIMEOUT_SECONDS)


def test_locks_taken_by_calls_have_lines(watch: Any) -> None:
    def one() -> None:
        a.acquire()  # calls a
        b.acquire()
        b.release()
        a.release()

    side_by_side(one, take_b_then_a)
    step = only(watch)[1]
    assert step["first_at"]["line"] == line_of("calls a")


def test_locks_that_exist_before_the_watch_are_seen() -> None:
    locks = {"in a dict": (threading.Lock(), [threading.RLock()])}
    one, (other,) = locks["in a dict"]
    with diagnose.watch("order"):
        side_by_side(nested(one, other), nested(other, one))
        check_count(1)


def test_the_watch_ends(capfd: pytest.CaptureFixture[str]) -> None:
    with diagnose.watch("order") as watch:
        side_by_side(take_a_then_b)
    side_by_side(take_b_then_a)
    with diagnose.watch("order"):
        # It begins anew.
        side_by_side(take_b_then_a)
        assert watch.lock_orders() == []
        diagnose.watch("report")
        side_by_side(take_a_then_b)
        assert watch.lock_orders() == []
    assert "lock order" not in capfd.readouterr().err


def test_a_lock_taken_during_an_earlier_watch_is_not_held_in_a_later_one() -> None:
    with diagnose.watch("order"):
        a.acquire()
    a.release()
    with diagnose.watch("order") as watch:
        nested(b)()
        side_by_side(take_b_then_a)
        assert watch.lock_orders() == []


# ---- Programs that can deadlock


def with_condition() -> tuple[Any, Any]:
    return threading.Condition(), threading.Lock()


def with_condition_of_lock() -> tuple[Any, Any]:
    return threading.Condition(threading.Lock()), threading.RLock()


@pytest.mark.parametrize(
    "make",
    [
        lambda: (threading.Lock(), threading.Lock()),
        lambda: (threading.RLock(), threading.RLock()),
        lambda: (threading.Lock(), threading.RLock()),
        with_condition,
        with_condition_of_lock,
    ],
    ids=["Lock", "RLock", "both", "Condition", "Condition(Lock)"],
)
@pytest.mark.parametrize("how", ["with", "acquire"])
def test_two_orders(watch: Any, make: Callable[[], tuple[Any, Any]], how: str) -> None:
    def call(first: Any, second: Any) -> None:
        first.acquire()
        second.acquire()
        first.release()
        second.release()

    take = take_both if how == "with" else call
    one, other = make()
    side_by_side(lambda: take(one, other))
    assert count() == 0
    side_by_side(lambda: take(one, other), lambda: take(other, one))
    check_count(1)


def test_a_ring_of_three(watch: Any) -> None:
    d = threading.Lock()
    side_by_side(nested(a, b), nested(b, d), nested(d, a))
    finding = only(watch)
    assert len(finding) == 3
    assert {step["thread"] for step in finding} == {"thread-0", "thread-1", "thread-2"}


def test_a_condition_takes_its_lock_again_while_others_are_held(watch: Any) -> None:
    ready = threading.Condition()

    def wait() -> None:
        with ready, a:
            ready.wait(0.001)

    # Without the wait, the order would be the same in both.
    side_by_side(wait, lambda: take_both(ready, a))
    check_count(1)


def test_a_lock_that_was_waited_for_counts(watch: Any) -> None:
    def wait() -> None:
        held, goes_on = threading.Event(), threading.Event()

        def keep() -> None:
            with b:
                held.set()
                assert goes_on.wait(TIMEOUT_SECONDS)

        keeper = threading.Thread(target=keep, daemon=True)
        keeper.start()
        assert held.wait(TIMEOUT_SECONDS)
        taker = threading.Thread(target=take_a_then_b, daemon=True)
        taker.start()
        until_asleep(taker)
        goes_on.set()
        taker.join(TIMEOUT_SECONDS)
        keeper.join(TIMEOUT_SECONDS)

    side_by_side(wait, take_b_then_a)
    check_count(1)


def test_a_try_counts_as_the_first_lock(watch: Any) -> None:
    def one() -> None:
        assert a.acquire(False)
        with b:
            pass
        a.release()

    side_by_side(one, take_b_then_a)
    check_count(1)


def test_an_acquisition_in_a_signal_handler_counts(watch: Any) -> None:
    goes_on = threading.Event()

    def other() -> None:
        assert goes_on.wait(TIMEOUT_SECONDS)
        take_b_then_a()

    def handle(*_: object) -> None:
        with b:
            pass

    thread = threading.Thread(target=other, daemon=True)
    thread.start()
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with a:
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    goes_on.set()
    thread.join(TIMEOUT_SECONDS)
    assert {step["thread"] for step in only(watch)} == {"MainThread", thread.name}


def test_acquisitions_in_destructors_count(watch: Any) -> None:
    class Closed:
        def __del__(self) -> None:
            with b:
                pass

    def one() -> None:
        with a:
            Closed()
            gc.collect()

    side_by_side(one, take_b_then_a)
    check_count(1)


# ---- Programs that cannot


def test_a_gate_lock(watch: Any) -> None:
    gate = threading.Lock()
    side_by_side(nested(gate, a, b), nested(gate, b, a))
    assert count() == 0
    # In one of the threads it is not there, and then it does not help.
    side_by_side(nested(gate, a, b), nested(b, a))
    check_count(1)


def test_gates_of_two_of_three(watch: Any) -> None:
    gate, d = threading.Lock(), threading.Lock()
    side_by_side(nested(gate, a, b), nested(gate, b, d), nested(d, a))
    assert count() == 0


def test_one_thread_with_both_orders(watch: Any) -> None:
    side_by_side(lambda: (take_a_then_b(), take_b_then_a()))
    assert count() == 0


@pytest.mark.parametrize("timeout", [0, 1], ids=["try", "timeout"])
def test_an_acquisition_that_does_not_wait_for_ever(watch: Any, timeout: float) -> None:
    def one() -> None:
        with b:
            assert a.acquire(timeout=timeout)
            a.release()

    side_by_side(take_a_then_b, one)
    assert count() == 0


def test_an_rlock_taken_again(watch: Any) -> None:
    side_by_side(nested(c, a), nested(c, a, c))
    assert count() == 0


def test_an_rlock_is_held_until_its_last_release(watch: Any) -> None:
    def one() -> None:
        with c:
            with c:
                pass
            with a:
                pass

    side_by_side(one, nested(a, c))
    check_count(1)


def test_a_lock_that_another_thread_releases(watch: Any) -> None:
    locks = [threading.Lock() for _ in range(3)]

    def one() -> None:
        for lock in locks:
            lock.acquire()

    def other() -> None:
        for lock in locks:
            lock.release()

    def after() -> None:
        # None of them is held any more.
        with b:
            one()
        other()

    side_by_side(one, other, after)
    turns = [threading.Event(), threading.Event()]

    def keeps() -> None:
        one()
        turns[0].set()
        assert turns[1].wait(TIMEOUT_SECONDS)
        with b:
            pass

    keeper = threading.Thread(target=keeps, daemon=True)
    keeper.start()
    assert turns[0].wait(TIMEOUT_SECONDS)
    other()
    turns[1].set()
    keeper.join(TIMEOUT_SECONDS)
    assert count() == 0
    assert _oxthreads.lock_order_counts()[0] == 0


def test_a_lock_dropped_while_it_is_locked(watch: Any) -> None:
    def one() -> None:
        for _ in range(100):
            threading.Lock().acquire()
            with a:
                pass

    side_by_side(one, lambda: take_both(a, threading.Lock()))
    assert count() == 0
    # Each of them was held while `a` was acquired, by nobody any more.
    assert _oxthreads.lock_order_counts()[0] == 0


def test_addresses_that_are_used_again(watch: Any) -> None:
    def one() -> None:
        for _ in range(200):
            nested(threading.Lock(), a)()

    def other() -> None:
        for _ in range(200):
            nested(a, threading.Lock())()

    side_by_side(one, other, one, other)
    assert count() == 0
    assert _oxthreads.lock_order_counts()[0] == 0


def test_many_locks_in_a_hierarchy(watch: Any) -> None:
    locks = [threading.Lock() for _ in range(100)]
    picks = random.Random(1)
    orders = [sorted(picks.sample(range(100), 8)) for _ in range(40)]
    counts = []
    side_by_side(
        *[nested(*[locks[each] for each in order]) for order in orders],
        nested(*locks[::4]),
        lambda: counts.append(count()),
        nested(locks[80], locks[20]),
    )
    assert counts == [0]
    check_count(1)


def test_threads_one_after_the_other(watch: Any) -> None:
    for function in (take_a_then_b, take_b_then_a):
        thread = threading.Thread(target=function)
        thread.start()
        thread.join()
    assert count() == 0


def test_a_thread_that_is_started_later_by_one_that_has_joined(watch: Any) -> None:
    def starter() -> None:
        thread = threading.Thread(target=take_b_then_a)
        thread.start()
        thread.join()

    first = threading.Thread(target=take_a_then_b)
    first.start()
    first.join()
    second = threading.Thread(target=starter)
    second.start()
    second.join()
    assert count() == 0


def test_before_a_start_and_after_a_join(watch: Any) -> None:
    take_a_then_b()
    thread = threading.Thread(target=take_b_then_a)
    thread.start()
    thread.join()
    take_a_then_b()
    assert count() == 0


def test_beside_a_thread_that_was_started(watch: Any) -> None:
    turns = [threading.Event(), threading.Event()]

    def other() -> None:
        turns[0].wait(TIMEOUT_SECONDS)
        take_b_then_a()
        turns[1].set()

    take_a_then_b()
    thread = threading.Thread(target=other)
    thread.start()
    # The same as before, but now it may be at the same time.
    take_a_then_b()
    turns[0].set()
    assert turns[1].wait(TIMEOUT_SECONDS)
    check_count(1)
    thread.join()


def test_pools_one_after_the_other(watch: Any) -> None:
    for function in (take_a_then_b, take_b_then_a):
        with futures.ThreadPoolExecutor(1) as pool:
            pool.submit(function).result(TIMEOUT_SECONDS)
    assert count() == 0


def test_philosophers_with_an_order(watch: Any) -> None:
    forks = [threading.Lock() for _ in range(5)]

    def dine(number: int) -> Callable[[], None]:
        first, second = sorted((number, (number + 1) % 5))
        return lambda: [take_both(forks[first], forks[second]) for _ in range(20)] and None

    side_by_side(*[dine(number) for number in range(5)])
    assert count() == 0


def test_philosophers_without_an_order(watch: Any) -> None:
    forks = [threading.Lock() for _ in range(5)]
    side_by_side(*[nested(forks[number], forks[(number + 1) % 5]) for number in range(5)])
    assert len(only(watch)) == 5


def test_the_locks_of_a_generator_that_another_thread_continues(watch: Any) -> None:
    def generator() -> Iterator[None]:
        with a:
            yield
            yield

    running = generator()
    next(running)

    def other() -> None:
        with b:
            running.close()

    side_by_side(other)
    # This thread has `a` no more.
    with b:
        pass
    side_by_side(take_b_then_a, take_a_then_b)
    # `a` was released by another thread than the one that had acquired it.
    assert count() == 0


# ---- Against a simple model


def random_sections(picks: random.Random, locks: int, depth: int) -> tuple[Any, ...]:
    """A list of `with` statements: the number of the lock, and the statements in the body."""
    sections = []
    for _ in range(picks.randint(1, 2)):
        inner = random_sections(picks, locks, depth - 1) if depth > 1 and picks.random() < 0.7 else ()
        sections.append((picks.randrange(locks), inner))
    return tuple(sections)


def operations(sections: tuple[Any, ...], held: frozenset[int] = frozenset()) -> Iterator[tuple[bool, int]]:
    """What the statements do: whether a lock is acquired, and which. A lock that is held is left out."""
    for lock, inner in sections:
        if lock in held:
            yield from operations(inner, held)
        else:
            yield True, lock
            yield from operations(inner, held | {lock})
            yield False, lock


def can_deadlock(programs: list[list[tuple[bool, int]]]) -> bool:
    """Try all interleavings."""
    left = [(0,) * len(programs)]
    seen = set(left)
    while left:
        state = left.pop()
        held = {
            lock
            for program, position in zip(programs, state, strict=True)
            for acquired, lock in program[:position]
            if acquired and (False, lock) not in _since(program, position, lock)
        }
        following = []
        for number, (program, position) in enumerate(zip(programs, state, strict=True)):
            if position < len(program) and not (program[position][0] and program[position][1] in held):
                following.append((*state[:number], position + 1, *state[number + 1 :]))
        is_over = all(position == len(program) for program, position in zip(programs, state, strict=True))
        if not following and not is_over:
            return True
        for each in following:
            if each not in seen:
                seen.add(each)
                left.append(each)
    return False


def _since(program: list[tuple[bool, int]], position: int, lock: int) -> list[tuple[bool, int]]:
    """What the program has done since it last acquired the lock."""
    last = max(place for place in range(position) if program[place] == (True, lock))
    return program[last:position]


def enter(sections: tuple[Any, ...], locks: list[Any]) -> None:
    for lock, inner in sections:
        with locks[lock]:
            enter(inner, locks)


@pytest.mark.parametrize("seed", range(8))
def test_it_is_reported_exactly_if_an_interleaving_deadlocks(watch: Any, seed: int) -> None:
    picks = random.Random(seed)
    outcomes = set()
    for _ in range(25):
        threads = picks.randint(2, 3)
        programs = [random_sections(picks, picks.randint(2, 4), 3) for _ in range(threads)]
        locks = [threading.RLock() for _ in range(4)]
        before = count()
        side_by_side(*[partial(enter, program, locks) for program in programs])
        expected = can_deadlock([list(operations(program)) for program in programs])
        if expected:
            spin_until(lambda before=before: count() > before)
        assert (count() > before) == expected, programs
        outcomes.add(expected)
    assert outcomes == {False, True}


# ---- Whole processes


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    foreign = ("OXTHREADS",)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return subprocess.run(
        [sys.executable, *arguments],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=4 * TIMEOUT_SECONDS,
        check=False,
    )


BANK = textwrap.dedent("""
    import threading

    a, b, done = threading.Lock(), threading.Lock(), threading.Event()

    def pay():
        with a:
            with b:
                pass
        done.set()

    def refund():
        done.wait()
        with b:
            with a:
                pass

    threads = [threading.Thread(target=pay, name="payer"), threading.Thread(target=refund, name="refunder")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
""")


@pytest.mark.parametrize("mode", ["order", "order,raise", "exit,order"])
@pytest.mark.parametrize("by", ["option", "variable"])
def test_a_program(tmp_path: Path, mode: str, by: str) -> None:
    file = tmp_path / "bank.py"
    file.write_text(BANK)
    if by == "option":
        ended = run("-m", "oxthreads", f"--watch={mode}", str(file))
    else:
        ended = run("-m", "oxthreads", str(file), OXTHREADS_WATCH=mode)
    assert ended.returncode == 0
    assert ended.stderr.count("can deadlock, and has not yet") == 1
    assert f"  payer took a ({file}:7), then b ({file}:8)\n" in ended.stderr
    assert f"  refunder took b ({file}:14), then a ({file}:15)\n" in ended.stderr


def test_a_deadlock_is_still_a_deadlock(tmp_path: Path) -> None:
    file = tmp_path / "deadlock.py"
    file.write_text(
        textwrap.dedent("""
            import threading

            a, b, both = threading.Lock(), threading.Lock(), threading.Barrier(2)

            def take(one, other):
                with one:
                    both.wait()
                    with other:
                        pass

            thread = threading.Thread(target=take, args=(b, a))
            thread.start()
            take(a, b)
        """)
    )
    ended = run("-m", "oxthreads", "--watch=order,raise", str(file))
    assert ended.returncode == 1
    assert "oxthreads: deadlock: 2 threads wait for each other" in ended.stderr


@pytest.mark.parametrize("mode", ["order,order", "raise,exit", "", "orders", "order,", "order raise"])
def test_a_wrong_mode(mode: str) -> None:
    ended = run("-m", "oxthreads", f"--watch={mode}", "-c", "pass")
    assert ended.returncode == 2
    assert "--watch must be" in ended.stderr
    with pytest.raises(ValueError, match="mode must be"):
        diagnose.watch(mode)


QUIET = {
    "logging": """
        import logging, threading
        logging.basicConfig(level="INFO", handlers=[logging.NullHandler()])

        def work(number):
            for each in range(50):
                logging.getLogger(f"a.b{each}").info("hello")
                logging.getLogger(f"a.b{each}").addHandler(logging.NullHandler())

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        logging.shutdown()
    """,
    "queues and pools": """
        import queue, threading
        from concurrent.futures import ThreadPoolExecutor, as_completed, wait
        jobs = [queue.Queue(), queue.LifoQueue(2), queue.PriorityQueue(), queue.SimpleQueue()]

        def work(number):
            for each in jobs * 20:
                each.put(number)
                each.get()

        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(work, number) for number in range(4)]
            wait(calls)
            list(as_completed(calls))
            list(pool.map(work, range(4)))
    """,
    "objects that have fallen back": """
        import queue, threading
        from concurrent.futures import ThreadPoolExecutor
        jobs = queue.Queue(3)
        jobs.mutex, jobs.not_empty
        events = [threading.Event(), threading.Semaphore(2), threading.Barrier(2)]
        [event._cond for event in events]

        def work(number):
            for each in range(50):
                jobs.put(each)
                with events[1]:
                    events[0].set()
                events[2].wait()
                jobs.get()
                jobs.task_done()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        jobs.join()
    """,
    "timers and conditions": """
        import threading
        ready, items = threading.Condition(), []

        def consume():
            with ready:
                ready.wait_for(lambda: items)
                items.pop()

        def produce():
            with ready:
                items.append(1)
                ready.notify_all()

        threads = [threading.Thread(target=consume) for _ in range(3)]
        threads += [threading.Timer(0.01, produce) for _ in range(3)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    """,
    "tracebacks, imports and weak references": """
        import threading, traceback, weakref, functools

        class Node:
            lock = threading.RLock()
            @functools.cached_property
            def value(self):
                with self.lock:
                    return 1

        def work():
            import decimal, fractions, statistics
            for _ in range(50):
                node = Node()
                weakref.finalize(node, len, "")
                node.value
                traceback.format_stack()

        threads = [threading.Thread(target=work) for _ in range(3)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    """,
}


@pytest.mark.parametrize("name", QUIET)
def test_the_standard_library_is_not_reported(name: str) -> None:
    ended = run("-m", "oxthreads", "--watch=order", "-c", textwrap.dedent(QUIET[name]))
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child() -> None:
    ended = run(
        *("-W", "ignore", "-m", "oxthreads", "--watch=order", "-c"),
        textwrap.dedent("""
            import os, sys, threading
            a, b, c = threading.Lock(), threading.Lock(), threading.Lock()

            def take(one, other):
                with one, other:
                    pass

            def both(*pairs):
                turns = [threading.Event() for _ in pairs] + [threading.Event()]
                def run(number):
                    turns[number].wait()
                    take(*pairs[number])
                    turns[number + 1].set()
                threads = [threading.Thread(target=run, args=(number,)) for number in range(len(pairs))]
                [thread.start() for thread in threads]
                turns[0].set()
                [thread.join() for thread in threads]

            keeps, goes_on = threading.Event(), threading.Event()
            def keep():
                with c:
                    keeps.set()
                    goes_on.wait()
            keeper = threading.Thread(target=keep)
            keeper.start()
            keeps.wait()
            both((a, b))
            with a:
                child = os.fork()
                if not child:
                    # It still has `a`, and knows of no other thread.
                    with b:
                        pass
            if not child:
                both((b, a))
                print("nothing so far", file=sys.stderr, flush=True)
                both((a, b), (b, a))
                sys.stderr.flush()
                os._exit(0)
            os.waitpid(child, 0)
            goes_on.set()
            keeper.join()
        """),
    )
    assert ended.returncode == 0
    assert ended.stderr.count("can deadlock") == 1
    assert ended.stderr.startswith("nothing so far\n")


def test_pytest_has_an_option(tmp_path: Path) -> None:
    (tmp_path / "test_bank.py").write_text(f"{BANK}\n\ndef test_it():\n    pass\n")
    ended = run("-m", "pytest", "-p", "oxthreads", "--oxthreads-lock-order", str(tmp_path), "-q")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "payer took a (" in ended.stdout
    assert "1 passed" in ended.stdout
