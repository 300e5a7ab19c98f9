"""``oxthreads compare``: runs a script on the standard library and on oxthreads, side by side.

Use it to see whether a program behaves the same on oxthreads, and how much faster it is.

The exit status is 0 if the results (exit code and output) are the same, 1 if they differ or a run did
not end in time, 2 for wrong usage, and 128 plus the signal's number if a signal ended it (130 for
Ctrl-C).
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
from .comparison.measurement import BackEnd, Purpose, RunError, run_once
from .comparison.output import OutputStore, shown
from .comparison.rounds import Comparison, compare_back_ends

STANDARD = BackEnd("standard", (sys.executable,), {"OXTHREADS": "0"})
# Started as a user starts it. OXTHREADS is removed, because OXTHREADS=0 would make both sides the same.
OXTHREADS = BackEnd("oxthreads", (sys.executable, "-m", "oxthreads"), {"OXTHREADS": None})

PROGRAM = "oxthreads compare"


class UsageError(Exception):
    """The command line does not name exactly one thing to run, or it names one that cannot be run."""


class Stopped(BaseException):
    """A signal has ended the comparison. Not an Exception, so that no ``except Exception`` catches it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number


class StopSignals:
    """Context manager: SIGINT, SIGTERM and SIGHUP raise Stopped, but only in interruptible blocks.

    A signal that comes at another time raises at the beginning of the next interruptible block. Only the
    first signal counts, because later ones would interrupt the cleanup.
    """

    def __init__(self) -> None:
        self._received: int | None = None
        self._interruptible = False

    def __enter__(self) -> Self:
        names = ("SIGINT", "SIGTERM", "SIGHUP")
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        # Signals that the parent process told this one to ignore, as nohup does, stay ignored.
        heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
        self._previous = {number: signal.signal(number, self._handle) for number in heeded}
        return self

    def __exit__(self, *exception: object) -> None:
        # After a signal the process is exiting: the handler stays, so that further signals have no effect.
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
        """Context manager: a signal raises Stopped in this block, even if it came before the block.

        Raises:
            Stopped: if a signal has come.
        """
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
    """The command line after the interpreter: SCRIPT, ``-m MODULE`` or ``-c CODE``, and the arguments."""
    name: str
    """The name of the script in the table."""
    runs: int
    timeout: float | None
    """The longest time of one run, in seconds. None: no limit."""
    json: bool
    profile: bool
    """Whether to run it once more, with a profile of waiting."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``oxthreads compare`` to the parser.

    Args:
        parser: the parser of this command.
    """
    parser.add_argument("script", metavar="SCRIPT", nargs="?", help="the script to run")
    parser.add_argument("-m", dest="module", metavar="MODULE", help="run a module instead of a script")
    parser.add_argument("-c", dest="code", metavar="CODE", help="run CODE instead of a script")
    parser.add_argument(
        "--runs",
        type=positive_int,
        default=5,
        metavar="N",
        help="counted runs on each side (default 5); unless N is 1, one uncounted run comes first",
    )
    parser.add_argument(
        "--timeout", type=positive_seconds, metavar="SECONDS", help="kill a run that takes longer"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document with every run")
    parser.add_argument(
        "--profile", action="store_true", help="run it on oxthreads once more, and say where threads wait"
    )
    parser.set_defaults(arguments=[])
    parser.usage = "%(prog)s [options] (SCRIPT | -m MODULE | -c CODE) [-- ARGS...]"
    _leave_arguments_alone(parser)


def _leave_arguments_alone(parser: argparse.ArgumentParser) -> None:
    """Let the parser store everything after ``--`` in ``arguments``, without parsing it.

    argparse cannot do this itself. It fills a positional argument for the rest together with SCRIPT, with
    nothing. When an option follows SCRIPT, that argument is then not available for what comes after it.
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
    """Return the text of an option as a whole number.

    Raises:
        argparse.ArgumentTypeError: if it is not a whole number, or less than 1.
    """
    with suppress(ValueError):
        if (number := int(text)) > 0:
            return number
    raise argparse.ArgumentTypeError(f"a whole number from 1 on is needed, not {text}")


def positive_seconds(text: str) -> float:
    """Return the text of an option as a number of seconds.

    Raises:
        argparse.ArgumentTypeError: if it is not a number, not above 0, or infinite.
    """
    with suppress(ValueError):
        if 0 < (seconds := float(text)) < math.inf:
            return seconds
    raise argparse.ArgumentTypeError(f"a number of seconds above 0 is needed, not {text}")


def run(arguments: argparse.Namespace) -> int:
    """Run the comparison of a parsed command line, and print the result.

    Args:
        arguments: the parsed command line.

    Returns:
        The exit status; see the beginning of this module.
    """
    try:
        options = check(arguments)
    except UsageError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2
    try:
        with StopSignals() as signals:
            comparison = compare(options, signals)
            waits = profile(options, signals) if options.profile else None
            with signals.interruptible():
                show(comparison, options, waits)
    except Stopped as stopped:
        return stopped.exit_code
    except (RunError, OSError) as error:
        # OSError: for example, no disk space for the captured output.
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    return 0 if comparison.same else 1


def check(arguments: argparse.Namespace) -> Options:
    """Check the options.

    Args:
        arguments: the parsed command line.

    Returns:
        The checked options.

    Raises:
        UsageError: if there is not exactly one thing to run, or if the script cannot be run.
    """
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
        profile=arguments.profile,
    )


def check_script(script: str) -> None:
    """Check whether a script can be run.

    Args:
        script: the path of the script.

    Raises:
        UsageError: if it cannot be run. The message is that of ``python``.
    """
    path = Path(script)
    if not path.exists():
        raise UsageError(f"can't open file {script!r}: {os.strerror(errno.ENOENT)}")
    if not os.access(path, os.R_OK):
        raise UsageError(f"can't open file {script!r}: {os.strerror(errno.EACCES)}")
    if path.is_dir() and not (path / "__main__.py").exists():
        raise UsageError(f"can't find '__main__' module in {script!r}")


def compare(options: Options, signals: StopSignals) -> Comparison:
    """Run the script on both back ends.

    Args:
        options: the checked options.
        signals: lets a signal end the comparison.

    Returns:
        All runs, and the verdicts.

    Raises:
        RunError: if a run cannot be made.
        Stopped: if a signal has come.
    """
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


def profile(options: Options, signals: StopSignals) -> dict[str, Any] | None:
    """Run the script on oxthreads once more, and find out where its threads wait.

    Args:
        options: the checked options.
        signals: lets a signal end the run.

    Returns:
        What docs/profile.schema.json describes. None if the script has not written it, because it was
        killed, by the timeout for example.

    Raises:
        RunError: if the run cannot be made.
        Stopped: if a signal has come.
    """
    with (
        tempfile.TemporaryDirectory(prefix="oxthreads-compare-") as directory,
        progress_line() as progress,
        signals.interruptible(),
    ):
        file = Path(directory) / "profile.json"
        environment = {**OXTHREADS.environment, "OXTHREADS_PROFILE": str(file)}
        back_end = BackEnd("oxthreads with a profile", OXTHREADS.command, environment)
        progress(f"once more: {back_end.name}")
        store = OutputStore(Path(directory))
        run_once(back_end, options.command, store, purpose=Purpose.REPEATED, timeout=options.timeout)
        try:
            found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found


def waits_text(waits: dict[str, Any] | None) -> str:
    """Return where threads waited, in a few lines.

    Args:
        waits: what `profile` has returned.
    """
    from .diagnose import _profile_text  # noqa: PLC0415 - only a comparison with a profile needs it

    if waits is None:
        return "The run with a profile has written none: it was killed, or has ended by os._exit."
    return _profile_text.summary(waits)


def show(comparison: Comparison, options: Options, waits: dict[str, Any] | None) -> None:
    """Print the result on standard output. It is not an error if nobody reads it (a closed pipe).

    Args:
        comparison: the runs and verdicts.
        options: the checked options.
        waits: what `profile` has returned, if the options ask for it.
    """
    if options.json:
        document = report.document(comparison, options.command)
        if options.profile:
            document["profile"] = waits
        text = json.dumps(document, indent=2)
    else:
        text = report.table(comparison, options.name)
        if options.profile:
            text = f"{text}\n\n{waits_text(waits)}"
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Otherwise the interpreter tries to flush again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def progress_line() -> Iterator[Callable[[str], None]]:
    """Context manager: yield a function that shows a line on the terminal instead of the line before.

    At the end the line is erased. If standard error is not a terminal, the function does nothing.
    """
    if not sys.stderr.isatty():
        yield lambda text: None
        return

    def replace_line(text: str) -> None:
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    try:
        yield replace_line
    finally:
        replace_line("")
