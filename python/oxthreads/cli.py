"""The ``oxthreads`` command."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run a command of ``oxthreads``, and return the exit status of the process.

    Args:
        arguments: the command line after ``oxthreads``; by default that of this process.

    Returns:
        The exit status: 0 on success, 1 if the command failed, 2 on wrong usage, 130 after Ctrl-C.
        docs/command_line.md has those of each command.

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
    from oxthreads import _commands  # noqa: PLC0415

    options = _commands.parser(arguments).parse_args(arguments)
    command: str = options.command
    if command == "completion":
        return _commands.completion(options.shell)
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
    return _switch(command)


def _switch(command: str) -> int:
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
