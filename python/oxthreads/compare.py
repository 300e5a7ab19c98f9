"""``oxthreads compare``: one script on the standard library and on oxthreads, side by side.

It exits with 0 if the results (exit code and output) are the same, with 1 if they differ or a run
did not end in time, with 2 for wrong usage, and with 128 and the signal's number if it was ended by
a signal (130 for Ctrl-C).
"""

import argparse
import errno
import io
import json
import math
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Self

from .comparison import report
from .comparison.measurement import BackEnd, RunError
from .comparison.output import OutputStore, shown
from .comparison.rounds import Comparison, compare_back_ends

STANDARD = BackEnd("standard", (sys.executable,), {"OXTHREADS": "0"})
# As a user would start it: a setting that switches it off must not make this a comparison of equals.
OXTHREADS = BackEnd("oxthreads", (sys.executable, "-m", "oxthreads"), {"OXTHREADS": None})

PROGRAM = "oxthreads compare"


class UsageError(Exception):
    """What was asked for cannot be compared."""


class Stopped(BaseException):
    """A signal has ended the comparison; not an Exception, so that nothing on the way swallows it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number


class StopSignals:
    """Has SIGINT, SIGTERM and SIGHUP end what may be interrupted, and wait for what may not.

    Only the first signal counts: those after it would interrupt the clearing up.
    """

    def __init__(self) -> None:
        self._received: int | None = None
        self._interruptible = False

    def __enter__(self) -> Self:
        names = ("SIGINT", "SIGTERM", "SIGHUP")
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        # What the parent had this process ignore, as nohup does, stays ignored.
        heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
        self._previous = {number: signal.signal(number, self._handle) for number in heeded}
        return self

    def __exit__(self, *exception: object) -> None:
        # Once stopped, the process only has to exit: more signals are not to make it do so otherwise.
        if self._received is None:
            for number, handler in self._previous.items():
                signal.signal(number, handler or signal.SIG_DFL)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._received is None:
            self._received = number
            if self._interruptible:
                raise Stopped(number)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Where a signal raises Stopped, be it one that came before."""
        self._interruptible = True
        try:
            if self._received is not None:
                raise Stopped(self._received)
            yield
        finally:
            self._interruptible = False


