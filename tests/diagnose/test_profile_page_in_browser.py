"""The page of a profile in a browser: it opens, sorts, filters, zooms, and can be used by keyboard."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oxthreads.diagnose import _profile_page, _profile_timeline
from tests.support.browser import Page, browser, until
from tests.support.profiles import NO_WAITS, made_up, packed

pytestmark = pytest.mark.one_thread("one browser is enough")

HOSTILE = (
    "</script><script>document.title='hurt'</script><img src=x onerror=document.title='hurt'>\0\ud800\u202e"
)

#: What is waited for in the made-up program: the kind, the name, the seconds. The counts of waits grow.
OBJECTS = [
    ("Lock", "Lock Cache.lock", 1.2),
    ("Event", "Event ready", 0.5),
    ("room in a queue", "room in Queue jobs", 0.3),
    ("join", "worker-1 to end", 0.1),
]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from browser(tmp_path_factory.mktemp("browser"))


class Opened(Page):
    """A page in the browser."""

    def __init__(self, driver: Any, path: Path, text: str) -> None:
        super().__init__(driver)
        path.write_text(text, encoding="ascii")
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
        driver.set_window_size(1280, 1000)
        driver.get_log("browser")
        driver.get(path.as_uri())

    def texts(self, selector: str) -> list[str]:
        return [element.text for element in self.all(selector)]

    def until_ready(self) -> None:
        until(lambda: self.one("#timeline").get_attribute("data-ready"))
        self.drawn()

    def drawn(self) -> None:
        """Wait until everything that is asked for has been drawn."""
        self.driver.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()));"
        )

    def range(self) -> tuple[float, float]:
        """The part of the timeline that is shown, in nanoseconds."""
        self.drawn()
        range = self.one("#range")
        return float(range.get_attribute("data-from")), float(range.get_attribute("data-to"))

    def is_too_wide(self) -> bool:
        return bool(self.run("return document.documentElement.scrollWidth > innerWidth"))


def profile_of_two_threads(name: str = "worker-1") -> tuple[dict[str, Any], dict[str, Any]]:
    """Two seconds, in which two threads have waited for each object: see `OBJECTS`."""
    data = made_up(OBJECTS)
    for index, row in enumerate(data["objects"]):
        row["waits"] = row["places"][0]["waits"] = index + 1
    place = data["objects"][0]["places"][0]
    frames = [{"file": f"cache{depth}.py", "line": depth, "function": "get"} for depth in range(1, 10)]
    place["stack"] = frames
    place["held"] = [{"place": frames[0], "thread": name, "seconds": 1.0}]
    data["objects"][1]["places"][0]["ended_by"] = [
        {"place": {"file": "load.py", "line": 7, "function": "load"}, "thread": name, "waits": 2}
    ]
    waits = [
        # begin, length, site, who ended it, share of the interpreter
        (0, 1_000_000_000, 0, 3, 0),
        (1_000_000_000, 500_000_000, 1, 1, 128),
        (1_500_000_000, 300_000_000, 2, 0, 0),
    ]
    found = ([(1, 3, packed(waits)), (2, 1, packed([(100_000_000, 200_000_000, 3, 0, 0)]))], 0, 0.0, 0.0)
    shown_at = {}
    for site, row in enumerate(data["objects"]):
        stack = tuple((each["file"], each["line"], each["function"]) for each in row["places"][0]["stack"])
        shown_at[site] = (row["object"], False, stack)
    names = {1: "MainThread", 2: name}
    return data, _profile_timeline.described(found, shown_at, len(shown_at), names, data)


@pytest.fixture
def page(driver: Any, tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(
        driver, tmp_path / "found.html", _profile_page.page(*profile_of_two_threads(), "program.py")
    )
    opened.until_ready()
    yield opened
    opened.check_console()


def test_it_opens(page: Opened) -> None:
    assert page.driver.title == "Where the threads of program.py waited"
    assert page.one(".headline").text.startswith("57% of all waiting was for Lock Cache.lock, held by get")
    assert page.texts("tr.object .name") == [name for _, name, _ in OBJECTS]
    assert page.texts("tr.object td.waited") == ["1.20 s", "500 ms", "300 ms", "100 ms"]
    assert page.range() == (0, 2e9)
    assert not page.is_too_wide()


def test_a_click_on_a_column_sorts(page: Opened) -> None:
    names = [name for _, name, _ in OBJECTS]
    waited, waits, *_ = page.all("#tables th button")
    waits.click()
    assert page.texts("tr.object .name") == names[::-1]
    assert page.one("th[aria-sort]").text == "Waits"
    assert page.one("th[aria-sort]").get_attribute("aria-sort") == "descending"
    waits.click()
    assert page.texts("tr.object .name") == names
    assert page.one("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    (by_name,) = [button for button in page.all("#tables th button") if button.text == "What, waiting at"]
    by_name.click()
    assert page.texts("tr.object .name") == sorted(names, key=str.lower)
    waited.click()
    assert page.texts("tr.object .name") == names


@pytest.mark.parametrize("column", range(8))
def test_each_column_sorts(page: Opened, column: int) -> None:
    button = page.all("#tables th button")[column]
    button.click()
    before = page.texts("tr.object .name")
    button.click()
    # Where all are alike, the longer comes first.
    assert sorted(page.texts("tr.object .name")) == sorted(before)
    cells = page.all("#tables th")
    assert [cell.get_attribute("aria-sort") is not None for cell in cells] == [
        index == column for index in range(8)
    ]


def test_a_filter_leaves_what_has_the_text(page: Opened) -> None:
    page.one("#filter").send_keys("QUEUE")
    assert page.texts("tr.object .name") == ["room in Queue jobs"]
    assert page.one("#filter-result").text == "1 of 4 objects"
    page.run("arguments[0].value = ''; arguments[0].dispatchEvent(new Event('input'))", page.one("#filter"))
    assert len(page.all("tr.object")) == 4
    # A place that is not shown, and the thread of a holder.
    for text, name in (("cache9.py", "Lock Cache.lock"), ("worker-1", "Lock Cache.lock")):
        page.one("#filter").clear()
        page.one("#filter").send_keys(text)
        assert page.texts("tr.object .name")[0] == name
    page.one("#filter").clear()
    page.one("#filter").send_keys("nothing has this")
    assert page.texts("tr.object .name") == []


def test_an_object_opens_to_its_places_and_their_stacks(page: Opened) -> None:
    assert page.texts("tr.place summary") == ["cache1.py:1 in get"]
    page.one("tr.place summary").click()
    until(lambda: page.all("ol.stack li"))
    assert page.texts("tr.place ol.stack li") == [f"cache{depth}.py:{depth} get" for depth in range(1, 10)]
    assert page.one("tr.place td.held").text == "83% cache1.py:1 in get, by worker-1"
    second = page.all("button.open")[1]
    assert second.get_attribute("aria-expanded") == "false"
    second.click()
    assert second.get_attribute("aria-expanded") == "true"
    assert page.texts("tr.place summary") == ["cache1.py:1 in get", "program.py:1 in wait"]
    assert page.texts("tr.place td.held")[1] == "ended at load.py:7 in load, by worker-1"
    second.click()
    assert len(page.all("tr.place")) == 1


def test_buttons_zoom_and_move(page: Opened) -> None:
    page.one("#zoom-in").click()
    assert page.range() == (0.5e9, 1.5e9)
    page.one("#earlier").click()
    assert page.range() == (0.25e9, 1.25e9)
    page.one("#later").click()
    page.one("#later").click()
    assert page.range() == (0.75e9, 1.75e9)
    page.one("#zoom-out").click()
    assert page.range() == (0, 2e9)
    page.one("#zoom-in").click()
    page.one("#zoom-all").click()
    assert page.range() == (0, 2e9)
    assert page.one("#range").text == "0.000 s to 2.000 s (all)"


def test_the_wheel_zooms_around_the_pointer(page: Opened) -> None:
    page.run("document.getElementById('timeline').scrollIntoView()")
    rows = page.one("#rows")
    wheel = """
        const box = arguments[0].getBoundingClientRect();
        const event = new WheelEvent("wheel", {bubbles: true, cancelable: true, clientX: box.right - 1,
            clientY: box.top + 10, deltaY: arguments[1], ctrlKey: arguments[2]});
        arguments[0].dispatchEvent(event);
        return event.defaultPrevented;
    """
    bars = page.one("#bars")
    # The page scrolls, unless the timeline is in use.
    assert not page.run(wheel, bars, -100, False)
    assert page.range() == (0, 2e9)
    assert page.one("#hint").is_displayed()
    assert page.run(wheel, bars, -100, True)
    begin, end = page.range()
    assert 0 < begin < end
    assert end == pytest.approx(2e9, rel=0.01)
    rows.click()
    assert page.run(wheel, bars, 300, False)
    assert page.range()[0] < begin


def test_a_real_wheel_zooms(page: Opened) -> None:
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin  # noqa: PLC0415 - an extra

    rows = page.one("#rows")
    rows.click()
    page.actions().scroll_from_origin(ScrollOrigin.from_element(rows), 0, -200).perform()
    until(lambda: page.range() != (0, 2e9))
    begin, end = page.range()
    assert end - begin < 2e9


def test_a_drag_moves(page: Opened) -> None:
    page.one("#zoom-in").click()
    rows = page.one("#rows")
    page.actions().move_to_element(rows).click_and_hold().move_by_offset(-150, 0).release().perform()
    begin, end = page.range()
    assert begin > 0.5e9
    assert end - begin == pytest.approx(1e9)


def test_two_fingers_zoom(page: Opened) -> None:
    page.run("""
        const bars = document.getElementById("bars");
        const box = bars.getBoundingClientRect();
        bars.setPointerCapture = () => {};
        const send = (type, id, x) => bars.dispatchEvent(new PointerEvent(type, {bubbles: true, pointerId: id,
            pointerType: "touch", clientX: box.left + x, clientY: box.top + 10}));
        const middle = box.width / 2;
        send("pointerdown", 1, middle - 50);
        send("pointerdown", 2, middle + 50);
        send("pointermove", 1, middle - 100);
        send("pointermove", 2, middle + 100);
        send("pointerup", 1, middle - 100);
        send("pointerup", 2, middle + 100);
    """)
    begin, end = page.range()
    assert end - begin == pytest.approx(1e9, rel=0.05)
    assert page.one("#selected").text == ""


def test_the_pointer_shows_a_wait(page: Opened) -> None:
    rows = page.one("#rows")
    page.run("document.getElementById('timeline').scrollIntoView()")
    # In the first row, and a little left of the middle: the wait for the lock, for half of the time.
    page.actions().move_to_element_with_offset(rows, -100, -rows.size["height"] // 2 + 12).perform()
    until(lambda: page.one("#tip").is_displayed())
    text = page.one("#tip").text
    assert text.startswith("Lock Cache.lock\nMainThread waited 1.00 s, from 0 on. Ended by worker-1.")
    assert "cache6.py:6 get" in text
    assert "cache7.py" not in text
    assert "and 3 more functions" in text
    page.actions().click().perform()
    until(lambda: page.one("#selected").text)
    assert "cache9.py:9 get" in page.one("#selected").text


def test_it_can_be_used_by_keyboard_alone(page: Opened) -> None:
    from selenium.webdriver.common.keys import Keys  # noqa: PLC0415 - an extra

    seen: list[str] = []
    for _ in range(60):
        page.presses(Keys.TAB)
        focused = page.driver.switch_to.active_element
        name = focused.get_attribute("id") or focused.get_attribute("class") or focused.tag_name
        seen.append(name)
        if name == "rows":
            page.presses("+", "+", Keys.ARROW_RIGHT)
            begin, end = page.range()
            assert end - begin == pytest.approx(0.5e9)
            assert begin == pytest.approx(0.8e9)
            page.presses("0")
            assert page.range() == (0, 2e9)
            page.presses(Keys.ARROW_DOWN)
            assert "worker-1 waited 200 ms" in page.one("#selected").text
            page.presses(Keys.ARROW_UP)
            assert "MainThread waited 1.00 s" in page.one("#selected").text
            page.presses("n")
            assert "MainThread waited 500 ms" in page.one("#selected").text
            assert "It had not ended when the profile did." in page.one("#selected").text
            assert "50% of that it was awake" in page.one("#selected").text
            page.presses("p")
            assert "MainThread waited 1.00 s" in page.one("#selected").text
            page.presses(Keys.ESCAPE)
            assert page.one("#selected").text == ""
        if name == "open" and focused.get_attribute("aria-expanded") == "false":
            page.presses(Keys.ENTER)
            assert focused.get_attribute("aria-expanded") == "true"
            break
    expected = [
        "skip",
        "theme",
        "zoom-in",
        "zoom-out",
        "earlier",
        "later",
        "zoom-all",
        "rows",
        "filter",
        "open",
    ]
    positions = [seen.index(name) for name in expected]
    assert positions == sorted(positions)
    assert page.one("#selected").get_attribute("aria-live") == "polite"
    assert page.one("#rows").get_attribute("aria-label")
    unnamed = page.run(
        "return [...document.querySelectorAll('button')].filter(each =>"
        " !each.textContent.trim() && !each.ariaLabel).length"
    )
    assert unnamed == 0


def test_the_legend_hides_an_object(page: Opened) -> None:
    picture = "return document.getElementById('bars').toDataURL()"
    before = page.run(picture)
    first = page.one("#legend button")
    assert first.text.startswith("Lock Cache.lock")
    first.click()
    page.drawn()
    assert first.get_attribute("aria-pressed") == "false"
    assert page.run(picture) != before
    first.click()
    page.drawn()
    assert first.get_attribute("aria-pressed") == "true"
    assert page.run(picture) == before


def test_there_are_light_and_dark_colours(page: Opened) -> None:
    colours = (
        "return [getComputedStyle(document.body).backgroundColor,"
        " document.getElementById('bars').toDataURL()]"
    )
    light = page.run(colours)
    page.one("#theme").click()
    page.drawn()
    dark = page.run(colours)
    assert light[0] != dark[0]
    assert light[1] != dark[1]
    page.one("#theme").click()
    page.drawn()
    assert page.run(colours) == light
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    page.driver.refresh()
    page.until_ready()
    assert page.run(colours)[0] == dark[0]


def test_a_phone_does_not_scroll_sideways(page: Opened) -> None:
    size = {"width": 375, "height": 700, "deviceScaleFactor": 2, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page.driver.refresh()
    page.until_ready()
    for button in page.all("button.open"):
        if button.get_attribute("aria-expanded") == "false":
            page.run("arguments[0].click()", button)
    for summary in page.all("tr.place summary"):
        page.run("arguments[0].click()", summary)
    assert page.run("return innerWidth") == 375
    assert not page.is_too_wide()
    page.run("arguments[0].click()", page.one("#zoom-in"))
    assert page.range() == (0.5e9, 1.5e9)


def test_it_can_be_printed(page: Opened) -> None:
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not page.one("#zoom-in").is_displayed()
    assert not page.one("#filter").is_displayed()
    assert page.one(".headline").is_displayed()
    assert page.one("tr.object").is_displayed()
    assert base64.b64decode(page.driver.print_page()).startswith(b"%PDF")


def test_hostile_names_do_no_harm(driver: Any, tmp_path: Path) -> None:
    data, timeline = profile_of_two_threads(HOSTILE)
    for row in data["objects"]:
        row["object"] = HOSTILE + row["object"]
        for place in row["places"]:
            place["stack"][0] = {"file": HOSTILE, "line": 1, "function": HOSTILE}
    page = Opened(driver, tmp_path / "found.html", _profile_page.page(data, timeline, "program.py"))
    page.until_ready()
    page.one("#rows").click()
    page.presses("n", "n")
    page.one("tr.place summary").click()
    assert "</script>" in page.one("#selected").text
    assert "\\x00\\ud800\\u202e" in page.one("#selected").text
    assert page.driver.title == "Where the threads of program.py waited"
    assert page.all("img") == []
    assert len(page.all("script")) == 4
    assert not page.is_too_wide()
    page.check_console()


@pytest.mark.parametrize("timeline", [True, False])
def test_a_profile_without_waits(driver: Any, tmp_path: Path, timeline: bool) -> None:
    data = made_up([])
    data["threads"] = 0
    single = _profile_timeline.described(([], 0, 0.0, 0.0), {}, 0, {}, data) if timeline else None
    page = Opened(driver, tmp_path / "found.html", _profile_page.page(data, single, ""))
    until(lambda: page.one("#theme").is_displayed())
    page.drawn()
    assert page.one(".headline").text == "No thread had to wait for another."
    assert not page.one("#timeline").is_displayed()
    assert not page.one("#objects").is_displayed()
    page.check_console()


def test_pools_and_queues_are_shown(driver: Any, tmp_path: Path) -> None:
    data, timeline = profile_of_two_threads()
    lengths = {"seconds": 1.0, "p50": 0.1, "p99": 0.2, "max": 0.3}
    calls = {"calls": 7, "failed": 1, "cancelled": 0, "running": 0, "wait": lengths, "run": lengths}
    function = {"file": "program.py", "line": 3, "function": "work"}
    data["pools"] = [
        {
            "pool": "ThreadPoolExecutor pool",
            "objects": 1,
            "workers": 2,
            "worker_seconds": 4.0,
            "working_seconds": 1.0,
            "waiting_seconds": 2.0,
            "idle_seconds": 1.0,
            "pending": 0,
            **calls,
            "functions": [{"function": function, **calls}, {"function": None, **calls}],
        }
    ]
    data["queues"] = [
        {
            "queue": "Queue jobs",
            "capacity": 4,
            "begins": 0.1,
            "seconds": 1.5,
            "puts": 30,
            "gets": 28,
            "length": 2,
            "greatest_length": 4,
            "full_seconds": 0.3,
            "empty_seconds": 0,
            "samples": [[0.1, 1], [0.2, 4], [0.3, 2]],
        }
    ]
    data["queues_dropped"] = 5
    page = Opened(driver, tmp_path / "found.html", _profile_page.page(data, timeline, "program.py"))
    page.until_ready()
    text = page.one("#more").text
    assert "worked 25%" in text
    assert "waited for others 50%" in text
    assert "work (program.py:3)" in text
    assert "30 items put (20.0 a second), 28 taken" in text
    assert "Threads waited 300 ms for room in it." in text
    assert "Of 5 more queues nothing is known" in text
    assert page.run("return document.querySelector('figure path').getBBox().width") > 0
    page.check_console()


def test_sixty_four_threads_and_a_million_waits(driver: Any, tmp_path: Path) -> None:
    count, threads = 1_000_000, 64
    data = made_up(
        [("Lock", f"Lock Shard.lock_{number}", 100.0 - number) for number in range(12)], seconds=60.0
    )
    rng = random.Random(7)
    sample = [
        (rng.randrange(1, 1_700_000), rng.randrange(1, 1_700_000), rng.randrange(12)) for _ in range(1000)
    ]
    waits, now = [], 0
    for index in range(count // threads):
        gap, length, site = sample[index % 1000]
        waits.append((now + gap, length, site, 2 + index % threads, index % 256))
        now += gap + length
    each = packed(waits)
    data["seconds"] = now / 1e9 + 0.001
    data["threads"] = threads
    names = {number: f"worker-{number}" for number in range(1, threads + 1)}
    found = ([(number, len(waits), each) for number in names], 0, 0.0, 0.0)
    shown_at = {
        site: (row["object"], False, (("program.py", 1, "wait"),)) for site, row in enumerate(data["objects"])
    }
    timeline = _profile_timeline.described(found, shown_at, 12, names, data)
    text = _profile_page.page(data, timeline, "million.py")
    assert len(text) < 30_000_000
    page = Opened(driver, tmp_path / "found.html", text)
    page.until_ready()
    assert page.range() == (0, data["seconds"] * 1e9)
    for _ in range(12):
        page.one("#zoom-in").click()
    begin, end = page.range()
    assert end - begin == pytest.approx(data["seconds"] * 1e9 / 2**12, rel=0.01)
    page.one("#rows").click()
    page.presses("n", "n", "n")
    assert "waited" in page.one("#selected").text
    page.one("#legend button").click()
    page.one("#zoom-all").click()
    page.drawn()
    page.check_console()


def test_many_objects_and_places(driver: Any, tmp_path: Path) -> None:
    data = made_up([("Lock", f"Lock {number:04}", 1000.0 - number) for number in range(300)])
    row = data["objects"][0]
    row["places"] = [
        {**row["places"][0], "stack": [{"file": "a.py", "line": line, "function": "f"}], **NO_WAITS}
        for line in range(1, 31)
    ]
    page = Opened(driver, tmp_path / "found.html", _profile_page.page(data, None, ""))
    until(lambda: page.all("tr.object"))
    assert len(page.all("tr.object")) == 50
    assert len(page.all("tr.place summary")) == 10
    page.one("tr.place button.more").click()
    assert len(page.all("tr.place summary")) == 30
    (more,) = [button for button in page.all("#tables > div > button") if button.is_displayed()]
    more.click()
    more.click()
    assert len(page.all("tr.object")) == 300
    page.check_console()
