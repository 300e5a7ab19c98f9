"""A headless Chromium, driven by ChromeDriver through its HTTP interface (W3C WebDriver)."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

#: Seconds for what should have come long before.
LIMIT = 100.0

#: Both come from the Debian packages chromium and chromium-driver.
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")


class WebDriver:
    """A browser, for a ``with`` statement. What it stores is in the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> WebDriver:
        assert CHROMIUM
        assert DRIVER
        self._driver = subprocess.Popen(
            [DRIVER, "--port=0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "HOME": str(self._folder), "TMPDIR": str(self._folder)},
            # So that the browser can be ended with it, whatever has happened.
            start_new_session=True,
        )
        try:
            assert self._driver.stdout
            # "ChromeDriver was started successfully on port 35557."
            lines = iter(self._driver.stdout.readline, "")
            line = next(line for line in lines if " on port " in line and "successfully" in line)
            port = line.rpartition(" ")[2].strip().rstrip(".")
            self._session = f"http://127.0.0.1:{port}/session"
            options = {
                "binary": CHROMIUM,
                # Root, as whom tests run in containers, may not use the sandbox. It opens only our own pages.
                "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
            }
            wanted = {
                "browserName": "chrome",
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL"},
                "timeouts": {"script": int(LIMIT * 1000), "pageLoad": int(LIMIT * 1000)},
            }
            started = self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})
            self._session += f"/{started['sessionId']}"
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("DELETE", "")
        finally:
            self._end()

    def _end(self) -> None:
        os.killpg(self._driver.pid, signal.SIGKILL)
        self._driver.wait(LIMIT)
        assert self._driver.stdout
        self._driver.stdout.close()

    def _ask(self, method: str, path: str, data: object = None) -> Any:
        request = urllib.request.Request(
            self._session + path,
            None if data is None else json.dumps(data).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=LIMIT) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(json.load(error)["value"]["message"]) from None

    def open(self, address: str) -> None:
        """Load a page."""
        self._ask("POST", "/url", {"url": address})

    def run(self, script: str, *arguments: object) -> Any:
        """Run the body of an asynchronous JavaScript function; return what that returns."""
        # A promise that fails must be told, or the call lasts until its time is over.
        body = (
            "const tell = arguments[arguments.length - 1];"
            f"(async (...given) => {{{script}}})(...[...arguments].slice(0, -1))"
            ".then(value => tell({value}), error => tell({error: String(error && error.stack || error)}));"
        )
        answer = self._ask("POST", "/execute/async", {"script": body, "args": [*arguments]})
        assert "error" not in answer, answer["error"]
        return answer.get("value")

    def size(self, width: int, height: int) -> None:
        """Set the size of the window."""
        self._ask("POST", "/window/rect", {"width": width, "height": height})

    def screenshot(self) -> bytes:
        """A picture of the page, as PNG."""
        return base64.b64decode(self._ask("GET", "/screenshot"))

    def messages(self) -> list[str]:
        """The errors that the console has got since the last call."""
        entries = self._ask("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]
