"""The documents for contributors name only files and functions that exist, and links have a target."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
while not (ROOT / "Cargo.toml").exists():
    ROOT = ROOT.parent

BINDINGS = ROOT / "src/bindings"
DOCUMENTS = ["CONTRIBUTING.md", "docs/architecture.md", "docs/glossary.md"]
#: Documents whose links are checked.
LINKED = [
    *("CONTRIBUTING.md", "README.md", "RELEASING.md", "SECURITY.md", "benches/README.md", "notes/README.md"),
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
]
FOLDERS = ("src/", "python/", "tests/", "docs/", "benches/", "notes/", ".ci/")
#: Names of the interpreter, the operating system and the standard library, and commands.
FOREIGN = {
    *("EINTR", "PythonFinalizationError", "SAFETY", "Empty", "bool", "futex", "isinstance"),
    *("pthread_atfork", "pyclass", "typing", "unsafe", "_condition", "justfile"),
}


def code(document: str) -> list[str]:
    """Return the texts between backquotes, without the blocks of code."""
    text = re.sub(r"^```.*?^```", "", (ROOT / document).read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


def headings(document: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", document.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.fixture(scope="module")
def words() -> set[str]:
    """Every word of the source."""
    files = [
        path
        for folder, pattern in (("src", "*.rs"), ("python", "*.py"), ("python", "*.pyi"))
        for path in (ROOT / folder).rglob(pattern)
    ]
    return {word for file in files for word in re.findall(r"\w+", file.read_text())}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_exist(document: str) -> None:
    paths = [found for found in code(document) if found.startswith(FOLDERS)]
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_names_exist(document: str, words: set[str]) -> None:
    names = {
        part
        for found in code(document)
        if re.fullmatch(r"[\w:.]+(\(\))?", found) and not found.endswith((".rs", ".py", ".md", ".toml"))
        for part in re.findall(r"\w+", found)
    }
    assert names - FOREIGN <= words


def bindings_used_by(file: Path) -> set[str]:
    """The modules directly in src/bindings that the file names in its code."""
    place = file.relative_to(BINDINGS)
    text = re.sub(r"//.*", "", file.read_text())
    up = r"(?<![\w:])" + "super::" * (len(place.parts) - (file.name == "mod.rs"))
    return {name for start in (r"crate::bindings::", up) for name in re.findall(start + r"(\w+)", text)}


def test_bindings_use_only_what_is_below_them() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    order = re.findall(r"^\| `src/bindings/(\w+)(?:/|\.rs)` \|", text, flags=re.MULTILINE)
    files = {path.stem: [path] if path.is_file() else [*path.rglob("*.rs")] for path in BINDINGS.iterdir()}
    del files["mod"]  # what exports them all
    assert sorted(order) == sorted(files)
    for place, module in enumerate(order):
        used = {name for file in files[module] for name in bindings_used_by(file)}
        assert used & set(order[:place]) == set(), module
    assert "future" in bindings_used_by(BINDINGS / "executor/worker.rs")


@pytest.mark.parametrize("document", LINKED)
def test_links_have_a_target(document: str) -> None:
    here = ROOT / document
    for link in re.findall(r"\]\(([^)]+)\)", here.read_text()):
        if link.startswith("https:"):
            continue
        path, _, heading = link.partition("#")
        target = here if not path else here.parent / path
        assert target.exists(), link
        assert not heading or heading in headings(target), link


def test_the_glossary_is_in_alphabetical_order() -> None:
    text = (ROOT / "docs/glossary.md").read_text()
    terms = re.findall(r"^\*\*([^*]+)\*\*:", text, flags=re.MULTILINE)
    assert terms == sorted(terms, key=str.lower) and len(terms) == len(set(terms))


def test_no_test_module_imports_another() -> None:
    """What several of them need is in a module of its own: in `tests/support`, or beside them."""
    pattern = re.compile(
        r"^\s*(?:from|import) tests\.(?:\w+\.)*test_|^\s*from (?:tests[.\w]*|\.+) import test_",
        re.MULTILINE,
    )
    modules = sorted((ROOT / "tests").rglob("*.py"))
    assert len(modules) > 100
    found = [str(path.relative_to(ROOT)) for path in modules if pattern.search(path.read_text())]
    assert found == []
