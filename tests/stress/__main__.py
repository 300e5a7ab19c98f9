"""``python -m tests.stress``: see the package, and ``--help``."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from tests.stress.attack import (
    STILL,
    Attack,
    Outcome,
    Program,
    attacks,
    command,
    leave,
    reproduction,
    run,
    too_many_slow,
)
from tests.stress.schedule import Request, outcomes

#: How many children run at once, unless they measure time. Most of them wait most of the time.
CHILDREN = 3 * (os.cpu_count() or 1)

#: How many failures of one attack are shown, and how many lines of each output are shown for each.
FAILURES, LINES = 5, 40

#: The signals that have told this process to stop. After the first one, every child is killed.
_signals: list[int] = []


@dataclass
class Tally:
    """The result of one attack so far."""

    done: int = 0
    failures: int = 0
    slow: int = 0
    slowest: float = 0.0

    def __str__(self) -> str:
        too_many = " (too many)" if too_many_slow(self.slow, self.done) else ""
        return (
            f"{self.done} done, {self.failures} failures, {self.slow} slow{too_many}, "
            f"the longest child {self.slowest:.1f} s"
        )

    @property
    def is_well(self) -> bool:
        """Whether the attack has found no fault."""
        return not self.failures and not too_many_slow(self.slow, self.done)

    def add(self, outcome: Outcome) -> None:
        """Count a child that has ended."""
        self.done += outcome.program.counts
        self.failures += outcome.complaint is not None
        self.slow += outcome.is_slow
        self.slowest = max(self.slowest, outcome.seconds)


def main() -> int:
    """Make the attacks that were asked for. Return 1 if anything failed, else 0."""
    # This process must not depend on what it tests, so it waits with the standard library.
    known = {attack.name: attack for attack in attacks()}
    options = _parse(known)
    requests: list[Request] = []
    for name in options.attacks or known:
        attack = known[name]
        count = options.count or (attack.quick if options.quick else attack.full)
        requests.append((attack, [*_selected(attack, count, options.program)]))
    pythons = options.python or [sys.executable]
    if options.show:
        for python, (_, programs) in itertools.product(pythons, requests):
            for program in programs:
                print(f"--- {program.name}\n{shlex.join(command(program, python))}")
        return 0
    # A shell makes its background jobs ignore Ctrl-C. The children would inherit that, and they need Ctrl-C.
    signal.signal(signal.SIGINT, _leave)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, _leave)
    versions = [f"{_version(python)}, " if len(pythons) > 1 else "" for python in pythons]
    well = [
        _make(requests, options, python, version) for python, version in zip(pythons, versions, strict=True)
    ]
    return 0 if all(well) else 1


def _leave(number: int, _: object) -> None:
    # It must not raise, because the signal may arrive while a thread is being started.
    _signals.append(number)
    leave()


def _version(python: str) -> str:
    """The version of an interpreter, such as 3.14t."""
    code = "import sys, sysconfig; print('%d.%d' % sys.version_info[:2], end='')\n"
    code += "if sysconfig.get_config_var('Py_GIL_DISABLED'): print('t', end='')"
    return subprocess.run([python, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout


def _selected(attack: Attack, count: int, name: str | None) -> Iterable[Program]:
    """The programs to run. If one was asked for by name, only that one, until it has done the count."""
    if name is None:
        return attack.programs(count)
    # A program may come late in the full form, and may be missing in a smaller one.
    every = itertools.chain(attack.programs(count), attack.programs(attack.full))
    found = next((program for program in every if program.name == name), None) or attack.named(name, count)
    if found is None:
        sys.exit(f"{attack.name} has no program {name!r}")
    return itertools.repeat(found, max(1, count // found.counts))


def _make(requests: list[Request], options: argparse.Namespace, python: str, version: str) -> bool:
    """Make the attacks, and print the result of each when it ends. Return whether nothing failed."""

    def start(program: Program) -> Outcome:
        return run(replace(program, seconds=program.seconds * options.patience), python)

    begin = time.monotonic()
    tallies = {attack.name: Tally() for attack, _ in requests}
    with contextlib.closing(outcomes(requests, options.children, start)) as ending:
        for attack, outcome in ending:
            if _signals:
                sys.exit(128 + _signals[0])
            tally = tallies[attack.name]
            if outcome is None:
                print(f"{version}{attack.name}: {tally}, after {time.monotonic() - begin:.1f} s", flush=True)
            else:
                tally.add(outcome)
                _tell(attack, outcome, tally, python, f"    {version}{attack.name}, {outcome.program.name}")
    return all(tally.is_well for tally in tallies.values())


def _tell(attack: Attack, outcome: Outcome, tally: Tally, python: str, where: str) -> None:
    """Print what is worth knowing about one child."""
    if outcome.is_slow:
        waiting = f"{outcome.kept_waiting:.1f} s of them for a processor"
        print(f"{where}: slow, {outcome.seconds:.1f} s, {waiting}", flush=True)
    if outcome.stood_still > STILL:
        print(f"{where}: the machine stood still for {outcome.stood_still:.1f} s", flush=True)
    if attack.reports and outcome.standard_output:
        print(f"{where}: {outcome.standard_output.splitlines()[-1]}", flush=True)
    if outcome.complaint is None or tally.failures > FAILURES:
        return
    print(f"{where}: failed: {outcome.complaint}, after {outcome.seconds:.1f} s")
    for written in (outcome.standard_output, outcome.standard_error):
        for line in written.splitlines()[-LINES:]:
            print(f"      {line}")
    print(f"      again: {reproduction(attack, outcome.program, python)}", flush=True)


def _parse(known: dict[str, Attack]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.stress",
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
    parser.add_argument(
        "--python", action="append", metavar="PATH", help="of the children; of several, all with each"
    )
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
