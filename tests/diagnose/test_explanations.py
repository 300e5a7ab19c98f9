"""What a report says of the objects that threads wait for: who has them, how they are, who made them."""

from __future__ import annotations

import os
import re
import sysconfig

import pytest

from tests.diagnose.running import WAITING, start

pytestmark = [
    pytest.mark.one_thread("starts child interpreters"),
    pytest.mark.skipif(os.name != "posix", reason="the helper that runs programs needs sessions"),
]

HAS_GIL = not sysconfig.get_config_var("Py_GIL_DISABLED")


def output_of(program: str, *options: str) -> str:
    """What the program writes to standard output."""
    with start(WAITING + program, *options) as process:
        assert process.ends() == 0, str(process)
        assert process.errors == ""
        return process.output


# ---- Where an object was made


def test_an_object_without_a_name_is_shown_by_the_line_that_made_it() -> None:
    program = """
class EarlyEvent(threading.Event): pass

class Hidden:
    # It has no attributes that a report can see.
    def __init__(self, make): self.make = lambda made=make(): made

def wait(thing):
    kind = type(thing.make()).__name__
    if kind == "Lock" or kind == "RLock": thing.make().acquire()
    elif kind == "Condition":
        with thing.make(): thing.make().wait()
    elif "Queue" in kind: thing.make().get()
    elif kind.endswith("Semaphore"): thing.make().acquire()
    elif kind == "Future": thing.make().result()
    else: thing.make().wait()

def taken(lock):
    lock.acquire()
    return lock

makers = [
    lambda: taken(threading.Lock()), lambda: taken(threading.RLock()),
    lambda: threading.Condition(), lambda: threading.Semaphore(0), lambda: threading.Event(),
    lambda: threading.Barrier(2), lambda: queue.Queue(), lambda: queue.LifoQueue(),
    lambda: queue.SimpleQueue(), lambda: EarlyEvent(),
]
for number, maker in enumerate(makers):
    print(said_of(wait_in(wait, Hidden(maker), name=f"waiter-{number}")).splitlines()[0])
"""
    lines = output_of(program).splitlines()
    line = (
        r"waiter-\d+ has waited \S+ s for (an item of )?(\w+) made at <string>:\d+ in <lambda>"
        r"( at 0x\w+)?(, .*)?"
    )
    kinds = []
    for each in lines:
        found = re.fullmatch(line, each)
        assert found, each
        kinds.append(found[2])
    assert kinds == [
        *("Lock", "RLock", "Condition", "Semaphore", "Event", "Barrier", "Queue", "Queue", "Queue", "Event")
    ]


# ---- Different objects with one name


def named_in(report: str) -> list[str]:
    """What the threads of a report wait for, in order."""
    return re.findall(r"^crosser \d has waited \S+ s for (.*)$", report, re.MULTILINE)


CROSSING = """
class Account:
    def __init__(self): self.lock = threading.Lock()

both_have_one = threading.Barrier(2)

def transfer(source, target):
    with source.lock:
        both_have_one.wait()
        with target.lock:
            pass

def cross(one, other):
    for number, pair in enumerate([(one, other), (other, one)]):
        threading.Thread(target=transfer, args=pair, name=f"crosser {number}").start()
"""


@pytest.mark.parametrize(
    ("call", "names"),
    [
        # Both threads call what they wait for `target.lock`. The module knows better.
        ("savings, checking = Account(), Account(); cross(savings, checking)",
         [r"Lock checking\.lock", r"Lock savings\.lock"]),
        # Nobody has another name for them.
        ("cross(Account(), Account())", [r"Lock target\.lock at 0x[0-9a-f]+"] * 2),
    ],
)  # fmt: skip
def test_a_report_tells_apart_objects_that_have_one_name(call: str, names: list[str]) -> None:
    with start(CROSSING + call, "--watch=exit") as process:
        assert process.ends() == 2, str(process)
        said = named_in(process.errors)
        assert len(set(said)) == 2, str(process)
        assert all(re.fullmatch(name, each) for name, each in zip(names, sorted(said), strict=True)), said


def test_one_object_has_one_name_whoever_waits_for_it() -> None:
    program = """
done = threading.Event()
waiters = [wait_in(done.wait, name=f"waiter {number}") for number in range(3)]
for waiter in waiters:
    print(said_of(waiter).splitlines()[0].partition(" s for ")[2])
"""
    assert output_of(program).splitlines() == ["Event done, which is not set"] * 3


# ---- What keeps a report from saying that all threads sleep


