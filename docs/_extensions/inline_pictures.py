"""Puts pictures into their page, so that they have the colours of the theme that the reader has chosen.

As files, they have those of the reader's system: a picture that a page refers to does not know the page.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

STYLE = re.compile(r"<style>.*?</style>\n", re.DOTALL)


def put_in(app: Sphinx, doctree: nodes.document) -> None:
    """Called by Sphinx when a page has been read."""
    page = Path(app.env.doc2path(app.env.docname))
    for image in list(doctree.findall(nodes.image)):
        if not image["uri"].endswith(".svg"):
            continue
        file = page.parent / image["uri"]
        app.env.note_dependency(str(file))
        svg = STYLE.sub("", file.read_text(encoding="utf-8"))
        picture = nodes.raw("", f'<div class="picture">{svg}</div>', format="html")
        # Not within a paragraph, which can have no blocks.
        paragraph = image.parent
        if isinstance(paragraph, nodes.paragraph) and len(paragraph) == 1:
            paragraph.replace_self(picture)
        else:
            image.replace_self(picture)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    # Before Sphinx collects the pictures.
    app.connect("doctree-read", put_in, priority=100)
    return {"parallel_read_safe": True}
