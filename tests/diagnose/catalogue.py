"""What ``python -m oxthreads --watch`` says of each of 50 programs: 30 that hang, and 20 that only look so.

The wording of reports is not repeated here, except for what is certain in it: how the first line begins,
names, source lines, and the few words that give a reason.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from dataclasses import dataclass
from typing import Any

import pytest

#: The verdicts, by how the first line of the report begins.
FIRST_LINE = {
    "deadlock": "oxthreads: deadlock:",
    "likely deadlock": "oxthreads: likely deadlock",
    "all sleep": "oxthreads: all ",
}

HAS_GIL = not sysconfig.get_config_var("Py_GIL_DISABLED")

#: What some programs cannot be run without, and whether it is here.
NEEDS = {
    "fork": hasattr(os, "fork"),
    "gil": HAS_GIL,
    "posix": os.name == "posix",
    "timer_create": sys.platform == "linux" and sys.maxsize > 2**32,
}


@dataclass(frozen=True)
class Ending:
    """How a program ends: its exit status, and its whole standard output."""

    status: int = 0
    output: str = "done\n"


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What is said of a program, and how it ends."""

    #: Its number in the list of its kind: to report, or not to.
    number: int
    #: "deadlock", "likely deadlock" or "all sleep"; None if nothing is to be said.
    verdict: str | None
    #: The names of the threads that the report tells of.
    threads: tuple[str, ...] = ()
    #: The source lines where they wait. They are in the report, and on the stacks.
    lines: tuple[str, ...] = ()
    #: What else is in the report, as regular expressions: reasons, mostly.
    words: tuple[str, ...] = ()
    #: What is not in the report.
    absent: tuple[str, ...] = ()
    #: How many reports there are.
    reports: int = 1
    #: With ``--watch=raise``, one of these; which it is depends on whose wait is ended.
    raised: tuple[Ending, ...] = (Ending(),)
    #: What there is in standard output with ``--watch=exit``, where the status is 2.
    output_at_exit: str = ""
    #: Verdicts that may be given, and are not asked for.
    may_say: tuple[str, ...] = ()
    #: What it cannot be run without; see `NEEDS`.
    needs: tuple[str, ...] = ()
    #: Nothing is said by itself, but ``oxthreads inspect`` tells of the waits.
    inspect_only: bool = False
    #: Its standard output with the standard library, when it hangs.
    output: str = ""

    @property
    def missing(self) -> list[str]:
        """What it needs and does not have here."""
        return [need for need in self.needs if not NEEDS[need]]


#: If the error comes in the main thread, the program ends with it; its standard output is empty.
FAILS = Ending(1, "")

