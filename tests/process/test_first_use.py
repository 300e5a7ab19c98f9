"""The first use of a feature must work at any time, even when nothing can be imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.interpreters import python

ROOT = Path(__file__).resolve().parent
while not (ROOT / "Cargo.toml").exists():
    ROOT = ROOT.parent

#: An import may run code of the program, and this code may use the same feature for the first time, too.
PROGRAM = """
import builtins
import contextlib
import logging

from oxthreads import queue, threading
from oxthreads.concurrent import futures


class Item:
    def __lt__(self, other):
        return True


class Seconds(int):
    pass


def compare():
    items = queue.PriorityQueue()
    items.put(Item())
    items.put(Item())


def get_from_an_empty_queue():
    with contextlib.suppress(queue.Empty):
        queue.Queue().get_nowait()


def put_into_a_full_queue():
    items = queue.Queue(1)
    items.put(1)
    with contextlib.suppress(queue.Full):
        items.put_nowait(2)


def ask_a_cancelled_future():
    future = futures.Future()
    future.cancel()
    with contextlib.suppress(futures.CancelledError):
        future.result()


def end_a_future_twice():
    future = futures.Future()
    future.set_result(1)
    with contextlib.suppress(futures.InvalidStateError):
        future.set_result(2)


def make_a_condition():
    threading.Condition()


def make_a_barrier():
    threading.Barrier(1)


def make_a_queue():
    queue.Queue()


def make_a_future():
    futures.Future()


def put_a_batch():
    queue.Queue().put_many([1])


def look_at_the_class_of_a_lock():
    threading.Lock().__class__
    threading.RLock().__class__


def wait_for_a_moment():
    threading.Lock().acquire(1, 1)
    threading.Event().wait(Seconds(0))
    threading.Semaphore(0).acquire(timeout=Seconds(0))
    with contextlib.suppress(queue.Empty):
        queue.Queue().get(timeout=Seconds(0))
    with contextlib.suppress(queue.Empty):
        queue.SimpleQueue().get(True, 0)
    with contextlib.suppress(futures.TimeoutError):
        futures.Future().result(Seconds(0))


def count_with_other_numbers():
    threading.Semaphore(Seconds(1)).release(Seconds(1))
    condition = threading.Condition()
    with condition:
        condition.notify(1.5)


def put_more_than_there_is_room_for():
    with contextlib.suppress(queue.Full):
        queue.Queue(1).put_many(iter([1, 2, 3]), block=False)


def break_a_barrier():
    barrier = threading.Barrier(2)
    barrier.abort()
    with contextlib.suppress(threading.BrokenBarrierError):
        barrier.wait()


def log_what_a_callback_raises():
    future = futures.Future()
    future.set_running_or_notify_cancel()
    with contextlib.suppress(RuntimeError):
        future.set_running_or_notify_cancel()


def read_a_method():
    assert type(queue.Queue.put.__code__).__name__ == "code"
    assert queue.Queue.put.__class__.__name__ == "function"
    queue.Queue.put.__reduce__()


def refuse(name, *arguments, **keywords):
    raise ImportError(f"{use.__name__} imports {name}")


logging.getLogger("concurrent.futures").disabled = True


original = builtins.__import__
for use in [
    make_a_condition,
    make_a_barrier,
    make_a_queue,
    make_a_future,
    get_from_an_empty_queue,
    put_into_a_full_queue,
    compare,
    ask_a_cancelled_future,
    end_a_future_twice,
    put_a_batch,
    look_at_the_class_of_a_lock,
    wait_for_a_moment,
    count_with_other_numbers,
    put_more_than_there_is_room_for,
    break_a_barrier,
    log_what_a_callback_raises,
    read_a_method,
]:
    builtins.__import__ = refuse
    use()
    builtins.__import__ = original
print("done")
"""


#: Each feature is first used when modules are torn down.
LATE = """
import queue, sys, threading
from concurrent.futures import CancelledError, Future, InvalidStateError


class Item:
    def __init__(self, number):
        self.number = number

    def __lt__(self, other):
        return self.number < other.number


class Late:
    def __init__(self, uses, **kept):
        self.uses = uses
        self.__dict__.update(kept)

    def __del__(self):
        for use in self.uses:
            use(self)
        self.print("all done at the end")

    def refuses(self, error, call, *arguments, **keywords):
        try:
            call(*arguments, **keywords)
        except error:
            return
        raise AssertionError


