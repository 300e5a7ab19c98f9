"""A crawler: threads take links from a queue, fetch the pages, and put the new links into the queue."""

from __future__ import annotations

import http.client
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = 1_500
THREADS = 8
LINK = re.compile(rb'href="/(\d+)"')


@contextmanager
def surroundings() -> Iterator[int]:
    """Start a web site in another process, and yield its port."""
    script = Path(__file__).with_name("beside") / "web_site.py"
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OXTHREADS": "0"},  # the site is the same, whatever the crawler runs on
    ) as site:
        assert site.stdout is not None
        yield int(site.stdout.readline())


def main(size: int, port: int) -> str:
    """Fetch the first pages of the site, that many."""
    links: queue.Queue[int | None] = queue.Queue()
    seen = {0}
    lock = threading.Lock()
    fetched: list[int] = []

    def crawl() -> None:
        site = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while (page := links.get()) is not None:
            site.request("GET", f"/{page}")
            body = site.getresponse().read()
            for link in map(int, LINK.findall(body)):
                with lock:
                    new = link < size and link not in seen
                    if new:
                        seen.add(link)
                if new:
                    links.put(link)
            fetched.append(len(body))
            links.task_done()
        site.close()

    threads = [threading.Thread(target=crawl) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    links.put(0)
    links.join()
    for _ in threads:
        links.put(None)
    for thread in threads:
        thread.join()
    return f"{len(fetched)} pages of {len(seen)}, {sum(fetched)} bytes"


if __name__ == "__main__":
    with surroundings() as site_port:
        print(main(SIZE, site_port))
