"""Sends references to the standard library to its documentation, and lets words in types be words."""

from __future__ import annotations

import builtins
import concurrent.futures
import queue
import sys
import threading
from importlib.util import find_spec
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

LIBRARY = "https://docs.python.org/3/library/"
#: Imported so that it is known which names they have.
MIRRORED = (concurrent.futures, queue, threading)
#: What types are called in docstrings beside their names: "int, float or None", "callable".
WORDS = {"callable", "context manager", "generator", "iterable", "iterator", "mapping", "source"}
#: The pages of built-in types that are neither exceptions nor functions.
TYPES = {"bytes", "dict", "float", "frozenset", "int", "list", "range", "set", "str", "tuple"}
#: Names that the standard library describes elsewhere than under themselves.
ELSEWHERE = {
    "BrokenThreadPool": "concurrent.futures.thread.BrokenThreadPool",
    "DoneAndNotDoneFutures": "concurrent.futures.wait",
}
#: Classes of packages that are not documented here.
OTHERS = ("distributed.", "opentelemetry.", "prometheus_client.")


def address(name: str) -> str | None:
    """Return where the standard library describes a name, or None if it is not one of its names."""
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names:
        module = "concurrent.futures" if top == "concurrent" else top
        return f"{LIBRARY}{module}.html#{'module-' if name == module else ''}{name}"
    found = getattr(builtins, top, None)
    if found is None:
        return f"{LIBRARY}constants.html#None" if name == "None" else None
    if isinstance(found, type) and issubclass(found, BaseException):
        return f"{LIBRARY}exceptions.html#{name}"
    return f"{LIBRARY}{'stdtypes' if top in TYPES else 'functions'}.html#{name}"


def resolve(app: Sphinx, env: Any, node: Any, text: nodes.Element) -> nodes.Element | None:
    """Called by Sphinx for a reference without a target."""
    if node.get("refdomain") != "py":
        return None
    name = node["reftarget"]
    names = [ELSEWHERE.get(name, name)]
    # In the mirrors, names of the standard module that are not replaced.
    mirrored = str(node.get("py:module")).removeprefix("oxthreads.")
    if mirrored in sys.modules and hasattr(sys.modules[mirrored], name):
        names.append(f"{mirrored}.{name}")
    for each in names:
        if found := address(each):
            return nodes.reference("", "", text, internal=False, refuri=found)
    if name in WORDS or name.startswith(OTHERS):
        return text
    # Modules that are parts of public ones.
    return text if node["reftype"] == "mod" and find_spec(name) else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True}
