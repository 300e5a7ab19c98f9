"""What reports, profiles and traces say of `RWLock`, `once` and `singleflight`."""

from __future__ import annotations

import os
import re

import pytest

from tests.diagnose.running import start

pytestmark = [
    pytest.mark.one_thread("starts child interpreters"),
    pytest.mark.skipif(os.name != "posix", reason="the helper that runs programs needs sessions"),
]

#: Programs begin with this: threads that wait, and the part of a report that tells of one of them.
WAITING = """
from oxthreads.locks import RWLock, once, singleflight
diagnose.report()  # waits are recorded from the first report on

def wait_in(function, name):
    thread = threading.Thread(target=function, name=name, daemon=True)
    thread.start()
    until_asleep(thread)
    return thread

def enter(hold):
    with hold: pass

def said_of(thread):
    parts = diagnose.report().split("\\n\\n")
    return next(part for part in parts if part.startswith(f"{thread.name} "))
"""


def output_of(program: str, *options: str) -> str:
    """What the program writes to standard output."""
    with start(WAITING + program, *options) as process:
        assert process.ends() == 0, str(process)
        assert process.errors == ""
        return process.output


def test_a_report_tells_who_has_an_rwlock_and_who_is_next() -> None:
    output = output_of("""
prices = RWLock()
leave = threading.Event()
def read():
    with prices.read(): leave.wait()
one, two = wait_in(read, "one"), wait_in(read, "two")
writer = wait_in(lambda: enter(prices.write()), "writer")
print(said_of(writer))
late = wait_in(lambda: enter(prices.read()), "late")
print(said_of(late))
leave.set()
for thread in (one, two, writer, late): thread.join()
prices.acquire_write()
reader = wait_in(lambda: enter(prices.read()), "reader")
print(said_of(reader))
""")
    assert re.search(
        r"writer has waited .* s for write access to RWLock prices, which one and two read", output
    )
    assert re.search(
        r"late has waited .* for read access to RWLock prices, behind writer, which waits to write", output
    )
    assert re.search(
        r"reader has waited .* for read access to RWLock prices, which MainThread writes", output
    )


def test_a_report_tells_who_runs_a_call_that_others_wait_for() -> None:
    output = output_of("""
leave = threading.Event()
@once
def connect(): leave.wait()
@singleflight
def load(user): leave.wait()
runner = wait_in(connect, "runner")
print(said_of(wait_in(lambda: connect(), "waiter")))
wait_in(lambda: load("ann"), "loader")
print(said_of(wait_in(lambda: load("ann"), "user")))
leave.set()
""")
    assert re.search(r"waiter has waited .* s for the first call of connect, which runner runs", output)
    said = r"user has waited .* s for the call in flight of load, which loader runs for 'ann'\n"
    assert re.search(said, output)


def test_a_report_tells_at_which_with_statement_an_rwlock_was_taken() -> None:
    output = output_of("""
prices, leave = RWLock(), threading.Event()
class Shop:
    def __init__(self): self.rates = RWLock()
    def read(self):
        with self.rates.read():
            leave.wait()  # inside
shop = Shop()
reading = prices.write()
def write():
    with prices.write() as hold:
        leave.wait()
one, two = wait_in(write, "one"), wait_in(shop.read, "two")
first = wait_in(lambda: enter(prices.read()), "first")
second = wait_in(lambda: enter(shop.rates.write()), "second")
print(said_of(first)); print(said_of(second))
leave.set()
for thread in (one, two, first, second): thread.join()
""")
    # Before Python 3.13, the source of such a program is not known.
    for text, line in {
        "RWLock prices, which one writes, since <string>:75 in write": "with prices.write() as hold:",
        "RWLock Shop.rates, which two reads, since <string>:70 in read": "with self.rates.read():",
    }.items():
        pattern = re.sub(":[0-9]+", r":\\d+", re.escape(text))
        assert re.search(f"{pattern}(:  {re.escape(line)})?\n", output), output


def test_what_only_looks_like_an_rwlock_is_left_out() -> None:
    output = output_of("""
leave, prices = threading.Event(), RWLock()
class Own(RWLock):
    def read(self): return contextlib.nullcontext()
class File:
    def read(self): return prices.write()
own, file = Own(), File()
def wrong():
    own.acquire_write()
    with own.read(), file.read(): leave.wait()
holder = wait_in(wrong, "holder")
print(said_of(wait_in(lambda: enter(RWLock.read(own)), "first")))
print(said_of(wait_in(lambda: enter(prices.read()), "second")))
""")
    assert "since" not in output
    assert output.count("which holder writes, now at ") == 2


