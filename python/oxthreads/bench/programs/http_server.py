"""A web server of the standard library: ThreadingHTTPServer, which makes a thread for each request."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SIZE = 1_000


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


class Counter(BaseHTTPRequestHandler):
    """Counts the visits, under a lock."""

    lock = threading.Lock()
    visits = 0

    def do_GET(self) -> None:
        """Answer with a greeting."""
        with self.lock:
            type(self).visits += 1
        body = f"<h1>Hello from {self.path}</h1>".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Write no log."""


class Server(ThreadingHTTPServer):
    """The server."""

    request_queue_size = 128


def main(size: int, visitors: subprocess.Popen[str]) -> str:
    """Answer that many requests."""
    assert visitors.stdin is not None and visitors.stdout is not None
    with Server(("127.0.0.1", 0), Counter) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        print(server.server_port, size, "/some/page", file=visitors.stdin, flush=True)
        seen = visitors.stdout.readline().strip()
        server.shutdown()
        thread.join()
    return f"visits: {Counter.visits}; {seen}"


if __name__ == "__main__":
    with surroundings() as some_visitors:
        print(main(SIZE, some_visitors))
