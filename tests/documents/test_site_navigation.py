"""Every page of docs/ is in the navigation of the site, and the reference has every public object."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import oxthreads.aio
import oxthreads.concurrent.futures
import oxthreads.diagnose
import oxthreads.locks
import oxthreads.metrics
import oxthreads.patch
import oxthreads.queue
import oxthreads.threading
import oxthreads.waiting

ROOT = Path(__file__).resolve().parents[2]
MODULES = [
    *(oxthreads.concurrent.futures, oxthreads.diagnose, oxthreads.metrics, oxthreads.patch, oxthreads.queue),
    *(oxthreads.locks, oxthreads.threading, oxthreads.waiting, oxthreads.aio),
]
#: Public classes that the standard module does not have. The mirror does not name them in `__all__`.
ADDITIONS = ["ExecutorStatistics", "ExecutorView", "SlowCall"]
DOCS = ROOT / "docs"

TREE = re.compile(r"^```\{toctree\}\n((?::.*\n)*)\n((?:[^`\n]+\n)+)```$", re.MULTILINE)
AUTODOC = re.compile(
    r"^\.\. auto(?:class|function|exception|data):: oxthreads\.([\w.]+)(?:\(\))?$", re.MULTILINE
)

pytestmark = [
    pytest.mark.one_thread("reads the documents"),
    pytest.mark.skipif(not DOCS.is_dir(), reason="the documents are not here"),
]


def navigation() -> list[str]:
    """The pages, without what ends their names."""
    text = (DOCS / "index.md").read_text()
    assert text.count("{toctree}") == len(TREE.findall(text))
    return [page for _, pages in TREE.findall(text) for page in pages.split()]


def test_every_page_is_in_the_navigation() -> None:
    pages = {page.relative_to(DOCS).with_suffix("").as_posix() for page in DOCS.rglob("*.md")} - {"index"}
    assert sorted(navigation()) == sorted(pages)


def test_a_page_of_the_repository_says_which_file_it_is() -> None:
    # Read in the repository, it must not be empty.
    for page in DOCS.rglob("*.md"):
        text = page.read_text()
        if whole := re.match(r"<!-- page: (\S+) -->", text):
            assert (page.parent / whole[1]).is_file(), page
            assert f"]({whole[1]})" in text, page
        for source, heading in re.findall(r"^<!-- section: (\S+) # (.+) -->$", text, re.MULTILINE):
            assert re.search(rf"^#+ {re.escape(heading)}$", (page.parent / source).read_text(), re.MULTILINE)


def test_the_reference_has_every_public_object() -> None:
    shown = {name for page in (DOCS / "reference").glob("*.md") for name in AUTODOC.findall(page.read_text())}
    expected = set()
    for module in MODULES:
        prefix = module.__name__.removeprefix("oxthreads.")
        for name in [*module.__all__, *ADDITIONS]:
            thing = getattr(module, name, None)
            if str(getattr(thing, "__module__", "")).startswith("oxthreads."):
                expected.add(f"{prefix}.{name}")
    # `ShutDown` is ours only before 3.13, where the standard library does not have it.
    assert expected - {"queue.ShutDown"} - shown == set()
    assert shown >= {"metrics.BUCKETS", "patch.table.REPLACED", "diagnose._profile.Profile"}


def test_nothing_is_loaded_from_other_hosts() -> None:
    for file in [DOCS / "conf.py", *(DOCS / "_extensions").glob("*.py"), *(DOCS / "_static").iterdir()]:
        hosts = set(re.findall(r"https?://([\w.-]+)", file.read_text()))
        # A link, which nobody has to follow, and the name of a kind of picture.
        assert hosts <= {"docs.python.org", "www.w3.org"}, file
