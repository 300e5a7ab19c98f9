"""CHANGELOG.md has the form of Keep a Changelog, and its commands exist."""

from __future__ import annotations

import datetime
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHANGELOG = ROOT / "CHANGELOG.md"
CHECK = ROOT / ".ci/check-release"

#: The kinds of changes, in their order.
KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
RELEASE = re.compile(r"\[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d{2}-\d{2})")

pytestmark = [
    pytest.mark.one_thread("starts child interpreters"),
    pytest.mark.skipif(not CHANGELOG.is_file(), reason="the documents are not here"),
]


def wrong_with(text: str) -> list[str]:
    """What is not as Keep a Changelog says."""
    found = []
    head, *sections = re.split(r"^## (.*)$", text, flags=re.MULTILINE)
    if not head.startswith("# Changelog\n"):
        found.append("the title is not Changelog")
    titles, bodies = sections[::2], sections[1::2]
    if titles[:1] != ["[Unreleased]"]:
        found.append("the first section is not [Unreleased]")
    releases = [RELEASE.fullmatch(title) for title in titles[1:]]
    if not all(releases):
        found.append("the title of a release is not [VERSION] - DATE")
        return found
    versions = [tuple(int(part) for part in release.group(1, 2, 3)) for release in releases if release]
    days = [datetime.date.fromisoformat(release[4]) for release in releases if release]
    if versions != sorted(set(versions), reverse=True) or days != sorted(days, reverse=True):
        found.append("the newest release is not first")
    for title, body in zip(titles, bodies, strict=True):
        kinds = re.findall(r"^### (.*)$", body, flags=re.MULTILINE)
        if kinds != [kind for kind in KINDS if kind in kinds]:
            found.append(f"{title}: a kind of change is unknown, twice there or out of order")
        if title != "[Unreleased]" and not kinds:
            found.append(f"{title}: there is no change")
        for changes in re.split(r"^### .*$", body, flags=re.MULTILINE)[1:]:
            if re.fullmatch(r"\n\n(\* \S.*\n(  \S.*\n)*)+\n?", changes) is None:
                found.append(f"{title}: the changes are no list")
    return found


def test_it_has_the_form() -> None:
    assert wrong_with(CHANGELOG.read_text()) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("# Changes\n\n## [Unreleased]\n", "title"),
        ("# Changelog\n\n## 0.1.0, not released\n\n### Added\n\n* A queue.\n", "[Unreleased]"),
        ("# Changelog\n\n## [Unreleased]\n\n## [0.1.0] - soon\n", "DATE"),
        ("# Changelog\n\n## [Unreleased]\n\n### New\n\n* Queues.\n", "unknown"),
        ("# Changelog\n\n## [Unreleased]\n\n### Fixed\n\n* A lock.\n\n### Added\n\n* A queue.\n", "order"),
        ("# Changelog\n\n## [Unreleased]\n\n### Added\n\nQueues.\n", "list"),
        (
            "# Changelog\n\n## [Unreleased]\n\n## [0.1.0] - 2026-01-01\n\n### Added\n\n* A.\n\n"
            "## [0.2.0] - 2026-02-02\n\n### Added\n\n* B.\n",
            "first",
        ),
    ],
)
def test_another_form_is_noticed(text: str, what: str) -> None:
    [wrong] = wrong_with(text)
    assert what in wrong


def test_its_commands_exist() -> None:
    program = "from oxthreads.cli import main; main(['--help'])"
    help_text = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    commands = set(re.findall(r"`oxthreads (\w+)", CHANGELOG.read_text()))
    assert len(commands) > 5
    assert [command for command in commands if f"\n    {command} " not in help_text] == []


def version() -> str:
    found: str = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    return found


def release(folder: Path, changes: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the check of a release on a copy with that changelog."""
    (folder / ".ci").mkdir()
    script = shutil.copy(CHECK, folder / ".ci")
    shutil.copy(ROOT / "Cargo.toml", folder)
    (folder / "CHANGELOG.md").write_text(changes)
    return subprocess.run([sys.executable, script, *arguments], check=False, capture_output=True, text=True)


def test_a_release_has_a_tag_a_version_and_changes(tmp_path: Path) -> None:
    done = release(tmp_path, f"## [{version()}] - 2026-12-24\n", f"v{version()}")
    assert done.returncode == 0, done.stderr
    assert version() in done.stdout


@pytest.mark.parametrize(
    ("changes", "tag", "why"),
    [
        ("## [{}] - 2026-12-24\n", "v9.9.9", "Cargo.toml"),
        ("## [{}] - 2026-12-24\n", "{}", "Cargo.toml"),
        ("## [{}]\n", "v{}", "CHANGELOG.md"),
        ("## [Unreleased]\n", "v{}", "CHANGELOG.md"),
    ],
)
def test_a_release_that_is_not_ready_is_refused(changes: str, tag: str, why: str, tmp_path: Path) -> None:
    done = release(tmp_path, changes.format(version()), tag.format(version()))
    assert done.returncode == 1
    assert why in done.stderr
