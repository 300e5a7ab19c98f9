"""What reports, profiles and traces say of coroutines that wait for objects of oxthreads."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import fastjsonschema  # type: ignore[import-untyped]
import pytest

from tests.aio.event_loops import ALL, EventLoops
from tests.diagnose.running import start

pytestmark = [
    pytest.mark.one_thread("starts child interpreters"),
    pytest.mark.skipif(os.name != "posix", reason="the helper that runs programs needs sessions"),
]


@pytest.fixture(params=ALL)
def loops(request: pytest.FixtureRequest) -> EventLoops:
    """Each of the libraries that run coroutines."""
    found: EventLoops = request.param
    return found


#: Programs begin with this. `run` calls a coroutine function beside tasks, which are cancelled at its end.
PROGRAM = """
import asyncio, json, queue, sys
from oxthreads import aio
from oxthreads.aio import as_async
from oxthreads.concurrent.futures import Future, ThreadPoolExecutor
from oxthreads.diagnose import _inspection
from oxthreads.locks import RWLock
LIBRARY = {library!r}
if LIBRARY == "trio":
    import trio

    def run(function, *tasks):
        async def begin():
            async with trio.open_nursery() as nursery:
                for name, task in tasks:
                    nursery.start_soon(task, name=name)
                await function()
                nursery.cancel_scope.cancel()
        trio.run(begin)
else:
    def run(function, *tasks):
        async def begin():
            began = [asyncio.create_task(task(), name=name) for name, task in tasks]
            await function()
            for task in began: task.cancel()
            await asyncio.gather(*began, return_exceptions=True)
        if LIBRARY == "uvloop":
            import uvloop
            uvloop.run(begin())
        else:
            asyncio.run(begin())

async def turn():
    await (trio.sleep(0) if LIBRARY == "trio" else asyncio.sleep(0))

def waiting():
    return _inspection.description()["tasks"]

async def until_waiting(count):
    while len(waiting()) != count: await turn()

def said_of(task):
    parts = diagnose.report().split("\\n\\n")
    return next((part for part in parts if part.startswith(f"task {{task}} ")), "")
"""


def output_of(loops: EventLoops, program: str, *options: str, errors: str = "") -> list[str]:
    """What the program writes to standard output."""
    with start(PROGRAM.format(library=loops.name) + program, *options) as process:
        assert process.ends() == 0, str(process)
        assert errors in process.errors, str(process)
        assert errors or process.errors == "", str(process)
        return process.output.splitlines()


ALL_KINDS = """
jobs, full = queue.Queue(), queue.Queue(1)
full.put(1)
simple, event, permits, future = queue.SimpleQueue(), threading.Event(), threading.Semaphore(0), Future()
condition, barrier, both = threading.Condition(threading.Lock()), threading.Barrier(2), aio.Queue()
lock, prices, leave, held = threading.Lock(), RWLock(), threading.Event(), threading.Event()
pool = ThreadPoolExecutor(1)
def hold():
    with lock, prices.write():
        held.set()
        leave.wait()
def render(): leave.wait()
holder = threading.Thread(target=hold, name="holder")
holder.start(); held.wait()
async def notified():
    async with as_async(condition): await as_async(condition).wait()
async def read():
    async with as_async(prices).read(): pass
async def first(): await aio.select(jobs, event)
async def submitted(): await as_async(pool).run(render)
async def taken(): await as_async(lock).acquire()
async def item(): await as_async(jobs).get()
async def room(): await as_async(full).put(2)
async def done(): await as_async(full).join()
async def of_simple(): await as_async(simple).get()
async def permit(): await as_async(permits).acquire()
async def was_set(): await as_async(event).wait()
async def result(): await as_async(future)
async def together(): await as_async(barrier).wait()
async def of_both(): await both.async_q.get()
ALL = [notified, read, first, submitted, taken, item, room, done, of_simple, permit, was_set, result]
ALL += [together, of_both]
"""


def test_each_kind_of_wait_is_told_with_its_task(loops: EventLoops) -> None:
    lines = output_of(
        loops,
        f"""
