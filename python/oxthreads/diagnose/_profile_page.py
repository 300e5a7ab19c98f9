"""A profile as a page for a web browser: one file that loads nothing from anywhere.

The summary is made here, the rest in the browser by page/report.js, from the data, which are in the page as
JSON. The policy in the page lets the browser run that script and nothing else, so what a name has in it can
do no harm, even if an escape were missing.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import string
import unicodedata
from importlib import resources
from pathlib import Path
from typing import Any

from oxthreads.diagnose import _profile_summary as summary

__all__ = ["page"]

#: The categories of characters that cannot be seen, or that change how others are seen.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def page(data: dict[str, Any], timeline: dict[str, Any] | None, program: str) -> str:
    """The page.

    Args:
        data: the profile, as docs/profile.schema.json describes it.
        timeline: the single waits, as `_profile_timeline.described` returns them; None: they were not kept.
        program: what the title calls the program; "" if it has no name.
    """
    style, script = _file("report.css"), _file("report.js")
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src 'sha256-{_digest(style)}'",
            f"script-src 'sha256-{_digest(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    title = f"Where the threads of {program} waited" if program else "Where threads waited"
    filled = string.Template(_file("report.html")).substitute(
        policy=policy,
        style=style,
        script=script,
        title=_escaped(title),
        about=_about(data),
        findings=_findings(data),
        left_out=_left_out(data, timeline),
        data=_json(data),
        timeline=_json(timeline),
        directory=_json(_directory()),
    )
    # Whatever the browser takes the encoding for.
    return filled.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _file(name: str) -> str:
    return (resources.files("oxthreads.diagnose") / "page" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """What a content security policy calls an inline script or style that is allowed."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(value: Any) -> str:
    """JSON that may stand in a `script` element, whatever the texts in it have."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _directory() -> str:
    """The working directory, which is left out of the names of files that are shown."""
    try:
        return f"{Path.cwd()}{os.sep}"
    except OSError:
        return ""


def _escaped(text: str) -> str:
    return html.escape("".join(map(_visible, text)))


def _visible(character: str) -> str:
    """The character, or its number if it cannot be seen or would change what is seen."""
    if unicodedata.category(character) not in _HIDDEN:
        return character
    number = ord(character)
    return (
        f"\\x{number:02x}"
        if number < 0x100
        else f"\\u{number:04x}"
        if number < 0x10000
        else f"\\U{number:08x}"
    )


def _about(data: dict[str, Any]) -> str:
    """How much was measured, as terms with numbers."""
    waiting, idle = data["waiting"], data["idle"]
    terms = [
        ("ran for", summary.duration(data["seconds"]), ""),
        ("threads that waited", f"{data['threads']:,}", ""),
        (
            "waited for each other",
            summary.duration(waiting["seconds"]),
            summary.number_of(waiting["waits"], "wait", "waits"),
        ),
        ("stood still on average", f"{summary.average_waiting(data):.1f}", "threads"),
        (
            "waited for work",
            summary.duration(idle["seconds"]),
            summary.number_of(idle["waits"], "wait", "waits"),
        ),
    ]
    return "".join(
        f"<div><dt>{_escaped(term)}</dt><dd>{_escaped(value)} <small>{_escaped(more)}</small></dd></div>"
        for term, value, more in terms
    )


def _findings(data: dict[str, Any]) -> str:
    found = summary.findings(data)
    overview = f"<p>{_escaped(summary.overview(data))}</p>"
    if not found:
        return f"{_headline('No thread had to wait for another.')}{overview}"
    if summary.is_little(data):
        return (
            f"{_headline('Threads hardly waited for each other.')}{overview}{_list('For what', found, set())}"
        )
    first, *others = found
    return (
        f"{_headline(first.what)}"
        f"<p>{_escaped(first.meaning)} <strong>{_escaped(first.advice)}</strong></p>{overview}"
        f"{_list('Also', others, {first.meaning}) if others else ''}"
    )


def _headline(text: str) -> str:
    return f'<p class="headline">{_escaped(text)}</p>'


def _list(title: str, found: list[summary.Finding], said: set[str]) -> str:
    """Findings as a list, without the explanations that were given already."""
    items = ""
    for each in found:
        more = "" if each.meaning in said else f" {each.meaning} {each.advice}"
        said.add(each.meaning)
        items += f"<li><strong>{_escaped(each.what)}</strong>{_escaped(more)}</li>"
    return f'<h3>{title}</h3><ul class="also">{items}</ul>'


def _left_out(data: dict[str, Any], timeline: dict[str, Any] | None) -> str:
    return "".join(f"<li>{_escaped(line)}</li>" for line in summary.left_out(data, timeline))