def test_the_handler_of_asyncio_for_ctrl_c_wakes_no_thread() -> None:
    program = """
import asyncio
lock = threading.Lock()

async def take_it_twice():
    with lock:
        with lock:
            pass

asyncio.run(take_it_twice())
"""
    with start(program, "--watch") as process:
        expected = ["oxthreads: all threads sleep", "for Lock lock", "which it itself took"]
        missing = process.wait_until(lambda: [each for each in expected if each not in process.errors])
        assert missing == [], str(process)
        assert process.runs
        assert "deadlock" not in process.errors


@pytest.mark.parametrize(
    "handler",
    [
        "lambda *_: done.set()",
        "functools.partial(on_signal, 1)",
        # It only has the name of asyncio's.
        "functools.partial(Runner()._on_sigint, main_task=None)",
    ],
)
def test_another_handler_for_ctrl_c_may_wake_a_thread(handler: str) -> None:
    program = f"""
import asyncio, functools
from oxthreads.diagnose import _situation

class Runner:
    def _on_sigint(self, number, frame, main_task): done.set()

def on_signal(*_): done.set()

done = threading.Event()
print(_situation.has_handlers())
signal.signal(signal.SIGINT, {handler})
print(_situation.has_handlers())
"""
    assert output_of(program) == "False\nTrue\n"


def test_classes_make_objects_as_before() -> None:
    program = """
class Early(threading.Event):
    def __new__(cls, *args):
        made = super().__new__(cls)
        made.args = args
        return made
    def __init__(self, *args): super().__init__()

class Plain(queue.Queue): pass

def record():
    diagnose.watch().stop()

record()
class Late(Early): pass
class LatePlain(Plain): pass
for cls in (Early, Late):
    made = cls(1, 2)
    print(type(made).__name__, made.args, made.is_set())
for cls in (Plain, LatePlain):
    made = threading.Event.__new__(threading.Event), cls.__new__(cls), queue.Queue.__new__(cls), cls(3)
    print([type(each).__name__ for each in made], made[-1].maxsize)
for call in (lambda: threading.Event(1), lambda: threading.Barrier(), lambda: queue.Queue(1, 2)):
    try: call()
    except TypeError as error: print(type(error).__name__)
try: object.__new__(threading.Event)
except TypeError: print("not safe")
"""
    assert output_of(program).splitlines() == [
        "Early (1, 2) False",
        "Late (1, 2) False",
        "['Event', 'Plain', 'Plain', 'Plain'] 3",
        "['Event', 'LatePlain', 'LatePlain', 'LatePlain'] 3",
        *["TypeError"] * 3,
        "not safe",
    ]


@pytest.mark.skipif(not HAS_GIL, reason="the frames of a thread that runs cannot be read")
def test_a_name_that_only_a_running_thread_knows_is_found() -> None:
    program = """
def serve(answered):
    go_on = True
    while go_on and not stopping:
        pass

stopping = []
event = threading.Event()
busy = threading.Thread(target=serve, args=(event,), daemon=True)
busy.start()
thing = [event]
wait = event.wait
del event
print(said_of(wait_in(wait)).splitlines()[0])
stopping.append(1)
"""
    assert "for Event answered" in output_of(program)


# ---- Queues: what is not done


def test_a_report_says_who_has_taken_what_is_not_done() -> None:
    program = """
jobs = queue.Queue()
for number in range(10):
    jobs.put(number)

def fail():
    jobs.get()
    jobs.task_done()
    jobs.get_many(2)
    raise KeyError("x")

def leave():
    jobs.get_nowait()

def wait_for_more():
    jobs.get()
    threading.Event().wait()

threading.excepthook = lambda *_: None
for function in (fail, leave):
    thread = threading.Thread(target=function, name=function.__name__)
    thread.start()
    thread.join()
wait_in(wait_for_more, name="waits")
jobs.get()  # by the main thread, which runs
print(said_of(wait_in(jobs.join)).splitlines()[0])
jobs.task_done()
print(said_of(wait_in(jobs.join, name="second")).splitlines()[0])
"""
    first, second = output_of(program).splitlines()
    assert first.endswith(
        "9 not done: 4 queued; 2 taken by fail, which ended with KeyError; 1 taken by leave, which has ended;"
        " 1 taken by waits, which waits; 1 taken by MainThread"
    )
    assert second.endswith(
        "8 not done: 4 queued; 2 taken by fail, which ended with KeyError; 1 taken by leave, which has ended;"
        " 1 taken by waits, which waits"
    )


