"""What an attack is, and how one of its children is run and judged."""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from tests.stress import ROOT
from tests.stress.watch import Watch

#: Seconds that a hanging child has to show where its threads are, before it is killed.
LAST_WORDS = 5.0

#: A slow program is run again, up to AGAIN times. It has failed if more than SLOW_AT_MOST runs were slow.
AGAIN, SLOW_AT_MOST = 40, 2

#: The share of an attack's children that may be slow, and the number that may be slow in any case.
SLOW_PART, SLOW_ANYWAY = 1 / 200, 2

#: Seconds between two looks at a child. If it has to wait for a processor, it gets up to LONGEST times as
#: long.
LOOKS, LONGEST = 0.25, 6.0

#: After this many seconds without a look, the machine has stood still, as a virtual machine may. Then every
#: timeout is late. A program that failed during such a time is run again, up to AFTER_STILL times.
STILL, AFTER_STILL = 10.0, 3

#: The children that are running; and whether no more may run.
_children: set[subprocess.Popen[bytes]] = set()
_left = False


@dataclass(frozen=True)
class Program:
    """What a child interpreter runs, and how it must end.

    name: unique in the attack, and the same in every run. ``--program`` takes it.
    arguments: the arguments of ``python``.
    status: the exit status, or minus the number of the signal that ends the child.
    error: what standard error must end with, after one traceback. If it is "", standard error must be empty.
    counts: how many of what the attack counts this child does.
    seconds: after this many seconds the child counts as hanging, and it has failed.
    slow: if the child takes more seconds than this, it is run again. It fails if it is slow several times.

    Time in which the child waits for a processor does not count for `seconds` and `slow`.
    """

    name: str
    arguments: tuple[str, ...]
    status: int = 0
    error: str = ""
    counts: int = 1
    seconds: float = 10.0
    slow: float = float("inf")


@dataclass(frozen=True)
class Attack:
    """One attack.

    name: the name by which the user asks for it.
    about: a line for ``--help``, which says what is counted.
    full, quick: how many the full form and the quick form do.
    programs: the programs to run for a count. They may all be different, or repeat.
    alone: whether its children measure time, so that no other child may run beside them.
    reports: whether the last line that a child prints is its result, and is shown.
    named: the program for a name that is not in `programs`, and a count; None if there is no such program.
    """

    name: str
    about: str
    full: int
    quick: int
    programs: Callable[[int], Iterable[Program]]
    alone: bool = False
    reports: bool = False
    named: Callable[[str, int], Program | None] = lambda name, count: None


@dataclass(frozen=True)
class Outcome:
    """How a child ended: its complaint is one line that says what is wrong, or None.

    The numbers are seconds: how long the child took, how long it waited for a processor, and how long the
    machine stood still.
    """

    program: Program
    complaint: str | None
    standard_output: str
    standard_error: str
    seconds: float
    kept_waiting: float = 0.0
    stood_still: float = 0.0

    @property
    def is_slow(self) -> bool:
        """Whether it took longer than it should, even if it ended correctly."""
        return self.seconds - self.kept_waiting > self.program.slow


def run(program: Program, python: str) -> Outcome:
    """Run a child to its end. Several threads may call this at once, each for its own child.

    A child that hangs first shows where its threads are. Then it is killed, with everything that it started.
    """
    first = outcome = _run_on_a_machine_that_runs(program, python)
    times = slow = 1
    while first.is_slow and outcome.complaint is None and times <= AGAIN:
        outcome = _run_once(program, python)
        times += 1
        slow += outcome.is_slow
        if slow > SLOW_AT_MOST and outcome.complaint is None:
            return replace(outcome, complaint=f"takes more than {program.slow:g} s {slow} times of {times}")
    return first if outcome.complaint is None else outcome


def _run_on_a_machine_that_runs(program: Program, python: str) -> Outcome:
    outcome = _run_once(program, python)
    for _ in range(AFTER_STILL):
        if outcome.complaint is None or outcome.stood_still < STILL:
            break
        outcome = replace(_run_once(program, python), stood_still=outcome.stood_still)
    return outcome


def too_many_slow(slow: int, done: int) -> bool:
    """Whether this many slow children mean that the attack has failed, even if each of them ended well."""
    return slow > max(SLOW_ANYWAY, done * SLOW_PART)


def leave() -> None:
    """Kill the children that are running, and each that starts later. Signal handlers may call it."""
    global _left  # noqa: PLW0603
    _left = True
    kill_children()


def kill_children() -> None:
    """Kill the children that are running, with everything that they started."""
    for child in [*_children]:
        _kill(child)


def _kill(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _run_once(program: Program, python: str) -> Outcome:
    # Files and not pipes, because a process that the child has started may keep a pipe open.
    with _text_file() as output, _text_file() as error:
        with subprocess.Popen(
            command(program, python),
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name != "OXTHREADS"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=error,
            start_new_session=True,
        ) as child:
            watch = Watch(child.pid)
            _children.add(child)
            if _left:
                _kill(child)
            try:
                hangs = not _ends(child, watch, program.seconds)
                if hangs:
                    child.send_signal(signal.SIGABRT)  # faulthandler prints the stacks
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        child.wait(LAST_WORDS)
            finally:
                _kill(child)
                _children.discard(child)
        output.seek(0)
        error.seek(0)
        printed, written = output.read(), error.read()
    if hangs:
        complaint: str | None = f"hangs after {program.seconds:g} s"
    else:
        complaint = _complaint(program, child.returncode, written)
    return Outcome(program, complaint, printed, written, watch.seconds, watch.kept_waiting, watch.stood_still)


def _ends(child: subprocess.Popen[bytes], watch: Watch, seconds: float) -> bool:
    """Wait for the child. Return whether it has ended within the seconds."""
    while watch.seconds - watch.kept_waiting < seconds and watch.seconds < seconds * LONGEST:
        try:
            child.wait(min(LOOKS, seconds))
        except subprocess.TimeoutExpired:
            watch.look()
        else:
            watch.look()
            return True
    return False


def _text_file() -> IO[str]:
    return tempfile.TemporaryFile("w+", errors="backslashreplace")


def command(program: Program, python: str) -> list[str]:
    """The command line of the child."""
    return [python, "-X", "faulthandler", *program.arguments]


def reproduction(attack: Attack, program: Program, python: str) -> str:
    """A command line that runs the same program again: a hundred times, or as often as in this run."""
    which = ["--program", program.name, "--count", str(max(100, program.counts))]
    return shlex.join([python, "-m", "tests.stress", attack.name, *which])


def attacks() -> list[Attack]:
    """The attacks of all modules of this package, in the order of the modules' names."""
    found: list[Attack] = []
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if not module.name.startswith(("_", "test_")) and not module.ispkg:
            found += getattr(importlib.import_module(f"{__package__}.{module.name}"), "ATTACKS", [])
    return found


def _complaint(program: Program, status: int, written: str) -> str | None:
    if status != program.status:
        return f"exit status {status} instead of {program.status}"
    if not program.error:
        return "something on standard error" if written else None
    if written.count("Traceback") != 1 or not written.rstrip().endswith(program.error):
        return f"not one traceback that ends with {program.error!r} on standard error"
    return None
