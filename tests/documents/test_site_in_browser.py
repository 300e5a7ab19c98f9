"""The site is built without a warning, and works in a browser, on a phone, in the dark and by keyboard."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

import pytest

from tests.support.browser import Page, browser, until
from tests.support.waiting import TIMEOUT_SECONDS

ROOT = Path(__file__).resolve().parents[2]
PHONE = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
#: All pages: those that are written, and those that Sphinx makes of the others.
PAGES = [
    *sorted(
        path.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        for path in (ROOT / "docs").rglob("*.md")
    ),
    *("genindex.html", "py-modindex.html", "search.html"),
]
#: The recipe `docs` of the justfile, which makes the site in this folder.
COMMAND = re.compile(r"^    python (-m sphinx .*) docs target/site$", re.MULTILINE)

pytestmark = [
    pytest.mark.one_thread("one browser is enough"),
    # The first test waits for the site, which takes ten seconds where nothing else runs.
    pytest.mark.timeout(TIMEOUT_SECONDS * 24),
    pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the documents are not here"),
    pytest.mark.skipif(
        not all(map(importlib.util.find_spec, ("sphinx", "furo", "myst_parser"))),
        reason="the extra `docs` is not installed",
    ),
]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def build(repository: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the site as the command of the justfile does."""
    command = COMMAND.search((ROOT / "justfile").read_text())
    assert command is not None
    assert "--fail-on-warning" in command[1]
    return subprocess.run(
        [sys.executable, *shlex.split(command[1]), "docs", str(folder)],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS * 20,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site."""
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from browser(tmp_path_factory.mktemp("browser"))


class Reader(Page):
    """Somebody with a browser."""

    def __init__(self, driver: Any, address: str) -> None:
        super().__init__(driver)
        self.address = address
        self.is_on_a_phone(False)
        self.prefers("light")
        driver.get_log("browser")

    def opens(self, page: str) -> None:
        self.driver.get(urljoin(self.address, page))
        until(lambda: self.run("return document.readyState") == "complete")

    def is_on_a_phone(self, phone: bool) -> None:
        size = PHONE if phone else {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def prefers(self, scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})


@pytest.fixture
def reader(driver: Any, address: str) -> Iterator[Reader]:
    reader = Reader(driver, address)
    yield reader
    reader.check_console()


class Links(HTMLParser):
    """The targets and the anchors of a page, and what it loads."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if "id" in attributes:
            self.anchors.add(attributes["id"])
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        elif tag in ("script", "img", "link", "iframe", "source"):
            self.loaded += [attributes[name] for name in ("src", "href") if attributes.get(name)]


def pages_of(site: Path) -> list[Path]:
    return [path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts]


def test_there_are_all_pages(site: Path) -> None:
    assert sorted(path.relative_to(site).as_posix() for path in pages_of(site)) == sorted(PAGES)


def test_every_link_has_a_target(site: Path) -> None:
    pages = {path: Links(path) for path in pages_of(site)}
    broken = []
    for page, found in pages.items():
        for link in found.links:
            path, anchor = urldefrag(link)
            if re.match(r"[a-z]+:", path):
                continue
            target = (page.parent / unquote(path)).resolve() if path else page
            if not target.is_file() or (anchor and target in pages and anchor not in pages[target].anchors):
                broken.append((page.relative_to(site).as_posix(), link))
    assert broken == []


def test_nothing_is_loaded_from_other_hosts(site: Path) -> None:
    for page in pages_of(site):
        assert [link for link in Links(page).loaded if re.match(r"([a-z]+:)?//", link)] == [], page
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import)\s*['\"]?(?:[a-z]+:)?//", style.read_text()) == [], style


def test_the_scripts_of_the_notes_are_shown_as_they_are(site: Path) -> None:
    shown = "".join(page.read_text() for page in (site / "tutorial").glob("*.html"))
    words = re.sub(r"<[^>]*>", "", shown)
    for script in (ROOT / "notes").glob("*.py"):
        first = script.read_text().splitlines()[0].strip('"')
        assert first in words.replace("&quot;", '"').replace("&#39;", "'"), script.name


@pytest.mark.parametrize("page", PAGES)
def test_a_page_neither_complains_nor_scrolls_sideways_on_a_phone(page: str, reader: Reader) -> None:
    reader.is_on_a_phone(True)
    reader.opens(page)
    assert reader.driver.title
    assert reader.run("return document.documentElement.scrollWidth") <= PHONE["width"]
    loaded = reader.run("return performance.getEntriesByType('resource').map(each => each.name)")
    assert [each for each in loaded if not each.startswith((reader.address, "data:"))] == []


def test_the_search_finds_a_method(reader: Reader) -> None:
    reader.opens("index.html")
    field = reader.one("input[name=q]")
    field.send_keys("Queue.get")
    field.submit()
    target = "reference/queue.html#oxthreads.queue.Queue.get"
    (found, *_) = until(lambda: reader.all(f"ul.search a[href$='{target}']"))
    found.click()
    until(lambda: reader.driver.current_url.endswith(target))
    assert reader.run("return document.getElementById('oxthreads.queue.Queue.get').offsetHeight") > 0
    assert "timeout" in reader.one("[id='oxthreads.queue.Queue.get']").text


def test_the_search_finds_words(reader: Reader) -> None:
    reader.opens("search.html?q=sentinel")
    until(lambda: reader.all("ul.search a[href*='tutorial/queues.html']"))


def test_pages_are_connected(reader: Reader) -> None:
    reader.opens("index.html")
    reader.run("document.querySelector('article a[href=\"hangs.html\"]').click()")
    until(lambda: reader.driver.title.startswith("Hangs"))
    reader.run("document.querySelector('.sidebar-tree a[href=\"guides/pytest.html\"]').click()")
    until(lambda: reader.driver.current_url.endswith("guides/pytest.html"))
    reader.run("document.querySelector('a.next-page').click()")
    until(lambda: not reader.driver.current_url.endswith("guides/pytest.html"))
    assert reader.one("h1").text


@pytest.mark.parametrize("phone", [False, True], ids=["computer", "phone"])
def test_plots_are_visible_in_light_and_dark(reader: Reader, phone: bool) -> None:
    reader.is_on_a_phone(phone)
    colours = []
    for scheme in ("light", "dark"):
        reader.prefers(scheme)
        reader.opens("performance.html")
        pictures = until(lambda: (found := reader.all(".picture svg"))[2:] and found)
        assert len(pictures) == 3
        for picture in pictures:
            box = picture.rect
            assert box["width"] > 300 and box["height"] > 200
            # Large enough to be read, also on a phone.
            size = reader.run(
                "return arguments[0].querySelector('text').getBoundingClientRect().height", picture
            )
            assert size > 9
        colour = reader.run("return getComputedStyle(document.querySelector('.picture text')).fill")
        page = reader.run("return getComputedStyle(document.body).backgroundColor")
        assert contrast(colour, page) > 7
        for mark in {each.get_attribute("fill") for each in reader.all(".picture path")} - {"currentColor"}:
            assert contrast(mark, page) > 2.5, mark
        colours.append((colour, page))
    assert colours[0] != colours[1]


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, as the guidelines for accessible pages count it."""

    def light(colour: str) -> float:
        if colour.startswith("#"):
            parts = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
        else:
            parts = [int(part) for part in re.findall(r"\d+", colour)[:3]]
        shares = [part / 255 for part in parts]
        linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, bright = sorted((light(one), light(other)))
    return (bright + 0.05) / (dark + 0.05)


def shown_rows(reader: Reader) -> list[str]:
    return [row.text for row in reader.all("#differences-table tbody tr") if row.is_displayed()]


def test_differences_are_filtered_by_keyboard(reader: Reader) -> None:
    from selenium.webdriver.common.keys import Keys  # noqa: PLC0415 - an extra

    reader.opens("differences.html")
    everything = shown_rows(reader)
    count = reader.one("#differences-count")
    assert count.text == f"{len(everything)} of {len(everything)} rows"
    for _ in range(200):
        reader.presses(Keys.TAB)
        if reader.driver.switch_to.active_element.get_attribute("id") == "differences-words":
            break
    reader.presses(*"TIMEOUT nan")
    expected = [row for row in everything if "timeout" in row.lower() and "nan" in row.lower()]
    assert shown_rows(reader) == expected
    assert 0 < len(expected) < len(everything)
    assert count.text == f"{len(expected)} of {len(everything)} rows"
    # The words are in the address, for somebody else.
    reader.driver.refresh()
    assert shown_rows(reader) == expected
    reader.one("#differences-words").send_keys(" nothing-has-this")
    assert shown_rows(reader) == []
    reader.one("#differences-words").send_keys(Keys.ESCAPE)
    assert shown_rows(reader) == everything


def test_differences_have_those_of_the_page_and_of_the_docstrings(reader: Reader) -> None:
    reader.opens("differences.html")
    rows = shown_rows(reader)
    assert any(row.startswith("Timeouts") for row in rows)
    assert any(row.startswith("ThreadPoolExecutor") for row in rows)
    page = (ROOT / "docs/differences.md").read_text().partition("## What does not")[2]
    assert len(rows) > len(re.findall(r"^\* ", page, re.MULTILINE)) > 30
    # A link to a section leads to its first row.
    reader.opens("patch.html")
    link = reader.one("a[href='differences.html#other-libraries']")
    reader.run("arguments[0].click()", link)
    until(lambda: reader.driver.current_url.endswith("#other-libraries"))
    assert reader.one("tr[id='other-libraries']").text.startswith("Other libraries")


def test_the_reference_shows_what_docstrings_say(site: Path) -> None:
    text = re.sub(r"<[^>]*>", "", (site / "reference/concurrent.futures.html").read_text())
    text = " ".join(text.split())
    assert "ThreadPoolExecutor ( max_workers" in text or "ThreadPoolExecutor(max_workers" in text
    for words in ("Parameters", "Options", "Returns", "Raises", "Differences from concurrent.futures.Future"):
        assert words in text, words


def test_a_broken_link_ends_the_build(tmp_path: Path) -> None:
    # With a single page, it does not take long.
    copy = tmp_path / "clone"
    for name in ("_extensions", "_static"):
        shutil.copytree(ROOT / "docs" / name, copy / "docs" / name)
    shutil.copy(ROOT / "docs/conf.py", copy / "docs")
    shutil.copy(ROOT / "Cargo.toml", copy)
    page = copy / "docs/index.md"
    page.write_text("# Title\n\n[itself](index.md)\n")
    assert build(copy, tmp_path / "whole").returncode == 0
    page.write_text("# Title\n\n[nothing](nowhere.md)\n")
    done = build(copy, tmp_path / "broken")
    assert done.returncode != 0
    assert "nowhere.md" in done.stderr