def queues(it):
    it.refuses(it.queue.Empty, it.queue.Queue().get_nowait)
    it.refuses(it.queue.Empty, it.queue.Queue().get, timeout=it.brief)
    it.refuses(it.queue.Empty, it.queue.SimpleQueue().get, True, it.brief)
    full = it.queue.Queue(1)
    full.put(1)
    it.refuses(it.queue.Full, full.put_nowait, 2)


def priorities(it):
    items = it.queue.PriorityQueue()
    items.put(it.Item(2))
    items.put(it.Item(1))
    assert items.get().number == 1


def futures(it):
    future = it.Future()
    future.set_result(1)
    it.refuses(it.InvalidStateError, future.set_result, 2)
    future = it.Future()
    future.cancel()
    it.refuses(it.CancelledError, future.result)


def locks(it):
    lock, rlock = it.threading.Lock(), it.threading.RLock()
    assert lock.acquire(1, 0.01) and rlock.acquire(True, 0.5)
    lock.__class__, rlock.__class__


def semaphores(it):
    semaphore = it.threading.Semaphore(1)
    semaphore.release(True)
    it.refuses(ValueError, it.threading.Semaphore, -1.0)
    assert semaphore.acquire(timeout=0.01)


def conditions(it):
    condition = it.threading.Condition()
    with condition:
        condition.wait(it.brief)
        condition.notify(1.0)


def barriers(it):
    barrier = it.threading.Barrier(2)
    barrier.abort()
    it.refuses(it.threading.BrokenBarrierError, barrier.wait)
    it.threading.Barrier(1).wait()


def fallbacks(it):
    items, future, event = it.queue.Queue(), it.Future(), it.threading.Event()
    items.mutex, future._condition, event._cond
    items.put(items.qsize())
    future.set_result(items.get())
    event.set()
    assert future.result() == 0 and event.wait(0.01)


late = Late(
    [queues, priorities, futures, locks, semaphores, conditions, barriers, fallbacks],
    queue=queue,
    threading=threading,
    Future=Future,
    Item=Item,
    CancelledError=CancelledError,
    InvalidStateError=InvalidStateError,
    print=print,
    # From 3.15 on, who would have to wait for a standard lock now is refused.
    brief=0.01 if sys.version_info < (3, 15) else 0,
)
"""


def test_the_first_use_of_a_feature_imports_nothing() -> None:
    ended = python(PROGRAM, runner=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.endswith("done\n")


def test_rust_imports_only_what_the_classes_declare() -> None:
    bindings = ROOT / "src/bindings"
    found = {file.relative_to(bindings).as_posix(): file.read_text() for file in bindings.rglob("*.rs")}
    assert {file: text.count(".import(") for file, text in found.items() if ".import(" in text} == {
        "runtime/lazy.rs": 2,
        "runtime/errors.rs": 1,  # when the extension module is made
        "mod.rs": 1,  # as well
        "threading/standard_name.rs": 1,  # where a failure means no
        "future/event_loop.rs": 1,  # sys, which is there as long as the interpreter
        "threading/reused.rs": 1,  # as well
    }
    made = {file for file, text in found.items() if "LazyImport::new(" in text}
    assert made == {
        *("runtime/lazy.rs", "runtime/errors.rs"),
        # What they look up is of the library whose event loop runs, and so has been imported.
        *(
            "aio/alarm.rs",
            "aio/inbox.rs",
            "aio/library.rs",
            "aio/queue.rs",
            "aio/signal.rs",
            "aio/watched.rs",
        ),
    }


@pytest.mark.parametrize("runner", [False, True])
def test_the_first_use_of_a_feature_works_at_the_end_of_the_interpreter(runner: bool) -> None:
    ended = python(LATE, runner=runner)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "all done at the end\n", "")


@pytest.mark.parametrize("allocations", [1, 2, 3, 5, 7, 11, 50])
def test_collections_may_start_at_any_time_while_oxthreads_is_imported(allocations: int) -> None:
    program = f"""
import gc
gc.set_threshold({allocations})
import oxthreads.concurrent.futures
import oxthreads.queue
import oxthreads.threading
oxthreads.threading.Event().set()
"""
    done = python(program, runner=False)
    assert (done.returncode, done.stderr) == (0, "")