@pytest.mark.parametrize(
    "change",
    [
        "in_thread(jobs.task_done)",
        "jobs.unfinished_tasks = 5",
        "[in_thread(jobs.get) for _ in range(70)]",
    ],
)
def test_where_it_is_not_known_who_has_taken_an_item_only_the_numbers_are_said(change: str) -> None:
    program = f"""
def in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()

jobs = queue.Queue()
for number in range(100):
    jobs.put(number)
in_thread(jobs.get)
in_thread(jobs.get)
{change}
print(said_of(wait_in(jobs.join)).splitlines()[0])
"""
    said = output_of(program)
    assert re.search(r"\d+ not done: -?\d+ taken, and \d+ queued$", said.strip()), said


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_thread_of_the_parent_that_has_taken_an_item_has_not_ended() -> None:
    program = """
jobs = queue.Queue()
jobs.put(1)
def take():
    jobs.get()
    threading.Event().wait()
wait_in(take)
import warnings
warnings.simplefilter("ignore")
child = os.fork()
if not child:
    said = said_of(wait_in(jobs.join, name="child"))
    os.write(1, said.splitlines()[0].encode())
    os._exit(0)
os.waitpid(child, 0)
"""
    said = output_of(program)
    assert said.endswith("0 queued; 1 taken by a thread of the parent process, which does not exist here")


# ---- Semaphores


def test_a_report_says_who_has_the_permits_of_a_semaphore() -> None:
    program = """
permits = threading.BoundedSemaphore(4)
never = threading.Event()

def use():
    with permits:
        never.wait()

def use_too():
    with permits:
        never.wait()

permits.acquire()  # nobody knows
for number in range(2):
    wait_in(use, name=f"user {number}")
wait_in(use_too, name="another")
print(said_of(wait_in(permits.acquire)).splitlines()[0])
"""
    said = output_of(program)
    assert re.search(
        r"for Semaphore permits, which has 0 permits; 2 taken at <string>:\d+ by user 0 and user 1,"
        r" which wait; 1 taken at <string>:\d+ by another, which waits$",
        said.strip(),
    ), said


def test_a_with_statement_of_a_class_of_its_own_has_no_permit() -> None:
    program = """
class Gate(threading.Semaphore):
    def __enter__(self): return self
    def __exit__(self, *_): pass

gate = Gate(0)
def pass_through():
    with gate:
        threading.Event().wait()
wait_in(pass_through, name="other")
print(said_of(wait_in(gate.acquire)).splitlines()[0])
"""
    assert output_of(program).strip().endswith("which has 0 permits")


# ---- Futures


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("len, 'x'", "len"),
        ("Worker().rest", "rest"),
        ("Worker.make", "make"),
        ("functools.partial(print)", "partial"),
        ("Worker()", "Worker"),
        ("lambda: 1", "<lambda>"),
        ("asks_no_code", "Liar"),
    ],
)
def test_a_call_that_has_not_begun_is_named(call: str, name: str) -> None:
    program = f"""
import functools
class Worker:
    def rest(self): pass
    @classmethod
    def make(cls): pass
    def __call__(self): pass

class Meta(type):
    def __getattribute__(cls, name): raise SystemExit(name)

class Liar(metaclass=Meta):
    def __getattribute__(self, name): raise SystemExit(name)
    def __call__(self): pass

asks_no_code = object.__new__(Liar)
pool = ThreadPoolExecutor(1)
release = threading.Event()
pool.submit(release.wait)
until(lambda: "for Event release" in diagnose.report())  # before that, the only worker does not wait
print(said_of(wait_in(lambda: pool.submit({call}).result())).splitlines()[0])
release.set()
"""
    said = output_of(program)
    expected = (
        rf"for Future of {name}\(\), whose call is pending in the pool pool, whose only worker waits here$"
    )
    assert re.search(expected, said.strip()), said


def test_a_call_that_runs_is_named() -> None:
    program = """
def resize():
    runs.set()
    release.wait()

runs, release = threading.Event(), threading.Event()
pool = ThreadPoolExecutor(1, thread_name_prefix="worker")
pool.submit(int).result()  # the start of a worker is a wait, too
waiter = wait_in(lambda: pool.submit(resize).result())
runs.wait()
print(said_of(waiter).splitlines()[0])
release.set()
"""
    assert output_of(program).strip().endswith("for Future of resize(), whose call worker_0 runs")


