"""``python -m tests.siege``: see the package, and ``--help``."""

from __future__ import annotations

import argparse
import itertools
import os
import shlex
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace

from .attack import Attack, Outcome, Program, attacks, command, reproduction, run

#: How many children run at once, unless they measure time.
CHILDREN = os.cpu_count() or 1

#: How many failures of one attack are shown, and of each how many lines that it wrote to either output.
FAILURES, LINES = 5, 40


def main() -> int:
    """Make the attacks that were asked for; 1 if anything failed, else 0."""
    # What is attacked is not what counts: this process waits by the standard library.
    known = {attack.name: attack for attack in attacks()}
    options = _parse(known)
    failed = False
    for name in options.attacks or known:
        attack = known[name]
        count = options.count or (attack.quick if options.quick else attack.full)
        if options.show:
            for program in _selected(attack, count, options.program):
                print(f"--- {program.name}\n{shlex.join(command(program, options.python))}")
            continue
        failed = not _make(attack, count, options) or failed
    return 1 if failed else 0


def _selected(attack: Attack, count: int, name: str | None) -> Iterable[Program]:
    """The programs to run; of only one, if it is asked for by name, until it has done the count."""
    if name is None:
        return attack.programs(count)
    # The last of them may come late in the full form, and not at all in a smaller one.
    every = itertools.chain(attack.programs(count), attack.programs(attack.full))
    found = next((program for program in every if program.name == name), None)
    if found is None:
        sys.exit(f"{attack.name} has no program {name!r}")
    return itertools.repeat(found, max(1, count // found.counts))


def _make(attack: Attack, count: int, options: argparse.Namespace) -> bool:
    """Make one attack, and say what came of it; whether all is well."""
    begin = time.monotonic()
    done, failures, slow, slowest = 0, 0, 0, 0.0
    try:
        for outcome in _outcomes(attack, count, options):
            done += outcome.program.counts
            slowest = max(slowest, outcome.seconds)
            if outcome.is_slow:
                slow += 1
                print(f"    slow: {outcome.program.name}, {outcome.seconds:.1f} s", flush=True)
            if attack.reports and outcome.standard_output:
                print(f"    {outcome.program.name}: {outcome.standard_output.splitlines()[-1]}", flush=True)
            if outcome.complaint is not None:
                failures += 1
                if failures <= FAILURES:
                    _show(attack, outcome, options.python)
    finally:  # after Ctrl-C, too
        print(
            f"{attack.name}: {done} done, {failures} failures, {slow} slow, "
            f"{time.monotonic() - begin:.1f} s (the longest child {slowest:.1f} s)",
            flush=True,
        )
    return not failures


def _outcomes(attack: Attack, count: int, options: argparse.Namespace) -> Iterator[Outcome]:
    """Run the children, some at once, and yield how each ended as it does."""
    children = 1 if attack.alone else options.children
    programs = iter(_selected(attack, count, options.program))
    with ThreadPoolExecutor(children) as executor:
        running: set[Future[Outcome]] = set()
        while True:
            for program in itertools.islice(programs, children - len(running)):
                running.add(executor.submit(run, _patient(program, options), options.python))
            if not running:
                return
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                yield future.result()


def _patient(program: Program, options: argparse.Namespace) -> Program:
    return replace(program, seconds=program.seconds * options.patience)


def _show(attack: Attack, outcome: Outcome, python: str) -> None:
    print(f"    failed: {outcome.program.name}: {outcome.complaint}, after {outcome.seconds:.1f} s")
    for written in (outcome.standard_output, outcome.standard_error):
        for line in written.splitlines()[-LINES:]:
            print(f"      {line}")
    print(f"      again: {reproduction(attack, outcome.program, python)}", flush=True)


def _parse(known: dict[str, Attack]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.siege",
        description=(sys.modules[__package__ or ""].__doc__ or "").partition("\n\nAn attack makes")[0],
        epilog="\n".join(
            f"{attack.name}: {attack.about} ({attack.full:,}; quick: {attack.quick:,})"
            for attack in known.values()
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help="which (below); all, without any")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--count", type=int, metavar="N", help="how many of what each attack counts")
    form.add_argument("--quick", action="store_true", help="a small part of each")
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="of the children")
    parser.add_argument("--program", metavar="NAME", help="only this one of the attack's programs")
    parser.add_argument("--show", action="store_true", help="only show what would be run")
    parser.add_argument(
        "--children", type=int, default=CHILDREN, metavar="N", help="that run at once (%(default)s)"
    )
    parser.add_argument(
        "--patience", type=float, default=1.0, metavar="X", help="times the usual one (%(default)s)"
    )
    options = parser.parse_args()
    unknown = set(options.attacks) - set(known)
    if unknown:
        parser.error(f"no such attack: {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main())
