"""Hostile callers: nothing that Python code can do to the types may kill the interpreter.

``python -m tests.stress.inside.fuzz SEED COUNT`` lets hypothesis make `count` random programs (`made_up`).
Each runs in a process of its own. A program is a finding if it dies of a signal, hangs, or sees a SystemError
or a PanicException. It may raise anything else. Hypothesis reduces a finding to the steps that it needs, and
these are printed.
"""

from __future__ import annotations

import faulthandler
import gc
import logging
import os
import resource
import signal
import sys
import threading
import traceback
import warnings
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TextIO

import hypothesis
from hypothesis import strategies

from tests.stress.inside.made_up import Program, classes

#: The number of steps in one program, and the seconds after which it counts as hanging.
STEPS, HANG_SECONDS = 14, 20.0

#: The phases that hypothesis runs. It takes at most five minutes to reduce a program that hangs.
PHASES = (hypothesis.Phase.generate, hypothesis.Phase.shrink)

#: Bytes of address space that a process with a program may use.
_ADDRESSES = 8 << 30

#: In this range, hypothesis does not prefer any number.
_NUMBERS = strategies.integers(0, 2**24 - 1)


class Interrupted(BaseException):
    """Raised by the timer of a step, wherever the step is."""


def search(seed: int, count: int) -> None:
    """Make and run `count` programs. Exits with 1 if one of them is a finding."""
    tried = 0
    found: tuple[int, list[int]] | None = None
    every = classes()
    warnings.simplefilter("ignore", hypothesis.errors.HypothesisWarning)  # hypothesis warns about its own use
    # The programs collect garbage. Without this, each child would have to copy the memory of this process.
    gc.freeze()

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=PHASES,
        suppress_health_check=[*hypothesis.HealthCheck],
    )
    @hypothesis.given(_NUMBERS, strategies.lists(_NUMBERS, min_size=STEPS, max_size=STEPS))
    def nothing_dies(subject: int, steps: list[int]) -> None:
        nonlocal tried, found
        tried += 1
        if _dies(subject, steps, every):
            found = subject, steps
            raise AssertionError

    try:
        nothing_dies()
        # Hypothesis may stop early. Then it would look as if nothing was found.
        assert tried >= count, f"{tried} programs instead of {count}"
    except BaseException:
        if found is None:
            raise
        print(
            f"subject {found[0]}, steps {[step for step in found[1] if step]}:", file=sys.stderr, flush=True
        )
        _dies(*found, every, trace=True)
        sys.exit(1)
    print(f"{tried} programs of {STEPS} steps")


def _dies(subject: int, steps: list[int], every: list[type], *, trace: bool = False) -> bool:
    """Run the program in a process of its own. Return whether it is a finding."""
    child = os.fork()
    if child == 0:
        try:
            _prepare()
            _run(Program(subject, steps, every, trace=trace))
        finally:
            os._exit(os.EX_SOFTWARE)
    return os.waitpid(child, 0)[1] != 0


def _prepare() -> None:
    """Limit this process, so that a hostile program can do little harm."""
    warnings.simplefilter("ignore")
    threading.stack_size(1 << 20)
    # A request for all of the machine's memory is refused. (A sanitizer has reserved more than this limit, so
    # there is no limit then.)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() < _ADDRESSES:
        most = _ADDRESSES if hard == resource.RLIM_INFINITY else min(hard, _ADDRESSES)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable()


def _run(program: Program) -> NoReturn:
    """Run the program, and end the process: with 0, unless the program is a finding."""
    armed = False

    def interrupt(_: int, frame: FrameType | None) -> None:
        # The hooks below must not raise. If the timer fires in one of them, it fires again later.
        while frame is not None and frame.f_code is not hook.__code__:
            frame = frame.f_back
        if armed and frame is None:
            raise Interrupted

    def alarm(seconds: float) -> None:
        nonlocal armed
        armed = seconds > 0
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)

    signal.signal(signal.SIGALRM, interrupt)
    # A program may write to standard output, or close it.
    errors = os.fdopen(os.dup(2), "w")
    silence = os.open(os.devnull, os.O_RDWR)
    os.dup2(silence, 0)
    os.dup2(silence, 1)
    found = False

    def report(error: BaseException | None) -> None:
        nonlocal found
        found = _is_finding(error, errors) or found

    def hook(args: Any) -> None:
        report(args.exc_value)

    threading.excepthook = sys.unraisablehook = hook
    faulthandler.enable(errors)
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True, file=errors)
    program.run(alarm, report)
    del program
    gc.collect()
    os._exit(found)


def _is_finding(error: BaseException | None, errors: TextIO) -> bool:
    """Whether the exception, or one that led to it, is one that no program may see."""
    seen = 0
    while error is not None and seen < 20:
        if isinstance(error, SystemError) or type(error).__name__ == "PanicException":
            traceback.print_exception(error, file=errors)
            errors.flush()
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


if __name__ == "__main__":
    search(*map(int, sys.argv[1:]))
