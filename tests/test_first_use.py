"""What is looked up in Python on its first use may be asked for again meanwhile."""

from __future__ import annotations

from conftest import python

#: Each is done for the first time while the same is done for the first time: in an import, where a
#: finalizer or a signal handler may run too.
PROGRAM = """
import builtins
import contextlib

from oxthreads import queue, threading
from oxthreads.concurrent import futures


class Item:
    def __lt__(self, other):
        return True


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


def once_more(*arguments, **keywords):
    global met
    if not met:
        met = True
        use()
    return original(*arguments, **keywords)


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
]:
    met = False
    print(use.__name__, flush=True)
    builtins.__import__ = once_more
    use()
    builtins.__import__ = original
    assert met
print("done")
"""


def test_what_is_looked_up_on_the_first_use_may_be_asked_for_meanwhile() -> None:
    ended = python(PROGRAM, runner=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.endswith("done\n")
