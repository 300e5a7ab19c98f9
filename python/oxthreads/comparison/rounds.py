"""Runs a script on both back ends in turn, and decides whether the results are the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from .measurement import BackEnd, Purpose, Run, run_once
from .output import Output, OutputStore, differing_lines

#: Called with a text that says what is done next.
Progress = Callable[[str], None]


class Verdict(Enum):
    """What the runs say about one result, such as the exit code."""

    SAME = "same"
    DIFFERS = "differs"
    VARIES = "varies"
    """The runs on the standard library already differ from each other, so oxthreads cannot be judged."""
    NOT_COMPARED = "not compared"
    """The timeout has ended a run before it had a result."""


@dataclass(frozen=True)
class Difference:
    """How the output on oxthreads differs, on standard output or on standard error."""

    differing_runs: int
    compared_runs: int
    lines: list[str]
    """Some of the lines that only one side has: ``-`` for the standard library, ``+`` for oxthreads."""


@dataclass(frozen=True)
class Comparison:
    """All runs of one script, and the result of comparing them."""

    back_ends: tuple[BackEnd, BackEnd]
    """The standard library first."""
    runs: tuple[Run, ...]
    """The runs, in the order in which they were made."""
    timeout: float | None
    """The longest time of a run, in seconds. None: no limit."""
    verdicts: dict[str, Verdict]
    """The verdicts on ``exit code``, ``stdout`` and ``stderr``."""
    differences: dict[str, Difference]
    """The difference of each stream, ``stdout`` or ``stderr``, that differs."""

    @property
    def same(self) -> bool:
        """Whether no result differs, and the timeout has ended no run."""
        return all(verdict in (Verdict.SAME, Verdict.VARIES) for verdict in self.verdicts.values())

    def measured(self, back_end: BackEnd) -> list[Run]:
        """Return the counted runs of one back end, including those that the timeout has ended."""
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
    """Run a script on both back ends in turn, and compare the results.

    With more than one run, a round that is not counted comes first, because the very first run of a script
    compiles the modules that it imports. A round in which the timeout has ended a run is the last.

    Args:
        back_ends: the standard library and oxthreads, in this order.
        arguments: the command line of the script.
        store: where to store the outputs.
        runs: the number of counted runs on each back end.
        timeout: the longest time of each run, in seconds. None: no limit.
        progress: called before each run.

    Returns:
        All runs, and the verdicts.

    Raises:
        RunError: if a run cannot be made.
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
        # Alternate, so that no side always comes after the other: what one leaves behind (caches, for
        # example) could affect the next.
        order = back_ends if number % 2 else back_ends[::-1]
        this_round = [one_run(back_end, purpose, label) for back_end in order]
        if any(run.timed_out for run in this_round):
            # More rounds would most likely time out too.
            made[-2:] = [replace(run, purpose=Purpose.MEASURED) for run in this_round]
            break
    comparison = judge(back_ends, made, timeout)
    if runs == 1 and Verdict.DIFFERS in comparison.verdicts.values():
        # One run does not show whether the results vary on the standard library alone.
        one_run(back_ends[0], Purpose.REPEATED, "once more")
        comparison = judge(back_ends, made, timeout)
    return comparison


def judge(back_ends: tuple[BackEnd, BackEnd], made: Sequence[Run], timeout: float | None) -> Comparison:
    """Compare the results of all runs except the warm-up.

    Args:
        back_ends: the standard library and oxthreads, in this order.
        made: all runs, in the order in which they were made.
        timeout: the longest time of each run, in seconds, which is only recorded.
    """
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
    """Compare one result of all runs.

    Args:
        standard: the runs on the standard library.
        oxthreads: the runs on oxthreads.
        result: returns the result of a run.
    """
    if any(run.timed_out for run in (*standard, *oxthreads)):
        return Verdict.NOT_COMPARED
    expected = {result(run) for run in standard}
    if len(expected) > 1:
        return Verdict.VARIES
    return Verdict.SAME if {result(run) for run in oxthreads} == expected else Verdict.DIFFERS


def find_difference(standard: Output, oxthreads: list[Output]) -> Difference:
    """Count the outputs that differ from the standard library's, and take lines of the first of them.

    Args:
        standard: the output on the standard library.
        oxthreads: the outputs on oxthreads, of which at least one differs.
    """
    differing = [output for output in oxthreads if output.fingerprint != standard.fingerprint]
    return Difference(len(differing), len(oxthreads), differing_lines(standard, differing[0]))
