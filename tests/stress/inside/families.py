"""What the main thread and another thread do with one object while signals arrive: a class for each kind.

The main thread calls ``round`` again and again. The other thread runs ``peer``. When no more signals come,
the main thread calls ``finish``, and then ``check``, which looks whether anything was lost.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.support.back_ends import BackEnd
from tests.support.threads import Result
from tests.support.waiting import spin_until

if TYPE_CHECKING:
    from tests.stress.inside.storms import Storm

#: Seconds for which the other thread often lets the main thread wait, so that signals arrive in the wait.
WHILE = 0.002


class Family:
    """Two threads and an object."""

    def __init__(self, library: BackEnd) -> None:
        self.library, self.rounds, self.ended = library, 0, False
        #: The threads besides the main thread and the peer.
        self.others: list[Result] = []
        self.prepare(library)

    def prepare(self, library: BackEnd) -> None: ...

    def use(self) -> None:
        """What the signal handler does with the object. The main thread may be anywhere in its round."""

    def round(self, storm: Storm) -> None: ...

    def peer(self) -> None: ...

    def finish(self) -> None:
        self.ended = True

    def check(self) -> None: ...


class Event(Family):
    def prepare(self, library: BackEnd) -> None:
        self.there, self.back = library.threading.Event(), library.threading.Event()
        self.answers = 0

    def use(self) -> None:
        self.back.wait(0)
        self.there.is_set()

    def round(self, storm: Storm) -> None:
        self.there.set()
        assert storm.insist(self.back.wait) is True
        self.back.clear()
        assert self.answers == self.rounds

    def peer(self) -> None:
        while self.there.wait() and not self.ended:
            self.there.clear()
            time.sleep(WHILE)
            self.answers += 1
            self.back.set()

    def finish(self) -> None:
        self.ended = True
        self.there.set()


class Barrier(Family):
    """A wait that raises may have met the other thread, as in the standard library."""

    def prepare(self, library: BackEnd) -> None:
        self.barrier, self.met = library.threading.Barrier(2), 0
        self.passed = 0

    def use(self) -> None:
        assert not self.barrier.broken
        assert self.barrier.n_waiting in (0, 1)

    def round(self, storm: Storm) -> None:
        assert storm.insist(self.barrier.wait) in (0, 1)
        self.passed += 1

    def peer(self) -> None:
        while not self.ended:
            time.sleep(WHILE)
            self.barrier.wait()
            self.met += 1
        self.barrier.abort()

    def finish(self) -> None:
        super().finish()
        with contextlib.suppress(threading.BrokenBarrierError):
            self.barrier.wait()
            self.passed += 1
            self.barrier.wait()

    def check(self) -> None:
        assert self.met >= self.passed > 0
        self.barrier.reset()
        assert (self.barrier.n_waiting, self.barrier.broken) == (0, False)
        other = Result(self.barrier.wait)
        assert sorted([self.barrier.wait(), other.get()]) == [0, 1]


class Queue(Family):
    """Numbers go to the main thread, and from there to a third thread, in order."""

    kind = "Queue"
    #: The item that the handler puts.
    OWN = -1

    def prepare(self, library: BackEnd) -> None:
        make = getattr(library.queue, self.kind)
        self.come, self.go = (make(), make()) if self.kind == "SimpleQueue" else (make(2), make(2))
        self.produced = self.got = self.own_put = self.own_got = self.sent = 0
        self.produced_all = False
        self.consumer = Result(self.consume)

    def use(self) -> None:
        try:
            self.come.put_nowait(self.OWN)
        except queue.Full:
            return
        self.own_put += 1

    def round(self, storm: Storm) -> None:
        for number in self.take(storm.attempt(self.come.get)):
            storm.insist(self.go.put, number)
            self.sent += 1

    def take(self, items: list[int]) -> list[int]:
        """Take the numbers of the other thread out of `items`. They must be the next ones."""
        numbers = [item for item in items if item != self.OWN]
        self.own_got += len(items) - len(numbers)
        assert numbers == list(range(self.got, self.got + len(numbers))), "lost or out of order"
        self.got += len(numbers)
        return numbers

    def peer(self) -> None:
        while not self.ended:
            self.come.put(self.produced)
            self.produced += 1
            if self.produced % 3 == 0:
                time.sleep(WHILE)
        self.produced_all = True

    def consume(self) -> None:
        number = 0
        while (item := self.go.get()) != self.OWN:
            assert item == number, "lost or out of order"
            number += 1
            if number % 7 == 0:
                time.sleep(WHILE)
        assert number == self.sent

    def finish(self) -> None:
        self.ended = True
        while not (self.produced_all and self.come.empty()):
            with contextlib.suppress(queue.Empty):
                self.take([self.come.get(timeout=WHILE)])

    def check(self) -> None:
        assert self.got == self.produced
        assert self.own_got == self.own_put
        spin_until(self.go.empty)  # in a priority queue, this item would come first
        self.go.put(self.OWN)
        self.consumer.get()


class PriorityQueue(Queue):
    kind = "PriorityQueue"


class SimpleQueue(Queue):
    kind = "SimpleQueue"


class QueueMany(Queue):
    """Several items at a time. An interrupted call must say how many items it has put."""

    def round(self, storm: Storm) -> None:
        for items in storm.attempt(self.come.get_many, 3):
            numbers = self.take(items)
            while numbers:
                storm.error = None
                if storm.attempt(self.go.put_many, numbers):
                    put = len(numbers)
                else:
                    put = getattr(storm.error, "items_put", 0)
                self.sent += put
                numbers = numbers[put:]


class QueueJoin(Family):
    def prepare(self, library: BackEnd) -> None:
        self.items, self.worked = library.queue.Queue(), 0

    def use(self) -> None:
        assert self.items.unfinished_tasks in (0, 1)

    def round(self, storm: Storm) -> None:
        self.items.put("item")
        while not storm.attempt(self.items.join):
            pass
        assert self.worked == self.rounds

    def peer(self) -> None:
        while self.items.get() == "item":
            time.sleep(WHILE)
            self.worked += 1
            self.items.task_done()

    def finish(self) -> None:
        self.items.put("the last")


class Future(Family):
    def prepare(self, library: BackEnd) -> None:
        self.calls, self.future, self.added = library.queue.SimpleQueue(), None, 0
        #: A list: two threads may call back at once, and a sum could lose one of them.
        self.called: list[object] = []

    def use(self) -> None:
        if (future := self.future) is not None:
            future.add_done_callback(self.note)
            self.added += 1

    def note(self, future: object) -> None:
        self.called.append(None)

    def round(self, storm: Storm) -> None:
        future: Any = self.library.futures.Future()
        self.future = future
        self.calls.put((future, self.rounds))
        assert self.result_of(future, storm) == self.rounds
        self.future = None

    def result_of(self, future: Any, storm: Storm) -> Any:
        return storm.insist(future.result)

    def peer(self) -> None:
        while call := self.calls.get():
            time.sleep(WHILE)
            call[0].set_result(call[1])

    def finish(self) -> None:
        self.calls.put(None)

    def check(self) -> None:
        assert len(self.called) == self.added, "a callback is lost"


class Wait(Future):
    def result_of(self, future: Any, storm: Storm) -> Any:
        done, pending = storm.insist(self.library.futures.wait, [future])
        assert (done, pending) == ({future}, set())
        return future.result(0)


class AsCompleted(Future):
    def result_of(self, future: Any, storm: Storm) -> Any:
        done = storm.insist(lambda: list(self.library.futures.as_completed([future])))
        assert done == [future]
        return future.result(0)


class ThreadJoin(Family):
    def use(self) -> None:
        self.library.threading.active_count()

    def make(self) -> Any:
        return self.library.threading.Thread(target=time.sleep, args=(WHILE,))

    def round(self, storm: Storm) -> None:
        thread = self.make()
        thread.start()
        while not storm.attempt(thread.join):
            pass
        assert not thread.is_alive()


class TimerJoin(ThreadJoin):
    def make(self) -> Any:
        return self.library.threading.Timer(WHILE, int)


class Executor(Family):
    """Calls from the main thread, and from the handler."""

    def prepare(self, library: BackEnd) -> None:
        self.pool = library.futures.ThreadPoolExecutor(2)
        self.futures: list[Any] = []
        self.ran: list[int] = []

    def use(self) -> None:
        if len(self.futures) < 100_000:
            self.futures.append(self.pool.submit(self.ran.append, 1))

    def round(self, storm: Storm) -> None:
        future = self.pool.submit(time.sleep, WHILE)
        assert storm.insist(future.result) is None
        assert future.done()

    def finish(self) -> None:
        self.pool.shutdown()

    def check(self) -> None:
        assert all(future.done() for future in self.futures)
        assert len(self.ran) == len(self.futures), "a call is lost"


class ExecutorMap(Executor):
    def round(self, storm: Storm) -> None:
        # Not repeated until it is done: each attempt starts again, and may take longer than the time to a
        # signal.
        call = partial(self.pool.map, self.echo, range(3))
        assert storm.attempt(lambda: list(call())) in ([], [[0, 1, 2]])

    def finish(self) -> None:
        assert list(self.pool.map(self.echo, range(3))) == [0, 1, 2]
        super().finish()

    def echo(self, number: int) -> int:
        time.sleep(WHILE / 4)
        return number


FAMILIES: dict[str, type[Family]] = {
    "Event": Event,
    "Barrier": Barrier,
    "Queue": Queue,
    "PriorityQueue": PriorityQueue,
    "SimpleQueue": SimpleQueue,
    "Queue, many": QueueMany,
    "Queue.join": QueueJoin,
    "Future": Future,
    "wait": Wait,
    "as_completed": AsCompleted,
    "Thread.join": ThreadJoin,
    "Timer.join": TimerJoin,
    "Executor": Executor,
    "Executor.map": ExecutorMap,
}
