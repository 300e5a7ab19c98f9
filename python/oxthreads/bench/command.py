"""The command line of ``oxthreads bench``.

The exit status is 0 if every selected scenario was measured; 1 if one could not be measured, or with
``--check`` if a goal is missed; 2 for wrong usage; and 130 for Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gc
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from oxthreads.compare import positive_int, positive_seconds, progress_line

from . import catalogue, libraries, peers, plot, report
from .machine import OthersMeter, limited_to
from .program_runs import PROGRAMS
from .scenario import BenchmarkError, NotInstalledError, Result, Scenario, Settings

PROGRAM = "oxthreads bench"

#: With ``--quick``: the divisor of the operations of a round, and the number of rounds.
QUICK_DIVISOR = 10
QUICK_ROUNDS = 5
ROUNDS = 15

EPILOG = """
NAMES are names of scenarios (--list shows them), patterns for such names ('queue-*'), or kinds: speed (the
default), locks, channels, tasks, cluster, reuse, select, calls, memory, startup, latency, parallelism,
processes, process-data, process-deaths, growth, programs. '*' selects everything. After programs, NAMES are
those of whole programs: programs crawler 'pool-*'.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``oxthreads bench`` to the parser.

    Args:
        parser: the parser of this command.
    """
    parser.add_argument("names", metavar="NAMES", nargs="*", help="scenarios, patterns, or kinds (see below)")
    parser.add_argument("--list", action="store_true", help="show the scenarios, and measure nothing")
    parser.add_argument(
        "--rounds", type=positive_int, metavar="N", help=f"rounds of each contender (default {ROUNDS})"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"run a tenth of the operations and {QUICK_ROUNDS} rounds, to see that everything works",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document with every round")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="also draw a picture; needs matplotlib")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a goal is missed")
    parser.add_argument(
        "--without-peers", action="store_true", help="measure only the standard library and oxthreads"
    )
    parser.add_argument(
        "--cpus", type=positive_int, metavar="N", help="use only N CPUs (with 1, hand-overs vary less; Linux)"
    )
    parser.add_argument(
        "--timeout",
        type=positive_seconds,
        default=300.0,
        metavar="SECONDS",
        help="if a scenario takes longer, show where it hangs, and exit with 1 (default 300)",
    )
    parser.epilog = EPILOG


def run(arguments: argparse.Namespace) -> int:
    """Run the benchmark of a parsed command line, and print the result.

    Args:
        arguments: the parsed command line.

    Returns:
        The exit status; see the beginning of this module.
    """
    try:
        scenarios = catalogue.select(arguments.names)
    except catalogue.UnknownNameError as error:
        return refuse(str(error))
    if arguments.list:
        print(report.listing(scenarios if arguments.names else catalogue.SCENARIOS))
        return 0
    try:
        with limited_to(arguments.cpus):
            return measure(arguments, scenarios)
    except ValueError as error:
        return refuse(str(error))


def refuse(why: str) -> int:
    """Print what is wrong with the command line or the process, and return the exit code 2."""
    print(f"{PROGRAM}: {why}", file=sys.stderr)
    return 2


def measure(arguments: argparse.Namespace, scenarios: Sequence[Scenario]) -> int:
    """Measure the scenarios, and print the results.

    Args:
        arguments: the parsed command line.
        scenarios: the selected scenarios.

    Returns:
        The exit status; see the beginning of this module.
    """
    replaced = libraries.replaced_names()
    if replaced:
        return refuse(
            f"the patch has replaced {replaced[0]} in this process, so there is no standard library to "
            "compare with; run it without the patch: OXTHREADS=0 oxthreads bench"
        )
    if arguments.plot is not None:
        try:
            plot.load()  # find out before the measurements whether it is installed
        except plot.NoMatplotlibError as error:
            return refuse(str(error))
    alone = arguments.without_peers or all(scenario.kind == PROGRAMS for scenario in scenarios)
    found, missing = ([], {}) if alone else peers.find()
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    results: list[Result] = []
    skipped: dict[str, str] = {}
    failed = False
    with progress_line() as progress:
        settings = Settings(
            libraries=(libraries.standard(), *found, libraries.ours()),
            rounds=rounds,
            divisor=QUICK_DIVISOR if arguments.quick else 1,
        )
        whole = OthersMeter()
        gc.collect()
        gc.freeze()  # the collections before each round need not examine what was imported
        try:
            for number, scenario in enumerate(scenarios, 1):
                progress(f"{number} of {len(scenarios)}: {scenario.name}")
                try:
                    meter = OthersMeter()
                    with watched(arguments.timeout):
                        outcome = scenario.measure(settings)
                    results.append(Result(scenario, outcome, meter.share()))
                except NotInstalledError as error:
                    skipped[scenario.name] = str(error)
                except BenchmarkError as error:
                    progress("")
                    print(f"{PROGRAM}: {scenario.name}: {error}", file=sys.stderr)
                    failed = True
        finally:
            gc.unfreeze()
    others = whole.share()
    who = report.Peers({library.name: library.version for library in found}, missing)
    if arguments.json:
        print(json.dumps(report.document(results, settings, who, others, skipped), indent=2))
    else:
        print(report.tables(results, settings, who, others, skipped))
    if arguments.plot is not None:
        try:
            plot.draw(results, arguments.plot)
        except OSError as error:
            print(f"{PROGRAM}: {error}", file=sys.stderr)
            failed = True
    return 1 if failed or (arguments.check and report.missed(results)) else 0


@contextlib.contextmanager
def watched(seconds: float) -> Iterator[None]:
    """Context manager: if the block takes too long, show the stacks of all threads and end the process.

    Args:
        seconds: the longest time of the block.
    """
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or sys.stderr)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
