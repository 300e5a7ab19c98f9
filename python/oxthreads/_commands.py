"""The arguments and the help texts of the ``oxthreads`` command."""

from __future__ import annotations

import argparse
import sys
import textwrap

__all__ = ["SHELLS", "parser"]

#: The shells for which `oxthreads completion` has a script.
SHELLS = ("bash", "zsh", "fish")

#: The width of the texts.
WIDTH = 79

DESCRIPTION = """\
Threads, locks, events, queues and thread pools that wait and wake in Rust.

Run programs on them, see why a program hangs and where its threads wait, and
compare it with the standard library.
"""

EPILOG = """\
examples:
  oxthreads compare script.py         is it the same on oxthreads, and faster?
  oxthreads run script.py --verbose   run it on oxthreads
  oxthreads run --watch script.py     the same, and deadlocks are reported
  oxthreads profile script.py         where do its threads wait?
  oxthreads enable                    every program of this environment

exit codes:
  0 success, 1 failure, 2 wrong usage; after Ctrl-C 130. The commands that run
  a program exit as the program does. `oxthreads COMMAND --help` says more.

Read on in docs/command_line.md.
"""


class Command:
    """The help of one command.

    Args:
        summary: what it does, in a line of the list of commands.
        description: what it is for, without line breaks.
        examples: command lines, each with what it does.
        exit_codes: what each exit code means.
        read_on: the page of the documentation.
    """

    def __init__(
        self,
        summary: str,
        description: str = "",
        examples: list[tuple[str, str]] | None = None,
        exit_codes: list[tuple[str, str]] | None = None,
        read_on: str = "docs/command_line.md",
    ) -> None:
        self.summary = summary
        self.description = textwrap.fill(description, WIDTH)
        self.epilog = "\n".join(
            [
                *("examples:", *_two_columns(examples or []), ""),
                *("exit codes:", *_two_columns(exit_codes or []), ""),
                f"Read on in {read_on}.",
            ]
        )


def _two_columns(rows: list[tuple[str, str]]) -> list[str]:
    width = max((len(left) for left, _ in rows), default=0)
    return [f"  {left.ljust(width)}  {right}".rstrip() for left, right in rows]


COMMANDS = {
    # `oxthreads.runner` has the help of these three, and reads their options.
    "run": Command("run a program on oxthreads, as `python -m oxthreads` does"),
    "profile": Command("run a program, and say where its threads wait"),
    "trace": Command("run a program, and write a timeline of its threads for Perfetto"),
    "inspect": Command(
        "say what the threads of a running process wait for",
        "Say what each thread of a running process waits for, since when, and where. The process goes on. "
        "It must be of the same user, and be watched (`oxthreads run --watch`, OXTHREADS_WATCH=report). One "
        "that is not can be asked from Python 3.14 on.",
        [
            ("oxthreads inspect 4711", "as text"),
            ("oxthreads inspect --json 4711", "as docs/inspection.schema.json describes"),
        ],
        [
            ("0", "the process has answered"),
            ("1", "it does not exist, or cannot be asked; the message says why"),
            ("2", "wrong usage, or PID is not the number of a process"),
        ],
        "docs/hangs.md",
    ),
    "compare": Command(
        "run a script on the standard library and on oxthreads, side by side",
        "Run a script on the standard library and on oxthreads, in turn, and compare exit code, output, "
        "time, memory and context switches.",
        [
            ("oxthreads compare script.py", "five runs on each side"),
            ("oxthreads compare --runs 20 script.py -- -v", "twenty; the script gets -v"),
            ("oxthreads compare -m pytest -- tests", "a module"),
            ("oxthreads compare --profile script.py", "and where it waits on oxthreads"),
        ],
        [
            ("0", "exit code and output are the same on both sides"),
            ("1", "they differ, or a run did not end in time or could not be made"),
            ("2", "wrong usage, or the script cannot be opened"),
            ("128 + N", "signal N has ended it: 130 for Ctrl-C"),
        ],
        "docs/compare.md",
    ),
    "bench": Command(
        "measure operations and programs: the standard library, oxthreads and similar libraries",
        "Measure single operations: time, memory, latency. With `programs`: whole programs.",
        [
            ("oxthreads bench", "the time of each; takes minutes"),
            ("oxthreads bench 'queue-*' future", "some scenarios"),
            ("oxthreads bench memory startup", "two kinds of them"),
            ("oxthreads bench --quick --without-peers", "a quick look"),
            ("oxthreads bench programs", "whole programs; takes six minutes"),
            ("oxthreads bench programs crawler 'pool-*'", "some of them"),
            ("oxthreads bench programs --list", "what they are"),
        ],
        [
            ("0", "everything was measured"),
            ("1", "something could not be, or took too long; with --check, a goal is missed"),
            ("2", "wrong usage, a name that is unknown, or --plot without matplotlib"),
        ],
        "docs/compare.md and benches/README.md",
    ),
    "enable": Command(
        "run every program of this environment on oxthreads",
        "From now on, each program that this environment's python runs is run on oxthreads. "
        "OXTHREADS=0 in the environment of a program switches it off for that run.",
        [
            ("oxthreads enable", "switch it on"),
            ("OXTHREADS=0 python script.py", "run one program without it"),
        ],
        [("0", "done"), ("1", "it cannot be done; the message says why"), ("2", "wrong usage")],
        "docs/patch.md",
    ),
    "disable": Command(
        "undo enable",
        "Undo `oxthreads enable`.",
        [
            ("oxthreads disable", "switch it off"),
            ("OXTHREADS=1 python script.py", "run one program on it anyway"),
        ],
        [("0", "done"), ("1", "it cannot be done; the message says why"), ("2", "wrong usage")],
        "docs/patch.md",
    ),
    "status": Command(
        "show what is enabled, and what a new interpreter really uses",
        "Show whether oxthreads is enabled here, which names a new interpreter really gets, and which "
        "modules imported the standard ones before.",
        [("oxthreads status", "as text"), ("oxthreads status --json", "as JSON")],
        [
            ("0", "a new interpreter uses what is asked for"),
            ("1", "it does not, or cannot be started"),
            ("2", "wrong usage"),
        ],
        "docs/patch.md",
    ),
    "completion": Command(
        "print a script that completes this command in a shell",
        "Print a script by which a shell completes this command. It takes shtab: "
        "pip install 'oxthreads[completion]'.",
        [
            ("oxthreads completion bash", "for ~/.local/share/bash-completion/completions/oxthreads"),
            ("oxthreads completion zsh", "for _oxthreads in a directory of $fpath"),
            ("oxthreads completion fish", "for ~/.config/fish/completions/oxthreads.fish"),
        ],
        [("0", "done"), ("2", "wrong usage, or shtab is not installed")],
        "docs/command_line.md",
    ),
}