diagnose.report()  # waits are recorded from the first report on
{ALL_KINDS}
async def main():
    await until_waiting(len(ALL))
    for task in ALL: print(said_of(task.__name__).splitlines()[0])
run(main, *[(task.__name__, task) for task in ALL])
print(waiting())
leave.set()
""",
    )
    *told, left = lines
    assert left == "[]"
    said = dict(
        line.removeprefix("task ").split(" of the event loop in MainThread has waited ") for line in told
    )
    said = {name: text.split(" s for ", 1)[1] for name, text in said.items()}
    assert said == {
        "notified": "Condition condition",
        "read": said["read"],
        "first": "the first of: an item of Queue jobs, Event event",
        "submitted": said["submitted"],
        "taken": said["taken"],
        "item": "an item of Queue jobs, which has 0 queued",
        "room": "room in Queue full, which has 1 queued",
        "done": "the end of the work of Queue full, 1 not done: 0 taken, and 1 queued",
        "of_simple": "an item of SimpleQueue simple",
        "permit": "Semaphore permits, which has 0 permits",
        "was_set": "Event event, which is not set",
        "result": "Future future",
        "together": "Barrier barrier, where 1 of 2 threads wait",
        "of_both": said["of_both"],
    }
    # Before Python 3.13, the source of such a program is not known.
    taken = r"<string>:\d+ in hold(:  with lock, prices\.write\(\):)?"
    assert re.fullmatch(f"read access to RWLock prices, which holder writes, since {taken}", said["read"]), (
        said
    )
    assert re.fullmatch(f"Lock lock, which holder took at {taken}", said["taken"]), said
    assert "whose call ThreadPoolExecutor-0_0 runs" in said["submitted"]
    assert said["of_both"] == "an item of Queue both._sync, which has 0 queued"


def test_the_functions_of_a_task_are_told(loops: EventLoops) -> None:
    lines = output_of(
        loops,
        """
diagnose.report()
jobs = queue.Queue()
async def lines():
    while True: yield await as_async(jobs).get()
async def crawl():
    async for line in lines(): pass
async def inner(): await crawl()
async def main():
    await until_waiting(1)
    (task,) = waiting()
    print(task["name"], *[frame["function"] for frame in task["stack"]])
run(main, ("crawler", inner))
""",
    )
    assert lines == ["crawler lines crawl inner"]


def test_a_wait_that_began_before_the_first_report_is_told_without_its_age(loops: EventLoops) -> None:
    lines = output_of(
        loops,
        """
jobs = queue.Queue()
async def wait(): await as_async(jobs).get()
async def main():
    for _ in range(10): await turn()
    print(said_of("early").splitlines()[0])
run(main, ("early", wait))
""",
    )
    assert lines == [
        "task early of the event loop in MainThread waits for an item of Queue jobs, which has 0 queued"
    ]


def test_a_wait_that_is_over_is_not_told(loops: EventLoops) -> None:
    """It was given what it waited for, by a thread or by a task; or was cancelled."""
    lines = output_of(
        loops,
        """
diagnose.report()
jobs, lock = queue.Queue(), threading.Lock()
lock.acquire()
ended = []
async def get():
    await as_async(jobs).get()
    ended.append("get")
    await as_async(lock).acquire()
    ended.append("acquire")
async def main():
    await until_waiting(1)
    thread = threading.Thread(target=jobs.put, args=(1,))
    thread.start(); thread.join()
    print(len(waiting()))  # it was woken, and has not gone on
    while not ended: await turn()
    await until_waiting(1)
    print(waiting()[0]["wait"]["for"])
    lock.release()
    print(len(waiting()))
    while len(ended) < 2: await turn()
run(main, ("one", get))
print(waiting())
""",
    )
    assert lines == ["0", "Lock", "0", "[]"]


def test_the_waits_of_a_loop_that_is_closed_are_not_told() -> None:
    lines = output_of(
        EventLoops(),
        """