TO_REPORT: dict[str, Expected] = {
    "abba": Expected(
        number=1,
        verdict="deadlock",
        threads=("payer", "refunder"),
        lines=("with checking.lock:", "with savings.lock:"),
        words=(r"\b2 threads wait for each other", r"Lock checking\.lock", r"Lock savings\.lock"),
        absent=("both_hold_one",),
    ),
    "ring_of_three": Expected(
        number=2,
        verdict="deadlock",
        threads=("Plato", "Hypatia", "Confucius"),
        lines=("with right_fork:",),
        words=(r"\b3 threads wait for each other", r"with left_fork:"),
    ),
    "rlocks_that_cross": Expected(
        number=3,
        verdict="deadlock",
        threads=("to south", "to north"),
        lines=("with self.lock:",),
        words=(
            r"\b2 threads wait for each other",
            r"RLock south\.lock",
            r"RLock north\.lock",
            r"in receive\b",
        ),
    ),
    "mixed_kinds": Expected(
        number=4,
        verdict="deadlock",
        threads=("writer", "indexer", "closer", "flusher"),
        lines=("with index:", "with changed:", "flusher.join()", "with journal:"),
        words=(r"\b4 threads wait for each other",),
    ),
    "own_lock_again": Expected(
        number=5,
        verdict="deadlock",
        threads=("reader",),
        lines=("with self.lock:",),
        words=(r"a thread waits for itself", r"in load\b", r"in get\b"),
    ),
    "acquire_in_opposite_order": Expected(
        number=6,
        verdict="likely deadlock",
        threads=("seller", "canceller"),
        lines=("order_lock.acquire()", "stock_lock.acquire()"),
    ),
    "join_with_its_lock": Expected(
        number=7,
        verdict="deadlock",
        threads=("MainThread", "server"),
        lines=("self.thread.join()", "with self.lock:"),
        words=(r"\b2 threads wait for each other", r"in stop\b", r"in serve\b"),
        raised=(Ending(), FAILS),
    ),
    "mutual_join": Expected(
        number=8,
        verdict="deadlock",
        threads=("reader", "writer"),
        lines=("writer.join()", "reader.join()"),
        words=(r"\b2 threads wait for each other",),
    ),
    "import_and_join/main": Expected(
        number=9,
        verdict="deadlock",
        threads=("MainThread", "settings reader"),
        lines=("settings_reader.thread.join()", "import configuration"),
        words=(r"\b2 threads wait for each other",),
        # Only the join can be ended.
        raised=(FAILS,),
    ),
    "future_needs_my_lock": Expected(
        number=10,
        verdict="deadlock",
        threads=("MainThread", "counter_0"),
        lines=("return rows.result()", "with table_lock:"),
        words=(
            r"\b2 threads wait for each other",
            r"Future rows of count_rows\(\)",
            r"in report\b",
            r"in count_rows\b",
        ),
        # The error of the worker comes out of result(), too.
        raised=(FAILS,),
    ),
    "two_pools": Expected(
        number=11,
        verdict="likely deadlock",
        threads=("renderer_0", "loader_0"),
        lines=(
            'return loaders.submit(len, "picture").result()',
            'return renderers.submit(len, "page").result()',
        ),
        words=(r"nobody cancels Future of len\(\)", r"pool loaders, whose only worker waits here"),
    ),
    "finalizer_takes_a_held_lock": Expected(
        number=12,
        verdict="deadlock",
        threads=("MainThread",),
        lines=("with registry_lock:",),
        words=(r"a thread waits for itself", r"in __del__", r"in count_open\b"),
        # An error of a finalizer is printed, and ends nothing.
        raised=(Ending(),),
    ),
    "signal_handler_takes_a_held_lock": Expected(
        number=13,
        verdict="deadlock",
        threads=("MainThread",),
        lines=("with log_lock:",),
        words=(r"a thread waits for itself", r"in on_signal\b", r"in write\b"),
        raised=(FAILS,),
        needs=("posix",),
    ),
    "fork_with_a_held_lock": Expected(
        number=14,
        verdict="deadlock",
        threads=("MainThread",),
        lines=("with cache_lock:",),
        words=(r"\bparent\b",),
        # The child fails, or is ended, and the parent ends with the status of the child.
        raised=(Ending(1, "done\n"),),
        output_at_exit="done\n",
        needs=("fork",),
    ),
    "rlock_whose_owner_has_ended": Expected(
        number=15,
        verdict="deadlock",
        threads=("sender",),
        lines=("with session_lock:",),
        words=(r"RLock session_lock", r"\bended\b"),
    ),
    "lock_whose_owner_has_ended": Expected(
        number=16,
        verdict="likely deadlock",
        threads=("loader",),
        lines=("with file_lock:",),
        words=(r"\bended\b",),
    ),
    "event_never_set": Expected(
        number=17,
        verdict="all sleep",
        threads=("MainThread",),
        lines=("ready.wait()",),
        words=(r"Event ready\b", r"not set"),
    ),
    "lost_notify": Expected(
        number=18,
        verdict="all sleep",
        threads=("receiver",),
        lines=("delivered.wait()",),
        words=(r"Condition delivered\b", r"found nobody"),
    ),
    "get_after_the_producers": Expected(
        number=19,
        verdict="all sleep",
        threads=("consumer",),
        lines=("return [letters.get() for _ in range(expected)]",),
        words=(r"Queue letters\b",),
    ),
    "put_after_the_consumer": Expected(
        number=20,
        verdict="all sleep",
        threads=("producer",),
        lines=("orders.put(number)",),
        words=(r"Queue orders\b",),
    ),
    "join_after_an_error": Expected(
        number=21,
        verdict="all sleep",
        threads=("MainThread",),
        lines=("jobs.join()",),
        words=(
            r"Queue jobs\b",
            r"\b2 not done",
            r"\b1 queued",
            r"\b1 taken by worker, which ended with ValueError",
        ),
    ),
    "pool_of_connections_exhausted": Expected(
        number=22,
        verdict="all sleep",
        threads=("client of contact",),
        lines=("connection = connections.get()",),
        words=(r"LifoQueue connections\b",),
    ),
    "semaphore_permits_nested": Expected(
        number=23,
        verdict="all sleep",
        threads=("copier A", "copier B"),
        lines=("with database:",),
        words=(
            r"Semaphore database\b",
            r"\b0 permits",
            r"\b2 taken at \S+:10 by copier A and copier B, which wait",
        ),
    ),
    "barrier_one_short": Expected(
        number=24,
        verdict="all sleep",
        threads=("fast", "slow"),
        lines=("start_line.wait()",),
        words=(r"Barrier start_line\b",),
    ),
    "exit_waits_for_a_getter": Expected(
        number=25,
        verdict="all sleep",
        threads=("mailer",),
        lines=("mail = mails.get()",),
        words=(r"Queue mails\b",),
        output="done\n",
    ),
    "reader_behind_a_writer": Expected(
        number=26,
        verdict="all sleep",
        threads=("reader", "writer"),
        lines=("self.state_changed.wait()",),
        words=(r"in acquire_read\b", r"in acquire_write\b"),
    ),
    "lock_of_a_log_handler": Expected(
        number=27,
        # One of the locks is not ours. Without a GIL, the thread that waits for it cannot be looked at.
        verdict="likely deadlock" if HAS_GIL else None,
        threads=("emptier", "shower"),
        lines=("with self.lock:",),
        words=(
            r"if the standard RLock PlainHandler\.lock is released",
            r"for Lock Basket\.lock",
            r"which emptier took at .* in empty",
        ),
    ),
    "bystanders": Expected(
        number=28,
        verdict="deadlock",
        threads=("eastward", "westward"),
        lines=("with second_lock:",),
        words=(
            r"\b2 threads wait for each other",
            r"stuck behind them(?s:.*)\bvisitor\b",
            r"stuck behind them(?s:.*)\bMainThread\b",
        ),
        absent=("carrier", "bringer", "parcels"),
    ),
    "native_code_keeps_the_gil": Expected(
        number=29,
        verdict=None,
        threads=("poller",),
        lines=("with device_lock:", "native.sleep(600)"),
        needs=("gil", "posix"),
        inspect_only=True,
    ),
    "five_at_once": Expected(
        number=30,
        verdict="deadlock",
        threads=tuple(
            f"{name} {way}" for name in ("red", "green", "blue", "white", "black") for way in ("down", "up")
        ),
        lines=("with far:",),
        words=(r"\b2 threads wait for each other", r"with near:"),
        reports=5,
    ),
}

