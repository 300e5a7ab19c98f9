"""Celery tasks for a worker with the threads pool. They send letters through one connection.

    redis-server --port 6399 --save '' &
    oxthreads profile -o letters.txt -m celery -A letters worker -P threads -c 8 -l warning
    python letters.py  # in another terminal: 400 tasks; it prints how long they took

The environment variable REPAIRED=1 gives each thread a connection of its own.
"""

from __future__ import annotations

import os
import threading
import time

from celery import Celery

BROKER = os.environ.get("BROKER", "redis://127.0.0.1:6399/0")
TASKS = 400

app = Celery("letters", broker=BROKER, backend=BROKER)


class Post:
    """A connection to a server that takes letters, one at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def send(self, _number: int) -> None:
        """Send a letter."""
        with self.lock:
            time.sleep(0.005)


shared = Post()
own = threading.local()


@app.task
def send(number: int) -> int:
    """Send a letter."""
    if os.environ.get("REPAIRED"):
        if not hasattr(own, "post"):
            own.post = Post()
        own.post.send(number)
    else:
        shared.send(number)
    return number


if __name__ == "__main__":
    begun = time.perf_counter()
    sent = [send.delay(number) for number in range(TASKS)]
    print(sum(result.get(timeout=60) for result in sent), f"{time.perf_counter() - begun:.2f} s")