diagnose.report()
jobs = queue.Queue()
async def wait(): await as_async(jobs).get()
loop = asyncio.new_event_loop()
task = loop.create_task(wait())
loop.run_until_complete(asyncio.sleep(0))
print(len(waiting()))
loop.close()
print(len(waiting()))
task._log_destroy_pending = False
dropped = wait()
try: dropped.send(None)
except RuntimeError: pass  # no loop runs
dropped.close()
print(len(waiting()))
""",
    )
    assert lines == ["1", "0", "0"]


def test_the_data_is_as_the_schema_says(loops: EventLoops) -> None:
    lines = output_of(
        loops,
        """
jobs = queue.Queue()
async def wait(): await as_async(jobs).get()
async def main():
    await until_waiting(1)
    print(json.dumps(_inspection.description()))
diagnose.report()
run(main, ("one", wait))
""",
    )
    schema = Path(__file__).resolve().parents[2] / "docs/inspection.schema.json"
    data: Any = json.loads(lines[0])
    fastjsonschema.compile(json.loads(schema.read_text()))(data)
    (task,) = data["tasks"]
    assert (task["name"], task["thread"]["name"]) == ("one", "MainThread")
    assert task["wait"]["object"] == "an item of Queue jobs"


def test_a_lock_that_a_task_has_is_not_said_to_be_that_of_its_thread(loops: EventLoops) -> None:
    lines = output_of(
        loops,
        """
diagnose.report()
lock, jobs = threading.Lock(), queue.Queue()
async def hold():
    async with as_async(lock): await as_async(jobs).get()
async def wait():
    while not lock.locked(): await turn()  # trio begins with any of its tasks
    await as_async(lock).acquire()
async def main():
    await until_waiting(2)
    print(said_of("second").splitlines()[0].partition(" for ")[2])
run(main, ("first", hold), ("second", wait))
""",
    )
    assert lines == ["Lock lock, which MainThread or a task of its event loop took"]


def test_a_deadlock_tells_which_tasks_wait_for_it(loops: EventLoops) -> None:
    program = """
one, two, both = threading.Lock(), threading.Lock(), threading.Barrier(2)
def cross(first, second):
    with first:
        both.wait()
        go.wait()
        with second: pass
go = threading.Event()
watch = diagnose.watch("report")
reports = []
from oxthreads.diagnose import _watch
_watch.listeners.append(reports.append)
threads = [threading.Thread(target=cross, args=each, daemon=True) for each in ((one, two), (two, one))]
for thread in threads: thread.start()
while not (one.locked() and two.locked()): pass
async def wait(): await as_async(one).acquire()
async def main():
    await until_waiting(1)
    go.set()
    while not reports: await turn()
    print(reports[0].splitlines()[0])
    print(reports[0].splitlines()[-1])
run(main, ("payer", wait))
"""
    first, last = output_of(loops, program, errors="oxthreads: deadlock: 2 threads")
    assert first.startswith("oxthreads: deadlock: 2 threads wait for each other")
    said = "Tasks that wait for what these threads have: task payer of the event loop in MainThread, "
    assert last.startswith(said)


def test_a_loop_that_waits_in_select_is_no_part_of_a_deadlock(loops: EventLoops) -> None:
    """A thread waits for a lock that a task has, and the task for what that has: it may be cancelled."""
    program = """
watch = diagnose.watch("raise")
one, two, begun = threading.Lock(), threading.Lock(), threading.Event()
def cross():
    with two:
        begun.set()
        with one: pass
thread = threading.Thread(target=cross)
async def hold():
    async with as_async(one):
        thread.start()
        begun.wait()
        await as_async(two).acquire()
async def main():
    await until_waiting(1)
    until_asleep(thread)
    end = time.monotonic() + 2.5  # the watch looks ten times a second, and is sure of nothing after a second
    while time.monotonic() < end: await turn()
run(main, ("holder", hold))  # cancels the task, which leaves the lock
thread.join()
print("ended")
"""
    assert output_of(loops, program) == ["ended"]


def test_a_reader_behind_a_coroutine_that_waits_to_write_is_in_no_deadlock() -> None:
    """The coroutine may be cancelled, and then the thread reads."""
    program = """
