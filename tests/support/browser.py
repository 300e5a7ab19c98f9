"""Chromium without a window, for tests of pages."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import TIMEOUT_SECONDS

#: What keeps the browser from asking anybody for anything.
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def browser(folder: Path) -> Iterator[Any]:
    """A driver of a browser that has just been started. The test is skipped where there is none.

    Args:
        folder: where the browser keeps its profile.
    """
    webdriver = pytest.importorskip("selenium.webdriver", reason="the extra `browser` is not installed")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("Chromium and ChromeDriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*_FLAGS, f"--user-data-dir={folder}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # Without the path of the driver, selenium would look for one to download.
    found = webdriver.Chrome(service=webdriver.ChromeService(executable_path=driver), options=options)
    found.set_page_load_timeout(TIMEOUT_SECONDS * 2)
    found.set_script_timeout(TIMEOUT_SECONDS * 2)
    try:
        yield found
    finally:
        found.quit()


class Page:
    """A page in a browser, and what a test does with it.

    Args:
        driver: what `browser` has yielded.
    """

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[Any]:
        found: list[Any] = self.driver.find_elements("css selector", selector)
        return found

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def actions(self) -> Any:
        from selenium.webdriver.common.action_chains import ActionChains  # noqa: PLC0415 - an extra

        return ActionChains(self.driver)

    def presses(self, *keys: str) -> None:
        actions = self.actions()
        for key in keys:
            actions.send_keys(key)
        actions.perform()

    def check_console(self) -> None:
        """No error, and nothing that the policy of the page has forbidden."""
        assert self.driver.get_log("browser") == []


def until(condition: Callable[[], Any]) -> Any:
    """Wait until the condition holds, and return what it returned."""
    end = time.monotonic() + TIMEOUT_SECONDS * 2
    while not (result := condition()):
        assert time.monotonic() < end, "the page does not come to that"
        time.sleep(0.02)
    return result