class _Version(argparse.Action):
    """Prints the version, and on what it runs."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from oxthreads._version import description  # noqa: PLC0415 - only who asks pays for it

        print(description(), end="")
        parser.exit()


def parser(arguments: list[str], *, complete: bool = False) -> argparse.ArgumentParser:
    """Return the parser of the command line.

    Args:
        arguments: the command line. Only the command that it names gets its options, because those of some
            commands take time to import.
        complete: whether all commands get their options, also those that run a program and are not parsed by
            this parser.
    """
    whole = argparse.ArgumentParser(
        prog="oxthreads",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument(
        "-V", "--version", action=_Version, nargs=0, help="show the version, and on what it runs"
    )
    commands = whole.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        one = commands.add_parser(
            name,
            help=command.summary,
            # A shell shows the description beside the name.
            description=command.summary if complete else command.description,
            epilog=command.epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if complete or arguments[:1] == [name]:
            _add_arguments(name, one, complete=complete)
    return whole


def _add_arguments(name: str, one: argparse.ArgumentParser, *, complete: bool) -> None:
    if name == "compare":
        from oxthreads.compare import add_arguments  # noqa: PLC0415

        add_arguments(one)
    elif name == "bench":
        from oxthreads.bench.command import add_arguments as add_bench_arguments  # noqa: PLC0415

        epilog = one.epilog
        add_bench_arguments(one)
        if complete:
            from oxthreads.bench.catalogue import known_names  # noqa: PLC0415

            [names] = [action for action in one._actions if action.dest == "names"]
            names.choices = known_names()  # a shell offers them; to parse them is not asked of this parser
        one.epilog = f"{textwrap.fill((one.epilog or '').strip(), WIDTH)}\n\n{epilog}"
    elif name == "inspect":
        one.add_argument("process", metavar="PID", help="the number of the process")
        one.add_argument("--json", action="store_true", help="print it as JSON")
    elif name == "status":
        one.add_argument("--json", action="store_true", help="print it as JSON")
    elif name == "completion":
        one.add_argument("shell", choices=SHELLS, help="the shell")
    elif name in ("run", "profile", "trace"):
        # For completion alone: oxthreads.runner reads this command line.
        if name != "run":
            one.add_argument("-o", metavar="FILE", help="where to write it")
        one.add_argument("--watch", action="store_true", help="report deadlocks")
        one.add_argument("-m", metavar="MODULE", help="run a module")
        one.add_argument("-c", metavar="CODE", help="run code")
        one.add_argument("script", metavar="SCRIPT", nargs="?", help="the script to run")


def completion(shell: str) -> int:
    """Print the script by which a shell completes the command, and return the exit status.

    Args:
        shell: one of `SHELLS`.
    """
    try:
        import shtab  # noqa: PLC0415 - an extra
    except ImportError:
        print(
            "oxthreads completion: shtab is not installed: pip install 'oxthreads[completion]'",
            file=sys.stderr,
        )
        return 2
    whole = parser([], complete=True)
    _complete_files(whole, shtab.FILE)
    print(shtab.complete(whole, shell=shell))
    return 0


def _complete_files(whole: argparse.ArgumentParser, file: object) -> None:
    """Tell shtab which arguments are names of files."""
    for action in whole._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                _complete_files(one, file)
        elif action.metavar in ("FILE", "FILE.svg", "SCRIPT"):
            action.complete = file  # type: ignore[attr-defined]
