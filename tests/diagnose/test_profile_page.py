"""The page of a profile, without a browser: what is in it, and the single waits of its timeline."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from oxthreads import diagnose, queue, threading
from oxthreads.diagnose import _profile_page, _profile_summary, _profile_timeline
from oxthreads.diagnose._profile import Profile
from tests.support.profiles import NO_WAITS, made_up, packed, waits_of
from tests.support.program_with_a_wait import program_with_a_wait
from tests.support.waiting import TIMEOUT_SECONDS
from tests.support.waits import until_waits

pytestmark = [
    pytest.mark.one_thread("a process has one profile, and some tests start child interpreters"),
    pytest.mark.usefixtures("nobody_else_waits"),
]

COMMAND = ["-c", "import sys; from oxthreads.cli import main; sys.exit(main())", "profile"]

#: A name that does harm wherever it is not escaped.
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;\0\ud800\u202e\u2028$data"


class Page(HTMLParser):
    """The elements of a page with their texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[int, str] = {}
        self._open: list[int] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = [*self._open, len(self.elements) - 1]

    def handle_endtag(self, tag: str) -> None:
        while self._open and self.elements[self._open.pop()][0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]] = self.texts.get(self._open[-1], "") + data

    def text(self, tag: str, **attributes: str) -> str:
        """The text of the only element of this kind."""
        (index,) = [
            index
            for index, (name, has) in enumerate(self.elements)
            if name == tag and attributes.items() <= has.items()
        ]
        return self.texts.get(index, "")


def waited() -> Profile:
    """A profile, with a timeline, of a wait for a lock and one of a consumer."""
    lock, items = threading.Lock(), queue.Queue[int]()

    def take() -> None:
        with lock:
            pass

    with diagnose.profile(timeline=True) as found:
        consumer = threading.Thread(target=items.get, name="consumer")
        consumer.start()
        with lock:
            thread = threading.Thread(target=take, name="taker")
            thread.start()
            until_waits("Lock", thread)
            until_waits("item of a queue", consumer)
            time.sleep(0.05)
        thread.join(TIMEOUT_SECONDS)
        items.put(1)
        consumer.join(TIMEOUT_SECONDS)
    return found


@pytest.fixture(scope="module")
def found() -> Profile:
    return waited()