NOT_TO_REPORT: dict[str, Expected] = {
    "lock_as_a_signal": Expected(number=1, verdict=None),
    "generator_closed_elsewhere": Expected(number=2, verdict=None),
    "exit_stack_handed_over": Expected(number=3, verdict=None),
    "event_set_by_a_signal_handler": Expected(number=4, verdict=None, needs=("posix",)),
    "idle_workers": Expected(number=5, verdict=None),
    "wait_in_a_loop": Expected(number=6, verdict=None),
    "back_off": Expected(number=7, verdict=None),
    "holder_in_recv": Expected(number=8, verdict=None, needs=("posix",)),
    "native_thread_sets": Expected(number=9, verdict=None, needs=("timer_create",)),
    # Only Ctrl-C can end it, and that is what it waits for.
    "main_waits_for_ctrl_c": Expected(number=10, verdict=None, needs=("posix",), may_say=("all sleep",)),
    "timer_sets": Expected(number=11, verdict=None),
    "event_loop_wakes": Expected(number=12, verdict=None),
    "canceller_still_runs": Expected(number=13, verdict=None),
    "signal_storm": Expected(number=14, verdict=None, needs=("posix",)),
    "retaken_between_looks": Expected(number=15, verdict=None),
    "starved_holder": Expected(number=16, verdict=None, needs=("posix",)),
    "nested_calls_of_one_pool": Expected(number=17, verdict=None),
    "put_by_a_weakref_callback": Expected(number=18, verdict=None),
    # Who has taken the lock has ended, and somebody else releases it.
    "thread_number_used_again": Expected(number=19, verdict=None, may_say=("likely deadlock",)),
    # For `--watch=order`; with `--watch` it is one more program that is fine.
    "order_that_cannot_deadlock": Expected(number=20, verdict=None),
}

PROGRAMS = TO_REPORT | NOT_TO_REPORT


def runnable(programs: dict[str, Expected]) -> list[Any]:
    """Parameters of a test: each program with what is expected of it. Some of them have to be skipped."""
    parameters = []
    for name, expected in programs.items():
        marks = [pytest.mark.skip(f"needs {', '.join(expected.missing)}")] if expected.missing else []
        parameters.append(pytest.param(name, expected, id=name, marks=marks))
    return parameters
