"""The ``oxthreads`` command."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run a command of ``oxthreads``, and return the exit status of the process.

    Args:
        arguments: the command line after ``oxthreads``; by default that of this process.

    Returns:
        The exit status: 0 on success, 1 if the command failed, 2 on wrong usage, 130 after Ctrl-C. The
        commands ``compare`` and ``bench`` say in their modules what else they return.

    Raises:
        SystemExit: with status 2 on wrong usage that the parser of the command line finds.
        BaseException: with ``run``, what the program raises, KeyboardInterrupt included.
    """
    if arguments is None:
        arguments = sys.argv[1:]
    if arguments[:1] == ["run"]:
        # Handled first, so that the start of the program does not wait for argparse.
        from oxthreads import runner  # noqa: PLC0415

        runner.main(arguments[1:])
        return 0
    if arguments[:1] in (["profile"], ["trace"]):
        from oxthreads import runner  # noqa: PLC0415 - as above

        runner.record(arguments[0], arguments[1:])
        return 0
    try:
        return _carry_out(arguments)
    except KeyboardInterrupt:
        return 130


def _carry_out(arguments: list[str]) -> int:
    options = _parser(arguments).parse_args(arguments)
    command: str = options.command
    if command == "compare":
        from oxthreads import compare  # noqa: PLC0415

        return compare.run(options)
    if command == "bench":
        from oxthreads.bench import command as bench  # noqa: PLC0415

        return bench.run(options)
    if command == "inspect":
        from oxthreads.diagnose import _inspection  # noqa: PLC0415

        return _inspection.run(options.process, as_json=options.json)
    if command == "status":
        return _show_status(as_json=options.json)
    from oxthreads import environment  # noqa: PLC0415

    try:
        print(environment.enable() if command == "enable" else environment.disable())
    except (OSError, RuntimeError) as error:
        print(f"oxthreads {command}: {error}", file=sys.stderr)
        return 1
    return 0


def _show_status(*, as_json: bool) -> int:
    from oxthreads import environment  # noqa: PLC0415

    found = environment.status()
    if as_json:
        import json  # noqa: PLC0415

        print(json.dumps(found, indent=2))
    else:
        print(environment.describe(found))
    return 0 if environment.is_as_asked(found) else 1


def _parser(arguments: list[str]) -> argparse.ArgumentParser:
    import argparse  # noqa: PLC0415

    from oxthreads import __version__  # noqa: PLC0415

    parser = argparse.ArgumentParser(
        prog="oxthreads",
        description="Threads, locks, events, queues and thread pools that wait and wake in Rust.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"oxthreads {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, summary: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")

    compare = add("compare", "run a script on the standard library and on oxthreads, side by side")
    if arguments[:1] == ["compare"]:
        from oxthreads.compare import add_arguments  # noqa: PLC0415

        add_arguments(compare)
    bench = add("bench", "measure operations of the standard library, of oxthreads and of similar libraries")
    if arguments[:1] == ["bench"]:
        from oxthreads.bench.command import add_arguments as add_bench_arguments  # noqa: PLC0415

        add_bench_arguments(bench)
    add("run", "run a program on oxthreads, as `python -m oxthreads` does")
    add("profile", "run a program, and say where its threads wait")
    add("trace", "run a program, and write a timeline of its threads for Perfetto")
    inspect = add("inspect", "say what the threads of a running process wait for")
    inspect.add_argument("process", metavar="PID", help="the number of the process")
    inspect.add_argument("--json", action="store_true", help="print it as JSON")
    add("enable", "run every program of this environment on oxthreads")
    add("disable", "undo enable")
    status = add("status", "show what is enabled, and what a new interpreter really uses")
    status.add_argument("--json", action="store_true", help="print it as JSON")
    return parser