def test_a_key_that_is_no_plain_value_is_left_out() -> None:
    output = output_of("""
leave = threading.Event()
class Key:
    def __repr__(self): raise SystemExit
@singleflight
def load(*keys, **more): leave.wait()
key = Key()
for name, call in {
    "one": lambda: load(key), "two": lambda: load(1, "x", key, day=2), "three": lambda: load(1, b"x", day=2),
}.items():
    wait_in(call, f"runner of {name}")
    print(said_of(wait_in(call, name)).splitlines()[0])
@singleflight(key=lambda name, fresh: name)
def ask(name, fresh): leave.wait()
wait_in(lambda: ask("ann", True), "asker")
print(said_of(wait_in(lambda: ask("ann", False), "four")).splitlines()[0])
""")
    ends = [line.partition(", which ")[2] for line in output.splitlines()]
    assert ends == [
        "runner of one runs",
        "runner of two runs",
        "runner of three runs for 1, b'x', day=2",
        "asker runs for 'ann'",
    ]


DEADLOCKS = {
    "two RWLocks in opposite order": (
        """
one, two = RWLock(), RWLock()
def first():
    with one.write():
        both.wait()
        with two.read(): pass
def second():
    with two.write():
        both.wait()
        with one.read(): pass
""",
        [
            "read access to RWLock one",
            "read access to RWLock two",
            "which first writes",
            "which second writes",
        ],
    ),
    "a writer and one of its readers": (
        """
one, two = RWLock(), threading.Lock()
idle = threading.Thread(target=lambda: hold_for_a_while(), daemon=True, name="idle")
def hold_for_a_while():
    with one.read(): over.wait(1000)
def first():
    with two:
        both.wait()
        with one.write(): pass
def second():
    try:
        with one.read():
            both.wait()
            with two: pass
    finally:
        over.set()  # either wait may be the one that is ended
idle.start(); until_asleep(idle)
""",
        ["write access to RWLock one", "2 threads wait for each other"],
    ),
    "once in a lock, and the lock in once": (
        """
lock = threading.Lock()
began = []
@once
def connect():
    if not began:
        began.append(True)
        both.wait()
    with lock: pass
def first(): connect()
def second():
    with lock:
        both.wait()
        connect()
""",
        ["the first call of connect", "which first runs", "2 threads wait for each other"],
    ),
}


@pytest.mark.parametrize(("objects", "words"), DEADLOCKS.values(), ids=DEADLOCKS)
def test_a_deadlock_is_found_and_ended(objects: str, words: list[str]) -> None:
    program = f"""
both, over = threading.Barrier(2), threading.Event()
{objects}
threads = [threading.Thread(target=each, name=each.__name__) for each in (first, second)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("ended")
"""
    with start(WAITING.replace("diagnose.report()", "diagnose.watch('raise')") + program) as process:
        assert process.ends() == 0, str(process)
        assert process.output == "ended\n"
        assert "oxthreads: deadlock: 2 threads wait for each other" in process.errors
        for word in words:
            assert word in process.errors, process.errors
        assert "DeadlockError" in process.errors


def test_waits_that_can_end_are_no_deadlock() -> None:
    """The reader behind a writer that has a time-out, and a lock that another thread will leave."""
    program = """
one, two = RWLock(), RWLock()
both, seen = threading.Barrier(2), []
def first():
    with one.read():
        both.wait()
        try:
            with two.write(timeout=1.5): pass
        except TimeoutError: seen.append("late")
def second():
    with two.read():
        both.wait()
        with one.write(): pass
third = lambda: enter(two.read())
threads = [threading.Thread(target=each) for each in (first, second, third)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(seen)
"""
    with start(WAITING.replace("diagnose.report()", "diagnose.watch('raise')") + program) as process:
        assert process.ends() == 0, str(process)
        assert (process.output, process.errors) == ("['late']\n", "")


def test_a_profile_and_a_trace_show_them_by_name() -> None:
    output = output_of("""
import json, os, tempfile
prices = RWLock()
@once
def connect():
    leave.wait()
    return 1
leave, folder = threading.Event(), tempfile.mkdtemp()
trace = os.path.join(folder, "trace.json")
with diagnose.trace(trace), diagnose.profile() as waits:
    with prices.write():
        reader = wait_in(lambda: enter(prices.read()), "reader")
    reader.join()
    runner, waiter = wait_in(connect, "runner"), wait_in(lambda: connect(), "waiter")
    leave.set()
    runner.join(); waiter.join()
for text in (open(trace).read(), waits.json()):
    print("read access to RWLock prices" in text or "read access to RWLock" in text and "prices" in text)
    print("the first call of connect" in text)
""")
    assert output == "True\n" * 4


def test_they_may_be_given_names() -> None:
    output = output_of("""
lock, function = RWLock(), once(lambda: 1)
diagnose.set_name(lock, "of the prices")
diagnose.set_name(function, "the answer")
lock.acquire_write()
print(said_of(wait_in(lambda hold=lock.read(): enter(hold), "reader")))
""")
    assert "for read access to RWLock of the prices" in output
