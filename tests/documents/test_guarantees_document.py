"""docs/guarantees.md names only tests that exist, and docs/unsafe.md lists every `unsafe` in the source."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
PROMISES = ROOT / "docs" / "guarantees.md"
UNSAFE = ROOT / "docs" / "unsafe.md"

#: A reference to a test: a file and a function. A file in Python has only its name, one in Rust its path
#: below tests/.
TEST = re.compile(r"`([\w/]+\.(?:py|rs))::(\w+)`")
#: A reference to an attack.
ATTACK = re.compile(r"`stress ([\w-]+)`")
#: A row of docs/unsafe.md: the file, the number of uses, what they do, why they are right, and the tests.
ROW = re.compile(r"^\| `(src/[\w/]+\.rs)` \| (\d+) \| (.+) \|$", re.MULTILINE)
#: A comment, a string or a character in Rust. The word `unsafe` means nothing there.
INERT = re.compile(r'//[^\n]*|/\*.*?\*/|c?"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\'', re.DOTALL)

pytestmark = [
    pytest.mark.one_thread("reads the source"),
    pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the documents are not here"),
]


def exists(path: str, name: str) -> bool:
    """Whether the file defines a test of this name. Other functions do not count."""
    file = TESTS / path
    if file.suffix == ".py":
        found = [each for each in TESTS.rglob("*.py") if each.name == path]
        # If two files have the same name, the reference is not clear.
        if len(found) != 1:
            return False
        (file,) = found
    if not file.is_file():
        return False
    if file.suffix == ".py":
        return re.search(rf"^def {name}\(", file.read_text(), re.MULTILINE) is not None and name.startswith(
            "test_"
        )
    return re.search(rf"#\[test\]\s*(?:#\[[^\n]*\]\s*)*fn {name}\(", file.read_text()) is not None


def sections() -> dict[str, str]:
    """Return the text of each section of the guarantees, by its heading."""
    _, *parts = re.split(r"^## (.+)$", PROMISES.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("document", [PROMISES, UNSAFE], ids=lambda document: document.name)
def test_every_test_that_is_named_exists(document: Path) -> None:
    named = TEST.findall(document.read_text())
    assert named
    assert [f"{path}::{name}" for path, name in named if not exists(path, name)] == []


def test_every_attack_that_is_named_exists() -> None:
    # One attack exists only in a special build. So the source is searched, and not the list of attacks.
    modules = [file for file in (TESTS / "stress").glob("*.py") if not file.name.startswith("test_")]
    source = "".join(file.read_text() for file in modules)
    named = ATTACK.findall(PROMISES.read_text())
    assert named
    assert [
        name for name in named if f'name="{name}"' not in source and f'_attack("{name}"' not in source
    ] == []


def test_every_promise_names_a_test_that_holds_it() -> None:
    promises = {heading: text for heading, text in sections().items() if heading != "What is not promised"}
    bare = [
        line
        for text in promises.values()
        for line in re.split(r"^\* ", text.partition("**Compared with others.**")[0], flags=re.MULTILINE)[1:]
        if not TEST.search(line)
    ]
    assert bare == []
    assert len(promises) == len([text for text in promises.values() if "**Compared with others.**" in text])


def test_a_reference_to_a_missing_test_is_noticed() -> None:
    assert exists("test_guarantees_document.py", "test_every_test_that_is_named_exists")
    assert not exists("test_guarantees_document.py", "exists")
    assert not exists("test_guarantees_document.py", "test_that_was_renamed")
    assert not exists("rust/no_such_file.rs", "a_lock_excludes")
    assert exists("rust/primitives.rs", "a_lock_excludes")
    assert not exists("rust/support/mod.rs", "spin_until")


def uses_of_unsafe(source: str) -> int:
    """Count the word in the code: blocks, functions, types of functions and impls."""
    return len(re.findall(r"\bunsafe\b", INERT.sub(" ", source)))


def test_every_unsafe_is_listed() -> None:
    rows = ROW.findall(UNSAFE.read_text())
    listed = {file: int(uses) for file, uses, _ in rows}
    assert len(listed) == len(rows)
    counted = {
        file.relative_to(ROOT).as_posix(): uses
        for file in (ROOT / "src").rglob("*.rs")
        if (uses := uses_of_unsafe(file.read_text()))
    }
    assert listed == counted
    assert [file for file, _, rest in rows if not TEST.search(rest)] == []


def test_only_code_is_counted() -> None:
    source = """
        // unsafe
        /// `unsafe` /* unsafe */
        unsafe impl Send for X {}
        let it = "unsafe \\" unsafe"; let quote = '"'; unsafe { f() }
        /* unsafe
           unsafe */
        unsafe fn f<'a>(x: &'a u8) {}
    """
    assert uses_of_unsafe(source) == 3
