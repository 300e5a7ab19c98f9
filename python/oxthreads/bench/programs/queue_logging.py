"""Logging through a queue: threads log with a QueueHandler, and a QueueListener writes a file."""

from __future__ import annotations

import logging
import queue
import tempfile
import threading
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path

SIZE = 10_000
THREADS = 4


def main(size: int) -> str:
    """Log that many lines, and read what was written."""
    records: queue.Queue[logging.LogRecord] = queue.Queue()
    logger = logging.Logger("shop", logging.INFO)
    logger.addHandler(QueueHandler(records))

    def serve(first: int) -> None:
        for number in range(first, size, THREADS):
            logger.info("order %d of customer %s", number, f"c{number % 97}")

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "shop.log")
        handler = logging.FileHandler(file)
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
        listener = QueueListener(records, handler)
        listener.start()
        threads = [threading.Thread(target=serve, args=[first]) for first in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        listener.stop()
        handler.close()
        lines = file.read_text().splitlines()
    return f"{len(lines)} lines, {len(set(lines))} of them different, first {min(lines)!r}"


if __name__ == "__main__":
    print(main(SIZE))
