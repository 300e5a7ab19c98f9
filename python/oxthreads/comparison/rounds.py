"""The interleaved runs of both back ends, and whether their results are the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from .measurement import BackEnd, Purpose, Run, run_once
from .output import Output, OutputStore, differing_lines

Progress = Callable[[str], None]


class Verdict(Enum):
    """What is known of one result, such as the exit code, after all runs."""

    SAME = "same"
    DIFFERS = "differs"
    VARIES = "varies"
    """The standard library's own runs differ among themselves, so nothing follows for oxthreads."""
    NOT_COMPARED = "not compared"
    """A run was ended by the timeout, before it had a result."""


@dataclass(frozen=True)
class Difference:
    """How the output of oxthreads differs on one stream."""

    differing_runs: int
    compared_runs: int
    lines: list[str]
    """Some of the lines that only one side has: ``-`` standard, ``+`` oxthreads."""


@dataclass(frozen=True)
class Comparison:
    """All runs of one script, and what follows from them."""

    back_ends: tuple[BackEnd, BackEnd]
    """The standard library first."""
    runs: tuple[Run, ...]
    """In the order in which they were made."""
    timeout: float | None
    """Seconds that each run had."""
    verdicts: dict[str, Verdict]
    """On ``exit code``, ``stdout`` and ``stderr``."""
    differences: dict[str, Difference]
    """Of each output stream that differs."""

    @property
    def same(self) -> bool:
        """Whether no result differs and no run was ended by the timeout."""
        return all(verdict in (Verdict.SAME, Verdict.VARIES) for verdict in self.verdicts.values())

    def measured(self, back_end: BackEnd) -> list[Run]:
        """The counted runs of one back end, those that were timed out included."""
        return [run for run in self.runs if run.back_end == back_end.name and run.purpose is Purpose.MEASURED]


def compare_back_ends(
    back_ends: tuple[BackEnd, BackEnd],
    arguments: list[str],
    store: OutputStore,
    *,
    runs: int,
    timeout: float | None = None,
    progress: Progress = lambda text: None,
) -> Comparison:
    """Run a script ``runs`` times on both back ends in turn, and compare what came of it.

    With more than one run, a round that is not counted comes first: the very first run of a script
    compiles the modules that it imports. ``timeout`` is in seconds, for each run; a round in which
    it has ended a run is the last. Raises RunError if a run cannot be made.
    """
    made: list[Run] = []

    def one_run(back_end: BackEnd, purpose: Purpose, label: str) -> Run:
        progress(f"{label}: {back_end.name}")
        run = run_once(back_end, arguments, store, purpose=purpose, timeout=timeout)
        made.append(run)
        return run

    for number in range(0 if runs > 1 else 1, runs + 1):
        purpose = Purpose.MEASURED if number else Purpose.WARM_UP
        label = f"run {number} of {runs}" if number else "warm-up"
        # Neither side always comes second, into whatever the other has left behind.
        order = back_ends if number % 2 else back_ends[::-1]
        this_round = [one_run(back_end, purpose, label) for back_end in order]
        if any(run.timed_out for run in this_round):
            # Nothing that differs from it is to be expected of more rounds.
            made[-2:] = [replace(run, purpose=Purpose.MEASURED) for run in this_round]
            break
    comparison = judge(back_ends, made, timeout)
    if runs == 1 and Verdict.DIFFERS in comparison.verdicts.values():
        # One run does not show whether the standard library's results vary by themselves.
        one_run(back_ends[0], Purpose.REPEATED, "once more")
        comparison = judge(back_ends, made, timeout)
    return comparison


def judge(back_ends: tuple[BackEnd, BackEnd], made: Sequence[Run], timeout: float | None) -> Comparison:
    """Compare the results of all runs but those that warmed up."""
    standard, oxthreads = (
        [run for run in made if run.back_end == back_end.name and run.purpose is not Purpose.WARM_UP]
        for back_end in back_ends
    )
    results: dict[str, Callable[[Run], object]] = {
        "exit code": lambda run: run.usage.exit_code,
        "stdout": lambda run: run.stdout.fingerprint,
        "stderr": lambda run: run.stderr.fingerprint,
    }
    verdicts = {name: verdict(standard, oxthreads, result) for name, result in results.items()}
    outputs: dict[str, Callable[[Run], Output]] = {
        "stdout": lambda run: run.stdout,
        "stderr": lambda run: run.stderr,
    }
    differences = {
        stream: find_difference(outputs[stream](standard[0]), [outputs[stream](run) for run in oxthreads])
        for stream in outputs
        if verdicts[stream] is Verdict.DIFFERS
    }
    return Comparison(back_ends, tuple(made), timeout, verdicts, differences)


def verdict(standard: list[Run], oxthreads: list[Run], result: Callable[[Run], object]) -> Verdict:
    """Compare one result of all runs."""
    if any(run.timed_out for run in (*standard, *oxthreads)):
        return Verdict.NOT_COMPARED
    expected = {result(run) for run in standard}
    if len(expected) > 1:
        return Verdict.VARIES
    return Verdict.SAME if {result(run) for run in oxthreads} == expected else Verdict.DIFFERS


def find_difference(standard: Output, oxthreads: list[Output]) -> Difference:
    """Count the outputs that differ from the standard library's, and show lines of the first."""
    differing = [output for output in oxthreads if output.fingerprint != standard.fingerprint]
    return Difference(len(differing), len(oxthreads), differing_lines(standard, differing[0]))