from oxthreads.locks import RWLock
watch = diagnose.watch("raise")
prices, lock, both = RWLock(), threading.Lock(), threading.Barrier(2)
def reads():
    with prices.read():
        both.wait(); go.wait()
        with lock: pass
def wants():
    with lock:
        both.wait(); go.wait()
        with prices.read(): pass
go = threading.Event()
threads = [threading.Thread(target=each) for each in (reads, wants)]
for thread in threads: thread.start()
async def write():
    async with as_async(prices).write(): pass
async def main():
    await until_waiting(1)
    go.set()
    for thread in threads: until_asleep(thread)
    end = time.monotonic() + 1.5
    while time.monotonic() < end: await turn()
run(main, ("writer", write))
for thread in threads: thread.join()
print("ended")
"""
    assert output_of(EventLoops(), program) == ["ended"]


def test_a_deadlock_behind_a_writer_is_one_although_a_coroutine_is_next() -> None:
    """The writer leaves the lock before any of them can go on."""
    program = """
prices, lock, both = RWLock(), threading.Lock(), threading.Barrier(2)
watch = diagnose.watch("raise")
go = threading.Event()
def writes():
    with prices.write():
        both.wait(); go.wait()
        lock.acquire()
def wants():
    with lock:
        both.wait(); go.wait()
        with prices.read(): pass
def run_until_deadlock(function):
    try: function()
    except diagnose.DeadlockError: print("ended")
threads = [threading.Thread(target=run_until_deadlock, args=(each,)) for each in (writes, wants)]
for thread in threads: thread.start()
async def read():
    async with as_async(prices).read(): pass
async def main():
    await until_waiting(1)
    go.set()
    while all(thread.is_alive() for thread in threads): await turn()
run(main, ("reader", read))
for thread in threads: thread.join()
"""
    assert output_of(EventLoops(), program, errors="oxthreads: deadlock: 2 threads") == ["ended"]


def test_a_task_that_ends_while_it_is_described_is_dropped_when_all_threads_may_go_on() -> None:
    """Its result needs a lock, whose owner waits: it may not go on while a report is made."""
    program = """
from oxthreads.diagnose import _tasks
diagnose.report()
lock, jobs, full = threading.RLock(), queue.Queue(), queue.Queue(1)
full.put(0)
class Result:
    def __del__(self):
        with lock: print("dropped")
def hold():
    with lock: full.put(1)
holder = threading.Thread(target=hold)
holder.start(); until_asleep(holder)
async def get():
    await as_async(jobs).get()
    return Result()
def name_when_ended(task):
    # As if another thread had the interpreter for that long.
    if not jobs.unfinished_tasks: jobs.put(1)
    assert ended.wait(30)
    return "getter"
ended, begun = threading.Event(), threading.Event()
async def main():
    task = asyncio.create_task(get())
    await until_waiting(1)
    begun.set()
    while not task.done(): await turn()
    del task
    await turn()
    ended.set()
loop = threading.Thread(target=asyncio.run, args=(main(),))
loop.start(); begun.wait()
_tasks._name = name_when_ended
releaser = threading.Timer(1, full.get)  # what the owner of the lock waits for
releaser.start()
print("task getter" in diagnose.report())
for thread in (holder, loop, releaser): thread.join()
"""
    lines = output_of(EventLoops(), program)
    assert sorted(lines) == ["True", "dropped"]


def test_a_trace_that_another_thread_begins_knows_who_runs_the_task(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    lines = output_of(
        EventLoops(),
        f"""
jobs, begun = queue.Queue(), threading.Event()
async def get(): await as_async(jobs).get()
async def main():
    task = asyncio.create_task(get())
    await until_waiting(1)
    begun.set()
    await task
loop = threading.Thread(target=asyncio.run, args=(main(),), name="loop")
loop.start(); begun.wait()
with diagnose.trace({str(file)!r}):
    print(waiting()[0]["thread"]["name"])
    jobs.put(1)
    loop.join()
