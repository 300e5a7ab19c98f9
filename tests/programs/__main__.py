"""``python -m tests.programs``: see the package, and ``--help``."""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import signal
import sys
from pathlib import Path

from tests.programs import servers
from tests.programs.environment import Interpreter, Workshop
from tests.programs.record import Record
from tests.programs.suites import Comparison, compare, is_available
from tests.programs.table import PROGRAMS, Program

#: The prefix of a server's name, because a suite may have the same name.
SERVER = "server:"

NAMES = [program.name for program in PROGRAMS] + [SERVER + server.name for server in servers.SERVERS]

#: The folder for downloads and environments.
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "oxthreads" / "programs"

#: How many lines of a test's output are shown.
LINES = 25


def main() -> int:
    """Run what was asked for. Return 1 if something differs without a reason, else 0."""
    options = _parse()
    # A shell makes its background jobs ignore Ctrl-C. The programs would inherit that, and their tests need
    # Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    record = Record() if options.record else None
    failed = False
    for path in options.python or [sys.executable]:
        interpreter = Interpreter.at(path)
        print(f"Python {interpreter.name} ({path})", flush=True)
        with Workshop(interpreter, options.cache, options.wheels) as workshop:
            failed = not _run(workshop, record, options) or failed
    return 1 if failed else 0


def _run(workshop: Workshop, record: Record | None, options: argparse.Namespace) -> bool:
    """Run the programs on one interpreter. Return whether nothing differs without a reason."""
    suites = [
        program for program in PROGRAMS if _is_asked_for(program.name, options, selected=program.selected)
    ]
    well = True
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        found = pool.map(_run_suite, suites, [workshop] * len(suites))
        for program, comparison in zip(suites, found, strict=True):
            if isinstance(comparison, Comparison):
                _show(program.name, comparison, verbose=options.verbose)
                well = not comparison.unexplained and well
                if record is not None:
                    record.add_suite(program, workshop.interpreter, comparison)
            else:
                print(f"  {program.name}: {comparison or 'not shipped with this interpreter'}", flush=True)
                well = comparison is None and well
    for server in servers.SERVERS:
        if _is_asked_for(SERVER + server.name, options, selected=True):
            seconds = 5 if options.selection else options.seconds
            well = _run_server(server, workshop, record, seconds) and well
    return well


def _is_asked_for(name: str, options: argparse.Namespace, *, selected: bool) -> bool:
    if options.programs:
        return name in options.programs
    return selected or not options.selection


def _run_suite(program: Program, workshop: Workshop) -> Comparison | RuntimeError | None:
    """Run a suite. Return None if the interpreter does not have it, or the error if it cannot be run here."""
    if not is_available(program, workshop):
        return None
    try:
        return compare(program, workshop)
    except RuntimeError as error:  # the index or the machine does not have what it needs
        return error


def _run_server(server: servers.Server, workshop: Workshop, record: Record | None, seconds: int) -> bool:
    """Run a server under load. Return whether nothing is wrong."""
    if not servers.is_available():
        print(f"  {server.name}: neither wrk nor ab is there", flush=True)
        return True
    try:
        figures = servers.measure(server, workshop, seconds)
    except RuntimeError as error:
        print(f"  {server.name}: {error}", flush=True)
        return False
    rates, growth = figures["requests_per_second"], figures["growth_mib"]
    complaints = servers.complaints(figures)
    print(
        f"  {server.name} under load: {rates} requests/s, {growth} MiB more; {complaints or 'well'}",
        flush=True,
    )
    if record is not None:
        record.add_server(figures, workshop.interpreter)
    return not complaints


def _show(name: str, comparison: Comparison, *, verbose: bool) -> None:
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
    parser.add_argument(
        "programs", nargs="*", metavar="PROGRAM", help=f"which; all, without any: {', '.join(NAMES)}"
    )
    parser.add_argument("--selection", action="store_true", help="those that take five minutes in all")
    parser.add_argument("--python", action="append", metavar="PATH", help="an interpreter; may be repeated")
    parser.add_argument("--record", action="store_true", help="write what comes out to docs/")
    parser.add_argument("--verbose", action="store_true", help="show what a test that differs said")
    parser.add_argument("--wheels", type=Path, help="where a wheel of oxthreads lies; else it is built")
    parser.add_argument(
        "--jobs", type=int, default=1, help="how many suites to run side by side (%(default)s)"
    )
    parser.add_argument(
        "--cache", type=Path, default=CACHE, help="for downloads and environments (%(default)s)"
    )
    parser.add_argument("--seconds", type=int, default=60, help="of load for a server (%(default)s)")
    options = parser.parse_args()
    unknown = set(options.programs) - set(NAMES)
    if unknown:
        parser.error(f"no such program: {', '.join(sorted(unknown))}")
    if options.record and options.wheels:
        parser.error("what is recorded is built from this tree, so that the commit is that of what ran")
    if options.record and options.jobs != 1:
        parser.error("suites that run side by side have no times to record")
    return options


if __name__ == "__main__":
    sys.exit(main())
