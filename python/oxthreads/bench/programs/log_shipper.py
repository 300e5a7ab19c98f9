"""A log shipper: a thread gathers lines from a queue, and sends them in batches or after a while."""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = 120_000
THREADS = 4
BATCH = 100
SECONDS = 0.02


@contextmanager
def surroundings() -> Iterator[int]:
    """Start a store of logs in another process, and yield its port."""
    script = Path(__file__).with_name("beside") / "log_store.py"
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OXTHREADS": "0"},  # the store is the same, whatever the shipper runs on
    ) as store:
        assert store.stdout is not None
        yield int(store.stdout.readline())


def batches(lines: queue.Queue[bytes | None]) -> Iterator[list[bytes]]:
    """Yield batches of lines: each when it is full, or when some time has passed since its first line."""
    while (first := lines.get()) is not None:
        batch = [first]
        deadline = time.monotonic() + SECONDS
        while len(batch) < BATCH:
            try:
                line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if line is None:
                yield batch
                return
            batch.append(line)
        yield batch


def main(size: int, port: int) -> str:
    """Ship that many lines, and return what the store says."""
    lines: queue.Queue[bytes | None] = queue.Queue(1_000)
    answers = []

    def ship() -> None:
        with socket.create_connection(("127.0.0.1", port)) as store:
            for batch in batches(lines):
                store.sendall(b"".join(batch))
            store.shutdown(socket.SHUT_WR)
            answers.append(store.recv(1_000).decode())

    def work(first: int) -> None:
        for number in range(first, size, THREADS):
            lines.put(b"request %d took %d ms\n" % (number, number % 113))

    shipper = threading.Thread(target=ship)
    workers = [threading.Thread(target=work, args=[first]) for first in range(THREADS)]
    for thread in (shipper, *workers):
        thread.start()
    for worker in workers:
        worker.join()
    lines.put(None)
    shipper.join()
    return answers[0]


if __name__ == "__main__":
    with surroundings() as store_port:
        print(main(SIZE, store_port))
