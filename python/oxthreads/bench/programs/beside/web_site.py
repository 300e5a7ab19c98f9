"""A web site: each page has links to ten others. Writes its port, and ends with its standard input."""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LINKS = 10


class Page(BaseHTTPRequestHandler):
    """Answers with the page whose number is the path."""

    protocol_version = "HTTP/1.1"
    # Otherwise an answer waits until the visitor has acknowledged its head.
    wbufsize = -1

    def do_GET(self) -> None:
        """Answer with a list of links."""
        number = int(self.path.strip("/") or 0)
        links = (number * LINKS + each for each in range(1, LINKS + 1))
        body = "".join(f'<li><a href="/{link}">page {link}</a>' for link in links).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Write no log."""


class Site(ThreadingHTTPServer):
    """The server."""

    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    """Serve until standard input ends."""
    with Site(("127.0.0.1", 0), Page) as site:
        print(site.server_port, flush=True)
        thread = threading.Thread(target=site.serve_forever, daemon=True)
        thread.start()
        sys.stdin.read()
        site.shutdown()


if __name__ == "__main__":
    main()
