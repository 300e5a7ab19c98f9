"""Makes pages of files that are elsewhere in the repository, and sends links to where things are on the site.

A page that begins with ``<!-- page: ../CONTRIBUTING.md -->`` is that file. What follows, up to
``<!-- end -->``, is for those who read the page in the repository. A line
``<!-- section: ../notes/README.md # Thread pooling -->`` stands for that section, with its heading as the
title. Nothing is copied, and what the repository shows stays readable there.

A link to a file that is no page, such as a file of the source, becomes plain text: the repository has no
public address to link to.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

DOCS = Path(__file__).resolve().parent.parent
ROOT = DOCS.parent

#: Where files outside of docs/ are on the site, and sections of them.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "SECURITY.md": "project/security.md",
    "RELEASING.md": "project/releasing.md",
    "benches/README.md": "project/benchmarks.md",
    "notes/README.md": "tutorial/index.md",
    "notes/README.md#python-and-threads": "tutorial/threads.md",
    "notes/README.md#thread-pooling": "tutorial/pools.md",
    "notes/README.md#race-conditions-and-locks": "tutorial/locks.md",
    "notes/README.md#queues-and-events": "tutorial/queues.md",
    "notes/README.md#threads-processes-interpreters": "tutorial/processes.md",
    "notes/thread_no_thread.py": "tutorial/threads.md#thread_no_threadpy",
    "notes/daemon_no_daemon.py": "tutorial/threads.md#daemon_no_daemonpy",
    "notes/thread_pooling.py": "tutorial/pools.md#thread_poolingpy",
    "notes/lock.py": "tutorial/locks.md#lockpy",
    "notes/producer_consumer.py": "tutorial/queues.md#producer_consumerpy",
    "notes/slow_database.py": "tutorial/queues.md#slow_databasepy",
}

WHOLE = re.compile(r"\A<!-- page: (\S+) -->.*?(?:^<!-- end -->$|\Z)", re.MULTILINE | re.DOTALL)
SECTION = re.compile(r"^<!-- section: (\S+) # (.+) -->$", re.MULTILINE)
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
LOCAL = re.compile(r"(?![a-z]+:)")


def outside_code(text: str, change: Any) -> str:
    """Change what is not code.

    Args:
        text (str): a text in Markdown.
        change (callable): takes a piece of it, and returns another.

    Returns:
        str: the text with the pieces put together.
    """
    result, end = [], 0
    for block in re.finditer(r"^(```+|~~~+).*?^\1[ ]*$", text, re.MULTILINE | re.DOTALL):
        result += [change(text[end : block.start()]), block.group()]
        end = block.end()
    return "".join([*result, change(text[end:])])


def section(text: str, title: str) -> str | None:
    """Return a section, with its headings one level higher, so that its own is a title."""
    headings: list[tuple[int, str, int]] = []
    place = 0
    in_code = False
    for line in text.splitlines(keepends=True):
        if line.startswith("```"):
            in_code = not in_code
        elif not in_code and (match := re.match(r"(#+) (.*)", line)):
            headings.append((len(match[1]), match[2], place))
        place += len(line)
    for number, (level, found, begin) in enumerate(headings):
        if found == title:
            ends = [start for depth, _, start in headings[number + 1 :] if depth <= level]
            whole = text[begin : ends[0] if ends else len(text)]
            return outside_code(whole, lambda piece: re.sub(r"^##", "#", piece, flags=re.MULTILINE))
    return None


class Links:
    """The links of one page."""

    def __init__(self, page: Path, source: Path) -> None:
        self.page = page
        self.source = source

    def sent(self, text: str) -> str:
        """The text with its links sent to where things are on the site."""
        return outside_code(text, lambda piece: LINK.sub(self._link, piece))

    def _link(self, match: re.Match[str]) -> str:
        picture, text, target = match.groups()
        if not LOCAL.match(target):
            return match.group()
        path, _, anchor = target.partition("#")
        file = (self.source.parent / path).resolve() if path else self.source
        if not file.exists() or not file.is_relative_to(ROOT):
            logger.warning("there is no %s", target, location=str(self.page))
            return match.group()
        name = file.relative_to(ROOT).as_posix()
        if anchor and (found := PAGES.get(f"{name}#{anchor}")):
            return f"[{text}]({self._way_to(found)})"
        if found := PAGES.get(name):
            return f"[{text}]({self._way_to(found)}{'#' + anchor if anchor else ''})"
        if file.is_relative_to(DOCS) and file.is_file():
            way = self._way_to(file.relative_to(DOCS).as_posix())
            return f"{picture}[{text}]({way}{'#' + anchor if anchor else ''})"
        return text

    def _way_to(self, name: str) -> str:
        path, _, anchor = name.partition("#")
        way = Path(os.path.relpath(DOCS / path, self.page.parent)).as_posix()
        return f"{way}#{anchor}" if anchor else way


def read(app: Sphinx, docname: str, content: list[str]) -> None:
    """Fill in what a page takes from elsewhere, before it is parsed."""
    page = Path(app.env.doc2path(docname))
    if page.suffix != ".md":
        return

    def taken(name: str) -> tuple[Path, str]:
        source = (page.parent / name).resolve()
        app.env.note_dependency(str(source))
        return source, source.read_text(encoding="utf-8")

    if whole := WHOLE.match(content[0]):
        source, text = taken(whole[1])
        content[0] = Links(page, source).sent(text) + content[0][whole.end() :]
        return

    def put_in(match: re.Match[str]) -> str:
        source, text = taken(match[1])
        found = section(text, match[2])
        if found is None:
            logger.warning("%s has no section %r", match[1], match[2], location=str(page))
            return ""
        return Links(page, source).sent(found)

    # The links of the page itself first: those of what it takes are relative to another file.
    content[0] = SECTION.sub(put_in, Links(page, page).sent(content[0]))


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", read)
    return {"parallel_read_safe": True}
