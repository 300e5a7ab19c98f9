"""What reports, profiles and metrics say of a thread that waits in `select`."""

from __future__ import annotations

import os

import pytest

from tests.diagnose.running import WAITING, start

pytestmark = [
    pytest.mark.one_thread("starts child interpreters"),
    pytest.mark.skipif(os.name != "posix", reason="the helper that runs programs needs sessions"),
]

PROGRAM = (
    WAITING
    + """
import socket
from oxthreads.waiting import after, get, put, select

jobs, results, stop, permits = queue.Queue(), queue.Queue(1), threading.Event(), threading.Semaphore(0)
results.put(1)
near, far = socket.socketpair()
"""
)


def output_of(program: str, *options: str) -> list[str]:
    """The lines that the program writes to standard output."""
    with start(PROGRAM + program, *options) as process:
        assert process.ends() == 0, str(process)
        assert process.errors == ""
        return process.output.splitlines()


def test_a_report_lists_what_a_select_waits_for() -> None:
    program = """
for name, *sources in (
    ["first", jobs, put(results, 2), stop],
    ["second", get(jobs, 5), permits],
    ["third", near, after(10**6), stop],
):
    print(said_of(wait_in(select, *sources, name=name)).splitlines()[0].partition(" for ")[2])
"""
    first, second, third = output_of(program)
    assert first == "the first of: an item of Queue jobs, room in Queue results, Event stop"
    assert second == "the first of: an item of Queue jobs, Semaphore permits"
    assert third.startswith("the first of: file, timer, Event stop, for ")
    assert third.endswith(" s more at most")


def test_a_given_name_is_used() -> None:
    program = """
diagnose.set_name(jobs, "incoming")
print(said_of(wait_in(select, jobs, stop)).splitlines()[0].partition(" for ")[2])
"""
    assert output_of(program) == ["the first of: an item of Queue incoming, Event stop"]


def test_a_lock_of_a_thread_that_waits_for_ever_makes_no_deadlock_of_it() -> None:
    # Another source may still end the wait.
    program = """
lock = threading.Lock()
taken = threading.Event()

def hold():
    with lock:
        taken.set()
        stop.wait()

holder = wait_in(hold, name="holder")
print(said_of(wait_in(select, lock, jobs)).splitlines()[0].partition(" for ")[2])
print(diagnose.report().splitlines()[0].partition(" has ")[2])
"""
    assert output_of(program) == ["the first of: Lock lock, an item of Queue jobs", "3 threads."]


def test_a_profile_counts_the_waits_of_a_select() -> None:
    program = """
from oxthreads.diagnose import _profile_names

with diagnose.profile() as profile:
    waiters = [wait_in(select, jobs, stop), wait_in(select, permits, stop)]
    # The thread of the watch looks for names ten times a second.
    while sum(name.startswith("the first of") for name in [*_profile_names._found.values()]) < 2:
        time.sleep(0.01)
    stop.set()
    for waiter in waiters:
        waiter.join()
print(profile.text())
"""
    text = "\n".join(output_of(program))
    # Without a GIL, the variables of a function that is the whole thread are not seen.
    assert "the first of: an item of Queue " in text
    assert "the first of: Semaphore " in text


def test_a_server_that_waits_for_its_clients_is_not_said_to_hang() -> None:
    program = """
import time
thread = wait_in(select, near, stop)
time.sleep(2.5)  # the watch looks ten times a second, and after a second it would say that all threads sleep
far.send(b"x")
thread.join()
print("done")
"""
    with start(PROGRAM + program, "--watch") as process:
        assert process.ends() == 0, str(process)
        assert process.output == "done\n"
        assert "sleep" not in process.errors, process.errors
