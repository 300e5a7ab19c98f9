"""What ``--watch`` says of the programs of the catalogue, and how it ends them."""

from __future__ import annotations

import importlib.util
import re
import time
from collections.abc import Callable

import pytest

from tests.diagnose.catalogue import FIRST_LINE, NOT_TO_REPORT, TO_REPORT, Expected, runnable
from tests.diagnose.running import LIMIT, Run, path

pytestmark = [
    pytest.mark.one_thread("starts child interpreters"),
    pytest.mark.skipif(
        importlib.util.find_spec("oxthreads.diagnose") is None, reason="there is no watch yet"
    ),
]

SAID = {name: each for name, each in TO_REPORT.items() if each.verdict}
CERTAIN = {name: each for name, each in TO_REPORT.items() if each.verdict == "deadlock"}
UNCERTAIN = {name: each for name, each in SAID.items() if name not in CERTAIN}
ONLY_INSPECTED = {name: each for name, each in TO_REPORT.items() if each.inspect_only}

INSPECT = ["-c", "import sys; from oxthreads.cli import main; sys.exit(main())", "inspect"]

#: In one of so many tries, a deadlock is reported within so many seconds. It takes one if nothing else runs.
SOON, TRIES = 10.0, 3

#: Verdicts from the one that says most to the one that says least.
STRENGTH = ["deadlock", "likely deadlock", "all sleep"]


def watched(program: str, mode: str = "") -> Run:
    return Run("-m", "oxthreads", f"--watch={mode}" if mode else "--watch", path(program))


def first_lines(errors: str) -> dict[str, int]:
    """How often each verdict is given."""
    lines = errors.splitlines()
    counts = {verdict: sum(line.startswith(begin) for line in lines) for verdict, begin in FIRST_LINE.items()}
    return {verdict: count for verdict, count in counts.items() if count}


def report(errors: str) -> str:
    """What is said from the first verdict on."""
    found = re.search("|".join(f"^{re.escape(begin)}" for begin in FIRST_LINE.values()), errors, re.MULTILINE)
    return errors[found.start() :] if found else ""


def missing_in(text: str, expected: Expected) -> list[str]:
    """What a report has not said yet."""
    missing = [name for name in expected.threads if not re.search(rf"\b{re.escape(name)}\b", text)]
    missing += [line for line in expected.lines if line not in text]
    return missing + [word for word in expected.words if not re.search(word, text)]


def wait_for_report(process: Run, expected: Expected) -> None:
    """Return when the report is there, and all of what it has to say."""
    assert expected.verdict
    verdict = expected.verdict

    def missing() -> list[str]:
        if first_lines(process.errors).get(verdict, 0) < expected.reports:
            return [FIRST_LINE[verdict]]
        return missing_in(report(process.errors), expected)

    assert process.wait_until(missing) == [], str(process)


@pytest.mark.parametrize(("program", "expected"), runnable(SAID))
def test_a_hang_is_reported(program: str, expected: Expected) -> None:
    assert expected.verdict
    with watched(program) as process:
        wait_for_report(process, expected)
        time.sleep(1)  # what is wrong would come late: a second report, or a stronger one
        said = first_lines(process.errors)
        assert said.pop(expected.verdict) == expected.reports, str(process)
        assert set(said).isdisjoint(STRENGTH[: STRENGTH.index(expected.verdict)]), str(process)
        text = report(process.errors)
        assert [word for word in expected.absent if word in text] == [], text
        assert process.runs, str(process)
        assert process.output == expected.output


@pytest.mark.parametrize(("program", "expected"), runnable(NOT_TO_REPORT))
def test_what_only_looks_like_a_hang_is_not_reported(program: str, expected: Expected) -> None:
    with watched(program) as process:
        assert process.ends() == 0, str(process)
        assert process.output == "done\n"
        said = first_lines(process.errors)
        if expected.may_say:
            assert set(said) <= set(expected.may_say), str(process)
        else:
            assert re.findall("^oxthreads: .*", process.errors, re.MULTILINE) == []


@pytest.mark.parametrize(("program", "expected"), runnable(CERTAIN))
def test_a_deadlock_is_ended_by_an_error(program: str, expected: Expected) -> None:
    with watched(program, "raise") as process:
        status = process.ends()
        assert any((status, process.output) == (each.status, each.output) for each in expected.raised), str(
            process
        )
        # The error comes once for each deadlock. Several threads may write tracebacks at the same time, and
        # each writes its last line in pieces. The name is one of them (and not part of a source line).
        raised = re.findall(r"DeadlockError(?!\()", process.errors)
        assert len(raised) == expected.reports, str(process)
        assert first_lines(process.errors).get("deadlock") == expected.reports, str(process)


@pytest.mark.parametrize(("program", "expected"), runnable(CERTAIN))
def test_a_deadlock_ends_the_process(program: str, expected: Expected) -> None:
    with watched(program, "exit") as process:
        assert process.ends() == 2, str(process)
        assert process.output == expected.output_at_exit
        assert first_lines(process.errors).get("deadlock", 0) >= 1, str(process)
        assert "DeadlockError" not in process.errors


@pytest.mark.parametrize("mode", ["raise", "exit"])
@pytest.mark.parametrize(("program", "expected"), runnable(UNCERTAIN))
def test_what_is_not_certain_ends_nothing(program: str, expected: Expected, mode: str) -> None:
    with watched(program, mode) as process:
        wait_for_report(process, expected)
        time.sleep(0.5)
        assert process.runs, str(process)
        assert "DeadlockError" not in process.errors


@pytest.mark.parametrize(("program", "expected"), runnable(ONLY_INSPECTED))
def test_what_nothing_is_said_of_can_be_inspected(program: str, expected: Expected) -> None:
    with watched(program) as process:
        end = time.monotonic() + LIMIT
        while True:
            with Run(*INSPECT, str(process.process.pid)) as inspection:
                status = inspection.ends()
            # The line of a thread that waits may be told by its number, for its text takes Python.
            wanted = [*expected.threads, f"{program}.py:"]
            missing = [each for each in wanted if each not in inspection.output]
            if status == 0 and not missing:
                break
            assert time.monotonic() < end, f"{missing}\n{inspection}\n{process}"
            time.sleep(0.2)
        assert first_lines(process.errors) == {}


def test_a_deadlock_is_reported_soon(record_property: Callable[[str, object], None]) -> None:
    tries: list[float] = []
    # A busy machine may be slow, but not so often in a row.
    while not tries or (tries[-1] >= SOON and len(tries) < TRIES):
        with watched("abba") as process:
            wait_for_report(process, TO_REPORT["abba"])
            tries.append(process.seconds)
    record_property("seconds", tries[-1])
    print(f"reported {tries[-1]:.2f} s after the start of the interpreter")
    assert tries[-1] < SOON, tries
