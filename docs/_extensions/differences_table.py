"""Makes one table of all differences, with a filter: those of docs/differences.md and of the docstrings.

In the repository the page has lists, which are better to read and to change. Each list item, and each
paragraph, becomes a row. A class or function whose docstring has a list of differences adds a row for each.
"""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docstring_sections import linked
from docutils import nodes
from sphinx.application import Sphinx

PAGE = "differences"
#: The heading below which the table begins.
BEGIN = "What does not"
MODULES = ("oxthreads.threading", "oxthreads.queue", "oxthreads.concurrent.futures")
DOCSTRINGS = "From the docstrings"

FILTER = """\
<p class="filter" id="differences-filter" hidden>
<label for="differences-words">Show only differences with</label>
<input type="search" id="differences-words" autocomplete="off" spellcheck="false"
 aria-controls="differences-table" aria-describedby="differences-count">
<output id="differences-count" for="differences-words"></output>
</p>
"""


def lists_of_docstrings() -> Iterator[tuple[str, str, str]]:
    """Yield the module and the name of each object with differences, and these as a list."""
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in sorted(module.__all__):
            thing = getattr(module, name)
            if not str(getattr(thing, "__module__", "")).startswith("oxthreads"):
                continue
            text = inspect.cleandoc(thing.__doc__ or "")
            if found := re.search(r"^Differences from [\w.]+:\n\n(.*)", text, re.MULTILINE | re.DOTALL):
                yield module_name, name, "\n".join(linked(found[1].rstrip().splitlines()))


def add_docstrings(app: Sphinx, docname: str, content: list[str]) -> None:
    """Put the lists of the docstrings at the end of the page."""
    if docname != PAGE:
        return
    lines = []
    for module, name, items in lists_of_docstrings():
        app.env.note_dependency(str(inspect.getsourcefile(importlib.import_module(module))))
        lines += [
            f".. py:currentmodule:: {module}",
            "",
            f":py:obj:`{name}`",
            textwrap.indent(items, "   "),
            "",
        ]
    block = "\n".join(lines)
    content[0] += f"\n\n## {DOCSTRINGS}\n\n```{{eval-rst}}\n{block}\n```\n"


def rows_of(section: nodes.section) -> Iterator[tuple[list[nodes.Node], list[nodes.Node]]]:
    """Yield what stands in the two cells of each row that a section becomes."""
    title = section[0]
    assert isinstance(title, nodes.title)
    for block in section[1:]:
        if isinstance(block, nodes.bullet_list):
            for item in block:
                yield [nodes.paragraph("", title.astext())], list(item.children)
        elif isinstance(block, nodes.definition_list):
            for definition in block:
                term, meaning = definition[0], definition[-1]
                for item in meaning[0]:
                    yield (
                        [nodes.paragraph("", "", *[each.deepcopy() for each in term.children])],
                        list(item.children),
                    )
        else:
            yield [nodes.paragraph("", title.astext())], [block]


def table(sections: list[nodes.section]) -> nodes.table:
    """Return the table of all that is in the sections."""
    body = nodes.tbody()
    for section in sections:
        for number, (where, what) in enumerate(rows_of(section)):
            # Links to the section go to its first row.
            row = nodes.row(ids=section["ids"] if number == 0 else [])
            row += [nodes.entry("", *where), nodes.entry("", *what)]
            body += row
    names = ["Where", "What is different"]
    head = nodes.row("", *[nodes.entry("", nodes.paragraph("", name)) for name in names])
    widths = [nodes.colspec(colwidth=width) for width in (22, 78)]
    group = nodes.tgroup("", *widths, nodes.thead("", head), body, cols=2)
    return nodes.table("", group, ids=["differences-table"], classes=["differences", "colwidths-given"])


def make_table(app: Sphinx, doctree: nodes.document) -> None:
    """Called by Sphinx when the page has been read."""
    if app.env.docname != PAGE:
        return
    sections = [node for node in doctree.findall(nodes.section) if node.parent.parent is doctree]
    place = next(number for number, node in enumerate(sections) if node[0].astext() == BEGIN)
    begin, listed = sections[place], sections[place + 1 :]
    for node in listed:
        node.parent.remove(node)
    begin += [nodes.raw("", FILTER, format="html"), table(listed)]


def add_script(app: Sphinx, pagename: str, template: str, context: Any, doctree: Any) -> None:
    """Called by Sphinx for each page: only this one has the filter."""
    if pagename == PAGE:
        app.add_js_file("differences.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    assert (Path(__file__).parent.parent / "_static" / "differences.js").is_file()
    app.connect("source-read", add_docstrings)
    # Before Sphinx collects the headings.
    app.connect("doctree-read", make_table, priority=100)
    app.connect("html-page-context", add_script)
    return {"parallel_read_safe": True}