#: Two workers of a pool wait for calls of another pool, two of whose workers wait for calls of the first.
TWO_POOLS = """
def cross(one, other):
    def call():
        all_run.wait()
        pending.append(other.submit(int))
        try:
            pending[-1].result()
        except concurrent.futures.CancelledError:
            pass
    return [one.submit(call) for _ in range(2)]

pending = []
a, b = ThreadPoolExecutor(2, thread_name_prefix="a"), ThreadPoolExecutor({workers}, thread_name_prefix="b")
all_run = threading.Barrier(4)
calls = cross(a, b) + cross(b, a)
{then}
for call in calls:
    call.result()
print("done")
"""


def test_pools_that_wait_for_each_other_are_a_likely_deadlock() -> None:
    with start(WAITING + TWO_POOLS.format(workers=2, then=""), "--watch") as process:
        missing = (
            "likely deadlock, if nobody cancels",
            "whose 2 workers all wait here",
            "stuck behind",
            "Main",
        )
        until = process.wait_until(lambda: [each for each in missing if each not in process.errors])
        assert until == [], str(process)
        assert process.runs


#: Cancels the calls after the watch had time enough to say something.
CANCEL = """
until(lambda: len(pending) == 4)
begun = time.monotonic()
while time.monotonic() < begun + 2.5:
    pass
for future in pending:
    future.cancel()
"""


@pytest.mark.parametrize(("workers", "then"), [(3, ""), (2, CANCEL)])
def test_pools_that_go_on_are_none(workers: int, then: str) -> None:
    with start(WAITING + TWO_POOLS.format(workers=workers, then=then), "--watch") as process:
        assert process.ends() == 0, str(process)
        assert process.output == "done\n"
        assert process.errors == ""


# ---- The wait of a thread that runs a signal handler


@pytest.mark.parametrize(
    ("wait", "shown"),
    [
        ("lock.acquire()", r"Lock lock, which it itself took$"),
        ("with own: own.wait()", r"Condition own$"),
        ("jobs.get()", r"an item of Queue jobs, which has 0 queued"),
        ("threading.Event().wait()", r"Event made at <string>:\d+ in <module>"),
        ("pool.submit(rest).result()", r"Future of rest\(\), whose call worker_0 runs"),
        ("threads[0].join()", r"rester to end"),
        ("semaphore.acquire(timeout=50)", r"Semaphore semaphore, for \d+\.\d s more at most, which has 0"),
    ],
)
def test_ctrl_backslash_shows_what_the_main_thread_waits_for(wait: str, shown: str) -> None:
    program = f"""
import queue
from concurrent.futures import ThreadPoolExecutor
def rest(): never.wait()
def signal_it():
    while True:
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGQUIT)
never = threading.Event()
lock, own, jobs, semaphore = threading.Lock(), threading.Condition(), queue.Queue(), threading.Semaphore(0)
pool = ThreadPoolExecutor(1, thread_name_prefix="worker")
lock.acquire()
threads = [threading.Thread(target=rest, name="rester", daemon=True) for _ in range(1)]
threads[0].start()
until_asleep(threads[0])
threading.Thread(target=signal_it, daemon=True).start()
{wait}
"""
    with start(program, "--watch") as process:

        def missing() -> list[str]:
            said = [line for line in process.errors.splitlines() if line.startswith("MainThread has waited")]
            return [] if any(re.search(shown, line) for line in said) else [shown]

        assert process.wait_until(missing) == [], str(process)


@pytest.mark.skipif(not HAS_GIL, reason="it falls asleep again at once")
def test_a_thread_that_looks_for_signals_in_its_wait_still_waits() -> None:
    program = """
from oxthreads import _oxthreads as native

done = threading.Event()

def look():
    until_asleep(threading.main_thread())
    sys.setswitchinterval(100)
    for _ in range(4):
        while not native.looking_for_signals():
            pass  # the main thread wakes to look, and cannot have the interpreter
        print("MainThread has waited" in diagnose.report())
    done.set()

threading.Thread(target=look).start()
done.wait()
"""
    assert output_of(program) == "True\n" * 4


def test_a_main_thread_that_has_waited_runs() -> None:
    program = """
def handle(*_):
    print("MainThread runs" in diagnose.report())

signal.signal(signal.SIGUSR1, handle)
lock = threading.Lock()
lock.acquire()
for timeout in (0.001, 0.1):
    lock.acquire(timeout=timeout)
    os.kill(os.getpid(), signal.SIGUSR1)
"""
    assert output_of(program) == "True\nTrue\n"


# ---- Objects that have fallen back


