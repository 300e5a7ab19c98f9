"""Visitors of a web site. For each line "PORT REQUESTS PATH [PID]" they make so many requests.

Then they say what has come. If there is the number of a process, they ask it to end before that.
"""

from __future__ import annotations

import http.client
import os
import signal
import sys
import threading

VISITORS = 4
ATTEMPTS = 5


class Visits:
    """What all visitors have seen."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.answers = self.characters = 0

    def make(self, port: int, requests: int, path: str) -> None:
        """Make requests, each by a connection of its own."""
        for _ in range(requests):
            body = fetch(port, path)
            with self.lock:
                self.answers += 1
                self.characters += len(body)


def fetch(port: int, path: str) -> bytes:
    """Return the answer to a request. A connection that is refused or reset is made again."""
    for attempt in range(ATTEMPTS):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise http.client.HTTPException(f"status {answer.status}")
            return body
        except ConnectionError:
            if attempt == ATTEMPTS - 1:
                raise
        finally:
            connection.close()
    raise AssertionError


def main() -> None:
    """Do what the lines of standard input say, until it ends."""
    print("ready", flush=True)
    for line in sys.stdin:
        port, requests, path, *process = line.split()
        visits = Visits()
        threads = [
            threading.Thread(
                target=visits.make, args=[int(port), len(range(first, int(requests), VISITORS)), path]
            )
            for first in range(VISITORS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number in process:
            os.kill(int(number), signal.SIGTERM)
        print(f"{visits.answers} answers, {visits.characters} characters", flush=True)


if __name__ == "__main__":
    main()
