"""``python -m tests.programs``: see the package, and ``--help``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from .environment import Interpreter, Workshop
from .record import Record
from .suites import compare, is_available
from .table import PROGRAMS

#: How many lines of what a test said are shown.
LINES = 25


def main() -> int:
    """Run what was asked for; 1 if something differs without a reason, else 0."""
    options = _parse()
    # A shell has what it runs in the background ignore Ctrl-C, and so would the programs, whose tests
    # rely on it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    names = {program.name for program in PROGRAMS}
    unknown = set(options.programs) - names
    if unknown:
        print(f"no such program: {', '.join(sorted(unknown))}; there are: {', '.join(sorted(names))}")
        return 2
    record = Record()
    failed = False
    for path in options.python or [sys.executable]:
        interpreter = Interpreter.at(path)
        workshop = Workshop(interpreter, options.cache, options.wheels)
        print(f"Python {interpreter.name} ({path})", flush=True)
        for program in PROGRAMS:
            if options.programs and program.name not in options.programs:
                continue
            if options.selection and not program.selected:
                continue
            if not is_available(program, workshop):
                print(f"  {program.name}: not shipped with this interpreter", flush=True)
                continue
            try:
                comparison = compare(program, workshop)
            except RuntimeError as error:  # the index or the machine has not what it needs
                print(f"  {program.name}: could not be set up: {error}", flush=True)
                failed = True
                continue
            _show(program.name, comparison, verbose=options.verbose)
            failed = failed or bool(comparison.unexplained)
            if options.record:
                record.add_suite(program, interpreter, comparison)
                record.write()
    return 1 if failed else 0


def _show(name: str, comparison, *, verbose: bool) -> None:  # type: ignore[no-untyped-def]
    standard, ours = comparison.passed["standard"], comparison.passed["oxthreads"]
    seconds = " / ".join(f"{value:.1f} s" for value in comparison.seconds.values())
    print(f"  {name}: {standard} / {ours} passed, {seconds}, {comparison.endings}", flush=True)
    for kind in ("differences", "unsteady"):
        for found in getattr(comparison, kind):
            print(f"    {kind}: {found.test} {found.passed} of {found.runs} {found.reason}", flush=True)
            if verbose:
                lines = found.details.splitlines()[-LINES:]
                print("".join(f"      {line}\n" for line in lines), end="", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.programs", description=(sys.modules[__package__ or ""].__doc__ or "")
    )
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help="which programs; all, without any")
    parser.add_argument("--selection", action="store_true", help="those that take five minutes in all")
    parser.add_argument("--python", action="append", metavar="PATH", help="an interpreter; may be repeated")
    parser.add_argument("--record", action="store_true", help="write what comes out to docs/")
    parser.add_argument("--verbose", action="store_true", help="show what a test that differs said")
    parser.add_argument("--wheels", type=Path, help="where a wheel of oxthreads lies; else it is built")
    home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "oxthreads" / "programs"
    parser.add_argument(
        "--cache", type=Path, default=home, help="for downloads and environments (%(default)s)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