@pytest.mark.parametrize(
    ("made", "touched", "wait", "shown"),
    [
        ("threading.Event()", "_cond", "thing.wait()", "Event thing"),
        ("threading.Semaphore(0)", "_cond", "thing.acquire()", "Semaphore thing"),
        ("threading.Barrier(2)", "_cond", "thing.wait()", "Barrier thing"),
        ("concurrent.futures.Future()", "_condition", "thing.result()", "Future thing"),
        ("queue.Queue()", "mutex", "thing.get()", "an item of Queue thing"),
        ("queue.LifoQueue(1)", "mutex", "thing.put(1); thing.put(2)", "room in LifoQueue thing"),
        ("queue.Queue()", "mutex", "thing.put(1); thing.join()", "the end of the work of Queue thing"),
    ],
)
def test_an_object_that_has_fallen_back_has_its_own_name(
    made: str, touched: str, wait: str, shown: str
) -> None:
    program = f"""
thing = {made}
thing.{touched}
def use():
    {wait}
print(said_of(wait_in(use)).splitlines()[0])
"""
    assert output_of(program).strip().endswith(f" s for {shown}")


def test_a_deadlock_with_a_condition_that_has_fallen_back_is_certain() -> None:
    program = """
condition, lock = threading.Condition(), threading.Lock()
condition._waiters
print(len(cross(condition, lock)))
"""
    with start(program, "--watch=raise") as process:
        assert process.ends() == 0, str(process)
        assert process.output == "1\n"
        assert "oxthreads: deadlock: 2 threads" in process.errors


# ---- The interpreter's own locks


#: Two threads: one has a lock of oxthreads and takes one of the interpreter, the other one does the reverse.
CROSSED = """
import _thread
mine, theirs = threading.Lock(), {lock}

def first():
    with mine:
        both_have_one.wait()
        {take}

def second():
    with theirs:
        both_have_one.wait()
        with mine: pass

both_have_one = threading.Barrier(2)
for function in (first, second):
    threading.Thread(target=function, name=function.__name__, daemon=True).start()
{then}
"""


@pytest.mark.skipif(not HAS_GIL, reason="the frames of a thread that runs cannot be read")
@pytest.mark.parametrize("lock", ["_thread.RLock()", "_thread.allocate_lock()"])
@pytest.mark.parametrize("take", ["theirs.acquire()", "with theirs: pass"])
def test_a_lock_of_the_interpreter_can_be_part_of_a_likely_deadlock(lock: str, take: str) -> None:
    program = CROSSED.format(lock=lock, take=take, then="time.sleep(60)")
    with start(program, "--watch") as process:
        kind = "RLock" if "RLock" in lock else "Lock"
        wanted = (
            "second has waited",
            f"likely deadlock, if the standard {kind} theirs is released by whoever took it",
            f"first waits for the standard {kind} theirs\n",
            r"which second took at <string>:\d+ in second",
        )
        # The report is read line by line.
        assert (
            process.wait_until(lambda: [each for each in wanted if not re.search(each, process.errors)]) == []
        ), str(process)
        assert process.errors.count("likely") == 1
        assert process.runs


@pytest.mark.parametrize(
    "take",
    [
        "theirs.acquire(timeout=3)",
        "theirs.acquire(True, 3)",
        "while not theirs.acquire(False): time.sleep(0.001)",
        "take(theirs)",
    ],
)
def test_a_lock_of_the_interpreter_that_is_taken_otherwise_is_none(take: str) -> None:
    then = """
time.sleep(2.5)
os._exit(0)
"""
    program = CROSSED.format(lock="_thread.RLock()", take=take, then=then)
    program = "def take(lock): lock.acquire(timeout=3)\n" + program
    with start(program, "--watch") as process:
        assert process.ends() == 0, str(process)
        assert process.errors == ""


# ---- Many threads


def test_a_report_of_many_threads_does_not_take_long() -> None:
    # The threads stand still meanwhile. Names are left out when their search has taken long.
    program = """
def hold(semaphore, event):
    with semaphore:
        event.wait()

threading.stack_size(256 * 1024)
semaphore = threading.Semaphore(20)
for number in range(500):
    event = threading.Event()
    target = hold if number < 100 else lambda semaphore, event: event.wait()
    threading.Thread(target=target, args=(semaphore, event), daemon=True).start()
until(lambda: len(native.asleep()) == 500)
begun = time.thread_time()
report = diagnose.report()
seconds = time.thread_time() - begun
print(f"{seconds:.1f}", next(line for line in report.splitlines() if "permits" in line))
assert seconds < 3
"""
    said = output_of("from oxthreads import _oxthreads as native\n" + program)
    assert re.search(
        r"0 permits; \d+ taken at \S+ by (\S+ \(hold\),? ){9}and \d+ others, which wait$", said.strip()
    )
