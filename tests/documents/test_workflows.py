"""The workflows of .github run only what the gate runs too, and pin what they use."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
#: The one step that is no recipe, since it installs what runs recipes.
INSTALL = re.compile(r"pipx install rust-just==([\d.]+)")

pytestmark = [
    pytest.mark.one_thread("reads the source"),
    pytest.mark.skipif(not (ROOT / ".github").is_dir(), reason="the workflows are not here"),
]


def values(key: str, text: str) -> list[str]:
    """What stands behind a key in the steps of a workflow, each in one line."""
    return re.findall(rf"^ *(?:- )?{key}: (.*)$", text, flags=re.MULTILINE)


def commands(workflow: Path) -> list[str]:
    return [command for command in values("run", workflow.read_text()) if not INSTALL.fullmatch(command)]


def recipes() -> dict[str, str]:
    """The recipes of the justfile: what stands behind the colon, and the lines of each."""
    text = (ROOT / "justfile").read_text()
    found = re.findall(r"^([a-z][a-z-]*)(?: [^:\n]*)?:(?!=)(.*\n(?:    .*\n?)*)", text, flags=re.MULTILINE)
    return dict(found)


def with_dependencies(names: set[str]) -> set[str]:
    """These recipes, and those that run before them."""
    needed = set()
    for name in names:
        needed |= set(re.findall(r"[a-z][a-z-]*", recipes()[name].partition("\n")[0])) & recipes().keys()
    return names if needed <= names else with_dependencies(names | needed)


def gate() -> str:
    """The gate, without its comments."""
    return re.sub(r"^\s*#.*$", "", (ROOT / ".ci/run").read_text(), flags=re.MULTILINE)


def test_there_are_workflows() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "docs.yml", "release.yml"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_step_is_a_recipe(workflow: Path) -> None:
    found = commands(workflow)
    assert found
    assert [command for command in found if not re.match(r"just [a-z-]+(?= |$)", command)] == []
    assert [command for command in found if command.split()[1] not in recipes()] == []
    # What the event of a workflow says, such as the name of a branch, becomes no part of a command.
    assert [command for command in found if "${{" in command] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_the_gate_runs_the_recipes_too(workflow: Path) -> None:
    run_there = with_dependencies(set(re.findall(r"\brecipe \S+ ([a-z-]+)", gate())))
    assert {"install-and-test", "install"} <= run_there
    wanted = {command.split()[1] for command in commands(workflow)}
    # `just check` is the gate.
    assert recipes()["check"].split() == ["bash", ".ci/run"]
    assert sorted(wanted - run_there - {"check"}) == []


def test_it_is_the_same_just_everywhere() -> None:
    texts = [path.read_text() for path in WORKFLOWS] + [(ROOT / ".ci/wheel-tools.txt").read_text()]
    versions = [re.findall(r"rust-just==([\d.]+)", text) for text in texts]
    assert all(versions)
    assert len({version for found in versions for version in found}) == 1


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_an_action_is_pinned_by_its_hash(workflow: Path) -> None:
    used = values("uses", workflow.read_text())
    assert used
    assert [
        action for action in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)
    ] == []


def test_an_action_has_one_version() -> None:
    pinned: dict[str, set[str]] = {}
    for workflow in WORKFLOWS:
        for action in values("uses", workflow.read_text()):
            name, _, version = action.partition("@")
            pinned.setdefault(name, set()).add(version)
    assert {name: versions for name, versions in pinned.items() if len(versions) > 1} == {}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_do_nothing_unless_a_job_says_so(workflow: Path) -> None:
    text = workflow.read_text()
    assert re.search(r"^permissions: \{\}$", text, flags=re.MULTILINE)
    assert re.search(r"^concurrency:$", text, flags=re.MULTILINE)
    jobs = re.split(r"^  (\w+):$", text.partition("\njobs:\n")[2], flags=re.MULTILINE)[2::2]
    assert jobs
    for job in jobs:
        assert re.search(r"^    timeout-minutes: \d+$", job, flags=re.MULTILINE)
        assert re.search(r"^    permissions:$", job, flags=re.MULTILINE)
        assert job.count("actions/checkout@") == job.count("persist-credentials: false")
