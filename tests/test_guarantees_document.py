"""docs/guarantees.md names tests that exist, and docs/unsafe.md every `unsafe` in the source."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
PROMISES = ROOT / "docs" / "guarantees.md"
UNSAFE = ROOT / "docs" / "unsafe.md"

#: What names a test: a path below tests/, and a function there.
TEST = re.compile(r"`([\w/]+\.(?:py|rs))::(\w+)`")
#: What names an attack.
ATTACK = re.compile(r"`siege ([\w-]+)`")
#: A row of docs/unsafe.md: the file, how many, what, why, and the tests.
ROW = re.compile(r"^\| `(src/[\w/]+\.rs)` \| (\d+) \| (.+) \|$", re.MULTILINE)
#: A comment, a string or a character of Rust, in which the word means nothing.
INERT = re.compile(r'//[^\n]*|/\*.*?\*/|c?"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\'', re.DOTALL)

pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the documents are not here")


def exists(path: str, name: str) -> bool:
    """Whether the file defines a test of the name, as opposed to any function."""
    file = TESTS / path
    if not file.is_file():
        return False
    if file.suffix == ".py":
        return re.search(rf"^def {name}\(", file.read_text(), re.MULTILINE) is not None and name.startswith(
            "test_"
        )
    return re.search(rf"#\[test\]\s*(?:#\[[^\n]*\]\s*)*fn {name}\(", file.read_text()) is not None


def sections() -> dict[str, str]:
    """The text of each section of the promises, by its heading."""
    _, *parts = re.split(r"^## (.+)$", PROMISES.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("document", [PROMISES, UNSAFE], ids=lambda document: document.name)
def test_every_test_that_is_named_exists(document: Path) -> None:
    named = TEST.findall(document.read_text())
    assert named
    assert [f"{path}::{name}" for path, name in named if not exists(path, name)] == []


def test_every_attack_that_is_named_exists() -> None:
    # One of them is only in a build of its own, so that the list has to be read.
    source = "".join(file.read_text() for file in (TESTS / "siege").glob("*.py"))
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
        for line in re.split(r"^\* ", text.partition("**Beside it.**")[0], flags=re.MULTILINE)[1:]
        if not TEST.search(line)
    ]
    assert bare == []
    assert len(promises) == len([text for text in promises.values() if "**Beside it.**" in text])


def test_a_name_that_is_no_test_is_noticed() -> None:
    assert exists("test_guarantees_document.py", "test_every_test_that_is_named_exists")
    assert not exists("test_guarantees_document.py", "exists")
    assert not exists("test_guarantees_document.py", "test_that_was_renamed")
    assert not exists("rust/no_such_file.rs", "a_lock_excludes")
    assert exists("rust/primitives.rs", "a_lock_excludes")
    assert not exists("rust/support/mod.rs", "spin_until")


def uses_of_unsafe(source: str) -> int:
    """How often the word stands in the code: blocks, functions, types of functions and impls."""
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