@dataclass(frozen=True)
class Options:
    """A checked command line."""

    command: list[str]
    """What follows the interpreter: SCRIPT, ``-m MODULE`` or ``-c CODE``, and the arguments."""
    name: str
    """What the table calls it."""
    runs: int
    timeout: float | None
    """Seconds for one run."""
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``oxthreads compare``."""
    parser.add_argument("script", metavar="SCRIPT", nargs="?", help="the script to run")
    parser.add_argument("-m", dest="module", metavar="MODULE", help="run a module instead of a script")
    parser.add_argument("-c", dest="code", metavar="CODE", help="run CODE instead of a script")
    parser.add_argument(
        "--runs",
        type=positive_int,
        default=5,
        metavar="N",
        help="runs on each side, after one that is not counted (default 5; 1: nothing else is run)",
    )
    parser.add_argument(
        "--timeout", type=positive_seconds, metavar="SECONDS", help="kill a run that takes longer"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document with every run")
    parser.set_defaults(arguments=[])
    parser.usage = "%(prog)s [options] (SCRIPT | -m MODULE | -c CODE) [-- ARGS...]"
    _leave_arguments_alone(parser)


def _leave_arguments_alone(parser: argparse.ArgumentParser) -> None:
    """Have the parser put all that follows ``--`` into ``arguments``, unseen.

    argparse itself cannot: a positional for the rest is filled, with nothing, together with SCRIPT,
    and then is no longer there for what follows an option that comes after SCRIPT.
    """
    parse = parser.parse_known_args

    def parse_known_args(args: Sequence[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:
        args = list(sys.argv[1:] if args is None else args)
        end = args.index("--") if "--" in args else len(args)
        parsed, unknown = parse(args[:end], namespace)
        parsed.arguments = args[end + 1 :]
        return parsed, unknown

    parser.parse_known_args = parse_known_args  # type: ignore[assignment, method-assign]


def positive_int(text: str) -> int:
    """Read a number of runs. Raises ArgumentTypeError for one below 1."""
    with suppress(ValueError):
        if (number := int(text)) > 0:
            return number
    raise argparse.ArgumentTypeError(f"a whole number from 1 on is needed, not {text}")


def positive_seconds(text: str) -> float:
    """Read a time in seconds. Raises ArgumentTypeError for one that is not above 0, or has no end."""
    with suppress(ValueError):
        if 0 < (seconds := float(text)) < math.inf:
            return seconds
    raise argparse.ArgumentTypeError(f"a number of seconds above 0 is needed, not {text}")


def run(arguments: argparse.Namespace) -> int:
    """Compare as the parsed command line says, print the result, and return the exit code."""
    try:
        options = check(arguments)
    except UsageError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2
    try:
        with StopSignals() as signals:
            comparison = compare(options, signals)
            with signals.interruptible():
                show(comparison, options)
    except Stopped as stopped:
        return stopped.exit_code
    except (RunError, OSError) as error:
        # OSError: no room for the captured output, say.
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    return 0 if comparison.same else 1


def check(arguments: argparse.Namespace) -> Options:
    """Check a parsed command line. Raises UsageError if there is not exactly one thing to run."""
    targets = {
        "script": (arguments.script, [arguments.script]),
        "module": (arguments.module, ["-m", arguments.module]),
        "code": (arguments.code, ["-c", arguments.code]),
    }
    given = {kind: target for kind, (name, target) in targets.items() if name is not None}
    if len(given) != 1:
        raise UsageError("one of SCRIPT, -m MODULE and -c CODE is needed, and only one")
    [(kind, target)] = given.items()
    if kind == "script":
        check_script(arguments.script)
    name = Path(arguments.script).name if kind == "script" else shlex.join(target)
    return Options(
        command=[*target, *arguments.arguments],
        name=shown(name.encode(errors="surrogateescape")),
        runs=arguments.runs,
        timeout=arguments.timeout,
        json=arguments.json,
    )


def check_script(script: str) -> None:
    """Raises UsageError, in the words of ``python``, for a script that no back end could run."""
    path = Path(script)
    if not path.exists():
        raise UsageError(f"can't open file {script!r}: {os.strerror(errno.ENOENT)}")
    if not os.access(path, os.R_OK):
        raise UsageError(f"can't open file {script!r}: {os.strerror(errno.EACCES)}")
    if path.is_dir() and not (path / "__main__.py").exists():
        raise UsageError(f"can't find '__main__' module in {script!r}")


def compare(options: Options, signals: StopSignals) -> Comparison:
    """Run the script on both back ends. Raises RunError if a run cannot be made, Stopped by a signal."""
    with (
        tempfile.TemporaryDirectory(prefix="oxthreads-compare-") as directory,
        progress_line() as progress,
        signals.interruptible(),
    ):
        return compare_back_ends(
            (STANDARD, OXTHREADS),
            options.command,
            OutputStore(Path(directory)),
            runs=options.runs,
            timeout=options.timeout,
            progress=progress,
        )


def show(comparison: Comparison, options: Options) -> None:
    """Print the result on standard output, as far as anybody reads it."""
    if options.json:
        document = report.document(comparison, options.command)
        text = json.dumps(document, indent=2)
    else:
        text = report.table(comparison, options.name)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # So that the interpreter, at its end, does not try again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def progress_line() -> Iterator[Callable[[str], None]]:
    """A function that shows a line on a terminal in place of the one before; it is gone at the end."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return

    def replace_line(text: str) -> None:
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    try:
        yield replace_line
    finally:
        replace_line("")