def test_the_page_refers_to_nothing_outside(found: Profile) -> None:
    text = found.html()
    page = Page(text)
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img", "form")
        assert not attributes.keys() & {"src", "srcset", "style", "data", "action", "background"}
        assert attributes.get("href", "#").startswith("#")  # type: ignore[union-attr]
        assert not [name for name in attributes if name.startswith("on")]
    style, script = page.text("style"), (_scripts(page))[-1]
    for part in (style, script):
        assert not re.search(
            r"https?:|//[a-z]|@import|url\(|fetch\(|XMLHttp|import\(|\.innerHTML|eval\(", part
        )
    policy = {name: values for name, *values in (each.split() for each in page_policy(page).split(";"))}
    assert policy == {
        "default-src": ["'none'"],
        "style-src": [f"'sha256-{digest(style)}'"],
        "script-src": [f"'sha256-{digest(script)}'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }


def page_policy(page: Page) -> str:
    (policy,) = [
        attributes["content"] or ""
        for tag, attributes in page.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    return policy


def digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _scripts(page: Page) -> list[str]:
    return [page.texts[index] for index, (tag, _) in enumerate(page.elements) if tag == "script"]


def test_the_data_of_the_page_are_those_of_the_json(found: Profile) -> None:
    page = Page(found.html())
    data = json.loads(page.text("script", id="profile-data"))
    assert data == json.loads(found.json())
    text = found.html()
    assert _profile_summary.duration(data["waiting"]["seconds"]).replace("µ", "&#181;") in text
    assert f"<dd>{data['threads']:,} <" in text


def test_the_same_data_make_the_same_page(found: Profile) -> None:
    assert found.html() == found.html()
    assert found.html().isascii()


def test_the_single_waits_are_those_of_the_sums(found: Profile) -> None:
    data = found.data()
    timeline = json.loads(Page(found.html()).text("script", id="timeline-data"))
    counts: Counter[tuple[int, int]] = Counter()
    sums: Counter[tuple[int, int]] = Counter()
    for thread in timeline["threads"]:
        waits = waits_of(thread)
        assert len(waits) == thread["waits"]
        assert [wait.begin for wait in waits] == sorted(wait.begin for wait in waits)
        for wait in waits:
            object_index, place_index = timeline["sites"][wait.site]
            counts[object_index, place_index] += 1
            sums[object_index, place_index] += wait.length
            assert wait.begin + wait.length <= data["seconds"] * 1e9
    assert timeline["dropped"] == {"waits": 0, "seconds": 0, "longest": 0}
    for object_index, row in enumerate(data["objects"]):
        for place_index, place in enumerate(row["places"]):
            key = object_index, place_index
            assert counts[key] == place["waits"]
            # What a thread does between two sleeps of a wait is part of the wait here.
            assert sums[key] / 1e9 >= place["seconds"] - 1e-6 * place["waits"]
    assert sum(counts.values()) == data["waiting"]["waits"] + data["idle"]["waits"]


def test_a_wait_says_who_ended_it(found: Profile) -> None:
    data = found.data()
    timeline = json.loads(Page(found.html()).text("script", id="timeline-data"))
    (taker,) = [thread for thread in timeline["threads"] if thread["name"] == "taker"]
    (wait,) = waits_of(taker)
    row = data["objects"][timeline["sites"][wait.site][0]]
    assert row["for"] == "Lock"
    assert row["max"] == pytest.approx(wait.length / 1e9, abs=1e-6)
    assert wait.length >= 0.05e9
    assert timeline["names"][str(wait.by - 1)] == "MainThread"
    assert 0 <= wait.interpreter <= 255


def test_without_a_timeline_the_page_says_so() -> None:
    with diagnose.profile() as found:
        threading.Event().wait(0.001)
    page = Page(found.html())
    assert json.loads(page.text("script", id="timeline-data")) is None
    assert "There is no timeline" in found.html()
    assert found._timeline is None


def test_a_profile_without_waits() -> None:
    with diagnose.profile(timeline=True) as found:
        pass
    text = found.html()
    assert "No thread had to wait for another." in text
    assert json.loads(Page(text).text("script", id="timeline-data"))["threads"] == []


def test_waits_that_have_not_ended_are_in_the_timeline() -> None:
    after = threading.Event()
    with diagnose.profile(timeline=True) as found:
        thread = threading.Thread(target=after.wait, name="lasting", daemon=True)
        thread.start()
        until_waits("Event", thread)
    after.set()
    thread.join(TIMEOUT_SECONDS)
    timeline: Any = found._timeline
    (lasting,) = [each for each in timeline["threads"] if each["name"] == "lasting"]
    (wait,) = waits_of(lasting)
    assert wait.by == 1
    assert wait.length > 0
    assert wait.begin + wait.length <= found.data()["seconds"] * 1e9


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers")
@pytest.mark.parametrize("joins", [False, True])
def test_a_wait_in_a_signal_handler_is_a_wait_of_its_own(joins: bool) -> None:
    handled: list[int] = []
    inner, outer = threading.Event(), threading.Event()
    ender = threading.Thread(target=outer.wait, args=(TIMEOUT_SECONDS,), name="ender")

    def handle(number: int, _: object) -> None:
        inner.wait(0.01)
        handled.append(number)
        outer.set()

    before = signal.signal(signal.SIGALRM, handle)
    try:
        ender.start()
        with diagnose.profile(timeline=True) as found:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            if joins:
                ender.join(TIMEOUT_SECONDS)
            else:
                assert outer.wait(TIMEOUT_SECONDS)
    finally:
        signal.signal(signal.SIGALRM, before)
    ender.join(TIMEOUT_SECONDS)
    assert handled == [signal.SIGALRM]
    timeline: Any = found._timeline
    (thread,) = [each for each in timeline["threads"] if each["name"] == "MainThread"]
    waits = waits_of(thread)
    # Before it falls asleep the main thread may have run the handler already.
    assert waits
    for one, other in itertools.pairwise(waits):
        ends = one.begin + one.length
        assert other.begin >= ends or other.begin + other.length <= ends
    counted = sum(row["waits"] for row in found.data()["objects"])
    assert counted == sum(each["waits"] for each in timeline["threads"])


def test_one_long_wait_of_the_main_thread_is_one_bar() -> None:
    # The main thread wakes to look for signals, after 50 ms for the first time.
    with diagnose.profile(timeline=True) as found:
        threading.Event().wait(0.3)
    timeline: Any = found._timeline
    (thread,) = timeline["threads"]
    (wait,) = waits_of(thread)
    assert wait.length > 0
    assert wait.by == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_may_have_a_timeline_of_its_own() -> None:
    status = 1
    with diagnose.profile(timeline=True) as found:
        threading.Event().wait(0.001)
        child = os.fork()
        if child == 0:
            try:
                with diagnose.profile(timeline=True) as own:
                    threading.Event().wait(0.001)
                timeline: Any = own._timeline
                assert [thread["waits"] for thread in timeline["threads"]] == [1]
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
    timeline = found._timeline
    assert [thread["waits"] for thread in timeline["threads"]] == [1]


# ---- What is said


def test_waits_that_found_no_room_are_said() -> None:
    data = made_up([("Lock", "Lock a", 1.0)])
    timeline = _profile_timeline.described(
        ([(1, 1, packed([(0, 5, 0, 0, 0)]))], 1234, 0.5, 0.001), {}, 1, {1: "one"}, data
    )
    assert timeline["sites"] == [[-1, -1]]
    lines = _profile_summary.left_out(data, timeline)
    assert any("1,234 waits of 500 ms together, none longer than 1.00 ms" in line for line in lines)
    data["dropped"]["waiting"] = {**NO_WAITS, "waits": 3, "seconds": 0.5}
    data["dropped"]["without_holder_seconds"] = 2.0
    lines = _profile_summary.left_out(data, None)
    assert any("Of 3 waits of 500 ms at other places, only the sums are known" in line for line in lines)
    assert any("For 2.00 s of waiting, there were too many holders" in line for line in lines)
    assert not any("No wait was dropped" in line for line in lines)


def test_the_first_sentence_names_the_object_and_its_holder() -> None:
    data = made_up([("Lock", "Lock Cache.lock", 6.2), ("Event", "Event ready", 3.8)])
    data["objects"][0]["places"][0]["held"] = [
        {"place": {"file": "cache.py", "line": 58, "function": "refresh"}, "thread": "T", "seconds": 6.0}
    ]
    first, second = _profile_summary.findings(data)
    assert first.what == "62% of all waiting was for Lock Cache.lock, held by refresh at cache.py:58."
    assert "Look at cache.py:58" in first.advice
    assert second.what.startswith("38% of all waiting was for Event ready, at program.py:1 in wait")
    place = {"file": "/a/b/loader.py", "line": 9, "function": "load"}
    data["objects"][1]["places"][0]["ended_by"] = [{"place": place, "thread": "loader", "waits": 1}]
    _, second = _profile_summary.findings(data)
    assert "What ended it is at loader.py:9 in load, by loader." in second.meaning


def test_what_programs_do_in_any_case_comes_last() -> None:
    data = made_up([("join", "a thread to end", 9.0), ("room in a queue", "room in Queue jobs", 1.0)])
    first, second = _profile_summary.findings(data)
    assert "room in Queue jobs" in first.what
    assert "a thread to end" in second.what


def test_much_waiting_for_the_interpreter_is_said_first() -> None:
    data = made_up([("Lock", "Lock a", 10.0)])
    data["objects"][0]["interpreter_seconds"] = 6.0
    first, second = _profile_summary.findings(data)
    assert first.what.startswith("60% of all waiting was for the interpreter (the GIL)")
    assert "Lock a" in second.what
    data["objects"][0]["interpreter_seconds"] = 3.0
    first, second = _profile_summary.findings(data)
    assert "Lock a" in first.what
    assert second.what.startswith("30% of all waiting was for the interpreter")


def test_little_waiting_is_called_little() -> None:
    data = made_up([("Lock", "Lock a", 0.01)], seconds=10.0)
    text = _profile_page.page(data, None, "")
    assert '<p class="headline">Threads hardly waited for each other.</p>' in text
    assert "100% of all waiting was for Lock a" in text


@pytest.mark.parametrize("share", [0.0, 0.004, 0.5, 0.994, 0.9951, 0.99995, 1.0])
def test_a_share_is_never_called_the_whole_if_it_is_not(share: float) -> None:
    assert (_profile_summary.percent(share) == "100%") == (share > 0.9999)


def test_hostile_names_do_no_harm() -> None:
    usual = Page(_profile_page.page(*with_names("a"), "a"))
    text = _profile_page.page(*with_names(HOSTILE), HOSTILE)
    page = Page(text)
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in usual.elements]
    assert [each.keys() for _, each in page.elements] == [each.keys() for _, each in usual.elements]
    assert text.isascii()
    assert "\0" not in text
    assert page_policy(page) == page_policy(usual)
    data = json.loads(page.text("script", id="profile-data"))
    assert data["objects"][0]["object"] == HOSTILE
    timeline = json.loads(page.text("script", id="timeline-data"))
    assert timeline["threads"][0]["name"] == HOSTILE
    assert "\\x00\\ud800\\u202e\\u2028$data" in page.text("title")
    assert all("<" not in script for script in _scripts(page)[:-1])


def with_names(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    data = made_up([("Lock", name, 1.0)])
    frame = {"file": name, "line": 1, "function": name}
    place = data["objects"][0]["places"][0]
    place["stack"] = [frame]
    place["held"] = [{"place": frame, "thread": name, "seconds": 0.9}]
    place["ended_by"] = [{"thread": name, "waits": 1}]
    shown_at = {0: (name, False, ((name, 1, name),))}
    found = ([(1, 1, packed([(0, 5, 0, 2, 0)]))], 0, 0.0, 0.0)
    return data, _profile_timeline.described(found, shown_at, 1, {1: name}, data)


def test_the_script_is_in_plain_characters() -> None:
    folder = Path(_profile_page.__file__).parent / "page"
    for name in ("report.css", "report.js"):
        text = (folder / name).read_text(encoding="utf-8")
        assert text.isascii()
        assert "</" not in text


# ---- Whole programs


PROGRAM = program_with_a_wait()


class Ended(NamedTuple):
    status: int
    errors: str
    page: str


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Any]:
    (tmp_path / "program.py").write_text(PROGRAM)

    def run_in_child(*arguments: str, **variables: str) -> Ended:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OXTHREADS")}
        ended = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
            cwd=tmp_path,
            env={**kept, **variables, "TMPDIR": str(tmp_path)},
        )
        written = tmp_path / "found.html"
        return Ended(ended.returncode, ended.stderr, written.read_text() if written.is_file() else "")

    yield run_in_child


def check_page_of_program(ended: Ended) -> None:
    assert (ended.status, ended.errors) == (0, "")
    page = Page(ended.page)
    assert page.text("title") == "Where the threads of program.py waited"
    data = json.loads(page.text("script", id="profile-data"))
    assert "Lock lock" in [row["object"] for row in data["objects"]]
    timeline = json.loads(page.text("script", id="timeline-data"))
    assert {"MainThread", "taker"} <= {thread["name"] for thread in timeline["threads"]}


def test_the_command_writes_a_page(run: Any) -> None:
    check_page_of_program(run(*COMMAND, "-o", "found.html", "program.py"))


def test_the_command_writes_a_page_without_assertions(run: Any) -> None:
    check_page_of_program(run("-O", *COMMAND, "-o", "found.html", "program.py"))


def test_the_variable_of_the_environment_asks_for_a_page(run: Any) -> None:
    check_page_of_program(run("-m", "oxthreads", "program.py", OXTHREADS_PROFILE="found.html"))


@pytest.mark.parametrize("arguments", ["None", "[]", "[5]", "['-c']", "['']"])
def test_a_program_without_a_name(run: Any, arguments: str) -> None:
    program = f"import sys; sys.argv = {arguments}"
    ended = run(*COMMAND, "-o", "found.html", "-c", program)
    assert (ended.status, ended.errors) == (0, "")
    assert Page(ended.page).text("title") == "Where threads waited"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_is_told(run: Any, tmp_path: Path) -> None:
    (tmp_path / "found.html").symlink_to("/dev/full")
    ended = subprocess.run(
        [sys.executable, *COMMAND, "-o", "found.html", "program.py"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
        cwd=tmp_path,
    )
    assert ended.returncode == 0
    assert "the profile could not be written to" in ended.stderr