""",
    )
    assert lines == ["loop"]


def test_a_profile_counts_a_wait_under_its_await(loops: EventLoops) -> None:
    lines = output_of(
        loops,
        """
jobs, lock = queue.Queue(), threading.Lock()
lock.acquire()
async def acquire():
    await as_async(lock).acquire()  # here
async def get(): await as_async(jobs).get()
async def main():
    await until_waiting(2)
    lock.release()
    while not lock.locked(): await turn()  # the task has it
with diagnose.profile(timeline=True) as profile:
    run(main, ("locker", acquire), ("getter", get))
print(profile.json())
print("locker" in profile.html())
""",
    )
    data: Any = json.loads("\n".join(lines[:-1]))
    assert lines[-1] == "True"
    assert data["tasks"] == 2
    rows = {row["for"]: row for row in data["objects"] if row["for"] in ("Lock", "item of a queue")}
    assert rows["Lock"]["object"] == "Lock lock"
    (place,) = rows["Lock"]["places"]
    assert [frame["function"] for frame in place["stack"]] == ["acquire"]
    assert place["waits"] == 1
    assert place["seconds"] > 0
    assert rows["item of a queue"]["waits"] == 1
    assert rows["item of a queue"]["idle"]
    (held,) = place["held"]
    assert held["thread"] == "MainThread"


def test_a_profile_begins_and_ends_within_waits(loops: EventLoops) -> None:
    lines = output_of(
        loops,
        """
jobs, later = queue.Queue(), queue.Queue()
async def get(): await as_async(jobs).get()
async def main():
    await until_waiting(1)
    with diagnose.profile() as profile:
        await turn()
    print(json.dumps([row["waits"] for row in profile.data()["objects"] if row["for"] == "item of a queue"]))
    with diagnose.profile() as profile:
        jobs.put(1)
        while waiting(): await turn()
        for _ in range(3): await turn()
    print(json.dumps([row["waits"] for row in profile.data()["objects"] if row["for"] == "item of a queue"]))
run(main, ("getter", get))
""",
    )
    assert lines == ["[1]", "[1]"]


def test_a_trace_has_a_row_for_a_task(loops: EventLoops, tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    output_of(
        loops,
        f"""
jobs, lock, prepared = queue.Queue(), threading.Lock(), threading.Event()
lock.acquire()
async def work():
    await as_async(lock).acquire()
    await as_async(jobs).get()
async def early(): await as_async(prepared).wait()
async def main():
    await until_waiting(1)
    with diagnose.trace({str(file)!r}):
        prepared.set()
        await until_waiting(0)
        await until_waiting_one()
        lock.release()
        while not (waiting() and waiting()[0]["wait"]["for"] == "item of a queue"): await turn()
        thread = threading.Thread(target=jobs.put, args=(1,), name="putter")
        thread.start(); thread.join()
        while not done: await turn()
done = []
async def until_waiting_one(): await until_waiting(1)
async def all_of():
    await early()
    await work()
    done.append(1)
run(main, ("worker", all_of))
""",
    )
    events: Any = json.loads(file.read_text())["traceEvents"]
    names = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    (track,) = [number for number, name in names.items() if name == "task worker"]
    slices = [event for event in events if event["ph"] == "X" and event["tid"] == track]
    waits = {event["name"]: event["args"] for event in slices if event["cat"] == "wait"}
    assert list(waits) == ["Event prepared", "Lock lock", "an item of Queue jobs"]
    assert {each["ended"] for each in waits.values()} == {"completed"}
    assert waits["an item of Queue jobs"]["by"] == "putter"
    assert waits["Lock lock"]["by"] == "MainThread"
    assert "in work" in waits["Lock lock"]["stack"][0]
    woken = [event for event in events if event.get("name") == "wakes task worker"]
    assert len(woken) == 3
    held = [event for event in events if event.get("cat") == "lock"]
    assert {event["name"] for event in held} == {"held by MainThread"}
