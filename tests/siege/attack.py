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

from . import ROOT
from .watch import Watch

#: Seconds that a child may take to say where its threads stand before it is killed.
LAST_WORDS = 5.0

#: How many times more a program is run that was slow, and how often in all it may be so before it has failed.
AGAIN, SLOW_AT_MOST = 40, 2

#: Of an attack's children, the part that may be slow; and how many may be in any case.
SLOW_PART, SLOW_ANYWAY = 1 / 200, 2

#: Seconds between two looks at a child, and how many times its seconds it has where it does not get to run.
LOOKS, LONGEST = 0.25, 6.0

#: Seconds without a look from which on the machine has stood still, as a virtual one may, so that whoever had
#: a timeout is late; and how many times more a program is run that has failed in such a time.
STILL, AFTER_STILL = 10.0, 3

#: The children that run; and whether none is to run any more.
_children: set[subprocess.Popen[bytes]] = set()
_left = False


@dataclass(frozen=True)
class Program:
    """What a child interpreter runs, and how it must end.

    name: unique in the attack, and the same for the same program in every run, by which it is asked for.
    arguments: of ``python``.
    status: the exit status, or minus the number of the signal that ends it.
    error: what standard error must end with, after one traceback; if "", it must be empty.
    counts: how many of what the attack counts the child does.
    seconds: after so many the child hangs, and it has failed.
    slow: one that takes more than so many is run again, and has failed if it is slow now and then.

    Neither counts those for which the child waits for a processor.
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

    name: by which it is asked for.
    about: a line for ``--help``, with what is counted.
    full, quick: how many of it the two forms do.
    programs: what to run for so many; each once, or the same again and again.
    alone: whether its children measure time, so that only one may run at once.
    reports: whether the last line that a child prints is what came of it, and is shown.
    named: what to run for a name that is not among those of `programs`, and for so many; None: nothing.
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
    """How a child ended: what is wrong with that, in a line, or None.

    And how many seconds it took, for how many of them it waited for a processor, and for how many the machine
    stood still.
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
        """Whether it took longer than it should, however it ended."""
        return self.seconds - self.kept_waiting > self.program.slow


def run(program: Program, python: str) -> Outcome:
    """Run a child to its end. Threads may call this at the same time, each for a child of its own.

    A child that hangs is made to show where its threads stand and is killed, with all that it has started.
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
    """Whether an attack has failed of which so many children were slow, by themselves or not."""
    return slow > max(SLOW_ANYWAY, done * SLOW_PART)


def leave() -> None:
    """Kill those that run, and whatever is still run later. For signal handlers, too."""
    global _left  # noqa: PLW0603
    _left = True
    kill_children()


def kill_children() -> None:
    """Kill those that run, with all that they have started."""
    for child in [*_children]:
        _kill(child)


def _kill(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _run_once(program: Program, python: str) -> Outcome:
    # Files, since what such a child has started may keep a pipe open.
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
                    child.send_signal(signal.SIGABRT)  # faulthandler answers
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
    """Wait for it; whether it has ended within the seconds."""
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
    """A command line that runs the same program again, a hundred times or as often as it was."""
    which = ["--program", program.name, "--count", str(max(100, program.counts))]
    return shlex.join([python, "-m", "tests.siege", attack.name, *which])


def attacks() -> list[Attack]:
    """Those of every module of this package, in the order of the modules' names."""
    found: list[Attack] = []
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if not module.name.startswith("_") and not module.ispkg:
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
