"""A web application: Flask under gunicorn, with a worker of threads (gthread)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

SIZE = 600
THREADS = 8

web = Flask("web_application")
lock = threading.Lock()
visits = {"stock": 0}


@web.get("/stock/<item>")  # type: ignore[untyped-decorator]
def stock(item: str) -> dict[str, str]:
    """Count the visits under a lock, and answer with JSON."""
    with lock:
        visits["stock"] += 1
    return {"item": item, "left": "some"}


class Application(BaseApplication):  # type: ignore[misc]
    """gunicorn with one worker, and no configuration file.

    Args:
        settings: what is not as gunicorn has it by itself.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Take the settings."""
        for name, value in self.settings.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Return the application."""
        return web


@contextmanager
def surroundings() -> Iterator[subprocess.Popen[str]]:
    """Start visitors in another process."""
    script = Path(__file__).with_name("beside") / "visitors.py"
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OXTHREADS": "0"},  # the visitors are the same, whatever the server runs on
    ) as visitors:
        assert visitors.stdout is not None
        visitors.stdout.readline()
        yield visitors


def main(size: int, visitors: subprocess.Popen[str]) -> str:
    """Answer that many requests."""
    assert visitors.stdin is not None and visitors.stdout is not None

    def visit(server: Any) -> None:
        # When they have been answered, the visitors ask this process to end, and gunicorn stops.
        port = server.LISTENERS[0].getsockname()[1]
        print(port, size, "/stock/tea", os.getpid(), file=visitors.stdin, flush=True)

    settings = {
        "bind": "127.0.0.1:0",
        "worker_class": "gthread",
        "threads": THREADS,
        "loglevel": "critical",
        "control_socket_disable": True,
        "when_ready": visit,
    }
    this_process = os.getpid()
    try:
        Application(settings).run()
    except SystemExit:
        if os.getpid() != this_process:  # the worker, which is a fork of this one, ends in the same way
            raise
    return visitors.stdout.readline().strip()


if __name__ == "__main__":
    with surroundings() as some_visitors:
        print(main(SIZE, some_visitors))
